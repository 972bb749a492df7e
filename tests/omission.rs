//! No omission: against a server that freezes, the reported tail is the one that the schedule and the freezes imply.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test stops where it cannot go on, and says why it was skipped"
)]

mod support;

use std::process::Command;
use std::time::Duration;

use support::freezing::{Freezing, Log, Script};

const RATE: u64 = 1_000;
const SECONDS: u64 = 20;
const DUE: usize = (RATE * SECONDS) as usize;

/// How late the server itself may wake before nothing can be said: the test's tolerance is 3 % of half a second.
const SERVER_LATE: Duration = Duration::from_millis(5);

#[test]
fn the_tail_is_what_the_schedule_and_the_freezes_imply() {
    let server = Freezing::start(Script {
        first: Duration::from_secs(2),
        every: Duration::from_secs(5),
        lasts: Duration::from_millis(500),
        at_most: Duration::from_secs(60),
    });
    let output = Command::new(env!("CARGO_BIN_EXE_tailmark"))
        .args([
            "run",
            &format!("http://{}/${{seq}}", server.address),
            "--no-save",
            "--no-preflight",
            "--json",
        ])
        // Few enough connections that what a freeze holds up does not all become readable at one moment: the time in
        // which a debug build reads 256 responses is a tenth of what this test is about.
        .args([
            "-r",
            &RATE.to_string(),
            "-d",
            &format!("{SECONDS}s"),
            "-c",
            "64",
        ])
        .output()
        .unwrap();
    let log = server.stop();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let record: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let total = &record["total"];
    assert_eq!(total["due_count"], DUE);
    assert_eq!(total["outcomes"]["ok"], DUE);
    assert_eq!(log.answers.len(), DUE);
    if log.late > SERVER_LATE {
        println!(
            "skipped: the server itself woke {:?} late, so it did not do what was scripted",
            log.late
        );
        return;
    }
    let (freezes, answers) = (implied_by_freezes(&log), implied_by_answers(&log));
    for (key, quantile) in [("p99_ns", 0.99), ("p99_9_ns", 0.999)] {
        let rank = (quantile * DUE as f64).ceil() as usize;
        let reported = Duration::from_nanos(total["response_time"][key].as_u64().unwrap());
        let (frozen, answered) = (freezes[rank - 1], answers[rank - 1]);
        println!(
            "{key}: reported {reported:?}, implied {frozen:?} by the freezes, {answered:?} by the answers"
        );
        // Whatever was omitted would make the tail shorter than the freezes alone do.
        assert!(
            reported > frozen.mul_f64(0.97),
            "{key}: {reported:?} omits some of {frozen:?}; {:?}",
            log.freezes
        );
        // After a freeze the server needs a while for what has piled up, which its own log of answers knows.
        let off = reported.abs_diff(answered);
        assert!(
            off < answered.mul_f64(0.03),
            "{key}: {reported:?} is not {answered:?}; {:?}",
            log.freezes
        );
    }
}

fn due(k: usize) -> Duration {
    Duration::from_nanos(k as u64 * 1_000_000_000 / RATE)
}

/// The response time of every arrival, sorted, if the server answered all that had piled up at the end of a freeze
/// at once. The server's clock starts with the first request, which is the first arrival's.
fn implied_by_freezes(log: &Log) -> Vec<Duration> {
    let time = |k| {
        let freeze = log
            .freezes
            .iter()
            .find(|(start, end)| (*start..*end).contains(&due(k)));
        freeze.map_or(Duration::ZERO, |(_, end)| *end - due(k))
    };
    sorted((0..DUE).map(time))
}

/// The same by when the server really answered each of them.
///
/// Its clock starts when it read the first request, which may have been late; the fastest answer tells by how much.
fn implied_by_answers(log: &Log) -> Vec<Duration> {
    // Half a second is more than the first request can have been late by in a test that passes.
    let ahead = Duration::from_millis(500);
    let times = || {
        log.answers
            .iter()
            .map(|(seq, answered)| *answered + ahead - due(*seq as usize - 1))
    };
    let fastest = times().min().unwrap();
    sorted(times().map(|time| time - fastest))
}

fn sorted(times: impl Iterator<Item = Duration>) -> Vec<Duration> {
    let mut times: Vec<Duration> = times.collect();
    times.sort();
    times
}
