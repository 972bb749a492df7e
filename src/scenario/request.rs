//! The request of a step: read once, rendered per exchange.

use http::header::{
    CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, EXPECT, HeaderName, HeaderValue, TRANSFER_ENCODING,
    UPGRADE,
};
use http::{Method, uri::PathAndQuery};

use super::template::{Builder, Draw, Template};
use crate::document::{Fields, Flaw, Kind, Node, Walk};

/// A request with slots. Its path renders to a valid path and query, its headers to valid header values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestTemplate {
    /// The method.
    pub method: Method,
    /// Path and query, beginning with `/`.
    pub path: Template,
    /// The step's headers, then those of the scenario that the step does not set itself; no name twice. `host` only
    /// if it was written; never `content-length`, `transfer-encoding` or `connection`.
    pub headers: Vec<(HeaderName, Template)>,
    /// The body, if there is one.
    pub body: Option<Template>,
}

/// The keys that name a method and take its path.
const METHOD_KEYS: [(&str, Method); 7] = [
    ("get", Method::GET),
    ("post", Method::POST),
    ("put", Method::PUT),
    ("patch", Method::PATCH),
    ("delete", Method::DELETE),
    ("head", Method::HEAD),
    ("options", Method::OPTIONS),
];

/// The most headers of a request: servers commonly stop at 100.
const MAX_HEADERS: usize = 100;

/// The most text in a map of headers: servers commonly refuse requests from 8 to 64 KiB on.
const MAX_HEADER_BYTES: usize = 64 << 10;

/// A request and the path as it was written, by which a step without a name is called.
pub(super) struct Read<'d> {
    pub(super) request: RequestTemplate,
    pub(super) path: &'d str,
}

/// Reads the request of the step in `fields`; `shared` are the scenario's own headers.
pub(super) fn read<'d>(
    walk: &mut Walk<'d>,
    fields: Fields<'d>,
    shared: Option<&'d Node>,
) -> Option<Read<'d>> {
    let slots = &mut 0;
    let target = method_and_path(walk, fields);
    let path = target
        .as_ref()
        .and_then(|(_, node, key)| path(walk, node, key, slots));
    let own = fields.get("headers").map(|node| headers(walk, node, slots));
    let inherited = shared.map(|node| headers(walk, node, slots));
    let body = body(walk, fields, slots);
    let (own, inherited) = (
        own.unwrap_or(Some(Vec::new())),
        inherited.unwrap_or(Some(Vec::new())),
    );
    let ((method, node, _), path, mut headers, body) = (target?, path?, own?, body?);
    for (name, value) in inherited? {
        if !headers.iter().any(|(own, _)| *own == name) {
            headers.push((name, value));
        }
    }
    if fields.get("json").is_some() && !headers.iter().any(|(name, _)| *name == CONTENT_TYPE) {
        let mut json = Builder::new(slots);
        json.literal(b"application/json");
        headers.push((CONTENT_TYPE, json.finish()));
    }
    Some(Read {
        request: RequestTemplate {
            method,
            path,
            headers,
            body,
        },
        path: &node.text,
    })
}

/// Checks the scenario's own headers once; what they become depends on the step.
pub(super) fn check_headers<'d>(walk: &mut Walk<'d>, node: &'d Node) -> Option<()> {
    headers(walk, node, &mut 0).map(|_| ())
}

fn method_and_path<'d>(
    walk: &mut Walk<'d>,
    fields: Fields<'d>,
) -> Option<(Method, &'d Node, &'static str)> {
    let mut written = METHOD_KEYS
        .iter()
        .filter_map(|(key, method)| Some((method, fields.entry(key)?, *key)));
    let first = written.next();
    if let Some((_, (second, _), _)) = written.next() {
        let message = format!(
            "a step has one request, and `{}` is its second",
            second.text
        );
        walk.refuse(second.place, message);
        return None;
    }
    match (first, fields.entry("method")) {
        (Some((method, (_, path), key)), None) => {
            if let Some((name, _)) = fields.entry("path") {
                walk.refuse(
                    name.place,
                    format!("`path` goes with `method`; `{key}` has its path already"),
                );
            }
            Some((method.clone(), path, key))
        }
        (Some((_, _, key)), Some((name, _))) => {
            walk.refuse(
                name.place,
                format!("a step has one request: `method` excludes `{key}`"),
            );
            None
        }
        (None, Some((_, node))) => {
            let method = custom_method(walk, node);
            let path = walk.required(fields, "a step with `method`", "path");
            Some((method?, path?, "path"))
        }
        (None, None) => {
            let mut keys = METHOD_KEYS.iter().map(|(key, _)| *key).chain(["method"]);
            if keys.any(|key| walk.misspelt(fields, key)) {
                return None;
            }
            let hint = "write one of get, post, put, patch, delete, head, options with a path";
            walk.refuse_with_hint(fields.place(), "a step without a request", hint);
            None
        }
    }
}

