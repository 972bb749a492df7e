//! What an audit command prints.

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::run_record::Audit;

#[derive(Deserialize)]
struct WireAudit {
    ok: bool,
    #[serde(default)]
    facts: Map<String, Value>,
}

/// Reads `{"ok": bool, "facts": {name: value}}`; facts keep their order, and a value that is no string is kept as its JSON.
pub(super) fn audit(text: &[u8]) -> Result<Audit, serde_json::Error> {
    let wire: WireAudit = serde_json::from_slice(text)?;
    let text = |value| match value {
        Value::String(text) => text,
        other => other.to_string(),
    };
    let facts = wire
        .facts
        .into_iter()
        .map(|(name, value)| (name, text(value)))
        .collect();
    Ok(Audit { ok: wire.ok, facts })
}
