//! Wilcoxon's signed-rank statistic and its exact distribution.
//!
//! F. Wilcoxon: "Individual comparisons by ranking methods", Biometrics Bulletin 1 (1945). W⁺ is the sum of the ranks of
//! |x| over the x above 0. Where the signs are fair coins it is a sum over a random subset of the ranks, so its
//! distribution follows from adding one rank after the other. The same sum over mid-ranks is exact for tied |x|, given
//! which are tied; no table, no normal approximation and no sampling is needed.

/// Values of which a claim says that they lie above 0, by their ranks and signs.
///
/// A value of 0 speaks against the claim, and so does NaN, as strongly as −∞ does. Ranks are kept doubled, so that
/// mid-ranks are whole numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    ranks: Vec<u64>,
    positive: Vec<bool>,
}

/// The distribution of W⁺ where every sign is a fair coin.
#[derive(Debug, Clone, PartialEq)]
pub struct Null {
    /// P(W⁺ ≥ w) by w in doubled ranks, from 0 to their sum.
    at_least: Vec<f64>,
}

impl Signed {
    /// The ranks and signs of `x`, in the order given; equal |x| share the mean of their ranks.
    #[must_use]
    pub fn new(x: impl IntoIterator<Item = f64>) -> Self {
        let against = |x: f64| if x.is_nan() { f64::NEG_INFINITY } else { x };
        let x: Vec<f64> = x.into_iter().map(against).collect();
        let size = |place: usize| x[place].abs();
        let mut order: Vec<usize> = (0..x.len()).collect();
        order.sort_by(|&a, &b| size(a).total_cmp(&size(b)));
        let mut ranks = vec![0; x.len()];
        let mut first = 0;
        for tied in order.chunk_by(|&a, &b| size(a) == size(b)) {
            // The mean of the ranks first + 1 … first + n, doubled.
            let rank = (2 * first + tied.len() + 1) as u64;
            tied.iter().for_each(|&place| ranks[place] = rank);
            first += tied.len();
        }
        Self {
            positive: x.iter().map(|&x| x > 0.0).collect(),
            ranks,
        }
    }

    /// W⁺ in doubled ranks.
    #[must_use]
    pub fn doubled_statistic(&self) -> u64 {
        let positive = self.ranks.iter().zip(&self.positive);
        positive.map(|(rank, &is)| if is { *rank } else { 0 }).sum()
    }

    /// The ranks, doubled, in the order of the values.
    #[must_use]
    pub fn doubled_ranks(&self) -> &[u64] {
        &self.ranks
    }

    /// P(W⁺ ≥ observed) where every sign is a fair coin: the p-value of the claim, one-sided and exact.
    #[must_use]
    pub fn p_value(&self) -> f64 {
        Null::of_ranks(&self.ranks).at_least(self.doubled_statistic())
    }
}

impl Null {
    /// Of `n` values without ties.
    #[must_use]
    pub fn new(n: usize) -> Self {
        Self::of_ranks(&(1..=n as u64).map(|rank| 2 * rank).collect::<Vec<_>>())
    }

    /// Of values with these ranks, doubled.
    #[must_use]
    pub fn of_ranks(doubled: &[u64]) -> Self {
        let sum: u64 = doubled.iter().sum();
        let mut chance = vec![0.0; sum as usize + 1];
        chance[0] = 1.0;
        let mut reached = 0;
        for &rank in doubled {
            let rank = rank as usize;
            reached += rank;
            // From above, so that what is read is still without this rank.
            for w in (0..=reached).rev() {
                let with = w.checked_sub(rank).map_or(0.0, |without| chance[without]);
                chance[w] = f64::midpoint(chance[w], with);
            }
        }
        // Summed from the far end, where the terms are smallest.
        let mut tail = 0.0;
        for chance in chance.iter_mut().rev() {
            tail += *chance;
            *chance = tail;
        }
        Self { at_least: chance }
    }

