//! HTTP/2 from outside: what is asked, what is reported, and what one stream may do to another.

#![allow(clippy::unwrap_used, reason = "a test stops where it cannot go on")]

mod support;

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use h2::Reason;
use serde_json::Value;
use support::Tool;
use support::multiplexed::{Manner, Multiplexed, Reply};
use support::scripted::{self, Scripted};
use support::secure::{Authority, Secure, config};

const LATER: i32 = 4_000;

/// The record of a run with `words`, in which nothing was lost.
fn ran(tool: &Tool, words: &[&str], code: i32) -> Value {
    let words = [&["run"], words, &["--json", "--no-save"]].concat();
    let record = tool.run(&words).json(code);
    let total = &record["total"];
    let outcomes = total["outcomes"].as_object().unwrap();
    let outcomes: u64 = outcomes.values().map(|n| n.as_u64().unwrap()).sum();
    assert_eq!(total["due_count"], outcomes, "an exchange was lost");
    assert_eq!(total["response_time"]["count"], outcomes);
    assert_eq!(total["wait"]["count"], outcomes);
    record
}

/// The record of a scenario with this `connections` and these `flows`, at 200 a second for half a second.
fn played(server: &Multiplexed, connections: &str, flows: &str, code: i32) -> Value {
    let tool = Tool::new();
    let scenario = format!(
        "tailmark: 1\ntimeout: 2s\nconnections: {connections}\nflows: {{ {flows} }}\n\
         phases: [{{ name: p, rate: 200/s, for: 500ms }}]\n"
    );
    tool.write("s.yaml", &scenario);
    ran(&tool, &["s.yaml", "--target", &server.url()], code)
}

fn outcome(record: &Value, name: &str) -> u64 {
    record["total"]["outcomes"][name].as_u64().unwrap()
}

fn first_failure(record: &Value) -> &str {
    record["failures"][0]["what"].as_str().unwrap_or_default()
}

fn opened(record: &Value) -> u64 {
    record["connections"]["opened"].as_u64().unwrap()
}

#[test]
fn requests_go_out_as_they_were_written_over_one_connection() {
    let server = Multiplexed::start(Manner::default(), |_, _| Reply::Status(200, 300_000));
    let steps = "f: { steps: [
        { post: '/p?n=${seq}', headers: { host: 'o:1', Keep-Alive: '5', X-A: b }, json: { n: '${seq}' } } ] }";
    let record = played(&server, "{ http: 2 }", steps, 0);
    assert_eq!(outcome(&record, "ok"), 100, "{record:#}");
    assert_eq!(record["connections"]["http"], "2");
    assert_eq!((opened(&record), server.connections()), (1, 1));
    assert_eq!(record["connections"]["peak_in_use"], 1);
    let asked = server.asked();
    assert_eq!(asked.len(), 100);
    assert_eq!(
        asked[0],
        "POST http://o:1/p?n=1 x-a=b content-type=application/json content-length=7 {\"n\":1}"
    );
    assert!(record["bytes"]["received"].as_u64() > Some(100 * 300_000));
    assert!(record["bytes"]["sent"].as_u64() > Some(100 * 7));
}

#[test]
fn the_moments_of_an_exchange_add_up() {
    let slow = Duration::from_millis(20);
    let server = Multiplexed::start(Manner::default(), move |_, _| Reply::Slow(slow));
    let record = played(&server, "{ http: 2 }", "f: { steps: [get: /] }", 0);
    assert_eq!(outcome(&record, "ok"), 100);
    let total = &record["total"];
    let mean = |metric: &str| total[metric]["mean_ns"].as_u64().unwrap();
    let parts = mean("lag") + mean("wait") + mean("service_time");
    // Each mean is rounded down.
    assert!(mean("response_time").abs_diff(parts) <= 4, "{total:#}");
    // The server waited after it had read the request, and answered then.
    assert!(total["service_time"]["min_ns"].as_u64() >= Some(20_000_000));
}

