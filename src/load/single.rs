//! One exchange by itself, kept for people to read: what is sent, and what comes back.

use std::convert::Infallible;
use std::future::{Future, pending};
use std::time::Duration;

use http::HeaderValue;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, split};
use tokio::task::LocalSet;
use tokio::time::{sleep, timeout};

use super::clock::{Clock, monotonic};
use super::dial::{Dialer, Spoken};
use super::http_parts::Parts;
use super::http1::response::Reader;
use super::http1::{self, Failure, Room};
use super::kept::{Keeper, Wanted};
use super::memory::Memory;
use super::names::Names;
use super::queue::Job;
use super::stream::Stream;
use super::{LoadError, Plan, Route, http2};
use crate::exchange::Outcome;
use crate::scenario::{
    Beside, Call, Content, Draw, FIRST_PREFLIGHT, Inspection, Key, Known, RequestTemplate,
    Scenario, Value, is_secret,
};
use crate::schedule::Arrival;
use crate::units::{format_duration, thousands};

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
    /// The status of the response, where all of it came.
    pub status: Option<u16>,
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
    /// What the response was made of.
    pub(super) keeper: Keeper,
}

impl Kept {
    pub(super) fn add(&mut self, bytes: &[u8]) {
        let room = (MOST_KEPT_BYTES - self.bytes.len()).min(bytes.len());
        self.bytes.extend_from_slice(&bytes[..room]);
        self.omitted += (bytes.len() - room) as u64;
    }

    /// Its first lines, fit for a terminal.
    #[must_use]
    pub fn lines(&self, most: usize) -> Vec<String> {
        let text = String::from_utf8_lossy(&self.bytes);
        // What comes from a server must not command the terminal.
        let fit = |line: &str| -> String {
            line.chars()
                .flat_map(|c| match c {
                    '\t' => vec![c],
                    c if c.is_control() => c.escape_default().collect(),
                    c => vec![c],
                })
                .collect()
        };
        let mut lines: Vec<String> = text.lines().take(most).map(fit).collect();
        let omitted = text.lines().count().saturating_sub(most);
        if omitted > 0 {
            lines.push(format!("… {omitted} lines more"));
        } else if self.omitted > 0 {
            lines.push(format!("… {} bytes more", thousands(self.omitted)));
        }
        lines
    }

    /// The same without the values of headers that nobody may read, and without what of `known` is secret.
    fn concealed(self, known: &Known) -> Self {
        let text = String::from_utf8_lossy(&self.bytes);
        let (head, rest) = text.split_at(text.find("\r\n\r\n").unwrap_or(text.len()));
        let fields = head.split("\r\n").map(|line| match line.split_once(':') {
            Some((name, _)) if is_secret(name) => format!("{name}: ***"),
            _ => line.to_owned(),
        });
        let head = fields.collect::<Vec<_>>().join("\r\n");
        Self {
            bytes: known.conceal(&(head + rest)).into_bytes(),
            omitted: self.omitted,
        }
    }
}

/// Makes the exchange that the first arrival of `plan` starts with, over a connection of its own.
///
/// # Errors
/// When the target's name has no address.
pub async fn exchange(plan: &Plan) -> Result<Shown, LoadError> {
    let scenario = &plan.scenario;
    let flow = scenario.flow_of(scenario.seed(), 0);
    let mut walk = Walk::begin(plan, flow, 0);
    let place = Place::of_plan(plan).await?;
    Ok(walk.step(&place).await)
}

/// Walks through each flow of `plan` once, over connections of their own, and pausing no longer than a second: what
/// cannot be answered as expected by a target without load is no measure of it. Gives what was answered.
///
/// # Errors
/// When the target's name has no address.
pub async fn preflight(plan: &Plan) -> Result<Preflight, LoadError> {
    let place = Place::of_plan(plan).await?;
    let mut made = Preflight::default();
    for (flow, arrival) in (0..plan.scenario.flows().len()).zip(FIRST_PREFLIGHT..) {
        let mut walk = Walk::begin(plan, flow, arrival);
        for _ in 0..MOST_STEPS {
            let shown = walk.step(&place).await;
            made.answers
                .extend(shown.status.map(|status| (shown.step.clone(), status)));
            if shown.outcome != Outcome::Ok {
                made.failed = Some(shown);
                return Ok(made);
            }
            let Some(pause) = walk.go_on() else { break };
            sleep(pause.min(LONGEST_PAUSE)).await;
        }
    }
    Ok(made)
}

/// What came of a preflight.
#[derive(Debug, Default)]
pub struct Preflight {
    /// The steps that were answered, as `flow/step`, and with which status.
    pub answers: Vec<(String, u16)>,
    /// The exchange that was not as expected, after which nothing more was tried.
    pub failed: Option<Shown>,
}

/// The most steps that a flow is walked through in a preflight.
const MOST_STEPS: usize = 1_000;

