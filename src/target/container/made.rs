//! A container that was started: awaited, followed, stopped.

use std::fs::File;
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::pin::pin;
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use bollard::Docker;
use bollard::errors::Error;
use bollard::query_parameters::{LogsOptionsBuilder, WaitContainerOptionsBuilder};
use futures_util::StreamExt as _;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::super::command::{Readiness, await_ready};
use super::super::lookout::Lookout;
use super::super::start::Start;
use super::super::{Exit, ExitCause, Log, OutOfMemory, TargetError};
use super::doomed::Doomed;
use super::exec::ExecWatch;
use crate::docker::Running;
use crate::target_spec::{self, MemoryLimit, TargetSpec};

/// How long a container may take to vanish after SIGKILL: as a child process of ours may.
const AFTER_KILL: Duration = Duration::from_secs(10);

/// How long its last lines may take from its end to the engine, and from there to us.
const LAST_LINES_WITHIN: Duration = Duration::from_secs(2);

/// The pause before an engine is asked again that did not say how a container ended, and how long it may take to say so of one
/// that takes no signal.
const ASK_AGAIN: Duration = Duration::from_millis(500);

/// A launched container. Dropping it kills and removes it.
#[derive(Debug)]
pub(in crate::target) struct Container {
    doomed: Doomed,
    end: watch::Receiver<Option<End>>,
    logging: JoinHandle<()>,
    asked: Instant,
    /// When it was ready; when it was asked for, until then.
    ready: Instant,
    /// Where it was watched closely.
    start: Option<Start>,
    found: Found,
    stop: target_spec::Stop,
    limit: Option<MemoryLimit>,
}

/// What watches a start closely.
pub(super) struct Watched {
    /// When the engine was asked to make the container.
    pub(super) asked: Instant,
    pub(super) exec: ExecWatch,
    pub(super) lookout: Lookout,
}

/// What the engine said of a container right after its start.
#[derive(Debug)]
pub(super) struct Found {
    /// None where it had ended already.
    pub(super) running: Option<Running>,
    /// Where it is reached.
    pub(super) address: SocketAddr,
    /// What runs in it: its entry point and arguments.
    pub(super) command: Vec<String>,
}

/// The end of a container's main process.
#[derive(Debug, Clone, Copy)]
struct End {
    at: Instant,
    code: Option<i64>,
}

impl Container {
    /// Starts `doomed`, a container of `spec` with so much memory, whose output goes to `log`; `find` looks at it then.
    pub(super) async fn start(
        spec: &TargetSpec,
        doomed: Doomed,
        limit: Option<MemoryLimit>,
        log: File,
        find: impl AsyncFnOnce(&Doomed) -> Result<Found, TargetError>,
    ) -> Result<Self, TargetError> {
        let asked = Instant::now();
        doomed.start().await?;
        let client = doomed.engine.client();
        Ok(Self {
            end: watch_end(client, &doomed.name),
            logging: copy_log(client, &doomed.name, log),
            found: find(&doomed).await?,
            doomed,
            asked,
            ready: asked,
            start: None,
            stop: spec.stop,
            limit,
        })
    }

    /// Waits until it is ready; `log` is quoted where it is not.
    pub(super) async fn await_ready(
        mut self,
        spec: &TargetSpec,
        log: &Path,
        watched: Option<Watched>,
    ) -> Result<Self, TargetError> {
        let name = spec.name.clone();
        let ended = async || self.ended().await;
        let ready = &spec.ready;
        let readiness = match &watched {
            Some(watched) => watched.lookout.await_ready(ended, ready, self.asked).await,
            None => await_ready(ended, self.address(), ready, self.asked).await,
        };
        match readiness {
            Readiness::Ready => {
                self.ready = Instant::now();
                self.start = watched.map(|watched| {
                    let Watched {
                        asked,
                        exec,
                        lookout,
                    } = watched;
                    Start::seen(Some(asked), exec.finish(), &lookout.seen())
                });
                Ok(self)
            }
            Readiness::Late(failure) => {
                // Stopped first, so that its last lines are really the last.
                self.stop(&name).await?;
                Err(TargetError::NotReady {
                    name,
                    within: spec.ready.within,
                    failure,
                    log: Log::end_of(log),
                })
            }
            Readiness::Ended => {
                let exit = self.stop(&name).await?;
                let log = Log::end_of(log);
                Err(match exit.out_of_memory {
                    Some(cause) => TargetError::OutOfMemory { name, cause, log },
                    None => TargetError::EndedEarly {
                        name,
                        status: exit.status,
                        log,
                    },
                })
            }
        }
    }

    /// The container, for whoever watches it; none where it ended at once.
    pub(in crate::target) fn running(&self) -> Option<&Running> {
        self.found.running.as_ref()
    }

    pub(in crate::target) fn address(&self) -> SocketAddr {
        self.found.address
    }

