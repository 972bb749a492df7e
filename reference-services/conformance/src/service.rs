//! A running service: started on a free port, stopped by a signal.

use crate::Subject;
use crate::World;
use crate::http::{Answer, Request};
use crate::token::SECRET;
use rustix::process::{Pid, Signal, kill_process};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::{sleep, timeout};

/// How long a service may take to listen or to end: far above what it takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// A service that listens. Killed when it is dropped.
#[derive(Debug)]
pub struct Service {
    child: Child,
    output: BufReader<ChildStdout>,
    client: reqwest::Client,
    /// `127.0.0.1:port`.
    pub address: String,
}

impl Service {
    /// Starts the subject with these variables in its environment, over those of its stores.
    pub async fn start(subject: &Subject, environment: &[(&str, &str)]) -> Self {
        Self::spawn(command(subject, environment)).await
    }

    /// As [`Self::start`], with a log that [`Self::log`] returns.
    pub(crate) async fn start_with_log(subject: &Subject, environment: &[(&str, &str)]) -> Self {
        let mut command = command(subject, environment);
        command.stderr(Stdio::piped());
        Self::spawn(command).await
    }

    async fn spawn(command: Command) -> Self {
        let (child, output, address) = listening(command).await;
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        Self {
            child,
            output,
            client,
            address,
        }
    }

    /// Starts it with the world's upstream behind its gateway.
    pub(crate) async fn start_with_upstream(world: &World, environment: &[(&str, &str)]) -> Self {
        let url = format!("http://{}", world.upstream.address);
        let environment = [environment, &[("UPSTREAM_URL", &url)]].concat();
        Self::start(&world.subject, &environment).await
    }

    /// The port that was printed after the service's own, under `METRICS_PORT=0`.
    pub(crate) async fn metrics_port(&mut self) -> u16 {
        let mut line = String::new();
        timeout(PATIENCE, self.output.read_line(&mut line))
            .await
            .expect("no second port was printed")
            .unwrap();
        let port = line.trim_end().strip_prefix("metrics ");
        port.and_then(|port| port.parse().ok())
            .unwrap_or_else(|| panic!("{line:?} is no port of metrics"))
    }

    pub(crate) fn request(&self, method: &str, path: &str) -> Request {
        Request::new(
            &self.client,
            method,
            &format!("http://{}{path}", self.address),
        )
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.request("GET", path).send().await
    }

    /// Returns once nobody can connect any more.
    pub(crate) async fn refuses_connections(&self) {
        let refused = async {
            while TcpStream::connect(&self.address).await.is_ok() {
                sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(PATIENCE, refused)
            .await
            .expect("the service still listens");
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        let pid = self
            .child
            .id()
            .and_then(|id| Pid::from_raw(id.try_into().unwrap()))
            .unwrap();
        kill_process(pid, signal).unwrap();
    }

    /// All that was logged until the end that a signal brought about.
    pub(crate) async fn log(mut self) -> String {
        let mut log = String::new();
        let mut stderr = self.child.stderr.take().expect("started with a log");
        timeout(PATIENCE, stderr.read_to_string(&mut log))
            .await
            .expect("the service did not end")
            .unwrap();
        log
    }

    /// Waits for the end that a signal brought about, and checks that nothing but ports was printed.
    pub async fn ended(mut self) -> ExitStatus {
        let status = timeout(PATIENCE, self.child.wait())
            .await
            .expect("the service did not end")
            .unwrap();
        let mut rest = String::new();
        self.output.read_to_string(&mut rest).await.unwrap();
        assert_eq!(rest, "", "standard output carries ports alone");
        status
    }
}

/// What stands behind the gateway. Killed when it is dropped.
#[derive(Debug)]
pub(crate) struct Upstream {
    _child: Child,
    /// `127.0.0.1:port`.
    pub(crate) address: String,
}

impl Upstream {
    pub(crate) async fn start(subject: &Subject) -> Self {
        let mut command = Command::new(&subject.upstream);
        command.kill_on_drop(true);
        let (child, _, address) = listening(command).await;
        Self {
            _child: child,
            address,
        }
    }
}

/// Starts a program on a free port, which it prints.
async fn listening(mut command: Command) -> (Child, BufReader<ChildStdout>, String) {
    let spawned = command.args(["--port", "0"]).stdout(Stdio::piped()).spawn();
    let mut child = spawned.unwrap_or_else(|error| {
        panic!("{command:?}: {error}; `cargo test --workspace --test conformance` builds it")
    });
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    timeout(PATIENCE, output.read_line(&mut line))
        .await
        .expect("no port was printed")
        .unwrap();
    let port: u16 = line
        .trim_end()
        .parse()
        .unwrap_or_else(|_| panic!("{line:?} is no port"));
    (child, output, format!("127.0.0.1:{port}"))
}

/// Starts the subject with variables that make no sense; returns its exit code and what it said on standard error.
pub(crate) async fn refused(
    subject: &Subject,
    environment: &[(&str, &str)],
) -> (Option<i32>, String) {
    let output = timeout(PATIENCE, command(subject, environment).output())
        .await
        .expect("the service serves all the same")
        .unwrap();
    (
        output.status.code(),
        String::from_utf8(output.stderr).unwrap(),
    )
}

/// Runs a command of the subject to its end; returns its exit code and what it printed.
pub async fn run(
    subject: &Subject,
    environment: &[(&str, &str)],
    argument: &str,
    input: &str,
) -> (Option<i32>, String) {
    let mut command = command(subject, environment);
    let mut child = command
        .arg(argument)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // A command that does not read its input may have ended before it was written.
    let _ = stdin.write_all(input.as_bytes()).await;
    drop(stdin);
    let output = timeout(PATIENCE, child.wait_with_output())
        .await
        .expect("the command did not end")
        .unwrap();
    (
        output.status.code(),
        String::from_utf8(output.stdout).unwrap(),
    )
}

fn command(subject: &Subject, environment: &[(&str, &str)]) -> Command {
    let mut command = Command::new(&subject.program);
    command
        .env_clear()
        // The outages that are provoked here would fill the log; a panic shows all the same.
        .env("RUST_LOG", "off")
        .env("DATABASE_URL", &subject.database_url)
        .env("REDIS_URL", &subject.redis_url)
        .env("TOKEN_SECRET", SECRET)
        .envs(subject.environment.iter().copied())
        .envs(environment.iter().copied())
        .kill_on_drop(true);
    command
}
