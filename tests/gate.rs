//! `tailmark gate` from outside, on the oracle: verdicts and exit codes, two revisions of a repository, going on after an
//! interrupt, what a target in trouble comes to, what a CI system is told, and what is refused before anything starts.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

mod support;

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use support::scripted::{Reply, Scripted};
use support::{Ran, Tool};

/// Longer than a few rounds can take on a machine that does much else.
const PATIENCE: Duration = Duration::from_secs(120);

const SCENARIO: &str = "\
tailmark: 1
why: One request whose time is known.
flows:
  only:
    steps:
      - { name: answer, get: /1 }
phases:
  - { name: steady, rate: 200/s, for: 5s }
";

/// Short rounds, and a metric that needs few requests.
const SHORT: [&str; 7] = [
    "--metric",
    "p50",
    "--warmup",
    "100ms",
    "--measure",
    "300ms",
    "--no-confirm",
];

/// So long that lateness of a busy machine is none beside it.
const ANSWER: Duration = Duration::from_millis(200);

/// A repository whose target is the oracle: it is built by copying it, and answers after `answer` of each commit.
fn repository(tool: &Tool, answers: &[&str]) {
    let root = tool.folder.path();
    git(root, &["init", "--quiet", "--initial-branch=main"]);
    git(root, &["config", "user.name", "Nobody"]);
    git(root, &["config", "user.email", "nobody@example.com"]);
    tool.write("crud.yaml", SCENARIO);
    tool.write(".gitignore", "built\nresults\n");
    let program = env!("CARGO_BIN_EXE_tailmark");
    for (number, answer) in answers.iter().enumerate() {
        tool.write("notes", &format!("{number}"));
        tool.write(
            "targets.yaml",
            &format!(
                "tailmark: 1\ntargets:\n  oracle:\n    build: cp {program} built\n    \
                 image: debian:bookworm-slim\n    \
                 command: ./built oracle --quiet --for 60s --port {{port}} --constant {answer}\n"
            ),
        );
        git(root, &["add", "--all"]);
        git(root, &["commit", "--quiet", "--no-gpg-sign", "-m", answer]);
        git(root, &["tag", &format!("v{number}")]);
    }
}

fn git(folder: &Path, words: &[&str]) {
    let output = Command::new("git")
        .arg("-C")
        .arg(folder)
        .args(words)
        .output();
    let output = output.unwrap();
    assert!(output.status.success(), "{words:?}: {output:?}");
}

/// `tailmark gate` with a place of its own for revisions.
fn gate(tool: &Tool, words: &[&str]) -> Command {
    with_place(tool, &[&["gate", "crud.yaml"], words].concat())
}

fn with_place(tool: &Tool, words: &[&str]) -> Command {
    let mut command = tool.command(words);
    for variable in [
        "GITHUB_ACTIONS",
        "CARGO_TARGET_DIR",
        "CARGO_BUILD_TARGET_DIR",
    ] {
        command.env_remove(variable);
    }
    command.env("XDG_CACHE_HOME", tool.folder.path().join("cache"));
    command
}

#[track_caller]
fn refused(tool: &Tool, words: &[&str], message: &str, hint: &str) {
    let Ran { code, out, err } = gate(tool, words).output().unwrap().into();
    assert_eq!((code, out.as_str()), (Some(2), ""), "{words:?}: {err}");
    let expected = format!("error: {message}\nhint: {hint}\n");
    assert!(err.ends_with(&expected), "{words:?}: {err}");
    assert!(tool.saved().is_empty(), "{:?}", tool.saved());
}

