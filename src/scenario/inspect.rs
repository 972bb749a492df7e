//! What is read from a response: checks that it must pass, values that are captured from it.

use std::borrow::Cow;

use serde_json::Value as Json;
use serde_json_path::JsonPath;

use super::content::{Content, Keep, MOST_BODY_BYTES, is_secret};
use super::expectation::{Expectation, Pattern, pattern, plain_text};
use super::status::StatusSet;
use super::template::{Value, is_reserved};
use crate::document::{Fields, Keys, Kind, Node, Walk};
use crate::exchange::Outcome;

/// What a step expects of its response, and takes from it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Inspection {
    /// The statuses that are not a `status error`.
    pub status: StatusSet,
    checks: Vec<Check>,
    captures: Vec<Capture>,
}

/// Something that a response must be, beside its status.
#[derive(Debug, Clone, PartialEq)]
enum Check {
    Header(String, Expectation),
    Body(Expectation),
    Json(JsonPath, Expectation),
}

/// A value that is taken from a response.
#[derive(Debug, Clone, PartialEq)]
struct Capture {
    /// Its number in the walk.
    index: usize,
    name: String,
    from: From,
    optional: bool,
}

/// Where a captured value is.
#[derive(Debug, Clone, PartialEq)]
enum From {
    Json(JsonPath),
    Header(String),
    Cookie(String),
    Regex(Pattern),
}

/// Why a response is not as expected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unmet {
    /// A check failed.
    #[error("{0}")]
    Check(String),
    /// Something to capture was not there.
    #[error("{0}")]
    Capture(String),
}

impl Unmet {
    /// The outcome of its exchange.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        match self {
            Self::Check(_) => Outcome::CheckFailed,
            Self::Capture(_) => Outcome::CaptureFailed,
        }
    }
}

/// The longest text that is quoted of a response.
const QUOTED: usize = 80;

impl Inspection {
    /// What of a response it needs.
    #[must_use]
    pub fn keep(&self) -> Keep {
        let of_checks = self.checks.iter().map(|check| match check {
            Check::Header(..) => (true, false),
            Check::Body(_) | Check::Json(..) => (false, true),
        });
        let of_captures = self.captures.iter().map(|capture| match capture.from {
            From::Header(_) | From::Cookie(_) => (true, false),
            From::Json(_) | From::Regex(_) => (false, true),
        });
        of_checks
            .chain(of_captures)
            .fold(Keep::default(), |keep, (fields, body)| {
                keep.and(Keep { fields, body })
            })
    }

    /// Whether it takes anything from a response.
    #[must_use]
    pub fn captures_anything(&self) -> bool {
        !self.captures.is_empty()
    }

    /// Holds a response of an expected status against the checks, and puts what is captured from it into `captured`,
    /// which has a place for each of the walk's names.
    ///
    /// # Errors
    /// The first check that failed, or the first value that is not there. `captured` is then as it was.
    pub fn inspect(&self, content: &Content, captured: &mut [Option<Value>]) -> Result<(), Unmet> {
        let json = self.json(content)?;
        for check in &self.checks {
            check.hold(content, json.as_ref()).map_err(Unmet::Check)?;
        }
        let mut taken = Vec::with_capacity(self.captures.len());
        for capture in &self.captures {
            taken.push(
                capture
                    .take(content, json.as_ref())
                    .map_err(Unmet::Capture)?,
            );
        }
        for (capture, value) in self.captures.iter().zip(taken) {
            captured[capture.index] = value;
        }
        Ok(())
    }

    fn json(&self, content: &Content) -> Result<Option<Json>, Unmet> {
        let checked = |check: &Check| matches!(check, Check::Json(..));
        let taken = |capture: &Capture| matches!(capture.from, From::Json(_));
        let is_checked = self.checks.iter().any(checked);
        if !is_checked && !self.captures.iter().any(taken) {
            return Ok(None);
        }
        let parsed = body(content).and_then(|body| {
            serde_json::from_slice(body)
                .map_err(|error| format!("the body is no JSON ({error}): {}", quoted(body)))
        });
        match parsed {
            Ok(json) => Ok(Some(json)),
            Err(why) if is_checked => Err(Unmet::Check(why)),
            Err(why) => Err(Unmet::Capture(why)),
        }
    }
}

