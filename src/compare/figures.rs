//! What the rounds together say of an arm, and of an arm beside the reference.

use super::round::or_infinite;
use super::{Comparison, Metric};
use crate::ledger::Distribution;
use crate::stats::sampling::{by_sampling, sectioned};
use crate::stats::{Change, Spread, fewest, fewest_rounds};
use crate::threshold::MemoryFigure;
use crate::units::Quantile;

/// All comparisons with the reference together hold with this confidence.
const LEVEL: f64 = 0.95;
/// Of an arm's own interval.
const ARM_LEVEL: f64 = 0.95;

/// One figure of one arm over the valid rounds, in the unit of its metric.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Figure {
    /// A quantile of the requests of all rounds together; the geometric mean over rounds of other metrics, and of a slope
    /// the median.
    pub value: f64,
    /// Its 95 % interval, for this machine during these rounds; none where the rounds are too few for one.
    pub interval: Option<[f64; 2]>,
    /// Over the rounds; none where a round by itself is too small to say.
    pub spread: Option<Spread>,
}

impl Comparison {
    /// How often the interval of a change covers the truth: 95 % of all changes from the reference together, by
    /// Bonferroni's inequality where there are several.
    #[must_use]
    pub fn level(&self) -> f64 {
        let changes = self.plan.arms.len().saturating_sub(1).max(1);
        1.0 - (1.0 - LEVEL) / changes as f64
    }

    /// How many valid rounds give an interval of a change.
    #[must_use]
    pub fn fewest_rounds(&self) -> usize {
        fewest_rounds(self.level())
    }

    /// What the valid rounds say of a metric of one arm; none where one of them cannot say, unless it is a quantile
    /// that all of them together can.
    #[must_use]
    pub fn figure(&self, arm: usize, metric: Metric) -> Option<Figure> {
        let values = self.values(arm, metric);
        if let Metric::Response(quantile) = metric {
            let value = self.merged_quantile(arm, quantile)?;
            let spread = values
                .as_ref()
                .and_then(|values| Spread::of(values.iter().copied()));
            return Some(Figure {
                value,
                interval: self.quantile_interval(arm, quantile, value, values.as_deref()),
                spread,
            });
        }
        let values = values?;
        let spread = Spread::of(values.iter().copied())?;
        let mean = values.iter().map(|value| value.ln()).sum::<f64>() / values.len() as f64;
        let is_slope = metric == Metric::Memory(MemoryFigure::Slope);
        let value = mean.exp();
        if is_slope || !value.is_finite() || value <= 0.0 {
            return Some(Figure {
                value: spread.median,
                interval: None,
                spread: Some(spread),
            });
        }
        Some(Figure {
            value,
            interval: enough(&values).and_then(|values| sectioned(value, values)),
            spread: Some(spread),
        })
    }

    /// The change of a metric from the reference to an arm over the valid rounds; none where a round of either cannot
    /// say, and where there is no valid round.
    #[must_use]
    pub fn change(&self, arm: usize, metric: Metric) -> Option<Change> {
        let of = |arm: usize| -> Option<Vec<f64>> {
            let rounds = self.valid_rounds();
            rounds
                .map(|round| round.arms[arm].compared(metric))
                .collect()
        };
        let (reference, other) = (of(0)?, of(arm)?);
        (!other.is_empty()).then(|| Change::of(&reference, &other, self.level()))
    }

    /// The response times of an arm in all valid rounds together.
    #[must_use]
    pub fn merged(&self, arm: usize) -> Distribution {
        Distribution::merged(self.valid_rounds().map(|round| &round.arms[arm].response))
    }

    /// A quantile of [`Self::merged`], in nanoseconds, +∞ where it falls among requests that were not ok; none where
    /// there are too few of them to say.
    #[must_use]
    pub fn merged_quantile(&self, arm: usize, quantile: Quantile) -> Option<f64> {
        let merged = self.merged(arm);
        (merged.count() >= fewest(quantile)).then(|| or_infinite(&merged, quantile))
    }

    /// Of an arm in every valid round; none where one of them cannot say.
    fn values(&self, arm: usize, metric: Metric) -> Option<Vec<f64>> {
        let rounds = self.valid_rounds();
        rounds.map(|round| round.arms[arm].value(metric)).collect()
    }

    /// Rounds as batches of one measurement, and sampling: the wider of the two.
    fn quantile_interval(
        &self,
        arm: usize,
        quantile: Quantile,
        value: f64,
        values: Option<&[f64]>,
    ) -> Option<[f64; 2]> {
        let [low, high] = sectioned(value, enough(values?)?)?;
        let among_ok = |times: &Distribution, rank| times.ok.value_at_rank(rank);
        let (from, to) = by_sampling(&self.merged(arm), quantile, among_ok)?;
        Some([low.min(from), high.max(to)])
    }
}

/// The rounds where there are enough of them for an interval.
fn enough(values: &[f64]) -> Option<&[f64]> {
    (values.len() >= fewest_rounds(ARM_LEVEL)).then_some(values)
}
