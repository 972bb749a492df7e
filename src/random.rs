//! Randomness as a pure function: every draw names what it is for, so nothing depends on the order of draws.
//!
//! A run with the same seed sends the same bytes whatever the number of workers, because a value is a function
//! of (seed, stream, arrival, …) and not of how often a generator was asked before. The mixer is `SplitMix64`'s
//! finaliser (Steele, Lea, Flood: "Fast splittable pseudorandom number generators", OOPSLA 2014), applied once
//! per key; it passes the usual batteries when used as a counter-based generator, and costs about 2 ns a key.

/// What a draw is for. Two purposes never share values, however alike their other keys are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// The gap before arrival k of a Poisson phase.
    Gap = 1,
    /// The flow that arrival k starts.
    Flow = 2,
    /// A value in a rendered request.
    Template = 3,
    /// The seed of round r of a comparison.
    Round = 4,
    /// The order of the arms in round r.
    Order = 5,
    /// When a user of a closed phase starts its first flow.
    Stagger = 6,
    /// The row of a feeder that an arrival takes.
    Row = 7,
    /// How long a walk pauses between two steps.
    Think = 8,
    /// How often a walk goes through steps that repeat.
    Repeat = 9,
    /// The signs of vector v in the boundaries of a sequential test.
    Signs = 10,
    /// The seed of the second attempt of a gate.
    Confirmation = 11,
    /// What a scripted server does with a request.
    Script = 32,
}

/// 64 uniform bits for `keys` in `stream` under `seed`.
#[must_use]
pub fn bits(seed: u64, stream: Stream, keys: &[u64]) -> u64 {
    let mut state = mix(seed ^ 0x6a09_e667_f3bc_c909);
    state = mix(state ^ stream as u64);
    for &key in keys {
        state = mix(state.wrapping_add(0x9e37_79b9_7f4a_7c15) ^ key);
    }
    state
}

/// `bits` as an integer in `0..bound`, with a bias below `bound / 2^64` (Lemire's multiply-shift, without rejection,
/// so that one draw always costs one mix). `bound` must not be 0: the answer would be 0.
#[must_use]
pub fn below(bits: u64, bound: u64) -> u64 {
    // The high half of a 64 × 64-bit product is below `bound`, so it fits.
    ((u128::from(bits) * u128::from(bound)) >> 64) as u64
}

/// `bits` as a number in the open interval (0, 1): never 0, so its logarithm is finite.
#[must_use]
pub fn unit(bits: u64) -> f64 {
    ((bits >> 12) as f64 + 0.5) * (1.0 / (1u64 << 52) as f64)
}

/// Zipf's distribution over the ranks 1 to n: rank k comes up in proportion to k^−s.
///
/// Sampled by rejection-inversion (Hörmann, Derflinger: "Rejection-inversion to generate variates from monotone discrete
/// distributions", ACM TOMACS 6(3), 1996): no table, and fewer than 1.3 draws per sample on average.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Zipf {
    ranks: u64,
    exponent: f64,
    /// The integral of the hat up to the end of the first rank, less its mass.
    first: f64,
    /// The integral of the hat up to the end of the last rank.
    last: f64,
    /// Within this of its rank, a sample is accepted unseen.
    near: f64,
}

impl Zipf {
    /// Over `ranks` ranks, at least 1 and at most 2^52, with an exponent above 0.
    #[must_use]
    pub fn new(ranks: u64, exponent: f64) -> Self {
        let mut zipf = Self {
            ranks,
            exponent,
            first: 0.0,
            last: 0.0,
            near: 0.0,
        };
        zipf.first = zipf.integral(1.5) - 1.0;
        zipf.last = zipf.integral(ranks as f64 + 0.5);
        zipf.near = 2.0 - zipf.inverse(zipf.integral(2.5) - zipf.mass(2.0));
        zipf
    }

    /// How many ranks.
    #[must_use]
    pub fn ranks(&self) -> u64 {
        self.ranks
    }

