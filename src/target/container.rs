//! A target that is a container of ours, made and ended over the API of the engine.

mod engine;
mod exec;
mod owner;

use std::fs::File;
use std::io::{self, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::pin::pin;
use std::process::ExitStatus;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bollard::Docker;
use bollard::errors::Error;
use bollard::models::{
    ContainerCreateBody, ContainerInspectResponse, HostConfig, HostConfigLogConfig,
};
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, InspectContainerOptions, KillContainerOptionsBuilder,
    LogsOptionsBuilder, RemoveContainerOptionsBuilder, StartContainerOptions,
    WaitContainerOptionsBuilder,
};
use futures_util::StreamExt as _;
use tokio::sync::watch;
use tokio::task::JoinHandle;

pub use self::engine::{Engine, ImageHere, NoEngine};
use self::engine::{ImageFacts, failed};
use self::exec::ExecWatch;
use self::owner::Owner;
use super::command::{PORTS_TRIED, Readiness, await_ready, free_address, names_a_taken_port};
use super::lookout::Lookout;
use super::start::Start;
use super::{Exit, ExitCause, Launch, Log, OutOfMemory, TargetError};
use crate::run_record::ContainerIdentity;
use crate::target_spec::{self, Image, MemoryLimit, TargetSpec};

/// How long a container may take to vanish after SIGKILL: as a child process of ours may.
const AFTER_KILL: Duration = Duration::from_secs(10);

/// How long its last lines may take from its end to the engine, and from there to us.
const LAST_LINES_WITHIN: Duration = Duration::from_secs(2);

/// How much of its output an engine keeps: what it writes there is also copied to the log as it comes.
const MOST_LOG: &str = "64m";

/// The pause before an engine is asked again that did not say how a container ended.
const ASK_AGAIN: Duration = Duration::from_millis(500);

/// A container that was given up while it was being made may be there a moment later.
const GIVEN_UP_TRIES: u32 = 20;
const GIVEN_UP_PAUSE: Duration = Duration::from_millis(100);

/// A launched container. Dropping it kills and removes it.
#[derive(Debug)]
pub(super) struct Container {
    doomed: Doomed,
    end: watch::Receiver<Option<End>>,
    logging: JoinHandle<()>,
    asked: Instant,
    /// When it was ready; when it was asked for, until then.
    ready: Instant,
    /// Where it was watched closely.
    start: Option<Start>,
    pid: u32,
    address: SocketAddr,
    stop: target_spec::Stop,
    limit: Option<MemoryLimit>,
    command: Vec<String>,
}

/// The end of a container's main process.
#[derive(Debug, Clone, Copy)]
struct End {
    at: Instant,
    code: Option<i64>,
}

/// What a launch has made.
pub(super) struct Launched {
    pub(super) container: Container,
    pub(super) identity: ContainerIdentity,
    /// What the image says it was built from.
    pub(super) revision: Option<String>,
}

/// What watches a start closely.
struct Watched {
    /// When the engine was asked to make the container.
    asked: Instant,
    exec: ExecWatch,
    lookout: Lookout,
}

/// Starts a container of `image`, watched closely or not, and waits until it is ready.
pub(super) async fn launch(
    spec: &TargetSpec,
    image: &Image,
    launch: &Launch<'_>,
    closely: bool,
) -> Result<Launched, TargetError> {
    let engine = Engine::find().await;
    let engine = engine.map_err(|source| TargetError::NoEngine {
        name: spec.name.clone(),
        source,
    })?;
    let facts = engine.facts(spec, image).await?;
    let mut tries = 0;
    let container = loop {
        tries += 1;
        match launch_once(spec, image, launch, &engine, closely).await {
            Err(TargetError::EndedEarly { log, .. })
                if tries < PORTS_TRIED && image.port.is_none() && names_a_taken_port(&log) => {}
            outcome => break outcome?,
        }
    };
    let ImageFacts {
        id,
        digest,
        bytes,
        revision,
        here,
    } = facts;
    let identity = ContainerIdentity {
        engine: engine.name,
        image: image.reference.clone(),
        image_id: id,
        image_digest: digest,
        image_bytes: bytes,
        image_created: here.created,
        network: if image.port.is_some() { "own" } else { "host" }.to_owned(),
        limits: image.limits,
    };
    Ok(Launched {
        container,
        identity,
        revision,
    })
}

