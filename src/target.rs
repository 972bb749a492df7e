//! A target, from its launch to its end: start it, await it, say what it is, audit it, stop it.

mod command;
mod companions;
mod container;
mod identity;
mod lookout;
mod start;
#[cfg(test)]
mod tests;
mod tools;
mod url;
mod wire;

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::task::Poll;
use std::time::Duration;

use self::command::Process;
pub use self::companions::Companions;
use self::container::Container;
pub use self::container::{Engine, ImageHere, NoEngine};
pub use self::start::{Start, Took};
pub use self::tools::{run_build, run_seed};
use crate::run_record::{Audit, TargetIdentity};
use crate::target_spec::{
    CommandLine, ConnectTo, Image, MemoryLimit, TargetKind, TargetSpec, TargetUrl,
};

/// What one launch adds to a target's description.
#[derive(Debug)]
pub struct Launch<'a> {
    /// Environment variables beside the target's own; these win. `PORT` is set in any case.
    pub env: Vec<(String, String)>,
    /// The file that takes the target's own output.
    pub log: &'a Path,
    /// Where URLs are reached instead.
    pub connect_to: &'a [ConnectTo],
    /// What runs beside it: it is told of them, and they are stopped after it.
    pub beside: Companions,
    /// The CPUs of a container, such as `0-1`; those of a process are its parent's.
    pub cpus: Option<String>,
}

/// A target that answers. Dropping one that was launched kills its whole process group, or its container.
#[derive(Debug)]
pub struct Target {
    spec: TargetSpec,
    env: Vec<(String, String)>,
    log: Option<PathBuf>,
    running: Option<Running>,
    beside: Companions,
    address: SocketAddr,
    url: TargetUrl,
    identity: TargetIdentity,
}

/// What was launched.
#[derive(Debug)]
enum Running {
    Process(Box<Process>),
    Container(Box<Container>),
}

impl Target {
    /// Makes `spec` ready to be measured: starts its command on a free loopback port, or a container of its image, and waits
    /// until it is ready; or, for a URL, sees that it accepts connections.
    ///
    /// # Errors
    /// Fails where it does not start, ends early or is not ready in time, with the last lines of its log.
    pub async fn launch(spec: &TargetSpec, launch: Launch<'_>) -> Result<Target, TargetError> {
        Target::launch_watched(spec, launch, false).await
    }

    /// As [`Target::launch`], with its [`start`](Target::start) watched by threads that look some thousand times a second.
    ///
    /// # Errors
    /// As [`Target::launch`].
    pub async fn launch_closely(
        spec: &TargetSpec,
        launch: Launch<'_>,
    ) -> Result<Target, TargetError> {
        Target::launch_watched(spec, launch, true).await
    }

    async fn launch_watched(
        spec: &TargetSpec,
        launch: Launch<'_>,
        closely: bool,
    ) -> Result<Target, TargetError> {
        match &spec.kind {
            TargetKind::Url(url) => Target::reach(spec, url, launch.connect_to).await,
            TargetKind::Command(command) => {
                Target::launch_process(spec, command, launch, closely).await
            }
            TargetKind::Image(image) => {
                Target::launch_container(spec, image, launch, closely).await
            }
        }
    }

    async fn launch_process(
        spec: &TargetSpec,
        command: &CommandLine,
        mut launch: Launch<'_>,
        closely: bool,
    ) -> Result<Target, TargetError> {
        launch.env.extend(launch.beside.env());
        let revision = identity::revision(&spec.folder).await;
        let settings = tools::settings(spec, &launch.env, launch.log).await?;
        let process = command::launch(spec, command, &launch, closely).await?;
        let address = process.address();
        let program = identity::program(process.pid()).await;
        let identity = TargetIdentity {
            kind: "command".to_owned(),
            command: Some(command.with_port(address.port()).words().to_vec()),
            process: Some((process.pid(), program.name)),
            executable: program.sha256,
            revision,
            settings,
            ..TargetIdentity::default()
        };
        let running = Running::Process(Box::new(process));
        Target::launched(spec, launch, running, address, identity)
    }

