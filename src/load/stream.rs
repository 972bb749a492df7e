//! The bytes of a connection: a socket, or TLS over one.

use std::io::{self, IoSlice, Write};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use super::clock::Clock;

/// A connected byte stream.
#[derive(Debug)]
pub(super) enum Stream {
    /// As it is.
    Plain(TcpStream),
    /// Over TLS, its handshake done.
    Tls(Box<TlsStream<TcpStream>>),
}

/// What became of bytes that were to be written.
#[derive(Debug, Clone, Copy)]
pub(super) struct Written {
    /// So many of them need not be offered again. Over TLS, some of these may wait in the stream until it is written to
    /// or flushed again: see [`Stream::holds_back`].
    pub(super) taken: usize,
    /// The clock immediately before the first byte went to the socket; none where none did.
    pub(super) since: Option<u64>,
}

impl Stream {
    /// Writes what the socket takes now. Nobody is woken when it takes more: see [`Stream::poll_writable`].
    ///
    /// # Errors
    /// When nothing went to the socket: `WouldBlock` where it is full.
    pub(super) fn try_write(&mut self, bytes: &[u8], clock: &Clock) -> io::Result<Written> {
        match self {
            Self::Plain(socket) => {
                let before = clock.now();
                let taken = socket.try_write(bytes)?;
                Ok(Written {
                    taken,
                    since: (taken > 0).then_some(before),
                })
            }
            Self::Tls(tls) => try_write_tls(tls, bytes, clock),
        }
    }

    /// Whether bytes that were taken have not gone to the socket yet.
    pub(super) fn holds_back(&self) -> bool {
        match self {
            Self::Plain(_) => false,
            Self::Tls(tls) => tls.get_ref().1.wants_write(),
        }
    }

    /// Ready when the socket may take more; `context` is woken then.
    pub(super) fn poll_writable(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.socket().poll_write_ready(context)
    }

    /// Whether a stream on which nothing is awaited has ended, or holds what nobody asked for, as far as the reactor
    /// knows. Asks the kernel only where there is something to read. `waker` is the one by which the stream's own task
    /// is woken: what a peer says about TLS itself (tickets, new keys) is taken here, and the task stays registered.
    pub(super) fn is_stale(&mut self, waker: &Waker) -> bool {
        let mut byte = [0];
        match self {
            Self::Plain(socket) => {
                !matches!(socket.try_read(&mut byte), Err(error) if error.kind() == io::ErrorKind::WouldBlock)
            }
            Self::Tls(tls) => {
                let mut context = Context::from_waker(waker);
                let mut read = ReadBuf::new(&mut byte);
                Pin::new(tls).poll_read(&mut context, &mut read).is_ready()
            }
        }
    }

    fn socket(&self) -> &TcpStream {
        match self {
            Self::Plain(socket) => socket,
            Self::Tls(tls) => tls.get_ref().0,
        }
    }
}

/// What a peer's refusal on the level of TLS says; none where `error` is of another kind. A TLS 1.3 server says only
/// after the handshake that it does not accept the client's certificate.
pub(super) fn tls_failure(error: &io::Error) -> Option<String> {
    let error = error.get_ref()?.downcast_ref::<rustls::Error>()?;
    Some(format!("TLS: {error}"))
}

fn try_write_tls(
    tls: &mut TlsStream<TcpStream>,
    bytes: &[u8],
    clock: &Clock,
) -> io::Result<Written> {
    let (socket, session) = tls.get_mut();
    let mut written = Written {
        taken: 0,
        since: None,
    };
    loop {
        while session.wants_write() {
            let before = clock.now();
            match session.write_tls(&mut NoWait(socket)) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(_) => {
                    written.since.get_or_insert(before);
                }
                // What has gone has gone: that the connection broke meanwhile shows when it is read.
                Err(_) if written.since.is_some() => return Ok(written),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock && written.taken > 0 => {
                    return Ok(written);
                }
                Err(error) => return Err(error),
            }
        }
        let rest = &bytes[written.taken..];
        if rest.is_empty() {
            return Ok(written);
        }
        // Nothing waits in the session, so it takes at least a record.
        written.taken += session.writer().write(rest)?;
    }
}

/// A socket that is written to without waiting.
struct NoWait<'a>(&'a TcpStream);

impl Write for NoWait<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_write(bytes)
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.0.try_write_vectored(slices)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_read(context, buffer),
            Self::Tls(tls) => Pin::new(tls).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_write(context, bytes),
            Self::Tls(tls) => Pin::new(tls).poll_write(context, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_write_vectored(context, slices),
            Self::Tls(tls) => Pin::new(tls).poll_write_vectored(context, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(socket) => socket.is_write_vectored(),
            Self::Tls(tls) => tls.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_flush(context),
            Self::Tls(tls) => Pin::new(tls).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_shutdown(context),
            Self::Tls(tls) => Pin::new(tls).poll_shutdown(context),
        }
    }
}
