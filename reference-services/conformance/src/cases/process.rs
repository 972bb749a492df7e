//! The service as a process: its commands, its end, and how long it listens to nobody.

use super::transfers::{database, fact, order, post};
use crate::World;
use crate::http::raw;
use crate::service::{Service, run};
use rustix::process::Signal;
use serde_json::Value;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

pub(super) async fn audit_tells_sound_from_unsound(world: &World) {
    post(&world.service, "audited", &order(17, 5_017, 1)).await;
    post(&world.service, "audited", &order(17, 5_017, 1)).await;
    let audit_batches = async |answered: i64, unknown: i64, durable: i64, queued: i64| {
        let counts = format!(
            r#"{{"steps":{{"buy/transfer":{{"statuses":{{"201":{answered}}},"unknown":{unknown}}},
                "durable/batch":{{"statuses":{{"201":{durable},"429":3}},"unknown":0}},
                "queued/batch":{{"statuses":{{"202":{queued}}},"unknown":0}},
                "browse/item":{{"statuses":{{"200":7,"201":7}},"unknown":9}}}}}}"#
        );
        let (code, printed) = run(&world.subject, &[], "audit", &counts).await;
        let audit: Value = serde_json::from_str(&printed).unwrap();
        assert_eq!(
            code,
            Some(if audit["ok"] == true { 0 } else { 1 }),
            "{audit}"
        );
        audit
    };
    let first = audit_batches(0, 0, 0, 0).await;
    let batches = fact(&first, "batches");
    assert!(batches > 0, "{first}");
    let audit =
        async |answered: i64, unknown: i64| audit_batches(answered, unknown, batches, 0).await;
    let given = fact(&first, "transfers") + fact(&first, "replays");
    assert_eq!(first["ok"], false, "answers that nobody counted: {first}");
    assert_eq!(first["facts"]["transfers"], first["facts"]["distinct_keys"]);
    assert!(fact(&first, "replays") > 0, "{first}");
    for (answered, unknown, ok) in [
        (given, 0, true),
        (given - 1, 1, true),
        (given - 2, 5, true),
        (given - 2, 1, false),
        (given + 1, 0, false),
    ] {
        let audit = audit(answered, unknown).await;
        assert_eq!(
            audit["ok"], ok,
            "{answered} answered, {unknown} unknown: {audit}"
        );
        assert_eq!(
            audit["facts"]["problems"].as_array().unwrap().is_empty(),
            ok,
            "{audit}"
        );
    }
    for (durable, queued, ok) in [
        (batches - 1, 1, true),
        (batches, 7, true),
        (batches - 2, 1, false),
        (batches + 1, 0, false),
    ] {
        let audit = audit_batches(given, 0, durable, queued).await;
        assert_eq!(audit["ok"], ok, "{durable} and {queued} batches: {audit}");
    }
    let database = database(world).await;
    let batches_audit = audit_batches(given, 0, batches, 0).await;
    assert_eq!(batches_audit["facts"]["batches_torn"], 0, "{batches_audit}");
    // The last event of a batch is lost, and is there again.
    let last = "SELECT writer, batch, position FROM events WHERE position > 0 AND position = size - 1 LIMIT 1";
    let tear = format!(
        "CREATE TABLE torn AS SELECT * FROM events WHERE (writer, batch, position) = ({last}); \
                        DELETE FROM events WHERE (writer, batch, position) IN (SELECT writer, batch, position FROM torn)"
    );
    database.batch_execute(&tear).await.unwrap();
    let torn = audit_batches(given, 0, batches, 0).await;
    assert_eq!(
        (&torn["ok"], &torn["facts"]["batches_torn"]),
        (&false.into(), &1.into()),
        "{torn}"
    );
    let mend = "INSERT INTO events SELECT * FROM torn; DROP TABLE torn";
    database.batch_execute(mend).await.unwrap();
    // One minor unit out of nowhere.
    let change = async |by: i64| {
        let statement = "UPDATE accounts SET balance_minor = balance_minor + $1 WHERE id = 18";
        database.execute(statement, &[&by]).await.unwrap();
    };
    change(1).await;
    assert_eq!(audit(given, 0).await["ok"], false);
    change(-1).await;
    assert_eq!(audit(given, 0).await["ok"], true);
}

