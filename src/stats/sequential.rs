//! A signed-rank test that looks several times, and its boundaries.
//!
//! Looking again until something is found finds something too often. So the level is spent over the looks: by the look
//! after n rounds, level × n ÷ n_last of it (K. K. G. Lan, D. L. DeMets: "Discrete sequential boundaries for clinical
//! trials", Biometrika 70 (1983)). Where the signs are fair coins, what W⁺ would have been at every look under other signs
//! is known from the |x| alone; the boundary of a look is the smallest c that so many of the drawn sign vectors reach now,
//! or crossed earlier. It uses nothing that comes later, and holds exactly given |x|, whatever their distribution: the
//! observed signs count as one more drawn vector, which makes a Monte Carlo test exact (M. Dwass: "Modified randomization
//! tests for nonparametric hypotheses", Annals of Mathematical Statistics 28 (1957)). They do so anew at every look: whoever
//! has come so far may cross now with as many others as cross now, out of all that are left.

use super::signed_rank::Signed;
use crate::random::{Stream, bits};

/// How many sign vectors are drawn: 50 of them are the share of the first of five looks at a level of 1 %, so that a
/// boundary moves little with the seed.
pub const VECTORS: usize = 20_000;

/// How many looks are gone through for the first at which a level can be reached: the last of 32 comes after 458,752 rounds,
/// and 1,074 equal signs are as seldom as the smallest number there is.
const MANY_LOOKS: usize = 32;

/// After how many rounds there is a look, in rising order; at least one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Looks(Vec<usize>);

/// So few rounds allow no verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{allowed} rounds are too few for a verdict: the first comes after {needed}")]
pub struct TooFewRounds {
    /// How many rounds there may be.
    pub allowed: usize,
    /// How many there have to be.
    pub needed: usize,
}

/// A test of the claim that x lies above 0.
#[derive(Debug, Clone, Copy)]
pub struct Sequential<'a> {
    /// When it looks.
    pub looks: &'a Looks,
    /// The chance that it ever finds the claim true where x is symmetric about 0, or lies below.
    pub level: f64,
    /// Of the sign vectors.
    pub seed: u64,
    /// How many of them: [`VECTORS`].
    pub vectors: usize,
}

/// What is seen at a look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AtLook {
    /// How many values there are.
    pub rounds: usize,
    /// W⁺ in doubled ranks.
    pub doubled_statistic: u64,
    /// What it has to reach, in doubled ranks; above the largest possible W⁺ where no signs would do.
    pub doubled_boundary: u64,
}

impl Looks {
    /// Each look comes after about √2 times as many rounds as the one before. With fewer than 10 rounds, all signs alike
    /// have a probability above a quarter of 1 %, and a first look could not fail at that level.
    const FIRST: [usize; 5] = [10, 14, 20, 28, 40];

    /// All looks that there could be.
    fn all() -> impl Iterator<Item = usize> {
        let further = (0..).flat_map(|doubled: u32| [28, 40].map(|n: usize| n << (doubled + 1)));
        Self::FIRST.into_iter().chain(further)
    }

    /// The looks that there is time for in `most` rounds: after 10, 14, 20, 28, 40, 56, 80, … of them.
    ///
    /// # Errors
    /// When there is none.
    pub fn new(most: usize) -> Result<Self, TooFewRounds> {
        let looks: Vec<usize> = Self::all().take_while(|&n| n <= most).collect();
        if looks.is_empty() {
            return Err(TooFewRounds {
                allowed: most,
                needed: Self::FIRST[0],
            });
        }
        Ok(Self(looks))
    }

    /// Looks after these numbers of rounds.
    ///
    /// # Errors
    /// With the numbers themselves, when there are none or they do not rise from 1.
    pub fn listed(rounds: Vec<usize>) -> Result<Self, Vec<usize>> {
        let rise = rounds.windows(2).all(|pair| pair[0] < pair[1]);
        match rounds.first() {
            Some(1..) if rise => Ok(Self(rounds)),
            _ => Err(rounds),
        }
    }

