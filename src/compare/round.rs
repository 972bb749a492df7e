//! What a round says: a run of every arm, in the figures that are compared.

use super::Metric;
use crate::exchange::Outcomes;
use crate::ledger::Distribution;
use crate::run_record::resources::MemorySeries;
use crate::run_record::{Audit, FlowNames, PhaseRecord, RunRecord};
use crate::stats::fewest_per_round;
use crate::threshold::MemoryFigure;
use crate::units::Quantile;
use crate::validity::{State, Validity};

/// One paired measurement of all arms.
#[derive(Debug, Clone, PartialEq)]
pub struct Round {
    /// From 1.
    pub number: usize,
    /// The arms in the order in which they were measured, each by its place in the plan.
    pub order: Vec<usize>,
    /// One per arm, in the order of the plan.
    pub arms: Vec<ArmRound>,
}

/// What one round says of one arm.
#[derive(Debug, Clone, PartialEq)]
pub struct ArmRound {
    /// For how long load was offered, in nanoseconds.
    pub measured_ns: u64,
    /// Response times of the measured phase.
    pub response: Distribution,
    /// How its requests ended.
    pub outcomes: Outcomes,
    /// What was asked for, step by step, in the scenario's order.
    pub steps: Vec<StepCount>,
    /// Arrivals per second that came.
    pub offered_rate: f64,
    /// Arrivals per second that the target kept up with.
    pub achieved_rate: f64,
    /// Memory; none where it was not measured.
    pub memory: Option<ArmMemory>,
    /// CPU time of the target per 1,000 answered requests, in nanoseconds.
    pub cpu_per_1k_ns: Option<u64>,
    /// From exec to ready, in nanoseconds.
    pub startup_ns: Option<u64>,
    /// Whether the measurement may be believed.
    pub validity: Validity,
    /// What the target's own audits found.
    pub audits: Vec<Audit>,
}

/// How often a step was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepCount {
    /// Its flow's name.
    pub flow: String,
    /// Its own.
    pub step: String,
    /// Exchanges that were due.
    pub exchanges: u64,
}

/// Memory of one launch, in bytes.
#[derive(Debug, Clone, PartialEq)]
pub struct ArmMemory {
    /// What is meant by memory.
    pub kind: MemoryKind,
    /// Where the figures come from.
    pub source: String,
    /// Before any load.
    pub idle_bytes: Option<u64>,
    /// 95th percentile over the measured phase.
    pub p95_bytes: Option<u64>,
    /// The most.
    pub peak_bytes: Option<u64>,
    /// After the load.
    pub after_idle_bytes: Option<u64>,
    /// Growth over the measured phase, in bytes per second.
    pub slope_bytes_per_s: Option<f64>,
}

/// What is meant by memory: the meanings differ too much to be compared with each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MemoryKind {
    /// A container's.
    WorkingSet,
    /// Resident memory of a process tree.
    Rss,
}

impl Round {
    /// Whether every arm's measurement is valid; the round is void otherwise.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        self.arms
            .iter()
            .all(|arm| arm.validity.state == State::Valid)
    }
}

impl ArmRound {
    /// What `phase`, the measured one of `record`, and its target's resources say.
    pub(super) fn of(record: &RunRecord, phase: &PhaseRecord) -> Self {
        let memory = &record.resources.memory;
        let mut kinds = [
            (MemoryKind::WorkingSet, &memory.working_set),
            (MemoryKind::Rss, &memory.rss),
        ]
        .into_iter();
        Self {
            measured_ns: phase.duration_ns,
            response: phase.tally.response(),
            outcomes: phase.tally.outcomes(),
            steps: steps(&record.flows, phase),
            offered_rate: phase.arrival_rate(),
            achieved_rate: phase.achieved_rate(),
            memory: kinds.find_map(|(kind, series)| Some(ArmMemory::of(kind, series.as_ref()?))),
            cpu_per_1k_ns: record.cpu_per_1k_ns(),
            startup_ns: record.resources.startup_ns,
            validity: record.validity.clone(),
            audits: record.audits.clone(),
        }
    }

