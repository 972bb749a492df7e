//! Figures as comma-separated values, one to a row, in nanoseconds and bytes: what was not measured is an empty field.

use csv::Writer;

use super::figures::{QUANTILES, supported};
use super::side_by_side::{Runs, memory, quantiles};
use crate::compare::{ArmRound, Comparison, Metric};
use crate::ledger::Distribution;
use crate::run_record::{PhaseRecord, RunRecord};
use crate::threshold::MemoryFigure;
use crate::units::Quantile;
use crate::validity::State;

/// A run: a row per phase, step and quantile of response and service time, then those of each phase as a whole, of which
/// the p99 of the response time has its interval.
///
/// # Panics
/// Never: what is written to memory cannot fail to be.
#[must_use]
pub(super) fn run(record: &RunRecord) -> String {
    let mut rows = Rows::new([
        "target",
        "phase",
        "warmup",
        "flow",
        "step",
        "time",
        "requests",
        "failed",
        "quantile",
        "value_ns",
        "lower_bound",
        "low_ns",
        "high_ns",
    ]);
    for phase in record.phases.iter().filter(|phase| phase.tally.due > 0) {
        for (names, flow) in record.flows.iter().zip(&phase.tally.flows) {
            for (name, step) in names.steps.iter().zip(&flow.steps) {
                let of_step = Times {
                    record,
                    phase,
                    of: [&names.name, name],
                    failed: step.outcomes.failed(),
                };
                of_step.rows("response", &step.response, &mut rows);
                of_step.rows("service", &step.service, &mut rows);
            }
        }
        let whole = Times {
            record,
            phase,
            of: ["", ""],
            failed: phase.tally.outcomes().failed(),
        };
        whole.rows("response", &phase.tally.response(), &mut rows);
        whole.rows("service", &phase.tally.service(), &mut rows);
    }
    rows.into_text()
}

/// Comparisons one after the other, such as a gate and its confirmation: a row per round, arm and metric, those among them
/// that it is `gated` by.
///
/// # Panics
/// Never: what is written to memory cannot fail to be.
#[must_use]
pub(super) fn rounds<'a>(
    comparisons: impl IntoIterator<Item = &'a Comparison>,
    gated: &[Metric],
) -> String {
    let others = gated.iter().filter(|metric| !METRICS.contains(metric));
    let metrics: Vec<Metric> = METRICS.iter().chain(others).copied().collect();
    let mut rows = Rows::new([
        "attempt", "round", "valid", "arm", "place", "requests", "failed", "metric", "value",
    ]);
    for (comparison, attempt) in comparisons.into_iter().zip(1..) {
        for round in comparison.rounds() {
            let arms = comparison.plan.arms.iter().zip(&round.arms);
            for (index, (name, arm)) in arms.enumerate() {
                let place = round.order.iter().position(|&other| other == index);
                let (failed, requests) = arm.failed();
                for &metric in &metrics {
                    rows.push([
                        i32::to_string(&attempt),
                        round.number.to_string(),
                        round.is_valid().to_string(),
                        name.clone(),
                        written(place.map(|place| place + 1)),
                        requests.to_string(),
                        failed.to_string(),
                        metric.to_string(),
                        finite(arm, metric),
                    ]);
                }
            }
        }
    }
    rows.into_text()
}

/// Runs side by side: a row per run and figure.
///
/// # Panics
/// Never: what is written to memory cannot fail to be.
#[must_use]
pub(super) fn runs(runs: &Runs) -> String {
    let mut rows = Rows::new([
        "run",
        "source",
        "started",
        "target",
        "figure",
        "value",
        "low",
        "high",
        "lower_bound",
    ]);
    for (letter, run) in runs.lettered() {
        for figure in figures(&run.record) {
            let [low, high] = figure.interval.unwrap_or_default();
            rows.push([
                letter.to_string(),
                run.source.clone(),
                run.record.started.clone(),
                run.record.target.name.clone(),
                figure.name,
                figure.value,
                low,
                high,
                figure.lower_bound,
            ]);
        }
    }
    rows.into_text()
}

/// One figure of one run, as it is written.
#[derive(Default)]
struct Figure {
    name: String,
    value: String,
    interval: Option<[String; 2]>,
    lower_bound: String,
}

