//! Text with `${…}` in it: parsed once, rendered for every request without allocation.
//!
//! The value of a slot is a function of (seed, arrival, step, slot), so a request has the same bytes whatever the
//! number of workers and the order in which they render.

use std::io::Write;

use crate::document::{Flaw, nearest};
use crate::random::{self, Stream};

/// Which request of a run is rendered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Draw {
    /// The run's seed.
    pub seed: u64,
    /// The arrival that started the walk, from 0 over the whole run.
    pub arrival: u64,
    /// The step's index in its flow.
    pub step: u32,
}

/// Literal bytes and slots, in order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Template {
    pieces: Vec<Piece>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Literal(Vec<u8>),
    /// The slot's number within its request, and what fills it.
    Slot(u32, Function),
}

/// What fills a slot.
///
/// Every value is made of ASCII letters, digits and `-`, which stand unchanged in a path (RFC 3986's unreserved
/// characters), in a header and inside a JSON string: escaping is a matter of the literals alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Function {
    /// Uniform over `low..=high`; `span` is `high − low`.
    RandomInt { low: i64, span: u64 },
    /// The arrival's number from 1.
    Seq,
    /// A version 4 UUID (RFC 9562) in lower case.
    Uuid,
}

impl Template {
    /// Appends what `draw` makes of the template. Allocates only when `out` has to grow.
    pub fn render(&self, draw: &Draw, out: &mut Vec<u8>) {
        for piece in &self.pieces {
            match piece {
                Piece::Literal(bytes) => out.extend_from_slice(bytes),
                Piece::Slot(slot, function) => function.render(draw, *slot, out),
            }
        }
    }

    /// A template without slots.
    #[must_use]
    pub fn literal(bytes: &[u8]) -> Self {
        let mut template = Self::default();
        template.append_literal(bytes);
        template
    }

    /// Adds bytes as they are.
    pub fn append_literal(&mut self, bytes: &[u8]) {
        match self.pieces.last_mut() {
            _ if bytes.is_empty() => {}
            Some(Piece::Literal(before)) => before.extend_from_slice(bytes),
            _ => self.pieces.push(Piece::Literal(bytes.to_vec())),
        }
    }

    /// Adds another template of the same request; its slots keep their values.
    pub fn append(&mut self, other: &Self) {
        for piece in &other.pieces {
            match piece {
                Piece::Literal(bytes) => self.append_literal(bytes),
                Piece::Slot(..) => self.pieces.push(piece.clone()),
            }
        }
    }

    /// The bytes that every draw gives; none where they differ.
    #[must_use]
    pub fn constant(&self) -> Option<&[u8]> {
        match &self.pieces[..] {
            [] => Some(&[]),
            [Piece::Literal(bytes)] => Some(bytes),
            _ => None,
        }
    }

    /// The literal bytes alone, for checks of what was written.
    pub(super) fn literals(&self) -> impl Iterator<Item = &[u8]> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Literal(bytes) => Some(bytes.as_slice()),
            Piece::Slot(..) => None,
        })
    }
}

impl Function {
    fn render(self, draw: &Draw, slot: u32, out: &mut Vec<u8>) {
        let bits = |part: u64| {
            let keys = [draw.arrival, u64::from(draw.step), u64::from(slot), part];
            random::bits(draw.seed, Stream::Template, &keys)
        };
        let written = match self {
            Self::RandomInt { low, span } => {
                // All 2^64 values are asked for exactly when `span + 1` overflows.
                let above = span
                    .checked_add(1)
                    .map_or(bits(0), |count| random::below(bits(0), count));
                write!(out, "{}", low.wrapping_add_unsigned(above))
            }
            Self::Seq => write!(out, "{}", u128::from(draw.arrival) + 1),
            Self::Uuid => {
                let random = u128::from(bits(0)) << 64 | u128::from(bits(1));
                let uuid = uuid::Builder::from_random_bytes(random.to_be_bytes()).into_uuid();
                let mut text = uuid::Uuid::encode_buffer();
                out.extend_from_slice(uuid.hyphenated().encode_lower(&mut text).as_bytes());
                Ok(())
            }
        };
        debug_assert!(written.is_ok(), "a vector takes every byte");
    }

