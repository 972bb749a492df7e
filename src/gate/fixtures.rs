//! Gates for tests, of scripted runs.

use std::time::Duration;

use crate::compare::fixtures::plan;
use crate::compare::{Comparison, Metric, order};
use crate::gate::{Attempt, GateRecord, Next, Terms, Wanted};
use crate::run_record::RunRecord;

/// Terms of at most `max_rounds` rounds, with the usual margins and a confirmation.
pub(crate) fn terms(metrics: &[&str], max_rounds: usize) -> Terms {
    let metrics: Vec<Metric> = metrics.iter().map(|name| name.parse().unwrap()).collect();
    let mut terms = Terms::new(Wanted {
        metrics,
        allowed: 0.05,
        ruled_out: 0.20,
        alpha: 0.01,
        beta: 0.05,
        max_rounds,
        max_time: Duration::from_secs(3_600),
        round_time: Duration::from_secs(21),
        seed: 7,
        confirm: true,
    })
    .unwrap();
    terms.vectors = 4_000;
    terms
}

/// A gate on `terms`, driven to its end by the runs that `run` makes of attempt, arm and round, or until it has
/// measured `at_most` rounds.
pub(crate) fn gate(
    terms: &Terms,
    at_most: usize,
    run: impl Fn(Attempt, usize, usize) -> RunRecord,
) -> GateRecord {
    let started = || "2026-11-23T07:41:00Z".to_owned();
    let comparison = |attempt: Attempt| {
        let mut plan = plan(terms.looks.last());
        plan.order_seed = attempt.seed(terms.seed);
        plan.scenario.seed = attempt.seed(plan.scenario.seed);
        Comparison::new(plan, started())
    };
    let mut record = GateRecord::new(terms.clone(), comparison(Attempt::First), started());
    for _ in 0..at_most {
        let Next::Another(progress) = record.next() else {
            break;
        };
        let (attempt, number) = (progress.attempt, progress.number);
        let own = match attempt {
            Attempt::First => &mut record.first,
            Attempt::Confirmation => record
                .confirmation
                .get_or_insert_with(|| comparison(attempt)),
        };
        let records = [0, 1].map(|arm| run(attempt, arm, number));
        let order = order(own.plan.order_seed, number, 2);
        own.add_round(order, &[&records[0], &records[1]]).unwrap();
    }
    record.elapsed_ns = Some(203_000_000_000);
    record
}
