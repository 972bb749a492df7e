//! A round as a gate sees it: figures, counts, and whether it counts.
//!
//! Both sides are to make the same requests: flows and arrivals are drawn from the round's seed. So where both make too few
//! for a quantile, it is the luck of the draw, and the round is void; where one alone does, its walks ended early, which is
//! the target's doing and data.

use std::collections::BTreeMap;

use super::{Attempt, Terms};
use crate::compare::{self, ArmRound, Metric};
use crate::stats::fewest_per_round;
use crate::units::thousands;
use crate::validity::State;

/// One paired measurement of both arms.
#[derive(Debug, Clone, PartialEq)]
pub struct Round {
    /// To which it belongs.
    pub attempt: Attempt,
    /// Of the baseline.
    pub baseline: Arm,
    /// Of the candidate.
    pub candidate: Arm,
}

/// What a round says of one arm.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Arm {
    /// The figures of the gated metrics, and of the median where it tells something; see [`Terms::metrics`].
    pub figures: Vec<(Metric, Value)>,
    /// Exchanges that were not ok.
    pub failed: u64,
    /// All exchanges.
    pub exchanges: u64,
    /// Exchanges of each step, by `flow/step`.
    pub steps: BTreeMap<String, u64>,
    /// Why the generator or the machine voids the round, in words; none where they were as they should be.
    pub void: Option<String>,
}

/// A figure of a round.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Value {
    /// From 0 to +∞.
    Known(f64),
    /// A quantile of too few exchanges.
    TooFew {
        /// Exchanges that there were.
        had: u64,
        /// Exchanges that it needs.
        needed: u64,
    },
    /// Not measured.
    Missing,
}

impl Round {
    /// What a measured round of two arms, the baseline first, says to a gate.
    ///
    /// # Panics
    /// When it has fewer arms.
    #[must_use]
    pub fn of(attempt: Attempt, round: &compare::Round, terms: &Terms) -> Self {
        let arm = |place: usize| Arm::of(&round.arms[place], terms);
        Self {
            attempt,
            baseline: arm(0),
            candidate: arm(1),
        }
    }

    /// Why it does not count in a gate by `metrics`, in words; none where it does.
    #[must_use]
    pub fn void(&self, metrics: &[Metric]) -> Option<String> {
        let arms = [&self.baseline, &self.candidate];
        let at_fault = arms.into_iter().find_map(|arm| arm.void.clone());
        at_fault.or_else(|| {
            let small = self.too_small(metrics)?;
            let (had, needed) = (thousands(small.had), thousands(small.needed));
            Some(format!(
                "{had} requests, and {} needs {needed}",
                small.metric
            ))
        })
    }

    /// The first of `metrics` that both sides made too few requests for.
    pub(super) fn too_small(&self, metrics: &[Metric]) -> Option<TooSmall> {
        metrics.iter().find_map(|&metric| {
            let [a, b] = [&self.baseline, &self.candidate].map(|arm| arm.value(metric));
            let (Value::TooFew { had: a, needed }, Value::TooFew { had: b, .. }) = (a, b) else {
                return None;
            };
            let had = a.max(b);
            (a.min(b) > 0).then_some(TooSmall {
                metric,
                had,
                needed,
            })
        })
    }

    /// The values of both sides; none where one of them is not known.
    pub(super) fn known(&self, metric: Metric) -> Option<(f64, f64)> {
        let [a, b] = [&self.baseline, &self.candidate].map(|arm| arm.value(metric).known());
        a.zip(b)
    }
}

/// Too few requests of a round for a quantile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TooSmall {
    /// The quantile.
    pub(super) metric: Metric,
    /// The requests of the side that made more of them.
    pub(super) had: u64,
    /// How many it needs.
    pub(super) needed: u64,
}

impl Arm {
    fn of(run: &ArmRound, terms: &Terms) -> Self {
        let (failed, exchanges) = run.failed();
        let metrics = terms.metrics.iter().copied().chain(terms.middle());
        let mut steps = BTreeMap::new();
        for step in &run.steps {
            *steps
                .entry(format!("{}/{}", step.flow, step.step))
                .or_default() += step.exchanges;
        }
        let validity = &run.validity;
        let void = (validity.state != State::Valid)
            .then(|| format!("{}: {}", validity.state.name(), validity.reasons.join("; ")));
        Self {
            figures: metrics
                .map(|metric| (metric, Value::of(run, metric)))
                .collect(),
            failed,
            exchanges,
            steps,
            void,
        }
    }

    pub(super) fn value(&self, metric: Metric) -> Value {
        let found = self.figures.iter().find(|(own, _)| *own == metric);
        found.map_or(Value::Missing, |(_, value)| *value)
    }

    /// The share of exchanges that were not ok; no number where there were none.
    pub(super) fn failed_share(&self) -> f64 {
        self.failed as f64 / self.exchanges as f64
    }
}

impl Value {
    fn of(run: &ArmRound, metric: Metric) -> Self {
        let had = run.response.count();
        match (run.compared(metric), metric) {
            (Some(value), _) => Self::Known(value),
            // Among those that there were, too many failed already: each ended its walk, so that there were fewer of them.
            (None, Metric::Response(quantile))
                if had > 0 && run.quantile(quantile).is_infinite() =>
            {
                Self::Known(f64::INFINITY)
            }
            (None, Metric::Response(quantile)) => Self::TooFew {
                had,
                needed: fewest_per_round(quantile),
            },
            (None, _) => Self::Missing,
        }
    }

    /// Whether nothing at all was measured.
    pub(super) fn is_empty(self) -> bool {
        matches!(self, Self::Missing | Self::TooFew { had: 0, .. })
    }

    pub(super) fn known(self) -> Option<f64> {
        match self {
            Self::Known(value) => Some(value),
            Self::TooFew { .. } | Self::Missing => None,
        }
    }
}