    /// Whether a JSON value that is only this slot is a number.
    fn is_number(self) -> bool {
        match self {
            Self::RandomInt { .. } | Self::Seq => true,
            Self::Uuid => false,
        }
    }
}

/// Collects the pieces of one template; slots are numbered on from the templates before it in the same request.
#[derive(Debug)]
pub(super) struct Builder<'s> {
    template: Template,
    slots: &'s mut u32,
}

impl<'s> Builder<'s> {
    pub(super) fn new(slots: &'s mut u32) -> Self {
        Self {
            template: Template::default(),
            slots,
        }
    }

    pub(super) fn finish(self) -> Template {
        self.template
    }

    /// Adds bytes as they are.
    pub(super) fn literal(&mut self, bytes: &[u8]) {
        self.template.append_literal(bytes);
    }

    /// Adds text as it is, its slots filled.
    pub(super) fn text(&mut self, text: &str) -> Result<(), Flaw> {
        for part in parts(text)? {
            match part {
                Part::Literal(literal) => self.literal(literal.as_bytes()),
                Part::Function(function) => self.slot(function),
            }
        }
        Ok(())
    }

    /// Adds text as a JSON value: a string, or a number where the text is nothing but a slot that holds one.
    pub(super) fn json_value(&mut self, text: &str) -> Result<(), Flaw> {
        let parts = parts(text)?;
        if let [Part::Function(function)] = parts[..]
            && function.is_number()
        {
            self.slot(function);
            return Ok(());
        }
        self.literal(b"\"");
        for part in parts {
            match part {
                Part::Literal(literal) => self.literal(json_characters(literal).as_bytes()),
                Part::Function(function) => self.slot(function),
            }
        }
        self.literal(b"\"");
        Ok(())
    }

    /// Adds text as a JSON string without slots.
    pub(super) fn json_string(&mut self, text: &str) {
        self.literal(format!("\"{}\"", json_characters(text)).as_bytes());
    }

    fn slot(&mut self, function: Function) {
        self.template
            .pieces
            .push(Piece::Slot(*self.slots, function));
        *self.slots += 1;
    }
}

/// `text` with each `${…}` dropped, to name a step by its path.
pub(super) fn without_slots(text: &str) -> String {
    let literal = |part| match part {
        Part::Literal(literal) => Some(literal),
        Part::Function(_) => None,
    };
    parts(text)
        .map(|parts| parts.into_iter().filter_map(literal).collect())
        .unwrap_or_default()
}

/// `text` as the inside of a JSON string (RFC 8259, section 7), which YAML reads between double quotes as well.
pub(super) fn json_characters(text: &str) -> String {
    let mut json = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '"' => json.push_str("\\\""),
            '\\' => json.push_str("\\\\"),
            '\n' => json.push_str("\\n"),
            '\r' => json.push_str("\\r"),
            '\t' => json.push_str("\\t"),
            // The controls above ASCII may stand in JSON, but not in YAML.
            c if c.is_control() => json.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => json.push(c),
        }
    }
    json
}

enum Part<'t> {
    Literal(&'t str),
    Function(Function),
}

/// Splits at `${…}`. `$${` stands for `${`, and a `$` before anything else for itself.
fn parts(text: &str) -> Result<Vec<Part<'_>>, Flaw> {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some(found) = rest.find("${") {
        let offset = text.len() - rest.len() + found;
        if rest[..found].ends_with('$') {
            // The second `$` and the brace of `$${` are literal: drop the first.
            parts.push(Part::Literal(&rest[..found - 1]));
            parts.push(Part::Literal("${"));
            rest = &rest[found + 2..];
            continue;
        }
        let Some(end) = rest[found..].find('}') else {
            let hint = Some("write $${ for a literal ${".to_owned());
            return Err(Flaw {
                offset,
                message: "`${` is not closed by `}`".to_owned(),
                hint,
            });
        };
        if found > 0 {
            parts.push(Part::Literal(&rest[..found]));
        }
        parts.push(Part::Function(function(
            &rest[found + 2..found + end],
            offset,
        )?));
        rest = &rest[found + end + 1..];
    }
    if !rest.is_empty() {
        parts.push(Part::Literal(rest));
    }
    Ok(parts)
}

