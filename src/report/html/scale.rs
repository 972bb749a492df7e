//! Axes: where a value lies, and which values are written beside them. Numbers in, numbers out.

use crate::units::thousands;

/// Where values lie on an axis: its start is 0, its end is 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Scale {
    /// Equal differences are equally long.
    Linear { low: f64, high: f64 },
    /// Equal ratios are equally long; both ends are above 0.
    Log { low: f64, high: f64 },
}

/// What is written at a place of an axis.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Tick {
    /// From 0 to 1.
    pub(super) at: f64,
    pub(super) label: String,
}

/// From this ratio of the largest value to the smallest on, a linear axis would hide the small ones.
const WIDE: f64 = 25.0;
/// Values that are all within this share of the largest are told apart only where the axis does not start at 0.
const NARROW: f64 = 0.25;

impl Scale {
    /// From 0 to a round number at or above `high`.
    pub(super) fn from_zero(high: f64) -> Self {
        let high = if high > 0.0 && high.is_finite() {
            high
        } else {
            1.0
        };
        let step = round_step(high / 4.0);
        let high = (high / step * (1.0 - 1e-9)).ceil() * step;
        Self::Linear { low: 0.0, high }
    }

    /// For times: by ratios where they are far apart, from 0 where they are not.
    pub(super) fn of_times(values: impl IntoIterator<Item = f64>) -> Self {
        let Some([low, high]) = extremes(values.into_iter().filter(|value| *value > 0.0)) else {
            return Self::from_zero(1.0);
        };
        if high < low * WIDE {
            return Self::from_zero(high);
        }
        Self::Log {
            low: round_below(low),
            high: round_above(high),
        }
    }

    /// For sizes: from 0, unless they differ by so little that this would hide how.
    pub(super) fn of_sizes(values: impl IntoIterator<Item = f64>) -> Self {
        let Some([low, high]) = extremes(values) else {
            return Self::from_zero(1.0);
        };
        if high - low >= high * NARROW || low <= 0.0 || high == low {
            return Self::from_zero(high);
        }
        Self::cut(low, high)
    }

    /// For marks that are held against each other, of which nothing stands on the axis: no more of it than they take.
    pub(super) fn around(values: impl IntoIterator<Item = f64> + Clone) -> Self {
        let Some([low, high]) = extremes(values.clone()) else {
            return Self::from_zero(1.0);
        };
        match low > high / 3.0 && high > low {
            true => Self::cut(low, high),
            false => Self::of_times(values),
        }
    }

    /// From a round number at or below `low` to one at or above `high`.
    fn cut(low: f64, high: f64) -> Self {
        let step = round_step((high - low) / 3.0);
        Self::Linear {
            low: (low / step * (1.0 + 1e-9)).floor() * step,
            high: (high / step * (1.0 - 1e-9)).ceil() * step,
        }
    }

    /// Where a value lies, from 0 to 1; one beyond an end lies at it.
    pub(super) fn place(self, value: f64) -> f64 {
        let place = match self {
            Self::Linear { low, high } => (value - low) / (high - low),
            Self::Log { low, high } => (value / low).ln() / (high / low).ln(),
        };
        match place.is_nan() {
            true => 0.0,
            false => place.clamp(0.0, 1.0),
        }
    }

    /// Whether its start is another value than 0.
    pub(super) fn is_cut(self) -> bool {
        matches!(self, Self::Linear { low, .. } if low != 0.0)
    }

    pub(super) fn is_log(self) -> bool {
        matches!(self, Self::Log { .. })
    }

    /// Round values along it, about `most` at most.
    pub(super) fn values(self, most: usize) -> Vec<f64> {
        match self {
            Self::Linear { low, high } => {
                let step = round_step((high - low) / most as f64);
                let first = (low / step - 1e-9).ceil() as i64;
                let last = (high / step + 1e-9).floor() as i64;
                (first..=last).map(|k| k as f64 * step).collect()
            }
            Self::Log { low, high } => log_values(low, high, most),
        }
    }