    /// The same without the first ones that leave a look at which not even equal signs of all rounds would be enough for
    /// `level`: where they come by chance more often than may be spent, or where less may be spent than the observed signs
    /// alone are among so many `vectors`, once at that look and once at each before it.
    ///
    /// # Errors
    /// When none is left. More rounds help where `level` is one of the vectors or more.
    pub fn sensitive_to(self, level: f64, vectors: usize) -> Result<Self, TooFewRounds> {
        let equal_signs = |n: usize| 0.5f64.powi(i32::try_from(n).unwrap_or(i32::MAX));
        let is_enough = |(earlier, &n): (usize, &usize)| {
            equal_signs(n) <= self.spent(level, n) && self.may_cross(level, n, vectors) > earlier
        };
        let mut rests = (0..self.0.len()).map(|first| &self.0[first..]);
        match rests.find(|rest| rest.iter().enumerate().all(is_enough)) {
            Some(rest) => Ok(Self(rest.to_vec())),
            None => Err(TooFewRounds {
                allowed: self.last(),
                needed: Self::all()
                    .take(MANY_LOOKS)
                    .find(|&n| equal_signs(n) <= level)
                    .unwrap_or(usize::MAX),
            }),
        }
    }

    /// After how many rounds they come.
    #[must_use]
    pub fn rounds(&self) -> &[usize] {
        &self.0
    }

    /// Rounds before the first.
    #[must_use]
    pub fn first(&self) -> usize {
        self.0[0]
    }

    /// Rounds before the last.
    #[must_use]
    pub fn last(&self) -> usize {
        self.0[self.0.len() - 1]
    }

    /// What of `level` may be spent by the look after `n` rounds.
    fn spent(&self, level: f64, n: usize) -> f64 {
        level * n as f64 / self.last() as f64
    }

    /// How many that is of so many `vectors` and the observed signs.
    fn may_cross(&self, level: f64, n: usize, vectors: usize) -> usize {
        (self.spent(level, n) * (vectors + 1) as f64 + 1e-9) as usize
    }
}

impl Sequential<'_> {
    /// The look after as many rounds as there are in `x`; NaN and 0 among them speak against the claim.
    ///
    /// Of a number of rounds after which there is no look, none.
    #[must_use]
    pub fn at(&self, x: &[f64]) -> Option<AtLook> {
        let last = self.up_to(x).pop()?;
        (last.rounds == x.len()).then_some(last)
    }

    /// Every look that the values in `x` are enough for.
    fn up_to(&self, x: &[f64]) -> Vec<AtLook> {
        let mut alive: Vec<u64> = (0..self.vectors as u64).collect();
        let reached = self.looks.0.iter().take_while(|&&n| n <= x.len());
        let look = |(earlier, &n): (usize, &usize)| {
            let signed = Signed::new(x[..n].iter().copied());
            AtLook {
                rounds: n,
                doubled_statistic: signed.doubled_statistic(),
                doubled_boundary: self.boundary(n, earlier, &signed, &mut alive),
            }
        };
        reached.enumerate().map(look).collect()
    }

    /// The boundary of the look after `n` rounds, which `earlier` ones came before; the vectors that reach it are no longer
    /// `alive` afterwards.
    fn boundary(&self, n: usize, earlier: usize, signed: &Signed, alive: &mut Vec<u64>) -> u64 {
        let sums = Sums::new(signed.doubled_ranks());
        let mut statistics: Vec<u64> = alive.iter().map(|&v| sums.of(self.seed, v)).collect();
        let may = self.looks.may_cross(self.level, n, self.vectors);
        // The observed signs count as a vector that crosses, at this look and at each before it.
        let crossed = self.vectors - alive.len() + 1 + earlier;
        let boundary = match may.checked_sub(crossed) {
            None => sums.largest() + 1,
            Some(left) if left >= statistics.len() => 0,
            // The largest that must not cross, and one more.
            Some(left) => {
                let place = statistics.len() - 1 - left;
                *statistics.select_nth_unstable(place).1 + 1
            }
        };
        alive.retain(|&v| sums.of(self.seed, v) < boundary);
        boundary
    }
}

