//! Child processes for tests: this test binary again, as a process that does what it is told, one line at a time.

use std::env;
use std::io::{self, BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::signal::unix::{SignalKind, signal};

/// Marks a process as such a child.
const ROLE: &str = "TAILMARK_TEST_CHILD";

/// A child that carries out commands, and ends with its standard input.
#[derive(Debug)]
pub(crate) struct Obedient {
    child: Child,
    commands: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Obedient {
    pub(crate) fn start() -> Obedient {
        let mut child = Command::new(env::current_exe().unwrap())
            .args([
                "test_child::obey",
                "--exact",
                "--nocapture",
                "--test-threads=1",
            ])
            .env(ROLE, "obey")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let commands = child.stdin.take().unwrap();
        let answers = BufReader::new(child.stdout.take().unwrap());
        Obedient {
            child,
            commands,
            answers,
        }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Has `command` carried out, and returns what it answers when it is done.
    pub(crate) fn tell(&mut self, command: &str) -> String {
        writeln!(self.commands, "{command}").unwrap();
        loop {
            let mut line = String::new();
            assert_ne!(
                self.answers.read_line(&mut line).unwrap(),
                0,
                "the child ended at `{command}`"
            );
            // The test harness of the child prints on the same stream.
            if let Some((_, answer)) = line.trim_end().split_once("answer ") {
                return answer.to_owned();
            }
        }
    }

    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Obedient {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The command line of a small HTTP server on `PORT`, and the environment that says how it behaves: `READY_AFTER=n` answers
/// 503 to the first n requests; `ON_TERM=exit|ignore`; `LISTEN=no` never listens, `LISTEN=panic` gives up at once. Its paths:
/// `/env/NAME` answers with that variable, `/exit` ends it.
pub(crate) fn server() -> (String, (String, String)) {
    let exe = env::current_exe().unwrap().to_str().unwrap().to_owned();
    let words = [
        &exe,
        "test_child::serve",
        "--exact",
        "--nocapture",
        "--test-threads=1",
    ];
    (
        shell_words::join(words),
        (ROLE.to_owned(), "serve".to_owned()),
    )
}

#[test]
fn serve() {
    if env::var(ROLE).as_deref() != Ok("serve") {
        return;
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate()).unwrap();
        let end = async {
            terminate.recv().await;
            if env::var("ON_TERM").as_deref() != Ok("exit") {
                std::future::pending::<()>().await;
            }
        };
        match env::var("LISTEN").as_deref() {
            Ok("panic") => panic!("no configuration"),
            Ok("no") => std::future::pending().await,
            _ => {}
        }
        let port = env::var("PORT").unwrap();
        let listener = tokio::net::TcpListener::bind(format!("127.0.0.1:{port}"))
            .await
            .unwrap();
        println_unbuffered(&format!("listening on {port}"));
        tokio::select! {
            () = end => println_unbuffered("bye"),
            () = answer_until_exit(&listener) => {}
        }
    });
}

async fn answer_until_exit(listener: &tokio::net::TcpListener) {
    let mut unready = env::var("READY_AFTER").map_or(0, |count| count.parse().unwrap());
    loop {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut head = [0; 4096];
        let length = stream.read(&mut head).await.unwrap();
        let head = String::from_utf8_lossy(&head[..length]).into_owned();
        let Some(path) = head.split(' ').nth(1) else {
            continue;
        };
        if path == "/exit" {
            return;
        }
        let status = if unready > 0 { 503 } else { 200 };
        unready = u32::saturating_sub(unready, 1);
        let body = path
            .strip_prefix("/env/")
            .and_then(|name| env::var(name).ok())
            .unwrap_or_default();
        let length = body.len();
        let answer = format!(
            "HTTP/1.1 {status} X\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
        );
        stream.write_all(answer.as_bytes()).await.unwrap();
    }
}

/// What an obedient child runs. Without its mark it is nobody's child, and has nothing to do.
#[test]
fn obey() {
    if env::var(ROLE).as_deref() != Ok("obey") {
        return;
    }
    let mut memory: Vec<u8> = Vec::new();
    let mut children: Vec<Obedient> = Vec::new();
    for line in io::stdin().lock().lines() {
        let line = line.unwrap();
        let (command, argument) = line.split_once(' ').unwrap_or((&line, ""));
        match command {
            // Written to, so that it is resident.
            "allocate" => memory = vec![1; argument.parse().unwrap()],
            "free" => drop(std::mem::take(&mut memory)),
            "spin" => spin(Duration::from_millis(argument.parse().unwrap())),
            "spin-thread" => {
                let time = Duration::from_millis(argument.parse().unwrap());
                std::thread::spawn(move || spin(time)).join().unwrap();
            }
            "spawn" => children.push(Obedient::start()),
            "child" => drop(children.last_mut().unwrap().tell(argument)),
            "reap" => drop(children.pop()),
            unknown => panic!("unknown command {unknown}"),
        }
        let child = children.last().map_or(0, Obedient::pid);
        println_unbuffered(&format!("answer {} {child}", memory.len()));
    }
}

fn println_unbuffered(line: &str) {
    let mut output = io::stdout().lock();
    writeln!(output, "{line}").unwrap();
    output.flush().unwrap();
}

/// Uses so much CPU time, however long it takes on a machine that does much else.
fn spin(time: Duration) {
    let used = || {
        let used = clock_gettime(ClockId::ThreadCPUTime);
        Duration::new(used.tv_sec as u64, used.tv_nsec as u32)
    };
    let end = used() + time;
    while used() < end {
        std::hint::spin_loop();
    }
}
