//! `tailmark check`: what is wrong with scenario and target files, and what scenarios say without saying it.

use std::path::Path;

use super::Outcome;
use super::args::CheckArgs;
use super::failure::Failure;
use crate::data::{self, DataError};
use crate::document::Problems;

pub(super) fn check(args: &CheckArgs) -> Result<Outcome, Failure> {
    if args.resolve {
        return resolve(args);
    }
    let mut outcome = Outcome::Done;
    let mut summary = String::new();
    for file in &args.files {
        match describe(file) {
            Ok(words) => summary += &format!("{}: {words}\n", file.display()),
            Err(error) => {
                Failure::from(error).print();
                outcome = Outcome::Refused;
            }
        }
    }
    if !args.common.quiet {
        args.common.print(&summary)?;
    }
    Ok(outcome)
}

/// Prints a scenario with its defaults.
fn resolve(args: &CheckArgs) -> Result<Outcome, Failure> {
    let [file] = args.files.as_slice() else {
        let message = format!("--resolve takes one file, not {}", args.files.len());
        let hint = format!("tailmark check --resolve {}", args.files[0].display());
        return Err(Failure::said(&message, Some(hint)));
    };
    if data::describes_targets(file)? {
        let message = format!(
            "{} describes targets, and --resolve is for scenarios",
            file.display()
        );
        let hint = format!("tailmark check {}", file.display());
        return Err(Failure::said(&message, Some(hint)));
    }
    args.common.print(&data::scenario(file)?.resolved()?)?;
    Ok(Outcome::Done)
}

fn describe(file: &Path) -> Result<String, DataError> {
    if data::describes_targets(file)? {
        let targets = data::targets(file)?;
        let names: Vec<&str> = targets
            .targets()
            .iter()
            .map(|target| target.name.as_str())
            .collect();
        return Ok(format!("ok, targets {}", names.join(", ")));
    }
    let (scenario, _) = data::given(data::scenario(file)?)?;
    if let Some(warnings) = scenario.warnings() {
        warn(warnings);
    }
    let phases: Vec<&str> = scenario
        .phases()
        .iter()
        .map(|phase| phase.name.as_str())
        .collect();
    let flows = scenario.flows().len();
    let plural = if flows == 1 { "" } else { "s" };
    Ok(format!(
        "ok, {flows} flow{plural}, phases {}",
        phases.join(", ")
    ))
}

#[expect(
    clippy::print_stderr,
    reason = "the command line alone writes to the terminal"
)]
fn warn(warnings: &Problems) {
    eprintln!("{warnings}");
}
