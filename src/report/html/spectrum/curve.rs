//! What a line of a spectrum is read from, and how far it tells anything.

use crate::histogram::Histogram;
use crate::ledger::{Bound, Distribution};
use crate::report::html::plot::Glyph;
use crate::stats::sampling::QuantileInterval;

/// A distribution as a line.
pub(in crate::report::html) struct Curve {
    pub(in crate::report::html) name: String,
    /// Which colour and stroke it has.
    pub(in crate::report::html) class: String,
    pub(in crate::report::html) glyph: Option<Glyph>,
    pub(in crate::report::html) times: Times,
    /// How many there are.
    pub(in crate::report::html) count: u64,
    /// None where it is infinite.
    pub(in crate::report::html) longest: Option<Bound>,
    /// Of its p99.
    pub(in crate::report::html) interval: Option<QuantileInterval>,
}

/// What a line is read from.
pub(in crate::report::html) enum Times {
    /// All of them, and those whose end was seen: the others are lower bounds.
    Bounded { all: Histogram, known: Histogram },
    /// Those that were ok: the others count as infinitely long.
    OrInfinite { ok: Histogram },
}

impl Curve {
    /// A line of all exchanges, of which some may be lower bounds.
    pub(in crate::report::html) fn bounded(name: &str, class: &str, times: &Distribution) -> Self {
        let known = Histogram::merged([&times.ok, &times.failed]);
        let all = times.all();
        let of = Times::Bounded { all, known };
        Self::of(name, class, times.count(), of, times.max())
    }

    /// A line of the exchanges that were ok among all of them.
    pub(in crate::report::html) fn or_infinite(
        name: &str,
        class: &str,
        times: &Distribution,
    ) -> Self {
        let ok = times.ok.clone();
        let longest = ok.max().filter(|_| ok.count() == times.count());
        let of = Times::OrInfinite { ok };
        Self::of(name, class, times.count(), of, longest.map(exactly))
    }

    fn of(name: &str, class: &str, count: u64, times: Times, longest: Option<Bound>) -> Self {
        Self {
            name: name.to_owned(),
            class: class.to_owned(),
            glyph: None,
            times,
            count,
            longest,
            interval: None,
        }
    }

    /// What one of `one_of` values is beyond; none where that is infinite.
    pub(super) fn at(&self, one_of: f64) -> Option<Bound> {
        let rank = rank(self.count, one_of);
        match &self.times {
            Times::Bounded { all, known } => {
                let value = all.value_at_rank(rank)?;
                let at_worst = known.value_at_rank(rank);
                let censored = !at_worst.is_some_and(|worst| Histogram::same_bucket(worst, value));
                Some(Bound { value, censored })
            }
            Times::OrInfinite { ok } => ok.value_at_rank(rank).map(exactly),
        }
    }
}

fn exactly(value: u64) -> Bound {
    Bound {
        value,
        censored: false,
    }
}

/// The farthest place at which `count` values tell a quantile, by the rule of [`crate::stats::fewest`]: all of them lie below
/// it with a probability of 0.025.
pub(super) fn told(count: u64) -> f64 {
    const ONE_SIDE: f64 = 0.025;
    -1.0 / (ONE_SIDE.ln() / count as f64).exp_m1()
}

/// The rank of the quantile that one of `one_of` values is beyond, as [`crate::units::Quantile::rank`] has it: ⌈q·n⌉.
fn rank(count: u64, one_of: f64) -> u64 {
    // What division does to the last digit is undone: of 2,900 values 29 lie beyond the p99, not 28.
    let beyond = (count as f64 / one_of * (1.0 + 1e-12)).floor() as u64;
    count.saturating_sub(beyond).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::fewest;
    use crate::units::Quantile;

    /// Quantiles, and of how many values one is beyond each.
    const NAMED: [(f64, Quantile); 4] = [
        (2.0, Quantile::P50),
        (10.0, Quantile::P90),
        (100.0, Quantile::P99),
        (1_000.0, Quantile::P99_9),
    ];

    #[test]
    fn the_ranks_are_those_of_quantiles() {
        for count in [1, 2, 3, 99, 100, 101, 2_900, 30_000, 999_999, 123_456_789] {
            for (one_of, quantile) in NAMED {
                assert_eq!(
                    rank(count, one_of),
                    quantile.rank(count),
                    "{quantile} of {count}"
                );
            }
        }
    }

    #[test]
    fn a_place_is_told_where_tables_print_it() {
        for (one_of, quantile) in NAMED {
            let least = fewest(quantile);
            assert!(told(least) >= one_of, "{quantile} of {least}");
            assert!(told(least - 1) < one_of, "{quantile} of one less");
        }
        assert_eq!(told(0), 1.0);
    }
}
