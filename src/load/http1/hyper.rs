//! HTTP/1.1 by `hyper`: a second engine, to hold our own client against one that others wrote.
//!
//! It allocates and passes through tasks for every exchange, which the generator does not want; what it reports of a
//! target must be the same.

use std::cell::RefCell;
use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};

use hyper::client::conn::http1::{Builder, SendRequest};

use super::{Answer, Bytes, Event, Failure};
use crate::load::clock::Clock;
use crate::load::dial::DialError;
use crate::load::http_parts::{Body, Parts, read_whole};
use crate::load::http_tap::{Tap, Tapped, words};
use crate::load::kept::{Keeper, Wanted};
use crate::load::link::NotStarted;
use crate::load::stream::{Stream, tls_failure};
use crate::load::turn;
use crate::scenario::{Content, Draw};

/// A connection that is open, or was until the peer closed it.
pub(in crate::load) struct Connection {
    /// None while an exchange has it.
    sender: Option<SendRequest<Body>>,
    watch: Rc<Watch>,
    exchange: Option<Pin<Box<dyn Future<Output = Exchanged>>>>,
    keeper: Keeper,
    unpolled: bool,
}

/// What came of an exchange.
struct Exchanged {
    result: hyper::Result<(u16, Keeper)>,
    /// The last read before its end was known.
    done: u64,
    /// Given back where the connection can carry another exchange.
    sender: Option<SendRequest<Body>>,
}

/// What the bytes of a connection tell.
#[derive(Debug, Default)]
struct Watch(RefCell<Known>);

#[derive(Debug, Default)]
struct Known {
    /// Whether a request was started of which nothing has been written.
    starting: bool,
    sent: Option<u64>,
    last_read: u64,
    bytes: Bytes,
    end: Option<Option<Failure>>,
    waiting: Option<Waker>,
}

impl Connection {
    /// Over `stream`.
    ///
    /// # Errors
    /// None that a stream can cause.
    pub(in crate::load) async fn open(stream: Stream, clock: Rc<Clock>) -> Result<Self, DialError> {
        let watch = Rc::new(Watch::default());
        let io = Tapped::new(stream, clock, Rc::clone(&watch));
        let opened = Builder::new().handshake(io).await;
        let (sender, driver) = opened.map_err(|error| DialError::Protocol(words(&error)))?;
        let told = Rc::clone(&watch);
        tokio::task::spawn_local(turn::Counted::new(async move {
            // What it failed with, its exchange is told.
            let _ = driver.await;
            told.0.borrow_mut().end_by(None);
        }));
        Ok(Self {
            sender: Some(sender),
            watch,
            exchange: None,
            keeper: Keeper::default(),
            unpolled: false,
        })
    }

    /// Gives the request that `parts` and `draw` make to the connection.
    ///
    /// # Errors
    /// When the connection is closed, so that the request may go elsewhere, or when it is no request.
    pub(in crate::load) fn start(
        &mut self,
        parts: &Parts,
        wanted: &Rc<Wanted>,
        draw: &Draw<'_>,
    ) -> Result<(), NotStarted> {
        if self.is_stale() {
            return Err(NotStarted::Closed);
        }
        let request = parts.for_http1(draw)?;
        let mut sender = self.sender.take().ok_or(NotStarted::Closed)?;
        {
            let known = &mut *self.watch.0.borrow_mut();
            (known.starting, known.sent) = (true, None);
        }
        let watch = Rc::clone(&self.watch);
        let response = sender.send_request(request);
        let mut keeper = std::mem::take(&mut self.keeper);
        keeper.begin(wanted);
        self.exchange = Some(Box::pin(async move {
            let result = read_whole(response, keeper).await;
            let done = watch.0.borrow().last_read;
            // Ready when all of the exchange is over on both sides; never where the peer closes the connection.
            let reusable = result.is_ok() && sender.ready().await.is_ok();
            Exchanged {
                result,
                done,
                sender: reusable.then_some(sender),
            }
        }));
        self.unpolled = true;
        Ok(())
    }

    /// Goes on with the exchange in progress, or looks after the connection while there is none.
    pub(in crate::load) fn poll(&mut self, context: &mut Context<'_>) -> Poll<Event> {
        self.unpolled = false;
        let Some(exchange) = &mut self.exchange else {
            let known = &mut *self.watch.0.borrow_mut();
            if known.end.is_some() {
                return Poll::Ready(Event::Closed);
            }
            known.waiting = Some(context.waker().clone());
            return Poll::Pending;
        };
        let Exchanged {
            result,
            done,
            sender,
        } = ready!(exchange.as_mut().poll(context));
        self.exchange = None;
        self.sender = sender;
        let known = &mut *self.watch.0.borrow_mut();
        // An answer to a request of which nothing was written is none.
        let Some(sent) = known.sent.take() else {
            return Poll::Ready(Event::Closed);
        };
        Poll::Ready(Event::Over(Answer {
            sent: Some(sent),
            done,
            result: match result {
                Ok((status, keeper)) => {
                    self.keeper = keeper;
                    Ok(status)
                }
                Err(error) => Err(failure(&error, known.end.take().flatten())),
            },
            reusable: self.sender.is_some(),
        }))
    }

    /// What was kept of the response of the exchange that is over.
    pub(in crate::load) fn content(&self) -> &Content {
        self.keeper.content()
    }

    pub(in crate::load) fn sent(&self) -> Option<u64> {
        self.watch.0.borrow().sent
    }

    pub(in crate::load) fn is_unpolled(&self) -> bool {
        self.unpolled
    }

    pub(in crate::load) fn is_stale(&self) -> bool {
        self.watch.0.borrow().end.is_some()
    }

    pub(in crate::load) fn take_bytes(&self) -> Bytes {
        std::mem::take(&mut self.watch.0.borrow_mut().bytes)
    }
}

/// Why there is no response, where `hyper` says `error` and the connection ended with `end`.
fn failure(error: &hyper::Error, end: Option<Failure>) -> Failure {
    match end {
        _ if error.is_parse() => Failure::Protocol(words(error)),
        Some(end) => end,
        None => Failure::Reset(words(error)),
    }
}

impl Known {
    fn end_by(&mut self, failure: Option<Failure>) {
        self.end.get_or_insert(failure);
        if let Some(waker) = self.waiting.take() {
            waker.wake();
        }
    }
}

impl Tap for Watch {
    fn wrote(&self, bytes: &[u8], before: u64) {
        let known = &mut *self.0.borrow_mut();
        known.bytes.sent += bytes.len() as u64;
        if std::mem::take(&mut known.starting) {
            known.sent = Some(before);
        }
    }

    fn read(&self, bytes: &[u8], after: u64) {
        let known = &mut *self.0.borrow_mut();
        known.bytes.received += bytes.len() as u64;
        known.last_read = after;
    }

    fn ended(&self, after: u64, error: Option<&io::Error>) {
        let known = &mut *self.0.borrow_mut();
        known.last_read = after;
        known.end_by(error.and_then(tls_failure).map(Failure::Tls));
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").finish_non_exhaustive()
    }
}
