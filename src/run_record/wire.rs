//! The JSON of a saved run, format `tailmark.run/1`; `docs/schemas/run-1.json` is its schema.
//!
//! Times are whole nanoseconds, sizes are bytes, and what was not measured is `null`. The summary holds the figures
//! that people and scripts ask for; the saved file adds `histograms` and `windows`, from which every figure can be
//! computed again. A reader takes counts and histograms, never the percentiles beside them, so the two cannot differ.
//!
//! A reader of `tailmark.run/1` must accept keys that it does not know. A key is never removed or given another
//! meaning within a version.

mod audit;
mod model;
pub(crate) mod parts;
mod read;
mod thresholds;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::histogram::{DecodeError, Histogram};
use crate::ledger::{Distribution, FlowTally, PhaseTally, StepTally};
use crate::run_record::resources::{Container, Memory, MemorySeries, Moment, Pss, Resources};
use crate::run_record::{FlowNames, HttpVersion, PhaseRecord, RunRecord};
use crate::scenario::LoadModel;
use crate::stats::sampling::QuantileInterval;
use crate::units::{Quantile, Rate};

use model::WireModel;
use parts::{
    WireAudit, WireEncoded, WireEnvironment, WireScenario, WireTarget, WireValidity,
    outcome_counts, status_counts,
};
use thresholds::{WireEndedBy, WireRuling};

/// The format that is written, and the only one that is read.
pub const FORMAT: &str = "tailmark.run/1";

/// Why a saved run could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// Not JSON, or not of this shape.
    #[error("not a saved run: {0}")]
    Shape(#[source] serde_json::Error),
    /// Written by another version of tailmark.
    #[error("format `{0}` is not `{FORMAT}`; read it with the version of tailmark that wrote it")]
    Format(String),
    /// A histogram is damaged.
    #[error("histogram `{metric}` of phase {phase:?}")]
    Histogram {
        /// Which histogram.
        metric: String,
        /// Of which phase, from 0.
        phase: Option<usize>,
        /// What is wrong with it.
        #[source]
        source: DecodeError,
    },
    /// Parts of the file contradict each other.
    #[error("the record contradicts itself: {0}")]
    Contradiction(String),
}

impl RunRecord {
    /// The summary, as `--json` prints it.
    ///
    /// # Panics
    /// Never: every key is text and every number is finite or null.
    #[must_use]
    pub fn summary_json(&self) -> String {
        to_json(&WireRecord::summary(self))
    }

    /// The whole record, as it is saved.
    ///
    /// # Panics
    /// Never: every key is text and every number is finite or null.
    #[must_use]
    pub fn saved_json(&self) -> String {
        let mut wire = WireRecord::summary(self);
        wire.histograms = Some(histograms(self));
        wire.windows = Some(windows(self));
        let timeline = self.resources.timeline.iter();
        wire.timeline = Some(timeline.map(WireMoment::new).collect());
        to_json(&wire)
    }

    /// Reads a saved record.
    ///
    /// # Errors
    /// When the text is not a saved run of [`FORMAT`], or is damaged.
    pub fn from_json(text: &str) -> Result<Self, ReadError> {
        read::record(text)
    }
}

fn to_json(wire: &WireRecord) -> String {
    serde_json::to_string_pretty(wire).expect("keys are text and numbers are finite") + "\n"
}

#[derive(Debug, Serialize, Deserialize)]
struct WireRecord {
    format: String,
    started: String,
    interrupted: bool,
    ended_by: Option<WireEndedBy>,
    scenario: WireScenario,
    target: WireTarget,
    phases: Vec<WirePhase>,
    #[serde(skip_deserializing)]
    total: Option<WireFigures>,
    bytes: WireBytes,
    connections: WireConnections,
    generator: WireGenerator,
    resources: WireResources,
    validity: WireValidity,
    #[serde(default)]
    thresholds: Vec<WireRuling>,
    failures: Vec<WireFailure>,
    audits: Vec<WireAudit>,
    environment: WireEnvironment,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    histograms: Option<Vec<WireHistogram>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    windows: Option<Vec<WireWindow>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    timeline: Option<Vec<WireMoment>>,
}

