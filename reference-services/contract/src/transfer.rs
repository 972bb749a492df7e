//! Transfers: the order, its idempotency key, and the booked transfer.

use crate::account::positive;
#[cfg(feature = "openapi")]
use crate::openapi::bound;
use crate::{Failure, limit};
use serde::{Deserialize, Serialize};
use std::str::FromStr;

/// An order to move money: `{"from":1,"to":5001,"amount_minor":250,"currency":"EUR"}`. Unknown keys are refused.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "NewTransferWire")]
pub struct NewTransfer {
    /// The account that pays, from 1 up.
    pub from: i64,
    /// The account that receives, from 1 up. May be `from`: the order is then well formed, and refused with 422.
    pub to: i64,
    /// 1 to [`limit::AMOUNT_MINOR`].
    pub amount_minor: i64,
    /// Three capital letters (ISO 4217).
    pub currency: String,
}

#[derive(Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = NewTransfer))]
#[serde(deny_unknown_fields)]
pub(crate) struct NewTransferWire {
    #[cfg_attr(feature = "openapi", schema(schema_with = bound::payer))]
    from: i64,
    #[cfg_attr(feature = "openapi", schema(schema_with = bound::payee))]
    to: i64,
    #[cfg_attr(feature = "openapi", schema(schema_with = bound::amount))]
    amount_minor: i64,
    #[cfg_attr(feature = "openapi", schema(schema_with = bound::currency))]
    currency: String,
}

impl TryFrom<NewTransferWire> for NewTransfer {
    type Error = String;

    fn try_from(wire: NewTransferWire) -> Result<Self, String> {
        Self::new(wire.from, wire.to, wire.amount_minor, wire.currency)
    }
}

impl NewTransfer {
    /// An order that makes sense.
    ///
    /// # Errors
    /// What is wrong with it, for people.
    pub fn new(from: i64, to: i64, amount_minor: i64, currency: String) -> Result<Self, String> {
        if from < 1 || to < 1 {
            return Err("from and to must be 1 or more".to_owned());
        }
        if !(1..=limit::AMOUNT_MINOR).contains(&amount_minor) {
            return Err(format!("amount_minor must be 1 to {}", limit::AMOUNT_MINOR));
        }
        if currency.len() != 3 || !currency.bytes().all(|byte| byte.is_ascii_uppercase()) {
            return Err("currency must be three capital letters".to_owned());
        }
        Ok(Self {
            from,
            to,
            amount_minor,
            currency,
        })
    }

    /// What tells this order from any other: equal for bodies that differ in white space or in the order of keys alone.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        format!(
            "{}>{}:{}{}",
            self.from, self.to, self.amount_minor, self.currency
        )
    }
}

/// The client's name for an order: 1 to [`limit::KEY_CHARACTERS`] visible ASCII characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotencyKey(String);

impl IdempotencyKey {
    /// Reads the values of all `Idempotency-Key` headers of a request.
    ///
    /// # Errors
    /// [`Failure::MissingIdempotencyKey`] or [`Failure::InvalidIdempotencyKey`] (both 400); two keys are one too many.
    pub fn parse<'a>(values: impl IntoIterator<Item = &'a [u8]>) -> Result<Self, Failure> {
        let mut values = values.into_iter();
        let value = values.next().ok_or(Failure::MissingIdempotencyKey)?;
        let fits = (1..=limit::KEY_CHARACTERS).contains(&value.len());
        if values.next().is_some() || !fits || !value.iter().all(u8::is_ascii_graphic) {
            return Err(Failure::InvalidIdempotencyKey);
        }
        Ok(Self(value.iter().copied().map(char::from).collect()))
    }

    /// The key as it was sent.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The number of a transfer, as a path names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TransferId(pub i64);

impl FromStr for TransferId {
    type Err = Failure;

    /// # Errors
    /// [`Failure::TransferNotFound`] (404) if `text` is not a whole number from 1 up: no transfer has such a name.
    fn from_str(text: &str) -> Result<Self, Failure> {
        positive(text).map(Self).ok_or(Failure::TransferNotFound)
    }
}

