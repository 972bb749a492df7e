//! A comparison: several arms measured in turn, round by round, under the same conditions.
//!
//! The round is what is repeated: a change between arms is the Hodges-Lehmann estimate over the rounds' ratios, with the
//! interval of the exact signed-rank test. A round in which any arm's measurement is not valid is void: it is kept and
//! counted, and stands in no figure. A request that was not ok counts as infinitely slow, so that quick failures cannot
//! improve a tail.

mod figures;
#[cfg(test)]
pub(crate) mod fixtures;
mod metric;
mod round;
pub mod wire;

pub use figures::Figure;
pub use metric::{Metric, UnknownMetric};
pub use round::{ArmMemory, ArmRound, MemoryKind, Round, StepCount};

use crate::random::{self, Stream};
use crate::run_record::{Environment, PhaseRecord, RunRecord, ScenarioIdentity, TargetIdentity};
use crate::scenario::Arrivals;
use crate::units::Rate;

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
    /// How the arms of a round follow each other.
    pub schedule: Schedule,
    /// The names of the arms; the first is the reference.
    pub arms: Vec<String>,
}

/// How the arms of a round follow each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Schedule {
    /// One after the other: each has the machine for itself.
    #[default]
    Interleave,
    /// Both at once: what troubles the machine troubles both, and each troubles the other.
    Duet,
}

impl Schedule {
    /// Its name, in records and on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Interleave => "interleave",
            Self::Duet => "duet",
        }
    }

    /// The schedule of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        [Self::Interleave, Self::Duet]
            .into_iter()
            .find(|schedule| schedule.name() == name)
    }
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
    /// Another program, or another image, than in the first round.
    #[error(
        "{arm} is not what it was in the first round: its {what} was {before} and is {now}; bring the first one back, or begin \
         anew without --resume"
    )]
    Target {
        /// The arm.
        arm: String,
        /// What is another one.
        what: &'static str,
        /// The beginning of its digest in the first round.
        before: String,
        /// That of the digest now.
        now: String,
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
        self.check_targets(records.iter().map(|record| &record.target))?;
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

    /// Whether as many rounds are valid as there were to be, or so many were void that they are not replaced any more: a fifth.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        const VOID_ONE_IN: usize = 5;
        let wanted = self.plan.rounds;
        self.valid_rounds().count() >= wanted || self.rounds.len() >= wanted + wanted / VOID_ONE_IN
    }

    /// Whether so many rounds were void that the others decide nothing: which rounds are void may depend on what is compared.
    /// Rounds that are too few for an interval never decided anything.
    #[must_use]
    pub fn is_invalid(&self) -> bool {
        let wanted = self.plan.rounds;
        let lacks_rounds = self.is_complete() && self.valid_rounds().count() < wanted;
        !self.interrupted && lacks_rounds && wanted >= self.fewest_rounds()
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

    /// Whether the arms are what they were in the first round, as far as their images and executables are known: rounds of
    /// other builds say nothing of these.
    ///
    /// # Errors
    /// When one of them is not.
    pub(crate) fn check_targets<'t>(
        &self,
        now: impl IntoIterator<Item = &'t TargetIdentity>,
    ) -> Result<(), CompareError> {
        let arms = self.plan.arms.iter().zip(&self.targets).zip(now);
        for ((arm, first), now) in arms {
            let digests = [
                ("image", image_id(first), image_id(now)),
                (
                    "executable",
                    first.executable.as_deref(),
                    now.executable.as_deref(),
                ),
            ];
            for (what, before, now) in digests {
                if let Some((before, now)) = before.zip(now)
                    && before != now
                {
                    return Err(CompareError::Target {
                        arm: arm.clone(),
                        what,
                        before: beginning(before),
                        now: beginning(now),
                    });
                }
            }
        }
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

fn image_id(target: &TargetIdentity) -> Option<&str> {
    let container = target.container.as_ref()?;
    Some(&container.image_id)
}

/// Enough of a digest to tell two apart, as tables have it.
fn beginning(digest: &str) -> String {
    let hex = digest.trim_start_matches("sha256:");
    hex.get(..16).unwrap_or(hex).to_owned()
}

#[cfg(test)]
mod tests;
