//! Scenarios of many steps from outside: what users of them send, remember and are told.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

mod support;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::Value;

use support::scripted::{Reply, Scripted};
use support::{Ran, Tool};

const PHASE: &str = "phases: [{ name: p, rate: 100/s, for: 10s }]\n";

/// Runs a scenario against `server`.
fn run(tool: &Tool, scenario: &str, server: &Scripted, flags: &[&str]) -> Ran {
    tool.write("s.yaml", &format!("tailmark: 1\n{scenario}{PHASE}"));
    let url = server.url();
    tool.run(&[&["run", "s.yaml", "--target", &url], flags].concat())
}

/// The same; the record of a run that ended with `code`.
fn record(tool: &Tool, scenario: &str, server: &Scripted, flags: &[&str], code: i32) -> Value {
    let ran = run(
        tool,
        scenario,
        server,
        &[flags, &["--json", "--no-save"]].concat(),
    );
    let record = ran.json(code);
    let outcomes = record["total"]["outcomes"].as_object().unwrap().values();
    let outcomes: u64 = outcomes.map(|count| count.as_u64().unwrap()).sum();
    assert_eq!(
        record["total"]["due_count"], outcomes,
        "an exchange was lost"
    );
    record
}

fn json(body: &str) -> Reply {
    Reply::Message(
        200,
        "content-type: application/json\r\n".into(),
        body.into(),
    )
}

/// The value of a header of a request.
fn header<'r>(request: &'r str, name: &str) -> Option<&'r str> {
    request
        .lines()
        .take_while(|line| !line.is_empty())
        .find_map(|line| {
            let (own, value) = line.split_once(": ")?;
            own.eq_ignore_ascii_case(name).then_some(value)
        })
}

fn step<'r>(record: &'r Value, name: &str) -> &'r Value {
    let steps = record["total"]["steps"].as_array().unwrap();
    steps.iter().find(|step| step["step"] == name).unwrap()
}

const BUY: &str = r#"
cookies: true
flows:
  buy:
    vars: { key: "k-${uuid}" }
    steps:
      - name: login
        post: /login
        json: { user: "u${seq}", key: "${key}" }
        capture: { token: $.token, number: $.number, session: { cookie: sid } }
      - think: 250ms
      - name: pay
        post: "/pay/${number}"
        headers: { authorization: "Bearer ${token}" }
        json: { number: "${number}", text: "n${number}", key: "${key}", session: "${session}" }
        checks: { status: 201, json: { $.state: booked }, header: { x-kind: payment } }
      - { name: look, get: "/look?key=${key}", if: { number: 7 } }
"#;

/// Answers the walk of `BUY` as long as each request is what it should be.
fn shop() -> Scripted {
    Scripted::by_message(|number, request| {
        let body = request.split_once("\r\n\r\n").unwrap().1;
        let path = request.split(' ').nth(1).unwrap();
        if path == "/login" {
            let body: Value = serde_json::from_str(body).unwrap();
            let user = body["user"].as_str().unwrap();
            let token = format!("t {user}\"");
            let reply = serde_json::json!({ "token": token, "number": 7 + number % 2 });
            let fields = format!("set-cookie: sid={user}; Path=/\r\n");
            return Reply::Message(200, fields, reply.to_string());
        }
        let user = header(request, "cookie")
            .unwrap()
            .strip_prefix("sid=")
            .unwrap();
        if path.starts_with("/look") {
            return Reply::Status(if path.contains("key=k-") { 200 } else { 500 });
        }
        let body: Value = serde_json::from_str(body).unwrap();
        let number = &body["number"];
        let right = header(request, "authorization") == Some(&format!("Bearer t {user}\""))
            && path == format!("/pay/{number}")
            && number.is_u64()
            && body["text"] == format!("n{number}")
            && body["session"] == user
            && body["key"].as_str().unwrap().starts_with("k-");
        let fields = "x-kind: payment\r\n".to_owned();
        Reply::Message(
            if right { 201 } else { 400 },
            fields,
            r#"{"state":"booked"}"#.into(),
        )
    })
}

