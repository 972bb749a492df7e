//! A gate as text: what it is going to do, how far it is, and what it says.

use std::time::Duration;

use super::compare::{Section, is_of_processes, sections};
use crate::compare::Plan;
use crate::gate::{Attempt, GateRecord, Judged, Needed, Next, State, Terms, Verdict};
use crate::report::Options;
use crate::report::figures::{rate, span};
use crate::report::layout::Page;
use crate::report::verdict::{self, about, share};
use crate::units::nanoseconds;

/// Columns of the longest verdict, INCONCLUSIVE, and two more.
const LABEL: usize = 14;

/// What is going to be measured and how long that takes, in one line for before the start.
#[must_use]
pub fn gate_plan(plan: &Plan, terms: &Terms, round_time: Duration) -> String {
    let [least, most] = terms.duration(round_time).map(minutes);
    let (first, last) = (terms.looks.first(), terms.looks.last());
    let (rounds, time) = if first == last {
        (format!("{first} rounds"), format!("{most} min"))
    } else {
        (
            format!("{first} to {last} rounds"),
            format!("{least} to {most} min"),
        )
    };
    let again = if terms.confirm {
        " (as long again before a FAIL)"
    } else {
        ""
    };
    format!(
        "plan     phase {}, {} per arm · {} per arm and round · {rounds} · {time}{again}",
        plan.phase,
        rate(plan.rate),
        span(plan.measure_ns)
    )
}

/// What the rounds so far say, in a line for each round: `round 10/40  p99 +1.2 % [−3.4, +6.1]  look 1 of 5: PASS`.
///
/// After the first look there are lines more, of how many rounds it may take.
#[must_use]
pub fn gate_round(attempt: Attempt, judged: &Judged, terms: &Terms) -> String {
    let mut line = format!(
        "{}round {}/{}  {}",
        confirming(attempt),
        judged.valid,
        terms.looks.last(),
        standings(judged)
    );
    let looks = terms.looks.rounds();
    let look = looks.iter().position(|&rounds| rounds == judged.valid);
    if let Some(look) = look {
        let said = judged.verdict.map_or("goes on", Verdict::name);
        line += &format!("  look {} of {}: {said}", look + 1, looks.len());
    }
    if judged.void > 0 {
        line += &format!("  ({} void)", judged.void);
    }
    if look == Some(0) && judged.verdict.is_none() {
        for projection in projections(judged, terms) {
            line += &format!("\n  {projection}");
        }
    }
    line
}

/// What the rounds so far say, and when it is looked at next: `p99 +1.2 % [−3.4, +6.1]  look 2 of 5 after 14 rounds`.
#[must_use]
pub fn gate_so_far(attempt: Attempt, judged: &Judged, terms: &Terms) -> String {
    let looks = terms.looks.rounds();
    let next = looks.iter().position(|&rounds| rounds > judged.valid);
    let next = next.map_or(String::new(), |look| {
        format!(
            "look {} of {} after {} rounds",
            look + 1,
            looks.len(),
            looks[look]
        )
    });
    let so_far = match judged.valid {
        0 => String::new(),
        _ => format!("{}  ", standings(judged)),
    };
    format!("{}{so_far}{next}", confirming(attempt))
}

fn standings(judged: &Judged) -> String {
    let standings: Vec<String> = judged.standings.iter().map(verdict::standing).collect();
    standings.join(", ")
}

fn confirming(attempt: Attempt) -> &'static str {
    match attempt {
        Attempt::First => "",
        Attempt::Confirmation => "confirming, ",
    }
}

/// How many rounds every metric that is open is expected to take.
fn projections(judged: &Judged, terms: &Terms) -> Vec<String> {
    let open = judged
        .standings
        .iter()
        .filter(|standing| standing.state == State::Open);
    let lines = open.map(|standing| {
        let metric = standing.metric;
        let Some(Needed { to_pass, to_fail, .. }) = standing.needed else {
            return format!("{metric}: its rounds differ too much to say how many it takes");
        };
        let line = format!(
            "{metric}: {} rounds to a PASS if nothing changed, {} to a FAIL at +{}",
            about(to_pass),
            about(to_fail),
            share(terms.ruled_out)
        );
        let most = terms.looks.last();
        if to_pass > most as f64 {
            format!(
                "{line}: more than the {most} there may be. A higher --rate, a longer --measure or a wider --ruled-out needs fewer"
            )
        } else if to_fail > most as f64 {
            format!("{line}; there may be {most}")
        } else {
            line
        }
    });
    lines.collect()
}

/// A whole gate: what was measured, the figures of both arms, and the verdict as the last block.
#[must_use]
pub fn gate(record: &GateRecord, options: &Options) -> String {
    let mut page = Page::new(options.width, options.color);
    if !record.latest().rounds().is_empty() {
        let judged = record.judged();
        let standings = judged.as_ref().map_or(&[][..], |judged| &judged.standings);
        sections(
            record.latest(),
            Some(standings),
            options,
            &mut page,
            &[
                Section::Title,
                Section::Figures,
                Section::Setting,
                Section::Validity,
            ],
        );
    }
    if is_of_processes(record.latest()) {
        let words = "these processes only: they were not started afresh for each round, so their luck at the start is in every one";
        page.labelled("note", &[words]);
    }
    super::saved(options, &mut page);
    builds(record, &mut page);
    let (label, words) = ending(record);
    page.ending(label, LABEL, &words);
    page.into_text()
}

/// What both arms are made of.
pub(in crate::report) fn builds(record: &GateRecord, page: &mut Page) {
    let Some(builds) = &record.builds else {
        return;
    };
    for (name, build) in [
        ("baseline", &builds.baseline),
        ("candidate", &builds.candidate),
    ] {
        let revision = build
            .revision
            .as_ref()
            .map(|revision| format!("revision {revision}"));
        let digest = build
            .digest
            .as_ref()
            .map(|digest| format!("sha256 {}", short(digest)));
        let facts: Vec<String> = revision.into_iter().chain(digest).collect();
        if !facts.is_empty() {
            page.labelled(name, &[&facts.join(" · ")]);
        }
    }
}

/// Enough of a digest to tell two apart.
fn short(digest: &str) -> &str {
    digest.get(..16).unwrap_or(digest)
}

/// The verdict and its words, in one line.
#[must_use]
pub fn gate_verdict(record: &GateRecord) -> String {
    let (word, words) = ending(record);
    format!("{word}: {words}")
}

/// The verdict and its words; what there is to say of a gate that was ended before it had one.
pub(in crate::report) fn ending(record: &GateRecord) -> (&'static str, String) {
    match record.next() {
        Next::Decided(decision) => (
            decision.verdict.name(),
            verdict::words(&decision, &record.terms),
        ),
        Next::Another(progress) => {
            let judged = &progress.judged;
            let found: Vec<String> = judged.standings.iter().map(verdict::standing).collect();
            let words = format!(
                "after {} of {} rounds, before there was a verdict: {}",
                judged.valid,
                record.terms.looks.last(),
                found.join(", ")
            );
            ("INTERRUPTED", words)
        }
    }
}

/// `3.5`, `14`.
fn minutes(time: Duration) -> String {
    let minutes = nanoseconds(time) as f64 / 60e9;
    let text = if minutes < 9.95 {
        format!("{minutes:.1}")
    } else {
        format!("{minutes:.0}")
    };
    text.strip_suffix(".0").map_or(text.clone(), str::to_owned)
}

#[cfg(test)]
mod tests;