#[derive(Debug, Serialize, Deserialize)]
struct WirePhase {
    name: String,
    warmup: bool,
    #[serde(flatten)]
    model: WireModel,
    duration_ns: u64,
    #[serde(flatten)]
    figures: WireFigures,
}

/// The figures of a phase, or of the measured phases together.
#[derive(Debug, Default, Serialize, Deserialize)]
struct WireFigures {
    offered_rate: Option<f64>,
    achieved_rate: f64,
    request_rate: f64,
    arrival_count: u64,
    due_count: u64,
    answered_walks: u64,
    pool_full_count: u64,
    imbalanced_count: u64,
    lag_lower_bounds: u64,
    #[serde(skip_deserializing)]
    response_time: Option<WireTimes>,
    #[serde(skip_deserializing)]
    response_time_ok: Option<WireTimes>,
    #[serde(skip_deserializing)]
    service_time: Option<WireTimes>,
    #[serde(skip_deserializing)]
    on_time: Option<WireTimes>,
    #[serde(skip_deserializing)]
    lag: Option<WireTimes>,
    #[serde(skip_deserializing)]
    wait: Option<WireTimes>,
    #[serde(skip_deserializing)]
    turn: Option<WireTimes>,
    #[serde(skip_deserializing)]
    outcomes: BTreeMap<String, u64>,
    #[serde(skip_deserializing)]
    statuses: BTreeMap<String, u64>,
    steps: Vec<WireStep>,
    flows: Vec<WireFlow>,
}

#[derive(Debug, Serialize, Deserialize)]
struct WireStep {
    flow: String,
    step: String,
    outcomes: BTreeMap<String, u64>,
    statuses: BTreeMap<String, u64>,
    unreached: u64,
    #[serde(skip_deserializing)]
    response_time: Option<WireTimes>,
    #[serde(skip_deserializing)]
    response_time_ok: Option<WireTimes>,
    #[serde(skip_deserializing)]
    service_time: Option<WireTimes>,
}

#[derive(Debug, Serialize, Deserialize)]
struct WireFlow {
    flow: String,
    #[serde(skip_deserializing)]
    journey: Option<WireTimes>,
}

/// A distribution's figures; all null where it is empty.
#[derive(Debug, Serialize)]
struct WireTimes {
    count: u64,
    min_ns: Option<u64>,
    mean_ns: Option<u64>,
    p50_ns: Option<u64>,
    p90_ns: Option<u64>,
    p99_ns: Option<u64>,
    p99_9_ns: Option<u64>,
    max_ns: Option<u64>,
    /// Entries of which only a lower bound is known.
    censored: u64,
    /// The quantiles above that are therefore lower bounds themselves.
    lower_bounds: Vec<String>,
    p99_ci_ns: Option<[u64; 2]>,
}

#[derive(Debug, Serialize, Deserialize)]
struct WireBytes {
    sent: u64,
    received: u64,
}

