//! `figures PROGRAM…`: what services weigh and how fast they come and go, on real stores, as a table.
//!
//! Each is started and stopped by SIGTERM ten times, which gives medians, and once more with a connection open. Then it holds 10,000 keep-alive connections, each of which has been answered and is
//! answered again after a rest. Memory is PSS (`smaps_rollup`), read while nothing happens.

use std::error::Error;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use conformance::Subject;
use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, kill_process, setrlimit};
use tailmark::stores::Durability;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::sleep;
use trials::Ground;

type Outcome<T> = Result<T, Box<dyn Error>>;

/// Launches of which the median is told.
const LAUNCHES: usize = 10;

/// Connections that are held open.
const CONNECTIONS: usize = 10_000;

/// How long everything rests before memory is read.
const REST: Duration = Duration::from_secs(3);

/// A request whose answer needs no store.
const REQUEST: &[u8] = b"GET /v1/json HTTP/1.1\r\nhost: figures\r\n\r\n";

#[tokio::main(flavor = "current_thread")]
async fn main() -> Outcome<()> {
    let programs: Vec<String> = std::env::args().skip(1).collect();
    if programs.is_empty() {
        return Err("usage: figures PROGRAM…".into());
    }
    let limit = getrlimit(Resource::Nofile);
    setrlimit(
        Resource::Nofile,
        Rlimit {
            current: limit.maximum,
            maximum: limit.maximum,
        },
    )?;
    print(
        "service          first answer   idle MiB   10,000 connections MiB   stopped in   with an idle connection\n",
    );
    for program in &programs {
        let ground = Ground::new(program, Durability::Relaxed).await;
        let (subject, lease) = ground.subject().await;
        let figures = figures(&subject).await;
        ground.release(lease).await;
        ground.stop().await;
        let name = program.rsplit('/').next().unwrap_or(program);
        print(&format!("{name:<16} {}\n", figures?));
    }
    Ok(())
}

async fn figures(subject: &Subject) -> Outcome<String> {
    let (mut answers, mut exits, mut idle) = (Vec::new(), Vec::new(), Vec::new());
    for launch in 0..LAUNCHES {
        let service = Running::start(subject, "idiomatic").await?;
        answers.push(service.first_answer);
        // Once is enough, and a rest takes its time.
        if launch == 0 {
            sleep(REST).await;
            idle.push(service.pss_kib()?);
        }
        exits.push(service.stop()?);
    }
    // The usual profile closes what has been idle for five seconds.
    let service = Running::start(subject, "tuned").await?;
    let mut connections = Vec::with_capacity(CONNECTIONS);
    for _ in 0..CONNECTIONS {
        let mut connection = TcpStream::connect(service.address).await?;
        ask(&mut connection).await?;
        connections.push(connection);
    }
    sleep(REST).await;
    let held = service.pss_kib()?;
    for connection in &mut connections {
        ask(connection).await?;
    }
    drop(connections);
    drop(service);
    let service = Running::start(subject, "idiomatic").await?;
    let mut connection = TcpStream::connect(service.address).await?;
    ask(&mut connection).await?;
    let with_connection = service.stop()?;
    let ms = |time: Duration| time.as_secs_f64() * 1e3;
    let mib = |kib: u64| kib as f64 / 1024.0;
    answers.sort_unstable();
    exits.sort_unstable();
    Ok(format!(
        "{:>9.1} ms   {:>8.1}   {:>22.1}   {:>8.0} ms   {:>22.0} ms",
        ms(answers[LAUNCHES / 2]),
        mib(idle[0]),
        mib(held),
        ms(exits[LAUNCHES / 2]),
        ms(with_connection),
    ))
}

/// A service that has answered.
struct Running {
    child: Child,
    address: SocketAddr,
    /// From its exec on.
    first_answer: Duration,
}

impl Running {
    async fn start(subject: &Subject, profile: &str) -> Outcome<Self> {
        let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
        let start = Instant::now();
        let child = Command::new(&subject.program)
            .args(["--port", &address.port().to_string()])
            .env("DATABASE_URL", &subject.database_url)
            .env("REDIS_URL", &subject.redis_url)
            .env("PROFILE", profile)
            .stdout(Stdio::null())
            .spawn()?;
        let mut service = Self {
            child,
            address,
            first_answer: Duration::ZERO,
        };
        while start.elapsed() < Duration::from_secs(20) {
            if let Ok(mut connection) = TcpStream::connect(address).await
                && ask(&mut connection).await.is_ok()
            {
                service.first_answer = start.elapsed();
                return Ok(service);
            }
            sleep(Duration::from_millis(1)).await;
        }
        Err("the service does not answer".into())
    }

    fn pss_kib(&self) -> Outcome<u64> {
        let rollup = fs::read_to_string(format!("/proc/{}/smaps_rollup", self.child.id()))?;
        let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:"));
        let kib = line.and_then(|line| line.split_whitespace().next());
        Ok(kib.ok_or("smaps_rollup has no Pss")?.parse()?)
    }

    /// Stops it; how long that took.
    fn stop(mut self) -> Outcome<Duration> {
        let start = Instant::now();
        kill_process(Pid::from_child(&self.child), Signal::TERM)?;
        let status = self.child.wait()?;
        match status.success() {
            true => Ok(start.elapsed()),
            false => Err(format!("the service ended with {status}").into()),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Where it has been stopped there is nothing left to end.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Asks over an open connection, and reads the whole answer.
async fn ask(connection: &mut TcpStream) -> Outcome<()> {
    connection.write_all(REQUEST).await?;
    let mut answer = Vec::new();
    while !answer.ends_with(b"}") {
        let mut bytes = [0; 512];
        match connection.read(&mut bytes).await? {
            0 => return Err("the connection was closed".into()),
            count => answer.extend_from_slice(&bytes[..count]),
        }
    }
    match answer.starts_with(b"HTTP/1.1 200 ") {
        true => Ok(()),
        false => Err("the answer is no 200".into()),
    }
}

#[expect(clippy::print_stdout, reason = "what it prints is its purpose")]
fn print(text: &str) {
    print!("{text}");
}