#[test]
fn a_walk_remembers_what_it_was_told() {
    for engine in ["own", "hyper"] {
        let server = shop();
        let record = record(
            &Tool::new(),
            BUY,
            &server,
            &["-n", "40", "--engine", engine],
            0,
        );
        let total = &record["total"];
        assert_eq!(total["outcomes"]["ok"], total["due_count"], "{record:#}");
        let (login, pay, look) = (
            step(&record, "login"),
            step(&record, "pay"),
            step(&record, "look"),
        );
        assert_eq!(
            (&login["outcomes"]["ok"], &pay["outcomes"]["ok"]),
            (&40.into(), &40.into())
        );
        let looked = look["outcomes"]["ok"].as_u64().unwrap();
        assert!(looked > 0 && looked < 40, "{looked}");
        assert_eq!(look["unreached"], 0, "a step that is skipped is not missed");
        // The pause is part of the journey, and of no response time.
        let journey = &total["flows"][0]["journey"];
        assert_eq!(journey["count"], 40);
        assert!(journey["min_ns"].as_u64().unwrap() >= 250_000_000);
        assert!(pay["response_time"]["min_ns"].as_u64().unwrap() < 250_000_000);
        // What one walk drew it uses in all its steps, and no other walk does.
        let mut keys: BTreeMap<String, u64> = BTreeMap::new();
        for request in server.asked() {
            let at = request.find("k-").unwrap();
            *keys.entry(request[at..at + 38].to_owned()).or_default() += 1;
        }
        assert_eq!(keys.len(), 40);
        assert!(keys.values().all(|&count| count == 2 || count == 3));
    }
}

#[test]
fn the_same_seed_sends_the_same_bytes_whatever_the_number_of_workers() {
    let scenario = r#"
seed: 7
feeders:
  users: { file: users.csv }
  items: { file: items.ndjson, order: random }
flows:
  a:
    weight: 3
    vars: { id: "${uuid}" }
    steps:
      - { name: one, post: "/a/${users.name}/${random.zipf(1, 1000, 1.1)}", json: { id: "${id}", n: "${int(users.account)}", item: "${items.item}", price: "${items.price}" } }
      - think: 1ms..5ms
      - { name: two, put: "/a/${id}?c=${random.choice(red, 'dark green')}", form: { name: "${users.name}", text: "a & ${random.string(12)}" }, repeat: 1..3 }
  b:
    steps: [{ name: file, post: "/b/${seq}", body: { file: body.bin } }]
"#;
    let sent = |workers: &str| {
        let server = Scripted::by_message(|_, _| Reply::Status(200));
        let tool = Tool::new();
        let names: String = (0..7).map(|k| format!("ü {k},{}\n", k * 11)).collect();
        tool.write("users.csv", &format!("name,account\n{names}"));
        tool.write(
            "items.ndjson",
            "{\"item\": \"a\\\"b\", \"price\": 1.50}\n{\"item\": \"c\", \"price\": null}\n",
        );
        tool.write("body.bin", "from a file");
        record(
            &tool,
            scenario,
            &server,
            &["-n", "200", "--workers", workers],
            0,
        );
        let host = format!("host: {}\r\n", server.address);
        let asked = server
            .asked()
            .into_iter()
            .map(|request| request.replace(&host, ""));
        let mut asked: Vec<String> = asked.collect();
        asked.sort();
        asked
    };
    let (one, four) = (sent("1"), sent("4"));
    assert!(one.len() > 250, "{}", one.len());
    assert_eq!(one, four);
    assert!(
        one.iter()
            .any(|request| request.starts_with("POST /a/%C3%BC%203/"))
    );
    assert!(
        one.iter()
            .any(|request| request.contains("\"item\":\"a\\\"b\",\"price\":1.5}"))
    );
    assert!(
        one.iter()
            .any(|request| request.ends_with("\r\n\r\nfrom a file"))
    );
}