/// The functions that are read.
const KNOWN: [&str; 3] = ["random.int", "seq", "uuid"];

/// The functions that the format documents and this version does not support.
const LATER: [&str; 6] = [
    "random.zipf",
    "random.choice",
    "random.string",
    "now",
    "int",
    "env",
];

/// Reads what stands between `${` and `}`; `offset` is where the `${` stands.
fn function(expression: &str, offset: usize) -> Result<Function, Flaw> {
    let fail = |message: String, hint: Option<&str>| {
        Err(Flaw {
            offset,
            message,
            hint: hint.map(str::to_owned),
        })
    };
    let (name, arguments) = match expression.trim().split_once('(') {
        None => (expression.trim(), None),
        Some((name, rest)) => match rest.trim_end().strip_suffix(')') {
            Some(arguments) => (name.trim_end(), Some(arguments)),
            None => return fail(format!("`${{{expression}}}` lacks its `)`"), None),
        },
    };
    match (name, arguments) {
        ("random.int", Some(arguments)) => random_int(arguments).or_else(|message| {
            fail(
                format!("`${{{expression}}}` {message}"),
                Some("write ${random.int(1, 100)}, both ends included"),
            )
        }),
        ("random.int", None) => fail(
            "`random.int` wants its range".to_owned(),
            Some("write ${random.int(1, 100)}"),
        ),
        ("seq", None) => Ok(Function::Seq),
        ("uuid", None) => Ok(Function::Uuid),
        ("seq" | "uuid", Some(_)) => fail(
            format!("`{name}` takes no arguments"),
            Some(&format!("write ${{{name}}}")),
        ),
        _ if LATER.contains(&name) || name.starts_with("env.") => fail(
            format!("`${{{expression}}}`: `{name}` is not supported yet"),
            None,
        ),
        _ => match nearest(name, KNOWN.iter().chain(&LATER)) {
            Some(near) => fail(
                format!("unknown function `{name}`; did you mean `{near}`?"),
                None,
            ),
            None => {
                let hint = format!(
                    "the functions are {}; write $${{ for a literal ${{",
                    KNOWN.join(", ")
                );
                fail(format!("unknown function `{name}`"), Some(&hint))
            }
        },
    }
}

