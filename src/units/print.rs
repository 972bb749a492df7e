//! Numbers as the tables print them.

/// A number with three significant digits and no exponent: `0.412`, `1.84`, `12.3`, `123`, `1,234`.
///
/// Whole numbers keep all their digits; small ones at most four decimals (a tenth of a microsecond where the unit is
/// the millisecond). What is not a finite number is `n/a`.
#[must_use]
pub fn three_digits(value: f64) -> String {
    if !value.is_finite() {
        return "n/a".to_owned();
    }
    let sign = if value < 0.0 { "−" } else { "" };
    let size = value.abs();
    if size >= 999.5 {
        // Saturates far beyond any count or time that is ever printed.
        return format!("{sign}{}", thousands(size.round() as u64));
    }
    // The bounds are where rounding carries into the next digit: 9.995 is 10.0, not 10.00.
    let decimals = match size {
        99.95.. => 0,
        9.995.. => 1,
        0.9995.. => 2,
        0.09995.. => 3,
        0.00005.. => 4,
        _ => return "0.00".to_owned(),
    };
    format!("{sign}{size:.decimals$}")
}

/// A count with a comma every three digits: `20,000`.
#[must_use]
pub fn thousands(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (k, digit) in digits.chars().enumerate() {
        if k > 0 && (digits.len() - k).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Bytes in MiB with one decimal, rounded: `6.1`, `1,024.0`.
#[must_use]
pub fn mib(bytes: u64) -> String {
    const MIB: u128 = 1 << 20;
    let tenths = (u128::from(bytes) * 10 + MIB / 2) / MIB;
    // A tenth of a 64-bit count of bytes in MiB is far below 2^64.
    format!("{}.{}", thousands((tenths / 10) as u64), tenths % 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_print_with_three_digits() {
        for (value, expected) in [
            (0.0, "0.00"),
            (0.000_04, "0.00"),
            (0.000_1, "0.0001"),
            (0.031_24, "0.0312"),
            (0.4124, "0.412"),
            (0.9996, "1.00"),
            (1.84, "1.84"),
            (9.994, "9.99"),
            (9.996, "10.0"),
            (12.34, "12.3"),
            (99.96, "100"),
            (123.4, "123"),
            (999.6, "1,000"),
            (1234.4, "1,234"),
            (-2.1, "−2.10"),
            (f64::NAN, "n/a"),
        ] {
            assert_eq!(three_digits(value), expected, "{value}");
        }
        for (count, expected) in [
            (0, "0"),
            (999, "999"),
            (20_000, "20,000"),
            (1_234_567, "1,234,567"),
        ] {
            assert_eq!(thousands(count), expected);
        }
        for (bytes, expected) in [
            (0, "0.0"),
            (6_400_000, "6.1"),
            (1 << 30, "1,024.0"),
            (u64::MAX, "17,592,186,044,416.0"),
        ] {
            assert_eq!(mib(bytes), expected);
        }
    }
}
