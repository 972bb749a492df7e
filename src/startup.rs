//! Start-ups compared: several targets launched in turn, round by round, without load.
//!
//! A launch is timed from the execution of the target's program; what a container engine does before is told apart, for it is
//! no part of the service. As in a comparison the round is what is repeated, and a round in which one launch is not valid
//! stands in no figure.

#[cfg(test)]
pub(crate) mod fixtures;
#[cfg(test)]
mod tests;
pub mod wire;

use crate::compare::MemoryKind;
use crate::run_record::{Environment, TargetIdentity};
use crate::stats::{Change, Spread};
use crate::units::three_digits;
use crate::validity::{Note, State, Validity, taken_away};

/// What is compared, fixed before the first round.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The names of the arms; the first is the reference.
    pub arms: Vec<String>,
    /// How many rounds there are to be.
    pub rounds: usize,
    /// The seed of the order of arms.
    pub order_seed: u64,
    /// How long a target rests when it is ready, before its memory is read, in nanoseconds.
    pub rest_ns: u64,
}

/// The start-ups that were measured.
#[derive(Debug, Clone, PartialEq)]
pub struct Startups {
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

/// One launch of each arm.
#[derive(Debug, Clone, PartialEq)]
pub struct Round {
    /// From 1.
    pub number: usize,
    /// The arms in the order in which they were launched, each by its place in the plan.
    pub order: Vec<usize>,
    /// One per arm, in the order of the plan.
    pub launches: Vec<Launch>,
}

/// One launch, and whether it may be believed.
#[derive(Debug, Clone, PartialEq)]
pub struct Launch {
    /// What was measured.
    pub figures: Figures,
    /// Whether that may be believed.
    pub validity: Validity,
}

/// What one launch shows; what was not seen is none.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Figures {
    /// From the request to make a container to the execution of its program; none of a process.
    pub engine_ns: Option<u64>,
    /// From the execution of the program until it accepted a connection.
    pub listening: Option<Took>,
    /// From the execution of the program until it answered, with a status of 2xx, the path that says whether it is ready.
    pub first_ok: Option<Took>,
    /// Memory at rest.
    pub memory: Option<IdleMemory>,
    /// What is shipped.
    pub size: Option<Size>,
}

/// A time, in nanoseconds, that is never too short.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Took {
    /// From the last moment before both ends may have come to the moment at which both had.
    pub ns: u64,
    /// How much shorter it may have been: for so long nobody looked.
    pub blind_ns: u64,
}

/// Memory of a target at rest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdleMemory {
    /// What is meant by memory.
    pub kind: MemoryKind,
    /// Where the figure comes from.
    pub source: String,
    /// In bytes.
    pub bytes: u64,
}

/// How large what is shipped is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// What it is.
    pub of: Shipped,
    /// In bytes.
    pub bytes: u64,
}

/// What is shipped of a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shipped {
    /// An image: its layers.
    Image,
    /// The file that is executed, without the libraries that it may need.
    Executable,
}

/// A figure that is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Metric {
    /// From the request to make a container to the execution of its program, in nanoseconds.
    Engine,
    /// From the execution of the program until it listens, in nanoseconds.
    Listening,
    /// From the execution of the program to its first good answer, in nanoseconds.
    FirstOk,
    /// Memory at rest, in bytes.
    MemoryIdle,
    /// What is shipped, in bytes.
    Size,
}

