//! What of the contract can be asked of a service that runs already, wherever and whoever's it is: every row of REST,
//! with the statuses that requests alone can bring about. It needs the seeded state, and no more than that: items and accounts
//! may have changed since. It books a transfer of one minor unit, changes an item and sends a few events.

use crate::http::Answer;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// No answer takes longer.
const PATIENCE: Duration = Duration::from_secs(10);

/// What a service says to one row of the contract.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Its number in the contract.
    pub number: &'static str,
    /// Method and path.
    pub title: &'static str,
    /// The statuses that came.
    pub statuses: BTreeSet<u16>,
    /// What was not as it should be.
    pub failure: Option<String>,
}

/// Asks the service at `url`, such as `http://127.0.0.1:8080`, row by row, and tells of each.
pub async fn check_url(url: &str, mut tell: impl FnMut(&Row)) -> Vec<Row> {
    let client = reqwest::Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .timeout(PATIENCE)
        .build();
    let mut rows = Vec::new();
    for (number, title, ask) in ROWS {
        let statuses = Mutex::default();
        let asked = match &client {
            Ok(client) => {
                let service = Remote {
                    client,
                    url: url.trim_end_matches('/'),
                    statuses: &statuses,
                };
                ask(&service).await
            }
            Err(error) => Err(format!("no client: {error}")),
        };
        let row = Row {
            number,
            title,
            statuses: statuses
                .into_inner()
                .unwrap_or_else(PoisonError::into_inner),
            failure: asked.err(),
        };
        tell(&row);
        rows.push(row);
    }
    rows
}

type Asked = Result<(), String>;
type Ask = for<'r> fn(&'r Remote<'r>) -> Pin<Box<dyn Future<Output = Asked> + 'r>>;

/// Number, title and what asks.
macro_rules! rows {
    ($(($number:literal, $title:literal, $ask:ident),)*) => {
        &[$(($number, $title, |service| Box::pin($ask(service)))),*]
    };
}

const ROWS: &[(&str, &str, Ask)] = rows![
    ("1", "GET /livez, /readyz", probes),
    ("2", "GET /v1/plaintext, /v1/json", greetings),
    ("3", "GET /v1/accounts/{id}", account),
    ("4", "GET /v1/accounts/random", random_accounts),
    ("5", "GET /v1/items", items),
    ("6", "GET /v1/items/{id}", item),
    ("7", "PUT /v1/items/{id}", item_update),
    ("8", "POST /v1/transfers", transfer),
    ("9", "GET /v1/transfers/{id}", booked_transfer),
    ("10", "POST /v1/events", events),
    ("11", "POST /v1/events/batch", batches),
    ("12", "ANY /v1/gateway/items/{id}", gateway),
    ("14", "POST /v1/sessions", sessions),
    ("–", "other paths and methods", others),
];

/// A service that runs.
struct Remote<'r> {
    client: &'r reqwest::Client,
    url: &'r str,
    statuses: &'r Mutex<BTreeSet<u16>>,
}

/// What a case sends beside its method and path.
#[derive(Default)]
struct With<'w> {
    headers: &'w [(&'w str, &'w str)],
    /// Of `application/json`, unless a header says otherwise.
    body: Option<&'w str>,
}

