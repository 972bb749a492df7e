//! Our own HTTP/1.1 client: one exchange at a time over one connection, its moments read where the bytes pass.
//!
//! A `Connection` knows no task and no queue. Whoever holds it starts an exchange, which writes at once, and polls
//! for what comes of it. Nothing is allocated for an exchange whose request leaves in one write and whose response
//! head arrives in one read.

pub(super) mod hyper;
pub mod request;
pub mod response;

use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};

use tokio::io::{AsyncRead, ReadBuf};

use super::clock::Clock;
use super::http_parts::Unfit;
use super::kept::{Keeper, Wanted};
use super::link::NotStarted;
use super::stream::{Stream, tls_failure};
use crate::exchange::Outcome;
use crate::scenario::{Content, Draw};
use response::Reader;

pub(super) use request::{Layout, Room};

/// A connection that is open, or was until the peer closed it.
#[derive(Debug)]
pub(super) struct Connection {
    stream: Stream,
    clock: Rc<Clock>,
    reader: Reader,
    keeper: Keeper,
    /// What the socket did not take yet of the current request, and how much of that it took meanwhile.
    unsent: Vec<u8>,
    unsent_from: usize,
    /// Whether a response is awaited.
    busy: bool,
    /// Whether the peer takes no more of what is written; what it has answered can still be read.
    deaf: bool,
    /// When the first byte of the current request was written.
    sent: Option<u64>,
    bytes: Bytes,
}

/// Bytes that passed.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Bytes {
    pub(super) sent: u64,
    pub(super) received: u64,
}

/// What comes of polling a connection.
#[derive(Debug)]
pub(super) enum Event {
    /// The exchange is over: a complete response, or why there is none.
    Over(Answer),
    /// The peer closed the connection, or spoke out of turn, when no exchange was in progress or before anything of
    /// it had been written.
    Closed,
}

/// What came of a request.
#[derive(Debug)]
pub(super) struct Answer {
    /// Immediately before the first byte was written; none where the connection refused to.
    pub(super) sent: Option<u64>,
    /// Right after the read that completed the response, or that showed that there will be none.
    pub(super) done: u64,
    /// The status of a complete response, or why there is none.
    pub(super) result: Result<u16, Failure>,
    /// Whether the connection can carry another exchange.
    pub(super) reusable: bool,
}

/// Why a request has no complete response.
#[derive(Debug)]
pub(super) enum Failure {
    /// The connection ended before the response did.
    Reset(String),
    /// What came is no response.
    Protocol(String),
    /// The peer ended TLS with a complaint.
    Tls(String),
}

impl Failure {
    /// Why there is no complete response where reading it failed.
    pub(super) fn of_reading(error: &io::Error) -> Self {
        match tls_failure(error) {
            Some(words) => Self::Tls(words),
            None => Self::Reset(error.to_string()),
        }
    }

    /// The outcome of its exchange, and why.
    pub(super) fn outcome(&self) -> (Outcome, &String) {
        match self {
            Self::Reset(words) => (Outcome::Reset, words),
            Self::Protocol(words) => (Outcome::ProtocolError, words),
            Self::Tls(words) => (Outcome::TlsError, words),
        }
    }
}

impl Connection {
    pub(super) fn new(stream: Stream, clock: Rc<Clock>) -> Self {
        Self {
            stream,
            clock,
            reader: Reader::default(),
            keeper: Keeper::default(),
            unsent: Vec::new(),
            unsent_from: 0,
            busy: false,
            deaf: false,
            sent: None,
            bytes: Bytes::default(),
        }
    }

    /// Whether the peer has closed the connection while it rested, as far as the reactor knows. `waker` is that of the
    /// task that polls the connection.
    pub(super) fn is_stale(&mut self, waker: &Waker) -> bool {
        self.stream.is_stale(waker)
    }

