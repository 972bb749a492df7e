//! What a scenario adds to the table of a run: its phases, and the steps of its flows.

use super::{Quantiles, View};
use crate::exchange::Outcomes;
use crate::ledger::{FlowTally, StepTally};
use crate::report::figures::load;
use crate::report::layout::{Column, Grid, Page};
use crate::run_record::{FlowNames, PhaseRecord};
use crate::scenario::LoadModel;
use crate::units::{Quantile, thousands, three_digits};

/// The tables, each where it says more than the totals do, in the order of the scenario.
pub(super) fn tables(view: &View, page: &mut Page) {
    let steps: usize = view.record.flows.iter().map(|flow| flow.steps.len()).sum();
    let (several_phases, several_steps) = (view.record.phases.len() > 1, steps > 1);
    if several_phases {
        page.blank();
        page.grid(&phases(view));
    }
    closed(view, page);
    if several_steps {
        page.blank();
        page.grid(&flows(view));
    }
    if several_phases || several_steps {
        page.blank();
    }
}

/// What the figures of closed phases, right above, do not say.
pub(in crate::report) fn closed(view: &View, page: &mut Page) {
    let closed = view
        .record
        .measured()
        .filter(|phase| matches!(phase.model, LoadModel::Closed { .. }));
    let names: Vec<&str> = closed.map(|phase| phase.name.as_str()).collect();
    if names.is_empty() {
        return;
    }
    let which = match view.record.phases.len() {
        1 => String::new(),
        _ => format!("{}: ", names.join(", ")),
    };
    let words = format!(
        "{which}each user waits for its answer before it asks again, so a slow target is asked less. \
         No claim is made about users who would have come meanwhile"
    );
    page.labelled("closed", &[&words]);
}

/// A row for each phase, in their order.
pub(in crate::report) fn phases(view: &View) -> Grid {
    let mut columns = vec![
        Column::left("phase"),
        Column::right("arrivals/s"),
        Column::right("requests"),
        Column::right("failed"),
    ];
    let any = (view.record.measured()).any(|phase| phase.interval(Quantile::P99).is_some());
    let quantiles = view.quantiles.with_intervals(any);
    columns.extend(quantiles.columns(&format!("{} ", view.unit.name())));
    let mut grid = Grid::new(columns);
    for phase in &view.record.phases {
        let cells = phase_cells(view, phase, quantiles);
        if phase.warmup || !phase.offers_load() {
            grid.dim_row(cells);
        } else {
            grid.row(cells);
        }
    }
    grid
}

fn phase_cells(view: &View, phase: &PhaseRecord, quantiles: Quantiles<'_>) -> Vec<String> {
    // A rate stands in the next column.
    let model = (!matches!(phase.model, LoadModel::Open { .. })).then(|| load(phase.model));
    let warmup = (phase.warmup && phase.offers_load()).then(|| "warm-up".to_owned());
    let what: Vec<String> = [warmup, model].into_iter().flatten().collect();
    let name = match what.is_empty() {
        true => phase.name.clone(),
        false => format!("{} ({})", phase.name, what.join("; ")),
    };
    if !phase.offers_load() && phase.tally.due == 0 {
        let nothing = std::iter::repeat_n(String::new(), 3 + quantiles.columns("").len());
        return std::iter::once(name).chain(nothing).collect();
    }
    let rates = match phase.model {
        LoadModel::Open { .. } | LoadModel::Ramp { .. } => {
            let rates = [phase.achieved_rate(), phase.arrival_rate()];
            rates.map(three_digits).join(" of ")
        }
        LoadModel::Closed { .. } => three_digits(phase.achieved_rate()),
        LoadModel::Pause => String::new(),
    };
    let response = phase.tally.response();
    let mut cells = vec![name, rates];
    cells.extend(counts(&phase.tally.outcomes()));
    // Of a warm-up no figure is claimed.
    let interval = phase.interval(Quantile::P99).filter(|_| !phase.warmup);
    cells.extend(quantiles.cells(view.unit, &response, interval));
    cells
}

fn flows(view: &View) -> Grid {
    let unreached = view
        .total
        .flows
        .iter()
        .flat_map(|flow| &flow.steps)
        .any(|step| step.unreached > 0);
    let mut columns = vec![
        Column::left("flow/step"),
        Column::right("requests"),
        Column::right("failed"),
    ];
    columns.extend(unreached.then(|| Column::right("unreached")));
    columns.extend(view.quantiles.columns(&format!("{} ", view.unit.name())));
    let mut grid = Grid::new(columns);
    for (names, flow) in view.record.flows.iter().zip(&view.total.flows) {
        for (name, step) in names.steps.iter().zip(&flow.steps) {
            grid.row(step_cells(
                view,
                &format!("{}/{name}", names.name),
                step,
                unreached,
            ));
        }
        if flow.steps.len() > 1 {
            grid.row(journey_cells(view, names, flow, unreached));
        }
    }
    grid
}

fn step_cells(view: &View, name: &str, step: &StepTally, unreached: bool) -> Vec<String> {
    let mut cells = vec![name.to_owned()];
    cells.extend(counts(&step.outcomes));
    cells.extend(unreached.then(|| thousands(step.unreached)));
    cells.extend(view.quantiles.cells(view.unit, &step.response, None));
    cells
}

/// The walks of a flow that went through all its steps. How many did not stands in its steps.
fn journey_cells(view: &View, names: &FlowNames, flow: &FlowTally, unreached: bool) -> Vec<String> {
    let walks = format!("{} walks", thousands(flow.journey.count()));
    let mut cells = vec![format!("  {} journey", names.name), walks, String::new()];
    cells.extend(unreached.then(String::new));
    cells.extend(view.quantiles.cells_of(view.unit, &flow.journey));
    cells
}

fn counts(outcomes: &Outcomes) -> [String; 2] {
    [outcomes.total(), outcomes.failed()].map(thousands)
}
