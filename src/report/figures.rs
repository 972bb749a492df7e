//! Figures as tables print them.

use std::time::Duration;

use crate::histogram::Histogram;
use crate::ledger::{Bound, Distribution};
use crate::scenario::{Arrivals, LoadModel};
use crate::stats::sampling::QuantileInterval;
use crate::stats::{Change, fewest};
use crate::threshold::Figure;
use crate::units::{Quantile, Rate, format_duration, mib, thousands, three_digits};

/// What stands where the sample cannot say.
pub(super) const UNKNOWN: &str = "n/a";

/// The quantiles that are reported where nobody asks for others.
pub(super) const QUANTILES: [Quantile; 4] =
    [Quantile::P50, Quantile::P90, Quantile::P99, Quantile::P99_9];

/// A quantile, where the sample is large enough for it.
pub(super) fn supported(times: &Distribution, quantile: Quantile) -> Option<Bound> {
    times
        .quantile(quantile)
        .filter(|_| times.count() >= fewest(quantile))
}

/// The one unit in which all times of a table are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TimeUnit {
    Seconds,
    Milliseconds,
    Microseconds,
}

impl TimeUnit {
    /// Milliseconds, which people compare by, save where they would hide most of the digits: a median of a second or
    /// more, or a p99 below a tenth of a millisecond.
    pub(super) fn for_times(p50: Option<u64>, p99: Option<u64>) -> Self {
        if p50.is_some_and(|ns| ns >= 1_000_000_000) {
            Self::Seconds
        } else if p99.is_some_and(|ns| ns < 100_000) {
            Self::Microseconds
        } else {
            Self::Milliseconds
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Seconds => "s",
            Self::Milliseconds => "ms",
            Self::Microseconds => "µs",
        }
    }

    /// A time in this unit, without its name; infinite where it never ended.
    pub(super) fn figure(self, ns: f64) -> String {
        if ns == f64::INFINITY {
            return "∞".to_owned();
        }
        three_digits(ns / self.ns())
    }

    /// As [`Self::figure`], with two decimals where it is small: for figures that matter only when they are large.
    pub(super) fn brief(self, ns: u64) -> String {
        let value = ns as f64 / self.ns();
        if value < 1.0 {
            format!("{value:.2}")
        } else {
            three_digits(value)
        }
    }

    /// A time in this unit as a number.
    pub(super) fn of(self, ns: f64) -> f64 {
        ns / self.ns()
    }

    fn ns(self) -> f64 {
        match self {
            Self::Seconds => 1e9,
            Self::Milliseconds => 1e6,
            Self::Microseconds => 1e3,
        }
    }

    /// A quantile of all exchanges, marked where it is a lower bound.
    pub(super) fn quantile(self, times: &Distribution, quantile: Quantile) -> String {
        supported(times, quantile).map_or(UNKNOWN.to_owned(), |bound| {
            self.bounded(bound.value, bound.censored)
        })
    }

    /// `[1.71–2.02]`, `[1.71–∞]` where requests that never ended reach the upper end, or nothing where there is none.
    pub(super) fn interval(self, interval: Option<QuantileInterval>) -> String {
        interval.map_or(String::new(), |QuantileInterval { low, high, .. }| {
            format!("[{}–{}]", self.figure(low), self.figure(high))
        })
    }

    /// The longest exchange, marked where it was longer than could be seen.
    pub(super) fn max(self, times: &Distribution) -> String {
        times.max().map_or(UNKNOWN.to_owned(), |longest| {
            self.bounded(longest.value, longest.censored)
        })
    }

    pub(super) fn quantile_of(self, times: &Histogram, quantile: Quantile) -> String {
        if times.count() < fewest(quantile) {
            return UNKNOWN.to_owned();
        }
        times
            .quantile(quantile)
            .map_or(UNKNOWN.to_owned(), |ns| self.figure(ns as f64))
    }

    pub(super) fn max_of(self, times: &Histogram) -> String {
        times
            .max()
            .map_or(UNKNOWN.to_owned(), |ns| self.figure(ns as f64))
    }

    /// A time that may be a lower bound.
    pub(super) fn bounded(self, ns: u64, censored: bool) -> String {
        let figure = self.figure(ns as f64);
        if censored {
            format!("≥ {figure}")
        } else {
            figure
        }
    }
}

/// A figure with its unit: `12.3 ms`, `0.12 %`, `998/s`, `8.9 MiB`, `0.413 MiB/min`.
pub(super) fn figure(figure: Figure) -> String {
    match figure {
        Figure::Time(ns) => {
            let unit = TimeUnit::for_times(Some(ns), Some(ns));
            format!("{} {}", unit.figure(ns as f64), unit.name())
        }
        Figure::Ratio(ratio) => ratio_percent(ratio),
        Figure::Rate(rate) => format!("{}/s", three_digits(rate)),
        Figure::Size(bytes) => format!("{} MiB", mib(bytes)),
        Figure::Slope(bytes) => {
            let per_minute = bytes * 60.0 / f64::from(1 << 20);
            format!("{} MiB/min", three_digits(per_minute))
        }
    }
}

