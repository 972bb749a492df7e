//! Estimate and interval that belong to the signed-rank test: J. L. Hodges, E. L. Lehmann: "Estimates of location based
//! on rank tests", Annals of Mathematical Statistics 34 (1963); J. W. Tukey: "The simplest signed-rank tests" (1949).
//!
//! The Walsh averages of d are (dᵢ + dⱼ) / 2 over i ≤ j. Their median is the estimate, and their k-th smallest and k-th
//! largest are the ends of the interval in which the test rejects no value.

use super::Null;

/// The Walsh averages of some differences, in order of size.
///
/// An average that cannot be known, of +∞ and −∞ or of NaN, may lie anywhere: it counts as −∞ for the lower end of an
/// interval and as +∞ for the upper one.
#[derive(Debug, Clone, PartialEq)]
pub struct Walsh {
    lowest: Vec<f64>,
    highest: Vec<f64>,
}

/// Which of the ordered Walsh averages are the ends of an interval.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct OrderIndex {
    /// The k-th smallest and the k-th largest, from 1.
    pub k: usize,
    /// How often such an interval covers the truth, exactly: at least the level asked for.
    pub coverage: f64,
}

/// The narrowest interval from `n` differences that covers at `level`; none where they are too few for it.
#[must_use]
pub fn order_index(n: usize, level: f64) -> Option<OrderIndex> {
    index_in(&Null::new(n), n, level)
}

fn index_in(null: &Null, n: usize, level: f64) -> Option<OrderIndex> {
    let side = (1.0 - level) / 2.0;
    let all = n * (n + 1) / 2;
    // The interval misses on one side with P(W⁺ ≤ k − 1) = P(W⁺ ≥ all − k + 1), which grows with k. The slack is for
    // levels such as 1 − 0.05, of which a coin's powers can be equal to half.
    let misses = |k: usize| null.at_least(2 * (all - k + 1) as u64);
    let k = (1..=all)
        .take_while(|&k| misses(k) <= side + 1e-12)
        .last()?;
    Some(OrderIndex {
        k,
        coverage: 1.0 - 2.0 * misses(k),
    })
}

/// The fewest differences that give an interval at `level`: 6 at 95 %.
#[must_use]
pub fn fewest_rounds(level: f64) -> usize {
    // All n signs are alike with probability 2^(1 − n).
    ((2.0 / (1.0 - level)).log2() - 1e-9).ceil() as usize
}

impl Walsh {
    /// The averages of `d`.
    #[must_use]
    pub fn of(d: &[f64]) -> Self {
        let pairs = (0..d.len()).flat_map(|i| (i..d.len()).map(move |j| (i, j)));
        let averages: Vec<f64> = pairs.map(|(i, j)| f64::midpoint(d[i], d[j])).collect();
        let ordered = |unknown: f64| {
            let known = |average: &f64| if average.is_nan() { unknown } else { *average };
            let mut averages: Vec<f64> = averages.iter().map(known).collect();
            averages.sort_by(f64::total_cmp);
            averages
        };
        Self {
            lowest: ordered(f64::NEG_INFINITY),
            highest: ordered(f64::INFINITY),
        }
    }

    /// Hodges and Lehmann's estimate, which may be infinite; none where it cannot be known.
    #[must_use]
    pub fn estimate(&self) -> Option<f64> {
        let low = median(&self.lowest)?;
        let high = median(&self.highest)?;
        (low == high).then_some(low)
    }

    /// The k-th smallest average, from 1; −∞ for 0 and beyond the last.
    #[must_use]
    pub fn smallest(&self, k: usize) -> f64 {
        let found = k.checked_sub(1).and_then(|place| self.lowest.get(place));
        found.copied().unwrap_or(f64::NEG_INFINITY)
    }

    /// The k-th largest average, from 1; +∞ for 0 and beyond the last.
    #[must_use]
    pub fn largest(&self, k: usize) -> f64 {
        let place = self.highest.len().checked_sub(k).filter(|_| k > 0);
        place.map_or(f64::INFINITY, |place| self.highest[place])
    }
}

