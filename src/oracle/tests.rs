use std::io::{PipeWriter, Read as _, Write as _};
use std::net::TcpStream;
use std::thread::JoinHandle;

use super::*;
use crate::script::{Delay, Stall};

/// No test takes longer, whatever the machine does.
const BOUND: Duration = Duration::from_secs(30);

const MS: u64 = 1_000_000;

const OPTIONS: Options = Options {
    lasts: BOUND,
    most_logged: 1_000,
    spin: false,
};

/// An oracle on a thread of its own.
struct Running {
    address: SocketAddr,
    stop: PipeWriter,
    thread: JoinHandle<Log>,
}

impl Running {
    fn start(script: Script) -> Self {
        Self::with(script, OPTIONS)
    }

    fn with(script: Script, options: Options) -> Self {
        let oracle = Oracle::bind(0).unwrap();
        let address = oracle.address().unwrap();
        let (reader, stop) = io::pipe().unwrap();
        let serve = move || oracle.serve(&script, reader, options).unwrap();
        Self {
            address,
            stop,
            thread: std::thread::spawn(serve),
        }
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(BOUND)).unwrap();
        stream
    }

    fn stop(self) -> Log {
        drop(self.stop);
        self.thread.join().unwrap()
    }
}

fn get(stream: &mut TcpStream, path: &str) -> String {
    send(stream, path);
    answer(stream)
}

fn send(stream: &mut TcpStream, path: &str) {
    let request = format!("GET {path} HTTP/1.1\r\nhost: here\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
}

/// Reads one answer, which says how long its body is.
fn answer(stream: &mut TcpStream) -> String {
    let mut text = Vec::new();
    let mut byte = [0];
    while !text.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).unwrap();
        text.extend(byte);
    }
    let head = String::from_utf8(text).unwrap();
    let (_, length) = head.split_once("content-length: ").unwrap();
    let mut body = vec![0; length.lines().next().unwrap().parse().unwrap()];
    stream.read_exact(&mut body).unwrap();
    head + &String::from_utf8(body).unwrap()
}

fn constant(ms: u64) -> Script {
    Script {
        delay: Delay::Constant(Duration::from_millis(ms)),
        ..Script::default()
    }
}

#[test]
fn every_request_is_answered_after_its_delay_and_logged() {
    let oracle = Running::start(constant(5));
    let (mut one, mut other) = (oracle.connect(), oracle.connect());
    for seq in 1..=3 {
        let answered = get(&mut one, &format!("/{seq}"));
        assert!(answered.starts_with("HTTP/1.1 200 OK\r\n"), "{answered}");
        assert!(answered.ends_with("\r\n\r\nok"), "{answered}");
    }
    get(&mut other, "/without-a-number");
    let log = oracle.stop();
    let seqs: Vec<_> = log.entries.iter().map(|entry| entry.seq).collect();
    assert_eq!(seqs, [Some(1), Some(2), Some(3), None]);
    let connections: Vec<_> = log.entries.iter().map(|entry| entry.connection).collect();
    assert_eq!(connections, [0, 0, 0, 1]);
    for entry in &log.entries {
        let held = entry.answered.unwrap() - entry.arrived;
        assert!((5 * MS..5_000 * MS).contains(&held), "{entry:?}");
        assert_eq!(entry.status, 200);
    }
}

#[test]
fn requests_may_come_in_pieces_with_bodies_and_several_at_once() {
    let oracle = Running::start(Script::default());
    let mut stream = oracle.connect();
    stream.set_nodelay(true).unwrap();
    let body = "x".repeat(200_000);
    let long = format!(
        "POST /1 HTTP/1.1\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    for byte in &long.as_bytes()[..60] {
        stream.write_all(&[*byte]).unwrap();
    }
    stream.write_all(&long.as_bytes()[60..]).unwrap();
    answer(&mut stream);
    let two = "GET /2 HTTP/1.1\r\n\r\nGET /3 HTTP/1.1\r\n\r\n";
    stream.write_all(two.as_bytes()).unwrap();
    answer(&mut stream);
    answer(&mut stream);
    let log = oracle.stop();
    let seqs: Vec<_> = log.entries.iter().map(|entry| entry.seq).collect();
    assert_eq!(seqs, [Some(1), Some(2), Some(3)]);
}

#[test]
fn a_connection_ends_where_it_is_asked_to_and_where_nothing_is_understood() {
    let oracle = Running::start(Script::default());
    let mut asked = oracle.connect();
    asked
        .write_all(b"GET /1 HTTP/1.1\r\nconnection: close\r\n\r\n")
        .unwrap();
    let mut rest = String::new();
    asked.read_to_string(&mut rest).unwrap();
    assert!(rest.contains("200 OK") && rest.contains("connection: close"));
    let mut confused = oracle.connect();
    confused.write_all(b"nonsense\r\n\r\n").unwrap();
    let mut rest = String::new();
    confused.read_to_string(&mut rest).unwrap();
    assert!(rest.starts_with("HTTP/1.1 400 "), "{rest}");
    assert_eq!(oracle.stop().entries.len(), 1);
}

