//! A gate: is the candidate slower than the baseline by more than is allowed?
//!
//! Two margins, three verdicts. FAIL where a change of the allowed size or less is rejected at alpha; PASS where one of the
//! size to rule out, or more, is rejected at beta; until then more rounds, as far as there may be, and INCONCLUSIVE after
//! the last. Every look spends its share of alpha and beta, so looking often costs nothing ([`crate::stats::Sequential`]).
//! INVALID where nothing can be said of the target at all: it never passes, and never counts as a regression.
//!
//! A request that was not ok is infinitely slow, and nothing passes while more of the candidate's are so than of the
//! baseline's, by over half a point. A round whose generator or machine was at fault, or that drew too few requests, is void
//! and replaced whole; what the target does is data, however bad. [`Gate::next`] is a function of the rounds so far alone, so
//! that simulated rounds, saved ones and real ones are judged alike.

mod advice;
mod decision;
#[cfg(test)]
pub(crate) mod fixtures;
mod judge;
mod record;
mod repeated;
mod round;
mod terms;
#[cfg(test)]
mod tests;
pub mod wire;

pub use advice::{Advice, FEWEST_SESSIONS, MachineClass, Session, against};
pub use decision::{Decision, Failures, Judged, Needed, Reason, Standing, State, Verdict};
pub use record::{Build, Builds, GateRecord};
pub use repeated::{One, Repeated, Seen};
pub use round::{Arm, Round, Value};
pub use terms::{Side, Terms, TermsError, TooFewRequests, Wanted};

use crate::random::{self, Stream};

/// Decides from rounds.
#[derive(Debug, Clone)]
pub struct Gate {
    terms: Terms,
}

/// Once, and once more before a FAIL is believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Attempt {
    /// The gate itself.
    First,
    /// The same again from zero, with another seed and new launches.
    Confirmation,
}

/// What is to be done next.
#[derive(Debug, Clone, PartialEq)]
pub enum Next {
    /// Measure another round.
    Another(Box<Progress>),
    /// It is decided.
    Decided(Decision),
}

/// How far it is.
#[derive(Debug, Clone, PartialEq)]
pub struct Progress {
    /// To which the next round belongs.
    pub attempt: Attempt,
    /// The next round's number in its attempt, from 1; void rounds have numbers too.
    pub number: usize,
    /// What this attempt says so far.
    pub judged: Judged,
    /// What the first attempt said, while it is being confirmed.
    pub unconfirmed: Option<Judged>,
}

impl Attempt {
    /// The seed of everything that is drawn in it, from the gate's own: the second attempt shares none of the first's
    /// draws. Below 2^53, so that every reader of JSON keeps it exactly.
    #[must_use]
    pub fn seed(self, seed: u64) -> u64 {
        match self {
            Self::First => seed,
            Self::Confirmation => random::bits(seed, Stream::Confirmation, &[]) >> 11,
        }
    }
}

impl Gate {
    /// A gate on these terms.
    #[must_use]
    pub fn new(terms: Terms) -> Self {
        Self { terms }
    }

    /// Its terms.
    #[must_use]
    pub fn terms(&self) -> &Terms {
        &self.terms
    }

    /// What follows from the rounds so far, in the order in which they were measured, void ones among them. Rounds after
    /// the one that decided change nothing.
    #[must_use]
    pub fn next(&self, rounds: &[Round]) -> Next {
        let of = |attempt| rounds.iter().filter(move |round| round.attempt == attempt);
        let first: Vec<&Round> = of(Attempt::First).collect();
        let judged = judge::judge(&self.terms, Attempt::First, &first);
        match judged.verdict {
            None => Next::Another(progress(Attempt::First, first.len(), judged, None)),
            Some(Verdict::Fail) if self.terms.confirm => {
                self.confirm(judged, &of(Attempt::Confirmation).collect::<Vec<_>>())
            }
            Some(verdict) => Next::Decided(Decision {
                verdict,
                reasons: judged.reasons.clone(),
                attempts: vec![judged],
            }),
        }
    }

    /// The verdict where executables, commands and environments of both arms are the same: there is nothing to measure.
    #[must_use]
    pub fn same_binary() -> Decision {
        Decision {
            verdict: Verdict::Pass,
            reasons: vec![Reason::SameBinary],
            attempts: Vec::new(),
        }
    }

    fn confirm(&self, failed: Judged, rounds: &[&Round]) -> Next {
        let again = judge::judge(&self.terms, Attempt::Confirmation, rounds);
        let (verdict, reasons) = match again.verdict {
            None => {
                let failed = Some(failed);
                return Next::Another(progress(Attempt::Confirmation, rounds.len(), again, failed));
            }
            Some(Verdict::Fail) => (Verdict::Fail, again.reasons.clone()),
            Some(_) => (Verdict::Inconclusive, vec![Reason::NotConfirmed]),
        };
        Next::Decided(Decision {
            verdict,
            reasons,
            attempts: vec![failed, again],
        })
    }
}

fn progress(
    attempt: Attempt,
    measured: usize,
    judged: Judged,
    unconfirmed: Option<Judged>,
) -> Box<Progress> {
    Box::new(Progress {
        attempt,
        number: measured + 1,
        judged,
        unconfirmed,
    })
}
