//! Saved runs side by side: what differs between them, then their figures.
//!
//! A run had the machine once, at a moment of its own. So nothing here says that one is faster: what differs stands first, with what
//! it means, and figures follow without a judgement. [`crate::compare`] judges, from rounds.

mod differences;
#[cfg(test)]
mod tests;
mod wire;

use std::ops::Range;

use super::Options;
use super::figures::{QUANTILES, TimeUnit, UNKNOWN, percent, supported};
use super::layout::{Column, Grid, Page};
use crate::ledger::{Distribution, PhaseTally};
use crate::run_record::RunRecord;
use crate::run_record::resources::{Memory, MemorySeries};
use crate::units::{Quantile, mib, thousands, three_digits};

pub(super) use differences::Respect;

/// Saved runs, at least two of them and at most [`Runs::MOST`].
#[derive(Debug, Clone)]
pub struct Runs {
    runs: Vec<SavedRun>,
}

/// A run, and where it was found.
#[derive(Debug, Clone)]
pub struct SavedRun {
    /// Its file or folder, as it was named.
    pub source: String,
    /// What it says.
    pub record: RunRecord,
}

/// Not a number of runs that can be set side by side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0} runs cannot be set side by side: two at least, and {most} at most", most = Runs::MOST)]
pub struct RunsError(pub usize);

/// What single runs cannot say, and what can.
pub(super) const CLOSING: &str = "Which of them is faster single runs cannot say: each had the machine once, at a moment of its own. \
     `tailmark compare` measures targets in turn, and can.";

/// One line of figures: in what unit, which, and what each run has.
pub(super) struct Line {
    pub(super) of: String,
    pub(super) which: String,
    pub(super) cells: Vec<String>,
}

impl Runs {
    /// As many as a plot has colours for.
    pub const MOST: usize = 6;

    /// Runs in the order in which they were named.
    ///
    /// # Errors
    /// When they are too few or too many.
    pub fn new(runs: Vec<SavedRun>) -> Result<Self, RunsError> {
        match runs.len() {
            2..=Self::MOST => Ok(Self { runs }),
            count => Err(RunsError(count)),
        }
    }

    /// The runs.
    #[must_use]
    pub fn runs(&self) -> &[SavedRun] {
        &self.runs
    }

    /// The one unit in which all their times are printed.
    pub(super) fn unit(&self) -> TimeUnit {
        let responses = self.records().map(|record| record.total().response());
        slowest(&responses.collect::<Vec<_>>())
    }

    /// Each run with its letter.
    pub(super) fn lettered(&self) -> impl Iterator<Item = (char, &SavedRun)> {
        ('A'..).zip(&self.runs)
    }

    fn records(&self) -> impl Iterator<Item = &RunRecord> {
        self.runs.iter().map(|run| &run.record)
    }

    /// The figures, a line for each.
    pub(super) fn lines(&self) -> Vec<Line> {
        let totals: Vec<PhaseTally> = self.records().map(RunRecord::total).collect();
        let responses: Vec<Distribution> = totals.iter().map(PhaseTally::response).collect();
        let unit = slowest(&responses);
        let mut lines = Vec::new();
        let mut line = |of: &str, which: &str, cells: Vec<String>| {
            lines.push(Line {
                of: of.to_owned(),
                which: which.to_owned(),
                cells,
            });
        };
        let of_times = format!("response {}", unit.name());
        for quantile in QUANTILES {
            let value = |times| unit.quantile(times, quantile);
            let values = responses.iter().map(value).collect();
            line(&of_times, &quantile.to_string(), values);
            if quantile == Quantile::P99 {
                let interval = |record: &RunRecord| unit.interval(record.interval(quantile));
                let cells: Vec<String> = self.records().map(interval).collect();
                if cells.iter().any(|cell| !cell.is_empty()) {
                    line(&of_times, "[95 %]", cells);
                }
            }
        }
        let longest = responses.iter().map(|times| unit.max(times)).collect();
        line(&of_times, "max", longest);
        line("arrivals/s", "kept up", self.records().map(rate).collect());
        let due = totals.iter().map(|tally| thousands(tally.due)).collect();
        line("requests", "due", due);
        line("requests", "failed", totals.iter().map(failed).collect());
        for kind in self.memory_kinds() {
            let of = |figure: fn(&MemorySeries) -> Option<u64>| -> Vec<String> {
                let bytes = self
                    .records()
                    .map(|record| figure((kind.of)(&record.resources.memory)?));
                bytes
                    .map(|bytes| bytes.map_or(UNKNOWN.to_owned(), mib))
                    .collect()
            };
            line(kind.label, "idle", of(|series| series.idle_bytes));
            line(kind.label, "peak", of(|series| series.peak_bytes));
        }
        let cpu = |record: &RunRecord| {
            let ns = record.cpu_per_1k_ns();
            ns.map_or(UNKNOWN.to_owned(), |ns| three_digits(ns as f64 / 1e6))
        };
        line("CPU ms", "per 1,000", self.records().map(cpu).collect());
        lines
    }

    /// The meanings of memory that any of them has, each a pair of lines of its own: they are never mixed.
    fn memory_kinds(&self) -> impl Iterator<Item = &'static MemoryKind> {
        KINDS.iter().filter(|kind| {
            self.records()
                .any(|record| (kind.of)(&record.resources.memory).is_some())
        })
    }

    /// What is said of all that differs in a respect, if anything does.
    pub(super) fn remarks(&self) -> Vec<&'static str> {
        let differences = self.differences();
        let mut remarks: Vec<&'static str> = Vec::new();
        for respect in Respect::ALL {
            if differences.iter().any(|other| other.respect == respect) {
                remarks.push(respect.remark());
            }
        }
        if self.memory_kinds().count() > 1 {
            remarks.push("their memory does not mean the same, and is not to be compared");
        }
        remarks
    }
}

