//! Why a command could not do its work: what a person reads, and the exit code.

use std::error::Error;

use crate::data::DataError;
use crate::document::Problems;
use crate::gate::TermsError;
use crate::revisions::RevisionError;
use crate::run_record::wire::ReadError;
use crate::scenario::{SelectError, ThresholdError};
use crate::session::runtime::RuntimeError;
use crate::session::{LoadError, SessionError, TlsError};
use crate::target_spec::TargetError;
use crate::units::UnitError;

/// A message in the form of all of ours: `error:` in lower case, then `hint:` with the next step.
#[derive(Debug)]
pub(super) struct Failure {
    text: String,
    interrupted: bool,
}

impl Failure {
    /// A failure of the system's: what was being done, and why it failed.
    pub(super) fn new(doing: &str, error: &dyn Error) -> Self {
        Self::said(&format!("{doing}: {}", chain(error)), None)
    }

    /// A failure in our own words.
    pub(super) fn said(message: &str, hint: Option<String>) -> Self {
        let hint = hint.map_or(String::new(), |hint| format!("\nhint: {hint}"));
        Self {
            text: format!("error: {message}{hint}"),
            interrupted: false,
        }
    }

    /// The same with a hint, or one more.
    pub(super) fn with_hint(mut self, hint: &str) -> Self {
        self.text = format!("{}\nhint: {hint}", self.text.trim_end());
        self
    }

    /// Ended on request before there was anything to print.
    pub(super) fn interrupted() -> Self {
        Self {
            text: "interrupted before anything was measured".into(),
            interrupted: true,
        }
    }

    pub(super) fn code(&self) -> u8 {
        if self.interrupted { 130 } else { 2 }
    }

    #[expect(
        clippy::print_stderr,
        reason = "the command line alone writes to the terminal"
    )]
    pub(super) fn print(&self) {
        eprintln!("{}", self.text.trim_end());
    }
}

/// An error and its causes, each once: `reading x: permission denied`.
pub(super) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let words = error.to_string();
        if !text.contains(&words) {
            text = format!("{text}: {words}");
        }
        cause = error.source();
    }
    text
}

impl From<Problems> for Failure {
    fn from(problems: Problems) -> Self {
        // Problems print themselves whole, each with its own `error:`.
        Self {
            text: problems.to_string(),
            interrupted: false,
        }
    }
}

impl From<DataError> for Failure {
    fn from(error: DataError) -> Self {
        match error {
            DataError::Problems(problems) => problems.into(),
            error @ DataError::Io { .. } => Self::said(&chain(&error), None),
        }
    }
}

impl From<TargetError> for Failure {
    fn from(error: TargetError) -> Self {
        Self::said(&error.to_string(), error.hint())
    }
}

impl From<SelectError> for Failure {
    fn from(error: SelectError) -> Self {
        Self::said(&error.to_string(), error.hint())
    }
}

impl From<ThresholdError> for Failure {
    fn from(error: ThresholdError) -> Self {
        Self::said(&error.to_string(), error.hint())
    }
}

impl From<TlsError> for Failure {
    fn from(error: TlsError) -> Self {
        Self::said(&chain(&error), error.hint())
    }
}

impl From<UnitError> for Failure {
    fn from(error: UnitError) -> Self {
        Self::said(&error.to_string(), Some(error.hint()))
    }
}

impl From<ReadError> for Failure {
    fn from(error: ReadError) -> Self {
        Self::said(&chain(&error), None)
    }
}

impl From<RevisionError> for Failure {
    fn from(error: RevisionError) -> Self {
        Self::said(&chain(&error), error.hint())
    }
}

impl From<TermsError> for Failure {
    fn from(error: TermsError) -> Self {
        let hint = match &error {
            TermsError::NoMetric | TermsError::NotGated(_) => Some("--metric p99"),
            TermsError::Twice(_) => Some("name it once"),
            TermsError::Margins { .. } => Some("--allowed 5% --ruled-out 20%"),
            TermsError::Chance { .. } => Some("--alpha 1% --beta 5%"),
            TermsError::Rounds(_) => Some("--max-rounds 40"),
            TermsError::Time { .. } => {
                Some("a longer --max-time, or a shorter --measure or --warmup")
            }
        };
        Self::said(&error.to_string(), hint.map(str::to_owned))
    }
}

impl From<RuntimeError> for Failure {
    fn from(error: RuntimeError) -> Self {
        Self::said(&error.to_string(), Some(error.hint().into()))
    }
}

impl From<crate::archive::ArchiveError> for Failure {
    fn from(error: crate::archive::ArchiveError) -> Self {
        Self::said(&chain(&error), None)
    }
}

impl From<SessionError> for Failure {
    fn from(error: SessionError) -> Self {
        match error {
            SessionError::Interrupted(_) => Self::interrupted(),
            SessionError::Select(error) => error.into(),
            SessionError::Target(error) => Self::said(&chain(&error), error.hint()),
            SessionError::Runtime(error) => error.into(),
            SessionError::Watch(error) => {
                Self::said(&chain(&error), error.hint().map(str::to_owned))
            }
            SessionError::Pin(error) => Self::said(&error.to_string(), Some(error.hint().into())),
            SessionError::Tls(error) => error.into(),
            SessionError::Load(LoadError::Limit(error)) => {
                Self::said(&error.to_string(), error.hint())
            }
            SessionError::NotAsExpected(error) => {
                Self::said(&error.to_string(), Some(error.hint().into()))
            }
            error => Self::said(&chain(&error), None),
        }
    }
}
