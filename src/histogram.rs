//! Durations in HDR histograms: one range, one precision, exact extremes and sum beside them.
//!
//! A value is a whole number of nanoseconds. Counts are kept from 1 ns to [`HIGHEST`] with three significant
//! digits, so a quantile read back lies within 0.1 % of the value that was recorded at that rank; above
//! [`HIGHEST`] a value counts in the last bucket, and only `max` and the mean still know it. The sum saturates at
//! 584 years.
//! The technique: G. Tene, HdrHistogram, <https://hdrhistogram.github.io/HdrHistogram/>.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hdrhistogram::Histogram as Hdr;
use hdrhistogram::serialization::{Deserializer, Serializer as _, V2DeflateSerializer};

use crate::units::Quantile;

/// One hour: longer than any timeout a load test can wait for, and 264 KiB of counts.
pub const HIGHEST: u64 = 3_600_000_000_000;

/// Three digits keep a quantile within 0.1 %, an order below the uncertainty of any p99 worth gating on.
const SIGNIFICANT_DIGITS: u8 = 3;

/// Buckets of equal width that each doubling of the value is divided into: what three digits take.
pub const SUB_BUCKETS: u32 = 2_048;

/// Doublings, the first of which reaches from 0 to [`SUB_BUCKETS`], until [`HIGHEST`] is reached.
pub const BUCKETS: u32 = {
    let mut buckets = 1;
    while (SUB_BUCKETS as u64) << (buckets - 1) <= HIGHEST {
        buckets += 1;
    }
    buckets
};

/// A distribution of durations in nanoseconds. Empty, it owns no memory; the counts are allocated at the first
/// value, and [packed](Histogram::pack) when no more are expected for now.
#[derive(Debug, Clone, Default)]
pub struct Histogram {
    counts: Counts,
    min: u64,
    max: u64,
    sum: u64,
}

#[derive(Debug, Clone, Default)]
enum Counts {
    #[default]
    None,
    /// 264 KiB.
    Open(Box<Hdr<u64>>),
    /// The buckets in which there is something: mostly a few kilobytes.
    Packed { count: u64, buckets: Buckets },
}

/// The highest value of a bucket and how many values it has, lowest first; none of them empty.
type Buckets = Box<[(u64, u64)]>;

/// A place on the way from the smallest value to the largest.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    /// The share of the values that this point is to reach, from 0 to 1.
    pub quantile: f64,
    /// The value there, in nanoseconds.
    pub value: u64,
    /// How many values are as large or smaller.
    pub count: u64,
}

/// A histogram of nothing, to ask about buckets.
static RULER: LazyLock<Hdr<u64>> = LazyLock::new(empty_counts);

/// Why a saved histogram could not be read.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// Not base64.
    #[error("histogram text is not base64")]
    Base64(#[source] base64::DecodeError),
    /// Not an HdrHistogram in V2 encoding, or a damaged one.
    #[error("histogram text is not a V2 HdrHistogram: {0}")]
    Encoding(String),
    /// The counts contradict the exact figures beside them.
    #[error("histogram does not fit the min, max and sum saved beside it")]
    Extremes,
}

/// A histogram in the form in which a record keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encoded {
    /// Smallest value, in nanoseconds.
    pub min: u64,
    /// Largest value, in nanoseconds.
    pub max: u64,
    /// Sum of the values, in nanoseconds.
    pub sum: u64,
    /// HdrHistogram's V2 encoding, compressed, in base64.
    pub text: String,
}

