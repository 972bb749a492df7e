//! Several targets measured in turn, round by round, under the same conditions.

use std::cell::RefCell;
use std::time::{Duration, Instant};

use super::run::{self, run_anyway, run_once};
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
    /// Whether each flow is walked through once before the first load of each target. What is not as expected there ends it
    /// where the reference answers so, for then the others are held against nothing; of the others it is a warning.
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

    /// Measures for longer where `fewest` requests would not come otherwise, to a tenth of a second. Flows and arrivals are
    /// drawn, so it asks for so many that fewer come in one of 30,000 rounds at most.
    ///
    /// # Errors
    /// As [`Request::plan`].
    pub fn lengthen(&mut self, fewest: u64) -> Result<(), SessionError> {
        self.measure = self.measure.max(self.time_of(fewest)?);
        Ok(())
    }

    /// Warms up for longer where `fewest` requests would not come otherwise, as [`Request::lengthen`] measures for longer.
    ///
    /// # Errors
    /// As [`Request::plan`].
    pub fn lengthen_warmup(&mut self, fewest: u64) -> Result<(), SessionError> {
        self.warmup = self.warmup.max(self.time_of(fewest)?);
        Ok(())
    }

    /// In how long `fewest` requests come, to a tenth of a second.
    fn time_of(&self, fewest: u64) -> Result<Duration, SessionError> {
        let arrivals = arrivals_for(
            fewest,
            self.scenario.requests_per_arrival(),
            self.scenario.squared_requests_per_arrival(),
        );
        let tenths = (arrivals / self.plan()?.rate.per_second() * 10.0).ceil();
        Ok(Duration::from_secs_f64(tenths / 10.0))
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

/// How many arrivals make `fewest` requests, less four standard deviations, where an arrival makes `mean` on average and
/// `squared` is the mean of the squares.
///
/// The requests of n arrivals of a Poisson process are n · mean on average, and their variance is n · squared; evenly spaced
/// arrivals vary less. So √n is the root of mean · x² − 4 · √squared · x = fewest.
fn arrivals_for(fewest: u64, mean: f64, squared: f64) -> f64 {
    /// The normal distribution has 1 of 31,574 below four of them; sums of so many have less there, as they cannot be below 0.
    const DEVIATIONS: f64 = 4.0;
    if fewest == 0 {
        return 0.0;
    }
    let spread = DEVIATIONS * squared.sqrt();
    let root = (spread + (spread * spread + 4.0 * mean * fewest as f64).sqrt()) / (2.0 * mean);
    root * root
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

    /// Measures two arms at once.
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
            (watch.borrow_mut())(match event.is_of_load() {
                true => Event::Beside(&event),
                false => event,
            });
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
            // Later trouble is the target's, and a figure of the round.
            preflight: request.preflight && number == 1,
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
        let (stage, path, shutdown) = (self.stage, folder.path(), self.shutdown);
        let measured = match arm {
            0 => run_once(stage, &run, path, shutdown, watch).await,
            _ => run_anyway(stage, &run, path, shutdown, watch).await,
        };
        let record = match measured {
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn request(flows: &str, rate: &str, arrivals: &str, measure: Duration) -> Request {
        let text = format!(
            "tailmark: 1\nflows:\n{flows}phases: [{{ name: p, rate: {rate}, arrivals: {arrivals}, for: 1s }}]\n"
        );
        let scenario = Scenario::parse("s.yaml", text.as_bytes());
        Request {
            scenario: scenario.map_err(|problems| problems.to_string()).unwrap(),
            given: Given::default(),
            preflight: false,
            phase: None,
            rate: None,
            arms: Vec::new(),
            access: Access::default(),
            rounds: 40,
            schedule: Schedule::default(),
            warmup: Duration::ZERO,
            measure,
            order_seed: 1,
            sample_hz: 20,
            after_load: false,
        }
    }

    /// A flow of one step.
    const ONE: &str = "  one: { steps: [ { get: / } ] }\n";

    /// Flows of one step and of nine.
    fn one_and_nine() -> String {
        let steps = (1..=9).map(|step| format!("{{ name: s{step}, get: / }}"));
        let steps: Vec<String> = steps.collect();
        format!("{ONE}  nine: {{ steps: [ {} ] }}\n", steps.join(", "))
    }

    #[test]
    fn so_many_arrivals_leave_four_standard_deviations() {
        for (fewest, mean, squared, arrivals) in [
            // ((4 + √8,016) / 2)², ((4 + √1,616) / 2)² and ((4 + √816) / 2)²: p99, p95 and p90 of one step.
            (2_000, 1.0, 1.0, 2_187.06),
            (400, 1.0, 1.0, 488.40),
            (200, 1.0, 1.0, 265.13),
            // One and nine steps: a mean of 5, of squares 41; ((25.612 + √40,656) / 10)².
            (2_000, 5.0, 41.0, 516.41),
            (0, 1.0, 1.0, 0.0),
        ] {
            let found = arrivals_for(fewest, mean, squared);
            assert!((found - arrivals).abs() < 0.01, "{fewest} {mean}: {found}");
            let left = found * mean - 4.0 * (found * squared).sqrt();
            assert!(fewest == 0 || (left - fewest as f64).abs() < 1e-6, "{left}");
        }
    }

    #[test]
    fn a_round_is_lengthened_as_far_as_it_has_to_be() {
        let lengthened = |measure: u64, fewest: u64| {
            let mut request = request(ONE, "500/s", "constant", Duration::from_millis(measure));
            request.lengthen(fewest).unwrap();
            request.measure.as_millis()
        };
        // 2,188 arrivals of 500/s.
        assert_eq!(lengthened(1_000, 2_000), 4_400);
        assert_eq!(lengthened(5_000, 2_000), 5_000);
        assert_eq!(lengthened(700, 0), 700);
    }

    #[test]
    fn no_round_has_too_few_requests_by_chance() {
        let two = one_and_nine();
        for (flows, arrivals, fewest) in [
            (ONE, "poisson", 200),
            (two.as_str(), "constant", 2_000),
            (two.as_str(), "poisson", 2_000),
        ] {
            let mut request = request(flows, "90/s", arrivals, Duration::from_secs(1));
            request.lengthen(fewest).unwrap();
            let least = (1..=400).map(|number| requests(&request.round(number).unwrap()));
            let least = least.min().unwrap();
            assert!(least >= fewest, "{flows}{arrivals}: {least} of {fewest}");
        }
    }

    /// The requests that a round is to make.
    fn requests(round: &Scenario) -> u64 {
        let schedule = crate::schedule::Schedule::new(round.phases(), round.seed());
        let flows = Arc::new(schedule)
            .arrivals()
            .map(|arrival| round.flow_of(round.seed(), arrival.number));
        flows
            .map(|flow| round.flows()[flow].steps.len() as u64)
            .sum()
    }
}
