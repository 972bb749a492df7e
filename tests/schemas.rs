//! The committed schemas describe what is really written: every key of it, and nothing that is not there.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

use std::collections::BTreeSet;
use std::path::Path;

use jsonschema::Validator;
use serde_json::{Map, Value, json};
use tailmark::report::listing::{Entry, Listing, ResultSaid, ScenarioSaid, TargetSaid, Targets};
use tailmark::report::side_by_side::{Runs, SavedRun};
use tailmark::verification::peers::{Model, Reported};
use tailmark::verification::{
    Answers, Figures, Found, Late, PeerFound, Seen, Verification, scripts,
};
use tailmark::{
    exchange, judgement, ledger, placement, scenario, schedule, target_spec, threshold, units,
    validity, windows,
};

// The scripted records of the library's own tests, which name the library's modules as `crate::…`.
#[path = "../src/compare/fixtures.rs"]
mod compare_fixtures;
#[path = "../src/doctor/fixtures.rs"]
mod doctor_fixtures;
#[path = "../src/gate/fixtures.rs"]
mod gate_fixtures;
#[path = "../src/run_record/fixtures.rs"]
#[expect(dead_code, reason = "the library's own tests use more of it")]
mod run_fixtures;
mod compare {
    pub(crate) use crate::compare_fixtures as fixtures;
    pub(crate) use tailmark::compare::*;
}
mod doctor {
    pub(crate) use tailmark::doctor::*;
}
mod gate {
    pub(crate) use tailmark::gate::*;
}
#[path = "../src/startup/fixtures.rs"]
mod startup_fixtures;
mod startup {
    pub(crate) use tailmark::startup::*;
}
mod run_record {
    pub(crate) use crate::run_fixtures as fixtures;
    pub(crate) use tailmark::run_record::*;
}

use compare_fixtures::{arm_run, comparison, plan};
use exchange::Outcome;
use gate_fixtures::terms;
use run_fixtures::{Answer, Asked, MODELS, MS, SHOP, audit, container, ok, record, shop};
use run_record::resources::{Container, MemorySeries};
use startup_fixtures::startups;

const RUN: &str = include_str!("../docs/schemas/run-1.json");
const COMPARE: &str = include_str!("../docs/schemas/compare-1.json");
const DOCTOR: &str = include_str!("../docs/schemas/doctor-1.json");
const GATE: &str = include_str!("../docs/schemas/gate-1.json");
const LIST: &str = include_str!("../docs/schemas/list-1.json");
const RUNS: &str = include_str!("../docs/schemas/runs-1.json");
const STARTUP: &str = include_str!("../docs/schemas/startup-1.json");
const VERIFY: &str = include_str!("../docs/schemas/verify-1.json");

#[test]
fn a_run_and_its_summary_are_as_described() {
    let record = run();
    let saved = parsed(&record.saved_json());
    check(RUN, &saved);
    check(RUN, &parsed(&record.summary_json()));
    for alone in ["histograms", "windows"] {
        let mut damaged = saved.clone();
        damaged.as_object_mut().unwrap().remove(alone);
        assert!(!schema(RUN).is_valid(&damaged), "without {alone}");
    }
}

#[test]
fn every_load_model_is_as_described() {
    let record = record("models", MODELS, shop);
    check(RUN, &parsed(&record.saved_json()));
}

#[test]
fn what_was_not_measured_is_null() {
    let mut record = run();
    record.connections = run_record::Connections::default();
    record.resources = run_record::resources::Resources::default();
    record.generator = run_record::Generator::default();
    record.environment = run_record::Environment::default();
    record.target = run_record::TargetIdentity::default();
    check(RUN, &parsed(&record.saved_json()));
}

#[test]
fn a_comparison_is_as_described() {
    let comparison = comparison(2, |arm, round| {
        let mut record = arm_run(arm, answer);
        if (arm, round) == (1, 2) {
            record.environment.steal = Some(0.2);
            record.resources.memory.rss = None;
            record.judge();
        }
        record.audits.push(audit(3));
        record.target.container = Some(container());
        record.target.runtime = Some("in a container: as asked".into());
        record
    });
    check(COMPARE, &parsed(&comparison.to_json()));
    let before = compare::Comparison::new(plan(2), "2026-11-23T07:41:00Z".into());
    check(COMPARE, &parsed(&before.to_json()));
}

