//! Several targets measured in turn, round by round, under the same conditions.

use std::time::{Duration, Instant};

use super::run::{self, run_once};
use super::shutdown::Shutdown;
use super::{Access, SessionError, Stage, Watcher};
use crate::archive::{COMPARE_FILE, Folder, RUN_FILE};
use crate::compare::{self, Comparison, Plan};
use crate::event::{Event, RunDone};
use crate::machine;
use crate::run_record::{RunRecord, ScenarioIdentity};
use crate::scenario::{Given, LoadModel, Phase, Scenario};
use crate::target_spec::TargetSpec;
use crate::units::{Quantile, Rate, nanoseconds, three_digits};
use crate::validity::State;

/// What to compare, and how.
#[derive(Debug, Clone)]
pub struct Request {
    /// The scenario, of which one phase is measured.
    pub scenario: Scenario,
    /// What it was given.
    pub given: Given,
    /// Whether each flow is walked through once before each load.
    pub preflight: bool,
    /// That phase; the only measured one where none is named.
    pub phase: Option<String>,
    /// Its rate; its own where none is given.
    pub rate: Option<Rate>,
    /// The targets, the reference first.
    pub arms: Vec<TargetSpec>,
    /// How they are reached.
    pub access: Access,
    /// Rounds.
    pub rounds: usize,
    /// Warm-up of each launch.
    pub warmup: Duration,
    /// Measured time of each launch.
    pub measure: Duration,
    /// The seed of the arms' order.
    pub order_seed: u64,
    /// Memory readings per second.
    pub sample_hz: u32,
}

impl Request {
    /// What will be done, fixed before the first round.
    ///
    /// # Errors
    /// When the scenario does not say which phase to measure, or has no such phase.
    pub fn plan(&self) -> Result<Plan, SessionError> {
        let scenario = self.round(1)?;
        let measured: Option<&Phase> = scenario.measured_phases().next();
        let phase = measured.expect("a round measures one phase");
        let LoadModel::Open { rate, arrivals } = phase.model else {
            unreachable!("a round measures a phase with a rate");
        };
        Ok(Plan {
            scenario: ScenarioIdentity {
                name: self.scenario.name().into(),
                digest: self.scenario.digest().into(),
                seed: self.scenario.seed(),
                text: self.scenario.public_text().into(),
            },
            order_seed: self.order_seed,
            phase: phase.name.clone(),
            rate,
            arrivals,
            warmup_ns: nanoseconds(self.warmup),
            measure_ns: nanoseconds(self.measure),
            rounds: self.rounds,
            arms: self.arms.iter().map(|arm| arm.name.clone()).collect(),
        })
    }

    /// Threads of the generator in each run.
    ///
    /// # Errors
    /// As [`Request::plan`].
    pub fn workers(&self) -> Result<usize, SessionError> {
        Ok(run::workers(&self.round(1)?, None))
    }

    /// What every arm runs in a round.
    fn round(&self, number: usize) -> Result<Scenario, SessionError> {
        let seed = compare::round_seed(self.scenario.seed(), number);
        Ok(self.scenario.round(
            self.phase.as_deref(),
            self.rate,
            self.warmup,
            self.measure,
            seed,
        )?)
    }
}

/// Measures every round, saving each run in `folder` as soon as it is complete, and the comparison after each round.
///
/// An interrupt ends it after what is complete; the comparison says so.
///
/// # Errors
/// When a target, its stores, the probe or the generator fail. What was started is stopped.
pub async fn compare(
    stage: &Stage,
    request: &Request,
    folder: &Folder,
    shutdown: &Shutdown,
    watch: Watcher<'_>,
) -> Result<Comparison, SessionError> {
    let begun = Instant::now();
    let (started, _) = machine::utc_now();
    let mut comparison = Comparison::new(request.plan()?, started);
    for number in 1..=request.rounds {
        let order = compare::order(request.order_seed, number, request.arms.len());
        let records = match round(stage, request, number, &order, folder, shutdown, watch).await {
            Ok(records) => records,
            Err(SessionError::Interrupted(_)) => {
                comparison.interrupted = true;
                break;
            }
            Err(error) => return Err(error),
        };
        comparison.add_round(order, &records.iter().collect::<Vec<_>>())?;
        comparison.elapsed_ns = Some(nanoseconds(begun.elapsed()));
        folder.write(COMPARE_FILE, &comparison.to_json())?;
    }
    if comparison.interrupted && !comparison.rounds().is_empty() {
        folder.write(COMPARE_FILE, &comparison.to_json())?;
    }
    Ok(comparison)
}

/// Measures every arm once, in `order`; the records come in the arms' own order.
async fn round(
    stage: &Stage,
    request: &Request,
    number: usize,
    order: &[usize],
    folder: &Folder,
    shutdown: &Shutdown,
    watch: Watcher<'_>,
) -> Result<Vec<RunRecord>, SessionError> {
    let scenario = request.round(number)?;
    let mut records: Vec<(usize, RunRecord)> = Vec::new();
    for &arm in order {
        let target = &request.arms[arm];
        let folder = folder.create(&format!("r{number:02}-{}", target.name))?;
        let run = run::Request {
            scenario: scenario.clone(),
            given: request.given.clone(),
            preflight: request.preflight,
            target: target.clone(),
            access: request.access.clone(),
            at_most: None,
            engine: run::Engine::default(),
            workers: None,
            sample_hz: request.sample_hz,
        };
        let record = match run_once(stage, &run, folder.path(), shutdown, watch).await {
            // A run that was cut short stands beside none of the others.
            Ok(record) if record.interrupted => Err(super::shutdown::Interrupted.into()),
            result => result,
        };
        let record = match record {
            Ok(record) => record,
            Err(error) => {
                if matches!(error, SessionError::Interrupted(_)) {
                    folder.remove()?;
                }
                return Err(error);
            }
        };
        folder.write(RUN_FILE, &record.saved_json())?;
        watch(Event::RunDone(&RunDone {
            round: number,
            rounds: request.rounds,
            arm: &target.name,
            result: &in_few_words(&record),
        }));
        records.push((arm, record));
    }
    records.sort_by_key(|(arm, _)| *arm);
    Ok(records.into_iter().map(|(_, record)| record).collect())
}

fn in_few_words(record: &RunRecord) -> String {
    let total = record.total();
    let response = total.response();
    let ms = |quantile| {
        let bound = response.quantile(quantile);
        bound.map_or("n/a".into(), |bound| three_digits(bound.value as f64 / 1e6))
    };
    let state = record.validity.state;
    let mut words = format!(
        "p50 {} ms, p99 {} ms, {} failed, {}",
        ms(Quantile::P50),
        ms(Quantile::P99),
        total.outcomes().failed(),
        state.name()
    );
    if state != State::Valid {
        words += &format!(": {}", record.validity.reasons.join("; "));
    }
    words
}
