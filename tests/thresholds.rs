//! Thresholds from outside: what holds, what fails, what ends a run, and what is refused before anything is sent.
#![allow(clippy::unwrap_used, reason = "a test stops where it cannot go on")]

mod support;

use std::time::Duration;

use serde_json::Value;

use support::scripted::{Reply, Scripted};
use support::{Ran, Tool};

/// Longer than what a busy machine adds, so that a run is valid on one, too.
const DELAY: Duration = Duration::from_millis(200);

const SCENARIO: &str = "tailmark: 1
flows: { f: { steps: [{ get: /, name: home }] } }
phases:
  - { name: warm, rate: 20/s, for: 100ms, warmup: true }
  - { name: steady, rate: 50/s, for: 1s }
";

/// The record of a run that was to end with `code`, or with 4 where the machine was too busy to believe it.
fn record(ran: &Ran, code: i32) -> Value {
    let record: Value = serde_json::from_str(&ran.out).unwrap();
    let valid = record["validity"]["state"] == "valid";
    assert_eq!(ran.code, Some(if valid { code } else { 4 }), "{}", ran.err);
    record
}

fn thresholds(record: &Value) -> Vec<(&str, bool)> {
    let all = record["thresholds"].as_array().unwrap().iter();
    let pairs = all.map(|one| {
        (
            one["expression"].as_str().unwrap(),
            one["passed"].as_bool().unwrap(),
        )
    });
    pairs.collect()
}

#[test]
fn what_holds_and_what_does_not_is_printed_and_kept() {
    let server = Scripted::start(|_| Reply::Slow(DELAY));
    let tool = Tool::new();
    let with = |more: &str| format!("{SCENARIO}thresholds:\n  - p50 >= 200ms in steady\n{more}");
    tool.write("good.yaml", &with("  - { that: error_rate <= 0 }\n"));
    tool.write("bad.yaml", &with("  - p50 of f/home < 1ms\n"));
    let url = server.url();
    let run =
        |file: &str, more: &[&str]| tool.run(&[&["run", file, "--target", &url], more].concat());

    let good = record(&run("good.yaml", &["--json"]), 0);
    assert_eq!(
        thresholds(&good),
        [("p50 >= 200ms in steady", true), ("error_rate <= 0", true)]
    );
    assert_eq!(good["thresholds"][1]["observed"], 0.0);
    assert_eq!(good["thresholds"][1]["unit"], "ratio");
    assert_eq!(good["ended_by"], Value::Null);

    let bad = record(&run("bad.yaml", &["--json"]), 1);
    assert_eq!(
        thresholds(&bad),
        [
            ("p50 >= 200ms in steady", true),
            ("p50 of f/home < 1ms", false)
        ]
    );
    let again = tool.run(&["report", tool.latest().to_str().unwrap()]);
    assert_eq!(again.code, Some(0), "{}", again.err);
    let held = again.out.find("  ✓ p50 >= 200ms in steady   observed ");
    let failed = again.out.find("  ✗ p50 of f/home < 1ms      observed ");
    assert!(held.is_some() && held < failed, "{}", again.out);

    // The command line adds to the file, and the worst of them decides.
    let more = [
        "--json",
        "--threshold",
        "max < 1ms",
        "--threshold",
        "min>0s",
    ];
    let added = record(&run("good.yaml", &more), 1);
    let expected = [
        ("p50 >= 200ms in steady", true),
        ("error_rate <= 0", true),
        ("max < 1ms", false),
        ("min>0s", true),
    ];
    assert_eq!(thresholds(&added), expected);
}

#[test]
fn a_url_has_the_thresholds_of_the_command_line() {
    let server = Scripted::start(|number| match number % 4 {
        0 => Reply::Status(503),
        _ => Reply::Slow(DELAY),
    });
    let url = server.url();
    let run = |threshold: &str| {
        let words = [
            "run",
            &url,
            "-n",
            "80",
            "--json",
            "--no-save",
            "--threshold",
        ];
        Tool::new().run(&[&words[..], &[threshold]].concat())
    };
    let held = record(&run("error_rate <= 25%"), 0);
    assert_eq!(held["thresholds"][0]["observed"], 0.25);
    let failed = record(&run("error_rate < 25% in main over every 1s"), 1);
    assert_eq!(failed["thresholds"][0]["when"], "from 0s to 800ms of main");
}

/// In containers: `tests/containers.rs`.
#[test]
fn memory_and_cpu_of_a_process_are_held_to_their_thresholds() {
    let tool = Tool::new();
    tool.write("s.yaml", SCENARIO);
    let tailmark = env!("CARGO_BIN_EXE_tailmark");
    let target = format!("command:{tailmark} oracle --port {{port}}");
    let run = |duration: &str, thresholds: &[(&str, bool)]| {
        let words = [
            "run", "s.yaml", "--target", &target, "-d", duration, "--json",
        ];
        let flags = thresholds
            .iter()
            .flat_map(|(that, _)| ["--threshold", that]);
        let ran = tool.run(&words.into_iter().chain(flags).collect::<Vec<_>>());
        let passed = thresholds.iter().all(|(_, passed)| *passed);
        let record = record(&ran, if passed { 0 } else { 1 });
        assert_eq!(self::thresholds(&record), thresholds);
        record
    };
    let held = run(
        "11s",
        &[
            ("mem.idle < 1GiB", true),
            ("mem.p95 > 64KiB", true),
            ("mem.peak < 1GiB", true),
            ("mem.after_idle < 1GiB", true),
            ("mem.slope < 1GiB/s", true),
            ("cpu.per_1k < 1h", true),
        ],
    );
    let memory = &held["resources"]["memory"]["rss"];
    for (place, key) in [(0, "idle_bytes"), (1, "p95_bytes"), (2, "peak_bytes")] {
        let observed = held["thresholds"][place]["observed"].as_f64();
        assert_eq!(observed, memory[key].as_f64(), "{key}");
    }
    // Growth over a second is none, and what cannot be said does not hold.
    let broken = run(
        "1s",
        &[
            ("mem.idle < 64KiB", false),
            ("mem.p95 < 64KiB", false),
            ("mem.peak < 64KiB", false),
            ("mem.after_idle < 64KiB", false),
            ("mem.slope < 1GiB/s", false),
            ("cpu.per_1k < 1us", false),
        ],
    );
    let slope = &broken["thresholds"][4];
    assert_eq!(slope["observed"], Value::Null);
    assert_eq!(
        slope["reason"],
        "growth is told from ten seconds of readings on"
    );
}