    /// P(W⁺ ≥ w), with w in doubled ranks.
    #[must_use]
    pub fn at_least(&self, doubled: u64) -> f64 {
        let place = usize::try_from(doubled).unwrap_or(usize::MAX);
        self.at_least.get(place).copied().unwrap_or(0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_null_is_that_of_the_tables() {
        // M. Hollander, D. A. Wolfe: "Nonparametric Statistical Methods", table A.4: P(W+ >= w).
        for (n, w, p) in [
            (3, 6, 0.125),
            (5, 15, 0.031_25),
            (7, 26, 0.023_437_5),
            (9, 40, 0.019_531_25),
            (10, 55, 1.0 / 1024.0),
            (10, 47, 0.024_414_062_5),
        ] {
            let found = Null::new(n).at_least(2 * w);
            assert!((found - p).abs() < 1e-12, "{n} {w}: {found}");
        }
        for n in [0, 1, 8, 40, 100] {
            let null = Null::new(n);
            let most = (n * (n + 1)) as u64;
            assert!((null.at_least(0) - 1.0).abs() < 1e-12, "{n}");
            assert!(null.at_least(most) > 0.0 && null.at_least(most + 1) == 0.0);
        }
    }

    #[test]
    fn depression_factors_of_nine_patients() {
        // Hollander and Wolfe, example 3.1; R: wilcox.test(x, y, paired = TRUE, alternative = "greater") says V = 40,
        // p-value = 0.01953.
        let x = [1.83, 0.50, 1.62, 2.48, 1.68, 1.88, 1.55, 3.06, 1.30];
        #[expect(clippy::approx_constant, reason = "a reading of 1957, and no pi")]
        let y = [0.878, 0.647, 0.598, 2.05, 1.06, 1.29, 1.06, 3.14, 1.29];
        let signed = Signed::new(x.iter().zip(y).map(|(x, y)| x - y));
        assert_eq!(signed.doubled_statistic(), 2 * 40);
        assert!((signed.p_value() - 0.019_531_25).abs() < 1e-12);
    }

    #[test]
    fn ties_share_their_ranks_and_zeros_speak_against() {
        let signed = Signed::new([1.0, -1.0, 0.0, 2.0, 2.0, 2.0]);
        assert_eq!(signed.doubled_ranks(), [5, 5, 2, 10, 10, 10]);
        assert_eq!(signed.doubled_statistic(), 35);
        // Of the 64 choices of signs as many reach 35 as there are subsets of {5, 5, 2, 10, 10, 10} with such a sum: all
        // three tens with a five at least (6 of 8), or two tens with fives and the two... by hand: 10+10+10 = 30 with
        // {5}, {5}, {5, 2}, {5, 2}, {5, 5}, {5, 5, 2}. Two tens reach 32 at most.
        assert!((signed.p_value() - 6.0 / 64.0).abs() < 1e-12);
        assert_eq!(Signed::new([0.0; 5]).p_value(), 1.0);
    }

    #[test]
    fn infinity_has_the_largest_rank_on_either_side() {
        let signed = Signed::new([f64::INFINITY, 3.0, f64::NEG_INFINITY, f64::NAN, -1.0]);
        assert_eq!(signed.doubled_ranks(), [8, 4, 8, 8, 2]);
        assert_eq!(signed.doubled_statistic(), 12);
    }

    proptest! {
        #[test]
        fn the_distribution_of_mid_ranks_is_that_of_all_choices_of_signs(
            x in prop::collection::vec((0i8..5).prop_map(f64::from), 1..10)
        ) {
            let signed = Signed::new(x.iter().copied());
            let null = Null::of_ranks(signed.doubled_ranks());
            let sums = (0u32..1 << x.len()).map(|signs| {
                let chosen = signed.doubled_ranks().iter().enumerate();
                chosen.map(|(k, rank)| if signs >> k & 1 == 1 { *rank } else { 0 }).sum::<u64>()
            });
            let sums: Vec<u64> = sums.collect();
            for w in 0..=signed.doubled_ranks().iter().sum::<u64>() + 1 {
                let reached = sums.iter().filter(|&&sum| sum >= w).count();
                let expected = reached as f64 / sums.len() as f64;
                prop_assert!((null.at_least(w) - expected).abs() < 1e-12);
            }
        }

        #[test]
        fn the_claim_and_its_opposite_share_the_ranks(x in prop::collection::vec(-9.0f64..9.0, 1..30)) {
            prop_assume!(x.iter().all(|x| *x != 0.0));
            let (above, below) = (Signed::new(x.iter().copied()), Signed::new(x.iter().map(|x| -x)));
            prop_assert_eq!(above.doubled_ranks(), below.doubled_ranks());
            let n = x.len() as u64;
            prop_assert_eq!(above.doubled_statistic() + below.doubled_statistic(), n * (n + 1));
        }
    }
}