#[test]
fn rows_that_end_end_the_run() {
    let users: String = (0..30).map(|k| format!("u{k}\n")).collect();
    for (order, code, state) in [("unique", 4, "data exhausted"), ("sequential", 0, "valid")] {
        for load in [&["-r", "200"][..], &["-r", "200", "--workers", "3"]] {
            let server = Scripted::by_request(|_, _| Reply::Status(200));
            let tool = Tool::new();
            tool.write("users.csv", &format!("name\n{users}"));
            let scenario = format!(
                "feeders: {{ users: {{ file: users.csv, order: {order} }} }}\nflows: {{ f: {{ steps: [get: '/${{users.name}}'] }} }}\n"
            );
            let record = record(&tool, &scenario, &server, load, code);
            // A busy machine may disturb a run, which is another matter.
            if order == "unique" || record["validity"]["state"] == "valid" {
                assert_eq!(record["validity"]["state"], state, "{}", record["validity"]);
            }
            assert_eq!(record["generator"]["rows_ended"]["rows"], 30);
            let mut expected: Vec<String> =
                (0..30).map(|k| format!("GET /u{k} HTTP/1.1 ")).collect();
            expected.sort();
            assert_eq!(server.asked(), expected, "each row once");
        }
    }
}

#[test]
fn users_take_rows_of_their_own_until_there_are_none() {
    let server = Scripted::by_request(|_, _| Reply::Status(200));
    let tool = Tool::new();
    tool.write("users.csv", "name\na\nb\nc\nd\ne\n");
    tool.write(
        "s.yaml",
        "tailmark: 1\nfeeders: { users: { file: users.csv, order: unique } }\nflows: { f: { steps: [get: '/${users.name}'] } }\nphases: [{ name: p, users: 2, for: 20s }]\n",
    );
    let url = server.url();
    let ran = tool.run(&["run", "s.yaml", "--target", &url, "--json", "--no-save"]);
    assert_eq!(ran.json(4)["validity"]["state"], "data exhausted");
    assert_eq!(server.asked().len(), 5);
}

#[test]
fn a_limit_that_was_not_met_ends_nothing() {
    let server = Scripted::by_request(|_, _| Reply::Slow(Duration::from_millis(50)));
    let tool = Tool::new();
    let names: String = (0..1_000).map(|k| format!("u{k}\n")).collect();
    tool.write("users.csv", &format!("name\n{names}"));
    let run = |order: &str, phases: &str, arrivals: &str| {
        let scenario = format!(
            "tailmark: 1\nfeeders: {{ users: {{ file: users.csv, order: {order} }} }}\nflows: {{ f: {{ steps: [get: '/${{users.name}}'] }} }}\nphases: {phases}\n"
        );
        tool.write("s.yaml", &scenario);
        let url = server.url();
        let words = ["run", "s.yaml", "--target", &url, "--json", "--no-save"];
        let ran = tool.run(&[&words[..], &["-n", arrivals]].concat());
        serde_json::from_str::<Value>(&ran.out).unwrap()
    };
    // What ends the run is the number that was asked for: there were rows enough.
    let record = run("unique", "[{ name: p, users: 2, for: 20s }]", "4");
    assert_eq!(record["generator"]["rows_ended"], Value::Null, "{record}");
    assert_eq!(record["total"]["due_count"], 4);
    // Or the end of the phase of the users, and the pause after it is part of the run.
    let phases = "[{ name: p, users: 2, for: 300ms }, { name: rest, pause: true, for: 500ms }]";
    let record = run("circular", phases, "100000");
    assert_eq!(record["phases"][1]["duration_ns"], 500_000_000, "{record}");
}

