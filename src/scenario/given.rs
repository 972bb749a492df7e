//! What a scenario takes from outside: rows of files, the environment, what set-up calls have captured. Files are opened
//! elsewhere; here is what must be known of them.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use super::template::{Position, Unfilled};
use crate::random::{self, Stream};

/// A file of rows, of which each walk takes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Feeder {
    /// Unique in its scenario.
    pub name: String,
    /// As it was written: relative to the scenario file.
    pub file: String,
    /// How rows are written in it.
    pub format: Format,
    /// Which row a walk takes.
    pub order: Order,
    /// The fields that are used, in the order in which rows are to give them.
    pub fields: Vec<Field>,
}

/// A field of a feeder that is used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// The column of a CSV file, or the key of an NDJSON one.
    pub name: String,
    /// Whether it must be a whole number, as an argument of `int`.
    pub whole: bool,
}

/// How rows are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Comma-separated, the first line naming the columns (RFC 4180).
    Csv,
    /// A JSON object per line.
    Ndjson,
}

/// Which row a walk takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Order {
    /// Arrival modulo rows.
    #[default]
    Circular,
    /// The arrival's; after the last row, no further walk starts.
    Sequential,
    /// A row drawn for the arrival; rows repeat.
    Random,
    /// As `sequential`, and running out of rows ends the run as `data exhausted`.
    Unique,
}

/// The number from which walks are counted that check a scenario before its load: beyond those of any run, and still a
/// number of 32 bits for targets that keep it in one.
pub const FIRST_PREFLIGHT: u64 = 2_000_000_000;

impl Order {
    /// The row of `arrival`, of so many; none where there is none for it. `feeder` tells apart the draws of several.
    #[must_use]
    pub fn row(self, seed: u64, feeder: usize, arrival: u64, rows: u64) -> Option<u64> {
        match self {
            Self::Circular => arrival.checked_rem(rows),
            Self::Random => {
                let bits = random::bits(seed, Stream::Row, &[feeder as u64, arrival]);
                (rows > 0).then(|| random::below(bits, rows))
            }
            // From the end, so that what is checked before the load takes no row of it as long as there are enough.
            Self::Sequential | Self::Unique if arrival >= FIRST_PREFLIGHT => rows
                .checked_sub(1 + (arrival - FIRST_PREFLIGHT))
                .or(rows.checked_sub(1)),
            Self::Sequential | Self::Unique => Some(arrival).filter(|&row| row < rows),
        }
    }

    /// Whether rows can run out.
    #[must_use]
    pub fn ends(self) -> bool {
        matches!(self, Self::Sequential | Self::Unique)
    }
}

/// The values of a row's fields.
#[derive(Debug, Clone, Default)]
pub struct Row {
    bytes: Vec<u8>,
    /// Where each value ends, and whether it is JSON.
    ends: Vec<(usize, bool)>,
}

impl Row {
    /// Forgets everything.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
    }

    /// Adds the value of the next field; `is_json` says that it is a JSON value other than a string.
    pub fn push(&mut self, value: &[u8], is_json: bool) {
        self.bytes.extend_from_slice(value);
        self.ends.push((self.bytes.len(), is_json));
    }

    /// The value of a field, and whether it is JSON.
    #[must_use]
    pub fn get(&self, field: usize) -> Option<(&[u8], bool)> {
        let &(end, is_json) = self.ends.get(field)?;
        let start = field.checked_sub(1).map_or(0, |before| self.ends[before].0);
        Some((&self.bytes[start..end], is_json))
    }
}

/// The rows of an opened feeder.
pub trait Rows: fmt::Debug + Send + Sync {
    /// How many there are; at least 1.
    fn count(&self) -> u64;

    /// Reads one into `row`, the fields that are used in their order.
    ///
    /// # Errors
    /// When the file cannot be read any more, in words.
    fn read(&self, index: u64, row: &mut Row) -> Result<(), String>;
}

/// Something that a run has to know before it starts. Displayed as it is written in a scenario.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key {
    /// A variable of the environment.
    Env(String),
    /// The content of a file.
    File(String),
    /// What a set-up call has captured.
    Setup(String),
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Env(name) => write!(f, "env.{name}"),
            Self::File(path) => write!(f, "{path}"),
            Self::Setup(name) => write!(f, "{name}"),
        }
    }
}

/// What is known before a run starts.
#[derive(Debug, Clone, Default)]
pub struct Known {
    values: BTreeMap<Key, (Arc<[u8]>, bool)>,
    /// What else nobody may read.
    secrets: Vec<String>,
}

impl Known {
    /// Adds a value; `is_json` says that it is a JSON value other than a string.
    pub fn insert(&mut self, key: Key, value: &[u8], is_json: bool) {
        self.values.insert(key, (value.into(), is_json));
    }

