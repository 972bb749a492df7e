//! What went wrong with a target, and what it said meanwhile.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

use super::exit::{OutOfMemory, in_words};
use crate::docker::NoEngine;

/// What went wrong with a target.
#[derive(Debug, thiserror::Error)]
pub enum TargetError {
    /// Its surroundings could not be prepared.
    #[error("{name}: {problem}")]
    Setup {
        /// The target.
        name: String,
        /// What is wrong.
        problem: String,
    },
    /// A command of the target could not be started.
    #[error("{name}: cannot start `{command}` in {}", folder.display())]
    Start {
        /// The target.
        name: String,
        /// The command.
        command: String,
        /// Where it would have run.
        folder: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// It lived, but was not ready in time.
    #[error("{name} was not ready within {}: {failure}", in_words(*within))]
    NotReady {
        /// The target.
        name: String,
        /// The time it had.
        within: Duration,
        /// How the last attempt failed.
        failure: String,
        /// Its output.
        log: Log,
    },
    /// It ended before it was ready.
    #[error("{name} ended before it was ready ({status})")]
    EndedEarly {
        /// The target.
        name: String,
        /// How.
        status: ExitStatus,
        /// Its output.
        log: Log,
    },
    /// It, or what runs beside it, was ready, and has ended by itself.
    #[error("{name} ended by itself ({status})")]
    Gone {
        /// The target.
        name: String,
        /// How.
        status: ExitStatus,
        /// Its output.
        log: Log,
    },
    /// The kernel killed it for want of memory.
    #[error("{name} ran out of memory: {cause}")]
    OutOfMemory {
        /// The target.
        name: String,
        /// What it had.
        cause: OutOfMemory,
        /// Its output.
        log: Log,
    },
    /// No engine for its container.
    #[error("{name} is a container, and {source}")]
    NoEngine {
        /// The target.
        name: String,
        /// Where one was looked for.
        source: NoEngine,
    },
    /// Its image is not on this machine.
    #[error("{name}: there is no image `{image}` on this machine")]
    NoImage {
        /// The target.
        name: String,
        /// What the image is called.
        image: String,
    },
    /// The engine refused, or failed.
    #[error("{name}: the container engine cannot {doing}: {failure}")]
    Engine {
        /// The target.
        name: String,
        /// What it was asked to do.
        doing: &'static str,
        /// What it said.
        failure: String,
    },
    /// A URL that does not accept connections.
    #[error("cannot reach {name} at {url}: {failure}")]
    Unreachable {
        /// The target.
        name: String,
        /// Its URL.
        url: String,
        /// How the last attempt failed.
        failure: String,
    },
    /// A build, seed or audit command failed.
    #[error("{name}: {what} `{command}` failed: {failure}")]
    Tool {
        /// The target.
        name: String,
        /// `build`, `seed`, `audit` or `describe`.
        what: &'static str,
        /// The command.
        command: String,
        /// How it failed.
        failure: String,
        /// Its output, where it was kept.
        log: Option<Box<Log>>,
    },
    /// It could not be stopped.
    #[error("cannot stop {name}")]
    Stop {
        /// The target.
        name: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

impl TargetError {
    /// The next step, where there is one.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            TargetError::NotReady { log, .. }
            | TargetError::EndedEarly { log, .. }
            | TargetError::Gone { log, .. } => Some(log.to_string()),
            TargetError::OutOfMemory { log, .. } => {
                Some(format!("give it more by --memory or `limits`; {log}"))
            }
            TargetError::NoEngine { source, .. } => Some(source.hint().to_owned()),
            TargetError::NoImage { .. } => {
                Some("build it, or add --pull to get it from its registry".to_owned())
            }
            TargetError::Tool { log, .. } => log.as_ref().map(ToString::to_string),
            TargetError::Unreachable { .. } => {
                Some("start the service first, or check host and port".to_owned())
            }
            TargetError::Setup { .. }
            | TargetError::Start { .. }
            | TargetError::Engine { .. }
            | TargetError::Stop { .. } => None,
        }
    }
}

/// The end of a command's output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    /// The file.
    pub path: PathBuf,
    /// Its last lines.
    pub lines: Vec<String>,
}

impl Log {
    /// How many lines an error quotes: a stack trace's first words, or a usage message.
    const LINES: usize = 10;

    pub(super) fn end_of(path: &Path) -> Log {
        Log {
            path: path.to_owned(),
            lines: crate::child::last_lines(path, Log::LINES),
        }
    }
}

impl fmt::Display for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.lines.is_empty() {
            return write!(f, "it wrote nothing ({})", self.path.display());
        }
        write!(f, "its last lines ({}):", self.path.display())?;
        self.lines
            .iter()
            .try_for_each(|line| write!(f, "\n  {line}"))
    }
}
