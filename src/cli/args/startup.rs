//! What can be typed to compare start-ups.

use std::path::PathBuf;

use clap::Args as ClapArgs;

use super::{Common, DurabilityWord, RuntimeArgs, Saving, output, pin};
use crate::placement::Pin;
use crate::report::Format;

/// What `--help` says of it.
pub(super) const STARTUP: &str = "Launches targets in rounds, in random order and without load, and compares how long each takes from the \
                  execution of its program until it listens and until the path of its `ready` answers, what it holds a \
                  second later, and how large it is. What a container engine does before the execution is told apart.\n\n\
                  Exits 0 where a round was valid; 2 where it could not be done; 4 where no round was valid; 130 where it was \
                  interrupted.";

/// `startup`.
#[derive(Debug, ClapArgs)]
#[command(
    after_help = "tailmark startup axum actix --rounds 20",
    mut_arg("output", |arg| arg.help(output(Format::OF_OTHERS, "")))
)]
pub(in crate::cli) struct StartupArgs {
    /// Targets that tailmark starts: names in targets.yaml, command:… or image:…; the first is the reference
    #[arg(value_name = "TARGET", num_args = 1.., required = true)]
    pub(in crate::cli) arms: Vec<String>,
    /// The file that describes targets [nearest of ./targets.yaml, ./reference-services/targets.yaml]
    #[arg(long, value_name = "FILE")]
    pub(in crate::cli) targets: Option<PathBuf>,
    /// Rounds; in each, every target is launched once
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(in crate::cli) rounds: u32,
    /// Seed of the order of targets [drawn]
    #[arg(long)]
    pub(in crate::cli) order_seed: Option<u64>,
    /// CPUs of the targets and of their stores, such as 0:1-2:3, the first part unused
    #[arg(long, value_name = "auto|none|G:T:S", default_value = "auto", value_parser = pin)]
    pub(in crate::cli) pin: Pin,
    /// What a private PostgreSQL promises: relaxed may lose the last moments before a crash, strict loses nothing
    /// that was committed
    #[arg(long, value_name = "HOW", default_value = "relaxed")]
    pub(in crate::cli) durability: DurabilityWord,
    #[command(flatten)]
    pub(in crate::cli) containers: RuntimeArgs,
    #[command(flatten)]
    pub(in crate::cli) saving: Saving,
    #[command(flatten)]
    pub(in crate::cli) common: Common,
}
