//! Scenario and target files as people write them, right and wrong: messages, bounds, and what a request becomes.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use tailmark::document::Problems;
use tailmark::scenario::{Draw, Scenario};
use tailmark::target_spec::{TargetSpec, TargetsFile};

use support::documents::{cases, completed, folder};

/// What is printed for each of the cases of a file.
fn snapshot_of_cases(file: &str, check: impl Fn(&str) -> String) -> String {
    let cases = cases(file).into_iter();
    cases
        .map(|(name, body)| format!("== {name}\n{}\n\n", check(&body)))
        .collect()
}

/// Lines `  k0: value` and so on.
fn lines(count: usize, value: &str) -> Vec<u8> {
    (0..count)
        .map(|k| format!("  k{k}: {value}\n"))
        .collect::<String>()
        .into_bytes()
}

fn outcome<T>(result: Result<T, Problems>) -> String {
    match result {
        Ok(_) => "(no problem)".to_owned(),
        Err(problems) => problems.to_string(),
    }
}

#[test]
fn wrong_scenarios_are_refused_with_place_and_remedy() {
    insta::assert_snapshot!(snapshot_of_cases("scenarios.txt", |case| {
        outcome(Scenario::parse("crud.yaml", completed(case).as_bytes()))
    }));
}

#[test]
fn wrong_files_are_refused_whole() {
    insta::assert_snapshot!(snapshot_of_cases("whole-scenarios.txt", |case| {
        outcome(Scenario::parse("crud.yaml", case.as_bytes()))
    }));
}

#[test]
fn wrong_targets_are_refused_with_place_and_remedy() {
    insta::assert_snapshot!(snapshot_of_cases("targets.txt", |case| {
        outcome(TargetsFile::parse(
            "targets.yaml",
            Path::new("."),
            case.as_bytes(),
        ))
    }));
}

#[test]
fn requests_render_as_written() {
    insta::assert_snapshot!(snapshot_of_cases("requests.txt", |case| {
        let scenario = Scenario::parse("crud.yaml", completed(case).as_bytes())
            .map_err(|e| e.to_string())
            .unwrap();
        rendered(&scenario, 0, 41)
    }));
}

