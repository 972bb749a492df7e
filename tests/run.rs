//! `tailmark run` from outside: real sockets, every outcome, what is printed, saved and left behind.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test stops where it cannot go on, and says why it was skipped"
)]

mod support;

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use support::Tool;
use support::scripted::{Reply, Scripted};

/// Runs a URL of `server` with `flags`, and returns the record.
fn measure(server: &Scripted, flags: &[&str], code: i32) -> Value {
    let url = server.url();
    let words = [&["run", url.as_str(), "--json", "--no-save"], flags].concat();
    let record = Tool::new().run(&words).json(code);
    let total = &record["total"];
    let outcomes: u64 = total["outcomes"]
        .as_object()
        .unwrap()
        .values()
        .map(|n| n.as_u64().unwrap())
        .sum();
    assert_eq!(total["due_count"], outcomes, "an exchange was lost");
    assert_eq!(total["response_time"]["count"], outcomes);
    record
}

fn outcomes(record: &Value) -> Vec<(String, u64)> {
    let counts = record["total"]["outcomes"].as_object().unwrap();
    let counts = counts
        .iter()
        .map(|(name, count)| (name.clone(), count.as_u64().unwrap()));
    counts.filter(|(_, count)| *count > 0).collect()
}

#[test]
fn every_ending_of_an_exchange_has_its_outcome() {
    let half = |number: u64, other: Reply| {
        if number.is_multiple_of(2) {
            Reply::Status(200)
        } else {
            other
        }
    };
    type Script = fn(u64) -> Reply;
    let cases: [(&str, Script, i32); 6] = [
        ("ok", |_| Reply::Status(204), 0),
        ("ok", |_| Reply::Last, 0),
        ("status_error", |_| Reply::Status(500), 4),
        ("reset", |_| Reply::Reset, 4),
        ("protocol_error", |_| Reply::Garbage, 4),
        ("timeout", |_| Reply::Silence, 4),
    ];
    for (outcome, script, code) in cases {
        let server = Scripted::start(script);
        let record = measure(
            &server,
            &["-n", "20", "-r", "200", "--timeout", "300ms"],
            code,
        );
        assert_eq!(outcomes(&record), [(outcome.to_owned(), 20)], "{outcome}");
        assert_eq!(server.asked().len(), 20, "{outcome}: nothing is sent twice");
    }
    let server = Scripted::start(move |number| half(number, Reply::Status(503)));
    let record = measure(&server, &["-n", "20"], 0);
    assert_eq!(
        outcomes(&record),
        [("ok".into(), 10), ("status_error".into(), 10)]
    );
    assert_eq!(record["total"]["statuses"]["503"], 10);
    assert_eq!(record["failures"][0]["what"], "GET / → 503");
}

#[test]
fn a_timeout_is_a_lower_bound_and_says_so() {
    let server = Scripted::start(|number| {
        if number < 15 {
            Reply::Status(200)
        } else {
            Reply::Silence
        }
    });
    let record = measure(&server, &["-n", "20", "-r", "100", "--timeout", "250ms"], 0);
    let response = &record["total"]["response_time"];
    assert_eq!(response["censored"], 5);
    let bounds: Vec<&str> = response["lower_bounds"]
        .as_array()
        .unwrap()
        .iter()
        .map(|name| name.as_str().unwrap())
        .collect();
    assert_eq!(bounds, ["p90_ns", "p99_ns", "p99_9_ns"]);
    assert!(response["p90_ns"].as_u64().unwrap() >= 250_000_000);
}

#[test]
fn a_target_that_closes_every_connection_is_not_connected_to_for_ever() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let accepted = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&accepted);
    // Ends with the test's process.
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            drop(stream);
            counted.fetch_add(1, Ordering::Relaxed);
        }
    });
    let ran = Tool::new().run(&["run", &url, "--json", "--no-save", "-n", "20"]);
    let record = ran.json(4);
    let ended: u64 = outcomes(&record).iter().map(|(_, count)| count).sum();
    assert_eq!(ended, 20, "{:?}", outcomes(&record));
    assert_eq!(record["total"]["outcomes"]["unsent"], 0);
    // 25 beforehand, at most 3 for each request, and one to see whether it answers at all.
    assert!(
        accepted.load(Ordering::Relaxed) <= 25 + 3 * 20 + 1,
        "{accepted:?}"
    );
}

