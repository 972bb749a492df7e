//! Services under test, as `targets.yaml` and the command line describe them: how to build, start, reach and audit
//! each. Nothing is started here.

mod argument;
mod connect_to;
mod image;
mod read;
mod url;
mod watch;

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use thiserror::Error;

use crate::document::{Document, Problems, Walk, nearest};

pub use argument::TargetError;
pub use connect_to::{ConnectTo, ConnectToError};
pub use image::{Cpus, Image, ImageError, LimitError, Limits, MemoryLimit};
pub use url::{TargetUrl, UrlError};
pub use watch::{Watch, WatchError};

/// A targets file: its targets, in order.
#[derive(Debug, Clone)]
pub struct TargetsFile {
    file_name: String,
    targets: Vec<TargetSpec>,
}

impl TargetsFile {
    /// Reads a targets file; `file_name` is what messages call it, `folder` is where its commands will run.
    ///
    /// # Errors
    /// Everything that is wrong with the file, each with its place.
    pub fn parse(file_name: &str, folder: &Path, text: &[u8]) -> Result<Self, Problems> {
        let document = Document::parse(file_name, text)?;
        let mut walk = Walk::new(&document);
        let targets = read::targets(&mut walk, document.root(), folder);
        let targets = walk.finish(targets)?;
        Ok(Self {
            file_name: file_name.to_owned(),
            targets,
        })
    }

    /// The targets, at least one, in the order of the file.
    #[must_use]
    pub fn targets(&self) -> &[TargetSpec] {
        &self.targets
    }

    /// The only target, where there is no other: it need not be named.
    #[must_use]
    pub fn only(&self) -> Option<&TargetSpec> {
        match self.targets.as_slice() {
            [only] => Some(only),
            _ => None,
        }
    }

    /// The target called `name`.
    #[must_use]
    pub fn named(&self, name: &str) -> Option<&TargetSpec> {
        self.targets.iter().find(|target| target.name == name)
    }

    /// The first target of each service that tailmark starts, in the order of the file: targets that differ in nothing but
    /// their names and `env` are one service, set in several ways.
    #[must_use]
    pub fn services(&self) -> Vec<&TargetSpec> {
        let mut services: Vec<&TargetSpec> = Vec::new();
        for target in self.targets.iter().filter(|target| target.is_started()) {
            if !services.iter().any(|other| target.is_service_of(other)) {
                services.push(target);
            }
        }
        services
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        self.targets.iter().map(|target| target.name.as_str())
    }
}

/// One service under test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TargetSpec {
    /// What reports and folders call it: letters, digits, `.`, `-` and `_`.
    pub name: String,
    /// Where its commands run.
    pub folder: PathBuf,
    /// How it comes to be there.
    pub kind: TargetKind,
    /// The same service as an image, where it has a command too.
    pub image: Option<Image>,
    /// Why it runs as it does, in words, where that was chosen.
    pub runtime: Option<String>,
    /// When it may be measured.
    pub ready: Ready,
    /// How it is stopped.
    pub stop: Stop,
    /// The private stores that it gets.
    pub stores: Stores,
    /// Builds it.
    pub build: Option<CommandLine>,
    /// Fills an empty database, once.
    pub seed: Option<CommandLine>,
    /// Asks its database after an arm whether all is well.
    pub audit: Option<CommandLine>,
    /// Says how it is set.
    pub describe: Option<CommandLine>,
    /// Environment variables of its commands, in order.
    pub env: Vec<(String, String)>,
    /// What runs beside each launch of it.
    pub beside: Vec<Companion>,
    /// Whose memory and CPU are read, where that is said.
    pub watch: Option<Watch>,
}

/// A process that a target needs, and that is not measured: an upstream, say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Companion {
    /// The environment variable of the target that holds its URL, `http://127.0.0.1:PORT`.
    pub variable: String,
    /// How it is started.
    pub command: CommandLine,
}

/// How a target comes to be there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TargetKind {
    /// A process that tailmark starts and stops.
    Command(CommandLine),
    /// A container that tailmark starts and removes.
    Image(Image),
    /// A service that runs already.
    Url(TargetUrl),
}

/// When a started target may be measured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ready {
    /// The path that answers 2xx once it is ready; none: its port accepts connections.
    pub path: Option<String>,
    /// How long that may take.
    pub within: Duration,
}

