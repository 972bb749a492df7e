//! The JSON of a list, format `tailmark.list/1`; `docs/schemas/list-1.json` is its schema.
//!
//! Times are whole nanoseconds, and what there is none of is `null`. It is written and never read back.

use serde_json::{Value, json};

use super::{Entry, Listing, PhaseSaid, ResultSaid, ScenarioSaid, TargetSaid};
use crate::report::figures::load;

/// The format that is written.
const FORMAT: &str = "tailmark.list/1";

impl Listing {
    /// The whole of it, as `--json` prints it.
    ///
    /// # Panics
    /// Never: every key is text and every number is finite.
    #[must_use]
    pub fn to_json(&self) -> String {
        let targets = self.targets.as_ref();
        let said = targets.map(|targets| &targets.said);
        let described = said.and_then(|said| said.as_ref().ok());
        let described = described.into_iter().flatten().map(target);
        let document = json!({
            "format": FORMAT,
            "targets_file": targets.map(|targets| &targets.file),
            "targets_error": said.and_then(|said| said.as_ref().err()),
            "targets": described.collect::<Vec<_>>(),
            "scenarios": self.scenarios.iter().map(scenario).collect::<Vec<_>>(),
            "more_scenarios": self.more_scenarios,
            "results_folder": self.results_folder,
            "results": self.results.iter().map(result).collect::<Vec<_>>(),
            "older_results": self.older_results,
        });
        serde_json::to_string_pretty(&document).expect("keys are text and numbers are finite")
            + "\n"
    }
}

fn target(target: &TargetSaid) -> Value {
    json!({
        "name": target.name,
        "kind": target.kind,
        "what": target.what,
        "image": target.image,
        "stores": target.stores,
    })
}

fn scenario(entry: &Entry<ScenarioSaid>) -> Value {
    let said = entry.said.as_ref().ok();
    let phases = said.map(|said| said.phases.iter().map(phase).collect::<Vec<_>>());
    json!({
        "file": entry.place,
        "name": said.map(|said| &said.name),
        "why": said.and_then(|said| said.why.as_ref()),
        "flows": said.map(|said| said.flows),
        "phases": phases,
        "error": entry.said.as_ref().err(),
    })
}

fn phase(phase: &PhaseSaid) -> Value {
    json!({
        "name": phase.name,
        "load": load(phase.model),
        "warmup": phase.warmup,
        "duration_ns": phase.duration_ns,
    })
}

fn result(entry: &Entry<ResultSaid>) -> Value {
    let said = entry.said.as_ref().ok();
    json!({
        "folder": entry.place,
        "kind": said.map(|said| said.kind),
        "started": said.map(|said| &said.started),
        "what": said.map(|said| &said.what),
        "says": said.map(|said| &said.says),
        "p99_ns": said.and_then(|said| said.p99_ns),
        "verdict": said.and_then(|said| said.verdict),
        "error": entry.said.as_ref().err(),
    })
}