/// A part of a whole in percent: `0.12 %`, two digits at most, `0 %` only for none.
pub(super) fn percent(part: u64, whole: u64) -> String {
    match whole {
        0 => ratio_percent(0.0),
        whole => ratio_percent(part as f64 / whole as f64),
    }
}

fn ratio_percent(ratio: f64) -> String {
    if ratio == 0.0 {
        return "0 %".to_owned();
    }
    let percent = ratio * 100.0;
    match percent {
        9.95.. => format!("{percent:.0} %"),
        0.995.. => format!("{percent:.1} %"),
        0.005.. => format!("{percent:.2} %"),
        _ => "under 0.01 %".to_owned(),
    }
}

/// A change in percent with its sign: `+6.1 %`, `−6.8 %`, `±0.0 %`, `+∞`. `ratio` is the new value over the old one.
pub(super) fn change(ratio: f64) -> String {
    if ratio == f64::INFINITY {
        return "+∞".to_owned();
    }
    let percent = (ratio - 1.0) * 100.0;
    if !percent.is_finite() {
        return UNKNOWN.to_owned();
    }
    format!("{} %", signed(percent, decimals(percent)))
}

/// A change with the ends of its interval, to as many digits: `+6.1 % [+1.9, +10.4]`.
pub(super) fn change_with_interval(change: &Change) -> String {
    let ratio = change
        .ratio
        .map_or_else(|| UNKNOWN.to_owned(), self::change);
    let Some(ends) = change.interval else {
        return ratio;
    };
    let places = change
        .ratio
        .filter(|ratio| ratio.is_finite())
        .map_or(0, |ratio| decimals((ratio - 1.0) * 100.0));
    let [low, high] = ends.map(|end| match end {
        f64::INFINITY => "+∞".to_owned(),
        end => signed((end - 1.0) * 100.0, places),
    });
    format!("{ratio} [{low}, {high}]")
}

/// The size of a change without its sign: `6.1 %`, `31 %`.
pub(super) fn size_of_change(ratio: f64) -> String {
    let text = change(ratio);
    text.trim_start_matches(['+', '−', '±']).to_owned()
}

fn decimals(percent: f64) -> usize {
    usize::from(percent.abs() < 9.95)
}

fn signed(percent: f64, places: usize) -> String {
    let size = percent.abs();
    let size = match size {
        999.5.. => thousands(size.round() as u64),
        _ => format!("{size:.places$}"),
    };
    let sign = match size.as_str() {
        "0.0" | "0" => "±",
        _ if percent < 0.0 => "−",
        _ => "+",
    };
    format!("{sign}{size}")
}

/// Bytes on the wire, in powers of ten: `12.3 MB`.
pub(super) fn bytes(bytes: u64) -> String {
    let value = bytes as f64;
    match value {
        999_500_000.0.. => format!("{} GB", three_digits(value / 1e9)),
        999_500.0.. => format!("{} MB", three_digits(value / 1e6)),
        999.5.. => format!("{} kB", three_digits(value / 1e3)),
        _ => format!("{bytes} B"),
    }
}

/// A span of time as it is read out: `1 min 52 s`, `2.5 s`, `500 ms`.
pub(super) fn span(ns: u64) -> String {
    const SECOND: u64 = 1_000_000_000;
    let seconds = (ns + SECOND / 2) / SECOND;
    match ns {
        3_600_000_000_000.. => format!("{} h {} min", seconds / 3_600, seconds % 3_600 / 60),
        60_000_000_000.. if seconds.is_multiple_of(60) => format!("{} min", seconds / 60),
        60_000_000_000.. => format!("{} min {} s", seconds / 60, seconds % 60),
        SECOND.. if ns.is_multiple_of(SECOND) => format!("{seconds} s"),
        SECOND.. => format!("{} s", three_digits(ns as f64 / 1e9)),
        1_000_000.. if ns.is_multiple_of(1_000_000) => format!("{} ms", ns / 1_000_000),
        1_000_000.. => format!("{} ms", three_digits(ns as f64 / 1e6)),
        _ => format_duration(Duration::from_nanos(ns)),
    }
}

/// A moment of a run: `00:04.2`, minutes, seconds and tenths.
pub(super) fn moment(ns: u64) -> String {
    let tenths = ns / 100_000_000;
    format!(
        "{:02}:{:02}.{}",
        tenths / 600,
        tenths / 10 % 60,
        tenths % 10
    )
}

