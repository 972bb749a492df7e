//! The tables of a run: its phases, the steps of its flows, and its journeys.

use maud::{Markup, html};

use super::page::{MOST_ROWS, Section, head, items, left_out, table, table_of, term};
use super::plot::px;
use super::run::parts;
use super::scale::Scale;
use crate::ledger::{Distribution, FlowTally, PhaseTally, StepTally};
use crate::report::figures::{TimeUnit, supported};
use crate::report::layout::{Column, Grid};
use crate::report::table::{View, phases};
use crate::run_record::FlowNames;
use crate::units::{Quantile, thousands};

/// The file that has a row for every step and every phase.
const WHOLE: &str = "report.csv";

/// A row for each phase, where there are several.
pub(super) fn phase_table(view: &View<'_>) -> Option<Section> {
    let closed = parts(|page| phases::closed(view, page));
    if view.record.phases.len() < 2 && closed.is_empty() {
        return None;
    }
    let body = html! {
        @if view.record.phases.len() > 1 { (table(&phases::phases(view), "Phases")) }
        (items(&closed, ""))
    };
    let help = html! {
        p {
            "Times in " (view.unit.name()) ", " (term("response", "since each request was due")) ". "
            (term("rate", "Arrivals")) " are starts of a flow: those that the target kept up with, of those that were offered. "
            "A " (term("phase", "warm-up")) " is dimmed. A column is sorted by its head."
        }
    };
    Some(Section::new("phases", "Phases", body).explained(help))
}

/// A row for each step, and for each journey, where there are several steps.
pub(super) fn step_tables(view: &View<'_>) -> Option<Section> {
    let record = view.record;
    let steps: usize = record.flows.iter().map(|flow| flow.steps.len()).sum();
    if steps < 2 {
        return None;
    }
    let journeys = journeys(view);
    let body = html! {
        (steps_table(view))
        @if let Some(journeys) = journeys {
            h3 { "Journeys" }
            (table(&journeys, "Journeys"))
        }
        @if record.measured().count() > 1 {
            details {
                summary { "Every step in every phase" }
                (each_phase(view))
            }
        }
    };
    let help = html! {
        p {
            "The measured phases together, times in " (view.unit.name()) ", since each request was due. The bar is drawn from p50 to p99, "
            "the thin line to the longest, all on one axis. "
            "A " (term("journey", "journey")) " is the time of a whole walk. " (term("unreached", "Unreached")) ": walks that ended before "
            "this step. A column is sorted by its head."
        }
    };
    Some(Section::new("steps", "Steps", body).explained(help))
}

fn has_unreached(tally: &PhaseTally) -> bool {
    let mut steps = tally.flows.iter().flat_map(|flow| &flow.steps);
    steps.any(|step| step.unreached > 0)
}

/// Each step with its flow's name, in the order of the scenario.
fn steps<'a>(
    flows: &'a [FlowNames],
    tally: &'a PhaseTally,
) -> impl Iterator<Item = (String, &'a StepTally)> {
    let flows = flows.iter().zip(&tally.flows);
    flows.flat_map(|(names, flow)| {
        let steps = names.steps.iter().zip(&flow.steps);
        steps.map(|(name, step)| (format!("{}/{name}", names.name), step))
    })
}

