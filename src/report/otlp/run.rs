//! A run as metrics.

use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::metrics::v1::{ExponentialHistogramDataPoint, NumberDataPoint};

use super::page::{Attributes, Named, Page, Span, count, figure, moment, text, times, whole, yes};
use crate::histogram::Histogram;
use crate::ledger::Distribution;
use crate::report::figures::{QUANTILES, supported};
use crate::run_record::resources::{MemorySeries, Moment};
use crate::run_record::{PhaseRecord, RunRecord};
use crate::units::Quantile;
use crate::validity::State;

/// What a response time is, in every metric of one.
pub(super) const RESPONSE_TIME: Named = Named {
    name: "tailmark.response_time",
    unit: "s",
    about: "From the moment a request was due to the end of its response, or to its failure.",
};

/// A quantile of them.
pub(super) const QUANTILE: Named = Named {
    name: "tailmark.response_time.quantile",
    unit: "s",
    about: "A quantile of response time, where there are enough requests for it; a lower bound where tailmark.lower_bound is true.",
};

/// The messages of a run.
pub(super) fn messages(record: &RunRecord, id: &str) -> Vec<Vec<u8>> {
    let scenario = &record.scenario;
    let mut page = Page::new(
        &record.environment.tool_version,
        vec![
            text("tailmark.run.id", id),
            text("tailmark.scenario", &scenario.name),
            text("tailmark.scenario.digest", &scenario.digest),
            whole("tailmark.seed", scenario.seed),
            text("tailmark.target", &record.target.name),
        ],
    );
    let phases = phases(record);
    windows(&phases, &mut page);
    steps(record, &phases, &mut page);
    requests(&phases, &mut page);
    rates(&phases, &mut page);
    quantiles(&phases, &mut page);
    let whole_run = Span {
        start: moment(&record.started),
        end: phases
            .last()
            .map_or(moment(&record.started), |phase| phase.span.end),
    };
    timeline(record, whole_run.start, &mut page);
    resources(record, whole_run, &mut page);
    validity(record, whole_run, &mut page);
    page.into_messages()
}

/// A phase, and when it was.
struct Timed<'a> {
    phase: &'a PhaseRecord,
    span: Span,
}

impl Timed<'_> {
    fn attributes(&self, more: impl IntoIterator<Item = KeyValue>) -> Attributes {
        let own = [
            text("tailmark.phase", &self.phase.name),
            yes("tailmark.warmup", self.phase.warmup),
        ];
        own.into_iter().chain(more).collect()
    }
}

/// Phases lie end to end.
fn phases(record: &RunRecord) -> Vec<Timed<'_>> {
    let mut start = moment(&record.started);
    let timed = record.phases.iter().map(|phase| {
        let span = Span {
            start,
            end: start + phase.duration_ns,
        };
        start = span.end;
        Timed { phase, span }
    });
    timed.collect()
}

fn result(is_ok: bool) -> KeyValue {
    text("tailmark.result", if is_ok { "ok" } else { "failed" })
}

