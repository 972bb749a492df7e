//! Two arms measured in pairs: how much larger is one figure than the other?

use super::rounds_needed::{self, pair_sd};
use super::walsh::{Walsh, order_index};

/// By how much a figure differs between two arms, from one pair of values per round.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// The second over the first, by Hodges and Lehmann's estimate; +∞ or 0 where failures decide it, none where it
    /// cannot be known.
    pub ratio: Option<f64>,
    /// The exact signed-rank interval of the ratio, whose ends may be 0 and +∞; none where there are too few rounds.
    pub interval: Option<[f64; 2]>,
    /// How often such intervals cover the truth, at least.
    pub level: f64,
    /// How many pairs there are.
    pub rounds: usize,
    /// The spread of the pairs' logarithms, in the way of a standard deviation; see [`pair_sd`].
    pub pair_sd: Option<f64>,
    /// How the logarithms of the two go together over the rounds, −1 to 1: high where both show the same machine.
    pub correlation: Option<f64>,
}

/// What an interval says of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// The second is smaller.
    Lower,
    /// The second is larger.
    Higher,
    /// The interval holds 1: there may be a difference, but none is shown.
    NotShown,
}

impl Direction {
    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Lower => "lower",
            Self::Higher => "higher",
            Self::NotShown => "not shown",
        }
    }
}

/// ln(other ÷ reference), for values from 0 to +∞: 0 where both are equal and finite, NaN where both are infinite.
#[must_use]
pub fn log_ratio(reference: f64, other: f64) -> f64 {
    if reference == other && reference.is_finite() {
        return 0.0;
    }
    other.ln() - reference.ln()
}

impl Change {
    /// The change from `reference` to `other`, of which the k-th values were measured in one round; at `level`, such as
    /// 0.95. Values are from 0 to +∞.
    #[must_use]
    pub fn of(reference: &[f64], other: &[f64], level: f64) -> Self {
        let pairs = reference.iter().zip(other);
        let d: Vec<f64> = pairs.map(|(a, b)| log_ratio(*a, *b)).collect();
        let walsh = Walsh::of(&d);
        let interval = order_index(d.len(), level)
            .map(|index| [walsh.smallest(index.k).exp(), walsh.largest(index.k).exp()]);
        Self {
            ratio: walsh.estimate().map(f64::exp),
            interval,
            level,
            rounds: d.len(),
            pair_sd: pair_sd(&d),
            correlation: correlation(reference, other),
        }
    }

    /// What is shown.
    #[must_use]
    pub fn direction(&self) -> Direction {
        match self.interval {
            Some([_, high]) if high < 1.0 => Direction::Lower,
            Some([low, _]) if low > 1.0 => Direction::Higher,
            _ => Direction::NotShown,
        }
    }

    /// The smallest rise, as a share, that so many rounds of such a spread show nine times of ten; never less than half of
    /// the interval, which is wide where the pairs are not spread as normal errors are. None where either is not known.
    #[must_use]
    pub fn visible(&self) -> Option<f64> {
        let [low, high] = self.interval?;
        let half = (high.ln() - low.ln()) / 2.0;
        let one_sided = f64::midpoint(self.level, 1.0);
        let projected = rounds_needed::visible(self.pair_sd?, one_sided, self.rounds);
        Some(projected.max(half.exp_m1())).filter(|size| size.is_finite())
    }
}

