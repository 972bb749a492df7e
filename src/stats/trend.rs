//! A straight line through what was read over time, and whether its slope is more than chance.

use super::student;

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
            let half = student(left, 0.975) * (squares / left / variance).sqrt();
            [slope - half, slope + half]
        });
        Some(Self { slope, interval })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
