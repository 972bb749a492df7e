//! What those who run a service are told, and how they set it up.

use super::transfers::{order, post};
use crate::World;
use crate::service::{Service, run};
use crate::token::SECRET;
use rustix::process::Signal;
use serde_json::Value;

pub(super) async fn config_tells_all_but_secrets(world: &World) {
    let set = [
        ("LAYERS", "all"),
        ("PROFILE", "tuned"),
        ("TX_MODE", "serializable"),
        ("METRICS_PORT", "0"),
    ];
    for (environment, profile, layers, tx_mode, metrics, idle) in [
        (&set[..0], "idiomatic", "none", "lock", false, Some(5_000)),
        (&set[..], "tuned", "all", "serializable", true, None),
    ] {
        let (code, printed) = run(&world.subject, environment, "config", "").await;
        assert_eq!(code, Some(0));
        let line = printed.strip_suffix('\n').unwrap();
        assert!(!line.contains('\n'), "one line: {line}");
        let config: Value = serde_json::from_str(line).unwrap();
        for (pointer, expected) in [
            ("/schema", 1.into()),
            ("/profile", profile.into()),
            ("/layers", layers.into()),
            ("/tx_mode", tx_mode.into()),
            ("/metrics", metrics.into()),
            ("/allocator", "mimalloc".into()),
            ("/redis_access", "manager".into()),
            ("/pools/postgres", 16.into()),
            ("/parity/tcp_nodelay", true.into()),
            ("/parity/backlog", 1_024.into()),
            ("/parity/idle_timeout_ms", idle.into()),
            ("/parity/body_limit_bytes", 16_384.into()),
        ] {
            assert_eq!(config.pointer(pointer), Some(&expected), "{pointer}");
        }
        for there in [
            "/framework",
            "/framework_version",
            "/workers",
            "/switches/runtimes",
        ] {
            let value = config.pointer(there).unwrap_or(&Value::Null);
            assert!(!value.is_null(), "{there} in {config}");
        }
        assert!(config["framework_version"].as_str().unwrap().contains('.'));
        for secret in [
            SECRET,
            "postgres://",
            "redis://",
            "measures with this secret",
        ] {
            assert!(!line.contains(secret), "{secret} in {line}");
        }
    }
    let diesel = [("STORE", "diesel"), ("DIESEL_POOL", "bb8")];
    for (environment, store, pool) in [
        (&[("STORE", "sqlx")][..], "sqlx", "sqlx"),
        (&diesel[..1], "diesel", "deadpool"),
        (&diesel[..], "diesel", "bb8"),
    ] {
        let (_, printed) = run(&world.subject, environment, "config", "").await;
        let config: Value = serde_json::from_str(&printed).unwrap();
        let told = (&config["store"], &config["postgres_pool"]);
        assert_eq!(told, (&store.into(), &pool.into()), "{config}");
        for library in ["sqlx", "diesel", "diesel-async"] {
            let version = config["libraries"][library].as_str();
            assert!(version.is_some(), "{library} in {config}");
        }
    }
    for (name, value) in [
        ("PROFILE", "fast"),
        ("LAYERS", "some"),
        ("LOG_FORMAT", "xml"),
    ] {
        let (code, printed) = run(&world.subject, &[(name, value)], "config", "").await;
        assert_eq!((code, printed.as_str()), (Some(2), ""), "{name}");
    }
}

