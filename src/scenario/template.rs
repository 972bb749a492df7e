//! Text with `${…}` in it: parsed once, rendered for every request without allocation.
//!
//! The value of a slot is a function of (seed, arrival, step, round, slot), so a request has the same bytes whatever
//! the number of workers and the order in which they render. What a slot may be filled with beside that is told by
//! the [`Draw`]: rows of feeders, what the walk has captured, the time. What is known before a run starts, such as the
//! environment, is put in beforehand by [`Template::bind`] and costs nothing afterwards.

mod escape;
mod expression;
mod source;

pub(super) use escape::{Position, json_characters};
pub(super) use expression::{FeederUse, NameUse, Names, Part, is_reserved, parts, without_slots};
pub use source::Value;
pub(super) use source::{Scope, Source};

use std::fmt;

use super::given::{Key, Known, Row};
use crate::document::Flaw;

/// Which request of a run is rendered, and what is known at that moment.
#[derive(Debug, Clone, Copy)]
pub struct Draw<'a> {
    /// The run's seed.
    pub seed: u64,
    /// The arrival that started the walk, from 0 over the whole run.
    pub arrival: u64,
    /// The step's index in its flow.
    pub step: u32,
    /// How often the walk has made the step before.
    pub round: u32,
    /// What is known beside that.
    pub beside: &'a Beside<'a>,
}

/// What a request may be made of beside its draws.
#[derive(Debug, Clone, Copy)]
pub struct Beside<'a> {
    /// Now, in milliseconds since the Unix epoch.
    pub now_ms: u64,
    /// When the arrival was due, likewise.
    pub began_ms: u64,
    /// The walk's row of each feeder; empty where the request uses none.
    pub rows: &'a [Row],
    /// What the walk has captured so far.
    pub captured: &'a [Option<Value>],
    /// The value of the `cookie` header; empty where there is none.
    pub cookies: &'a [u8],
}

impl Beside<'_> {
    /// Before anything is known.
    pub const NOTHING: &'static Beside<'static> = &Beside {
        now_ms: 0,
        began_ms: 0,
        rows: &[],
        captured: &[],
        cookies: &[],
    };
}

impl Draw<'_> {
    /// The first round of `step` of the walk that `arrival` starts, before anything is known.
    #[must_use]
    pub fn new(seed: u64, arrival: u64, step: u32) -> Self {
        Self {
            seed,
            arrival,
            step,
            round: 0,
            beside: Beside::NOTHING,
        }
    }
}

/// Literal bytes and slots, in order.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Template {
    pieces: Vec<Piece>,
}

#[derive(Debug, Clone, PartialEq)]
enum Piece {
    Literal(Vec<u8>),
    Slot(Slot),
}

/// A place that each draw fills.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Slot {
    /// Its number within its request, or within its flow's variables.
    number: u32,
    scope: Scope,
    source: Source,
    position: Position,
}

/// Why a template could not be rendered. Displayed as `` `${token}` has no value ``. One word wide, since every request
/// that is rendered carries the room for it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unfilled(Box<str>);

impl Unfilled {
    /// `name` is what stands between the braces, `why` a verb and what follows.
    #[must_use]
    pub fn new(name: &str, why: &str) -> Self {
        Self(format!("`${{{name}}}` {why}").into())
    }
}

impl Template {
    /// Appends what `draw` makes of the template. Allocates only when `out` has to grow.
    ///
    /// # Errors
    /// When a slot has no value, or one that cannot stand in its place. What was rendered so far is in `out`.
    pub fn render(&self, draw: &Draw<'_>, out: &mut Vec<u8>) -> Result<(), Unfilled> {
        for piece in &self.pieces {
            match piece {
                Piece::Literal(bytes) => out.extend_from_slice(bytes),
                Piece::Slot(slot) => slot.render(draw, out)?,
            }
        }
        Ok(())
    }

    /// What `draw` makes of the template, for people: what is only known to a run, such as the environment, and what
    /// has no value stand as `***`.
    #[must_use]
    pub fn show(&self, draw: &Draw<'_>) -> String {
        let mut out = Vec::new();
        for piece in &self.pieces {
            match piece {
                Piece::Literal(bytes) => out.extend_from_slice(bytes),
                Piece::Slot(slot) => {
                    let before = out.len();
                    if slot.render(draw, &mut out).is_err() {
                        out.truncate(before);
                        out.extend_from_slice(b"***");
                    }
                }
            }
        }
        String::from_utf8_lossy(&out).into_owned()
    }

    /// The template with what `known` has put in place of the slots that ask for it.
    ///
    /// # Errors
    /// When a value cannot stand in its place.
    pub fn bind(&self, known: &Known) -> Result<Self, Unfilled> {
        let mut bound = Self::default();
        for piece in &self.pieces {
            match piece {
                Piece::Literal(bytes) => bound.append_literal(bytes),
                Piece::Slot(slot) => match slot.known(known) {
                    Some(value) => {
                        let mut bytes = Vec::new();
                        slot.write(value, &mut bytes)?;
                        bound.append_literal(&bytes);
                    }
                    None => bound.pieces.push(piece.clone()),
                },
            }
        }
        Ok(bound)
    }

    /// A template without slots.
    #[must_use]
    pub fn literal(bytes: &[u8]) -> Self {
        let mut template = Self::default();
        template.append_literal(bytes);
        template
    }

    /// The line of the `cookie` header with the walk's cookies; nothing where it has none.
    #[must_use]
    pub fn cookie_line() -> Self {
        Self::of(Source::CookieLine)
    }