/// Reads `low, high`; the error completes "`${…}` …".
fn random_int(arguments: &str) -> Result<Function, &'static str> {
    let Some((low, high)) = arguments.split_once(',') else {
        return Err("wants two whole numbers");
    };
    let (Ok(low), Ok(high)) = (low.trim().parse::<i64>(), high.trim().parse::<i64>()) else {
        return Err("wants two whole numbers");
    };
    if low > high {
        return Err("has its ends the wrong way round");
    }
    Ok(Function::RandomInt {
        low,
        span: high.abs_diff(low),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(text: &str) -> Result<Template, Flaw> {
        let mut slots = 0;
        let mut builder = Builder::new(&mut slots);
        builder.text(text).map(|()| builder.finish())
    }

    fn rendered(template: &Template, arrival: u64) -> String {
        let mut out = Vec::new();
        template.render(
            &Draw {
                seed: 1,
                arrival,
                step: 0,
            },
            &mut out,
        );
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn templates_render_and_refuse() {
        for (source, expected) in [
            ("plain", Ok("plain")),
            ("", Ok("")),
            ("a$b $ {x} $", Ok("a$b $ {x} $")),
            ("$${seq}", Ok("${seq}")),
            ("$$${seq}", Ok("$${seq}")),
            ("<${seq}|${ seq }>", Ok("<8|8>")),
            ("${random.int(5, 5)}${random.int( -3,-3 )}", Ok("5-3")),
            ("x${seq", Err((1, "`${` is not closed by `}`"))),
            (
                "é${sek}",
                Err((2, "unknown function `sek`; did you mean `seq`?")),
            ),
            ("${}", Err((0, "unknown function ``"))),
            ("${user.name}", Err((0, "unknown function `user.name`"))),
            ("${now}", Err((0, "`${now}`: `now` is not supported yet"))),
            (
                "${env.HOME}",
                Err((0, "`${env.HOME}`: `env.HOME` is not supported yet")),
            ),
            (
                "${random.zipf(1, 2, 1.1)}",
                Err((
                    0,
                    "`${random.zipf(1, 2, 1.1)}`: `random.zipf` is not supported yet",
                )),
            ),
            ("${random.int}", Err((0, "`random.int` wants its range"))),
            (
                "${random.int(1}",
                Err((0, "`${random.int(1}` lacks its `)`")),
            ),
            (
                "${random.int(1)}",
                Err((0, "`${random.int(1)}` wants two whole numbers")),
            ),
            (
                "${random.int(1, 2.5)}",
                Err((0, "`${random.int(1, 2.5)}` wants two whole numbers")),
            ),
            (
                "${random.int(2, 1)}",
                Err((0, "`${random.int(2, 1)}` has its ends the wrong way round")),
            ),
            ("${uuid()}", Err((0, "`uuid` takes no arguments"))),
        ] {
            let seen = text(source).map(|template| rendered(&template, 7));
            let expected = expected
                .map(str::to_owned)
                .map_err(|(at, message): (usize, &str)| (at, message.to_owned()));
            assert_eq!(
                seen.map_err(|flaw| (flaw.offset, flaw.message)),
                expected,
                "{source}"
            );
        }
    }

    #[test]
    fn a_json_value_that_is_only_a_slot_keeps_its_type() {
        for (source, expected) in [
            ("${seq}", "8"),
            ("n${seq}", "\"n8\""),
            ("7", "\"7\""),
            ("a\"b\\c\n\u{1}é", "\"a\\\"b\\\\c\\n\\u0001é\""),
        ] {
            let mut slots = 0;
            let mut builder = Builder::new(&mut slots);
            builder.json_value(source).unwrap();
            assert_eq!(rendered(&builder.finish(), 7), expected);
        }
    }

    #[test]
    fn slots_draw_apart_and_arrivals_too() {
        let template = text("${uuid} ${uuid}").unwrap();
        let one = rendered(&template, 0);
        let (left, right) = one.split_once(' ').unwrap();
        assert_ne!(left, right);
        assert_ne!(one, rendered(&template, 1));
        assert_eq!(one, rendered(&template, 0));
        for draw in [
            Draw {
                seed: 2,
                arrival: 0,
                step: 0,
            },
            Draw {
                seed: 1,
                arrival: 0,
                step: 1,
            },
        ] {
            let mut out = Vec::new();
            template.render(&draw, &mut out);
            assert_ne!(one.as_bytes(), out, "{draw:?}");
        }
        assert_eq!(uuid::Uuid::parse_str(left).unwrap().get_version_num(), 4);
    }

    proptest! {
        #[test]
        fn random_int_stays_within_its_ends(a: i64, b: i64, arrival: u64) {
            let (low, high) = (a.min(b), a.max(b));
            let template = text(&format!("${{random.int({low}, {high})}}")).unwrap();
            let value: i64 = rendered(&template, arrival).parse().unwrap();
            prop_assert!((low..=high).contains(&value));
        }

        #[test]
        fn a_json_string_is_one(source: String) {
            let mut slots = 0;
            let mut builder = Builder::new(&mut slots);
            builder.json_string(&source);
            let parsed: serde_json::Value = serde_json::from_str(&rendered(&builder.finish(), 0)).unwrap();
            prop_assert_eq!(parsed, serde_json::Value::String(source));
        }

        #[test]
        fn no_text_makes_the_parser_panic(source in "[$\\{\\}()a-z.,0-9é-]{0,60}") {
            let _ = text(&source);
        }
    }
}
