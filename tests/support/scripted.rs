//! A server whose every answer is decided by a function of the request's number and path.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What becomes of a request.
#[derive(Debug, Clone)]
pub(crate) enum Reply {
    Status(u16),
    /// 200, and what it says is what follows the head: fields and body.
    Framed(&'static str),
    /// The same, and the connection is closed.
    Cut(&'static str),
    /// 200, and the connection is closed.
    Last,
    /// 200 after a while.
    Slow(Duration),
    /// 200, and the connection is closed without a word of it.
    HangUp,
    /// The connection is closed without an answer.
    Reset,
    /// Something that is no HTTP.
    Garbage,
    /// Nothing, until the client gives up.
    Silence,
    /// A status, fields, each with its line end, and a body.
    Message(u16, String, String),
}

type Script = dyn Fn(u64, &str) -> Reply + Send + Sync;

/// A running server; it stops taking connections when it is dropped.
pub(crate) struct Scripted {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    script: Box<Script>,
    requests: AtomicU64,
    /// Connections that carried a request.
    connections: AtomicU64,
    /// What was asked: request lines and bodies.
    asked: Mutex<Vec<String>>,
    stopped: AtomicBool,
    /// Whether requests are told with their heads.
    heads: bool,
}

impl Scripted {
    /// Answers the k-th request, from 0, as `script` says.
    pub(crate) fn start(script: impl Fn(u64) -> Reply + Send + Sync + 'static) -> Scripted {
        Scripted::by_request(move |number, _| script(number))
    }

    /// `script` is told the request line and the body too.
    pub(crate) fn by_request(
        script: impl Fn(u64, &str) -> Reply + Send + Sync + 'static,
    ) -> Scripted {
        Scripted::serving(false, script)
    }

    /// `script` is told the head and the body.
    pub(crate) fn by_message(
        script: impl Fn(u64, &str) -> Reply + Send + Sync + 'static,
    ) -> Scripted {
        Scripted::serving(true, script)
    }

    fn serving(
        heads: bool,
        script: impl Fn(u64, &str) -> Reply + Send + Sync + 'static,
    ) -> Scripted {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            script: Box::new(script),
            requests: AtomicU64::new(0),
            connections: AtomicU64::new(0),
            asked: Mutex::new(Vec::new()),
            stopped: AtomicBool::new(false),
            heads,
        });
        let serving = Arc::clone(&shared);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if serving.stopped.load(Ordering::Relaxed) {
                    return;
                }
                let serving = Arc::clone(&serving);
                std::thread::spawn(move || serving.serve(&stream.unwrap()));
            }
        });
        Scripted { address, shared }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// How many connections carried a request.
    pub(crate) fn connections(&self) -> u64 {
        self.shared.connections.load(Ordering::Relaxed)
    }

    /// What was asked so far, sorted.
    pub(crate) fn asked(&self) -> Vec<String> {
        let mut asked = self.shared.asked.lock().unwrap().clone();
        asked.sort();
        asked
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::Relaxed);
        // Wakes the thread that accepts, so that it sees the end.
        let _ = TcpStream::connect(self.address);
    }
}

impl Shared {
    fn serve(&self, stream: &TcpStream) {
        let mut reader = BufReader::new(stream);
        let mut first = true;
        // A client that is gone ends the connection, whatever it was doing.
        while let Some(request) = read_request(&mut reader, self.heads) {
            if std::mem::take(&mut first) {
                self.connections.fetch_add(1, Ordering::Relaxed);
            }
            let number = self.requests.fetch_add(1, Ordering::Relaxed);
            let answer = (self.script)(number, &request);
            self.asked.lock().unwrap().push(request);
            if !reply(stream, &answer) {
                return;
            }
        }
    }
}

/// The request line and the body; or all of the head, an empty line and the body.
fn read_request(reader: &mut BufReader<&TcpStream>, heads: bool) -> Option<String> {
    let mut first = String::new();
    reader
        .read_line(&mut first)
        .ok()
        .filter(|&length| length > 0)?;
    let (mut length, mut head) = (0, first.clone());
    loop {
        let mut line = String::new();
        reader
            .read_line(&mut line)
            .ok()
            .filter(|&length| length > 0)?;
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().unwrap();
        }
        head += &line;
        if line == "\r\n" {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let body = String::from_utf8(body).unwrap();
    Some(match heads {
        true => head + &body,
        false => format!("{} {body}", first.trim_end()),
    })
}

/// Whether the connection stays open.
fn reply(mut stream: &TcpStream, reply: &Reply) -> bool {
    let ok = |more: &str| format!("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n{more}\r\nok");
    let mut write = |text: &str| stream.write_all(text.as_bytes()).is_ok();
    match reply {
        Reply::Status(status) => {
            write(&format!("HTTP/1.1 {status} X\r\ncontent-length: 0\r\n\r\n"))
        }
        Reply::Cut(rest) => {
            write(&format!("HTTP/1.1 200 OK\r\n{rest}"));
            false
        }
        Reply::Framed(rest) => write(&format!("HTTP/1.1 200 OK\r\n{rest}")),
        Reply::Message(status, fields, body) => write(&format!(
            "HTTP/1.1 {status} X\r\ncontent-length: {}\r\n{fields}\r\n{body}",
            body.len()
        )),
        Reply::Last => {
            write(&ok("connection: close\r\n"));
            false
        }
        Reply::HangUp => {
            write(&ok(""));
            false
        }
        Reply::Slow(time) => {
            std::thread::sleep(*time);
            write(&ok(""))
        }
        Reply::Reset => false,
        Reply::Garbage => write("SMTP 220 what?\r\n\r\n"),
        Reply::Silence => {
            // Until the client closes the connection.
            let _ = stream.read(&mut [0]);
            false
        }
    }
}
