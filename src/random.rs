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
    fn unit_stays_inside_the_open_interval() {
        assert!(unit(0) > 0.0);
        assert!(unit(u64::MAX) < 1.0);
    }
}
