//! Comparisons for tests, of scripted runs.

use crate::compare::{Comparison, Plan, Schedule, order};
use crate::run_record::RunRecord;
use crate::run_record::fixtures::{Answer, Asked, MS, ok, record, target};
use crate::scenario::LoadModel;

/// What the arms of [`comparison`] are measured with: 600/s for 4 s after a short warm-up.
const CRUD: &str = "\
tailmark: 1
seed: 42
flows:
  read:
    steps:
      - { name: item, get: /v1/items/1 }
phases:
  - { name: warm, rate: 100/s, for: 1s, warmup: true }
  - { name: steady, rate: 600/s, for: 4s }
";

/// Two arms, axum and actix, over `rounds` rounds.
pub(crate) fn plan(rounds: usize) -> Plan {
    let run = arm_run(0, |_| ok(MS));
    let measured = run.measured().next().unwrap();
    let LoadModel::Open { rate, arrivals } = measured.model else {
        panic!("only an open phase is compared");
    };
    Plan {
        scenario: run.scenario.clone(),
        order_seed: 7,
        phase: measured.name.clone(),
        rate,
        arrivals,
        warmup_ns: 1_000 * MS,
        measure_ns: measured.duration_ns,
        rounds,
        schedule: Schedule::default(),
        arms: vec!["axum".into(), "actix".into()],
    }
}

/// One arm's run of a round.
pub(crate) fn arm_run(arm: usize, answer: impl FnMut(Asked) -> Answer) -> RunRecord {
    let mut record = record("crud", CRUD, answer);
    record.target = target(["axum", "actix"][arm]);
    record
}

/// A comparison of `rounds` rounds, numbered from 1, with the runs that `run` makes of arm and round.
pub(crate) fn comparison(rounds: usize, run: impl Fn(usize, usize) -> RunRecord) -> Comparison {
    let mut comparison = Comparison::new(plan(rounds), "2026-11-23T07:41:00Z".into());
    for round in 1..=rounds {
        let records = [run(0, round), run(1, round)];
        comparison
            .add_round(order(7, round, 2), &[&records[0], &records[1]])
            .unwrap();
    }
    comparison.elapsed_ns = Some(112_000 * MS);
    comparison
}
