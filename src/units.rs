//! Rates, durations, ratios, sizes and quantiles as people write them, and numbers as the tables print them.
//!
//! Everything here is exact where a person was exact: a rate is a rational number and a duration is a whole number
//! of nanoseconds, so that what is printed can be typed in again and mean the same.

mod print;
mod quantile;
mod rate;
mod size;

use std::time::Duration;

use thiserror::Error;

pub use print::{mib, thousands, three_digits};
pub use quantile::Quantile;
pub use rate::Rate;
pub use size::{parse_size, parse_slope};

/// A text that is not the quantity it should be: what was written and what is wrong with it.
///
/// Displayed as "`30` has no unit"; a caller that knows the key may put it before the text by way of [`Self::fault`].
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{text}` {fault}")]
pub struct UnitError {
    text: String,
    fault: Fault,
}

impl UnitError {
    fn new(text: &str, fault: Fault) -> Self {
        Self {
            text: text.to_owned(),
            fault,
        }
    }

    /// What is wrong, as the predicate of a sentence whose subject is the text.
    #[must_use]
    pub fn fault(&self) -> Fault {
        self.fault
    }

    /// What to write instead.
    #[must_use]
    pub fn hint(&self) -> String {
        match self.fault {
            Fault::NoUnit => format!("write {0}s, {0}m or {0}ms", self.text.trim()),
            Fault::NotADuration => {
                "durations are written 250us, 500ms, 1.5s, 10s, 1m30s, 2h".to_owned()
            }
            Fault::TooLong => "the longest duration is 584 years".to_owned(),
            Fault::NotARate => {
                "rates are written 400/s, 30/m, 5/h, 2k/s; a bare number is per second".to_owned()
            }
            Fault::ZeroRate => {
                "the lowest rate is one arrival a day; a phase in which nothing arrives has `pause: true`".to_owned()
            }
            Fault::RateTooHigh => {
                format!("the highest rate is {}/s", thousands(Rate::MAX_PER_SECOND))
            }
            Fault::RateTooLow => "the lowest rate is one arrival a day".to_owned(),
            Fault::NotARatio => "ratios are written 5%, 0.5% or 0.005".to_owned(),
            Fault::NotASize => "sizes are written 512KiB, 64MiB, 2GiB or 64MB".to_owned(),
            Fault::NotASlope => {
                "a size over time is written 1MiB/h, 64KiB/min or 512B/s".to_owned()
            }
            Fault::NotAQuantile => {
                "quantiles are written p50, p90, p99, p99.9, up to p99.9999".to_owned()
            }
        }
    }
}

/// What is wrong with a quantity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Fault {
    /// A bare number where a duration stands.
    #[error("has no unit")]
    NoUnit,
    /// No duration at all.
    #[error("is not a duration")]
    NotADuration,
    /// More nanoseconds than 64 bits hold.
    #[error("is too long")]
    TooLong,
    /// No rate at all.
    #[error("is not a rate")]
    NotARate,
    /// A rate of nothing.
    #[error("is a rate of zero")]
    ZeroRate,
    /// Above [`Rate::MAX_PER_SECOND`].
    #[error("is too high a rate")]
    RateTooHigh,
    /// Below one arrival a day.
    #[error("is too low a rate")]
    RateTooLow,
    /// Neither a percentage nor a decimal.
    #[error("is not a ratio")]
    NotARatio,
    /// No size, or one without a unit.
    #[error("is not a size")]
    NotASize,
    /// No size over time.
    #[error("is not a size over time")]
    NotASlope,
    /// No quantile strictly between p0 and p100.
    #[error("is not a quantile")]
    NotAQuantile,
}

/// Reads a duration with units, largest first: `250us`, `1.5s`, `1m30s`. `0s` is a duration: callers to whom it means
/// nothing refuse it themselves.
///
/// # Errors
/// A bare number has no unit; anything else unreadable, or finer than a nanosecond, is not a duration; beyond 2^64 ns
/// is too long.
pub fn parse_duration(text: &str) -> Result<Duration, UnitError> {
    let fail = |fault| UnitError::new(text, fault);
    let mut rest = text.trim();
    if Decimal::parse(rest).is_some() {
        return Err(fail(Fault::NoUnit));
    }
    let mut total: u128 = 0;
    let mut largest = u64::MAX;
    while !rest.is_empty() {
        let number = rest
            .find(|c: char| c != '.' && !c.is_ascii_digit())
            .unwrap_or(rest.len());
        let (amount, after) = rest.split_at(number);
        let unit = after
            .find(|c: char| !c.is_ascii_alphabetic())
            .unwrap_or(after.len());
        let (unit, after) = after.split_at(unit);
        let (Some(amount), Some(unit_ns)) = (Decimal::parse(amount), unit_ns(unit)) else {
            return Err(fail(Fault::NotADuration));
        };
        let scaled = amount.digits * u128::from(unit_ns);
        if unit_ns >= largest || !scaled.is_multiple_of(amount.scale()) {
            return Err(fail(Fault::NotADuration));
        }
        total += scaled / amount.scale();
        (rest, largest) = (after, unit_ns);
    }
    if largest == u64::MAX {
        return Err(fail(Fault::NotADuration));
    }
    u64::try_from(total)
        .map(Duration::from_nanos)
        .map_err(|_| fail(Fault::TooLong))
}

/// Writes a duration so that [`parse_duration`] reads the same back: `10s`, `1m30s`, `1.5s`, `250us`.
#[must_use]
pub fn format_duration(duration: Duration) -> String {
    let mut ns = duration.as_nanos();
    if ns == 0 {
        return "0s".to_owned();
    }
    let mut text = String::new();
    for (unit_ns, unit) in [(NS_PER_H, "h"), (NS_PER_M, "m")] {
        let unit_ns = u128::from(unit_ns);
        if ns >= unit_ns {
            text += &format!("{}{unit}", ns / unit_ns);
            ns %= unit_ns;
        }
    }
    let (places, unit) = match ns {
        0 => return text,
        1_000_000_000.. => (9, "s"),
        1_000_000.. => (6, "ms"),
        _ => (3, "us"),
    };
    text + &decimal(ns, places) + unit
}

/// A duration in whole nanoseconds, at most 584 years.
#[must_use]
pub fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// Reads `0.5%` or `0.005` as a fraction of one. Ratios above 1 are ratios: 150 % more is a meaningful change.
///
/// # Errors
/// Anything else, signs included, is not a ratio.
pub fn parse_ratio(text: &str) -> Result<f64, UnitError> {
    let trimmed = text.trim();
    let (amount, whole) = match trimmed.strip_suffix('%') {
        Some(amount) => (amount.trim_end(), 100),
        None => (trimmed, 1),
    };
    match Decimal::parse(amount) {
        // Divided once, so that 0.7 % is the same number as 7 of 1,000.
        Some(decimal) => Ok(decimal.digits as f64 / (decimal.scale() * whole) as f64),
        None => Err(UnitError::new(text, Fault::NotARatio)),
    }
}

const NS_PER_S: u64 = 1_000_000_000;
const NS_PER_M: u64 = 60 * NS_PER_S;
const NS_PER_H: u64 = 60 * NS_PER_M;

fn unit_ns(unit: &str) -> Option<u64> {
    match unit {
        "us" => Some(1_000),
        "ms" => Some(1_000_000),
        "s" => Some(NS_PER_S),
        "m" => Some(NS_PER_M),
        "h" => Some(NS_PER_H),
        _ => None,
    }
}

/// A written decimal number, exactly: `digits / 10^places`.
#[derive(Clone, Copy)]
struct Decimal {
    digits: u128,
    places: u32,
}

impl Decimal {
    /// Enough for any 64-bit count with nine decimals, and few enough that products with hours stay within 128 bits.
    const MAX_DIGITS: usize = 24;

    /// Reads digits with at most one point inside them; no sign, no exponent, no separators.
    fn parse(text: &str) -> Option<Self> {
        let (whole, fraction) = match text.split_once('.') {
            Some((_, "")) => return None,
            Some(parts) => parts,
            None => (text, ""),
        };
        let digits = format!("{whole}{fraction}");
        let readable = !whole.is_empty()
            && digits.len() <= Self::MAX_DIGITS
            && digits.bytes().all(|b| b.is_ascii_digit());
        let places = u32::try_from(fraction.len()).ok()?;
        readable
            .then(|| digits.parse().ok())
            .flatten()
            .map(|digits| Self { digits, places })
    }

    fn scale(self) -> u128 {
        10_u128.pow(self.places)
    }
}

/// `digits / 10^places` without trailing zeros.
fn decimal(digits: u128, places: u32) -> String {
    let scale = 10_u128.pow(places);
    let whole = digits / scale;
    match digits % scale {
        0 => whole.to_string(),
        fraction => format!("{whole}.{fraction:0width$}", width = places as usize)
            .trim_end_matches('0')
            .to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::fmt;

    use proptest::prelude::*;

    use super::*;

    /// Either what `text` prints back as, or its error and hint.
    fn check<T: fmt::Display>(parsed: Result<T, UnitError>, expected: Result<&str, &str>) {
        match (parsed, expected) {
            (Ok(value), Ok(printed)) => assert_eq!(value.to_string(), printed),
            (Err(error), Err(message)) => assert_eq!(error.to_string(), message),
            (parsed, expected) => panic!(
                "{:?} instead of {expected:?}",
                parsed.map(|value| value.to_string())
            ),
        }
    }

    #[test]
    fn rates_read_and_print_as_people_write_them() {
        for (text, expected) in [
            ("400/s", Ok("400/s")),
            ("400", Ok("400/s")),
            ("2k/s", Ok("2000/s")),
            ("2.5k", Ok("2500/s")),
            ("2.5/s", Ok("2.5/s")),
            ("30/m", Ok("30/m")),
            ("60/m", Ok("1/s")),
            ("5/h", Ok("5/h")),
            ("100/m", Ok("100/m")),
            ("0.25/h", Ok("0.25/h")),
            ("0.5/s", Ok("30/m")),
            ("287.397/h", Ok("4.78995/m")),
            ("0.001/s", Ok("0.001/s")),
            ("0.0000001/s", Err("`0.0000001/s` is not a rate")),
            ("10000000/s", Ok("10000000/s")),
            ("10000001/s", Err("`10000001/s` is too high a rate")),
            (
                "99999999999999999999999/s",
                Err("`99999999999999999999999/s` is too high a rate"),
            ),
            ("0.01/h", Err("`0.01/h` is too low a rate")),
            ("0/s", Err("`0/s` is a rate of zero")),
            ("-4/s", Err("`-4/s` is not a rate")),
            ("4/d", Err("`4/d` is not a rate")),
            ("/s", Err("`/s` is not a rate")),
            ("1e3/s", Err("`1e3/s` is not a rate")),
            ("", Err("`` is not a rate")),
        ] {
            check(text.parse::<Rate>(), expected);
        }
    }

    #[test]
    fn durations_need_units_largest_first() {
        for (text, expected) in [
            ("250us", Ok("250us")),
            ("500ms", Ok("500ms")),
            ("1.5s", Ok("1.5s")),
            ("90s", Ok("1m30s")),
            ("1m30s", Ok("1m30s")),
            ("1h0.5s", Ok("1h500ms")),
            ("0s", Ok("0s")),
            ("0.001us", Ok("0.001us")),
            ("30", Err("`30` has no unit")),
            ("1.5", Err("`1.5` has no unit")),
            ("0.0001us", Err("`0.0001us` is not a duration")),
            ("30s1m", Err("`30s1m` is not a duration")),
            ("1s1s", Err("`1s1s` is not a duration")),
            ("10 s", Err("`10 s` is not a duration")),
            ("3d", Err("`3d` is not a duration")),
            ("-1s", Err("`-1s` is not a duration")),
            ("s", Err("`s` is not a duration")),
            ("", Err("`` is not a duration")),
            ("9999999999h", Err("`9999999999h` is too long")),
        ] {
            check(parse_duration(text).map(format_duration), expected);
        }
        assert_eq!(
            parse_duration("30").unwrap_err().hint(),
            "write 30s, 30m or 30ms"
        );
    }

    #[test]
    fn quantiles_and_ratios() {
        for (text, expected) in [
            ("p50", Ok("p50")),
            ("p99.9", Ok("p99.9")),
            ("p99.90", Ok("p99.9")),
            ("p99.9999", Ok("p99.9999")),
            ("p99.99999", Err("`p99.99999` is not a quantile")),
            ("p0", Err("`p0` is not a quantile")),
            ("p100", Err("`p100` is not a quantile")),
            ("99", Err("`99` is not a quantile")),
        ] {
            check(text.parse::<Quantile>(), expected);
        }
        assert_eq!("p99".parse(), Ok(Quantile::P99));
        assert!((Quantile::P99_9.fraction() - 0.999).abs() < 1e-12);
        for (text, expected) in [
            ("0.5%", Ok("0.005")),
            ("0.005", Ok("0.005")),
            ("150 %", Ok("1.5")),
            ("0.7%", Ok("0.007")),
            ("-1%", Err("`-1%` is not a ratio")),
        ] {
            check(parse_ratio(text), expected);
        }
    }

    proptest! {
        #[test]
        fn a_duration_prints_as_it_reads(ns: u64) {
            let duration = Duration::from_nanos(ns);
            prop_assert_eq!(parse_duration(&format_duration(duration)), Ok(duration));
        }

        #[test]
        fn a_written_rate_prints_as_it_reads(digits in 1_u64..1_000_000, places in 0_u32..4, unit in "[smh]") {
            let text = format!("{}/{unit}", decimal(u128::from(digits), places));
            if let Ok(rate) = text.parse::<Rate>() {
                prop_assert_eq!(rate.to_string().parse(), Ok(rate), "{}", rate);
            }
        }

        #[test]
        fn no_text_makes_a_reader_panic(text in "[0-9.kpsmhu/% -]{0,40}") {
            let _ = (text.parse::<Rate>(), parse_duration(&text), parse_ratio(&text), text.parse::<Quantile>());
        }
    }
}