impl Check {
    fn hold(&self, content: &Content, json: Option<&Json>) -> Result<(), String> {
        match self {
            Self::Header(name, expected) => {
                let values: Vec<Json> = content
                    .values(name)
                    .map(|value| String::from_utf8_lossy(value).into())
                    .collect();
                let found: Vec<&Json> = values.iter().collect();
                let shown = if is_secret(name) {
                    "***".to_owned()
                } else {
                    list(&found)
                };
                let holds = expected.holds(&found);
                let failed = || format!("header {name} is {shown}, expected {expected}");
                holds.then_some(()).ok_or_else(failed)
            }
            Self::Body(expected) => {
                let body = body(content)?;
                let holds = match expected {
                    Expectation::Matches(pattern) => pattern.is_in(body),
                    expected => expected.holds(&[&Json::from(String::from_utf8_lossy(body))]),
                };
                let failed = || format!("expected {expected} in the body: {}", quoted(body));
                holds.then_some(()).ok_or_else(failed)
            }
            Self::Json(path, expected) => {
                let found = json.map(|json| path.query(json).all()).unwrap_or_default();
                let holds = expected.holds(&found);
                let failed = || format!("{path} is {}, expected {expected}", list(&found));
                holds.then_some(()).ok_or_else(failed)
            }
        }
    }
}

impl Capture {
    fn take(&self, content: &Content, json: Option<&Json>) -> Result<Option<Value>, String> {
        let found = match &self.from {
            From::Json(path) => {
                let nodes = json.map(|json| path.query(json).all()).unwrap_or_default();
                match nodes[..] {
                    [] => None,
                    [node] => Some(Value::json(node)),
                    _ => {
                        return Err(format!(
                            "`{}`: {path} is there {} times",
                            self.name,
                            nodes.len()
                        ));
                    }
                }
            }
            From::Header(name) => content.values(name).next().map(text_of),
            From::Cookie(name) => content
                .values("set-cookie")
                .find_map(|field| cookie(field, name))
                .map(text_of),
            From::Regex(pattern) => pattern.first_group(&content.body).map(text_of),
        };
        if found.is_some() || self.optional {
            return Ok(found);
        }
        let place = match &self.from {
            From::Json(path) => path.to_string(),
            From::Header(name) => format!("the header {name}"),
            From::Cookie(name) => format!("the cookie {name}"),
            From::Regex(pattern) => format!("a match of `{pattern}`"),
        };
        Err(format!("`{}`: {place} is not in the response", self.name))
    }
}

/// The body, if it was kept whole.
fn body(content: &Content) -> Result<&[u8], String> {
    if content.is_cut {
        return Err(format!(
            "the body is over {} MiB, which is more than is looked into",
            MOST_BODY_BYTES >> 20
        ));
    }
    Ok(&content.body)
}

fn text_of(bytes: &[u8]) -> Value {
    Value::text(&String::from_utf8_lossy(bytes))
}

/// The value of the cookie `name` that a `set-cookie` field sets (RFC 6265, section 5.2).
fn cookie<'f>(field: &'f [u8], name: &str) -> Option<&'f [u8]> {
    let pair = field.split(|&byte| byte == b';').next()?;
    let at = pair.iter().position(|&byte| byte == b'=')?;
    (pair[..at].trim_ascii() == name.as_bytes()).then(|| pair[at + 1..].trim_ascii())
}

/// The beginning of a text of a response.
fn quoted(bytes: &[u8]) -> String {
    let text: Cow<'_, str> = String::from_utf8_lossy(bytes);
    let one_line: String = text
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    match one_line.char_indices().nth(QUOTED) {
        Some((end, _)) => format!("`{}…`", &one_line[..end]),
        None if one_line.is_empty() => "it is empty".to_owned(),
        None => format!("`{one_line}`"),
    }
}