impl Remote<'_> {
    async fn send(&self, line: &str, with: With<'_>) -> Result<Answer, String> {
        let (method, path) = line
            .split_once(' ')
            .ok_or("a line has a method and a path")?;
        let method = method.parse().map_err(|_| format!("no method: {method}"))?;
        let mut request = self.client.request(method, format!("{}{path}", self.url));
        if let Some(body) = with.body {
            request = request.body(body.to_owned());
            if with.headers.iter().all(|(name, _)| *name != "content-type") {
                request = request.header("content-type", "application/json");
            }
        }
        for (name, value) in with.headers {
            request = request.header(*name, *value);
        }
        let failed = |error: reqwest::Error| format!("{line}: {}", causes(&error));
        let response = request.send().await.map_err(failed)?;
        let status = response.status().as_u16();
        let headers = response
            .headers()
            .iter()
            .filter_map(|(name, value)| Some((name.to_string(), value.to_str().ok()?.to_owned())));
        let headers: BTreeMap<_, _> = headers.collect();
        let body = response.text().await.map_err(failed)?;
        let mut statuses = self.statuses.lock().unwrap_or_else(PoisonError::into_inner);
        statuses.insert(status);
        Ok(Answer {
            status,
            headers,
            body,
        })
    }

    /// An answer with this status, in JSON.
    async fn ok(&self, line: &str, with: With<'_>, status: u16) -> Result<(Answer, Value), String> {
        let answer = self.send(line, with).await?;
        let came = |what: &str| format!("{line}: {status} {what}, and {} came", shown(&answer));
        if answer.status != status {
            return Err(came("was expected"));
        }
        let value = serde_json::from_str(&answer.body);
        match (answer.headers.get("content-type"), value) {
            (Some(kind), Ok(value)) if kind == "application/json" => Ok((answer, value)),
            _ => Err(came("in application/json was expected")),
        }
    }

    /// The contract's error with this status and code.
    async fn refused(
        &self,
        line: &str,
        with: With<'_>,
        status: u16,
        code: &str,
    ) -> Result<Answer, String> {
        let (answer, body) = self.ok(line, with, status).await?;
        let text = |value: &Value| value.as_str().is_some_and(|text| !text.is_empty());
        let is_error = body["error"]["code"] == code
            && text(&body["error"]["message"])
            && text(&body["request_id"]);
        if !is_error {
            return Err(format!(
                "{line}: an error with the code {code} was expected, and {} came",
                shown(&answer)
            ));
        }
        Ok(answer)
    }
}

/// A request without headers and body.
fn plain<'w>() -> With<'w> {
    With::default()
}

fn body<'w>(body: &'w str) -> With<'w> {
    With {
        body: Some(body),
        ..With::default()
    }
}

fn headers<'w>(headers: &'w [(&'w str, &'w str)]) -> With<'w> {
    With {
        headers,
        ..With::default()
    }
}

/// Status and the beginning of the body.
fn shown(answer: &Answer) -> String {
    let body: String = answer.body.chars().take(120).collect();
    format!("{} {body}", answer.status)
}

fn causes(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

/// Fails with `words` unless it `holds`.
fn that(holds: bool, words: &str, answer: &Answer) -> Asked {
    match holds {
        true => Ok(()),
        false => Err(format!("{words}, and {} came", shown(answer))),
    }
}

fn header(answer: &Answer, name: &str, expected: &str) -> Asked {
    let value = answer.headers.get(name).map(String::as_str);
    match value == Some(expected) {
        true => Ok(()),
        false => Err(format!(
            "{name}: {expected} was expected, and {value:?} came"
        )),
    }
}

/// Something that nobody has sent before.
fn unique() -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = now.map_or(0, |now| now.as_nanos());
    format!("check-{}-{now}", std::process::id())
}

