//! `tailmark report`, what a measurement prints when it is over, and the files that `-o` names.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use super::Outcome;
use super::args::{Common, ReportArgs, Shown};
use super::failure::Failure;
use crate::archive::{self, Saved};
use crate::compare::Comparison;
use crate::gate::GateRecord;
use crate::report::junit::Leniency;
use crate::report::side_by_side::{Runs, SavedRun};
use crate::report::{Format, Options, Subject};
use crate::run_record::RunRecord;
use crate::startup::Startups;

pub(super) fn report(args: &ReportArgs) -> Result<Outcome, Failure> {
    let read = match args.what.as_slice() {
        [only] => Read::from(only)?,
        several => side_by_side(several, &args.shown)?,
    };
    let subject = read.subject();
    let outputs = Outputs::open(&args.output, subject.formats())?;
    print(
        subject,
        &args.common,
        args.shown.options(&args.common, None),
    )?;
    outputs.write(subject)?;
    Ok(Outcome::Done)
}

/// Several runs, each read by itself.
fn side_by_side(paths: &[PathBuf], shown: &Shown) -> Result<Read, Failure> {
    if shown.spectrum || !shown.percentiles.is_empty() {
        let message = "--spectrum and --percentiles are of one result";
        return Err(Failure::said(
            message,
            Some("tailmark report RECORD --spectrum".into()),
        ));
    }
    let mut runs: Vec<(PathBuf, SavedRun)> = Vec::new();
    for path in paths {
        let Read::Run(record) = Read::from(path)? else {
            let message = format!(
                "{} is no run: runs alone can be set side by side",
                path.display()
            );
            let hint = format!("tailmark report {} shows it by itself", path.display());
            return Err(Failure::said(&message, Some(hint)));
        };
        // `latest` is another name of one of the others.
        let place = path.canonicalize().unwrap_or_else(|_| path.clone());
        if let Some((_, other)) = runs.iter().find(|(other, _)| *other == place) {
            let message = format!("{} and {} are one result", other.source, path.display());
            return Err(Failure::said(
                &message,
                Some("name another; tailmark list has the last ones".into()),
            ));
        }
        let source = path.display().to_string();
        let record = *record;
        runs.push((place, SavedRun { source, record }));
    }
    let runs = runs.into_iter().map(|(_, run)| run).collect();
    Runs::new(runs).map(Read::Runs).map_err(|error| {
        let hint = "tailmark compare measures several targets, in rounds".to_owned();
        Failure::said(&error.to_string(), Some(hint))
    })
}

/// Prints a result on standard output: as JSON where that is asked for, else as tables.
pub(super) fn print(
    subject: Subject<'_>,
    common: &Common,
    options: Options<'_>,
) -> Result<(), Failure> {
    let text = match common.json {
        true => subject.json(),
        false => subject.table(&options),
    };
    common.print(&text)
}

impl Common {
    /// How a result is to be printed that was kept in `saved`.
    pub(super) fn options<'a>(&self, saved: Option<&'a str>) -> Options<'a> {
        Options {
            saved,
            ..self.table()
        }
    }
}

impl Shown {
    /// The same, with what is asked for of a run.
    pub(super) fn options<'a>(&'a self, common: &Common, saved: Option<&'a str>) -> Options<'a> {
        Options {
            percentiles: &self.percentiles,
            spectrum: self.spectrum,
            ..common.options(saved)
        }
    }
}

/// A result that was saved.
enum Read {
    Run(Box<RunRecord>),
    Comparison(Comparison),
    Gate(Box<GateRecord>),
    Startups(Startups),
    Runs(Runs),
}

impl Read {
    fn from(path: &Path) -> Result<Self, Failure> {
        Ok(match archive::read(path)? {
            Saved::Run(text) => Self::Run(Box::new(readable(path, RunRecord::from_json(&text))?)),
            Saved::Comparison(text) => {
                Self::Comparison(readable(path, Comparison::from_json(&text))?)
            }
            Saved::Gate(text) => {
                Self::Gate(Box::new(readable(path, GateRecord::from_json(&text))?))
            }
            Saved::Startups(text) => Self::Startups(readable(path, Startups::from_json(&text))?),
        })
    }

    fn subject(&self) -> Subject<'_> {
        match self {
            Self::Run(record) => Subject::Run(record),
            Self::Comparison(comparison) => Subject::Comparison(comparison),
            Self::Gate(record) => Subject::Gate(record, Leniency::default()),
            Self::Startups(startups) => Subject::Startups(startups),
            Self::Runs(runs) => Subject::Runs(runs),
        }
    }
}

fn readable<T, E: std::error::Error>(path: &Path, read: Result<T, E>) -> Result<T, Failure> {
    read.map_err(|error| Failure::new(&format!("reading {}", path.display()), &error))
}

/// Files that a result is written to as well; opened before anything is measured, so that no measurement is made
/// whose result cannot be kept. What they held stays until there is a result, and a new one goes where there is none.
pub(super) struct Outputs {
    files: Vec<Output>,
}

struct Output {
    format: Format,
    path: PathBuf,
    file: File,
    /// Whether it was made here, and has nothing in it.
    is_new: bool,
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
            Output::open(format, path)
                .map_err(|error| Failure::new(&format!("opening {}", path.display()), &error))
        };
        let files = paths.iter().map(open).collect::<Result<_, _>>()?;
        Ok(Self { files })
    }

    /// Writes each file; `subject` is of the kind whose formats the files were opened for.
    pub(super) fn write(self, subject: Subject<'_>) -> Result<(), Failure> {
        for mut output in self.files {
            let text = subject
                .file(output.format)
                .expect("files are opened for formats that there are");
            output.write(&text).map_err(|error| {
                Failure::new(&format!("writing {}", output.path.display()), &error)
            })?;
        }
        Ok(())
    }
}

impl Output {
    fn open(format: Format, path: &Path) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        let (file, is_new) = match options.write(true).create_new(true).open(path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                (OpenOptions::new().write(true).open(path)?, false)
            }
            made => (made?, true),
        };
        Ok(Self {
            format,
            path: path.to_owned(),
            file,
            is_new,
        })
    }

    fn write(&mut self, text: &str) -> io::Result<()> {
        self.is_new = false;
        // A pipe has no length.
        if self.file.metadata()?.is_file() {
            self.file.set_len(0)?;
        }
        self.file.write_all(text.as_bytes())
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        if self.is_new {
            // It holds nothing; should it stay, it does no harm.
            let _ = fs::remove_file(&self.path);
        }
    }
}