#[test]
fn a_gate_is_as_described() {
    // Slower at first, then not: it fails, and its confirmation does not.
    let mut record = gate_fixtures::gate(
        &terms(&["p99", "mem.peak"], 14),
        100,
        |attempt, arm, round| {
            let slower = if attempt == gate::Attempt::First {
                arm as u64
            } else {
                0
            };
            let base = MS + slower * MS + (round as u64 * 3 + arm as u64) % 5 * MS / 100;
            let mut run = arm_run(arm, |_| ok(base));
            if round == 2 {
                run.environment.steal = Some(0.2);
                run.judge();
            }
            run.audits.push(audit(3));
            run.target.container = Some(container());
            run.target.runtime = Some("in a container: as asked".into());
            run
        },
    );
    let build = gate::Build {
        revision: Some("1f3a".into()),
        digest: Some("aa".into()),
        command: vec!["svc".into()],
        environment_digest: Some("bb".into()),
    };
    record.builds = Some(gate::Builds {
        baseline: build.clone(),
        candidate: gate::Build {
            digest: Some("cc".into()),
            ..build
        },
    });
    assert!(record.confirmation.is_some());
    check(GATE, &parsed(&record.to_json()));
    let before = gate_fixtures::gate(&terms(&["p99"], 10), 0, |_, arm, _| {
        arm_run(arm, |_| ok(MS))
    });
    check(GATE, &parsed(&before.to_json()));
}

#[test]
fn startups_are_as_described() {
    let launch = |figures, steal| startup::Launch::judged(figures, steal, Some(0));
    let contained = startups(7, |arm, round| {
        let steal = ((arm, round) == (1, 2)).then_some(0.2);
        launch(startup_fixtures::contained(30 + arm as u64), steal)
    });
    check(STARTUP, &parsed(&contained.to_json()));
    let of_processes = startups(2, |_, _| launch(startup_fixtures::process(30), None));
    check(STARTUP, &parsed(&of_processes.to_json()));
    let unseen = startups(1, |_, _| launch(startup::Figures::default(), None));
    check(STARTUP, &parsed(&unseen.to_json()));
    let before = startup::Startups::new(contained.plan, contained.started);
    assert!(schema(STARTUP).is_valid(&parsed(&before.to_json())));
}

#[test]
fn a_diagnosis_is_as_described() {
    for facts in [doctor_fixtures::facts(), doctor_fixtures::poor()] {
        check(DOCTOR, &parsed(&doctor::Diagnosis::of(facts).to_json()));
    }
    let mut silent = doctor_fixtures::poor();
    silent.environment = run_record::Environment::default();
    silent.settings = doctor::Settings::default();
    silent.quiet = doctor::Quiet::default();
    (silent.topology, silent.wakes, silent.clock_read_ns) = (None, None, None);
    (silent.descriptors, silent.connections) = (None, None);
    let silent = parsed(&doctor::Diagnosis::of(silent).to_json());
    // It has no CPU at all, which no machine has.
    let errors: Vec<String> = schema(DOCTOR)
        .iter_errors(&silent)
        .map(|error| error.instance_path().to_string())
        .collect();
    assert_eq!(errors, ["/machine/cpus"]);
}

#[test]
fn a_list_is_as_described() {
    let targets = "tailmark: 1\ntargets:\n  a: { command: ./a, image: 'a:1', stores: [redis] }\n  b: { url: 'http://b' }\n";
    let targets = target_spec::TargetsFile::parse("t.yaml", Path::new("."), targets.as_bytes());
    let said = Ok(TargetSaid::all(&targets.unwrap()));
    let scenario = scenario::Scenario::parse("shop.yaml", SHOP.as_bytes()).unwrap();
    let mut explained = ScenarioSaid::of(&scenario);
    explained.why = Some("to know".into());
    let scenarios = [
        Ok(explained),
        Ok(ScenarioSaid::of(&scenario)),
        Err("torn".into()),
    ];
    let verdicts = gate_fixtures::gate(&terms(&["p99"], 10), 100, |_, arm, _| {
        arm_run(arm, |_| ok(MS))
    });
    let launch = |_, _| startup::Launch::judged(startup_fixtures::process(30), None, None);
    let results = [
        Ok(ResultSaid::of_run(&run())),
        Ok(ResultSaid::of_comparison(&comparison(2, |arm, _| {
            arm_run(arm, answer)
        }))),
        Ok(ResultSaid::of_gate(&verdicts)),
        Ok(ResultSaid::of_startups(&startups(2, launch))),
        Err("damaged".into()),
    ];
    let listing = Listing {
        targets: Some(Targets {
            file: "t.yaml".into(),
            said,
        }),
        scenarios: scenarios.map(|said| entry("shop.yaml", said)).to_vec(),
        more_scenarios: 2,
        results_folder: "results/local".into(),
        results: results.map(|said| entry("20261123T074100Z", said)).to_vec(),
        older_results: 3,
    };
    check(LIST, &parsed(&listing.to_json()));
    let mut torn = listing;
    torn.targets = Some(Targets {
        file: "t.yaml".into(),
        said: Err("torn".into()),
    });
    check(LIST, &parsed(&torn.to_json()));
    let nothing = parsed(&Listing::default().to_json());
    assert!(schema(LIST).is_valid(&nothing));
}

