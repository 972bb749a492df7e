//! Records as tables for a terminal, in plain text.

pub(super) mod compare;
mod gate;
pub(super) mod phases;
mod repeated;
pub(super) mod resources;
mod startup;
#[cfg(test)]
mod tests;
pub(super) mod thresholds;

use std::collections::BTreeMap;

pub use compare::compare;
pub(super) use gate::{builds, ending};
pub use gate::{gate, gate_plan, gate_round, gate_so_far, gate_verdict};
pub(super) use repeated::gates_page;
pub use repeated::{advice, gates};
pub use startup::startup;
pub(super) use startup::startup_page;

use super::Options;
use super::figures::{QUANTILES, TimeUnit, UNKNOWN, bytes, load, moment, percent, span};
use super::layout::{self, Column, Grid, Page};
use crate::exchange::Outcome;
use crate::histogram::Histogram;
use crate::ledger::{Distribution, PhaseTally};
use crate::run_record::{
    Environment, Failure, HttpVersion, PhaseRecord, RunRecord, ScenarioIdentity, TargetIdentity,
};
use crate::scenario::{LoadModel, Scenario};
use crate::stats::sampling::{Basis, FEWEST_BATCHES, MOST_BATCHES, QuantileInterval};
use crate::stats::{fewest, fewest_per_round};
use crate::units::{Quantile, mib, thousands, three_digits};
use crate::validity::State;

/// One run: what was sent, what came back and when, what it cost, and whether the figures may be believed.
///
/// All times of a table are in the one unit named in its header. `≥` marks a figure of which only a lower bound is
/// known, `n/a` one of which the sample is too small.
#[must_use]
pub fn run(record: &RunRecord, options: &Options) -> String {
    let view = View::of(record, options.percentiles);
    let mut page = Page::new(options.width, options.color);
    view.title(&mut page);
    view.requests(&mut page);
    view.times(&mut page);
    phases::tables(&view, &mut page);
    view.connections(&mut page);
    resources::lines(record, &mut page);
    for (label, facts) in runtime(&record.target) {
        page.labelled(label, &[&facts.join(" · ")]);
    }
    ended(&record.target, &mut page);
    view.remarks(&mut page, options);
    thresholds::rulings(record, &mut page);
    view.validity(&mut page);
    audits(record, &mut page);
    if options.verbose {
        environment(record, &mut page);
    }
    if options.spectrum {
        view.spectrum(&mut page);
    }
    saved(options, &mut page);
    page.into_text()
}

/// What a run comes to, in two sentences: how many requests there were, and how long they took.
pub(super) fn brief(record: &RunRecord) -> [String; 2] {
    let view = View::of(record, &[]);
    let (outcomes, response) = (view.total.outcomes(), view.total.response());
    let requests = format!(
        "{} requests, {} failed",
        thousands(view.total.due),
        thousands(outcomes.failed())
    );
    let [p50, p99] =
        [Quantile::P50, Quantile::P99].map(|quantile| view.unit.quantile(&response, quantile));
    let interval = view.unit.interval(record.interval(Quantile::P99));
    let times = format!(
        "response time in {}: p50 {p50}, p99 {}, max {}",
        view.unit.name(),
        format!("{p99} {interval}").trim_end(),
        view.unit.max(&response)
    );
    [requests, times]
}

/// A record with what several of its lines need.
pub(super) struct View<'a> {
    pub(super) record: &'a RunRecord,
    /// The measured phases together.
    pub(super) total: PhaseTally,
    /// Nanoseconds for which they offered load.
    measured_ns: u64,
    pub(super) unit: TimeUnit,
    /// Which quantiles its tables have.
    pub(super) quantiles: Quantiles<'a>,
    /// What the record says was sent; none where this version of tailmark cannot read it any more.
    pub(super) scenario: Option<Scenario>,
}