impl Histogram {
    /// An empty distribution.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            counts: Counts::None,
            min: 0,
            max: 0,
            sum: 0,
        }
    }

    /// Counts one value, in nanoseconds.
    #[inline]
    pub fn record(&mut self, value: u64) {
        if let Counts::Open(counts) = &mut self.counts {
            counts.saturating_record(value.min(HIGHEST));
            self.min = self.min.min(value);
            self.max = self.max.max(value);
            self.sum = self.sum.saturating_add(value);
        } else {
            self.record_first(value);
        }
    }

    /// Adds every value of `other`. The order of merging does not matter.
    pub fn merge(&mut self, other: &Self) {
        if other.is_empty() {
            return;
        }
        match (&mut self.counts, &other.counts) {
            (Counts::None, _) => return self.clone_from(other),
            // Both were made by `empty_counts`, so their ranges are the same.
            (Counts::Open(mine), Counts::Open(theirs)) => mine
                .add(theirs.as_ref())
                .expect("histograms of one range and precision can be added"),
            (Counts::Open(mine), _) => add(mine, &other.buckets()),
            (Counts::Packed { count, buckets }, _) => {
                *buckets = union(buckets, &other.buckets());
                *count = count.saturating_add(other.count());
            }
        }
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
        self.sum = self.sum.saturating_add(other.sum);
    }

    /// Gives the room of the counts back. Everything goes on as before; the next value recorded takes it again.
    pub fn pack(&mut self) {
        if let Counts::Open(counts) = &self.counts {
            self.counts = Counts::Packed {
                count: counts.len(),
                buckets: self.buckets().into(),
            };
        }
    }

    /// Whether its counts take no room that [`Histogram::pack`] would give back.
    #[must_use]
    pub fn is_packed(&self) -> bool {
        !matches!(self.counts, Counts::Open(_))
    }

    /// The union of several distributions.
    pub fn merged<'a>(parts: impl IntoIterator<Item = &'a Self>) -> Self {
        let mut whole = Self::new();
        for part in parts {
            whole.merge(part);
        }
        whole
    }

    /// How many values were counted.
    #[must_use]
    pub fn count(&self) -> u64 {
        match &self.counts {
            Counts::None => 0,
            Counts::Open(counts) => counts.len(),
            Counts::Packed { count, .. } => *count,
        }
    }

    /// Whether nothing was counted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        matches!(self.counts, Counts::None)
    }

    /// The smallest value, exactly.
    #[must_use]
    pub fn min(&self) -> Option<u64> {
        (!self.is_empty()).then_some(self.min)
    }

    /// The largest value, exactly.
    #[must_use]
    pub fn max(&self) -> Option<u64> {
        (!self.is_empty()).then_some(self.max)
    }

    /// The mean, rounded down from the exact sum.
    #[must_use]
    pub fn mean(&self) -> Option<u64> {
        (!self.is_empty()).then(|| self.sum / self.count())
    }

    /// The value at rank ⌈q·n⌉, to three significant digits and never outside `min..=max`.
    #[must_use]
    pub fn quantile(&self, quantile: Quantile) -> Option<u64> {
        self.value_at_rank(quantile.rank(self.count()))
    }

    /// The value at a 1-based rank in the order of size; none outside `1..=count`.
    #[must_use]
    pub fn value_at_rank(&self, rank: u64) -> Option<u64> {
        if rank == 0 || rank > self.count() {
            return None;
        }
        let mut seen = 0;
        for &(value, count) in self.buckets().iter() {
            seen += count;
            if seen >= rank {
                return Some(value.clamp(self.min, self.max));
            }
        }
        // Only values beyond the last bucket are left.
        Some(self.max)
    }

    /// The values that were counted, smallest first, each with how often: to three significant digits, and never outside
    /// `min..=max`.
    #[must_use]
    pub fn values(&self) -> Vec<(u64, u64)> {
        let buckets = self.buckets();
        let within = |&(value, count): &(u64, u64)| (value.clamp(self.min, self.max), count);
        buckets.iter().map(within).collect()
    }

    /// The whole distribution as a line: steps of equal length on the way to each half of what is left above, `ticks` to a half.
    #[must_use]
    pub fn spectrum(&self, ticks: u32) -> Vec<Point> {
        if self.is_empty() {
            return Vec::new();
        }
        let counts = self.counts();
        let mut count = 0;
        let points = counts.iter_quantiles(ticks).map(|step| {
            count += step.count_since_last_iteration();
            Point {
                quantile: step.quantile_iterated_to(),
                value: step.value_iterated_to().clamp(self.min, self.max),
                count,
            }
        });
        points.collect()
    }

    /// The mean and the standard deviation, in nanoseconds; 0 where there is nothing.
    #[must_use]
    pub fn mean_and_deviation(&self) -> [f64; 2] {
        match self.count() {
            0 => [0.0, 0.0],
            count => [self.sum as f64 / count as f64, self.counts().stdev()],
        }
    }

    /// How many values are above `value`, to the precision of the buckets.
    #[must_use]
    pub fn count_above(&self, value: u64) -> u64 {
        let highest = RULER.highest_equivalent(value.min(HIGHEST));
        let buckets = self.buckets();
        let above = buckets.iter().filter(|(value, _)| *value > highest);
        above.map(|(_, count)| count).sum()
    }

    /// Whether two values fall into one bucket, that is, are equal as far as this precision can tell.
    #[must_use]
    pub fn same_bucket(a: u64, b: u64) -> bool {
        RULER.equivalent(a.min(HIGHEST), b.min(HIGHEST))
    }

    /// The form that a record keeps; none for an empty distribution.
    #[must_use]
    pub fn encode(&self) -> Option<Encoded> {
        if self.is_empty() {
            return None;
        }
        let mut bytes = Vec::new();
        V2DeflateSerializer::new()
            .serialize(self.counts().as_ref(), &mut bytes)
            .expect("writing to memory does not fail");
        Some(Encoded {
            min: self.min,
            max: self.max,
            sum: self.sum,
            text: BASE64.encode(bytes),
        })
    }

    /// Reads what [`Histogram::encode`] wrote.
    ///
    /// # Errors
    /// When the text is damaged, was made with another range or precision, or does not fit the figures beside it.
    pub fn decode(encoded: &Encoded) -> Result<Self, DecodeError> {
        let bytes = BASE64.decode(&encoded.text).map_err(DecodeError::Base64)?;
        let counts: Hdr<u64> = Deserializer::new()
            .deserialize(&mut bytes.as_slice())
            .map_err(|error| DecodeError::Encoding(error.to_string()))?;
        if counts.is_empty()
            || counts.low() != RULER.low()
            || counts.sigfig() != SIGNIFICANT_DIGITS
            || counts.high() > RULER.high()
        {
            return Err(DecodeError::Encoding(
                "empty, or of another range or precision".into(),
            ));
        }
        let (min, max, sum) = (encoded.min, encoded.max, encoded.sum);
        let fits = RULER.equivalent(counts.min().max(1), min.clamp(1, HIGHEST))
            && RULER.equivalent(counts.max(), max.min(HIGHEST))
            && min.saturating_mul(counts.len()) <= sum
            && sum <= max.saturating_mul(counts.len());
        let mut read = Self {
            counts: Counts::Open(Box::new(counts)),
            min,
            max,
            sum,
        };
        read.pack();
        fits.then_some(read).ok_or(DecodeError::Extremes)
    }

    fn counts(&self) -> Cow<'_, Hdr<u64>> {
        match &self.counts {
            Counts::None => Cow::Owned(empty_counts()),
            Counts::Open(counts) => Cow::Borrowed(counts.as_ref()),
            Counts::Packed { buckets, .. } => Cow::Owned(unpacked(buckets)),
        }
    }

    /// The buckets that are not empty, lowest first.
    fn buckets(&self) -> Cow<'_, [(u64, u64)]> {
        match &self.counts {
            Counts::None => Cow::Borrowed(&[]),
            Counts::Open(counts) => {
                let buckets = counts.iter_recorded();
                let pairs =
                    buckets.map(|b| (b.value_iterated_to(), b.count_since_last_iteration()));
                pairs.collect()
            }
            Counts::Packed { buckets, .. } => Cow::Borrowed(buckets),
        }
    }

    /// Counts a value where there is no room for counts yet, or no more.
    #[cold]
    fn record_first(&mut self, value: u64) {
        if let Counts::Packed { buckets, .. } = &self.counts {
            self.counts = Counts::Open(Box::new(unpacked(buckets)));
            return self.record(value);
        }
        let mut counts = Box::new(empty_counts());
        counts.saturating_record(value.min(HIGHEST));
        *self = Self {
            counts: Counts::Open(counts),
            min: value,
            max: value,
            sum: value,
        };
    }
}