#[derive(Debug, Serialize, Deserialize)]
struct WireConnections {
    http: Option<WireHttp>,
    max: usize,
    opened: u64,
    reopened: u64,
    peak_in_use: usize,
    #[serde(skip_deserializing)]
    connect: Option<WireTimes>,
    #[serde(skip_deserializing)]
    tls: Option<WireTimes>,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
enum WireHttp {
    #[serde(rename = "1.1")]
    One,
    #[serde(rename = "2")]
    Two,
}

#[derive(Debug, Serialize, Deserialize)]
struct WireGenerator {
    workers: usize,
    cpu_ns: u64,
    busy_max: Option<f64>,
    busiest_worker: Option<usize>,
    memory_peak_bytes: Option<u64>,
    placement: Option<String>,
    ran_out: Option<String>,
    #[serde(default)]
    rows_ended: Option<WireRowsEnded>,
    #[serde(default)]
    walks_full: bool,
}

#[derive(Debug, Serialize, Deserialize)]
struct WireRowsEnded {
    feeder: String,
    rows: u64,
    is_failure: bool,
}

#[derive(Debug, Serialize, Deserialize)]
struct WireResources {
    memory: WireMemory,
    cpu: WireCpu,
    startup_ns: Option<u64>,
    #[serde(default)]
    container: Option<WireContainer>,
}

#[derive(Debug, Serialize, Deserialize)]
struct WireMoment {
    at_ns: u64,
    memory_bytes: Option<u64>,
    cpu_ns: Option<u64>,
}

#[derive(Debug, Serialize, Deserialize)]
struct WireContainer {
    source: String,
    hz: f64,
    memory_limit_bytes: Option<u64>,
    cpu_limit: Option<f64>,
    tasks_peak: Option<u64>,
    throttled_ns: Option<u64>,
    throttled_periods: Option<u64>,
    oom_kills: Option<u64>,
}

#[derive(Debug, Serialize, Deserialize)]
struct WireMemory {
    working_set: Option<WireSeries>,
    rss: Option<WireSeries>,
    pss: Option<WirePss>,
    #[serde(default)]
    page_cache: Option<WireSeries>,
}

#[derive(Debug, Serialize, Deserialize)]
struct WireSeries {
    source: String,
    hz: f64,
    samples: u64,
    processes: Option<u32>,
    idle_bytes: Option<u64>,
    p50_bytes: Option<u64>,
    p95_bytes: Option<u64>,
    peak_bytes: Option<u64>,
    after_idle_bytes: Option<u64>,
    slope_bytes_per_s: Option<f64>,
    #[serde(default)]
    slope_ci_bytes_per_s: Option<[f64; 2]>,
}

#[derive(Debug, Serialize, Deserialize)]
struct WirePss {
    idle_bytes: Option<u64>,
    after_idle_bytes: Option<u64>,
}

#[derive(Debug, Serialize, Deserialize)]
struct WireCpu {
    ns: Option<u64>,
    #[serde(skip_deserializing)]
    per_1k_requests_ns: Option<u64>,
}

#[derive(Debug, Serialize, Deserialize)]
struct WireFailure {
    at_ns: u64,
    step: String,
    outcome: String,
    what: String,
    #[serde(default)]
    response: Option<String>,
}

#[derive(Debug, Serialize, Deserialize)]
struct WireHistogram {
    /// The phase, from 0; none for figures of the whole run.
    phase: Option<usize>,
    flow: Option<String>,
    step: Option<String>,
    metric: String,
    /// `ok`, `failed` or `censored` where the metric is kept apart by outcome.
    part: Option<String>,
    #[serde(flatten)]
    encoded: WireEncoded,
}

#[derive(Debug, Serialize, Deserialize)]
struct WireWindow {
    phase: usize,
    start_ns: u64,
    width_ns: u64,
    ok: Option<WireEncoded>,
    failed: Option<WireEncoded>,
}

impl WireRecord {
    fn summary(record: &RunRecord) -> Self {
        Self {
            format: FORMAT.into(),
            started: record.started.clone(),
            interrupted: record.interrupted,
            ended_by: record.ended_by.as_ref().map(WireEndedBy::new),
            scenario: WireScenario::new(&record.scenario),
            target: WireTarget::new(&record.target),
            phases: record
                .phases
                .iter()
                .map(|phase| WirePhase::new(phase, &record.flows))
                .collect(),
            total: Some(total(record)),
            bytes: WireBytes {
                sent: record.traffic.sent_bytes,
                received: record.traffic.received_bytes,
            },
            connections: WireConnections {
                http: record.connections.http.map(|http| match http {
                    HttpVersion::One => WireHttp::One,
                    HttpVersion::Two => WireHttp::Two,
                }),
                max: record.connections.max,
                opened: record.connections.opened,
                reopened: record.connections.reopened,
                peak_in_use: record.connections.peak_in_use,
                connect: Some(WireTimes::of(&record.connections.connect)),
                tls: (!record.connections.tls.is_empty())
                    .then(|| WireTimes::of(&record.connections.tls)),
            },
            generator: WireGenerator {
                workers: record.generator.workers,
                cpu_ns: record.generator.cpu_ns,
                busy_max: record.generator.busiest_worker.map(|(_, busy)| busy),
                busiest_worker: record.generator.busiest_worker.map(|(worker, _)| worker),
                memory_peak_bytes: record.generator.memory_peak_bytes,
                placement: record.generator.placement.clone(),
                ran_out: record.generator.ran_out.clone(),
                rows_ended: record
                    .generator
                    .rows_ended
                    .as_ref()
                    .map(|ended| WireRowsEnded {
                        feeder: ended.feeder.clone(),
                        rows: ended.rows,
                        is_failure: ended.is_failure,
                    }),
                walks_full: record.generator.walks_full,
            },
            resources: WireResources::new(&record.resources, record.cpu_per_1k_ns()),
            validity: WireValidity::new(&record.validity),
            thresholds: record.thresholds.iter().map(WireRuling::new).collect(),
            failures: record
                .failures
                .iter()
                .map(|failure| WireFailure {
                    at_ns: failure.at_ns,
                    step: failure.step.clone(),
                    outcome: failure.outcome.clone(),
                    what: failure.what.clone(),
                    response: failure.response.clone(),
                })
                .collect(),
            audits: record.audits.iter().map(WireAudit::new).collect(),
            environment: WireEnvironment::new(&record.environment),
            histograms: None,
            windows: None,
            timeline: None,
        }
    }
}

impl WirePhase {
    fn new(phase: &PhaseRecord, names: &[FlowNames]) -> Self {
        let figures = WireFigures {
            offered_rate: phase.model.mean_rate(),
            achieved_rate: phase.achieved_rate(),
            request_rate: phase.request_rate(),
            ..WireFigures::new(&phase.tally, phase.interval(Quantile::P99), names)
        };
        Self {
            name: phase.name.clone(),
            warmup: phase.warmup,
            model: WireModel::new(phase.model),
            duration_ns: phase.duration_ns,
            figures,
        }
    }
}

/// The measured phases together; the offered rate is one figure only where they all have the same.
fn total(record: &RunRecord) -> WireFigures {
    let mut rates = record.measured().map(|phase| match phase.model {
        LoadModel::Open { rate, .. } => Some(rate),
        _ => None,
    });
    let first = rates.next().flatten();
    let total = record.total();
    WireFigures {
        offered_rate: first
            .filter(|&first| rates.all(|rate| rate == Some(first)))
            .map(Rate::per_second),
        achieved_rate: record.achieved_rate(),
        request_rate: match record.measured_ns() {
            0 => 0.0,
            ns => total.due as f64 * 1e9 / ns as f64,
        },
        ..WireFigures::new(&total, record.interval(Quantile::P99), &record.flows)
    }
}

impl WireFigures {
    /// All but the rates, which need a duration.
    fn new(tally: &PhaseTally, interval: Option<QuantileInterval>, names: &[FlowNames]) -> Self {
        let response = tally.response();
        let steps = tally
            .flows
            .iter()
            .zip(names)
            .flat_map(|(flow, names)| {
                flow.steps
                    .iter()
                    .zip(&names.steps)
                    .map(|(step, name)| WireStep::new(step, &names.name, name))
            })
            .collect();
        let flows = tally
            .flows
            .iter()
            .zip(names)
            .map(|(flow, names)| WireFlow::new(flow, &names.name))
            .collect();
        Self {
            arrival_count: tally.arrivals,
            due_count: tally.due,
            answered_walks: tally.walks_answered,
            pool_full_count: tally.pool_full,
            imbalanced_count: tally.imbalanced,
            lag_lower_bounds: tally.coalesced,
            response_time: Some(WireTimes {
                // An end at infinity is none that JSON can hold.
                p99_ci_ns: interval
                    .filter(|interval| interval.high.is_finite())
                    .map(|interval| [interval.low, interval.high].map(|end| end.round() as u64)),
                ..WireTimes::of_distribution(&response)
            }),
            response_time_ok: Some(WireTimes::of(&response.ok)),
            service_time: Some(WireTimes::of_distribution(&tally.service())),
            on_time: Some(WireTimes::of(&tally.on_time)),
            lag: Some(WireTimes::of(&tally.lag)),
            wait: Some(WireTimes::of(&tally.wait)),
            turn: Some(WireTimes::of(&tally.turn)),
            outcomes: outcome_counts(&tally.outcomes()),
            statuses: status_counts(&tally.statuses()),
            steps,
            flows,
            ..Self::default()
        }
    }
}

impl WireStep {
    fn new(step: &StepTally, flow: &str, name: &str) -> Self {
        Self {
            flow: flow.into(),
            step: name.into(),
            outcomes: outcome_counts(&step.outcomes),
            statuses: status_counts(&step.statuses),
            unreached: step.unreached,
            response_time: Some(WireTimes::of_distribution(&step.response)),
            response_time_ok: Some(WireTimes::of(&step.response.ok)),
            service_time: Some(WireTimes::of_distribution(&step.service)),
        }
    }
}

impl WireFlow {
    fn new(flow: &FlowTally, name: &str) -> Self {
        let journey = (flow.steps.len() > 1).then(|| WireTimes::of(&flow.journey));
        Self {
            flow: name.into(),
            journey,
        }
    }
}

const WRITTEN: [(&str, Quantile); 4] = [
    ("p50_ns", Quantile::P50),
    ("p90_ns", Quantile::P90),
    ("p99_ns", Quantile::P99),
    ("p99_9_ns", Quantile::P99_9),
];

impl WireTimes {
    fn of(histogram: &Histogram) -> Self {
        let [p50_ns, p90_ns, p99_ns, p99_9_ns] =
            WRITTEN.map(|(_, quantile)| histogram.quantile(quantile));
        Self {
            count: histogram.count(),
            min_ns: histogram.min(),
            mean_ns: histogram.mean(),
            p50_ns,
            p90_ns,
            p99_ns,
            p99_9_ns,
            max_ns: histogram.max(),
            censored: 0,
            lower_bounds: Vec::new(),
            p99_ci_ns: None,
        }
    }

