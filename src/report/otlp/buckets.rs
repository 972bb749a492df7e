//! Histograms with exponential buckets, as OpenTelemetry defines them.
//!
//! At scale s, bucket i has the values above b^i and up to b^(i+1), where b = 2^(2^−s). A value that is read back as the middle of
//! its bucket is off by at most (b − 1) / (b + 1). The finest scale is taken at which [`MOST`] buckets reach from the smallest value to
//! the largest: where the largest is up to 2.3 times the smallest that is 8 (off by 0.14 %), up to 31 times 6 (0.54 %), up to 1,000
//! times 5 (1.1 %), up to a million times 4 (2.2 %), up to 10¹² times 3 (4.3 %), and beyond 2 (8.6 %).
//! <https://opentelemetry.io/docs/specs/otel/metrics/data-model/#exponentialhistogram>

use crate::histogram::Histogram;

/// The finest scale: its buckets are 0.27 % wide, about what is left of a value in an HDR histogram.
const FINEST: u32 = 8;

/// Buckets at most. Twice what the SDKs of OpenTelemetry keep, and a few hundred bytes of a message.
pub(super) const MOST: usize = 320;

/// Counts in exponential buckets of seconds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Exponential {
    /// How finely each doubling is divided: into 2^scale buckets.
    pub(super) scale: i32,
    /// The index of the first bucket.
    pub(super) offset: i32,
    /// The buckets from there on; neither the first nor the last is empty.
    pub(super) counts: Vec<u64>,
    /// Values that are zero, which no bucket has.
    pub(super) zeros: u64,
}

impl Exponential {
    /// The counts of `histogram`, which are nanoseconds, none of them left out.
    pub(super) fn of(histogram: &Histogram) -> Self {
        let values = histogram.values();
        let zeros = values.iter().filter(|(ns, _)| *ns == 0);
        let zeros = zeros.map(|(_, count)| count).sum();
        let above = values.iter().filter(|(ns, _)| *ns > 0);
        let placed: Vec<(i32, u64)> = above.map(|&(ns, count)| (index(ns), count)).collect();
        let (Some(&(first, _)), Some(&(last, _))) = (placed.first(), placed.last()) else {
            return Self {
                zeros,
                ..Self::default()
            };
        };
        // At the coarsest a bucket is a doubling, and there are 64 of them at most.
        let coarser = (0..=FINEST)
            .find(|by| reach(first >> by, last >> by) <= MOST)
            .unwrap_or(FINEST);
        let offset = first >> coarser;
        let mut counts = vec![0_u64; reach(offset, last >> coarser)];
        for (index, count) in placed {
            let place = ((index >> coarser) - offset) as usize;
            counts[place] = counts[place].saturating_add(count);
        }
        Self {
            scale: (FINEST - coarser) as i32,
            offset,
            counts,
            zeros,
        }
    }
}

/// Buckets from the first to the last.
fn reach(first: i32, last: i32) -> usize {
    (last - first) as usize + 1
}

/// The bucket of a time above zero, at the finest scale.
fn index(ns: u64) -> i32 {
    let seconds = ns as f64 / 1e9;
    let finest = FINEST as i32;
    let mut index = (seconds.log2() * f64::from(1_u32 << FINEST)).ceil() as i32 - 1;
    // The logarithm may be off by its last digit, which decides at the edge of a bucket.
    while seconds <= edge(index, finest) {
        index -= 1;
    }
    while seconds > edge(index + 1, finest) {
        index += 1;
    }
    index
}

/// Where bucket `index` begins, in seconds; that value itself is in the bucket before.
fn edge(index: i32, scale: i32) -> f64 {
    (f64::from(index) / f64::from(1_u32 << scale)).exp2()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::histogram::HIGHEST;

    fn of(values: &[u64]) -> Histogram {
        let mut histogram = Histogram::new();
        values.iter().for_each(|&value| histogram.record(value));
        histogram
    }

    /// Times that lie `doublings` apart at most, anywhere between a nanosecond and an hour.
    fn times() -> impl Strategy<Value = Vec<u64>> {
        let within = |(low, doublings): (u32, u32)| {
            let high = (low + doublings).min(41);
            prop::collection::vec(
                (1_u64 << low..=1 << high).prop_map(|ns| ns.min(HIGHEST)),
                1..200,
            )
        };
        (0_u32..41, 1_u32..42).prop_flat_map(within)
    }

    proptest! {
        #[test]
        fn every_value_lies_in_its_bucket_and_none_is_lost(times in times()) {
            let histogram = of(&times);
            let exponential = Exponential::of(&histogram);
            let mut counted = vec![0; exponential.counts.len()];
            for (ns, count) in histogram.values() {
                let seconds = ns as f64 / 1e9;
                let place = (0..counted.len()).find(|&place| {
                    let index = exponential.offset + place as i32;
                    let [low, high] = [index, index + 1].map(|index| edge(index, exponential.scale));
                    low < seconds && seconds <= high
                });
                prop_assert!(place.is_some(), "{ns} ns is in no bucket of {exponential:?}");
                counted[place.unwrap()] += count;
            }
            prop_assert_eq!(&counted, &exponential.counts);
            prop_assert_eq!(counted.iter().sum::<u64>() + exponential.zeros, times.len() as u64);
        }

        #[test]
        fn buckets_are_as_fine_as_their_number_allows(times in times()) {
            let exponential = Exponential::of(&of(&times));
            prop_assert!(exponential.counts.len() <= MOST);
            prop_assert!(exponential.counts[0] > 0 && *exponential.counts.last().unwrap() > 0);
            let finer = exponential.scale + 1;
            if exponential.scale < FINEST as i32 {
                // Each bucket would be two, but for half a bucket at either end.
                prop_assert!(exponential.counts.len() * 2 > MOST, "scale {finer} would do");
            }
        }
    }

    #[test]
    fn a_power_of_two_is_the_last_value_of_its_bucket() {
        for (ns, seconds) in [
            (500_000_000, 0.5),
            (1_000_000_000, 1.0),
            (2_000_000_000, 2.0),
        ] {
            let end = edge(index(ns) + 1, FINEST as i32);
            assert!((end - seconds).abs() < f64::EPSILON, "{end}");
        }
    }

    #[test]
    fn the_scales_are_those_that_are_promised() {
        for (low, high, scale) in [
            (1_000_000, 2_300_000, 8),
            (1_000_000, 1_000_000_000, 5),
            (1, HIGHEST, 2),
        ] {
            assert_eq!(Exponential::of(&of(&[low, high])).scale, scale, "{high}");
        }
    }

    #[test]
    fn zeros_and_nothing_need_no_bucket() {
        let nothing = Exponential::of(&Histogram::new());
        assert_eq!(nothing, Exponential::default());
        let zeros = Exponential::of(&of(&[0, 0]));
        assert_eq!((zeros.zeros, zeros.counts.len()), (2, 0));
        let both = Exponential::of(&of(&[0, 1_000]));
        assert_eq!((both.zeros, both.counts), (1, vec![1]));
    }
}