#[test]
fn a_user_keeps_its_cookies_from_walk_to_walk() {
    let server = Scripted::by_message(|number, request| match header(request, "cookie") {
        Some(_) => Reply::Status(200),
        None => Reply::Message(
            200,
            format!("set-cookie: user=n{number}\r\n"),
            String::new(),
        ),
    });
    let tool = Tool::new();
    tool.write(
        "s.yaml",
        "tailmark: 1\ncookies: true\nflows: { f: { steps: [get: /] } }\nphases: [{ name: p, users: 3, for: 30s }]\n",
    );
    let url = server.url();
    tool.run(&[
        "run",
        "s.yaml",
        "--target",
        &url,
        "-n",
        "30",
        "--no-save",
        "--json",
    ])
    .json(0);
    let mut users: BTreeMap<Option<String>, u64> = BTreeMap::new();
    for request in server.asked() {
        *users
            .entry(header(&request, "cookie").map(str::to_owned))
            .or_default() += 1;
    }
    assert_eq!(users.remove(&None), Some(3), "each asks once without");
    assert_eq!(users.into_values().collect::<Vec<_>>(), [9, 9, 9]);
}

#[test]
fn what_a_response_lacks_ends_the_walk() {
    let scenario = "flows: { f: { steps: [{ name: a, get: /a, capture: { id: $.id } }, { name: b, get: '/b/${id}' }] } }\n";
    let server = Scripted::by_request(|number, request| match request.starts_with("GET /a") {
        true if number % 4 == 0 => json("{\"id\": 1}"),
        true => json("{\"ID\": 1}"),
        false => Reply::Status(200),
    });
    let ran = run(
        &Tool::new(),
        scenario,
        &server,
        &["-n", "20", "--json", "--no-save"],
    );
    let record = ran.json(0);
    let (a, b) = (step(&record, "a"), step(&record, "b"));
    let failed = a["outcomes"]["capture_failed"].as_u64().unwrap();
    assert!(failed > 0);
    assert_eq!(b["unreached"], failed);
    assert_eq!(b["outcomes"]["ok"].as_u64().unwrap() + failed, 20);
    let failure = &record["failures"][0];
    assert_eq!(
        failure["what"],
        "GET /a → `id`: $.id is not in the response"
    );
    let response = failure["response"].as_str().unwrap();
    assert!(response.contains("{\"ID\": 1}"), "{response}");
}

#[test]
fn a_preflight_stops_what_cannot_be_measured() {
    let scenario = "flows: { f: { steps: [{ name: a, get: /a }, { name: b, get: /b, headers: { authorization: Bearer hush-hush }, checks: { json: { $.state: booked } } }] } }\n";
    let server = Scripted::by_request(|_, request| match request.starts_with("GET /a") {
        true => Reply::Status(200),
        false => Reply::Message(
            200,
            "set-cookie: sid=hush-hush\r\n".into(),
            "{\"state\":\"pending\"}".into(),
        ),
    });
    let tool = Tool::with_preflight();
    let ran = run(&tool, scenario, &server, &["-n", "20"]);
    assert_eq!(ran.code, Some(2), "{}", ran.out);
    let expected = "error: preflight: f/b: check failed: $.state is \"pending\", expected \"booked\"\n  > GET /b HTTP/1.1\n";
    assert!(ran.err.contains(expected), "{}", ran.err);
    for part in [
        "  > authorization: ***\n",
        "  < set-cookie: ***\n",
        "  < {\"state\":\"pending\"}\n",
        "hint: ",
        "--no-preflight",
    ] {
        assert!(ran.err.contains(part), "{part}: {}", ran.err);
    }
    assert!(!ran.err.contains("hush-hush") && !ran.out.contains("hush-hush"));
    assert_eq!(server.asked().len(), 2, "no load was made");
    assert!(tool.saved().is_empty(), "nothing is left behind");
    let ran = run(&tool, scenario, &server, &["-n", "20", "--no-preflight"]);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert_eq!(server.asked().len(), 2 + 40);
}

