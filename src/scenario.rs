//! What load, in what order, with what expectations: one scenario file, valid by construction. It knows no host.
//!
//! The format is described in `scenarios/README.md`.

mod content;
mod expectation;
mod flow;
mod given;
mod inspect;
mod phase;
mod read;
mod request;
mod resolve;
mod schema;
mod secrets;
mod select;
mod status;
mod template;
mod thresholds;
mod url;

use std::time::Duration;

use sha2::{Digest, Sha256};

use crate::document::{Document, Place, Problems, Walk};
use crate::random::{self, Stream};
use crate::threshold::Threshold;

pub use content::{Content, Keep, MOST_BODY_BYTES, SHOWN_BYTES, is_secret};
pub use flow::{Flow, Next, Position, Step};
pub use given::{FIRST_PREFLIGHT, Feeder, Field, Format, Given, Key, Known, Order, Row, Rows};
pub use inspect::{Inspection, Unmet};
pub use phase::{Arrivals, LoadModel, Phase};
pub use request::{RequestTemplate, Uses};
pub use schema::SCHEMA;
pub use select::SelectError;
pub use status::StatusSet;
pub use template::{Beside, Draw, Template, Unfilled, Value};
pub use thresholds::ThresholdError;
pub use url::UrlRun;

/// A scenario: flows with weights, and phases end to end on one time axis.
#[derive(Debug, Clone)]
pub struct Scenario {
    file_name: String,
    digest: String,
    text: String,
    public_text: String,
    credentials: Vec<String>,
    why: Option<String>,
    seed: u64,
    timeout: Duration,
    connections: Connections,
    feeders: Vec<Feeder>,
    places: read::Places,
    setup: Vec<Call>,
    flows: Vec<Flow>,
    teardown: Vec<Call>,
    total_weight: u64,
    phases: Vec<Phase>,
    warnings: Option<Problems>,
    thresholds: Vec<Threshold>,
}

/// A request before or after a run.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    /// For people.
    pub name: String,
    /// What is sent.
    pub request: RequestTemplate,
    /// What is expected of the response, and captured from it.
    pub inspection: Inspection,
    /// What it captures, by number.
    pub captured: Vec<String>,
}

/// The pool of connections to the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Connections {
    /// The most that are open at once; at least 1.
    pub max: usize,
    /// From the start of connecting, and until the TLS handshake is done.
    pub connect_timeout: Duration,
    /// When they are opened.
    pub open: Open,
    /// Whether one carries more than one exchange.
    pub reuse: bool,
    /// The age from which one is closed after its exchange; none: never.
    pub ttl: Option<Duration>,
    /// How long the addresses of a name are used before it is looked up again.
    pub dns_ttl: Duration,
    /// The version of HTTP.
    pub http: Http,
    /// The most exchanges that are on a connection of HTTP/2 at once; at least 1.
    pub streams: usize,
}

/// The version of HTTP that is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Http {
    /// HTTP/1.1.
    #[default]
    One,
    /// HTTP/2: by TLS as the target chooses it (ALPN), else without asking (prior knowledge).
    Two,
    /// By TLS the version that the target chooses of the two, else HTTP/1.1.
    Auto,
}

/// When connections are opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Open {
    /// Before the first phase, as many as its rate is expected to need.
    #[default]
    Eager,
    /// When an exchange finds none free.
    OnDemand,
    /// Before the first phase, all of them.
    All,
}

impl Default for Connections {
    fn default() -> Self {
        Self {
            max: 256,
            connect_timeout: Duration::from_secs(5),
            open: Open::Eager,
            reuse: true,
            ttl: None,
            // As long as the records of balanced services commonly live, so that a service that moves is followed as
            // its users follow it. Looking up costs the workers nothing.
            dns_ttl: Duration::from_secs(60),
            http: Http::One,
            // What HTTP/2 recommends that servers allow at least (RFC 9113, section 6.5.2), and most allow.
            streams: 100,
        }
    }
}

impl Connections {
    /// The most exchanges that are on a connection at once.
    #[must_use]
    pub fn lanes(&self) -> usize {
        match self.http {
            Http::Two | Http::Auto if self.reuse => self.streams,
            _ => 1,
        }
    }
}

