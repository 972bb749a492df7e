//! Our own client of HTTP/1.1 held against `hyper`'s: the same scenario, the same servers, the same report.

#![allow(clippy::unwrap_used, reason = "a test stops where it cannot go on")]

mod support;

use std::time::Duration;

use serde_json::Value;
use support::Tool;
use support::scripted::{Reply, Scripted};

/// What one engine reports of a scenario of these `flows`, and what was asked of its server.
struct Seen {
    record: Value,
    asked: Vec<String>,
    connections: u64,
}

fn seen(engine: &str, script: fn(&str) -> Reply, connections: &str, flows: &str) -> Seen {
    let server = Scripted::by_request(move |_, request| script(request));
    let tool = Tool::new();
    let scenario = format!(
        "tailmark: 1\ntimeout: 500ms\nconnections: {connections}\nflows:\n{flows}\n\
         phases: [{{ name: p, rate: 200/s, for: 500ms }}]\n"
    );
    tool.write("s.yaml", &scenario);
    let url = server.url();
    let words = ["run", "s.yaml", "--target", &url, "--engine", engine];
    let ran = tool.run(&[&words[..], &["--json", "--no-save"]].concat());
    let record: Value = serde_json::from_str(&ran.out).unwrap_or_else(|_| panic!("{}", ran.err));
    let asked = server.asked();
    Seen {
        record,
        asked,
        connections: server.connections(),
    }
}

/// Both engines report the same of `flows`; returns what our own reports.
fn check(script: fn(&str) -> Reply, connections: &str, flows: &str) -> (Seen, Seen) {
    let own = seen("own", script, connections, flows);
    let hyper = seen("hyper", script, connections, flows);
    assert_eq!(own.record["total"]["due_count"], 100);
    for place in [
        "/total/due_count",
        "/total/outcomes",
        "/total/statuses",
        "/connections/http",
    ] {
        let (own, hyper) = (own.record.pointer(place), hyper.record.pointer(place));
        assert!(own.is_some(), "{place}");
        assert_eq!(own, hyper, "{place}");
    }
    let steps = |seen: &Seen| {
        let steps = seen.record["phases"][0]["steps"].as_array().unwrap().iter();
        steps
            .map(|step| (step["step"].clone(), step["outcomes"].clone()))
            .collect::<Vec<_>>()
    };
    assert_eq!(steps(&own), steps(&hyper));
    assert_eq!(own.asked, hyper.asked);
    (own, hyper)
}

fn flows(steps: &[&str]) -> String {
    let flows = steps.iter().enumerate();
    let flows: Vec<String> = flows
        .map(|(k, step)| format!("  f{k}: {{ steps: [{step}] }}"))
        .collect();
    flows.join("\n")
}

#[test]
fn every_framing_of_a_body_is_read_alike() {
    let (own, hyper) = check(
        |request| match request.split(' ').nth(1).unwrap() {
            "/length" => Reply::Framed("content-length: 5\r\n\r\nhello"),
            "/chunks" => Reply::Framed(
                "transfer-encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n3\r\nyou\r\n0\r\nx: y\r\n\r\n",
            ),
            "/nothing" => Reply::Status(204),
            "/head" => Reply::Framed("content-length: 500\r\n\r\n"),
            "/error" => Reply::Status(503),
            "/missing" => Reply::Status(404),
            _ => Reply::Status(200),
        },
        "{ max: 8 }",
        &flows(&[
            "get: /length",
            "get: /chunks",
            "get: /nothing",
            "head: /head",
            "get: /error",
            "{ get: /missing, checks: { status: 404 } }",
            "{ post: '/p?n=${seq}', headers: { X-A: 'v${seq}' }, body: 'n = ${seq}' }",
            "put: /empty",
        ]),
    );
    let bytes = |seen: &Seen| seen.record["bytes"].clone();
    assert_eq!(bytes(&own), bytes(&hyper));
    assert_eq!(own.record["connections"]["reopened"], 0);
    assert_eq!(hyper.record["connections"]["reopened"], 0);
}

#[test]
fn every_failure_has_the_same_outcome() {
    check(
        |request| match request.split(' ').nth(1).unwrap() {
            "/reset" => Reply::Reset,
            "/garbage" => Reply::Garbage,
            "/silence" => Reply::Silence,
            "/cut" => Reply::Cut("content-length: 50\r\n\r\nhello"),
            "/until-close" => Reply::Cut("\r\nhello"),
            "/last" => Reply::Last,
            "/framing" => Reply::Framed("content-length: x\r\n\r\n"),
            _ => Reply::Status(200),
        },
        "{ max: 64 }",
        &flows(&[
            "get: /reset",
            "get: /garbage",
            "get: /silence",
            "get: /cut",
            "get: /until-close",
            "get: /last",
            "get: /framing",
            "get: /fine",
        ]),
    );
}

#[test]
fn connections_are_used_alike() {
    for (connections, opened) in [
        ("{ reuse: false }", 100),
        ("{ open: on-demand, max: 1 }", 1),
    ] {
        let (own, hyper) = check(|_| Reply::Status(200), connections, &flows(&["get: /"]));
        for seen in [own, hyper] {
            assert_eq!(
                seen.record["connections"]["opened"], opened,
                "{connections}"
            );
            assert_eq!(seen.connections, opened);
        }
    }
}

#[test]
fn a_constant_delay_is_seen_alike() {
    let (own, hyper) = check(
        |_| Reply::Slow(Duration::from_millis(20)),
        "{ max: 32 }",
        &flows(&["get: /"]),
    );
    let p50 = |seen: &Seen| {
        seen.record["total"]["service_time"]["p50_ns"]
            .as_u64()
            .unwrap()
    };
    // The server's delay is a lower bound of both, but for the precision of a histogram; a busy machine has no upper one,
    // and this is a generous stand-in.
    for p50 in [p50(&own), p50(&hyper)] {
        assert!((19_900_000..200_000_000).contains(&p50), "{p50}");
    }
}
