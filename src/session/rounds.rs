//! Several targets measured in turn, round by round, under the same conditions.

use std::cell::RefCell;
use std::time::{Duration, Instant};

use super::run::{self, run_once};
use super::shutdown::Shutdown;
use super::together::Together;
use super::{Access, SessionError, Stage, Watcher};
use crate::archive::{COMPARE_FILE, Folder, RUN_FILE};
use crate::compare::{self, Comparison, Plan, Schedule};
use crate::event::{Event, RoundsSoFar, RunDone};
use crate::machine;
use crate::report::verdict;
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
    /// How the arms of a round follow each other; a duet has two.
    pub schedule: Schedule,
    /// Warm-up of each launch.
    pub warmup: Duration,
    /// Measured time of each launch.
    pub measure: Duration,
    /// The seed of the arms' order.
    pub order_seed: u64,
    /// Memory readings per second.
    pub sample_hz: u32,
    /// Whether memory is read after each load too, which takes a second more.
    pub after_load: bool,
}

/// How long each launch rests before its idle memory is read.
const REST: Duration = Duration::from_secs(1);
/// What a launch takes beside that, warm-up and measurement: its start, the drain and its audit.
const BESIDE: Duration = Duration::from_millis(1_500);

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
            schedule: self.schedule,
            arms: self.arms.iter().map(|arm| arm.name.clone()).collect(),
        })
    }

    /// How long a round is expected to take.
    #[must_use]
    pub fn round_time(&self) -> Duration {
        let after = match self.after_load {
            true => run::REST_AFTER,
            false => Duration::ZERO,
        };
        let launch = REST + self.warmup + self.measure + after + BESIDE;
        match self.schedule {
            Schedule::Interleave => launch.saturating_mul(self.arms.len() as u32),
            Schedule::Duet => launch,
        }
    }

    /// Measures for longer where `fewest` requests would not come otherwise, to a tenth of a second; a tenth of them more is
    /// asked for, since flows and arrivals are drawn.
    ///
    /// # Errors
    /// As [`Request::plan`].
    pub fn lengthen(&mut self, fewest: u64) -> Result<(), SessionError> {
        let per_second = self.plan()?.rate.per_second() * self.scenario.requests_per_arrival();
        let tenths = (fewest as f64 * 1.1 / per_second * 10.0).ceil();
        self.measure = self.measure.max(Duration::from_secs_f64(tenths / 10.0));
        Ok(())
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

/// Measures rounds, one after another, and saves each run in `folder` as soon as it is complete.
pub struct Rounds<'a> {
    /// The stores.
    pub stage: &'a Stage,
    /// What is measured.
    pub request: &'a Request,
    /// Where runs are saved, each as `rNN-ARM/run.json`.
    pub folder: &'a Folder,
    /// What may end it.
    pub shutdown: &'a Shutdown,
    /// How many rounds there are to be, for those who watch.
    pub most: usize,
}

/// Measures rounds until as many as were asked for are valid, but a fifth more of them at most, saving the comparison
/// after each. Rounds that `before` holds, if it is given, are not measured again.
///
/// An interrupt ends it after what is complete; the comparison says so.
///
/// # Errors
/// When a target, its stores, the probe or the generator fail. What was started is stopped.
pub async fn compare(
    rounds: &Rounds<'_>,
    before: Option<Comparison>,
    watch: Watcher<'_>,
) -> Result<Comparison, SessionError> {
    let mut comparison = match before {
        Some(before) => before,
        None => Comparison::new(rounds.request.plan()?, machine::utc_now().0),
    };
    comparison.interrupted = false;
    while !comparison.is_complete() {
        let arms = &arms_so_far(&comparison);
        let done = comparison.valid_rounds().count();
        watch(Event::Rounds(&RoundsSoFar {
            done,
            void: comparison.rounds().len() - done,
            most: rounds.most,
            fewer_may_do: false,
            arms,
            says: &verdict::so_far(&comparison),
        }));
        if !rounds.next(&mut comparison, watch).await? {
            comparison.interrupted = true;
            break;
        }
        rounds.folder.write(COMPARE_FILE, &comparison.to_json())?;
    }
    if comparison.interrupted && !comparison.rounds().is_empty() {
        rounds.folder.write(COMPARE_FILE, &comparison.to_json())?;
    }
    Ok(comparison)
}

