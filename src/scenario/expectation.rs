//! What is expected of a value: in checks of a response, and of what a walk has captured.

use std::fmt;

use serde_json::Value;

use crate::document::{Kind, Node, Walk, nearest};

/// What a value must be. Displayed as what completes "expected …".
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Expectation {
    /// Exactly this.
    Is(Value),
    /// Anything else.
    Not(Value),
    /// There, or not there.
    Exists(bool),
    /// So many of them.
    Count(u64),
    /// Text in which the pattern is found.
    Matches(Pattern),
    /// Text that holds this.
    Contains(String),
}

/// A regular expression. Equal to another that was written alike.
#[derive(Debug, Clone)]
pub(super) struct Pattern(regex::bytes::Regex);

/// The largest compiled pattern: a hundred times what checks need, so that none takes the machine's memory.
const MOST_PATTERN_BYTES: usize = 1 << 20;

impl Pattern {
    /// Compiles a regular expression in the syntax of the `regex` crate.
    ///
    /// # Errors
    /// What is wrong with it, on one line.
    pub(super) fn new(text: &str) -> Result<Self, String> {
        regex::bytes::RegexBuilder::new(text)
            .size_limit(MOST_PATTERN_BYTES)
            .build()
            .map(Self)
            .map_err(|error| match error {
                regex::Error::CompiledTooBig(_) => "it is too large".to_owned(),
                // Several lines, of which the last says what is wrong.
                error => {
                    let text = error.to_string();
                    let last = text.lines().last().unwrap_or_default();
                    last.trim().trim_start_matches("error: ").to_owned()
                }
            })
    }

    /// Whether it is found in `bytes`.
    #[must_use]
    pub(super) fn is_in(&self, bytes: &[u8]) -> bool {
        self.0.is_match(bytes)
    }

    /// What its first group matches in `bytes`, or all of it where it has no group.
    #[must_use]
    pub(super) fn first_group<'b>(&self, bytes: &'b [u8]) -> Option<&'b [u8]> {
        let found = self.0.captures(bytes)?;
        let group = found.get(1).or_else(|| found.get(0))?;
        Some(group.as_bytes())
    }

    /// How many groups it has.
    #[must_use]
    pub(super) fn groups(&self) -> usize {
        self.0.captures_len() - 1
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_str() == other.0.as_str()
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.as_str())
    }
}

/// The keys of an expectation that is no plain value.
pub(super) const KEYS: [&str; 5] = ["exists", "count", "matches", "contains", "not"];

impl Expectation {
    /// Reads a value, or a map of exactly one of `exists`, `count`, `matches`, `contains`, `not`; `what` is called so.
    pub(super) fn read(walk: &mut Walk<'_>, node: &Node, what: &str) -> Option<Self> {
        let Kind::Map(entries) = &node.kind else {
            return literal(walk, node, what).map(Self::Is);
        };
        let [(key, value)] = &entries[..] else {
            let keys = KEYS.join(", ");
            let message = format!("`{what}` wants a value or one of {keys}");
            walk.refuse(node.place, message);
            return None;
        };
        match key.text.as_str() {
            "exists" => walk.boolean(value, "exists").map(Self::Exists),
            "count" => walk.integer(value, "count", 0..=u64::MAX).map(Self::Count),
            "matches" => pattern(walk, value, "matches").map(Self::Matches),
            "contains" => plain_text(walk, value, "contains").map(Self::Contains),
            "not" => literal(walk, value, "not").map(Self::Not),
            other => {
                let near = nearest(other, KEYS)
                    .map_or(String::new(), |near| format!("; did you mean `{near}`?"));
                let hint = format!("the keys here are {}", KEYS.join(", "));
                walk.refuse_with_hint(key.place, format!("unknown key `{other}`{near}"), hint);
                None
            }
        }
    }

    /// Whether `values`, all that were found, are as expected.
    #[must_use]
    pub(super) fn holds(&self, values: &[&Value]) -> bool {
        let text = |value: &Value| match value {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        match self {
            Self::Is(expected) => matches!(values, [value] if alike(value, expected)),
            Self::Not(other) => matches!(values, [value] if !alike(value, other)),
            Self::Exists(expected) => values.is_empty() != *expected,
            Self::Count(expected) => match values {
                [Value::Array(items)] => items.len() as u64 == *expected,
                values => values.len() as u64 == *expected,
            },
            Self::Matches(pattern) => {
                matches!(values, [value] if pattern.is_in(text(value).as_bytes()))
            }
            Self::Contains(part) => matches!(values, [value] if text(value).contains(part)),
        }
    }
}

/// Whether two JSON values are the same; numbers by what they are, not by how they are written.
fn alike(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a == b || a.as_f64() == b.as_f64(),
        _ => a == b,
    }
}

impl fmt::Display for Expectation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Is(value) => write!(f, "{value}"),
            Self::Not(value) => write!(f, "anything but {value}"),
            Self::Exists(true) => write!(f, "it to be there"),
            Self::Exists(false) => write!(f, "it not to be there"),
            Self::Count(count) => write!(f, "{count} of them"),
            Self::Matches(pattern) => write!(f, "a match of `{pattern}`"),
            Self::Contains(part) => write!(f, "`{part}` in it"),
        }
    }
}

/// A value as JSON: what YAML's core schema makes of it.
fn literal(walk: &mut Walk<'_>, node: &Node, what: &str) -> Option<Value> {
    match &node.kind {
        Kind::Null => Some(Value::Null),
        Kind::Bool(value) => Some((*value).into()),
        Kind::Int(value) => i64::try_from(*value)
            .map(Value::from)
            .or_else(|_| u64::try_from(*value).map(Value::from))
            .ok()
            .or_else(|| {
                walk.refuse(node.place, format!("`{what}: {value}` is out of range"));
                None
            }),
        Kind::Float(value) if value.is_finite() => Some((*value).into()),
        Kind::Float(_) => {
            walk.refuse(node.place, format!("JSON has no number `{}`", node.text));
            None
        }
        Kind::Str => plain_text(walk, node, what).map(Value::from),
        Kind::Seq(_) | Kind::Map(_) => {
            walk.wrong_type(node, what, "a number, text, true, false or null");
            None
        }
    }
}

/// Text without slots.
pub(super) fn plain_text(walk: &mut Walk<'_>, node: &Node, what: &str) -> Option<String> {
    let (Kind::Str | Kind::Int(_) | Kind::Float(_) | Kind::Bool(_)) = node.kind else {
        walk.wrong_type(node, what, "text");
        return None;
    };
    if node.text.contains("${") {
        let hint =
            "capture the value and compare it with `if`, or check for what is always the same";
        walk.refuse_with_hint(node.place, format!("`{what}` holds no `${{…}}`"), hint);
        return None;
    }
    Some(node.text.clone())
}

/// A regular expression.
pub(super) fn pattern(walk: &mut Walk<'_>, node: &Node, what: &str) -> Option<Pattern> {
    let text = plain_text(walk, node, what)?;
    match Pattern::new(&text) {
        Ok(pattern) => Some(pattern),
        Err(why) => {
            walk.refuse(
                node.place,
                format!("`{what}: {text}` is no regular expression: {why}"),
            );
            None
        }
    }
}
