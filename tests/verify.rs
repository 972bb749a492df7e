//! `tailmark verify` and `tailmark oracle`, as people run them. How exact tailmark is on a given machine is `verify`'s own
//! verdict; what is tested here is that the verdict follows from the figures, and that every request is accounted for.
#![allow(clippy::unwrap_used, reason = "a test stops where it cannot go on")]

mod support;

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Stdio};
use std::time::Duration;

use serde_json::Value;
use support::{Ran, Tool};

const SCHEMA: &str = include_str!("../docs/schemas/verify-1.json");

/// A verification of one second, as JSON; its exit code has been held against what it says.
fn verified(only: &[&str]) -> Value {
    let mut words = vec!["verify", "--json", "--quiet", "--duration", "1s"];
    for name in only {
        words.extend(["--only", name]);
    }
    let ran = Tool::new().run(&words);
    let code = ran.code;
    let document = ran.json(code.unwrap());
    let right = document["right"].as_bool().unwrap();
    assert_eq!(code, Some(if right { 0 } else { 1 }), "{document}");
    let schema: Value = serde_json::from_str(SCHEMA).unwrap();
    let schema = jsonschema::draft202012::new(&schema).unwrap();
    let errors: Vec<String> = schema
        .iter_errors(&document)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect();
    assert!(errors.is_empty(), "{errors:#?}");
    document
}

fn script<'a>(document: &'a Value, name: &str) -> &'a Value {
    let scripts = document["scripts"].as_array().unwrap();
    scripts
        .iter()
        .find(|script| script["name"] == name)
        .unwrap()
}

/// Every request is accounted for, on both sides, and nothing but times may be off.
fn assert_whole(script: &Value) {
    assert_eq!(script["due_count"], 1_000, "{script}");
    assert_eq!(script["missing_count"], 0, "{script}");
    assert_eq!(script["stray_count"], 0, "{script}");
    assert_eq!(script["true"]["answers"], script["measured"]["answers"]);
    let answers = script["true"]["answers"].as_object().unwrap();
    let all: u64 = answers.values().map(|count| count.as_u64().unwrap()).sum();
    assert_eq!(all, 1_000, "{script}");
    for wrong in script["wrongs"].as_array().unwrap() {
        assert!(wrong.as_str().unwrap().starts_with('p'), "{script}");
    }
}

fn ns(script: &Value, side: &str, figure: &str) -> u64 {
    script[side]["response_time"][figure].as_u64().unwrap()
}

#[test]
fn a_constant_delay_is_true_and_measured() {
    let document = verified(&["constant"]);
    assert_eq!(document["scripts"].as_array().unwrap().len(), 1);
    let script = script(&document, "constant");
    assert_whole(script);
    for side in ["true", "measured"] {
        assert!(ns(script, side, "p50_ns") >= 2_000_000, "{script}");
    }
    let [truth, measured] = ["true", "measured"].map(|side| ns(script, side, "p50_ns"));
    // However busy the machine: half of all requests are not read half a second late.
    assert!(truth.abs_diff(measured) < 500_000_000, "{script}");
}

#[test]
fn what_waits_for_a_stall_is_in_both() {
    let document = verified(&["stalls"]);
    let script = script(&document, "stalls");
    assert_whole(script);
    // It begins after half a second and lasts 800 ms, and everything due in the other half waits for its end.
    for side in ["true", "measured"] {
        assert!(ns(script, side, "p99_ns") > 780_000_000, "{script}");
        assert!(ns(script, side, "p90_ns") > 690_000_000, "{script}");
    }
}

#[test]
fn failures_are_counted_by_both() {
    let document = verified(&["errors", "resets"]);
    for (name, kind) in [("errors", "errors"), ("resets", "resets")] {
        let script = script(&document, name);
        assert_whole(script);
        let failed = script["true"]["answers"][kind].as_u64().unwrap();
        // The draws are those of the seed, so the count is always the same: some ten of a thousand.
        assert!((3..30).contains(&failed), "{script}");
    }
}

#[test]
fn a_peer_that_is_not_installed_is_named() {
    let tool = Tool::new();
    let empty = tool.folder.path().join("empty");
    std::fs::create_dir(&empty).unwrap();
    let mut command = tool.command(&["verify", "--only", "at-once", "-d", "200ms", "--peers"]);
    let ran: Ran = command.env("PATH", &empty).output().unwrap().into();
    let named = "not installed: wrk, wrk2, oha, hey, k6";
    assert!(ran.out.contains(named), "{}\n{}", ran.out, ran.err);
}

#[test]
fn a_script_that_is_not_there_is_refused() {
    let ran = Tool::new().run(&["verify", "--only", "sloth"]);
    assert_eq!(ran.code, Some(2), "{}", ran.err);
    assert!(ran.err.contains("saturated"), "{}", ran.err);
}

#[test]
fn the_oracle_serves_until_it_is_told_to_end_and_leaves_a_log() {
    let tool = Tool::new();
    let words = "oracle --constant 3ms --log log.csv --rate 1000/s --for 60s";
    let words: Vec<&str> = words.split(' ').collect();
    let mut child = tool
        .command(&words)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    out.read_line(&mut line).unwrap();
    let address = line.trim().strip_prefix("listening on http://").unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(30)))
        .unwrap();
    stream
        .write_all(b"GET /a/17 HTTP/1.1\r\nconnection: close\r\n\r\n")
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    terminate(&child);
    assert!(child.wait().unwrap().success());
    let mut said = String::new();
    child
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut said)
        .unwrap();
    assert_eq!(
        said,
        "1 request\nlate for 1000/s, µs: p50 0.00 p99 0.00 max 0.00\n"
    );
    let log = std::fs::read_to_string(tool.folder.path().join("log.csv")).unwrap();
    let last: Vec<&str> = log.lines().last().unwrap().split(',').collect();
    let [seq, connection, arrived, answered, status] = last[..] else {
        panic!("{log}")
    };
    assert_eq!([seq, connection, status], ["17", "0", "200"]);
    let held = answered.parse::<u64>().unwrap() - arrived.parse::<u64>().unwrap();
    assert!(held >= 3_000_000, "{log}");
}

fn terminate(child: &Child) {
    let pid = rustix::process::Pid::from_child(child);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
}
