//! What a run tells its watchers while it goes on. Rendering is theirs; a run never waits for them.

use std::fmt;
use std::time::Duration;

use crate::scenario::LoadModel;
use crate::windows::Part;

/// Something that happened.
#[derive(Debug, Clone, Copy)]
pub enum Event<'a> {
    /// A step of the preparations, or of the clearing up, has begun.
    Step(&'a str),
    /// Something went wrong that does not touch what is measured.
    Warning(&'a str),
    /// Load is offered from now on.
    Started {
        /// The target.
        target: &'a str,
        /// The phases, in order.
        phases: &'a [PhaseAhead],
        /// How many workers offer it.
        workers: usize,
        /// The time that one exchange may take.
        timeout: Duration,
        /// The schedule's zero, as a reading of the machine's monotonic clock in nanoseconds.
        start_ns: u64,
    },
    /// A worker has handed over what it saw of a window.
    Window(&'a Part),
    /// A worker has handed over all windows for now, and says how it stands.
    Standing(&'a Standing),
    /// What the target uses, once a second while load is offered.
    Target {
        /// When, in nanoseconds from the schedule's zero.
        at_ns: u64,
        /// Its memory in bytes; none where that is not known.
        memory_bytes: Option<u64>,
        /// Its CPU time since it began, in nanoseconds; none where that is not known.
        cpu_ns: Option<u64>,
    },
    /// Something of the second of two loads that are offered at once.
    Beside(&'a Event<'a>),
    /// How far a comparison or a gate is: before its first round, and after each.
    Rounds(&'a RoundsSoFar<'a>),
    /// A round of a gate is over; what it says so far, in a line.
    RoundDone(&'a str),
    /// A run of a comparison is over.
    RunDone(&'a RunDone<'a>),
    /// What went on is over, and others have the word: nothing of it is to be shown any more.
    Over,
}

impl Event<'_> {
    /// Whether it is about load that is offered.
    #[must_use]
    pub fn is_of_load(&self) -> bool {
        matches!(
            self,
            Self::Started { .. } | Self::Window(_) | Self::Standing(_) | Self::Target { .. }
        )
    }
}

/// A phase that is to come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PhaseAhead {
    /// Its name.
    pub name: String,
    /// How load is made.
    pub model: LoadModel,
    /// Whether it is no result.
    pub warmup: bool,
    /// How long it is, in nanoseconds.
    pub length_ns: u64,
}

/// How one worker stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Standing {
    /// Its number, from 0.
    pub worker: usize,
    /// When, in nanoseconds from the schedule's zero.
    pub at_ns: u64,
    /// Walks that it has begun.
    pub arrivals: u64,
    /// Walks of which the last exchange was answered.
    pub answered: u64,
    /// Exchanges in progress.
    pub in_flight: u64,
    /// Exchanges that are due, and wait for a connection.
    pub waiting: u64,
}

/// How far a comparison or a gate is.
#[derive(Debug, Clone, Copy)]
pub struct RoundsSoFar<'a> {
    /// Valid rounds.
    pub done: usize,
    /// The others.
    pub void: usize,
    /// How many there are to be.
    pub most: usize,
    /// Whether fewer may do.
    pub fewer_may_do: bool,
    /// The arms, the reference first, with the p99 of their valid rounds together: in nanoseconds, +∞ where it falls among
    /// requests that were not ok, none where they are too few.
    pub arms: &'a [(&'a str, Option<f64>)],
    /// What the rounds say of the change, in a few words; empty where they say nothing yet.
    pub says: &'a str,
}

/// The end of one run of a comparison. Displayed as `round 1/6  axum  p50 …`.
#[derive(Debug, Clone, Copy)]
pub struct RunDone<'a> {
    /// The round, from 1.
    pub round: usize,
    /// Rounds in all.
    pub rounds: usize,
    /// The arm.
    pub arm: &'a str,
    /// What came of it, in a few words.
    pub result: &'a str,
}

impl fmt::Display for RunDone<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            round,
            rounds,
            arm,
            result,
        } = self;
        write!(f, "round {round}/{rounds}  {arm}  {result}")
    }
}
