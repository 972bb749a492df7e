//! The commands around a target: build, seed, describe, audit.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::fd::AsFd;
use std::path::Path;
use std::process::{Command, ExitStatus};
use std::time::Duration;

use rustix::process::Signal;

use super::command::prepare;
use super::exit::in_words;
use super::{Log, TargetError, wire};
use crate::child::{Guarded, Step};
use crate::run_record::Audit;
use crate::target_spec::{CommandLine, TargetSpec};

/// A release build of a large service from nothing.
const BUILD_WITHIN: Duration = Duration::from_secs(60 * 60);

/// Tens of millions of rows; the reference seed takes seconds.
const SEED_WITHIN: Duration = Duration::from_secs(10 * 60);

/// For what a round of a comparison waits for: an audit asks a few aggregates, and how a target is set takes less.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);

/// The longest answer that is read: thousands of facts.
const ANSWER_BYTES: u64 = 1 << 20;

/// How a tool is ended that takes too long, or that nobody waits for any more.
const ESCALATION: &[Step] = &[(Signal::TERM, Duration::from_secs(5))];

/// Builds the target, if it has a build command. All its output goes to standard error.
///
/// # Errors
/// Fails where the command does not start, does not succeed, or takes over an hour.
pub async fn run_build(spec: &TargetSpec) -> Result<(), TargetError> {
    let Some(build) = &spec.build else {
        return Ok(());
    };
    let tool = Tool {
        spec,
        what: "build",
        command: build,
        log: None,
    };
    let mut command = prepare(build, &spec.folder, &[&spec.env]);
    command.stdout(tool.prepared(io::stderr().as_fd().try_clone_to_owned())?);
    tool.succeed(&mut command, BUILD_WITHIN).await
}

/// Fills the database that `env` names, if the target has a seed command. Its output goes to `log`.
///
/// # Errors
/// Fails where the command does not start, does not succeed, or takes over ten minutes.
pub async fn run_seed(
    spec: &TargetSpec,
    env: &[(String, String)],
    log: &Path,
) -> Result<(), TargetError> {
    let Some(seed) = &spec.seed else {
        return Ok(());
    };
    let tool = Tool {
        spec,
        what: "seed",
        command: seed,
        log: Some(log),
    };
    let output = tool.prepared(File::create(log))?;
    let mut command = prepare(seed, &spec.folder, &[&spec.env, env]);
    command
        .stderr(tool.prepared(output.try_clone())?)
        .stdout(output);
    tool.succeed(&mut command, SEED_WITHIN).await
}

/// How the target says that it is set, if it has a command that says so; its other output goes to `log`.
///
/// # Errors
/// Fails where the command does not start, takes over 30 s, does not succeed, or does not print a JSON object.
pub(super) async fn settings(
    spec: &TargetSpec,
    env: &[(String, String)],
    log: &Path,
) -> Result<BTreeMap<String, String>, TargetError> {
    let Some(describe) = &spec.describe else {
        return Ok(BTreeMap::new());
    };
    let tool = Tool {
        spec,
        what: "describe",
        command: describe,
        log: Some(log),
    };
    let mut output = tool.prepared(tempfile::tempfile())?;
    let mut command = prepare(describe, &spec.folder, &[&spec.env, env]);
    command
        .stderr(tool.prepared(File::create(log))?)
        .stdout(tool.prepared(output.try_clone())?);
    tool.succeed(&mut command, ANSWER_WITHIN).await?;
    let answer = tool.answer(&mut output)?;
    let settings = wire::settings(&answer);
    settings.map_err(|error| tool.failed(format!("its output is no JSON object: {error}")))
}

/// See [`super::Target::audit`]. Both ends are files, so that no pipe can fill up.
pub(super) async fn run_audit(
    spec: &TargetSpec,
    audit: &CommandLine,
    env: &[(String, String)],
    log: Option<&Path>,
    counts: &str,
) -> Result<Audit, TargetError> {
    let tool = Tool {
        spec,
        what: "audit",
        command: audit,
        log,
    };
    let mut input = tool.prepared(tempfile::tempfile())?;
    tool.prepared(
        input
            .write_all(counts.as_bytes())
            .and_then(|()| input.rewind()),
    )?;
    let mut output = tool.prepared(tempfile::tempfile())?;
    let mut command = prepare(audit, &spec.folder, &[&spec.env, env]);
    command
        .stdin(input)
        .stdout(tool.prepared(output.try_clone())?);
    if let Some(log) = log {
        command.stderr(tool.prepared(OpenOptions::new().append(true).create(true).open(log))?);
    }
    let status = tool.run(&mut command, ANSWER_WITHIN).await?;
    let answer = tool.answer(&mut output)?;
    let found = wire::audit(&answer).map_err(|error| {
        tool.failed(format!(
            "{status}, and its output is not {{\"ok\":…,\"facts\":{{…}}}}: {error}"
        ))
    })?;
    match (found.ok, status.code()) {
        (true, Some(0)) | (false, Some(1)) => Ok(found),
        (ok, _) => Err(tool.failed(format!("it says \"ok\":{ok} and ends with {status}"))),
    }
}

struct Tool<'a> {
    spec: &'a TargetSpec,
    what: &'static str,
    command: &'a CommandLine,
    log: Option<&'a Path>,
}

impl Tool<'_> {
    async fn succeed(&self, command: &mut Command, within: Duration) -> Result<(), TargetError> {
        let status = self.run(command, within).await?;
        if status.success() {
            Ok(())
        } else {
            Err(self.failed(status.to_string()))
        }
    }

    async fn run(
        &self,
        command: &mut Command,
        within: Duration,
    ) -> Result<ExitStatus, TargetError> {
        let mut child =
            Guarded::spawn(command, ESCALATION).map_err(|source| TargetError::Start {
                name: self.spec.name.clone(),
                command: self.command.to_string(),
                folder: self.spec.folder.clone(),
                source,
            })?;
        let ended = tokio::time::timeout(within, child.ended()).await;
        let status = self.prepared(child.stop())?;
        match ended {
            Ok(ended) => self.prepared(ended).map(|()| status),
            Err(_) => Err(self.failed(format!("it took over {}", in_words(within)))),
        }
    }

    /// What was written to `output`.
    fn answer(&self, output: &mut File) -> Result<Vec<u8>, TargetError> {
        let mut answer = Vec::new();
        self.prepared(
            output
                .rewind()
                .and_then(|()| output.take(ANSWER_BYTES).read_to_end(&mut answer)),
        )?;
        Ok(answer)
    }

    fn prepared<T>(&self, result: io::Result<T>) -> Result<T, TargetError> {
        result.map_err(|error| self.failed(error.to_string()))
    }

    fn failed(&self, failure: String) -> TargetError {
        TargetError::Tool {
            name: self.spec.name.clone(),
            what: self.what,
            command: self.command.to_string(),
            failure,
            log: self.log.map(|path| Box::new(Log::end_of(path))),
        }
    }
}
