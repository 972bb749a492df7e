//! An oracle as a process of its own, for one run.

use std::fs::{self, File};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::Signal;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::net::unix::pipe::Receiver;

use super::{Request, VerifyError};
use crate::child::{Guarded, last_lines};
use crate::units::format_duration;
use crate::verification::log::Log;
use crate::verification::scripts::Scripted;

/// How long it may take until it listens: it binds a port and no more.
const STARTS_WITHIN: Duration = Duration::from_secs(10);

/// How long it may take to write its log: a few megabytes a second would do.
const STOPS_WITHIN: Duration = Duration::from_secs(30);

/// How long it lives beyond the time of a script, should nobody be left to stop it: longer than a run takes to end.
const OUTLIVES: Duration = Duration::from_secs(90);

/// What stands before its address on the first line of its output.
const LISTENING: &str = "listening on ";

/// An oracle that listens. Dropping it stops it.
pub(super) struct Running {
    child: Guarded,
    url: String,
    log: PathBuf,
    errors: PathBuf,
}

impl Running {
    pub(super) async fn start(
        request: &Request,
        scripted: &Scripted,
        folder: &Path,
    ) -> Result<Self, VerifyError> {
        let failed = |error: std::io::Error| VerifyError::Start(error.to_string());
        let (log, errors) = (folder.join("oracle.csv"), folder.join("oracle.err"));
        let (output, writer) = std::io::pipe().map_err(failed)?;
        let child = {
            let mut command = Command::new(&request.program);
            command
                .args(["oracle", "--quiet", "--log"])
                .arg(&log)
                .arg(format!(
                    "--for={}",
                    format_duration(request.duration + OUTLIVES)
                ))
                .args(scripted.script.flags())
                .stdin(Stdio::null())
                .stdout(writer)
                .stderr(File::create(&errors).map_err(failed)?);
            // The command holds our copy of the pipe's other end: with it, the pipe would never end.
            Guarded::spawn(&mut command, &[(Signal::TERM, STOPS_WITHIN)]).map_err(failed)?
        };
        let said = || VerifyError::Start(last_lines(&errors, 3).join("; "));
        let output = Receiver::from_owned_fd(OwnedFd::from(output)).map_err(failed)?;
        let mut line = String::new();
        let mut output = BufReader::new(output);
        tokio::time::timeout(STARTS_WITHIN, output.read_line(&mut line))
            .await
            .map_err(|_| said())?
            .map_err(failed)?;
        let url = line.trim_end().strip_prefix(LISTENING).ok_or_else(said)?;
        Ok(Self {
            child,
            url: format!("{url}/"),
            log,
            errors,
        })
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// Stops it, and reads what it wrote down. Blocks until that is done.
    pub(super) fn stop(mut self) -> Result<Log, VerifyError> {
        let failed = |error: std::io::Error| VerifyError::Log(error.to_string());
        let status = self.child.stop().map_err(failed)?;
        if !status.success() {
            let said = last_lines(&self.errors, 3).join("; ");
            return Err(VerifyError::Log(format!("{status}: {said}")));
        }
        let text = fs::read_to_string(&self.log).map_err(failed)?;
        Log::parse(&text).map_err(|error| VerifyError::Log(error.to_string()))
    }
}
