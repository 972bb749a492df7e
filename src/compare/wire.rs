//! The JSON of a saved comparison, format `tailmark.compare/1`; `docs/schemas/compare-1.json` is its schema.
//!
//! Times are whole nanoseconds, sizes are bytes, and what was not measured is `null`. For every run it holds the
//! distribution of response times; a reader computes every figure from those, never from the figures beside them.
//!
//! A reader of `tailmark.compare/1` must accept keys that it does not know. A key is never removed or given another
//! meaning within a version.

pub(crate) mod read;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{ArmMemory, ArmRound, Comparison, Figure, Metric, Plan, Round, StepCount, round_seed};
use crate::histogram::{DecodeError, Histogram};
use crate::run_record::wire::parts::{
    WireAudit, WireEncoded, WireEnvironment, WireScenario, WireTarget, WireValidity, arrivals_name,
    outcome_counts, rate_fraction,
};
use crate::stats::{Change, Direction};
use crate::threshold::MemoryFigure;
use crate::units::Quantile;

/// The format that is written, and the only one that is read.
pub const FORMAT: &str = "tailmark.compare/1";

/// Why a saved comparison could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// Not JSON, or not of this shape.
    #[error("not a saved comparison: {0}")]
    Shape(#[source] serde_json::Error),
    /// Written by another version of tailmark.
    #[error("format `{0}` is not `{FORMAT}`; read it with the version of tailmark that wrote it")]
    Format(String),
    /// A histogram is damaged.
    #[error("response times of {arm} in round {round}")]
    Histogram {
        /// The arm.
        arm: String,
        /// The round, from 1.
        round: usize,
        /// What is wrong with it.
        #[source]
        source: DecodeError,
    },
    /// Parts of the file contradict each other.
    #[error("the comparison contradicts itself: {0}")]
    Contradiction(String),
}

impl Comparison {
    /// The whole comparison, as it is saved and as `--json` prints it.
    ///
    /// # Panics
    /// Never: every key is text and every number is finite or null.
    #[must_use]
    pub fn to_json(&self) -> String {
        let wire = WireComparison::new(self);
        serde_json::to_string_pretty(&wire).expect("keys are text and numbers are finite") + "\n"
    }