impl PartialEq for Histogram {
    /// Whether the same values were counted, whichever is packed.
    fn eq(&self, other: &Self) -> bool {
        (self.min, self.max, self.sum) == (other.min, other.max, other.sum)
            && self.buckets() == other.buckets()
    }
}

fn unpacked(buckets: &[(u64, u64)]) -> Hdr<u64> {
    let mut counts = empty_counts();
    add(&mut counts, buckets);
    counts
}

fn add(counts: &mut Hdr<u64>, buckets: &[(u64, u64)]) {
    for &(value, count) in buckets {
        counts.saturating_record_n(value.min(HIGHEST), count);
    }
}

fn union(a: &[(u64, u64)], b: &[(u64, u64)]) -> Buckets {
    let (mut a, mut b) = (a.iter().copied().peekable(), b.iter().copied().peekable());
    std::iter::from_fn(|| match (a.peek(), b.peek()) {
        (Some(mine), Some(theirs)) => match mine.0.cmp(&theirs.0) {
            Ordering::Less => a.next(),
            Ordering::Greater => b.next(),
            Ordering::Equal => a
                .next()
                .zip(b.next())
                .map(|((value, m), (_, t))| (value, m.saturating_add(t))),
        },
        (Some(_), None) => a.next(),
        (None, _) => b.next(),
    })
    .collect()
}