    /// A value, and whether it is JSON.
    #[must_use]
    pub fn get(&self, key: &Key) -> Option<(&[u8], bool)> {
        self.values
            .get(key)
            .map(|(value, is_json)| (&value[..], *is_json))
    }

    /// Adds something that nobody may read.
    pub fn hide(&mut self, secret: &str) {
        self.secrets.push(secret.to_owned());
    }

    /// `text` without what nobody may read: the values of the environment and what was hidden, as they are and as JSON and
    /// paths have them. Shorter ones than four bytes are words of any text.
    #[must_use]
    pub fn conceal(&self, text: &str) -> String {
        let of_environment = |(key, (value, _)): (&Key, &(Arc<[u8]>, bool))| {
            matches!(key, Key::Env(_)).then(|| String::from_utf8_lossy(value).into_owned())
        };
        let values = self.values.iter().filter_map(of_environment);
        let secrets = values.chain(self.secrets.iter().cloned());
        let mut secrets: Vec<String> = secrets
            .filter(|secret| secret.len() >= LEAST_SECRET)
            .collect();
        // One may be a part of another.
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        let mut text = text.to_owned();
        for secret in secrets {
            for position in [
                Position::Plain,
                Position::JsonText,
                Position::Path,
                Position::Form,
            ] {
                let mut written = Vec::new();
                if position.write(secret.as_bytes(), &mut written).is_ok() {
                    text = text.replace(&*String::from_utf8_lossy(&written), "***");
                }
            }
        }
        text
    }
}

/// Bytes of a secret from which on it is looked for in texts.
const LEAST_SECRET: usize = 4;

/// What a scenario was given.
#[derive(Debug, Clone, Default)]
pub struct Given {
    /// The rows of each feeder, in the scenario's order.
    pub rows: Vec<Arc<dyn Rows>>,
    /// All else.
    pub known: Known,
}

impl Given {
    /// Reads the rows that `arrival` takes of the feeders `wanted` into `rows`, which has a place for each feeder.
    ///
    /// # Errors
    /// When there is no row for it, or it cannot be read.
    pub fn read(
        &self,
        feeders: &[Feeder],
        wanted: &[usize],
        (seed, arrival): (u64, u64),
        rows: &mut Vec<Row>,
    ) -> Result<(), Unfilled> {
        rows.resize_with(feeders.len(), Row::default);
        for &index in wanted {
            let (feeder, file) = (&feeders[index], &self.rows[index]);
            let unfilled = |why: String| Unfilled::new(&feeder.name, &why);
            let row = feeder.order.row(seed, index, arrival, file.count());
            let row = row.ok_or_else(|| unfilled("has no row left".to_owned()))?;
            file.read(row, &mut rows[index]).map_err(unfilled)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_within_another_is_concealed_with_it() {
        let mut known = Known::default();
        known.insert(Key::Env("A".into()), b"admin", false);
        known.insert(Key::Env("B".into()), b"admin-s3cret", false);
        assert_eq!(known.conceal("is admin-s3cret, admin"), "is ***, ***");
    }

    #[test]
    fn a_row_gives_its_values_back() {
        let mut row = Row::default();
        row.push(b"ada", false);
        row.push(b"", false);
        row.push(b"7", true);
        let values: Vec<_> = (0..4).map(|field| row.get(field)).collect();
        assert_eq!(
            values,
            [
                Some((b"ada".as_slice(), false)),
                Some((b"".as_slice(), false)),
                Some((b"7".as_slice(), true)),
                None
            ]
        );
    }

    #[test]
    fn each_order_gives_the_rows_that_it_says() {
        let rows = |order: Order| (0..5).map(|k| order.row(1, 0, k, 3)).collect::<Vec<_>>();
        assert_eq!(rows(Order::Circular), [0, 1, 2, 0, 1].map(Some));
        let ending = [Some(0), Some(1), Some(2), None, None];
        assert_eq!(rows(Order::Sequential), ending);
        assert_eq!(rows(Order::Unique), ending);
        assert!(
            rows(Order::Random)
                .iter()
                .all(|row| row.is_some_and(|row| row < 3))
        );
        assert_ne!(
            (0..64)
                .map(|k| Order::Random.row(1, 0, k, 3))
                .collect::<Vec<_>>(),
            (0..64)
                .map(|k| Order::Random.row(1, 1, k, 3))
                .collect::<Vec<_>>(),
            "two feeders of one file are drawn apart"
        );
        assert_eq!(Order::Unique.row(1, 0, FIRST_PREFLIGHT, 3), Some(2));
        assert_eq!(Order::Unique.row(1, 0, FIRST_PREFLIGHT + 7, 3), Some(2));
    }
}
