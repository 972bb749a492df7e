//! The request of a step: read once, rendered per exchange.

use http::header::{
    CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, COOKIE, EXPECT, HeaderName, HeaderValue,
    TRANSFER_ENCODING, UPGRADE,
};
use http::{Method, uri::PathAndQuery};

use super::given::{Key, Known};
use super::template::{Builder, Names, Position, Source, Template, Unfilled};
use crate::document::{Fields, Flaw, Keys, Kind, Node, Walk};

/// A request with slots. Its path renders to a valid path and query, its headers to valid header values.
#[derive(Debug, Clone, PartialEq)]
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
    /// Whether the walk's cookies are sent with it, and those of the response kept.
    pub cookies: bool,
    /// What must be at hand to render it.
    pub uses: Uses,
}

/// What a request is made of beside its draws.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Uses {
    /// Feeders, by number.
    pub feeders: Vec<usize>,
    /// Whether it says what time it is.
    pub now: bool,
}

/// What the requests of all steps share.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shared<'d> {
    /// The scenario's own headers.
    pub(super) headers: Option<&'d Node>,
    /// Whether walks keep cookies.
    pub(super) cookies: bool,
}

impl RequestTemplate {
    /// The request with what `known` has in place of the slots that ask for it.
    ///
    /// # Errors
    /// When a value cannot stand in its place.
    pub fn bind(&self, known: &Known) -> Result<Self, Unfilled> {
        let bind = |(name, value): &(HeaderName, Template)| Ok((name.clone(), value.bind(known)?));
        Ok(Self {
            method: self.method.clone(),
            path: self.path.bind(known)?,
            headers: self.headers.iter().map(bind).collect::<Result<_, _>>()?,
            body: self
                .body
                .as_ref()
                .map(|body| body.bind(known))
                .transpose()?,
            cookies: self.cookies,
            uses: self.uses.clone(),
        })
    }

    fn templates(&self) -> impl Iterator<Item = &Template> {
        let headers = self.headers.iter().map(|(_, value)| value);
        std::iter::once(&self.path).chain(headers).chain(&self.body)
    }
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

/// Reads the request of the step in `fields`, with what all steps share.
pub(super) fn read<'d>(
    walk: &mut Walk<'d>,
    fields: Fields<'d>,
    shared: Shared<'d>,
    names: &mut Names,
) -> Option<Read<'d>> {
    let target = method_and_path(walk, fields);
    let path = target
        .as_ref()
        .and_then(|(_, node, key)| path(walk, node, key, names));
    let own = fields.get("headers").map(|node| headers(walk, node, names));
    let inherited = shared.headers.map(|node| headers(walk, node, names));
    let body = body(walk, fields, names);
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
    let has =
        |headers: &[(HeaderName, Template)], name| headers.iter().any(|(own, _)| *own == name);
    let bodies = [
        ("json", "application/json"),
        ("form", "application/x-www-form-urlencoded"),
    ];
    for (key, content_type) in bodies {
        if fields.get(key).is_some() && !has(&headers, CONTENT_TYPE) {
            headers.push((CONTENT_TYPE, Template::literal(content_type.as_bytes())));
        }
    }
    if shared.cookies && has(&headers, COOKIE) {
        let message =
            "`cookies: true` sends the cookies of the walk: the header `cookie` excludes it";
        walk.refuse(fields.place(), message);
        return None;
    }
    let mut request = RequestTemplate {
        method,
        path,
        headers,
        body,
        cookies: shared.cookies,
        uses: Uses::default(),
    };
    let mut uses = Uses::default();
    for source in request.templates().flat_map(Template::sources) {
        match source {
            Source::Field { feeder, .. } if !uses.feeders.contains(feeder) => {
                uses.feeders.push(*feeder);
            }
            Source::Now => uses.now = true,
            _ => {}
        }
    }
    request.uses = uses;
    Some(Read {
        request,
        path: &node.text,
    })
}

