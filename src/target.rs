//! A target, from its launch to its end: start it, await it, say what it is, audit it, stop it.

mod command;
mod companions;
mod container;
mod error;
mod exit;
mod identity;
mod lookout;
mod start;
#[cfg(test)]
mod tests;
mod tools;
mod url;
mod wire;

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::task::Poll;
use std::time::Duration;

use self::command::Process;
pub use self::companions::Companions;
use self::container::Container;
pub use self::container::images::ImageHere;
pub use self::container::{images, sweep};
pub use self::error::{Log, TargetError};
pub use self::exit::{Exit, ExitCause, OutOfMemory};
pub use self::start::{Start, Took};
pub use self::tools::{run_build, run_seed};
use crate::docker;
use crate::run_record::{Audit, TargetIdentity};
use crate::target_spec::{CommandLine, ConnectTo, Image, TargetKind, TargetSpec, TargetUrl};

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
        let pid = container.running().and_then(docker::Running::process);
        let program = match pid {
            Some(pid) => identity::program(pid).await,
            None => identity::Program::default(),
        };
        let identity = TargetIdentity {
            kind: "image".to_owned(),
            command: Some(container.command().to_vec()),
            process: pid.map(|pid| (pid, program.name)),
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

    /// The process that was started, or the main process of the container, as this machine numbers it; `None` for a URL, and
    /// where a container's processes cannot be seen from here.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        match self.running.as_ref()? {
            Running::Process(process) => Some(process.pid()),
            Running::Container(container) => container.running()?.process(),
        }
    }

    /// The container that was started.
    #[must_use]
    pub fn container(&self) -> Option<&docker::Running> {
        match self.running.as_ref()? {
            Running::Process(_) => None,
            Running::Container(container) => container.running(),
        }
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
            Running::Container(container) => container.start_seen(),
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
