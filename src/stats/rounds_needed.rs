//! How many rounds a verdict needs, from the spread of the pairs.
//!
//! The signed-rank test needs ((z₁ + z₂) s / δ)² / 0.955 pairs to see a shift of δ with standard deviation s: 0.955 is
//! its asymptotic efficiency beside Student's t under normal errors (Hodges and Lehmann, 1956). Heavy tails need up to
//! one and a half times as many.

use super::normal;

/// The share of regressions (or of their absence) that the projected rounds would see: 90 %.
const POWER: f64 = 0.90;
/// Efficiency of the signed-rank test beside Student's, for normal errors: 3 / π.
const EFFICIENCY: f64 = 0.955;
/// No look is earlier.
const FEWEST: f64 = 10.0;
/// The standard deviation of a normal distribution in units of its median absolute deviation.
const NORMAL_MAD: f64 = 1.4826;

/// The spread of pairs: the standard deviation that their median absolute deviation would have under normal errors.
///
/// None of fewer than two pairs, and where so many are infinite that it is not known.
#[must_use]
pub fn pair_sd(d: &[f64]) -> Option<f64> {
    if d.len() < 2 || d.iter().any(|d| d.is_nan()) {
        return None;
    }
    let centre = middle(d.to_vec());
    let deviations: Vec<f64> = d.iter().map(|d| (d - centre).abs()).collect();
    let mad = if deviations.iter().any(|deviation| deviation.is_nan()) {
        return None;
    } else {
        middle(deviations)
    };
    mad.is_finite().then_some(NORMAL_MAD * mad)
}

fn middle(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    f64::midpoint(values[values.len() / 2], values[(values.len() - 1) / 2])
}

/// Two margins and the errors that are allowed, for projections.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Projection {
    /// The change that is allowed, as a share: 0.05.
    pub allowed: f64,
    /// The change that a PASS rules out.
    pub ruled_out: f64,
    /// The chance of a FAIL where the change is the allowed one.
    pub alpha: f64,
    /// The chance of a PASS where the change is the one ruled out.
    pub beta: f64,
}

impl Projection {
    /// Rounds until a FAIL where the candidate is slower by the change ruled out.
    #[must_use]
    pub fn to_fail(&self, pair_sd: f64) -> f64 {
        let distance = ((1.0 + self.ruled_out) / (1.0 + self.allowed)).ln();
        pairs(pair_sd, 1.0 - self.alpha, distance)
    }

    /// Rounds until a PASS where the arms are equal.
    #[must_use]
    pub fn to_pass(&self, pair_sd: f64) -> f64 {
        pairs(pair_sd, 1.0 - self.beta, (1.0 + self.ruled_out).ln())
    }

    /// Rounds until either verdict, where the true change is `ratio` (above 0); infinite on the boundary of both.
    #[must_use]
    pub fn to_either(&self, pair_sd: f64, ratio: f64) -> f64 {
        let above = (ratio / (1.0 + self.allowed)).ln();
        let below = ((1.0 + self.ruled_out) / ratio).ln();
        let fail = pairs(pair_sd, 1.0 - self.alpha, above.max(0.0));
        let pass = pairs(pair_sd, 1.0 - self.beta, below.max(0.0));
        fail.min(pass)
    }

    /// The smallest change that a PASS of equal arms rules out within `rounds`.
    #[must_use]
    pub fn smallest_ruled_out(&self, pair_sd: f64, rounds: usize) -> f64 {
        visible(pair_sd, 1.0 - self.beta, rounds)
    }
}

/// The smallest change, as a share, that `rounds` pairs would show at a one-sided `level`, nine times of ten.
#[must_use]
pub(super) fn visible(pair_sd: f64, level: f64, rounds: usize) -> f64 {
    let z = normal(level) + normal(POWER);
    (z * pair_sd / (EFFICIENCY * rounds as f64).sqrt()).exp_m1()
}

fn pairs(pair_sd: f64, level: f64, distance: f64) -> f64 {
    let z = normal(level) + normal(POWER);
    let rounds = (z * pair_sd / distance).powi(2) / EFFICIENCY;
    // 0 / 0, equal pairs on a boundary: they never leave it.
    if rounds.is_nan() {
        return f64::INFINITY;
    }
    rounds.ceil().max(FEWEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn projection(allowed: f64, ruled_out: f64) -> Projection {
        Projection {
            allowed,
            ruled_out,
            alpha: 0.01,
            beta: 0.05,
        }
    }

    #[test]
    fn rounds_to_fail_are_those_of_the_method() {
        for (sd, rounds) in [
            (0.05, [10.0, 16.0, 10.0]),
            (0.10, [10.0, 63.0, 16.0]),
            (0.20, [31.0, 252.0, 61.0]),
            (0.30, [69.0, 567.0, 136.0]),
        ] {
            let margins = [(0.05, 0.20), (0.05, 0.10), (0.0, 0.10)];
            let found = margins.map(|(d, big)| projection(d, big).to_fail(sd));
            assert_eq!(found, rounds, "{sd}");
        }
    }

    #[test]
    fn passing_takes_what_lies_between_equal_and_the_change_ruled_out() {
        let usual = projection(0.05, 0.20);
        // ((1.645 + 1.282) × 0.2 / 0.1823)² / 0.955 = 10.8
        assert_eq!(usual.to_pass(0.20), 11.0);
        assert_eq!(usual.to_pass(0.0), 10.0);
        assert_eq!(usual.to_either(0.20, 1.0), usual.to_pass(0.20));
        assert_eq!(usual.to_either(0.20, 1.2), usual.to_fail(0.20));
        assert!(usual.to_either(0.25, 1.09) > 50.0);
        let back = usual.smallest_ruled_out(0.20, 11);
        assert!((0.19..0.20).contains(&back), "{back}");
        assert_eq!(projection(0.05, 0.05).to_either(0.1, 1.05), f64::INFINITY);
    }

    #[test]
    fn the_spread_of_pairs_is_not_moved_by_a_few() {
        let sd = pair_sd(&[0.0, 0.1, 0.2, 0.3, 9.0]).unwrap();
        assert!((sd - 0.14826).abs() < 1e-9, "{sd}");
        let infinite = f64::INFINITY;
        assert!((pair_sd(&[0.0, 0.1, 0.2, 0.3, infinite]).unwrap() - 0.14826).abs() < 1e-9);
        assert_eq!(pair_sd(&[0.0, infinite, infinite, infinite]), None);
        assert_eq!(pair_sd(&[0.0, 0.1, infinite, infinite]), None);
        assert_eq!(pair_sd(&[0.0, 0.1, f64::NAN]), None);
        assert_eq!(pair_sd(&[0.1]), None);
    }
}
