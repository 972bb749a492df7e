//! Rows 5 to 7. Each case has items of its own.

use crate::World;
use crate::http::{Answer, raw};
use crate::service::Service;
use std::time::{Duration, Instant};

const LAMP: &str = r#"{"name":"Lamp","category":4,"price_minor":4990}"#;

pub(super) async fn are_listed_by_keyset(world: &World) {
    // Category 10 holds the items 9, 29, 49 and so on up to 9,989: 500 of them.
    let first = world.service.get("/v1/items?category=10&limit=2").await;
    first.is_json(
        200,
        &[],
        concat!(
            r#"{"items":[{"id":9,"name":"Item 9","category":10,"price_minor":1009,"version":1},"#,
            r#"{"id":29,"name":"Item 29","category":10,"price_minor":1029,"version":1}],"next_after":29}"#
        ),
    );
    let mut ids = Vec::new();
    let mut after = 0;
    loop {
        let page = world
            .service
            .get(&format!("/v1/items?category=10&limit=50&after={after}"))
            .await
            .value();
        ids.extend(
            page["items"]
                .as_array()
                .unwrap()
                .iter()
                .map(|item| item["id"].as_i64().unwrap()),
        );
        match page["next_after"].as_i64() {
            Some(next) => after = next,
            None => break,
        }
    }
    assert_eq!(ids, (0..500).map(|k| 9 + 20 * k).collect::<Vec<i64>>());
    let by_default = world.service.get("/v1/items?category=10").await.value();
    assert_eq!(by_default["items"].as_array().unwrap().len(), 20);
    world
        .service
        .get("/v1/items?category=10&after=9989")
        .await
        .is_json(200, &[], r#"{"items":[],"next_after":null}"#);
}

pub(super) async fn bad_pages_are_refused(world: &World) {
    for query in [
        "",
        "?limit=2",
        "?category=0",
        "?category=21",
        "?category=x",
        "?category=",
        "?category=1&limit=0",
        "?category=1&limit=51",
        "?category=1&limit=-1",
        "?category=1&after=-1",
        "?category=1&after=x",
        "?category=1&category=2",
    ] {
        world
            .service
            .get(&format!("/v1/items{query}"))
            .await
            .is_error(400, "invalid_query");
    }
}

pub(super) async fn are_read_through_the_cache(world: &World) {
    let body = r#"{"id":101,"name":"Item 101","category":2,"price_minor":1101,"version":1}"#;
    for outcome in ["miss", "hit", "hit"] {
        let answer = world.service.get("/v1/items/101").await;
        answer.is_json(200, &[("x-cache", outcome), ("etag", "\"1\"")], body);
    }
    for id in ["10001", "0", "-1", "x", "%FF", "9223372036854775808"] {
        world
            .service
            .get(&format!("/v1/items/{id}"))
            .await
            .is_error(404, "item_not_found");
    }
}

pub(super) async fn copies_expire(world: &World) {
    let service = Service::start(&world.subject, &[]).await;
    let outcome = async || service.get("/v1/items/102").await.headers["x-cache"].clone();
    let start = Instant::now();
    assert_eq!(outcome().await, "miss");
    while outcome().await == "hit" {
        assert!(
            start.elapsed() < Duration::from_secs(10),
            "a copy lives for one second by default"
        );
    }
    // Redis counts in milliseconds, and its clock is not ours.
    assert!(
        start.elapsed() > Duration::from_millis(900),
        "a copy lived for {:?}",
        start.elapsed()
    );
}

pub(super) async fn put(service: &Service, id: i64, if_match: &str, body: &str) -> Answer {
    service
        .request("PUT", &format!("/v1/items/{id}"))
        .header("if-match", if_match)
        .json(body)
        .send()
        .await
}

pub(super) async fn are_changed_under_a_precondition(world: &World) {
    let service = &world.service;
    service.get("/v1/items/201").await;
    service.get("/v1/items/201").await.is_json(
        200,
        &[("x-cache", "hit"), ("etag", "\"1\"")],
        r#"{"id":201,"name":"Item 201","category":2,"price_minor":1201,"version":1}"#,
    );
    let second = r#"{"id":201,"name":"Lamp","category":4,"price_minor":4990,"version":2}"#;
    put(service, 201, "\"1\"", LAMP)
        .await
        .is_json(200, &[("etag", "\"2\"")], second);
    // The copy of the first version is gone, although it had most of a minute to live.
    service.get("/v1/items/201").await.is_json(
        200,
        &[("x-cache", "miss"), ("etag", "\"2\"")],
        second,
    );

    let third = second.replace(r#""version":2"#, r#""version":3"#);
    put(service, 201, "*", LAMP)
        .await
        .is_json(200, &[("etag", "\"3\"")], &third);
    for stale in ["\"1\"", "\"2\"", "\"2\", \"4\"", "W/\"3\"", "\"abc\""] {
        put(service, 201, stale, LAMP)
            .await
            .is_error(412, "version_mismatch");
    }
    put(service, 201, "\"2\", \"3\"", LAMP).await.is_json(
        200,
        &[("etag", "\"4\"")],
        &third.replace(":3}", ":4}"),
    );
    for anything in ["*", "\"1\""] {
        put(service, 10_001, anything, LAMP)
            .await
            .is_error(404, "item_not_found");
    }
    let not_a_number = service
        .request("PUT", "/v1/items/x")
        .header("if-match", "*")
        .json(LAMP)
        .send()
        .await;
    not_a_number.is_error(404, "item_not_found");
}

pub(super) async fn bad_changes_are_refused(world: &World) {
    let service = &world.service;
    let request = || service.request("PUT", "/v1/items/202");
    request()
        .json(LAMP)
        .send()
        .await
        .is_error(428, "precondition_required");
    for bad in ["1", "\"1", "*, \"1\"", ""] {
        put(service, 202, bad, LAMP)
            .await
            .is_error(400, "invalid_if_match");
    }
    for body in [
        "",
        "{",
        "[]",
        "null",
        r#"{"name":"Lamp","category":4}"#,
        r#"{"name":"","category":4,"price_minor":1}"#,
        r#"{"name":"a\u0000b","category":4,"price_minor":1}"#,
        r#"{"name":"Lamp","category":21,"price_minor":1}"#,
        r#"{"name":"Lamp","category":4,"price_minor":-1}"#,
        r#"{"name":"Lamp","category":4,"price_minor":1e3}"#,
        r#"{"name":"Lamp","category":4,"price_minor":1,"version":9}"#,
        r#"{"name":"Lamp","category":4,"price_minor":1} x"#,
    ] {
        put(service, 202, "*", body)
            .await
            .is_error(400, "invalid_body");
    }
    let names_the_field = put(
        service,
        202,
        "*",
        r#"{"name":"Lamp","category":0,"price_minor":1}"#,
    )
    .await;
    assert!(
        names_the_field.body.contains("category must be 1 to 20"),
        "{}",
        names_the_field.body
    );

    let typed = |kind: &str| {
        request()
            .header("if-match", "*")
            .header("content-type", kind)
            .body(LAMP)
            .send()
    };
    for kind in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "application/octet-stream",
        "json",
    ] {
        typed(kind).await.is_error(415, "unsupported_media_type");
    }
    request()
        .header("if-match", "*")
        .body(LAMP)
        .send()
        .await
        .is_error(415, "unsupported_media_type");

    let largest = format!("{LAMP}{}", " ".repeat(16 * 1_024 - LAMP.len()));
    put(service, 203, "*", &largest).await.is_json(
        200,
        &[("etag", "\"2\"")],
        r#"{"id":203,"name":"Lamp","category":4,"price_minor":4990,"version":2}"#,
    );
    let too_large = format!("{largest} ");
    put(service, 202, "*", &too_large)
        .await
        .is_error(413, "body_too_large");
    // Without a content-length, the service finds out as it reads.
    let chunked = format!(
        "PUT /v1/items/202 HTTP/1.1\r\nhost: test\r\nif-match: *\r\ncontent-type: application/json\r\n\
         transfer-encoding: chunked\r\nconnection: close\r\n\r\n{:x}\r\n{too_large}\r\n0\r\n\r\n",
        too_large.len()
    );
    let answer = raw(&service.address, &chunked).await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");

    service.get("/v1/items/202").await.is_json(
        200,
        &[("x-cache", "miss"), ("etag", "\"1\"")],
        r#"{"id":202,"name":"Item 202","category":3,"price_minor":1202,"version":1}"#,
    );
}

pub(super) async fn of_two_writers_with_one_version_one_wins(world: &World) {
    let (one, other) = tokio::join!(
        put(&world.service, 204, "\"1\"", LAMP),
        put(&world.service, 204, "\"1\"", LAMP)
    );
    let mut statuses = [one.status, other.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 412]);
}
