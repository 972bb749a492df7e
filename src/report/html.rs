//! Results as pages for a browser: each is one file, which loads nothing and runs nothing but its own script, admitted by its
//! digest.
//!
//! What stands on a page is made of the same parts as the text report; the plots are drawn by [`plot`]. All text is escaped
//! where it is written, by `maud`: names, headers and errors of the world stay text.

mod behind;
mod columns;
mod compare;
mod forest;
mod glossary;
mod page;
mod plot;
mod rounds;
mod run;
mod scale;
mod side_by_side;
mod spectrum;
mod steps;
#[cfg(test)]
mod tests;
mod timeline;

use maud::{Markup, html};

use super::{IN_A_FILE, Options, Subject, table};
use crate::gate::Repeated;
use crate::report::layout::{Column, Grid, Item, Page};
use crate::startup::Startups;
use crate::units::three_digits;
use page::{Section, Shell, items};

/// All there is, without an edge: a browser finds it.
const UNBOUNDED: Options<'static> = Options {
    width: usize::MAX,
    ..IN_A_FILE
};

/// A result as a page.
#[must_use]
pub(super) fn page(subject: Subject<'_>) -> String {
    match subject {
        Subject::Run(record) => run::page(record),
        Subject::Comparison(comparison) => compare::comparison(comparison),
        Subject::Gate(record, _) => compare::gate(record),
        Subject::Repeated(gates) => repeated(gates),
        Subject::Startups(startups) => self::startups(startups),
        Subject::Runs(runs) => side_by_side::page(runs),
    }
}

/// Gates of a target against itself: what they say together, and what each said.
fn repeated(repeated: &Repeated) -> String {
    let (title, facts, said) = untitled(table::gates_page(repeated, &UNBOUNDED).into_items());
    let mut grid = Grid::new([
        Column::left("gate"),
        Column::left("verdict"),
        Column::right("valid rounds"),
        Column::right("took s"),
    ]);
    for (number, gate) in repeated.gates.iter().enumerate() {
        let verdict = gate.verdict.name().to_owned();
        let took = three_digits(gate.elapsed_ns as f64 / 1e9);
        grid.row([
            (number + 1).to_string(),
            verdict,
            gate.rounds.to_string(),
            took,
        ]);
    }
    Shell {
        title: format!("{title} · tailmark"),
        kind: "gates of a target against itself",
        started: None,
        version: None,
        head: html! {
            h1 { (title) }
            p.facts { (facts) }
            div.verdict.plain { (items(&said, "")) }
        },
        sections: vec![Section::new(
            "gates",
            "Every gate",
            page::table(&grid, "Every gate"),
        )],
        terms: glossary::of_rounds(true),
    }
    .render()
}

/// Start-ups: the figures of each arm, what to mind, and every launch.
fn startups(startups: &Startups) -> String {
    let (title, facts, said) = untitled(table::startup_page(startups, &UNBOUNDED).into_items());
    let (closing, rest): (Vec<Item>, Vec<Item>) = said
        .into_iter()
        .partition(|item| matches!(item, Item::Paragraph(_)));
    let mut page = Page::unbounded();
    if let Some(environment) = startups.environment() {
        compare::machine(environment, &mut page);
    }
    for (name, target) in startups.plan.arms.iter().zip(startups.targets()) {
        page.labelled(name, &[&compare::identity(target)]);
    }
    page.labelled("started", &[&startups.started]);
    let environment = items(&page.into_items(), "");
    let figures: Markup = items(&rest, "Start-ups");
    Shell {
        title: format!("{title} · tailmark"),
        kind: "start-ups",
        started: Some(startups.started.clone()),
        version: startups
            .environment()
            .map(|environment| environment.tool_version.clone()),
        head: html! {
            h1 { (title) }
            p.facts { (facts) }
            div.verdict.plain { (items(&closing, "")) }
        },
        sections: vec![
            Section::new("figures", "Figures and launches", figures),
            Section::new("environment", "Environment", environment),
        ],
        terms: glossary::of_startups(),
    }
    .render()
}

/// The title of a text report, its facts, and the rest of it.
fn untitled(items: Vec<Item>) -> (String, String, Vec<Item>) {
    let (mut title, mut facts) = (String::new(), String::new());
    let mut rest = Vec::new();
    for item in items {
        match item {
            Item::Title {
                title: own,
                facts: of_it,
            } => (title, facts) = (own, of_it.join(" · ")),
            other => rest.push(other),
        }
    }
    (title, facts, rest)
}