#[test]
fn over_tls_the_target_chooses() {
    let authority = Authority::new("ours");
    let certified = authority.certify(&["localhost"], LATER);
    let tool = Tool::new();
    tool.write("ca.pem", &authority.pem);
    let measured = |address: SocketAddr, http: &str, code| {
        let url = format!("https://localhost:{}/", address.port());
        let flags = ["-n", "20", "-r", "200", "--cacert", "ca.pem"];
        let words = [&[&url, "--http", http], &flags[..]].concat();
        ran(&tool, &words, code)
    };
    let both = Multiplexed::start(
        Manner {
            tls: Some(config(&certified, None, &["h2", "http/1.1"])),
            ..Manner::default()
        },
        |_, _| Reply::Status(200, 2),
    );
    for http in ["2", "auto"] {
        let record = measured(both.address, http, 0);
        assert_eq!(outcome(&record, "ok"), 20, "{record:#}");
        assert_eq!(record["connections"]["http"], "2");
        assert_eq!(record["connections"]["tls"]["count"], opened(&record));
    }
    let asked = both.asked();
    assert!(asked[0].starts_with("GET https://localhost:"), "{asked:?}");

    let old = Secure::with(config(&certified, None, &["http/1.1"]));
    for http in ["1.1", "auto"] {
        let record = measured(old.address, http, 0);
        assert_eq!(outcome(&record, "ok"), 20, "{record:#}");
        assert_eq!(record["connections"]["http"], "1.1");
    }
    let indifferent = Secure::with(config(&certified, None, &[]));
    for (server, words) in [
        (old, "(the target does not speak HTTP/2)"),
        (indifferent, "the target did not choose HTTP/2"),
    ] {
        let record = measured(server.address, "2", 4);
        assert_eq!(outcome(&record, "tls_error"), 20, "{record:#}");
        assert!(first_failure(&record).contains(words), "{record:#}");
        assert_eq!(record["connections"]["http"], Value::Null);
    }
}

#[test]
fn a_target_that_refuses_us_after_the_handshake_is_a_tls_error() {
    let (servers, clients) = (Authority::new("servers"), Authority::new("clients"));
    let certified = servers.certify(&["localhost"], LATER);
    let manner = Manner {
        tls: Some(config(&certified, Some(&clients), &["h2"])),
        ..Manner::default()
    };
    let server = Multiplexed::start(manner, |_, _| Reply::Status(200, 2));
    let url = format!("https://localhost:{}/", server.address.port());
    let words = [&url, "-n", "10", "-r", "100", "--http", "2", "-k"];
    let record = ran(&Tool::new(), &words, 4);
    assert_eq!(outcome(&record, "tls_error"), 10, "{record:#}");
    let what = first_failure(&record);
    assert!(what.contains("CertificateRequired"), "{what}");
}

#[test]
fn over_plain_tcp_auto_is_http_1() {
    let server = Scripted::start(|_| scripted::Reply::Status(200));
    let words = [&server.url(), "-n", "20", "-r", "200", "--http", "auto"];
    let record = ran(&Tool::new(), &words, 0);
    assert_eq!(outcome(&record, "ok"), 20);
    assert_eq!(record["connections"]["http"], "1.1");
}

#[test]
fn a_target_that_does_not_speak_http_2_is_said_to() {
    let server = Scripted::start(|_| scripted::Reply::Status(200));
    let words = ["-n", "20", "-r", "200", "--http", "2"];
    let record = ran(&Tool::new(), &[&[&*server.url()], &words[..]].concat(), 4);
    assert_eq!(outcome(&record, "protocol_error"), 20, "{record:#}");
    let what = first_failure(&record);
    assert!(
        what.contains("the target does not speak HTTP/2: it began with `HTTP/1.1 200"),
        "{what}"
    );
    let closing = Scripted::start(|_| scripted::Reply::Reset);
    let record = ran(&Tool::new(), &[&[&*closing.url()], &words[..]].concat(), 4);
    assert_eq!(outcome(&record, "connect_error"), 20, "{record:#}");
    let what = first_failure(&record);
    assert!(
        what.contains("before the target said that it speaks HTTP/2"),
        "{what}"
    );
}