impl Scenario {
    /// Reads a scenario file; `file_name` is what messages call it, and its stem is the scenario's name.
    ///
    /// # Errors
    /// Everything that is wrong with the file, each with its place.
    pub fn parse(file_name: &str, text: &[u8]) -> Result<Self, Problems> {
        let document = Document::parse(file_name, text)?;
        let mut walk = Walk::new(&document);
        let content = read::content(&mut walk, document.root());
        let warnings = walk.take_warnings();
        let content = walk.finish(content)?;
        Ok(Self {
            file_name: file_name.to_owned(),
            digest: hex(&Sha256::digest(text)),
            public_text: secrets::without_secrets(&document),
            credentials: secrets::credentials(&document),
            text: document.text().to_owned(),
            why: content.why,
            seed: content.seed,
            timeout: content.timeout,
            connections: content.connections,
            feeders: content.feeders,
            places: content.places,
            setup: content.setup,
            teardown: content.teardown,
            warnings,
            total_weight: content
                .flows
                .iter()
                .map(|flow| u64::from(flow.weight))
                .sum(),
            flows: content.flows,
            phases: content.phases,
            thresholds: content.thresholds,
        })
    }

    /// The flow that `arrival` starts, as an index: a function of (seed, arrival), and so the same for every arm.
    #[must_use]
    pub fn flow_of(&self, seed: u64, arrival: u64) -> usize {
        let mut draw = random::below(
            random::bits(seed, Stream::Flow, &[arrival]),
            self.total_weight,
        );
        for (index, flow) in self.flows.iter().enumerate() {
            match draw.checked_sub(u64::from(flow.weight)) {
                Some(rest) => draw = rest,
                None => return index,
            }
        }
        unreachable!("a draw lies below the sum of the weights")
    }

    /// The file as messages call it.
    #[must_use]
    pub fn file_name(&self) -> &str {
        &self.file_name
    }

    /// The file's name without folders and ending.
    #[must_use]
    pub fn name(&self) -> &str {
        let file = self.file_name.rsplit('/').next().unwrap_or(&self.file_name);
        match file.rsplit_once('.') {
            Some((stem, _)) if !stem.is_empty() => stem,
            _ => file,
        }
    }

    /// The scenario with the digests of the files that it names, SHA-256 each, in its own.
    #[must_use]
    pub fn with_files(mut self, digests: &[[u8; 32]]) -> Self {
        if !digests.is_empty() {
            let mut all = Sha256::new();
            all.update(&self.digest);
            digests.iter().for_each(|digest| all.update(digest));
            self.digest = hex(&all.finalize());
        }
        self
    }

    /// SHA-256 of the file as it was read, in hexadecimal; with the files that it names, of the digests of all of them.
    /// What the command line changes (phases, rate, seed) is not in it: records keep those beside the digest.
    #[must_use]
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// The credentials that were written into the file.
    pub fn credentials(&self) -> impl Iterator<Item = &str> {
        self.credentials.iter().map(String::as_str)
    }

    /// The file's text without the credentials that were written into it, for records and reports.
    #[must_use]
    pub fn public_text(&self) -> &str {
        &self.public_text
    }

    /// The file's text.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// What the author wants to know by it.
    #[must_use]
    pub fn why(&self) -> Option<&str> {
        self.why.as_deref()
    }

    /// The seed of every draw.
    #[must_use]
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// Of one exchange, from `sent`.
    #[must_use]
    pub fn timeout(&self) -> Duration {
        self.timeout
    }

    /// The pool's bounds.
    #[must_use]
    pub fn connections(&self) -> Connections {
        self.connections
    }

    /// At least one, in the order of the file.
    #[must_use]
    pub fn flows(&self) -> &[Flow] {
        &self.flows
    }

    /// Requests that an arrival makes on average, where all are ok. Of a flow whose steps may be skipped or repeated one is
    /// counted: how many there are is known afterwards.
    #[must_use]
    pub fn requests_per_arrival(&self) -> f64 {
        self.per_arrival(|requests| requests)
    }

    /// The mean of the squares of what [`Self::requests_per_arrival`] is the mean of: how much the requests of many arrivals
    /// vary with the flows that are drawn for them.
    #[must_use]
    pub fn squared_requests_per_arrival(&self) -> f64 {
        self.per_arrival(|requests| requests * requests)
    }

