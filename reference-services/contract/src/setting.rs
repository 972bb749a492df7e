//! Environment variables, read in one way by everything that has settings.

use std::env::{self, VarError};
use std::fmt::{self, Display};
use std::ops::RangeInclusive;
use std::str::FromStr;

/// A variable that makes no sense: names it, and says what would.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettingError(String);

impl SettingError {
    /// An error with these words.
    #[must_use]
    pub fn new(message: String) -> Self {
        Self(message)
    }
}

impl Display for SettingError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl std::error::Error for SettingError {}

/// The variable `name`, if it is set.
///
/// # Errors
/// Where it is not valid UTF-8.
pub fn text(name: &str) -> Result<Option<String>, SettingError> {
    match env::var(name) {
        Ok(value) => Ok(Some(value)),
        Err(VarError::NotPresent) => Ok(None),
        Err(VarError::NotUnicode(_)) => Err(SettingError(format!("{name} is not valid UTF-8"))),
    }
}

/// The variable `name` as a whole number, or `default` if it is not set.
///
/// # Errors
/// Where it is no number, or not within `range`.
pub fn number<T>(name: &str, default: T, range: RangeInclusive<T>) -> Result<T, SettingError>
where
    T: FromStr + PartialOrd + Display,
{
    text(name)?.map_or(Ok(default), |text| parse(name, &text, &range))
}

/// `text`, the value of the variable `name`, as a whole number.
///
/// # Errors
/// Where it is no number, or not within `range`.
pub fn parse<T>(name: &str, text: &str, range: &RangeInclusive<T>) -> Result<T, SettingError>
where
    T: FromStr + PartialOrd + Display,
{
    text.parse()
        .ok()
        .filter(|value| range.contains(value))
        .ok_or_else(|| {
            SettingError(format!(
                "{name} is {text:?}; write a whole number from {} to {}",
                range.start(),
                range.end()
            ))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_within_its_range_or_the_error_says_what_to_write() {
        assert_eq!(parse("N", "7", &(1..=9_u32)), Ok(7));
        for bad in ["0", "10", "-1", "x", "", "1.5"] {
            let error = parse("N", bad, &(1..=9_u32)).unwrap_err().to_string();
            assert_eq!(
                error,
                format!("N is {bad:?}; write a whole number from 1 to 9")
            );
        }
        assert_eq!(number("A_NAME_THAT_NOBODY_SETS", 5, 1..=9), Ok(5));
    }
}