#[test]
fn calls_are_made_before_and_after_a_run() {
    let scenario = r#"
setup:
  - { name: token, post: /token, json: { secret: "${env.TAILMARK_TEST_SECRET}" }, capture: { admin: $.token } }
  - { name: room, put: /rooms, headers: { authorization: "Bearer ${admin}" }, checks: { status: 201 }, capture: { room: { header: location } } }
headers: { x-room: "${room}" }
flows: { f: { steps: [get: "/in"] } }
teardown:
  - { name: room, delete: "/rooms?of=${room}", headers: { authorization: "Bearer ${admin}" } }
"#;
    let server = || {
        Scripted::by_message(|_, request| {
            let line = request.lines().next().unwrap();
            match line.split(' ').next().unwrap() {
                "POST" if request.ends_with("{\"secret\":\"swordfish\"}") => {
                    json("{\"token\": \"t1\"}")
                }
                "PUT" if header(request, "authorization") == Some("Bearer t1") => {
                    Reply::Message(201, "location: /r 1\r\n".into(), String::new())
                }
                "GET" if header(request, "x-room") == Some("/r 1") => Reply::Status(200),
                "DELETE" if line.contains("of=%2Fr%201") => Reply::Status(204),
                _ => Reply::Status(400),
            }
        })
    };
    let lines = |server: &Scripted| {
        let mut counts: BTreeMap<String, u64> = BTreeMap::new();
        for request in server.asked() {
            *counts
                .entry(request.split(' ').next().unwrap().to_owned())
                .or_default() += 1;
        }
        counts.into_iter().collect::<Vec<_>>()
    };
    let tool = Tool::with_preflight();
    tool.write("s.yaml", &format!("tailmark: 1\n{scenario}{PHASE}"));
    let first = server();
    let url = first.url();
    let words = ["run", "s.yaml", "--target", &url, "-n", "9"];
    let ran = tool.run(&words);
    assert_eq!(ran.code, Some(2));
    assert!(ran.err.contains("s.yaml:4:"), "{}", ran.err);
    assert!(
        ran.err.contains("has no variable `TAILMARK_TEST_SECRET`"),
        "{}",
        ran.err
    );
    assert!(first.asked().is_empty(), "nothing was started");
    let with_secret = |words: &[&str], secret: &str| -> Ran {
        let mut command = tool.command(words);
        command
            .env("TAILMARK_TEST_SECRET", secret)
            .output()
            .unwrap()
            .into()
    };
    let ran = with_secret(&words, "swordfish");
    assert_eq!(ran.code, Some(0), "{}{}", ran.out, ran.err);
    let own = |counts: [(&str, u64); 4]| {
        counts
            .map(|(name, count)| (name.to_owned(), count))
            .to_vec()
    };
    assert_eq!(
        lines(&first),
        own([("DELETE", 1), ("GET", 10), ("POST", 1), ("PUT", 1)])
    );
    let saved = std::fs::read_to_string(tool.latest().join("run.json")).unwrap();
    for text in [&ran.out, &ran.err, &saved] {
        assert!(!text.contains("swordfish"));
    }
    // A call that fails stops the run before it begins.
    let second = server();
    let url = second.url();
    let ran = with_secret(
        &["run", "s.yaml", "--target", &url, "-n", "9"],
        "sword-fish",
    );
    assert_eq!(ran.code, Some(2));
    assert!(
        ran.err
            .contains("error: setup: token: status error: 400, expected 200..399"),
        "{}",
        ran.err
    );
    assert!(!ran.err.contains("sword-fish"), "{}", ran.err);
    // What the call would have made is torn down all the same, as far as it can be.
    assert!(ran.err.contains("teardown: room: "), "{}", ran.err);
    assert!(ran.err.contains("`${room}` has no value"), "{}", ran.err);
    assert_eq!(second.asked().len(), 1);
}

