//! A run as `OpenMetrics` text: what a textfile collector picks up, or a push gateway takes.
//!
//! Written here, since the kept libraries for it render what a running process counts, and know no summary whose quantiles come
//! from elsewhere. <https://prometheus.io/docs/specs/om/open_metrics_spec/>

use std::fmt::{Display, Write as _};

use super::figures::{QUANTILES, supported};
use crate::ledger::{Bound, Distribution};
use crate::run_record::resources::MemorySeries;
use crate::run_record::{PhaseRecord, RunRecord};
use crate::validity::State;

/// The measured phases of a run, with memory and CPU of its target.
#[must_use]
pub(super) fn run(record: &RunRecord) -> String {
    let mut page = Page {
        text: String::new(),
        common: vec![
            ("scenario", record.scenario.name.clone()),
            ("target", record.target.name.clone()),
        ],
    };
    times(record, &mut page);
    lower_bounds(record, &mut page);
    requests(record, &mut page);
    rates(record, &mut page);
    resources(record, &mut page);
    page.family(
        "tailmark_valid",
        "gauge",
        None,
        "Whether the measurement may be believed.",
    );
    page.sample(
        "tailmark_valid",
        &[],
        u8::from(record.validity.state == State::Valid),
    );
    page.text += "# EOF\n";
    page.text
}

fn times(record: &RunRecord, page: &mut Page) {
    let name = "tailmark_response_seconds";
    let help = "From the moment a request was due to the end of its response.";
    page.family(name, "summary", Some("seconds"), help);
    for (labels, times) in responses(record) {
        page.summary(name, &labels, &times);
    }
    let name = "tailmark_service_seconds";
    let help = "From the moment a request was sent to the end of its response.";
    page.family(name, "summary", Some("seconds"), help);
    for phase in record.measured() {
        let labels = [("phase", phase.name.clone())];
        page.summary(name, &labels, &phase.tally.service());
    }
}

/// Which quantiles of response time are not known to be so small: a summary has no mark for it.
fn lower_bounds(record: &RunRecord, page: &mut Page) {
    let name = "tailmark_response_lower_bound";
    let help = "1 where a quantile of response time is a lower bound: requests that never ended could move it.";
    page.family(name, "gauge", None, help);
    for (labels, times) in responses(record) {
        for (labels, bound) in quantiles(&labels, &times) {
            page.sample(name, &labels, u8::from(bound.censored));
        }
    }
}

/// The response times of each measured phase, and of each of its steps, with the labels that name them.
fn responses(record: &RunRecord) -> Vec<(Vec<Label>, Distribution)> {
    let mut responses = Vec::new();
    for phase in record.measured() {
        let of_phase = vec![("phase", phase.name.clone())];
        responses.push((of_phase.clone(), phase.tally.response()));
        for (names, flow) in record.flows.iter().zip(&phase.tally.flows) {
            for (step, tally) in names.steps.iter().zip(&flow.steps) {
                let mut labels = of_phase.clone();
                labels.extend([("flow", names.name.clone()), ("step", step.clone())]);
                responses.push((labels, tally.response.clone()));
            }
        }
    }
    responses
}

/// The quantiles that the sample supports, each with `labels` and its own.
fn quantiles(labels: &[Label], times: &Distribution) -> Vec<(Vec<Label>, Bound)> {
    let quantiles = QUANTILES.into_iter().filter_map(|quantile| {
        let bound = supported(times, quantile)?;
        let own = ("quantile", quantile.fraction().to_string());
        Some((labels.iter().cloned().chain([own]).collect(), bound))
    });
    quantiles.collect()
}

fn requests(record: &RunRecord, page: &mut Page) {
    page.family(
        "tailmark_requests",
        "counter",
        None,
        "Requests by how they ended.",
    );
    for phase in record.measured() {
        for (outcome, count) in phase.tally.outcomes().iter() {
            let labels = [
                ("phase", phase.name.clone()),
                ("outcome", outcome.words().replace(' ', "_")),
            ];
            page.sample("tailmark_requests_total", &labels, count);
        }
    }
}

fn rates(record: &RunRecord, page: &mut Page) {
    let kinds: [Family<f64>; 2] = [
        (
            "tailmark_offered_rate",
            "Arrivals per second.",
            PhaseRecord::arrival_rate,
        ),
        (
            "tailmark_achieved_rate",
            "Arrivals per second that the target kept up with.",
            PhaseRecord::achieved_rate,
        ),
    ];
    for (name, help, of_phase) in kinds {
        page.family(name, "gauge", None, help);
        for phase in record.measured() {
            page.sample(name, &[("phase", phase.name.clone())], of_phase(phase));
        }
    }
}

fn resources(record: &RunRecord, page: &mut Page) {
    page.family(
        "tailmark_memory_bytes",
        "gauge",
        Some("bytes"),
        "Memory of the target.",
    );
    for (kind, series) in record.resources.memory.series() {
        for (when, bytes) in series.into_iter().flat_map(MemorySeries::figures) {
            let labels = [("kind", kind.to_owned()), ("when", when.to_owned())];
            page.sample("tailmark_memory_bytes", &labels, bytes);
        }
    }
    if let Some(ns) = record.resources.cpu_ns {
        let help = "CPU time of the target over the measured phases.";
        page.family("tailmark_cpu_seconds", "gauge", Some("seconds"), help);
        page.sample("tailmark_cpu_seconds", &[], seconds(ns));
    }
}

fn seconds(ns: u64) -> f64 {
    ns as f64 / 1e9
}

type Label = (&'static str, String);

/// The name of a family, what it means, and what a phase says of it.
type Family<T> = (&'static str, &'static str, fn(&PhaseRecord) -> T);

struct Page {
    text: String,
    /// Labels of every sample.
    common: Vec<Label>,
}

impl Page {
    fn family(&mut self, name: &str, kind: &str, unit: Option<&str>, help: &str) {
        // Writing to a string does not fail.
        let _ = writeln!(self.text, "# TYPE {name} {kind}");
        if let Some(unit) = unit {
            let _ = writeln!(self.text, "# UNIT {name} {unit}");
        }
        let _ = writeln!(self.text, "# HELP {name} {help}");
    }

    /// The quantiles that the sample supports, and how many there are.
    fn summary(&mut self, name: &str, labels: &[Label], times: &Distribution) {
        for (labels, bound) in quantiles(labels, times) {
            self.sample(name, &labels, seconds(bound.value));
        }
        self.sample(&format!("{name}_count"), labels, times.count());
    }

    fn sample(&mut self, name: &str, labels: &[(&str, String)], value: impl Display) {
        let common = self.common.iter().map(|(name, value)| (*name, value));
        let own = labels.iter().map(|(name, value)| (*name, value));
        let labels: Vec<String> = common
            .chain(own)
            .map(|(name, value)| format!("{name}=\"{}\"", escaped(value)))
            .collect();
        let _ = writeln!(self.text, "{name}{{{}}} {value}", labels.join(","));
    }
}

fn escaped(value: &str) -> String {
    value
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}