    /// The mean over arrivals of something that is known by how many requests an arrival makes.
    fn per_arrival(&self, of: impl Fn(f64) -> f64) -> f64 {
        let weighted = |flow: &Flow| f64::from(flow.weight) * of(flow.least_requests() as f64);
        self.flows.iter().map(weighted).sum::<f64>() / self.total_weight as f64
    }

    /// In the order of the file.
    #[must_use]
    pub fn feeders(&self) -> &[Feeder] {
        &self.feeders
    }

    /// What has to be known before a run, beside the captures of the set-up calls.
    pub fn needs(&self) -> impl Iterator<Item = &Key> {
        self.places.known.iter().map(|(key, _)| key)
    }

    /// The calls before the run.
    #[must_use]
    pub fn setup(&self) -> &[Call] {
        &self.setup
    }

    /// The calls after it.
    #[must_use]
    pub fn teardown(&self) -> &[Call] {
        &self.teardown
    }

    /// What is allowed, and probably not meant.
    #[must_use]
    pub fn warnings(&self) -> Option<&Problems> {
        self.warnings.as_ref()
    }

    /// What is wrong with the file of a feeder, or with one of the fields that are used, at the place that names it.
    #[must_use]
    pub fn feeder_problem(&self, feeder: usize, field: Option<usize>, message: &str) -> Problems {
        let place = match field {
            Some(field) => self.places.fields[feeder][field],
            None => self.places.files[feeder],
        };
        self.problem(place, message, None)
    }

    /// What is wrong with something that a run has to know, at the place that asks for it first.
    #[must_use]
    pub fn need_problem(&self, key: &Key, message: &str, hint: &str) -> Problems {
        let known = self.places.known.iter().find(|(known, _)| known == key);
        let place = known.map_or(Place::default(), |(_, place)| *place);
        self.problem(place, message, Some(hint))
    }

    fn problem(&self, place: Place, message: &str, hint: Option<&str>) -> Problems {
        // The text was read before, so it can be again.
        match Document::parse(&self.file_name, self.text.as_bytes()) {
            Ok(document) => document.problem(place, message, hint),
            Err(problems) => problems,
        }
    }

    /// In the order of the file, at least one of them measured.
    #[must_use]
    pub fn phases(&self) -> &[Phase] {
        &self.phases
    }

    /// The phases that are measured: neither warm-up nor pause.
    pub fn measured_phases(&self) -> impl Iterator<Item = &Phase> {
        self.phases.iter().filter(|phase| phase.is_measured())
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flows_are_drawn_by_weight() {
        let text = b"tailmark: 1
flows:
  a: { weight: 3, steps: [get: /a] }
  b: { steps: [get: /b] }
phases: [{ name: p, rate: 1/s, for: 1s }]
";
        let scenario = Scenario::parse("dir/w.yaml", text).unwrap();
        assert_eq!(scenario.name(), "w");
        let drawn = (0..40_000)
            .filter(|&arrival| scenario.flow_of(9, arrival) == 0)
            .count();
        // Binomial(40,000, 0.75): a standard deviation of 87, so 450 is over five of them.
        assert!(drawn.abs_diff(30_000) < 450, "{drawn}");
    }

    #[test]
    fn requests_per_arrival_are_weighted_means() {
        let text = b"tailmark: 1
flows:
  one: { weight: 3, steps: [ { get: / } ] }
  three: { steps: [ { name: a, get: / }, { name: b, get: / }, { name: c, get: / } ] }
  any: { weight: 4, steps: [ { name: a, get: /, repeat: 1..3 }, { name: b, get: / } ] }
phases: [{ name: p, rate: 1/s, for: 1s }]
";
        let scenario = Scenario::parse("m.yaml", text).unwrap();
        // (3 · 1 + 1 · 3 + 4 · 1) / 8 and (3 · 1 + 1 · 9 + 4 · 1) / 8: of steps that repeat one is counted.
        let [mean, squares] = [
            scenario.requests_per_arrival(),
            scenario.squared_requests_per_arrival(),
        ];
        assert!((mean - 1.25).abs() < 1e-12 && (squares - 2.0).abs() < 1e-12);
    }
}
