//! How much a sample can say: the sizes from which a quantile may be printed, and the spread of a few values.

use crate::units::Quantile;

/// The chance that is left for a quantile to lie above everything that was seen, on one side of a 95 % interval.
const ONE_SIDE: f64 = 0.025;

/// The fewest values of which a quantile may be printed: with fewer, even the largest value is no upper limit of it
/// at 95 % confidence. Six for p50, 36 for p90, 368 for p99, 3,688 for p99.9.
///
/// All n values lie below the quantile q with probability qⁿ, so the least n with qⁿ ≤ 0.025 is meant; see W. Q.
/// Meeker, G. J. Hahn, L. A. Escobar: "Statistical Intervals", 2nd edition, section 5.2.
#[must_use]
pub fn fewest(quantile: Quantile) -> u64 {
    (ONE_SIDE.ln() / quantile.fraction().ln()).ceil() as u64
}

/// The fewest values in a round of which its quantile may be compared with another round's: 20 beyond the quantile,
/// so that it rests on more than a handful of requests. 2,000 for p99, 20,000 for p99.9.
#[must_use]
pub fn fewest_per_round(quantile: Quantile) -> u64 {
    const BEYOND: f64 = 20.0;
    // Quantiles are whole millionths: rounding undoes what the subtraction does to the last digit.
    (BEYOND / (1.0 - quantile.fraction())).round() as u64
}

/// The middle and the ends of a few values.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spread {
    /// Half of the values are at or below it; the mean of the two middle ones where their number is even.
    pub median: f64,
    /// The smallest.
    pub low: f64,
    /// The largest.
    pub high: f64,
    /// How many there are.
    pub count: usize,
}

impl Spread {
    /// The spread of `values`, among which may be +∞; none where there are none, or one of them is no number.
    #[must_use]
    pub fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<f64> = values.into_iter().collect();
        if values.iter().any(|value| value.is_nan()) {
            return None;
        }
        values.sort_by(f64::total_cmp);
        let (&low, &high) = (values.first()?, values.last()?);
        let upper = values[values.len() / 2];
        let lower = values[(values.len() - 1) / 2];
        Some(Self {
            median: if lower == upper {
                lower
            } else {
                lower.midpoint(upper)
            },
            low,
            high,
            count: values.len(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_smallest_samples_are_those_of_the_binomial() {
        for (quantile, least) in [
            (Quantile::P50, 6),
            (Quantile::P90, 36),
            (Quantile::P99, 368),
            (Quantile::P99_9, 3_688),
        ] {
            assert_eq!(fewest(quantile), least, "{quantile}");
            let beyond = |n: u64| quantile.fraction().powf(n as f64);
            assert!(beyond(least) <= ONE_SIDE && beyond(least - 1) > ONE_SIDE);
        }
    }

    #[test]
    fn a_round_needs_twenty_requests_beyond_its_quantile() {
        let sizes =
            [Quantile::P50, Quantile::P90, Quantile::P99, Quantile::P99_9].map(fewest_per_round);
        assert_eq!(sizes, [40, 200, 2_000, 20_000]);
    }

    #[test]
    fn the_middle_of_a_few_values() {
        let infinite = f64::INFINITY;
        for (values, median) in [
            (vec![3.0], 3.0),
            (vec![4.0, 1.0], 2.5),
            (vec![9.0, 1.0, 2.0], 2.0),
            (vec![1.0, infinite, 2.0], 2.0),
            (vec![1.0, infinite], infinite),
            (vec![infinite, infinite], infinite),
        ] {
            assert_eq!(
                Spread::of(values.clone()).unwrap().median,
                median,
                "{values:?}"
            );
        }
        assert_eq!(Spread::of([]), None);
        assert_eq!(Spread::of([1.0, f64::NAN]), None);
    }

    proptest! {
        #[test]
        fn half_of_the_values_are_on_each_side_of_the_middle(values in prop::collection::vec(0.0f64..1e12, 1..40)) {
            let spread = Spread::of(values.iter().copied()).unwrap();
            let below = values.iter().filter(|&&value| value < spread.median).count();
            let above = values.iter().filter(|&&value| value > spread.median).count();
            prop_assert!(below * 2 <= values.len() && above * 2 <= values.len());
            prop_assert!(values.iter().all(|value| (spread.low..=spread.high).contains(value)));
        }
    }
}
