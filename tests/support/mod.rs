//! Servers that tests measure: real sockets, scripted behaviour, and a log of what really happened. And the tool itself.
#![allow(dead_code, reason = "each test uses a part of it")]

pub(crate) mod documents;
pub(crate) mod forwarded;
pub(crate) mod freezing;
pub(crate) mod multiplexed;
pub(crate) mod scripted;
pub(crate) mod secure;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

/// The binary under test, in a folder of its own.
pub(crate) struct Tool {
    pub(crate) folder: tempfile::TempDir,
    preflight: bool,
}

/// What a command of the tool came to.
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Tool {
    /// Measures without a preflight, so that servers see the load alone.
    pub(crate) fn new() -> Tool {
        Tool {
            folder: tempfile::tempdir().unwrap(),
            preflight: false,
        }
    }

    /// Measures as people do.
    pub(crate) fn with_preflight() -> Tool {
        Tool {
            preflight: true,
            ..Tool::new()
        }
    }

    pub(crate) fn command<S: AsRef<std::ffi::OsStr>>(&self, words: &[S]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tailmark"));
        let mut words = words.iter().map(AsRef::as_ref);
        let first = words.next();
        command.args(first);
        let measures =
            first.is_some_and(|word| ["run", "compare", "gate"].iter().any(|own| word == *own));
        if measures && !self.preflight {
            command.arg("--no-preflight");
        }
        command
            .args(words)
            .current_dir(self.folder.path())
            .env("NO_COLOR", "1");
        command
    }

    pub(crate) fn run<S: AsRef<std::ffi::OsStr>>(&self, words: &[S]) -> Ran {
        self.command(words).output().unwrap().into()
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        std::fs::write(self.folder.path().join(name), text).unwrap();
    }

    /// The result that was saved last.
    pub(crate) fn latest(&self) -> PathBuf {
        self.results().join("latest")
    }

    pub(crate) fn results(&self) -> PathBuf {
        self.folder.path().join("results/local")
    }

    /// Names in the results folder, but for what belongs to the folder itself.
    pub(crate) fn saved(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.results())
            .into_iter()
            .flatten()
            .flatten();
        let names = entries.map(|entry| entry.file_name().into_string().unwrap());
        names
            .filter(|name| name != ".gitignore" && name != "latest")
            .collect()
    }
}

impl From<Output> for Ran {
    fn from(output: Output) -> Ran {
        Ran {
            code: output.status.code(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

impl Ran {
    /// The JSON on standard output of a run that ended with `code`.
    pub(crate) fn json(&self, code: i32) -> Value {
        assert_eq!(self.code, Some(code), "{}\n{}", self.out, self.err);
        serde_json::from_str(&self.out).unwrap()
    }
}

/// A program of the workspace beside this test's own, if it was built.
pub(crate) fn sibling(program: &str) -> Option<PathBuf> {
    let own = Path::new(env!("CARGO_BIN_EXE_tailmark"));
    Some(own.with_file_name(program)).filter(|path| path.is_file())
}
