//! Bytes, and bytes over time.

use super::{Decimal, Fault, NS_PER_H, NS_PER_M, NS_PER_S, UnitError};

/// Reads a size: `512B`, `64kB`, `64MB`, `2GB` in powers of ten, `64KiB`, `64MiB`, `2GiB` in powers of two. A part of a
/// byte is left out.
///
/// # Errors
/// Anything else, a bare number and what is beyond 2^64 bytes included, is not a size.
pub fn parse_size(text: &str) -> Result<u64, UnitError> {
    scaled(text.trim())
        .and_then(|(bytes, scale)| u64::try_from(bytes / scale).ok())
        .ok_or_else(|| UnitError::new(text, Fault::NotASize))
}

/// Reads a size over time, as bytes per second: `1MiB/h`, `64KiB/min`, `512B/s`.
///
/// # Errors
/// Anything else is not a size over time.
pub fn parse_slope(text: &str) -> Result<f64, UnitError> {
    let parts = text.trim().split_once('/').and_then(|(size, time)| {
        let per_ns = match time.trim_start() {
            "s" => NS_PER_S,
            "m" | "min" => NS_PER_M,
            "h" => NS_PER_H,
            _ => return None,
        };
        let (bytes, scale) = scaled(size.trim_end())?;
        Some(bytes as f64 * NS_PER_S as f64 / (scale as f64 * per_ns as f64))
    });
    parts.ok_or_else(|| UnitError::new(text, Fault::NotASlope))
}

/// A size in bytes, exactly: the first number over the second.
fn scaled(text: &str) -> Option<(u128, u128)> {
    let number = text.find(|c: char| c != '.' && !c.is_ascii_digit())?;
    let (amount, unit) = text.split_at(number);
    let unit: u128 = match unit {
        "B" => 1,
        "kB" => 1_000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return None,
    };
    let amount = Decimal::parse(amount)?;
    Some((amount.digits * unit, amount.scale()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_units_of_ten_or_of_two() {
        for (text, expected) in [
            ("0B", Some(0)),
            ("512B", Some(512)),
            ("64kB", Some(64_000)),
            ("64KiB", Some(65_536)),
            ("1.5MiB", Some(1_572_864)),
            ("2GiB", Some(2 << 30)),
            (" 64MB ", Some(64_000_000)),
            ("64", None),
            ("64mb", None),
            ("64 MB", None),
            ("-1MB", None),
            ("MB", None),
            ("", None),
            ("99999999999999999999999GiB", None),
        ] {
            assert_eq!(parse_size(text).ok(), expected, "{text}");
        }
        let error = parse_size("64").unwrap_err();
        assert_eq!(error.to_string(), "`64` is not a size");
    }

    #[test]
    fn slopes_are_sizes_over_time() {
        for (text, expected) in [
            ("512B/s", Some(512.0)),
            ("60kB/min", Some(1_000.0)),
            ("60kB/m", Some(1_000.0)),
            ("3.6MB/h", Some(1_000.0)),
            ("0B/s", Some(0.0)),
            ("1MiB", None),
            ("1MiB/d", None),
            ("1/s", None),
            ("/s", None),
        ] {
            assert_eq!(parse_slope(text).ok(), expected, "{text}");
        }
    }
}
