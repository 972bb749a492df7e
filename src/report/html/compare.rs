//! The pages of comparisons and gates: what they come to, the changes with their intervals, and the rounds behind them.

use maud::{Markup, html};

use super::behind::stores;
use super::forest::{Gated, forest};
use super::glossary;
use super::page::{SCENARIO, Section, Shell, items, long_table, table, term, verbatim};
use super::rounds::{left_out, pairs, spectra, told};
use super::run::parts;
use crate::compare::{Comparison, Metric};
use crate::gate::{GateRecord, Judged, Next, Terms, Verdict};
use crate::report::IN_A_FILE;
use crate::report::figures::{UNKNOWN, change_with_interval, span};
use crate::report::layout::{Column, Grid, Item, Page};
use crate::report::table::compare::{Section as Part, closing, sections, unit};
use crate::report::table::{self, ending};
use crate::report::verdict::{about, share};
use crate::run_record::{Environment, TargetIdentity};
use crate::units::thousands;

/// Which rounds a section is of: a gate has them twice where it was confirmed.
#[derive(Clone, Copy)]
struct Ids {
    changes: &'static str,
    figures: &'static str,
    rounds: &'static str,
    pairs: &'static str,
    distribution: &'static str,
    spectra: &'static str,
    validity: &'static str,
    /// What is added to headings.
    of: &'static str,
    /// What their links belong to.
    group: &'static str,
}

const FIRST: Ids = Ids {
    changes: "changes",
    figures: "figures",
    rounds: "rounds",
    pairs: "pairs",
    distribution: "distribution",
    spectra: "spectra",
    validity: "validity",
    of: "",
    group: "",
};

/// Of a gate's first attempt where there is a second.
const UNCONFIRMED: Ids = Ids {
    of: " in the first run",
    group: "First run:",
    ..FIRST
};

const CONFIRMATION: Ids = Ids {
    changes: "changes-again",
    figures: "figures-again",
    rounds: "rounds-again",
    pairs: "pairs-again",
    distribution: "distribution-again",
    spectra: "spectra-again",
    validity: "validity-again",
    of: " in the confirmation",
    group: "Confirmation:",
};

/// A comparison: its sentences first.
#[must_use]
pub(super) fn comparison(comparison: &Comparison) -> String {
    let (title, facts) = heading(comparison);
    let all = comparison.rounds().len();
    let valid = comparison.valid_rounds().count();
    let is_good = valid > 0 && !comparison.interrupted && !comparison.is_invalid();
    let mut sections = of_rounds(comparison, None, FIRST);
    sections.extend(setting(comparison));
    Shell {
        title: format!("{title} · tailmark"),
        kind: "comparison",
        started: Some(comparison.started.clone()),
        version: version(comparison),
        head: html! {
            h1 { (title) }
            p.facts { (facts) }
            div.verdict.plain[is_good].bad[!is_good] {
                p.headline { (closing(comparison)) }
                p { (valid) " of " (all) " " (term("round", "rounds")) " valid." }
                @if comparison.interrupted {
                    p { b { "INTERRUPTED" } " these are the figures of the rounds that were complete" }
                }
            }
        },
        sections,
        terms: glossary::of_rounds(false),
    }
    .render()
}

