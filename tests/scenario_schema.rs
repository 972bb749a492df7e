//! The schema of scenario files and the reader say the same, and what `check --resolve` spells out is what was meant.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

mod support;

use std::fs;

use jsonschema::Validator;
use serde_json::{Map, Value};
use tailmark::document::{Document, Kind, Node};
use tailmark::scenario::{SCHEMA, Scenario};

use support::documents::{cases, completed, folder};

/// Cases of `tests/documents/scenarios.txt` in which everything that is wrong is beyond a schema: names that repeat, what
/// stands in `${…}`, bounds on what is written with a unit, and what goes together across the file.
const BEYOND: [&str; 10] = [
    "duration beyond the bound",
    "two steps of one name",
    "phase that would never end",
    "two phases of one name",
    "feeders that end, and users",
    "variables in a circle",
    "variables that double",
    "names that are not there yet",
    "functions that are wrong",
    "cookies twice",
];

/// What both refuse, as lines of a scenario: one thing that is wrong in each.
const WRONG: &[&str] = &[
    "phasse: []",
    "seed: abc",
    "seed: -1",
    "seed: 1.5",
    "timeout: 30",
    "timeout: 0s",
    "timeout: 30s1m",
    "timeout: 3d",
    "timeout: [1s]",
    "why:",
    "cookies: yes",
    "connections: 16",
    "connections: { max: 0 }",
    "connections: { max: 100001 }",
    "connections: { open: lazily }",
    "connections: { http: 3 }",
    "connections: { streams: 1001 }",
    "connections: { dns: { server: 192.0.2.1 } }",
    "connections: { reuse: false, ttl: 30s }",
    "connections: { reuse: false, open: all }",
    "headers: {}",
    "headers: { Content-Length: 3 }",
    "headers: { 'bad name': x }",
    "headers: { x-list: [1] }",
    "feeders: { users: { file: users.txt } }",
    "feeders: { users: { order: random } }",
    "feeders: { users: { file: users.csv, order: any } }",
    "feeders: { seq: { file: users.csv } }",
    "setup: []",
    "setup: [{ get: /, repeat: 2 }]",
    "setup: [{ think: 1s }]",
    "flows: []",
    "flows: {}",
    "flows: { 1st: { steps: [get: /] } }",
    "flows: { f: { weight: 0, steps: [get: /] } }",
    "flows: { f: { steps: [get: /], name: g } }",
    "flows: { f: { vars: { int: 1 }, steps: [get: '/${int}'] } }",
    "flows: { f: { steps: [] } }",
    "flows: { f: { steps: [{ think: 1s }, { get: / }] } }",
    "flows: { f: { steps: [{ get: / }, { think: 30 }] } }",
    "flows: { f: { steps: [{ get: / }, { think: 1s..2 }] } }",
    "flows: { f: { steps: [{ get: / }, { think: exp(1) }] } }",
    "flows: { f: { steps: [{ get: / }, { think: 1s, name: t }] } }",
    "flows: { f: { steps: [{ name: idle }] } }",
    "flows: { f: { steps: [{ gte: /a }] } }",
    "flows: { f: { steps: [{ get: /a, post: /b }] } }",
    "flows: { f: { steps: [{ get: /a, method: PURGE }] } }",
    "flows: { f: { steps: [{ get: /a, path: /b }] } }",
    "flows: { f: { steps: [{ method: PURGE }] } }",
    "flows: { f: { steps: [{ method: CONNECT, path: / }] } }",
    "flows: { f: { steps: [{ method: A B, path: / }] } }",
    "flows: { f: { steps: [{ name: a/b, get: / }] } }",
    "flows: { f: { steps: [get: items] } }",
    "flows: { f: { steps: [get: http://localhost/items] } }",
    "flows: { f: { steps: [get: /a b] } }",
    "flows: { f: { steps: [get: '/a#b'] } }",
    "flows: { f: { steps: [get: '/items/{id}'] } }",
    "flows: { f: { steps: [get: [a]] } }",
    "flows: { f: { steps: [{ post: /, body: x, json: {} }] } }",
    "flows: { f: { steps: [{ post: /, body: x, form: { a: b } }] } }",
    "flows: { f: { steps: [{ post: /, body: {} }] } }",
    "flows: { f: { steps: [{ post: /, body: [1] }] } }",
    "flows: { f: { steps: [{ post: /, form: { a: [1] } }] } }",
    "flows: { f: { steps: [{ post: /, form: {} }] } }",
    "flows: { f: { steps: [{ get: /, checks: [200] }] } }",
    "flows: { f: { steps: [{ get: /, checks: { code: 200 } }] } }",
    "flows: { f: { steps: [{ get: /, checks: { status: 2x } }] } }",
    "flows: { f: { steps: [{ get: /, checks: { status: [200, 700] } }] } }",
    "flows: { f: { steps: [{ get: /, checks: { status: [] } }] } }",
    "flows: { f: { steps: [{ get: /, checks: { header: { a b: c } } }] } }",
    "flows: { f: { steps: [{ get: /, checks: { body: { has: x } } }] } }",
    "flows: { f: { steps: [{ get: /, checks: { body: { contains: '${x}' } } }] } }",
    "flows: { f: { steps: [{ get: /, checks: { json: { id: 1 } } }] } }",
    "flows: { f: { steps: [{ get: /, checks: { json: { $.id: [1] } } }] } }",
    "flows: { f: { steps: [{ get: /, checks: { json: { $.id: { exists: 1 } } } }] } }",
    "flows: { f: { steps: [{ get: /, checks: { json: { $.id: { count: -1 } } } }] } }",
    "flows: { f: { steps: [{ get: /, checks: { json: { $.id: { exists: true, count: 1 } } } }] } }",
    "flows: { f: { steps: [{ get: /, capture: { id: id } }] } }",
    "flows: { f: { steps: [{ get: /, capture: { id: 7 } }] } }",
    "flows: { f: { steps: [{ get: /, capture: { now: $.now } }] } }",
    "flows: { f: { steps: [{ get: /, capture: { id: { optional: true } } }] } }",
    "flows: { f: { steps: [{ get: /, capture: { id: { header: a, cookie: b } } }] } }",
    "flows: { f: { steps: [{ get: /, repeat: 0 }] } }",
    "flows: { f: { steps: [{ get: /, repeat: 1.5 }] } }",
    "flows: { f: { steps: [{ get: /, repeat: often }] } }",
    "flows: { f: { steps: [{ get: /, if: {} }] } }",
    "flows: { f: { steps: [{ steps: [] }] } }",
    "flows: { f: { steps: [{ get: / }, { steps: [{ think: 1s }] }] } }",
    "flows: { f: { steps: [{ steps: [{ get: /, repeat: 2 }] }] } }",
    "flows: { f: { steps: [{ steps: [{ steps: [{ get: / }] }] }] } }",
    "flows: { f: { steps: [{ name: g, steps: [{ get: / }] }] } }",
    "phases: []",
    "phases: [{}]",
    "phases: { name: p, rate: 1/s, for: 1s }",
    "phases: [{ name: p, for: 1s }]",
    "phases: [{ rate: 1/s, for: 1s }]",
    "phases: [{ name: p, rate: 1/s }]",
    "phases: [{ name: p, rate: 1/s, users: 5, for: 1s }]",
    "phases: [{ name: p, rate: 5/d, for: 1s }]",
    "phases: [{ name: p, rate: 0/s, for: 1s }]",
    "phases: [{ name: p, rate: 0, for: 1s }]",
    "phases: [{ name: p, rate: 20000000, for: 1s }]",
    "phases: [{ name: p, rate: 1/s, for: 1s, arrivals: random }]",
    "phases: [{ name: p, rate: 1/s, for: 1s, warmup: yes }]",
    "phases: [{ name: p, ramp: 100/s, for: 1s }]",
    "phases: [{ name: p, ramp: 0/s..5/s, for: 1s }]",
    "phases: [{ name: p, users: 0, for: 1s }]",
    "phases: [{ name: p, users: 1.5, for: 1s }]",
    "phases: [{ name: p, users: 100001, for: 1s }]",
    "phases: [{ name: p, users: 5, for: 1s, arrivals: poisson }]",
    "phases: [{ name: p, rate: 1, for: 1s }, { name: q, pause: 5s, for: 1s }]",
    "phases: [{ name: p, rate: 1, for: 1s }, { name: q, pause: true, for: 1s, warmup: true }]",
    "phases: [{ name: p, rate: 1/s, for: 1s, warmup: true }]",
    "phases: [{ name: p, pause: true, for: 1s }]",
    "tailmark: 2",
    "tailmark: '1'",
    "thresholds: 7",
];

