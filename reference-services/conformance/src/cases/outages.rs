//! What a service does while a store is away, or there and silent.

use super::events::{self, events};
use super::items::put;
use super::transfers::{order, post};
use crate::World;
use crate::http::redis;
use crate::service::Service;
use std::time::{Duration, Instant};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// A port that nobody listens on. The listener held it for a moment, so nobody else is likely to.
pub(super) async fn closed_port() -> u16 {
    TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}

/// A server that takes every connection and says nothing, for as long as the listener lives.
async fn silent_server() -> (TcpListener, u16) {
    // The kernel takes connections by itself, up to the backlog; nobody needs to accept them.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, port)
}

pub(super) async fn redis_down_or_silent_is_bypassed(world: &World) {
    let (_silent, silent_port) = silent_server().await;
    for (item, port) in [(301, closed_port().await), (302, silent_port)] {
        let redis = format!("redis://127.0.0.1:{port}/0");
        let service = Service::start(&world.subject, &[("REDIS_URL", &redis)]).await;
        let start = Instant::now();
        service
            .get("/livez")
            .await
            .is_json(200, &[], r#"{"status":"alive"}"#);
        service.get("/readyz").await.is_error(503, "unavailable");
        let category = item % 20 + 1;
        let price = 1_000 + item;
        let body = format!(
            r#"{{"id":{item},"name":"Item {item}","category":{category},"price_minor":{price},"version":1}}"#
        );
        for _ in 0..3 {
            let answer = service.get(&format!("/v1/items/{item}")).await;
            answer.is_json(200, &[("x-cache", "bypass"), ("etag", "\"1\"")], &body);
        }
        service
            .get("/v1/items/10001")
            .await
            .is_error(404, "item_not_found");
        let changed = put(
            &service,
            item,
            "*",
            r#"{"name":"Lamp","category":4,"price_minor":1}"#,
        )
        .await;
        assert_eq!(changed.status, 200, "{}", changed.body);
        // The stream is in Redis and nowhere else.
        events::post(&service, "/v1/events", &events("lost", 1))
            .await
            .is_error(503, "unavailable");
        // Seven requests asked Redis, each for 100 ms at most; the rest is a busy machine.
        assert!(
            start.elapsed() < Duration::from_secs(3),
            "the bypass took {:?}",
            start.elapsed()
        );
    }
}

pub(super) async fn a_redis_that_pauses_comes_back(world: &World) {
    // Fewer connections than requests, so that some wait for one where there is a pool.
    let service = Service::start(&world.subject, &[("REDIS_CONNECTIONS", "2")]).await;
    let send = || {
        let request = service.request("POST", "/v1/events");
        request.json(&events("paused", 1)).send()
    };
    assert_eq!(send().await.status, 202);
    redis(&world.subject.redis_url, "CLIENT PAUSE 20000 WRITE").await;
    let mut requests = JoinSet::new();
    for _ in 0..24 {
        requests.spawn(send());
    }
    let start = Instant::now();
    while let Some(answer) = requests.join_next().await {
        answer.unwrap().is_error(503, "unavailable");
    }
    // Each waits for 100 ms; the rest is a busy machine.
    assert!(
        start.elapsed() < Duration::from_secs(15),
        "the answers took {:?}",
        start.elapsed()
    );
    redis(&world.subject.redis_url, "CLIENT UNPAUSE").await;
    let start = Instant::now();
    while send().await.status != 202 {
        assert!(
            start.elapsed() < Duration::from_secs(20),
            "events are refused after the pause"
        );
    }
}

pub(super) async fn postgresql_down_or_silent_is_a_503(world: &World) {
    let (_silent, silent_port) = silent_server().await;
    for (key, port) in [("down", closed_port().await), ("silent", silent_port)] {
        let database = format!("postgres://nobody@127.0.0.1:{port}/none");
        let service = Service::start(&world.subject, &[("DATABASE_URL", &database)]).await;
        service
            .get("/livez")
            .await
            .is_json(200, &[], r#"{"status":"alive"}"#);
        let body = order(1, 5_001, 1);
        let start = Instant::now();
        let (ready, account, accounts, items, item, change, transfer, read_back) = tokio::join!(
            service.get("/readyz"),
            service.get("/v1/accounts/1"),
            service.get("/v1/accounts/random?n=2"),
            service.get("/v1/items?category=1"),
            service.get("/v1/items/303"),
            put(
                &service,
                303,
                "*",
                r#"{"name":"Lamp","category":4,"price_minor":1}"#
            ),
            post(&service, key, &body),
            service.get("/v1/transfers/1"),
        );
        for answer in [
            ready, account, accounts, items, item, change, transfer, read_back,
        ] {
            answer.is_error(503, "unavailable");
        }
        // Each waits for a connection for one second; the rest is a busy machine.
        assert!(
            start.elapsed() < Duration::from_secs(3),
            "the answers took {:?}",
            start.elapsed()
        );
        // A batch waits for five, in case the database comes back.
        let start = Instant::now();
        events::post(&service, "/v1/events/batch", &events("lost", 1))
            .await
            .is_error(503, "unavailable");
        assert!(
            start.elapsed() < Duration::from_secs(8),
            "the answer took {:?}",
            start.elapsed()
        );
    }
}