#[test]
fn targets_are_read_and_named() {
    let text = b"tailmark: 1
targets:
  axum:
    build: cargo build -p axum-service
    command: target/release/axum-service --port {port} --name 'a b'
    ready: { path: /readyz, within: 5s }
    stop: { signal: INT, within: 1s }
    stores: [postgres, redis]
    seed: target/release/reference-seed
    audit: target/release/axum-service audit
    env: { RUST_LOG: warn, LIMIT: 1.10 }
  actix: { command: ./actix, image: acme/actix }
  boxed:
    image: svc:1.4
    args: serve --port {port}
    limits: { cpus: 0.5, memory: 512MiB }
  fixed: { image: svc:1.4, port: 8080 }
  there: { url: \"http://127.0.0.1:8080\" }
  watched: { url: \"http://127.0.0.1:8080\", watch: { container: svc } }
";
    let file = TargetsFile::parse("targets.yaml", Path::new("services"), text).unwrap();
    insta::assert_debug_snapshot!(file.targets());
    let check = |argument: &str, file: Option<&TargetsFile>| match TargetSpec::from_argument(
        argument, file,
    ) {
        Ok(target) => format!("{argument} → {} {:?}\n", target.name, target.kind),
        Err(error) => format!(
            "{argument} → error: {error} | hint: {}\n",
            error.hint().unwrap_or_default()
        ),
    };
    let mut seen = String::new();
    for argument in [
        "axum",
        "axmu",
        "http://127.0.0.1:8080/items/1",
        "http://[::1]:8080",
        "https://example.com",
        "127.0.0.1:8080",
        "command:./svc --port {port}",
        "command:",
        "command:'x",
        "command:/opt/my service --url http://x",
        "image:ghcr.io/acme/svc:1.4",
        "image:a b",
    ] {
        seen += &check(argument, Some(&file));
    }
    seen += &check("axum", None);
    insta::assert_snapshot!(seen);
    assert_eq!(
        TargetSpec::from_argument("there", Some(&file))
            .unwrap()
            .folder,
        Path::new("services")
    );
}

#[test]
fn hostile_files_are_refused_quickly() {
    let bomb = (1..30).fold("a0: &a0 [x, x]\n".to_owned(), |yaml, k| {
        let before = k - 1;
        yaml + &format!("a{k}: &a{k} [*a{before}, *a{before}]\n")
    });
    let merges = (1..30).fold("a0: &a0 { x: 1 }\n".to_owned(), |yaml, k| {
        let before = k - 1;
        yaml + &format!("a{k}: &a{k} {{ <<: *a{before}, p{k}: *a{before}, q{k}: *a{before} }}\n")
    });
    let nested_json = format!("tailmark: 1\nx-a: {}1{}", "[".repeat(80), "]".repeat(80));
    for (bytes, expected) in [
        (
            bomb.into_bytes(),
            "more than 100,000 values, aliases expanded",
        ),
        (
            merges.into_bytes(),
            "more than 100,000 values, aliases expanded",
        ),
        (vec![b'['; 100_000], "nested more than 64 deep"),
        (
            "- ".repeat(100_000).into_bytes(),
            "nested more than 64 deep",
        ),
        (
            "a: {".repeat(100_000).into_bytes(),
            "nested more than 64 deep",
        ),
        (nested_json.into_bytes(), "nested more than 64 deep"),
        (
            vec![b' '; 100 << 20],
            "the file has 104,857,600 bytes; at most 1 MiB is read",
        ),
        (
            b"tailmark: 1\nwhy: caf\xe9\n".to_vec(),
            "the file is not UTF-8 (line 2)",
        ),
        (vec![0; 1000], "not YAML"),
        (
            format!("x: &a {}\ny: [{}]", "a".repeat(500_000), "*a,".repeat(100)).into_bytes(),
            "more than 8 MiB of text, aliases expanded",
        ),
        (lines(70_000, "1"), "more than 100,000 values"),
        (lines(45_000, "1"), "unknown key `k0`"),
        (
            completed(&format!(
                "flows: {{ f: {{ steps: [{}] }} }}\n",
                "get: /a b,\n".repeat(30_000)
            ))
            .into_bytes(),
            "more than 1,000 steps in all flows",
        ),
        (
            [b"headers:\n".as_slice(), &lines(30_000, "'${x}'")].concat(),
            "more than 100 headers, or 64 KiB of them",
        ),
        (
            completed(&format!(
                "flows: {{ f: {{ steps: [{{ post: /, json: [{}] }}] }} }}\n",
                "'${x}',\n".repeat(90_000)
            ))
            .into_bytes(),
            "unknown name `x`",
        ),
        (
            b"x: &a [*a]".to_vec(),
            "an alias inside the value that it stands for",
        ),
        (
            "k".repeat(1 << 20).into_bytes(),
            "a scenario wants a map, found text",
        ),
        (
            vec![b'\n'; 1 << 20],
            "a scenario wants a map, found nothing",
        ),
        (
            format!("[{}]", "1,".repeat(300_000)).into_bytes(),
            "more than 100,000 values, aliases expanded",
        ),
    ] {
        let started = Instant::now();
        let message = Scenario::parse("f.yaml", &bytes).unwrap_err().to_string();
        assert!(
            message.contains(expected),
            "{message:.500} lacks {expected}"
        );
        // Debug builds on busy machines take a second at most; what is refused by bounds never takes longer.
        assert!(
            started.elapsed() < Duration::from_secs(10),
            "{expected}: {:?}",
            started.elapsed()
        );
    }
}

#[test]
fn hostile_files_are_refused_in_little_memory() {
    let folder = tempfile::tempdir().unwrap();
    let bomb = (1..30).fold("a0: &a0 [x, x]\n".to_owned(), |yaml, k| {
        let before = k - 1;
        yaml + &format!("a{k}: &a{k} [*a{before}, *a{before}]\n")
    });
    let doubling: String = (1..60)
        .map(|k| format!("v{k}: '${{v{}}}${{v{}}}', ", k - 1, k - 1))
        .collect();
    for (name, bytes) in [
        ("bomb", bomb.into_bytes()),
        ("deep", vec![b'['; 100_000]),
        ("huge", vec![b'a'; 100 << 20]),
        ("latin", b"tailmark: 1\nwhy: caf\xe9\n".to_vec()),
        ("many", lines(70_000, "1")),
        (
            "doubling",
            completed(&format!(
                "flows: {{ f: {{ vars: {{ v0: a, {doubling} }}, steps: [get: '/${{v59}}'] }} }}\n"
            ))
            .into_bytes(),
        ),
        (
            "doubling-often",
            completed(&format!(
                "headers: {{ a: '{}' }}\nflows: {{ f: {{ steps: [{}] }} }}\n",
                "a".repeat(60 << 10),
                vec!["get: /"; 5_000].join(", ")
            ))
            .into_bytes(),
        ),
        (
            "pattern",
            completed("flows: { f: { steps: [{ get: /, checks: { body: { matches: '((a{500}){500}){500}' } } }] } }\n")
                .into_bytes(),
        ),
        (
            "deep-path",
            completed(&format!(
                "flows: {{ f: {{ steps: [{{ get: /, capture: {{ a: '${}' }} }}] }} }}\n",
                "[?(@".repeat(50_000)
            ))
            .into_bytes(),
        ),
    ] {
        let file = folder.path().join(format!("{name}.yaml"));
        fs::write(&file, bytes).unwrap();
        // All of the address space is bounded, which is more than the memory in use.
        let checked = std::process::Command::new("sh")
            .args(["-c", "ulimit -v 262144 && exec \"$0\" check \"$1\""])
            .arg(env!("CARGO_BIN_EXE_tailmark"))
            .arg(&file)
            .output()
            .unwrap();
        let words = String::from_utf8_lossy(&checked.stderr);
        assert_eq!(checked.status.code(), Some(2), "{name}: {words}");
        assert!(words.starts_with("error: "), "{name}: {words}");
    }
}

/// The pages that have examples of scenario and target files.
fn pages() -> Vec<String> {
    let docs = fs::read_dir(folder("docs")).unwrap();
    let docs = docs.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let docs = docs.filter(|name| name.ends_with(".md"));
    let mut pages: Vec<String> = docs.map(|name| format!("docs/{name}")).collect();
    pages.sort_unstable();
    let others = [
        "README.md",
        "scenarios/README.md",
        "reference-services/README.md",
    ];
    pages.extend(others.map(str::to_owned));
    pages
}

/// The blocks of YAML in a page that say that they are ours, and not a job of a CI system.
fn examples(page: &str) -> Vec<String> {
    let text = fs::read_to_string(folder(page)).unwrap();
    let blocks = text.split("```yaml\n").skip(1);
    let blocks = blocks.map(|rest| rest.split("```").next().unwrap());
    let is_ours = |block: &&str| block.lines().any(|line| line.starts_with("tailmark:"));
    blocks.filter(is_ours).map(str::to_owned).collect()
}

#[test]
fn every_example_of_the_pages_is_valid() {
    let mut seen = BTreeMap::new();
    for page in pages() {
        for example in examples(&page) {
            let describes_targets = example.lines().any(|line| line.starts_with("targets:"));
            let said = match describes_targets {
                true => outcome(TargetsFile::parse(
                    &page,
                    Path::new("."),
                    example.as_bytes(),
                )),
                false => outcome(Scenario::parse(&page, example.as_bytes())),
            };
            assert_eq!(said, "(no problem)", "{page}\n{example}");
            let count: &mut [usize; 2] = seen.entry(page.clone()).or_default();
            count[usize::from(describes_targets)] += 1;
        }
    }
    // So that no page drops out when its blocks are written otherwise: scenarios, targets.
    let [scenarios, targets] = seen["README.md"];
    assert!(scenarios >= 1 && targets >= 1, "{seen:?}");
    assert!(seen["scenarios/README.md"][0] >= 4, "{seen:?}");
    assert!(seen["docs/TARGETS.md"][1] >= 3, "{seen:?}");
}

#[test]
fn the_shipped_targets_differ_by_their_environment_alone() {
    for (name, count) in [("targets.yaml", 7), ("layers.yaml", 10)] {
        let text = fs::read(folder("reference-services").join(name)).unwrap();
        let file = TargetsFile::parse(name, Path::new("."), &text)
            .map_err(|e| e.to_string())
            .unwrap();
        assert_eq!(file.targets().len(), count, "{name}");
        // What each has beside its name and its environment, by its service.
        let mut services = BTreeMap::<_, Vec<TargetSpec>>::new();
        let mut environments = BTreeSet::new();
        for target in file.targets() {
            let service = target.name.split('-').next().unwrap();
            assert!(target.env.iter().any(|(name, _)| name == "RUST_LOG"));
            let own = |(name, _): &&(String, String)| name != "RUST_LOG" && name != "HOST";
            let own = target.env.iter().filter(own).count();
            assert!(own <= 1, "{}: one thing each", target.name);
            environments.insert((service, &target.env));
            services.entry(service).or_default().push(TargetSpec {
                name: String::new(),
                env: Vec::new(),
                ..target.clone()
            });
        }
        assert_eq!(environments.len(), count, "{name}: two are the same");
        assert_eq!(services.len(), 2, "{name}");
        for targets in services.values() {
            assert!(targets.windows(2).all(|pair| pair[0] == pair[1]), "{name}");
        }
    }
}

#[test]
fn the_shipped_scenarios_say_what_they_promise() {
    for entry in fs::read_dir(folder("scenarios")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|ending| ending == "yaml") {
            let name = path.file_name().unwrap().to_str().unwrap();
            let scenario = Scenario::parse(name, &fs::read(&path).unwrap())
                .map_err(|e| e.to_string())
                .unwrap();
            assert!(scenario.why().is_some(), "{name} does not say why");
        }
    }
    let text = fs::read(folder("scenarios/crud.yaml")).unwrap();
    let crud = Scenario::parse("crud.yaml", &text).unwrap();
    let weights: BTreeMap<_, _> = crud
        .flows()
        .iter()
        .map(|flow| (flow.name.as_str(), flow.weight))
        .collect();
    assert_eq!(
        weights,
        BTreeMap::from([("read", 75), ("update", 15), ("browse", 5), ("pay", 5)])
    );
    let requests: Vec<_> = (0..crud.flows().len())
        .map(|flow| rendered(&crud, flow, 41))
        .collect();
    insta::assert_snapshot!(requests.join("\n"));
}

/// All requests of a flow as they would be sent by `arrival`, and the statuses they expect.
fn rendered(scenario: &Scenario, flow: usize, arrival: u64) -> String {
    let mut text = String::new();
    for (step, index) in scenario.flows()[flow].steps.iter().zip(0..) {
        let draw = Draw::new(scenario.seed(), arrival, index);
        let show = |template: &tailmark::scenario::Template| template.show(&draw);
        let request = &step.request;
        text += &format!(
            "{}: {} {}\n",
            step.name,
            request.method,
            show(&request.path)
        );
        for (name, value) in &request.headers {
            text += &format!("  {name}: {}\n", show(value));
        }
        if let Some(body) = &request.body {
            text += &format!("  {}\n", show(body));
        }
        text += &format!("  expects {}\n", step.inspection.status);
    }
    text
}

/// JSON as YAML flow style writes it, with slots in its strings.
fn json_source() -> impl Strategy<Value = serde_json::Value> {
    let text = prop_oneof![
        "\\PC{0,12}",
        Just("${seq}".to_owned()),
        Just("n ${random.int(-5, 5)} \"${uuid}\"".to_owned())
    ];
    let text = text.prop_map(|text| {
        if text.starts_with(['$', 'n']) {
            text
        } else {
            text.replace("${", "")
        }
    });
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        (-1e9..1e9).prop_map(|number: f64| number.into()),
        text.prop_map(Into::into),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Into::into),
            prop::collection::btree_map("[a-z\"\\\\ é]{1,6}", inner, 0..4)
                .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn rendered_json_parses_and_repeats(source in json_source(), seed: u64, arrival: u64) {
        let text = completed(&format!("flows: {{ f: {{ steps: [{{ post: /, json: {source} }}] }} }}\n"));
        let scenario = Scenario::parse("f.yaml", text.as_bytes()).map_err(|e| TestCaseError::fail(e.to_string()))?;
        let body = scenario.flows()[0].steps[0].request.body.as_ref().unwrap();
        let render = || {
            let mut out = Vec::new();
            body.render(&Draw::new(seed, arrival, 3), &mut out).unwrap();
            out
        };
        let parsed: serde_json::Value = serde_json::from_slice(&render()).unwrap();
        prop_assert!(alike(&source, &parsed, arrival), "{} became {}", source, parsed);
        prop_assert_eq!(render(), render());
    }

    #[test]
    fn a_rendered_path_is_a_path(literal in "/[a-z0-9%/?=&. é$#{}\"<>\\[\\]-]{0,20}", arrival: u64) {
        let path = format!("{literal}${{uuid}}/${{random.int(-9, 9)}}").replace('"', "\\\"");
        let text = completed(&format!("flows: {{ f: {{ steps: [{{ name: s, get: \"{path}\" }}] }} }}\n"));
        // What is no path was refused; what was not must be one.
        if let Ok(scenario) = Scenario::parse("f.yaml", text.as_bytes()) {
            let mut out = Vec::new();
            scenario.flows()[0].steps[0].request.path.render(&Draw::new(1, arrival, 0), &mut out).unwrap();
            let path = http::uri::PathAndQuery::try_from(out.as_slice()).unwrap();
            prop_assert_eq!(path.as_str().as_bytes(), out.as_slice());
        }
    }

    #[test]
    fn no_file_makes_the_reader_panic(text in "[a-z:{}\\[\\]&*!|>'\"$ \n\t#,.0-9-]{0,200}") {
        let _ = Scenario::parse("f.yaml", text.as_bytes()).map_err(|problems| problems.to_string());
        let _ = TargetsFile::parse("t.yaml", Path::new("."), text.as_bytes()).map_err(|problems| problems.to_string());
    }
}

/// Whether `sent` is `source` with its slots filled.
fn alike(source: &serde_json::Value, sent: &serde_json::Value, arrival: u64) -> bool {
    use serde_json::Value::{Array, Number, Object, String};
    match (source, sent) {
        (String(slot), Number(number)) => {
            slot == "${seq}" && number.to_string() == (u128::from(arrival) + 1).to_string()
        }
        (String(text), String(sent)) if text.contains("${") => {
            text.starts_with('n') && sent.starts_with("n ")
        }
        (Array(source), Array(sent)) => {
            source.len() == sent.len()
                && source
                    .iter()
                    .zip(sent)
                    .all(|(source, sent)| alike(source, sent, arrival))
        }
        (Object(source), Object(sent)) => {
            source.len() == sent.len()
                && source
                    .iter()
                    .zip(sent)
                    .all(|((a, source), (b, sent))| a == b && alike(source, sent, arrival))
        }
        (Number(source), Number(sent)) => source.as_f64() == sent.as_f64(),
        _ => source == sent,
    }
}
