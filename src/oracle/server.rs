//! The loop: waits for what comes and for the next moment, and does what the script says.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io;
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};

use rustix::io::Errno;
use rustix::net::SocketFlags;

use super::Options;
use super::answers::{Answers, Which};
use super::connection::{Busy, Connection, Read, Written};
use super::poller::{Poller, Ready, monotonic, stopped_before};
use super::request::Request;
use super::slots::Slots;
use crate::script::{Reply, Script};
use crate::verification::log::{Entry, Log};

/// Tokens of what is no connection: higher than any place and generation that are reached.
const LISTENER: u64 = u64::MAX - 1;
const STOP: u64 = u64::MAX - 2;

/// Connections that are accepted before anything else is looked after.
const ACCEPTED_AT_ONCE: usize = 64;

/// Bytes that are read at once.
const BUFFER: usize = 64 * 1024;

/// A server at work.
pub(super) struct Server<'a> {
    script: &'a Script,
    listener: &'a TcpListener,
    stop: BorrowedFd<'a>,
    /// When it ends by itself.
    ends: u64,
    over: bool,
    poller: Poller,
    answers: Answers,
    slots: Slots,
    /// When something is to be done for which connection, the next first.
    held: BinaryHeap<Reverse<(u64, u64)>>,
    /// When each of those that serve will be free, where their number is bounded.
    free: BinaryHeap<Reverse<u64>>,
    /// When the first request came.
    first: Option<u64>,
    /// Stalls that are over.
    stalls: u64,
    /// Connections accepted.
    opened: u32,
    /// Requests read.
    requests: u64,
    log: Log,
    /// Requests that are logged at most.
    most_logged: usize,
    buffer: Vec<u8>,
}

impl<'a> Server<'a> {
    pub(super) fn new(
        script: &'a Script,
        listener: &'a TcpListener,
        stop: BorrowedFd<'a>,
        options: Options,
    ) -> io::Result<Self> {
        let Options {
            lasts,
            most_logged,
            spin,
        } = options;
        let lasts = u64::try_from(lasts.as_nanos()).unwrap_or(u64::MAX);
        let poller = Poller::new(spin)?;
        poller.add(listener, LISTENER)?;
        poller.add(stop, STOP)?;
        Ok(Self {
            script,
            listener,
            stop,
            ends: monotonic().saturating_add(lasts),
            over: false,
            poller,
            answers: Answers::new(script.body),
            slots: Slots::default(),
            held: BinaryHeap::new(),
            free: (0..script.capacity.unwrap_or(0))
                .map(|_| Reverse(0))
                .collect(),
            first: None,
            stalls: 0,
            opened: 0,
            requests: 0,
            log: Log {
                // Pages that are never touched cost no memory, and growing would copy while requests wait.
                entries: Vec::with_capacity(most_logged),
                ..Log::default()
            },
            most_logged,
            buffer: vec![0; BUFFER],
        })
    }

    pub(super) fn run(mut self) -> io::Result<Log> {
        let mut ready: Vec<Ready> = Vec::new();
        self.catch_up()?;
        while !self.over {
            self.poller.wait(self.next_moment(), &mut ready)?;
            for ready in ready.drain(..) {
                // What is held back does not wait for what others send.
                self.catch_up()?;
                match ready.token {
                    _ if self.over => break,
                    STOP => self.over = true,
                    LISTENER => self.accept()?,
                    _ => self.progress(ready),
                }
            }
            self.catch_up()?;
        }
        Ok(self.log)
    }

    /// Does everything whose moment has come, and stands still where that has.
    fn catch_up(&mut self) -> io::Result<()> {
        while !self.over {
            let now = monotonic();
            if now >= self.ends {
                self.over = true;
                return Ok(());
            }
            if let Some((from, to)) = self.next_stall().filter(|&(from, _)| from <= now) {
                self.over = stopped_before(self.stop, to.min(self.ends))?;
                self.stalls += 1;
                self.log.stalls.push((now.max(from), monotonic()));
                continue;
            }
            match self.held.peek() {
                Some(&Reverse((moment, token))) if moment <= now => {
                    self.held.pop();
                    self.answer(token, now);
                    self.read(token);
                }
                _ => return Ok(()),
            }
        }
        Ok(())
    }

    fn next_moment(&self) -> u64 {
        let held = self.held.peek().map(|&Reverse((moment, _))| moment);
        let stall = self.next_stall().map(|(from, _)| from);
        [held, stall]
            .into_iter()
            .flatten()
            .fold(self.ends, u64::min)
    }

    /// When the server stands still next, from and to.
    fn next_stall(&self) -> Option<(u64, u64)> {
        let (from, to) = self.script.stall?.bounds(self.stalls);
        let first = self.first?;
        Some((first.saturating_add(from), first.saturating_add(to)))
    }

