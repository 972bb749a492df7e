//! What can be typed to try services out.

use std::path::PathBuf;

use clap::{Args as ClapArgs, Subcommand};

use super::{Common, RuntimeArgs, pin};
use crate::placement::Pin;

/// `services`.
#[derive(Debug, ClapArgs)]
#[command(
    after_help = "tailmark services up axum\n\
                  tailmark services check http://127.0.0.1:8080",
    disable_help_subcommand = true
)]
pub(in crate::cli) struct ServicesArgs {
    #[command(subcommand)]
    pub(in crate::cli) command: ServicesCommand,
}

/// The commands about services.
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum ServicesCommand {
    /// Run targets with stores of their own until Ctrl-C, and print where they are
    #[command(long_about = UP)]
    Up(UpArgs),
    /// Hold a service that runs against the contract of the reference services, row by row
    #[command(long_about = SERVICE_CHECK)]
    Check(ServiceCheckArgs),
}

/// What `--help` says of it.
pub(super) const SERVICE_CHECK: &str = "Asks a service for every row of the contract (reference-services/README.md), with the statuses that \
                  requests alone can bring about. The service holds the state that reference-seed makes. Exits 1 \
                  where a row is not as it should be.";

/// `services check`.
#[derive(Debug, ClapArgs)]
#[command(after_help = "tailmark services check http://127.0.0.1:8080")]
pub(in crate::cli) struct ServiceCheckArgs {
    /// Where the service is
    #[arg(value_name = "URL")]
    pub(in crate::cli) url: String,
    #[command(flatten)]
    pub(in crate::cli) common: Common,
}

/// What `--help` says of it.
pub(super) const UP: &str = "Runs targets with stores of their own until Ctrl-C, and prints where they are. Without names, the first \
                  target of each service: targets that differ in nothing but their names and `env` are one service.";

/// `services up`.
#[derive(Debug, ClapArgs)]
#[command(after_help = "tailmark services up axum")]
pub(in crate::cli) struct UpArgs {
    /// Targets by name [the first of each service: of targets that differ by `env` alone the first]
    #[arg(value_name = "NAME")]
    pub(in crate::cli) names: Vec<String>,
    /// The file that describes targets [nearest of ./targets.yaml, ./reference-services/targets.yaml]
    #[arg(long, value_name = "FILE")]
    pub(in crate::cli) targets: Option<PathBuf>,
    /// Do not run the targets' build commands first
    #[arg(long)]
    pub(in crate::cli) no_build: bool,
    /// CPUs of the targets and of their stores, such as 0:1-2:3, the first part unused
    #[arg(long, value_name = "auto|none|G:T:S", default_value = "none", value_parser = pin)]
    pub(in crate::cli) pin: Pin,
    #[command(flatten)]
    pub(in crate::cli) containers: RuntimeArgs,
    #[command(flatten)]
    pub(in crate::cli) common: Common,
}