/// What both take, as lines of a scenario: each way of writing each value.
const RIGHT: &[&str] = &[
    "why: 7",
    "seed: 18446744073709551615",
    "timeout: 1m30s",
    "timeout: ' 1.5s '",
    "timeout: 1h",
    "timeout: 0.001us",
    "cookies: true",
    "connections: {}",
    "connections: { http: 1.1 }",
    "connections: { http: 2, streams: 1000 }",
    "connections: { http: auto, dns: { ttl: 168h }, ttl: 1s }",
    "connections: { reuse: false, open: on-demand, max: 100000 }",
    "connections: { reuse: true, open: all }",
    "headers: { host: a.example, x-number: 1.10, x-flag: true, x-slot: '${seq}' }",
    "feeders: { users: { file: a/b.jsonl, order: unique } }",
    "setup: [{ name: a, post: /a, form: { b: 7 }, capture: { id: { json: $.id, optional: true } } }]",
    "teardown: [{ delete: /a, checks: { status: '200' } }]",
    "flows: { f: { vars: { key: '${uuid}', n: 7 }, steps: [{ get: '/${key}/${n}' }] } }",
    "flows: { f: { steps: [get: '/${random.choice(\"a}b\", c d)}?x=${random.int(1, 20)}'] } }",
    "flows: { f: { steps: [{ get: /, repeat: ' 1 .. 5 ' }, { think: 0s }, { think: 1ms..2ms }, { think: 'exp( 1s )' }] } }",
    "flows: { f: { steps: [{ post: /, body: 7 }] } }",
    "flows: { f: { steps: [{ post: /, body: { file: a.bin } }] } }",
    "flows: { f: { steps: [{ post: /, json: null }] } }",
    "flows: { f: { steps: [{ get: /, checks: { status: [2xx, 301, 400..404] } }] } }",
    "flows: { f: { steps: [{ get: /, checks: { header: { etag: { exists: true } }, body: {} } }] } }",
    "flows: { f: { steps: [{ get: /, checks: { body: { contains: 7, matches: a+ } } }] } }",
    "flows: { f: { steps: [{ get: /, checks: { json: { $.a: ~, $.b: { not: 1 }, '$.c[*]': { count: 3 } } } }] } }",
    "flows: { f: { steps: [{ get: /, capture: { a: { cookie: s } } }, { name: b, get: '/${a}', if: { a: { matches: x } } }] } }",
    "flows: { f: { steps: [{ get: /, capture: { a: { regex: '(a)' } } }, { steps: [{ name: b, get: '/${a}' }], repeat: 2 }] } }",
    "phases: [{ name: p, rate: 0.5, for: 1s }]",
    "phases: [{ name: p, rate: 2.5k, for: 1s }]",
    "phases: [{ name: p, rate: 30/m, for: 1s, arrivals: poisson, warmup: false }]",
    "phases: [{ name: p, ramp: 1..2k/s, for: 1s }]",
    "phases: [{ name: p, users: 5, for: 1s }, { name: q, pause: true, for: 1s }]",
    "x-any: [thing]",
];