/// Pearson's correlation of the logarithms; none where they do not vary, or are not all finite.
fn correlation(a: &[f64], b: &[f64]) -> Option<f64> {
    let logs: Vec<(f64, f64)> = a.iter().zip(b).map(|(a, b)| (a.ln(), b.ln())).collect();
    let n = logs.len() as f64;
    let (sum_a, sum_b) = logs
        .iter()
        .fold((0.0, 0.0), |sum, (a, b)| (sum.0 + a, sum.1 + b));
    let (mut aa, mut bb, mut ab) = (0.0, 0.0, 0.0);
    for (a, b) in &logs {
        let (a, b) = (a - sum_a / n, b - sum_b / n);
        aa += a * a;
        bb += b * b;
        ab += a * b;
    }
    let correlation = ab / (aa * bb).sqrt();
    (logs.len() > 2 && correlation.is_finite()).then(|| correlation.clamp(-1.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_steady_change_is_found_and_six_rounds_give_an_interval() {
        let reference = [1.0, 1.1, 0.9, 1.3, 1.2, 0.8];
        let slower = reference.map(|ns| ns * 1.1);
        let change = Change::of(&reference, &slower, 0.95);
        assert!((change.ratio.unwrap() - 1.1).abs() < 1e-9);
        assert_eq!(change.direction(), Direction::Higher);
        assert!((change.correlation.unwrap() - 1.0).abs() < 1e-9);
        let five = Change::of(&reference[..5], &slower[..5], 0.95);
        assert_eq!(
            (five.interval, five.direction()),
            (None, Direction::NotShown)
        );
        assert!((five.ratio.unwrap() - 1.1).abs() < 1e-9);
        assert_eq!(five.visible(), None);
        let stricter = Change::of(&reference, &slower, 0.975);
        assert_eq!(stricter.interval, None);
    }

    #[test]
    fn equal_arms_show_no_difference() {
        let arm = [1.0, 1.1, 0.9, 1.3, 1.2, 0.8, 0.0];
        let change = Change::of(&arm, &arm, 0.95);
        assert_eq!(
            (change.ratio, change.interval),
            (Some(1.0), Some([1.0, 1.0]))
        );
        assert_eq!(change.direction(), Direction::NotShown);
        assert_eq!(change.visible(), Some(0.0));
    }

    #[test]
    fn failures_of_one_arm_are_infinitely_slow() {
        let (fine, broken) = ([1.0; 8], [f64::INFINITY; 8]);
        let change = Change::of(&fine, &broken, 0.95);
        assert_eq!(change.ratio, Some(f64::INFINITY));
        assert_eq!(change.direction(), Direction::Higher);
        let back = Change::of(&broken, &fine, 0.95);
        assert_eq!(
            (back.ratio, back.direction()),
            (Some(0.0), Direction::Lower)
        );
        let both = Change::of(&broken, &broken, 0.95);
        assert_eq!(
            (both.ratio, both.interval),
            (None, Some([0.0, f64::INFINITY]))
        );
        assert_eq!(both.direction(), Direction::NotShown);
    }

    #[test]
    fn what_would_be_seen_follows_from_the_spread() {
        // ln ratios of ±0.1 in turn: their median absolute deviation is 0.1.
        let reference = [1.0; 20];
        let mut other = [0.1f64.exp(); 20];
        other
            .iter_mut()
            .step_by(2)
            .for_each(|value| *value = (-0.1f64).exp());
        let change = Change::of(&reference, &other, 0.95);
        // (1.960 + 1.282) × 0.14826 / √(0.955 × 20) = 0.110, and the interval is [−0.1, 0.1] at most.
        assert!(
            (change.visible().unwrap() - 0.1163).abs() < 0.0005,
            "{:?}",
            change.visible()
        );
    }

    proptest! {
        #[test]
        fn swapping_the_arms_mirrors_the_change(pairs in prop::collection::vec((0.1f64..9.0, 0.1f64..9.0), 6..24)) {
            let (a, b): (Vec<f64>, Vec<f64>) = pairs.into_iter().unzip();
            let (there, back) = (Change::of(&a, &b, 0.95), Change::of(&b, &a, 0.95));
            prop_assert!((there.ratio.unwrap() * back.ratio.unwrap() - 1.0).abs() < 1e-9);
            let ([low, high], [back_low, back_high]) = (there.interval.unwrap(), back.interval.unwrap());
            prop_assert!((low * back_high - 1.0).abs() < 1e-9 && (high * back_low - 1.0).abs() < 1e-9);
        }

        #[test]
        fn scaling_both_arms_changes_nothing(pairs in prop::collection::vec((0.1f64..9.0, 0.1f64..9.0), 6..24), shift in 0i32..40) {
            // By a power of two, which is exact.
            let scale = 2f64.powi(shift);
            let (a, b): (Vec<f64>, Vec<f64>) = pairs.into_iter().unzip();
            let scaled = |values: &[f64]| values.iter().map(|value| value * scale).collect::<Vec<_>>();
            let (plain, scaled) = (Change::of(&a, &b, 0.95), Change::of(&scaled(&a), &scaled(&b), 0.95));
            prop_assert!((plain.ratio.unwrap() / scaled.ratio.unwrap() - 1.0).abs() < 1e-9);
            prop_assert_eq!(plain.direction(), scaled.direction());
        }
    }
}
