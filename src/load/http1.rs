//! HTTP/1.1 over one connection, by hyper, with the moments stamped where the bytes pass.
//!
//! The rest of the generator knows only [`Connection`]: open it, exchange on it, and ask whether it can be used
//! again.

use std::cell::Cell;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::clock::Clock;

/// The largest response head that is read: twice what common servers send at most.
const MOST_HEAD_BYTES: usize = 64 * 1024;

/// A connection that is open, or was until the peer closed it.
pub(super) struct Connection {
    stamps: Rc<Stamps>,
    clock: Rc<Clock>,
    sender: http1::SendRequest<Full<Bytes>>,
    /// Reads and writes for `sender`; none once it has ended.
    driver: Option<Pin<Box<Driver>>>,
    used: bool,
}

/// A request with its body.
pub(super) type Request = hyper::Request<Full<Bytes>>;

type Driver = http1::Connection<TokioIo<Stamped>, Full<Bytes>>;

/// What came of a request.
#[derive(Debug)]
pub(super) struct Answer {
    /// Immediately before the first byte was written; none where none was.
    pub(super) sent: Option<u64>,
    /// Right after the read that completed the response, or when it was given up.
    pub(super) done: u64,
    /// The status of a complete response, or why there is none.
    pub(super) result: Result<u16, Failure>,
}

/// Why a request has no complete response.
#[derive(Debug)]
pub(super) enum Failure {
    /// The time was up.
    Timeout,
    /// The connection ended before the response did.
    Reset(String),
    /// What came is no response.
    Protocol(String),
}

/// The moments and bytes of a connection, seen where they pass.
#[derive(Debug, Default)]
pub(super) struct Stamps {
    first_write: Cell<Option<u64>>,
    last_read: Cell<Option<u64>>,
    sent_bytes: Cell<u64>,
    received_bytes: Cell<u64>,
}

impl Stamps {
    /// When the first byte of the current request was written.
    pub(super) fn sent(&self) -> Option<u64> {
        self.first_write.get()
    }
}

impl Connection {
    /// Connects, with `TCP_NODELAY`, within `timeout`.
    pub(super) async fn open(
        address: SocketAddr,
        timeout: Duration,
        clock: &Rc<Clock>,
    ) -> io::Result<Self> {
        let connecting = tokio::time::timeout(timeout, TcpStream::connect(address));
        let tcp = connecting
            .await
            .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
        tcp.set_nodelay(true)?;
        let stamps = Rc::new(Stamps::default());
        let io = TokioIo::new(Stamped {
            tcp,
            stamps: Rc::clone(&stamps),
            clock: Rc::clone(clock),
        });
        let (sender, driver) = http1::Builder::new()
            .max_header_size(MOST_HEAD_BYTES)
            .handshake(io)
            .await
            .map_err(io::Error::other)?;
        let driver = Some(Box::pin(driver));
        Ok(Self {
            stamps,
            clock: Rc::clone(clock),
            sender,
            driver,
            used: false,
        })
    }

    /// The moments of the exchange in progress, for whoever has to end it from outside.
    pub(super) fn stamps(&self) -> &Rc<Stamps> {
        &self.stamps
    }

    /// Sends `request` and reads the whole response, within `timeout` from the first byte.
    pub(super) async fn exchange(&mut self, request: Request, timeout: Duration) -> Answer {
        self.stamps.first_write.set(None);
        self.stamps.last_read.set(None);
        let response = self.sender.send_request(request);
        let driver = &mut self.driver;
        let result = tokio::time::timeout(timeout, async {
            let response = drive(driver, response).await?;
            let status = response.status().as_u16();
            drive(driver, discard(response.into_body())).await?;
            Ok(status)
        })
        .await;
        let sent = self.stamps.sent();
        self.used |= sent.is_some();
        let (done, result) = match result {
            Ok(Ok(status)) => (self.stamps.last_read.get(), Ok(status)),
            Ok(Err(error)) => (None, Err(Failure::from(&error))),
            Err(_) => (None, Err(Failure::Timeout)),
        };
        Answer {
            sent,
            done: done.unwrap_or_else(|| self.clock.now()),
            result,
        }
    }

    /// Whether the connection can carry another exchange.
    pub(super) async fn is_reusable(&mut self) -> bool {
        let sender = &mut self.sender;
        drive(
            &mut self.driver,
            poll_fn(|context| sender.poll_ready(context)),
        )
        .await
        .is_ok()
    }

    /// Whether it has written a request.
    pub(super) fn was_used(&self) -> bool {
        self.used
    }

    /// Looks after an idle connection; ready when the peer has ended it.
    pub(super) fn poll_closed(&mut self, context: &mut Context<'_>) -> Poll<()> {
        poll_driver(&mut self.driver, context);
        if self.driver.is_none() || self.sender.is_closed() {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }

    /// Bytes written and read since the last call.
    pub(super) fn take_bytes(&self) -> (u64, u64) {
        (
            self.stamps.sent_bytes.take(),
            self.stamps.received_bytes.take(),
        )
    }
}

impl From<&hyper::Error> for Failure {
    fn from(error: &hyper::Error) -> Self {
        use std::error::Error as _;
        let words = match error.source() {
            Some(source) => format!("{error}: {source}"),
            None => error.to_string(),
        };
        // What hyper cannot parse is the peer's protocol error; all else that ends an exchange is the connection.
        if error.is_parse() {
            Self::Protocol(words)
        } else {
            Self::Reset(words)
        }
    }
}

/// Polls the connection along with `work`, in one task, so that an exchange costs no message between two.
async fn drive<F: Future>(driver: &mut Option<Pin<Box<Driver>>>, work: F) -> F::Output {
    let mut work = pin!(work);
    poll_fn(|context| {
        poll_driver(driver, context);
        work.as_mut().poll(context)
    })
    .await
}

fn poll_driver(driver: &mut Option<Pin<Box<Driver>>>, context: &mut Context<'_>) {
    if let Some(running) = driver
        && running.as_mut().poll(context).is_ready()
    {
        // Its error, if any, reaches the exchange by way of the sender.
        *driver = None;
    }
}

async fn discard(mut body: Incoming) -> Result<(), hyper::Error> {
    while let Some(frame) = body.frame().await {
        frame?;
    }
    Ok(())
}

/// A socket that notes when bytes pass, and how many.
#[derive(Debug)]
struct Stamped {
    tcp: TcpStream,
    stamps: Rc<Stamps>,
    clock: Rc<Clock>,
}

impl Stamped {
    fn write(
        &mut self,
        write: impl FnOnce(Pin<&mut TcpStream>) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        let first = self.stamps.first_write.get();
        let before = first.unwrap_or_else(|| self.clock.now());
        let written = ready!(write(Pin::new(&mut self.tcp)))?;
        self.stamps.first_write.set(Some(before));
        self.stamps
            .sent_bytes
            .update(|bytes| bytes + written as u64);
        Poll::Ready(Ok(written))
    }
}

impl AsyncRead for Stamped {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.tcp).poll_read(context, buffer))?;
        self.stamps.last_read.set(Some(self.clock.now()));
        let read = buffer.filled().len() - before;
        self.stamps
            .received_bytes
            .update(|bytes| bytes + read as u64);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Stamped {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.write(|tcp| tcp.poll_write(context, bytes))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.write(|tcp| tcp.poll_write_vectored(context, slices))
    }

    fn is_write_vectored(&self) -> bool {
        self.tcp.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_shutdown(context)
    }
}