/// A fifth of the requests as `stall` has them, which `server` never answers, and the others to `/`.
fn check_stall(server: &Multiplexed, stall: &str) {
    let flows =
        format!("stall: {{ weight: 1, steps: [{stall}] }}, fast: {{ weight: 4, steps: [get: /] }}");
    let record = played(server, "{ http: 2, max: 1 }", &flows, 0);
    let stalled = outcome(&record, "timeout") + outcome(&record, "unfinished");
    assert!(stalled > 5, "{record:#}");
    assert_eq!(outcome(&record, "ok") + stalled, 100, "{record:#}");
    assert_eq!((opened(&record), server.connections()), (1, 1));
    let steps = record["phases"][0]["steps"].as_array().unwrap();
    let fast = steps.iter().find(|step| step["flow"] == "fast").unwrap();
    assert_eq!(fast["outcomes"]["ok"], 100 - stalled, "{fast:#}");
    // Each stalled stream lasts two seconds, and whoever waited for one would have waited for longer than this.
    let slowest = fast["response_time"]["max_ns"].as_u64().unwrap();
    assert!(slowest < 1_900_000_000, "{slowest}");
    let due = &record["total"]["lag"]["max_ns"];
    assert!(due.as_u64() < Some(1_000_000_000), "{due}");
}

#[test]
fn a_stream_that_is_never_answered_holds_no_other_up() {
    for stalled in [Reply::Silence, Reply::Half] {
        let server = Multiplexed::start(Manner::default(), move |_, path| match path {
            "/stall" => stalled,
            _ => Reply::Status(200, 2),
        });
        check_stall(&server, "get: /stall");
    }
}

#[test]
fn a_body_that_nobody_reads_holds_no_other_stream_up() {
    let server = Multiplexed::start(Manner::default(), |_, path| match path {
        "/stall" => Reply::Silence,
        _ => Reply::Status(200, 2),
    });
    // Longer than what the server lets a stream send before it has read some.
    let body = "x".repeat(200_000);
    check_stall(&server, &format!("{{ post: /stall, body: {body} }}"));
}

#[test]
fn a_stream_that_timed_out_is_reset_and_its_lane_used_again() {
    let server = Multiplexed::start(Manner::default(), |number, _| match number {
        0 => Reply::Silence,
        _ => Reply::Status(200, 2),
    });
    let words = ["-n", "40", "-r", "20", "--timeout", "300ms", "--http", "2"];
    let url = server.url();
    let record = ran(&Tool::new(), &[&[&*url, "-c", "1"], &words[..]].concat(), 0);
    assert_eq!(outcome(&record, "timeout"), 1, "{record:#}");
    assert_eq!(outcome(&record, "ok"), 39);
    assert_eq!(opened(&record), 1);
    assert_eq!((server.requests(), server.cancelled()), (40, 1));
}

#[test]
fn no_more_streams_than_the_target_allows_and_everything_is_served() {
    let slow = Duration::from_millis(8);
    let manner = Manner {
        streams: Some(2),
        ..Manner::default()
    };
    let server = Multiplexed::start(manner, move |_, _| Reply::Slow(slow));
    let flow = "f: { steps: [get: /] }";
    let record = played(&server, "{ http: 2, max: 1, streams: 50 }", flow, 0);
    assert_eq!(outcome(&record, "ok"), 100, "{record:#}");
    assert_eq!(opened(&record), 1);
    assert!(server.most_at_once() <= 2, "{}", server.most_at_once());

    // The scenario's own limit, and as many connections as are needed beside it.
    let server = Multiplexed::start(Manner::default(), move |_, _| Reply::Slow(slow));
    let record = played(&server, "{ http: 2, max: 3, streams: 1 }", flow, 0);
    assert_eq!(outcome(&record, "ok"), 100, "{record:#}");
    assert_eq!(server.most_at_once(), 1);
    assert!((2..=3).contains(&opened(&record)), "{record:#}");
}

#[test]
fn a_connection_that_is_shut_down_is_replaced_and_nothing_is_lost() {
    let server = Multiplexed::start(Manner::default(), |number, _| match number % 20 {
        19 => Reply::Last,
        _ => Reply::Status(200, 2),
    });
    let record = played(&server, "{ http: 2 }", "f: { steps: [get: /] }", 0);
    assert_eq!(outcome(&record, "ok"), 100, "{record:#}");
    assert_eq!(server.requests(), 100);
    assert!(opened(&record) >= 4, "{record:#}");
    assert!(record["connections"]["reopened"].as_u64() >= Some(3));
}