#[test]
fn what_was_set_up_halfway_is_torn_down_and_calls_after_one_that_fails_are_made() {
    let scenario = "setup: [{ name: one, put: /one, capture: { id: $.id } }, { name: two, put: /two }]\nflows: { f: { steps: [get: '/in/${id}'] } }\nteardown: [{ name: bad, delete: /bad }, { name: one, delete: '/one/${id}' }]\n";
    for flags in [&[][..], &["--debug"]] {
        let server = Scripted::by_request(|_, request| match request.split(' ').nth(1) {
            Some("/one") => json("{\"id\": 7}"),
            Some("/two" | "/bad") => Reply::Status(500),
            _ => Reply::Status(200),
        });
        let tool = Tool::new();
        let ran = run(&tool, scenario, &server, flags);
        assert_eq!(ran.code, Some(2), "{}", ran.out);
        let error = "error: setup: two: status error: 500";
        assert!(ran.err.contains(error), "{}", ran.err);
        assert!(ran.err.contains("teardown: bad: "), "{}", ran.err);
        let asked = ["PUT /one", "PUT /two", "DELETE /bad", "DELETE /one/7"];
        let mut expected = asked.map(|line| format!("{line} HTTP/1.1 ")).to_vec();
        expected.sort();
        assert_eq!(server.asked(), expected);
    }
}

#[test]
fn steps_of_a_group_that_were_made_in_an_earlier_round_were_reached() {
    let made = AtomicU64::new(0);
    let server = Scripted::by_request(move |_, request| {
        let first = request.starts_with("GET /a") && made.fetch_add(1, Ordering::Relaxed) == 1;
        Reply::Status(if first { 500 } else { 200 })
    });
    let scenario = "flows: { f: { steps: [{ repeat: 3, steps: [{ name: a, get: /a }, { name: b, get: /b }] }, { name: c, get: /c }] } }\n";
    let record = record(&Tool::new(), scenario, &server, &["-n", "1"], 0);
    let unreached = |name| step(&record, name)["unreached"].clone();
    assert_eq!(["a", "b", "c"].map(unreached), [0, 0, 1].map(Value::from));
}

