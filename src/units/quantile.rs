//! Which part of a distribution.

use std::fmt;
use std::str::FromStr;

use super::{Decimal, Fault, UnitError, decimal};

/// A quantile strictly between the minimum and the maximum, kept as a whole number of millionths so that it can be
/// compared and hashed. Written `p50`, `p99`, `p99.9`, with at most four decimals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Quantile {
    millionths: u32,
}

impl Quantile {
    /// The median.
    pub const P50: Self = Self {
        millionths: 500_000,
    };
    /// Nine in ten are at or below it.
    pub const P90: Self = Self {
        millionths: 900_000,
    };
    /// Ninety-nine in a hundred are at or below it.
    pub const P99: Self = Self {
        millionths: 990_000,
    };
    /// 999 in a thousand are at or below it.
    pub const P99_9: Self = Self {
        millionths: 999_000,
    };

    /// The quantile as a fraction in (0, 1): 0.99 for p99.
    #[must_use]
    pub fn fraction(self) -> f64 {
        f64::from(self.millionths) / 1e6
    }

    /// The 1-based rank of the quantile among `count` values in order of size: ⌈q·n⌉, at least 1.
    #[must_use]
    pub fn rank(self, count: u64) -> u64 {
        let rank = (u128::from(self.millionths) * u128::from(count)).div_ceil(1_000_000);
        // At most `count`, since the quantile is below 1.
        (rank as u64).max(1)
    }
}

impl FromStr for Quantile {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        text.strip_prefix('p')
            .and_then(Decimal::parse)
            .filter(|percent| percent.places <= 4)
            .map(|percent| percent.digits * 10_u128.pow(4 - percent.places))
            .filter(|millionths| (1..1_000_000).contains(millionths))
            .and_then(|millionths| u32::try_from(millionths).ok())
            .map(|millionths| Self { millionths })
            .ok_or_else(|| UnitError::new(text, Fault::NotAQuantile))
    }
}

impl fmt::Display for Quantile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("p{}", decimal(u128::from(self.millionths), 4)))
    }
}
