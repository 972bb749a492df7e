//! From text to nodes, by the events of the YAML parser.

use std::collections::{HashMap, HashSet};

use serde_saphyr::granit_parser::{
    self as parser, ErrorKind, Event, Marker, Parser, ScalarStyle, ScanError, Span,
};

use super::problem::Finding;
use super::{Kind, Node, Place, Problems};
use crate::units::thousands;

/// The largest file that is read: 1 MiB is some ten thousand steps, far beyond what a person maintains.
pub const MAX_BYTES: usize = 1 << 20;

/// How deep collections may nest. A scenario's own keys need six; the rest is for JSON bodies.
const MAX_DEPTH: usize = 64;

/// How many nodes a file may have once its aliases are expanded, so that aliases of aliases cannot fill the memory.
const MAX_NODES: usize = 100_000;

/// How much text a tree may hold once its aliases are expanded, in bytes, for the same reason.
const MAX_EXPANDED: usize = 8 * MAX_BYTES;

/// The key whose value is not an entry, but adds entries (<https://yaml.org/type/merge.html>). It is no part of YAML 1.2, but
/// of what people write.
const MERGE: &str = "<<";

/// `bytes` as text, if there are not too many of them.
pub(super) fn text<'b>(file: &str, bytes: &'b [u8]) -> Result<&'b str, Problems> {
    if bytes.len() > MAX_BYTES {
        let size = thousands(bytes.len() as u64);
        let message = format!("the file has {size} bytes; at most 1 MiB is read");
        return Err(Problems::whole(
            file,
            message,
            "is this the file that you meant?",
        ));
    }
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok(text.strip_prefix('\u{feff}').unwrap_or(text)),
        Err(error) => {
            let before = &bytes[..error.valid_up_to()];
            let line = 1 + before.iter().filter(|&&byte| byte == b'\n').count();
            let message = format!("the file is not UTF-8 (line {line})");
            Err(Problems::whole(file, message, "save it as UTF-8"))
        }
    }
}

/// The tree in `text`. YAML that does not parse has one problem: what follows it would be guesswork.
pub(super) fn parse(text: &str) -> Result<Node, Finding> {
    Builder::new(text).document()
}

fn stop<T>(place: Place, message: impl AsRef<str>) -> Result<T, Finding> {
    Err(Finding::new(place, message.as_ref(), None))
}

/// What the parser refuses, in words for people who have not read the YAML specification.
fn refused(text: &str, error: &ScanError) -> Finding {
    let place = place_of(error.marker());
    let line = text.lines().nth(place.line.saturating_sub(1));
    match error.kind() {
        ErrorKind::TabNotAllowed | ErrorKind::TabInBlockIndentation => Finding::new(
            place,
            "a tab cannot indent YAML",
            Some("indent with spaces"),
        ),
        ErrorKind::UnknownAnchor => Finding::new(place, "this alias has no anchor before it", None),
        ErrorKind::RecursionLimitExceeded => Finding::new(place, &too_deep(), None),
        kind if line.is_some_and(|line| line.contains("${")) => {
            let hint = "between { } or [ ], a value that holds ${…} needs quotes";
            Finding::new(place, &format!("not YAML: {kind}"), Some(hint))
        }
        kind => Finding::new(place, &format!("not YAML: {kind}"), None),
    }
}

fn too_deep() -> String {
    format!("nested more than {MAX_DEPTH} deep")
}

struct Builder<'t> {
    text: &'t str,
    events: Parser<'t, parser::StrInput<'t>>,
    anchors: HashMap<usize, Anchored>,
    size: Size,
}

/// What nodes cost.
#[derive(Clone, Copy)]
struct Size {
    nodes: usize,
    bytes: usize,
}

/// A node that aliases may repeat, and what a copy of it costs.
struct Anchored {
    node: Node,
    size: Size,
    height: usize,
}

