//! The rows of a feeder: its file read through once, the fields that are used kept packed, in memory where they are few
//! and else in a temporary file, so that rows without number cost little memory and each can be read by itself.

use std::cell::Cell;
use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Read as _, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use serde_json::Value as Json;
use sha2::{Digest as _, Sha256};

use crate::document::nearest;
use crate::scenario::{Feeder, Format, Row, Rows};

/// Packed rows up to this size stay in memory.
const MOST_IN_MEMORY: usize = 16 << 20;

/// Rows of which only the first one's place is remembered: ten million take 5 MiB so.
const STRIDE: u64 = 16;

/// The longest row, and the longest line of a file: no request is made of more.
const MOST_ROW_BYTES: usize = 1 << 20;

/// The packed rows of one feeder. A row is its fields: the length of each, with the lowest bit for JSON, and its bytes.
#[derive(Debug)]
pub(super) struct PackedRows {
    /// The feeder's file, for messages.
    file: String,
    count: u64,
    /// Where every [`STRIDE`]th row begins, and the end.
    starts: Vec<u64>,
    fields: usize,
    place: Place,
}

#[derive(Debug)]
enum Place {
    Memory(Vec<u8>),
    File(File),
}

/// Why rows could not be read.
#[derive(Debug)]
pub(super) enum Fault {
    /// The file, in words.
    File(String),
    /// A field that is used, by number, in words.
    Field(usize, String),
}

impl PackedRows {
    /// Reads the rows of `feeder` from the file at `path` through, and the digest of the file with it.
    pub(super) fn open(feeder: &Feeder, path: &Path) -> Result<(Self, [u8; 32]), Fault> {
        let file =
            File::open(path).map_err(|error| Fault::File(format!("cannot be read: {error}")))?;
        let mut input = Digested {
            file,
            digest: Sha256::new(),
        };
        let mut packer = Packer::default();
        match feeder.format {
            Format::Csv => csv(feeder, &mut input, &mut packer)?,
            Format::Ndjson => ndjson(feeder, &mut input, &mut packer)?,
        }
        if packer.count == 0 {
            return Err(Fault::File("has no rows".into()));
        }
        let digest = input.digest.finalize().into();
        let rows = packer.finish(feeder).map_err(|error| unwritable(&error))?;
        Ok((rows, digest))
    }

    /// The packed rows from the one at which the block of `index` begins.
    fn block<'b>(&'b self, index: u64, room: &'b mut Vec<u8>) -> io::Result<&'b [u8]> {
        let block = (index / STRIDE) as usize;
        let (start, end) = (self.starts[block], self.starts[block + 1]);
        match &self.place {
            Place::Memory(bytes) => Ok(&bytes[start as usize..end as usize]),
            Place::File(file) => {
                room.resize((end - start) as usize, 0);
                file.read_exact_at(room, start)?;
                Ok(room)
            }
        }
    }
}

thread_local! {
    /// Room for a block that is read from a file, kept for the next one.
    static BLOCK: std::cell::RefCell<Vec<u8>> = const { std::cell::RefCell::new(Vec::new()) };
}

impl Rows for PackedRows {
    fn count(&self) -> u64 {
        self.count
    }

    fn read(&self, index: u64, row: &mut Row) -> Result<(), String> {
        BLOCK.with_borrow_mut(|room| {
            let mut rest = self.block(index, room).map_err(|error| {
                format!("cannot be read from the copy of {}: {error}", self.file)
            })?;
            for _ in 0..(index % STRIDE) * self.fields as u64 {
                rest = field(rest).2;
            }
            row.clear();
            for _ in 0..self.fields {
                let (value, is_json, behind) = field(rest);
                row.push(value, is_json);
                rest = behind;
            }
            Ok(())
        })
    }
}

/// The first field of packed bytes, whether it is JSON, and what follows.
fn field(bytes: &[u8]) -> (&[u8], bool, &[u8]) {
    let (head, rest) = bytes.split_at(4);
    let head = u32::from_le_bytes([head[0], head[1], head[2], head[3]]);
    let (value, behind) = rest.split_at((head >> 1) as usize);
    (value, head & 1 == 1, behind)
}

/// Packs rows as they are read.
#[derive(Default)]
struct Packer {
    count: u64,
    starts: Vec<u64>,
    written: u64,
    bytes: Vec<u8>,
    spilt: Option<BufWriter<File>>,
}