async fn probes(service: &Remote<'_>) -> Asked {
    for (path, body) in [
        ("/livez", r#"{"status":"alive"}"#),
        ("/readyz", r#"{"status":"ready"}"#),
    ] {
        let (answer, _) = service.ok(&format!("GET {path}"), plain(), 200).await?;
        that(answer.body == body, body, &answer)?;
    }
    Ok(())
}

async fn greetings(service: &Remote<'_>) -> Asked {
    let answer = service.send("GET /v1/plaintext", plain()).await?;
    let greets = answer.status == 200 && answer.body == "Hello, World!";
    that(greets, "a 200 with `Hello, World!` was expected", &answer)?;
    header(&answer, "content-type", "text/plain; charset=utf-8")?;
    let (answer, _) = service.ok("GET /v1/json", plain(), 200).await?;
    let greets = answer.body == r#"{"message":"Hello, World!"}"#;
    that(greets, "the greeting was expected", &answer)
}

/// Whether `value` is an account of the seed.
fn is_account(value: &Value) -> bool {
    value["id"]
        .as_i64()
        .is_some_and(|id| (1..=10_000).contains(&id))
        && value["balance_minor"]
            .as_i64()
            .is_some_and(|balance| balance >= 0)
        && value["currency"] == "EUR"
        && value.as_object().is_some_and(|object| object.len() == 3)
}

async fn account(service: &Remote<'_>) -> Asked {
    let (answer, value) = service.ok("GET /v1/accounts/10000", plain(), 200).await?;
    let is_it = is_account(&value) && value["id"] == 10_000;
    that(is_it, "account 10000 was expected", &answer)?;
    let unknown = ("GET /v1/accounts/10001", 404, "account_not_found");
    let wrong = ("GET /v1/accounts/x", 400, "invalid_account_id");
    for (line, status, code) in [unknown, wrong] {
        service.refused(line, plain(), status, code).await?;
    }
    Ok(())
}

async fn random_accounts(service: &Remote<'_>) -> Asked {
    for (n, count) in [("", 1), ("?n=20", 20), ("?n=x", 1), ("?n=501", 500)] {
        let line = format!("GET /v1/accounts/random{n}");
        let (answer, value) = service.ok(&line, plain(), 200).await?;
        let accounts = value.as_array().filter(|accounts| accounts.len() == count);
        let are_accounts = accounts.is_some_and(|accounts| accounts.iter().all(is_account));
        that(
            are_accounts,
            &format!("{line}: {count} accounts were expected"),
            &answer,
        )?;
    }
    Ok(())
}

/// Whether `value` is an item.
fn is_item(value: &Value) -> bool {
    value["id"].as_i64().is_some_and(|id| id >= 1)
        && value["name"].as_str().is_some_and(|name| !name.is_empty())
        && value["category"]
            .as_i64()
            .is_some_and(|category| (1..=20).contains(&category))
        && value["price_minor"]
            .as_i64()
            .is_some_and(|price| price >= 0)
        && value["version"]
            .as_i64()
            .is_some_and(|version| version >= 1)
        && value.as_object().is_some_and(|object| object.len() == 5)
}

async fn items(service: &Remote<'_>) -> Asked {
    let mut after = 0;
    for _ in 0..3 {
        let line = format!("GET /v1/items?category=7&after={after}&limit=5");
        let (answer, page) = service.ok(&line, plain(), 200).await?;
        let items = page["items"].as_array().map_or(&[][..], Vec::as_slice);
        let ids: Vec<i64> = items
            .iter()
            .filter_map(|item| item["id"].as_i64())
            .collect();
        let ascend = ids.iter().zip(&ids[1.min(ids.len())..]).all(|(a, b)| a < b);
        let sound = ids.len() == 5
            && ascend
            && ids[0] > after
            && items
                .iter()
                .all(|item| is_item(item) && item["category"] == 7);
        that(
            sound,
            &format!("{line}: five items in ascending id were expected"),
            &answer,
        )?;
        after = ids[4];
        let next = page["next_after"] == after;
        that(
            next,
            &format!("{line}: next_after {after} was expected"),
            &answer,
        )?;
    }
    for query in [
        "",
        "?category=0",
        "?category=21",
        "?category=1&limit=51",
        "?category=x",
    ] {
        let line = format!("GET /v1/items{query}");
        service
            .refused(&line, plain(), 400, "invalid_query")
            .await?;
    }
    Ok(())
}

/// An item that checks may change, with its entity tag.
async fn read_item(service: &Remote<'_>) -> Result<(Value, String), String> {
    let (answer, value) = service.ok("GET /v1/items/9999", plain(), 200).await?;
    that(is_item(&value), "an item was expected", &answer)?;
    let tag = format!("\"{}\"", value["version"]);
    header(&answer, "etag", &tag)?;
    let cache = answer.headers.get("x-cache").map_or("", String::as_str);
    let known = ["hit", "miss", "bypass"].contains(&cache);
    that(known, "x-cache: hit, miss or bypass was expected", &answer)?;
    Ok((value, tag))
}

async fn item(service: &Remote<'_>) -> Asked {
    read_item(service).await?;
    for id in ["10001", "0", "x"] {
        let line = format!("GET /v1/items/{id}");
        service
            .refused(&line, plain(), 404, "item_not_found")
            .await?;
    }
    Ok(())
}

async fn item_update(service: &Remote<'_>) -> Asked {
    const LINE: &str = "PUT /v1/items/9999";
    let new = r#"{"name":"Checked","category":7,"price_minor":9999}"#;
    let with = |if_match: &'static [(&'static str, &'static str)]| With {
        headers: if_match,
        body: Some(new),
    };
    let (answer, changed) = service.ok(LINE, with(&[("if-match", "*")]), 200).await?;
    let is_new = changed["name"] == "Checked" && changed["price_minor"] == 9_999;
    that(
        is_item(&changed) && is_new,
        "the changed item was expected",
        &answer,
    )?;
    let tag = format!("\"{}\"", changed["version"]);
    header(&answer, "etag", &tag)?;
    let own = [("if-match", tag.as_str())];
    let conditional = || With {
        headers: &own,
        body: Some(new),
    };
    service.ok(LINE, conditional(), 200).await?;
    service
        .refused(LINE, conditional(), 412, "version_mismatch")
        .await?;
    service
        .refused(LINE, body(new), 428, "precondition_required")
        .await?;
    let loose = with(&[("if-match", "7")]);
    service
        .refused(LINE, loose, 400, "invalid_if_match")
        .await?;
    let unknown = with(&[("if-match", "*")]);
    service
        .refused("PUT /v1/items/10001", unknown, 404, "item_not_found")
        .await?;
    let typed = with(&[("if-match", "*"), ("content-type", "text/plain")]);
    service
        .refused(LINE, typed, 415, "unsupported_media_type")
        .await?;
    let large = format!("{new}{}", " ".repeat(16 * 1_024));
    let any = [("if-match", "*")];
    for (text, status, code) in [
        (
            r#"{"name":"","category":7,"price_minor":1}"#,
            400,
            "invalid_body",
        ),
        (
            r#"{"name":"a","category":21,"price_minor":1}"#,
            400,
            "invalid_body",
        ),
        (&large, 413, "body_too_large"),
    ] {
        let with = With {
            headers: &any,
            body: Some(text),
        };
        service.refused(LINE, with, status, code).await?;
    }
    Ok(())
}

const TRANSFERS: &str = "POST /v1/transfers";

fn order(from: i64, to: i64, amount: i64) -> String {
    format!(r#"{{"from":{from},"to":{to},"amount_minor":{amount},"currency":"EUR"}}"#)
}

async fn transfer(service: &Remote<'_>) -> Asked {
    let key = unique();
    let key = [("idempotency-key", key.as_str())];
    let new = order(5_000, 10_000, 1);
    let with = |order: &'static str| With {
        headers: &[("idempotency-key", "check-refused")],
        body: Some(order),
    };
    let first = || With {
        headers: &key,
        body: Some(&new),
    };
    let (booked, value) = service.ok(TRANSFERS, first(), 201).await?;
    header(
        &booked,
        "location",
        &format!("/v1/transfers/{}", value["id"]),
    )?;
    let (again, _) = service.ok(TRANSFERS, first(), 201).await?;
    that(
        again.body == booked.body,
        "the first answer was expected again",
        &again,
    )?;
    header(&again, "idempotency-replayed", "true")?;
    let other = order(5_000, 10_000, 2);
    let reused = With {
        headers: &key,
        body: Some(&other),
    };
    service
        .refused(TRANSFERS, reused, 422, "key_reused")
        .await?;
    service
        .refused(TRANSFERS, body(&new), 400, "missing_idempotency_key")
        .await?;
    const SAME: &str = r#"{"from":5,"to":5,"amount_minor":1,"currency":"EUR"}"#;
    const NOBODY: &str = r#"{"from":5,"to":10001,"amount_minor":1,"currency":"EUR"}"#;
    const NOTHING: &str = r#"{"from":5,"to":6,"amount_minor":0,"currency":"EUR"}"#;
    const DOLLARS: &str = r#"{"from":5,"to":6,"amount_minor":1,"currency":"USD"}"#;
    for (order, status, code) in [
        (SAME, 422, "same_account"),
        (NOBODY, 404, "account_not_found"),
        (NOTHING, 400, "invalid_body"),
        (DOLLARS, 422, "currency_mismatch"),
        ("{", 400, "invalid_body"),
    ] {
        service
            .refused(TRANSFERS, with(order), status, code)
            .await?;
    }
    let typed = With {
        headers: &[
            ("idempotency-key", "check-refused"),
            ("content-type", "text/plain"),
        ],
        body: Some(&new),
    };
    service
        .refused(TRANSFERS, typed, 415, "unsupported_media_type")
        .await?;
    let large = format!("{new}{}", " ".repeat(16 * 1_024));
    let large = With {
        headers: &key,
        body: Some(&large),
    };
    service
        .refused(TRANSFERS, large, 413, "body_too_large")
        .await
        .map(drop)
}

async fn booked_transfer(service: &Remote<'_>) -> Asked {
    let key = unique();
    let new = With {
        headers: &[("idempotency-key", &key)],
        body: Some(&order(5_000, 10_000, 1)),
    };
    let (booked, value) = service.ok(TRANSFERS, new, 201).await?;
    let line = format!("GET /v1/transfers/{}", value["id"]);
    let (read, _) = service.ok(&line, plain(), 200).await?;
    that(
        read.body == booked.body,
        "the booked transfer was expected",
        &read,
    )?;
    for id in ["9223372036854775807", "x"] {
        let line = format!("GET /v1/transfers/{id}");
        service
            .refused(&line, plain(), 404, "transfer_not_found")
            .await?;
    }
    Ok(())
}

const EVENT: &str = r#"{"device":"check","at":1767225600000,"value":21.5}"#;

/// What both ways to send events refuse.
async fn bad_events(service: &Remote<'_>, line: &str) -> Asked {
    let many = format!(r#"{{"events":[{}]}}"#, vec![EVENT; 1_001].join(","));
    let large = format!(r#"{{"events":[{EVENT}]}}{}"#, " ".repeat(256 * 1_024));
    for (text, status, code) in [
        (r#"{"events":[]}"#, 400, "invalid_body"),
        (r#"{"events":[{"device":"check"}]}"#, 400, "invalid_body"),
        (&many, 400, "invalid_body"),
        (&large, 413, "body_too_large"),
    ] {
        service.refused(line, body(text), status, code).await?;
    }
    Ok(())
}

async fn events(service: &Remote<'_>) -> Asked {
    const LINE: &str = "POST /v1/events";
    let two = format!(r#"{{"events":[{EVENT},{EVENT}]}}"#);
    service.ok(LINE, body(&two), 202).await?;
    bad_events(service, LINE).await
}

async fn batches(service: &Remote<'_>) -> Asked {
    const LINE: &str = "POST /v1/events/batch";
    let one = format!(r#"{{"events":[{EVENT}]}}"#);
    for (query, status) in [("", 201), ("?ack=durable", 201), ("?ack=queued", 202)] {
        service
            .ok(&format!("{LINE}{query}"), body(&one), status)
            .await?;
    }
    let line = format!("{LINE}?ack=never");
    service
        .refused(&line, body(&one), 400, "invalid_query")
        .await?;
    bad_events(service, LINE).await
}

async fn gateway(service: &Remote<'_>) -> Asked {
    const LINE: &str = "GET /v1/gateway/items/7";
    let nobody = service.refused(LINE, plain(), 401, "missing_token").await?;
    header(&nobody, "www-authenticate", "Bearer")?;
    let forged = headers(&[("authorization", "Bearer a.b.c")]);
    service.refused(LINE, forged, 401, "invalid_token").await?;
    let login = body(r#"{"user":"user-1","password":"secret-1"}"#);
    let (_, session) = service.ok("POST /v1/sessions", login, 201).await?;
    let bearer = format!("Bearer {}", session["token"].as_str().unwrap_or_default());
    let signed: &[(&str, &str)] = &[("authorization", &bearer)];
    let answer = service.send(LINE, headers(signed)).await?;
    match answer.status {
        200 => Ok(()),
        // Whether an upstream stands behind it is another matter.
        502 | 504 => {
            let code = if answer.status == 502 {
                "bad_gateway"
            } else {
                "gateway_timeout"
            };
            service
                .refused(LINE, headers(signed), answer.status, code)
                .await
                .map(drop)
        }
        _ => Err(format!(
            "{LINE}: the upstream's answer was expected, and {} came",
            shown(&answer)
        )),
    }
}

async fn sessions(service: &Remote<'_>) -> Asked {
    const LINE: &str = "POST /v1/sessions";
    let login = body(r#"{"user":"user-10000","password":"secret-10000"}"#);
    let (answer, session) = service.ok(LINE, login, 201).await?;
    let is_session = session["token"]
        .as_str()
        .is_some_and(|token| token.split('.').count() == 3)
        && session["token_type"] == "Bearer"
        && session["expires_in"]
            .as_i64()
            .is_some_and(|seconds| seconds > 0);
    that(is_session, "a token was expected", &answer)?;
    let wrong = body(r#"{"user":"user-1","password":"secret-2"}"#);
    let refused = service
        .refused(LINE, wrong, 401, "invalid_credentials")
        .await?;
    header(&refused, "www-authenticate", "Bearer")?;
    service
        .refused(LINE, body("{}"), 400, "invalid_body")
        .await
        .map(drop)
}

async fn others(service: &Remote<'_>) -> Asked {
    service
        .refused("GET /v1/nowhere", plain(), 404, "path_not_found")
        .await?;
    service
        .refused("DELETE /v1/transfers", plain(), 405, "method_not_allowed")
        .await
        .map(drop)
}