impl<'t> Builder<'t> {
    fn new(text: &'t str) -> Self {
        let options = parser::options! {
            flow_nesting_limit: MAX_DEPTH,
            block_nesting_limit: MAX_DEPTH,
            emit_comments: false,
        };
        Self {
            text,
            events: Parser::new_from_str_with_options(text, options),
            anchors: HashMap::new(),
            size: Size { nodes: 0, bytes: 0 },
        }
    }

    fn document(mut self) -> Result<Node, Finding> {
        let mut root = None;
        while let Some((event, span)) = self.next()? {
            match event {
                Event::StreamStart | Event::DocumentStart(..) | Event::DocumentEnd => {}
                Event::StreamEnd => break,
                _ if root.is_some() => {
                    return stop(place_of(&span.start), "a second document; a file holds one");
                }
                event => root = Some(self.node(event, span, 0)?),
            }
        }
        Ok(root.unwrap_or_else(Node::nothing))
    }

    fn next(&mut self) -> Result<Option<(Event<'t>, Span)>, Finding> {
        let next = self.events.next().transpose();
        next.map_err(|error| refused(self.text, &error))
    }

    /// The node that begins with `event`, `depth` collections deep.
    fn node(&mut self, event: Event<'t>, span: Span, depth: usize) -> Result<Node, Finding> {
        let place = place_of(&span.start);
        if let Event::Alias(id) = event {
            return self.copy(id, place, depth);
        }
        let before = self.size;
        let (kind, text, anchor, tag) = match event {
            Event::Scalar(text, style, anchor, tag) => {
                let plain = style == ScalarStyle::Plain;
                let kind = if plain { resolve(&text) } else { Kind::Str };
                (kind, text.into_owned(), anchor, tag)
            }
            Event::SequenceStart(_, anchor, tag) => {
                (self.sequence(place, depth)?, String::new(), anchor, tag)
            }
            Event::MappingStart(_, anchor, tag) => {
                (self.mapping(place, depth)?, String::new(), anchor, tag)
            }
            _ => return stop(place, "not YAML: a value is missing"),
        };
        if tag.is_some() {
            let place = span.tag_start().map_or(place, |tag| place_of(&tag));
            return stop(place, "YAML tags (`!…`) are not supported");
        }
        let own = Size {
            nodes: 1,
            bytes: text.len(),
        };
        self.count(own, place)?;
        let node = Node { place, kind, text };
        if anchor != 0 {
            let nodes = self.size.nodes - before.nodes;
            let bytes = self.size.bytes - before.bytes;
            let size = Size { nodes, bytes };
            self.count(size, place)?;
            let (height, node) = (height(&node), node.clone());
            self.anchors.insert(anchor, Anchored { node, size, height });
        }
        Ok(node)
    }

    fn sequence(&mut self, place: Place, depth: usize) -> Result<Kind, Finding> {
        check_depth(depth + 1, place)?;
        let mut items = Vec::new();
        while let Some((event, span)) = self.next()? {
            if event == Event::SequenceEnd {
                break;
            }
            items.push(self.node(event, span, depth + 1)?);
        }
        Ok(Kind::Seq(items))
    }

    fn mapping(&mut self, place: Place, depth: usize) -> Result<Kind, Finding> {
        check_depth(depth + 1, place)?;
        let mut entries = Vec::new();
        let mut seen = HashSet::new();
        let mut merged = None;
        while let Some((event, span)) = self.next()? {
            if event == Event::MappingEnd {
                break;
            }
            let plain = matches!(event, Event::Scalar(_, ScalarStyle::Plain, ..));
            let key = self.node(event, span, depth + 1)?;
            check_key(&key)?;
            if key.text == MERGE && !plain {
                return stop(
                    key.place,
                    format!("`{MERGE}` is a merge key without quotes alone"),
                );
            }
            if !seen.insert(key.text.clone()) {
                return stop(key.place, format!("the key `{}` is there twice", key.text));
            }
            let Some((event, span)) = self.next()? else {
                break;
            };
            let alias = matches!(event, Event::Alias(_));
            let value = self.node(event, span, depth + 1)?;
            if key.text == MERGE {
                merged = Some((entries.len(), taken_over(value, alias)?));
            } else {
                entries.push((key, value));
            }
        }
        if let Some((at, more)) = merged {
            entries.splice(
                at..at,
                more.into_iter()
                    .filter(|(key, _)| !seen.contains(&key.text)),
            );
        }
        Ok(Kind::Map(entries))
    }

