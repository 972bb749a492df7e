//! `tailmark services`, and what runs beside a target, from outside.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

mod support;

use std::io::{BufRead as _, BufReader};
use std::net::TcpStream;
use std::process::{Child, ExitStatus, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use support::Tool;
use support::scripted::{Reply, Scripted};

/// Targets that are oracles; what runs beside one is another. `command` is the command of the target, `flag` names the
/// port to what runs beside it.
fn targets(tool: &Tool, command: &str, flag: &str) {
    let tailmark = env!("CARGO_BIN_EXE_tailmark");
    tool.write(
        "targets.yaml",
        &format!(
            "tailmark: 1\ntargets:\n  shop:\n    command: {command}\n    beside: {{ UPSTREAM_URL: \"{tailmark} oracle {flag} {{port}}\" }}\n  other: {{ command: \"{tailmark} oracle --port {{port}}\" }}\n  elsewhere: {{ url: \"http://127.0.0.1:1\" }}\n"
        ),
    );
}

/// A command that serves only where it was told of an upstream.
fn told() -> String {
    let tailmark = env!("CARGO_BIN_EXE_tailmark");
    format!("sh -c 'test -n \"$UPSTREAM_URL\" && exec {tailmark} oracle --port $PORT'")
}

fn accepts(url: &str) -> bool {
    TcpStream::connect(url.strip_prefix("http://").unwrap().trim_end_matches('/')).is_ok()
}

/// `services up`, which is interrupted when it is dropped.
struct Up(Child);

impl Up {
    /// Starts it with `words`, and gives what it says first of the services.
    fn start(tool: &Tool, words: &[&str]) -> (Self, Value) {
        let words = [&["services", "up", "--json"], words].concat();
        let mut command = tool.command(&words);
        let mut up = Self(command.stdout(Stdio::piped()).spawn().unwrap());
        let mut line = String::new();
        let mut output = BufReader::new(up.0.stdout.take().unwrap());
        output.read_line(&mut line).unwrap();
        let said = serde_json::from_str(&line).unwrap_or_else(|_| panic!("{line:?}"));
        (up, said)
    }

    fn signalled(&mut self, signal: Signal) -> ExitStatus {
        kill_process(Pid::from_child(&self.0), signal).unwrap();
        self.0.wait().unwrap()
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        // It may have ended long ago.
        if matches!(self.0.try_wait(), Ok(None)) {
            self.signalled(Signal::INT);
        }
    }
}

#[test]
fn services_run_until_they_are_interrupted() {
    let tool = Tool::new();
    targets(&tool, &told(), "--port");
    let (mut up, said) = Up::start(&tool, &[]);
    let services = said["services"].as_array().unwrap();
    let names: Vec<_> = services.iter().map(|up| up["name"].clone()).collect();
    assert_eq!(names, ["shop", "other"], "what runs already is left alone");
    let urls = [
        &services[0]["url"],
        &services[1]["url"],
        &services[0]["env"]["UPSTREAM_URL"],
    ];
    let urls = urls.map(|url| url.as_str().unwrap());
    assert!(urls.iter().all(|url| accepts(url)), "{said}");
    assert_eq!(up.signalled(Signal::INT).code(), Some(0));
    assert!(!urls.iter().any(|url| accepts(url)), "all are stopped");
}

#[test]
fn without_names_the_first_target_of_each_service_is_up() {
    let tool = Tool::new();
    let tailmark = env!("CARGO_BIN_EXE_tailmark");
    let command = format!("command: \"{tailmark} oracle --port {{port}}\"");
    tool.write(
        "targets.yaml",
        &format!(
            "tailmark: 1
targets:
  shop: {{ {command} }}
  shop-loud: {{ {command}, env: {{ RUST_LOG: debug }} }}
  shop-slow: {{ {command}, env: {{ MODE: slow }} }}
  other: {{ {command}, stop: {{ within: 9s }} }}
"
        ),
    );
    let said = |words: &[&str], names: &[&str]| {
        let words = [&["services", "up", "--json"], words].concat();
        let mut command = tool.command(&words);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut up = Up(command.spawn().unwrap());
        let mut line = String::new();
        let mut output = BufReader::new(up.0.stdout.take().unwrap());
        output.read_line(&mut line).unwrap();
        let services: Value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("{line:?}"));
        let services = services["services"].as_array().unwrap().iter();
        let up_names: Vec<&str> = services.map(|up| up["name"].as_str().unwrap()).collect();
        assert_eq!(up_names, names);
        assert_eq!(up.signalled(Signal::INT).code(), Some(0));
        std::io::read_to_string(up.0.stderr.take().unwrap()).unwrap()
    };
    let words = "shop stands for shop-loud, shop-slow, to be started by name: `env` alone makes the difference\n";
    let err = said(&[], &["shop", "other"]);
    assert!(err.contains(words), "{err}");
    let err = said(&["-q"], &["shop", "other"]);
    assert!(!err.contains("stands for"), "{err}");
    said(&["shop-slow"], &["shop-slow"]);
}

