//! `tailmark compare` from outside, over the reference services on real stores: what it measures, saves, audits, and
//! leaves behind.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test stops where it cannot go on, and says why it was skipped"
)]

mod support;

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use support::scripted::{Reply, Scripted};
use support::{Ran, Tool, sibling};

/// Longer than a round can take on a machine that does much else.
const PATIENCE: Duration = Duration::from_secs(120);

/// A folder with the services as targets, and a command that compares them; none where they were not built.
fn prepared(flags: &[&str]) -> Option<(Tool, Command)> {
    let programs = ["axum-service", "actix-service", "reference-seed"].map(sibling);
    let [Some(axum), Some(actix), Some(seed)] = programs else {
        println!(
            "skipped: the reference services are not built; cargo test --workspace builds them"
        );
        return None;
    };
    let tool = Tool::new();
    let target = |name: &str, program: &Path| {
        let (program, seed) = (program.display(), seed.display());
        format!(
            "  {name}:\n    command: {program} --port {{port}}\n    ready: {{ path: /readyz, within: 30s }}\n    \
             stores: [postgres, redis]\n    seed: {seed}\n    audit: {program} audit\n"
        )
    };
    let targets = target("axum", &axum) + &target("actix", &actix);
    tool.write("targets.yaml", &format!("tailmark: 1\ntargets:\n{targets}"));
    let scenario = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios/crud.yaml");
    let words = [
        "compare",
        scenario.to_str().unwrap(),
        "axum",
        "actix",
        "--warmup",
        "300ms",
        "--json",
    ];
    let mut command = tool.command(&[&words, flags].concat());
    // Stores keep their data in the temporary folder, which their own account has to reach.
    fs::set_permissions(tool.folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let temporary = tool.folder.path().join("tmp");
    fs::create_dir(&temporary).unwrap();
    fs::set_permissions(&temporary, fs::Permissions::from_mode(0o1777)).unwrap();
    command
        .env("TMPDIR", &temporary)
        .env_remove("DATABASE_URL")
        .env_remove("REDIS_URL");
    Some((tool, command))
}

/// Processes and files of the stores and services of `tool` that are still there.
fn left_behind(tool: &Tool) -> Vec<String> {
    let own = tool.folder.path().to_str().unwrap();
    let processes = fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .filter_map(|entry| {
            let read = |file: &str| fs::read(entry.path().join(file)).ok();
            let command = String::from_utf8_lossy(&read("cmdline")?).replace('\0', " ");
            let environment = String::from_utf8_lossy(&read("environ")?).into_owned();
            let ours = command.contains(own) || environment.contains(own);
            (ours && !command.is_empty()).then_some(command)
        });
    let files = fs::read_dir(tool.folder.path().join("tmp"))
        .unwrap()
        .flatten();
    processes
        .chain(files.map(|file| file.path().display().to_string()))
        .collect()
}

#[test]
fn both_frameworks_are_measured_audited_and_saved() {
    let Some((tool, mut command)) = prepared(&["--rounds", "1", "--measure", "2s", "-r", "60"])
    else {
        return;
    };
    let comparison = Ran::from(command.output().unwrap()).json(0);
    assert_eq!(comparison["format"], "tailmark.compare/1");
    let folder = tool.latest();
    for arm in ["axum", "actix"] {
        let text = fs::read_to_string(folder.join(format!("r01-{arm}/run.json"))).unwrap();
        let record: Value = serde_json::from_str(&text).unwrap();
        let total = &record["total"];
        assert_eq!(total["due_count"], 120, "{arm}");
        assert_eq!(
            total["outcomes"]["ok"], 120,
            "{arm}: {}",
            record["failures"]
        );
        assert_eq!(
            record["audits"][0]["ok"], true,
            "{arm}: {}",
            record["audits"]
        );
        let memory = &record["resources"]["memory"]["rss"];
        assert!(
            memory["idle_bytes"].as_u64().unwrap() > 1 << 20,
            "{arm}: {memory}"
        );
        assert!(
            memory["peak_bytes"].as_u64() >= memory["p50_bytes"].as_u64(),
            "{arm}: {memory}"
        );
        assert!(
            record["resources"]["cpu"]["per_1k_requests_ns"]
                .as_u64()
                .unwrap()
                > 0,
            "{arm}"
        );
        assert!(
            record["resources"]["startup_ns"].as_u64().unwrap() > 0,
            "{arm}"
        );
        assert_eq!(
            record["target"]["identity"]["executable_sha256"]
                .as_str()
                .unwrap()
                .len(),
            64
        );
        assert_eq!(
            record["environment"]["stores"]["postgres.fsync"], "on",
            "{}",
            record["environment"]["stores"]
        );
    }
    let shown = tool.run(&["report", folder.to_str().unwrap()]);
    assert_eq!(shown.code, Some(0), "{}", shown.err);
    assert!(
        shown.out.contains("axum") && shown.out.contains("actix"),
        "{}",
        shown.out
    );
    assert_eq!(left_behind(&tool), Vec::<String>::new());
}

#[test]
fn both_frameworks_are_measured_at_once_on_stores_of_their_own() {
    let flags = [
        "--rounds",
        "1",
        "--measure",
        "2s",
        "-r",
        "60",
        "--schedule",
        "duet",
    ];
    let Some((tool, mut command)) = prepared(&flags) else {
        return;
    };
    let comparison = Ran::from(command.output().unwrap()).json(0);
    assert_eq!(comparison["schedule"], "duet");
    for arm in ["axum", "actix"] {
        let path = tool.latest().join(format!("r01-{arm}/run.json"));
        let record: Value = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
        assert_eq!(record["total"]["due_count"], 120, "{arm}");
        assert_eq!(
            record["audits"][0]["ok"], true,
            "{arm}: {}",
            record["audits"]
        );
    }
    let shown = tool.run(&["report", tool.latest().to_str().unwrap()]);
    assert!(
        shown.out.contains("1 round of both at once (experimental)"),
        "{}",
        shown.out
    );
    assert_eq!(left_behind(&tool), Vec::<String>::new());
}

/// Two servers, compared by their URLs in one round, and how often it changed which of them was asked.
fn turns(tool: &Tool, schedule: &str) -> (Value, usize) {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let server = |arm: usize| {
        let asked = Arc::clone(&asked);
        Scripted::start(move |_| {
            asked.lock().unwrap().push(arm);
            Reply::Status(200)
        })
    };
    let servers = [server(0), server(1)];
    let [one, two] = [0, 1].map(|arm| format!("{}/items?limit=2", servers[arm].url()));
    let words = [
        "compare",
        &one,
        &two,
        "--rounds",
        "1",
        "--warmup",
        "0s",
        "--measure",
        "2s",
        "-r",
        "50",
        "--schedule",
        schedule,
        "--json",
    ];
    let comparison = tool.run(&words).json(0);
    let asked = asked.lock().unwrap();
    assert_eq!(asked.len(), 200);
    let turns = asked.windows(2).filter(|pair| pair[0] != pair[1]).count();
    (comparison, turns)
}

#[test]
fn urls_are_compared_without_a_scenario_one_after_the_other_or_at_once() {
    let tool = Tool::new();
    let (comparison, once) = turns(&tool, "interleave");
    assert_eq!(comparison["scenario"]["name"], "url");
    assert_eq!(comparison["arms"][1]["target"]["command"], Value::Null);
    assert_eq!(once, 1);
    let (_, often) = turns(&tool, "duet");
    assert!(often > 20, "they took turns {often} times");
}

#[test]
fn each_flow_is_walked_through_before_the_first_load_alone() {
    let tool = Tool::with_preflight();
    // So slow that lateness of a busy machine is none beside it.
    let server = |first: u16| {
        Scripted::start(move |number| {
            std::thread::sleep(Duration::from_millis(100));
            Reply::Status(if number == 0 { first } else { 200 })
        })
    };
    let compare = |reference: &Scripted, other: &Scripted| {
        let (reference, other) = (reference.url(), other.url());
        let words = [
            "compare",
            &reference,
            &other,
            "--rounds",
            "2",
            "--warmup",
            "0s",
            "--measure",
            "1s",
            "-r",
            "50",
            "--json",
        ];
        tool.run(&words)
    };
    let (reference, other) = (server(200), server(500));
    let ran = compare(&reference, &other);
    let rounds = ran.json(0)["rounds"].as_array().unwrap().len();
    for server in [&reference, &other] {
        assert_eq!(server.asked().len(), 1 + 50 * rounds, "{}", ran.err);
    }
    let name = other.address.to_string().replace(':', "-");
    let warning = format!("warning: {name}: preflight: ");
    assert!(ran.err.contains(&warning), "{}", ran.err);
    // Without a reference there is nothing to compare with.
    let ran = compare(&server(500), &server(200));
    assert_eq!(ran.code, Some(2), "{}", ran.err);
    assert!(ran.err.contains("error: preflight: "), "{}", ran.err);
}

#[test]
fn rounds_of_another_program_are_not_added() {
    let tool = Tool::new();
    let scenario =
        "flows: { f: { steps: [get: /1] } }\nphases: [{ name: steady, rate: 100/s, for: 1s }]\n";
    tool.write("one.yaml", &format!("tailmark: 1\n{scenario}"));
    tool.write(
        "targets.yaml",
        "tailmark: 1\ntargets:\n  oracle: { command: './built oracle --quiet --for 60s --port {port} --constant 100ms' }\n",
    );
    let built = tool.folder.path().join("built");
    fs::copy(env!("CARGO_BIN_EXE_tailmark"), &built).unwrap();
    let compare = |more: &[&str]| {
        let words = "compare one.yaml oracle oracle --warmup 100ms --measure 300ms";
        let words: Vec<&str> = words.split(' ').chain(more.iter().copied()).collect();
        tool.run(&words)
    };
    let ran = compare(&["--rounds", "1"]);
    // As a comparison of more rounds stands that was lost.
    let saved = tool.latest().canonicalize().unwrap();
    let file = saved.join("compare.json");
    let text = fs::read_to_string(&file).unwrap();
    let mut comparison: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(comparison["rounds_planned"], 1, "{}", ran.err);
    comparison["rounds_planned"] = 3.into();
    let text = comparison.to_string();
    fs::write(&file, &text).unwrap();
    // Another program, which does the same.
    let mut program = fs::OpenOptions::new().append(true).open(&built).unwrap();
    program.write_all(b"\n").unwrap();
    drop(program);
    let ran = compare(&["--rounds", "3", "--resume", saved.to_str().unwrap()]);
    assert_eq!((ran.code, ran.out.as_str()), (Some(2), ""), "{}", ran.err);
    let error = "error: oracle is not what it was in the first round: its executable was ";
    assert!(ran.err.contains(error), "{}", ran.err);
    assert!(
        ran.err.contains("begin anew without --resume")
            && ran.err.contains("goes on with them by --resume"),
        "{}",
        ran.err
    );
    assert_eq!(fs::read_to_string(&file).unwrap(), text, "nothing is added");
}

#[test]
fn urls_that_ask_for_different_things_are_refused() {
    let tool = Tool::new();
    let urls = ["http://127.0.0.1:9/a", "http://127.0.0.1:9/b"];
    let ran = tool.run(&[&["compare"], &urls[..]].concat());
    assert_eq!(ran.code, Some(2), "{}", ran.err);
    assert!(
        ran.err.contains("asks for /b, and") && ran.err.contains("give their URLs one path"),
        "{}",
        ran.err
    );
    let words = [
        "compare",
        "http://127.0.0.1:9/",
        "http://127.0.0.1:10/",
        "http://127.0.0.1:11/",
        "--schedule",
        "duet",
    ];
    let ran = tool.run(&words);
    assert_eq!(ran.code, Some(2), "{}", ran.err);
    assert!(
        ran.err.contains("a duet has two targets, not 3"),
        "{}",
        ran.err
    );
    assert_eq!(tool.saved(), Vec::<String>::new());
}

#[test]
fn an_interrupt_leaves_nothing_behind_and_keeps_what_was_complete() {
    let Some((tool, mut command)) = prepared(&["--rounds", "5", "--measure", "1s", "-r", "60"])
    else {
        return;
    };
    let child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let child = interrupted_when(child, || !complete(&tool).is_empty());
    let ran = Ran::from(child.wait_with_output().unwrap());
    assert_eq!(ran.code, Some(130), "{}", ran.err);
    assert!(!complete(&tool).is_empty());
    assert_eq!(left_behind(&tool), Vec::<String>::new());
}

#[test]
fn an_interrupt_while_the_stores_start_leaves_nothing_behind() {
    let Some((tool, mut command)) = prepared(&["--rounds", "5"]) else {
        return;
    };
    let child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let started = || {
        fs::read_dir(tool.folder.path().join("tmp"))
            .unwrap()
            .next()
            .is_some()
    };
    let child = interrupted_when(child, started);
    let ran = Ran::from(child.wait_with_output().unwrap());
    assert_eq!(ran.code, Some(130), "{}", ran.err);
    assert_eq!(tool.saved(), Vec::<String>::new());
    assert_eq!(left_behind(&tool), Vec::<String>::new());
}

/// Sends SIGINT once `seen`.
fn interrupted_when(mut child: Child, seen: impl Fn() -> bool) -> Child {
    let begun = Instant::now();
    while !seen() {
        assert!(child.try_wait().unwrap().is_none(), "it ended by itself");
        assert!(begun.elapsed() < PATIENCE, "nothing was seen");
        std::thread::sleep(Duration::from_millis(5));
    }
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    child
}

/// Runs of the comparison that were saved.
fn complete(tool: &Tool) -> Vec<String> {
    let saved = tool.saved().into_iter().next();
    let runs = saved.map(|name| fs::read_dir(tool.results().join(name)).unwrap());
    let runs = runs
        .into_iter()
        .flatten()
        .flatten()
        .filter(|run| run.path().join("run.json").is_file());
    runs.map(|run| run.file_name().into_string().unwrap())
        .collect()
}