impl<'a> View<'a> {
    pub(super) fn of(record: &'a RunRecord, percentiles: &'a [Quantile]) -> Self {
        let total = record.total();
        let response = total.response();
        let value = |quantile| response.quantile(quantile).map(|bound| bound.value);
        Self {
            unit: TimeUnit::for_times(value(Quantile::P50), value(Quantile::P99)),
            measured_ns: record.measured_ns(),
            scenario: Scenario::parse(&record.scenario.name, record.scenario.text.as_bytes()).ok(),
            total,
            record,
            quantiles: Quantiles {
                quantiles: match percentiles {
                    [] => &QUANTILES,
                    asked => asked,
                },
                intervals: false,
            },
        }
    }

    pub(super) fn title(&self, page: &mut Page) {
        let record = self.record;
        let version = match record.connections.http {
            Some(HttpVersion::Two) => " of HTTP/2",
            Some(HttpVersion::One) | None => "",
        };
        let connections = format!(
            "up to {} connections{version}, {} used",
            thousands(record.connections.max as u64),
            thousands(record.connections.peak_in_use as u64)
        );
        let process = record.target.process.as_ref();
        let facts = [self.load(), connections]
            .into_iter()
            .chain(process.map(|(id, name)| format!("process {id} {name}")));
        page.title(&self.what(), &facts.collect::<Vec<_>>());
    }

    /// `GET http://127.0.0.1:8080/items/1` for a bare URL, `crud on axum` for a scenario.
    fn what(&self) -> String {
        let record = self.record;
        let on_target = || format!("{} on {}", record.scenario.name, record.target.name);
        if record.scenario.name != "url" {
            return on_target();
        }
        let step = self
            .scenario
            .as_ref()
            .and_then(|scenario| scenario.flows().first()?.steps.first());
        let request = step.map(|step| &step.request);
        let Some((request, path)) =
            request.and_then(|request| Some((request, request.path.constant()?)))
        else {
            return on_target();
        };
        format!(
            "{} {}{}",
            request.method,
            origin(&record.target.url),
            String::from_utf8_lossy(path)
        )
    }

    /// `1,000/s constant, 30 s`, `50 users, closed, 30 s`, or `3 phases, 1 min 30 s`.
    fn load(&self) -> String {
        let measured: Vec<&PhaseRecord> = self.record.measured().collect();
        let [phase] = measured[..] else {
            return format!("{} phases, {}", measured.len(), span(self.measured_ns));
        };
        let mut load = load(phase.model);
        if self.record.flows.iter().any(|flow| flow.steps.len() > 1) {
            let requests = format!("≈ {} requests/s", three_digits(phase.request_rate()));
            load = match (phase.model, load.split_once("/s ")) {
                (LoadModel::Open { .. }, Some((count, spread))) => {
                    format!("{count} arrivals/s {requests} {spread}")
                }
                _ => format!("{load} {requests}"),
            };
        }
        format!("{load}, {}", span(phase.duration_ns))
    }

    fn requests(&self, page: &mut Page) {
        let outcomes = self.total.outcomes();
        let per_second = |rate| match self.measured_ns {
            0 => UNKNOWN.to_owned(),
            _ => format!("{}/s", three_digits(rate)),
        };
        let finished = if self.record.measured().all(|phase| phase.model.is_open()) {
            let (kept_up, offered) = self.record.kept_up();
            format!("{} of {}", per_second(kept_up), per_second(offered))
        } else {
            per_second(self.record.achieved_rate())
        };
        let counts = format!(
            "{} due · {} ok · {} failed",
            thousands(self.total.due),
            thousands(outcomes.of(Outcome::Ok)),
            thousands(outcomes.failed())
        );
        let flow = format!(
            "{finished} · {} received",
            bytes(self.record.traffic.received_bytes)
        );
        page.labelled("requests", &[&counts, &flow]);
    }

