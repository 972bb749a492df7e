//! Accounts, as they are read.

#[cfg(feature = "openapi")]
use crate::openapi::bound;
use crate::{Failure, limit};
use serde::Serialize;
use std::str::FromStr;

/// An account: `{"id":7,"balance_minor":1000000000000,"currency":"EUR"}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Account {
    /// From 1 up.
    #[cfg_attr(feature = "openapi", schema(schema_with = bound::account_id))]
    pub id: i64,
    /// What the account holds, in hundredths of the currency; never below 0.
    #[cfg_attr(feature = "openapi", schema(schema_with = bound::balance))]
    pub balance_minor: i64,
    /// Three capital letters (ISO 4217).
    #[cfg_attr(feature = "openapi", schema(schema_with = bound::currency))]
    pub currency: String,
}

/// The number of an account, as a path names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AccountId(pub i64);

impl FromStr for AccountId {
    type Err = Failure;

    /// # Errors
    /// [`Failure::InvalidAccountId`] (400) if `text` is not a whole number from 1 up.
    fn from_str(text: &str) -> Result<Self, Failure> {
        positive(text).map(Self).ok_or(Failure::InvalidAccountId)
    }
}

/// How many accounts a query asks to read at random: its first `n`, from 1 to [`limit::RANDOM_ACCOUNTS`]. As in
/// `TechEmpower`'s test of many queries, whatever is no number counts as 1, and a number out of bounds as the bound.
#[must_use]
pub fn random_count(query: Option<&str>) -> usize {
    let pairs = query.unwrap_or_default().split('&');
    let text = pairs
        .filter_map(|pair| pair.strip_prefix("n="))
        .next()
        .unwrap_or_default();
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return 1;
    }
    // Digits alone fail to parse only where they are too many.
    text.parse()
        .unwrap_or(limit::RANDOM_ACCOUNTS)
        .clamp(1, limit::RANDOM_ACCOUNTS)
}

/// `text` as a whole number from 1 up, in digits alone.
pub(crate) fn positive(text: &str) -> Option<i64> {
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    text.parse().ok().filter(|number| *number >= 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_is_no_count_is_1() {
        for (query, expected) in [
            (None, 1),
            (Some(""), 1),
            (Some("n="), 1),
            (Some("n=x"), 1),
            (Some("n=-5"), 1),
            (Some("n=1.5"), 1),
            (Some("n=0"), 1),
            (Some("n=20"), 20),
            (Some("m=7&n=20&n=3"), 20),
            (Some("n=500"), 500),
            (Some("n=501"), 500),
            (Some("n=99999999999999999999999"), 500),
        ] {
            assert_eq!(random_count(query), expected, "{query:?}");
        }
    }

    #[test]
    fn an_account_is_named_by_a_whole_number_from_1_up() {
        for (text, expected) in [
            ("1", Ok(AccountId(1))),
            ("10000", Ok(AccountId(10_000))),
            ("9223372036854775807", Ok(AccountId(i64::MAX))),
            ("9223372036854775808", Err(Failure::InvalidAccountId)),
            ("0", Err(Failure::InvalidAccountId)),
            ("-1", Err(Failure::InvalidAccountId)),
            ("+1", Err(Failure::InvalidAccountId)),
            ("1.0", Err(Failure::InvalidAccountId)),
            ("", Err(Failure::InvalidAccountId)),
            ("random", Err(Failure::InvalidAccountId)),
        ] {
            assert_eq!(text.parse(), expected, "{text:?}");
        }
    }
}