fn entry<T>(place: &str, said: Result<T, String>) -> Entry<T> {
    Entry {
        place: place.into(),
        said,
    }
}

#[test]
fn runs_side_by_side_are_as_described() {
    let mut other = run();
    other.scenario.seed = 7;
    other.validity.reasons.push("steal".into());
    let users = record("models", MODELS, shop);
    let bare = run_record::RunRecord {
        resources: run_record::resources::Resources::default(),
        target: run_record::TargetIdentity::default(),
        phases: Vec::new(),
        ..run()
    };
    let runs = [run(), other, users, bare].map(|record| SavedRun {
        source: "results/local/latest".into(),
        record,
    });
    let runs = Runs::new(runs.to_vec()).unwrap();
    check(RUNS, &parsed(&runs.to_json()));
}

#[test]
fn a_verification_is_as_described() {
    let rate = units::Rate::per_second_of(1_000).unwrap();
    let seen = Seen {
        times: Some(Figures {
            quantiles: [MS, MS, 2 * MS, 700 * MS],
            max: 800 * MS,
        }),
        answers: Answers::default(),
    };
    let reported = Reported {
        p50: MS,
        p99: 2 * MS,
    };
    let peer = |reported| PeerFound {
        name: "wrk",
        model: Model::Closed,
        requests: 70_000,
        truth: reported,
        reported: reported.ok_or_else(|| "it did not end in time".into()),
    };
    let found = Found {
        scripted: scripts::all(rate).remove(0),
        due: 1_000,
        missing: 1,
        strays: 0,
        truth: seen,
        measured: seen,
        late: Some(Late {
            p50: 30_000,
            p99: 60_000,
            max: MS,
        }),
        validity: validity::Validity::default(),
        earlier: vec![vec!["p99 3.20 ms is 3.00 ms".into()]],
        peers: vec![peer(Some(reported)), peer(None)],
    };
    let nothing = Found {
        measured: Seen {
            times: None,
            ..seen
        },
        late: None,
        ..found.clone()
    };
    let verification = Verification {
        rate,
        duration: std::time::Duration::from_secs(5),
        found: vec![found, nothing],
        not_installed: vec!["k6"],
        environment: run().environment,
    };
    check(VERIFY, &parsed(&verification.to_json()));
}

/// One request in a hundred is refused, and one is never answered.
fn answer(asked: Asked) -> Answer {
    match asked.arrival % 100 {
        3 => Answer {
            outcome: Outcome::Timeout,
            status: None,
            ..ok(10_000 * MS)
        },
        5 => Answer {
            outcome: Outcome::StatusError,
            status: Some(503),
            ..ok(MS)
        },
        _ => shop(asked),
    }
}

fn run() -> run_record::RunRecord {
    let mut record = record("shop", SHOP, answer);
    record.connections.tls.record(MS);
    in_a_container(&mut record.resources);
    record.target.container = Some(container());
    record.target.runtime = Some("in a container: as asked".into());
    record.audits.push(audit(3));
    record.ended_by = Some(run_record::EndedBy {
        expression: "error_rate < 1%".into(),
        at_ns: 12_000 * MS,
    });
    record.thresholds = rulings(&record);
    let unread = run_record::RunRecord {
        resources: run_record::resources::Resources::default(),
        ..record.clone()
    };
    record.thresholds.extend(rulings(&unread));
    record.validity.notes.push(validity::Note {
        name: "saturated".into(),
        words: "the target finished 612 of 1,000 per second".into(),
    });
    record
}

/// Adds what only a container has.
fn in_a_container(resources: &mut run_record::resources::Resources) {
    let memory = &mut resources.memory;
    memory.working_set = memory.rss.clone().map(|rss| MemorySeries {
        slope_ci_bytes_per_s: Some([-1.5, 20.0]),
        ..rss
    });
    memory.page_cache = memory.rss.clone();
    resources.container = Some(Container {
        source: "cgroup-v2".into(),
        hz: 20.0,
        memory_limit_bytes: Some(64 << 20),
        cpu_limit: Some(0.5),
        tasks_peak: Some(9),
        throttled_ns: Some(MS),
        throttled_periods: Some(1),
        oom_kills: Some(0),
    });
}

/// What became of thresholds of every unit.
fn rulings(record: &run_record::RunRecord) -> Vec<threshold::Ruling> {
    let scenario = scenario::Scenario::parse("shop.yaml", SHOP.as_bytes()).unwrap();
    let thresholds = [
        "p99 < 250ms over every 5s",
        "error_rate < 1%",
        "achieved_rate > 100/s",
        "mem.peak < 64MiB",
        "mem.slope < 1MiB/h",
        "cpu.per_1k < 1s",
    ];
    let scenario = scenario.with_thresholds(&thresholds.map(str::to_owned));
    judgement::rulings(record, scenario.unwrap().thresholds())
}