/// Why a round cannot stand beside the others.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum StartupError {
    /// Not one launch per arm.
    #[error("{given} launches for {arms} arms")]
    Arms {
        /// How many launches came.
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

/// How often an interval of a change is to cover the truth.
const LEVEL: f64 = 0.95;

/// For so long nobody may have looked, whatever the time: a few wake-ups of a busy kernel.
const NEGLIGIBLE_NS: u64 = 2_000_000;

/// The share of a time for which nobody may have looked.
const BLIND_SHARE: f64 = 0.10;

impl Startups {
    /// Without rounds yet.
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

    /// Says what is launched, and where: before the first round.
    pub fn describe(&mut self, targets: Vec<TargetIdentity>, environment: Environment) {
        self.targets = targets;
        self.environment = Some(environment);
    }

    /// Takes one more round in: the order in which the arms were launched, and a launch per arm in the order of the plan.
    ///
    /// # Errors
    /// When they cannot stand beside each other, or beside those of earlier rounds; nothing is taken in then.
    pub fn add_round(
        &mut self,
        order: Vec<usize>,
        launches: Vec<Launch>,
    ) -> Result<&Round, StartupError> {
        let arms = self.plan.arms.len();
        if launches.len() != arms {
            return Err(StartupError::Arms {
                given: launches.len(),
                arms,
            });
        }
        let mut named = order.clone();
        named.sort_unstable();
        if named != (0..arms).collect::<Vec<_>>() {
            return Err(StartupError::Order { order, arms });
        }
        let round = Round {
            number: self.rounds.len() + 1,
            order,
            launches,
        };
        self.check_memory(&round)?;
        self.rounds.push(round);
        Ok(&self.rounds[self.rounds.len() - 1])
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

    /// The identity of each arm's target; empty before the first round.
    #[must_use]
    pub fn targets(&self) -> &[TargetIdentity] {
        &self.targets
    }

    /// Where it ran; none before the first round.
    #[must_use]
    pub fn environment(&self) -> Option<&Environment> {
        self.environment.as_ref()
    }

    /// The spread of a metric of one arm over the valid rounds in which every arm has it; none where there are none.
    #[must_use]
    pub fn spread(&self, arm: usize, metric: Metric) -> Option<Spread> {
        Spread::of(self.values(arm, metric))
    }

    /// The change of a metric from the reference to an arm, paired by the valid rounds in which every arm has it; none where
    /// there are none.
    #[must_use]
    pub fn change(&self, arm: usize, metric: Metric) -> Option<Change> {
        let [reference, other] = [0, arm].map(|arm| self.values(arm, metric));
        (!reference.is_empty()).then(|| Change::of(&reference, &other, LEVEL))
    }

    fn values(&self, arm: usize, metric: Metric) -> Vec<f64> {
        let rounds = self.valid_rounds().filter_map(|round| {
            let launches = round.launches.iter();
            let values: Option<Vec<f64>> = launches
                .map(|launch| launch.figures.value(metric))
                .collect();
            values
        });
        rounds.map(|values| values[arm]).collect()
    }

    /// Memory has one meaning in a comparison.
    fn check_memory(&self, round: &Round) -> Result<(), StartupError> {
        let rounds = self.rounds.iter().chain([round]);
        let launches = rounds.flat_map(|round| self.plan.arms.iter().zip(&round.launches));
        let mut kinds =
            launches.filter_map(|(arm, launch)| Some((arm, launch.figures.memory.as_ref()?.kind)));
        let Some((other, expected)) = kinds.next() else {
            return Ok(());
        };
        match kinds.find(|(_, kind)| *kind != expected) {
            None => Ok(()),
            Some((arm, found)) => Err(StartupError::MemoryKind {
                arm: arm.clone(),
                found: found.name(),
                other: other.clone(),
                expected: expected.name(),
            }),
        }
    }
}

impl Round {
    /// Whether every arm's launch is valid; the round is void otherwise.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        let mut launches = self.launches.iter();
        launches.all(|launch| launch.validity.state == State::Valid)
    }
}

impl Launch {
    /// A launch that shows `figures`, while so much of the machine was taken away (see [`taken_away`]).
    #[must_use]
    pub fn judged(figures: Figures, steal: Option<f64>, throttled_ns: Option<u64>) -> Self {
        let disturbed = taken_away(steal, throttled_ns);
        let blind = figures.blind();
        let seen = [Metric::Listening, Metric::FirstOk];
        let unseen = seen.iter().all(|metric| figures.value(*metric).is_none());
        let state = match (disturbed.is_empty(), unseen) {
            (true, false) => State::Valid,
            // A machine that was taken away keeps nobody looking: name the cause, not its effect.
            (false, _) => State::Disturbed,
            (true, true) => State::ClientBound,
        };
        // One time that was not seen well leaves the others as they are.
        let (reasons, notes) = match unseen {
            true => ([disturbed, blind].concat(), Vec::new()),
            false => (
                disturbed,
                blind.iter().map(|words| late_look(words)).collect(),
            ),
        };
        Self {
            figures,
            validity: Validity {
                state,
                reasons,
                notes,
            },
        }
    }
}

fn late_look(words: &str) -> Note {
    Note {
        name: "late-look".to_owned(),
        words: format!("{words}, so that time stands in no figure"),
    }
}

impl Figures {
    /// What they say of a metric; none where it was not measured, or a time was not seen well enough.
    #[must_use]
    pub fn value(&self, metric: Metric) -> Option<f64> {
        let took = |took: Option<Took>| took.filter(|took| !took.is_blind()).map(|took| took.ns);
        let whole = match metric {
            Metric::Engine => self.engine_ns,
            Metric::Listening => took(self.listening),
            Metric::FirstOk => took(self.first_ok),
            Metric::MemoryIdle => self.memory.as_ref().map(|memory| memory.bytes),
            Metric::Size => self.size.map(|size| size.bytes),
        };
        whole.map(|value| value as f64)
    }

    /// What tailmark did not see well enough, in words.
    fn blind(&self) -> Vec<String> {
        if self.listening.is_none() {
            return vec![
                "the execution of its program was not seen: it is looked for in /proc, among what runc, crun or youki start"
                    .to_owned(),
            ];
        }
        let ends = [
            (self.listening, "until it listened"),
            (self.first_ok, "to its first good answer"),
        ];
        let seen = ends
            .into_iter()
            .filter_map(|(took, end)| Some((took?, end)));
        let blind = seen.filter(|(took, _)| took.is_blind());
        blind.map(|(took, end)| took.in_words(end)).collect()
    }
}

impl Took {
    /// Whether it may be so much too long that it says nothing.
    #[must_use]
    pub fn is_blind(self) -> bool {
        self.blind_ns > NEGLIGIBLE_NS && self.blind_ns as f64 > BLIND_SHARE * self.ns as f64
    }

    fn in_words(self, end: &str) -> String {
        let ms = |ns: u64| three_digits(ns as f64 / 1e6);
        if self.blind_ns == self.ns {
            return format!(
                "tailmark itself was late: when it first looked, {} ms after the execution, it was too late to say what it \
                 took {end}",
                ms(self.ns)
            );
        }
        format!(
            "tailmark itself was late: for {} of the {} ms {end} it did not look",
            ms(self.blind_ns),
            ms(self.ns)
        )
    }
}

impl Shipped {
    /// Its name, as records and tables have it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Image => "image",
            Self::Executable => "executable",
        }
    }
}

impl Metric {
    /// All that are compared, in the order of tables.
    pub const ALL: [Self; 5] = [
        Self::Listening,
        Self::FirstOk,
        Self::Engine,
        Self::MemoryIdle,
        Self::Size,
    ];
}
