//! Pure rendering of records: what was measured goes in, text comes out. No terminal and no files here.

mod doctor;
mod figures;
mod hdr;
mod html;
pub mod junit;
mod layout;
pub mod listing;
pub mod markdown;
mod openmetrics;
pub mod otlp;
mod rows;
pub mod side_by_side;
pub mod table;
#[cfg(test)]
mod tests;
pub mod verdict;

use crate::compare::Comparison;
use crate::gate::{GateRecord, Repeated};
use crate::run_record::RunRecord;
use crate::startup::Startups;
use crate::units::Quantile;

pub use doctor::diagnosis;
use side_by_side::Runs;

/// How a report is to look.
#[derive(Debug, Clone, Copy)]
pub struct Options<'a> {
    /// Columns that there are; tables leave out a column of their own before they exceed it.
    pub width: usize,
    /// Whether bold and dim may be used. They never carry a meaning of their own.
    pub color: bool,
    /// The folder in which the record was saved, where it was.
    pub saved: Option<&'a str>,
    /// Also print the first failure of each kind, and where it all ran.
    pub verbose: bool,
    /// The quantiles of a run's tables; the usual ones where it is empty.
    pub percentiles: &'a [Quantile],
    /// Also print the whole distribution of a run's response times.
    pub spectrum: bool,
}

/// For files: the width of a text table in one, without colour, and with all there is.
const IN_A_FILE: Options<'static> = Options {
    width: 100,
    color: false,
    saved: None,
    verbose: true,
    percentiles: &[],
    spectrum: false,
};

/// A result that can be rendered.
#[derive(Debug, Clone, Copy)]
pub enum Subject<'a> {
    /// A run.
    Run(&'a RunRecord),
    /// A comparison.
    Comparison(&'a Comparison),
    /// A gate, and what neither PASS nor FAIL does to the build.
    Gate(&'a GateRecord, junit::Leniency),
    /// Gates of a target against itself.
    Repeated(&'a Repeated),
    /// Start-ups.
    Startups(&'a Startups),
    /// Runs side by side.
    Runs(&'a Runs),
}

/// A format of a file, told by its ending.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Everything, for programs; what `docs/schemas` describes.
    Json,
    /// For people who read it in a browser: what it comes to, and the rest folded.
    Markdown,
    /// For people: one page with plots, that loads nothing.
    Html,
    /// For CI systems.
    JUnit,
    /// For spreadsheets and notebooks: a row for each figure.
    Csv,
    /// `HdrHistogram`'s interval log: response times window by window, and of each step.
    IntervalLog,
    /// `HdrHistogram`'s percentile distribution.
    Percentiles,
    /// `OpenMetrics` text, for Prometheus' textfile collector and its like.
    OpenMetrics,
}

impl Format {
    /// What there is of a run.
    pub const OF_RUN: &'static [Self] = &[
        Self::Json,
        Self::Markdown,
        Self::Html,
        Self::JUnit,
        Self::Csv,
        Self::IntervalLog,
        Self::Percentiles,
        Self::OpenMetrics,
    ];
    /// Of a comparison.
    pub const OF_COMPARISON: &'static [Self] = &[Self::Json, Self::Markdown, Self::Html, Self::Csv];
    /// Of a gate.
    pub const OF_GATE: &'static [Self] = &[
        Self::Json,
        Self::Markdown,
        Self::Html,
        Self::JUnit,
        Self::Csv,
    ];
    /// Of runs side by side.
    pub const OF_RUNS: &'static [Self] = &[Self::Json, Self::Markdown, Self::Html, Self::Csv];
    /// Of gates of a target against itself, and of start-ups.
    pub const OF_OTHERS: &'static [Self] = &[Self::Json, Self::Html];

    /// What its files end in, without the dot.
    #[must_use]
    pub fn ending(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Markdown => "md",
            Self::Html => "html",
            Self::JUnit => "xml",
            Self::Csv => "csv",
            Self::IntervalLog => "hlog",
            Self::Percentiles => "hgrm",
            Self::OpenMetrics => "prom",
        }
    }
}

impl Subject<'_> {
    /// The formats in which it can be had.
    #[must_use]
    pub fn formats(self) -> &'static [Format] {
        match self {
            Self::Run(_) => Format::OF_RUN,
            Self::Comparison(_) => Format::OF_COMPARISON,
            Self::Gate(..) => Format::OF_GATE,
            Self::Repeated(_) | Self::Startups(_) => Format::OF_OTHERS,
            Self::Runs(_) => Format::OF_RUNS,
        }
    }

    /// As tables for a terminal.
    #[must_use]
    pub fn table(self, options: &Options) -> String {
        match self {
            Self::Run(record) => table::run(record, options),
            Self::Comparison(comparison) => table::compare(comparison, options),
            Self::Gate(record, _) => table::gate(record, options),
            Self::Repeated(repeated) => table::gates(repeated, options),
            Self::Startups(startups) => table::startup(startups, options),
            Self::Runs(runs) => side_by_side::table(runs, options),
        }
    }

    /// As `--json` prints it: of a run without its histograms.
    #[must_use]
    pub fn json(self) -> String {
        match self {
            Self::Run(record) => record.summary_json(),
            Self::Comparison(comparison) => comparison.to_json(),
            Self::Gate(record, _) => record.to_json(),
            Self::Repeated(repeated) => repeated.to_json(),
            Self::Startups(startups) => startups.to_json(),
            Self::Runs(runs) => runs.to_json(),
        }
    }

    /// As a file of `format` has it; none where there is no such file of it.
    #[must_use]
    pub fn file(self, format: Format) -> Option<String> {
        Some(match (self, format) {
            (Self::Run(record), Format::Json) => record.saved_json(),
            (Self::Run(record), Format::Markdown) => markdown::run(record),
            (Self::Run(record), Format::JUnit) => junit::run(record),
            (Self::Run(record), Format::Csv) => rows::run(record),
            (Self::Run(record), Format::IntervalLog) => hdr::interval_log(record),
            (Self::Run(record), Format::Percentiles) => hdr::percentiles(record),
            (Self::Run(record), Format::OpenMetrics) => openmetrics::run(record),
            (Self::Comparison(comparison), Format::Markdown) => markdown::compare(comparison),
            (Self::Comparison(comparison), Format::Csv) => rows::rounds([comparison], &[]),
            (Self::Gate(record, _), Format::Markdown) => markdown::gate(record),
            (Self::Gate(record, leniency), Format::JUnit) => junit::gate(record, leniency),
            (Self::Gate(record, _), Format::Csv) => rows::rounds(
                [Some(&record.first), record.confirmation.as_ref()]
                    .into_iter()
                    .flatten(),
                &record.terms.metrics,
            ),
            (Self::Runs(side_by_side), Format::Markdown) => markdown::runs(side_by_side),
            (Self::Runs(side_by_side), Format::Csv) => rows::runs(side_by_side),
            (whole, Format::Json) => whole.json(),
            (whole, Format::Html) => html::page(whole),
            _ => return None,
        })
    }
}