    async fn launch_container(
        spec: &TargetSpec,
        image: &Image,
        mut launch: Launch<'_>,
        closely: bool,
    ) -> Result<Target, TargetError> {
        launch.env.extend(launch.beside.env());
        let settings = tools::settings(spec, &launch.env, launch.log).await?;
        let launched = container::launch(spec, image, &launch, closely).await?;
        let container = launched.container;
        let address = container.address();
        // As far as this user may look into the container.
        let program = identity::program(container.pid()).await;
        let identity = TargetIdentity {
            kind: "image".to_owned(),
            command: Some(container.command().to_vec()),
            process: Some((container.pid(), program.name)),
            executable: program.sha256,
            revision: launched.revision,
            settings,
            container: Some(launched.identity),
            ..TargetIdentity::default()
        };
        let running = Running::Container(Box::new(container));
        Target::launched(spec, launch, running, address, identity)
    }

    fn launched(
        spec: &TargetSpec,
        launch: Launch<'_>,
        running: Running,
        address: SocketAddr,
        identity: TargetIdentity,
    ) -> Result<Target, TargetError> {
        let url = TargetUrl::of(&address.ip().to_string(), address.port());
        let url = url.map_err(|error| TargetError::Setup {
            name: spec.name.clone(),
            problem: error.to_string(),
        })?;
        Ok(Target {
            spec: spec.clone(),
            env: launch.env,
            log: Some(launch.log.to_owned()),
            running: Some(running),
            beside: launch.beside,
            address,
            identity: TargetIdentity {
                name: spec.name.clone(),
                url: url.to_string(),
                runtime: spec.runtime.clone(),
                ..identity
            },
            url,
        })
    }

    async fn reach(
        spec: &TargetSpec,
        url: &TargetUrl,
        connect_to: &[ConnectTo],
    ) -> Result<Target, TargetError> {
        let address = url::reach(&spec.name, url, connect_to).await?;
        let identity = TargetIdentity {
            name: spec.name.clone(),
            kind: "url".to_owned(),
            url: url.to_string(),
            ..TargetIdentity::default()
        };
        let url = url.clone();
        Ok(Target {
            spec: spec.clone(),
            env: Vec::new(),
            log: None,
            running: None,
            beside: Companions::default(),
            address,
            url,
            identity,
        })
    }

    /// Where it was found: for a name, the first of its addresses that accepted a connection.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its URL.
    #[must_use]
    pub fn url(&self) -> &TargetUrl {
        &self.url
    }

    /// The process that was started, or the main process of the container, as this machine sees it; `None` for a URL.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.running.as_ref().map(|running| match running {
            Running::Process(process) => process.pid(),
            Running::Container(container) => container.pid(),
        })
    }

    /// Whether tailmark runs it in a container.
    #[must_use]
    pub const fn is_container(&self) -> bool {
        matches!(self.running, Some(Running::Container(_)))
    }

    /// From exec to ready, and of a container from the request to start it; `None` for a URL. The pauses between attempts
    /// make it up to 50 ms, and never over the double, of what it was.
    #[must_use]
    pub fn startup(&self) -> Option<Duration> {
        self.running.as_ref().map(|running| match running {
            Running::Process(process) => process.startup(),
            Running::Container(container) => container.startup(),
        })
    }

    /// The moments of its start, where it was [launched closely](Target::launch_closely).
    #[must_use]
    pub fn start(&self) -> Option<Start> {
        self.running.as_ref().and_then(|running| match running {
            Running::Process(process) => process.start(),
            Running::Container(container) => container.start(),
        })
    }

    /// What was measured. The executable is the one that runs now, after any wrapper's `exec`.
    #[must_use]
    pub fn identity(&self) -> &TargetIdentity {
        &self.identity
    }

    /// The variables that tell it where its stores are, and what runs beside it; none of a URL.
    #[must_use]
    pub fn env(&self) -> &[(String, String)] {
        &self.env
    }

    /// The file with its output.
    #[must_use]
    pub fn log(&self) -> Option<&Path> {
        self.log.as_deref()
    }

    /// Returns when the process, or one beside it, has ended by itself; never for a URL.
    pub async fn ended(&self) {
        let ended = async {
            match &self.running {
                Some(Running::Process(process)) => process.ended().await,
                Some(Running::Container(container)) => container.ended().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = ended => {}
            () = self.beside.ended() => {}
        }
    }

    /// Ends what is left of one that has [`ended`](Target::ended), and says why it is gone.
    pub async fn gone(self) -> TargetError {
        let (name, log) = (self.spec.name.clone(), self.log.clone());
        let quoted = || Log::end_of(log.as_deref().unwrap_or(Path::new("")));
        match self.stop().await {
            Ok(Some(Exit {
                cause: ExitCause::ByItself,
                out_of_memory: Some(cause),
                ..
            })) => TargetError::OutOfMemory {
                name,
                cause,
                log: quoted(),
            },
            Ok(Some(Exit {
                cause: ExitCause::ByItself,
                status,
                ..
            })) => TargetError::Gone {
                name,
                status,
                log: quoted(),
            },
            // It was one beside it, of which `stop` tells.
            Ok(_) => TargetError::Setup {
                name,
                problem: "what runs beside it ended by itself".to_owned(),
            },
            Err(error) => error,
        }
    }

    /// Runs the target's audit command in its folder, with `counts` (JSON) on standard input. `None` where it has none.
    ///
    /// # Errors
    /// Fails where the command does not end within 30 s, or does not print `{"ok":…,"facts":{…}}` and exit 0 or 1 with it.
    pub async fn audit(&self, counts: &str) -> Result<Option<Audit>, TargetError> {
        match &self.spec.audit {
            Some(audit) => {
                tools::run_audit(&self.spec, audit, &self.env, self.log.as_deref(), counts)
                    .await
                    .map(Some)
            }
            None => Ok(None),
        }
    }

    /// Ends the target: its signal to the process group or the container, its time, then SIGKILL to what is left, and the
    /// container is removed; then what ran beside it.
    /// `None` for a URL, which is not ours to stop.
    ///
    /// # Errors
    /// Fails where a process survives SIGKILL, and where one beside it had ended by itself: what was measured meanwhile was
    /// not what was meant to be.
    pub async fn stop(self) -> Result<Option<Exit>, TargetError> {
        let exit = match self.running {
            Some(Running::Process(process)) => stop(self.spec.name, *process).await,
            Some(Running::Container(container)) => container.stop(&self.spec.name).await,
            None => return Ok(None),
        };
        let beside = self.beside.stop().await;
        let exit = exit?;
        beside.map(|()| Some(exit))
    }
}