    fn times(&self, page: &mut Page) {
        let unit = self.unit;
        let (response, service) = (self.total.response(), self.total.service());
        let brief = |times: &Histogram| match times.quantile(Quantile::P99) {
            Some(ns) if times.count() >= fewest(Quantile::P99) => unit.brief(ns),
            _ => UNKNOWN.to_owned(),
        };
        let parts = format!(
            "wait p99 {}, lag p99 {}",
            brief(&self.total.wait),
            brief(&self.total.lag)
        );
        let interval = self.record.interval(Quantile::P99);
        let quantiles = self.quantiles.with_intervals(interval.is_some());
        let grid = |since_sent: String| {
            let mut columns = vec![Column::left(unit.name())];
            columns.extend(quantiles.columns(""));
            columns.push(Column::left(""));
            let mut grid = Grid::new(columns);
            for (name, times, interval, since) in [
                (
                    "response ",
                    &response,
                    interval,
                    "since each request was due".to_owned(),
                ),
                ("service", &service, None, since_sent),
            ] {
                let cells = quantiles.cells(unit, times, interval);
                grid.row([name.to_owned()].into_iter().chain(cells).chain([since]));
            }
            grid
        };
        let whole = grid(format!("since it was sent      ({parts})"));
        if whole.width() <= page.width() {
            page.grid(&whole);
        } else {
            page.grid(&grid("since it was sent".to_owned()));
            page.labelled("", &[&parts]);
        }
        if let Some(interval) = interval {
            page.labelled("interval", &[&basis(interval.basis)]);
        }
    }

    /// The whole distribution of response times: how long the quickest half took, nine of ten, and so on to the last.
    fn spectrum(&self, page: &mut Page) {
        let mut grid = Grid::new([
            Column::right(format!("response {}", self.unit.name())),
            Column::right("percentile"),
            Column::right("requests"),
            Column::right("one of"),
        ]);
        for point in self.total.response().all().spectrum(SPECTRUM_TICKS) {
            let above = match point.quantile < 1.0 {
                true => three_digits(1.0 / (1.0 - point.quantile)),
                false => String::new(),
            };
            grid.row([
                self.unit.figure(point.value as f64),
                format!("{:.5}", point.quantile * 100.0),
                thousands(point.count),
                above,
            ]);
        }
        page.blank();
        page.grid(&grid);
        page.blank();
    }

    /// What it took to open connections, where that was more than connecting.
    pub(super) fn connections(&self, page: &mut Page) {
        let connections = &self.record.connections;
        let times = |what: &str, times: &Histogram| {
            let [p50, max] = [times.quantile(Quantile::P50), times.max()];
            let ms = |ns: Option<u64>| {
                ns.map_or(UNKNOWN.to_owned(), |ns| TimeUnit::Milliseconds.brief(ns))
            };
            format!("{what} p50 {}, max {} ms", ms(p50), ms(max))
        };
        if connections.tls.is_empty() {
            return;
        }
        let opened = format!("{} opened", thousands(connections.opened));
        let connect = times("connecting", &connections.connect);
        let tls = times("TLS handshake", &connections.tls);
        page.labelled("connect", &[&format!("{opened} · {connect} · {tls}")]);
    }

    /// What is to be minded when reading the figures.
    pub(super) fn remarks(&self, page: &mut Page, options: &Options) {
        let record = self.record;
        if record.interrupted {
            let words = "these are the figures of what was measured until then";
            page.verdict("INTERRUPTED", &[words]);
        }
        if let Some(ended) = &record.ended_by {
            let words = format!(
                "`{}` was broken: the load was ended before its time, and these are the figures until then",
                ended.expression
            );
            page.verdict("ENDED", &[&format!("at {}: {words}", moment(ended.at_ns))]);
        }
        for note in &record.validity.notes {
            if note.name == "saturated" {
                page.verdict("SATURATED", &[&note.words]);
            } else {
                page.labelled("note", &[&note.words]);
            }
        }
        self.failed(page, options.verbose);
        let bounds = self.total.coalesced;
        if bounds > 0 {
            let words = "requests waited in a long backlog: their lag is a lower bound, and the rest of it counts as wait";
            page.labelled("note", &[&format!("{} {words}", thousands(bounds))]);
        }
    }

