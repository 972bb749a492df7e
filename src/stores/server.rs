//! Starting a private server on a free port, and waiting until it answers.

use std::fs::{self, File};
use std::io::{self, Read};
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::{Place, StoresError};
use crate::child::{Guarded, Step, last_lines};

/// How long a server may take to answer. PostgreSQL takes 0.25 s and Redis 0.1 s on a small idle machine.
const START_WITHIN: Duration = Duration::from_secs(10);

/// How long one attempt to reach a starting server may take: one that accepts and says nothing is tried again.
const ATTEMPT_WITHIN: Duration = Duration::from_secs(2);

/// The pauses between attempts grow from a little under the quickest start to what nobody notices.
const FIRST_PAUSE: Duration = Duration::from_millis(2);
const LONGEST_PAUSE: Duration = Duration::from_millis(50);

/// How often another port is tried. A port that was free is taken by someone else within milliseconds only by bad luck.
const PORTS_TRIED: u32 = 5;

/// How many of a server's last lines an error carries.
const LOG_LINES: usize = 10;

/// Starts the server `name` on a free port, its output going to `NAME.log` in the folder of `place`, and returns it with
/// its port once `ping` succeeded.
pub(super) async fn start<E: std::fmt::Display>(
    name: &'static str,
    place: Place<'_>,
    escalation: &[Step],
    command: impl Fn(u16) -> Command,
    ping: impl AsyncFn(u16) -> Result<(), E>,
) -> Result<(Guarded, u16), StoresError> {
    let log = place.folder.join(format!("{name}.log"));
    let mut tries = 0;
    loop {
        tries += 1;
        let port = free_port().map_err(|source| {
            StoresError::files("find a free port for", Path::new(name), source)
        })?;
        let mut command = command(port);
        let server = spawn(&mut command, place, &log, escalation)?;
        let Err(reason) = answers(&server, || ping(port)).await else {
            return Ok((server, port));
        };
        let lines = last_lines(&log, LOG_LINES);
        let taken = lines.iter().any(|line| line.contains("in use"));
        if !taken || tries == PORTS_TRIED {
            return Err(StoresError::Start {
                server: name,
                reason,
                log: lines.join("\n"),
            });
        }
    }
}

/// Starts `command` under the account of `place`, in its folder, writing to `log`.
pub(super) fn spawn(
    command: &mut Command,
    place: Place<'_>,
    log: &Path,
    escalation: &[Step],
) -> Result<Guarded, StoresError> {
    let output = File::create(log).map_err(|source| StoresError::files("write", log, source))?;
    let errors = output
        .try_clone()
        .map_err(|source| StoresError::files("write", log, source))?;
    command
        .current_dir(place.folder)
        .stdin(Stdio::null())
        .stdout(output)
        .stderr(errors);
    // Messages in one language, so that a taken port is recognised.
    command.env("LC_ALL", "C");
    if let Some(account) = place.account {
        account.apply(command);
    }
    let program = Path::new(command.get_program()).to_owned();
    Guarded::spawn(command, escalation)
        .map_err(|source| StoresError::files("start", &program, source))
}

/// 128 bits from the kernel, in hexadecimal: a password, or a name that nobody else uses.
pub(super) fn random_hex() -> Result<String, StoresError> {
    let source = Path::new("/dev/urandom");
    let mut bytes = [0; 16];
    File::open(source)
        .and_then(|mut file| file.read_exact(&mut bytes))
        .map_err(|error| StoresError::files("read", source, error))?;
    Ok(format!("{:032x}", u128::from_ne_bytes(bytes)))
}

/// Writes a file that only its owner, the servers' account, can read.
pub(super) fn write_private(path: &Path, text: &str, place: Place<'_>) -> Result<(), StoresError> {
    // The folder is closed to others already, so the file is private from its first byte.
    fs::write(path, text)
        .and_then(|()| place.account.map_or(Ok(()), |account| account.own(path)))
        .map_err(|source| StoresError::files("write", path, source))
}

async fn answers<E: std::fmt::Display>(
    server: &Guarded,
    ping: impl AsyncFn() -> Result<(), E>,
) -> Result<(), String> {
    let deadline = Instant::now() + START_WITHIN;
    let mut pause = FIRST_PAUSE;
    loop {
        let attempt = async {
            match tokio::time::timeout(ATTEMPT_WITHIN, ping()).await {
                Ok(Ok(())) => Ok(()),
                Ok(Err(error)) => Err(error.to_string()),
                Err(_) => Err("no answer".to_owned()),
            }
        };
        let failure = tokio::select! {
            ended = server.ended() => return Err(ended.map_or_else(|error| error.to_string(), |()| "it ended".to_owned())),
            outcome = attempt => match outcome {
                Ok(()) => return Ok(()),
                Err(failure) => failure,
            },
        };
        if Instant::now() >= deadline {
            return Err(format!(
                "it did not answer within {} s ({failure})",
                START_WITHIN.as_secs()
            ));
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?
        .local_addr()?
        .port())
}