/// A rate: `1,000/s` where it is whole, as it is written in a scenario otherwise.
pub(super) fn rate(rate: Rate) -> String {
    let per_second = rate.per_second();
    if per_second >= 1.0 && per_second.fract() == 0.0 {
        format!("{}/s", thousands(per_second as u64))
    } else {
        rate.to_string()
    }
}

/// How load was made: `1,000/s constant`, `100/s..400/s ramp`, `50 users, closed`.
pub(super) fn load(model: LoadModel) -> String {
    match model {
        LoadModel::Open {
            rate: own,
            arrivals,
        } => {
            let spread = match arrivals {
                Arrivals::Constant => "constant",
                Arrivals::Poisson => "poisson",
            };
            format!("{} {spread}", rate(own))
        }
        LoadModel::Ramp { from, to, arrivals } => {
            let spread = match arrivals {
                Arrivals::Constant => "",
                Arrivals::Poisson => "poisson ",
            };
            format!("{}..{} {spread}ramp", rate(from), rate(to))
        }
        LoadModel::Closed { users: 1 } => "1 user, closed".to_owned(),
        LoadModel::Closed { users } => format!("{} users, closed", thousands(users.into())),
        LoadModel::Pause => "pause".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_keep_their_sign_and_two_digits() {
        for (ratio, expected) in [
            (1.0611, "+6.1 %"),
            (0.932, "−6.8 %"),
            (1.31, "+31 %"),
            (0.5, "−50 %"),
            (1.0001, "±0.0 %"),
            (0.9999, "±0.0 %"),
            (12.0, "+1,100 %"),
            (f64::INFINITY, "+∞"),
            (f64::NAN, "n/a"),
        ] {
            assert_eq!(change(ratio), expected, "{ratio}");
        }
        assert_eq!(size_of_change(0.932), "6.8 %");
    }

    #[test]
    fn ends_of_an_interval_have_the_digits_of_the_change() {
        for (ratio, interval, expected) in [
            (Some(1.061), Some([1.019, 1.104]), "+6.1 % [+1.9, +10.4]"),
            (Some(1.31), Some([1.221, 1.414]), "+31 % [+22, +41]"),
            (Some(0.979), Some([0.97, 0.988]), "−2.1 % [−3.0, −1.2]"),
            (
                Some(f64::INFINITY),
                Some([1.5, f64::INFINITY]),
                "+∞ [+50, +∞]",
            ),
            (None, Some([0.0, f64::INFINITY]), "n/a [−100, +∞]"),
            (Some(1.5), None, "+50 %"),
        ] {
            let change = Change {
                ratio,
                interval,
                level: 0.95,
                rounds: 20,
                pair_sd: None,
                correlation: None,
            };
            assert_eq!(change_with_interval(&change), expected);
        }
    }

    #[test]
    fn parts_are_never_rounded_to_none() {
        for (part, whole, expected) in [
            (37, 30_000, "0.12 %"),
            (0, 30_000, "0 %"),
            (1, 10_000_000, "under 0.01 %"),
            (1, 3, "33 %"),
            (5, 100, "5.0 %"),
            (7, 7, "100 %"),
        ] {
            assert_eq!(percent(part, whole), expected, "{part} of {whole}");
        }
    }

    #[test]
    fn spans_and_moments_read_as_people_say_them() {
        for (ns, expected) in [
            (112_000_000_000, "1 min 52 s"),
            (60_000_000_000, "1 min"),
            (59_999_999_999, "60.0 s"),
            (30_000_000_000, "30 s"),
            (2_500_000_000, "2.50 s"),
            (500_000_000, "500 ms"),
            (3_210_400, "3.21 ms"),
            (3_720_000_000_000, "1 h 2 min"),
            (0, "0s"),
        ] {
            assert_eq!(span(ns), expected, "{ns}");
        }
        assert_eq!(moment(4_250_000_000), "00:04.2");
        assert_eq!(moment(3_725_900_000_000), "62:05.9");
    }

    #[test]
    fn bytes_are_in_powers_of_ten() {
        for (count, expected) in [
            (12_345_678, "12.3 MB"),
            (999, "999 B"),
            (1_000, "1.00 kB"),
            (999_999, "1.00 MB"),
            (1_500_000_000, "1.50 GB"),
        ] {
            assert_eq!(bytes(count), expected, "{count}");
        }
    }

    #[test]
    fn a_small_sample_has_no_tail_but_a_longest() {
        let mut times = Histogram::new();
        (1..=367).for_each(|k| times.record(k * 1_000_000));
        let unit = TimeUnit::Milliseconds;
        assert_eq!(unit.quantile_of(&times, Quantile::P99), "n/a");
        assert_eq!(unit.max_of(&times), "367");
        times.record(1_000_000);
        assert_eq!(unit.quantile_of(&times, Quantile::P99), "364");
        assert_eq!(unit.quantile_of(&times, Quantile::P99_9), "n/a");
    }
}