    fn failed(&self, page: &mut Page, verbose: bool) {
        let outcomes = self.total.outcomes();
        let (failed, total) = (outcomes.failed(), outcomes.total());
        if failed > 0 {
            let share = format!(
                "{} of {} ({}): {}",
                thousands(failed),
                thousands(total),
                percent(failed, total),
                self.failures().join(" · ")
            );
            let first = self.first_failure().filter(|_| !verbose);
            let first = first.map(|failure| {
                let more = match failure.response {
                    Some(_) => " (-v shows the body)",
                    None => "",
                };
                format!("first: {}{more}", failure_line(failure))
            });
            page.verdict("failed", &[&share, &first.unwrap_or_default()]);
        }
        for failure in self.record.failures.iter().filter(|_| verbose) {
            let kind = format!("{} in {}", failure.outcome, failure.step);
            page.labelled("first", &[&kind, &failure_line(failure)]);
            let response = failure
                .response
                .iter()
                .flat_map(|response| response.lines());
            for line in response.take(RESPONSE_LINES) {
                // What comes from a server must not command the terminal.
                let fit = |c: char| if c.is_control() { ' ' } else { c };
                page.labelled(
                    "",
                    &[&format!("< {}", line.chars().map(fit).collect::<String>())],
                );
            }
        }
    }

    /// Each kind of failure with its count: `31 × 503`, `5 × timeout (10 s)`.
    fn failures(&self) -> Vec<String> {
        let statuses = self.unexpected_statuses();
        let counted: u64 = statuses.values().sum();
        let mut kinds = Vec::new();
        for (outcome, count) in self.total.outcomes().iter() {
            match outcome {
                Outcome::Ok => {}
                Outcome::StatusError if counted == count => {
                    kinds.extend(
                        statuses
                            .iter()
                            .map(|(status, count)| format!("{} × {status}", thousands(*count))),
                    );
                }
                _ if count == 0 => {}
                Outcome::Timeout => {
                    let limit = self.scenario.as_ref().map_or(String::new(), |scenario| {
                        format!(" ({})", span(scenario.timeout().as_nanos() as u64))
                    });
                    kinds.push(format!("{} × timeout{limit}", thousands(count)));
                }
                _ => kinds.push(format!("{} × {}", thousands(count), outcome.words())),
            }
        }
        kinds
    }

    /// The statuses that the scenario did not expect; empty where it cannot be read.
    fn unexpected_statuses(&self) -> BTreeMap<u16, u64> {
        let mut unexpected = BTreeMap::new();
        let flows = self.scenario.iter().flat_map(Scenario::flows);
        for (flow, tally) in flows.zip(&self.total.flows) {
            for (step, tally) in flow.steps.iter().zip(&tally.steps) {
                for (&status, &count) in tally
                    .statuses
                    .iter()
                    .filter(|(status, _)| !step.inspection.status.contains(**status))
                {
                    *unexpected.entry(status).or_default() += count;
                }
            }
        }
        unexpected
    }

    /// The first failure outside the warm-up before the measured phases.
    fn first_failure(&self) -> Option<&Failure> {
        let warmup = self.record.phases.iter().take_while(|phase| phase.warmup);
        let start: u64 = warmup.map(|phase| phase.duration_ns).sum();
        self.record
            .failures
            .iter()
            .find(|failure| failure.at_ns >= start)
    }

    pub(super) fn validity(&self, page: &mut Page) {
        let validity = &self.record.validity;
        let reasons = validity.reasons.join("; ");
        let (label, words) = match validity.state {
            State::Valid => ("valid", self.own_cost()),
            State::ClientBound => (
                "CLIENT-BOUND",
                format!(
                    "{reasons}. The figures are tailmark's own, not the target's: try a lower -r or more --workers; tailmark doctor \
                     says what this machine costs"
                ),
            ),
            State::Disturbed => (
                "DISTURBED",
                format!(
                    "{reasons}. Run it again on a quieter machine; tailmark doctor says what this one costs"
                ),
            ),
            State::DataExhausted => ("DATA EXHAUSTED", reasons),
        };
        page.verdict(label, &[&words]);
    }

