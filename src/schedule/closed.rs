//! A phase of the closed model: when each user starts its first flow, and what comes after it.

use super::Arrival;
use crate::random::{self, Stream};

/// The time over which users come, where the phase is long enough: a second, so that they do not all ask at once.
const STAGGER_NS: u64 = 1_000_000_000;

/// The share of a shorter phase over which they come.
const STAGGER_SHARE: u64 = 10;

/// A closed phase: users, of whom each starts a flow at the moment when its last one ended.
///
/// When that will be is the target's doing, so no [`Cursor`](super::Cursor) has these arrivals; whoever plays the users
/// asks for the [`first`](Self::first) of each, and for the one [`after`](Self::after) each walk that has ended. What
/// an arrival sends is planned all the same: that of `iteration` of `user` has the number `base + iteration × users +
/// user`, whatever was answered when. A worker plays the users with `user mod workers == worker`.
#[derive(Debug, Clone, Copy)]
pub struct Closed {
    pub(super) phase: usize,
    pub(super) start: u64,
    pub(super) end: u64,
    pub(super) users: u64,
    /// The number of the first arrival.
    pub(super) base: u64,
    /// As many arrivals were asked for as are numbered below this.
    pub(super) asked: u64,
    /// The numbers of arrivals end before this.
    pub(super) numbers: u64,
    pub(super) seed: u64,
}

/// Why a user does not come again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gone {
    /// The phase is over.
    Over,
    /// As many arrivals have been as were asked for.
    Asked,
    /// The numbers of arrivals have ended.
    Numbers,
}

impl Closed {
    /// How many users.
    #[must_use]
    pub fn users(&self) -> u64 {
        self.users
    }

    /// The users of one of `workers` workers.
    pub fn share(&self, worker: usize, workers: usize) -> impl Iterator<Item = u64> + use<> {
        (worker as u64..self.users).step_by(workers)
    }

    /// The first arrival of `user`: after a while that is drawn evenly from the first second of the phase, or the first
    /// tenth of a phase shorter than ten.
    ///
    /// # Errors
    /// Where a limit of arrivals leaves this user none.
    pub fn first(&self, user: u64) -> Result<Arrival, Gone> {
        let stagger = STAGGER_NS.min((self.end - self.start) / STAGGER_SHARE);
        let draw = random::bits(self.seed, Stream::Stagger, &[self.phase as u64, user]);
        self.arrival(self.base + user, self.start + random::below(draw, stagger))
    }

    /// The arrival of the same user after the one called `number`, whose walk ended at `ended`; due at that moment.
    ///
    /// # Errors
    /// Where the phase is over by then, or a limit of arrivals is reached.
    pub fn after(&self, number: u64, ended: u64) -> Result<Arrival, Gone> {
        self.arrival(number + self.users, ended)
    }

    fn arrival(&self, number: u64, due: u64) -> Result<Arrival, Gone> {
        if due >= self.end {
            return Err(Gone::Over);
        }
        if number >= self.asked.min(self.numbers) {
            let is_asked = self.asked <= self.numbers;
            return Err(if is_asked { Gone::Asked } else { Gone::Numbers });
        }
        let phase = self.phase;
        Ok(Arrival { number, phase, due })
    }
}