/// Values that were found, on one line.
fn list(values: &[&Json]) -> String {
    match values {
        [] => "not there".to_owned(),
        [value] => short(value),
        values => format!(
            "there {} times, first as {}",
            values.len(),
            short(values[0])
        ),
    }
}

fn short(value: &Json) -> String {
    let text = value.to_string();
    match text.char_indices().nth(QUOTED) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

pub(super) const CHECK_KEYS: Keys = Keys::new(&["status", "header", "body", "json"], &[]);
pub(super) const BODY_KEYS: Keys = Keys::new(&["contains", "matches"], &[]);
pub(super) const CAPTURE_KEYS: Keys =
    Keys::new(&["json", "header", "cookie", "regex", "optional"], &[]);

/// The most captures of all steps of a flow: each walk remembers them.
const MOST_CAPTURES: usize = 100;

/// Reads `checks` and `capture` of the step, or the call, in `fields`. A new name is added to `names`, and its place
/// there is its number.
pub(super) fn read<'d>(
    walk: &mut Walk<'d>,
    fields: Fields<'d>,
    names: &mut Vec<String>,
) -> Option<Inspection> {
    let checks = match fields.get("checks") {
        Some(node) => checks(walk, node),
        None => Some((StatusSet::default(), Vec::new())),
    };
    let captures = match fields.get("capture") {
        Some(node) => captures(walk, node, names),
        None => Some(Vec::new()),
    };
    let (status, checks) = checks?;
    Some(Inspection {
        status,
        checks,
        captures: captures?,
    })
}

fn checks<'d>(walk: &mut Walk<'d>, node: &'d Node) -> Option<(StatusSet, Vec<Check>)> {
    let fields = walk.map(node, "`checks`", CHECK_KEYS)?;
    let status = match fields.get("status") {
        Some(node) => StatusSet::read(walk, node),
        None => Some(StatusSet::default()),
    };
    let mut checks = Some(Vec::new());
    let mut add = |check: Option<Check>| match (check, &mut checks) {
        (Some(check), Some(checks)) => checks.push(check),
        (None, checks) => *checks = None,
        (Some(_), None) => {}
    };
    if let Some(node) = fields.get("header") {
        match walk.named(node, "`header`") {
            Some(entries) => {
                for (name, value) in entries {
                    let expected = Expectation::read(walk, value, &name.text);
                    let name = header(walk, name);
                    add(name
                        .zip(expected)
                        .map(|(name, expected)| Check::Header(name, expected)));
                }
            }
            None => add(None),
        }
    }
    if let Some(node) = fields.get("body") {
        match walk.map(node, "`body`", BODY_KEYS) {
            Some(fields) => {
                if let Some(value) = fields.get("contains") {
                    let text = plain_text(walk, value, "contains");
                    add(text.map(|text| Check::Body(Expectation::Contains(text))));
                }
                if let Some(value) = fields.get("matches") {
                    let pattern = pattern(walk, value, "matches");
                    add(pattern.map(|pattern| Check::Body(Expectation::Matches(pattern))));
                }
            }
            None => add(None),
        }
    }
    if let Some(node) = fields.get("json") {
        match walk.named(node, "`json`") {
            Some(entries) => {
                for (key, value) in entries {
                    let path = json_path(walk, key);
                    let expected = Expectation::read(walk, value, &key.text);
                    add(path
                        .zip(expected)
                        .map(|(path, expected)| Check::Json(path, expected)));
                }
            }
            None => add(None),
        }
    }
    Some((status?, checks?))
}

