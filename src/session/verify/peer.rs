//! Another generator's run of a script.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;

use super::oracle::Running;
use super::{Request, SessionError, VerifyError};
use crate::child::{Guarded, last_lines};
use crate::units::Quantile;
use crate::verification::PeerFound;
use crate::verification::peers::{Invocation, Job, Model, Peer, Reported};
use crate::verification::scripts::Scripted;
use crate::verification::truth::Truth;

/// How long a peer may take beyond the script's time: it may let what is in flight end, and k6 starts slowly.
const BEYOND: Duration = Duration::from_secs(30);

/// How long it may take to follow SIGTERM.
const STOPS_WITHIN: Duration = Duration::from_secs(5);

/// The program of that name on the PATH.
pub(super) fn find(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|folder| folder.join(name))
        .find(|file| {
            let executable = |data: fs::Metadata| data.permissions().mode() & 0o111 != 0;
            file.is_file() && fs::metadata(file).is_ok_and(executable)
        })
}

/// Plays a script to `peer`. That it fails, or says what is not understood, is part of what is found.
pub(super) async fn play(
    request: &Request,
    scripted: &Scripted,
    peer: Peer,
    program: &Path,
    folder: &Path,
) -> Result<PeerFound, SessionError> {
    let oracle = Running::start(request, scripted, folder).await?;
    let job = Job {
        url: oracle.url(),
        rate: request.rate,
        duration: request.duration,
        connections: scripted.connections,
    };
    let within = request.duration + BEYOND;
    let output = run(program, &peer.invocation(&job), within, folder)
        .await
        .map_err(|error| VerifyError::Peer(peer.name(), error))?;
    let log = oracle.stop()?;
    let truth = match peer.model() {
        Model::Open => Truth::at_rate(&log, request.rate),
        Model::Closed => Truth::closed(&log),
    };
    let quantile = |quantile| truth.response.quantile(quantile);
    let true_times = quantile(Quantile::P50).zip(quantile(Quantile::P99));
    Ok(PeerFound {
        name: peer.name(),
        model: peer.model(),
        requests: log.entries.len() as u64 + log.unlogged,
        truth: true_times.map(|(p50, p99)| Reported { p50, p99 }),
        reported: output.and_then(|output| {
            let reported = peer.reported(&output);
            reported.ok_or_else(|| "what it printed is not understood".to_owned())
        }),
    })
}

/// Runs a program to its end; what it printed, or why there is nothing.
async fn run(
    program: &Path,
    invocation: &Invocation,
    within: Duration,
    folder: &Path,
) -> std::io::Result<Result<String, String>> {
    let at = |name: &str| folder.join(format!("peer.{name}"));
    let (input, output, errors) = (at("in"), at("out"), at("err"));
    fs::write(&input, &invocation.input)?;
    let mut command = Command::new(program);
    command
        .args(&invocation.arguments)
        .stdin(File::open(&input)?)
        .stdout(File::create(&output)?)
        .stderr(File::create(&errors)?);
    let mut child = Guarded::spawn(&mut command, &[(Signal::TERM, STOPS_WITHIN)])?;
    let ended = tokio::time::timeout(within, child.ended()).await;
    let status = child.stop()?;
    if ended.is_err() {
        return Ok(Err("it did not end in time".to_owned()));
    }
    if !status.success() {
        let said = last_lines(&errors, 1).concat();
        return Ok(Err(format!("it ended with {status}: {said}")));
    }
    fs::read(&output).map(|bytes| Ok(String::from_utf8_lossy(&bytes).into_owned()))
}