    /// Reads what [`Self::to_json`] wrote.
    ///
    /// # Errors
    /// When the text is not a saved comparison of [`FORMAT`], or is damaged.
    pub fn from_json(text: &str) -> Result<Self, ReadError> {
        read::comparison(text)
    }
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct WireComparison {
    format: String,
    started: String,
    elapsed_ns: Option<u64>,
    interrupted: bool,
    scenario: WireScenario,
    order_seed: u64,
    schedule: String,
    phase: WirePhase,
    rounds_planned: usize,
    arms: Vec<WireArm>,
    rounds: Vec<WireRound>,
    environment: Option<WireEnvironment>,
}

#[derive(Debug, Serialize, Deserialize)]
struct WirePhase {
    name: String,
    #[serde(skip_deserializing)]
    offered_rate: f64,
    /// The offered rate as an exact fraction: arrivals, and the nanoseconds that they take.
    offered_rate_exact: [u64; 2],
    arrivals: String,
    warmup_ns: u64,
    measure_ns: u64,
}

#[derive(Debug, Serialize, Deserialize)]
struct WireArm {
    name: String,
    target: Option<WireTarget>,
    /// Over the valid rounds.
    #[serde(skip_deserializing)]
    figures: BTreeMap<String, Option<WireFigure>>,
    /// Each from the reference's to this arm's.
    #[serde(skip_deserializing)]
    changes: BTreeMap<String, Option<WireChange>>,
    /// The response times of all valid rounds together.
    #[serde(skip_deserializing)]
    response_time: Option<WireQuantiles>,
}

/// A figure over the valid rounds; what is infinite is null, and an end of an interval too.
#[derive(Debug, Serialize)]
struct WireFigure {
    value: Option<f64>,
    interval: Option<[Option<f64>; 2]>,
    rounds: Option<usize>,
    median: Option<f64>,
    min: Option<f64>,
    max: Option<f64>,
}

/// A ratio; what is infinite is null, and an end of an interval too.
#[derive(Debug, Serialize)]
pub(crate) struct WireChange {
    ratio: Option<f64>,
    interval: Option<[Option<f64>; 2]>,
    level: f64,
    rounds: usize,
    direction: String,
    visible: Option<f64>,
    pair_sd: Option<f64>,
    correlation: Option<f64>,
}

/// Quantiles in which a request that is not ok counts as infinitely slow.
#[derive(Debug, Serialize)]
struct WireQuantiles {
    count: u64,
    p50_ns: Option<u64>,
    p99_ns: Option<u64>,
    p99_9_ns: Option<u64>,
    /// The quantiles that are null because so many requests were not ok.
    infinite: Vec<String>,
}

#[derive(Debug, Serialize, Deserialize)]
struct WireRound {
    number: usize,
    /// The seed of its arms' runs.
    #[serde(skip_deserializing)]
    seed: u64,
    #[serde(skip_deserializing)]
    valid: bool,
    /// The arms in the order in which they were measured, each by its place in `arms`, from 0.
    order: Vec<usize>,
    /// In the order of `arms`.
    runs: Vec<WireRun>,
}

#[derive(Debug, Serialize, Deserialize)]
struct WireRun {
    #[serde(skip_deserializing)]
    arm: String,
    offered_rate: f64,
    achieved_rate: f64,
    /// 0 in files of before it was written.
    #[serde(default)]
    measured_ns: u64,
    outcomes: BTreeMap<String, u64>,
    #[serde(default)]
    steps: Vec<WireStepCount>,
    #[serde(skip_deserializing)]
    response_time: Option<WireQuantiles>,
    histograms: WireHistograms,
    memory: Option<WireMemory>,
    cpu_per_1k_requests_ns: Option<u64>,
    startup_ns: Option<u64>,
    validity: WireValidity,
    audits: Vec<WireAudit>,
}

/// How often a step was asked for.
#[derive(Debug, Serialize, Deserialize)]
struct WireStepCount {
    flow: String,
    step: String,
    exchanges: u64,
}

/// Response times by how far they can be trusted; null where there are none.
#[derive(Debug, Serialize, Deserialize)]
struct WireHistograms {
    ok: Option<WireEncoded>,
    failed: Option<WireEncoded>,
    censored: Option<WireEncoded>,
}

#[derive(Debug, Serialize, Deserialize)]
struct WireMemory {
    kind: String,
    source: String,
    idle_bytes: Option<u64>,
    p95_bytes: Option<u64>,
    peak_bytes: Option<u64>,
    after_idle_bytes: Option<u64>,
    slope_bytes_per_s: Option<f64>,
}

/// The metrics that are written, with the units in their names.
const METRICS: [(&str, Metric); 11] = [
    ("p50_ns", Metric::Response(Quantile::P50)),
    ("p99_ns", Metric::Response(Quantile::P99)),
    ("p99_9_ns", Metric::Response(Quantile::P99_9)),
    ("achieved_rate", Metric::AchievedRate),
    ("memory_idle_bytes", Metric::Memory(MemoryFigure::Idle)),
    ("memory_p95_bytes", Metric::Memory(MemoryFigure::P95)),
    ("memory_peak_bytes", Metric::Memory(MemoryFigure::Peak)),
    (
        "memory_after_idle_bytes",
        Metric::Memory(MemoryFigure::AfterIdle),
    ),
    (
        "memory_slope_bytes_per_s",
        Metric::Memory(MemoryFigure::Slope),
    ),
    ("cpu_per_1k_requests_ns", Metric::CpuPer1k),
    ("startup_ns", Metric::Startup),
];

impl WireComparison {
    pub(crate) fn new(comparison: &Comparison) -> Self {
        let plan = &comparison.plan;
        let rounds = comparison.rounds();
        Self {
            format: FORMAT.into(),
            started: comparison.started.clone(),
            elapsed_ns: comparison.elapsed_ns,
            interrupted: comparison.interrupted,
            scenario: WireScenario::new(&plan.scenario),
            order_seed: plan.order_seed,
            schedule: plan.schedule.name().into(),
            phase: WirePhase {
                name: plan.phase.clone(),
                offered_rate: plan.rate.per_second(),
                offered_rate_exact: rate_fraction(plan.rate),
                arrivals: arrivals_name(plan.arrivals).into(),
                warmup_ns: plan.warmup_ns,
                measure_ns: plan.measure_ns,
            },
            rounds_planned: plan.rounds,
            arms: (0..plan.arms.len())
                .map(|arm| WireArm::new(comparison, arm))
                .collect(),
            rounds: rounds
                .iter()
                .map(|round| WireRound::new(round, plan))
                .collect(),
            environment: comparison.environment().map(WireEnvironment::new),
        }
    }
}

impl WireComparison {
    /// The same without what holds only where the number of rounds was fixed before the first.
    pub(crate) fn without_intervals(mut self) -> Self {
        let changes = self
            .arms
            .iter_mut()
            .flat_map(|arm| arm.changes.values_mut());
        for change in changes.flatten() {
            change.interval = None;
            change.visible = None;
            change.direction = Direction::NotShown.name().into();
        }
        self
    }
}

impl WireArm {
    fn new(comparison: &Comparison, arm: usize) -> Self {
        let figures = METRICS.map(|(name, metric)| {
            let figure = comparison.figure(arm, metric);
            (
                name.to_owned(),
                figure.map(|figure| WireFigure::new(&figure)),
            )
        });
        let changes = METRICS.map(|(name, metric)| {
            let change = comparison.change(arm, metric);
            (
                name.to_owned(),
                change.map(|change| WireChange::new(&change)),
            )
        });
        let quantile = |quantile| comparison.merged_quantile(arm, quantile);
        Self {
            name: comparison.plan.arms[arm].clone(),
            target: comparison.targets().get(arm).map(WireTarget::new),
            figures: figures.into(),
            changes: changes.into(),
            response_time: Some(WireQuantiles::new(comparison.merged(arm).count(), quantile)),
        }
    }
}

impl WireFigure {
    fn new(figure: &Figure) -> Self {
        let spread = figure.spread;
        let of_spread = |value: fn(crate::stats::Spread) -> f64| spread.map(value).and_then(finite);
        Self {
            value: finite(figure.value),
            interval: figure.interval.map(|ends| ends.map(finite)),
            rounds: spread.map(|spread| spread.count),
            median: of_spread(|spread| spread.median),
            min: of_spread(|spread| spread.low),
            max: of_spread(|spread| spread.high),
        }
    }
}

impl WireChange {
    pub(crate) fn new(change: &Change) -> Self {
        Self {
            ratio: change.ratio.and_then(finite),
            interval: change.interval.map(|ends| ends.map(finite)),
            level: change.level,
            rounds: change.rounds,
            direction: change.direction().name().into(),
            visible: change.visible().and_then(finite),
            pair_sd: change.pair_sd,
            correlation: change.correlation,
        }
    }
}

fn finite(value: f64) -> Option<f64> {
    value.is_finite().then_some(value)
}

impl WireQuantiles {
    fn new(count: u64, value: impl Fn(Quantile) -> Option<f64>) -> Self {
        let written = [
            ("p50_ns", Quantile::P50),
            ("p99_ns", Quantile::P99),
            ("p99_9_ns", Quantile::P99_9),
        ];
        let [p50_ns, p99_ns, p99_9_ns] = written.map(|(_, quantile)| {
            let finite = value(quantile).filter(|value| value.is_finite());
            finite.map(|value| value as u64)
        });
        let infinite = written
            .into_iter()
            .filter(|(_, quantile)| value(*quantile) == Some(f64::INFINITY));
        Self {
            count,
            p50_ns,
            p99_ns,
            p99_9_ns,
            infinite: infinite.map(|(name, _)| name.to_owned()).collect(),
        }
    }
}

impl WireRound {
    fn new(round: &Round, plan: &Plan) -> Self {
        let runs = plan.arms.iter().zip(&round.arms);
        Self {
            number: round.number,
            seed: round_seed(plan.scenario.seed, round.number),
            valid: round.is_valid(),
            order: round.order.clone(),
            runs: runs.map(|(name, run)| WireRun::new(name, run)).collect(),
        }
    }
}

impl WireRun {
    fn new(name: &str, run: &ArmRound) -> Self {
        let encoded = |times: &Histogram| times.encode().map(WireEncoded::new);
        let response = &run.response;
        Self {
            arm: name.into(),
            offered_rate: run.offered_rate,
            achieved_rate: run.achieved_rate,
            measured_ns: run.measured_ns,
            outcomes: outcome_counts(&run.outcomes),
            steps: run.steps.iter().map(WireStepCount::new).collect(),
            response_time: Some(WireQuantiles::new(response.count(), |quantile| {
                run.value(Metric::Response(quantile))
            })),
            histograms: WireHistograms {
                ok: encoded(&response.ok),
                failed: encoded(&response.failed),
                censored: encoded(&response.censored),
            },
            memory: run.memory.as_ref().map(WireMemory::new),
            cpu_per_1k_requests_ns: run.cpu_per_1k_ns,
            startup_ns: run.startup_ns,
            validity: WireValidity::new(&run.validity),
            audits: run.audits.iter().map(WireAudit::new).collect(),
        }
    }
}

impl WireStepCount {
    fn new(count: &StepCount) -> Self {
        Self {
            flow: count.flow.clone(),
            step: count.step.clone(),
            exchanges: count.exchanges,
        }
    }
}

impl WireMemory {
    fn new(memory: &ArmMemory) -> Self {
        Self {
            kind: memory.kind.name().into(),
            source: memory.source.clone(),
            idle_bytes: memory.idle_bytes,
            p95_bytes: memory.p95_bytes,
            peak_bytes: memory.peak_bytes,
            after_idle_bytes: memory.after_idle_bytes,
            slope_bytes_per_s: memory.slope_bytes_per_s,
        }
    }
}

#[cfg(test)]
mod tests;