/// What the reader alone refuses, since no schema can say it.
const READER_ALONE: &[&str] = &[
    "timeout: 2h",
    "connections: { dns: { ttl: 10ms } }",
    "headers: { CONTENT-LENGTH: 3 }",
    "headers: { accept: a, Accept: b }",
    "headers: { x-umlaut: für }",
    "flows: { f: { steps: [get: '/items/${sek}'] } }",
    "flows: { f: { steps: [get: /100%] } }",
    "flows: { f: { steps: [get: /a, get: '/a?b'] } }",
    "flows: { f: { steps: [{ get: /, checks: { status: 299..200 } }] } }",
    "flows: { f: { steps: [{ get: /, checks: { body: { matches: '(' } } }] } }",
    "flows: { f: { steps: [{ get: /, checks: { json: { $..: 1 } } }] } }",
    "flows: { f: { steps: [{ get: /, if: { a: 1 } }] } }",
    "flows: { f: { steps: [{ get: /, repeat: 5..1 }] } }",
    "flows: { f: { steps: [{ steps: [{ think: 1s }, { get: / }] }] } }",
    "phases: [{ name: p, rate: 1e3, for: 1s }]",
    "phases: [{ name: p, rate: 0.001/h, for: 1s }]",
];

/// What the reader takes as text and nobody means, so that an editor may well point at it.
const MORE: &[&str] = &[
    "flows: { f: { steps: [{ name: true, get: / }] } }",
    "flows: { f: { steps: [{ get: /, checks: { status: '+200' } }] } }",
    "flows: { f: { steps: [{ get: \"/${random.choice(it's)}\" }] } }",
    "flows: { f: { steps: [{ get: /, capture: { a: { header: 7 } } }] } }",
];