    fn copy(&mut self, anchor: usize, place: Place, depth: usize) -> Result<Node, Finding> {
        let Some(Anchored { size, height, .. }) = self.anchors.get(&anchor) else {
            return stop(place, "an alias inside the value that it stands for");
        };
        check_depth(depth + height, place)?;
        // Counted before it is copied, so that the bounds hold at every moment.
        self.count(*size, place)?;
        let node = self.anchors[&anchor].node.clone();
        Ok(Node { place, ..node })
    }

    fn count(&mut self, more: Size, place: Place) -> Result<(), Finding> {
        self.size.nodes += more.nodes;
        self.size.bytes += more.bytes;
        if self.size.nodes > MAX_NODES {
            let most = thousands(MAX_NODES as u64);
            return stop(place, format!("more than {most} values, aliases expanded"));
        }
        if self.size.bytes > MAX_EXPANDED {
            return stop(place, "more than 8 MiB of text, aliases expanded");
        }
        Ok(())
    }
}

fn check_key(key: &Node) -> Result<(), Finding> {
    match key.kind {
        Kind::Seq(_) | Kind::Map(_) => {
            stop(key.place, format!("a key is text, not {}", key.kind.noun()))
        }
        _ => Ok(()),
    }
}

/// The entries of the map that `value`, the value of the key [`MERGE`], stands for. It must be an alias: what a map's own keys
/// replace then still stands where its anchor is, and what looks through a whole file, for secrets, sees it.
fn taken_over(value: Node, alias: bool) -> Result<Vec<(Node, Node)>, Finding> {
    let found = value.kind.noun();
    match value.kind {
        Kind::Map(entries) if alias => Ok(entries),
        kind => {
            let found = match kind {
                Kind::Map(_) => "a map that is written out",
                _ => found,
            };
            let message = format!("`{MERGE}` takes an alias of a map, not {found}");
            let hint = "name the map with an anchor under a key `x-…`, and write `<<: *name`";
            Err(Finding::new(value.place, &message, Some(hint)))
        }
    }
}

fn check_depth(depth: usize, place: Place) -> Result<(), Finding> {
    if depth > MAX_DEPTH {
        return stop(place, too_deep());
    }
    Ok(())
}

/// How many collections lie on the longest way into `node`, itself included.
fn height(node: &Node) -> usize {
    match &node.kind {
        Kind::Seq(items) => 1 + items.iter().map(height).max().unwrap_or(0),
        Kind::Map(entries) => {
            1 + entries
                .iter()
                .map(|(_, value)| height(value))
                .max()
                .unwrap_or(0)
        }
        _ => 0,
    }
}

fn place_of(marker: &Marker) -> Place {
    Place {
        line: marker.line(),
        column: marker.col() + 1,
    }
}