/// A meaning of memory.
struct MemoryKind {
    label: &'static str,
    of: fn(&Memory) -> Option<&MemorySeries>,
}

/// Those that tables have, the working set before what the processes in the container hold.
const KINDS: [MemoryKind; 2] = [
    MemoryKind {
        label: "working set MiB",
        of: |memory| memory.working_set.as_ref(),
    },
    MemoryKind {
        label: "RSS MiB",
        of: |memory| match memory.working_set {
            // Of a container it stands beside the working set, which is what is meant.
            Some(_) => None,
            None => memory.rss.as_ref(),
        },
    },
];

/// One unit for all: that of the slowest.
fn slowest(responses: &[Distribution]) -> TimeUnit {
    let most = |quantile| {
        let values = responses
            .iter()
            .filter_map(|times| times.quantile(quantile));
        values.map(|bound| bound.value).max()
    };
    TimeUnit::for_times(most(Quantile::P50), most(Quantile::P99))
}

fn rate(record: &RunRecord) -> String {
    if record.measured().all(|phase| phase.model.is_open()) {
        let (kept_up, offered) = record.kept_up();
        format!("{} of {}", three_digits(kept_up), three_digits(offered))
    } else {
        three_digits(record.achieved_rate())
    }
}

fn failed(tally: &PhaseTally) -> String {
    match tally.outcomes().failed() {
        0 => "0".to_owned(),
        failed => format!("{} ({})", thousands(failed), percent(failed, tally.due)),
    }
}

/// Runs as tables: which they are, what differs, their figures, and what those do not say.
#[must_use]
pub fn table(runs: &Runs, options: &Options) -> String {
    let mut page = Page::new(options.width, options.color);
    page.title(&format!("{} runs side by side", runs.runs.len()), &[]);
    which_they_are(runs, &mut page);
    which_differ(runs, &mut page);
    for grid in grids(runs, page.width()) {
        page.grid(&grid);
    }
    page.paragraph(CLOSING);
    page.into_text()
}

/// Where each was found, and of what it is.
pub(super) fn which_they_are(runs: &Runs, page: &mut Page) {
    for (letter, run) in runs.lettered() {
        let record = &run.record;
        let what = format!("{} on {}", record.scenario.name, record.target.name);
        page.labelled(&letter.to_string(), &[&run.source, &what, &record.started]);
    }
}

/// What differs, by respects, and what does not.
pub(super) fn which_differ(runs: &Runs, page: &mut Page) {
    let differences = runs.differences();
    for respect in Respect::ALL {
        let of_respect = || {
            differences
                .iter()
                .filter(move |other| other.respect == respect)
        };
        if of_respect().next().is_none() {
            continue;
        }
        page.verdict(
            "differ",
            &[&format!("{}: {}", respect.words(), respect.remark())],
        );
        for difference in of_respect() {
            page.labelled(difference.what, &[&difference.said()]);
        }
    }
    let same = runs.same().join(", ");
    if !same.is_empty() {
        page.labelled("the same", &[&same]);
    }
}

/// As many grids as it takes for all runs to have a column; what figures are of is said once.
fn grids(runs: &Runs, width: usize) -> Vec<Grid> {
    let mut lines = runs.lines();
    for place in (1..lines.len()).rev() {
        if lines[place].of == lines[place - 1].of {
            lines[place].of.clear();
        }
    }
    let count = runs.runs.len();
    let (mut grids, mut from) = (Vec::new(), 0);
    while from < count {
        // One column at least, however narrow the page is.
        let to = (from + 1..=count)
            .rev()
            .find(|&to| grid(runs, &lines, from..to).width() <= width)
            .unwrap_or(from + 1);
        grids.push(grid(runs, &lines, from..to));
        from = to;
    }
    grids
}

/// All figures in one grid, each of which says what it is of.
pub(super) fn whole_grid(runs: &Runs) -> Grid {
    grid(runs, &runs.lines(), 0..runs.runs.len())
}

/// The runs of `range`, a column each.
fn grid(runs: &Runs, lines: &[Line], range: Range<usize>) -> Grid {
    let letters = runs.lettered().map(|(letter, _)| letter.to_string());
    let shown = letters.skip(range.start).take(range.len());
    let labels = [Column::left(""), Column::left("")];
    let mut grid = Grid::new(labels.into_iter().chain(shown.map(Column::left)));
    for line in lines {
        let labels = [line.of.clone(), line.which.clone()];
        let cells = line.cells[range.clone()].iter().cloned();
        grid.row(labels.into_iter().chain(cells));
    }
    grid
}

/// The p50 to p99.9 of a run that it is large enough for, in nanoseconds, and whether each is a lower bound.
pub(super) fn quantiles(record: &RunRecord) -> Vec<(Quantile, Option<(u64, bool)>)> {
    let response = record.total().response();
    let values = QUANTILES.map(|quantile| {
        let bound = supported(&response, quantile);
        (quantile, bound.map(|bound| (bound.value, bound.censored)))
    });
    values.to_vec()
}

/// What is meant by a run's memory, and its figures; none where it was not measured.
pub(super) fn memory(record: &RunRecord) -> Option<(&'static str, &MemorySeries)> {
    let memory = &record.resources.memory;
    [("working set", &memory.working_set), ("RSS", &memory.rss)]
        .into_iter()
        .find_map(|(kind, series)| Some((kind, series.as_ref()?)))
}
