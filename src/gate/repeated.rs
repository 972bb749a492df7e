//! A target gated against itself again and again: how often it is flagged, and what such gates can see.

use super::{GateRecord, Terms, Verdict};
use crate::compare::Metric;
use crate::stats::{Spread, share_at_most};

/// The confidence of the upper end of how often a build would be ended.
const CONFIDENCE: f64 = 0.95;

/// Gates of a target against itself, each decided.
#[derive(Debug, Clone, PartialEq)]
pub struct Repeated {
    /// The terms of all of them; the seed is the first one's.
    pub terms: Terms,
    /// The target.
    pub target: String,
    /// What each said: verdict, valid rounds, seconds.
    pub gates: Vec<One>,
    /// One per metric.
    pub metrics: Vec<Seen>,
}

/// What one gate said.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct One {
    /// Its verdict.
    pub verdict: Verdict,
    /// The rounds that it rests on.
    pub rounds: usize,
    /// How long it took, in nanoseconds.
    pub elapsed_ns: u64,
}

/// What the gates can see of a metric.
#[derive(Debug, Clone, PartialEq)]
pub struct Seen {
    /// The metric.
    pub metric: Metric,
    /// The spread of the pairs' logarithms over the gates; none where it is not known of any.
    pub pair_sd: Option<Spread>,
    /// The smallest rise that fails nine times of ten within the last look's rounds, as a share.
    pub fails_from: Option<f64>,
    /// The smallest rise that a PASS rules out nine times of ten within them, where nothing changed.
    pub rules_out: Option<f64>,
}

impl Repeated {
    /// What `gates` say together, of which there is one or more, all decided and on the same terms.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    pub fn of(gates: &[GateRecord]) -> Self {
        let first = gates.first().expect("there is a gate");
        let terms = first.terms.clone();
        let decided = || {
            gates
                .iter()
                .filter_map(|gate| Some((gate, gate.decision()?)))
        };
        let metrics = terms.metrics.iter().map(|&metric| {
            let spreads = decided().filter_map(|(_, decision)| {
                let standings = &decision.attempts.first()?.standings;
                let own = standings
                    .iter()
                    .find(|standing| standing.metric == metric)?;
                own.change.pair_sd
            });
            Seen::new(metric, Spread::of(spreads), &terms)
        });
        Self {
            target: first.first.plan.arms[0].clone(),
            metrics: metrics.collect(),
            gates: decided()
                .map(|(gate, decision)| One {
                    verdict: decision.verdict,
                    rounds: decision.judged().map_or(0, |judged| judged.valid),
                    elapsed_ns: gate.elapsed_ns.unwrap_or(0),
                })
                .collect(),
            terms,
        }
    }

    /// How many ended so.
    #[must_use]
    pub fn count(&self, verdict: Verdict) -> usize {
        self.gates
            .iter()
            .filter(|gate| gate.verdict == verdict)
            .count()
    }

    /// How many were not PASS.
    #[must_use]
    pub fn flagged(&self) -> usize {
        self.gates.len() - self.count(Verdict::Pass)
    }

    /// The share of such gates that are not PASS, at most, at 95 % confidence.
    #[must_use]
    pub fn flagged_at_most(&self) -> f64 {
        share_at_most(self.flagged() as u64, self.gates.len() as u64, CONFIDENCE)
    }

    /// The rise to rule out that this machine can: the next of 5, 10, 15, … % above what it can see of every metric.
    #[must_use]
    pub fn suggested_ruled_out(&self) -> Option<f64> {
        const STEP: f64 = 0.05;
        let mut seen = self.metrics.iter().map(|seen| seen.rules_out);
        let largest = seen.try_fold(0.0f64, |most, share| Some(most.max(share?)))?;
        let steps = (largest / STEP).ceil().max(1.0);
        // Above what is allowed there has to be room.
        let least = (self.terms.allowed / STEP).floor() + 1.0;
        Some(steps.max(least) * STEP)
    }
}