/// The arms of a comparison, with the p99 of their valid rounds together.
pub(super) fn arms_so_far(comparison: &Comparison) -> Vec<(&str, Option<f64>)> {
    let names = comparison.plan.arms.iter().enumerate();
    let arms = names.map(|(arm, name)| {
        let p99 = comparison.merged_quantile(arm, Quantile::P99);
        (name.as_str(), p99)
    });
    arms.collect()
}

impl Rounds<'_> {
    /// Measures the next round of `comparison` and takes it in; false where an interrupt came first.
    ///
    /// # Errors
    /// When a target, its stores, the probe or the generator fail. What was started is stopped.
    pub async fn next(
        &self,
        comparison: &mut Comparison,
        watch: Watcher<'_>,
    ) -> Result<bool, SessionError> {
        let begun = Instant::now();
        let number = comparison.rounds().len() + 1;
        let plan = &comparison.plan;
        let order = compare::order(plan.order_seed, number, plan.arms.len());
        let records = match self.round(number, &order, watch).await {
            Ok(records) => records,
            Err(SessionError::Interrupted(_)) => return Ok(false),
            Err(error) => return Err(error),
        };
        comparison.add_round(order, &records.iter().collect::<Vec<_>>())?;
        let before = comparison.elapsed_ns.unwrap_or(0);
        comparison.elapsed_ns = Some(before.saturating_add(nanoseconds(begun.elapsed())));
        Ok(true)
    }

    /// Measures every arm once, in `order`; the records come in the arms' own order.
    async fn round(
        &self,
        number: usize,
        order: &[usize],
        watch: Watcher<'_>,
    ) -> Result<Vec<RunRecord>, SessionError> {
        let scenario = self.request.round(number)?;
        let mut records: Vec<(usize, RunRecord)> = match (self.request.schedule, order) {
            (Schedule::Duet, &[first, second]) => {
                let at_once = self.duet(number, &scenario, [first, second], watch);
                at_once.await?.into()
            }
            _ => {
                let mut records = Vec::new();
                for &arm in order {
                    let record = self.run(number, &scenario, arm, None, watch).await?;
                    records.push((arm, record));
                }
                records
            }
        };
        records.sort_by_key(|(arm, _)| *arm);
        Ok(records.into_iter().map(|(_, record)| record).collect())
    }

    /// Measures two arms at once. Of two loads one can be followed: the first's.
    async fn duet(
        &self,
        number: usize,
        scenario: &Scenario,
        arms: [usize; 2],
        watch: Watcher<'_>,
    ) -> Result<[(usize, RunRecord); 2], SessionError> {
        let rate = self.request.plan()?.rate;
        let [one, two] = Together::each(Duration::from_secs_f64(1.0 / rate.per_second()));
        let watch = RefCell::new(watch);
        let mut of_first = |event: Event<'_>| (watch.borrow_mut())(event);
        let mut of_second = |event: Event<'_>| {
            if !event.is_of_load() {
                (watch.borrow_mut())(event);
            }
        };
        let [first, second] = arms;
        let both = tokio::try_join!(
            self.run(number, scenario, first, Some(one), &mut of_first),
            self.run(number, scenario, second, Some(two), &mut of_second),
        );
        let (one, two) = both?;
        Ok([(first, one), (second, two)])
    }

    /// Measures an arm in a round and saves the run.
    async fn run(
        &self,
        number: usize,
        scenario: &Scenario,
        arm: usize,
        together: Option<Together>,
        watch: Watcher<'_>,
    ) -> Result<RunRecord, SessionError> {
        let target = &self.request.arms[arm];
        let name = format!("r{number:02}-{}", target.name);
        let folder = self.folder.create(&name)?;
        let request = self.request;
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
            rest: REST,
            after_load: request.after_load,
            together,
        };
        let record = match run_once(self.stage, &run, folder.path(), self.shutdown, watch).await {
            // A run that was cut short stands beside none of the others.
            Ok(record) if record.interrupted => Err(super::shutdown::Interrupted.into()),
            result => result,
        };
        match record {
            Ok(record) => {
                folder.write(RUN_FILE, &record.saved_json())?;
                watch(Event::RunDone(&RunDone {
                    round: number,
                    rounds: self.most,
                    arm: &target.name,
                    result: &in_few_words(&record),
                }));
                Ok(record)
            }
            Err(error) => {
                if matches!(error, SessionError::Interrupted(_)) {
                    folder.remove()?;
                }
                Err(error)
            }
        }
    }
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