    /// From the request to start it until it was ready: the engine's own part is in it.
    pub(in crate::target) fn startup(&self) -> Duration {
        self.ready - self.asked
    }

    /// The moments of its start, where it was watched closely.
    pub(in crate::target) fn start_seen(&self) -> Option<Start> {
        self.start
    }

    /// What runs in it: its entry point and arguments.
    pub(in crate::target) fn command(&self) -> &[String] {
        &self.found.command
    }

    pub(in crate::target) async fn ended(&self) {
        let mut end = self.end.clone();
        if end.wait_for(Option::is_some).await.is_err() {
            // The task that would tell is gone with its runtime.
            std::future::pending::<()>().await;
        }
    }

    /// Ends and removes it; its output is then in the log.
    pub(in crate::target) async fn stop(mut self, name: &str) -> Result<Exit, TargetError> {
        let asked = Instant::now();
        let ended = *self.end.borrow();
        let (cause, after) = match ended {
            Some(end) => (ExitCause::ByItself, end.at - self.ready),
            None => (self.end_it(name).await?, asked.elapsed()),
        };
        let state = self.doomed.inspect().await.ok().and_then(|seen| seen.state);
        let told = self.end.borrow().and_then(|end| end.code);
        let code = state.as_ref().and_then(|state| state.exit_code).or(told);
        let oom_killed = state.is_some_and(|state| state.oom_killed == Some(true));
        // Output that comes no more is not waited for; what has come is in the log.
        let _ = tokio::time::timeout(LAST_LINES_WITHIN, &mut self.logging).await;
        self.doomed.remove().await?;
        Ok(Exit {
            cause,
            status: status(code.unwrap_or(0)),
            after,
            out_of_memory: oom_killed.then_some(OutOfMemory { limit: self.limit }),
        })
    }

    /// Sends its signal, and SIGKILL where it passes over that.
    async fn end_it(&self, name: &str) -> Result<ExitCause, TargetError> {
        if self.follows(self.stop.signal, self.stop.within).await? {
            return Ok(ExitCause::Stopped);
        }
        if self.follows(target_spec::Signal::Kill, AFTER_KILL).await? {
            return Ok(ExitCause::Killed);
        }
        Err(TargetError::Stop {
            name: name.to_owned(),
            source: io::Error::new(io::ErrorKind::TimedOut, "it survives SIGKILL"),
        })
    }

    /// Whether it ends by `signal` in time.
    async fn follows(
        &self,
        signal: target_spec::Signal,
        within: Duration,
    ) -> Result<bool, TargetError> {
        let ends_within = async |within| tokio::time::timeout(within, self.ended()).await.is_ok();
        match self.doomed.signal(signal).await {
            Ok(()) => Ok(ends_within(within).await),
            // One that has ended in the meantime takes none, and that is heard of in a moment.
            Err(_) if ends_within(ASK_AGAIN).await => Ok(true),
            Err(error) => Err(error),
        }
    }
}

/// What a container's exit code would have been as a child's.
fn status(code: i64) -> ExitStatus {
    ExitStatus::from_raw((i32::try_from(code).unwrap_or(255) & 0xff) << 8)
}

/// Tells when the container has ended, from a task that lives as long as it does.
fn watch_end(docker: &Docker, name: &str) -> watch::Receiver<Option<End>> {
    let (sender, receiver) = watch::channel(None);
    let (docker, name) = (docker.clone(), name.to_owned());
    tokio::spawn(async move {
        loop {
            let options = WaitContainerOptionsBuilder::default()
                .condition("not-running")
                .build();
            let mut answers = pin!(docker.wait_container(&name, Some(options)));
            let code = match answers.next().await {
                Some(Ok(answer)) => Some(answer.status_code),
                // So the library calls any code but 0.
                Some(Err(Error::DockerContainerWaitError { code, .. })) => Some(code),
                // Somebody has removed it.
                Some(Err(Error::DockerResponseServerError {
                    status_code: 404, ..
                })) => None,
                Some(Err(_)) | None => {
                    tokio::time::sleep(ASK_AGAIN).await;
                    continue;
                }
            };
            sender.send_replace(Some(End {
                at: Instant::now(),
                code,
            }));
            return;
        }
    });
    receiver
}

/// Copies what the container writes to `log`, until it has ended.
fn copy_log(docker: &Docker, name: &str, mut log: File) -> JoinHandle<()> {
    let options = LogsOptionsBuilder::default()
        .follow(true)
        .stdout(true)
        .stderr(true)
        .build();
    let (docker, name) = (docker.clone(), name.to_owned());
    tokio::spawn(async move {
        let mut parts = pin!(docker.logs(&name, Some(options)));
        while let Some(Ok(part)) = parts.next().await {
            // On a disk that is full the target is measured all the same.
            if log.write_all(&part.into_bytes()).is_err() {
                return;
            }
        }
    })
}
