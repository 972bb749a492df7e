//! A run in the two text formats of `HdrHistogram`, which its own tools read: <https://github.com/HdrHistogram/HdrHistogram>.

use std::fmt::Write as _;

use crate::histogram::{BUCKETS, Histogram, SUB_BUCKETS};
use crate::run_record::{PhaseRecord, RunRecord};

/// Nanoseconds in the unit of what is printed: milliseconds.
const UNIT_NS: f64 = 1e6;

/// Lines for each half of what is left above a percentile.
const TICKS_PER_HALF: u32 = 5;

/// The interval log, version 1.3: response times in nanoseconds, from the moment a request was due. Each window of a phase has the
/// tag `phase`; each step over a whole phase `phase/flow/step`.
#[must_use]
pub(super) fn interval_log(record: &RunRecord) -> String {
    let started = record.started.parse::<jiff::Timestamp>();
    let epoch_ms = started.map_or(0, jiff::Timestamp::as_millisecond);
    let mut text = format!(
        "#[tailmark {}: response times in ns, maxima in ms]\n\
         #[Histogram log format version 1.3]\n\
         #[StartTime: {}.{:03} (seconds since epoch), {}]\n\
         \"StartTimestamp\",\"Interval_Length\",\"Interval_Max\",\"Interval_Compressed_Histogram\"\n",
        record.environment.tool_version,
        epoch_ms / 1_000,
        epoch_ms % 1_000,
        record.started,
    );
    let mut start_ns = 0;
    for phase in &record.phases {
        steps(record, phase, start_ns, &mut text);
        for window in &phase.windows {
            // A damaged record is refused when it is read.
            let times = window.response().unwrap_or_default();
            let width = window
                .width_ns
                .min(phase.duration_ns.saturating_sub(window.start_ns));
            let at = start_ns + window.start_ns;
            line(&mut text, &phase.name, [at, width], &times);
        }
        start_ns += phase.duration_ns;
    }
    text
}

fn steps(record: &RunRecord, phase: &PhaseRecord, start_ns: u64, text: &mut String) {
    for (names, flow) in record.flows.iter().zip(&phase.tally.flows) {
        for (name, step) in names.steps.iter().zip(&flow.steps) {
            let tag = format!("{}/{}/{name}", phase.name, names.name);
            let span = [start_ns, phase.duration_ns];
            line(text, &tag, span, &step.response.all());
        }
    }
}

fn line(text: &mut String, tag: &str, [start_ns, length_ns]: [u64; 2], times: &Histogram) {
    let Some(encoded) = times.encode() else {
        return;
    };
    let seconds = |ns: u64| ns as f64 / 1e9;
    // Writing to a string does not fail.
    let _ = writeln!(
        text,
        "Tag={tag},{:.3},{:.3},{:.3},{}",
        seconds(start_ns),
        seconds(length_ns),
        encoded.max as f64 / UNIT_NS,
        encoded.text
    );
}

/// The percentile distribution of all measured response times, in milliseconds.
#[must_use]
pub(super) fn percentiles(record: &RunRecord) -> String {
    let times = record.total().response().all();
    let mut text = String::from("       Value     Percentile TotalCount 1/(1-Percentile)\n\n");
    for point in times.spectrum(TICKS_PER_HALF) {
        let value = point.value as f64 / UNIT_NS;
        let _ = write!(
            text,
            "{value:12.3} {:2.12} {:10}",
            point.quantile, point.count
        );
        if point.quantile < 1.0 {
            let _ = write!(text, " {:14.2}", 1.0 / (1.0 - point.quantile));
        }
        text.push('\n');
    }
    let [mean, deviation] = times.mean_and_deviation().map(|ns| ns / UNIT_NS);
    let max = times.max().unwrap_or(0) as f64 / UNIT_NS;
    let _ = write!(
        text,
        "#[Mean    = {mean:12.3}, StdDeviation   = {deviation:12.3}]\n\
         #[Max     = {max:12.3}, Total count    = {:12}]\n\
         #[Buckets = {BUCKETS:12}, SubBuckets     = {SUB_BUCKETS:12}]\n",
        times.count()
    );
    text
}