/// `document` is valid and wholly described, and any key that is taken out or given another type is noticed.
fn check(text: &str, document: &Value) {
    let described = schema(text);
    let errors: Vec<String> = described
        .iter_errors(document)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect();
    assert!(errors.is_empty(), "{errors:#?}");
    let undescribed = undescribed(&parsed(text), document);
    assert!(undescribed.is_empty(), "{undescribed:#?}");

    let mut seen = BTreeSet::new();
    let mut keys = 0;
    for place in places(document) {
        // Of elements that are alike one is enough: the first with its shape.
        let kind = document.pointer(&place).map_or("", type_name);
        if !seen.insert((without_numbers(&place), kind)) || is_map(&place) {
            continue;
        }
        keys += 1;
        let (parent, key) = place.rsplit_once('/').unwrap();
        let mut without = document.clone();
        let object = without
            .pointer_mut(parent)
            .unwrap()
            .as_object_mut()
            .unwrap();
        object.remove(key);
        assert!(!described.is_valid(&without), "without {place}");
        let mut changed = document.clone();
        *changed.pointer_mut(&place).unwrap() = json!([{"of": "another type"}]);
        assert!(!described.is_valid(&changed), "{place} of another type");
    }
    assert!(keys > 30, "only {keys} keys were tried");
}

fn schema(text: &str) -> Validator {
    jsonschema::draft202012::new(&parsed(text)).unwrap()
}

fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

/// The pointer of every key of every object, `histograms` and `windows` of a run aside: those may be absent together.
fn places(document: &Value) -> Vec<String> {
    fn collect(value: &Value, at: &str, found: &mut Vec<String>) {
        match value {
            Value::Object(keys) => {
                for (key, value) in keys {
                    let at = format!("{at}/{key}");
                    if !["/histograms", "/windows"].contains(&at.as_str()) {
                        found.push(at.clone());
                    }
                    collect(value, &at, found);
                }
            }
            Value::Array(items) => {
                for (place, item) in items.iter().enumerate() {
                    collect(item, &format!("{at}/{place}"), found);
                }
            }
            _ => {}
        }
    }
    let mut found = Vec::new();
    collect(document, "", &mut found);
    found
}

/// Whether a place lies in an object whose keys are data: statuses, settings of targets and stores, facts of an audit.
fn is_map(place: &str) -> bool {
    let parent = place.rsplit('/').nth(1);
    ["statuses", "stores", "facts", "settings"]
        .map(Some)
        .contains(&parent)
}

fn without_numbers(place: &str) -> String {
    let parts = place
        .split('/')
        .filter(|part| part.parse::<usize>().is_err());
    parts.collect::<Vec<_>>().join("/")
}

fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// Keys of `document` that the schema accepts but does not describe.
fn undescribed(schema: &Value, document: &Value) -> Vec<String> {
    fn properties<'a>(root: &'a Value, schema: &'a Value, found: &mut Vec<&'a Map<String, Value>>) {
        found.extend(schema["properties"].as_object());
        if let Some(name) = schema["$ref"].as_str() {
            properties(
                root,
                root.pointer(name.trim_start_matches('#')).unwrap(),
                found,
            );
        }
        for part in ["allOf", "anyOf"]
            .iter()
            .filter_map(|of| schema[of].as_array())
            .flatten()
        {
            properties(root, part, found);
        }
    }
    fn walk(root: &Value, schemas: &[&Value], value: &Value, at: &str, found: &mut Vec<String>) {
        match value {
            Value::Object(keys) => {
                let mut described = Vec::new();
                schemas
                    .iter()
                    .for_each(|schema| properties(root, schema, &mut described));
                for (key, value) in keys {
                    let at = format!("{at}/{key}");
                    let own: Vec<&Value> =
                        described.iter().filter_map(|keys| keys.get(key)).collect();
                    if own.is_empty() && !is_map(&at) {
                        found.push(at.clone());
                    }
                    assert!(
                        own.iter().all(|own| is_explained(root, own)),
                        "{at} has no description"
                    );
                    walk(root, &own, value, &at, found);
                }
            }
            Value::Array(items) => {
                let own: Vec<&Value> = schemas
                    .iter()
                    .filter_map(|schema| schema.get("items"))
                    .collect();
                for item in items {
                    walk(root, &own, item, at, found);
                }
            }
            _ => {}
        }
    }
    fn is_explained(root: &Value, schema: &Value) -> bool {
        let referred = schema["$ref"]
            .as_str()
            .map(|name| root.pointer(name.trim_start_matches('#')).unwrap());
        schema["description"].is_string()
            || referred.is_some_and(|schema| schema["description"].is_string())
    }
    let mut found = Vec::new();
    walk(schema, &[schema], document, "", &mut found);
    found
}
