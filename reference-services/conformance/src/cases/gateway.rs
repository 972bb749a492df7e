//! Row 12.

use super::outages::closed_port;
use super::sessions::token_of;
use crate::World;
use crate::http::{Answer, Request, raw};
use crate::service::Service;
use crate::token::{Claims, SECRET, good, signed, unsigned};
use serde_json::Value;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;
use tokio::time::sleep;

const ITEM: &str = "/v1/gateway/items/7";

/// A request of this subject.
fn request_of(service: &Service, subject: &str, method: &str, path: &str) -> Request {
    let token = signed(&good(subject), SECRET);
    let request = service.request(method, path);
    request.header("authorization", &format!("Bearer {token}"))
}

async fn get_as(service: &Service, subject: &str) -> Answer {
    request_of(service, subject, "GET", ITEM).send().await
}

pub(super) async fn passes_requests_on(world: &World) {
    let service = &world.service;
    let body = r#"{"id":7,"name":"Upstream item 7"}"#;
    let token = token_of(service, 7).await;
    let answer = service
        .request("GET", ITEM)
        .header("authorization", &format!("bearer {token}"));
    answer.send().await.is_json(200, &[], body);
    for method in ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"] {
        let request = request_of(service, "user-8", method, ITEM);
        request.send().await.is_json(200, &[], body);
    }
    // What the upstream says goes back, whatever it is.
    for status in [201, 400, 404, 418, 429, 500, 503] {
        let request = request_of(service, "user-8", "GET", ITEM);
        let request = request.header("x-stub-status", &status.to_string());
        request.send().await.is_json(status, &[], body);
    }
    let head = format!(
        "HEAD {ITEM} HTTP/1.1\r\nhost: test\r\nauthorization: Bearer {token}\r\nconnection: close\r\n\r\n"
    );
    let answer = raw(&service.address, &head).await.to_ascii_lowercase();
    assert!(answer.starts_with("http/1.1 200 "), "{answer}");
    let length = format!("content-length: {}\r\n", body.len());
    assert!(answer.contains(&length), "{answer}");
    assert!(answer.ends_with("\r\n\r\n"), "{answer}");
    for id in ["x", "0"] {
        let path = format!("/v1/gateway/items/{id}");
        let answer = request_of(service, "user-8", "GET", &path).send().await;
        answer.is_json(404, &[], r#"{"error":"there is no such item"}"#);
    }
    for path in [
        "/v1/gateway",
        "/v1/gateway/items",
        "/v1/gateway/other/7",
        "/v1/gateway/items/7%2F8",
        "/v1/gateway/items/7%5C8",
        "/v1/%67ateway/items/7",
    ] {
        let answer = request_of(service, "user-8", "GET", path).send().await;
        answer.is_error(404, "path_not_found");
    }
    // What clients tidy up before they send it: ways out of the items.
    for id in ["..", ".", "%2e%2E", "..%2fadmin", "%252e%252e"] {
        let request = format!(
            "GET /v1/gateway/items/{id} HTTP/1.1\r\nhost: test\r\nauthorization: Bearer {token}\r\nconnection: close\r\n\r\n"
        );
        let answer = raw(&service.address, &request).await;
        assert!(answer.starts_with("HTTP/1.1 404 "), "{id}: {answer}");
        assert!(answer.contains("path_not_found"), "{id}: {answer}");
    }
}

pub(super) async fn headers_for_one_connection_stay_there(world: &World) {
    let request = request_of(
        &world.service,
        "user-9",
        "POST",
        "/v1/gateway/items/7?a=%2F&b",
    );
    let request = request
        .header("x-stub-echo", "1")
        .header("connection", "x-private")
        .header("x-private", "1")
        .header("te", "trailers")
        .header("proxy-authorization", "Basic dTpw")
        .header("x-public", "1")
        .header("x-public", "2")
        .header("via", "1.1 before")
        .header("content-type", "text/plain");
    let answer = request.body("ping").send().await;
    answer.is(
        200,
        &[("content-type", "application/json"), ("x-end", "1")],
        &answer.body,
    );
    let seen = answer.value();
    assert_eq!(seen["method"], "POST");
    assert_eq!(seen["target"], "/items/7?a=%2F&b");
    assert_eq!(seen["body"], "ping");
    let values = |name: &str| -> Vec<&str> {
        let headers = seen["headers"].as_array().unwrap().iter();
        let named = headers.filter(|header| header[0] == name);
        named.map(|header| header[1].as_str().unwrap()).collect()
    };
    for gone in [
        "authorization",
        "connection",
        "keep-alive",
        "proxy-authorization",
        "te",
        "transfer-encoding",
        "x-private",
    ] {
        assert_eq!(values(gone), [""; 0], "{gone}");
    }
    assert_eq!(values("x-public"), ["1", "2"]);
    assert_eq!(values("via").join(", "), "1.1 before, 1.1 tailmark");
    assert_eq!(values("content-type"), ["text/plain"]);
    assert_eq!(values("content-length"), ["4"]);
    assert_eq!(values("host"), [world.upstream.address.as_str()]);
}