#[test]
fn one_that_never_sleeps_does_the_same() {
    let options = Options {
        spin: true,
        ..OPTIONS
    };
    let oracle = Running::with(constant(5), options);
    let mut stream = oracle.connect();
    (1..=3).for_each(|seq| {
        get(&mut stream, &format!("/{seq}"));
    });
    let log = oracle.stop();
    assert_eq!(log.entries.len(), 3);
    for entry in &log.entries {
        assert!(
            entry.answered.unwrap() - entry.arrived >= 5 * MS,
            "{entry:?}"
        );
    }
}

#[test]
fn errors_are_answered_and_resets_are_not() {
    let oracle = Running::start(Script {
        errors: 1.0,
        ..Script::default()
    });
    assert!(get(&mut oracle.connect(), "/1").starts_with("HTTP/1.1 500 "));
    assert_eq!(oracle.stop().entries[0].status, 500);

    let oracle = Running::start(Script {
        resets: 1.0,
        ..Script::default()
    });
    let mut stream = oracle.connect();
    send(&mut stream, "/1");
    let ended = stream.read(&mut [0; 16]).unwrap_err();
    assert_eq!(ended.kind(), io::ErrorKind::ConnectionReset);
    let entry = oracle.stop().entries[0];
    assert_eq!(entry.status, 0);
    assert!(entry.answered.is_some());
}

#[test]
fn nothing_is_read_while_it_stands_still() {
    let oracle = Running::start(Script {
        stall: Some(Stall {
            lasts: Duration::from_millis(200),
            every: BOUND,
            first: Duration::ZERO,
        }),
        ..Script::default()
    });
    let (mut one, mut other) = (oracle.connect(), oracle.connect());
    get(&mut one, "/1");
    // The stall has begun with the first request.
    get(&mut other, "/2");
    let log = oracle.stop();
    let [(from, to)] = log.stalls[..] else {
        panic!("{:?}", log.stalls)
    };
    assert!(to - from >= 199 * MS, "{log:?}");
    assert!(
        log.entries[0].arrived <= from && log.entries[1].arrived >= to,
        "{log:?}"
    );
}

#[test]
fn a_slow_body_takes_its_time_after_the_head() {
    let oracle = Running::start(Script {
        body: 1_000,
        slow_body: Some(Duration::from_millis(50)),
        ..Script::default()
    });
    let answered = get(&mut oracle.connect(), "/1");
    assert!(answered.ends_with(&format!("ok{}", ".".repeat(998))));
    let entry = oracle.stop().entries[0];
    assert!(entry.answered.unwrap() - entry.arrived >= 50 * MS);
}

#[test]
fn a_bounded_capacity_serves_in_the_order_of_arrival() {
    let oracle = Running::start(Script {
        capacity: Some(1),
        ..constant(20)
    });
    let mut streams = [oracle.connect(), oracle.connect(), oracle.connect()];
    for (seq, stream) in streams.iter_mut().enumerate() {
        send(stream, &format!("/{seq}"));
    }
    streams.iter_mut().for_each(|stream| {
        answer(stream);
    });
    let log = oracle.stop();
    let ends: Vec<u64> = log
        .entries
        .iter()
        .map(|entry| entry.answered.unwrap() - log.entries[0].arrived)
        .collect();
    for (place, end) in ends.into_iter().enumerate() {
        assert!(end >= (place as u64 + 1) * 20 * MS, "{log:?}");
    }
}

#[test]
fn many_connections_are_served_side_by_side() {
    let oracle = Running::start(Script::default());
    let mut streams: Vec<TcpStream> = (0..300).map(|_| oracle.connect()).collect();
    for round in 0..3 {
        for stream in &mut streams {
            send(stream, &format!("/{round}"));
        }
        for stream in &mut streams {
            assert!(answer(stream).contains("200 OK"));
        }
    }
    let log = oracle.stop();
    assert_eq!(log.entries.len(), 900);
    assert!(log.entries.iter().all(|entry| entry.answered.is_some()));
}

#[test]
fn it_ends_by_itself_and_logs_no_more_than_it_may() {
    let options = Options {
        lasts: Duration::from_secs(1),
        most_logged: 2,
        ..OPTIONS
    };
    let oracle = Running::with(Script::default(), options);
    let mut stream = oracle.connect();
    (1..=3).for_each(|seq| {
        get(&mut stream, &format!("/{seq}"));
    });
    let log = oracle.thread.join().unwrap();
    assert_eq!((log.entries.len(), log.unlogged), (2, 1));
}
