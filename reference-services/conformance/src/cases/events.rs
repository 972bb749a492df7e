//! Rows 10 and 11. Each case has devices of its own.

use super::outages::closed_port;
use super::transfers::database;
use crate::World;
use crate::http::{Answer, redis};
use crate::service::Service;
use rustix::process::Signal;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;
use tokio::time::sleep;
use tokio_postgres::Client;

/// How long anything here may take that takes milliseconds: far above what it takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// Forbids everybody else to write events until the transaction ends.
const LOCK: &str = "LOCK TABLE events IN EXCLUSIVE MODE";

fn event(device: &str) -> String {
    format!(r#"{{"device":"{device}","at":1767225600000,"value":21.5}}"#)
}

pub(super) fn events(device: &str, count: usize) -> String {
    format!(r#"{{"events":[{}]}}"#, vec![event(device); count].join(","))
}

pub(super) async fn post(service: &Service, path: &str, body: &str) -> Answer {
    service.request("POST", path).json(body).send().await
}

/// Events of a device in the table.
async fn rows(database: &Client, device: &str) -> i64 {
    let query = "SELECT count(*) FROM events WHERE device = $1";
    database.query_one(query, &[&device]).await.unwrap().get(0)
}

/// Requests that the events of a device came from.
async fn batches(database: &Client, device: &str) -> i64 {
    let query = "SELECT count(*) FROM (SELECT DISTINCT writer, batch FROM events WHERE device = $1) AS requests";
    database.query_one(query, &[&device]).await.unwrap().get(0)
}

/// Waits until a device has so many events in the table.
async fn until_rows(database: &Client, device: &str, expected: i64) {
    let start = Instant::now();
    while rows(database, device).await != expected {
        assert!(
            start.elapsed() < PATIENCE,
            "{} of {expected} events of {device} were written",
            rows(database, device).await
        );
        sleep(Duration::from_millis(20)).await;
    }
}

/// The writers of events that wait for a lock.
async fn waiting(database: &Client) -> Vec<i32> {
    let query = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() \
                 AND wait_event_type = 'Lock' AND query LIKE 'INSERT INTO events %'";
    let rows = database.query(query, &[]).await.unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

/// Waits until so many writers of events wait for a lock, and tells which.
async fn until_waiting(database: &Client, expected: usize) -> Vec<i32> {
    let start = Instant::now();
    loop {
        let waiting = waiting(database).await;
        if waiting.len() == expected {
            return waiting;
        }
        assert!(start.elapsed() < PATIENCE, "{} wait", waiting.len());
        sleep(Duration::from_millis(5)).await;
    }
}

pub(super) async fn go_into_the_stream(world: &World) {
    let url = &world.subject.redis_url;
    let service = &world.service;
    let before: i64 = redis(url, "XLEN events").await.parse().unwrap();
    let two = r#"{"events":[{"device":"device-1","at":0,"value":7},{"device":"device ä","at":253402300799999,"value":-0.5}]}"#;
    post(service, "/v1/events", two)
        .await
        .is_json(202, &[], r#"{"accepted":2}"#);
    let after: i64 = redis(url, "XLEN events").await.parse().unwrap();
    assert_eq!(after, before + 2);
    let last = redis(url, "XREVRANGE events + - COUNT 2").await;
    for part in [
        "device-1",
        "at\n0\n",
        "value\n7",
        "device ä",
        "253402300799999",
        "-0.5",
    ] {
        assert!(last.contains(part), "{part:?} is not in {last:?}");
    }
    // More than other bodies may have.
    let most = events("device-with-a-long-name-0123456789", 1_000);
    assert!(most.len() > 64 * 1_024);
    post(service, "/v1/events", &most)
        .await
        .is_json(202, &[], r#"{"accepted":1000}"#);
    let all: i64 = redis(url, "XLEN events").await.parse().unwrap();
    assert_eq!(all, after + 1_000);
}

pub(super) async fn bad_events_are_refused(world: &World) {
    let service = &world.service;
    for path in ["/v1/events", "/v1/events/batch"] {
        for body in [
            "",
            "{}",
            "[]",
            r#"{"events":[]}"#,
            &events("bad", 1_001),
            &events("", 1),
            &events(&"d".repeat(65), 1),
            &events("a\\u0000b", 1),
            &events("bad", 1).replace("1767225600000", "-1"),
            &events("bad", 1).replace("1767225600000", "253402300800000"),
            &events("bad", 1).replace("21.5", "\"21.5\""),
            &events("bad", 1).replace("21.5", "null"),
            &events("bad", 1).replace("21.5", "21.5,\"unit\":\"K\""),
            &events("bad", 1).replace("]}", "],\"more\":1}"),
        ] {
            post(service, path, body)
                .await
                .is_error(400, "invalid_body");
        }
        let one = events("bad", 1);
        let typed = service.request("POST", path).body(&one).send().await;
        typed.is_error(415, "unsupported_media_type");
        let too_large = format!("{one}{}", " ".repeat(256 * 1_024));
        post(service, path, &too_large)
            .await
            .is_error(413, "body_too_large");
    }
    for query in ["?ack=", "?ack=never", "?ack=queued&ack=queued"] {
        post(
            service,
            &format!("/v1/events/batch{query}"),
            &events("bad", 1),
        )
        .await
        .is_error(400, "invalid_query");
    }
    let largest = events("largest", 1);
    let largest = format!("{largest}{}", " ".repeat(256 * 1_024 - largest.len()));
    assert_eq!(post(service, "/v1/events", &largest).await.status, 202);
    assert_eq!(rows(&database(world).await, "bad").await, 0);
}

pub(super) async fn batches_are_durable_or_queued(world: &World) {
    let (service, database) = (&world.service, database(world).await);
    for (query, device) in [("", "durable-1"), ("?ack=durable", "durable-2")] {
        let path = format!("/v1/events/batch{query}");
        for (count, sum) in [(1, 1), (2, 3), (1_000, 1_003)] {
            let body = format!(r#"{{"accepted":{count}}}"#);
            post(service, &path, &events(device, count))
                .await
                .is_json(201, &[], &body);
            // They are there when the answer is.
            assert_eq!(rows(&database, device).await, sum);
        }
        assert_eq!(batches(&database, device).await, 3);
    }
    let path = "/v1/events/batch?ack=queued";
    for _ in 0..3 {
        post(service, path, &events("queued", 2))
            .await
            .is_json(202, &[], r#"{"accepted":2}"#);
    }
    until_rows(&database, "queued", 6).await;
    assert_eq!(batches(&database, "queued").await, 3);
    let query = "SELECT position, at_ms, value FROM events WHERE device = 'queued' ORDER BY writer, batch, position";
    let first = &database.query(query, &[]).await.unwrap()[1];
    assert_eq!(
        (first.get(0), first.get(1), first.get(2)),
        (1_i32, 1_767_225_600_000_i64, 21.5_f64)
    );
}

pub(super) async fn each_request_is_a_batch_of_its_own(world: &World) {
    let mut requests = JoinSet::new();
    for _ in 0..64 {
        let request = world.service.request("POST", "/v1/events/batch");
        requests.spawn(request.json(&events("together", 25)).send());
    }
    while let Some(answer) = requests.join_next().await {
        answer.unwrap().is_json(201, &[], r#"{"accepted":25}"#);
    }
    let database = database(world).await;
    assert_eq!(rows(&database, "together").await, 64 * 25);
    assert_eq!(batches(&database, "together").await, 64);
}

pub(super) async fn a_full_queue_is_a_429(world: &World) {
    let service = Service::start(&world.subject, &[("EVENTS_QUEUE", "1000")]).await;
    let (mut locker, watcher) = (database(world).await, database(world).await);
    let lock = locker.transaction().await.unwrap();
    lock.batch_execute(LOCK).await.unwrap();
    // The queue holds its events until they are written, and that the lock forbids.
    post(
        &service,
        "/v1/events/batch?ack=queued",
        &events("fills", 1_000),
    )
    .await
    .is_json(202, &[], r#"{"accepted":1000}"#);
    for path in ["/v1/events/batch", "/v1/events/batch?ack=queued"] {
        post(&service, path, &events("refused", 1))
            .await
            .is_error_with(429, "queue_full", &[("retry-after", "1")]);
    }
    lock.rollback().await.unwrap();
    // What was promised is written, although the database refused it more than once meanwhile.
    until_rows(&watcher, "fills", 1_000).await;
    let start = Instant::now();
    while post(&service, "/v1/events/batch", &events("fits", 1))
        .await
        .status
        != 201
    {
        assert!(start.elapsed() < PATIENCE, "the queue stays full");
    }
    assert_eq!(rows(&watcher, "refused").await, 0);
}

pub(super) async fn a_batch_that_is_not_written_is_a_503(world: &World) {
    let (mut locker, watcher) = (database(world).await, database(world).await);
    let lock = locker.transaction().await.unwrap();
    lock.batch_execute(LOCK).await.unwrap();
    let start = Instant::now();
    post(&world.service, "/v1/events/batch", &events("locked-out", 3))
        .await
        .is_error(503, "unavailable");
    // Five seconds, in which it is tried again and again; the rest is a busy machine.
    assert!(
        start.elapsed() < Duration::from_secs(8),
        "the answer took {:?}",
        start.elapsed()
    );
    // What was answered with a 503 is not tried again; a write that was under way then may still connect, which it has a
    // second for, and would commit if the lock were gone.
    let mut quiet = Instant::now();
    while quiet.elapsed() < Duration::from_secs(2) {
        if !waiting(&watcher).await.is_empty() {
            quiet = Instant::now();
        }
        assert!(start.elapsed() < PATIENCE, "it is tried again and again");
        sleep(Duration::from_millis(5)).await;
    }
    lock.rollback().await.unwrap();
    assert_eq!(rows(&watcher, "locked-out").await, 0);
    post(&world.service, "/v1/events/batch", &events("let-in", 3))
        .await
        .is_json(201, &[], r#"{"accepted":3}"#);

    let nobody = format!("postgres://nobody@127.0.0.1:{}/none", closed_port().await);
    let service = Service::start(&world.subject, &[("DATABASE_URL", &nobody)]).await;
    post(&service, "/v1/events/batch", &events("nowhere", 1))
        .await
        .is_error(503, "unavailable");
    post(
        &service,
        "/v1/events/batch?ack=queued",
        &events("nowhere", 1),
    )
    .await
    .is_json(202, &[], r#"{"accepted":1}"#);
}

pub(super) async fn a_write_that_is_broken_off_is_tried_again(world: &World) {
    let service = Arc::new(Service::start(&world.subject, &[]).await);
    let (mut locker, watcher) = (database(world).await, database(world).await);
    for (device, break_off) in [
        ("cancelled", "SELECT pg_cancel_backend($1)"),
        ("terminated", "SELECT pg_terminate_backend($1)"),
    ] {
        let lock = locker.transaction().await.unwrap();
        lock.batch_execute(LOCK).await.unwrap();
        let path = "/v1/events/batch?ack=queued";
        post(&service, path, &events(device, 1))
            .await
            .is_json(202, &[], r#"{"accepted":1}"#);
        let writer = until_waiting(&watcher, 1).await[0];
        // Neither of these is in the statement that is broken off.
        post(&service, path, &events(device, 2))
            .await
            .is_json(202, &[], r#"{"accepted":2}"#);
        let request = service.request("POST", "/v1/events/batch");
        let durable = tokio::spawn(request.json(&events(device, 1_000)).send());
        watcher.query_one(break_off, &[&writer]).await.unwrap();
        until_waiting(&watcher, 0).await;
        lock.rollback().await.unwrap();
        durable
            .await
            .unwrap()
            .is_json(201, &[], r#"{"accepted":1000}"#);
        until_rows(&watcher, device, 1_003).await;
        assert_eq!(batches(&watcher, device).await, 3);
    }
}

pub(super) async fn what_is_impossible_takes_nothing_along(world: &World) {
    let (mut locker, watcher) = (database(world).await, database(world).await);
    let forbid = "ALTER TABLE events ADD CONSTRAINT possible CHECK (device <> 'impossible')";
    watcher.batch_execute(forbid).await.unwrap();
    let lock = locker.transaction().await.unwrap();
    lock.batch_execute(LOCK).await.unwrap();
    let send = |query: &str, body: String| {
        let path = format!("/v1/events/batch{query}");
        let request = world.service.request("POST", &path);
        tokio::spawn(request.json(&body).send())
    };
    let half = format!(
        r#"{{"events":[{},{}]}}"#,
        event("neighbour"),
        event("impossible")
    );
    let before = send("", events("neighbour", 2));
    let (impossible, queued) = (send("", half.clone()), send("?ack=queued", half));
    let after = send("", events("neighbour", 3));
    queued.await.unwrap().is_json(202, &[], r#"{"accepted":2}"#);
    until_waiting(&watcher, 1).await;
    lock.rollback().await.unwrap();
    before.await.unwrap().is_json(201, &[], r#"{"accepted":2}"#);
    after.await.unwrap().is_json(201, &[], r#"{"accepted":3}"#);
    impossible.await.unwrap().is_error(500, "internal");
    // The queue goes on behind them.
    post(&world.service, "/v1/events/batch", &events("neighbour", 4))
        .await
        .is_json(201, &[], r#"{"accepted":4}"#);
    assert_eq!(rows(&watcher, "neighbour").await, 9);
    assert_eq!(rows(&watcher, "impossible").await, 0);
    let allow = "ALTER TABLE events DROP CONSTRAINT possible";
    watcher.batch_execute(allow).await.unwrap();
}

pub(super) async fn the_queue_is_drained_before_the_end(world: &World) {
    let service = Service::start(&world.subject, &[]).await;
    let (mut locker, watcher) = (database(world).await, database(world).await);
    let lock = locker.transaction().await.unwrap();
    lock.batch_execute(LOCK).await.unwrap();
    for _ in 0..20 {
        post(
            &service,
            "/v1/events/batch?ack=queued",
            &events("drained", 70),
        )
        .await
        .is_json(202, &[], r#"{"accepted":70}"#);
    }
    service.signal(Signal::TERM);
    // Once it refuses connections, it has seen the signal.
    service.refuses_connections().await;
    lock.rollback().await.unwrap();
    assert_eq!(service.ended().await.code(), Some(0));
    assert_eq!(rows(&watcher, "drained").await, 20 * 70);
    assert_eq!(batches(&watcher, "drained").await, 20);
}