fn figures(record: &RunRecord) -> Vec<Figure> {
    let total = record.total();
    let response = total.response();
    let interval = record.interval(Quantile::P99);
    let ends =
        interval.map(|interval| [interval.low, interval.high].map(|end| end.round().to_string()));
    let of_times = quantiles(record)
        .into_iter()
        .map(|(quantile, value)| Figure {
            name: format!("{}_ns", quantile.to_string().replace('.', "_")),
            value: written(value.map(|(ns, _)| ns)),
            interval: ends.clone().filter(|_| quantile == Quantile::P99),
            lower_bound: written(value.map(|(_, censored)| censored)),
        });
    let longest = response.max();
    let max = Figure {
        name: "max_ns".to_owned(),
        value: written(longest.map(|longest| longest.value)),
        lower_bound: written(longest.map(|longest| longest.censored)),
        ..Figure::default()
    };
    let series = memory(record).map(|(_, series)| series);
    let is_open = record.measured().all(|phase| phase.model.is_open());
    let (kept_up, offered) = record.kept_up();
    let achieved = if is_open {
        kept_up
    } else {
        record.achieved_rate()
    };
    let plain = [
        ("requests", total.due.to_string()),
        ("failed", total.outcomes().failed().to_string()),
        // Users offer what the target lets them.
        ("offered_rate", written(is_open.then_some(offered))),
        ("achieved_rate", achieved.to_string()),
        (
            "memory_idle_bytes",
            written(series.and_then(|series| series.idle_bytes)),
        ),
        (
            "memory_peak_bytes",
            written(series.and_then(|series| series.peak_bytes)),
        ),
        ("cpu_per_1k_ns", written(record.cpu_per_1k_ns())),
        ("valid", (record.validity.state == State::Valid).to_string()),
    ];
    let plain = plain.map(|(name, value)| Figure {
        name: name.to_owned(),
        value,
        ..Figure::default()
    });
    of_times.chain([max]).chain(plain).collect()
}

/// What a round is compared by.
const METRICS: [Metric; 12] = [
    Metric::Response(Quantile::P50),
    Metric::Response(Quantile::P90),
    Metric::Response(Quantile::P99),
    Metric::Response(Quantile::P99_9),
    Metric::AchievedRate,
    Metric::Memory(MemoryFigure::Idle),
    Metric::Memory(MemoryFigure::P95),
    Metric::Memory(MemoryFigure::Peak),
    Metric::Memory(MemoryFigure::Slope),
    Metric::Memory(MemoryFigure::AfterIdle),
    Metric::CpuPer1k,
    Metric::Startup,
];

/// `inf` where requests that were not ok decide it.
fn finite(arm: &ArmRound, metric: Metric) -> String {
    written(arm.value(metric))
}

/// Times of one step in one phase, or of all of it.
struct Times<'a> {
    record: &'a RunRecord,
    phase: &'a PhaseRecord,
    of: [&'a str; 2],
    failed: u64,
}

impl Times<'_> {
    fn rows(&self, kind: &str, times: &Distribution, rows: &mut Rows) {
        let is_whole_response = self.of == ["", ""] && kind == "response";
        for quantile in QUANTILES {
            let bound = supported(times, quantile);
            let interval = (is_whole_response && quantile == Quantile::P99)
                .then(|| self.phase.interval(quantile))
                .flatten();
            rows.push([
                self.record.target.name.clone(),
                self.phase.name.clone(),
                self.phase.warmup.to_string(),
                self.of[0].to_owned(),
                self.of[1].to_owned(),
                kind.to_owned(),
                times.count().to_string(),
                self.failed.to_string(),
                quantile.to_string(),
                written(bound.map(|bound| bound.value)),
                written(bound.map(|bound| bound.censored)),
                written(interval.map(|interval| interval.low.round())),
                written(interval.map(|interval| interval.high.round())),
            ]);
        }
    }
}

fn written(value: Option<impl ToString>) -> String {
    value.map_or(String::new(), |value| value.to_string())
}

struct Rows(Writer<Vec<u8>>);

impl Rows {
    fn new<const N: usize>(header: [&str; N]) -> Self {
        let mut rows = Self(Writer::from_writer(Vec::new()));
        rows.push(header.map(str::to_owned));
        rows
    }

    fn push<const N: usize>(&mut self, fields: [String; N]) {
        (self.0.write_record(fields)).expect("memory takes rows of one length");
    }

    fn into_text(self) -> String {
        let bytes = self.0.into_inner().expect("memory is always flushed");
        String::from_utf8(bytes).expect("fields are text")
    }
}