impl Packer {
    fn row<'f>(&mut self, fields: impl Iterator<Item = (&'f [u8], bool)>) -> io::Result<()> {
        if self.count.is_multiple_of(STRIDE) {
            self.starts.push(self.written);
        }
        self.count += 1;
        for (value, is_json) in fields {
            let head = (value.len() as u32) << 1 | u32::from(is_json);
            self.bytes.extend_from_slice(&head.to_le_bytes());
            self.bytes.extend_from_slice(value);
            self.written += 4 + value.len() as u64;
        }
        if self.bytes.len() > MOST_IN_MEMORY || self.spilt.is_some() {
            let spilt = match &mut self.spilt {
                Some(spilt) => spilt,
                spilt => spilt.insert(BufWriter::new(tempfile::tempfile()?)),
            };
            spilt.write_all(&self.bytes)?;
            if self.bytes.capacity() > MOST_ROW_BYTES {
                self.bytes = Vec::new();
            }
            self.bytes.clear();
        }
        Ok(())
    }

    fn finish(mut self, feeder: &Feeder) -> io::Result<PackedRows> {
        self.starts.push(self.written);
        self.starts.shrink_to_fit();
        let place = match self.spilt {
            Some(spilt) => Place::File(spilt.into_inner().map_err(io::Error::from)?),
            None => {
                self.bytes.shrink_to_fit();
                Place::Memory(self.bytes)
            }
        };
        Ok(PackedRows {
            file: feeder.file.clone(),
            count: self.count,
            starts: self.starts,
            fields: feeder.fields.len(),
            place,
        })
    }
}

/// What a reader reads of a file at once.
const BUFFER_BYTES: usize = 1 << 16;

/// A file whose digest is made as it is read.
struct Digested {
    file: File,
    digest: Sha256,
}

impl io::Read for Digested {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read(room)?;
        self.digest.update(&room[..count]);
        Ok(count)
    }
}

/// A file of which no more is read for one record than a record may have, and what the reader holds beside it: a quote that
/// nobody closes would make a record of all the rest.
struct Bounded<'i> {
    input: &'i mut Digested,
    /// Bytes that were read for the record.
    record: &'i Cell<usize>,
}

impl io::Read for Bounded<'_> {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        let count = self.input.read(room)?;
        self.record.set(self.record.get() + count);
        if self.record.get() > MOST_ROW_BYTES + 2 * BUFFER_BYTES {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        Ok(count)
    }
}

fn unreadable(error: &io::Error) -> Fault {
    Fault::File(format!("cannot be read: {error}"))
}

fn unwritable(error: &io::Error) -> Fault {
    Fault::File(format!("could not be copied to a temporary file: {error}"))
}

fn csv(feeder: &Feeder, input: &mut Digested, packer: &mut Packer) -> Result<(), Fault> {
    let read = Cell::new(0);
    let input = Bounded {
        input,
        record: &read,
    };
    let mut reader = csv::ReaderBuilder::new()
        .buffer_capacity(BUFFER_BYTES)
        .from_reader(input);
    let bad = |error: csv::Error| Fault::File(words_of(&error));
    let header = reader.byte_headers().map_err(bad)?.clone();
    // Files that spreadsheets write begin with a byte order mark.
    let names: Vec<&[u8]> = header
        .iter()
        .map(|name| name.strip_prefix(b"\xef\xbb\xbf").unwrap_or(name))
        .collect();
    let columns = feeder.fields.iter().enumerate().map(|(index, field)| {
        let found = names.iter().position(|name| *name == field.name.as_bytes());
        found.ok_or_else(|| {
            let names: Vec<_> = names
                .iter()
                .map(|name| String::from_utf8_lossy(name))
                .collect();
            let near = nearest(&field.name, names.iter().map(|name| &**name));
            let near = near.map_or(String::new(), |near| format!("; did you mean `{near}`?"));
            let message = format!(
                "{} has no column `{}`{near} (it has {})",
                feeder.file,
                field.name,
                names.join(", ")
            );
            Fault::Field(index, message)
        })
    });
    let columns = columns.collect::<Result<Vec<_>, _>>()?;
    let mut record = csv::ByteRecord::new();
    loop {
        read.set(0);
        let before = reader.position().line();
        match reader.read_byte_record(&mut record) {
            Ok(true) => {}
            Ok(false) => break,
            Err(error) if is_too_large(&error) => {
                let message = format!(
                    "the row that begins at line {before} is over 1 MiB; is there a quote that is not closed?"
                );
                return Err(Fault::File(message));
            }
            Err(error) => return Err(bad(error)),
        }
        let line = record.position().map_or(0, csv::Position::line);
        if record.as_slice().len() > MOST_ROW_BYTES {
            return Err(Fault::File(format!("line {line} is over 1 MiB")));
        }
        let values = columns
            .iter()
            .map(|&column| record.get(column).unwrap_or_default());
        for (index, value) in values.clone().enumerate() {
            check(feeder, index, value, line)?;
        }
        packer
            .row(values.map(|value| (value, false)))
            .map_err(|error| unwritable(&error))?;
    }
    Ok(())
}

