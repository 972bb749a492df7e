//! What every reference service does around serving: its command line, its log, its limits, its metrics, the `config`,
//! `audit` and `healthcheck` commands. A service hands [`run`] what is its own: a function that serves a [`Plan`], and
//! what `config` is to say of it.
//!
//! Standard output carries the ports that were chosen by the kernel, the configuration, or the audit; everything else
//! goes to standard error.

mod command;
mod config;
mod healthcheck;
mod options;
mod stores;
mod tls;

pub use config::Service;
pub use options::{Layers, Profile};

use command::{Action, Command};
use config::Config;
use options::{LogFormat, Options};
use policy::{Policy, Upstream};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::thread::disable_transparent_huge_pages;
use std::error::Error;
use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::num::NonZeroUsize;
use std::process::ExitCode;
use std::thread::available_parallelism;
use std::time::Duration;
use store::Settings;
use store::audit::{Audit, Counts};
use telemetry::Metrics;
use tls::Identity;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

type BoxError = Box<dyn Error + Send + Sync>;

/// The outcome of a command; an error is printed for the person or program that ran it.
pub type Outcome = Result<(), BoxError>;

/// How to serve: equal in every service.
#[derive(Debug)]
pub struct Plan {
    /// Where to listen.
    pub address: SocketAddr,
    /// Threads that serve: as many as this process may use cores.
    pub workers: NonZeroUsize,
    /// The stores.
    pub settings: Settings,
    /// How the framework is set up.
    pub profile: Profile,
    /// What stands before the handlers.
    pub layers: Layers,
    /// Who may ask, how often, and how many at once: one for all workers.
    pub policy: Policy,
    /// Where the gateway passes requests on to.
    pub upstream: Upstream,
    /// How long a request may take in all, where a layer sees to it.
    pub answer_timeout: Duration,
    /// How to serve TLS, if not everything is in the clear. Says nothing yet of protocols within.
    pub tls: Option<rustls::ServerConfig>,
    /// Where requests are counted, if somebody can ask for it.
    pub metrics: Option<Metrics>,
    /// What `policy` was made of.
    rules: policy::Settings,
    /// Where metrics can be asked for.
    metrics_port: Option<u16>,
    /// The port of the metrics, if the kernel chose it.
    announced: Option<u16>,
}

impl Plan {
    /// Says on standard output which ports the kernel chose, if it was asked to choose: that of the service, and then
    /// that of the metrics.
    pub fn announce(&self, bound: SocketAddr) {
        // Nobody may be reading; the service serves all the same.
        if self.address.port() == 0 {
            let _ = writeln!(io::stdout(), "{}", bound.port());
        }
        if let Some(port) = self.announced {
            let _ = writeln!(io::stdout(), "metrics {port}");
        }
    }
}

/// The address of a plan that nobody is to serve.
const NOWHERE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// Runs the command that the command line names; `serve` returns once it was stopped and all answers are out. `service`
/// says what is its own.
///
/// Exit codes: 0; 1 an audit or a health check that found a fault, or a service that could not serve; 2 a command or a
/// variable that makes no sense.
pub fn run(service: &Service, serve: impl FnOnce(&Plan) -> Outcome) -> ExitCode {
    // Before anything else asks for memory.
    let small_pages = disable_transparent_huge_pages(true);
    let command = match Command::from_env() {
        Ok(command) => command,
        Err(error) => return complain(&error, 2),
    };
    start_log(command.log);
    if let Err(error) = small_pages {
        tracing::warn!(%error, "memory may come in huge pages");
    }
    let outcome = match command.action {
        Action::Serve(address, options) => match Plan::new(address, options) {
            Ok(plan) => plan
                .with_metrics()
                .and_then(|plan| serve(&plan))
                .map(|()| true),
            Err(error) => return complain(&error, 2),
        },
        Action::Config(options) => match Plan::new(NOWHERE, options) {
            Ok(plan) => config(service, &plan, command.log).map(|()| true),
            Err(error) => return complain(&error, 2),
        },
        Action::Audit => match serde_json::from_reader(io::stdin().lock()) {
            Ok(counts) => audit(&counts),
            Err(error) => {
                return complain(
                    &format!("the counts on standard input make no sense: {error}"),
                    2,
                );
            }
        },
        Action::HealthCheck(address) => match Identity::from_env() {
            Ok(identity) => healthcheck::is_ready(address, identity.as_ref()),
            Err(error) => return complain(&error, 2),
        },
        Action::Help => writeln!(io::stdout(), "{}", command::HELP)
            .map(|()| true)
            .map_err(Into::into),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => complain(&error, 1),
    }
}

