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

/// Reads `{name: value}`; a value that is no string is kept as its JSON, and the names within an object stand behind its own:
/// `pool.size`.
pub(super) fn settings(text: &[u8]) -> Result<BTreeMap<String, String>, serde_json::Error> {
    let mut settings = BTreeMap::new();
    flatten("", serde_json::from_slice(text)?, &mut settings);
    Ok(settings)
}

fn flatten(prefix: &str, object: Map<String, Value>, settings: &mut BTreeMap<String, String>) {
    for (name, value) in object {
        let name = format!("{prefix}{name}");
        match value {
            Value::Object(inner) => flatten(&format!("{name}."), inner, settings),
            value => drop(settings.insert(name, as_text(value))),
        }
    }
}

fn as_text(value: Value) -> String {
    match value {
        Value::String(text) => text,
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_flat() {
        let read = settings(br#"{"b":{"y":[1],"x":null},"a":"1 MiB","c":{}}"#).unwrap();
        let read: Vec<_> = read
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        assert_eq!(read, ["a=1 MiB", "b.x=null", "b.y=[1]"]);
        assert!(settings(b"[]").is_err() && settings(b"{} x").is_err());
    }
}
