//! How often something arrives.

use std::fmt;
use std::str::FromStr;

use super::{Decimal, Fault, NS_PER_H, NS_PER_M, NS_PER_S, UnitError, decimal, three_digits};

/// Arrivals over time, as an exact rational number: `count` arrivals every `per_ns` nanoseconds.
///
/// Kept reduced, so that equal rates are equal values however they were written (`60/m` is `1/s`). Never zero, at most
/// [`Rate::MAX_PER_SECOND`] and at least one arrival a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Rate {
    count: u64,
    per_ns: u64,
}

impl Rate {
    /// Ten million arrivals a second: a hundred nanoseconds apart, beyond what one machine can send over TCP.
    pub const MAX_PER_SECOND: u64 = 10_000_000;

    /// The longest mean gap, in nanoseconds: a day, since a load test that starts a flow more rarely is a cron job.
    const MAX_GAP_NS: u64 = 24 * NS_PER_H;

    /// A rate of `count` arrivals every `per_ns` nanoseconds; none where either is 0 or the rate is out of range.
    #[must_use]
    pub const fn new(count: u64, per_ns: u64) -> Option<Self> {
        if count == 0 || per_ns == 0 {
            return None;
        }
        let (arrivals, span) = (count as u128, per_ns as u128);
        let fastest = span * Self::MAX_PER_SECOND as u128;
        if arrivals * NS_PER_S as u128 > fastest || span > arrivals * Self::MAX_GAP_NS as u128 {
            return None;
        }
        let divisor = greatest_common_divisor(count, per_ns);
        Some(Self {
            count: count / divisor,
            per_ns: per_ns / divisor,
        })
    }

    /// `per_second` whole arrivals every second.
    #[must_use]
    pub const fn per_second_of(per_second: u64) -> Option<Self> {
        Self::new(per_second, NS_PER_S)
    }

    /// The numerator, in arrivals, of the reduced fraction.
    #[must_use]
    pub const fn count(self) -> u64 {
        self.count
    }

    /// The denominator, in nanoseconds, of the reduced fraction.
    #[must_use]
    pub const fn per_ns(self) -> u64 {
        self.per_ns
    }

    /// Arrivals per second, to the nearest floating-point number.
    #[must_use]
    pub fn per_second(self) -> f64 {
        self.count as f64 * NS_PER_S as f64 / self.per_ns as f64
    }

    /// The rate per `unit_ns`, as a decimal of at most `places` places, where it is exactly one.
    fn exactly_per(self, unit_ns: u64, places: u32) -> Option<String> {
        let scale = 10_u128.pow(places);
        let scaled = u128::from(self.count) * u128::from(unit_ns) * scale;
        let per = u128::from(self.per_ns);
        scaled
            .is_multiple_of(per)
            .then(|| decimal(scaled / per, places))
    }
}

impl FromStr for Rate {
    type Err = UnitError;

    /// Reads `400/s`, `30/m`, `5/h`, `2k/s`, `2.5/s`; a bare `400` is per second.
    fn from_str(text: &str) -> Result<Self, UnitError> {
        let fail = |fault| Err(UnitError::new(text, fault));
        let (amount, unit_ns) = match text.trim().split_once('/') {
            None => (text.trim(), NS_PER_S),
            Some((amount, "s")) => (amount, NS_PER_S),
            Some((amount, "m")) => (amount, NS_PER_M),
            Some((amount, "h")) => (amount, NS_PER_H),
            Some(_) => return fail(Fault::NotARate),
        };
        let (amount, factor) = match amount.strip_suffix('k') {
            Some(thousands) => (thousands, 1_000),
            None => (amount, 1),
        };
        // Six places keep an hour's worth of scaled nanoseconds within 64 bits, so that what fails below is out of range.
        let Some(amount) = Decimal::parse(amount).filter(|amount| amount.places <= 6) else {
            return fail(Fault::NotARate);
        };
        if amount.digits == 0 {
            return fail(Fault::ZeroRate);
        }
        let count = amount.digits * factor;
        let per_ns = u128::from(unit_ns) * amount.scale();
        let divisor = gcd_wide(count, per_ns);
        let narrow = |wide: u128| u64::try_from(wide / divisor).ok();
        match narrow(count)
            .zip(narrow(per_ns))
            .and_then(|(count, per_ns)| Self::new(count, per_ns))
        {
            Some(rate) => Ok(rate),
            None if count * u128::from(NS_PER_S) > per_ns * u128::from(Self::MAX_PER_SECOND) => {
                fail(Fault::RateTooHigh)
            }
            None => fail(Fault::RateTooLow),
        }
    }
}

impl fmt::Display for Rate {
    /// The shortest exact way to write the rate: `400/s`, `2.5/s`, `30/m`; `≈ 0.333/s` where no decimal is exact.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole_seconds = if self.per_second() >= 1.0 { 3 } else { 0 };
        let candidates = [
            (NS_PER_S, "s", whole_seconds),
            (NS_PER_M, "m", 0),
            (NS_PER_H, "h", 0),
            (NS_PER_S, "s", 6),
            (NS_PER_M, "m", 6),
            (NS_PER_H, "h", 6),
        ];
        for (unit_ns, unit, places) in candidates {
            if let Some(amount) = self.exactly_per(unit_ns, places) {
                return f.pad(&format!("{amount}/{unit}"));
            }
        }
        f.pad(&format!("≈ {}/s", three_digits(self.per_second())))
    }
}

const fn greatest_common_divisor(mut a: u64, mut b: u64) -> u64 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

fn gcd_wide(mut a: u128, mut b: u128) -> u128 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_without_an_exact_decimal_is_marked_as_rounded() {
        assert_eq!(
            Rate::new(1, 7_000_000_001).unwrap().to_string(),
            "≈ 0.143/s"
        );
    }
}
