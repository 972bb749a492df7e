//! A server that answers at once, except while it is frozen, and remembers when that was.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::mpsc::{Receiver, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// When the server freezes, measured from the first request that it read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Script {
    pub(crate) first: Duration,
    /// From the start of one freeze to the start of the next.
    pub(crate) every: Duration,
    pub(crate) lasts: Duration,
    /// When it stops by itself, whatever happens to the test.
    pub at_most: Duration,
}

/// What really happened, in time since the first request was read.
#[derive(Debug, Default)]
pub(crate) struct Log {
    /// Start and end of each freeze.
    pub(crate) freezes: Vec<(Duration, Duration)>,
    /// How much later than scripted a freeze ended, at worst: the machine was busy with something else.
    pub(crate) late: Duration,
    /// Each answer: the number that the request's path ended in, and when it was answered.
    pub(crate) answers: Vec<(u64, Duration)>,
}

/// A running server. Its log comes when it is stopped.
pub(crate) struct Freezing {
    pub(crate) address: SocketAddr,
    stop: std::sync::mpsc::Sender<()>,
    thread: JoinHandle<io::Result<Log>>,
}

/// Every response: small, and with a length, so that the connection stays open.
const RESPONSE: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

impl Freezing {
    pub(crate) fn start(script: Script) -> Freezing {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = channel();
        let thread = std::thread::spawn(move || Server::new(listener, script).serve(&stopped));
        Freezing {
            address,
            stop,
            thread,
        }
    }

    pub(crate) fn stop(self) -> Log {
        // It may have stopped by itself already.
        let _ = self.stop.send(());
        self.thread.join().unwrap().unwrap()
    }
}

/// One thread over every connection, so that a freeze holds up all of them, as a stop-the-world pause would.
struct Server {
    listener: TcpListener,
    connections: Vec<Option<Connection>>,
    script: Script,
    first_request: Option<Instant>,
    log: Log,
}

struct Connection {
    stream: TcpStream,
    read: Vec<u8>,
}

impl Server {
    fn new(listener: TcpListener, script: Script) -> Server {
        Server {
            listener,
            connections: Vec::new(),
            script,
            first_request: None,
            log: Log::default(),
        }
    }

    fn serve(mut self, stopped: &Receiver<()>) -> io::Result<Log> {
        let begun = Instant::now();
        while begun.elapsed() < self.script.at_most && stopped.try_recv().is_err() {
            self.freeze_if_due();
            for ready in self.wait()? {
                match ready {
                    None => self.accept()?,
                    Some(connection) => self.answer(connection)?,
                }
            }
        }
        Ok(self.log)
    }

    /// Waits a little for something to read: the listener (none) or a connection, by its number.
    fn wait(&self) -> io::Result<Vec<Option<usize>>> {
        let listener: BorrowedFd<'_> = self.listener.as_fd();
        let open = || {
            self.connections
                .iter()
                .enumerate()
                .filter_map(|(k, c)| Some((k, c.as_ref()?)))
        };
        let mut files: Vec<PollFd<'_>> = std::iter::once(PollFd::new(&listener, PollFlags::IN))
            .chain(open().map(|(_, connection)| PollFd::new(&connection.stream, PollFlags::IN)))
            .collect();
        // At most 1 ms, so that a freeze begins on time.
        poll(
            &mut files,
            Some(&Timespec {
                tv_sec: 0,
                tv_nsec: 1_000_000,
            }),
        )?;
        let names = std::iter::once(None).chain(open().map(|(k, _)| Some(k)));
        Ok(names
            .zip(&files)
            .filter(|(_, file)| !file.revents().is_empty())
            .map(|(name, _)| name)
            .collect())
    }

    fn accept(&mut self) -> io::Result<()> {
        loop {
            match self.listener.accept() {
                Ok((stream, _)) => {
                    stream.set_nonblocking(true)?;
                    stream.set_nodelay(true)?;
                    self.connections.push(Some(Connection {
                        stream,
                        read: Vec::new(),
                    }));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }

    fn answer(&mut self, number: usize) -> io::Result<()> {
        let Some(connection) = &mut self.connections[number] else {
            return Ok(());
        };
        let mut buffer = [0; 4096];
        match connection.stream.read(&mut buffer) {
            Ok(0) => self.connections[number] = None,
            Ok(length) => {
                let first = *self.first_request.get_or_insert_with(Instant::now);
                connection.read.extend_from_slice(&buffer[..length]);
                // Requests without bodies end with the first empty line.
                while let Some(end) = connection
                    .read
                    .windows(4)
                    .position(|four| four == b"\r\n\r\n")
                {
                    let number = number_of(&connection.read[..end]);
                    connection.read.drain(..end + 4);
                    connection.stream.write_all(RESPONSE)?;
                    self.log.answers.push((number, first.elapsed()));
                }
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(_) => self.connections[number] = None,
        }
        Ok(())
    }

    fn freeze_if_due(&mut self) {
        let Some(first) = self.first_request else {
            return;
        };
        let Script {
            first: offset,
            every,
            lasts,
            ..
        } = self.script;
        let due = offset + every * u32::try_from(self.log.freezes.len()).unwrap();
        let start = first.elapsed();
        if start < due {
            return;
        }
        let wanted = start + lasts;
        std::thread::sleep(lasts);
        let end = first.elapsed();
        self.log.late = self.log.late.max(end - wanted).max(start - due);
        self.log.freezes.push((start, end));
    }
}

/// The number at the end of a request's path.
fn number_of(head: &[u8]) -> u64 {
    let head = std::str::from_utf8(head).unwrap();
    let path = head.split(' ').nth(1).unwrap();
    path.rsplit('/').next().unwrap().parse().unwrap()
}
