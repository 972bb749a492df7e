//! On what terms a gate decides, fixed before the first round.

use std::time::Duration;

use crate::compare::Metric;
use crate::stats::{Looks, Projection, TooFewRounds, VECTORS, fewest_per_round};
use crate::units::{Quantile, thousands};

/// What somebody wants of a gate.
#[derive(Debug, Clone, PartialEq)]
pub struct Wanted {
    /// The figures that decide, the headline first.
    pub metrics: Vec<Metric>,
    /// The change that is allowed, as a share.
    pub allowed: f64,
    /// The change that a PASS is to rule out.
    pub ruled_out: f64,
    /// The chance of a FAIL where every change is the allowed one.
    pub alpha: f64,
    /// The chance of a PASS where the change is the one to rule out.
    pub beta: f64,
    /// How many rounds there may be.
    pub max_rounds: usize,
    /// How long one decision may take.
    pub max_time: Duration,
    /// How long a round takes, as far as is known before the start.
    pub round_time: Duration,
    /// Of the order of arms, and of the sign vectors.
    pub seed: u64,
    /// Whether a FAIL has to happen twice.
    pub confirm: bool,
}

/// Terms on which a verdict is possible.
#[derive(Debug, Clone, PartialEq)]
pub struct Terms {
    /// The figures that decide, each once, at least one.
    pub metrics: Vec<Metric>,
    /// The change that is allowed, as a share; 0 or more.
    pub allowed: f64,
    /// The change that a PASS rules out; above the allowed one.
    pub ruled_out: f64,
    /// The chance of a FAIL where every change is the allowed one.
    pub alpha: f64,
    /// The chance of a PASS where the change is the one to rule out.
    pub beta: f64,
    /// After how many valid rounds it looks.
    pub looks: Looks,
    /// Of the order of arms, and of the sign vectors.
    pub seed: u64,
    /// Whether a FAIL has to happen twice.
    pub confirm: bool,
    /// Sign vectors of a boundary: [`crate::stats::VECTORS`].
    pub vectors: usize,
}

/// Terms on which there can be no verdict.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum TermsError {
    /// Nothing to decide by.
    #[error("a gate needs a metric")]
    NoMetric,
    /// The same twice.
    #[error("metric `{0}` is named twice")]
    Twice(Metric),
    /// No metric that two arms could differ in for the worse.
    #[error("`{0}` is no metric of a gate")]
    NotGated(Metric),
    /// Margins that leave nothing between them.
    #[error(
        "the change to rule out ({ruled_out}) must lie above the allowed one ({allowed}), which must not be negative"
    )]
    Margins {
        /// The allowed one.
        allowed: f64,
        /// The one to rule out.
        ruled_out: f64,
    },
    /// A chance that is none, or smaller than a boundary can hold.
    #[error("{name} must lie between {least} and 0.5: {value}{}", because(*least))]
    Chance {
        /// Which.
        name: &'static str,
        /// The least that it may be; above 0 where sign vectors set it.
        least: f64,
        /// Its value.
        value: f64,
    },
    /// Too few rounds.
    #[error("{0}")]
    Rounds(#[from] TooFewRounds),
    /// Too little time.
    #[error("{allowed} rounds of {} s fit into {} s: the first verdict comes after {needed}", round.as_secs_f64(), time.as_secs_f64())]
    Time {
        /// Rounds that fit.
        allowed: usize,
        /// Rounds that are needed.
        needed: usize,
        /// How long one takes.
        round: Duration,
        /// How long all may take.
        time: Duration,
    },
}

/// A quantile needs more requests than a round has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "{metric} needs {} requests per round and arm; these rounds have about {}",
    thousands(*needed), thousands(*planned)
)]
pub struct TooFewRequests {
    /// The quantile.
    pub metric: Metric,
    /// How many it needs.
    pub needed: u64,
    /// How many are planned.
    pub planned: u64,
}

/// One of the two arms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// What there was before.
    Baseline,
    /// What is to be judged.
    Candidate,
}

impl Terms {
    /// The terms that are wanted, with the looks that rounds, time and the number of metrics allow.
    ///
    /// # Errors
    /// When no verdict would be possible on them.
    pub fn new(wanted: Wanted) -> Result<Self, TermsError> {
        let Wanted {
            metrics,
            allowed,
            ruled_out,
            alpha,
            beta,
            max_rounds,
            max_time,
            round_time,
            seed,
            confirm,
        } = wanted;
        let fit = (max_time.as_secs_f64() / round_time.as_secs_f64()) as usize;
        let of_time = |error: TooFewRounds| {
            if fit >= max_rounds {
                return TermsError::Rounds(error);
            }
            TermsError::Time {
                allowed: fit,
                needed: error.needed,
                round: round_time,
                time: max_time,
            }
        };
        let looks = Looks::new(max_rounds.min(fit)).map_err(of_time)?;
        let terms = Self {
            metrics,
            allowed,
            ruled_out,
            alpha,
            beta,
            looks,
            seed,
            confirm,
            vectors: VECTORS,
        };
        let mut terms = terms.checked()?;
        // With less than one of its sign vectors for a metric, no boundary could ever be crossed.
        let least = terms.metrics.len() as f64 / terms.vectors as f64;
        if alpha < least {
            return Err(TermsError::Chance {
                name: "alpha",
                least,
                value: alpha,
            });
        }
        terms.looks = terms
            .looks
            .clone()
            .sensitive_to(terms.alpha_each(), terms.vectors)
            .map_err(of_time)?;
        Ok(terms)
    }