/// Response times over time: a point for each window, and for what was ok and what was not in it.
fn windows(phases: &[Timed<'_>], page: &mut Page) {
    let mut points = Vec::new();
    for timed in phases {
        for window in &timed.phase.windows {
            let start = timed.span.start + window.start_ns;
            let span = Span {
                start,
                end: start + window.width_ns,
            };
            // What a record holds was read before, so it can be again.
            let parts = window.parts().unwrap_or_default();
            for (histogram, is_ok) in parts.iter().zip([true, false]) {
                points.extend(times(span, histogram, timed.attributes([result(is_ok)])));
            }
        }
    }
    page.histograms(RESPONSE_TIME, points);
}

/// The times of each step over a whole phase.
fn steps(record: &RunRecord, phases: &[Timed<'_>], page: &mut Page) {
    let (mut response, mut service) = (Vec::new(), Vec::new());
    for timed in phases {
        for (names, flow) in record.flows.iter().zip(&timed.phase.tally.flows) {
            for (step, tally) in names.steps.iter().zip(&flow.steps) {
                let attributes = timed.attributes([
                    text("tailmark.flow", &names.name),
                    text("tailmark.step", step),
                ]);
                response.extend(both(timed.span, &tally.response, &attributes));
                service.extend(both(timed.span, &tally.service, &attributes));
            }
        }
    }
    page.histograms(
        Named {
            name: "tailmark.step.response_time",
            ..RESPONSE_TIME
        },
        response,
    );
    page.histograms(
        Named {
            name: "tailmark.step.service_time",
            unit: "s",
            about: "From the moment a request was sent to the end of its response, or to its failure.",
        },
        service,
    );
}

/// What was ok, and what was not.
pub(super) fn both(
    span: Span,
    of: &Distribution,
    attributes: &Attributes,
) -> Vec<ExponentialHistogramDataPoint> {
    let failed = Histogram::merged([&of.failed, &of.censored]);
    let with = |is_ok| {
        let mut own = attributes.clone();
        own.push(result(is_ok));
        own
    };
    let parts = [
        times(span, &of.ok, with(true)),
        times(span, &failed, with(false)),
    ];
    parts.into_iter().flatten().collect()
}

fn requests(phases: &[Timed<'_>], page: &mut Page) {
    let mut points = Vec::new();
    for timed in phases.iter().filter(|timed| timed.phase.tally.due > 0) {
        for (outcome, requests) in timed.phase.tally.outcomes().iter() {
            let outcome = text("tailmark.outcome", outcome.words().replace(' ', "_"));
            points.push(count(timed.span, requests, timed.attributes([outcome])));
        }
    }
    page.counts(
        Named {
            name: "tailmark.requests",
            unit: "{request}",
            about: "Requests that were due, by how they ended.",
        },
        points,
    );
}

fn rates(phases: &[Timed<'_>], page: &mut Page) {
    let offering = || phases.iter().filter(|timed| timed.phase.offers_load());
    let points = |rate: fn(&PhaseRecord) -> f64| -> Vec<NumberDataPoint> {
        offering()
            .map(|timed| figure(timed.span, rate(timed.phase), timed.attributes([])))
            .collect()
    };
    page.gauge(
        Named {
            name: "tailmark.rate.offered",
            unit: "{arrival}/s",
            about: "Arrivals per second.",
        },
        points(PhaseRecord::arrival_rate),
    );
    page.gauge(
        Named {
            name: "tailmark.rate.achieved",
            unit: "{arrival}/s",
            about: "Arrivals per second that the target kept up with.",
        },
        points(PhaseRecord::achieved_rate),
    );
}

fn quantiles(phases: &[Timed<'_>], page: &mut Page) {
    let (mut values, mut intervals) = (Vec::new(), Vec::new());
    for timed in phases {
        let response = timed.phase.tally.response();
        for quantile in QUANTILES {
            let Some(bound) = supported(&response, quantile) else {
                continue;
            };
            let named = text("tailmark.quantile", quantile.to_string());
            let own = timed.attributes([named, yes("tailmark.lower_bound", bound.censored)]);
            values.push(figure(timed.span, bound.value as f64 / 1e9, own));
        }
        let Some(interval) = timed.phase.interval(Quantile::P99) else {
            continue;
        };
        let ends = [("low", interval.low), ("high", interval.high)];
        for (end, ns) in ends.into_iter().filter(|(_, ns)| ns.is_finite()) {
            let own = timed.attributes([
                text("tailmark.quantile", Quantile::P99.to_string()),
                text("tailmark.end", end),
            ]);
            intervals.push(figure(timed.span, ns / 1e9, own));
        }
    }
    page.gauge(QUANTILE, values);
    page.gauge(
        Named {
            name: "tailmark.response_time.interval",
            unit: "s",
            about: "Each end of the 95 % interval of a quantile, for this machine during this run.",
        },
        intervals,
    );
}

/// Memory and CPUs of the target, reading by reading.
fn timeline(record: &RunRecord, start: u64, page: &mut Page) {
    let readings = &record.resources.timeline;
    let at = |reading: &Moment| start + reading.at_ns;
    let memory = readings.iter().filter_map(|reading| {
        let span = Span {
            start: at(reading),
            end: at(reading),
        };
        Some(figure(span, reading.memory_bytes? as f64, Vec::new()))
    });
    page.gauge(
        Named {
            name: "tailmark.target.memory",
            unit: "By",
            about: "The resident set of the target's processes, or the working set of a container that is not seen from here.",
        },
        memory.collect(),
    );
    let pairs = readings.iter().zip(readings.iter().skip(1));
    let cpus = pairs.filter_map(|(before, after)| {
        let span = Span {
            start: at(before),
            end: at(after),
        };
        let wall = after.at_ns.checked_sub(before.at_ns).filter(|&ns| ns > 0)?;
        // Less than before where a process with its time is gone.
        let used = after.cpu_ns?.checked_sub(before.cpu_ns?)?;
        Some(figure(span, used as f64 / wall as f64, Vec::new()))
    });
    page.gauge(
        Named {
            name: "tailmark.target.cpu",
            unit: "{cpu}",
            about: "CPUs that the target kept busy, on average since the reading before.",
        },
        cpus.collect(),
    );
}

/// What comes of the readings in the measured phases.
fn resources(record: &RunRecord, span: Span, page: &mut Page) {
    let mut points = Vec::new();
    for (kind, series) in record.resources.memory.series() {
        for (when, bytes) in series.into_iter().flat_map(MemorySeries::figures) {
            let own = vec![
                text("tailmark.memory.kind", kind),
                text("tailmark.memory.when", when),
            ];
            points.push(figure(span, bytes as f64, own));
        }
    }
    page.gauge(
        Named {
            name: "tailmark.target.memory.figure",
            unit: "By",
            about: "Memory of the target over the measured phases, and before and after them.",
        },
        points,
    );
    let cpu = record.cpu_per_1k_ns();
    page.gauge(
        Named {
            name: "tailmark.target.cpu.per_1k",
            unit: "s",
            about: "CPU time of the target for 1,000 answered requests.",
        },
        cpu.map(|ns| figure(span, ns as f64 / 1e9, Vec::new()))
            .into_iter()
            .collect(),
    );
}

fn validity(record: &RunRecord, span: Span, page: &mut Page) {
    let state = record.validity.state;
    let valid = if state == State::Valid { 1.0 } else { 0.0 };
    let own = vec![
        text("tailmark.state", state.name()),
        yes("tailmark.interrupted", record.interrupted),
    ];
    page.gauge(
        Named {
            name: "tailmark.valid",
            unit: "1",
            about: "Whether the measurement may be believed: 1, or 0.",
        },
        vec![figure(span, valid, own)],
    );
}