async fn launch_once(
    spec: &TargetSpec,
    image: &Image,
    launch: &Launch<'_>,
    engine: &Engine,
    closely: bool,
) -> Result<Container, TargetError> {
    let problem = |what: String, error: &io::Error| TargetError::Setup {
        name: spec.name.clone(),
        problem: format!("{what}: {error}"),
    };
    let owner =
        Owner::this().map_err(|error| problem("cannot label a container".into(), &error))?;
    let port = match image.port {
        Some(port) => port,
        None => free_address()
            .map_err(|error| problem("no free port".into(), &error))?
            .port(),
    };
    let log = File::create(launch.log)
        .map_err(|error| problem(format!("cannot write {}", launch.log.display()), &error))?;
    let mut doomed = Doomed::new(engine, owner);
    let options = CreateContainerOptionsBuilder::default()
        .name(&doomed.name)
        .build();
    let body = body(spec, image, launch, owner, port);
    let asked_to_make = Instant::now();
    let id = match engine.docker.create_container(Some(options), body).await {
        Ok(made) => {
            doomed.state = State::Made;
            made.id
        }
        Err(error) => {
            // An engine that says no has made nothing.
            doomed.state = State::Gone;
            return Err(failed(&spec.name, "make a container", &error));
        }
    };
    let cannot_watch = |error: io::Error| problem("cannot watch it start".into(), &error);
    let path = spec.ready.path.as_deref();
    let exec = closely.then(|| ExecWatch::of(&id));
    let exec = exec.transpose().map_err(cannot_watch)?;
    let asked = Instant::now();
    let mut address = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port);
    // An address of its own is known only when it has started.
    let lookout = (closely && image.port.is_none()).then(|| Lookout::at(address, path, asked));
    let lookout = lookout.transpose().map_err(cannot_watch)?;
    let started = engine
        .docker
        .start_container(&doomed.name, None::<StartContainerOptions>);
    let started = started.await;
    started.map_err(|error| failed(&spec.name, "start the container", &error))?;
    let end = watch_end(&engine.docker, &doomed.name);
    let logging = copy_log(&engine.docker, &doomed.name, log);
    let seen = inspect(spec, &doomed).await?;
    let pid = seen.state.as_ref().and_then(|state| state.pid).unwrap_or(0);
    if image.port.is_some() && pid != 0 {
        let Some(ip) = own_address(&seen) else {
            return Err(TargetError::Setup {
                name: spec.name.clone(),
                problem: format!("{} gave the container no address of its own", engine.name),
            });
        };
        address.set_ip(ip);
    }
    let watched = match (exec, lookout) {
        (None, _) => None,
        (Some(exec), Some(lookout)) => Some((exec, lookout)),
        (Some(exec), None) => {
            let lookout = Lookout::at(address, path, asked).map_err(cannot_watch)?;
            Some((exec, lookout))
        }
    };
    let watched = watched.map(|(exec, lookout)| Watched {
        asked: asked_to_make,
        exec,
        lookout,
    });
    let container = Container {
        address,
        pid: u32::try_from(pid).unwrap_or(0),
        command: words(&seen),
        doomed,
        end,
        logging,
        asked,
        ready: asked,
        start: None,
        stop: spec.stop,
        limit: image.limits.memory,
    };
    container.await_ready(spec, launch.log, watched).await
}