    /// These terms, where a verdict is possible on them.
    pub(super) fn checked(self) -> Result<Self, TermsError> {
        let Self {
            allowed,
            ruled_out,
            alpha,
            beta,
            ..
        } = self;
        check_metrics(&self.metrics)?;
        // Written so that what is no number is refused.
        if !(allowed >= 0.0 && ruled_out > allowed && ruled_out.is_finite()) {
            return Err(TermsError::Margins { allowed, ruled_out });
        }
        for (name, value) in [("alpha", alpha), ("beta", beta)] {
            if !(value > 0.0 && value < 0.5) {
                let least = 0.0;
                return Err(TermsError::Chance { name, least, value });
            }
        }
        Ok(self)
    }

    /// The part of alpha that each metric has: all of them together hold it.
    #[must_use]
    pub fn alpha_each(&self) -> f64 {
        self.alpha / self.metrics.len() as f64
    }

    /// The fewest requests per round and arm with which every metric can be read; 0 where none is a quantile.
    #[must_use]
    pub fn fewest_requests(&self) -> u64 {
        let needed = self.quantiles().map(|(_, needed)| needed);
        needed.max().unwrap_or(0)
    }

    /// Whether rounds of about `planned` requests per arm are large enough.
    ///
    /// # Errors
    /// When they are too small for one of the quantiles.
    pub fn check_requests(&self, planned: u64) -> Result<(), TooFewRequests> {
        let mut lacking = self.quantiles().filter(|(_, needed)| planned < *needed);
        lacking.next().map_or(Ok(()), |(metric, needed)| {
            Err(TooFewRequests {
                metric,
                needed,
                planned,
            })
        })
    }

    /// How long the rounds up to the first and the last look take.
    #[must_use]
    pub fn duration(&self, round_time: Duration) -> [Duration; 2] {
        [self.looks.first(), self.looks.last()].map(|rounds| round_time.mul_f64(rounds as f64))
    }

    /// What projections of rounds start from.
    #[must_use]
    pub fn projection(&self) -> Projection {
        Projection {
            allowed: self.allowed,
            ruled_out: self.ruled_out,
            alpha: self.alpha_each(),
            beta: self.beta,
        }
    }

    fn quantiles(&self) -> impl Iterator<Item = (Metric, u64)> {
        self.metrics.iter().filter_map(|&metric| match metric {
            Metric::Response(quantile) => Some((metric, fewest_per_round(quantile))),
            _ => None,
        })
    }

    /// The median, where a quantile beyond it is gated: to tell a slower tail from a slower service.
    pub(super) fn middle(&self) -> Option<Metric> {
        let beyond = |metric: &Metric| matches!(metric, Metric::Response(q) if *q > Quantile::P50);
        let middle = Metric::Response(Quantile::P50);
        (self.metrics.iter().any(beyond) && !self.metrics.contains(&middle)).then_some(middle)
    }
}

/// What sets the least value of a chance, where that is above 0.
fn because(least: f64) -> String {
    if least > 0.0 {
        let vectors = thousands(VECTORS as u64);
        format!(" is less than one of {vectors} sign vectors for each metric")
    } else {
        String::new()
    }
}

fn check_metrics(metrics: &[Metric]) -> Result<(), TermsError> {
    if metrics.is_empty() {
        return Err(TermsError::NoMetric);
    }
    for (place, metric) in metrics.iter().enumerate() {
        if metrics[..place].contains(metric) {
            return Err(TermsError::Twice(*metric));
        }
        if matches!(metric, Metric::AchievedRate | Metric::Startup) {
            return Err(TermsError::NotGated(*metric));
        }
    }
    Ok(())
}

impl Side {
    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Baseline => "baseline",
            Self::Candidate => "candidate",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted() -> Wanted {
        Wanted {
            metrics: vec![Metric::Response(Quantile::P99)],
            allowed: 0.05,
            ruled_out: 0.20,
            alpha: 0.01,
            beta: 0.05,
            max_rounds: 40,
            max_time: Duration::from_secs(900),
            round_time: Duration::from_secs(21),
            seed: 7,
            confirm: true,
        }
    }