impl AtLook {
    /// Whether the claim is found true.
    #[must_use]
    pub fn crossed(&self) -> bool {
        self.doubled_statistic >= self.doubled_boundary
    }

    /// Which of the ordered Walsh averages is the end of the repeated interval, from 1; 0 where it has none.
    ///
    /// The claim that x lies above a is found true where fewer than k of the averages are at or below a.
    #[must_use]
    pub fn order_index(&self) -> usize {
        let all = self.rounds * (self.rounds + 1) / 2;
        let boundary = self.doubled_boundary.div_ceil(2) as usize;
        (all + 1).saturating_sub(boundary).min(all)
    }
}

/// Sums of ranks over the signs that are positive, eight at a time.
struct Sums {
    /// For every eight values, the sum of the ranks that a byte of signs chooses.
    tables: Vec<[u64; 256]>,
}

impl Sums {
    fn new(ranks: &[u64]) -> Self {
        let table = |ranks: &[u64]| {
            std::array::from_fn(|byte| {
                let chosen = ranks.iter().enumerate();
                chosen.map(|(k, rank)| rank * (byte as u64 >> k & 1)).sum()
            })
        };
        Self {
            tables: ranks.chunks(8).map(table).collect(),
        }
    }

    /// W⁺ of the sign vector with this number.
    fn of(&self, seed: u64, vector: u64) -> u64 {
        let words = self.tables.chunks(8).enumerate();
        let of_word = |(word, tables): (usize, &[[u64; 256]])| {
            let signs = bits(seed, Stream::Signs, &[vector, word as u64]).to_le_bytes();
            let sums = tables.iter().zip(signs);
            sums.map(|(table, byte)| table[usize::from(byte)])
                .sum::<u64>()
        };
        words.map(of_word).sum()
    }

    fn largest(&self) -> u64 {
        self.tables.iter().map(|table| table[255]).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn usual() -> Looks {
        Looks::new(40).unwrap()
    }

    fn sequential(looks: &Looks, level: f64, vectors: usize) -> Sequential<'_> {
        Sequential {
            looks,
            level,
            seed: 11,
            vectors,
        }
    }

    #[test]
    fn looks_are_those_that_there_is_time_for() {
        assert_eq!(usual().rounds(), [10, 14, 20, 28, 40]);
        assert_eq!(Looks::new(39).unwrap().rounds(), [10, 14, 20, 28]);
        assert_eq!(Looks::new(10).unwrap().rounds(), [10]);
        let long = Looks::new(160).unwrap();
        assert_eq!(long.rounds(), [10, 14, 20, 28, 40, 56, 80, 112, 160]);
        let error = Looks::new(9).unwrap_err();
        let message = "9 rounds are too few for a verdict: the first comes after 10";
        assert_eq!(error.to_string(), message);
    }

    #[test]
    fn a_first_look_that_could_not_fail_is_left_out() {
        // 2^-10 is .00098, and a quarter of the level may be spent after 10 of 40 rounds.
        let left = |most: usize, level: f64| Looks::new(most).unwrap().sensitive_to(level, VECTORS);
        assert_eq!(left(40, 0.01).unwrap(), usual());
        let strict = left(40, 0.01 / 3.0).unwrap();
        assert_eq!(strict.rounds(), [14, 20, 28, 40]);
        let error = left(10, 0.0001).unwrap_err();
        assert_eq!((error.allowed, error.needed), (10, 14));
        // 2^-14 is .00006: the next look is the one after 20.
        let error = left(15, 0.00005).unwrap_err();
        assert_eq!((error.allowed, error.needed), (14, 20));
    }

