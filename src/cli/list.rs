//! `tailmark list`: targets, scenarios, and what was measured last.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::Outcome;
use super::args::ListArgs;
use super::failure::{Failure, chain};
use crate::archive::{self, Saved};
use crate::compare::Comparison;
use crate::data::{self, DataError};
use crate::gate::GateRecord;
use crate::report::listing::{Entry, Listing, ResultSaid, ScenarioSaid, TargetSaid, Targets};
use crate::run_record::RunRecord;
use crate::startup::Startups;

/// Where scenarios are looked for.
const SCENARIOS: [&str; 2] = [".", "scenarios"];

/// Scenario files that are read: more than anybody looks through.
const MOST_SCENARIOS: usize = 100;

/// Results that are read.
const LAST_RESULTS: usize = 10;

pub(super) fn list(args: &ListArgs) -> Result<Outcome, Failure> {
    let (scenarios, more_scenarios) = scenarios()?;
    let saved = archive::saved(&args.results)?;
    let listing = Listing {
        targets: targets(args.targets.as_deref())?,
        scenarios,
        more_scenarios,
        results_folder: args.results.display().to_string(),
        results: saved
            .iter()
            .take(LAST_RESULTS)
            .map(|name| result(&args.results, name))
            .collect(),
        older_results: saved.len().saturating_sub(LAST_RESULTS),
    };
    let text = match args.common.json {
        true => listing.to_json(),
        false => listing.table(&args.common.table()),
    };
    args.common.print(&text)?;
    Ok(Outcome::Done)
}

/// A file that was named has to be there; one that was found may be wrong, and the list goes on.
fn targets(named: Option<&Path>) -> Result<Option<Targets>, Failure> {
    let Some(path) = data::targets_path(named) else {
        return Ok(None);
    };
    let said = match data::targets(path) {
        Ok(file) => Ok(TargetSaid::all(&file)),
        Err(error @ DataError::Io { .. }) if named.is_some() => return Err(error.into()),
        Err(error) => Err(in_a_line(&error, path)),
    };
    Ok(Some(Targets {
        file: path.display().to_string(),
        said,
    }))
}

/// The scenarios of each folder, by name, and how many more there are than are listed.
fn scenarios() -> Result<(Vec<Entry<ScenarioSaid>>, usize), Failure> {
    let mut files = Vec::new();
    for folder in SCENARIOS {
        files.extend(scenario_files(Path::new(folder))?);
    }
    let more = files.len().saturating_sub(MOST_SCENARIOS);
    files.truncate(MOST_SCENARIOS);
    let entries = files.iter().map(|path| Entry {
        place: path.display().to_string(),
        said: match data::scenario(path) {
            Ok(scenario) => Ok(ScenarioSaid::of(&scenario)),
            Err(error) => Err(in_a_line(&error, path)),
        },
    });
    Ok((entries.collect(), more))
}

/// The files of a folder that are scenarios, or were meant to be.
fn scenario_files(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let failed = |error: io::Error| Failure::new(&format!("reading {}", folder.display()), &error);
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed(error)),
    };
    let here = folder == Path::new(".");
    let mut files = Vec::new();
    for entry in entries {
        let entry = entry.map_err(failed)?;
        let path = match here {
            true => PathBuf::from(entry.file_name()),
            false => entry.path(),
        };
        let ending = path.extension().and_then(|ending| ending.to_str());
        if matches!(ending, Some("yaml" | "yml")) && path.is_file() && is_scenario(&path, here) {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// What stands among other files has to say that it is a scenario; in a folder of scenarios, that it is something else.
fn is_scenario(path: &Path, among_others: bool) -> bool {
    if among_others {
        data::has_flows(path).unwrap_or(false)
    } else {
        !data::describes_targets(path).unwrap_or(false)
    }
}

/// The first thing that is wrong with a file, and the command that says all of it.
fn in_a_line(error: &DataError, path: &Path) -> String {
    match error {
        DataError::Problems(problems) => {
            let first = problems.shown().first();
            let first = first.map_or(String::new(), ToString::to_string);
            let path = path.display();
            format!("{first}; tailmark check {path} says more")
        }
        DataError::Io { path, source } => format!("{}: {source}", path.display()),
    }
}

fn result(folder: &Path, name: &str) -> Entry<ResultSaid> {
    let path = folder.join(name);
    let read = || -> Result<ResultSaid, Box<dyn std::error::Error>> {
        Ok(match archive::read(&path)? {
            Saved::Run(text) => ResultSaid::of_run(&RunRecord::from_json(&text)?),
            Saved::Comparison(text) => ResultSaid::of_comparison(&Comparison::from_json(&text)?),
            Saved::Gate(text) => ResultSaid::of_gate(&GateRecord::from_json(&text)?),
            Saved::Startups(text) => ResultSaid::of_startups(&Startups::from_json(&text)?),
        })
    };
    Entry {
        place: name.to_owned(),
        said: read().map_err(|error| {
            let why = chain(error.as_ref());
            format!("{name}: {why}; it is damaged, or of another version of tailmark")
        }),
    }
}
