//! What a run tells its watchers while it goes on. Rendering is theirs; a run never waits for them.

use std::fmt;

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
        /// Name and length in nanoseconds of each phase.
        phases: &'a [(String, u64)],
        /// The schedule's zero, as a reading of the machine's monotonic clock in nanoseconds.
        start_ns: u64,
    },
    /// A worker has handed over what it saw of a window.
    Window(&'a Part),
    /// A round of a gate is over; what it says so far, in a line.
    RoundDone(&'a str),
    /// A run of a comparison is over.
    RunDone(&'a RunDone<'a>),
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
