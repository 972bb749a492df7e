//! A target that is a process of ours.

use std::fs::File;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use tokio::net::TcpStream;
use tokio::sync::watch;

use super::lookout::{Lookout, Sighting};
use super::start::Start;
use super::{Exit, ExitCause, Launch, Log, TargetError};
use crate::child::Guarded;
use crate::target_spec::{self, CommandLine, TargetSpec};

/// The pauses between attempts grow from less than the quickest start to what adds little to a slow one.
const FIRST_PAUSE: Duration = Duration::from_millis(1);
const LONGEST_PAUSE: Duration = Duration::from_millis(50);

/// How long one attempt may take: a service that accepts and stays silent is asked again.
pub(super) const ATTEMPT_WITHIN: Duration = Duration::from_secs(2);

/// How often another port is tried, where the one that was free has been taken in the meantime.
pub(super) const PORTS_TRIED: u32 = 3;

/// A launched, ready process.
#[derive(Debug)]
pub(super) struct Process {
    guarded: Guarded,
    address: SocketAddr,
    startup: Duration,
    start: Option<Start>,
    ready: Instant,
    /// When it was seen to have ended.
    ended: watch::Receiver<Option<Instant>>,
    stop: target_spec::Stop,
}

/// Starts it, watched closely or not, and waits until it is ready.
pub(super) async fn launch(
    spec: &TargetSpec,
    command: &CommandLine,
    launch: &Launch<'_>,
    closely: bool,
) -> Result<Process, TargetError> {
    let mut tries = 0;
    loop {
        tries += 1;
        match launch_once(spec, command, launch, closely).await {
            Err(TargetError::EndedEarly { log, .. })
                if tries < PORTS_TRIED && names_a_taken_port(&log) => {}
            outcome => return outcome,
        }
    }
}

async fn launch_once(
    spec: &TargetSpec,
    command: &CommandLine,
    launch: &Launch<'_>,
    closely: bool,
) -> Result<Process, TargetError> {
    let problem = |what: &str, error: &io::Error| TargetError::Setup {
        name: spec.name.clone(),
        problem: format!("{what}: {error}"),
    };
    let address = free_address().map_err(|error| problem("no free port", &error))?;
    let log = File::create(launch.log)
        .map_err(|error| problem(&format!("cannot write {}", launch.log.display()), &error))?;
    let command = command.with_port(address.port());
    let escalation = [(signal(spec.stop.signal), spec.stop.within)];
    let mut prepared = prepare(&command, &spec.folder, &[&spec.env, &launch.env]);
    prepared
        .env("PORT", address.port().to_string())
        .stderr(
            log.try_clone()
                .map_err(|error| problem("cannot share the log", &error))?,
        )
        .stdout(log);
    let path = spec.ready.path.as_deref();
    let lookout = closely.then(|| Lookout::at(address, path, Instant::now()));
    let lookout = lookout.transpose();
    let lookout = lookout.map_err(|error| problem("cannot watch it start", &error))?;
    let mut guarded =
        Guarded::spawn(&mut prepared, &escalation).map_err(|source| TargetError::Start {
            name: spec.name.clone(),
            command: command.to_string(),
            folder: spec.folder.clone(),
            source,
        })?;
    let started = guarded.begun();
    let spawned = Instant::now();
    let ended = async || drop(guarded.ended().await);
    let readiness = match &lookout {
        Some(lookout) => lookout.await_ready(ended, &spec.ready, started).await,
        None => await_ready(ended, address, &spec.ready, started).await,
    };
    match readiness {
        Readiness::Ready => {}
        Readiness::Late(failure) => {
            // Stopped first, so that its last lines are really the last.
            drop(guarded);
            let (name, within, log) = (
                spec.name.clone(),
                spec.ready.within,
                Log::end_of(launch.log),
            );
            return Err(TargetError::NotReady {
                name,
                within,
                failure,
                log,
            });
        }
        Readiness::Ended => {
            let name = spec.name.clone();
            let status = guarded.stop().map_err(|source| TargetError::Stop {
                name: name.clone(),
                source,
            })?;
            return Err(TargetError::EndedEarly {
                name,
                status,
                log: Log::end_of(launch.log),
            });
        }
    }
    let ready = Instant::now();
    let ended = watch_end(&guarded).map_err(|error| problem("cannot watch it", &error))?;
    Ok(Process {
        guarded,
        address,
        startup: ready - started,
        start: lookout.map(|lookout| {
            // What is spawned was executed in between.
            let exec = Sighting {
                at: spawned,
                blind: spawned - started,
            };
            Start::seen(None, Some(exec), &lookout.seen())
        }),
        ready,
        ended,
        stop: spec.stop,
    })
}