/// The cases of a file of `tests/documents/` as scenarios, by name.
fn scenarios(file: &str) -> Vec<(String, String)> {
    let cases = cases(file).into_iter();
    cases.map(|(name, body)| (name, completed(&body))).collect()
}

/// Every scenario that is shipped, printed in the reference or the README, or a valid case of a test.
fn valid_scenarios() -> Vec<(String, String)> {
    let shipped = fs::read_dir(folder("scenarios")).unwrap();
    let mut all: Vec<(String, String)> = shipped
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "yaml"))
        .map(|path| {
            (
                path.display().to_string(),
                fs::read_to_string(&path).unwrap(),
            )
        })
        .collect();
    assert!(all.len() >= 2);
    for page in ["scenarios/README.md", "README.md"] {
        let text = fs::read_to_string(folder(page)).unwrap();
        let examples = text.split("```yaml\n").skip(1);
        let examples = examples.map(|rest| rest.split("```").next().unwrap());
        let is_scenario = |example: &&str| example.lines().any(|line| line.starts_with("flows:"));
        let before = all.len();
        all.extend(
            examples
                .filter(is_scenario)
                .map(|example| (page.to_owned(), example.to_owned())),
        );
        assert!(all.len() > before, "{page} has no example");
    }
    all.extend(scenarios("requests.txt"));
    all.extend(
        scenarios("scenarios.txt")
            .into_iter()
            .filter(|(_, text)| is_read(text)),
    );
    all.extend(
        RIGHT
            .iter()
            .map(|case| ((*case).to_owned(), completed(case))),
    );
    all
}

fn is_read(text: &str) -> bool {
    Scenario::parse("s.yaml", text.as_bytes()).is_ok()
}

/// A file as the JSON that an editor makes of it.
fn json_of(text: &str) -> Value {
    fn json(node: &Node) -> Value {
        match &node.kind {
            Kind::Null => Value::Null,
            Kind::Bool(flag) => (*flag).into(),
            Kind::Int(number) => match (u64::try_from(*number), i64::try_from(*number)) {
                (Ok(number), _) => number.into(),
                (_, Ok(number)) => number.into(),
                _ => (*number as f64).into(),
            },
            Kind::Float(number) => (*number).into(),
            Kind::Str => node.text.as_str().into(),
            Kind::Seq(items) => items.iter().map(json).collect(),
            Kind::Map(entries) => entries
                .iter()
                .map(|(key, value)| (key.text.clone(), json(value)))
                .collect::<Map<_, _>>()
                .into(),
        }
    }
    json(Document::parse("s.yaml", text.as_bytes()).unwrap().root())
}

