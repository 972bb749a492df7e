//! What fills a slot.

use std::fmt;
use std::io::Write as _;
use std::sync::Arc;

use super::{Draw, Position, Slot, Unfilled};
use crate::random::{self, Stream, Zipf};
use crate::scenario::given::{Key, Known};

/// What a slot's draws depend on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::scenario) enum Scope {
    /// The step and its round.
    Step,
    /// The walk alone: a variable of its flow.
    Walk,
}

/// Text, or a JSON value that is none: what a capture or a field of a feeder holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Value {
    /// The text, or the JSON.
    pub text: Box<str>,
    /// Whether it stands in JSON as it is: a number, a boolean, `null`, a list or a map.
    pub is_json: bool,
}

impl Value {
    /// Text.
    #[must_use]
    pub fn text(text: &str) -> Self {
        Self {
            text: text.into(),
            is_json: false,
        }
    }

    /// A JSON value: a string becomes text.
    #[must_use]
    pub fn json(value: &serde_json::Value) -> Self {
        match value {
            serde_json::Value::String(text) => Self::text(text),
            other => Self {
                text: other.to_string().into(),
                is_json: true,
            },
        }
    }
}

/// What fills a slot. Displayed as it is written between the braces.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::scenario) enum Source {
    /// Uniform over `low..=high`; `span` is `high − low`.
    RandomInt { low: i64, span: u64 },
    /// A rank from `low` on, the first the most frequent.
    RandomZipf { low: i64, zipf: Zipf },
    /// One of several, all equally likely.
    RandomChoice(Arc<[Value]>),
    /// So many letters and digits.
    RandomString(usize),
    /// The arrival's number from 1.
    Seq,
    /// A version 4 UUID (RFC 9562) in lower case.
    Uuid,
    /// Milliseconds since the Unix epoch.
    Now,
    /// A field of a feeder, both by number; and their names.
    Field {
        feeder: usize,
        field: usize,
        name: Arc<str>,
    },
    /// What a step before has captured, by number; and its name.
    Captured { index: usize, name: Arc<str> },
    /// What is known before the run starts.
    Known(Key),
    /// Another one as a whole number.
    Int(Box<Source>),
    /// `cookie: …` and a line end, where the walk has cookies.
    CookieLine,
}

/// Letters and digits, which stand unchanged wherever a slot may.
const ALPHABET: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

impl Slot {
    pub(super) fn render(&self, draw: &Draw<'_>, out: &mut Vec<u8>) -> Result<(), Unfilled> {
        let bits = |part: u64| {
            let (step, round) = match self.scope {
                Scope::Step => (u64::from(draw.step), u64::from(draw.round)),
                Scope::Walk => (u64::MAX, 0),
            };
            let slot = u64::from(self.number);
            // A first round draws what a step without rounds does.
            let part = part | round << 32;
            random::bits(
                draw.seed,
                Stream::Template,
                &[draw.arrival, step, slot, part],
            )
        };
        let mut digits = itoa::Buffer::new();
        match &self.source {
            Source::RandomInt { low, span } => {
                // All 2^64 values are asked for exactly when `span + 1` overflows.
                let above = span
                    .checked_add(1)
                    .map_or(bits(0), |count| random::below(bits(0), count));
                let number = low.wrapping_add_unsigned(above);
                out.extend_from_slice(digits.format(number).as_bytes());
            }
            Source::RandomZipf { low, zipf } => {
                let number = low.wrapping_add_unsigned(zipf.sample(bits) - 1);
                out.extend_from_slice(digits.format(number).as_bytes());
            }
            Source::RandomChoice(values) => {
                let index = random::below(bits(0), values.len() as u64) as usize;
                let Value { text, is_json } = &values[index];
                return self.write((text.as_bytes(), *is_json), out);
            }
            Source::RandomString(length) => self.letters(*length, bits, out),
            Source::Seq => {
                let number = u128::from(draw.arrival) + 1;
                out.extend_from_slice(digits.format(number).as_bytes());
            }
            Source::Uuid => {
                let random = u128::from(bits(0)) << 64 | u128::from(bits(1));
                let uuid = uuid::Builder::from_random_bytes(random.to_be_bytes()).into_uuid();
                let mut text = uuid::Uuid::encode_buffer();
                let text = uuid.hyphenated().encode_lower(&mut text).as_bytes();
                self.quoted(out, |out| out.extend_from_slice(text));
            }
            Source::Now => {
                let now = match self.scope {
                    Scope::Step => draw.beside.now_ms,
                    Scope::Walk => draw.beside.began_ms,
                };
                out.extend_from_slice(digits.format(now).as_bytes());
            }
            Source::CookieLine if draw.beside.cookies.is_empty() => {}
            Source::CookieLine => {
                // Into a vector, writing cannot fail.
                let _ = out.write_all(b"cookie: ");
                out.extend_from_slice(draw.beside.cookies);
                out.extend_from_slice(b"\r\n");
            }
            source => {
                let value = source
                    .look_up(draw)
                    .ok_or_else(|| self.unfilled("has no value"))?;
                return self.write(value, out);
            }
        }
        Ok(())
    }

