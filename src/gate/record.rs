//! A gate as it is saved: what was built, every round, and what follows from them.

use super::{Attempt, Decision, Gate, Judged, Next, Round, Terms};
use crate::compare::Comparison;

/// One gate, from its terms to its rounds; what they say follows from it.
#[derive(Debug, Clone, PartialEq)]
pub struct GateRecord {
    /// Fixed before the first round.
    pub terms: Terms,
    /// When it started, in UTC, as RFC 3339.
    pub started: String,
    /// How long all of it took, in nanoseconds; none while it goes on.
    pub elapsed_ns: Option<u64>,
    /// Whether an interrupt ended it early.
    pub interrupted: bool,
    /// What both arms were made of, where tailmark knows.
    pub builds: Option<Builds>,
    /// The rounds of the gate itself; the baseline is the first arm, the candidate the second.
    pub first: Comparison,
    /// Those of its confirmation, where it came to that.
    pub confirmation: Option<Comparison>,
}

/// What both arms are made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Builds {
    /// The baseline.
    pub baseline: Build,
    /// The candidate.
    pub candidate: Build,
}

/// What an arm is made of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Build {
    /// The revision that was built.
    pub revision: Option<String>,
    /// SHA-256 of the executable, or the image's own, in hex.
    pub digest: Option<String>,
    /// The command that starts it, split into words.
    pub command: Vec<String>,
    /// SHA-256 of the variables that it is given, in hex: their values may be secret.
    pub environment_digest: Option<String>,
}

impl Builds {
    /// Whether both are the same: executable, command and environment. What has no digest is not known to be.
    #[must_use]
    pub fn are_same(&self) -> bool {
        self.baseline.is_same(&self.candidate)
    }
}

impl Build {
    /// Whether `other` is the same: executable, command and environment. What has no digest is not known to be.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        self.digest.is_some()
            && (&self.digest, &self.command, &self.environment_digest)
                == (&other.digest, &other.command, &other.environment_digest)
    }
}

impl GateRecord {
    /// A gate without rounds yet.
    #[must_use]
    pub fn new(terms: Terms, first: Comparison, started: String) -> Self {
        Self {
            terms,
            started,
            elapsed_ns: None,
            interrupted: false,
            builds: None,
            first,
            confirmation: None,
        }
    }

    /// The rounds as the gate sees them.
    #[must_use]
    pub fn rounds(&self) -> Vec<Round> {
        let attempts = [
            (Attempt::First, Some(&self.first)),
            (Attempt::Confirmation, self.confirmation.as_ref()),
        ];
        let measured = attempts.into_iter().flat_map(|(attempt, comparison)| {
            let rounds = comparison.map_or(&[][..], Comparison::rounds);
            rounds.iter().map(move |round| (attempt, round))
        });
        measured
            .map(|(attempt, round)| Round::of(attempt, round, &self.terms))
            .collect()
    }

    /// What is to be done next, or what it says.
    #[must_use]
    pub fn next(&self) -> Next {
        if self.builds.as_ref().is_some_and(Builds::are_same) {
            return Next::Decided(Gate::same_binary());
        }
        Gate::new(self.terms.clone()).next(&self.rounds())
    }

    /// What it says; none where it was ended before it could say anything.
    #[must_use]
    pub fn decision(&self) -> Option<Decision> {
        match self.next() {
            Next::Decided(decision) => Some(decision),
            Next::Another(_) => None,
        }
    }

    /// What the attempt that was measured last says so far; none of the same binary.
    #[must_use]
    pub fn judged(&self) -> Option<Judged> {
        match self.next() {
            Next::Decided(decision) => decision.judged().cloned(),
            Next::Another(progress) => Some(progress.judged),
        }
    }

    /// What was measured last: the confirmation where there was one.
    #[must_use]
    pub fn latest(&self) -> &Comparison {
        self.confirmation.as_ref().unwrap_or(&self.first)
    }
}
