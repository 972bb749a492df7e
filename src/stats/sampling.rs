//! The interval of a quantile itself: of this machine, during this run.
//!
//! Two ways to miss are held against each other, and the wider interval is the one that is printed. Batches of a run
//! differ by more than chance where something changes more slowly than a request ([`sectioned`]); and even where nothing
//! does, few requests are beyond a high quantile ([`order_statistics`]). What changes more slowly than the whole run no
//! interval from within it can show.

use statrs::distribution::{Binomial, DiscreteCDF};

use super::{fewest, fewest_per_round, student};
use crate::ledger::Distribution;
use crate::units::Quantile;

/// On each side of a 95 % interval.
const ONE_SIDE: f64 = 0.025;
/// Fewer batches say too little about how much they differ.
pub const FEWEST_BATCHES: usize = 6;
/// More would be too short to hold what lasts longer than a request.
pub const MOST_BATCHES: usize = 12;
/// Neighbouring batches that are more alike than this are not independent.
const ALIKE: f64 = 0.3;

/// A 95 % interval of a quantile, in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct QuantileInterval {
    /// Its lower end.
    pub low: f64,
    /// Its upper end; +∞ where exchanges that never ended reach it.
    pub high: f64,
    /// What it rests on.
    pub basis: Basis,
}

/// What an interval rests on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Basis {
    /// So many batches of the run, and sampling.
    Batches(usize),
    /// Sampling alone: there are too few requests for batches.
    SamplingOnly,
    /// Sampling alone, though batches show that the noise is slower than the run: the interval is too narrow.
    SlowNoise,
}

/// How a quantile is read from exchanges at a rank, from 1; none beyond those of which a value is known.
pub type AtRank = fn(&Distribution, u64) -> Option<u64>;

/// The interval of `quantile` over consecutive windows of one phase, whose exchanges are read by `at_rank`; none where
/// there are fewer than [`fewest`] exchanges.
///
/// Windows hold exchanges that never ended among those that failed; `endless` says how many there were in the phase. Had
/// all of a window's lasted for ever, a rank would have at most the value of the one so many ranks above it: by that the
/// upper end is read.
#[must_use]
pub fn of_windows(
    windows: &[Distribution],
    quantile: Quantile,
    at_rank: AtRank,
    endless: u64,
) -> Option<QuantileInterval> {
    let at_worst = |part: &Distribution, rank: u64| {
        let above = endless.min(part.failed.count());
        at_rank(part, rank + above).map_or(f64::INFINITY, |ns| ns as f64)
    };
    let whole = Distribution::merged(windows);
    let (lowest, highest) = ends_by_sampling(&whole, quantile)?;
    let mut low = lowest.map_or(0.0, |rank| value_at(&whole, rank, at_rank));
    let mut high = at_worst(&whole, highest);
    let mut batches = batches(windows, fewest_per_round(quantile));
    let rank = |part: &Distribution| quantile.rank(part.count());
    let value = |part: &Distribution| at_rank(part, rank(part)).map(|ns| ns as f64);
    let worst = |part: &Distribution| at_worst(part, rank(part));
    let mut basis = Basis::SamplingOnly;
    while let (Some(merged), Some(values)) = (
        value(&whole),
        batches.iter().map(value).collect::<Option<Vec<f64>>>(),
    ) {
        if batches.len() < FEWEST_BATCHES {
            break;
        }
        if is_slow(&values) {
            basis = Basis::SlowNoise;
            batches = batches.chunks(2).map(Distribution::merged).collect();
            continue;
        }
        if let Some([from, _]) = sectioned(merged, &values) {
            let worsts: Vec<f64> = batches.iter().map(worst).collect();
            let to = sectioned(worst(&whole), &worsts).map_or(f64::INFINITY, |[_, to]| to);
            (low, high) = (low.min(from), high.max(to));
            basis = Basis::Batches(values.len());
        }
        break;
    }
    Some(QuantileInterval { low, high, basis })
}

/// The interval of a quantile of `whole` from batches of it: `value` is the whole's, `parts` are the batches'.
///
/// Sectioning on the logarithmic scale, by Student's t with one degree of freedom less than batches; none of fewer than
/// two batches, and where a value is not finite and above 0.
#[must_use]
pub fn sectioned(value: f64, parts: &[f64]) -> Option<[f64; 2]> {
    let freedom = parts.len().checked_sub(1).filter(|&freedom| freedom > 0)? as f64;
    let squares = parts.iter().map(|part| (part.ln() - value.ln()).powi(2));
    let sd = (squares.sum::<f64>() / freedom).sqrt();
    let half = student(freedom, 1.0 - ONE_SIDE) * sd / (parts.len() as f64).sqrt();
    half.is_finite()
        .then(|| [value * (-half).exp(), value * half.exp()])
}