pub(super) async fn metrics_are_kept_for_those_who_ask(world: &World) {
    let environment = [("METRICS_PORT", "0"), ("CACHE_TTL_SECONDS", "60")];
    let mut service = Service::start(&world.subject, &environment).await;
    let port = service.metrics_port().await;
    for item in [401, 402] {
        let path = format!("/v1/items/{item}");
        assert_eq!(service.get(&path).await.headers["x-cache"], "miss");
    }
    assert_eq!(service.get("/v1/items/401").await.headers["x-cache"], "hit");
    assert_eq!(service.get("/v1/items/0").await.status, 404);
    assert_eq!(service.get("/v1/nothing/17").await.status, 404);
    assert_eq!(service.request("PUT", "/v1/json").send().await.status, 405);

    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let url = format!("http://127.0.0.1:{port}/metrics");
    let scrape = client.get(&url).send().await.unwrap();
    assert_eq!(scrape.status(), 200);
    let format = "text/plain; version=0.0.4; charset=utf-8";
    assert_eq!(scrape.headers()["content-type"], format);
    let text = scrape.text().await.unwrap();
    let item = "route=\"/v1/items/{id}\",method=\"GET\"";
    let json = "route=\"/v1/json\",method=\"PUT\",status=\"4xx\"";
    for (series, expected) in [
        (format!("http_requests_total{{{item},status=\"2xx\"}}"), "3"),
        (format!("http_requests_total{{{item},status=\"4xx\"}}"), "1"),
        (format!("http_requests_total{{{json}}}"), "1"),
        (
            "http_requests_total{route=\"unmatched\",method=\"GET\",status=\"4xx\"}".to_owned(),
            "1",
        ),
        (
            format!("http_request_duration_seconds_count{{{item}}}"),
            "4",
        ),
        ("http_requests_in_flight".to_owned(), "0"),
        ("cache_lookups_total{outcome=\"hit\"}".to_owned(), "1"),
        ("cache_lookups_total{outcome=\"miss\"}".to_owned(), "2"),
        ("cache_lookups_total{outcome=\"bypass\"}".to_owned(), "0"),
        ("requests_refused_total{reason=\"shed\"}".to_owned(), "0"),
        ("postgres_connections".to_owned(), "16"),
        ("postgres_connections_idle".to_owned(), "16"),
        // Two reads found nothing in Redis.
        ("postgres_acquisitions_total".to_owned(), "2"),
        ("postgres_acquisition_timeouts_total".to_owned(), "0"),
    ] {
        let line = format!("{series} {expected}");
        assert!(text.lines().any(|found| found == line), "{line}\n{text}");
    }
    for series in ["postgres_acquisition_seconds_total ", "redis_connections "] {
        assert!(text.lines().any(|line| line.starts_with(series)), "{text}");
    }
    assert!(text.contains("\nprocess_resident_memory_bytes "), "{text}");
    assert!(
        !text.contains("/v1/items/4"),
        "a label for each path: {text}"
    );
    let other = format!("http://127.0.0.1:{port}/");
    assert_eq!(client.get(other).send().await.unwrap().status(), 404);
    // The service's own port does not tell.
    service
        .get("/metrics")
        .await
        .is_error(404, "path_not_found");
    service.signal(Signal::TERM);
    assert_eq!(service.ended().await.code(), Some(0));
}

pub(super) async fn the_tuned_profile_serves_the_same(world: &World) {
    let service = Service::start(&world.subject, &[("PROFILE", "tuned")]).await;
    // Connections of their own, so that every worker is met.
    for number in 0..32 {
        let path = format!("/v1/accounts/{}", 9_100 + number);
        let request = service.request("GET", &path).header("connection", "close");
        assert_eq!(request.send().await.status, 200, "{path}");
        let key = format!("tuned-{}", number / 2);
        let answer = post(&service, &key, &order(31, 5_031, 1)).await;
        assert_eq!(answer.status, 201, "{}", answer.body);
        let replayed = answer.headers.contains_key("idempotency-replayed");
        assert_eq!(replayed, number % 2 == 1, "{key}");
    }
    service
        .get("/readyz")
        .await
        .is_json(200, &[], r#"{"status":"ready"}"#);
    service.signal(Signal::TERM);
    assert_eq!(service.ended().await.code(), Some(0));
}

pub(super) async fn the_log_is_json_where_it_is_asked_for(world: &World) {
    for (format, is_json) in [("json", true), ("text", false)] {
        let environment = [
            ("LOG_FORMAT", format),
            ("LAYERS", "trace"),
            ("RUST_LOG", "info"),
        ];
        let service = Service::start_with_log(&world.subject, &environment).await;
        let request = service.request("GET", "/v1/accounts/9001");
        let answer = request.header("x-request-id", "look-here").send().await;
        assert_eq!(answer.status, 200);
        service.signal(Signal::TERM);
        let log = service.log().await;
        let line = log.lines().find(|line| line.contains("look-here"));
        let line = line.unwrap_or_else(|| panic!("no line about the request: {log}"));
        let parsed = serde_json::from_str::<Value>(line).ok();
        assert_eq!(parsed.is_some(), is_json, "{line}");
        if let Some(parsed) = parsed {
            let span = &parsed["span"];
            for (key, expected) in [
                ("method", Value::from("GET")),
                ("route", "/v1/accounts/{id}".into()),
                ("request_id", "look-here".into()),
                ("status", 200.into()),
            ] {
                assert_eq!(span[key], expected, "{key} in {line}");
            }
            assert!(span["latency_us"].as_u64().is_some(), "{line}");
        }
    }
}