/// Returns when the first of `ends` does: which, in their order. Never where there are none.
pub(crate) async fn first_to_end(ends: impl IntoIterator<Item = impl Future>) -> usize {
    let mut ends: Vec<_> = ends.into_iter().map(Box::pin).collect();
    poll_fn(|context| {
        let ended = ends
            .iter_mut()
            .position(|end| end.as_mut().poll(context).is_ready());
        ended.map_or(Poll::Pending, Poll::Ready)
    })
    .await
}

/// Ends a process without blocking the runtime.
async fn stop(name: String, process: Process) -> Result<Exit, TargetError> {
    let stopped = tokio::task::spawn_blocking(move || process.stop()).await;
    let exit = stopped.map_err(io::Error::other).flatten();
    exit.map_err(|source| TargetError::Stop { name, source })
}

/// How a launched target ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exit {
    /// What ended it.
    pub cause: ExitCause,
    /// What its parent was told.
    pub status: ExitStatus,
    /// How long it lived after it was ready, if it ended by itself; else how long it took to follow its signal.
    pub after: Duration,
    /// The kernel killed it, or a process of its container, for want of memory.
    pub out_of_memory: Option<OutOfMemory>,
}

/// A container needed more memory than it had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutOfMemory {
    /// What it had; `None` where the machine itself had no more.
    pub limit: Option<MemoryLimit>,
}

impl fmt::Display for OutOfMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the kernel killed it, for it needed more memory than ")?;
        match self.limit {
            Some(limit) => write!(f, "its limit of {limit}"),
            None => f.write_str("there was"),
        }
    }
}

/// What ended a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExitCause {
    /// It followed its signal.
    Stopped,
    /// It did not, in its time.
    Killed,
    /// Nobody: it had ended before it was asked to.
    ByItself,
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (status, after) = (self.status, in_words(self.after));
        match self.cause {
            ExitCause::Stopped => write!(f, "stopped within {after} ({status})"),
            ExitCause::Killed => write!(f, "killed, since it had not stopped within {after}"),
            ExitCause::ByItself => {
                write!(f, "ended by itself {after} after it was ready ({status})")
            }
        }?;
        match self.out_of_memory {
            Some(cause) => write!(f, ": {cause}"),
            None => Ok(()),
        }
    }
}

