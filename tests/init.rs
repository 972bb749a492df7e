//! `tailmark init`, `schema` and `check --resolve` from outside: what they write, print and refuse.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

mod support;

use std::fs;

use support::{Ran, Tool};

impl Tool {
    #[track_caller]
    fn ok(&self, words: &[&str]) -> String {
        let ran = self.run(words);
        assert_eq!(ran.code, Some(0), "{words:?}: {}{}", ran.out, ran.err);
        assert_eq!(ran.err, "", "{words:?}");
        ran.out
    }

    #[track_caller]
    fn refused(&self, words: &[&str], message: &str, hint: &str) {
        let Ran { code, out, err } = self.run(words);
        assert_eq!((code, out.as_str()), (Some(2), ""), "{words:?}");
        assert_eq!(err, format!("error: {message}\nhint: {hint}\n"));
    }
}

#[test]
fn a_scenario_is_written_once_and_can_be_checked() {
    let tool = Tool::new();
    let url = "http://127.0.0.1:8080/items/1?full=true";
    assert_eq!(
        tool.ok(&["init", url]),
        "wrote scenario.yaml\nnext: tailmark run scenario.yaml --target http://127.0.0.1:8080\n"
    );
    assert_eq!(
        tool.ok(&["check", "scenario.yaml"]),
        "scenario.yaml: ok, 1 flow, phases warmup, steady\n"
    );
    tool.write("scenario.yaml", "mine");
    tool.refused(
        &["init", url, "--targets"],
        "scenario.yaml is there already",
        "move it away first, or name another by --file",
    );
    let read = |name| fs::read_to_string(tool.folder.path().join(name));
    assert_eq!(read("scenario.yaml").unwrap(), "mine");
    assert!(read("targets.yaml").is_err(), "all or none");
    tool.ok(&["init", url, "--file", "load/other.yaml", "-q"]);
    tool.ok(&["check", "load/other.yaml"]);
}

#[test]
fn targets_and_jobs_are_written_where_they_are_looked_for() {
    let tool = Tool::new();
    assert_eq!(
        tool.ok(&["init", "--github", "--targets"]),
        "wrote targets.yaml\nwrote .github/workflows/latency.yml\nnext: tailmark check targets.yaml\n\
         next: tailmark check scenario.yaml targets.yaml\n\
         next: tailmark init http://127.0.0.1:8080/items/1, which the job needs\n"
    );
    assert_eq!(
        tool.ok(&["check", "targets.yaml"]),
        "targets.yaml: ok, targets service, running\n"
    );
    tool.ok(&["init", "http://127.0.0.1:8080/", "--gitlab"]);
    assert_eq!(
        tool.ok(&["init", "--gitlab"]),
        "wrote tailmark.gitlab-ci.yml\nnext: add to .gitlab-ci.yml: include: tailmark.gitlab-ci.yml\n"
    );
    for file in [
        "targets.yaml",
        ".github/workflows/latency.yml",
        ".gitlab-ci.yml",
        "tailmark.gitlab-ci.yml",
    ] {
        assert!(tool.folder.path().join(file).is_file(), "{file}");
    }
    tool.refused(
        &["init", "--gitlab"],
        "tailmark.gitlab-ci.yml is there already",
        "move it away first",
    );
}

#[test]
fn what_cannot_be_begun_with_is_refused() {
    let tool = Tool::new();
    let usual = "write it as http://127.0.0.1:8080/items/1";
    tool.refused(
        &["init"],
        "neither a URL to make a scenario of, nor another file to write",
        "tailmark init http://127.0.0.1:8080/items/1, or --targets, --github, --gitlab",
    );
    tool.refused(
        &["init", "127.0.0.1:8080"],
        "`127.0.0.1:8080` is not a URL",
        "add http://: http://127.0.0.1:8080",
    );
    tool.refused(&["init", "http://a b/"], "`a b` is not a host", usual);
    tool.refused(
        &["init", "http://127.0.0.1/{id}"],
        "the URL: `{` cannot stand in a path",
        "write ${…} for a value, %7B for the brace itself",
    );
    assert_eq!(fs::read_dir(tool.folder.path()).unwrap().count(), 0);
}

#[test]
fn a_scenario_is_printed_with_its_defaults() {
    let tool = Tool::new();
    tool.ok(&["init", "http://127.0.0.1:8080/", "--targets"]);
    let resolved = tool.ok(&["check", "--resolve", "scenario.yaml"]);
    assert!(resolved.contains("connect_timeout: 5s\n"), "{resolved}");
    tool.write("resolved.yaml", &resolved);
    tool.ok(&["check", "resolved.yaml"]);
    assert_eq!(tool.ok(&["check", "--resolve", "resolved.yaml"]), resolved);
    tool.refused(
        &["check", "--resolve", "scenario.yaml", "targets.yaml"],
        "--resolve takes one file, not 2",
        "tailmark check --resolve scenario.yaml",
    );
    tool.refused(
        &["check", "--resolve", "targets.yaml"],
        "targets.yaml describes targets, and --resolve is for scenarios",
        "tailmark check targets.yaml",
    );
}

#[test]
fn the_schema_is_printed() {
    let tool = Tool::new();
    assert_eq!(
        tool.ok(&["schema"]),
        include_str!("../scenarios/schema.json")
    );
}
