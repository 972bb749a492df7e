//! Rows 8 and 9. Each case has accounts and keys of its own.

use crate::World;
use crate::http::Answer;
use crate::service::Service;
use serde_json::Value;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;
use tokio_postgres::{Client, NoTls};

/// What every account holds at first.
pub(super) const OPENING: i64 = 1_000_000_000_000;

pub(super) fn order(from: i64, to: i64, amount: i64) -> String {
    format!(r#"{{"from":{from},"to":{to},"amount_minor":{amount},"currency":"EUR"}}"#)
}

pub(super) async fn post(service: &Service, key: &str, body: &str) -> Answer {
    service
        .request("POST", "/v1/transfers")
        .header("idempotency-key", key)
        .json(body)
        .send()
        .await
}

async fn balance(service: &Service, account: i64) -> i64 {
    service
        .get(&format!("/v1/accounts/{account}"))
        .await
        .value()["balance_minor"]
        .as_i64()
        .unwrap()
}

/// A connection of the suite's own to the service's database.
pub(super) async fn database(world: &World) -> Client {
    let (client, connection) = tokio_postgres::connect(&world.subject.database_url, NoTls)
        .await
        .unwrap();
    tokio::spawn(connection);
    client
}

fn id(answer: &Answer) -> i64 {
    answer.value()["id"].as_i64().unwrap()
}

/// The body and headers of a booked transfer.
fn is_booked(answer: &Answer, order: &str, replayed: bool) {
    let id = id(answer);
    let location = format!("/v1/transfers/{id}");
    let mut headers = vec![("location", location.as_str())];
    headers.extend(replayed.then_some(("idempotency-replayed", "true")));
    let rest = order.trim_start_matches('{').trim_end_matches('}');
    answer.is_json(
        201,
        &headers,
        &format!(r#"{{"id":{id},{rest},"status":"booked"}}"#),
    );
}

pub(super) async fn are_booked_once_and_replayed(world: &World) {
    let service = &world.service;
    let body = order(1, 5_001, 250);
    let first = post(service, "booked-once", &body).await;
    is_booked(&first, &body, false);
    for _ in 0..2 {
        let again = post(service, "booked-once", &body).await;
        is_booked(&again, &body, true);
        assert_eq!(again.body, first.body);
    }
    // The same order in other words is the same order.
    let other_words = r#"{ "currency": "EUR", "amount_minor": 250, "to": 5001, "from": 1 }"#;
    assert_eq!(
        post(service, "booked-once", other_words).await.body,
        first.body
    );
    assert_eq!(balance(service, 1).await, OPENING - 250);
    assert_eq!(balance(service, 5_001).await, OPENING + 250);

    let read_back = service.get(&format!("/v1/transfers/{}", id(&first))).await;
    read_back.is_json(200, &[], &first.body);
    for unknown in ["9223372036854775807", "0", "x", "%FF"] {
        service
            .get(&format!("/v1/transfers/{unknown}"))
            .await
            .is_error(404, "transfer_not_found");
    }
    // Another order under the key is refused, whatever differs.
    for other in [
        order(1, 5_001, 251),
        order(2, 5_001, 250),
        order(1, 5_002, 250),
    ] {
        post(service, "booked-once", &other)
            .await
            .is_error(422, "key_reused");
    }
    post(service, "booked-once", &body.replace("EUR", "USD"))
        .await
        .is_error(422, "key_reused");
}

pub(super) async fn bad_orders_are_refused(world: &World) {
    let service = &world.service;
    let valid = order(2, 5_002, 1);
    let without_key = service
        .request("POST", "/v1/transfers")
        .json(&valid)
        .send()
        .await;
    without_key.is_error(400, "missing_idempotency_key");
    for key in ["", "two words", &"k".repeat(65)] {
        post(service, key, &valid)
            .await
            .is_error(400, "invalid_idempotency_key");
    }
    let two_keys = service
        .request("POST", "/v1/transfers")
        .header("idempotency-key", "a")
        .header("idempotency-key", "b");
    two_keys
        .json(&valid)
        .send()
        .await
        .is_error(400, "invalid_idempotency_key");
    for body in [
        "",
        "{}",
        "[]",
        &order(0, 5_002, 1),
        &order(2, -1, 1),
        &order(2, 5_002, 0),
        &order(2, 5_002, -1),
        &order(2, 5_002, 1_000_000_000_001),
        &valid.replace("EUR", "eur"),
        &valid.replace("EUR", "EURO"),
        &valid.replace("\"amount_minor\":1", "\"amount_minor\":1.5"),
        &valid.replace("\"amount_minor\":1", "\"amount_minor\":\"1\""),
        &valid.replace("}", ",\"note\":\"\"}"),
    ] {
        post(service, "bad-body", body)
            .await
            .is_error(400, "invalid_body");
    }
    let request = || {
        service
            .request("POST", "/v1/transfers")
            .header("idempotency-key", "bad-type")
    };
    request()
        .body(&valid)
        .send()
        .await
        .is_error(415, "unsupported_media_type");
    let too_large = format!("{valid}{}", " ".repeat(16 * 1_024));
    post(service, "too-large", &too_large)
        .await
        .is_error(413, "body_too_large");
    assert_eq!(balance(service, 2).await, OPENING);

    let longest = "k".repeat(64);
    is_booked(&post(service, &longest, &valid).await, &valid, false);
}

pub(super) async fn refused_orders_leave_nothing_behind(world: &World) {
    let service = &world.service;
    // All but 99 of account 3 go away first.
    post(service, "empties-3", &order(3, 5_003, OPENING - 99)).await;
    for (key, body, status, code) in [
        ("poor", order(3, 5_003, 100), 422, "insufficient_funds"),
        ("same", order(4, 4, 1), 422, "same_account"),
        ("no-payer", order(10_001, 4, 1), 404, "account_not_found"),
        ("no-payee", order(4, 10_001, 1), 404, "account_not_found"),
        (
            "dollars",
            order(4, 5_004, 1).replace("EUR", "USD"),
            422,
            "currency_mismatch",
        ),
    ] {
        for _ in 0..2 {
            post(service, key, &body).await.is_error(status, code);
        }
        // The key is free again: an order that can be booked is booked under it.
        let possible = order(4, 5_004, 1);
        is_booked(&post(service, key, &possible).await, &possible, false);
    }
    assert_eq!(balance(service, 3).await, 99);
    assert_eq!(balance(service, 4).await, OPENING - 5);
    let last = order(3, 5_003, 99);
    is_booked(&post(service, "the-rest", &last).await, &last, false);
}

pub(super) async fn one_key_at_once_books_once(world: &World) {
    for (mode, account) in [("lock", 11), ("serializable", 12)] {
        let service = Service::start(&world.subject, &[("TX_MODE", mode)]).await;
        let body = order(account, 5_000 + account, 7);
        let key = format!("at-once-{mode}");
        // As many as there are connections to the database, so that all are in their transactions together.
        let mut requests: JoinSet<Answer> = (0..16)
            .map(|_| {
                service
                    .request("POST", "/v1/transfers")
                    .header("idempotency-key", &key)
                    .json(&body)
                    .send()
            })
            .collect();
        let mut answers = Vec::new();
        while let Some(answer) = requests.join_next().await {
            answers.push(answer.unwrap());
        }
        let (replayed, first): (Vec<_>, Vec<_>) = answers
            .iter()
            .partition(|answer| answer.headers.contains_key("idempotency-replayed"));
        assert_eq!(
            (first.len(), replayed.len()),
            (1, 15),
            "{mode}: {answers:?}"
        );
        is_booked(first[0], &body, false);
        for answer in replayed {
            is_booked(answer, &body, true);
            assert_eq!(answer.body, first[0].body, "{mode}");
        }
        assert_eq!(balance(&service, account).await, OPENING - 7, "{mode}");
    }
}

pub(super) async fn a_key_in_flight_is_a_conflict(world: &World) {
    let mut database = database(world).await;
    let other = database.transaction().await.unwrap();
    let claim = "INSERT INTO idempotency_keys (key, fingerprint) VALUES ('in-flight', '')";
    other.execute(claim, &[]).await.unwrap();
    let start = Instant::now();
    let body = order(13, 5_013, 1);
    post(&world.service, "in-flight", &body)
        .await
        .is_error(409, "key_in_flight");
    assert!(
        start.elapsed() < Duration::from_secs(4),
        "the wait took {:?}",
        start.elapsed()
    );
    // Other keys do not wait.
    is_booked(
        &post(&world.service, "not-in-flight", &body).await,
        &body,
        false,
    );
    other.rollback().await.unwrap();
    is_booked(
        &post(&world.service, "in-flight", &body).await,
        &body,
        false,
    );
}

pub(super) async fn opposite_transfers_do_not_deadlock(world: &World) {
    for (mode, account, refused) in [("lock", 14, 0), ("serializable", 15, 32)] {
        let service = Service::start(&world.subject, &[("TX_MODE", mode)]).await;
        let mut requests = JoinSet::new();
        // Two for each connection to the database.
        for index in 0..32 {
            let (from, to, amount) = if index % 2 == 0 {
                (account, 5_000 + account, 3)
            } else {
                (5_000 + account, account, 2)
            };
            let key = format!("opposite-{mode}-{index}");
            let request = service
                .request("POST", "/v1/transfers")
                .header("idempotency-key", &key);
            let request = request.json(&order(from, to, amount));
            requests.spawn(async move {
                (
                    if index % 2 == 0 { -amount } else { amount },
                    request.send().await,
                )
            });
        }
        let (mut change, mut conflicts) = (0, 0);
        while let Some(outcome) = requests.join_next().await {
            let (effect, answer) = outcome.unwrap();
            if answer.status == 201 {
                change += effect;
            } else {
                answer.is_error(503, "too_many_conflicts");
                conflicts += 1;
            }
        }
        // Who locks in order never fails; optimists may give up, but never half-way.
        assert!(conflicts <= refused, "{mode}: {conflicts} gave up");
        assert_eq!(balance(&service, account).await, OPENING + change, "{mode}");
        assert_eq!(
            balance(&service, 5_000 + account).await,
            OPENING - change,
            "{mode}"
        );
    }
}

/// Makes the database break off every attempt at a transfer of 777,001, and the first four of one of 777,002.
pub(super) const CONFLICTS: &str = "
    CREATE SEQUENCE conformance_777001;
    CREATE SEQUENCE conformance_777002;
    CREATE FUNCTION conformance_conflict() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF nextval('conformance_' || NEW.amount_minor) < 5 OR NEW.amount_minor = 777001 THEN
            RAISE EXCEPTION 'a conflict, as the suite wants it' USING ERRCODE = 'serialization_failure';
        END IF;
        RETURN NEW;
    END $$;
    CREATE TRIGGER conformance_conflict BEFORE INSERT ON transfers FOR EACH ROW
        WHEN (NEW.amount_minor IN (777001, 777002)) EXECUTE FUNCTION conformance_conflict();";

/// Takes [`CONFLICTS`] back.
pub(super) const NO_CONFLICTS: &str = "
    DROP TRIGGER conformance_conflict ON transfers;
    DROP FUNCTION conformance_conflict;
    DROP SEQUENCE conformance_777001;
    DROP SEQUENCE conformance_777002;";

pub(super) async fn conflicts_are_tried_five_times(world: &World) {
    let database = database(world).await;
    database.batch_execute(CONFLICTS).await.unwrap();
    for mode in ["lock", "serializable"] {
        let restart =
            "ALTER SEQUENCE conformance_777001 RESTART; ALTER SEQUENCE conformance_777002 RESTART";
        database.batch_execute(restart).await.unwrap();
        let service = Service::start(&world.subject, &[("TX_MODE", mode)]).await;
        let hopeless = post(
            &service,
            &format!("hopeless-{mode}"),
            &order(16, 5_016, 777_001),
        )
        .await;
        hopeless.is_error(503, "too_many_conflicts");
        let lucky = order(16, 5_016, 777_002);
        is_booked(
            &post(&service, &format!("lucky-{mode}"), &lucky).await,
            &lucky,
            false,
        );
        for sequence in ["conformance_777001", "conformance_777002"] {
            let attempts = database
                .query_one(&format!("SELECT last_value FROM {sequence}"), &[])
                .await
                .unwrap();
            assert_eq!(
                attempts.get::<_, i64>(0),
                5,
                "{mode}: attempts of {sequence}"
            );
        }
    }
    database.batch_execute(NO_CONFLICTS).await.unwrap();
    let balance = balance(&world.service, 16).await;
    assert_eq!(balance, OPENING - 2 * 777_002);
}

/// The facts of an audit, as numbers.
pub(super) fn fact(audit: &Value, name: &str) -> i64 {
    audit["facts"][name]
        .as_i64()
        .unwrap_or_else(|| panic!("no number {name} in {audit}"))
}