#[test]
fn a_run_without_one_good_answer_is_no_measurement() {
    let server = Scripted::start(|_| Reply::Status(503));
    let words = ["run", &server.url(), "-n", "10", "--json", "--no-save"];
    let ran = Tool::new().run(&[&words[..], &["--threshold", "error_rate < 1%"]].concat());
    assert_eq!(thresholds(&ran.json(4)), [("error_rate < 1%", false)]);
}

#[test]
fn a_broken_threshold_ends_the_run() {
    let server = Scripted::start(|number| match number % 2 {
        0 => Reply::Status(503),
        _ => Reply::Slow(DELAY),
    });
    let tool = Tool::new();
    tool.write(
        "long.yaml",
        "tailmark: 1
flows: { f: { steps: [get: /] } }
phases:
  - { name: long, rate: 50/s, for: 2m }
  - { name: later, rate: 50/s, for: 2m }
thresholds:
  - { that: error_rate < 90%, abort: true, after: 0s }
  - { that: error_rate < 20% in long, abort: true, after: 1s }
  - p99 < 1h in later
",
    );
    let url = server.url();
    let ran = tool.run(&["run", "long.yaml", "--target", &url, "--json"]);
    let record = record(&ran, 1);
    assert_eq!(record["ended_by"]["expression"], "error_rate < 20% in long");
    assert_eq!(record["interrupted"], false);
    assert!(record["ended_by"]["at_ns"].as_u64().unwrap() >= 1_000_000_000);
    let phases = record["phases"].as_array().unwrap();
    assert_eq!(phases.len(), 1);
    // Three windows of a second, and what a busy machine adds.
    assert!(phases[0]["duration_ns"].as_u64().unwrap() < 60_000_000_000);
    // Nothing that was due is lost.
    let (due, outcomes) = (&phases[0]["due_count"], &phases[0]["outcomes"]);
    let ended: u64 = ["ok", "status_error"]
        .iter()
        .map(|name| outcomes[name].as_u64().unwrap())
        .sum();
    assert_eq!(due.as_u64().unwrap(), ended);
    assert_eq!(
        thresholds(&record),
        [
            ("error_rate < 90%", true),
            ("error_rate < 20% in long", false),
            ("p99 < 1h in later", false),
        ]
    );
    assert_eq!(
        record["thresholds"][2]["reason"],
        "phase later was not reached"
    );
    let again = tool.run(&["report", tool.latest().to_str().unwrap()]);
    assert!(again.out.contains("  ENDED      at 00:0"), "{}", again.out);
    assert!(
        again.out.contains("`error_rate < 20% in long` was broken"),
        "{}",
        again.out
    );
}

#[test]
fn what_cannot_be_judged_is_refused_before_anything_is_sent() {
    let server = Scripted::start(|_| Reply::Status(200));
    let url = server.url();
    let with = |line: &str| format!("{SCENARIO}thresholds:\n  - {line}\n");
    let cases: [(&str, &[&str], &str); 8] = [
        ("p99 < 250", &[], "error: s.yaml:7:11: `250` has no unit"),
        (
            "p99 of f/hom < 250ms",
            &[],
            "error: s.yaml:7:14: unknown step `hom`; did you mean `home`?",
        ),
        (
            "\"p99 < 250ms in warm\"",
            &[],
            "error: s.yaml:7:21: phase `warm` is warm-up, and in no threshold",
        ),
        (
            "{ that: p99 of f < 1s, abort: true }",
            &[],
            "error: s.yaml:7:28: `abort` cannot stand here: while a run goes on,",
        ),
        (
            "{ that: p99 < 1s, after: 5s }",
            &[],
            "error: s.yaml:7:23: `after` says nothing without `abort: true`",
        ),
        (
            "p99 < 250ms",
            &["--threshold", "p99 < 1s in nowhere"],
            "error: --threshold `p99 < 1s in nowhere`: unknown phase `nowhere`\n\
             hint: the measured phases are steady",
        ),
        (
            "p99 < 250ms over every 1s",
            &["-d", "10m"],
            "error: threshold of s.yaml `p99 < 250ms over every 1s`: `1s` is not a whole number of windows",
        ),
        (
            "[]",
            &[],
            "error: s.yaml:7:5: `thresholds` wants what must hold",
        ),
    ];
    for (line, more, message) in cases {
        let tool = Tool::new();
        tool.write("s.yaml", &with(line));
        let ran = tool.run(&[&["run", "s.yaml", "--target", &url], more].concat());
        assert_eq!(ran.code, Some(2), "{line}: {}", ran.err);
        assert!(ran.err.contains(message), "{line}: {}", ran.err);
        assert_eq!(tool.saved(), Vec::<String>::new(), "{line}");
    }
    assert_eq!(server.asked().len(), 0);
}