fn is_too_large(error: &csv::Error) -> bool {
    matches!(error.kind(), csv::ErrorKind::Io(error) if error.kind() == io::ErrorKind::FileTooLarge)
}

/// What the `csv` crate says, without its own count of records.
fn words_of(error: &csv::Error) -> String {
    match error.kind() {
        csv::ErrorKind::UnequalLengths {
            pos,
            expected_len,
            len,
        } => {
            let line = pos.as_ref().map_or(0, csv::Position::line);
            format!("line {line} has {len} fields, and the first line names {expected_len}")
        }
        _ => format!("cannot be read: {error}"),
    }
}

fn ndjson(feeder: &Feeder, input: &mut Digested, packer: &mut Packer) -> Result<(), Fault> {
    let mut reader = BufReader::with_capacity(BUFFER_BYTES, input);
    let mut line = Vec::new();
    for number in 1.. {
        line.clear();
        let mut limited = (&mut reader).take(MOST_ROW_BYTES as u64 + 1);
        if limited
            .read_until(b'\n', &mut line)
            .map_err(|error| unreadable(&error))?
            == 0
        {
            break;
        }
        if line.len() > MOST_ROW_BYTES {
            return Err(Fault::File(format!("line {number} is over 1 MiB")));
        }
        if line.trim_ascii().is_empty() {
            continue;
        }
        let row: Json = serde_json::from_slice(&line)
            .map_err(|error| Fault::File(format!("line {number} is no JSON: {error}")))?;
        let Json::Object(row) = row else {
            return Err(Fault::File(format!("line {number} is no JSON object")));
        };
        let mut values = Vec::with_capacity(feeder.fields.len());
        for (index, field) in feeder.fields.iter().enumerate() {
            let Some(value) = row.get(&field.name) else {
                let near = nearest(&field.name, row.keys());
                let near = near.map_or(String::new(), |near| format!("; did you mean `{near}`?"));
                let message = format!(
                    "line {number} of {} has no key `{}`{near}",
                    feeder.file, field.name
                );
                return Err(Fault::Field(index, message));
            };
            let (text, is_json) = match value {
                Json::String(text) => (text.clone(), false),
                other => (other.to_string(), true),
            };
            check(feeder, index, text.as_bytes(), number)?;
            values.push((text, is_json));
        }
        let fields = values
            .iter()
            .map(|(text, is_json)| (text.as_bytes(), *is_json));
        packer.row(fields).map_err(|error| unwritable(&error))?;
    }
    Ok(())
}

