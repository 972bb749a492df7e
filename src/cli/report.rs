//! `tailmark report`, and the files that `-o` names.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use super::Outcome;
use super::args::ReportArgs;
use super::failure::Failure;
use crate::archive::{self, Saved};
use crate::compare::Comparison;
use crate::gate::GateRecord;
use crate::report::{junit, markdown, table};
use crate::run_record::RunRecord;
use crate::startup::Startups;

pub(super) fn report(args: &ReportArgs) -> Result<Outcome, Failure> {
    let saved = archive::read(&args.what)?;
    let options = args.common.table();
    let json = args.common.json;
    let text = match saved {
        Saved::Run(text) => {
            let record =
                RunRecord::from_json(&text).map_err(|error| unreadable(&args.what, error))?;
            if json {
                record.summary_json()
            } else {
                table::run(&record, &options)
            }
        }
        Saved::Comparison(text) => {
            let comparison =
                Comparison::from_json(&text).map_err(|error| unreadable(&args.what, error))?;
            if json {
                comparison.to_json()
            } else {
                table::compare(&comparison, &options)
            }
        }
        Saved::Gate(text) => {
            let record =
                GateRecord::from_json(&text).map_err(|error| unreadable(&args.what, error))?;
            if json {
                record.to_json()
            } else {
                table::gate(&record, &options)
            }
        }
        Saved::Startups(text) => {
            let startups =
                Startups::from_json(&text).map_err(|error| unreadable(&args.what, error))?;
            if args.common.json {
                startups.to_json()
            } else {
                crate::report::table::startup(&startups, &options)
            }
        }
    };
    args.common.print(&text)?;
    Ok(Outcome::Done)
}

fn unreadable(path: &Path, error: impl std::error::Error) -> Failure {
    Failure::new(&format!("reading {}", path.display()), &error)
}

/// A format of a result, by the ending of its file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Json,
    Markdown,
    JUnit,
}

impl Format {
    /// The formats of a run.
    pub(super) const OF_RUN: &[Self] = &[Self::Json];
    /// Those of a comparison.
    pub(super) const OF_COMPARISON: &[Self] = &[Self::Json, Self::Markdown];
    /// Those of a gate.
    pub(super) const OF_GATE: &[Self] = &[Self::Json, Self::Markdown, Self::JUnit];

    fn ending(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Markdown => "md",
            Self::JUnit => "xml",
        }
    }
}

/// Files that a result is written to as well; opened before anything is measured, so that no measurement is made
/// whose result cannot be kept.
pub(super) struct Outputs {
    files: Vec<(Format, PathBuf, File)>,
}

impl Outputs {
    pub(super) fn open(paths: &[PathBuf], formats: &[Format]) -> Result<Self, Failure> {
        let open = |path: &PathBuf| {
            let ending = path.extension().and_then(|ending| ending.to_str());
            let format = formats
                .iter()
                .find(|format| ending == Some(format.ending()));
            let Some(&format) = format else {
                let message = format!(
                    "-o {}: its ending names no format that is written",
                    path.display()
                );
                let names = formats
                    .iter()
                    .map(|format| format!("result.{}", format.ending()));
                let hint = format!("write -o {}", names.collect::<Vec<_>>().join(", "));
                return Err(Failure::said(&message, Some(hint)));
            };
            let file = File::create(path)
                .map_err(|error| Failure::new(&format!("opening {}", path.display()), &error))?;
            Ok((format, path.clone(), file))
        };
        let files = paths.iter().map(open).collect::<Result<_, _>>()?;
        Ok(Self { files })
    }

    /// Writes each file as `text` says its format.
    pub(super) fn write(self, text: impl Fn(Format) -> String) -> Result<(), Failure> {
        for (format, path, mut file) in self.files {
            file.write_all(text(format).as_bytes())
                .map_err(|error| Failure::new(&format!("writing {}", path.display()), &error))?;
        }
        Ok(())
    }

    pub(super) fn write_comparison(self, comparison: &Comparison) -> Result<(), Failure> {
        self.write(|format| match format {
            Format::Markdown => markdown::compare(comparison),
            Format::Json | Format::JUnit => comparison.to_json(),
        })
    }

    /// `leniency`: what neither PASS nor FAIL does to the build, which a JUnit file says too.
    pub(super) fn write_gate(
        self,
        record: &GateRecord,
        leniency: junit::Leniency,
    ) -> Result<(), Failure> {
        self.write(|format| match format {
            Format::Json => record.to_json(),
            Format::Markdown => markdown::gate(record),
            Format::JUnit => junit::gate(record, leniency),
        })
    }
}
