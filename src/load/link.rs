//! What carries one exchange at a time, whoever speaks which version of HTTP on it: what the tasks of a worker know of
//! connections.

use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use super::clock::Clock;
use super::dial::{DialError, Spoken};
use super::http_parts::{Parts, Unfit};
use super::http1::hyper::Connection as ByHyper;
use super::http1::{self, Bytes, Event, Room};
use super::http2::{self, Lane};
use super::kept::Wanted;
use super::stream::Stream;
use crate::scenario::{Content, Draw, Inspection, RequestTemplate};

use http::HeaderValue;

/// Who speaks HTTP/1.1.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Engine {
    /// Our own client.
    #[default]
    Own,
    /// `hyper`: slower, and there to hold the other against.
    Hyper,
}

/// A connection, or a lane of one.
#[derive(Debug)]
pub(super) enum Link {
    /// HTTP/1.1 by our own client.
    Own(http1::Connection),
    /// HTTP/1.1 by `hyper`.
    Hyper(ByHyper),
    /// HTTP/2.
    Lane(Lane),
}

/// One step's requests, for every kind of link.
#[derive(Debug)]
pub(super) struct Layout {
    bytes: http1::Layout,
    parts: Parts,
    wanted: Rc<Wanted>,
}

/// Why an exchange did not start.
#[derive(Debug)]
pub(super) enum NotStarted {
    /// The connection was closed before anything of it was written.
    Closed,
    /// What was to be sent is no request.
    Unfit(Unfit),
}

/// How links come to be.
#[derive(Debug, Clone, Copy)]
pub(super) struct Manner {
    pub(super) engine: Engine,
    /// Lanes of a connection of HTTP/2, at most.
    pub(super) lanes: usize,
    /// For the peer to say that it speaks HTTP/2.
    pub(super) limit: Duration,
}

impl Manner {
    /// The links of a connection: one of HTTP/1.1, or the lanes of HTTP/2.
    ///
    /// # Errors
    /// When its peer does not speak HTTP/2, though it should.
    pub(super) async fn open(
        &self,
        stream: Stream,
        spoken: Spoken,
        clock: Rc<Clock>,
    ) -> Result<(Link, Vec<Link>), DialError> {
        match (spoken, self.engine) {
            (Spoken::Http1, Engine::Own) => {
                Ok((Link::Own(http1::Connection::new(stream, clock)), Vec::new()))
            }
            (Spoken::Http1, Engine::Hyper) => {
                Ok((Link::Hyper(ByHyper::open(stream, clock).await?), Vec::new()))
            }
            (Spoken::Http2, _) => {
                let lanes = http2::open_within(self.limit, stream, clock, self.lanes).await?;
                let mut links = lanes.into_iter().map(Link::Lane);
                let first = links.next().expect("a connection has at least one lane");
                Ok((first, links.collect()))
            }
        }
    }
}

impl Layout {
    /// Lays out `request`, of whose responses `inspection` says what must be kept; `host` is what its header says unless
    /// the request says otherwise. `last` says that the connection carries nothing after it.
    pub(super) fn new(
        request: &RequestTemplate,
        inspection: &Inspection,
        host: &HeaderValue,
        secure: bool,
        last: bool,
    ) -> Self {
        Self {
            bytes: http1::Layout::new(request, host, last),
            parts: Parts::new(request, host, secure, last),
            wanted: Rc::new(Wanted::new(request, inspection)),
        }
    }
}

impl Link {
    /// Starts the exchange that `layout` and `draw` make.
    ///
    /// # Errors
    /// When nothing of it was written, nor ever will be on this link.
    pub(super) fn start(
        &mut self,
        layout: &Layout,
        draw: &Draw<'_>,
        room: &mut Room,
    ) -> Result<(), NotStarted> {
        let Layout {
            bytes,
            parts,
            wanted,
        } = layout;
        match self {
            Self::Own(connection) => connection.start(bytes, wanted, draw, room),
            Self::Hyper(connection) => connection.start(parts, wanted, draw),
            Self::Lane(lane) => lane.start(parts, wanted, draw),
        }
    }