fn captures<'d>(
    walk: &mut Walk<'d>,
    node: &'d Node,
    names: &mut Vec<String>,
) -> Option<Vec<Capture>> {
    let entries = walk.named(node, "`capture`")?;
    let mut captures = Vec::new();
    for (key, value) in entries {
        let name = walk.name(key, "captured value");
        let from = capture(walk, key, value);
        let (Some(name), Some((from, optional))) = (name, from) else {
            continue;
        };
        if is_reserved(&name) {
            walk.refuse(
                key.place,
                format!("`{name}` is a function; call the value otherwise"),
            );
            continue;
        }
        let index = names
            .iter()
            .position(|known| *known == name)
            .unwrap_or_else(|| {
                names.push(name.clone());
                names.len() - 1
            });
        if names.len() > MOST_CAPTURES {
            walk.refuse(
                key.place,
                format!("more than {MOST_CAPTURES} captured values in a flow"),
            );
            return None;
        }
        captures.push(Capture {
            index,
            name,
            from,
            optional,
        });
    }
    (captures.len() == entries.len()).then_some(captures)
}

fn capture<'d>(walk: &mut Walk<'d>, key: &Node, node: &'d Node) -> Option<(From, bool)> {
    if matches!(node.kind, Kind::Str) {
        return json_path(walk, node).map(|path| (From::Json(path), false));
    }
    let wants = format!("`{}`", key.text);
    if !matches!(node.kind, Kind::Map(_)) {
        walk.wrong_type(
            node,
            &key.text,
            "$.path, { header: … }, { cookie: … } or { regex: … }",
        );
        return None;
    }
    let fields = walk.map(node, &wants, CAPTURE_KEYS)?;
    let optional = match fields.get("optional") {
        Some(node) => walk.boolean(node, "optional"),
        None => Some(false),
    };
    let kinds = ["json", "header", "cookie", "regex"];
    let mut written = kinds.iter().filter_map(|&kind| fields.entry(kind));
    let (first, second) = (written.next(), written.next());
    if let Some((key, _)) = second {
        let message = format!(
            "a value is captured from one place, and `{}` is its second",
            key.text
        );
        walk.refuse(key.place, message);
        return None;
    }
    let Some((kind, value)) = first else {
        if !kinds.iter().any(|kind| walk.misspelt(fields, kind)) {
            let hint = "write $.path, { header: … }, { cookie: … } or { regex: … }";
            walk.refuse_with_hint(
                node.place,
                format!("{wants} does not say where the value is"),
                hint,
            );
        }
        return None;
    };
    let from = match kind.text.as_str() {
        "json" => json_path(walk, value).map(From::Json),
        "header" => header(walk, value).map(From::Header),
        "cookie" => plain_text(walk, value, "cookie").map(From::Cookie),
        _ => {
            let found = pattern(walk, value, "regex")?;
            if found.groups() > 1 {
                let message = "a pattern that captures has at most one group".to_owned();
                walk.refuse_with_hint(value.place, message, "write (?:…) for the others");
                return None;
            }
            Some(From::Regex(found))
        }
    };
    from.zip(optional)
}

fn header(walk: &mut Walk<'_>, node: &Node) -> Option<String> {
    match http::HeaderName::from_bytes(node.text.as_bytes()) {
        Ok(name) => Some(name.as_str().to_owned()),
        Err(_) => {
            walk.refuse(node.place, format!("`{}` is not a header name", node.text));
            None
        }
    }
}

/// The longest JSON path: filters within filters are read by recursion.
const MOST_PATH_BYTES: usize = 256;

fn json_path(walk: &mut Walk<'_>, node: &Node) -> Option<JsonPath> {
    if node.text.len() > MOST_PATH_BYTES {
        walk.refuse(
            node.place,
            format!("a JSON path has at most {MOST_PATH_BYTES} bytes"),
        );
        return None;
    }
    match JsonPath::parse(&node.text) {
        Ok(path) => Some(path),
        Err(error) => {
            let hint = "paths are those of RFC 9535, such as $.items[0].id";
            let message = format!("`{}` is no JSON path: {error}", node.text);
            walk.refuse_with_hint(node.place, message.replace('\n', " "), hint);
            None
        }
    }
}

#[cfg(test)]
mod tests;