pub(super) async fn strangers_are_refused(world: &World) {
    let service = &world.service;
    let ask = |authorization: Option<String>| {
        let request = service.request("GET", ITEM);
        match authorization {
            Some(value) => request.header("authorization", &value),
            None => request,
        }
        .send()
    };
    let missing = [("www-authenticate", "Bearer")];
    for authorization in [None, Some("Basic dTpw".to_owned()), Some(String::new())] {
        ask(authorization)
            .await
            .is_error_with(401, "missing_token", &missing);
    }
    let now = good("user-1").iat;
    let expired = Claims {
        iat: now - 3_600,
        exp: now - 1,
        ..good("user-1")
    };
    let claims = format!(
        r#"{{"sub":"user-1","iat":0,"exp":{},"scope":"items"}}"#,
        now + 60
    );
    let good_token = signed(&good("user-1"), SECRET);
    let invalid = [("www-authenticate", "Bearer error=\"invalid_token\"")];
    for token in [
        "".to_owned(),
        "x".to_owned(),
        "a.b.c".to_owned(),
        signed(&expired, SECRET),
        signed(
            &good("user-1"),
            "the secret of somebody else, as long as ours",
        ),
        unsigned(&claims),
        good_token[..good_token.len() - 2].to_owned(),
        good_token.replacen('.', "", 1),
    ] {
        ask(Some(format!("Bearer {token}")))
            .await
            .is_error_with(401, "invalid_token", &invalid);
    }
    for scope in ["", "item", "items2 audit"] {
        let claims = Claims {
            scope: scope.to_owned(),
            ..good("user-1")
        };
        let challenge = "Bearer error=\"insufficient_scope\", scope=\"items\"";
        ask(Some(format!("Bearer {}", signed(&claims, SECRET))))
            .await
            .is_error_with(
                403,
                "insufficient_scope",
                &[("www-authenticate", challenge)],
            );
    }
}

pub(super) async fn each_subject_has_a_limit(world: &World) {
    let limits = [("RATE_LIMIT_PER_SECOND", "1"), ("RATE_LIMIT_BURST", "5")];
    let service = Service::start_with_upstream(world, &limits).await;
    let start = Instant::now();
    // At once, so that they come over many connections, to all workers.
    let mut requests = JoinSet::new();
    for _ in 0..40 {
        requests.spawn(request_of(&service, "user-1", "GET", ITEM).send());
    }
    let (mut served, mut wait) = (0, 0);
    while let Some(answer) = requests.join_next().await {
        let answer = answer.unwrap();
        if answer.status == 200 {
            served += 1;
            continue;
        }
        let seconds = answer.headers["retry-after"].clone();
        answer.is_error_with(429, "rate_limited", &[("retry-after", &seconds)]);
        wait = seconds.parse().unwrap();
        assert!((1..=5).contains(&wait), "{seconds}");
    }
    let most = 5 + start.elapsed().as_secs() + 1;
    assert!((5..=most).contains(&served), "{served} of 40 were served");
    assert!(wait > 0, "nobody was refused");
    assert_eq!(get_as(&service, "user-2").await.status, 200);
    sleep(Duration::from_secs(wait)).await;
    assert_eq!(get_as(&service, "user-1").await.status, 200);
}

pub(super) async fn an_upstream_that_fails_is_a_502_or_504(world: &World) {
    let closed = format!("http://127.0.0.1:{}", closed_port().await);
    let service = Service::start(&world.subject, &[("UPSTREAM_URL", &closed)]).await;
    get_as(&service, "user-1")
        .await
        .is_error(502, "bad_gateway");
    let breaks = request_of(&world.service, "user-10", "GET", ITEM);
    let breaks = breaks.header("x-stub-break", "1").send().await;
    breaks.is_error(502, "bad_gateway");

    let hasty = [("UPSTREAM_TIMEOUT_MS", "300")];
    let service = Service::start_with_upstream(world, &hasty).await;
    let start = Instant::now();
    let slow = request_of(&service, "user-1", "GET", ITEM);
    let slow = slow.header("x-stub-delay-ms", "60000").send().await;
    slow.is_error(504, "gateway_timeout");
    let elapsed = start.elapsed();
    assert!(elapsed > Duration::from_millis(290), "{elapsed:?}");
    assert!(elapsed < Duration::from_secs(8), "{elapsed:?}");
    assert_eq!(get_as(&service, "user-1").await.status, 200);
}

pub(super) async fn large_bodies_are_refused(world: &World) {
    let largest = "x".repeat(16 * 1_024);
    let request = request_of(&world.service, "user-11", "POST", ITEM);
    let request = request.header("x-stub-echo", "1");
    let seen: Value = request.body(&largest).send().await.value();
    assert_eq!(seen["body"].as_str().map(str::len), Some(largest.len()));
    let request = request_of(&world.service, "user-11", "POST", ITEM);
    let too_large = request.body(&format!("{largest}x")).send().await;
    too_large.is_error(413, "body_too_large");
}
