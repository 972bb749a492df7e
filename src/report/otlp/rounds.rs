//! Comparisons and gates as metrics: each round of each arm, and what they come to.

use opentelemetry_proto::tonic::metrics::v1::{ExponentialHistogramDataPoint, NumberDataPoint};

use super::page::{Attributes, Named, Page, Span, figure, moment, text, whole, yes};
use super::run::{QUANTILE, RESPONSE_TIME, both};
use crate::compare::{ArmRound, Comparison, MemoryKind, Metric};
use crate::gate::GateRecord;
use crate::report::figures::QUANTILES;
use crate::threshold::MemoryFigure;
use crate::units::Quantile;

/// What changes are told of.
const CHANGES: [Metric; 9] = [
    Metric::Response(Quantile::P50),
    Metric::Response(Quantile::P90),
    Metric::Response(Quantile::P99),
    Metric::Response(Quantile::P99_9),
    Metric::Memory(MemoryFigure::Idle),
    Metric::Memory(MemoryFigure::P95),
    Metric::Memory(MemoryFigure::Peak),
    Metric::Memory(MemoryFigure::AfterIdle),
    Metric::CpuPer1k,
];

/// The messages of a comparison.
pub(super) fn comparison(comparison: &Comparison, id: &str) -> Vec<Vec<u8>> {
    let mut page = page(comparison, id);
    rounds(&[comparison], &mut page);
    changes(comparison, &[], &mut page);
    page.into_messages()
}

/// The messages of a gate: as those of a comparison, with its verdict.
pub(super) fn gate(record: &GateRecord, id: &str) -> Vec<Vec<u8>> {
    let mut page = page(&record.first, id);
    let attempts = [Some(&record.first), record.confirmation.as_ref()];
    let attempts: Vec<&Comparison> = attempts.into_iter().flatten().collect();
    rounds(&attempts, &mut page);
    changes(record.latest(), &record.terms.metrics, &mut page);
    let span = span(&record.started, record.elapsed_ns);
    let verdict = record.decision();
    let verdict = verdict.map_or("undecided", |decision| decision.verdict.name());
    page.gauge(
        Named {
            name: "tailmark.gate.verdict",
            unit: "1",
            about: "1, with the verdict as an attribute.",
        },
        vec![figure(span, 1.0, vec![text("tailmark.verdict", verdict)])],
    );
    page.into_messages()
}

fn page(comparison: &Comparison, id: &str) -> Page {
    let plan = &comparison.plan;
    let version = comparison.environment();
    let version = version.map_or(env!("CARGO_PKG_VERSION"), |environment| {
        environment.tool_version.as_str()
    });
    Page::new(
        version,
        vec![
            text("tailmark.run.id", id),
            text("tailmark.scenario", &plan.scenario.name),
            text("tailmark.scenario.digest", &plan.scenario.digest),
            whole("tailmark.seed", plan.scenario.seed),
            text("tailmark.phase", &plan.phase),
            text("tailmark.reference", &plan.arms[0]),
        ],
    )
}

/// When all of it was: a round keeps no moment of its own.
fn span(started: &str, elapsed_ns: Option<u64>) -> Span {
    let start = moment(started);
    Span {
        start,
        end: start.saturating_add(elapsed_ns.unwrap_or(0)),
    }
}

