//! How a connection comes to be: an address in its turn, the connection, and the handshake where it is TLS. Each step
//! is timed by itself; all of them together have one time limit.

use std::cell::Cell;
use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::clock::monotonic;
use super::limits::{is_loopback_4, source};
use super::names::{Addresses, in_turn};
use super::stream::{Stream, tls_failure};
use super::tls::{self, Tls, TlsError};
use crate::exchange::Outcome;
use crate::scenario::Http;
use crate::units::format_duration;

/// The names of the versions of HTTP in TLS (ALPN).
const HTTP1: &[u8] = b"http/1.1";
const HTTP2: &[u8] = b"h2";

/// The version of HTTP that a connection has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Spoken {
    /// 1.1.
    Http1,
    /// 2.
    Http2,
}

/// Where a target is reached, and how.
#[derive(Debug, Clone)]
pub struct Route {
    /// A name or an address; an IPv6 address without its brackets.
    pub(super) host: String,
    pub(super) port: u16,
    tls: Option<(Arc<ClientConfig>, ServerName<'static>)>,
}

impl Route {
    /// To `port` of `host`, a name or an address.
    #[must_use]
    pub fn plain(host: &str, port: u16) -> Self {
        Self {
            host: host.to_owned(),
            port,
            tls: None,
        }
    }

    /// The same, by TLS with the server that is called `name`, wherever it is reached; `http` is offered to it.
    ///
    /// # Errors
    /// When no certificate can be for that name.
    pub fn secured(self, tls: &Tls, name: &str, http: Http) -> Result<Self, TlsError> {
        let name = tls::server_name(name)?;
        let offered: &[&[u8]] = match http {
            Http::One => &[HTTP1],
            Http::Two => &[HTTP2],
            Http::Auto => &[HTTP2, HTTP1],
        };
        Ok(Self {
            tls: Some((tls.offering(offered), name)),
            ..self
        })
    }

    /// Whether it is reached by TLS.
    pub(super) fn is_secure(&self) -> bool {
        self.tls.is_some()
    }
}

/// Opens connections, for one worker.
pub(super) struct Dialer {
    tls: Option<(TlsConnector, ServerName<'static>)>,
    addresses: watch::Receiver<Addresses>,
    /// Source addresses, for a target on loopback.
    sources: usize,
    http: Http,
    /// Of connecting and handshake together.
    limit: Duration,
    turn: Cell<usize>,
}

/// What came of opening a connection. Times in nanoseconds.
#[derive(Debug)]
pub(super) struct Dialed {
    /// Until the connection was there; none where it never was.
    pub(super) connect: Option<u64>,
    /// From then until the handshake was done; none where there was none, or it failed.
    pub(super) tls: Option<u64>,
    /// The connection, and what is spoken on it.
    pub(super) stream: Result<(Stream, Spoken), DialError>,
}

/// Why there is no connection.
#[derive(Debug)]
pub(super) enum DialError {
    /// There was nothing to connect to.
    Connect(io::Error),
    /// There was, and then no handshake.
    Handshake(String),
    /// There was, and then no HTTP/2, nor anything else.
    Unanswered(String),
    /// There was, and then something that is not HTTP/2.
    Protocol(String),
}

impl Dialer {
    /// `turn` is the first connection's: workers begin at different addresses.
    pub(super) fn new(
        route: &Route,
        addresses: watch::Receiver<Addresses>,
        sources: usize,
        http: Http,
        limit: Duration,
        turn: usize,
    ) -> Self {
        let tls = route.tls.as_ref();
        Self {
            tls: tls.map(|(config, name)| (TlsConnector::from(Arc::clone(config)), name.clone())),
            addresses,
            sources,
            http,
            limit,
            turn: Cell::new(turn),
        }
    }

