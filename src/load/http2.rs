//! HTTP/2 by `hyper`: a connection, and the lanes that it offers.
//!
//! A [`Lane`] is to a worker what a connection of HTTP/1.1 is: it carries one exchange at a time. A connection has as
//! many as its peer allows streams, and its moments are read where its bytes pass, frame by frame: `hyper` would tell of
//! a response only some tasks after it was read.

mod frames;
pub(super) mod single;
mod watch;

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hyper::client::conn::http2::{Builder, SendRequest};
use tokio::time::timeout;

use super::clock::Clock;
use super::dial::DialError;
use super::http_parts::{Body, Parts, read_whole};
use super::http_tap::{OnThisThread, Tapped};
use super::http1::{Answer, Bytes, Event};
use super::kept::{Keeper, Wanted};
use super::link::NotStarted;
use super::stream::Stream;
use super::turn;
use crate::scenario::{Content, Draw};
use crate::units::format_duration;
use watch::{End, Watch};

/// The largest head of a response, as for HTTP/1.1.
const MOST_HEAD_BYTES: u32 = 64 * 1024;

/// Streams that timed out and of which frames may still come: beyond that, `h2` takes such a frame for a violation and
/// ends the connection. An entry is small, and lasts a second.
const MOST_RESET_STREAMS: usize = 10_000;

/// One of the exchanges that a connection can carry at once.
pub(super) struct Lane {
    connection: Rc<Connection>,
    exchange: Option<Exchange>,
    keeper: Keeper,
    /// Whether the exchange has not been polled yet, so that nobody would be woken for it.
    unpolled: bool,
    /// Whether its task is woken when the connection ends.
    heeds_end: bool,
}

/// A connection; it is shut down when its last lane is gone.
struct Connection {
    sender: SendRequest<Body>,
    watch: Rc<Watch>,
}

/// The status of a response, and what was kept of it.
type Read = hyper::Result<(u16, Keeper)>;

struct Exchange {
    stream: u32,
    /// The status of the response, when all of it has come.
    response: Pin<Box<dyn Future<Output = Read>>>,
}

/// Opens HTTP/2 over `stream` as [`open`] does, if its peer answers within `limit`.
///
/// # Errors
/// When it does not, or does not begin with settings.
pub(super) async fn open_within(
    limit: Duration,
    stream: Stream,
    clock: Rc<Clock>,
    most: usize,
) -> Result<Vec<Lane>, DialError> {
    timeout(limit, open(stream, clock, most))
        .await
        .unwrap_or_else(|_| {
            let limit = format_duration(limit);
            let words = format!("the target did not say that it speaks HTTP/2 within {limit}");
            Err(DialError::Unanswered(words))
        })
}

/// Opens HTTP/2 over `stream`: its lanes, `most` of them unless the peer allows fewer.
///
/// # Errors
/// When the peer does not begin with settings.
async fn open(stream: Stream, clock: Rc<Clock>, most: usize) -> Result<Vec<Lane>, DialError> {
    let watch = Rc::new(Watch::new());
    let io = Tapped::new(stream, clock, Rc::clone(&watch));
    let opened = Builder::new(OnThisThread)
        .initial_max_send_streams(most)
        .max_header_list_size(MOST_HEAD_BYTES)
        .max_concurrent_reset_streams(MOST_RESET_STREAMS)
        .handshake(io)
        .await;
    let (sender, driver) = match opened {
        Ok(opened) => opened,
        Err(error) => {
            watch.dropped(&Err(error));
            return Err(no_settings(
                poll_fn(|context| watch.poll_settings(context)).await.err(),
            ));
        }
    };
    let told = Rc::clone(&watch);
    tokio::task::spawn_local(turn::Counted::new(async move {
        told.dropped(&driver.await);
    }));
    let settings = poll_fn(|context| watch.poll_settings(context))
        .await
        .map_err(|end| no_settings(Some(end)))?;
    let allowed = settings
        .most_streams
        .map_or(most, |allowed| allowed as usize);
    // A peer that allows none yet may do so later: the request waits until then.
    let lanes = most.min(allowed).max(1);
    watch.set_lanes(lanes);
    let connection = Rc::new(Connection { sender, watch });
    let lane = |_| Lane {
        connection: Rc::clone(&connection),
        exchange: None,
        keeper: Keeper::default(),
        unpolled: false,
        heeds_end: false,
    };
    Ok((0..lanes).map(lane).collect())
}