/// The ranks, from 1, whose values are the ends of the 95 % interval of a quantile of `count` independent values; an end
/// is none where no rank lies far enough out.
///
/// How many values are at or below the true quantile is binomial: Meeker, Hahn, Escobar: "Statistical Intervals", 2nd
/// edition, section 5.2.
#[must_use]
pub fn order_statistics(count: u64, quantile: Quantile) -> [Option<u64>; 2] {
    let binomial = Binomial::new(quantile.fraction(), count).expect("a quantile is a probability");
    // The largest l with F(l − 1) ≤ 0.025, and the smallest u with F(u − 1) ≥ 0.975.
    let low = first(count, |rank| binomial.cdf(rank - 1) > ONE_SIDE) - 1;
    let high = first(count, |rank| binomial.cdf(rank - 1) >= 1.0 - ONE_SIDE);
    [(low >= 1).then_some(low), (high <= count).then_some(high)]
}

/// The first rank in `1..=count` from which `is` holds, or the one after the last.
fn first(count: u64, is: impl Fn(u64) -> bool) -> u64 {
    let (mut low, mut high) = (1, count + 1);
    while low < high {
        let middle = low.midpoint(high);
        if is(middle) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    low
}

/// The interval that independent exchanges would give; none where they are too few for its upper end.
pub fn by_sampling(
    whole: &Distribution,
    quantile: Quantile,
    at_rank: AtRank,
) -> Option<(f64, f64)> {
    let (low, high) = ends_by_sampling(whole, quantile)?;
    let value = |rank| value_at(whole, rank, at_rank);
    Some((low.map_or(0.0, value), value(high)))
}

/// The ranks of its ends; the lower is none where it is below them all.
fn ends_by_sampling(whole: &Distribution, quantile: Quantile) -> Option<(Option<u64>, u64)> {
    let count = whole.count();
    if count < fewest(quantile) {
        return None;
    }
    let [low, high] = order_statistics(count, quantile);
    Some((low, high?))
}

fn value_at(times: &Distribution, rank: u64, at_rank: AtRank) -> f64 {
    at_rank(times, rank).map_or(f64::INFINITY, |ns| ns as f64)
}

/// Equal spans of the phase, of at least `least` exchanges each; none where there is no such division.
fn batches(windows: &[Distribution], least: u64) -> Vec<Distribution> {
    let sizes = (FEWEST_BATCHES..=MOST_BATCHES).rev();
    let mut whole = sizes.filter(|count| windows.len().is_multiple_of(*count));
    let Some(count) = whole.next().filter(|_| !windows.is_empty()) else {
        return Vec::new();
    };
    let spans = windows.chunks(windows.len() / count);
    let batches: Vec<Distribution> = spans.map(Distribution::merged).collect();
    if batches.iter().any(|batch| batch.count() < least) {
        return Vec::new();
    }
    batches
}

/// Whether neighbours are alike: the correlation of each logarithm with the next.
fn is_slow(values: &[f64]) -> bool {
    let logs: Vec<f64> = values.iter().map(|value| value.ln()).collect();
    let mean = logs.iter().sum::<f64>() / logs.len() as f64;
    let squares: f64 = logs.iter().map(|log| (log - mean).powi(2)).sum();
    let pairs = logs.windows(2);
    let products: f64 = pairs.map(|pair| (pair[0] - mean) * (pair[1] - mean)).sum();
    products > ALIKE * squares
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Stream, bits, unit};

    fn ok_rank(times: &Distribution, rank: u64) -> Option<u64> {
        times.ok.value_at_rank(rank)
    }

    /// `n` exponential times with a mean of `scale` ms, of window `window`.
    fn window(window: u64, n: u64, scale: f64) -> Distribution {
        let mut times = Distribution::default();
        for k in 0..n {
            let unit = unit(bits(9, Stream::Script, &[window, k]));
            times.ok.record((-unit.ln() * scale * 1e6) as u64);
        }
        times
    }

    #[test]
    fn ranks_are_those_of_the_binomial() {
        // Meeker, Hahn, Escobar, table 5.1 has the like; by hand: Binomial(10, 1/2) has P(X ≤ 1) = .0107 and
        // P(X ≤ 8) = .9893, so the 2nd and the 9th value.
        assert_eq!(order_statistics(10, Quantile::P50), [Some(2), Some(9)]);
        assert_eq!(order_statistics(5, Quantile::P50), [None, None]);
        for quantile in [Quantile::P50, Quantile::P90, Quantile::P99, Quantile::P99_9] {
            let least = fewest(quantile);
            assert_eq!(
                order_statistics(least, quantile)[1],
                Some(least),
                "{quantile}"
            );
            assert_eq!(order_statistics(least - 1, quantile)[1], None, "{quantile}");
        }
        let [low, high] = order_statistics(40_000, Quantile::P99).map(Option::unwrap);
        // Normal approximation: 39,600 ± 1.96 × √(40,000 × .99 × .01).
        assert!(
            low.abs_diff(39_561) <= 1 && high.abs_diff(39_640) <= 2,
            "{low} {high}"
        );
    }

    #[test]
    fn batches_that_differ_widen_the_interval() {
        let [low, high] = sectioned(100.0, &[100.0; 8]).unwrap();
        assert!((low - 100.0).abs() < 1e-9 && (high - 100.0).abs() < 1e-9);
        let uneven = [80.0, 125.0, 80.0, 125.0, 80.0, 125.0];
        let [low, high] = sectioned(100.0, &uneven).unwrap();
        // t(5) = 2.571, sd = ln 1.25 × √(6/5), over √6: 2.571 × 0.2231 / √5 = 0.2566.
        assert!(
            (high / 100.0 - 0.2566f64.exp()).abs() < 1e-3,
            "{low} {high}"
        );
        assert!((low * high - 10_000.0).abs() < 1e-6);
        assert_eq!(sectioned(100.0, &[100.0]), None);
        assert_eq!(sectioned(100.0, &[100.0, f64::INFINITY]), None);
    }

    #[test]
    fn a_steady_run_has_an_interval_from_its_batches() {
        let windows: Vec<Distribution> = (0..24).map(|k| window(k + 100, 1_000, 1.0)).collect();
        let found = of_windows(&windows, Quantile::P99, ok_rank, 0).unwrap();
        // The p99 of the exponential distribution: ln 100 = 4.605.
        let truth = 100f64.ln() * 1e6;
        assert!(found.low < truth && truth < found.high, "{found:?}");
        assert!(found.high / found.low < 1.15, "{found:?}");
        assert_eq!(found.basis, Basis::Batches(12));
    }

    #[test]
    fn few_requests_leave_sampling_alone() {
        let windows: Vec<Distribution> = (0..12).map(|k| window(k, 100, 1.0)).collect();
        let found = of_windows(&windows, Quantile::P99, ok_rank, 0).unwrap();
        assert_eq!(found.basis, Basis::SamplingOnly);
        // 13 windows cannot be divided into 6 to 12 equal spans.
        let windows: Vec<Distribution> = (0..13).map(|k| window(k, 3_000, 1.0)).collect();
        let found = of_windows(&windows, Quantile::P99, ok_rank, 0).unwrap();
        assert_eq!(found.basis, Basis::SamplingOnly);
        assert_eq!(
            of_windows(&[window(0, 367, 1.0)], Quantile::P99, ok_rank, 0),
            None
        );
        assert_eq!(of_windows(&[], Quantile::P99, ok_rank, 0), None);
    }

    #[test]
    fn noise_slower_than_the_run_is_named() {
        // Half of the run on a machine that is half as fast.
        let scale = |k| if k < 6 { 1.0 } else { 2.0 };
        let windows: Vec<Distribution> = (0..12).map(|k| window(k, 3_000, scale(k))).collect();
        let found = of_windows(&windows, Quantile::P99, ok_rank, 0).unwrap();
        assert_eq!(found.basis, Basis::SlowNoise);
    }

    #[test]
    fn exchanges_that_never_ended_leave_the_upper_end_open() {
        let all = |times: &Distribution, rank| times.all().value_at_rank(rank);
        let windows = |given_up: u64| -> Vec<Distribution> {
            let windows = (0..12).map(|k| {
                let mut times = window(k + 100, 2_500 - given_up, 1.0);
                (0..given_up).for_each(|_| times.failed.record(10_000_000_000));
                times
            });
            windows.collect()
        };
        // Of 30,000, the upper rank of the p99 is some 35 above its own: 276 that may have lasted for ever reach it, 60 do not.
        let many = of_windows(&windows(23), Quantile::P99, all, 276).unwrap();
        assert_eq!(many.high, f64::INFINITY);
        assert!(many.low < 7e6, "{many:?}");
        let few = of_windows(&windows(5), Quantile::P99, all, 60).unwrap();
        assert!(few.high < 10e6, "{few:?}");
        // That they may have lasted longer moves the upper end up, and the lower not at all.
        let known = of_windows(&windows(5), Quantile::P99, all, 0).unwrap();
        assert!(known.high < few.high, "{known:?}, {few:?}");
        assert_eq!(known.low, few.low);
        // They are known to have ended: then their time counts as any other.
        let ended = of_windows(&windows(23), Quantile::P99, all, 0).unwrap();
        assert!(ended.high.is_finite(), "{ended:?}");
    }

    #[test]
    fn exchanges_that_were_not_ok_are_beyond_every_rank() {
        let mut times = window(0, 970, 1.0);
        (0..30).for_each(|_| times.failed.record(1));
        let (low, high) = by_sampling(&times, Quantile::P99, ok_rank).unwrap();
        assert_eq!((low, high), (f64::INFINITY, f64::INFINITY));
        let (low, high) = by_sampling(&times, Quantile::P90, ok_rank).unwrap();
        assert!(low < high && high.is_finite());
    }
}