fn schema() -> Validator {
    jsonschema::draft202012::new(&serde_json::from_str(SCHEMA).unwrap()).unwrap()
}

#[test]
fn the_schema_is_one() {
    assert!(jsonschema::meta::is_valid(
        &serde_json::from_str(SCHEMA).unwrap()
    ));
}

#[test]
fn what_is_valid_is_so_by_the_schema() {
    let schema = schema();
    for (name, text) in valid_scenarios() {
        assert!(is_read(&text), "{name}: the reader refuses it");
        let json = json_of(&text);
        let errors: Vec<String> = schema
            .iter_errors(&json)
            .map(|error| format!("{}: {error}", error.instance_path()))
            .collect();
        assert!(errors.is_empty(), "{name}\n{text}\n{errors:#?}");
    }
}

#[test]
fn what_is_wrong_is_so_by_the_schema() {
    let schema = schema();
    for case in WRONG {
        let text = completed(case);
        assert!(!is_read(&text), "{case}: the reader takes it");
        assert!(
            !schema.is_valid(&json_of(&text)),
            "{case}: the schema takes it"
        );
    }
    for case in READER_ALONE {
        let text = completed(case);
        assert!(!is_read(&text), "{case}: the reader takes it");
        assert!(
            schema.is_valid(&json_of(&text)),
            "{case}: the schema can say it"
        );
    }
    for case in MORE {
        let text = completed(case);
        assert!(is_read(&text), "{case}: the reader refuses it");
        assert!(
            !schema.is_valid(&json_of(&text)),
            "{case}: the schema takes it"
        );
    }
    let mut others = Vec::new();
    for (name, text) in scenarios("scenarios.txt") {
        let is_yaml = Document::parse("s.yaml", text.as_bytes()).is_ok();
        if is_yaml && !is_read(&text) {
            let refused = !schema.is_valid(&json_of(&text));
            if refused == BEYOND.contains(&name.as_str()) {
                others.push(name);
            }
        }
    }
    assert!(others.is_empty(), "not as BEYOND says: {others:#?}");
}

#[test]
fn bounds_are_the_same() {
    /// `item` for each number up to `count`, with its number for `#`.
    fn listed(count: usize, item: &str) -> String {
        let items = (1..=count).map(|k| item.replace('#', &k.to_string()));
        items.collect::<Vec<_>>().join(", ")
    }
    type Case = fn(usize) -> String;
    let cases: [(usize, Case); 12] = [
        (1_000_000, |n| {
            format!("flows: {{ f: {{ weight: {n}, steps: [get: /] }} }}")
        }),
        (10_000, |n| {
            format!("flows: {{ f: {{ steps: [{{ get: /, repeat: {n} }}] }} }}")
        }),
        (1_000, |n| {
            format!("flows: {{ f: {{ steps: [{}] }} }}", listed(n, "get: /#"))
        }),
        (100, |n| {
            let vars = listed(n, "v#: 1");
            format!("flows: {{ f: {{ vars: {{ {vars} }}, steps: [get: /] }} }}")
        }),
        (100, |n| {
            let captures = listed(n, "c#: $.id");
            format!("flows: {{ f: {{ steps: [{{ get: /, capture: {{ {captures} }} }}] }} }}")
        }),
        (100, |n| format!("headers: {{ {} }}", listed(n, "x-#: a"))),
        (20, |n| {
            format!("feeders: {{ {} }}", listed(n, "f#: { file: a.csv }"))
        }),
        (1_000, |n| format!("setup: [{}]", listed(n, "get: /#"))),
        (1_000, |n| format!("teardown: [{}]", listed(n, "get: /#"))),
        (100, |n| {
            format!(
                "phases: [{}]",
                listed(n, "{ name: p#, rate: 1/s, for: 1s }")
            )
        }),
        (10_000_000, |n| {
            format!("phases: [{{ name: p, rate: {n}, for: 1s }}]")
        }),
        (64, |n| {
            let name = "n".repeat(n);
            format!("flows: {{ {name}: {{ steps: [get: /] }} }}")
        }),
    ];
    let schema = schema();
    for (most, case) in cases {
        for (count, valid) in [(most, true), (most + 1, false)] {
            let text = completed(&case(count));
            assert_eq!(is_read(&text), valid, "{text:.200}");
            assert_eq!(schema.is_valid(&json_of(&text)), valid, "{text:.200}");
        }
    }
}