    /// The bytes that are known before a run under `key`, as they are.
    pub(super) fn known_bytes(key: Key) -> Self {
        Self::of(Source::Known(key))
    }

    /// What `source` gives, as it is, and nothing else.
    fn of(source: Source) -> Self {
        let slot = Slot {
            number: 0,
            scope: Scope::Step,
            source,
            position: Position::Plain,
        };
        Self {
            pieces: vec![Piece::Slot(slot)],
        }
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
                Piece::Slot(_) => self.pieces.push(piece.clone()),
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
            Piece::Slot(_) => None,
        })
    }

    /// What fills its slots.
    pub(super) fn sources(&self) -> impl Iterator<Item = &Source> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Literal(_) => None,
            Piece::Slot(slot) => Some(slot.source.innermost()),
        })
    }
}

/// Collects the pieces of one template for one position; slots are numbered on from the templates before it in the
/// same request.
#[derive(Debug)]
pub(super) struct Builder<'s> {
    template: Template,
    spelt: Spelt,
    position: Position,
    names: &'s mut Names,
}

/// The most bytes and slots of a template, its variables spelt out: beyond any request that is not a file.
const MOST: Spelt = Spelt {
    pieces: 10_000,
    bytes: 4 << 20,
};

/// The most of all templates of a file.
const MOST_OF_FILE: Spelt = Spelt {
    pieces: 200_000,
    bytes: 32 << 20,
};

/// What templates hold, their variables spelt out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Spelt {
    pieces: usize,
    /// Of their literals.
    bytes: usize,
}

impl Spelt {
    fn add(&mut self, bytes: usize) {
        self.pieces += 1;
        self.bytes += bytes;
    }

    fn is_within(self, most: Self) -> bool {
        self.pieces <= most.pieces && self.bytes <= most.bytes
    }
}

impl<'s> Builder<'s> {
    pub(super) fn new(position: Position, names: &'s mut Names) -> Self {
        Self {
            template: Template::default(),
            spelt: Spelt::default(),
            position,
            names,
        }
    }

    pub(super) fn finish(self) -> Template {
        self.template
    }

    /// Adds bytes as they are.
    pub(super) fn literal(&mut self, bytes: &[u8]) {
        self.count(bytes.len());
        self.template.append_literal(bytes);
    }

    /// Adds text, its slots filled. Literal text stands as it was written: a path is written encoded.
    pub(super) fn text(&mut self, text: &str) -> Result<(), Flaw> {
        let parts = parts(text, self.names)?;
        self.all(parts)
    }

    fn all(&mut self, parts: Vec<Part>) -> Result<(), Flaw> {
        for part in parts {
            match part {
                Part::Literal(literal) => self.literal(self.position.written(&literal).as_bytes()),
                Part::Variable(literal) => {
                    let mut bytes = Vec::new();
                    if let Err(why) = self.position.write(literal.as_bytes(), &mut bytes) {
                        return Err(Flaw {
                            offset: 0,
                            message: format!("a variable here {why}"),
                            hint: None,
                        });
                    }
                    self.literal(&bytes);
                }
                Part::Slot(number, scope, source) => {
                    self.slot(number, scope, source, self.position);
                }
            }
            self.check_size()?;
        }
        Ok(())
    }

    /// Adds text as it is, written as the position wants it.
    pub(super) fn plain(&mut self, text: &str) -> Result<(), Flaw> {
        let written = self.position.written(text).into_owned();
        self.literal(written.as_bytes());
        self.check_size()
    }

    /// Adds text as a JSON value, in a builder for JSON text: a string, or what a slot holds where the text is nothing but that slot.
    pub(super) fn json_value(&mut self, text: &str) -> Result<(), Flaw> {
        let parts = parts(text, self.names)?;
        if let [Part::Slot(number, scope, source)] = &parts[..] {
            self.slot(*number, *scope, source.clone(), Position::JsonValue);
            return Ok(());
        }
        self.literal(b"\"");
        self.all(parts)?;
        self.literal(b"\"");
        Ok(())
    }

    /// Adds text as a JSON string without slots.
    pub(super) fn json_string(&mut self, text: &str) {
        self.literal(format!("\"{}\"", json_characters(text)).as_bytes());
    }

    fn count(&mut self, bytes: usize) {
        self.spelt.add(bytes);
        self.names.spelt.add(bytes);
    }

    fn slot(&mut self, number: u32, scope: Scope, source: Source, position: Position) {
        self.count(0);
        self.template.pieces.push(Piece::Slot(Slot {
            number,
            scope,
            source,
            position,
        }));
    }

    fn check_size(&self) -> Result<(), Flaw> {
        let hint = if !self.spelt.is_within(MOST) {
            "a body that long is a file: body: { file: … }"
        } else if !self.names.spelt.is_within(MOST_OF_FILE) {
            "that is so for all of the scenario together; a long body is a file: body: { file: … }"
        } else {
            return Ok(());
        };
        Err(Flaw {
            offset: 0,
            message: "with its variables spelt out, this is too long".to_owned(),
            hint: Some(hint.to_owned()),
        })
    }
}

impl fmt::Display for Template {
    /// As it would be written, without the names of variables.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for piece in &self.pieces {
            match piece {
                Piece::Literal(bytes) => write!(f, "{}", String::from_utf8_lossy(bytes))?,
                Piece::Slot(slot) => write!(f, "${{{}}}", slot.source)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