    /// Opens a connection.
    pub(super) async fn dial(&self) -> Dialed {
        let begun = monotonic();
        let failed = |connect, error| Dialed {
            connect,
            tls: None,
            stream: Err(error),
        };
        let socket = match within(self.limit, self.connect()).await {
            Ok(socket) => socket,
            Err(error) => return failed(None, DialError::Connect(error)),
        };
        let connected = monotonic();
        let connect = Some(connected.saturating_sub(begun));
        let Some((connector, name)) = &self.tls else {
            let spoken = match self.http {
                Http::One | Http::Auto => Spoken::Http1,
                Http::Two => Spoken::Http2,
            };
            return Dialed {
                connect,
                tls: None,
                stream: Ok((Stream::Plain(socket), spoken)),
            };
        };
        let left = Duration::from_nanos(connected.saturating_sub(begun));
        let left = self.limit.saturating_sub(left);
        match within(left, connector.connect(name.clone(), socket)).await {
            Ok(stream) => {
                let tls = Some(monotonic().saturating_sub(connected));
                let chosen = stream.get_ref().1.alpn_protocol();
                let stream = match (self.http, chosen == Some(HTTP2)) {
                    (Http::Two, false) => Err(DialError::Handshake(
                        "TLS: the target did not choose HTTP/2 (ALPN h2)".to_owned(),
                    )),
                    (_, true) => Ok((Stream::Tls(Box::new(stream)), Spoken::Http2)),
                    (_, false) => Ok((Stream::Tls(Box::new(stream)), Spoken::Http1)),
                };
                Dialed {
                    connect,
                    tls,
                    stream,
                }
            }
            Err(error) => failed(connect, DialError::Handshake(self.handshake_words(&error))),
        }
    }

    /// Connects to the address whose turn it is, or to the next one that there is a connection to: a name may have an
    /// address on which nobody listens, as `localhost` often has, and every client goes on to the next.
    async fn connect(&self) -> io::Result<TcpStream> {
        let addresses = Arc::clone(&self.addresses.borrow());
        let turn = self.turn.get();
        self.turn.set(turn.wrapping_add(1));
        let mut failure = io::ErrorKind::NotFound.into();
        for address in in_turn(&addresses, turn) {
            match self.connect_to(address, turn / addresses.len()).await {
                Ok(stream) => return Ok(stream),
                Err(error) => failure = error,
            }
        }
        Err(failure)
    }

    async fn connect_to(&self, address: SocketAddr, turn: usize) -> io::Result<TcpStream> {
        let stream = if self.sources > 1 && is_loopback_4(address.ip()) {
            let socket = TcpSocket::new_v4()?;
            // The port is taken here and not when connecting, so an address has each port once, whatever the target:
            // there is one target, to which no more would be possible.
            socket.bind((source(turn, self.sources), 0).into())?;
            socket.connect(address).await?
        } else {
            TcpStream::connect(address).await?
        };
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    fn handshake_words(&self, error: &io::Error) -> String {
        if error.kind() == io::ErrorKind::TimedOut {
            let limit = format_duration(self.limit);
            return format!("TLS: no handshake within {limit} of connecting");
        }
        let words = tls_failure(error).unwrap_or_else(|| format!("TLS handshake: {error}"));
        if words.ends_with("UnknownIssuer") {
            return format!("{words} (--cacert names an authority, -k trusts anybody)");
        }
        if words.ends_with("NoApplicationProtocol") && self.http == Http::Two {
            return format!("{words} (the target does not speak HTTP/2)");
        }
        words
    }
}

impl DialError {
    /// The outcome of the exchange for which the connection was opened.
    pub(super) fn outcome(&self) -> Outcome {
        match self {
            Self::Connect(_) | Self::Unanswered(_) => Outcome::ConnectError,
            Self::Handshake(_) => Outcome::TlsError,
            Self::Protocol(_) => Outcome::ProtocolError,
        }
    }
}

impl fmt::Display for DialError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect(error) => write!(f, "connecting: {error}"),
            Self::Handshake(words) | Self::Unanswered(words) | Self::Protocol(words) => {
                f.write_str(words)
            }
        }
    }
}