#[test]
fn what_an_interrupt_ends_is_torn_down_too() {
    let server = Scripted::by_request(|_, _| Reply::Status(200));
    let tool = Tool::new();
    let scenario = "flows: { f: { steps: [get: /in] } }\nteardown: [{ name: end, delete: /all }]\n";
    tool.write("s.yaml", &format!("tailmark: 1\n{scenario}{PHASE}"));
    let url = server.url();
    let words = ["run", "s.yaml", "--target", &url, "--no-save"];
    let mut command = tool.command(&words);
    let mut child = command.stdout(std::process::Stdio::null()).spawn().unwrap();
    while server.asked().len() < 5 {
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert!(server.asked().contains(&"DELETE /all HTTP/1.1 ".to_owned()));
}

#[test]
fn who_stops_a_run_does_not_wait_for_pauses() {
    let server = Scripted::by_request(|_, _| Reply::Status(200));
    let tool = Tool::new();
    let steps = "[{ name: a, get: /a }, think: 1h, { name: b, get: /b }]";
    tool.write(
        "s.yaml",
        &format!("tailmark: 1\ntimeout: 1h\nflows: {{ f: {{ steps: {steps} }} }}\n{PHASE}"),
    );
    let url = server.url();
    let mut command = tool.command(&["run", "s.yaml", "--target", &url, "--no-save", "--json"]);
    let child = command
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    while server.asked().len() < 5 {
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    // An hour of waiting would be the test's end.
    let record = Ran::from(child.wait_with_output().unwrap()).json(130);
    let (a, b) = (step(&record, "a"), step(&record, "b"));
    assert_eq!(a["outcomes"]["ok"], b["unreached"], "{record:#}");
}

#[test]
fn secrets_are_in_nothing_that_is_kept_or_printed() {
    let scenario = r#"
cookies: true
flows:
  f:
    steps:
      - { name: a, get: "/a/${env.TAILMARK_TEST_SECRET}?x=1", headers: { authorization: "Basic ${env.TAILMARK_TEST_SECRET}", proxy-authorization: Basic written-out } }
      - { name: b, post: /b, json: { password: "${env.TAILMARK_TEST_SECRET}" }, checks: { json: { $.ok: true } } }
"#;
    // It tells everything that it was told.
    let server = Scripted::by_message(|number, request| {
        let fields = "set-cookie: sid=sesame-street\r\nx-echo: open sesame\r\n".to_owned();
        let echo = serde_json::json!({ "request": request }).to_string();
        let refused = request.starts_with("GET") && number % 3 == 2;
        Reply::Message(if refused { 503 } else { 200 }, fields, echo)
    });
    let tool = Tool::new();
    tool.write("s.yaml", &format!("tailmark: 1\n{scenario}{PHASE}"));
    let url = server.url();
    for flags in [
        &["-n", "30", "--no-preflight", "-o", "out.json"][..],
        &["-n", "30"],
        &["--debug"],
    ] {
        let words = [&["run", "s.yaml", "--target", &url][..], flags].concat();
        let mut command = tool.command(&words);
        command.arg("-v").env("TAILMARK_TEST_SECRET", "open sesame");
        let ran: Ran = command.output().unwrap().into();
        let mut texts = vec![ran.out, ran.err];
        for file in ["out.json".into(), tool.latest().join("run.json")] {
            texts.extend(std::fs::read_to_string(
                tool.folder.path().join::<std::path::PathBuf>(file),
            ));
        }
        for text in texts {
            for secret in [
                "open sesame",
                "open%20sesame",
                "sesame-street",
                "written-out",
            ] {
                assert!(!text.contains(secret), "{secret} in {text}");
            }
        }
    }
    assert!(
        server
            .asked()
            .iter()
            .any(|request| request.contains("open%20sesame")),
        "it was sent"
    );
}

#[test]
fn check_opens_what_a_scenario_names_and_warns_of_what_nothing_uses() {
    let tool = Tool::new();
    let scenario = r#"tailmark: 1
feeders:
  users: { file: users.csv }
  items: { file: items.csv }
setup: [{ get: /, capture: { admin: $.a } }]
flows:
  f:
    vars: { key: "${uuid}", id: "${uuid}" }
    steps:
      - { name: a, get: "/${users.nmae}/${key}", capture: { used: $.a, unused: $.b } }
      - { name: b, get: "/${used}" }
phases: [{ name: p, rate: 1/s, for: 1s }]
"#;
    tool.write("s.yaml", scenario);
    let check = || tool.run(&["check", "s.yaml"]);
    let ran = check();
    assert_eq!(ran.code, Some(2));
    let missing =
        "error: s.yaml:3:18: users.csv cannot be read: No such file or directory (os error 2)\n";
    assert!(ran.err.starts_with(missing), "{}", ran.err);
    tool.write("users.csv", "name,age\nada,36\n");
    tool.write("items.csv", "id\n1\n");
    let ran = check();
    let column = "error: s.yaml:10:25: users.csv has no column `nmae`; did you mean `name`? (it has name, age)\n";
    assert!(ran.err.starts_with("error: s.yaml:10:"), "{}", ran.err);
    assert!(ran.err.contains(&column[24..]), "{}", ran.err);
    tool.write("s.yaml", &scenario.replace("nmae", "name"));
    let ran = check();
    assert_eq!(
        (ran.code, ran.out.as_str()),
        (Some(0), "s.yaml: ok, 1 flow, phases p\n")
    );
    let warnings: Vec<&str> = ran
        .err
        .lines()
        .filter(|line| line.starts_with("warning: "))
        .collect();
    assert_eq!(
        warnings,
        [
            "warning: s.yaml:4:3: nothing uses the feeder `items`",
            "warning: s.yaml:5:30: nothing uses the captured value `admin`",
            "warning: s.yaml:8:29: nothing uses the variable `id`",
            "warning: s.yaml:10:72: nothing uses the captured value `unused`",
        ]
    );
}