/// The longest pause of a preflight.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Makes the calls of `calls` one after the other, and puts what each captures into `known`, from which the next ones
/// take it. Gives those that were not as expected; unless it `goes_on`, no other is made after the first of them.
///
/// # Errors
/// When the target's name has no address.
pub async fn call_all(
    scenario: &Scenario,
    calls: &[Call],
    goes_on: bool,
    known: &mut Known,
    (route, host): (&Route, &HeaderValue),
) -> Result<Vec<Shown>, LoadError> {
    let place = Place::resolve(scenario, route, host, known).await?;
    let mut unexpected = Vec::new();
    for (call, arrival) in calls.iter().zip(FIRST_CALL..) {
        let mut captured = vec![None; call.captured.len()];
        let shown = match call.request.bind(known) {
            Ok(request) => {
                let beside = Beside {
                    now_ms: wall_ms(),
                    began_ms: wall_ms(),
                    ..*Beside::NOTHING
                };
                let draw = Draw {
                    beside: &beside,
                    ..Draw::new(scenario.seed(), arrival, 0)
                };
                let part = Part {
                    name: call.name.clone(),
                    request: &request,
                    inspection: &call.inspection,
                };
                place.exchange(part, &draw, &mut captured).await.0
            }
            Err(unfilled) => Shown::unsent(call.name.clone(), unfilled.to_string()),
        };
        if shown.outcome != Outcome::Ok {
            unexpected.push(shown);
            if goes_on {
                continue;
            }
            break;
        }
        for (name, value) in call.captured.iter().zip(captured) {
            if let Some(Value { text, is_json }) = value {
                known.insert(Key::Setup(name.clone()), text.as_bytes(), is_json);
            }
        }
    }
    Ok(unexpected)
}

/// The numbers of calls, which are no arrivals: between those of a run and those of its preflight.
const FIRST_CALL: u64 = FIRST_PREFLIGHT - 1_000_000;

/// A walk that is made by itself.
struct Walk<'p> {
    plan: &'p Plan,
    flow: usize,
    job: Job,
    memory: Memory,
    clock: Clock,
}

impl<'p> Walk<'p> {
    fn begin(plan: &'p Plan, flow: usize, arrival: u64) -> Self {
        let clock = Clock::default();
        clock.start_at(monotonic());
        let arrival = Arrival {
            number: arrival,
            phase: 0,
            due: 0,
        };
        Self {
            plan,
            flow,
            job: Job::first(arrival, 0),
            memory: Memory::default(),
            clock,
        }
    }

    /// Makes the exchange of the step at which it stands.
    async fn step(&mut self, place: &Place<'_>) -> Shown {
        let (plan, flow) = (self.plan, &self.plan.scenario.flows()[self.flow]);
        let index = self.job.at.step as usize;
        let (step, request) = (&flow.steps[index], &plan.requests[self.flow][index]);
        let name = format!("{}/{}", flow.name, step.name);
        let mut captured = self.memory.walks.captured(self.job.walk).to_vec();
        captured.resize(flow.captured.len(), None);
        let part = Part {
            name: name.clone(),
            request,
            inspection: &step.inspection,
        };
        let beside = self.memory.beside(plan, &self.clock, &self.job, request);
        let (shown, content) = match beside {
            Ok(beside) => {
                let draw = self.job.draw(plan, &beside);
                place.exchange(part, &draw, &mut captured).await
            }
            Err(unfilled) => (
                Shown::unsent(name, unfilled.to_string()),
                Content::default(),
            ),
        };
        if request.cookies {
            let job = &mut self.job;
            self.memory
                .keep_cookies(plan, &self.clock, job, request, &content);
        }
        if !captured.is_empty() {
            let room = self.memory.walks.room(&mut self.job.walk, captured.len());
            room.clone_from_slice(&captured);
        }
        shown
    }

    /// Goes on to the next step; the pause before it, or none where the walk is over.
    fn go_on(&mut self) -> Option<Duration> {
        let flow = &self.plan.scenario.flows()[self.flow];
        let walk = (self.plan.scenario.seed(), self.job.arrival);
        let captured = self.memory.walks.captured(self.job.walk);
        let next = flow.next(self.job.at, walk, captured);
        self.job.at = next.step?;
        Some(next.pause)
    }
}

/// A request and what is expected of its response.
struct Part<'r> {
    name: String,
    request: &'r RequestTemplate,
    inspection: &'r Inspection,
}

/// Where exchanges are made.
struct Place<'p> {
    scenario: &'p Scenario,
    route: &'p Route,
    host: &'p HeaderValue,
    known: Known,
    names: Names,
}

impl<'p> Place<'p> {
    async fn of_plan(plan: &'p Plan) -> Result<Self, LoadError> {
        Self::resolve(&plan.scenario, &plan.route, &plan.host, &plan.given.known).await
    }