    fn accept(&mut self) -> io::Result<()> {
        for _ in 0..ACCEPTED_AT_ONCE {
            let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
            let stream = match rustix::net::accept_with(self.listener, flags) {
                Ok(descriptor) => TcpStream::from(descriptor),
                Err(Errno::AGAIN) => return Ok(()),
                Err(Errno::INTR | Errno::CONNABORTED) => continue,
                Err(error) => return Err(error.into()),
            };
            stream.set_nodelay(true)?;
            let token = self.slots.insert(Connection::new(stream, self.opened));
            self.opened += 1;
            if let Some(connection) = self.slots.of(token) {
                self.poller.add_edges(connection.stream().as_fd(), token)?;
            }
        }
        Ok(())
    }

    /// Looks after a connection on which something has happened.
    fn progress(&mut self, ready: Ready) {
        let Some(connection) = self.slots.of(ready.token) else {
            return;
        };
        if ready.gone {
            self.slots.close(ready.token);
            return;
        }
        connection.woken(ready.ended);
        if connection.busy.is_some() {
            self.write(ready.token);
        }
        self.read(ready.token);
    }

    /// Reads and begins requests for as long as the connection is not busy with one.
    fn read(&mut self, token: u64) {
        while let Some(connection) = self.slots.of(token) {
            if connection.busy.is_some() {
                return;
            }
            match connection.read(&mut self.buffer) {
                Read::Request(request) => self.begin(token, &request),
                Read::Nothing => return,
                Read::Closed => self.slots.close(token),
                Read::Bad => {
                    connection.busy = Some(Busy::refusal());
                    self.answer(token, monotonic());
                }
            }
        }
    }

    /// Decides what is done with a request, and does it if that is at once.
    fn begin(&mut self, token: u64, request: &Request) {
        let Some(connection) = self.slots.of(token) else {
            return;
        };
        let now = monotonic();
        self.first.get_or_insert(now);
        self.requests += 1;
        let act = self.script.act(request.seq.unwrap_or(self.requests));
        let entry = Entry {
            seq: request.seq,
            connection: connection.number,
            arrived: now,
            answered: None,
            status: 0,
        };
        let place = if self.log.entries.len() < self.most_logged {
            self.log.entries.push(entry);
            Some(self.log.entries.len() - 1)
        } else {
            self.log.unlogged += 1;
            None
        };
        let which = match act.reply {
            Reply::Ok => Some(Which::new(false, request.close)),
            Reply::Error => Some(Which::new(true, request.close)),
            Reply::Reset => None,
        };
        connection.busy = Some(Busy::new(place, which, request));
        let begins = match self.free.pop() {
            Some(Reverse(free)) => free.max(now),
            None => now,
        };
        let moment = begins.saturating_add(act.delay_ns);
        if self.script.capacity.is_some() {
            self.free.push(Reverse(moment));
        }
        if moment <= now {
            self.answer(token, now);
        } else {
            self.held.push(Reverse((moment, token)));
        }
    }

    /// Writes the next part of an answer, or closes the connection where that is the answer.
    fn answer(&mut self, token: u64, now: u64) {
        let Some(busy) = self.slots.of(token).and_then(|one| one.busy.as_mut()) else {
            return;
        };
        match busy.which {
            Some(which) => {
                let answer = self.answers.of(which);
                if let Some(next) = busy.release(answer, now, self.script.slow_body) {
                    self.held.push(Reverse((next, token)));
                }
                self.write(token);
            }
            None => {
                let entry = busy.entry;
                if let Some(connection) = self.slots.of(token) {
                    // Without lingering, closing resets the connection. Should the system refuse, it ends in order.
                    let at_once = Some(std::time::Duration::ZERO);
                    let _ = rustix::net::sockopt::set_socket_linger(connection.stream(), at_once);
                }
                self.slots.close(token);
                self.answered(entry, 0);
            }
        }
    }

    fn write(&mut self, token: u64) {
        let Some(connection) = self.slots.of(token) else {
            return;
        };
        match connection.write(&self.answers) {
            Written::Part => {}
            Written::Closed => self.slots.close(token),
            Written::All => {
                let Some(busy) = connection.busy.take() else {
                    return;
                };
                let status = busy.which.map_or(0, |which| self.answers.of(which).status);
                self.answered(busy.entry, status);
                if busy.close {
                    self.slots.close(token);
                }
            }
        }
    }

    fn answered(&mut self, entry: Option<usize>, status: u16) {
        if let Some(entry) = entry.and_then(|entry| self.log.entries.get_mut(entry)) {
            entry.answered = Some(monotonic());
            entry.status = status;
        }
    }
}
