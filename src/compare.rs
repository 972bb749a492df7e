//! A comparison: several arms measured in turn, round by round, under the same conditions.
//!
//! The round is what is repeated: each arm's figure is the median over rounds, with the smallest and the largest
//! beside it. A round in which any arm's measurement is not valid is void: it is kept and counted, and stands in no
//! figure. A request that was not ok counts as infinitely slow, so that quick failures cannot improve a tail.

#[cfg(test)]
pub(crate) mod fixtures;
pub mod wire;

use crate::exchange::Outcomes;
use crate::ledger::Distribution;
use crate::random::{self, Stream};
use crate::run_record::{
    Audit, Environment, PhaseRecord, RunRecord, ScenarioIdentity, TargetIdentity,
};
use crate::scenario::Arrivals;
use crate::stats::{Spread, fewest, fewest_per_round};
use crate::units::{Quantile, Rate};
use crate::validity::{State, Validity};

/// What is compared, fixed before the first round.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// What is sent. Its seed is the one from which every round's is derived.
    pub scenario: ScenarioIdentity,
    /// The seed of the order of arms.
    pub order_seed: u64,
    /// The phase that is measured.
    pub phase: String,
    /// Its rate, the same for every arm.
    pub rate: Rate,
    /// How its arrivals are spaced.
    pub arrivals: Arrivals,
    /// Of the warm-up before each measurement, in nanoseconds.
    pub warmup_ns: u64,
    /// Of each measurement, in nanoseconds.
    pub measure_ns: u64,
    /// How many rounds there are to be.
    pub rounds: usize,
    /// The names of the arms; the first is the reference.
    pub arms: Vec<String>,
}

/// The rounds that were measured.
#[derive(Debug, Clone, PartialEq)]
pub struct Comparison {
    /// What was to be done.
    pub plan: Plan,
    /// When it started, in UTC, as RFC 3339.
    pub started: String,
    /// How long all of it took, in nanoseconds; none while it goes on.
    pub elapsed_ns: Option<u64>,
    /// Whether an interrupt ended it early.
    pub interrupted: bool,
    /// One per arm, in the order of the plan; empty before the first round.
    targets: Vec<TargetIdentity>,
    /// Where it ran; none before the first round.
    environment: Option<Environment>,
    rounds: Vec<Round>,
}

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
    /// Response times of the measured phase.
    pub response: Distribution,
    /// How its requests ended.
    pub outcomes: Outcomes,
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

/// Memory of one launch, in bytes.
#[derive(Debug, Clone, PartialEq)]
pub struct ArmMemory {
    /// What is meant by memory.
    pub kind: MemoryKind,
    /// Where the figures come from.
    pub source: String,
    /// Before any load.
    pub idle_bytes: Option<u64>,
    /// The most.
    pub peak_bytes: Option<u64>,
}

/// What is meant by memory: the meanings differ too much to be compared with each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MemoryKind {
    /// A container's.
    WorkingSet,
    /// Resident memory of a process tree.
    Rss,
}

/// A figure that is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Metric {
    /// A quantile of response time, in nanoseconds; +∞ where it falls among requests that were not ok.
    Response(Quantile),
    /// Arrivals per second that the target kept up with.
    AchievedRate,
    /// Memory before any load, in bytes.
    MemoryIdle,
    /// The most memory, in bytes.
    MemoryPeak,
    /// CPU time per 1,000 answered requests, in nanoseconds.
    CpuPer1k,
    /// From exec to ready, in nanoseconds.
    Startup,
}

/// Why a round cannot stand beside the others.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum CompareError {
    /// Not one record per arm.
    #[error("{given} runs for {arms} arms")]
    Arms {
        /// How many records came.
        given: usize,
        /// How many arms there are.
        arms: usize,
    },
    /// The order does not name every arm once.
    #[error("the order {order:?} does not name each of {arms} arms once")]
    Order {
        /// The order that came.
        order: Vec<usize>,
        /// How many arms there are.
        arms: usize,
    },
    /// A run of something else.
    #[error("{arm} was measured with another scenario than the one compared")]
    Scenario {
        /// The arm.
        arm: String,
    },
    /// A run that measured nothing, or several phases.
    #[error("{arm} was measured over {phases} phases, not one")]
    Phases {
        /// The arm.
        arm: String,
        /// Phases that are not warm-up.
        phases: usize,
    },
    /// Memory that means one thing here and another there.
    #[error(
        "memory of {arm} is {found}, of {other} {expected}: they cannot be compared; run all arms the same way"
    )]
    MemoryKind {
        /// The arm.
        arm: String,
        /// What its memory means.
        found: &'static str,
        /// An arm before it.
        other: String,
        /// What that one's memory means.
        expected: &'static str,
    },
}