    async fn resolve(
        scenario: &'p Scenario,
        route: &'p Route,
        host: &'p HeaderValue,
        known: &Known,
    ) -> Result<Self, LoadError> {
        let ttl = scenario.connections().dns_ttl;
        let names = Names::resolve(&route.host, route.port, ttl)
            .await
            .map_err(|source| LoadError::Name {
                host: route.host.clone(),
                source,
            })?;
        Ok(Self {
            scenario,
            route,
            host,
            known: known.clone(),
            names,
        })
    }

    /// Makes one exchange over a connection of its own; what it captures goes into `captured`.
    async fn exchange(
        &self,
        part: Part<'_>,
        draw: &Draw<'_>,
        captured: &mut [Option<Value>],
    ) -> (Shown, Content) {
        let connections = self.scenario.connections();
        let (http, limit) = (connections.http, connections.connect_timeout);
        let dialer = Dialer::new(self.route, self.names.current(), 1, http, limit, 0);
        let dialed = dialer.dial().await;
        let mut shown = Shown::new(part.name);
        shown.connect = dialed.connect.map(Duration::from_nanos);
        shown.tls = dialed.tls.map(Duration::from_nanos);
        let (stream, spoken) = match dialed.stream {
            Ok(opened) => opened,
            Err(error) => {
                (shown.outcome, shown.words) = (error.outcome(), error.to_string());
                return (shown, Content::default());
            }
        };
        let mut passed = Passed::default();
        passed.keeper.begin(&Wanted::all());
        let (request, last) = (part.request, !connections.reuse);
        let within = self.scenario.timeout();
        let ended = match spoken {
            Spoken::Http1 => {
                let layout = http1::Layout::new(request, self.host, last);
                timeout(within, by_http1(stream, &layout, draw, &mut passed)).await
            }
            Spoken::Http2 => {
                let parts = Parts::new(request, self.host, self.route.is_secure(), last);
                let exchange = http2::single::exchange(stream, limit, &parts, draw, &mut passed);
                timeout(within, LocalSet::new().run_until(exchange)).await
            }
        };
        let done = passed.done.unwrap_or_else(monotonic);
        let service = |sent| Duration::from_nanos(done.saturating_sub(sent));
        shown.service = passed.sent.map(service);
        shown.request = passed.request.concealed(&self.known);
        shown.response = passed.response.concealed(&self.known);
        let content = passed.keeper.content().clone();
        shown.status = ended
            .as_ref()
            .ok()
            .and_then(|ended| ended.as_ref().ok())
            .copied();
        (shown.outcome, shown.words) = match ended {
            Err(_) => {
                let words = format!("no complete response within {}", format_duration(within));
                (Outcome::Timeout, words)
            }
            Ok(Ok(status)) if !part.inspection.status.contains(status) => {
                let expected = &part.inspection.status;
                (
                    Outcome::StatusError,
                    format!("{status}, expected {expected}"),
                )
            }
            Ok(Ok(status)) => match part.inspection.inspect(&content, captured) {
                Ok(()) => (Outcome::Ok, status.to_string()),
                Err(unmet) => (unmet.outcome(), self.known.conceal(&unmet.to_string())),
            },
            Ok(Err(ended)) => ended,
        };
        (shown, content)
    }
}

impl Shown {
    fn new(step: String) -> Self {
        Self {
            step,
            request: Kept::default(),
            response: Kept::default(),
            outcome: Outcome::Ok,
            words: String::new(),
            connect: None,
            tls: None,
            service: None,
            status: None,
        }
    }

    fn unsent(step: String, words: String) -> Self {
        Self {
            outcome: Outcome::CaptureFailed,
            words,
            ..Self::new(step)
        }
    }
}

fn wall_ms() -> u64 {
    let clock = Clock::default();
    clock.start_at(monotonic());
    clock.wall_ms(0)
}

pub(super) fn owned(failure: &Failure) -> (Outcome, String) {
    let (outcome, words) = failure.outcome();
    (outcome, words.clone())
}

/// The status of the response to the request that `layout` and `draw` make.
async fn by_http1(
    stream: Stream,
    layout: &http1::Layout,
    draw: &Draw<'_>,
    passed: &mut Passed,
) -> Result<u16, (Outcome, String)> {
    let mut room = Room::default();
    let request = match layout.render(draw, &mut room) {
        Ok(request) => request,
        Err(unfilled) => return Err((Outcome::CaptureFailed, unfilled.to_string())),
    };
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
    let (response, keeper) = (&mut passed.response, &mut passed.keeper);
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
            match reader.feed_into(bytes, keeper) {
                Ok(None) => {}
                Ok(Some(response)) => return Ok(response.status),
                Err(refusal) => return Err(Failure::Protocol(refusal.to_string())),
            }
        }
    };
    first_of(read, write)
        .await
        .map_err(|failure| owned(&failure))
}

/// What `work` comes to, while `beside` goes on.
async fn first_of<T>(work: impl Future<Output = T>, beside: impl Future<Output = Infallible>) -> T {
    tokio::select! {
        result = work => result,
        never = beside => match never {},
    }
}