    /// Writes a value that came from elsewhere.
    pub(super) fn write(
        &self,
        (text, is_json): (&[u8], bool),
        out: &mut Vec<u8>,
    ) -> Result<(), Unfilled> {
        if let Source::Int(_) = self.source {
            let number = std::str::from_utf8(text)
                .ok()
                .and_then(|text| text.trim().parse::<i128>().ok());
            let Some(number) = number else {
                let why = match self.source.innermost() {
                    // It may be secret.
                    Source::Known(_) => "is no whole number".to_owned(),
                    _ => format!(
                        "is no whole number: `{:.40}`",
                        String::from_utf8_lossy(text)
                    ),
                };
                return Err(self.unfilled(&why));
            };
            out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
            return Ok(());
        }
        if is_json && self.position == Position::JsonValue {
            out.extend_from_slice(text);
            return Ok(());
        }
        let written = self.position.write(text, out);
        written.map_err(|why| self.unfilled(why))
    }

    /// What the slot asks for of what is known before the run.
    pub(super) fn known<'k>(&self, known: &'k Known) -> Option<(&'k [u8], bool)> {
        match self.source.innermost() {
            Source::Known(key) => known.get(key),
            _ => None,
        }
    }

    fn letters(&self, length: usize, bits: impl Fn(u64) -> u64, out: &mut Vec<u8>) {
        self.quoted(out, |out| {
            // Ten letters of 64 bits: 62^10 is below 2^60.
            for (part, start) in (0..).zip((0..length).step_by(10)) {
                let mut rest = bits(part);
                for _ in start..length.min(start + 10) {
                    let wide = u128::from(rest) * ALPHABET.len() as u128;
                    out.push(ALPHABET[(wide >> 64) as usize]);
                    rest = wide as u64;
                }
            }
        });
    }

    fn quoted(&self, out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
        let quote = self.position == Position::JsonValue;
        out.extend(quote.then_some(b'"'));
        write(out);
        out.extend(quote.then_some(b'"'));
    }

    fn unfilled(&self, why: &str) -> Unfilled {
        Unfilled::new(&self.source.to_string(), why)
    }
}

impl Source {
    /// What is wrapped, where it is.
    pub(super) fn innermost(&self) -> &Self {
        match self {
            Self::Int(inner) => inner.innermost(),
            source => source,
        }
    }

    /// The value of a field or a capture, and whether it is JSON.
    fn look_up<'d>(&self, draw: &Draw<'d>) -> Option<(&'d [u8], bool)> {
        match self.innermost() {
            Self::Field { feeder, field, .. } => draw.beside.rows.get(*feeder)?.get(*field),
            Self::Captured { index, .. } => {
                let value = draw.beside.captured.get(*index)?.as_ref()?;
                Some((value.text.as_bytes(), value.is_json))
            }
            _ => None,
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RandomInt { low, span } => {
                write!(f, "random.int({low}, {})", low.wrapping_add_unsigned(*span))
            }
            Self::RandomZipf { low, zipf } => {
                let high = low.wrapping_add_unsigned(zipf.ranks() - 1);
                write!(f, "random.zipf({low}, {high}, {})", zipf.exponent())
            }
            Self::RandomChoice(values) => {
                let shown = |value: &Value| match value.is_json {
                    true => value.text.to_string(),
                    false => format!("'{}'", value.text),
                };
                let values: Vec<_> = values.iter().map(shown).collect();
                write!(f, "random.choice({})", values.join(", "))
            }
            Self::RandomString(length) => write!(f, "random.string({length})"),
            Self::Seq => write!(f, "seq"),
            Self::Uuid => write!(f, "uuid"),
            Self::Now => write!(f, "now"),
            Self::Field { name, .. } | Self::Captured { name, .. } => write!(f, "{name}"),
            Self::Known(key) => write!(f, "{key}"),
            Self::Int(inner) => write!(f, "int({inner})"),
            Self::CookieLine => write!(f, "cookies"),
        }
    }
}