fn custom_method<'d>(walk: &mut Walk<'d>, node: &'d Node) -> Option<Method> {
    let text = walk.text(node, "method", "a method such as PURGE")?;
    match Method::from_bytes(text.as_bytes()) {
        Ok(Method::CONNECT) => walk.refuse(
            node.place,
            "`CONNECT` opens a tunnel; tailmark measures requests",
        ),
        Ok(method) => return Some(method),
        Err(_) => walk.refuse(node.place, format!("`{text}` is not an HTTP method")),
    }
    None
}

fn path<'d>(walk: &mut Walk<'d>, node: &'d Node, key: &str, slots: &mut u32) -> Option<Template> {
    let text = walk.text(node, key, "a path such as /v1/items")?;
    let mut builder = Builder::new(slots);
    let parsed = if text.starts_with('/') {
        builder
            .text(text)
            .map(|()| builder.finish())
            .and_then(|template| check_path(text, template))
    } else {
        let message = format!("`{key}` wants a path that begins with `/`, found `{text}`");
        let hint = text
            .contains("://")
            .then(|| "a scenario knows no host: it is replayed against --target".to_owned());
        Err(Flaw {
            offset: 0,
            message,
            hint,
        })
    };
    parsed.map_err(|flaw| walk.refuse_flaw(node, &flaw)).ok()
}

/// Refuses what a request line cannot carry (RFC 3986, sections 3.3 and 3.4). Slots hold unreserved characters only.
fn check_path(text: &str, template: Template) -> Result<Template, Flaw> {
    let literals = || {
        template
            .literals()
            .flat_map(|literal| literal.iter().copied())
    };
    let flaw = |bad: char, message: String, hint: String| {
        // The character is looked up in the text as written, where `${…}` may hold it too: the first is near enough.
        Flaw {
            offset: text.find(bad).unwrap_or(0),
            message,
            hint: Some(hint),
        }
    };
    for byte in literals() {
        let c = char::from(byte);
        if c == '#' {
            return Err(flaw(
                '#',
                "a fragment (`#…`) is never sent".to_owned(),
                "write %23 for a literal #".to_owned(),
            ));
        }
        if !byte.is_ascii() {
            let bad = text.chars().find(|c| !c.is_ascii()).unwrap_or(c);
            let encoded: String = bad
                .encode_utf8(&mut [0; 4])
                .bytes()
                .map(|byte| format!("%{byte:02X}"))
                .collect();
            return Err(flaw(
                bad,
                format!("`{bad}` cannot stand in a path"),
                format!("write {encoded}"),
            ));
        }
        if !(c.is_ascii_alphanumeric() || "-._~!$&'()*+,;=:@/?%[]|".contains(c)) {
            let message = format!(
                "{} cannot stand in a path",
                if c == ' ' {
                    "a space".to_owned()
                } else {
                    format!("`{}`", c.escape_default())
                }
            );
            let hint = match c {
                '{' | '}' => format!("write ${{…}} for a value, %{byte:02X} for the brace itself"),
                _ => format!("write %{byte:02X}"),
            };
            return Err(flaw(c, message, hint));
        }
    }
    let mut sample = Vec::new();
    template.render(
        &Draw {
            seed: 0,
            arrival: 0,
            step: 0,
        },
        &mut sample,
    );
    for (at, _) in sample.iter().enumerate().filter(|(_, byte)| **byte == b'%') {
        let digits = sample.get(at + 1..at + 3).unwrap_or_default();
        if digits.len() < 2 || !digits.iter().all(u8::is_ascii_hexdigit) {
            return Err(flaw(
                '%',
                "`%` begins a code of two hex digits".to_owned(),
                "write %25 for a literal %".to_owned(),
            ));
        }
    }
    match PathAndQuery::try_from(sample) {
        Ok(_) => Ok(template),
        Err(error) => Err(Flaw {
            offset: 0,
            message: format!("not a path: {error}"),
            hint: None,
        }),
    }
}

fn headers<'d>(
    walk: &mut Walk<'d>,
    node: &'d Node,
    slots: &mut u32,
) -> Option<Vec<(HeaderName, Template)>> {
    let mut headers: Vec<(HeaderName, Template)> = Vec::new();
    let entries = walk.named(node, "`headers`")?;
    let bytes = |(name, value): &(Node, Node)| name.text.len() + value.text.len();
    if entries.len() > MAX_HEADERS || entries.iter().map(bytes).sum::<usize>() > MAX_HEADER_BYTES {
        walk.refuse(
            node.place,
            format!("more than {MAX_HEADERS} headers, or 64 KiB of them"),
        );
        return None;
    }
    for (key, value) in entries {
        let name = header_name(walk, key);
        let value = header_value(walk, key, value, slots);
        let (Some(name), Some(value)) = (name, value) else {
            continue;
        };
        if headers.iter().any(|(before, _)| *before == name) {
            walk.refuse(key.place, format!("the header `{name}` is there twice"));
        }
        headers.push((name, value));
    }
    (headers.len() == entries.len()).then_some(headers)
}

