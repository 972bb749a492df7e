//! What a scripted server saw: every request, in the order of arrival, and its own stalls.
//!
//! Moments are readings of the machine's monotonic clock in nanoseconds, the same for every process on it. As text it
//! is CSV under a head of lines that begin with `#`.

use std::io::{self, Write};

/// Requests that a server writes down at most: over a minute at 60,000/s, and 192 MB.
pub const MOST_ENTRIES: usize = 4_000_000;

/// The first line of the text.
const FORMAT: &str = "# tailmark.oracle-log/1";

/// The names of the columns.
const COLUMNS: &str = "seq,connection,arrived_ns,answered_ns,status";

/// What a server saw.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Log {
    /// Requests in the order in which they were read.
    pub entries: Vec<Entry>,
    /// When the server stood still, from and to, in order.
    pub stalls: Vec<(u64, u64)>,
    /// Requests after those that are kept.
    pub unlogged: u64,
}

/// One request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// The number at the end of its path, where there is one.
    pub seq: Option<u64>,
    /// Which connection it came on, from 0 in the order in which they were opened.
    pub connection: u32,
    /// When the last of it had been read.
    pub arrived: u64,
    /// When the last of the answer had been written, or the connection was closed instead; none where the client had
    /// gone before.
    pub answered: Option<u64>,
    /// The status of the answer; 0 where there was none.
    pub status: u16,
}

/// Why a log could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LogError {
    /// The first line is another one.
    #[error("not a log of tailmark oracle, or of another version")]
    Format,
    /// A line that is none.
    #[error("line {0} of the oracle's log is damaged")]
    Line(usize),
}

impl Log {
    /// Writes the text.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn write(&self, out: &mut impl Write) -> io::Result<()> {
        writeln!(out, "{FORMAT}")?;
        writeln!(out, "# unlogged,{}", self.unlogged)?;
        for (from, to) in &self.stalls {
            writeln!(out, "# stall,{from},{to}")?;
        }
        writeln!(out, "{COLUMNS}")?;
        for entry in &self.entries {
            let or_empty = |value: Option<u64>| value.map_or(String::new(), |v| v.to_string());
            let (seq, answered) = (or_empty(entry.seq), or_empty(entry.answered));
            let Entry {
                connection,
                arrived,
                status,
                ..
            } = entry;
            writeln!(out, "{seq},{connection},{arrived},{answered},{status}")?;
        }
        Ok(())
    }

    /// Reads what [`Log::write`] wrote.
    ///
    /// # Errors
    /// When it is no log, or a damaged one.
    pub fn parse(text: &str) -> Result<Self, LogError> {
        let mut lines = text.lines().enumerate();
        if lines.next().map(|(_, line)| line) != Some(FORMAT) {
            return Err(LogError::Format);
        }
        let mut log = Self::default();
        for (number, line) in lines {
            let read = match line.strip_prefix("# ") {
                Some(fact) => log.take_fact(fact),
                None if line == COLUMNS => Some(()),
                None => Entry::parse(line).map(|entry| log.entries.push(entry)),
            };
            read.ok_or(LogError::Line(number + 1))?;
        }
        Ok(log)
    }

    /// For how long the server stood still between two moments.
    #[must_use]
    pub fn stalled(&self, from: u64, to: u64) -> u64 {
        let begin = self.stalls.partition_point(|&(_, end)| end <= from);
        let stalls = self.stalls[begin..].iter();
        stalls
            .take_while(|&&(start, _)| start < to)
            .map(|&(start, end)| end.min(to).saturating_sub(start.max(from)))
            .sum()
    }

    fn take_fact(&mut self, fact: &str) -> Option<()> {
        let (name, value) = fact.split_once(',')?;
        match name {
            "unlogged" => self.unlogged = value.parse().ok()?,
            "stall" => {
                let (from, to) = value.split_once(',')?;
                self.stalls.push((from.parse().ok()?, to.parse().ok()?));
            }
            _ => return None,
        }
        Some(())
    }
}

impl Entry {
    fn parse(line: &str) -> Option<Self> {
        let mut cells = line.split(',');
        let optional = |cell: &str| match cell {
            "" => Some(None),
            cell => cell.parse().ok().map(Some),
        };
        let entry = Self {
            seq: optional(cells.next()?)?,
            connection: cells.next()?.parse().ok()?,
            arrived: cells.next()?.parse().ok()?,
            answered: optional(cells.next()?)?,
            status: cells.next()?.parse().ok()?,
        };
        cells.next().is_none().then_some(entry)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log() -> Log {
        let entry = Entry {
            seq: Some(7),
            connection: 3,
            arrived: 100,
            answered: Some(250),
            status: 200,
        };
        let gone = Entry {
            seq: None,
            answered: None,
            status: 0,
            ..entry
        };
        Log {
            entries: vec![entry, gone],
            stalls: vec![(50, 60), (1_000, 1_800)],
            unlogged: 5,
        }
    }

    #[test]
    fn what_is_written_reads_back_the_same() {
        let mut text = Vec::new();
        log().write(&mut text).unwrap();
        let text = String::from_utf8(text).unwrap();
        assert_eq!(
            text,
            "# tailmark.oracle-log/1\n# unlogged,5\n# stall,50,60\n# stall,1000,1800\n\
             seq,connection,arrived_ns,answered_ns,status\n7,3,100,250,200\n,3,100,,0\n"
        );
        assert_eq!(Log::parse(&text), Ok(log()));
    }

    #[test]
    fn a_damaged_log_is_refused_with_its_line() {
        assert_eq!(Log::parse("seq\n1\n"), Err(LogError::Format));
        for broken in ["1,2,3", "1,2,3,4,5,6", "a,2,3,4,200", "# stalled,1,2"] {
            let text = format!("{FORMAT}\n{COLUMNS}\n{broken}\n");
            assert_eq!(Log::parse(&text), Err(LogError::Line(3)), "{broken}");
        }
    }

    #[test]
    fn the_time_of_stalls_between_two_moments_is_known() {
        let log = log();
        for (from, to, stalled) in [
            (0, 50, 0),
            (0, 55, 5),
            (52, 55, 3),
            (55, 70, 5),
            (60, 1_000, 0),
            (0, 2_000, 810),
            (1_500, 1_800, 300),
            (1_800, 2_000, 0),
            (70, 60, 0),
        ] {
            assert_eq!(log.stalled(from, to), stalled, "{from} to {to}");
        }
    }
}