fn no_settings(end: Option<End>) -> DialError {
    match end {
        Some(End::Tls(words)) => DialError::Handshake(words),
        Some(End::Wrong(words)) => DialError::Protocol(words),
        Some(End::Away(name)) => {
            DialError::Protocol(format!("the target refused HTTP/2 with {name}"))
        }
        Some(End::Lost(words)) => DialError::Unanswered(format!(
            "{words} before the target said that it speaks HTTP/2"
        )),
        Some(End::Ours) | None => DialError::Unanswered("HTTP/2 was given up".to_owned()),
    }
}

impl Lane {
    /// Gives the request that `parts` and `draw` make to the connection, which writes it as soon as its own task runs.
    ///
    /// # Errors
    /// When the connection takes no more, so that the request may go elsewhere, or when it is no request.
    pub(super) fn start(
        &mut self,
        parts: &Parts,
        wanted: &Rc<Wanted>,
        draw: &Draw<'_>,
    ) -> Result<(), NotStarted> {
        let Connection { sender, watch } = &*self.connection;
        if watch.is_over() {
            return Err(NotStarted::Closed);
        }
        let request = parts.for_http2(draw)?;
        let stream = watch.begin();
        let response = sender.clone().send_request(request);
        let mut keeper = std::mem::take(&mut self.keeper);
        keeper.begin(wanted);
        self.exchange = Some(Exchange {
            stream,
            response: Box::pin(read_whole(response, keeper)),
        });
        self.unpolled = true;
        Ok(())
    }

    /// Goes on with the exchange in progress, or looks after the lane while there is none.
    pub(super) fn poll(&mut self, context: &mut Context<'_>) -> Poll<Event> {
        self.unpolled = false;
        let watch = &self.connection.watch;
        let Some(exchange) = &mut self.exchange else {
            ready!(watch.poll_end(context, &mut self.heeds_end));
            return Poll::Ready(Event::Closed);
        };
        let result = ready!(exchange.response.as_mut().poll(context));
        let (moments, done) = watch.finish(exchange.stream);
        self.exchange = None;
        let result = match result {
            Ok((status, keeper)) => {
                self.keeper = keeper;
                Ok(status)
            }
            Err(error) => {
                let gone = watch.is_over() || error.is_canceled() || error.is_closed();
                if moments.sent.is_none() && gone {
                    return Poll::Ready(Event::Closed);
                }
                Err(watch.failure(&moments, &error))
            }
        };
        Poll::Ready(Event::Over(Answer {
            sent: moments.sent,
            done,
            // What was refused without being sent would be refused again: its connection's streams are counted wrong.
            reusable: !watch.is_over() && moments.sent.is_some(),
            result,
        }))
    }

    /// What was kept of the response of the exchange that is over.
    pub(super) fn content(&self) -> &Content {
        self.keeper.content()
    }

    /// When the first byte of the exchange in progress was written.
    pub(super) fn sent(&self) -> Option<u64> {
        let exchange = self.exchange.as_ref()?;
        self.connection.watch.sent(exchange.stream)
    }

    /// Whether the lane must be polled, so that its task is woken for what comes.
    pub(super) fn is_unpolled(&self) -> bool {
        self.unpolled
    }

    /// Whether the connection takes no more requests.
    pub(super) fn is_stale(&self) -> bool {
        self.connection.watch.is_over()
    }

    /// Resets the stream of the exchange in progress; whether the lane can carry another.
    pub(super) fn abandon(&mut self) -> bool {
        if let Some(exchange) = self.exchange.take() {
            self.connection.watch.finish(exchange.stream);
        }
        self.unpolled = false;
        !self.connection.watch.is_over()
    }

    /// The connection is to carry no more, on any lane.
    pub(super) fn retire(&self) {
        self.connection.watch.retire();
    }

    /// Whether the connection has carried anything.
    pub(super) fn has_carried(&self) -> bool {
        self.connection.watch.has_carried()
    }

    /// The lane has an exchange now; whether no other lane of the connection had one.
    pub(super) fn occupy(&self) -> bool {
        self.connection.watch.occupy()
    }

    /// The lane has no exchange any more; whether no other lane of the connection has one.
    pub(super) fn vacate(&self) -> bool {
        self.connection.watch.vacate()
    }

    /// The lane is closed for good: whether it was the connection's last, and whether another connection is to take its
    /// place, which the lanes that were closed before may have wanted too.
    pub(super) fn leave(&self, replace: bool) -> (bool, bool) {
        self.connection.watch.leave(replace)
    }

    /// Bytes written and read on the connection since the last call, on whatever lane.
    pub(super) fn take_bytes(&self) -> Bytes {
        self.connection.watch.take_bytes()
    }
}

impl fmt::Debug for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stream = self.exchange.as_ref().map(|exchange| exchange.stream);
        f.debug_struct("Lane").field("stream", &stream).finish()
    }
}