/// A gate: its verdict first, then its terms, and what it rests on.
#[must_use]
pub(super) fn gate(record: &GateRecord) -> String {
    let (title, facts) = heading(&record.first);
    let next = record.next();
    let (word, words) = ending(record);
    let verdict = match &next {
        Next::Decided(decision) => Some(decision.verdict),
        Next::Another(_) => None,
    };
    let attempts: Vec<&Judged> = match &next {
        Next::Decided(decision) => decision.attempts.iter().collect(),
        Next::Another(progress) => progress
            .unconfirmed
            .iter()
            .chain([&progress.judged])
            .collect(),
    };
    let confirmation = record.confirmation.as_ref();
    let first_ids = if confirmation.is_some() {
        UNCONFIRMED
    } else {
        FIRST
    };
    let measured = [
        (Some(&record.first), first_ids),
        (confirmation, CONFIRMATION),
    ];
    let mut sections = Vec::new();
    for ((comparison, ids), judged) in measured.into_iter().zip(&attempts) {
        if let Some(comparison) = comparison.filter(|comparison| !comparison.rounds().is_empty()) {
            let standings = &judged.standings;
            let terms = &record.terms;
            sections.extend(of_rounds(comparison, Some(Gated { terms, standings }), ids));
        }
    }
    sections.push(terms(record));
    sections.extend(setting(record.latest()));
    Shell {
        title: format!("{word} · {title} · tailmark"),
        kind: "gate",
        started: Some(record.started.clone()),
        version: version(&record.first),
        head: html! {
            h1 { (title) }
            p.facts { (facts) }
            div class=(format!("verdict {}", class(verdict))) {
                p.word { span.sign aria-hidden="true" { (sign(verdict)) } " " (word) }
                p.headline { (words) }
                (standings(&attempts, &record.terms))
            }
        },
        sections,
        terms: glossary::of_rounds(true),
    }
    .render()
}

fn class(verdict: Option<Verdict>) -> &'static str {
    match verdict {
        Some(Verdict::Pass) => "good",
        Some(Verdict::Fail) => "bad",
        Some(Verdict::Inconclusive | Verdict::Invalid) | None => "open",
    }
}

/// A sign beside the word, which says the same.
fn sign(verdict: Option<Verdict>) -> &'static str {
    match verdict {
        Some(Verdict::Pass) => "✓",
        Some(Verdict::Fail) => "✗",
        Some(Verdict::Inconclusive) => "?",
        Some(Verdict::Invalid) | None => "!",
    }
}

/// What is compared, and how.
fn heading(comparison: &Comparison) -> (String, String) {
    let arms = &comparison.plan.arms;
    let names = match &arms[..] {
        [reference, others @ ..] => format!("{} against {reference}", listed(others)),
        [] => comparison.plan.scenario.name.clone(),
    };
    let title = parts(|page| write(comparison, None, page, Part::Title));
    let facts = match title.into_iter().next() {
        Some(Item::Title { title, facts }) => [vec![title], facts].concat().join(" · "),
        _ => String::new(),
    };
    (names, facts)
}

/// `a`, `a and b`, `a, b and c`.
fn listed(names: &[String]) -> String {
    match names {
        [before @ .., last] if !before.is_empty() => format!("{} and {last}", before.join(", ")),
        _ => names.concat(),
    }
}

fn write(comparison: &Comparison, gated: Option<Gated<'_>>, page: &mut Page, part: Part) {
    let standings = gated.map(|gated| gated.standings);
    sections(comparison, standings, &IN_A_FILE, page, &[part]);
}

fn version(comparison: &Comparison) -> Option<String> {
    comparison
        .environment()
        .map(|environment| environment.tool_version.clone())
}