    /// What the round says of a metric, in its own unit; none where it was not measured, or the round is too small to
    /// say.
    #[must_use]
    pub fn value(&self, metric: Metric) -> Option<f64> {
        let memory = |bytes: fn(&ArmMemory) -> Option<u64>| self.memory.as_ref().and_then(bytes);
        let whole = match metric {
            Metric::Response(quantile) => {
                return (self.response.count() >= fewest_per_round(quantile))
                    .then(|| self.quantile(quantile));
            }
            Metric::AchievedRate => return Some(self.achieved_rate),
            Metric::Memory(MemoryFigure::Slope) => {
                return self.memory.as_ref()?.slope_bytes_per_s;
            }
            Metric::Memory(MemoryFigure::Idle) => memory(|memory| memory.idle_bytes),
            Metric::Memory(MemoryFigure::P95) => memory(|memory| memory.p95_bytes),
            Metric::Memory(MemoryFigure::Peak) => memory(|memory| memory.peak_bytes),
            Metric::Memory(MemoryFigure::AfterIdle) => memory(|memory| memory.after_idle_bytes),
            Metric::CpuPer1k => self.cpu_per_1k_ns,
            Metric::Startup => self.startup_ns,
        };
        whole.map(|value| value as f64)
    }

    /// The figure of a metric of which ratios are made: its value, but of the slope of memory, which may be 0 or below,
    /// what the memory grows to over the measured time, as a multiple of itself.
    #[must_use]
    pub fn compared(&self, metric: Metric) -> Option<f64> {
        let value = self.value(metric)?;
        if metric != Metric::Memory(MemoryFigure::Slope) {
            return Some(value);
        }
        let level = self.value(Metric::Memory(MemoryFigure::P95))?;
        let growth = 1.0 + value * self.measured_ns as f64 / 1e9 / level;
        (growth > 0.0 && growth.is_finite()).then_some(growth)
    }

    /// A quantile of response time in which a request that was not ok counts as infinitely slow, in nanoseconds.
    #[must_use]
    pub fn quantile(&self, quantile: Quantile) -> f64 {
        or_infinite(&self.response, quantile)
    }

    /// Requests that were not ok, and all of them.
    #[must_use]
    pub fn failed(&self) -> (u64, u64) {
        (self.outcomes.failed(), self.outcomes.total())
    }
}

impl ArmMemory {
    fn of(kind: MemoryKind, series: &MemorySeries) -> Self {
        Self {
            kind,
            source: series.source.clone(),
            idle_bytes: series.idle_bytes,
            p95_bytes: series.p95_bytes,
            peak_bytes: series.peak_bytes,
            after_idle_bytes: series.after_idle_bytes,
            slope_bytes_per_s: series.slope_bytes_per_s,
        }
    }
}

impl MemoryKind {
    /// Its name, as records and tables have it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::WorkingSet => "working set",
            Self::Rss => "RSS",
        }
    }
}

pub(super) fn or_infinite(times: &Distribution, quantile: Quantile) -> f64 {
    times
        .quantile_of_ok_among_all(quantile)
        .map_or(f64::INFINITY, |ns| ns as f64)
}

fn steps(flows: &[FlowNames], phase: &PhaseRecord) -> Vec<StepCount> {
    let counted = flows.iter().zip(&phase.tally.flows);
    let of_flow = |(names, tally): (&FlowNames, &crate::ledger::FlowTally)| {
        let steps = names.steps.iter().zip(&tally.steps);
        let count = |(step, tally): (&String, &crate::ledger::StepTally)| StepCount {
            flow: names.name.clone(),
            step: step.clone(),
            exchanges: tally.outcomes.total(),
        };
        steps.map(count).collect::<Vec<_>>()
    };
    counted.flat_map(of_flow).collect()
}