fn header_name(walk: &mut Walk<'_>, key: &Node) -> Option<HeaderName> {
    let reason = match HeaderName::from_bytes(key.text.as_bytes()) {
        Ok(CONTENT_LENGTH) => "is computed from the body",
        Ok(TRANSFER_ENCODING) => "cannot be chosen: bodies are sent with their length",
        Ok(CONNECTION | UPGRADE) => {
            "cannot be chosen: connections are kept alive and belong to tailmark"
        }
        Ok(EXPECT) => "cannot be sent: tailmark does not wait for `100 continue`",
        Ok(name) => return Some(name),
        Err(_) => "is not a header name",
    };
    walk.refuse(key.place, format!("`{}` {reason}", key.text));
    None
}

fn header_value<'d>(
    walk: &mut Walk<'d>,
    key: &Node,
    node: &'d Node,
    slots: &mut u32,
) -> Option<Template> {
    let text = walk.text(node, &key.text, "text")?;
    let mut builder = Builder::new(slots);
    if let Err(flaw) = builder.text(text) {
        walk.refuse_flaw(node, &flaw);
        return None;
    }
    let template = builder.finish();
    if let Some(bad) = template
        .literals()
        .find(|literal| HeaderValue::from_bytes(literal).is_err() || !literal.is_ascii())
    {
        let bad = String::from_utf8_lossy(bad);
        let offender = bad
            .chars()
            .find(|c| (c.is_control() && *c != '\t') || !c.is_ascii())
            .unwrap_or_default();
        let message = format!(
            "`{}` cannot stand in the header `{}`",
            offender.escape_debug(),
            key.text
        );
        walk.refuse_flaw(
            node,
            &Flaw {
                offset: text.find(offender).unwrap_or(0),
                message,
                hint: None,
            },
        );
        return None;
    }
    Some(template)
}

/// The body: nothing, or none at all after something was refused.
fn body<'d>(walk: &mut Walk<'d>, fields: Fields<'d>, slots: &mut u32) -> Option<Option<Template>> {
    match (fields.get("body"), fields.entry("json")) {
        (None, None) => Some(None),
        (Some(_), Some((json, _))) => {
            walk.refuse(json.place, "a step has one body: `json` excludes `body`");
            None
        }
        (Some(body), None) => {
            if let Kind::Map(entries) = &body.kind
                && let Some((file, _)) = entries.iter().find(|(key, _)| key.text == "file")
            {
                walk.refuse(file.place, "`body: { file: … }` is not supported yet");
                return None;
            }
            let text = walk.text(body, "body", "text (for a JSON body there is `json`)")?;
            let mut builder = Builder::new(slots);
            let parsed = builder.text(text).map(|()| builder.finish());
            parsed
                .map(Some)
                .map_err(|flaw| walk.refuse_flaw(body, &flaw))
                .ok()
        }
        (None, Some((_, json))) => {
            let mut builder = Builder::new(slots);
            json_value(walk, json, &mut builder).map(|()| Some(builder.finish()))
        }
    }
}

/// Adds `node` as compact JSON, its keys in the order of the file.
fn json_value(walk: &mut Walk<'_>, node: &Node, out: &mut Builder<'_>) -> Option<()> {
    if walk.is_full() {
        return None;
    }
    match &node.kind {
        Kind::Null => out.literal(b"null"),
        Kind::Bool(value) => out.literal(value.to_string().as_bytes()),
        Kind::Int(value) => out.literal(value.to_string().as_bytes()),
        Kind::Float(value) if value.is_finite() => out.literal(format!("{value:?}").as_bytes()),
        Kind::Float(_) => {
            walk.refuse(node.place, format!("JSON has no number `{}`", node.text));
            return None;
        }
        Kind::Str => {
            if let Err(flaw) = out.json_value(&node.text) {
                walk.refuse_flaw(node, &flaw);
                return None;
            }
        }
        Kind::Seq(items) => {
            let mut whole = Some(());
            out.literal(b"[");
            for (k, item) in items.iter().enumerate() {
                out.literal(if k > 0 { b"," } else { b"" });
                whole = json_value(walk, item, out).and(whole);
            }
            out.literal(b"]");
            return whole;
        }
        Kind::Map(entries) => {
            let mut whole = Some(());
            out.literal(b"{");
            for (k, (key, value)) in entries.iter().enumerate() {
                out.literal(if k > 0 { b"," } else { b"" });
                out.json_string(&key.text);
                out.literal(b":");
                whole = json_value(walk, value, out).and(whole);
            }
            out.literal(b"}");
            return whole;
        }
    }
    Some(())
}
