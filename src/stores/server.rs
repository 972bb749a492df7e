//! A private server: started on a free port, awaited until it answers, and its end; and what tests do to it meanwhile.

use std::fs::{self, File};
use std::io::{self, Read};
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::binaries::Account;
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

/// How long a server that was killed may take to start again: what is left of it holds its port and its shared memory.
const RESTART_WITHIN: Duration = Duration::from_secs(20);

/// A private server that runs. Dropping it stops it.
#[derive(Debug)]
pub(super) struct Daemon {
    guarded: Guarded,
    pub(super) port: u16,
    recipe: Recipe,
}

/// How a server is started.
pub(super) struct Recipe {
    /// For messages and the log.
    name: &'static str,
    escalation: &'static [Step],
    folder: PathBuf,
    account: Option<Account>,
    command: Box<dyn Fn(u16) -> Command + Send + Sync>,
}

impl std::fmt::Debug for Recipe {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Recipe")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl Recipe {
    /// The server `name`, whose output goes to `NAME.log` in the folder of `place`; `command` starts it on a port.
    pub(super) fn new(
        name: &'static str,
        place: Place<'_>,
        escalation: &'static [Step],
        command: impl Fn(u16) -> Command + Send + Sync + 'static,
    ) -> Self {
        Self {
            name,
            escalation,
            folder: place.folder.to_owned(),
            account: place.account,
            command: Box::new(command),
        }
    }

    /// Starts it on a free port; there once `ping` succeeded.
    pub(super) async fn start<E: std::fmt::Display>(
        self,
        ping: impl AsyncFn(u16) -> Result<(), E>,
    ) -> Result<Daemon, StoresError> {
        let mut tries = 0;
        loop {
            tries += 1;
            let port = free_port().map_err(|source| {
                StoresError::files("find a free port for", Path::new(self.name), source)
            })?;
            let failure = match self.start_on(port, &ping).await {
                Ok(guarded) => {
                    return Ok(Daemon {
                        guarded,
                        port,
                        recipe: self,
                    });
                }
                Err(failure) => failure,
            };
            let taken =
                matches!(&failure, StoresError::Start { log, .. } if log.contains("in use"));
            if !taken || tries == PORTS_TRIED {
                return Err(failure);
            }
        }
    }

    async fn start_on<E: std::fmt::Display>(
        &self,
        port: u16,
        ping: &impl AsyncFn(u16) -> Result<(), E>,
    ) -> Result<Guarded, StoresError> {
        let log = self.folder.join(format!("{}.log", self.name));
        let place = Place {
            folder: &self.folder,
            account: self.account,
            search: &[],
        };
        let guarded = spawn(&mut (self.command)(port), place, &log, self.escalation)?;
        match answers(&guarded, || ping(port)).await {
            Ok(()) => Ok(guarded),
            Err(reason) => Err(StoresError::Start {
                server: self.name,
                reason,
                log: last_lines(&log, LOG_LINES).join("\n"),
            }),
        }
    }
}

impl Drop for Daemon {
    /// What stands still cannot end.
    fn drop(&mut self) {
        // Nobody is left to be told; `stop` is the way to hear of a failure.
        let _ = self.guarded.signal_family(Signal::CONT);
    }
}

impl Daemon {
    /// Ends it.
    pub(super) fn stop(&mut self) -> Result<(), StoresError> {
        let stopped = self
            .guarded
            .signal_family(Signal::CONT)
            .and_then(|()| self.guarded.stop());
        stopped
            .map(drop)
            .map_err(|source| self.failed("stop", source))
    }

    /// Stops it where it stands, with all its processes: it accepts connections, and says nothing.
    pub(super) fn pause(&self) -> Result<(), StoresError> {
        self.guarded
            .signal_family(Signal::STOP)
            .map_err(|source| self.failed("pause", source))
    }

    /// Lets it go on.
    pub(super) fn resume(&self) -> Result<(), StoresError> {
        self.guarded
            .signal_family(Signal::CONT)
            .map_err(|source| self.failed("resume", source))
    }

    /// Kills it at once, with all its processes.
    pub(super) fn kill(&mut self) -> Result<(), StoresError> {
        let killed = self
            .guarded
            .signal_family(Signal::KILL)
            .and_then(|()| self.guarded.stop());
        killed
            .map(drop)
            .map_err(|source| self.failed("kill", source))
    }

    /// Starts it again on the same port and the same data, after its end; there once `ping` succeeded.
    pub(super) async fn restart<E: std::fmt::Display>(
        &mut self,
        ping: impl AsyncFn(u16) -> Result<(), E>,
    ) -> Result<(), StoresError> {
        let deadline = Instant::now() + RESTART_WITHIN;
        loop {
            match self.recipe.start_on(self.port, &ping).await {
                Ok(guarded) => {
                    self.guarded = guarded;
                    return Ok(());
                }
                Err(failure) if Instant::now() >= deadline => return Err(failure),
                Err(_) => tokio::time::sleep(LONGEST_PAUSE).await,
            }
        }
    }

    fn failed(&self, doing: &str, source: io::Error) -> StoresError {
        StoresError::files(doing, Path::new(self.recipe.name), source)
    }

    #[cfg(test)]
    pub(super) fn pid(&self) -> u32 {
        self.guarded.pid()
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