impl Process {
    pub(super) fn pid(&self) -> u32 {
        self.guarded.pid()
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(super) fn startup(&self) -> Duration {
        self.startup
    }

    pub(super) fn start(&self) -> Option<Start> {
        self.start
    }

    pub(super) async fn ended(&self) {
        let mut ended = self.ended.clone();
        if ended.wait_for(Option::is_some).await.is_err() {
            // The task that would tell is gone with its runtime.
            std::future::pending::<()>().await;
        }
    }

    /// Blocks for at most the target's own time, and the kernel's.
    pub(super) fn stop(mut self) -> io::Result<Exit> {
        let asked = Instant::now();
        if self.guarded.is_dead()? {
            let ended = self.ended.borrow().unwrap_or(asked);
            let status = self.guarded.stop()?;
            return Ok(Exit {
                cause: ExitCause::ByItself,
                status,
                after: ended - self.ready,
                out_of_memory: None,
            });
        }
        let status = self.guarded.stop()?;
        let after = asked.elapsed();
        let killed =
            std::os::unix::process::ExitStatusExt::signal(&status) == Some(Signal::KILL.as_raw());
        let cause = if killed && self.stop.signal != target_spec::Signal::Kill {
            ExitCause::Killed
        } else {
            ExitCause::Stopped
        };
        Ok(Exit {
            cause,
            status,
            after,
            out_of_memory: None,
        })
    }
}

/// A command with its environment, in its folder, and nothing to read. Later variables win.
pub(super) fn prepare(
    command: &CommandLine,
    folder: &Path,
    env: &[&[(String, String)]],
) -> Command {
    // A relative program is the folder's, and the folder is ours. Left to the system, whether a path is taken from
    // before or after the change of folder depends on how the process is made. Only an empty folder has no absolute form.
    let folder = &std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
    let program = match command.program() {
        path if path.contains('/') => folder.join(path).into_os_string(),
        name => name.into(),
    };
    let mut prepared = Command::new(program);
    prepared
        .args(command.arguments())
        .current_dir(folder)
        .stdin(Stdio::null());
    for (name, value) in env.iter().copied().flatten() {
        prepared.env(name, value);
    }
    prepared
}

/// What came of waiting for a target.
pub(super) enum Readiness {
    Ready,
    Ended,
    Late(String),
}

/// Tries to reach `address` until it is as `ready` says, `ended` returns, or the time is up that began at `started`.
pub(super) async fn await_ready(
    ended: impl AsyncFn(),
    address: SocketAddr,
    ready: &target_spec::Ready,
    started: Instant,
) -> Readiness {
    let mut pause = FIRST_PAUSE;
    loop {
        let attempt = tokio::time::timeout(
            ATTEMPT_WITHIN.min(ready.within),
            attempt(address, ready.path.as_deref()),
        );
        let failure = tokio::select! {
            () = ended() => return Readiness::Ended,
            outcome = attempt => match outcome {
                Ok(Ok(())) => return Readiness::Ready,
                Ok(Err(failure)) => failure,
                Err(_) => "no answer".to_owned(),
            },
        };
        if started.elapsed() >= ready.within {
            return late(ready, address, &failure);
        }
        tokio::select! {
            () = ended() => return Readiness::Ended,
            () = tokio::time::sleep(pause) => {}
        }
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// That it was not ready in time, and how the last attempt failed.
pub(super) fn late(ready: &target_spec::Ready, address: SocketAddr, failure: &str) -> Readiness {
    Readiness::Late(match &ready.path {
        Some(path) => format!("GET {path} → {failure}"),
        None => format!("port {} → {failure}", address.port()),
    })
}

async fn attempt(address: SocketAddr, path: Option<&str>) -> Result<(), String> {
    match path {
        None => connect(address).await,
        Some(path) => get(address, path).await,
    }
}

async fn connect(address: SocketAddr) -> Result<(), String> {
    let stream = TcpStream::connect(address)
        .await
        .map_err(|error| error.kind().to_string())?;
    // While nobody listens on a port, TCP can connect it to itself (RFC 9293, section 3.5).
    match stream.local_addr() {
        Ok(local) if local != address => Ok(()),
        _ => Err(io::ErrorKind::ConnectionRefused.to_string()),
    }
}

async fn get(address: SocketAddr, path: &str) -> Result<(), String> {
    // A client for each attempt, so that no connection stays open into the measurement.
    let client = reqwest::Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .map_err(|error| error.to_string())?;
    let response = client
        .get(format!("http://{address}{path}"))
        .send()
        .await
        .map_err(|error| reason(&error))?;
    if response.status().is_success() {
        Ok(())
    } else {
        Err(response.status().as_u16().to_string())
    }
}

/// The cause that tells most: the system's, where there is one.
fn reason(error: &reqwest::Error) -> String {
    let causes = std::iter::successors(std::error::Error::source(error), |cause| cause.source());
    let system = causes
        .filter_map(|cause| cause.downcast_ref::<io::Error>())
        .last();
    system.map_or_else(|| error.to_string(), |error| error.kind().to_string())
}

fn watch_end(process: &Guarded) -> io::Result<watch::Receiver<Option<Instant>>> {
    let end = process.ended_elsewhere()?;
    let (sender, receiver) = watch::channel(None);
    // It lives as long as the process: its descriptor is its own.
    tokio::spawn(async move {
        if end.await.is_ok() {
            sender.send_replace(Some(Instant::now()));
        }
    });
    Ok(receiver)
}

pub(super) fn names_a_taken_port(log: &Log) -> bool {
    log.lines.iter().any(|line| {
        let line = line.to_lowercase();
        line.contains("address already in use") || line.contains("eaddrinuse")
    })
}

pub(super) fn free_address() -> io::Result<SocketAddr> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()
}

fn signal(signal: target_spec::Signal) -> Signal {
    match signal {
        target_spec::Signal::Term => Signal::TERM,
        target_spec::Signal::Int => Signal::INT,
        target_spec::Signal::Quit => Signal::QUIT,
        target_spec::Signal::Hup => Signal::HUP,
        target_spec::Signal::Kill => Signal::KILL,
    }
}
