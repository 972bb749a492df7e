//! A server of HTTP/2 whose every answer is decided by a function of the request, and a log of what really happened.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use h2::server::{Builder, SendResponse};
use h2::{Reason, RecvStream};
use http::{Request, Response};
use hyper::body::Bytes;
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

/// What becomes of a request.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Reply {
    /// This status, and a body of so many bytes.
    Status(u16, usize),
    /// 200 after a while.
    Slow(Duration),
    /// 200, and the connection takes no more.
    Last,
    /// The connection is given up with this error, unanswered.
    Away(Reason),
    /// The stream is reset.
    Refuse(Reason),
    /// The head of a response, and never its end.
    Half,
    /// Nothing, until the client gives up; the body of the request is never read.
    Silence,
    /// The connection is closed without an answer.
    Close,
}

type Script = dyn Fn(u64, &str) -> Reply + Send + Sync;

/// How the server behaves beside its script.
#[derive(Default)]
pub(crate) struct Manner {
    /// Streams at once on a connection.
    pub(crate) streams: Option<u32>,
    /// TLS; plain TCP without it.
    pub(crate) tls: Option<ServerConfig>,
}

/// A running server; it stops taking connections when it is dropped.
pub(crate) struct Multiplexed {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    script: Box<Script>,
    streams: Option<u32>,
    requests: AtomicU64,
    connections: AtomicU64,
    /// Streams that the client reset.
    cancelled: AtomicU64,
    /// The most requests that were in progress on one connection.
    most: AtomicU64,
    /// What was asked: methods, URIs, headers and bodies.
    asked: Mutex<Vec<String>>,
    stopped: AtomicBool,
}

impl Multiplexed {
    /// Answers as `script` says of the request's number and path.
    pub(crate) fn start(
        manner: Manner,
        script: impl Fn(u64, &str) -> Reply + Send + Sync + 'static,
    ) -> Multiplexed {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            script: Box::new(script),
            streams: manner.streams,
            requests: AtomicU64::new(0),
            connections: AtomicU64::new(0),
            cancelled: AtomicU64::new(0),
            most: AtomicU64::new(0),
            asked: Mutex::new(Vec::new()),
            stopped: AtomicBool::new(false),
        });
        let serving = Arc::clone(&shared);
        let acceptor = manner.tls.map(|tls| TlsAcceptor::from(Arc::new(tls)));
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(serving.accept(listener, acceptor));
        });
        Multiplexed { address, shared }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// How many connections spoke HTTP/2.
    pub(crate) fn connections(&self) -> u64 {
        self.shared.connections.load(Ordering::Relaxed)
    }

    pub(crate) fn requests(&self) -> u64 {
        self.shared.requests.load(Ordering::Relaxed)
    }

    /// Streams that the client reset.
    pub(crate) fn cancelled(&self) -> u64 {
        self.shared.cancelled.load(Ordering::Relaxed)
    }

    /// The most requests that were in progress on one connection.
    pub(crate) fn most_at_once(&self) -> u64 {
        self.shared.most.load(Ordering::Relaxed)
    }

    /// What was asked so far, sorted.
    pub(crate) fn asked(&self) -> Vec<String> {
        let mut asked = self.shared.asked.lock().unwrap().clone();
        asked.sort();
        asked
    }
}

impl Drop for Multiplexed {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::Relaxed);
        // Wakes the task that accepts, so that it sees the end.
        let _ = std::net::TcpStream::connect(self.address);
    }
}

impl Shared {
    async fn accept(self: Arc<Self>, listener: std::net::TcpListener, tls: Option<TlsAcceptor>) {
        let listener = TcpListener::from_std(listener).unwrap();
        while let Ok((socket, _)) = listener.accept().await {
            if self.stopped.load(Ordering::Relaxed) {
                return;
            }
            tokio::spawn(Arc::clone(&self).welcome(socket, tls.clone()));
        }
    }

    async fn welcome(self: Arc<Self>, socket: TcpStream, tls: Option<TlsAcceptor>) {
        socket.set_nodelay(true).unwrap();
        // A client that is gone ends the connection, whatever it was doing.
        match tls {
            None => self.serve(socket).await,
            Some(tls) => {
                if let Ok(stream) = tls.accept(socket).await {
                    self.serve(stream).await;
                }
            }
        }
    }

    async fn serve<T: AsyncRead + AsyncWrite + Unpin>(self: Arc<Self>, stream: T) {
        let mut builder = Builder::new();
        // So that a stream whose body nobody reads holds no other up.
        builder.initial_connection_window_size(1 << 24);
        if let Some(streams) = self.streams {
            builder.max_concurrent_streams(streams);
        }
        let Ok(mut connection) = builder.handshake(stream).await else {
            return;
        };
        self.connections.fetch_add(1, Ordering::Relaxed);
        let here = Arc::new(AtomicU64::new(0));
        while let Some(Ok((request, response))) = connection.accept().await {
            let number = self.requests.fetch_add(1, Ordering::Relaxed);
            let reply = (self.script)(number, request.uri().path());
            match reply {
                Reply::Close => return,
                Reply::Away(reason) => {
                    connection.abrupt_shutdown(reason);
                    continue;
                }
                Reply::Last => connection.graceful_shutdown(),
                _ => {}
            }
            let now = here.fetch_add(1, Ordering::Relaxed) + 1;
            self.most.fetch_max(now, Ordering::Relaxed);
            let (shared, here) = (Arc::clone(&self), Arc::clone(&here));
            tokio::spawn(async move {
                shared.answer(request, response, reply).await;
                here.fetch_sub(1, Ordering::Relaxed);
            });
        }
    }

    async fn answer(
        &self,
        request: Request<RecvStream>,
        mut response: SendResponse<Bytes>,
        reply: Reply,
    ) {
        let (head, mut body) = request.into_parts();
        let (status, bytes) = match reply {
            Reply::Status(status, bytes) => (status, bytes),
            Reply::Slow(time) => {
                tokio::time::sleep(time).await;
                (200, 2)
            }
            Reply::Refuse(reason) => return response.send_reset(reason),
            Reply::Silence => {
                std::future::poll_fn(|context| response.poll_reset(context))
                    .await
                    .ok();
                self.cancelled.fetch_add(1, Ordering::Relaxed);
                return;
            }
            Reply::Half => (200, 0),
            Reply::Last | Reply::Away(_) | Reply::Close => (200, 2),
        };
        let mut read = Vec::new();
        while let Some(Ok(data)) = body.data().await {
            let _ = body.flow_control().release_capacity(data.len());
            read.extend_from_slice(&data);
        }
        let headers: Vec<String> = head
            .headers
            .iter()
            .map(|(name, value)| format!(" {name}={}", value.to_str().unwrap()))
            .collect();
        self.asked.lock().unwrap().push(format!(
            "{} {}{} {}",
            head.method,
            head.uri,
            headers.concat(),
            String::from_utf8(read).unwrap()
        ));
        let half = matches!(reply, Reply::Half);
        let head = Response::builder().status(status).body(()).unwrap();
        let Ok(mut stream) = response.send_response(head, bytes == 0 && !half) else {
            return;
        };
        if half {
            std::future::poll_fn(|context| stream.poll_reset(context))
                .await
                .ok();
            self.cancelled.fetch_add(1, Ordering::Relaxed);
        } else if bytes > 0 {
            let _ = stream.send_data(vec![b'x'; bytes].into(), true);
        }
    }
}