/// Thresholds, which the schema describes by what they are written as.
#[test]
fn thresholds_are_texts_or_maps() {
    let schema = schema();
    for (threshold, valid) in [
        ("p99 < 250ms in steady", true),
        ("{ that: error_rate < 20% }", true),
        ("{ that: error_rate < 20%, abort: false }", true),
        ("{ that: error_rate < 20%, abort: true }", true),
        ("{ that: error_rate < 20%, abort: true, after: 0s }", true),
        ("{ that: error_rate < 20%, after: 10s }", false),
        ("{ that: error_rate < 20%, abort: true, after: 10 }", false),
        ("{ abort: true }", false),
        ("{ that: error_rate < 20%, abort: often }", false),
        ("[p99 < 250ms]", false),
    ] {
        let text = completed(&format!("thresholds:\n  - {threshold}"));
        assert_eq!(schema.is_valid(&json_of(&text)), valid, "{threshold}");
    }
    assert!(!schema.is_valid(&json_of(&completed("thresholds: []"))));
    let many = completed(&format!("thresholds:\n{}", "  - p99 < 1s\n".repeat(101)));
    assert!(!schema.is_valid(&json_of(&many)));
}

#[test]
fn every_key_is_explained_and_every_default_is_valid() {
    let root: Value = serde_json::from_str(SCHEMA).unwrap();
    let mut maps = vec![&root];
    maps.extend(root["$defs"].as_object().unwrap().values());
    let mut defaults = 0;
    for map in maps {
        for (key, own) in map["properties"].as_object().into_iter().flatten() {
            let mut described = own;
            while !described["description"].is_string() {
                let place = described["$ref"].as_str();
                let place = place.unwrap_or_else(|| panic!("`{key}` has no description"));
                described = root.pointer(&place[1..]).unwrap();
            }
            if let Some(usual) = own.get("default") {
                let mut alone = own.clone();
                alone["$defs"] = root["$defs"].clone();
                let alone = jsonschema::draft202012::new(&alone).unwrap();
                assert!(alone.is_valid(usual), "{key}: {usual}");
                defaults += 1;
            }
        }
    }
    assert!(defaults > 20, "only {defaults} defaults");
}

#[test]
fn what_is_resolved_means_the_same() {
    let read = |text: &str| {
        let read = Scenario::parse("s.yaml", text.as_bytes());
        read.map_err(|problems| format!("{problems}\n{text}"))
            .unwrap()
    };
    let schema = schema();
    for (name, text) in valid_scenarios() {
        let scenario = read(&text);
        let resolved = scenario.resolved().map_err(|problems| problems.to_string());
        let resolved = resolved.unwrap();
        let again = read(&resolved);
        assert_eq!(again.why(), scenario.why(), "{name}");
        assert_eq!(again.seed(), scenario.seed(), "{name}");
        assert_eq!(again.timeout(), scenario.timeout(), "{name}");
        assert_eq!(again.connections(), scenario.connections(), "{name}");
        assert_eq!(again.feeders(), scenario.feeders(), "{name}");
        assert_eq!(again.setup(), scenario.setup(), "{name}");
        assert_eq!(again.flows(), scenario.flows(), "{name}");
        assert_eq!(again.teardown(), scenario.teardown(), "{name}");
        assert_eq!(again.phases(), scenario.phases(), "{name}");
        assert!(schema.is_valid(&json_of(&resolved)), "{name}\n{resolved}");
        assert_eq!(again.resolved().as_deref(), Ok(&*resolved), "{name}");
    }
}
