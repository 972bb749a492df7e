//! The walk over a tree: typed reading that collects problems.
//!
//! Every reader returns an option, and none only after it has refused something; so a caller reads all its parts
//! first and gives up afterwards, and one walk finds all problems of a file.

use std::collections::HashSet;
use std::ops::RangeInclusive;
use std::time::Duration;

use super::problem::{Finding, Severity};
use super::{Document, Kind, Node, Place, Problems};
use crate::units::{Rate, UnitError, format_duration, parse_duration, thousands};

/// The keys that a map may hold.
#[derive(Debug, Clone, Copy)]
pub struct Keys {
    known: &'static [&'static str],
    later: &'static [&'static str],
    extensions: bool,
}

impl Keys {
    /// `known` are read; `later` are those that the format documents and this version does not support: they are
    /// refused by that name, never ignored.
    #[must_use]
    pub const fn new(known: &'static [&'static str], later: &'static [&'static str]) -> Self {
        Self {
            known,
            later,
            extensions: false,
        }
    }

    /// The same keys, and any that begins with `x-`, which is ignored: a home for YAML anchors.
    #[must_use]
    pub const fn with_extensions(self) -> Self {
        Self {
            extensions: true,
            ..self
        }
    }

    /// Those that are read, in order.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        self.known.iter().copied()
    }

    fn admits(self, key: &str) -> bool {
        self.known.contains(&key) || (self.extensions && key.starts_with("x-"))
    }
}

/// A map whose keys are all known.
#[derive(Debug, Clone, Copy)]
pub struct Fields<'d> {
    place: Place,
    entries: &'d [(Node, Node)],
}

impl<'d> Fields<'d> {
    /// The value of `key`.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&'d Node> {
        self.entry(key).map(|(_, value)| value)
    }

    /// The key itself, for its place, and its value.
    #[must_use]
    pub fn entry(&self, key: &str) -> Option<(&'d Node, &'d Node)> {
        self.entries
            .iter()
            .find(|(name, _)| name.text == key)
            .map(|(name, value)| (name, value))
    }

    /// Where the map begins.
    #[must_use]
    pub fn place(&self) -> Place {
        self.place
    }
}

/// What is wrong with a text, and where in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flaw {
    /// Bytes from the start of the text.
    pub offset: usize,
    /// A lower-case fragment.
    pub message: String,
    /// The next step.
    pub hint: Option<String>,
}

/// How many problems are kept to choose the first ones of the file from; they are not found in its order.
const MAX_FINDINGS: usize = 1_000;

/// Problems found so far on the way through a document.
#[derive(Debug)]
pub struct Walk<'d> {
    document: &'d Document,
    findings: Vec<Finding>,
    warnings: Vec<Finding>,
    /// The keys that misspelt ones were taken for, by the place of their map.
    meant: HashSet<(Place, &'static str)>,
}

impl<'d> Walk<'d> {
    /// A walk that has found nothing yet.
    #[must_use]
    pub fn new(document: &'d Document) -> Self {
        Self {
            document,
            findings: Vec::new(),
            warnings: Vec::new(),
            meant: HashSet::new(),
        }
    }

