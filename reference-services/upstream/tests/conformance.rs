//! `upstream-stub` as a program. What it answers is tested where it is used: in each service's conformance suite, whose
//! name this test shares, so that `--test conformance` builds the stub too.

use rustix::process::{Pid, Signal, kill_process};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

#[test]
fn it_answers_after_the_delay_and_ends_at_a_signal() {
    let mut stub = Command::new(env!("CARGO_BIN_EXE_upstream-stub"))
        .args(["--port", "0"])
        .env("UPSTREAM_DELAY_MS", "300")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(stub.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    let port: u16 = line.trim_end().parse().unwrap();

    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let start = Instant::now();
    stream
        .write_all(b"GET /items/7 HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n")
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(start.elapsed() >= Duration::from_millis(300));
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert!(
        answer.ends_with("\r\n\r\n{\"id\":7,\"name\":\"Upstream item 7\"}"),
        "{answer}"
    );

    // A connection that is open and idle does not keep it alive.
    let _idle = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let pid = Pid::from_raw(stub.id().try_into().unwrap()).unwrap();
    kill_process(pid, Signal::TERM).unwrap();
    assert_eq!(stub.wait().unwrap().code(), Some(0));
}

#[test]
fn a_delay_that_makes_no_sense_is_an_error() {
    let stub = Command::new(env!("CARGO_BIN_EXE_upstream-stub"))
        .env("UPSTREAM_DELAY_MS", "soon")
        .output()
        .unwrap();
    assert_eq!(stub.status.code(), Some(1));
    assert_eq!(
        String::from_utf8_lossy(&stub.stderr),
        "error: UPSTREAM_DELAY_MS is \"soon\"; write whole milliseconds\n"
    );
}