#[test]
fn what_cannot_be_up_is_said() {
    let tool = Tool::new();
    let none = tool.run(&["services", "up"]);
    assert_eq!(none.code, Some(2));
    assert!(none.err.contains("no targets.yaml here"), "{}", none.err);
    targets(&tool, "\"true\"", "--port");
    for (name, words) in [
        ("elsewhere", "error: `elsewhere` runs already"),
        ("shop", "error: shop ended before it was ready"),
        ("shpo", "did you mean `shop`?"),
    ] {
        let ran = tool.run(&["services", "up", name]);
        assert_eq!(ran.code, Some(2), "{name}");
        assert!(ran.err.contains(words), "{}", ran.err);
    }
    let (mut up, said) = Up::start(&tool, &["other"]);
    assert_eq!(said["services"][0]["name"], "other");
    assert_eq!(up.signalled(Signal::TERM).code(), Some(0));
}

#[test]
fn what_runs_beside_a_target_runs_while_it_is_measured() {
    let tool = Tool::new();
    targets(&tool, &told(), "--port");
    tool.write(
        "s.yaml",
        "tailmark: 1\nflows: { f: { steps: [get: /] } }\nphases: [{ name: p, rate: 100/s, for: 1s }]\n",
    );
    let ran = tool.run(&["run", "s.yaml", "--target", "shop", "--json", "--no-save"]);
    let record: Value = serde_json::from_str(&ran.out).unwrap_or_else(|_| panic!("{}", ran.err));
    assert_eq!(record["total"]["outcomes"]["ok"], 100, "{}", ran.err);
    targets(&tool, &told(), "--prot");
    let ran = tool.run(&["run", "s.yaml", "--target", "shop", "--no-save"]);
    assert_eq!(ran.code, Some(2));
    let words = "error: UPSTREAM_URL beside shop ended before it was ready";
    assert!(ran.err.contains(words), "{}", ran.err);
    assert!(ran.err.contains("--prot"), "its last lines: {}", ran.err);
}

#[test]
fn how_a_target_says_that_it_is_set_is_in_the_record() {
    let tool = Tool::new();
    let tailmark = env!("CARGO_BIN_EXE_tailmark");
    let targets = |printed: &str| {
        tool.write(
            "targets.yaml",
            &format!(
                "tailmark: 1\ntargets: {{ shop: {{ command: \"{tailmark} oracle --port {{port}}\", describe: \"echo {printed}\" }} }}\n"
            ),
        );
    };
    tool.write(
        "s.yaml",
        "tailmark: 1\nflows: { f: { steps: [get: /] } }\nphases: [{ name: p, rate: 100/s, for: 100ms }]\n",
    );
    let words = ["run", "s.yaml", "--target", "shop", "--json", "--no-save"];
    targets("'{\\\"workers\\\":2,\\\"profile\\\":\\\"tuned\\\"}'");
    let ran = tool.run(&words);
    let record: Value = serde_json::from_str(&ran.out).unwrap_or_else(|_| panic!("{}", ran.err));
    let settings = &record["target"]["identity"]["settings"];
    assert_eq!(
        *settings,
        serde_json::json!({"profile": "tuned", "workers": "2"})
    );
    targets("nothing");
    let ran = tool.run(&words);
    assert_eq!(ran.code, Some(2));
    let words = "error: shop: describe `echo nothing` failed: its output is no JSON object";
    assert!(ran.err.contains(words), "{}", ran.err);
}

#[test]
fn a_service_is_held_against_the_contract_row_by_row() {
    let tool = Tool::new();
    let server = Scripted::by_request(|_, _| Reply::Status(200));
    let ran = tool.run(&["services", "check", &server.url()]);
    assert_eq!(ran.code, Some(1), "{}", ran.err);
    for words in [
        "✗  1  GET /livez, /readyz ",
        "GET /livez: 200 in application/json was expected, and 200  came",
        "14 of 14 rows are not as the contract says",
    ] {
        assert!(ran.out.contains(words), "{words}: {}", ran.out);
    }
    let closed = tool.run(&["services", "check", "http://127.0.0.1:1", "--json"]);
    let said = closed.json(1);
    let failure = said["rows"][0]["failure"].as_str().unwrap();
    assert!(failure.contains("refused"), "{failure}");
    for (url, words) in [
        ("127.0.0.1:8080", "error: `127.0.0.1:8080`: "),
        ("http://127.0.0.1:8080/v1", "has a path"),
    ] {
        let ran = tool.run(&["services", "check", url]);
        assert_eq!(ran.code, Some(2));
        assert!(ran.err.contains(words), "{}", ran.err);
    }
}

#[test]
fn what_ends_by_itself_is_named_with_its_last_words() {
    let tool = Tool::new();
    let tailmark = env!("CARGO_BIN_EXE_tailmark");
    let dies = format!("sh -c 'echo so be it; exec {tailmark} oracle --port $PORT --for 1s'");
    tool.write(
        "targets.yaml",
        &format!(
            "tailmark: 1\ntargets:\n  dies:\n    command: {dies}\n  alone:\n    command: {tailmark} oracle --port {{port}}\n    beside:\n      UPSTREAM_URL: {dies}\n"
        ),
    );
    for (name, words) in [
        ("dies", "error: dies ended by itself (exit status: 0)"),
        (
            "alone",
            "error: UPSTREAM_URL beside alone ended by itself (exit status: 0)",
        ),
    ] {
        let ran = tool.run(&["services", "up", name]);
        assert_eq!(ran.code, Some(2), "{}", ran.out);
        assert!(ran.err.contains(words), "{}", ran.err);
        assert!(ran.err.contains("so be it"), "{}", ran.err);
    }
}