    #[test]
    fn looks_that_could_not_fail_by_so_few_vectors_are_left_out() {
        // Of 20,001 at .00005 the last look has one and the others none; at .0001 that after 28 has one, and the last two.
        for (level, rounds) in [(0.00005, &[40][..]), (0.0001, &[28, 40][..])] {
            let equal_signs: Vec<f64> = (1..=40).map(f64::from).collect();
            let all = usual();
            let crosses = |looks: &Looks| -> Vec<bool> {
                let seen = sequential(looks, level, VECTORS).up_to(&equal_signs);
                seen.iter().map(AtLook::crossed).collect()
            };
            assert!(!crosses(&all)[4], "the last of all looks");
            let left = all.sensitive_to(level, VECTORS).unwrap();
            assert_eq!(left.rounds(), rounds);
            assert!(crosses(&left).iter().all(|&crossed| crossed), "{left:?}");
        }
    }

    #[test]
    fn a_first_look_spends_its_share() {
        let looks = usual();
        let x: Vec<f64> = (1..=10).map(f64::from).collect();
        let look = sequential(&looks, 0.01, VECTORS).at(&x).unwrap();
        // Two or three of 1,024 signs may cross (.0025): P(W⁺ ≥ 54) is .00195, P(W⁺ ≥ 53) is .00293.
        assert_eq!(look.doubled_boundary.div_ceil(2), 54);
        assert_eq!((look.doubled_statistic, look.crossed()), (110, true));
        assert_eq!(look.order_index(), 2);
        let mut one_below = x.clone();
        one_below[0] = -1.0;
        assert!(
            sequential(&looks, 0.01, VECTORS)
                .at(&one_below)
                .unwrap()
                .crossed()
        );
        one_below[1] = -2.0;
        assert!(
            !sequential(&looks, 0.01, VECTORS)
                .at(&one_below)
                .unwrap()
                .crossed()
        );
        assert_eq!(sequential(&looks, 0.01, VECTORS).at(&x[..9]), None);
    }

    #[test]
    fn where_nothing_may_be_spent_nothing_crosses() {
        let looks = usual();
        let x = [1.0; 10];
        let look = sequential(&looks, 0.001, VECTORS).at(&x).unwrap();
        assert!(!look.crossed());
        assert_eq!(look.order_index(), 0);
    }

    #[test]
    fn all_looks_together_spend_the_level() {
        // Fair signs and |x| of any size: by the last look 5 % of the experiments have crossed, of which the drawn vectors
        // are a sample themselves.
        let looks = usual();
        let test = sequential(&looks, 0.05, 999);
        let (runs, mut crossed) = (2_000u64, 0);
        for run in 0..runs {
            let draw = |round: u64| {
                let bits = bits(5, Stream::Script, &[run, round]);
                let size = 1.0 / crate::random::unit(bits);
                if bits & 1 == 0 { size } else { -size }
            };
            let x: Vec<f64> = (0..40).map(draw).collect();
            let ever = looks
                .rounds()
                .iter()
                .any(|&n| test.at(&x[..n]).unwrap().crossed());
            crossed += u64::from(ever);
        }
        // Binomial(2,000, .05): a standard deviation of 9.7.
        assert!((60..=135).contains(&crossed), "{crossed}");
    }

    #[test]
    fn boundaries_do_not_depend_on_what_comes_later() {
        let looks = usual();
        let test = sequential(&looks, 0.05, 999);
        let mut x: Vec<f64> = (0..20).map(|k| f64::from(k % 7) - 2.5).collect();
        let at_14 = test.at(&x[..14]).unwrap();
        // Smaller ones than all before them, which would move the ranks of these, and larger ones.
        for later in [0.1, -1e9] {
            x[14..].fill(later);
            let seen = test.up_to(&x);
            assert_eq!((seen.len(), seen[1]), (3, at_14), "{later}");
        }
    }

    proptest! {
        #[test]
        fn sums_by_bytes_are_sums(ranks in prop::collection::vec(1u64..99, 1..150), vector: u64) {
            let signs = |k: usize| {
                bits(3, Stream::Signs, &[vector, k as u64 / 64]) >> (k % 64) & 1
            };
            let sum: u64 = ranks.iter().enumerate().map(|(k, rank)| rank * signs(k)).sum();
            prop_assert_eq!(Sums::new(&ranks).of(3, vector), sum);
        }
    }
}
