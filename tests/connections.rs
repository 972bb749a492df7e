//! When connections are opened, how long they live, where they lead, and how many this machine allows.

#![allow(clippy::unwrap_used, reason = "a test stops where it cannot go on")]

mod support;

use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use support::Tool;
use support::scripted::{Reply, Scripted};

/// The record of twenty requests to `server` over `connections`.
fn measured(server: &Scripted, connections: &str) -> Value {
    let tool = Tool::new();
    let scenario = format!(
        "tailmark: 1\nconnections: {connections}\nflows: {{ f: {{ steps: [get: /] }} }}\n\
         phases: [{{ name: p, rate: 100/s, for: 200ms }}]\n"
    );
    tool.write("s.yaml", &scenario);
    let words = [
        "run",
        "s.yaml",
        "--target",
        &server.url(),
        "--json",
        "--no-save",
    ];
    let record = tool.run(&words).json(0);
    assert_eq!(record["total"]["outcomes"]["ok"], 20, "{record:#}");
    record
}

#[test]
fn connections_are_opened_before_the_load_or_when_they_are_needed() {
    let server = Scripted::start(|_| Reply::Status(200));
    // A quarter of a second's arrivals.
    let eager = measured(&server, "{ open: eager }");
    assert!(eager["connections"]["opened"].as_u64() >= Some(25));
    let on_demand = measured(&server, "{ open: on-demand, max: 1 }");
    assert_eq!(on_demand["connections"]["opened"], 1);
    let all = measured(&server, "{ open: all, max: 300 }");
    assert_eq!(all["connections"]["opened"], 300);
}

#[test]
fn without_reuse_every_exchange_has_a_connection_of_its_own() {
    // This one closes each connection when it is asked to; the other never does.
    for script in [|_| Reply::Last, |_| Reply::Status(200)] {
        let server = Scripted::start(script);
        let record = measured(&server, "{ reuse: false }");
        assert_eq!(record["connections"]["opened"], 20);
        assert_eq!(record["connections"]["reopened"], 0);
        assert_eq!(record["connections"]["connect"]["count"], 20);
        assert_eq!(record["connections"]["tls"], Value::Null);
        assert_eq!(server.connections(), 20);
        // Connecting is part of what each of them waited.
        let least = |metric: &Value| metric["min_ns"].as_u64().unwrap();
        let wait = least(&record["total"]["wait"]);
        assert!(
            wait >= least(&record["connections"]["connect"]),
            "{record:#}"
        );
    }
}

#[test]
fn a_connection_that_is_too_old_carries_no_further_exchange() {
    let server = Scripted::start(|_| Reply::Slow(Duration::from_millis(5)));
    let record = measured(&server, "{ open: on-demand, ttl: 4ms }");
    assert_eq!(record["connections"]["opened"], 20);
    assert_eq!(server.connections(), 20);
    let record = measured(&server, "{ open: on-demand, ttl: 1h, max: 1 }");
    assert_eq!(record["connections"]["opened"], 1);
}

#[test]
fn a_name_is_reached_elsewhere() {
    let server = Scripted::start(|_| Reply::Status(200));
    let rule = format!("nowhere.example::127.0.0.1:{}", server.address.port());
    let words = [
        "run",
        "http://nowhere.example:81/",
        "-n",
        "5",
        "--json",
        "--no-save",
    ];
    let record = Tool::new()
        .run(&[&words[..], &["--connect-to", &rule]].concat())
        .json(0);
    assert_eq!(record["total"]["outcomes"]["ok"], 5);
}

#[test]
fn more_connections_than_descriptors_are_refused_before_anything_starts() {
    let tool = Tool::new();
    let ran: support::Ran = Command::new("sh")
        .args(["-c", "ulimit -n 300 && exec \"$0\" \"$@\""])
        .arg(env!("CARGO_BIN_EXE_tailmark"))
        .args(["run", "http://127.0.0.1:1/", "-c", "20000"])
        .current_dir(tool.folder.path())
        .output()
        .unwrap()
        .into();
    assert_eq!(ran.code, Some(2));
    assert_eq!(
        ran.err,
        "error: 20,000 connections need 20,100 descriptors; the hard limit is 300\n\
         hint: ulimit -Hn 20100, or LimitNOFILE= in systemd\n"
    );
    assert!(tool.saved().is_empty());
}
