//! The schema has the keys that the reader takes, and no others.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{CONNECTION_KEYS, DNS_KEYS, FILE_KEYS, calls, feeders, flows, phases, thresholds};
use crate::document::Keys;
use crate::scenario::{SCHEMA, expectation, inspect, request};

/// What each of the reader's tables is called in the schema: once, or once for every way in which its keys go together.
fn tables() -> Vec<(&'static [&'static str], BTreeSet<&'static str>)> {
    let of = |keys: Keys| keys.names().collect::<BTreeSet<_>>();
    let mut of_group = of(flows::STEP_KEYS);
    of_group.remove("repeat");
    vec![
        (&[""], of(FILE_KEYS)),
        (
            &["keptConnections", "freshConnections"],
            of(CONNECTION_KEYS),
        ),
        (&["dns"], of(DNS_KEYS)),
        (&["feeder"], of(feeders::KEYS)),
        (&["call"], of(calls::KEYS)),
        (&["flow"], of(flows::FLOW_KEYS)),
        (&["step"], of(flows::STEP_KEYS)),
        (&["stepOfGroup"], of_group),
        (&["group"], of(flows::GROUP_KEYS)),
        (&["pause"], of(flows::THINK_KEYS)),
        (&["bodyFile"], of(request::FILE_KEYS)),
        (&["checks"], of(inspect::CHECK_KEYS)),
        (&["bodyChecks"], of(inspect::BODY_KEYS)),
        (&["captured"], of(inspect::CAPTURE_KEYS)),
        (&["expected"], expectation::KEYS.into()),
        (
            &["ratePhase", "rampPhase", "usersPhase", "pausePhase"],
            of(phases::KEYS),
        ),
        (
            &["judgedThreshold", "endingThreshold"],
            of(thresholds::KEYS),
        ),
    ]
}

#[test]
fn the_schema_has_the_keys_of_the_reader() {
    let schema: Value = serde_json::from_str(SCHEMA).unwrap();
    let keys_of = |map: &Value| -> Option<BTreeSet<String>> {
        Some(map["properties"].as_object()?.keys().cloned().collect())
    };
    let definitions = schema["$defs"].as_object().unwrap().iter();
    let mut described: BTreeMap<&str, BTreeSet<String>> = definitions
        .filter_map(|(name, map)| Some((name.as_str(), keys_of(map)?)))
        .collect();
    described.insert("", keys_of(&schema).unwrap());
    for (maps, keys) in tables() {
        let found: BTreeSet<String> = maps
            .iter()
            .flat_map(|map| described.remove(map).unwrap())
            .collect();
        assert!(found.iter().eq(&keys), "{maps:?}: {found:?} for {keys:?}");
    }
    assert!(described.is_empty(), "not of the reader: {described:?}");
}