    /// What was kept of the response of the exchange that is over.
    pub(super) fn content(&self) -> &Content {
        match self {
            Self::Own(connection) => connection.content(),
            Self::Hyper(connection) => connection.content(),
            Self::Lane(lane) => lane.content(),
        }
    }

    /// Goes on with the exchange in progress, or looks after the link while there is none. `buffer` is room to read
    /// into.
    pub(super) fn poll(&mut self, context: &mut Context<'_>, buffer: &mut [u8]) -> Poll<Event> {
        match self {
            Self::Own(connection) => connection.poll(context, buffer),
            Self::Hyper(connection) => connection.poll(context),
            Self::Lane(lane) => lane.poll(context),
        }
    }

    /// When the first byte of the exchange in progress was written.
    pub(super) fn sent(&self) -> Option<u64> {
        match self {
            Self::Own(connection) => connection.sent(),
            Self::Hyper(connection) => connection.sent(),
            Self::Lane(lane) => lane.sent(),
        }
    }

    /// Whether the link must be polled for what was started to go on.
    pub(super) fn wants_poll(&self) -> bool {
        match self {
            Self::Own(connection) => connection.is_writing(),
            Self::Hyper(connection) => connection.is_unpolled(),
            Self::Lane(lane) => lane.is_unpolled(),
        }
    }

    /// Whether the peer has ended the link while it rested, as far as is known without asking it. `waker` is that of the
    /// task that polls the link.
    pub(super) fn is_stale(&mut self, waker: &Waker) -> bool {
        match self {
            Self::Own(connection) => connection.is_stale(waker),
            Self::Hyper(connection) => connection.is_stale(),
            Self::Lane(lane) => lane.is_stale(),
        }
    }

    /// Gives the exchange in progress up; whether the link can carry another.
    pub(super) fn abandon(&mut self) -> bool {
        match self {
            Self::Own(_) | Self::Hyper(_) => false,
            Self::Lane(lane) => lane.abandon(),
        }
    }

    /// The connection is to carry no more than what is on it.
    pub(super) fn retire(&self) {
        if let Self::Lane(lane) = self {
            lane.retire();
        }
    }

    /// Whether the connection is known to have carried an exchange that was on another link.
    pub(super) fn has_carried(&self) -> bool {
        matches!(self, Self::Lane(lane) if lane.has_carried())
    }

    /// The link has an exchange now; whether that is the only one of the connection.
    pub(super) fn occupy(&self) -> bool {
        match self {
            Self::Own(_) | Self::Hyper(_) => true,
            Self::Lane(lane) => lane.occupy(),
        }
    }

    /// The link has no exchange any more; whether the connection has none.
    pub(super) fn vacate(&self) -> bool {
        match self {
            Self::Own(_) | Self::Hyper(_) => true,
            Self::Lane(lane) => lane.vacate(),
        }
    }

    /// The link is closed for good: whether the connection is with it, and whether another is to take its place, given
    /// that this link wants that or does not.
    pub(super) fn leave(&self, replace: bool) -> (bool, bool) {
        match self {
            Self::Own(_) | Self::Hyper(_) => (true, replace),
            Self::Lane(lane) => lane.leave(replace),
        }
    }

    /// Bytes written and read on the connection since the last call.
    pub(super) fn take_bytes(&mut self) -> Bytes {
        match self {
            Self::Own(connection) => connection.take_bytes(),
            Self::Hyper(connection) => connection.take_bytes(),
            Self::Lane(lane) => lane.take_bytes(),
        }
    }
}

impl From<Unfit> for NotStarted {
    fn from(unfit: Unfit) -> Self {
        Self::Unfit(unfit)
    }
}