impl Container {
    async fn await_ready(
        mut self,
        spec: &TargetSpec,
        log: &Path,
        watched: Option<Watched>,
    ) -> Result<Self, TargetError> {
        let name = || spec.name.clone();
        let ended = async || self.ended().await;
        let ready = &spec.ready;
        let readiness = match &watched {
            Some(watched) => watched.lookout.await_ready(ended, ready, self.asked).await,
            None => await_ready(ended, self.address, ready, self.asked).await,
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
                self.stop(&name()).await?;
                Err(TargetError::NotReady {
                    name: name(),
                    within: spec.ready.within,
                    failure,
                    log: Log::end_of(log),
                })
            }
            Readiness::Ended => {
                let exit = self.stop(&name()).await?;
                Err(match exit.out_of_memory {
                    Some(cause) => TargetError::OutOfMemory {
                        name: name(),
                        cause,
                        log: Log::end_of(log),
                    },
                    None => TargetError::EndedEarly {
                        name: name(),
                        status: exit.status,
                        log: Log::end_of(log),
                    },
                })
            }
        }
    }

    /// Its main process, as this machine sees it.
    pub(super) fn pid(&self) -> u32 {
        self.pid
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// From the request to start it until it was ready: the engine's own part is in it.
    pub(super) fn startup(&self) -> Duration {
        self.ready - self.asked
    }

    pub(super) fn start(&self) -> Option<Start> {
        self.start
    }

    /// What runs in it: its entry point and arguments.
    pub(super) fn command(&self) -> &[String] {
        &self.command
    }

    pub(super) async fn ended(&self) {
        let mut end = self.end.clone();
        if end.wait_for(Option::is_some).await.is_err() {
            // The task that would tell is gone with its runtime.
            std::future::pending::<()>().await;
        }
    }

    /// Ends and removes it; its output is then in the log.
    pub(super) async fn stop(mut self, name: &str) -> Result<Exit, TargetError> {
        let asked = Instant::now();
        let ended = *self.end.borrow();
        let (cause, after) = match ended {
            Some(end) => (ExitCause::ByItself, end.at - self.ready),
            None => {
                self.kill(name, self.stop.signal).await?;
                let cause = if self.ends_within(self.stop.within).await {
                    ExitCause::Stopped
                } else {
                    self.kill(name, target_spec::Signal::Kill).await?;
                    if !self.ends_within(AFTER_KILL).await {
                        let error = io::Error::new(io::ErrorKind::TimedOut, "it survives SIGKILL");
                        return Err(TargetError::Stop {
                            name: name.to_owned(),
                            source: error,
                        });
                    }
                    ExitCause::Killed
                };
                (cause, asked.elapsed())
            }
        };
        let docker = &self.doomed.engine.docker;
        let state = docker.inspect_container(&self.doomed.name, None::<InspectContainerOptions>);
        let state = state.await.ok().and_then(|seen| seen.state);
        let told = self.end.borrow().and_then(|end| end.code);
        let code = state.as_ref().and_then(|state| state.exit_code).or(told);
        let oom_killed = state.is_some_and(|state| state.oom_killed == Some(true));
        // Output that comes no more is not waited for; what has come is in the log.
        let _ = tokio::time::timeout(LAST_LINES_WITHIN, &mut self.logging).await;
        self.doomed.remove(name).await?;
        Ok(Exit {
            cause,
            status: status(code.unwrap_or(0)),
            after,
            out_of_memory: oom_killed.then_some(OutOfMemory { limit: self.limit }),
        })
    }

    async fn kill(&self, name: &str, signal: target_spec::Signal) -> Result<(), TargetError> {
        let options = KillContainerOptionsBuilder::default()
            .signal(&format!("SIG{signal}"))
            .build();
        let docker = &self.doomed.engine.docker;
        match docker
            .kill_container(&self.doomed.name, Some(options))
            .await
        {
            // One that has ended in the meantime needs no signal.
            Err(Error::DockerResponseServerError {
                status_code: 404 | 409 | 500,
                ..
            }) if self.ends_within(ASK_AGAIN).await => Ok(()),
            result => result.map_err(|error| failed(name, "signal the container", &error)),
        }
    }

    async fn ends_within(&self, within: Duration) -> bool {
        tokio::time::timeout(within, self.ended()).await.is_ok()
    }
}