/// What the rounds of a comparison, or of one attempt of a gate, say.
fn of_rounds(comparison: &Comparison, gated: Option<Gated<'_>>, ids: Ids) -> Vec<Section> {
    let unit = unit(comparison);
    let validity = parts(|page| write(comparison, gated, page, Part::Validity));
    let (runs, mut to_mind): (Vec<Item>, Vec<Item>) = validity.into_iter().partition(is_grid);
    let setting = parts(|page| write(comparison, gated, page, Part::Setting));
    to_mind.extend(setting.into_iter().filter(|item| !is_grid(item)));
    let mut sections = Vec::new();
    if let Some(forest) = forest(comparison, gated, ids.changes == CONFIRMATION.changes) {
        let heading = format!("Changes{}", ids.of);
        sections.push(
            Section::new(ids.changes, heading, forest).explained(about_changes(comparison, gated)),
        );
    }
    let figures = parts(|page| write(comparison, gated, page, Part::Figures));
    let figures = html! { (items(&figures, "Figures of the arms")) };
    sections.push(Section::new(ids.figures, format!("Figures{}", ids.of), figures).explained(html! {
        p {
            "Each arm over all valid rounds: a quantile of all their requests together with its "
            (term("interval", "95 % interval")) ", else the mean over rounds. The "
            (term("change", "change")) " is of the second arm against the first."
        }
    }));
    if let Some(quantile) = told(comparison, gated) {
        let plot = pairs(ids.pairs, comparison, quantile, unit);
        let body = html! {
            @if let Some(plot) = plot { (plot.render()) }
            @if let Some(note) = left_out(comparison) { p.note { (note) } }
            details {
                summary { "Every run of every round" }
                @for item in &runs {
                    @if let Item::Grid(grid) = item { (long_table(grid, "Every run of every round", "report.csv")) }
                }
            }
        };
        sections.push(Section::new(ids.rounds, format!("Rounds{}", ids.of), body).explained(html! {
            p {
                "Each " (term("round", "round")) " is a line from arm to arm, so what moves all arms alike moves the line, and what "
                "differs between them stretches it. A round that is " (term("void", "void")) " is crossed out. Where too many requests "
                "were not ok, the figure is " (term("infinite", "∞")) ": it stands above the axis, as an arrow."
            }
        }));
    }
    if let Some(plot) = spectra(ids.spectra, comparison, unit) {
        let heading = format!("Distribution{}", ids.of);
        sections.push(Section::new(ids.distribution, heading, plot.render()).explained(html! {
            p {
                "All requests of all valid rounds in the order of how long they took: each step to the right is ten times rarer. "
                "A line ends where requests were not ok: they count as " (term("infinite", "infinitely slow")) ". The shaded end "
                "rests on fewer than four requests, and where a line is thin, it has fewer than four beyond."
            }
        }));
    }
    let body = items(&to_mind, "");
    let heading = format!("What to mind{}", ids.of);
    sections.push(Section::new(ids.validity, heading, body));
    let linked = |section: Section| {
        let name = section.heading.strip_suffix(ids.of);
        let name = name.unwrap_or(&section.heading).to_owned();
        section.linked(ids.group, &name)
    };
    sections.into_iter().map(linked).collect()
}

fn about_changes(comparison: &Comparison, gated: Option<Gated<'_>>) -> Markup {
    html! {
        p {
            "By how much each figure of an arm differs from the reference's: the mark is the estimate, the line its interval, the upright "
            "line no " (term("change", "change")) ". Equal ratios are equally long. An interval beyond the axis ends in an arrow."
        }
        @if gated.is_none() {
            p {
                "Each interval holds at " (level(comparison)) "; those of all arms together at 95 %. A mark is filled where its interval "
                "shows a difference."
            }
        }
        @if gated.is_some() {
            p {
                "The bold rows decide. Their intervals hold however often was " (term("look", "looked")) "; a gate ends when it has seen "
                "enough, so the others have none. " (term("allowed", "What the other two lines are")) "."
            }
        }
    }
}

/// `95 %`, or `97.5 %` where there are more arms.
fn level(comparison: &Comparison) -> String {
    let percent = format!("{:.1}", comparison.level() * 100.0);
    format!("{} %", percent.trim_end_matches(".0"))
}

fn is_grid(item: &Item) -> bool {
    matches!(item, Item::Grid(_))
}

/// What decides, as far as it was looked at.
fn standings(attempts: &[&Judged], terms: &Terms) -> Markup {
    let mut grid = Grid::new([
        Column::left("run"),
        Column::left("metric"),
        Column::left("change"),
        Column::left("says"),
        Column::right("valid rounds"),
        Column::right("void"),
        Column::right("looks"),
        Column::right("rounds needed"),
    ]);
    let names = ["first", "confirmation"];
    for (judged, run) in attempts.iter().zip(names) {
        for standing in &judged.standings {
            let needed = standing.needed.map(|needed| about(needed.to_either));
            grid.row([
                run.to_owned(),
                standing.metric.to_string(),
                change_with_interval(&standing.change),
                standing.state.name().to_owned(),
                judged.valid.to_string(),
                judged.void.to_string(),
                format!("{} of {}", standing.looks.len(), terms.looks.rounds().len()),
                needed.unwrap_or_else(|| UNKNOWN.to_owned()),
            ]);
        }
    }
    html! { @if !grid.rows().is_empty() { (table(&grid, "What decides")) } }
}