/// The order in which `arms` arms are measured in a round: each of the orders is as likely as any other.
#[must_use]
pub fn order(order_seed: u64, round: usize, arms: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..arms).collect();
    // Fisher and Yates' shuffle, in Durstenfeld's form.
    for last in (1..arms).rev() {
        let draw = random::bits(order_seed, Stream::Order, &[round as u64, last as u64]);
        order.swap(last, random::below(draw, last as u64 + 1) as usize);
    }
    order
}

/// The seed of a round: all its arms get the same bytes, and no two rounds do.
///
/// Below 2^53, so that every reader of JSON keeps it exactly.
#[must_use]
pub fn round_seed(seed: u64, round: usize) -> u64 {
    random::bits(seed, Stream::Round, &[round as u64]) >> 11
}

impl Comparison {
    /// A comparison without rounds yet.
    #[must_use]
    pub fn new(plan: Plan, started: String) -> Self {
        Self {
            plan,
            started,
            elapsed_ns: None,
            interrupted: false,
            targets: Vec::new(),
            environment: None,
            rounds: Vec::new(),
        }
    }

    /// Takes one more round in: the order in which the arms were measured, and a record per arm in the order of the
    /// plan.
    ///
    /// # Errors
    /// When the records cannot stand beside each other, or beside those of earlier rounds; nothing is taken in then.
    pub fn add_round(
        &mut self,
        order: Vec<usize>,
        records: &[&RunRecord],
    ) -> Result<&Round, CompareError> {
        let arms = self.plan.arms.len();
        if records.len() != arms {
            return Err(CompareError::Arms {
                given: records.len(),
                arms,
            });
        }
        let number = self.rounds.len() + 1;
        let runs = self.plan.arms.iter().zip(records);
        let round = Round {
            number,
            order,
            arms: runs
                .map(|(arm, record)| self.arm_round(arm, record))
                .collect::<Result<_, _>>()?,
        };
        self.take_in(round)?;
        if number == 1 {
            self.targets = records.iter().map(|record| record.target.clone()).collect();
            self.environment = records.first().map(|record| record.environment.clone());
        }
        Ok(&self.rounds[number - 1])
    }

    /// The rounds, in the order in which they were measured.
    #[must_use]
    pub fn rounds(&self) -> &[Round] {
        &self.rounds
    }

    /// The rounds that count.
    pub fn valid_rounds(&self) -> impl Iterator<Item = &Round> {
        self.rounds.iter().filter(|round| round.is_valid())
    }

    /// The identity of each arm's target, as its first launch had it; empty before the first round.
    #[must_use]
    pub fn targets(&self) -> &[TargetIdentity] {
        &self.targets
    }

    /// Where it ran; none before the first round.
    #[must_use]
    pub fn environment(&self) -> Option<&Environment> {
        self.environment.as_ref()
    }

    /// Whether any request of any round was ok.
    #[must_use]
    pub fn has_ok(&self) -> bool {
        let mut runs = self.rounds.iter().flat_map(|round| &round.arms);
        runs.any(|run| !run.response.ok.is_empty())
    }

    /// The spread of a metric of one arm over the valid rounds; none where one of them cannot say.
    #[must_use]
    pub fn spread(&self, arm: usize, metric: Metric) -> Option<Spread> {
        let values: Option<Vec<f64>> = self
            .valid_rounds()
            .map(|round| round.arms[arm].value(metric))
            .collect();
        Spread::of(values?)
    }

    /// The median of an arm over the median of the reference; none where either is missing, infinite or zero.
    #[must_use]
    pub fn change(&self, arm: usize, metric: Metric) -> Option<f64> {
        let ratio = self.spread(arm, metric)?.median / self.spread(0, metric)?.median;
        (ratio.is_finite() && ratio > 0.0).then_some(ratio)
    }

    /// The response times of an arm in all valid rounds together.
    #[must_use]
    pub fn merged(&self, arm: usize) -> Distribution {
        Distribution::merged(self.valid_rounds().map(|round| &round.arms[arm].response))
    }

