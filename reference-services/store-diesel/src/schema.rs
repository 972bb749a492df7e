//! The tables, as the migrations of `store` make them. Written by hand; `tests/schema.rs` fails where it is not what the
//! database says.
#![allow(missing_docs, reason = "the migrations say what the columns mean")]

diesel::table! {
    accounts (id) {
        id -> BigInt,
        currency -> Text,
        opening_minor -> BigInt,
        balance_minor -> BigInt,
    }
}

diesel::table! {
    transfers (id) {
        id -> BigInt,
        idempotency_key -> Text,
        from_account -> BigInt,
        to_account -> BigInt,
        amount_minor -> BigInt,
        currency -> Text,
    }
}

diesel::table! {
    ledger_entries (transfer_id, account_id) {
        transfer_id -> BigInt,
        account_id -> BigInt,
        amount_minor -> BigInt,
    }
}

diesel::table! {
    idempotency_keys (key) {
        key -> Text,
        fingerprint -> Text,
        response -> Nullable<Text>,
        replays -> BigInt,
    }
}

diesel::table! {
    items (id) {
        id -> BigInt,
        name -> Text,
        category -> Integer,
        price_minor -> BigInt,
        version -> BigInt,
    }
}

diesel::table! {
    events (writer, batch, position) {
        writer -> BigInt,
        batch -> BigInt,
        position -> Integer,
        size -> Integer,
        device -> Text,
        at_ms -> BigInt,
        value -> Double,
    }
}
