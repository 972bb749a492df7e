//! `tailmark startup` from outside: what it launches, what it says of that, and what it refuses. In containers:
//! `tests/containers.rs`.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test stops where it cannot go on, and says why it was skipped"
)]

mod support;

use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use support::{Ran, Tool, sibling};

/// Longer than a round can take on a machine that does much else.
const PATIENCE: Duration = Duration::from_secs(120);

/// Two servers of tailmark's own, of which `slow` begins a fifth of a second later, and what cannot be launched.
fn tool() -> Tool {
    let tool = Tool::new();
    let tailmark = env!("CARGO_BIN_EXE_tailmark");
    tool.write(
        "targets.yaml",
        &format!(
            "tailmark: 1
targets:
  quick: {{ command: \"{tailmark} oracle --port {{port}}\", ready: {{ path: / }} }}
  slow: {{ command: \"sh -c 'sleep 0.2; exec {tailmark} oracle --port $PORT'\", ready: {{ path: / }} }}
  silent: {{ command: \"{tailmark} oracle --port {{port}}\" }}
  broken: {{ command: \"false\" }}
  there: {{ url: \"http://127.0.0.1:1\" }}
"
        ),
    );
    tool
}

/// What a machine that does much else has made void is no failure of the tool's.
fn startups(ran: &Ran) -> Value {
    let startups: Value = serde_json::from_str(&ran.out).unwrap_or_else(|_| panic!("{}", ran.err));
    let rounds = startups["rounds"].as_array().unwrap();
    let valid = rounds.iter().any(|round| round["valid"] == true);
    let expected = if valid { 0 } else { 4 };
    assert_eq!(ran.code, Some(expected), "{}", ran.err);
    startups
}

#[test]
fn what_starts_later_is_told_apart() {
    let tool = tool();
    let words = [
        "startup",
        "quick",
        "slow",
        "--rounds",
        "6",
        "--order-seed",
        "3",
        "--json",
    ];
    let startups = startups(&tool.run(&words));
    assert_eq!(startups["format"], "tailmark.startup/1");
    assert_eq!(startups["rest_ns"], 1_000_000_000);
    let rounds = startups["rounds"].as_array().unwrap();
    assert_eq!(rounds.len(), 6);
    let orders: Vec<&Value> = rounds.iter().map(|round| &round["order"]).collect();
    assert!(orders.iter().any(|order| *order != orders[0]), "{orders:?}");
    for round in rounds {
        let [quick, slow] = [0, 1].map(|arm| &round["launches"][arm]);
        for launch in [quick, slow] {
            let ns = |key: &str| launch[key]["ns"].as_u64().unwrap();
            assert!(
                ns("listening") > 0 && ns("first_ok") >= ns("listening"),
                "{launch}"
            );
            assert_eq!(launch["engine_ns"], Value::Null);
            assert_eq!(launch["memory"]["kind"], "RSS");
            assert!(
                launch["memory"]["idle_bytes"].as_u64().unwrap() > 1 << 18,
                "{launch}"
            );
            // The shell of `slow` has made room for the program.
            let bytes = std::fs::metadata(env!("CARGO_BIN_EXE_tailmark"))
                .unwrap()
                .len();
            assert_eq!(
                launch["size"],
                serde_json::json!({ "of": "executable", "bytes": bytes })
            );
        }
        let later = slow["listening"]["ns"].as_u64().unwrap();
        assert!(later >= 200_000_000, "{slow}");
    }
    let target = &startups["arms"][0]["target"];
    assert_eq!(
        target["identity"]["executable_sha256"]
            .as_str()
            .unwrap()
            .len(),
        64
    );
    assert!(
        target["exit"]
            .as_str()
            .unwrap()
            .starts_with("stopped within "),
        "{target}"
    );
    // Where nobody looked closely enough, a round is missing.
    let change = &startups["arms"][1]["changes"]["listening_ns"];
    if change["rounds"] == 6 {
        assert!(change["interval"][0].as_f64().unwrap() > 1.0, "{change}");
    }

    let saved = std::fs::read_to_string(tool.latest().join("startup.json")).unwrap();
    assert_eq!(serde_json::from_str::<Value>(&saved).unwrap(), startups);
    let shown = tool.run(&["report", tool.latest().to_str().unwrap()]);
    assert_eq!(shown.code, Some(0), "{}", shown.err);
    for words in [
        "start of quick and slow",
        "from exec ms  listening",
        "first 200",
        "size MB       executable",
    ] {
        assert!(shown.out.contains(words), "{words}: {}", shown.out);
    }
    let again = tool.run(&["report", "--json", tool.latest().to_str().unwrap()]);
    assert_eq!(again.json(0), startups);
}

#[test]
fn one_arm_without_a_path_is_timed_until_it_listens() {
    let tool = tool();
    let ran = tool.run(&["startup", "silent", "--rounds", "1", "--json", "--no-save"]);
    let startups = startups(&ran);
    let launch = &startups["rounds"][0]["launches"][0];
    assert!(launch["listening"]["ns"].as_u64().unwrap() > 0, "{launch}");
    assert_eq!(launch["first_ok"], Value::Null);
    assert_eq!(tool.saved(), Vec::<String>::new());
}

#[test]
fn what_cannot_be_launched_is_refused_or_quoted() {
    let tool = tool();
    for (words, message) in [
        (
            &["startup", "there"][..],
            "error: `there` runs already: its start is over",
        ),
        (&["startup", "quick", "qick"], "did you mean `quick`?"),
        (&["startup"], "required"),
        (&["startup", "quick", "--rounds", "0"], "--rounds"),
        (
            &["startup", "quick", "--memory", "32MiB"],
            "quick cannot be limited to 32 MiB of memory",
        ),
        (
            &["startup", "quick", "broken"],
            "error: broken ended before it was ready",
        ),
    ] {
        let ran = tool.run(words);
        assert_eq!(ran.code, Some(2), "{words:?}: {}", ran.err);
        assert!(ran.err.contains(message), "{words:?}: {}", ran.err);
    }
}

#[test]
fn an_interrupt_keeps_the_rounds_that_are_complete() {
    let tool = tool();
    let words = ["startup", "quick", "--rounds", "1000"];
    let mut command = tool.command(&words);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().unwrap();
    let begun = Instant::now();
    let saved = || {
        let folders = tool.saved().into_iter();
        folders.map(|name| tool.results().join(name).join("startup.json"))
    };
    while !saved().any(|file| file.is_file()) {
        assert!(begun.elapsed() < PATIENCE, "no round is complete");
        std::thread::sleep(Duration::from_millis(20));
    }
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let ran = Ran::from(child.wait_with_output().unwrap());
    assert_eq!(ran.code, Some(130), "{}", ran.err);
    assert!(ran.out.contains("  INTERRUPTED"), "{}", ran.out);
    let text = std::fs::read_to_string(saved().next().unwrap()).unwrap();
    let startups: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(startups["interrupted"], true);
    assert!(!startups["rounds"].as_array().unwrap().is_empty());
}

#[test]
fn the_reference_services_start_on_stores_of_their_own() {
    let programs = [
        "axum-service",
        "actix-service",
        "reference-seed",
        "upstream-stub",
    ]
    .map(sibling);
    let [Some(axum), Some(actix), Some(seed), Some(upstream)] = programs else {
        println!(
            "skipped: the reference services are not built; cargo test --workspace builds them"
        );
        return;
    };
    let tool = Tool::new();
    let target = |name: &str, program: &Path| {
        let [program, seed, upstream] = [program, &seed, &upstream].map(Path::display);
        format!(
            "  {name}:
    command: {program} --port {{port}}
    ready: {{ path: /readyz, within: 30s }}
    stop: {{ within: 25s }}
    stores: [postgres, redis]
    seed: {seed}
    beside: {{ UPSTREAM_URL: \"{upstream} --port {{port}}\" }}
"
        )
    };
    let targets = target("axum", &axum) + &target("actix", &actix);
    tool.write("targets.yaml", &format!("tailmark: 1\ntargets:\n{targets}"));
    let mut command = tool.command(&["startup", "axum", "actix", "--rounds", "1", "--json"]);
    command.env_remove("DATABASE_URL").env_remove("REDIS_URL");
    let startups = startups(&Ran::from(command.output().unwrap()));
    for arm in [0, 1] {
        let launch = &startups["rounds"][0]["launches"][arm];
        assert!(launch["first_ok"]["ns"].as_u64().unwrap() > 0, "{launch}");
    }
    assert_eq!(startups["environment"]["stores"]["postgres.fsync"], "on");
}