#[test]
fn a_slower_revision_fails_after_an_interrupt_and_tells_the_ci_system() {
    let tool = Tool::new();
    // So long that lateness of a busy machine is none beside them.
    repository(&tool, &["200ms", "400ms"]);
    let words = ["--baseline-ref", "v0", "--max-rounds", "10"];
    let words = [&words[..], &SHORT].concat();

    // The first start is interrupted once a round is saved.
    let mut child = gate(&tool, &words)
        .stderr(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let begun = Instant::now();
    let saved = loop {
        let of_gate = tool.saved().into_iter().next();
        let file = of_gate.map(|name| tool.results().join(name).join("gate.json"));
        if let Some(file) = file.filter(|file| file.is_file()) {
            break file.parent().unwrap().to_owned();
        }
        assert!(
            begun.elapsed() < PATIENCE && child.try_wait().unwrap().is_none(),
            "no round is saved"
        );
        std::thread::sleep(Duration::from_millis(50));
    };
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    let begun = read(&saved.join("gate.json"));
    let before = begun["first"]["rounds"].as_array().unwrap().len();
    assert!((1..10).contains(&before), "{before}");

    let folder = saved.to_str().unwrap();
    let summary = tool.folder.path().join("summary.md");
    let outputs = tool.folder.path().join("outputs");
    let resumed = [
        &words[..],
        &["--resume", folder, "-o", "gate.xml", "-o", "gate.json"],
    ]
    .concat();
    let ran: Ran = gate(&tool, &resumed)
        .env("GITHUB_ACTIONS", "true")
        .env("GITHUB_STEP_SUMMARY", &summary)
        .env("GITHUB_OUTPUT", &outputs)
        .output()
        .unwrap()
        .into();
    assert_eq!(ran.code, Some(1), "{}\n{}", ran.out, ran.err);
    let last = ran.out.lines().rfind(|line| line.starts_with("FAIL"));
    assert!(last.unwrap().contains("p50 +"), "{}", ran.out);
    assert!(
        ran.err
            .contains("::error title=tailmark gate crud::FAIL: p50"),
        "{}",
        ran.err
    );

    let gate = read(&tool.folder.path().join("gate.json"));
    let rounds = gate["first"]["rounds"].as_array().unwrap();
    assert_eq!(
        rounds[..before],
        begun["first"]["rounds"].as_array().unwrap()[..]
    );
    let valid = rounds.iter().filter(|round| round["valid"] == true).count();
    assert_eq!((gate["verdict"].as_str(), valid), (Some("fail"), 10));
    let builds = &gate["builds"];
    assert_eq!(
        builds["baseline"]["digest"], builds["candidate"]["digest"],
        "the same program"
    );
    assert_ne!(
        builds["baseline"]["command"],
        builds["candidate"]["command"]
    );
    assert_eq!(builds["baseline"]["revision"].as_str().unwrap().len(), 40);
    let junit = fs::read_to_string(tool.folder.path().join("gate.xml")).unwrap();
    assert!(junit.contains("<failure message=\"p50 +"), "{junit}");
    assert!(fs::read_to_string(&summary).unwrap().contains("FAIL: crud"));
    let outputs = fs::read_to_string(&outputs).unwrap();
    assert!(outputs.starts_with("verdict=fail\nratio="), "{outputs}");
    assert!(
        outputs.contains(&format!("results-path={folder}\n")),
        "{outputs}"
    );
    let shown = tool.run(&["report", folder]);
    assert!(
        shown.out.lines().any(|line| line.starts_with("FAIL ")),
        "{}",
        shown.out
    );

    // What was built is gone, and git knows of no other working tree.
    let cache = tool.folder.path().join("cache/tailmark/revisions");
    let place = fs::read_dir(cache).unwrap().next().unwrap().unwrap().path();
    let left: Vec<_> = fs::read_dir(place)
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(left, ["lock"]);

    let other = [
        "--baseline-ref",
        "v0",
        "--max-rounds",
        "10",
        "--rate",
        "300/s",
        "--resume",
        folder,
    ];
    let Ran { code, err, .. } = self::gate(&tool, &[&other[..], &SHORT].concat())
        .output()
        .unwrap()
        .into();
    assert_eq!(code, Some(2));
    assert!(
        err.contains("error: --resume: what was begun differs in its rate"),
        "{err}"
    );

    // The rounds are of what was built for them, and of nothing that came later.
    let more = ["commit", "--quiet", "--no-gpg-sign", "--allow-empty", "-m"];
    git(tool.folder.path(), &[&more[..], &["more"]].concat());
    let again = [&words[..], &["--resume", folder]].concat();
    let Ran { code, err, .. } = self::gate(&tool, &again).output().unwrap().into();
    assert_eq!(code, Some(2), "{err}");
    let revision = builds["candidate"]["revision"].as_str().unwrap();
    for words in [
        format!(
            "error: --resume: the candidate was built from revision {}, and is now",
            &revision[..12]
        ),
        format!(
            "hint: check {} out again, or leave out --resume",
            &revision[..12]
        ),
    ] {
        assert!(err.contains(&words), "{words}: {err}");
    }
}

fn read(path: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

#[test]
fn the_same_binary_passes_at_once() {
    let tool = Tool::new();
    repository(&tool, &["2ms", "2ms"]);
    let outputs = tool.folder.path().join("outputs");
    let ran: Ran = gate(&tool, &["--baseline-ref", "v0"])
        .env("GITHUB_ACTIONS", "true")
        .env("GITHUB_OUTPUT", &outputs)
        .env_remove("GITHUB_STEP_SUMMARY")
        .output()
        .unwrap()
        .into();
    assert_eq!(ran.code, Some(0), "{}\n{}", ran.out, ran.err);
    // Another step of the job works in another folder.
    let outputs = fs::read_to_string(&outputs).unwrap();
    let mut outputs = outputs.lines();
    let place = outputs.find_map(|line| line.strip_prefix("results-path="));
    let place = Path::new(place.unwrap());
    assert!(
        place.is_absolute() && place.join("gate.json").is_file(),
        "{place:?}"
    );
    let verdict = ran.out.lines().rfind(|line| line.starts_with("PASS"));
    assert!(verdict.unwrap().contains("same binary"), "{}", ran.out);
    let digests = ran.out.lines().filter(|line| line.contains(" · sha256 "));
    assert_eq!(digests.count(), 2, "{}", ran.out);
}

/// A server that has `status` for every request.
fn server(status: u16) -> Scripted {
    Scripted::start(move |_| {
        std::thread::sleep(ANSWER);
        Reply::Status(status)
    })
}

/// A server that refuses to begin once the folder of a result has `name` in it.
fn server_until(tool: &Tool, name: &'static str) -> Scripted {
    let results = tool.results();
    let is_there = move || {
        let mut saved = fs::read_dir(&results).into_iter().flatten().flatten();
        saved.any(|result| result.path().join(name).exists())
    };
    Scripted::by_request(move |_, request| {
        if request.starts_with("GET /begin ") {
            return Reply::Status(if is_there() { 500 } else { 200 });
        }
        std::thread::sleep(ANSWER);
        Reply::Status(200)
    })
}

/// A gate of two servers, by few short rounds.
fn of_servers(tool: &Tool, flags: &[&str], baseline: &Scripted, candidate: &Scripted) -> Ran {
    let (baseline, candidate) = (baseline.url(), candidate.url());
    let words = [
        "--baseline",
        &baseline,
        "--candidate",
        &candidate,
        "--max-rounds",
        "10",
    ];
    let words = [&words[..], &SHORT, flags].concat();
    gate(tool, &words).output().unwrap().into()
}

/// A scenario that begins with a call of its own.
fn beginning() -> String {
    format!("{SCENARIO}setup:\n  - {{ name: begin, get: /begin }}\n")
}

#[test]
fn what_a_candidate_answers_is_data_from_the_preflight_on() {
    let tool = Tool::with_preflight();
    tool.write("crud.yaml", SCENARIO);
    let (good, bad) = (server(200), server(500));
    let ran = of_servers(&tool, &[], &good, &bad);
    assert_eq!(ran.code, Some(1), "{}\n{}", ran.out, ran.err);
    assert!(
        ran.out.lines().any(|line| line.starts_with("FAIL ")),
        "{}",
        ran.out
    );
    let name = bad.address.to_string().replace(':', "-");
    let warning = format!("warning: {name}: preflight: only/answer: status error: 500");
    assert!(ran.err.contains(&warning), "{}", ran.err);
    assert_eq!(ran.err.matches("preflight: ").count(), 1, "{}", ran.err);
    assert!(
        ran.err.contains("its requests count as they come"),
        "{}",
        ran.err
    );
    // A reference that does not work is another matter: nothing can be held against it.
    let ran = of_servers(&tool, &[], &bad, &good);
    assert_eq!((ran.code, ran.out.as_str()), (Some(2), ""), "{}", ran.err);
    let error = "error: preflight: only/answer: status error: 500";
    assert!(ran.err.contains(error), "{}", ran.err);
    assert!(!ran.err.contains("--resume"), "{}", ran.err);
}

#[test]
fn what_ends_a_gate_says_how_to_go_on_with_its_rounds() {
    let tool = Tool::new();
    tool.write("crud.yaml", &beginning());
    let (good, bad) = (server(200), server_until(&tool, "gate.json"));
    let ran = of_servers(&tool, &[], &good, &bad);
    assert_eq!((ran.code, ran.out.as_str()), (Some(2), ""), "{}", ran.err);
    assert!(ran.err.contains("error: setup: begin: "), "{}", ran.err);
    let saved = tool.saved();
    let [name] = &saved[..] else {
        panic!("{saved:?}");
    };
    let hint = format!("goes on with them by --resume results/local/{name}\n");
    assert!(ran.err.ends_with(&hint), "{}", ran.err);
    let gate = read(&tool.results().join(name).join("gate.json"));
    assert_eq!(gate["first"]["rounds"].as_array().unwrap().len(), 1);
}

#[test]
fn gates_of_one_with_itself_are_told_of_though_a_later_one_fails() {
    let tool = Tool::new();
    tool.write("crud.yaml", &beginning());
    let (one, other) = (server_until(&tool, "gate-02"), server(200));
    let ran = of_servers(&tool, &["--aa", "2"], &one, &other);
    assert_eq!(ran.code, Some(2), "{}\n{}", ran.out, ran.err);
    assert!(ran.err.contains("error: setup: begin: "), "{}", ran.err);
    assert!(!ran.err.contains("--resume"), "{}", ran.err);
    let name = one.address.to_string().replace(':', "-");
    let title = format!("{name} against itself, p50");
    assert!(ran.out.contains(&title), "{}", ran.out);
    assert!(ran.out.contains(" of 1 ("), "{}", ran.out);
    // It is the baseline that is held against itself.
    assert_eq!(other.asked(), Vec::<String>::new());
    let note = format!("{} is not measured", other.url());
    assert!(ran.err.contains(&note), "{}", ran.err);
}

/// The last step of the action, with `args` of its user's, and a tailmark that says what it was given.
fn action(args: &str) -> Ran {
    let (_, script) = include_str!("../action.yml")
        .rsplit_once("run: |\n")
        .unwrap();
    let folder = tempfile::tempdir().unwrap();
    // As GitHub runs a step in bash.
    let step = Command::new("bash")
        .args(["--noprofile", "--norc", "-eo", "pipefail", "-c", script])
        .env("BASH_FUNC_tailmark%%", "() { printf '[%s]' \"$@\"; }")
        .env("RUNNER_TEMP", folder.path())
        .env("SCENARIO", "shop.yaml")
        .env("BASELINE_REF", "v0")
        .env("TARGET", "")
        .env("ARGS", args)
        .output();
    step.unwrap().into()
}

#[test]
fn the_action_hands_on_every_word_or_fails() {
    let given = "[gate][shop.yaml][--baseline-ref][v0]";
    for (args, words) in [
        ("", ""),
        ("--metric p99  --seed 7", "[--metric][p99][--seed][7]"),
        ("--phase 'the rush'\n--json", "[--phase][the rush][--json]"),
    ] {
        let Ran { code, out, err } = action(args);
        assert_eq!((code, out), (Some(0), format!("{given}{words}")), "{err}");
    }
    let Ran { code, out, err } = action("--metric p99 --phase 'rush");
    assert_eq!((code, out.as_str()), (Some(2), ""), "{err}");
    assert!(err.contains("::error title=tailmark gate::args "), "{err}");
}

#[test]
fn a_comparison_builds_its_revisions() {
    let tool = Tool::new();
    repository(&tool, &["2ms", "9ms"]);
    let words = "compare crud.yaml oracle@v0 oracle@v1 oracle@HEAD --rounds 1 --warmup 100ms --measure 300ms --json";
    let words: Vec<&str> = words.split(' ').collect();
    let ran = Ran::from(with_place(&tool, &words).output().unwrap());
    let comparison = ran.json(0);
    let names: Vec<&str> = comparison["arms"]
        .as_array()
        .unwrap()
        .iter()
        .map(|arm| arm["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["oracle@v0", "oracle@v1", "oracle@HEAD"]);
    assert!(ran.err.contains("building oracle@v0 "), "{}", ran.err);
    // The program is the same, and its command line is not: only two of them are one.
    let notes = ran.err.lines().filter(|line| line.starts_with("note: "));
    let notes: Vec<&str> = notes.filter(|line| line.contains("one program")).collect();
    assert_eq!(
        notes,
        [
            "note: oracle@v1 and oracle@HEAD are one program, called alike: whatever differs between them is chance"
        ]
    );
    let unknown = with_place(&tool, &["compare", "crud.yaml", "oracle@v0", "oracle@v7"]);
    let Ran { code, err, .. } = { unknown }.output().unwrap().into();
    assert_eq!(code, Some(2), "{err}");
    assert!(
        err.ends_with(
            "error: git knows no revision `v7` here\nhint: fetch it first: git fetch origin v7\n"
        ),
        "{err}"
    );
}

#[test]
fn what_cannot_be_gated_is_refused_before_anything_starts() {
    let tool = Tool::new();
    repository(&tool, &["2ms", "3ms"]);
    let of_revision = ["--baseline-ref", "v0"];
    refused(
        &tool,
        &[],
        "a gate needs a baseline and a candidate",
        "--baseline-ref main, or --baseline A --candidate B",
    );
    refused(
        &tool,
        &["--baseline-ref", "v9"],
        "git knows no revision `v9` here",
        "fetch it first: git fetch origin v9",
    );
    refused(
        &tool,
        &["--baseline", "oracle", "--candidate", "oracel"],
        "unknown target `oracel`; did you mean `oracle`?",
        "targets.yaml has oracle",
    );
    refused(
        &tool,
        &[
            "--baseline",
            "oracle",
            "--candidate",
            "oracle",
            "--allowed",
            "20%",
        ],
        "the change to rule out (0.2) must lie above the allowed one (0.2), which must not be negative",
        "--allowed 5% --ruled-out 20%",
    );
    refused(
        &tool,
        &[
            "--baseline",
            "oracle",
            "--candidate",
            "oracle",
            "--max-time",
            "1m",
        ],
        "1 rounds of 38.4 s fit into 60 s: the first verdict comes after 10",
        "a longer --max-time, or a shorter --measure or --warmup",
    );
    let set = Ran::from(
        gate(&tool, &of_revision)
            .env("CARGO_TARGET_DIR", "x")
            .output()
            .unwrap(),
    );
    assert_eq!(set.code, Some(2));
    assert!(
        set.err
            .contains("CARGO_TARGET_DIR is set: all revisions would be built in one folder")
    );
    tool.write("notes", "changed");
    refused(
        &tool,
        &of_revision,
        "1 change is not committed, notes first: HEAD is what is measured, without it",
        "commit them, or git stash",
    );
}