#[test]
fn what_was_sent_and_refused_is_a_reset_and_is_not_sent_again() {
    for (reply, words) in [
        (
            Reply::Refuse(Reason::REFUSED_STREAM),
            "the target reset the stream: REFUSED_STREAM",
        ),
        (
            Reply::Refuse(Reason::INTERNAL_ERROR),
            "the target reset the stream: INTERNAL_ERROR",
        ),
        (
            Reply::Away(Reason::ENHANCE_YOUR_CALM),
            "the target gave the connection up: ENHANCE_YOUR_CALM",
        ),
        (Reply::Close, ""),
    ] {
        let server = Multiplexed::start(Manner::default(), move |_, _| reply);
        let record = played(&server, "{ http: 2 }", "f: { steps: [get: /] }", 4);
        assert_eq!(outcome(&record, "reset"), 100, "{reply:?} {record:#}");
        assert!(first_failure(&record).contains(words), "{record:#}");
        assert!(server.requests() <= 100);
    }
}

#[test]
fn what_is_no_http_2_is_a_protocol_error() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for socket in listener.incoming() {
            let mut socket = socket.unwrap();
            std::thread::spawn(move || {
                // No settings but the usual ones; and to what follows the client's, data that belongs to no stream.
                let _ = socket.write_all(&[0, 0, 0, 4, 0, 0, 0, 0, 0]);
                let mut seen = Vec::new();
                let mut bytes = [0; 4096];
                while let Ok(read @ 1..) = socket.read(&mut bytes) {
                    seen.extend_from_slice(&bytes[..read]);
                    if seen.windows(4).any(|part| part == b"\x01\x05\0\0") {
                        let _ = socket.write_all(&[0, 0, 0, 0, 0, 0, 0, 0, 0]);
                    }
                }
            });
        }
    });
    let words = [&url, "-n", "10", "-r", "50", "--http", "2"];
    let record = ran(&Tool::new(), &words, 4);
    assert_eq!(outcome(&record, "protocol_error"), 10, "{record:#}");
    assert!(first_failure(&record).contains("http2 error"), "{record:#}");
}

#[test]
fn connections_live_as_long_as_they_are_told_to() {
    let server = Multiplexed::start(Manner::default(), |_, _| Reply::Status(200, 2));
    let flow = "f: { steps: [get: /] }";
    let record = played(&server, "{ http: 2, reuse: false }", flow, 0);
    assert_eq!(outcome(&record, "ok"), 100, "{record:#}");
    assert_eq!((opened(&record), server.connections()), (100, 100));
    let record = played(&server, "{ http: 2, ttl: 100ms }", flow, 0);
    assert_eq!(outcome(&record, "ok"), 100, "{record:#}");
    assert!(opened(&record) >= 3, "{record:#}");
    assert_eq!(record["connections"]["reopened"], 0);
}

#[test]
fn users_share_connections() {
    let slow = Duration::from_millis(5);
    let server = Multiplexed::start(Manner::default(), move |_, _| Reply::Slow(slow));
    let words = [&server.url(), "-u", "30", "-n", "300", "--http", "2"];
    let record = ran(&Tool::new(), &words, 0);
    assert_eq!(outcome(&record, "ok"), 300, "{record:#}");
    assert_eq!(opened(&record), 1);
}

#[test]
fn debug_prints_an_exchange_of_http2() {
    let server = Multiplexed::start(Manner::default(), |_, path| {
        if path == "/refused" {
            Reply::Refuse(Reason::REFUSED_STREAM)
        } else {
            Reply::Status(200, 20_000)
        }
    });
    let tool = Tool::new();
    let debug = |path: &str| {
        let url = format!("{}{path}", server.url());
        tool.run(&["run", &url, "--http", "2", "--debug", "-b", "asked"])
    };
    let ran = debug("/here");
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    let host = format!("> host: {}\n", server.address);
    let asked = ["> POST /here HTTP/2\n", &host, ">\n> asked\n< HTTP/2 200\n"].concat();
    assert!(ran.out.starts_with(&asked), "{}", ran.out);
    assert!(ran.out.contains(" bytes more\n"), "{}", ran.out);
    assert!(ran.out.contains(" · ok: 200 · "), "{}", ran.out);
    let ran = debug("/refused");
    assert_eq!(ran.code, Some(4), "{}", ran.out);
    assert!(ran.out.contains(" · reset: "), "{}", ran.out);
    assert_eq!(server.requests(), 2);
}