fn empty_counts() -> Hdr<u64> {
    Hdr::new_with_bounds(1, HIGHEST, SIGNIFICANT_DIGITS)
        .expect("the bounds are constants, and valid")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(values: &[u64]) -> Histogram {
        let mut histogram = Histogram::new();
        values.iter().for_each(|&value| histogram.record(value));
        histogram
    }

    fn values() -> impl Strategy<Value = Vec<u64>> {
        // Every order of magnitude up to an hour, so that each bucket width is met.
        prop::collection::vec(
            (0u32..42, 0u64..1 << 42).prop_map(|(shift, v)| (v >> shift).min(HIGHEST)),
            1..300,
        )
    }

    proptest! {
        #[test]
        fn a_quantile_is_within_a_thousandth_of_the_value_at_its_rank(values in values(), q in 1u32..1_000) {
            let mut sorted = values.clone();
            sorted.sort_unstable();
            let quantile: Quantile = format!("p{}", f64::from(q) / 10.0).parse().unwrap();
            let exact = sorted[(quantile.rank(sorted.len() as u64) - 1) as usize];
            let read = of(&values).quantile(quantile).unwrap();
            prop_assert!(read.abs_diff(exact) as f64 <= exact as f64 / 1_000.0, "{read} for {exact}");
        }

        #[test]
        fn merging_parts_gives_the_whole_whatever_the_split(values in values(), at in 0usize..300) {
            let (left, right) = values.split_at(at.min(values.len()));
            let whole = of(&values);
            prop_assert_eq!(&Histogram::merged([&of(left), &of(right)]), &whole);
            prop_assert_eq!(&Histogram::merged([&of(right), &of(left)]), &whole);
        }

        #[test]
        fn packing_changes_nothing(values in values(), more in values()) {
            let (open, mut packed) = (of(&values), of(&values));
            packed.pack();
            prop_assert!(packed.is_packed());
            prop_assert_eq!(&packed, &open);
            prop_assert_eq!(packed.count(), open.count());
            prop_assert_eq!(packed.quantile(Quantile::P99), open.quantile(Quantile::P99));
            prop_assert_eq!(packed.count_above(values[0]), open.count_above(values[0]));
            prop_assert_eq!(packed.encode(), open.encode());
            let whole = of(&[&values[..], &more].concat());
            let mut merged = packed.clone();
            merged.merge(&of(&more));
            prop_assert!(merged.is_packed());
            prop_assert_eq!(&merged, &whole);
            more.iter().for_each(|&value| packed.record(value));
            prop_assert_eq!(&packed, &whole);
        }

        #[test]
        fn what_is_encoded_reads_back_the_same(values in values()) {
            let histogram = of(&values);
            let back = Histogram::decode(&histogram.encode().unwrap()).unwrap();
            prop_assert_eq!(back, histogram);
        }
    }

    #[test]
    fn extremes_and_sum_are_exact_even_beyond_the_last_bucket() {
        let histogram = of(&[123_456_789, 2 * HIGHEST, 1]);
        assert_eq!(histogram.min(), Some(1));
        assert_eq!(histogram.max(), Some(2 * HIGHEST));
        assert_eq!(histogram.mean(), Some((123_456_789 + 2 * HIGHEST + 1) / 3));
        let back = Histogram::decode(&histogram.encode().unwrap()).unwrap();
        assert_eq!(back, histogram);
    }

    #[test]
    fn what_lasts_longer_than_an_hour_is_kept_in_one_bucket() {
        let longer = [HIGHEST + HIGHEST / 10, 2 * HIGHEST, HIGHEST];
        let histogram = of(&longer);
        assert_eq!(
            Histogram::decode(&histogram.encode().unwrap()).unwrap(),
            histogram
        );
        assert_eq!(histogram.count_above(HIGHEST / 2), 3);
        assert_eq!(histogram.max(), Some(2 * HIGHEST));
    }

    #[test]
    fn an_empty_distribution_says_nothing() {
        let empty = Histogram::new();
        assert_eq!((empty.min(), empty.max(), empty.mean()), (None, None, None));
        assert_eq!(empty.quantile(Quantile::P99), None);
        assert_eq!(empty.encode(), None);
    }

    #[test]
    fn damaged_text_is_refused() {
        let good = of(&[5, 6, 7]).encode().unwrap();
        let broken = [
            Encoded {
                text: "!".into(),
                ..good.clone()
            },
            Encoded {
                text: BASE64.encode(b"no histogram"),
                ..good.clone()
            },
            Encoded {
                text: good.text[..good.text.len() / 2].into(),
                ..good.clone()
            },
            Encoded {
                max: 9_000,
                ..good.clone()
            },
            Encoded { sum: 1, ..good },
        ];
        for encoded in broken {
            assert!(Histogram::decode(&encoded).is_err(), "{encoded:?}");
        }
    }
}