/// Returns when the process is told to stop, by SIGTERM or SIGINT. As PID 1 of a container, a process that does not
/// handle them cannot be stopped but by force.
///
/// # Errors
/// Fails where the handlers cannot be installed.
pub fn stop_signal() -> io::Result<impl Future<Output = ()> + Send + 'static> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

/// A socket that listens, with the backlog of the contract.
///
/// # Errors
/// Fails where the address is taken or not ours.
pub fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    bound(address, false)
}

/// As [`listen`], but on an address that other sockets of this user may share (`SO_REUSEPORT`): the kernel spreads the
/// connections among them.
///
/// # Errors
/// Fails where the address is taken by one that does not share it, or not ours.
pub fn listen_among_others(address: SocketAddr) -> io::Result<TcpListener> {
    bound(address, true)
}

fn bound(address: SocketAddr, shared: bool) -> io::Result<TcpListener> {
    use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, listen, socket_with, sockopt};
    let family = if address.is_ipv4() {
        AddressFamily::INET
    } else {
        AddressFamily::INET6
    };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(family, SocketType::STREAM, flags, None)?;
    // So that a service can start again while connections of its predecessor linger in TIME_WAIT.
    sockopt::set_socket_reuseaddr(&socket, true)?;
    sockopt::set_socket_reuseport(&socket, shared)?;
    bind(&socket, &address)?;
    listen(
        &socket,
        contract::limit::BACKLOG.try_into().unwrap_or(i32::MAX),
    )?;
    Ok(socket.into())
}

impl Plan {
    fn new(address: SocketAddr, options: Options) -> Result<Self, BoxError> {
        raise_descriptor_limit();
        let rules = policy::Settings::from_env()?;
        if rules.is_for_measurements() && !address.ip().is_loopback() {
            tracing::warn!(
                "TOKEN_SECRET is not set: whoever reaches this service can sign tokens of anybody"
            );
        }
        let tls = Identity::from_env()?;
        Ok(Self {
            address,
            workers: available_parallelism()?,
            settings: stores::from_env()?,
            upstream: Upstream::from_env()?,
            policy: Policy::new(&rules),
            rules,
            profile: options.profile,
            layers: options.layers,
            answer_timeout: options.answer_timeout,
            tls: tls.map(|identity| identity.server()).transpose()?,
            metrics_port: options.metrics_port,
            metrics: None,
            announced: None,
        })
    }

    /// Listens for those who ask for metrics, if anybody is to.
    fn with_metrics(mut self) -> Result<Self, BoxError> {
        if let Some(port) = self.metrics_port {
            let listener = listen(SocketAddr::new(self.address.ip(), port))?;
            let bound = listener.local_addr()?.port();
            self.announced = (port == 0).then_some(bound);
            let metrics = Metrics::new();
            telemetry::serve(listener, metrics.clone())?;
            self.metrics = Some(metrics);
        }
        Ok(self)
    }
}

/// Prints how a service would serve `plan`.
fn config(service: &Service, plan: &Plan, log: LogFormat) -> Outcome {
    let config = serde_json::to_string(&Config::new(service, plan, log))?;
    Ok(writeln!(io::stdout(), "{config}")?)
}

/// Raises the soft limit of descriptors to the hard one. The soft one is often 1,024, fewer than connections tested.
fn raise_descriptor_limit() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::warn!(%error, "the limit of descriptors stays as it was");
    }
}

fn audit(counts: &Counts) -> Result<bool, BoxError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let audit = runtime.block_on(Audit::from_env(counts))?;
    writeln!(io::stdout(), "{}", serde_json::to_string(&audit)?)?;
    Ok(audit.ok)
}

/// Logs to standard error what `RUST_LOG` asks for, warnings and errors by default.
fn start_log(format: LogFormat) {
    let filter = EnvFilter::builder()
        .with_default_directive(tracing::Level::WARN.into())
        .from_env_lossy();
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr);
    match format {
        LogFormat::Text => log.init(),
        // The fields of an event beside its time and level, and those of its request in `span`.
        LogFormat::Json => log.json().flatten_event(true).with_span_list(false).init(),
    }
}

fn complain(error: &dyn std::fmt::Display, code: u8) -> ExitCode {
    // Nothing is left to do where standard error is closed.
    let _ = writeln!(io::stderr(), "error: {error}");
    ExitCode::from(code)
}
