//! `tailmark list` and `tailmark report A B`: what there is, and what was measured, from outside.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

mod support;

use std::fs;

use support::scripted::{Reply, Scripted};
use support::{Ran, Tool};

const CRUD: &str = "\
tailmark: 1
why: What shoppers wait for.
flows: { read: { steps: [ get: /items ] } }
phases: [ { name: steady, rate: 100/s, for: 1s } ]
";

/// Measures a server for 20 requests, and returns the folder of the result.
fn measured(tool: &Tool, server: &Scripted, flags: &[&str]) -> String {
    let before = tool.saved();
    let url = server.url();
    let words = [&["run", &url, "-n", "20", "-q"], flags].concat();
    let ran = tool.run(&words);
    assert_eq!(ran.code, Some(0), "{}\n{}", ran.out, ran.err);
    let mut saved = tool.saved();
    saved.retain(|name| !before.contains(name));
    assert_eq!(saved.len(), 1, "{saved:?}");
    format!("results/local/{}", saved[0])
}

fn refused(ran: &Ran, message: &str, hint: &str) {
    assert_eq!(ran.code, Some(2), "{}\n{}", ran.out, ran.err);
    assert!(ran.err.contains(message), "{}", ran.err);
    assert!(ran.err.contains(&format!("hint: {hint}")), "{}", ran.err);
    assert_eq!(ran.out, "");
}

#[test]
fn a_list_has_targets_scenarios_and_results_and_what_is_wrong_with_them() {
    let server = Scripted::start(|_| Reply::Status(200));
    let tool = Tool::new();
    let empty = tool.run(&["list"]);
    assert_eq!(empty.code, Some(0), "{}", empty.err);
    assert!(
        empty.out.contains("tailmark init --targets writes one"),
        "{}",
        empty.out
    );
    assert!(!tool.results().exists(), "looking makes nothing");

    tool.write(
        "targets.yaml",
        "tailmark: 1\ntargets:\n  before: { command: './before --port {port}' }\n  after: { image: 'svc:2' }\n",
    );
    fs::create_dir(tool.folder.path().join("scenarios")).unwrap();
    tool.write("scenarios/crud.yaml", CRUD);
    tool.write(
        "scenarios/torn.yaml",
        "tailmark: 1\nflows: {}\nphasse: []\n",
    );
    tool.write(
        "scenarios/targets.yaml",
        "tailmark: 1\ntargets: { a: { url: 'http://a' } }\n",
    );
    tool.write("shop.yml", CRUD);
    tool.write("compose.yaml", "services: {}\n");
    let folder = measured(&tool, &server, &[]);
    let damaged = tool.results().join("20200101T000000Z-old");
    fs::create_dir(&damaged).unwrap();
    fs::write(damaged.join("run.json"), "{").unwrap();

    let said = tool.run(&["list", "--json"]).json(0);
    let names = |list: &str, key: &str| -> Vec<String> {
        let entries = said[list].as_array().unwrap().iter();
        entries
            .map(|entry| entry[key].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(names("targets", "name"), ["before", "after"]);
    assert_eq!(
        names("scenarios", "file"),
        ["shop.yml", "scenarios/crud.yaml", "scenarios/torn.yaml"]
    );
    let torn = said["scenarios"][2]["error"].as_str().unwrap();
    assert!(torn.starts_with("scenarios/torn.yaml:"), "{torn}");
    assert!(
        torn.contains("tailmark check scenarios/torn.yaml"),
        "{torn}"
    );
    let name = folder.rsplit('/').next().unwrap();
    assert_eq!(names("results", "folder"), [name, "20200101T000000Z-old"]);
    assert_eq!(said["results"][0]["kind"], "run");
    assert!(
        said["results"][1]["error"]
            .as_str()
            .unwrap()
            .contains("damaged")
    );

    let table = tool.run(&["list"]).out;
    for words in [
        "before",
        "./before",
        "image svc:2",
        "What shoppers wait for.",
        "100/s constant, 1 s",
        name,
        "✗ scenarios/torn.yaml:",
        "✗ 20200101T000000Z-old: ",
    ] {
        assert!(table.contains(words), "{words} in {table}");
    }
}

#[test]
fn a_targets_file_that_is_named_has_to_be_there() {
    let ran = Tool::new().run(&["list", "--targets", "none.yaml"]);
    assert_eq!(ran.code, Some(2));
    assert!(
        ran.err.starts_with("error: reading none.yaml"),
        "{}",
        ran.err
    );
}

#[test]
fn runs_stand_side_by_side_behind_what_differs() {
    let server = Scripted::start(|_| Reply::Status(200));
    let tool = Tool::new();
    let first = measured(&tool, &server, &["-r", "100"]);
    let second = measured(&tool, &server, &["-r", "200", "--seed", "9"]);
    let ran = tool.run(&[
        "report",
        &first,
        &second,
        "-o",
        "both.md",
        "-o",
        "both.csv",
        "-o",
        "both.json",
        "-o",
        "both.html",
    ]);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert!(ran.out.starts_with("2 runs side by side\n"), "{}", ran.out);
    assert!(ran.out.contains("seed       A: 1 | B: 9"), "{}", ran.out);
    assert!(
        ran.out.contains("their times answer different questions"),
        "{}",
        ran.out
    );
    assert!(ran.out.contains("single runs cannot say"), "{}", ran.out);
    let file = |name: &str| fs::read_to_string(tool.folder.path().join(name)).unwrap();
    assert!(file("both.md").starts_with("### 2 runs side by side\n"));
    assert!(file("both.csv").starts_with("run,source,"));
    assert!(file("both.html").contains("2 runs side by side"));
    let said = tool.run(&["report", &first, &second, "--json"]).json(0);
    assert_eq!(said["format"], "tailmark.runs/1");
    assert_eq!(
        file("both.json"),
        tool.run(&["report", &first, &second, "--json"]).out
    );
    assert_eq!(said["runs"][1]["scenario"]["seed"], 9);
}

#[test]
fn what_cannot_stand_side_by_side_is_refused_before_anything_is_written() {
    let server = Scripted::start(|_| Reply::Status(200));
    let tool = Tool::new();
    let run = measured(&tool, &server, &[]);
    let twice = tool.run(&["report", &run, "results/local/latest"]);
    refused(&twice, "are one result", "name another");
    let spectrum = tool.run(&["report", &run, &run, "--spectrum"]);
    refused(
        &spectrum,
        "are of one result",
        "tailmark report RECORD --spectrum",
    );

    let url = server.url();
    let pair = [url.as_str(), &url];
    let flags = [
        "--rounds",
        "1",
        "--warmup",
        "100ms",
        "--measure",
        "500ms",
        "-q",
    ];
    let ran = tool.run(&[&["compare"], &pair[..], &flags].concat());
    assert_eq!(ran.code, Some(0), "{}\n{}", ran.out, ran.err);
    let mixed = tool.run(&["report", &run, "results/local/latest", "-o", "x.md"]);
    refused(
        &mixed,
        "is no run",
        "tailmark report results/local/latest shows it by itself",
    );
    assert!(!tool.folder.path().join("x.md").exists());
}
