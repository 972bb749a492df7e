//! The page of runs side by side: what their figures do not say, what differs, and the figures.

use maud::html;

use super::glossary;
use super::page::{Section, Shell, items, table};
use super::plot::Glyph;
use super::rounds::tone;
use super::spectrum::{Curve, plot};
use crate::report::layout::Page;
use crate::report::side_by_side::{CLOSING, Runs, which_differ, which_they_are, whole_grid};

/// Runs side by side, with their distributions in one plot.
#[must_use]
pub(super) fn page(runs: &Runs) -> String {
    let title = format!("{} runs side by side", runs.runs().len());
    let parts = |write: fn(&Runs, &mut Page)| {
        let mut page = Page::unbounded();
        write(runs, &mut page);
        items(&page.into_items(), "")
    };
    let remarks = runs.remarks();
    let curves: Vec<Curve> = (runs.lettered().enumerate())
        .map(|(place, (letter, run))| Curve {
            glyph: Some(Glyph::OF_ARMS[place % Glyph::OF_ARMS.len()]),
            ..Curve::bounded(
                &letter.to_string(),
                &tone(place),
                &run.record.total().response(),
            )
        })
        .collect();
    let figures = html! {
        @if let Some(plot) = plot("spectrum", "response time", &curves, runs.unit()) { (plot.render()) }
        (table(&whole_grid(runs), "Figures of each run"))
    };
    Shell {
        title: format!("{title} · tailmark"),
        kind: "runs side by side",
        started: None,
        version: None,
        head: html! {
            h1 { (title) }
            div.verdict.plain {
                p.headline { (CLOSING) }
                @for remark in &remarks { p { "They differ: " (remark) "." } }
            }
        },
        sections: vec![
            Section::new("runs", "Which runs", parts(which_they_are)),
            Section::new("differences", "What differs", parts(which_differ)),
            Section::new("figures", "Figures", figures),
        ],
        terms: glossary::of_run(),
    }
    .render()
}
