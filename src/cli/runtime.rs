//! How targets run: as processes or in containers, and within which limits.

use std::str::FromStr;

use clap::{Args as ClapArgs, ValueEnum};

use super::args::Common;
use super::failure::Failure;
use crate::session::runtime::{Runtime, Wish, choose};
use crate::target_spec::{Cpus, LimitError, Limits, MemoryLimit, TargetSpec};

/// Flags about containers.
#[derive(Debug, ClapArgs)]
pub(super) struct RuntimeArgs {
    /// How targets run that have both a command and an image; auto takes containers where an engine answers and has
    /// the images of all of them
    #[arg(
        long,
        value_name = "HOW",
        default_value = "auto",
        help_heading = "Containers"
    )]
    runtime: RuntimeWord,
    /// Memory that each target may have, such as 32MiB
    #[arg(long, value_name = "SIZE", value_parser = limit::<MemoryLimit>, help_heading = "Containers")]
    memory: Option<MemoryLimit>,
    /// CPUs that each target may keep busy, such as 0.5
    #[arg(long, value_name = "N", value_parser = limit::<Cpus>, help_heading = "Containers")]
    cpus: Option<Cpus>,
    /// Get images from their registries first
    #[arg(long, help_heading = "Containers")]
    pull: bool,
}

/// How targets run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum RuntimeWord {
    /// As containers where that is possible.
    Auto,
    /// As processes.
    Process,
    /// As containers.
    Container,
}

impl RuntimeArgs {
    /// Makes of `targets`, which are compared with each other, what runs, and says what was chosen.
    pub(super) async fn apply(
        &self,
        targets: &mut [TargetSpec],
        common: &Common,
    ) -> Result<(), Failure> {
        choose_and_say(&self.wish(true), targets, common).await
    }

    /// The same of `targets` that have nothing to do with each other.
    pub(super) async fn apply_to_each(
        &self,
        targets: &mut [TargetSpec],
        common: &Common,
    ) -> Result<(), Failure> {
        choose_and_say(&self.wish(false), targets, common).await
    }

    /// Refuses what can be refused of `targets` that have nothing to do with each other before any engine is asked.
    pub(super) fn check(&self, targets: &[TargetSpec]) -> Result<(), Failure> {
        Ok(self.wish(false).check(targets)?)
    }

    fn wish(&self, alike: bool) -> Wish {
        Wish {
            runtime: match self.runtime {
                RuntimeWord::Auto => Runtime::Auto,
                RuntimeWord::Process => Runtime::Process,
                RuntimeWord::Container => Runtime::Container,
            },
            limits: Limits {
                cpus: self.cpus,
                memory: self.memory,
            },
            pull: self.pull,
            alike,
        }
    }
}

#[expect(
    clippy::print_stderr,
    reason = "the command line alone writes to the terminal"
)]
async fn choose_and_say(
    wish: &Wish,
    targets: &mut [TargetSpec],
    common: &Common,
) -> Result<(), Failure> {
    let notes = choose(targets, wish).await?;
    if !common.quiet {
        for note in notes {
            eprintln!("{note}");
        }
    }
    Ok(())
}

fn limit<T: FromStr<Err = LimitError>>(text: &str) -> Result<T, String> {
    text.parse()
        .map_err(|error: LimitError| format!("{error}; {}", error.hint()))
}