/// What went wrong with a target.
#[derive(Debug, thiserror::Error)]
pub enum TargetError {
    /// Its surroundings could not be prepared.
    #[error("{name}: {problem}")]
    Setup {
        /// The target.
        name: String,
        /// What is wrong.
        problem: String,
    },
    /// A command of the target could not be started.
    #[error("{name}: cannot start `{command}` in {}", folder.display())]
    Start {
        /// The target.
        name: String,
        /// The command.
        command: String,
        /// Where it would have run.
        folder: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// It lived, but was not ready in time.
    #[error("{name} was not ready within {}: {failure}", in_words(*within))]
    NotReady {
        /// The target.
        name: String,
        /// The time it had.
        within: Duration,
        /// How the last attempt failed.
        failure: String,
        /// Its output.
        log: Log,
    },
    /// It ended before it was ready.
    #[error("{name} ended before it was ready ({status})")]
    EndedEarly {
        /// The target.
        name: String,
        /// How.
        status: ExitStatus,
        /// Its output.
        log: Log,
    },
    /// It, or what runs beside it, was ready, and has ended by itself.
    #[error("{name} ended by itself ({status})")]
    Gone {
        /// The target.
        name: String,
        /// How.
        status: ExitStatus,
        /// Its output.
        log: Log,
    },
    /// The kernel killed it for want of memory.
    #[error("{name} ran out of memory: {cause}")]
    OutOfMemory {
        /// The target.
        name: String,
        /// What it had.
        cause: OutOfMemory,
        /// Its output.
        log: Log,
    },
    /// No engine for its container.
    #[error("{name} is a container, and {source}")]
    NoEngine {
        /// The target.
        name: String,
        /// Where one was looked for.
        source: NoEngine,
    },
    /// Its image is not on this machine.
    #[error("{name}: there is no image `{image}` on this machine")]
    NoImage {
        /// The target.
        name: String,
        /// What the image is called.
        image: String,
    },
    /// The engine refused, or failed.
    #[error("{name}: the container engine cannot {doing}: {failure}")]
    Engine {
        /// The target.
        name: String,
        /// What it was asked to do.
        doing: &'static str,
        /// What it said.
        failure: String,
    },
    /// A URL that does not accept connections.
    #[error("cannot reach {name} at {url}: {failure}")]
    Unreachable {
        /// The target.
        name: String,
        /// Its URL.
        url: String,
        /// How the last attempt failed.
        failure: String,
    },
    /// A build, seed or audit command failed.
    #[error("{name}: {what} `{command}` failed: {failure}")]
    Tool {
        /// The target.
        name: String,
        /// `build`, `seed`, `audit` or `describe`.
        what: &'static str,
        /// The command.
        command: String,
        /// How it failed.
        failure: String,
        /// Its output, where it was kept.
        log: Option<Box<Log>>,
    },
    /// It could not be stopped.
    #[error("cannot stop {name}")]
    Stop {
        /// The target.
        name: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

impl TargetError {
    /// The next step, where there is one.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            TargetError::NotReady { log, .. }
            | TargetError::EndedEarly { log, .. }
            | TargetError::Gone { log, .. } => Some(log.to_string()),
            TargetError::OutOfMemory { log, .. } => {
                Some(format!("give it more by --memory or `limits`; {log}"))
            }
            TargetError::NoEngine { .. } => Some(NoEngine::HINT.to_owned()),
            TargetError::NoImage { .. } => {
                Some("build it, or add --pull to get it from its registry".to_owned())
            }
            TargetError::Tool { log, .. } => log.as_ref().map(ToString::to_string),
            TargetError::Unreachable { .. } => {
                Some("start the service first, or check host and port".to_owned())
            }
            TargetError::Setup { .. }
            | TargetError::Start { .. }
            | TargetError::Engine { .. }
            | TargetError::Stop { .. } => None,
        }
    }
}

/// `12 ms`, `1.5 s`, `30 s`.
fn in_words(duration: Duration) -> String {
    if duration < Duration::from_secs(1) {
        format!("{} ms", duration.as_millis())
    } else {
        format!("{} s", (duration.as_secs_f64() * 10.0).round() / 10.0)
    }
}

/// The end of a command's output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    /// The file.
    pub path: PathBuf,
    /// Its last lines.
    pub lines: Vec<String>,
}

impl Log {
    /// How many lines an error quotes: a stack trace's first words, or a usage message.
    const LINES: usize = 10;

    fn end_of(path: &Path) -> Log {
        Log {
            path: path.to_owned(),
            lines: crate::child::last_lines(path, Log::LINES),
        }
    }
}

impl fmt::Display for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.lines.is_empty() {
            return write!(f, "it wrote nothing ({})", self.path.display());
        }
        write!(f, "its last lines ({}):", self.path.display())?;
        self.lines
            .iter()
            .try_for_each(|line| write!(f, "\n  {line}"))
    }
}