/// Refuses a value that cannot be what the scenario makes of it.
fn check(feeder: &Feeder, index: usize, value: &[u8], line: u64) -> Result<(), Fault> {
    let field = &feeder.fields[index];
    let fail = |what: &str| {
        let message = format!("line {line} of {}: `{}` {what}", feeder.file, field.name);
        Err(Fault::Field(index, message))
    };
    let Ok(text) = std::str::from_utf8(value) else {
        return fail("is not UTF-8");
    };
    if field.whole && text.trim().parse::<i128>().is_err() {
        return fail(&format!("is no whole number: `{text:.40}`"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::{Field, Order};

    fn feeder(file: &str, fields: &[(&str, bool)]) -> Feeder {
        Feeder {
            name: "users".into(),
            file: file.into(),
            format: match file.ends_with(".csv") {
                true => Format::Csv,
                false => Format::Ndjson,
            },
            order: Order::Circular,
            fields: fields
                .iter()
                .map(|(name, whole)| Field {
                    name: (*name).into(),
                    whole: *whole,
                })
                .collect(),
        }
    }

    fn open(
        file: &str,
        text: impl AsRef<[u8]>,
        fields: &[(&str, bool)],
    ) -> Result<PackedRows, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(file);
        std::fs::write(&path, text).unwrap();
        let opened = PackedRows::open(&feeder(file, fields), &path);
        opened.map(|(rows, _)| rows).map_err(|fault| match fault {
            Fault::File(words) => words,
            Fault::Field(field, words) => format!("{field}: {words}"),
        })
    }

    fn row(rows: &PackedRows, index: u64) -> Vec<(String, bool)> {
        let mut row = Row::default();
        rows.read(index, &mut row).unwrap();
        let values = (0..).map_while(|field| row.get(field));
        values
            .map(|(value, is_json)| (String::from_utf8(value.to_vec()).unwrap(), is_json))
            .collect()
    }

    #[test]
    fn rows_of_csv_are_read_by_the_fields_that_are_used() {
        let text = "\u{feff}name,account,note\nada,1,\"a, b\"\"c\"\n\"two\nlines\", 2 ,\n";
        let rows = open(
            "u.csv",
            text,
            &[("note", false), ("name", false), ("account", true)],
        )
        .unwrap();
        assert_eq!(rows.count(), 2);
        let text =
            |row: Vec<(String, bool)>| row.into_iter().map(|(text, _)| text).collect::<Vec<_>>();
        assert_eq!(text(row(&rows, 0)), ["a, b\"c", "ada", "1"]);
        assert_eq!(text(row(&rows, 1)), ["", "two\nlines", " 2 "]);
    }

    #[test]
    fn rows_of_ndjson_keep_their_types() {
        let text = "{\"id\": 7, \"name\": \"ada\", \"tags\": [1, null]}\n\n{\"id\": 8, \"name\": null, \"tags\": {}}\n";
        let rows = open(
            "u.ndjson",
            text,
            &[("id", false), ("name", false), ("tags", false)],
        )
        .unwrap();
        let own = |values: [(&str, bool); 3]| values.map(|(text, json)| (text.to_owned(), json));
        assert_eq!(
            row(&rows, 0),
            own([("7", true), ("ada", false), ("[1,null]", true)])
        );
        assert_eq!(
            row(&rows, 1),
            own([("8", true), ("null", true), ("{}", true)])
        );
    }

    #[test]
    fn what_is_wrong_is_said_with_its_line() {
        for (file, text, message) in [
            ("u.csv", "", "0: u.csv has no column `name` (it has )"),
            ("u.csv", "name\n", "has no rows"),
            (
                "u.csv",
                "nane,x\na,b\n",
                "0: u.csv has no column `name`; did you mean `nane`? (it has nane, x)",
            ),
            (
                "u.csv",
                "name,x\na,b\nc\n",
                "line 3 has 1 fields, and the first line names 2",
            ),
            (
                "u.ndjson",
                "{\"name\": 1}\n{\"nome\": 2}\n",
                "0: line 2 of u.ndjson has no key `name`; did you mean `nome`?",
            ),
            ("u.ndjson", "[1]\n", "line 1 is no JSON object"),
            (
                "u.ndjson",
                "{\n",
                "line 1 is no JSON: EOF while parsing an object at line 2 column 0",
            ),
        ] {
            assert_eq!(open(file, text, &[("name", false)]).unwrap_err(), message);
        }
        assert_eq!(
            open("u.csv", "n\n1\nx\n", &[("n", true)]).unwrap_err(),
            "0: line 3 of u.csv: `n` is no whole number: `x`"
        );
        assert_eq!(
            open("u.csv", b"n\n\xff\n", &[("n", false)]).unwrap_err(),
            "0: line 2 of u.csv: `n` is not UTF-8"
        );
    }

    #[test]
    fn many_rows_go_to_a_file_and_are_the_same() {
        let text: String = (0..400_000)
            .map(|k| format!("{k},{:040}\n", k * 7))
            .collect();
        let rows = open(
            "u.csv",
            format!("id,pad\n{text}"),
            &[("pad", false), ("id", false)],
        )
        .unwrap();
        assert!(matches!(rows.place, Place::File(_)));
        assert_eq!(rows.count(), 400_000);
        for k in [0, 1, 15, 16, 17, 199_999, 399_999] {
            assert_eq!(row(&rows, k)[1].0, k.to_string());
            assert_eq!(row(&rows, k)[0].0, format!("{:040}", k * 7));
        }
    }

    #[test]
    fn a_quote_that_is_not_closed_does_not_take_the_rest_of_the_file() {
        let rows = |count: usize| "abcdefg\n".repeat(count);
        let error = open(
            "u.csv",
            format!("name\n{}\"{}", rows(3), rows(1 << 20)),
            &[("name", false)],
        );
        let words = error.unwrap_err();
        assert!(
            words.starts_with("the row that begins at line 5 is over 1 MiB; is there a quote"),
            "{words}"
        );
        let whole = open(
            "u.csv",
            format!("name\n{}", rows(1 << 20)),
            &[("name", false)],
        );
        assert_eq!(whole.unwrap().count(), 1 << 20);
    }
}
