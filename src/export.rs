//! Sends results to where others look: to collectors of OpenTelemetry, as OTLP over HTTP.
//!
//! Everything is sent when the result is there, so a collector that is slow, or gone, touches no measurement. It gets two
//! seconds for each message and ten for all of them.

use std::error::Error;
use std::fmt;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::str::FromStr;
use std::thread;
use std::time::Duration;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::CONTENT_TYPE;
use reqwest::{Client, Response, StatusCode, redirect};
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};
use url::Url;

/// How long a collector may take for a message: one on this machine takes milliseconds.
const MESSAGE_WITHIN: Duration = Duration::from_secs(2);

/// How long it may take for all of a result: who measured waits meanwhile.
const ALL_WITHIN: Duration = Duration::from_secs(10);

/// Where OTLP over HTTP takes metrics, unless a URL says otherwise.
const METRICS_PATH: &str = "/v1/metrics";

/// Bytes of an answer that are read: it says how many points were refused, and why.
const MOST_ANSWER_BYTES: usize = 64 << 10;

/// A collector of OpenTelemetry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Collector {
    url: Url,
}

/// What names no collector.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CollectorError {
    /// Another kind of export than the one that there is.
    #[error("`{0}` names no way to export")]
    Way(String),
    /// Not a URL with a host.
    #[error("`{0}` is not the URL of a collector")]
    Url(String),
    /// Another scheme.
    #[error("`{0}://` is not spoken with a collector")]
    Scheme(String),
    /// A user or a password.
    #[error("credentials are not sent to a collector")]
    Credentials,
}

impl CollectorError {
    /// The next step.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Way(_) | Self::Url(_) => "write otlp=http://127.0.0.1:4318",
            Self::Scheme(_) => {
                "write otlp=http://…; a collector on this machine can pass on by TLS"
            }
            Self::Credentials => {
                "leave them out; a collector on this machine can pass on with credentials"
            }
        }
    }
}

/// Why a result did not arrive.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// Nobody was reached, or the connection ended.
    #[error("{0}")]
    Unreached(String),
    /// Too slow.
    #[error("no answer within {} s", .0.as_secs())]
    Slow(Duration),
    /// Something else was answered than that it was taken.
    #[error("it answered {0}")]
    Refused(StatusCode),
    /// It is elsewhere.
    #[error("it answered {0}, and no redirect is followed: name the URL that it leads to")]
    Elsewhere(StatusCode),
    /// The library could not be set up.
    #[error("no client: {0}")]
    Client(String),
}

/// What became of messages that a collector took.
#[derive(Debug, Default)]
pub struct Taken {
    /// The bodies of its answers, cut off where they are long.
    pub answers: Vec<Vec<u8>>,
}

impl FromStr for Collector {
    type Err = CollectorError;

    /// `otlp=http://HOST:PORT`, with or without a path; without one it is OTLP's own.
    fn from_str(text: &str) -> Result<Self, CollectorError> {
        let written = text
            .strip_prefix("otlp=")
            .ok_or_else(|| CollectorError::Way(text.to_owned()))?;
        let mut url = Url::parse(written).map_err(|_| CollectorError::Url(written.to_owned()))?;
        // Checked first, so that no message repeats them.
        if !url.username().is_empty() || url.password().is_some() {
            return Err(CollectorError::Credentials);
        }
        if url.scheme() != "http" {
            return Err(match written.contains("://") {
                true => CollectorError::Scheme(url.scheme().to_owned()),
                false => CollectorError::Url(written.to_owned()),
            });
        }
        if url.path() == "/" {
            url.set_path(METRICS_PATH);
        }
        url.set_fragment(None);
        Ok(Self { url })
    }
}

impl fmt::Display for Collector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "otlp={}", self.url)
    }
}

impl Collector {
    /// Sends messages in their order, each as the body of a request. The first that is not taken ends it.
    ///
    /// # Errors
    /// When a message is not taken, or all of them take too long.
    pub async fn send(&self, messages: Vec<Vec<u8>>) -> Result<Taken, ExportError> {
        let client = Client::builder()
            .no_proxy()
            .redirect(redirect::Policy::none())
            .dns_resolver(Unhurried)
            .build()
            .map_err(|error| ExportError::Client(error.to_string()))?;
        let all = Instant::now() + ALL_WITHIN;
        let mut taken = Taken::default();
        for message in messages {
            let end = all.min(Instant::now() + MESSAGE_WITHIN);
            let sent = timeout_at(end, self.post(&client, message)).await;
            let within = if end == all {
                ALL_WITHIN
            } else {
                MESSAGE_WITHIN
            };
            let answer = sent.map_err(|_| ExportError::Slow(within))??;
            taken.answers.push(answer);
        }
        Ok(taken)
    }