/// Checks the scenario's own headers once; what they become depends on the step.
pub(super) fn check_headers<'d>(
    walk: &mut Walk<'d>,
    node: &'d Node,
    names: &mut Names,
) -> Option<()> {
    headers(walk, node, names).map(|_| ())
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
            let mut keys = METHOD_KEYS
                .iter()
                .map(|(key, _)| *key)
                .chain(["method", "think", "steps"]);
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

fn path<'d>(walk: &mut Walk<'d>, node: &'d Node, key: &str, names: &mut Names) -> Option<Template> {
    let text = walk.text(node, key, "a path such as /v1/items")?;
    names.place = node.place;
    let mut builder = Builder::new(Position::Path, names);
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

/// Refuses what a request line cannot carry (RFC 3986, sections 3.3 and 3.4). What fills a slot is percent-encoded.
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
    for literal in template.literals() {
        for (at, _) in literal
            .iter()
            .enumerate()
            .filter(|(_, byte)| **byte == b'%')
        {
            let digits = literal.get(at + 1..at + 3).unwrap_or_default();
            if digits.len() < 2 || !digits.iter().all(u8::is_ascii_hexdigit) {
                return Err(flaw(
                    '%',
                    "`%` begins a code of two hex digits".to_owned(),
                    "write %25 for a literal %".to_owned(),
                ));
            }
        }
    }
    // Whatever a slot is filled with is made of such characters.
    let sample = template.literals().collect::<Vec<_>>().join(&b"0"[..]);
    match PathAndQuery::try_from(sample.as_slice()) {
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
    names: &mut Names,
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
        let value = header_value(walk, key, value, names);
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
    names: &mut Names,
) -> Option<Template> {
    let text = walk.text(node, &key.text, "text")?;
    names.place = node.place;
    let mut builder = Builder::new(Position::Header, names);
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

pub(super) const FILE_KEYS: Keys = Keys::new(&["file"], &[]);

/// The body: nothing, or none at all after something was refused.
fn body<'d>(
    walk: &mut Walk<'d>,
    fields: Fields<'d>,
    names: &mut Names,
) -> Option<Option<Template>> {
    let mut written = ["body", "json", "form"]
        .iter()
        .filter_map(|key| fields.entry(key));
    let Some((key, node)) = written.next() else {
        return Some(None);
    };
    if let Some((second, _)) = written.next() {
        let message = format!(
            "a step has one body: `{}` excludes `{}`",
            second.text, key.text
        );
        walk.refuse(second.place, message);
        return None;
    }
    match key.text.as_str() {
        "json" => {
            names.place = node.place;
            let mut builder = Builder::new(Position::JsonText, names);
            json_value(walk, node, &mut builder)?;
            Some(Some(builder.finish()))
        }
        "form" => form(walk, node, names).map(Some),
        _ if matches!(node.kind, Kind::Map(_)) => {
            let fields = walk.map(node, "`body`", FILE_KEYS)?;
            let file = walk.required(fields, "`body`", "file")?;
            let key = Key::File(walk.text(file, "file", "the path of a file")?.to_owned());
            names.ask(key.clone(), file.place);
            Some(Some(Template::known_bytes(key)))
        }
        _ => {
            let text = walk.text(node, "body", "text (for a JSON body there is `json`)")?;
            names.place = node.place;
            let mut builder = Builder::new(Position::Plain, names);
            let parsed = builder.text(text).map(|()| builder.finish());
            parsed
                .map(Some)
                .map_err(|flaw| walk.refuse_flaw(node, &flaw))
                .ok()
        }
    }
}

/// Names and values, as browsers send forms.
fn form<'d>(walk: &mut Walk<'d>, node: &'d Node, names: &mut Names) -> Option<Template> {
    names.place = node.place;
    let mut builder = Builder::new(Position::Form, names);
    let mut whole = Some(());
    for (k, (key, value)) in walk.named(node, "`form`")?.iter().enumerate() {
        builder.literal(if k > 0 { b"&" } else { b"" });
        let read = walk
            .text(value, &key.text, "text or a number")
            .and_then(|text| {
                let added = builder.plain(&key.text).and_then(|()| {
                    builder.literal(b"=");
                    builder.text(text)
                });
                added.map_err(|flaw| walk.refuse_flaw(value, &flaw)).ok()
            });
        whole = read.and(whole);
    }
    whole.map(|()| builder.finish())
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
