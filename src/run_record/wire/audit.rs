//! What a target's audit command is told on its standard input: what was counted over the whole launch.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::exchange::Outcome;
use crate::ledger::StepTally;
use crate::run_record::RunRecord;

/// `{"steps": {"flow/step": {"statuses": {"201": n}, "unknown": u}}}`.
#[derive(Debug, Serialize)]
struct WireCounts {
    steps: BTreeMap<String, WireStepCounts>,
}

#[derive(Debug, Default, Serialize)]
struct WireStepCounts {
    statuses: BTreeMap<u16, u64>,
    /// Requests whose effect is not known: no response, or one that says that the server failed.
    unknown: u64,
}

/// Outcomes after which nobody knows whether the request took effect.
const UNKNOWN: [Outcome; 4] = [
    Outcome::Timeout,
    Outcome::Reset,
    Outcome::ProtocolError,
    Outcome::Unfinished,
];

impl RunRecord {
    /// What was counted over the whole launch, warm-up included, as the JSON that an audit command reads; `before` are
    /// steps that were answered before the load, as `flow/step`, and with which status.
    ///
    /// # Panics
    /// Never: every key is text and every value is a whole number.
    #[must_use]
    pub fn audit_counts(&self, before: &[(String, u16)]) -> String {
        let mut steps: BTreeMap<String, WireStepCounts> = BTreeMap::new();
        for (step, status) in before {
            let counts = steps.entry(step.clone()).or_default();
            *counts.statuses.entry(*status).or_default() += 1;
        }
        for phase in &self.phases {
            for (flow, names) in phase.tally.flows.iter().zip(&self.flows) {
                for (step, name) in flow.steps.iter().zip(&names.steps) {
                    steps
                        .entry(format!("{}/{name}", names.name))
                        .or_default()
                        .add(step);
                }
            }
        }
        serde_json::to_string(&WireCounts { steps }).expect("keys are text and values are whole")
    }
}

impl WireStepCounts {
    fn add(&mut self, step: &StepTally) {
        for (&status, &count) in &step.statuses {
            *self.statuses.entry(status).or_default() += count;
            if status >= 500 {
                self.unknown += count;
            }
        }
        self.unknown += UNKNOWN
            .iter()
            .map(|&outcome| step.outcomes.of(outcome))
            .sum::<u64>();
    }
}