    /// `tailmark was 0.03 ms late at p99 and used 9 % of one core`.
    fn own_cost(&self) -> String {
        let lag = &self.total.lag;
        let (lateness, which) = if lag.count() < fewest(Quantile::P99) {
            (lag.max(), "at most")
        } else {
            (lag.quantile(Quantile::P99), "at p99")
        };
        let late = match lateness {
            Some(ns) => format!("was {} ms late {which}", TimeUnit::Milliseconds.brief(ns)),
            None => "sent nothing".to_owned(),
        };
        let whole: u64 = self
            .record
            .phases
            .iter()
            .map(|phase| phase.duration_ns)
            .sum();
        let used = match whole {
            0 => String::new(),
            ns => format!(
                " and used {:.0} % of one core",
                self.record.generator.cpu_ns as f64 / ns as f64 * 100.0
            ),
        };
        format!("tailmark {late}{used}")
    }
}

/// What the interval of a p99 holds for, and what it rests on.
pub(super) fn basis(basis: Basis) -> String {
    let rests_on = match basis {
        Basis::Batches(count) => format!("from {count} batches of it"),
        Basis::SamplingOnly => format!(
            "by sampling alone, for batches take {} requests in {} to {} equal spans",
            thousands(FEWEST_BATCHES as u64 * fewest_per_round(Quantile::P99)),
            FEWEST_BATCHES,
            MOST_BATCHES
        ),
        Basis::SlowNoise => {
            "and too narrow: the noise is slower than the run. A longer -d shows it".to_owned()
        }
    };
    format!("95 %, for this machine during this run, {rests_on}")
}

/// The quantiles of a table, a column for each, with one for the maximum behind them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Quantiles<'a> {
    quantiles: &'a [Quantile],
    /// Whether a column beside the p99 has its interval.
    intervals: bool,
}

/// Lines of a spectrum for each half of what is left above.
const SPECTRUM_TICKS: u32 = 2;

impl Quantiles<'_> {
    pub(super) fn with_intervals(self, intervals: bool) -> Self {
        Self { intervals, ..self }
    }

    /// The columns; of the usual ones p90 goes first where there is no room, then p99.9, and the interval last.
    pub(super) fn columns(self, unit: &str) -> Vec<Column> {
        let mut columns = Vec::new();
        for (place, quantile) in self.quantiles.iter().enumerate() {
            let unit = if place == 0 { unit } else { "" };
            let column = Column::right(format!("{unit}{quantile}"));
            columns.push(match *quantile {
                Quantile::P99 => column.bold(),
                Quantile::P90 if self.quantiles == QUANTILES => column.goes(1),
                Quantile::P99_9 if self.quantiles == QUANTILES => column.goes(2),
                _ => column,
            });
            if self.intervals && *quantile == Quantile::P99 {
                columns.push(Column::left("[95 %]").goes(3));
            }
        }
        columns.push(Column::right("max"));
        columns
    }

    /// What stands in them.
    pub(super) fn cells(
        self,
        unit: TimeUnit,
        times: &Distribution,
        interval: Option<QuantileInterval>,
    ) -> Vec<String> {
        let value = |quantile| unit.quantile(times, quantile);
        self.filled(value, &unit.interval(interval), unit.max(times))
    }

    /// The same of walks, which are all ok.
    pub(super) fn cells_of(self, unit: TimeUnit, times: &Histogram) -> Vec<String> {
        let value = |quantile| unit.quantile_of(times, quantile);
        self.filled(value, "", unit.max_of(times))
    }

    fn filled(
        self,
        value: impl Fn(Quantile) -> String,
        interval: &str,
        max: String,
    ) -> Vec<String> {
        let mut cells = Vec::new();
        for &quantile in self.quantiles {
            cells.push(value(quantile));
            if self.intervals && quantile == Quantile::P99 {
                cells.push(interval.to_owned());
            }
        }
        cells.push(max);
        cells
    }
}

/// Lines of a response that are shown where somebody wants to see more.
const RESPONSE_LINES: usize = 16;

pub(super) fn failure_line(failure: &Failure) -> String {
    format!("{} {}", moment(failure.at_ns), failure.what)
}

pub(super) fn audits(record: &RunRecord, page: &mut Page) {
    for audit in &record.audits {
        let facts: Vec<String> = audit
            .facts
            .iter()
            .map(|(name, value)| format!("{name} {value}"))
            .collect();
        let facts = facts.join(" · ");
        if audit.ok {
            page.labelled("audit", &[&format!("ok: {facts}")]);
        } else {
            let words = format!("the data are not as they should be: {facts}");
            page.verdict("AUDIT", &[&words]);
        }
    }
}