    async fn post(&self, client: &Client, message: Vec<u8>) -> Result<Vec<u8>, ExportError> {
        let request = client
            .post(self.url.clone())
            .header(CONTENT_TYPE, "application/x-protobuf")
            .body(message);
        let answer = request
            .send()
            .await
            .map_err(|error| ExportError::Unreached(reason(&error)))?;
        match answer.status() {
            status if status.is_success() => body(answer).await,
            status if status.is_redirection() => Err(ExportError::Elsewhere(status)),
            status => Err(ExportError::Refused(status)),
        }
    }
}

/// Looks names up on a thread that nobody waits for: a name server that is slow keeps no process from ending, as it would on the
/// runtime's own threads.
#[derive(Debug)]
struct Unhurried;

impl Resolve for Unhurried {
    fn resolve(&self, name: Name) -> Resolving {
        let (answer, answered) = oneshot::channel();
        let look_up = move || {
            let found = (name.as_str(), 0).to_socket_addrs();
            // Whoever asked may have given up.
            let _ = answer.send(found.map(Vec::from_iter));
        };
        let begun = thread::Builder::new().spawn(look_up);
        Box::pin(async move {
            begun?;
            let addresses: Vec<SocketAddr> = answered.await??;
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}

async fn body(mut answer: Response) -> Result<Vec<u8>, ExportError> {
    let mut bytes = Vec::new();
    while bytes.len() < MOST_ANSWER_BYTES {
        let chunk = answer.chunk().await;
        match chunk.map_err(|error| ExportError::Unreached(reason(&error)))? {
            Some(chunk) => bytes.extend_from_slice(&chunk),
            None => break,
        }
    }
    Ok(bytes)
}

/// The cause that tells most: the system's, where there is one.
fn reason(error: &reqwest::Error) -> String {
    let (mut words, mut cause) = (error.to_string(), error.source());
    while let Some(error) = cause {
        if let Some(system) = error.downcast_ref::<io::Error>() {
            return system.kind().to_string();
        }
        words = error.to_string();
        cause = error.source();
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_collector_is_named_by_its_url() {
        for (written, expected) in [
            (
                "otlp=http://127.0.0.1:4318",
                "otlp=http://127.0.0.1:4318/v1/metrics",
            ),
            (
                "otlp=http://127.0.0.1:4318/",
                "otlp=http://127.0.0.1:4318/v1/metrics",
            ),
            (
                "otlp=http://[::1]:4318?tenant=a",
                "otlp=http://[::1]:4318/v1/metrics?tenant=a",
            ),
            (
                "otlp=http://collector/api/metrics#x",
                "otlp=http://collector/api/metrics",
            ),
        ] {
            let collector: Collector = written.parse().unwrap();
            assert_eq!(collector.to_string(), expected, "{written}");
        }
    }

    #[test]
    fn what_names_no_collector_is_refused_with_the_next_step() {
        for (written, expected) in [
            (
                "http://127.0.0.1:4318",
                "`http://127.0.0.1:4318` names no way to export",
            ),
            (
                "prometheus=http://a",
                "`prometheus=http://a` names no way to export",
            ),
            ("otlp=", "`` is not the URL of a collector"),
            (
                "otlp=127.0.0.1:4318",
                "`127.0.0.1:4318` is not the URL of a collector",
            ),
            (
                "otlp=localhost:4318",
                "`localhost:4318` is not the URL of a collector",
            ),
            (
                "otlp=https://a",
                "`https://` is not spoken with a collector",
            ),
            ("otlp=grpc://a", "`grpc://` is not spoken with a collector"),
            (
                "otlp=http://ada:secret@a",
                "credentials are not sent to a collector",
            ),
        ] {
            let error = written.parse::<Collector>().unwrap_err();
            assert_eq!(error.to_string(), expected, "{written}");
            assert!(error.hint().starts_with(['w', 'l']), "{written}");
        }
    }
}