impl Default for Ready {
    fn default() -> Self {
        Self {
            path: None,
            within: Duration::from_secs(10),
        }
    }
}

/// How a started target is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stop {
    /// What it is sent.
    pub signal: Signal,
    /// How long it may take before it is killed.
    pub within: Duration,
}

impl Default for Stop {
    fn default() -> Self {
        Self {
            signal: Signal::Term,
            within: Duration::from_secs(10),
        }
    }
}

/// The signals that ask a process to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// SIGTERM.
    Term,
    /// SIGINT.
    Int,
    /// SIGQUIT.
    Quit,
    /// SIGHUP.
    Hup,
    /// SIGKILL.
    Kill,
}

impl Signal {
    const NAMES: [(&'static str, Self); 5] = [
        ("TERM", Self::Term),
        ("INT", Self::Int),
        ("QUIT", Self::Quit),
        ("HUP", Self::Hup),
        ("KILL", Self::Kill),
    ];
}

impl fmt::Display for Signal {
    /// As targets.yaml writes it: `TERM`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Term => "TERM",
            Self::Int => "INT",
            Self::Quit => "QUIT",
            Self::Hup => "HUP",
            Self::Kill => "KILL",
        })
    }
}

impl TargetSpec {
    /// Whether tailmark starts it; else it runs already.
    #[must_use]
    pub fn is_started(&self) -> bool {
        !matches!(self.kind, TargetKind::Url(_))
    }

    /// Whether it is the service that `other` is, by another name and set in another way.
    #[must_use]
    pub fn is_service_of(&self, other: &Self) -> bool {
        let alike = Self {
            name: self.name.clone(),
            env: self.env.clone(),
            ..other.clone()
        };
        *self == alike
    }
}

/// The private stores of a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stores {
    /// A fresh PostgreSQL database for every launch; `DATABASE_URL` is set.
    pub postgres: bool,
    /// An empty Redis database for every launch; `REDIS_URL` is set.
    pub redis: bool,
}

/// A command and its arguments, split as a shell splits; no shell will see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandLine {
    words: Vec<String>,
}

impl CommandLine {
    /// What stands for the port in a target's `command`.
    pub const PORT: &'static str = "{port}";

    /// Splits `text` into words by the quoting rules of a shell.
    ///
    /// # Errors
    /// There is no word in it, a quote is not closed, or there is a NUL, which no argument can hold.
    pub fn parse(text: &str) -> Result<Self, CommandError> {
        if text.contains('\0') {
            return Err(CommandError::Nul);
        }
        let words = shell_words::split(text).map_err(|_| CommandError::OpenQuote)?;
        match words.first() {
            Some(program) if !program.is_empty() => Ok(Self { words }),
            _ => Err(CommandError::Empty),
        }
    }

    /// The program, which is never empty.
    #[must_use]
    pub fn program(&self) -> &str {
        &self.words[0]
    }

    /// The words after the program.
    #[must_use]
    pub fn arguments(&self) -> &[String] {
        &self.words[1..]
    }

    /// The program and its arguments.
    #[must_use]
    pub fn words(&self) -> &[String] {
        &self.words
    }

    /// The command with every `{port}` in it replaced.
    #[must_use]
    pub fn with_port(&self, port: u16) -> Self {
        let port = port.to_string();
        Self {
            words: self
                .words
                .iter()
                .map(|word| word.replace(Self::PORT, &port))
                .collect(),
        }
    }

    fn wants_port(&self) -> bool {
        self.words.iter().any(|word| word.contains(Self::PORT))
    }
}

impl fmt::Display for CommandLine {
    /// As it could be typed into a shell.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&shell_words::join(&self.words))
    }
}

/// A text that is no command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum CommandError {
    /// Nothing to run.
    #[error("names no program")]
    Empty,
    /// The character 0.
    #[error("holds a NUL")]
    Nul,
    /// A quote without its end.
    #[error("has a quote that is not closed")]
    OpenQuote,
}

fn did_you_mean<'a>(name: &str, names: impl Iterator<Item = &'a str>) -> String {
    nearest(name, names)
        .map(|near| format!("; did you mean `{near}`?"))
        .unwrap_or_default()
}
