//! How much a sample can say: quantiles with intervals, pairs of rounds, and the boundaries of a test that may look
//! several times.
//!
//! The unit of replication is the round, never the request: requests of one run share its luck. What is compared is
//! d = ln(candidate ÷ reference), one value per round. Under the randomised order of arms the signs of d are fair coins
//! where the arms are equal, however the noise is correlated in time, so tests on signed ranks (`signed_rank`) need no
//! model of the noise. Values are plain `f64`; +∞ is a value (a request that was not ok never came), and NaN as a d means
//! that both arms were infinite.

mod paired;
mod rounds_needed;
pub mod sampling;
mod sequential;
mod signed_rank;
mod spread;
mod trend;
mod walsh;

use statrs::distribution::{Beta, ContinuousCDF, Normal, StudentsT};

pub use paired::{Change, Direction, log_ratio};
pub use rounds_needed::{Projection, pair_sd};
pub use sequential::{AtLook, Looks, Sequential, TooFewRounds, VECTORS};
pub use signed_rank::{Null, Signed};
pub use spread::Spread;
pub use trend::Trend;
pub use walsh::{OrderIndex, Walsh, fewest_rounds, order_index};

use crate::units::Quantile;

/// The chance that is left for a quantile to lie above everything that was seen, on one side of a 95 % interval.
const ONE_SIDE: f64 = 0.025;

/// The fewest values of which a quantile may be printed: with fewer, even the largest value is no upper limit of it
/// at 95 % confidence. Six for p50, 36 for p90, 368 for p99, 3,688 for p99.9.
///
/// All n values lie below the quantile q with probability qⁿ, so the least n with qⁿ ≤ 0.025 is meant; see W. Q.
/// Meeker, G. J. Hahn, L. A. Escobar: "Statistical Intervals", 2nd edition, section 5.2.
#[must_use]
pub fn fewest(quantile: Quantile) -> u64 {
    (ONE_SIDE.ln() / quantile.fraction().ln()).ceil() as u64
}

/// The fewest values in a round of which its quantile may be compared with another round's: 20 beyond the quantile,
/// so that it rests on more than a handful of requests. 2,000 for p99, 20,000 for p99.9.
#[must_use]
pub fn fewest_per_round(quantile: Quantile) -> u64 {
    const BEYOND: f64 = 20.0;
    // Quantiles are whole millionths: rounding undoes what the subtraction does to the last digit.
    (BEYOND / (1.0 - quantile.fraction())).round() as u64
}

/// The exact upper limit of a share, of which `part` of `whole` independent trials are a sample, at a one-sided `confidence`:
/// C. J. Clopper, E. S. Pearson: "The use of confidence or fiducial limits", Biometrika 26 (1934).
#[must_use]
pub fn share_at_most(part: u64, whole: u64, confidence: f64) -> f64 {
    if part >= whole {
        return 1.0;
    }
    let beta = Beta::new(part as f64 + 1.0, (whole - part) as f64);
    beta.map_or(1.0, |beta| beta.inverse_cdf(confidence))
}

/// A quantile of Student's t with `freedom` > 0 degrees of freedom, which need not be whole.
pub(crate) fn student(freedom: f64, probability: f64) -> f64 {
    /// Beyond, the first term of Cornish and Fisher's expansion about the normal is exact to nine digits, and the way by the
    /// beta function is slow and loses them.
    const MANY: f64 = 10_000.0;
    if freedom > MANY {
        let z = normal(probability);
        return z + (z.powi(3) + z) / (4.0 * freedom);
    }
    StudentsT::new(0.0, 1.0, freedom)
        .expect("degrees of freedom are positive")
        .inverse_cdf(probability)
}

/// A quantile of the standard normal distribution.
fn normal(probability: f64) -> f64 {
    Normal::standard().inverse_cdf(probability)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_of_student_and_the_normal_are_those_of_the_tables() {
        for (freedom, quantile) in [
            (3.0, 3.182),
            (5.0, 2.571),
            (10.0, 2.228),
            (28.0, 2.048),
            (1e9, 1.960),
        ] {
            let found = student(freedom, 0.975);
            assert!((found - quantile).abs() < 0.0006, "{freedom}: {found}");
        }
        let (below, above) = (student(9_999.0, 0.99), student(10_001.0, 0.99));
        assert!((below - above).abs() < 1e-6, "{below} {above}");
        assert!((normal(0.99) - 2.326_348).abs() < 1e-6);
        assert!((normal(0.9) - 1.281_552).abs() < 1e-6);
    }

    #[test]
    fn the_smallest_samples_are_those_of_the_binomial() {
        for (quantile, least) in [
            (Quantile::P50, 6),
            (Quantile::P90, 36),
            (Quantile::P99, 368),
            (Quantile::P99_9, 3_688),
        ] {
            assert_eq!(fewest(quantile), least, "{quantile}");
            let beyond = |n: u64| quantile.fraction().powf(n as f64);
            assert!(beyond(least) <= ONE_SIDE && beyond(least - 1) > ONE_SIDE);
        }
    }

    #[test]
    fn a_round_needs_twenty_requests_beyond_its_quantile() {
        let sizes =
            [Quantile::P50, Quantile::P90, Quantile::P99, Quantile::P99_9].map(fewest_per_round);
        assert_eq!(sizes, [40, 200, 2_000, 20_000]);
    }
}
