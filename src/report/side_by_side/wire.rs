//! The JSON of runs side by side, format `tailmark.runs/1`; `docs/schemas/runs-1.json` is its schema.
//!
//! Times are whole nanoseconds, sizes bytes, and what was not measured, or the sample cannot say, is `null`. It is written and never
//! read back: each run has a record of its own.

use serde_json::{Map, Value, json};

use super::{CLOSING, Runs, SavedRun, memory, quantiles};
use crate::exchange::Outcome;
use crate::run_record::RunRecord;
use crate::units::Quantile;

/// The format that is written.
const FORMAT: &str = "tailmark.runs/1";

impl Runs {
    /// The whole of it, as `--json` prints it.
    ///
    /// # Panics
    /// Never: every key is text and every number is finite.
    #[must_use]
    pub fn to_json(&self) -> String {
        let differences = self.differences();
        let differences = differences.iter().map(|difference| {
            json!({
                "respect": difference.respect.name(),
                "what": difference.what,
                "values": difference.values,
            })
        });
        let runs = self.lettered().map(|(letter, run)| saved(letter, run));
        let document = json!({
            "format": FORMAT,
            "runs": runs.collect::<Vec<_>>(),
            "differences": differences.collect::<Vec<_>>(),
            "same": self.same(),
            "remarks": self.remarks(),
            "closing": CLOSING,
        });
        serde_json::to_string_pretty(&document).expect("keys are text and numbers are finite")
            + "\n"
    }
}

fn saved(letter: char, run: &SavedRun) -> Value {
    let record = &run.record;
    let total = record.total();
    let outcomes = total.outcomes();
    let (kept_up, offered) = record.kept_up();
    let is_open = record.measured().all(|phase| phase.model.is_open());
    json!({
        "letter": letter.to_string(),
        "source": run.source,
        "started": record.started,
        "interrupted": record.interrupted,
        "scenario": {
            "name": record.scenario.name,
            "digest": record.scenario.digest,
            "seed": record.scenario.seed,
        },
        "target": {
            "name": record.target.name,
            "executable": record.target.executable,
            "revision": record.target.revision,
        },
        "validity": {
            "state": record.validity.state.name(),
            "reasons": record.validity.reasons,
        },
        "requests": {
            "due_count": total.due,
            "ok_count": outcomes.of(Outcome::Ok),
            "failed_count": outcomes.failed(),
        },
        "offered_rate": is_open.then_some(offered),
        "achieved_rate": if is_open { kept_up } else { record.achieved_rate() },
        "response_time": times(record),
        "memory": memory(record).map(|(kind, series)| json!({
            "kind": kind,
            "idle_bytes": series.idle_bytes,
            "p95_bytes": series.p95_bytes,
            "peak_bytes": series.peak_bytes,
        })),
        "cpu_per_1k_ns": record.cpu_per_1k_ns(),
    })
}

fn times(record: &RunRecord) -> Value {
    let response = record.total().response();
    let mut times = Map::new();
    let mut bounds = Vec::new();
    for (quantile, value) in quantiles(record) {
        let key = format!("{}_ns", quantile.to_string().replace('.', "_"));
        if value.is_some_and(|(_, censored)| censored) {
            bounds.push(key.clone());
        }
        times.insert(key, value.map(|(ns, _)| ns).into());
    }
    let longest = response.max();
    if longest.is_some_and(|longest| longest.censored) {
        bounds.push("max_ns".to_owned());
    }
    times.insert(
        "max_ns".to_owned(),
        longest.map(|longest| longest.value).into(),
    );
    let interval = record.interval(Quantile::P99);
    // An end at infinity is none that JSON can hold.
    let ends = interval.map(|interval| [interval.low, interval.high]);
    let ends = ends.filter(|ends| ends.iter().all(|end| end.is_finite()));
    let ends = ends.map(|ends| ends.map(|end| end.round() as u64));
    times.insert("p99_ci_ns".to_owned(), json!(ends));
    times.insert("lower_bounds".to_owned(), json!(bounds));
    times.into()
}