/// A booked transfer: `{"id":1,"from":1,"to":5001,"amount_minor":250,"currency":"EUR","status":"booked"}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Transfer {
    /// From 1 up, with gaps where an order was refused.
    #[cfg_attr(feature = "openapi", schema(schema_with = bound::transfer_id))]
    pub id: i64,
    /// The account that paid.
    #[cfg_attr(feature = "openapi", schema(schema_with = bound::payer))]
    pub from: i64,
    /// The account that received.
    #[cfg_attr(feature = "openapi", schema(schema_with = bound::payee))]
    pub to: i64,
    /// How much, in hundredths of the currency.
    #[cfg_attr(feature = "openapi", schema(schema_with = bound::amount))]
    pub amount_minor: i64,
    /// Three capital letters (ISO 4217).
    #[cfg_attr(feature = "openapi", schema(schema_with = bound::currency))]
    pub currency: String,
    /// What became of the order.
    pub status: TransferStatus,
}

impl Transfer {
    /// Where the transfer can be read back: `/v1/transfers/1`.
    #[must_use]
    pub fn location(&self) -> String {
        format!("{}/{}", crate::path::TRANSFERS, self.id)
    }
}

/// What became of an order. A refused order leaves nothing behind, so there is one status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum TransferStatus {
    /// The money was moved.
    Booked,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_key(headers: &[&[u8]], expected: &Result<&str, Failure>) {
        let parsed = IdempotencyKey::parse(headers.iter().copied());
        let parsed = parsed.as_ref().map(IdempotencyKey::as_str);
        assert_eq!(parsed, expected.as_ref().copied(), "{headers:?}");
    }

    #[test]
    fn a_key_is_1_to_64_visible_characters() {
        check_key(&[b"7f6c"], &Ok("7f6c"));
        check_key(&[&[b'a'; 64]], &Ok(&"a".repeat(64)));
        check_key(&[], &Err(Failure::MissingIdempotencyKey));
        for bad in [
            &b""[..],
            &[b'a'; 65],
            b"a b",
            b"a\tb",
            "ä".as_bytes(),
            b"\x7f",
        ] {
            check_key(&[bad], &Err(Failure::InvalidIdempotencyKey));
        }
        check_key(&[b"a", b"a"], &Err(Failure::InvalidIdempotencyKey));
    }

    fn check_order(json: &str, expected: Result<&str, &str>) {
        match (serde_json::from_str::<NewTransfer>(json), expected) {
            (Ok(order), Ok(fingerprint)) => assert_eq!(order.fingerprint(), fingerprint),
            (Err(error), Err(part)) => assert!(error.to_string().contains(part), "{json}: {error}"),
            (outcome, expected) => panic!("{json}: {outcome:?}, expected {expected:?}"),
        }
    }

    #[test]
    fn an_order_is_valid_or_says_what_is_wrong() {
        check_order(
            r#"{"from":1,"to":5001,"amount_minor":250,"currency":"EUR"}"#,
            Ok("1>5001:250EUR"),
        );
        check_order(
            r#"{ "currency":"EUR", "amount_minor":250, "to":5001, "from":1 }"#,
            Ok("1>5001:250EUR"),
        );
        check_order(
            r#"{"from":1,"to":1,"amount_minor":1,"currency":"EUR"}"#,
            Ok("1>1:1EUR"),
        );
        check_order(
            r#"{"from":0,"to":1,"amount_minor":1,"currency":"EUR"}"#,
            Err("from and to"),
        );
        check_order(
            r#"{"from":1,"to":2,"amount_minor":0,"currency":"EUR"}"#,
            Err("amount_minor must be 1 to"),
        );
        check_order(
            r#"{"from":1,"to":2,"amount_minor":1000000000001,"currency":"EUR"}"#,
            Err("amount_minor"),
        );
        check_order(
            r#"{"from":1,"to":2,"amount_minor":1,"currency":"eur"}"#,
            Err("capital letters"),
        );
        check_order(
            r#"{"from":1,"to":2,"amount_minor":1,"currency":"EURO"}"#,
            Err("capital letters"),
        );
        check_order(
            r#"{"from":"1","to":2,"amount_minor":1,"currency":"EUR"}"#,
            Err("invalid type"),
        );
        check_order(
            r#"{"from":1,"to":2,"amount_minor":1,"currency":"EUR","note":""}"#,
            Err("unknown field"),
        );
    }
}
