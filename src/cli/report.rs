//! `tailmark report`, and the files that `-o` names.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use super::Outcome;
use super::args::ReportArgs;
use super::failure::Failure;
use crate::archive::{self, Saved};
use crate::compare::Comparison;
use crate::run_record::RunRecord;
use crate::startup::Startups;

pub(super) fn report(args: &ReportArgs) -> Result<Outcome, Failure> {
    let saved = archive::read(&args.what)?;
    let options = args.common.table();
    let text = match saved {
        Saved::Run(text) => {
            let record =
                RunRecord::from_json(&text).map_err(|error| unreadable(&args.what, error))?;
            if args.common.json {
                record.summary_json()
            } else {
                crate::report::table::run(&record, &options)
            }
        }
        Saved::Comparison(text) => {
            let comparison =
                Comparison::from_json(&text).map_err(|error| unreadable(&args.what, error))?;
            if args.common.json {
                comparison.to_json()
            } else {
                crate::report::table::compare(&comparison, &options)
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

/// Files that a result is written to as well; opened before anything is measured, so that no measurement is made
/// whose result cannot be kept.
pub(super) struct Outputs {
    files: Vec<(PathBuf, File)>,
}

impl Outputs {
    pub(super) fn open(paths: &[PathBuf]) -> Result<Self, Failure> {
        let open = |path: &PathBuf| {
            let ending = path.extension().and_then(|ending| ending.to_str());
            if ending != Some("json") {
                let message = format!(
                    "-o {}: its ending names no format that is written",
                    path.display()
                );
                return Err(Failure::said(&message, Some("write -o result.json".into())));
            }
            let file = File::create(path)
                .map_err(|error| Failure::new(&format!("opening {}", path.display()), &error))?;
            Ok((path.clone(), file))
        };
        let files = paths.iter().map(open).collect::<Result<_, _>>()?;
        Ok(Self { files })
    }

    pub(super) fn write(self, text: &str) -> Result<(), Failure> {
        for (path, mut file) in self.files {
            file.write_all(text.as_bytes())
                .map_err(|error| Failure::new(&format!("writing {}", path.display()), &error))?;
        }
        Ok(())
    }
}