    /// A quantile of [`Self::merged`], in nanoseconds, +∞ where it falls among requests that were not ok; none where
    /// there are too few of them to say.
    #[must_use]
    pub fn merged_quantile(&self, arm: usize, quantile: Quantile) -> Option<f64> {
        let merged = self.merged(arm);
        (merged.count() >= fewest(quantile)).then(|| or_infinite(&merged, quantile))
    }

    fn arm_round(&self, arm: &str, record: &RunRecord) -> Result<ArmRound, CompareError> {
        if record.scenario.digest != self.plan.scenario.digest {
            return Err(CompareError::Scenario { arm: arm.into() });
        }
        let measured: Vec<&PhaseRecord> = record.measured().collect();
        match measured[..] {
            [phase] => Ok(ArmRound::of(record, phase)),
            _ => Err(CompareError::Phases {
                arm: arm.into(),
                phases: measured.len(),
            }),
        }
    }

    fn take_in(&mut self, round: Round) -> Result<(), CompareError> {
        let arms = self.plan.arms.len();
        let mut named = round.order.clone();
        named.sort_unstable();
        if named != (0..arms).collect::<Vec<_>>() {
            return Err(CompareError::Order {
                order: round.order,
                arms,
            });
        }
        self.check_memory(&round)?;
        self.rounds.push(round);
        Ok(())
    }

    /// Memory has one meaning in a comparison.
    fn check_memory(&self, round: &Round) -> Result<(), CompareError> {
        let before = self
            .rounds
            .iter()
            .chain([round])
            .flat_map(|round| self.plan.arms.iter().zip(&round.arms));
        let mut kinds = before.filter_map(|(name, arm)| Some((name, arm.memory.as_ref()?.kind)));
        let Some((other, expected)) = kinds.next() else {
            return Ok(());
        };
        match kinds.find(|(_, kind)| *kind != expected) {
            None => Ok(()),
            Some((arm, found)) => Err(CompareError::MemoryKind {
                arm: arm.clone(),
                found: found.name(),
                other: other.clone(),
                expected: expected.name(),
            }),
        }
    }
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
    fn of(record: &RunRecord, phase: &PhaseRecord) -> Self {
        let memory = &record.resources.memory;
        let memory = [
            (MemoryKind::WorkingSet, &memory.working_set),
            (MemoryKind::Rss, &memory.rss),
        ]
        .into_iter()
        .find_map(|(kind, series)| {
            let series = series.as_ref()?;
            Some(ArmMemory {
                kind,
                source: series.source.clone(),
                idle_bytes: series.idle_bytes,
                peak_bytes: series.peak_bytes,
            })
        });
        Self {
            response: phase.tally.response(),
            outcomes: phase.tally.outcomes(),
            offered_rate: phase.arrival_rate(),
            achieved_rate: phase.achieved_rate(),
            memory,
            cpu_per_1k_ns: record.cpu_per_1k_ns(),
            startup_ns: record.resources.startup_ns,
            validity: record.validity.clone(),
            audits: record.audits.clone(),
        }
    }

    /// What the round says of a metric; none where it was not measured, or the round is too small to say.
    #[must_use]
    pub fn value(&self, metric: Metric) -> Option<f64> {
        let memory = |bytes: fn(&ArmMemory) -> Option<u64>| self.memory.as_ref().and_then(bytes);
        let whole = match metric {
            Metric::Response(quantile) => {
                return (self.response.count() >= fewest_per_round(quantile))
                    .then(|| or_infinite(&self.response, quantile));
            }
            Metric::AchievedRate => return Some(self.achieved_rate),
            Metric::MemoryIdle => memory(|memory| memory.idle_bytes),
            Metric::MemoryPeak => memory(|memory| memory.peak_bytes),
            Metric::CpuPer1k => self.cpu_per_1k_ns,
            Metric::Startup => self.startup_ns,
        };
        whole.map(|value| value as f64)
    }

    /// Requests that were not ok, and all of them.
    #[must_use]
    pub fn failed(&self) -> (u64, u64) {
        (self.outcomes.failed(), self.outcomes.total())
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

fn or_infinite(times: &Distribution, quantile: Quantile) -> f64 {
    times
        .quantile_of_ok_among_all(quantile)
        .map_or(f64::INFINITY, |ns| ns as f64)
}

#[cfg(test)]
mod tests;