    #[test]
    fn the_defaults_allow_every_look() {
        let terms = Terms::new(wanted()).unwrap();
        assert_eq!(terms.looks.rounds(), [10, 14, 20, 28, 40]);
        let round = wanted().round_time;
        assert_eq!(round, Duration::from_secs(21));
        assert_eq!(terms.duration(round), [210, 840].map(Duration::from_secs));
        assert_eq!(terms.fewest_requests(), 2_000);
        let error = terms.check_requests(1_500).unwrap_err();
        let message = "p99 needs 2,000 requests per round and arm; these rounds have about 1,500";
        assert_eq!(error.to_string(), message);
    }

    #[test]
    fn p99_9_needs_twenty_thousand_requests() {
        let metrics = ["p50", "p99.9"].map(|name| name.parse().unwrap()).to_vec();
        let terms = Terms::new(Wanted {
            metrics,
            ..wanted()
        })
        .unwrap();
        let error = terms.check_requests(2_500).unwrap_err();
        assert_eq!(
            (error.metric.to_string(), error.needed),
            ("p99.9".into(), 20_000)
        );
        assert_eq!(terms.check_requests(20_000), Ok(()));
        let memory = vec!["mem.peak".parse().unwrap()];
        let terms = Terms::new(Wanted {
            metrics: memory,
            ..wanted()
        })
        .unwrap();
        assert_eq!(
            (terms.fewest_requests(), terms.check_requests(0)),
            (0, Ok(()))
        );
    }

    #[test]
    fn time_and_rounds_shorten_the_list_before_the_start() {
        let rounds = |wanted: Wanted| Terms::new(wanted).unwrap().looks.rounds().to_vec();
        let max_time = Duration::from_secs(600);
        assert_eq!(
            rounds(Wanted {
                max_time,
                ..wanted()
            }),
            [10, 14, 20, 28]
        );
        assert_eq!(
            rounds(Wanted {
                max_rounds: 20,
                ..wanted()
            }),
            [10, 14, 20]
        );
        let p99 = ["p50", "p90", "p99"]
            .map(|name| name.parse().unwrap())
            .to_vec();
        assert_eq!(
            rounds(Wanted {
                metrics: p99,
                ..wanted()
            }),
            [14, 20, 28, 40]
        );
        // One of 20,000 sign vectors, which the last look alone may spend.
        assert_eq!(
            rounds(Wanted {
                alpha: 0.00005,
                ..wanted()
            }),
            [40]
        );
    }

    #[test]
    fn terms_without_a_verdict_are_refused() {
        let p99 = Metric::Response(Quantile::P99);
        for (wrong, message) in [
            (
                Wanted {
                    metrics: vec![],
                    ..wanted()
                },
                "a gate needs a metric",
            ),
            (
                Wanted {
                    metrics: vec![p99, p99],
                    ..wanted()
                },
                "metric `p99` is named twice",
            ),
            (
                Wanted {
                    metrics: vec![Metric::Startup],
                    ..wanted()
                },
                "`startup` is no metric of a gate",
            ),
            (
                Wanted {
                    ruled_out: 0.05,
                    ..wanted()
                },
                "the change to rule out (0.05) must lie above the allowed one (0.05), which must not be negative",
            ),
            (
                Wanted {
                    alpha: 0.0,
                    ..wanted()
                },
                "alpha must lie between 0 and 0.5: 0",
            ),
            (
                Wanted {
                    alpha: 0.00004,
                    ..wanted()
                },
                "alpha must lie between 0.00005 and 0.5: 0.00004 is less than one of 20,000 sign vectors for each metric",
            ),
            (
                Wanted {
                    metrics: vec![p99, Metric::Response(Quantile::P50)],
                    alpha: 0.00008,
                    ..wanted()
                },
                "alpha must lie between 0.0001 and 0.5: 0.00008 is less than one of 20,000 sign vectors for each metric",
            ),
            (
                Wanted {
                    alpha: 0.00005,
                    max_rounds: 15,
                    ..wanted()
                },
                "14 rounds are too few for a verdict: the first comes after 20",
            ),
            (
                Wanted {
                    beta: f64::NAN,
                    ..wanted()
                },
                "beta must lie between 0 and 0.5: NaN",
            ),
            (
                Wanted {
                    max_rounds: 9,
                    ..wanted()
                },
                "9 rounds are too few for a verdict: the first comes after 10",
            ),
            (
                Wanted {
                    max_time: Duration::from_secs(100),
                    ..wanted()
                },
                "4 rounds of 21 s fit into 100 s: the first verdict comes after 10",
            ),
        ] {
            assert_eq!(Terms::new(wrong).unwrap_err().to_string(), message);
        }
    }
}
