//! One exchange by itself, kept for people to read: what is sent, and what comes back.

use std::convert::Infallible;
use std::future::{Future, pending};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, split};
use tokio::task::LocalSet;
use tokio::time::timeout;

use super::clock::monotonic;
use super::dial::{Dialer, Spoken};
use super::http_parts::Parts;
use super::http1::response::Reader;
use super::http1::{self, Failure, Room};
use super::names::Names;
use super::stream::Stream;
use super::{LoadError, Plan, http2};
use crate::exchange::Outcome;
use crate::scenario::Draw;
use crate::units::format_duration;

/// Bytes of a message that are kept.
const MOST_KEPT_BYTES: usize = 16 * 1024;

/// Bytes that are read at once.
const BUFFER_BYTES: usize = 16 * 1024;

/// An exchange, and what it said.
#[derive(Debug)]
pub struct Shown {
    /// Its flow and step.
    pub step: String,
    /// What was sent; of HTTP/2, as HTTP/1.1 would write it.
    pub request: Kept,
    /// What came back, likewise.
    pub response: Kept,
    /// How it ended.
    pub outcome: Outcome,
    /// Why, or with which status.
    pub words: String,
    /// How long connecting took; none where nobody answered.
    pub connect: Option<Duration>,
    /// How long the handshake of TLS took, where there was one.
    pub tls: Option<Duration>,
    /// From the first byte written to the last one read; none where nothing was sent.
    pub service: Option<Duration>,
}

/// The beginning of a message.
#[derive(Debug, Default)]
pub struct Kept {
    /// At most 16 KiB.
    pub bytes: Vec<u8>,
    /// Bytes beyond these.
    pub omitted: u64,
}

/// What passed over a connection.
#[derive(Debug, Default)]
pub(super) struct Passed {
    pub(super) request: Kept,
    pub(super) response: Kept,
    /// Immediately before the first byte was written, on the machine's clock; none where none was.
    pub(super) sent: Option<u64>,
    /// Right after the last read, where the exchange was over by itself.
    pub(super) done: Option<u64>,
}

impl Kept {
    pub(super) fn add(&mut self, bytes: &[u8]) {
        let room = (MOST_KEPT_BYTES - self.bytes.len()).min(bytes.len());
        self.bytes.extend_from_slice(&bytes[..room]);
        self.omitted += (bytes.len() - room) as u64;
    }
}

/// Makes the exchange that the first arrival of `plan` starts with, over a connection of its own.
///
/// # Errors
/// When the target's name has no address.
pub async fn exchange(plan: &Plan) -> Result<Shown, LoadError> {
    let (scenario, route) = (&plan.scenario, &plan.route);
    let connections = scenario.connections();
    let names = Names::resolve(&route.host, route.port, connections.dns_ttl)
        .await
        .map_err(|source| LoadError::Name {
            host: route.host.clone(),
            source,
        })?;
    let draw = Draw {
        seed: scenario.seed(),
        arrival: 0,
        step: 0,
    };
    let flow = &scenario.flows()[scenario.flow_of(draw.seed, draw.arrival)];
    let step = &flow.steps[0];
    let (http, limit) = (connections.http, connections.connect_timeout);
    let dialer = Dialer::new(route, names.current(), 1, http, limit, 0);
    let dialed = dialer.dial().await;
    let mut shown = Shown {
        step: format!("{}/{}", flow.name, step.name),
        request: Kept::default(),
        response: Kept::default(),
        outcome: Outcome::Ok,
        words: String::new(),
        connect: dialed.connect.map(Duration::from_nanos),
        tls: dialed.tls.map(Duration::from_nanos),
        service: None,
    };
    let (stream, spoken) = match dialed.stream {
        Ok(opened) => opened,
        Err(error) => {
            (shown.outcome, shown.words) = (error.outcome(), error.to_string());
            return Ok(shown);
        }
    };
    let mut passed = Passed::default();
    let last = !connections.reuse;
    let within = scenario.timeout();
    let ended = match spoken {
        Spoken::Http1 => {
            let layout = http1::Layout::new(&step.request, &plan.host, last);
            let exchange = by_http1(stream, &layout, &draw, &mut passed);
            timeout(within, exchange)
                .await
                .map(|ended| ended.map_err(|failure| owned(&failure)))
        }
        Spoken::Http2 => {
            let parts = Parts::new(&step.request, &plan.host, route.is_secure(), last);
            let exchange = http2::single::exchange(stream, limit, &parts, &draw, &mut passed);
            timeout(within, LocalSet::new().run_until(exchange)).await
        }
    };
    let done = passed.done.unwrap_or_else(monotonic);
    let service = |sent| Duration::from_nanos(done.saturating_sub(sent));
    shown.service = passed.sent.map(service);
    (shown.request, shown.response) = (passed.request, passed.response);
    (shown.outcome, shown.words) = match ended {
        Err(_) => {
            let words = format!("no complete response within {}", format_duration(within));
            (Outcome::Timeout, words)
        }
        Ok(Ok(status)) if step.expect.contains(status) => (Outcome::Ok, status.to_string()),
        Ok(Ok(status)) => (Outcome::StatusError, status.to_string()),
        Ok(Err(ended)) => ended,
    };
    Ok(shown)
}

pub(super) fn owned(failure: &Failure) -> (Outcome, String) {
    let (outcome, words) = failure.outcome();
    (outcome, words.clone())
}

/// The status of the response to the request that `layout` and `draw` make.
async fn by_http1(
    stream: Stream,
    layout: &http1::Layout,
    draw: &Draw,
    passed: &mut Passed,
) -> Result<u16, Failure> {
    let mut room = Room::default();
    let request = layout.render(draw, &mut room);
    passed.request.add(request);
    passed.sent = Some(monotonic());
    let (mut reading, mut writing) = split(stream);
    let write = async {
        // A server may answer before it has read all of a request, and read no more of it.
        let _ = writing.write_all(request).await;
        let _ = writing.flush().await;
        pending::<Infallible>().await
    };
    let mut reader = Reader::default();
    reader.begin(layout.head_only);
    let response = &mut passed.response;
    let read = async {
        let mut buffer = vec![0; BUFFER_BYTES];
        loop {
            let count = match reading.read(&mut buffer).await {
                Ok(count) => count,
                Err(error) => return Err(Failure::of_reading(&error)),
            };
            let bytes = &buffer[..count];
            response.add(bytes);
            if bytes.is_empty() {
                let ended = reader.end();
                return ended
                    .map(|response| response.status)
                    .map_err(|cut| Failure::Reset(cut.to_string()));
            }
            match reader.feed(bytes) {
                Ok(None) => {}
                Ok(Some(response)) => return Ok(response.status),
                Err(refusal) => return Err(Failure::Protocol(refusal.to_string())),
            }
        }
    };
    first_of(read, write).await
}

/// What `work` comes to, while `beside` goes on.
async fn first_of<T>(work: impl Future<Output = T>, beside: impl Future<Output = Infallible>) -> T {
    tokio::select! {
        result = work => result,
        never = beside => match never {},
    }
}
