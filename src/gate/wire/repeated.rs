//! The JSON of gates of a target against itself, format `tailmark.aa/1`; `docs/schemas/aa-1.json` is its schema. It is
//! written and never read: the gates themselves are saved.

use serde::Serialize;

use crate::gate::{Repeated, Verdict};

/// The format that is written.
const FORMAT: &str = "tailmark.aa/1";

#[derive(Debug, Serialize)]
struct WireRepeated {
    format: &'static str,
    target: String,
    gates: Vec<WireOne>,
    counts: WireCounts,
    flagged: usize,
    flagged_share_at_most: f64,
    metrics: Vec<WireSeen>,
    suggested_ruled_out: Option<f64>,
}

#[derive(Debug, Serialize)]
struct WireOne {
    verdict: String,
    rounds: usize,
    elapsed_ns: u64,
}

#[derive(Debug, Serialize)]
struct WireCounts {
    pass: usize,
    fail: usize,
    inconclusive: usize,
    invalid: usize,
}

#[derive(Debug, Serialize)]
struct WireSeen {
    metric: String,
    /// Of the logarithms, over the gates.
    pair_sd: Option<f64>,
    fails_from: Option<f64>,
    rules_out: Option<f64>,
}

impl Repeated {
    /// What the gates say together, as `--json` prints it.
    ///
    /// # Panics
    /// Never: every key is text and every number is finite or null.
    #[must_use]
    pub fn to_json(&self) -> String {
        let name = |verdict: Verdict| verdict.name().to_lowercase();
        let wire = WireRepeated {
            format: FORMAT,
            target: self.target.clone(),
            gates: self
                .gates
                .iter()
                .map(|gate| WireOne {
                    verdict: name(gate.verdict),
                    rounds: gate.rounds,
                    elapsed_ns: gate.elapsed_ns,
                })
                .collect(),
            counts: WireCounts {
                pass: self.count(Verdict::Pass),
                fail: self.count(Verdict::Fail),
                inconclusive: self.count(Verdict::Inconclusive),
                invalid: self.count(Verdict::Invalid),
            },
            flagged: self.flagged(),
            flagged_share_at_most: self.flagged_at_most(),
            metrics: self
                .metrics
                .iter()
                .map(|seen| WireSeen {
                    metric: seen.metric.to_string(),
                    pair_sd: seen.pair_sd.map(|sd| sd.median),
                    fails_from: seen.fails_from,
                    rules_out: seen.rules_out,
                })
                .collect(),
            suggested_ruled_out: self.suggested_ruled_out(),
        };
        serde_json::to_string_pretty(&wire).expect("keys are text and numbers are finite") + "\n"
    }
}