/// A container from the moment before it is made. Dropping it removes what is there of it.
#[derive(Debug)]
struct Doomed {
    engine: Engine,
    name: String,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// The engine was asked to make it, and has not answered.
    Asked,
    Made,
    Gone,
}

impl Doomed {
    fn new(engine: &Engine, owner: &Owner) -> Self {
        static MADE: AtomicU64 = AtomicU64::new(1);
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        Self {
            engine: engine.clone(),
            name: format!("tailmark-{:.12}-{number}", owner.run),
            state: State::Asked,
        }
    }

    async fn remove(&mut self, name: &str) -> Result<(), TargetError> {
        let options = RemoveContainerOptionsBuilder::default()
            .force(true)
            .v(true)
            .build();
        let removed = self
            .engine
            .docker
            .remove_container(&self.name, Some(options));
        match removed.await {
            Ok(())
            | Err(Error::DockerResponseServerError {
                status_code: 404, ..
            }) => {
                self.state = State::Gone;
                Ok(())
            }
            Err(error) => Err(failed(name, "remove the container", &error)),
        }
    }
}

impl Drop for Doomed {
    fn drop(&mut self) {
        if self.state == State::Gone {
            return;
        }
        for _ in 0..GIVEN_UP_TRIES {
            // One that was made and cannot be removed is left to the next start.
            if self.engine.remove_blocking(&self.name) || self.state == State::Made {
                return;
            }
            std::thread::sleep(GIVEN_UP_PAUSE);
        }
    }
}

/// What the engine is asked to make.
fn body(
    spec: &TargetSpec,
    image: &Image,
    launch: &Launch<'_>,
    owner: &Owner,
    port: u16,
) -> ContainerCreateBody {
    // A process takes the first of equal names, so of these the last is kept alone.
    let mut env: Vec<(&str, String)> = Vec::new();
    let told = [("PORT".to_owned(), port.to_string())];
    for (name, value) in spec.env.iter().chain(&launch.env).chain(&told) {
        env.retain(|(other, _)| other != name);
        env.push((name, format!("{name}={value}")));
    }
    let args = image.args.as_ref().map(|args| args.with_port(port));
    let signed = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    let memory = image.limits.memory.map(|memory| signed(memory.bytes()));
    ContainerCreateBody {
        image: Some(image.reference.clone()),
        cmd: args.map(|args| args.words().to_vec()),
        env: Some(env.into_iter().map(|(_, line)| line).collect()),
        labels: Some(owner.labels()),
        host_config: Some(HostConfig {
            network_mode: image.port.is_none().then(|| "host".to_owned()),
            memory,
            // As much with swap as without: none.
            memory_swap: memory,
            nano_cpus: image.limits.cpus.map(|cpus| signed(cpus.nano())),
            cpuset_cpus: launch.cpus.clone(),
            log_config: Some(HostConfigLogConfig {
                typ: Some("json-file".to_owned()),
                config: Some([("max-size".to_owned(), MOST_LOG.to_owned())].into()),
            }),
            ..HostConfig::default()
        }),
        ..ContainerCreateBody::default()
    }
}

async fn inspect(
    spec: &TargetSpec,
    doomed: &Doomed,
) -> Result<ContainerInspectResponse, TargetError> {
    let docker = &doomed.engine.docker;
    let seen = docker.inspect_container(&doomed.name, None::<InspectContainerOptions>);
    let seen = seen.await;
    seen.map_err(|error| failed(&spec.name, "look at the container", &error))
}

/// Its entry point and arguments.
fn words(seen: &ContainerInspectResponse) -> Vec<String> {
    let path = seen.path.clone().into_iter();
    path.chain(seen.args.clone().unwrap_or_default()).collect()
}

/// Its address in the network that it is in.
fn own_address(seen: &ContainerInspectResponse) -> Option<IpAddr> {
    let networks = seen.network_settings.as_ref()?.networks.as_ref()?;
    let mut addresses = networks.values().filter_map(|network| {
        let address = network.ip_address.as_deref()?;
        address.parse().ok()
    });
    addresses.next()
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