impl Seen {
    fn new(metric: Metric, pair_sd: Option<Spread>, terms: &Terms) -> Self {
        let (projection, rounds) = (terms.projection(), terms.looks.last());
        Self {
            metric,
            pair_sd,
            fails_from: pair_sd.map(|sd| projection.smallest_failed(sd.median, rounds)),
            rules_out: pair_sd.map(|sd| projection.smallest_ruled_out(sd.median, rounds)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gate::Wanted;
    use crate::units::Quantile;
    use std::time::Duration;

    fn repeated(verdicts: &[(Verdict, usize)], pair_sd: f64) -> Repeated {
        let metric = Metric::Response(Quantile::P99);
        let terms = Terms::new(Wanted {
            metrics: vec![metric],
            allowed: 0.05,
            ruled_out: 0.2,
            alpha: 0.01,
            beta: 0.05,
            max_rounds: 40,
            max_time: Duration::from_secs(900),
            round_time: Duration::from_secs(20),
            seed: 1,
            confirm: false,
        })
        .unwrap();
        let one = |verdict| One {
            verdict,
            rounds: 10,
            elapsed_ns: 1,
        };
        Repeated {
            target: "axum".into(),
            gates: verdicts
                .iter()
                .flat_map(|&(verdict, count)| vec![one(verdict); count])
                .collect(),
            metrics: vec![Seen::new(metric, Spread::of([pair_sd]), &terms)],
            terms,
        }
    }

    #[test]
    fn how_often_builds_would_be_ended_has_an_exact_limit() {
        // The rule of three, exactly: 1 − 0.05^(1/20) = 13.9 %.
        let clean = repeated(&[(Verdict::Pass, 20)], 0.1);
        assert_eq!(clean.flagged(), 0);
        assert!((clean.flagged_at_most() - 0.1391).abs() < 0.0005);
        let one = repeated(&[(Verdict::Pass, 19), (Verdict::Inconclusive, 1)], 0.1);
        assert_eq!((one.flagged(), one.count(Verdict::Inconclusive)), (1, 1));
        // From tables of Clopper and Pearson's limits: 1 of 20.
        assert!((one.flagged_at_most() - 0.2161).abs() < 0.0005);
        let all = repeated(&[(Verdict::Invalid, 2)], 0.1);
        assert!((all.flagged_at_most() - 1.0).abs() < f64::EPSILON);
    }

    #[test]
    fn the_schema_describes_what_is_written() {
        let schema = include_str!("../../docs/schemas/aa-1.json");
        let schema = serde_json::from_str(schema).unwrap();
        let schema = jsonschema::draft202012::new(&schema).unwrap();
        let mut repeated = repeated(&[(Verdict::Pass, 2), (Verdict::Fail, 1)], 0.1);
        for _ in 0..2 {
            let written: serde_json::Value = serde_json::from_str(&repeated.to_json()).unwrap();
            let wrong: Vec<String> = schema
                .iter_errors(&written)
                .map(|error| error.to_string())
                .collect();
            assert!(wrong.is_empty(), "{wrong:?}");
            assert_eq!(written["flagged"], 1);
            // Where the rounds differ too much to say more.
            repeated.metrics[0] = Seen::new(repeated.metrics[0].metric, None, &repeated.terms);
        }
    }

    #[test]
    fn what_can_be_seen_follows_from_the_spread() {
        let seen = |pair_sd| {
            let repeated = repeated(&[(Verdict::Pass, 1)], pair_sd);
            let metric = &repeated.metrics[0];
            (
                metric.fails_from.unwrap(),
                metric.rules_out.unwrap(),
                repeated.suggested_ruled_out().unwrap(),
            )
        };
        // (1.645 + 1.282) × 0.1 / √(0.955 × 40) = 0.0473; (2.326 + 1.282) × 0.1 / 6.181 = 0.0584.
        let (fails, rules_out, suggested) = seen(0.1);
        assert!((rules_out - 0.0485).abs() < 0.0005, "{rules_out}");
        assert!(
            (fails - (1.05 * 0.0584f64.exp() - 1.0)).abs() < 0.0005,
            "{fails}"
        );
        assert!((suggested - 0.10).abs() < 1e-9, "{suggested}");
        let (_, rules_out, suggested) = seen(0.4);
        assert!(
            rules_out < suggested && suggested - rules_out <= 0.05,
            "{rules_out} {suggested}"
        );
    }
}