/// Every arm of every round of each attempt.
fn rounds(attempts: &[&Comparison], page: &mut Page) {
    let mut all = OfRounds::default();
    for (comparison, attempt) in attempts.iter().zip(1..) {
        let span = span(&comparison.started, comparison.elapsed_ns);
        for round in comparison.rounds() {
            for (name, arm) in comparison.plan.arms.iter().zip(&round.arms) {
                let attributes = vec![
                    text("tailmark.arm", name),
                    whole("tailmark.attempt", attempt),
                    whole("tailmark.round", round.number as u64),
                    yes("tailmark.valid", round.is_valid()),
                ];
                all.add(span, arm, &attributes);
            }
        }
    }
    page.histograms(RESPONSE_TIME, all.times);
    page.gauge(QUANTILE, all.quantiles);
    page.gauge(
        Named {
            name: "tailmark.rate.achieved",
            unit: "{arrival}/s",
            about: "Arrivals per second that the target kept up with.",
        },
        all.rates,
    );
    page.gauge(
        Named {
            name: "tailmark.target.memory.figure",
            unit: "By",
            about: "Memory of the target over the measured phase, and before and after it.",
        },
        all.memory,
    );
    page.gauge(
        Named {
            name: "tailmark.target.cpu.per_1k",
            unit: "s",
            about: "CPU time of the target for 1,000 answered requests.",
        },
        all.cpu,
    );
}

/// Points as they grow.
#[derive(Default)]
struct OfRounds {
    times: Vec<ExponentialHistogramDataPoint>,
    quantiles: Vec<NumberDataPoint>,
    rates: Vec<NumberDataPoint>,
    memory: Vec<NumberDataPoint>,
    cpu: Vec<NumberDataPoint>,
}

impl OfRounds {
    fn add(&mut self, span: Span, arm: &ArmRound, attributes: &Attributes) {
        self.times.extend(both(span, &arm.response, attributes));
        for quantile in QUANTILES {
            // Infinite where requests that were not ok decide it.
            if let Some(ns) = arm.value(Metric::Response(quantile)) {
                let mut own = attributes.clone();
                own.push(text("tailmark.quantile", quantile.to_string()));
                self.quantiles.push(figure(span, ns / 1e9, own));
            }
        }
        let rate = figure(span, arm.achieved_rate, attributes.clone());
        self.rates.push(rate);
        if let Some(memory) = &arm.memory {
            let figures = [
                ("idle", memory.idle_bytes),
                ("p95", memory.p95_bytes),
                ("peak", memory.peak_bytes),
                ("after_idle", memory.after_idle_bytes),
            ];
            for (when, bytes) in figures {
                let Some(bytes) = bytes else { continue };
                let mut own = attributes.clone();
                own.push(text("tailmark.memory.kind", kind(memory.kind)));
                own.push(text("tailmark.memory.when", when));
                self.memory.push(figure(span, bytes as f64, own));
            }
        }
        let cpu = arm.cpu_per_1k_ns;
        let cpu = cpu.map(|ns| figure(span, ns as f64 / 1e9, attributes.clone()));
        self.cpu.extend(cpu);
    }
}

fn kind(kind: MemoryKind) -> &'static str {
    match kind {
        MemoryKind::WorkingSet => "working_set",
        MemoryKind::Rss => "rss",
    }
}

/// The ratio of each arm to the reference, with its interval; of the usual metrics, and of those by which a gate decides.
fn changes(comparison: &Comparison, gated: &[Metric], page: &mut Page) {
    let others = gated.iter().filter(|metric| !CHANGES.contains(metric));
    let metrics: Vec<Metric> = CHANGES.iter().chain(others).copied().collect();
    let span = span(&comparison.started, comparison.elapsed_ns);
    let mut points = Vec::new();
    for (arm, name) in comparison.plan.arms.iter().enumerate().skip(1) {
        for &metric in &metrics {
            let Some(change) = comparison.change(arm, metric) else {
                continue;
            };
            let [low, high] = change.interval.map_or([None; 2], |ends| ends.map(Some));
            for (end, ratio) in [("estimate", change.ratio), ("low", low), ("high", high)] {
                let Some(ratio) = ratio else { continue };
                let own = vec![
                    text("tailmark.arm", name),
                    text("tailmark.metric", metric.to_string()),
                    text("tailmark.end", end),
                ];
                points.push(figure(span, ratio, own));
            }
        }
    }
    page.gauge(
        Named {
            name: "tailmark.change",
            unit: "1",
            about: "An arm's figure over the reference's, by the valid rounds: the estimate, and the ends of its interval.",
        },
        points,
    );
}