fn steps_table(view: &View<'_>) -> Markup {
    let unreached = has_unreached(&view.total);
    let service = [Quantile::P50, Quantile::P99];
    let axis = bars(view);
    let columns = view.quantiles.columns("");
    let rows = || steps(&view.record.flows, &view.total);
    let heads = html! {
        (head("flow/step", true)) (head("requests", false)) (head("failed", false))
        @if unreached { (head("unreached", false)) }
        @for column in &columns { (head(column.header(), false)) }
        td.l { "p50 – p99 – longest" }
        @for quantile in service { (head(&format!("service {quantile}"), false)) }
    };
    let body = html! {
        @for (name, step) in rows().take(MOST_ROWS) {
            tr {
                th scope="row" { (name) }
                td { (thousands(step.outcomes.total())) }
                td { (thousands(step.outcomes.failed())) }
                @if unreached { td { (thousands(step.unreached)) } }
                @for (cell, column) in view.quantiles.cells(view.unit, &step.response, None).iter().zip(&columns) {
                    td { @if column.is_bold() { b { (cell) } } @else { (cell) } }
                }
                td.l { (bar(axis, &step.response, view.unit)) }
                @for quantile in service { td { (view.unit.quantile(&step.service, quantile)) } }
            }
        }
    };
    html! { (table_of("Steps", &heads, &body)) (left_out(rows().count(), WHOLE)) }
}

/// The axis of the bars of all steps.
fn bars(view: &View<'_>) -> Scale {
    let values = steps(&view.record.flows, &view.total).flat_map(|(_, step)| {
        let all = step.response.all();
        [all.quantile(Quantile::P50), all.max()]
    });
    Scale::of_times(values.flatten().map(|ns| view.unit.of(ns as f64)))
}

/// From p50 to p99, and on to the longest.
fn bar(axis: Scale, times: &Distribution, unit: TimeUnit) -> Markup {
    const WIDTH: f64 = 132.0;
    let x = |ns: u64| px(4.0 + (WIDTH - 8.0) * axis.place(unit.of(ns as f64)));
    let all = times.all();
    let told = |quantile| supported(times, quantile).map(|bound| bound.value);
    html! {
        @if let (Some(p50), Some(max)) = (told(Quantile::P50), all.max()) {
            svg.range width=(px(WIDTH)) height="16" aria-hidden="true" {
                line.to-max x1=(x(p50)) x2=(x(max)) y1="8" y2="8" {}
                line.to-max x1=(x(max)) x2=(x(max)) y1="5" y2="11" {}
                @if let Some(p99) = told(Quantile::P99) {
                    line.to-p99 x1=(x(p50)) x2=(x(p99)) y1="8" y2="8" {}
                }
                line.at-p50 x1=(x(p50)) x2=(x(p50)) y1="3" y2="13" {}
            }
        }
    }
}

/// The walks of flows of several steps.
fn journeys(view: &View<'_>) -> Option<Grid> {
    let mut columns = vec![Column::left("flow"), Column::right("walks to the end")];
    columns.extend(view.quantiles.columns(&format!("{} ", view.unit.name())));
    let mut grid = Grid::new(columns);
    let flows = view.record.flows.iter().zip(&view.total.flows);
    let of_steps = flows.filter(|(_, flow)| flow.steps.len() > 1);
    for (names, FlowTally { journey, .. }) in of_steps {
        let start = [names.name.clone(), thousands(journey.count())];
        grid.row(
            start
                .into_iter()
                .chain(view.quantiles.cells_of(view.unit, journey)),
        );
    }
    (!grid.rows().is_empty()).then_some(grid)
}

fn each_phase(view: &View<'_>) -> Markup {
    let mut columns = vec![
        Column::left("phase"),
        Column::left("flow/step"),
        Column::right("requests"),
        Column::right("failed"),
    ];
    columns.extend(view.quantiles.columns(&format!("{} ", view.unit.name())));
    let mut grid = Grid::new(columns);
    let rows = || {
        let phases = view.record.measured();
        phases.flat_map(move |phase| {
            let steps = steps(&view.record.flows, &phase.tally);
            steps.map(move |(name, step)| (&phase.name, name, step))
        })
    };
    for (phase, name, step) in rows().take(MOST_ROWS) {
        let counts = [step.outcomes.total(), step.outcomes.failed()].map(thousands);
        let start = [phase.clone(), name].into_iter().chain(counts);
        grid.row(start.chain(view.quantiles.cells(view.unit, &step.response, None)));
    }
    html! { (table(&grid, "Every step in every phase")) (left_out(rows().count(), WHOLE)) }
}
