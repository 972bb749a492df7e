//! Runs, comparisons and gates as Markdown, for pull requests and step summaries: what it comes to first, the rest folded.

use std::fmt::Write as _;

use super::IN_A_FILE;
use super::figures::change_with_interval;
use super::side_by_side::{CLOSING, Runs};
use super::table;
use super::table::{ending, thresholds};
use crate::compare::{Comparison, Metric};
use crate::gate::{GateRecord, Verdict};
use crate::run_record::RunRecord;
use crate::threshold::MemoryFigure;
use crate::units::Quantile;

/// A run: whether it may be believed, its thresholds as a list, and all of it as text, folded.
#[must_use]
pub fn run(record: &RunRecord) -> String {
    let mut text = format!(
        "### {} on {}: {}\n\n",
        escaped(&record.scenario.name),
        escaped(&record.target.name),
        record.validity.state.name()
    );
    for words in table::brief(record) {
        let _ = writeln!(text, "- {}", escaped(&words));
    }
    for ruling in &record.thresholds {
        let mark = thresholds::mark(ruling);
        let found = escaped(&thresholds::finding(ruling));
        let _ = writeln!(text, "- {mark} {}: {found}", escaped(&ruling.expression));
    }
    text.push('\n');
    folded(&mut text, "figures", &table::run(record, &IN_A_FILE));
    text
}

/// A comparison: its sentences, the changes as a table, and all of it as text, folded.
#[must_use]
pub fn compare(comparison: &Comparison) -> String {
    let mut text = format!(
        "### {}\n\n{}\n\n",
        escaped(&title(comparison)),
        escaped(&table::compare::closing(comparison))
    );
    let names = &comparison.plan.arms;
    for (arm, name) in names.iter().enumerate().skip(1) {
        changes(
            &mut text,
            &format!("{name} against {}", names[0]),
            |metric| {
                comparison
                    .change(arm, metric)
                    .map(|change| change_with_interval(&change))
            },
        );
    }
    folded(
        &mut text,
        "figures and rounds",
        &table::compare(comparison, &IN_A_FILE),
    );
    text
}

/// A gate: its verdict and why, the metrics that decide as a table, and all of it as text, folded.
#[must_use]
pub fn gate(record: &GateRecord) -> String {
    let (word, words) = ending(record);
    let mut text = format!(
        "### {} {word}: {}\n\n{}\n\n",
        mark(record),
        escaped(&title(&record.first)),
        escaped(&words)
    );
    let standings = record
        .judged()
        .map_or(Vec::new(), |judged| judged.standings);
    if !standings.is_empty() {
        text += "| metric | change | says |\n| --- | --- | --- |\n";
        for standing in &standings {
            let said = standing.state.name();
            let change = change_with_interval(&standing.change);
            // Writing to a string does not fail.
            let _ = writeln!(text, "| {} | {change} | {said} |", standing.metric);
        }
        text.push('\n');
    }
    folded(
        &mut text,
        "figures and rounds",
        &table::gate(record, &IN_A_FILE),
    );
    text
}

/// Runs side by side: which they are, what differs, their figures as a table, and what those do not say.
#[must_use]
pub fn runs(runs: &Runs) -> String {
    let mut text = format!("### {} runs side by side\n\n", runs.runs().len());
    for (letter, run) in runs.lettered() {
        let record = &run.record;
        let state = record.validity.state.name();
        // Writing to a string does not fail.
        let _ = writeln!(
            text,
            "- {letter}: {} on {}, {}, {state} ({})",
            escaped(&record.scenario.name),
            escaped(&record.target.name),
            escaped(&record.started),
            escaped(&run.source)
        );
    }
    for remark in runs.remarks() {
        let _ = write!(text, "\n**They differ:** {remark}.\n");
    }
    text.push('\n');
    for difference in runs.differences() {
        let _ = writeln!(
            text,
            "- {}: {}",
            difference.what,
            escaped(&difference.said())
        );
    }
    let letters = runs.lettered().map(|(letter, _)| letter.to_string());
    let letters: Vec<String> = letters.collect();
    let _ = writeln!(text, "\n| | | {} |", letters.join(" | "));
    let _ = writeln!(
        text,
        "| --- | --- | {} |",
        vec!["---"; letters.len()].join(" | ")
    );
    for line in runs.lines() {
        let cells: Vec<String> = line.cells.iter().map(|cell| escaped(cell)).collect();
        let _ = writeln!(
            text,
            "| {} | {} | {} |",
            line.of,
            line.which,
            cells.join(" | ")
        );
    }
    let _ = writeln!(text, "\n{CLOSING}");
    text
}

/// A mark that is seen in a list of pull requests; the word beside it says the same.
fn mark(record: &GateRecord) -> &'static str {
    match record.decision().map(|decision| decision.verdict) {
        Some(Verdict::Pass) => "✅",
        Some(Verdict::Fail) => "❌",
        Some(Verdict::Inconclusive) => "❔",
        Some(Verdict::Invalid) | None => "⚠️",
    }
}

fn title(comparison: &Comparison) -> String {
    let plan = &comparison.plan;
    format!(
        "{}, phase {}: {}",
        plan.scenario.name,
        plan.phase,
        plan.arms.join(", ")
    )
}

fn changes(text: &mut String, title: &str, change: impl Fn(Metric) -> Option<String>) {
    let shown = [
        Metric::Response(Quantile::P50),
        Metric::Response(Quantile::P99),
        Metric::Memory(MemoryFigure::Idle),
        Metric::Memory(MemoryFigure::Peak),
        Metric::CpuPer1k,
    ];
    let _ = writeln!(text, "| {} | change |\n| --- | --- |", escaped(title));
    for metric in shown {
        if let Some(change) = change(metric) {
            let _ = writeln!(text, "| {metric} | {change} |");
        }
    }
    text.push('\n');
}

fn folded(text: &mut String, summary: &str, inside: &str) {
    // A fence longer than any run of backticks in what comes from the world.
    let longest = inside.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest.max(2) + 1);
    let _ = writeln!(
        text,
        "<details><summary>{summary}</summary>\n\n{fence}text\n{}\n{fence}\n\n</details>",
        inside.trim_end()
    );
}

/// Names come from the world: they make no markup.
fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '<' => safe.push_str("&lt;"),
            '&' => safe.push_str("&amp;"),
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '~' | '#' => {
                safe.push('\\');
                safe.push(c);
            }
            c if c.is_control() => safe.push('�'),
            c => safe.push(c),
        }
    }
    safe
}
