//! The pools: what happens when they are used up, and settings that make no sense.

use super::transfers::{database, order, post};
use crate::World;
use crate::service::{Service, refused};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

pub(super) async fn a_used_up_pool_is_a_503(world: &World) {
    let narrow = [
        ("POSTGRES_CONNECTIONS", "1"),
        ("POSTGRES_ACQUIRE_MS", "200"),
    ];
    let service = Service::start(&world.subject, &narrow).await;
    let mut database = database(world).await;
    let other = database.transaction().await.unwrap();
    let claim = "INSERT INTO idempotency_keys (key, fingerprint) VALUES ('used-up', '')";
    other.execute(claim, &[]).await.unwrap();
    // Whoever gets a connection waits with it for the key, a second long. The others get none.
    let start = Instant::now();
    let mut requests = JoinSet::new();
    for _ in 0..24 {
        let request = service.request("POST", "/v1/transfers");
        let request = request.header("idempotency-key", "used-up");
        requests.spawn(request.json(&order(20, 5_020, 1)).send());
    }
    let (mut waited, mut turned_away) = (0, 0);
    while let Some(answer) = requests.join_next().await {
        let answer = answer.unwrap();
        if answer.status == 409 {
            answer.is_error(409, "key_in_flight");
            waited += 1;
        } else {
            answer.is_error(503, "unavailable");
            turned_away += 1;
        }
    }
    assert!(waited >= 1 && turned_away >= 1, "{waited}, {turned_away}");
    assert!(
        start.elapsed() < Duration::from_secs(8),
        "the answers took {:?}",
        start.elapsed()
    );
    other.rollback().await.unwrap();
    let booked = post(&service, "used-up", &order(20, 5_020, 1)).await;
    assert_eq!(booked.status, 201, "{}", booked.body);
}

pub(super) async fn settings_that_make_no_sense_are_refused(world: &World) {
    for (name, value) in [
        ("POSTGRES_CONNECTIONS", "0"),
        ("POSTGRES_CONNECTIONS", "1001"),
        ("POSTGRES_ACQUIRE_MS", "x"),
        ("STORE", "libpq"),
        ("DIESEL_POOL", "r2d2"),
        ("TX_MODE", "none"),
        ("REDIS_ACCESS", "pool"),
        ("REDIS_CONNECTIONS", "-1"),
        ("REDIS_TIMEOUT_MS", "0"),
        ("CACHE_TTL_SECONDS", "0"),
        ("EVENTS_QUEUE", "999"),
        ("TOKEN_SECRET", "short"),
        ("RATE_LIMIT_PER_SECOND", "0"),
        ("RATE_LIMIT_BURST", "1.5"),
        ("MAX_IN_FLIGHT", "0"),
        ("UPSTREAM_URL", "https://127.0.0.1"),
        ("UPSTREAM_TIMEOUT_MS", "60001"),
        ("PORT", "65536"),
    ] {
        let (code, error) = refused(&world.subject, &[(name, value)]).await;
        assert_eq!(code, Some(2), "{name}={value}: {error}");
        assert!(error.starts_with(&format!("error: {name} ")), "{error}");
        assert!(error.contains("write "), "{error}");
    }
}