pub(super) async fn audit_refuses_counts_it_does_not_understand(world: &World) {
    for counts in [
        "",
        "{}",
        r#"{"steps":{"a/transfer":{"statuses":{"201":1}}}}"#,
    ] {
        assert_eq!(
            run(&world.subject, &[], "audit", counts).await,
            (Some(2), String::new()),
            "{counts}"
        );
    }
}

pub(super) async fn healthcheck_follows_readiness(world: &World) {
    let check = async |address: &str| {
        let port = address.rsplit(':').next().unwrap();
        run(&world.subject, &[("PORT", port)], "healthcheck", "")
            .await
            .0
    };
    assert_eq!(check(&world.service.address).await, Some(0));
    let unready = Service::start(&world.subject, &[("REDIS_URL", "redis://127.0.0.1:1/0")]).await;
    assert_eq!(check(&unready.address).await, Some(1));
    let address = unready.address.clone();
    unready.signal(Signal::TERM);
    unready.ended().await;
    assert_eq!(check(&address).await, Some(1));
}

pub(super) async fn idle_services_stop_at_once(world: &World) {
    for signal in [Signal::TERM, Signal::INT] {
        let service = Service::start(&world.subject, &[]).await;
        let hello = "GET /livez HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n";
        assert!(
            raw(&service.address, hello)
                .await
                .starts_with("HTTP/1.1 200 ")
        );
        let start = Instant::now();
        service.signal(signal);
        assert_eq!(service.ended().await.code(), Some(0));
        assert!(
            start.elapsed() < Duration::from_secs(1),
            "it took {:?} to stop",
            start.elapsed()
        );
    }
    // A client that keeps its connection open does not keep the service alive.
    let service = Service::start(&world.subject, &[]).await;
    service.get("/livez").await;
    let start = Instant::now();
    service.signal(Signal::TERM);
    assert_eq!(service.ended().await.code(), Some(0));
    assert!(
        start.elapsed() < Duration::from_secs(3),
        "it took {:?} to stop",
        start.elapsed()
    );
}

pub(super) async fn requests_in_flight_finish(world: &World) {
    let service = Service::start(&world.subject, &[]).await;
    let mut database = database(world).await;
    let watcher = super::transfers::database(world).await;
    let other = database.transaction().await.unwrap();
    let claim = "INSERT INTO idempotency_keys (key, fingerprint) VALUES ('at-the-end', '')";
    other.execute(claim, &[]).await.unwrap();

    let request = service
        .request("POST", "/v1/transfers")
        .header("idempotency-key", "at-the-end");
    let answer = tokio::spawn(request.json(&order(19, 5_019, 1)).send());
    let waiting = "SELECT count(*) FROM pg_stat_activity
        WHERE datname = current_database() AND wait_event_type = 'Lock'";
    while watcher
        .query_one(waiting, &[])
        .await
        .unwrap()
        .get::<_, i64>(0)
        == 0
    {
        assert!(
            !answer.is_finished(),
            "the request did not wait for the key"
        );
    }
    service.signal(Signal::TERM);
    // Once it refuses connections, it has seen the signal.
    service.refuses_connections().await;
    other.rollback().await.unwrap();
    // Booked, or a conflict where all this took longer than the service waits for a key. Either is an answer.
    let status = answer.await.unwrap().status;
    assert!(matches!(status, 201 | 409), "{status}");
    assert_eq!(service.ended().await.code(), Some(0));
}

pub(super) async fn silent_connections_are_closed(world: &World) {
    let close = async |first: &str| {
        let mut stream = TcpStream::connect(&world.service.address).await.unwrap();
        stream.write_all(first.as_bytes()).await.unwrap();
        let start = Instant::now();
        let mut all = Vec::new();
        // A service may say 408 before it closes; what counts is that it does.
        let end = timeout(Duration::from_secs(20), stream.read_to_end(&mut all)).await;
        assert!(end.is_ok(), "{first:?}: the connection was open after 20 s");
        start.elapsed()
    };
    let idle = "GET /livez HTTP/1.1\r\nhost: test\r\n\r\n";
    let half = "GET /livez HTTP/1.1\r\nhost:";
    let (after_nothing, after_half, after_answer) =
        tokio::join!(close(""), close(half), close(idle));
    for (what, elapsed) in [
        ("no byte", after_nothing),
        ("half a head", after_half),
        ("an answer", after_answer),
    ] {
        let seconds = elapsed.as_secs_f64();
        assert!(
            (4.0..9.0).contains(&seconds),
            "closed {seconds:.1} s after {what}; the contract says 5"
        );
    }
}
