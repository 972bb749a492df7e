//! Durations counted by powers of two: for those who watch, at the price of one addition for each.

use crate::units::Quantile;

/// Durations that differ by less than 2^10 ns, a microsecond, are not told apart.
const UNIT_BITS: u32 = 10;

/// Parts that each doubling is divided into, as a power of two: a quantile is an eighth too high at most.
const PART_BITS: u32 = 3;
const PARTS: u64 = 1 << PART_BITS;

/// As far as 2^42 ns, over an hour; what is longer counts in the last one.
const BUCKETS: usize = 240;

/// A distribution of durations in nanoseconds, in a kilobyte: enough to see whether something is late, and too coarse
/// for a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Coarse {
    counts: Box<[u32; BUCKETS]>,
}

impl Coarse {
    /// Counts one duration.
    #[inline]
    pub fn record(&mut self, ns: u64) {
        let count = &mut self.counts[bucket(ns)];
        *count = count.saturating_add(1);
    }

    /// Adds every duration of `other`.
    pub fn merge(&mut self, other: &Self) {
        for (mine, theirs) in self.counts.iter_mut().zip(other.counts.iter()) {
            *mine = mine.saturating_add(*theirs);
        }
    }

    /// How many durations were counted.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts.iter().map(|&count| u64::from(count)).sum()
    }

    /// The longest duration that counts as the one at rank ⌈q·n⌉: by an eighth too high at most, or by a microsecond. None
    /// where nothing was counted.
    #[must_use]
    pub fn quantile(&self, quantile: Quantile) -> Option<u64> {
        let count = self.count();
        if count == 0 {
            return None;
        }
        let rank = quantile.rank(count);
        let mut seen = 0;
        let found = self.counts.iter().position(|&count| {
            seen += u64::from(count);
            seen >= rank
        });
        found.map(longest)
    }
}

impl Default for Coarse {
    fn default() -> Self {
        Self {
            counts: Box::new([0; BUCKETS]),
        }
    }
}

/// Where a duration is counted.
#[inline]
fn bucket(ns: u64) -> usize {
    let units = ns >> UNIT_BITS;
    let bucket = if units < PARTS {
        units
    } else {
        let doublings = u64::from(units.ilog2() - PART_BITS);
        (doublings + 1) * PARTS + ((units >> doublings) & (PARTS - 1))
    };
    (bucket as usize).min(BUCKETS - 1)
}

/// The longest duration that is counted in a bucket, in nanoseconds.
fn longest(bucket: usize) -> u64 {
    let bucket = bucket as u64;
    let beyond = match (bucket / PARTS).checked_sub(1) {
        None => bucket + 1,
        Some(doublings) => (PARTS + bucket % PARTS + 1) << doublings,
    };
    (beyond << UNIT_BITS) - 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn buckets_follow_each_other_without_a_gap() {
        for place in 0..BUCKETS - 1 {
            assert_eq!(bucket(longest(place)), place);
            assert_eq!(bucket(longest(place) + 1), place + 1);
        }
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn nothing_has_no_quantile() {
        assert_eq!(Coarse::default().quantile(Quantile::P99), None);
    }

    proptest! {
        #[test]
        fn a_quantile_is_an_eighth_too_high_at_most(
            values in prop::collection::vec((0u32..42, 0u64..1 << 42).prop_map(|(shift, ns)| ns >> shift), 1..200),
            split in 0usize..200,
        ) {
            let of = |values: &[u64]| {
                let mut coarse = Coarse::default();
                values.iter().for_each(|&ns| coarse.record(ns));
                coarse
            };
            let (left, right) = values.split_at(split.min(values.len()));
            let mut merged = of(left);
            merged.merge(&of(right));
            prop_assert_eq!(&merged, &of(&values));
            prop_assert_eq!(merged.count(), values.len() as u64);
            let mut sorted = values.clone();
            sorted.sort_unstable();
            let exact = sorted[(Quantile::P99.rank(sorted.len() as u64) - 1) as usize];
            let found = merged.quantile(Quantile::P99).unwrap();
            prop_assert!(found >= exact && found <= exact + exact / 8 + 1_024, "{found} for {exact}");
        }
    }
}
