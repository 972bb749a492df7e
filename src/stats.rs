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

/// A straight line through points in the order of time, and how sure its slope is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Trend {
    /// By least squares, in units of y per unit of x.
    pub slope: f64,
    /// Its 95 % interval; none where the points are too few, or too much alike from one to the next, to say.
    pub interval: Option<[f64; 2]>,
}

impl Trend {
    /// Fewer independent points than this give no interval: two are spent on the line, and with under three left the
    /// quantile of Student's t says little but that.
    const FEWEST: f64 = 5.0;

    /// Residuals this much smaller than the values are the rounding of sums of thousands of them.
    const ROUNDING: f64 = 1e-9;

    /// The line through `points`, of which there are two or more at different places; none otherwise.
    ///
    /// Neighbours in time are alike, so n points say less than n independent ones would. The interval counts them as
    /// n (1 − r) ÷ (1 + r), where r is the correlation of each residual with the next: B. D. Santer et al.: "Statistical
    /// significance of trends and trend differences in layer-average atmospheric temperature time series", J. Geophys. Res.
    /// 105 (2000), section 4.
    #[must_use]
    pub fn of(points: &[(f64, f64)]) -> Option<Self> {
        let n = points.len() as f64;
        let (sum_x, sum_y) = points
            .iter()
            .fold((0.0, 0.0), |(x, y), point| (x + point.0, y + point.1));
        let (mean_x, mean_y) = (sum_x / n, sum_y / n);
        let (covariance, variance) = points.iter().fold((0.0, 0.0), |(c, v), (x, y)| {
            let dx = x - mean_x;
            (c + dx * (y - mean_y), v + dx * dx)
        });
        let slope = covariance / variance;
        if !slope.is_finite() {
            return None;
        }
        let residuals: Vec<f64> = points
            .iter()
            .map(|(x, y)| (y - mean_y) - slope * (x - mean_x))
            .collect();
        let squares: f64 = residuals.iter().map(|residual| residual * residual).sum();
        // What is left of points on a line is the rounding of the sums, which would look alike from one to the next.
        let largest = points
            .iter()
            .fold(0.0, |most: f64, (_, y)| most.max(y.abs()));
        let squares = if squares <= n * (Self::ROUNDING * largest).powi(2) {
            0.0
        } else {
            squares
        };
        let products: f64 = residuals.windows(2).map(|pair| pair[0] * pair[1]).sum();
        // Neighbours that are unlike by chance make a trend no surer.
        let alike = if squares > 0.0 {
            (products / squares).max(0.0)
        } else {
            0.0
        };
        let independent = n * (1.0 - alike) / (1.0 + alike);
        let interval = (independent >= Self::FEWEST).then(|| {
            let left = independent - 2.0;
            let half = student(left) * (squares / left / variance).sqrt();
            [slope - half, slope + half]
        });
        Some(Self { slope, interval })
    }
}

/// The 97.5 % quantile of Student's t with `freedom` ≥ 3 degrees of freedom, within 0.2 %: the first terms of Cornish and
/// Fisher's expansion (M. Abramowitz, I. A. Stegun: "Handbook of Mathematical Functions", 26.7.5).
fn student(freedom: f64) -> f64 {
    const NORMAL: f64 = 1.959_963_985;
    let power = |exponent| NORMAL.powi(exponent);
    let terms = [
        (power(3) + NORMAL) / 4.0,
        (5.0 * power(5) + 16.0 * power(3) + 3.0 * NORMAL) / 96.0,
        (3.0 * power(7) + 19.0 * power(5) + 17.0 * power(3) - 15.0 * NORMAL) / 384.0,
        (79.0 * power(9) + 776.0 * power(7) + 1482.0 * power(5)
            - 1920.0 * power(3)
            - 945.0 * NORMAL)
            / 92_160.0,
    ];
    // Horner's rule over 1 / freedom.
    NORMAL
        + terms
            .iter()
            .rev()
            .fold(0.0, |sum, term| (sum + term) / freedom)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn quantiles_of_student_are_those_of_the_tables() {
        for (freedom, quantile) in [
            (3.0, 3.182),
            (5.0, 2.571),
            (10.0, 2.228),
            (28.0, 2.048),
            (1e9, 1.960),
        ] {
            let found = student(freedom);
            assert!((found / quantile - 1.0).abs() < 0.002, "{freedom}: {found}");
        }
    }

    #[test]
    fn a_line_is_its_own_trend() {
        let line: Vec<(f64, f64)> = (0..30)
            .map(|x| (f64::from(x), 3.0 * f64::from(x)))
            .collect();
        let trend = Trend::of(&line).unwrap();
        let [low, high] = trend.interval.unwrap();
        assert!((trend.slope - 3.0).abs() < 1e-9 && low <= 3.0 + 1e-9 && high >= 3.0 - 1e-9);
        assert_eq!(Trend::of(&line[..1]), None);
        assert_eq!(Trend::of(&[]), None);
        let few = Trend::of(&line[..4]).unwrap();
        assert_eq!(few.interval, None);
        let flat = Trend::of(&line.iter().map(|&(x, _)| (x, 7.0)).collect::<Vec<_>>());
        let expected = Trend {
            slope: 0.0,
            interval: Some([0.0, 0.0]),
        };
        assert_eq!(flat, Some(expected));
    }

    /// The share of series without a trend whose interval leaves out 0; each value keeps `memory` of the one before.
    fn false_alarms(memory: f64) -> f64 {
        let (mut state, mut alarms, mut said) = (1u64, 0, 0);
        let mut draw = || {
            // The sum of twelve evenly spread numbers is nearly normal.
            (0..12).fold(-6.0, |sum, _| {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1_442_695_040_888_963_407);
                sum + (state >> 11) as f64 / (1u64 << 53) as f64
            })
        };
        for _ in 0..4_000 {
            let mut value = draw();
            let points: Vec<(f64, f64)> = (0..30)
                .map(|x| {
                    value = memory * value + (1.0 - memory * memory).sqrt() * draw();
                    (f64::from(x), value)
                })
                .collect();
            if let Some([low, high]) = Trend::of(&points).unwrap().interval {
                said += 1;
                alarms += i32::from(low > 0.0 || high < 0.0);
            }
        }
        assert!(said > 2_000, "{said}");
        f64::from(alarms) / f64::from(said)
    }

    #[test]
    fn chance_is_seldom_called_growth() {
        // 5 % by construction; estimates of r from thirty points are low, so alike neighbours cost some of that.
        assert!(false_alarms(0.0) < 0.06, "{}", false_alarms(0.0));
        assert!(false_alarms(0.3) < 0.10, "{}", false_alarms(0.3));
        assert!(false_alarms(0.6) < 0.15, "{}", false_alarms(0.6));
    }

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