    fn of_distribution(distribution: &Distribution) -> Self {
        let lower_bounds = WRITTEN
            .into_iter()
            .filter(|(_, quantile)| {
                distribution
                    .quantile(*quantile)
                    .is_some_and(|bound| bound.censored)
            })
            .map(|(name, _)| name.to_owned())
            .collect();
        Self {
            censored: distribution.censored.count(),
            lower_bounds,
            ..Self::of(&distribution.all())
        }
    }
}

impl WireResources {
    fn new(resources: &Resources, cpu_per_1k_ns: Option<u64>) -> Self {
        let Memory {
            working_set,
            rss,
            pss,
            page_cache,
        } = &resources.memory;
        Self {
            memory: WireMemory {
                working_set: working_set.as_ref().map(WireSeries::new),
                rss: rss.as_ref().map(WireSeries::new),
                pss: pss.as_ref().map(|pss: &Pss| WirePss {
                    idle_bytes: pss.idle_bytes,
                    after_idle_bytes: pss.after_idle_bytes,
                }),
                page_cache: page_cache.as_ref().map(WireSeries::new),
            },
            cpu: WireCpu {
                ns: resources.cpu_ns,
                per_1k_requests_ns: cpu_per_1k_ns,
            },
            startup_ns: resources.startup_ns,
            container: resources.container.as_ref().map(WireContainer::new),
        }
    }
}

impl WireMoment {
    fn new(moment: &Moment) -> Self {
        Self {
            at_ns: moment.at_ns,
            memory_bytes: moment.memory_bytes,
            cpu_ns: moment.cpu_ns,
        }
    }
}

impl WireContainer {
    fn new(container: &Container) -> Self {
        Self {
            source: container.source.clone(),
            hz: container.hz,
            memory_limit_bytes: container.memory_limit_bytes,
            cpu_limit: container.cpu_limit,
            tasks_peak: container.tasks_peak,
            throttled_ns: container.throttled_ns,
            throttled_periods: container.throttled_periods,
            oom_kills: container.oom_kills,
        }
    }
}

impl WireSeries {
    fn new(series: &MemorySeries) -> Self {
        Self {
            source: series.source.clone(),
            hz: series.hz,
            samples: series.samples,
            processes: series.processes,
            idle_bytes: series.idle_bytes,
            p50_bytes: series.p50_bytes,
            p95_bytes: series.p95_bytes,
            peak_bytes: series.peak_bytes,
            after_idle_bytes: series.after_idle_bytes,
            slope_bytes_per_s: series.slope_bytes_per_s,
            slope_ci_bytes_per_s: series.slope_ci_bytes_per_s,
        }
    }
}

/// Every histogram of a phase that is not empty, with the metric and part under which it is saved.
fn histograms(record: &RunRecord) -> Vec<WireHistogram> {
    let mut all = Vec::new();
    let mut push =
        |phase, names: Option<(&str, Option<&str>)>, metric: &str, part, histogram: &Histogram| {
            all.extend(histogram.encode().map(|encoded| WireHistogram {
                phase,
                flow: names.map(|(flow, _)| flow.to_owned()),
                step: names.and_then(|(_, step)| step).map(str::to_owned),
                metric: metric.to_owned(),
                part: Option::<&str>::map(part, str::to_owned),
                encoded: WireEncoded::new(encoded),
            }));
        };
    push(None, None, "connect", None, &record.connections.connect);
    push(None, None, "tls", None, &record.connections.tls);
    for (index, phase) in record.phases.iter().enumerate() {
        let (phase, tally) = (Some(index), &phase.tally);
        for (metric, histogram) in [
            ("overrun", &tally.overrun),
            ("on_time", &tally.on_time),
            ("lag", &tally.lag),
            ("wait", &tally.wait),
            ("turn", &tally.turn),
        ] {
            push(phase, None, metric, None, histogram);
        }
        for (flow, names) in tally.flows.iter().zip(&record.flows) {
            push(
                phase,
                Some((&names.name, None)),
                "journey",
                None,
                &flow.journey,
            );
            for (step, name) in flow.steps.iter().zip(&names.steps) {
                let names = Some((names.name.as_str(), Some(name.as_str())));
                for (metric, times) in [
                    ("response_time", &step.response),
                    ("service_time", &step.service),
                ] {
                    push(phase, names, metric, Some("ok"), &times.ok);
                    push(phase, names, metric, Some("failed"), &times.failed);
                    push(phase, names, metric, Some("censored"), &times.censored);
                }
            }
        }
    }
    all
}

fn windows(record: &RunRecord) -> Vec<WireWindow> {
    let of_phase = |(phase, recorded): (usize, &PhaseRecord)| {
        let wire = move |window: &crate::windows::Window| WireWindow {
            phase,
            start_ns: window.start_ns,
            width_ns: window.width_ns,
            ok: window.ok.clone().map(WireEncoded::new),
            failed: window.failed.clone().map(WireEncoded::new),
        };
        recorded.windows.iter().map(wire).collect::<Vec<_>>()
    };
    record
        .phases
        .iter()
        .enumerate()
        .flat_map(of_phase)
        .collect()
}

#[cfg(test)]
mod tests;
