//! Readings over time, in bounded memory.

use std::time::Duration;

use crate::stats::Trend;

/// The most readings kept: an hour at 100 Hz, 5.8 MB. A longer series is thinned to every second reading, then to every
/// fourth, and so on; its largest value is kept exactly whatever happens.
const CAPACITY: usize = 360_000;

/// The shortest span over which growth is stated. A few seconds show how an allocator warms up, not how a service leaks.
const SLOPE_AT_LEAST: Duration = Duration::from_secs(10);

/// Parts of a series whose means a trend goes through. Readings a twentieth of a second apart tell nearly the same; thirty
/// means leave enough of them to see how far neighbours still agree.
const BLOCKS: usize = 30;

/// A series of (moment, bytes), in the order of time.
#[derive(Debug, Clone)]
pub(super) struct Series {
    readings: Vec<(Duration, u64)>,
    capacity: usize,
    /// One of so many readings is kept.
    stride: u64,
    seen: u64,
    largest: Option<u64>,
}

impl Default for Series {
    fn default() -> Series {
        Series::with_capacity(CAPACITY)
    }
}

impl Series {
    fn with_capacity(capacity: usize) -> Series {
        Series {
            readings: Vec::new(),
            capacity,
            stride: 1,
            seen: 0,
            largest: None,
        }
    }

    /// Adds a reading; `at` counts from any fixed moment and does not decrease.
    pub(super) fn push(&mut self, at: Duration, bytes: u64) {
        self.largest = self.largest.max(Some(bytes));
        if self.seen.is_multiple_of(self.stride) {
            if self.readings.len() == self.capacity {
                let mut index = 0;
                self.readings.retain(|_| {
                    index += 1;
                    index % 2 == 1
                });
                self.stride *= 2;
            }
            // After thinning, this reading may itself be between two that are kept.
            if self.seen.is_multiple_of(self.stride) {
                self.readings.push((at, bytes));
            }
        }
        self.seen += 1;
    }

    /// How many readings are kept.
    pub(super) fn kept(&self) -> u64 {
        self.readings.len() as u64
    }

    /// The largest of all readings.
    pub(super) fn largest(&self) -> Option<u64> {
        self.largest
    }

    /// The smallest reading that at least `share` of the readings (0 to 1) do not exceed.
    pub(super) fn quantile(&self, share: f64) -> Option<u64> {
        let mut values: Vec<u64> = self.readings.iter().map(|&(_, bytes)| bytes).collect();
        quantile(&mut values, share)
    }

    /// Growth in bytes per second, by the means of [`BLOCKS`] equal parts of the readings.
    pub(super) fn trend(&self) -> Option<Trend> {
        let (first, last) = (self.readings.first()?.0, self.readings.last()?.0);
        if last - first < SLOPE_AT_LEAST {
            return None;
        }
        let readings = &self.readings;
        let blocks = readings.len().min(BLOCKS);
        let block = |index| {
            &readings[index * readings.len() / blocks..(index + 1) * readings.len() / blocks]
        };
        let points: Vec<(f64, f64)> = (0..blocks).map(|index| mean(block(index), first)).collect();
        Trend::of(&points)
    }
}

/// The middle of a few readings, in seconds from `first` and bytes.
fn mean(readings: &[(Duration, u64)], first: Duration) -> (f64, f64) {
    let count = readings.len() as f64;
    let (x, y) = readings.iter().fold((0.0, 0.0), |(x, y), &(at, bytes)| {
        (x + (at - first).as_secs_f64(), y + bytes as f64)
    });
    (x / count, y / count)
}

/// As [`Series::quantile`], over bare values, which are reordered.
pub(super) fn quantile(values: &mut [u64], share: f64) -> Option<u64> {
    let last = values.len().checked_sub(1)?;
    let rank = ((values.len() as f64 * share).ceil() as usize)
        .saturating_sub(1)
        .min(last);
    Some(*values.select_nth_unstable(rank).1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn nothing_read_is_nothing_known() {
        let series = Series::default();
        assert_eq!(
            (series.quantile(0.5), series.largest(), series.trend()),
            (None, None, None)
        );
    }

    #[test]
    fn quantiles_by_nearest_rank() {
        for (values, share, expected) in [
            (vec![7], 0.95, 7),
            (vec![4, 3, 2, 1], 0.5, 2),
            (vec![4, 3, 2, 1], 0.51, 3),
            ((1..=100).rev().collect(), 0.95, 95),
            ((1..=100).rev().collect(), 1.0, 100),
            ((1..=100).rev().collect(), 0.0, 1),
        ] {
            assert_eq!(
                quantile(&mut values.clone(), share),
                Some(expected),
                "{share} of {values:?}"
            );
        }
    }

    #[test]
    fn growth_is_stated_only_over_a_long_enough_span() {
        let mut series = Series::default();
        for second in 0..10 {
            series.push(Duration::from_secs(second), 5000 + second * 100);
        }
        assert_eq!(series.trend(), None);
        series.push(Duration::from_secs(10), 6000);
        let trend = series.trend().unwrap();
        assert!((trend.slope - 100.0).abs() < 1e-9, "{trend:?}");
    }

    #[test]
    fn growth_goes_through_the_means_of_equal_parts() {
        let mut series = Series::default();
        // A minute at 20 Hz: 64 KiB a second on top of a saw with a tooth of 5 MiB every half second.
        for reading in 0..1_200u64 {
            let tooth = (reading % 10) * (512 << 10);
            series.push(
                Duration::from_millis(50 * reading),
                (reading * (64 << 10)) / 20 + tooth,
            );
        }
        let trend = series.trend().unwrap();
        let [low, high] = trend.interval.unwrap();
        let grown = f64::from(64 << 10);
        assert!((trend.slope - grown).abs() < 1.0, "{trend:?}");
        assert!(low > 0.9 * grown && high < 1.1 * grown, "{trend:?}");
    }

    proptest! {
        #[test]
        fn a_thinned_series_is_evenly_spaced_bounded_and_knows_its_peak(values in prop::collection::vec(0u64..1000, 1..500)) {
            let mut series = Series::with_capacity(16);
            for (index, &bytes) in values.iter().enumerate() {
                series.push(Duration::from_millis(index as u64), bytes);
            }
            prop_assert_eq!(series.largest(), values.iter().max().copied());
            prop_assert!(series.kept() <= 16);
            let every = series.stride as usize;
            let expected: Vec<(Duration, u64)> =
                values.iter().enumerate().step_by(every).map(|(i, &b)| (Duration::from_millis(i as u64), b)).collect();
            prop_assert_eq!(&series.readings, &expected);
        }
    }
}