    /// Whether so much is wrong that looking on is useless; a reader of many values may stop then.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.findings.len() == MAX_FINDINGS
    }

    /// Notes a problem.
    pub fn refuse(&mut self, place: Place, message: impl Into<String>) {
        self.note(place, &message.into(), None);
    }

    /// Notes a problem and the way out of it.
    pub fn refuse_with_hint(
        &mut self,
        place: Place,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) {
        self.note(place, &message.into(), Some(&hint.into()));
    }

    /// Notes what is allowed, and probably not meant.
    pub fn warn(&mut self, place: Place, message: impl Into<String>) {
        if self.warnings.len() < MAX_FINDINGS {
            self.warnings
                .push(Finding::new(place, &message.into(), None));
        }
    }

    /// What is allowed, and probably not meant; none where there is nothing.
    pub fn take_warnings(&mut self) -> Option<Problems> {
        let warnings = std::mem::take(&mut self.warnings);
        let any = !warnings.is_empty();
        any.then(|| Problems::of(Severity::Warning, self.document, warnings))
    }

    /// Notes what is wrong inside a scalar, at its place in the file where the scalar stands there as it is.
    pub fn refuse_flaw(&mut self, node: &Node, flaw: &Flaw) {
        let place = self.place_within(node, flaw.offset);
        self.note(place, &flaw.message, flaw.hint.as_deref());
    }

    /// The value that was read, if nothing was refused.
    ///
    /// # Errors
    /// All problems that were found.
    pub fn finish<T>(self, value: Option<T>) -> Result<T, Problems> {
        match value {
            Some(value) if self.findings.is_empty() => Ok(value),
            _ => {
                debug_assert!(
                    !self.findings.is_empty(),
                    "a reader gives up only after it has refused something"
                );
                Err(Problems::new(self.document, self.findings))
            }
        }
    }

    /// A map with `keys`; unknown keys are refused with the nearest known one. `what` is the map's name in messages.
    pub fn map(&mut self, node: &'d Node, what: &str, keys: Keys) -> Option<Fields<'d>> {
        let Kind::Map(entries) = &node.kind else {
            let hint = format!("its keys are {}", keys.known.join(", "));
            self.refuse_with_hint(
                node.place,
                format!("{what} wants a map, found {}", node.kind.noun()),
                hint,
            );
            return None;
        };
        for (key, _) in entries.iter().filter(|(key, _)| !keys.admits(&key.text)) {
            if self.is_full() {
                break;
            }
            let name = &key.text;
            if keys.later.contains(&name.as_str()) {
                self.refuse(key.place, format!("`{name}` is not supported yet"));
            } else if let Some(near) = nearest(name, keys.known.iter().chain(keys.later).copied()) {
                self.meant.insert((node.place, near));
                self.refuse(
                    key.place,
                    format!("unknown key `{name}`; did you mean `{near}`?"),
                );
            } else {
                let hint = format!("the keys here are {}", keys.known.join(", "));
                self.refuse_with_hint(key.place, format!("unknown key `{name}`"), hint);
            }
        }
        Some(Fields {
            place: node.place,
            entries,
        })
    }

    /// The key `tailmark`, the version of the format, which is 1.
    pub fn version(&mut self, fields: Fields<'d>) -> Option<()> {
        let Some(node) = fields.get("tailmark") else {
            self.refuse_with_hint(
                fields.place(),
                "the file does not say its format",
                "begin it with `tailmark: 1`",
            );
            return None;
        };
        match node.kind {
            Kind::Int(1) => Some(()),
            Kind::Int(version) => {
                self.refuse(
                    node.place,
                    format!(
                        "format {version} is unknown to this version, which reads `tailmark: 1`"
                    ),
                );
                None
            }
            Kind::Str if node.text == "1" => {
                self.refuse(node.place, "`tailmark` wants the number 1, without quotes");
                None
            }
            _ => {
                self.wrong_type(node, "tailmark", "the number 1");
                None
            }
        }
    }

    /// A map whose keys are the file's own: at least one.
    pub fn named(&mut self, node: &'d Node, what: &str) -> Option<&'d [(Node, Node)]> {
        match &node.kind {
            Kind::Map(entries) if entries.is_empty() => {
                self.refuse(node.place, format!("{what} is empty"));
                None
            }
            Kind::Map(entries) => Some(entries),
            kind => {
                self.refuse(
                    node.place,
                    format!("{what} wants a map, found {}", kind.noun()),
                );
                None
            }
        }
    }

    /// A list of at least one.
    pub fn list(&mut self, node: &'d Node, what: &str) -> Option<&'d [Node]> {
        match &node.kind {
            Kind::Seq(items) if items.is_empty() => {
                self.refuse(node.place, format!("{what} is empty"));
                None
            }
            Kind::Seq(items) => Some(items),
            kind => {
                self.refuse(
                    node.place,
                    format!("{what} wants a list, found {}", kind.noun()),
                );
                None
            }
        }
    }

    /// Whether a key of the map was refused as a misspelling of `key`: that it is missing is no second problem.
    #[must_use]
    pub fn misspelt(&self, fields: Fields<'d>, key: &'static str) -> bool {
        self.meant.contains(&(fields.place, key))
    }

    /// The value of a key that must be there.
    pub fn required(
        &mut self,
        fields: Fields<'d>,
        what: &str,
        key: &'static str,
    ) -> Option<&'d Node> {
        let value = fields.get(key);
        if value.is_none() && !self.misspelt(fields, key) {
            self.refuse(fields.place, format!("{what} has no `{key}`"));
        }
        value
    }

    /// A scalar's text as written, so that `1.10` keeps its zero; `wants` completes "`key` wants …".
    pub fn text(&mut self, node: &'d Node, key: &str, wants: &str) -> Option<&'d str> {
        match node.kind {
            Kind::Bool(_) | Kind::Int(_) | Kind::Float(_) | Kind::Str => Some(&node.text),
            Kind::Null | Kind::Seq(_) | Kind::Map(_) => {
                self.wrong_type(node, key, wants);
                None
            }
        }
    }

    /// `true` or `false`.
    pub fn boolean(&mut self, node: &Node, key: &str) -> Option<bool> {
        if let Kind::Bool(value) = node.kind {
            return Some(value);
        }
        self.wrong_type(node, key, "true or false");
        None
    }

    /// A whole number within `range`.
    pub fn integer(&mut self, node: &Node, key: &str, range: RangeInclusive<u64>) -> Option<u64> {
        let Kind::Int(value) = node.kind else {
            self.wrong_type(node, key, "a whole number");
            return None;
        };
        let within = u64::try_from(value)
            .ok()
            .filter(|value| range.contains(value));
        if within.is_none() {
            let (low, high) = (thousands(*range.start()), thousands(*range.end()));
            self.refuse(
                node.place,
                format!("`{key}: {value}` is out of range: from {low} to {high}"),
            );
        }
        within
    }

    /// A duration above zero and up to `longest`.
    pub fn duration(&mut self, node: &'d Node, key: &str, longest: Duration) -> Option<Duration> {
        let text = self.text(node, key, "a duration such as 30s")?;
        let duration = self.unit(node, key, parse_duration(text))?;
        if duration.is_zero() {
            self.refuse(node.place, format!("`{key}: {text}` is no time at all"));
            return None;
        }
        if duration > longest {
            let longest = format_duration(longest);
            self.refuse(
                node.place,
                format!("`{key}: {text}` is too long: at most {longest}"),
            );
            return None;
        }
        Some(duration)
    }

    /// A rate.
    pub fn rate(&mut self, node: &'d Node, key: &str) -> Option<Rate> {
        let text = self.text(node, key, "a rate such as 400/s")?;
        self.unit(node, key, text.parse())
    }

    /// One of a few words.
    pub fn word<T: Copy>(&mut self, node: &'d Node, key: &str, words: &[(&str, T)]) -> Option<T> {
        let names = || words.iter().map(|(name, _)| *name);
        let list = names().collect::<Vec<_>>().join(" or ");
        let text = self.text(node, key, &list)?;
        let found = words
            .iter()
            .find(|(name, _)| *name == text)
            .map(|(_, value)| *value);
        if found.is_none() {
            match nearest(text, names()) {
                Some(near) => self.refuse(
                    node.place,
                    format!("unknown {key} `{text}`; did you mean `{near}`?"),
                ),
                None => self.refuse(node.place, format!("`{key}` wants {list}, found `{text}`")),
            }
        }
        found
    }

    /// A name that is safe in labels, paths and reports.
    pub fn name(&mut self, node: &'d Node, what: &str) -> Option<String> {
        let text = self.text(node, what, "a name")?;
        if is_name(text) {
            return Some(text.to_owned());
        }
        let hint = "names are up to 64 letters, digits, - and _, and begin with a letter";
        self.refuse_with_hint(
            node.place,
            format!("`{text}` cannot be the name of a {what}"),
            hint,
        );
        None
    }

    /// Notes that `node` is of the wrong type; `wants` completes "`key` wants …".
    pub fn wrong_type(&mut self, node: &Node, key: &str, wants: &str) {
        let found = match node.kind {
            Kind::Str | Kind::Int(_) | Kind::Float(_) | Kind::Bool(_) => format!("`{}`", node.text),
            Kind::Null | Kind::Seq(_) | Kind::Map(_) => node.kind.noun().to_owned(),
        };
        self.refuse(node.place, format!("`{key}` wants {wants}, found {found}"));
    }

    fn unit<T>(&mut self, node: &Node, key: &str, parsed: Result<T, UnitError>) -> Option<T> {
        parsed
            .map_err(|error| {
                let message = format!("`{key}: {}` {}", node.text, error.fault());
                self.refuse_with_hint(node.place, message, error.hint());
            })
            .ok()
    }

    fn note(&mut self, place: Place, message: &str, hint: Option<&str>) {
        if !self.is_full() {
            self.findings.push(Finding::new(place, message, hint));
        }
    }

    /// The place `offset` bytes into a scalar, if its text stands in the file unchanged up to there; else its start.
    fn place_within(&self, node: &Node, offset: usize) -> Place {
        let start = node.place;
        let Some(prefix) = node.text.get(..offset) else {
            return start;
        };
        let mut rest = self.document.line(start.line).unwrap_or("").chars();
        if start.column > 1 {
            rest.nth(start.column - 2);
        }
        let rest = rest.as_str();
        let quote = rest.starts_with(['"', '\'']);
        if rest[usize::from(quote)..].starts_with(prefix) {
            let column = start.column + usize::from(quote) + prefix.chars().count();
            return Place { column, ..start };
        }
        start
    }
}

/// Whether `text` may name a flow, step, phase or target: `[A-Za-z][A-Za-z0-9_-]{0,63}`.
#[must_use]
pub fn is_name(text: &str) -> bool {
    text.len() <= 64
        && text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

/// The candidate that `typed` most likely meant: at most one slip in three characters.
#[must_use]
pub fn nearest<S: AsRef<str>>(typed: &str, candidates: impl IntoIterator<Item = S>) -> Option<S> {
    // Beyond the longest name there is nothing near, and the distance is quadratic.
    if typed.len() > 64 {
        return None;
    }
    let typed = typed.to_lowercase();
    let slips = typed.chars().count().div_ceil(3);
    let distance = |name: &S| strsim::damerau_levenshtein(&typed, &name.as_ref().to_lowercase());
    candidates
        .into_iter()
        .map(|candidate| (distance(&candidate), candidate))
        .filter(|(distance, _)| *distance <= slips)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}
