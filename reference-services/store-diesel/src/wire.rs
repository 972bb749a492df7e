//! Connections whose last SQLSTATE is known.
//!
//! diesel-async drops the SQLSTATE of most errors (see [`crate::error`]), and gives no way to the client below that has it.
//! But it takes a client that was made by somebody else, and tokio-postgres any stream of bytes. So the stream is one that
//! looks at the messages that go by, which begin with a kind and a length, and keeps the code of an error. A message that
//! is no error costs it a few instructions, and none of them is copied.
//! <https://www.postgresql.org/docs/current/protocol-message-formats.html>

use diesel::connection::{Instrumentation, InstrumentationEvent};
use diesel::{ConnectionError, ConnectionResult};
use diesel_async::{AsyncConnection, AsyncPgConnection};
use std::error::Error;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio::task::AbortHandle;
use tokio_postgres::config::Host;
use tokio_postgres::{Config, NoTls};

/// The port of a URL that names none.
const PORT: u16 = 5432;

/// The SQLSTATE of the last error that came over a connection.
type Last = Arc<Mutex<Option<String>>>;

/// Connects to the one host of `config`, without TLS.
pub(crate) async fn connect(config: &Config) -> ConnectionResult<AsyncPgConnection> {
    let port = config.get_ports().first().copied().unwrap_or(PORT);
    match config.get_hosts().first() {
        Some(Host::Tcp(name)) => {
            let stream = TcpStream::connect((name.as_str(), port)).await;
            let stream = stream.map_err(|error| bad(&error))?;
            stream.set_nodelay(true).map_err(|error| bad(&error))?;
            over(stream, config).await
        }
        Some(Host::Unix(folder)) => {
            let path = folder.join(format!(".s.PGSQL.{port}"));
            over(
                UnixStream::connect(path)
                    .await
                    .map_err(|error| bad(&error))?,
                config,
            )
            .await
        }
        None => Err(ConnectionError::BadConnection("no host".to_owned())),
    }
}

fn bad(error: &dyn Error) -> ConnectionError {
    ConnectionError::BadConnection(whole(error))
}

/// An error with all its causes: tokio-postgres names no more than the kind by itself.
fn whole(error: &dyn Error) -> String {
    let (mut text, mut cause) = (error.to_string(), error.source());
    while let Some(next) = cause {
        text = format!("{text}: {next}");
        cause = next.source();
    }
    text
}

async fn over<S>(stream: S, config: &Config) -> ConnectionResult<AsyncPgConnection>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let last = Last::default();
    let stream = Watched {
        stream,
        messages: Messages::new(Arc::clone(&last)),
    };
    let (client, connection) = config
        .connect_raw(stream, NoTls)
        .await
        .map_err(|error| bad(&error))?;
    let driver = tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(error = whole(&error), "a connection to postgresql broke");
        }
    });
    let wire = Wire {
        last,
        driver: driver.abort_handle(),
    };
    let mut connection = AsyncPgConnection::try_from(client).await?;
    connection.set_instrumentation(wire);
    Ok(connection)
}

/// The SQLSTATE of the last error on this connection, once. That is the error of the last statement, where that one failed
/// for the server's word: statements are answered one after another.
pub(crate) fn last_sqlstate(connection: &mut AsyncPgConnection) -> Option<String> {
    let wire: &Wire = connection.instrumentation().downcast_ref()?;
    lock(&wire.last).take()
}

fn lock(last: &Last) -> std::sync::MutexGuard<'_, Option<String>> {
    last.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What belongs to a connection beside the client, kept where Diesel has a place for what others add.
struct Wire {
    last: Last,
    driver: AbortHandle,
}

impl Instrumentation for Wire {
    fn on_connection_event(&mut self, _: InstrumentationEvent<'_>) {}
}

/// Closes the connection at once: one that is given up in the middle of a transaction, or whose server is silent, would
/// else wait for its answers.
impl Drop for Wire {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

/// A stream whose incoming messages are looked at.
struct Watched<S> {
    stream: S,
    messages: Messages,
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        self.messages.pass(&buffer.filled()[before..]);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

/// The kind of a message and its length.
const HEAD: usize = 5;

/// Where in a message the next byte is.
struct Messages {
    head: [u8; HEAD],
    /// How much of the head has come.
    known: usize,
    /// How much of the body is still to come.
    rest: usize,
    /// The body so far, of an error alone.
    error: Vec<u8>,
    last: Last,
}

impl Messages {
    fn new(last: Last) -> Self {
        Self {
            head: [0; HEAD],
            known: 0,
            rest: 0,
            error: Vec::new(),
            last,
        }
    }

    fn pass(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            if self.known < HEAD {
                let taken = bytes.len().min(HEAD - self.known);
                self.head[self.known..self.known + taken].copy_from_slice(&bytes[..taken]);
                self.known += taken;
                bytes = &bytes[taken..];
                if self.known == HEAD {
                    let [_, length @ ..] = self.head;
                    // It counts itself. What does not fit into memory is for tokio-postgres to refuse.
                    let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
                    self.rest = length.saturating_sub(size_of::<u32>());
                }
            } else {
                let taken = bytes.len().min(self.rest);
                if self.is_error() {
                    self.error.extend_from_slice(&bytes[..taken]);
                }
                self.rest -= taken;
                bytes = &bytes[taken..];
            }
            if self.known == HEAD && self.rest == 0 {
                if self.is_error() {
                    *lock(&self.last) = sqlstate(&self.error);
                    self.error.clear();
                }
                self.known = 0;
            }
        }
    }

    fn is_error(&self) -> bool {
        self.head[0] == b'E'
    }
}

/// The field `C` of an error, whose fields are a letter and a text that ends with a zero.
fn sqlstate(error: &[u8]) -> Option<String> {
    let field = error
        .split(|byte| *byte == 0)
        .find_map(|field| field.strip_prefix(b"C"))?;
    String::from_utf8(field.to_vec()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(kind: u8, body: &[u8]) -> Vec<u8> {
        let length = u32::try_from(body.len() + 4).unwrap().to_be_bytes();
        [&[kind], &length[..], body].concat()
    }

    #[test]
    fn the_code_of_the_last_error_is_kept_however_the_bytes_come() {
        let bytes = [
            message(b'1', b""),
            message(b'D', b"SERROR\0C22012\0\0"),
            message(b'E', b"SERROR\0VERROR\0C40P01\0MCold\0\0"),
            message(b'Z', b"I"),
            message(b'N', b"SNOTICE\0C00000\0\0"),
            message(b'E', b"SFEHLER\0VERROR\0C55P03\0M\0\0"),
            message(b'Z', b"E"),
        ]
        .concat();
        for step in 1..=bytes.len() {
            let last = Last::default();
            let mut messages = Messages::new(Arc::clone(&last));
            for part in bytes.chunks(step) {
                messages.pass(part);
            }
            assert_eq!(lock(&last).as_deref(), Some("55P03"), "{step} at once");
            assert_eq!((messages.known, messages.rest), (0, 0), "{step} at once");
        }
    }

    #[test]
    fn an_error_without_a_code_leaves_none() {
        let last = Last::default();
        let mut messages = Messages::new(Arc::clone(&last));
        messages.pass(&message(b'E', b"SERROR\0C40001\0\0"));
        assert_eq!(lock(&last).as_deref(), Some("40001"));
        messages.pass(&message(b'E', b"SERROR\0MCode\0\0"));
        assert_eq!(*lock(&last), None);
    }
}
