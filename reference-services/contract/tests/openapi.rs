//! The committed `OpenAPI` document is what the contract says, and describes all of it.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

use contract::event::NewEvents;
use contract::item::ItemUpdate;
use contract::session::NewSession;
use contract::transfer::NewTransfer;
use contract::{limit, openapi};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

fn document() -> Value {
    serde_json::from_str(&openapi::json().unwrap()).unwrap()
}

#[test]
fn the_committed_document_is_fresh() {
    let committed: Value = serde_json::from_str(include_str!("../../openapi.json")).unwrap();
    assert!(
        committed == document(),
        "reference-services/openapi.json is stale; write it anew: \
         cargo run --package contract --example openapi >reference-services/openapi.json"
    );
}

/// The constants are read from their source, so that none can be forgotten.
#[test]
fn every_path_of_the_contract_is_described() {
    let document = document();
    let mut described: Vec<_> = document["paths"].as_object().unwrap().keys().collect();
    let mut constants: Vec<_> = include_str!("../src/path.rs")
        .lines()
        .filter_map(|line| line.strip_prefix("pub const ")?.split('"').nth(1))
        // What stands before a path, and is none.
        .filter(|path| *path != contract::path::GATEWAY)
        // gRPC's have their protos.
        .filter(|path| !path.starts_with("/grpc.") && !path.starts_with("/tailmark."))
        .collect();
    described.sort_unstable();
    constants.sort_unstable();
    assert_eq!(described, constants);
}

/// Whether body and schema agree that `body` is valid, and are right.
fn check<T: DeserializeOwned>(schema: &str, body: &Value, valid: bool) {
    let mut root = document();
    root["$ref"] = json!(format!("#/components/schemas/{schema}"));
    let validator = jsonschema::draft202012::new(&root).unwrap();
    assert_eq!(validator.is_valid(body), valid, "{schema}: {body}");
    let parsed = serde_json::from_value::<T>(body.clone());
    assert_eq!(parsed.is_ok(), valid, "{body}");
}

#[test]
fn parsers_and_schemas_agree_on_bodies() {
    let item = |name: &str, category: i32, price: i64| json!({"name": name, "category": category, "price_minor": price});
    let longest = "ä".repeat(limit::NAME_CHARACTERS);
    for (body, valid) in [
        (item("Lamp", 1, 0), true),
        (item(&longest, limit::CATEGORIES, i64::MAX), true),
        (item(&format!("{longest}x"), 1, 0), false),
        (item("", 1, 0), false),
        (item("a\u{85}", 1, 0), false),
        (item("a\n", 1, 0), false),
        (item("Lamp", limit::CATEGORIES + 1, 0), false),
        (item("Lamp", 1, -1), false),
        (json!({"name": "Lamp", "category": 1}), false),
        (
            json!({"name": "Lamp", "category": 1, "price_minor": 0, "id": 1}),
            false,
        ),
    ] {
        check::<ItemUpdate>("ItemUpdate", &body, valid);
    }
    let order = |from: i64, amount: i64, currency: &str| json!({"from": from, "to": 2, "amount_minor": amount, "currency": currency});
    for (body, valid) in [
        (order(1, 1, "EUR"), true),
        (order(i64::MAX, limit::AMOUNT_MINOR, "USD"), true),
        (order(0, 1, "EUR"), false),
        (order(1, 0, "EUR"), false),
        (order(1, limit::AMOUNT_MINOR + 1, "EUR"), false),
        (order(1, 1, "eur"), false),
        (order(1, 1, "EURO"), false),
    ] {
        check::<NewTransfer>("NewTransfer", &body, valid);
    }
    let event = |device: &str, at: i64| json!({"device": device, "at": at, "value": 1.5});
    let events = |count: usize| json!({"events": vec![event("d", 0); count]});
    for (body, valid) in [
        (events(1), true),
        (events(limit::EVENTS), true),
        (events(0), false),
        (events(limit::EVENTS + 1), false),
        (json!({"events": [event("d", limit::EVENT_AT)]}), true),
        (json!({"events": [event("d", limit::EVENT_AT + 1)]}), false),
        (json!({"events": [event("d\u{7f}", 0)]}), false),
    ] {
        check::<NewEvents>("NewEvents", &body, valid);
    }
    let longest = "u".repeat(limit::CREDENTIAL_CHARACTERS);
    for (body, valid) in [
        (json!({"user": "u", "password": longest}), true),
        (
            json!({"user": "u", "password": format!("{longest}u")}),
            false,
        ),
        (json!({"user": "", "password": "p"}), false),
        (json!({"user": "u", "password": "p", "otp": 1}), false),
    ] {
        check::<NewSession>("NewSession", &body, valid);
    }
}
