//! What comes of a gate, and why.

use super::Side;
use crate::compare::Metric;
use crate::stats::{AtLook, Change};

/// What a gate says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// A change of the size to rule out is ruled out, of every metric.
    Pass,
    /// The candidate is worse by more than is allowed.
    Fail,
    /// Neither.
    Inconclusive,
    /// Nothing can be said of the target.
    Invalid,
}

/// A verdict, why, and what it rests on.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision {
    /// The verdict.
    pub verdict: Verdict,
    /// Why; at least one.
    pub reasons: Vec<Reason>,
    /// What was judged: nothing of the same binary, the gate, and its confirmation where there was one.
    pub attempts: Vec<Judged>,
}

/// Why a verdict is what it is.
#[derive(Debug, Clone, PartialEq)]
pub enum Reason {
    /// PASS: the change to rule out is ruled out, of every metric.
    RuledOut,
    /// PASS: executables, commands and environments are the same.
    SameBinary,
    /// FAIL: the change is larger than the allowed one.
    Exceeds(Metric),
    /// FAIL: more exchanges of the candidate are not ok, by more than half a point.
    Failures,
    /// FAIL: only one side came to a step.
    OneSided {
        /// The step, as `flow/step`.
        step: String,
        /// The side that came to it.
        only: Side,
    },
    /// FAIL: nothing was measured of a metric.
    NoSamples {
        /// The metric.
        metric: Metric,
        /// The side without samples; none where it is both.
        side: Option<Side>,
    },
    /// INCONCLUSIVE: the last look has not decided this metric.
    Undecided(Metric),
    /// INCONCLUSIVE: so many rounds of both sides were infinitely slow that a PASS is not to be had.
    BothInfinite {
        /// The metric.
        metric: Metric,
        /// How many rounds.
        rounds: usize,
    },
    /// INCONCLUSIVE: more exchanges of the candidate are not ok, by more than half a point, but so few rounds have more that
    /// it is no FAIL.
    FailuresInSome {
        /// How many rounds have more, by more than half a point.
        rounds: usize,
    },
    /// INCONCLUSIVE: it failed once, and not again.
    NotConfirmed,
    /// INVALID: too many rounds were void.
    TooManyVoid {
        /// How many.
        void: usize,
        /// Of how many that were measured.
        measured: usize,
        /// Why the last one was.
        because: String,
    },
    /// INVALID: less than half of the baseline's exchanges were ok in every round.
    BaselineBroken,
    /// INVALID: more than a fifth of the rounds, or each of the first ones, have too few exchanges for a quantile, or lack a
    /// metric.
    TooFew {
        /// The metric.
        metric: Metric,
        /// The side; none where it is both.
        side: Option<Side>,
        /// The most exchanges that such a round had, and how many it needs; none of what is no quantile.
        exchanges: Option<(u64, u64)>,
    },
}

/// What one attempt says.
#[derive(Debug, Clone, PartialEq)]
pub struct Judged {
    /// Its verdict; none while it goes on.
    pub verdict: Option<Verdict>,
    /// Why; empty while it goes on.
    pub reasons: Vec<Reason>,
    /// One per metric, in the order of the terms.
    pub standings: Vec<Standing>,
    /// The rounds that were judged.
    pub valid: usize,
    /// The rounds before the last of these that did not count, and those that came after it while it goes on.
    pub void: usize,
    /// The change of the median, where a quantile beyond it is gated.
    pub middle: Option<Change>,
    /// Exchanges that were not ok, over the rounds that were judged.
    pub failures: Failures,
}

/// Exchanges that were not ok, and all of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Failures {
    /// Of the baseline.
    pub baseline: (u64, u64),
    /// Of the candidate.
    pub candidate: (u64, u64),
}

/// How it stands with a metric.
#[derive(Debug, Clone, PartialEq)]
pub struct Standing {
    /// The metric.
    pub metric: Metric,
    /// The change over the rounds so far. Its interval is the repeated one of the last look, which holds however often
    /// was looked: the lower end at 1 − alpha, the upper one at 1 − beta; none before the first look.
    pub change: Change,
    /// One per look so far: the test for FAIL, and the one for PASS.
    pub looks: Vec<[AtLook; 2]>,
    /// What they say.
    pub state: State,
    /// Rounds in which both sides were infinitely slow.
    pub both_infinite: usize,
    /// How many rounds it takes; none while the spread of the pairs is not known.
    pub needed: Option<Needed>,
}

/// What the looks at a metric say so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Nothing yet.
    Open,
    /// The change to rule out is ruled out.
    Passed,
    /// The change is larger than the allowed one.
    Failed,
}

/// How many rounds a verdict is expected to take.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Needed {
    /// A PASS, where the arms are equal.
    pub to_pass: f64,
    /// A FAIL, where the change is the one to rule out.
    pub to_fail: f64,
    /// Either, where the change is what it seems to be; infinite where it seems to lie on both margins.
    pub to_either: f64,
}

impl Verdict {
    /// As it is printed.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Pass => "PASS",
            Self::Fail => "FAIL",
            Self::Inconclusive => "INCONCLUSIVE",
            Self::Invalid => "INVALID",
        }
    }
}

impl State {
    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Passed => "passed",
            Self::Failed => "failed",
        }
    }
}

impl Decision {
    /// What the verdict rests on: the last attempt.
    #[must_use]
    pub fn judged(&self) -> Option<&Judged> {
        self.attempts.last()
    }

    /// Whether it was found twice.
    #[must_use]
    pub fn is_confirmed(&self) -> bool {
        self.verdict == Verdict::Fail && self.attempts.len() == 2
    }
}
