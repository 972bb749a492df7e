//! What can be typed to write files and find out what is wrong with them.

use std::path::PathBuf;

use clap::Args as ClapArgs;

use super::Common;

/// What `--help` says of it.
pub(super) const INIT: &str = "Writes files to begin with, with comments that say what to change: a scenario of the URL, a targets file, \
                  a job for GitHub or GitLab. A file that is there is never overwritten.";

/// `init`.
#[derive(Debug, ClapArgs)]
#[command(after_help = "tailmark init http://127.0.0.1:8080/items/1\n\
                  tailmark init --targets --github")]
pub(in crate::cli) struct InitArgs {
    /// Write a scenario that asks for this URL
    #[arg(value_name = "URL")]
    pub(in crate::cli) url: Option<String>,
    /// The scenario file
    #[arg(long, value_name = "PATH", default_value = "scenario.yaml")]
    pub(in crate::cli) file: PathBuf,
    /// Write targets.yaml: how services are started and reached
    #[arg(long)]
    pub(in crate::cli) targets: bool,
    /// Write .github/workflows/latency.yml: a job that runs the scenario for every change and fails on its thresholds
    #[arg(long)]
    pub(in crate::cli) github: bool,
    /// Write the same job for GitLab: .gitlab-ci.yml, or tailmark.gitlab-ci.yml beside one
    #[arg(long)]
    pub(in crate::cli) gitlab: bool,
    #[command(flatten)]
    pub(in crate::cli) common: Common,
}

/// `check`.
#[derive(Debug, ClapArgs)]
#[command(
    after_help = "tailmark check scenarios/*.yaml reference-services/targets.yaml\n\
                  tailmark check --resolve scenarios/crud.yaml"
)]
pub(in crate::cli) struct CheckArgs {
    /// Scenario and target files
    #[arg(value_name = "FILE", required = true)]
    pub(in crate::cli) files: Vec<PathBuf>,
    /// Print the scenario with all its defaults filled in
    #[arg(long)]
    pub(in crate::cli) resolve: bool,
    #[command(flatten)]
    pub(in crate::cli) common: Common,
}

/// `schema`.
#[derive(Debug, ClapArgs)]
#[command(after_help = "tailmark schema > schema.json")]
pub(in crate::cli) struct SchemaArgs {
    #[command(flatten)]
    pub(in crate::cli) common: Common,
}

/// `manual`.
#[derive(Debug, ClapArgs)]
#[command(after_help = "tailmark manual target/dist")]
pub(in crate::cli) struct ManualArgs {
    /// The folder to write to, which is made if it is not there
    #[arg(value_name = "DIR")]
    pub(in crate::cli) dir: PathBuf,
}
