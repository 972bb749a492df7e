//! What every reference service does around serving: its command line, its log, its limits, the `audit` and
//! `healthcheck` commands. A service hands [`run`] the one thing that is its own, a function that serves a [`Plan`].
//!
//! Standard output carries the port when it was chosen by the kernel, or the audit; everything else goes to standard
//! error.

mod command;
mod healthcheck;

use command::Command;
use policy::{Policy, Upstream};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::error::Error;
use std::io::{self, Write};
use std::net::{SocketAddr, TcpListener};
use std::num::NonZeroUsize;
use std::process::ExitCode;
use std::thread::available_parallelism;
use store::Settings;
use store::audit::{Audit, Counts};
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

/// The outcome of a command; an error is printed for the person or program that ran it.
pub type Outcome = Result<(), Box<dyn Error + Send + Sync>>;

/// How to serve: equal in every service.
#[derive(Debug)]
pub struct Plan {
    /// Where to listen.
    pub address: SocketAddr,
    /// Threads that serve: as many as this process may use cores.
    pub workers: NonZeroUsize,
    /// The stores.
    pub settings: Settings,
    /// Who may ask, how often, and how many at once: one for all workers.
    pub policy: Policy,
    /// Where the gateway passes requests on to.
    pub upstream: Upstream,
}

impl Plan {
    /// Says on standard output which port the kernel chose, if it was asked to choose.
    pub fn announce(&self, bound: SocketAddr) {
        if self.address.port() == 0 {
            // Nobody may be reading; the service serves all the same.
            let _ = writeln!(io::stdout(), "{}", bound.port());
        }
    }
}

/// Runs the command that the command line names; `serve` returns once it was stopped and all answers are out.
///
/// Exit codes: 0; 1 an audit or a health check that found a fault, or a service that could not serve; 2 a command or a
/// variable that makes no sense.
pub fn run(serve: impl FnOnce(Plan) -> Outcome) -> ExitCode {
    let command = match Command::from_env() {
        Ok(command) => command,
        Err(error) => return complain(&error, 2),
    };
    start_log();
    let outcome = match command {
        Command::Serve(address) => match plan(address) {
            Ok(plan) => serve(plan).map(|()| true),
            Err(error) => return complain(&error, 2),
        },
        Command::Audit => match serde_json::from_reader(io::stdin().lock()) {
            Ok(counts) => audit(&counts),
            Err(error) => {
                return complain(
                    &format!("the counts on standard input make no sense: {error}"),
                    2,
                );
            }
        },
        Command::HealthCheck(address) => healthcheck::is_ready(address).map_err(Into::into),
        Command::Help => writeln!(io::stdout(), "{}", command::HELP)
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
    bind(&socket, &address)?;
    listen(
        &socket,
        contract::limit::BACKLOG.try_into().unwrap_or(i32::MAX),
    )?;
    Ok(socket.into())
}

fn plan(address: SocketAddr) -> Result<Plan, Box<dyn Error + Send + Sync>> {
    raise_descriptor_limit();
    Ok(Plan {
        address,
        workers: available_parallelism()?,
        settings: Settings::from_env()?,
        policy: Policy::new(&policy::Settings::from_env()?),
        upstream: Upstream::from_env()?,
    })
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

fn audit(counts: &Counts) -> Result<bool, Box<dyn Error + Send + Sync>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let audit = runtime.block_on(Audit::from_env(counts))?;
    writeln!(io::stdout(), "{}", serde_json::to_string(&audit)?)?;
    Ok(audit.ok)
}

/// Logs to standard error what `RUST_LOG` asks for, warnings and errors by default.
fn start_log() {
    let filter = EnvFilter::builder()
        .with_default_directive(tracing::Level::WARN.into())
        .from_env_lossy();
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .init();
}

fn complain(error: &dyn std::fmt::Display, code: u8) -> ExitCode {
    // Nothing is left to do where standard error is closed.
    let _ = writeln!(io::stderr(), "error: {error}");
    ExitCode::from(code)
}