    /// Writes the request that `layout` and `draw` make. What the socket does not take goes out when the connection
    /// is polled.
    ///
    /// # Errors
    /// When the connection is closed and nothing was written, so that the request may go elsewhere, or there is no
    /// request.
    pub(super) fn start(
        &mut self,
        layout: &Layout,
        wanted: &Rc<Wanted>,
        draw: &Draw<'_>,
        room: &mut Room,
    ) -> Result<(), NotStarted> {
        let request = layout.render(draw, room).map_err(Unfit::from)?;
        let (written, since) = match self.stream.try_write(request, &self.clock) {
            Ok(written) => (written.taken, written.since),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => (0, None),
            Err(_) => return Err(NotStarted::Closed),
        };
        self.sent = since;
        self.bytes.sent += written as u64;
        self.unsent.clear();
        self.unsent_from = 0;
        self.unsent.extend_from_slice(&request[written..]);
        self.reader.begin(layout.head_only);
        self.keeper.begin(wanted);
        self.busy = true;
        Ok(())
    }

    /// When the first byte of the exchange in progress was written.
    pub(super) fn sent(&self) -> Option<u64> {
        self.sent
    }

    /// Whether something of the request still has to be written, for which the connection must be polled.
    pub(super) fn is_writing(&self) -> bool {
        !self.unsent.is_empty() || self.stream.holds_back()
    }

    /// Goes on with the exchange in progress, or looks after the connection while there is none. `buffer` is room to
    /// read into; what is in it afterwards means nothing.
    pub(super) fn poll(&mut self, context: &mut Context<'_>, buffer: &mut [u8]) -> Poll<Event> {
        if self.is_writing() && matches!(self.write_rest(context), Poll::Ready(Err(_))) {
            // A server may refuse a request before all of it has come, answer so, and close.
            self.unsent.clear();
            self.deaf = true;
        }
        loop {
            let mut read = ReadBuf::new(buffer);
            let outcome = ready!(Pin::new(&mut self.stream).poll_read(context, &mut read));
            let now = self.clock.now();
            let bytes = read.filled();
            self.bytes.received += bytes.len() as u64;
            if !self.busy {
                return Poll::Ready(Event::Closed);
            }
            let fed = match outcome {
                Err(error) => {
                    return Poll::Ready(self.fail(now, Failure::of_reading(&error)));
                }
                Ok(()) if bytes.is_empty() => match self.reader.end() {
                    Ok(response) => Ok(Some(response)),
                    Err(cut) => {
                        return Poll::Ready(self.fail(now, Failure::Reset(cut.to_string())));
                    }
                },
                Ok(()) => self.reader.feed_into(bytes, &mut self.keeper),
            };
            match (fed, self.sent) {
                (Ok(None), Some(_)) => {}
                (Ok(Some(response)), Some(_)) => {
                    self.busy = false;
                    return Poll::Ready(Event::Over(Answer {
                        sent: self.sent,
                        done: now,
                        result: Ok(response.status),
                        // An answer may come before the whole request has gone: the rest of it never will.
                        reusable: response.reusable && !self.is_writing() && !self.deaf,
                    }));
                }
                (Err(refusal), Some(_)) => {
                    return Poll::Ready(self.fail(now, Failure::Protocol(refusal.to_string())));
                }
                // An answer to a request of which nothing was written is none.
                (_, None) => return Poll::Ready(Event::Closed),
            }
        }
    }

    /// What was kept of the response of the exchange that is over.
    pub(super) fn content(&self) -> &Content {
        self.keeper.content()
    }

    /// Bytes written and read since the last call.
    pub(super) fn take_bytes(&mut self) -> Bytes {
        std::mem::take(&mut self.bytes)
    }

    fn fail(&mut self, now: u64, failure: Failure) -> Event {
        if self.sent.is_none() {
            return Event::Closed;
        }
        self.busy = false;
        Event::Over(Answer {
            sent: self.sent,
            done: now,
            result: Err(failure),
            reusable: false,
        })
    }

    fn write_rest(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.unsent_from < self.unsent.len() || self.stream.holds_back() {
            ready!(self.stream.poll_writable(context))?;
            let rest = &self.unsent[self.unsent_from..];
            let written = match self.stream.try_write(rest, &self.clock) {
                Ok(written) => written,
                // The reactor was behind: it will say when there is room.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
                Err(error) => return Poll::Ready(Err(error)),
            };
            self.sent = self.sent.or(written.since);
            self.bytes.sent += written.taken as u64;
            self.unsent_from += written.taken;
        }
        self.unsent.clear();
        self.unsent_from = 0;
        Poll::Ready(Ok(()))
    }
}