async fn within<T>(limit: Duration, work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    timeout(limit, work)
        .await
        .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use tokio::net::TcpListener;

    use super::*;
    use crate::load::tls::TlsOptions;

    const LIMIT: Duration = Duration::from_secs(10);

    fn dialer(addresses: &[SocketAddr], sources: usize) -> Dialer {
        let (_, addresses) = watch::channel(Arc::from(addresses));
        Dialer::new(
            &Route::plain("h", 1),
            addresses,
            sources,
            Http::One,
            LIMIT,
            0,
        )
    }

    async fn listeners(count: u8) -> (Vec<TcpListener>, Vec<SocketAddr>) {
        let mut listeners = Vec::new();
        for last in 1..=count {
            let address = (Ipv4Addr::new(127, 0, 0, last), 0);
            listeners.push(TcpListener::bind(address).await.unwrap());
        }
        let addresses = listeners.iter().map(|l| l.local_addr().unwrap()).collect();
        (listeners, addresses)
    }

    /// Who connected to `listener`, of so many.
    async fn peers(listener: &TcpListener, count: usize) -> Vec<SocketAddr> {
        let mut peers = Vec::new();
        for _ in 0..count {
            peers.push(listener.accept().await.unwrap().1);
        }
        peers
    }

    #[tokio::test]
    async fn all_addresses_are_used_in_turn() {
        let (listeners, addresses) = listeners(3).await;
        let dialer = dialer(&addresses, 1);
        for _ in 0..6 {
            let dialed = dialer.dial().await;
            assert!(dialed.stream.is_ok());
            assert!(dialed.connect.is_some() && dialed.tls.is_none());
        }
        for listener in &listeners {
            assert_eq!(peers(listener, 2).await.len(), 2);
        }
    }

    #[tokio::test]
    async fn an_address_on_which_nobody_listens_is_passed_over() {
        let (mut listeners, addresses) = listeners(2).await;
        listeners.remove(0);
        let dialer = dialer(&addresses, 1);
        for _ in 0..4 {
            assert!(dialer.dial().await.stream.is_ok());
        }
        assert_eq!(peers(&listeners[0], 4).await.len(), 4);
        listeners.clear();
        let dialed = dialer.dial().await;
        assert_eq!(dialed.connect, None);
        let error = dialed.stream.unwrap_err();
        assert_eq!(error.outcome(), Outcome::ConnectError);
        assert!(error.to_string().starts_with("connecting: "), "{error}");
    }

    #[tokio::test]
    async fn several_sources_are_used_in_turn_whatever_the_address() {
        let (listeners, addresses) = listeners(2).await;
        let dialer = dialer(&addresses, 3);
        for _ in 0..6 {
            assert!(dialer.dial().await.stream.is_ok());
        }
        for listener in &listeners {
            let peers = peers(listener, 3).await;
            let last: Vec<_> = peers.iter().map(|peer| peer.ip().to_string()).collect();
            assert_eq!(last, ["127.0.0.1", "127.0.0.2", "127.0.0.3"]);
        }
    }

    #[tokio::test]
    async fn a_handshake_that_gets_no_answer_ends_with_the_time_for_connecting() {
        let (_silent, addresses) = listeners(1).await;
        let tls = Tls::new(&TlsOptions {
            insecure: true,
            ..TlsOptions::default()
        });
        let route = Route::plain("h", 1)
            .secured(&tls.unwrap(), "h", Http::One)
            .unwrap();
        let (_, addresses) = watch::channel(Arc::from(addresses));
        let limit = Duration::from_millis(20);
        let dialer = Dialer::new(&route, addresses, 1, Http::One, limit, 0);
        let dialed = dialer.dial().await;
        assert!(dialed.connect.is_some() && dialed.tls.is_none());
        let error = dialed.stream.unwrap_err();
        assert_eq!(error.outcome(), Outcome::TlsError);
        assert_eq!(
            error.to_string(),
            "TLS: no handshake within 20ms of connecting"
        );
    }
}
