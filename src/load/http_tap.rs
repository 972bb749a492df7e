//! The bytes of a connection as `hyper` reads and writes them, and what they pass on the way: a clock, a counter, and
//! whoever wants to know what they say. `hyper` tells none of that, and its futures are ready only some tasks later.

use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use hyper::rt::Executor;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::clock::Clock;
use super::stream::Stream;
use super::turn;

/// Who is told of the bytes of a connection.
pub(super) trait Tap {
    /// `bytes` were written; `before` is the clock immediately before the call that wrote them.
    fn wrote(&self, bytes: &[u8], before: u64);

    /// `bytes` were read; `after` is the clock right after the call that read them.
    fn read(&self, bytes: &[u8], after: u64);

    /// Nothing more is to be read or written: the peer closed the connection, or it failed.
    fn ended(&self, after: u64, error: Option<&io::Error>);
}

/// A stream whose bytes are told of.
///
/// Over TLS the bytes are those within it. They are encrypted and go to the socket in the call that takes them, unless
/// the socket is full: then they go when it takes more, and the moment before is still that of the call that took them.
#[derive(Debug)]
pub(super) struct Tapped<T> {
    stream: Stream,
    clock: Rc<Clock>,
    tap: Rc<T>,
    /// Whether the peer takes no more of what is written. What it has said can still be read, and tells how the connection
    /// ended: `hyper` would not read on if it knew.
    deaf: bool,
}

impl<T: Tap> Tapped<T> {
    /// `stream`, as `hyper` takes it.
    pub(super) fn new(stream: Stream, clock: Rc<Clock>, tap: Rc<T>) -> TokioIo<Self> {
        TokioIo::new(Self {
            stream,
            clock,
            tap,
            deaf: false,
        })
    }

    fn tell_written(&self, slices: &[IoSlice<'_>], written: usize, before: u64) {
        let mut left = written;
        for slice in slices {
            let taken = left.min(slice.len());
            if taken > 0 {
                self.tap.wrote(&slice[..taken], before);
            }
            left -= taken;
        }
    }
}

impl<T: Tap> AsyncRead for Tapped<T> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        let outcome = ready!(Pin::new(&mut this.stream).poll_read(context, buffer));
        let after = this.clock.now();
        match &outcome {
            Err(error) => this.tap.ended(after, Some(error)),
            Ok(()) => match &buffer.filled()[before..] {
                [] => this.tap.ended(after, None),
                bytes => this.tap.read(bytes, after),
            },
        }
        Poll::Ready(outcome)
    }
}

impl<T: Tap> AsyncWrite for Tapped<T> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(context, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let before = this.clock.now();
        if !this.deaf {
            match ready!(Pin::new(&mut this.stream).poll_write_vectored(context, slices)) {
                Ok(written) => {
                    this.tell_written(slices, written, before);
                    return Poll::Ready(Ok(written));
                }
                Err(_) => this.deaf = true,
            }
        }
        Poll::Ready(Ok(slices.iter().map(|slice| slice.len()).sum()))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !this.deaf {
            this.deaf = ready!(Pin::new(&mut this.stream).poll_flush(context)).is_err();
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }
}

/// Lets the tasks of `hyper` run on the worker's thread, counted like its own.
#[derive(Debug, Clone, Copy)]
pub(super) struct OnThisThread;

impl<F: Future<Output = ()> + 'static> Executor<F> for OnThisThread {
    fn execute(&self, task: F) {
        tokio::task::spawn_local(turn::Counted::new(task));
    }
}

/// What `hyper` says of an error, with its causes.
pub(super) fn words(error: &hyper::Error) -> String {
    let mut words = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        words += &format!(": {error}");
        cause = error.source();
    }
    words
}
