//! The JSON of a verification, format `tailmark.verify/1`; `docs/schemas/verify-1.json` is its schema.
//!
//! Times are whole nanoseconds, and what there is none of is `null`. It is written and never read back.

use serde_json::{Value, json};

use super::peers::Reported;
use super::{
    ALLOWED_NS, ALLOWED_SHARE, Answers, Figures, Found, JUDGED, Late, PeerFound, Seen, Verification,
};

/// The format that is written.
const FORMAT: &str = "tailmark.verify/1";

impl Verification {
    /// The whole of it, as `--json` prints it.
    ///
    /// # Panics
    /// Never: every key is text and every number is finite.
    #[must_use]
    pub fn to_json(&self) -> String {
        let environment = &self.environment;
        let document = json!({
            "format": FORMAT,
            "rate": self.rate.per_second(),
            "duration_ns": u64::try_from(self.duration.as_nanos()).unwrap_or(u64::MAX),
            "allowed": { "share": ALLOWED_SHARE, "ns": ALLOWED_NS },
            "right": self.is_right(),
            "scripts": self.found.iter().map(found).collect::<Vec<_>>(),
            "not_installed": self.not_installed,
            "environment": {
                "tool_version": environment.tool_version,
                "kernel": environment.kernel,
                "cpu_model": environment.cpu_model,
                "cores": environment.cores,
            },
        });
        serde_json::to_string_pretty(&document).expect("keys are text and numbers are finite")
            + "\n"
    }
}

fn found(found: &Found) -> Value {
    let wrongs = found.wrongs();
    let validity = &found.validity;
    let notes: Vec<&str> = validity
        .notes
        .iter()
        .map(|note| note.words.as_str())
        .collect();
    json!({
        "name": found.scripted.name,
        "does": found.scripted.does,
        "oracle": found.scripted.script.flags(),
        "connections": found.scripted.connections,
        "right": wrongs.is_empty(),
        "wrongs": wrongs,
        "earlier": found.earlier,
        "due_count": found.due,
        "missing_count": found.missing,
        "stray_count": found.strays,
        "true": seen(&found.truth),
        "measured": seen(&found.measured),
        "arrivals_late": found.late.map(late),
        "validity": { "state": validity.state.name(), "reasons": validity.reasons, "notes": notes },
        "peers": found.peers.iter().map(peer).collect::<Vec<_>>(),
    })
}

fn seen(seen: &Seen) -> Value {
    let Answers { ok, errors, resets } = seen.answers;
    json!({
        "response_time": seen.times.as_ref().map(figures),
        "answers": { "ok": ok, "errors": errors, "resets": resets },
    })
}

fn figures(figures: &Figures) -> Value {
    let quantiles = JUDGED.iter().zip(figures.quantiles);
    let mut object: serde_json::Map<String, Value> = quantiles
        .map(|(quantile, ns)| {
            (
                format!("{}_ns", quantile.to_string().replace('.', "_")),
                ns.into(),
            )
        })
        .collect();
    object.insert("max_ns".into(), figures.max.into());
    object.into()
}

fn late(Late { p50, p99, max }: Late) -> Value {
    json!({ "p50_ns": p50, "p99_ns": p99, "max_ns": max })
}

fn peer(peer: &PeerFound) -> Value {
    json!({
        "name": peer.name,
        "model": peer.model.name(),
        "request_count": peer.requests,
        "true": peer.truth.map(reported),
        "reported": peer.reported.as_ref().ok().copied().map(reported),
        "failure": peer.reported.as_ref().err(),
    })
}

fn reported(Reported { p50, p99 }: Reported) -> Value {
    json!({ "p50_ns": p50, "p99_ns": p99 })
}