/// A plain scalar by the core schema (YAML 1.2.2, section 10.3.2).
pub(super) fn resolve(text: &str) -> Kind {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Kind::Null,
        "true" | "True" | "TRUE" => return Kind::Bool(true),
        "false" | "False" | "FALSE" => return Kind::Bool(false),
        _ => {}
    }
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    match unsigned {
        ".nan" | ".NaN" | ".NAN" if unsigned == text => return Kind::Float(f64::NAN),
        ".inf" | ".Inf" | ".INF" => {
            return Kind::Float(if text.starts_with('-') {
                f64::NEG_INFINITY
            } else {
                f64::INFINITY
            });
        }
        _ => {}
    }
    for (prefix, radix) in [("0x", 16), ("0o", 8)] {
        if let Some(digits) = text
            .strip_prefix(prefix)
            .filter(|digits| digits.starts_with(|c: char| c.is_digit(radix)))
            && let Ok(value) = i128::from_str_radix(digits, radix)
        {
            return Kind::Int(value);
        }
    }
    // Rust reads more than YAML does (`inf`, `infinity`), so the characters are checked first.
    let numeric = unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.')
        && unsigned.contains(|c: char| c.is_ascii_digit())
        && unsigned
            .chars()
            .all(|c| c.is_ascii_digit() || matches!(c, '.' | 'e' | 'E' | '+' | '-'));
    if !numeric {
        return Kind::Str;
    }
    match (text.parse(), text.parse()) {
        (Ok(whole), _) => Kind::Int(whole),
        (_, Ok(number)) => Kind::Float(number),
        _ => Kind::Str,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The tree on one line, each value with its place.
    fn sketch(node: &Node) -> String {
        let Place { line, column } = node.place;
        let body = match &node.kind {
            Kind::Null => "null".to_owned(),
            Kind::Bool(value) => value.to_string(),
            Kind::Int(value) => value.to_string(),
            Kind::Float(value) => format!("{value:?}"),
            Kind::Str => format!("{:?}", node.text),
            Kind::Seq(items) => format!(
                "[{}]",
                items.iter().map(sketch).collect::<Vec<_>>().join(" ")
            ),
            Kind::Map(entries) => {
                let entry = |(key, value): &(Node, Node)| format!("{}={}", key.text, sketch(value));
                format!(
                    "{{{}}}",
                    entries.iter().map(entry).collect::<Vec<_>>().join(" ")
                )
            }
        };
        format!("{body}@{line}:{column}")
    }

    #[test]
    fn values_know_their_kind_and_their_place() {
        for (text, expected) in [
            ("", "null@1:1"),
            (
                "a: 1\nb:\n  - 'x'\n  - 1.10\n",
                "{a=1@1:4 b=[\"x\"@3:5 1.1@4:5]@3:3}@1:1",
            ),
            ("é: {a: 0x1f, b: 0o17}", "{é={a=31@1:8 b=15@1:17}@1:4}@1:1"),
            (
                "[yes, true, ~, '~', 1e3, -.inf, 1_000, inf, 0x, 00x1, 2xx]",
                concat!(
                    "[\"yes\"@1:2 true@1:7 null@1:13 \"~\"@1:16 1000.0@1:21 -inf@1:26 \"1_000\"@1:33",
                    " \"inf\"@1:40 \"0x\"@1:45 \"00x1\"@1:49 \"2xx\"@1:55]@1:1"
                ),
            ),
            (
                "[99999999999999999999999999999999999999999]",
                "[1e41@1:2]@1:1",
            ),
            (
                "x: &a {k: [1]}\ny: *a",
                "{x={k=[1@1:12]@1:11}@1:7 y={k=[1@1:12]@1:11}@2:4}@1:1",
            ),
            // A map's own keys win, wherever they stand; of a list, the first map that has a key.
            (
                "x: &a {k: 1, l: 2}\ny: {l: 3, <<: *a, m: 4}",
                "{x={k=1@1:11 l=2@1:17}@1:7 y={l=3@2:8 k=1@1:11 m=4@2:22}@2:4}@1:1",
            ),
            (
                "x: &a {k: 1}\ny: &b {<<: *a, l: 2}\nz: {<<: *b}",
                "{x={k=1@1:11}@1:7 y={k=1@1:11 l=2@2:19}@2:7 z={k=1@1:11 l=2@2:19}@3:4}@1:1",
            ),
        ] {
            let root = parse(text).unwrap();
            assert_eq!(sketch(&root), expected, "{text:?}");
        }
    }
}