    /// The same with what is written beside them.
    pub(super) fn ticks(self, most: usize) -> Vec<Tick> {
        let values = self.values(most).into_iter();
        values
            .map(|value| Tick {
                at: self.place(value),
                label: short(value),
            })
            .collect()
    }
}

/// The smallest and the largest of `values`, none of which is infinite.
fn extremes(values: impl IntoIterator<Item = f64>) -> Option<[f64; 2]> {
    let finite = values.into_iter().filter(|value| value.is_finite());
    finite.fold(None, |found, value| {
        let [low, high] = found.unwrap_or([value, value]);
        Some([value.min(low), value.max(high)])
    })
}

/// 1, 2 or 5 times a power of ten: the smallest at or above `size`.
fn round_step(size: f64) -> f64 {
    round_above(if size > 0.0 && size.is_finite() {
        size
    } else {
        1.0
    })
}

fn round_above(value: f64) -> f64 {
    let decade = 10f64.powf(value.log10().floor());
    let steps = [1.0, 2.0, 5.0, 10.0].map(|step| step * decade);
    let fits = |step: &f64| *step >= value * (1.0 - 1e-9);
    steps.into_iter().find(fits).unwrap_or(value)
}

fn round_below(value: f64) -> f64 {
    let decade = 10f64.powf(value.log10().floor());
    let steps = [5.0, 2.0, 1.0].map(|step| step * decade);
    let fits = |step: &f64| *step <= value * (1.0 + 1e-9);
    steps.into_iter().find(fits).unwrap_or(value)
}

fn log_values(low: f64, high: f64, most: usize) -> Vec<f64> {
    let decades = (low.log10().floor() as i32)..=(high.log10().ceil() as i32);
    let within = |value: &f64| *value >= low * (1.0 - 1e-9) && *value <= high * (1.0 + 1e-9);
    let of = |steps: &[f64]| -> Vec<f64> {
        let all = decades.clone().flat_map(|decade| {
            let decade = 10f64.powi(decade);
            steps
                .iter()
                .map(move |step| step * decade)
                .collect::<Vec<_>>()
        });
        all.filter(within).collect()
    };
    let fine = of(&[1.0, 2.0, 5.0]);
    if fine.len() <= most {
        return fine;
    }
    let coarse = of(&[1.0]);
    let every = coarse.len().div_ceil(most.max(1)).max(1);
    coarse.into_iter().step_by(every).collect()
}