pub(super) fn environment(record: &RunRecord, page: &mut Page) {
    let environment = &record.environment;
    let tool = Some(format!("tailmark {}", environment.tool_version));
    page.labelled(
        "machine",
        &[&listed(machine(environment).into_iter().chain([tool]))],
    );
    let target = &record.target;
    page.labelled("identity", &[&listed(identity(target))]);
    let settings = target.settings.iter();
    let settings = listed(settings.map(|(name, value)| Some(format!("{name} {value}"))));
    if !settings.is_empty() {
        page.labelled("settings", &[&settings]);
    }
    let ScenarioIdentity { seed, digest, .. } = &record.scenario;
    page.labelled("scenario", &[&format!("seed {seed} · sha256 {digest}")]);
}

/// What a machine is, as far as that is known.
pub(super) fn machine(environment: &Environment) -> [Option<String>; 5] {
    [
        environment.cpu_model.clone(),
        Some(format!("{} cores", environment.cores)),
        environment
            .memory_bytes
            .map(|bytes| format!("{} MiB of memory", mib(bytes))),
        environment.kernel.clone(),
        environment.container.then(|| "in a container".to_owned()),
    ]
}

/// By what a target is known again.
pub(super) fn identity(target: &TargetIdentity) -> [Option<String>; 4] {
    [
        Some(target.url.clone()).filter(|url| !url.is_empty()),
        target.command.as_ref().map(|words| words.join(" ")),
        target
            .revision
            .as_ref()
            .map(|revision| format!("revision {revision}")),
        target
            .executable
            .as_ref()
            .map(|digest| format!("sha256 {digest}")),
    ]
}

/// In what a target ran, where that could have been something else, and what its container was.
pub(super) fn runtime(target: &TargetIdentity) -> Vec<(&'static str, Vec<String>)> {
    let why = target.runtime.iter();
    let why = why.map(|runtime| ("runtime", vec![runtime.clone()]));
    let container = target.container.iter().map(|container| {
        let size = container.image_bytes.map(bytes);
        let network = match container.network.as_str() {
            "own" => "a network of its own",
            _ => "this machine's network",
        };
        let facts = [
            Some(container.image.clone()),
            size,
            Some(container.engine.clone()),
            Some(network.to_owned()),
            Some(container.limits.to_string()),
        ];
        ("container", facts.into_iter().flatten().collect())
    });
    why.chain(container).collect()
}

/// That a target ended before it was asked to, and why: the figures are of one that was not there to the end.
pub(super) fn ended(target: &TargetIdentity, page: &mut Page) {
    if let Some(exit) = target
        .exit
        .as_ref()
        .filter(|exit| exit.starts_with("ended by itself"))
    {
        page.verdict("ENDED", &[&format!("the target {exit}")]);
    }
}

/// What is known of several facts, on one line.
pub(super) fn listed(facts: impl IntoIterator<Item = Option<String>>) -> String {
    let known: Vec<String> = facts.into_iter().flatten().collect();
    known.join(" · ")
}

/// Scheme and authority of a URL.
fn origin(url: &str) -> &str {
    let authority = url.find("://").map_or(0, |at| at + 3);
    let end = url[authority..]
        .find(['/', '?', '#'])
        .map_or(url.len(), |at| authority + at);
    &url[..end]
}

/// Where the record is, and how it is looked at again.
fn saved(options: &Options, page: &mut Page) {
    let Some(folder) = options.saved else { return };
    let latest = match folder.trim_end_matches('/').rsplit_once('/') {
        Some((parent, _)) => format!("{parent}/latest"),
        None => "latest".to_owned(),
    };
    let (saved, command) = (
        format!("saved {folder}"),
        format!("tailmark report {latest} -o report.html"),
    );
    let line = format!("{saved} · {command}");
    if layout::columns(&line) <= page.width() {
        page.paragraph(&line);
    } else {
        // Each whole, so that it can be copied.
        page.paragraph(&saved);
        page.paragraph(&command);
    }
}
