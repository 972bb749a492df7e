//! Accounts, as they are read.

use crate::Failure;
use serde::Serialize;
use std::str::FromStr;

/// An account: `{"id":7,"balance_minor":1000000000000,"currency":"EUR"}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Account {
    /// From 1 up.
    pub id: i64,
    /// What the account holds, in hundredths of the currency; never below 0.
    pub balance_minor: i64,
    /// Three capital letters (ISO 4217).
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