    /// The exponent.
    #[must_use]
    pub fn exponent(&self) -> f64 {
        self.exponent
    }

    /// A rank from 1; `bits` gives 64 uniform bits for each number that it is asked with.
    #[must_use]
    pub fn sample(&self, bits: impl Fn(u64) -> u64) -> u64 {
        // One in four tries is rejected at most: 100 in a row, never.
        for attempt in 0..100 {
            let u = self.last + unit(bits(attempt)) * (self.first - self.last);
            let x = self.inverse(u);
            let rank = (x + 0.5).clamp(1.0, self.ranks as f64).floor();
            if rank - x <= self.near || u >= self.integral(rank + 0.5) - self.mass(rank) {
                return rank as u64;
            }
        }
        1
    }

    /// x^−s.
    fn mass(&self, x: f64) -> f64 {
        (-self.exponent * x.ln()).exp()
    }

    /// The integral of x^−s from 1, in a form that holds for s = 1 as well.
    fn integral(&self, x: f64) -> f64 {
        let log = x.ln();
        let t = (1.0 - self.exponent) * log;
        let factor = if t.abs() > 1e-8 {
            t.exp_m1() / t
        } else {
            1.0 + t / 2.0
        };
        factor * log
    }

    /// Of which x that is the integral.
    fn inverse(&self, integral: f64) -> f64 {
        let t = (integral * (1.0 - self.exponent)).max(-1.0);
        let factor = if t.abs() > 1e-8 {
            t.ln_1p() / t
        } else {
            1.0 - t / 2.0
        };
        (factor * integral).exp()
    }
}

fn mix(mut z: u64) -> u64 {
    z = z.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_draw_depends_on_every_key_and_on_nothing_else() {
        let base = bits(1, Stream::Template, &[2, 3]);
        assert_eq!(base, bits(1, Stream::Template, &[2, 3]));
        for other in [
            bits(2, Stream::Template, &[2, 3]),
            bits(1, Stream::Flow, &[2, 3]),
            bits(1, Stream::Template, &[3, 2]),
            bits(1, Stream::Template, &[2]),
            bits(1, Stream::Template, &[2, 3, 0]),
        ] {
            assert_ne!(base, other);
        }
    }

    #[test]
    fn below_is_uniform_and_in_range() {
        let mut seen = [0u32; 10];
        for k in 0..100_000 {
            seen[below(bits(7, Stream::Flow, &[k]), 10) as usize] += 1;
        }
        // Binomial(100,000, 0.1): a standard deviation of 95, so 500 is over five of them.
        assert!(seen.iter().all(|&n| n.abs_diff(10_000) < 500), "{seen:?}");
    }

    #[test]
    fn zipf_gives_each_rank_its_share() {
        for (ranks, exponent) in [
            (1, 1.1),
            (2, 0.5),
            (10, 1.0),
            (1_000, 1.1),
            (1_000_000, 2.5),
        ] {
            let zipf = Zipf::new(ranks, exponent);
            let draws = 40_000u64;
            let mut seen = [0u64; 3];
            for k in 0..draws {
                let rank = zipf.sample(|part| bits(3, Stream::Template, &[k, part]));
                assert!((1..=ranks).contains(&rank));
                if let Some(count) = seen.get_mut(rank as usize - 1) {
                    *count += 1;
                }
            }
            let total: f64 = (1..=ranks).map(|k| (k as f64).powf(-exponent)).sum();
            for (rank, &count) in (1..=ranks.min(3)).zip(&seen) {
                let share = (rank as f64).powf(-exponent) / total;
                let expected = share * draws as f64;
                // Over five standard deviations of the binomial.
                let slack = 5.5 * (expected * (1.0 - share)).sqrt() + 1.0;
                assert!(
                    (count as f64 - expected).abs() < slack,
                    "{ranks} {exponent} {rank}: {count}"
                );
            }
        }
    }

    #[test]
    fn unit_stays_inside_the_open_interval() {
        assert!(unit(0) > 0.0);
        assert!(unit(u64::MAX) < 1.0);
    }
}
