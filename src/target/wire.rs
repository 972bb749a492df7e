//! What the commands around a target print.

use std::collections::BTreeMap;

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
    let facts = wire.facts.into_iter();
    let facts = facts.map(|(name, value)| (name, as_text(value)));
    Ok(Audit {
        ok: wire.ok,
        facts: facts.collect(),
    })
}

/// Reads `{name: value}`; a value that is no string is kept as its JSON.
pub(super) fn settings(text: &[u8]) -> Result<BTreeMap<String, String>, serde_json::Error> {
    let settings: BTreeMap<String, Value> = serde_json::from_slice(text)?;
    let settings = settings.into_iter();
    Ok(settings
        .map(|(name, value)| (name, as_text(value)))
        .collect())
}

fn as_text(value: Value) -> String {
    match value {
        Value::String(text) => text,
        other => other.to_string(),
    }
}