/// A round number as it stands beside an axis: `0.5`, `20`, `1,000`.
pub(super) fn short(value: f64) -> String {
    if value.abs() >= 1_000.0 {
        return thousands(value.round() as u64);
    }
    let text = format!("{value:.6}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Moments of a run of `total` nanoseconds, about `most` of them, as a clock shows them: `0:30`, `1:00:00`.
pub(super) fn moments(total: u64, most: u64) -> Vec<Tick> {
    const SECOND: u64 = 1_000_000_000;
    /// Seconds between two ticks that people count by, up to a day.
    const STEPS: [u64; 17] = [
        1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 14_400, 43_200, 86_400,
    ];
    let seconds = total / SECOND;
    let fits = |step: &u64| seconds / step <= most.max(1);
    let step = STEPS.into_iter().find(fits).unwrap_or(86_400);
    let tick = |second: u64| Tick {
        at: (second * SECOND) as f64 / total.max(1) as f64,
        label: clock(second),
    };
    (0..=seconds).step_by(step as usize).map(tick).collect()
}

fn clock(seconds: u64) -> String {
    let (hours, minutes, seconds) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    match hours {
        0 => format!("{minutes}:{seconds:02}"),
        _ => format!("{hours}:{minutes:02}:{seconds:02}"),
    }
}

/// The axis of percentiles of `count` values: every step to the right leaves the same part of what was left above. The
/// place of a quantile q is that of 1 ÷ (1 − q).
pub(super) fn percentile_axis(count: u64) -> Scale {
    Scale::Log {
        low: 1.0,
        high: (count as f64).max(2.0),
    }
}

/// What is written on [`percentile_axis`]: `0`, `50`, `90`, `99`, `99.9` … as far as `count` values reach.
pub(super) fn percentiles(count: u64) -> Vec<Tick> {
    let axis = percentile_axis(count);
    let named = [(1.0, "0".to_owned()), (2.0, "50".to_owned())];
    let nines = (1..19).map(|nines| {
        let label = match nines {
            1 => "90".to_owned(),
            2 => "99".to_owned(),
            _ => format!("99.{}", "9".repeat(nines - 2)),
        };
        (10f64.powi(nines as i32), label)
    });
    let reached = named
        .into_iter()
        .chain(nines)
        .filter(|(above, _)| *above <= (count as f64).max(2.0));
    reached
        .map(|(above, label)| Tick {
            at: axis.place(above),
            label,
        })
        .collect()
}

/// Ratios beside an axis of changes, in percent of change with their sign: none nearer to another than `gap` of the axis.
pub(super) fn changes(scale: Scale, gap: f64) -> Vec<Tick> {
    /// Rises and falls in the order in which they are to be seen.
    const PAIRS: [[(f64, &str); 2]; 12] = [
        [(1.0, "0"), (1.0, "0")],
        [(2.0, "+100 %"), (0.5, "−50 %")],
        [(1.2, "+20 %"), (0.8, "−20 %")],
        [(5.0, "+400 %"), (0.2, "−80 %")],
        [(1.5, "+50 %"), (0.7, "−30 %")],
        [(10.0, "+900 %"), (0.1, "−90 %")],
        [(1.1, "+10 %"), (0.9, "−10 %")],
        [(1.05, "+5 %"), (0.95, "−5 %")],
        [(1.02, "+2 %"), (0.98, "−2 %")],
        [(1.01, "+1 %"), (0.99, "−1 %")],
        [(1.005, "+0.5 %"), (0.995, "−0.5 %")],
        [(1.002, "+0.2 %"), (0.998, "−0.2 %")],
    ];
    let Scale::Log { low, high } = scale else {
        return Vec::new();
    };
    let mut ticks: Vec<Tick> = Vec::new();
    for pair in PAIRS {
        let seen = pair
            .into_iter()
            .filter(|(ratio, _)| (low..=high).contains(ratio));
        let new: Vec<Tick> = seen
            .map(|(ratio, label)| Tick {
                at: scale.place(ratio),
                label: label.to_owned(),
            })
            .collect();
        let is_free = |new: &Tick| ticks.iter().all(|tick| (tick.at - new.at).abs() >= gap);
        if new.iter().all(is_free) {
            ticks.extend(new);
        }
    }
    ticks.dedup();
    ticks.sort_by(|a, b| a.at.total_cmp(&b.at));
    ticks
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn labels(ticks: &[Tick]) -> Vec<&str> {
        ticks.iter().map(|tick| tick.label.as_str()).collect()
    }

    #[test]
    fn a_linear_axis_ends_at_a_round_number() {
        let scale = Scale::from_zero(8.7);
        assert_eq!(
            scale,
            Scale::Linear {
                low: 0.0,
                high: 10.0
            }
        );
        assert_eq!(labels(&scale.ticks(5)), ["0", "2", "4", "6", "8", "10"]);
        assert_eq!(
            Scale::from_zero(4.0),
            Scale::Linear {
                low: 0.0,
                high: 4.0
            }
        );
        assert_eq!(
            Scale::from_zero(0.0),
            Scale::Linear {
                low: 0.0,
                high: 1.0
            }
        );
    }

    #[test]
    fn times_far_apart_have_a_log_axis() {
        let near = Scale::of_times([1.0, 8.0]);
        assert_eq!(
            near,
            Scale::Linear {
                low: 0.0,
                high: 8.0
            }
        );
        let far = Scale::of_times([0.3, 0.0, 740.0, f64::INFINITY]);
        assert_eq!(
            far,
            Scale::Log {
                low: 0.2,
                high: 1_000.0
            }
        );
        assert_eq!(labels(&far.ticks(5)), ["1", "10", "100", "1,000"]);
        assert_eq!(labels(&far.ticks(20)).len(), 12);
    }

    #[test]
    fn sizes_that_hardly_differ_have_an_axis_of_their_own_range() {
        assert!(!Scale::of_sizes([6.1, 8.9]).is_cut());
        let cut = Scale::of_sizes([401.0, 412.0]);
        assert_eq!(
            cut,
            Scale::Linear {
                low: 400.0,
                high: 415.0
            }
        );
        assert!(cut.is_cut());
        assert!(!Scale::of_sizes([7.0, 7.0]).is_cut());
        assert!(Scale::around([2.2, 3.1]).is_cut());
        assert_eq!(Scale::around([1.0, 8.0]), Scale::of_times([1.0, 8.0]));
    }

    #[test]
    fn the_axis_of_percentiles_reaches_as_far_as_the_sample() {
        assert_eq!(
            labels(&percentiles(30_000)),
            ["0", "50", "90", "99", "99.9", "99.99"]
        );
        assert_eq!(labels(&percentiles(1)), ["0", "50"]);
        let ticks = percentiles(1_000);
        let places: Vec<f64> = ticks
            .iter()
            .map(|tick| (tick.at * 3.0 * 1e3).round())
            .collect();
        assert_eq!(places, [0.0, 301.0, 1_000.0, 2_000.0, 3_000.0]);
    }

    #[test]
    fn moments_are_read_as_on_a_clock() {
        assert_eq!(
            labels(&moments(8_500_000_000, 4)),
            ["0:00", "0:02", "0:04", "0:06", "0:08"]
        );
        assert_eq!(
            labels(&moments(90_000_000_000, 6)),
            ["0:00", "0:15", "0:30", "0:45", "1:00", "1:15", "1:30"]
        );
        assert_eq!(
            labels(&moments(3_600_000_000_000, 4)),
            ["0:00", "15:00", "30:00", "45:00", "1:00:00"]
        );
        assert_eq!(labels(&moments(0, 6)), ["0:00"]);
    }

    #[test]
    fn changes_keep_apart_and_begin_with_none() {
        let scale = Scale::Log {
            low: 0.7,
            high: 1.6,
        };
        assert_eq!(
            labels(&changes(scale, 0.12)),
            ["−30 %", "−20 %", "0", "+20 %", "+50 %"]
        );
        let fine = Scale::Log {
            low: 0.97,
            high: 1.03,
        };
        assert_eq!(
            labels(&changes(fine, 0.12)),
            ["−2 %", "−1 %", "0", "+1 %", "+2 %"]
        );
    }

    proptest! {
        #[test]
        fn every_value_between_the_ends_has_its_place(values in prop::collection::vec(1e-3f64..1e9, 1..40)) {
            for scale in [Scale::of_times(values.clone()), Scale::of_sizes(values.clone())] {
                let mut sorted = values.clone();
                sorted.sort_by(f64::total_cmp);
                let places: Vec<f64> = sorted.iter().map(|value| scale.place(*value)).collect();
                prop_assert!(places.windows(2).all(|pair| pair[0] <= pair[1]));
                prop_assert!(places.iter().all(|place| (0.0..=1.0).contains(place)));
                let ticks = scale.ticks(6);
                prop_assert!((1..=12).contains(&ticks.len()), "{scale:?} {ticks:?}");
                prop_assert!(ticks.windows(2).all(|pair| pair[0].at < pair[1].at), "{scale:?} {ticks:?}");
            }
        }
    }
}
