//! What can be typed to look at what there is, and at what was measured.

use std::path::PathBuf;

use clap::Args as ClapArgs;

use super::{Common, Shown};

/// What `--help` says of it.
pub(super) const REPORT: &str = "Shows a saved result again, or several runs side by side, after a list of what differs between them. It does \
                  not say which of two services is faster: single runs cannot tell, and `tailmark compare` can.";

/// `report`.
#[derive(Debug, ClapArgs)]
#[command(after_help = "tailmark report results/local/latest\n\
                  tailmark report results/local/20261123T074100Z-crud-axum results/local/latest")]
pub(in crate::cli) struct ReportArgs {
    /// A saved result: its file or its folder; several runs are set side by side
    #[arg(value_name = "RECORD|DIR", required = true, num_args = 1..)]
    pub(in crate::cli) what: Vec<PathBuf>,
    /// Write the result to FILE; its ending says the format (.json .html; .md .csv except of start-ups; .xml of a run or a gate;
    /// .hlog .hgrm .prom of a run); may be given again
    #[arg(short, long, value_name = "FILE", help_heading = "Output")]
    pub(in crate::cli) output: Vec<PathBuf>,
    #[command(flatten)]
    pub(in crate::cli) shown: Shown,
    #[command(flatten)]
    pub(in crate::cli) common: Common,
}

/// What `--help` says of it.
pub(super) const LIST: &str = "Lists what there is here: the targets of targets.yaml, the scenarios of ./*.yaml and ./scenarios/*.yaml, and the \
                  results that were saved last. A file that cannot be read is listed with what is wrong with it.";

/// `list`.
#[derive(Debug, ClapArgs)]
#[command(after_help = "tailmark list")]
pub(in crate::cli) struct ListArgs {
    /// The file that describes targets [nearest of ./targets.yaml, ./reference-services/targets.yaml]
    #[arg(long, value_name = "FILE")]
    pub(in crate::cli) targets: Option<PathBuf>,
    /// The results folder
    #[arg(
        long,
        value_name = "DIR",
        default_value = "results/local",
        help_heading = "Output"
    )]
    pub(in crate::cli) results: PathBuf,
    #[command(flatten)]
    pub(in crate::cli) common: Common,
}