#[test]
fn an_overloaded_target_loses_nothing_and_is_called_saturated() {
    // One connection, at most 20 requests a second, of 100 that are due.
    let server = Scripted::start(|_| Reply::Slow(Duration::from_millis(50)));
    let record = measure(
        &server,
        &["-r", "100", "-d", "1s", "-c", "1", "--timeout", "400ms"],
        0,
    );
    let total = &record["total"];
    assert_eq!(total["due_count"], 100);
    let unsent = total["outcomes"]["unsent"].as_u64().unwrap();
    assert!((50..95).contains(&unsent), "{unsent}");
    let notes: Vec<&str> = record["validity"]["notes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|note| note["name"].as_str().unwrap())
        .collect();
    assert!(
        notes.contains(&"saturated") && notes.contains(&"pool-bound"),
        "{notes:?}"
    );
}

#[test]
fn a_ramp_and_a_pause_are_phases_of_one_run() {
    let server = Scripted::start(|_| Reply::Status(200));
    let tool = Tool::new();
    tool.write(
        "up.yaml",
        "tailmark: 1
flows: { f: { steps: [get: '/${seq}'] } }
phases:
  - { name: warm, rate: 50/s, for: 200ms, warmup: true }
  - { name: climb, ramp: 100/s..300/s, for: 500ms }
  - { name: rest, pause: true, for: 300ms }
  - { name: even, rate: 100/s, for: 100ms }
",
    );
    let words = [
        "run",
        "up.yaml",
        "--target",
        &server.url(),
        "--json",
        "--no-save",
    ];
    let record = tool.run(&words).json(0);
    assert_eq!(server.asked().len(), 10 + 100 + 10);
    let due: Vec<u64> = record["phases"]
        .as_array()
        .unwrap()
        .iter()
        .map(|phase| phase["due_count"].as_u64().unwrap())
        .collect();
    assert_eq!(due, [10, 100, 0, 10]);
    assert_eq!(record["phases"][1]["ramp"]["to_rate"], 300.0);
    assert_eq!(record["phases"][2]["model"], "pause");
    assert_eq!(record["total"]["due_count"], 110);
    // Over the time in which load was offered: 600 ms.
    let rate = record["total"]["request_rate"].as_f64().unwrap();
    assert!((rate - 110.0 / 0.6).abs() < 0.01, "{rate}");
}

#[test]
fn closed_users_start_again_when_their_last_flow_has_ended() {
    let asked = |workers: &str| {
        let server = Scripted::start(|_| Reply::Slow(Duration::from_millis(2)));
        let url = format!("{}/${{seq}}?${{uuid}}", server.url());
        let words = ["run", &url, "--json", "--no-save", "-u", "4", "-n", "50"];
        let ran = Tool::new().run(&[&words[..], &["--workers", workers]].concat());
        let record = ran.json(0);
        let phase = &record["phases"][0];
        assert_eq!(phase["model"], "closed");
        assert_eq!(phase["offered_rate"], Value::Null);
        // It ends when all have walked, long before the time that fifty timeouts would take.
        assert!(phase["duration_ns"].as_u64().unwrap() < 30_000_000_000);
        assert_eq!(phase["due_count"], 50);
        assert_eq!(phase["outcomes"]["ok"], 50);
        assert!(record["connections"]["peak_in_use"].as_u64().unwrap() <= 4);
        // A user who waits is no backlog, however slow the target.
        assert_eq!(record["validity"]["notes"], Value::Array(Vec::new()));
        server.asked()
    };
    let one = asked("1");
    assert_eq!(one.len(), 50);
    // Users share a limit, so that what each asks does not depend on which of them was quicker.
    assert_eq!(one, asked("2"));
}

#[test]
fn closed_users_end_with_their_phase_and_leave_the_rest_to_others() {
    let server = Scripted::start(|_| Reply::Status(200));
    let tool = Tool::new();
    tool.write(
        "mixed.yaml",
        "tailmark: 1\nflows: { f: { steps: [get: /] } }\nphases:\n  - { name: users, users: 3, for: 300ms }\n  \
         - { name: rest, pause: true, for: 200ms }\n  - { name: open, ramp: 100/s..300/s, for: 500ms }\n",
    );
    let url = server.url();
    let ran = tool.run(&["run", "mixed.yaml", "--target", &url, "--json", "--no-save"]);
    let record = ran.json(0);
    let phases = record["phases"].as_array().unwrap();
    assert_eq!(phases.len(), 3);
    assert!(phases[0]["due_count"].as_u64().unwrap() >= 3);
    assert_eq!(phases[1]["due_count"], 0);
    // The integral of the rate.
    assert_eq!(phases[2]["due_count"], 100);
    for phase in phases {
        assert_eq!(phase["due_count"], phase["outcomes"]["ok"], "{phase}");
    }
}

#[test]
fn the_same_seed_sends_the_same_bytes_whatever_the_number_of_workers() {
    let asked = |workers: &str, seed: &str| {
        let server = Scripted::start(|_| Reply::Status(200));
        let url = format!(
            "{}/${{random.int(1, 1000000)}}/${{uuid}}?n=${{seq}}",
            server.url()
        );
        let flags = [
            "-n",
            "200",
            "-r",
            "1000",
            "-b",
            "${random.int(1, 9)}",
            "--workers",
            workers,
            "--seed",
            seed,
        ];
        let ran = Tool::new().run(&[&["run", &url, "--no-save"], &flags[..]].concat());
        assert_eq!(ran.code, Some(0), "{}", ran.err);
        server.asked()
    };
    let one = asked("1", "7");
    assert_eq!(one.len(), 200);
    assert_eq!(one, asked("4", "7"));
    assert_ne!(one, asked("1", "8"));
}

#[test]
fn a_run_is_saved_whole_and_shown_again_as_it_was() {
    let server = Scripted::start(|_| Reply::Status(200));
    let tool = Tool::new();
    let ran = tool.run(&["run", &server.url(), "-d", "500ms"]);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert!(
        ran.out.contains("100/s constant"),
        "a bare URL says its rate: {}",
        ran.out
    );
    assert_eq!(tool.saved().len(), 1);
    let latest = tool.latest();
    let again = tool.run(&["report", latest.to_str().unwrap()]);
    assert_eq!(again.code, Some(0), "{}", again.err);
    // Only what says where it was saved belongs to the run alone.
    let figures = |text: &str| -> Vec<String> {
        text.lines()
            .filter(|line| !line.starts_with("saved ") && !line.starts_with("tailmark report "))
            .map(str::to_owned)
            .collect()
    };
    assert_eq!(figures(&ran.out), figures(&again.out));
}

#[test]
fn an_interrupt_keeps_what_was_measured() {
    let server = Scripted::start(|_| Reply::Status(200));
    let tool = Tool::new();
    let url = server.url();
    let child = tool.command(&["run", &url, "-d", "60s", "-r", "200", "--json"]);
    let mut child = { child }
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    while server.asked().len() < 40 {
        assert!(child.try_wait().unwrap().is_none(), "it ended by itself");
        std::thread::yield_now();
    }
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let record = support::Ran::from(child.wait_with_output().unwrap()).json(130);
    assert_eq!(record["interrupted"], true);
    assert!(record["total"]["due_count"].as_u64().unwrap() >= 40);
    assert_eq!(
        record["total"]["due_count"],
        record["total"]["outcomes"]["ok"]
    );
    assert_eq!(tool.saved().len(), 1);
}

#[test]
fn what_cannot_be_measured_is_an_error_before_anything_is_started() {
    let free = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let url = format!("http://{free}/");
    let cases: [(&[&str], &str); 12] = [
        (&["run", &url], "cannot reach"),
        (
            &["run", &url, "-u", "5", "-r", "5"],
            "error: -u and -r exclude each other: closed users wait, an open rate does not",
        ),
        (
            &["run", &url, "-u", "5", "--arrivals", "poisson"],
            "-u and --arrivals exclude each other",
        ),
        (&["run", &url, "-u", "0"], "-u"),
        (&["run", &url, "-u", "5", "-n", "9"], "cannot reach"),
        (
            &["run", "nowhere.yaml", "--target", &url],
            "reading nowhere.yaml",
        ),
        (&["run", "ftp://127.0.0.1/"], "ftp"),
        (&["run", &url, "-d", "30"], "has no unit"),
        (&["run", &url, "-r", "0"], "rate"),
        (
            &["run", &url, "-z", "5s"],
            "hint: -d/--duration says how long",
        ),
        (&["run", &url, "-o", "x.png"], "its ending names no format"),
        (&["compare", "nowhere.yaml", &url], "two targets"),
    ];
    for (words, message) in cases {
        let tool = Tool::new();
        let ran = tool.run(words);
        assert_eq!(ran.code, Some(2), "{words:?}: {}", ran.err);
        assert!(ran.err.contains(message), "{words:?}: {}", ran.err);
        assert_eq!(ran.out, "", "{words:?}");
        assert_eq!(
            tool.saved(),
            Vec::<String>::new(),
            "{words:?} left something behind"
        );
    }
}

#[test]
fn check_names_every_problem_with_its_place() {
    let tool = Tool::new();
    tool.write("good.yaml", "tailmark: 1\nflows: { a: { steps: [get: /] } }\nphases: [{ name: p, rate: 5/s, for: 1s }]\n");
    tool.write(
        "bad.yaml",
        "tailmark: 1\nflows: { a: { steps: [get: /] } }\nphasse: []\n",
    );
    let ran = tool.run(&["check", "good.yaml", "bad.yaml"]);
    assert_eq!(ran.code, Some(2));
    assert!(ran.out.contains("good.yaml: ok"), "{}", ran.out);
    assert!(
        ran.err
            .contains("error: bad.yaml:3:1: unknown key `phasse`; did you mean `phases`?"),
        "{}",
        ran.err
    );
    assert_eq!(tool.run(&["check", "good.yaml"]).code, Some(0));
}

#[test]
fn debug_prints_one_exchange_and_no_more() {
    let server = Scripted::by_request(|_, request| {
        if request.starts_with("GET /missing") {
            Reply::Status(404)
        } else {
            Reply::Framed("content-length: 5\r\n\r\nhe\x1bo\n")
        }
    });
    let tool = Tool::new();
    let url = format!("{}/here", server.url());
    let ran = tool.run(&["run", &url, "--debug", "-b", "asked", "-H", "x-a: b"]);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    let shown: Vec<&str> = ran.out.lines().collect();
    let host = format!("> host: {}", server.address);
    let (last, lines) = shown.split_last().unwrap();
    assert_eq!(
        lines,
        [
            "> POST /here HTTP/1.1",
            &host,
            "> x-a: b",
            "> content-length: 5",
            ">",
            "> asked",
            "< HTTP/1.1 200 OK",
            "< content-length: 5",
            "<",
            "< he\\u{1b}o",
        ]
    );
    assert!(last.contains(" · ok: 200 · connected in "), "{last}");
    assert!(last.contains(" ms · service time "), "{last}");
    let missing = format!("{}/missing", server.url());
    let ran = tool.run(&["run", &missing, "--debug"]);
    assert_eq!(ran.code, Some(4));
    assert!(
        ran.out
            .contains(" · status error: 404, expected 200..399 · "),
        "{}",
        ran.out
    );
    assert_eq!(server.asked().len(), 2);
    assert!(tool.saved().is_empty(), "nothing was measured");

    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr();
    let nobody = format!("http://{}/", free.unwrap());
    let ran = tool.run(&["run", &nobody, "--debug"]);
    assert_eq!(ran.code, Some(2), "{}", ran.out);
}

#[test]
fn many_steps_in_many_phases_take_little_memory() {
    let server = Scripted::start(|_| Reply::Status(200));
    let tool = Tool::new();
    let steps: Vec<String> = (0..40)
        .map(|k| format!("{{ get: /, name: s{k} }}"))
        .collect();
    let phases: Vec<String> = (0..10)
        .map(|k| format!("  - {{ name: p{k}, rate: 20/s, for: 300ms }}\n"))
        .collect();
    let scenario = format!(
        "tailmark: 1\nflows: {{ f: {{ steps: [{}] }} }}\nphases:\n{}",
        steps.join(", "),
        phases.concat()
    );
    tool.write("s.yaml", &scenario);
    let url = server.url();
    let ran = tool.run(&["run", "s.yaml", "--target", &url, "--json", "--no-save"]);
    let record = ran.json(0);
    assert_eq!(record["total"]["due_count"], 10 * 6 * 40);
    // 800 steps of phases hold two histograms each, of 264 KiB while they are filled.
    let peak = record["generator"]["memory_peak_bytes"].as_u64().unwrap();
    assert!(peak < 64 << 20, "{} MiB", peak >> 20);
}

#[test]
fn what_a_limit_leaves_under_way_stays_in_the_record() {
    let server = Scripted::start(|_| Reply::Slow(Duration::from_millis(50)));
    let tool = Tool::new();
    tool.write(
        "s.yaml",
        "tailmark: 1\nflows: { f: { steps: [get: /a, get: /b] } }\n\
         phases: [{ name: p, rate: 100/s, for: 10s }, { name: rest, pause: true, for: 1s }]\n",
    );
    let url = server.url();
    let words = ["run", "s.yaml", "--target", &url, "--json", "--no-save"];
    // The second steps of the last walks come due when arrival 50 would have.
    let record = tool.run(&[&words[..], &["-n", "50"]].concat()).json(0);
    assert_eq!(outcomes(&record), [("ok".to_owned(), 100)]);
    assert_eq!(record["phases"].as_array().unwrap().len(), 1);
    assert_eq!(record["total"]["offered_rate"], 100.0);
}

#[test]
fn what_a_file_held_outlives_a_refusal() {
    let tool = Tool::new();
    tool.write("report.html", "of before");
    let refused = tool.run(&[
        "run",
        "missing.yaml",
        "-o",
        "report.html",
        "-o",
        "new.json",
        "--no-save",
    ]);
    assert_eq!(refused.code, Some(2), "{}", refused.err);
    let place = tool.folder.path();
    let kept = std::fs::read_to_string(place.join("report.html")).unwrap();
    assert_eq!(kept, "of before");
    assert!(!place.join("new.json").exists());
}
