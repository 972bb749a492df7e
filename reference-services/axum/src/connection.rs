//! One connection: which protocol it speaks, and how that is served.

use crate::rpc::{Stopping, stopped};
use axum::Router;
use contract::limit;
use hyper::server::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::graceful::Watcher;
use hyper_util::service::TowerToHyperService;
use launch::{Plan, Profile};
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// What a client of HTTP/2 begins with (RFC 9113, section 3.4), as none of HTTP/1.1 does. All of it is awaited here, where
/// there is a bound on the time: Hyper has none for it.
const PREFACE: [u8; 24] = *b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The pause before another look at a connection whose first segment holds less than [`PREFACE`], which is next to none.
const SECOND_LOOK: Duration = Duration::from_millis(1);

/// After so many looks, whatever else comes is no HTTP/2.
const LOOKS: usize = 500;

/// HTTP/1.1 and HTTP/2. Without a certificate a client of HTTP/2 says so by its first bytes, which is how gRPC is spoken
/// without TLS; with one, the handshake settles it.
pub(crate) struct Protocols {
    http1: http1::Builder,
    http2: http2::Builder<TokioExecutor>,
    tls: Option<TlsAcceptor>,
    /// How long a client without TLS may take to say which protocol it is.
    patience: Option<Duration>,
}

impl Protocols {
    /// Those of `plan`.
    pub(crate) fn new(plan: &Plan) -> Self {
        let patience = plan.profile.head_timeout();
        let mut http1 = http1::Builder::new();
        http1
            .timer(TokioTimer::new())
            .header_read_timeout(patience)
            .pipeline_flush(plan.profile == Profile::Tuned);
        let mut http2 = http2::Builder::new(TokioExecutor::new());
        http2
            .timer(TokioTimer::new())
            .max_concurrent_streams(limit::HTTP2_STREAMS)
            // A client that is gone without a word is noticed; one that is silent may stay.
            .keep_alive_interval(Some(limit::HTTP2_PING))
            .keep_alive_timeout(limit::HTTP2_PING);
        let tls = plan.tls.clone().map(|mut config| {
            config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
            TlsAcceptor::from(Arc::new(config))
        });
        Self {
            http1,
            http2,
            tls,
            patience,
        }
    }

    /// Serves `stream` until it ends, or until `stopping` and what is in flight is answered.
    pub(crate) async fn serve(
        &self,
        stream: TcpStream,
        router: Router,
        graceful: Watcher,
        stopping: Stopping,
    ) {
        if let Err(error) = stream.set_nodelay(limit::TCP_NODELAY) {
            tracing::debug!(%error, "a connection keeps its Nagle delay");
        }
        let opened = tokio::select! {
            opened = self.open(stream) => opened,
            // Nothing was asked yet.
            () = stopped(stopping) => return,
        };
        // What is rare is boxed, so that a connection of HTTP/1.1 holds no place for it.
        let ended = match opened {
            Ok(Opened::Plain(stream)) => self.http1(stream, router, graceful).await,
            Ok(Opened::PriorKnowledge(stream)) => {
                Box::pin(self.http2(stream, router, graceful)).await
            }
            Ok(Opened::Secret(stream)) if chose_http2(&stream) => {
                Box::pin(self.http2(*stream, router, graceful)).await
            }
            Ok(Opened::Secret(stream)) => Box::pin(self.http1(*stream, router, graceful)).await,
            Err(error) => return tracing::debug!(%error, "a connection was not opened"),
        };
        if let Err(error) = ended {
            tracing::debug!(%error, "a connection broke");
        }
    }

    async fn open(&self, stream: TcpStream) -> io::Result<Opened> {
        if let Some(tls) = &self.tls {
            let stream = timeout(limit::TLS_HANDSHAKE, Box::pin(handshake(tls, stream))).await??;
            return Ok(Opened::Secret(Box::new(stream)));
        }
        let begins = begins_with_preface(&stream);
        let http2 = match self.patience {
            Some(patience) => timeout(patience, begins).await??,
            None => begins.await?,
        };
        Ok(if http2 {
            Opened::PriorKnowledge(stream)
        } else {
            Opened::Plain(stream)
        })
    }

    async fn http1(
        &self,
        stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
        router: Router,
        graceful: Watcher,
    ) -> hyper::Result<()> {
        let service = TowerToHyperService::new(router);
        let connection = self.http1.serve_connection(TokioIo::new(stream), service);
        graceful.watch(connection).await
    }

    async fn http2(
        &self,
        stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
        router: Router,
        graceful: Watcher,
    ) -> hyper::Result<()> {
        let service = TowerToHyperService::new(router);
        let connection = self.http2.serve_connection(TokioIo::new(stream), service);
        graceful.watch(connection).await
    }
}

/// A connection of which it is known what it speaks.
enum Opened {
    Plain(TcpStream),
    PriorKnowledge(TcpStream),
    Secret(Box<TlsStream<TcpStream>>),
}

/// The handshake, and where it chose HTTP/2, a look at whether the client begins with that.
async fn handshake(tls: &TlsAcceptor, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
    let mut stream = tls.accept(stream).await?;
    // One record holds the preface, for it is the first thing that a client writes.
    if chose_http2(&stream) && !stream.fill_buf().await?.starts_with(&PREFACE) {
        return Err(io::ErrorKind::InvalidData.into());
    }
    Ok(stream)
}

fn chose_http2(stream: &TlsStream<TcpStream>) -> bool {
    let (_, session) = stream.get_ref();
    session.alpn_protocol() == Some(b"h2")
}

/// Whether a client begins with HTTP/2. Nothing is taken out of the stream.
async fn begins_with_preface(stream: &TcpStream) -> io::Result<bool> {
    let mut first = [0; PREFACE.len()];
    for _ in 0..LOOKS {
        let length = stream.peek(&mut first).await?;
        if length == 0 || first[..length] != PREFACE[..length] {
            break;
        }
        if length == PREFACE.len() {
            return Ok(true);
        }
        sleep(SECOND_LOOK).await;
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    #[tokio::test]
    async fn the_first_bytes_tell_the_protocol_and_stay() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        for (parts, expected) in [
            (&["GET / HTTP/1.1\r\n"][..], false),
            (&["PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nand more"], true),
            (&["P", "RI * HTTP/2.0\r\n\r\n", "SM\r\n\r\n"], true),
            (&["P", "OST / HTTP/1.1\r\n"], false),
            (&["PRI * HTTP/2.0\r\n\r\n"], false),
            (&[], false),
        ] {
            let mut client = TcpStream::connect(listener.local_addr().unwrap())
                .await
                .unwrap();
            client.set_nodelay(true).unwrap();
            let (stream, _) = listener.accept().await.unwrap();
            let sending = async {
                for part in parts {
                    client.write_all(part.as_bytes()).await.unwrap();
                    sleep(3 * SECOND_LOOK).await;
                }
                client.shutdown().await.unwrap();
            };
            let looking = begins_with_preface(&stream);
            let (looked, ()) = tokio::join!(looking, sending);
            assert_eq!(looked.unwrap(), expected, "{parts:?}");
            let (mut stream, mut kept) = (stream, String::new());
            stream.read_to_string(&mut kept).await.unwrap();
            assert_eq!(kept, parts.concat());
        }
    }
}