fn median(ordered: &[f64]) -> Option<f64> {
    let upper = *ordered.get(ordered.len() / 2)?;
    let lower = ordered[(ordered.len() - 1) / 2];
    // Equal ends first: the mean of two infinities is one, but that of two opposite ones is not known.
    let middle = if lower == upper {
        lower
    } else {
        f64::midpoint(lower, upper)
    };
    (!middle.is_nan()).then_some(middle)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_order_index_is_that_of_the_method() {
        for (n, k, coverage) in [
            (6, 1, 0.969),
            (8, 4, 0.961),
            (10, 9, 0.951),
            (15, 26, 0.952),
            (20, 53, 0.952),
            (40, 265, 0.950),
        ] {
            let found = order_index(n, 0.95).unwrap();
            assert_eq!(found.k, k, "{n}");
            assert!((found.coverage - coverage).abs() < 0.0005, "{n}: {found:?}");
        }
        for level in [0.95, 0.975, 0.99, 1.0 - 0.05 / 3.0, 0.75, 0.5] {
            let least = fewest_rounds(level);
            assert!(order_index(least, level).is_some(), "{level}");
            assert!(order_index(least - 1, level).is_none(), "{level}");
        }
        assert_eq!(fewest_rounds(0.95), 6);
        assert_eq!(order_index(0, 0.95), None);
    }

    #[test]
    fn depression_factors_of_nine_patients() {
        // Hollander and Wolfe, example 3.1; R: wilcox.test(y, x, paired = TRUE, conf.int = TRUE) says (pseudo)median
        // -0.46, 95 percent confidence interval -0.786 -0.010.
        let x = [1.83, 0.50, 1.62, 2.48, 1.68, 1.88, 1.55, 3.06, 1.30];
        #[expect(clippy::approx_constant, reason = "a reading of 1957, and no pi")]
        let y = [0.878, 0.647, 0.598, 2.05, 1.06, 1.29, 1.06, 3.14, 1.29];
        let d: Vec<f64> = x.iter().zip(y).map(|(x, y)| y - x).collect();
        let walsh = Walsh::of(&d);
        let OrderIndex { k, .. } = order_index(9, 0.95).unwrap();
        assert!((walsh.estimate().unwrap() + 0.46).abs() < 1e-9);
        assert!((walsh.smallest(k) + 0.786).abs() < 1e-9);
        assert!((walsh.largest(k) + 0.010).abs() < 1e-9);
    }

    #[test]
    fn what_cannot_be_known_widens_the_interval() {
        let infinite = f64::INFINITY;
        let one_up = Walsh::of(&[0.1, 0.2, 0.3, infinite]);
        assert!((one_up.estimate().unwrap() - 0.275).abs() < 0.1);
        assert_eq!((one_up.smallest(1), one_up.largest(1)), (0.1, infinite));
        let both = Walsh::of(&[f64::NAN, 0.1]);
        assert_eq!(both.estimate(), None);
        assert_eq!((both.smallest(2), both.largest(2)), (-infinite, infinite));
        let opposite = Walsh::of(&[-infinite, infinite]);
        assert_eq!(opposite.estimate(), None);
        assert_eq!(Walsh::of(&[infinite; 3]).estimate(), Some(infinite));
        assert_eq!(Walsh::of(&[]).estimate(), None);
        assert_eq!(
            (one_up.smallest(0), one_up.largest(0)),
            (-infinite, infinite)
        );
        assert_eq!(
            (one_up.smallest(11), one_up.largest(11)),
            (-infinite, infinite)
        );
    }

    proptest! {
        #[test]
        fn the_interval_holds_what_the_test_does_not_reject(d in prop::collection::vec(-1.0f64..1.0, 6..24), at in -1.0f64..1.0) {
            let n = d.len();
            let OrderIndex { k, .. } = order_index(n, 0.95).unwrap();
            let walsh = Walsh::of(&d);
            let p = |sign: f64| super::super::Signed::new(d.iter().map(|d| sign * (d - at))).p_value();
            prop_assert_eq!(walsh.smallest(k) > at, p(1.0) <= 0.025);
            prop_assert_eq!(walsh.largest(k) < at, p(-1.0) <= 0.025);
        }

        #[test]
        fn negating_the_differences_mirrors_everything(d in prop::collection::vec(-1.0f64..1.0, 1..16), k in 0usize..20) {
            let negated: Vec<f64> = d.iter().map(|d| -d).collect();
            let (walsh, mirrored) = (Walsh::of(&d), Walsh::of(&negated));
            prop_assert_eq!(walsh.smallest(k), -mirrored.largest(k));
            prop_assert_eq!(walsh.estimate(), mirrored.estimate().map(|estimate| -estimate));
        }
    }
}