/// On what terms it decides, fixed before the first round.
fn terms(record: &GateRecord) -> Section {
    let terms = &record.terms;
    let lines = parts(|page| {
        let metrics: Vec<String> = terms.metrics.iter().map(Metric::to_string).collect();
        page.labelled("metrics", &[&metrics.join(", ")]);
        let allowed = format!(
            "a rise of {} is allowed: where the change is that, the chance of a FAIL is {} at most",
            share(terms.allowed),
            share(terms.alpha)
        );
        page.labelled("allowed", &[&allowed]);
        let ruled_out = format!(
            "a rise of {} is to be ruled out: where the change is that, the chance of a PASS is {} at most",
            share(terms.ruled_out),
            share(terms.beta)
        );
        page.labelled("ruled out", &[&ruled_out]);
        let looks: Vec<String> = terms.looks.rounds().iter().map(usize::to_string).collect();
        page.labelled(
            "looks",
            &[&format!("after {} valid rounds", looks.join(", "))],
        );
        let confirm = match terms.confirm {
            true => "a FAIL is measured again from zero before it is believed",
            false => "a FAIL is believed at once",
        };
        page.labelled("confirmation", &[confirm]);
        page.labelled("seed", &[&terms.seed.to_string()]);
        page.labelled(
            "took",
            &[&record.elapsed_ns.map_or(UNKNOWN.to_owned(), span)],
        );
        table::builds(record, page);
    });
    Section::new("terms", "Terms", items(&lines, "")).explained(html! {
        p {
            "Fixed before the first round, so that no result can choose them. "
            (term("allowed", "What the two margins mean")) ", " (term("verdict", "what the verdicts mean")) "."
        }
    })
}

/// Where it ran, of what the arms were, and what was sent.
fn setting(comparison: &Comparison) -> Vec<Section> {
    let lines = parts(|page| {
        if let Some(environment) = comparison.environment() {
            machine(environment, page);
        }
        for (name, target) in comparison.plan.arms.iter().zip(comparison.targets()) {
            page.labelled(name, &[&identity(target)]);
        }
        let plan = &comparison.plan;
        let sent = format!(
            "seed {} · order seed {} · {} of warm-up, {} measured per arm and round · sha256 {}",
            plan.scenario.seed,
            plan.order_seed,
            span(plan.warmup_ns),
            span(plan.measure_ns),
            plan.scenario.digest
        );
        page.labelled("scenario", &[&sent]);
        page.labelled("started", &[&comparison.started]);
    });
    let where_it_ran = Section::new("environment", "Environment", items(&lines, ""));
    let scenario = Section::new(
        "scenario",
        "Scenario",
        verbatim(&comparison.plan.scenario.text, SCENARIO),
    );
    vec![where_it_ran, scenario]
}

/// The machine and the tool.
pub(super) fn machine(environment: &Environment, page: &mut Page) {
    let descriptors = environment
        .descriptors
        .map(|limit| format!("{} descriptors", thousands(limit)));
    let tool = Some(format!("tailmark {}", environment.tool_version));
    let facts = table::machine(environment)
        .into_iter()
        .chain([descriptors, tool]);
    page.labelled("machine", &[&table::listed(facts)]);
    stores(environment, page);
}

/// What a target is, by which it is known again.
pub(super) fn identity(target: &TargetIdentity) -> String {
    let container = target.container.as_ref();
    let image = container.map(|container| container.image_id.clone());
    table::listed(table::identity(target).into_iter().chain([image]))
}
