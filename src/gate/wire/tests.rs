//! What is saved reads back the same, and what was damaged is refused.

use serde_json::{Value, json};

use super::*;
use crate::compare::fixtures::arm_run;
use crate::exchange::Outcome;
use crate::gate::fixtures::{gate, terms};
use crate::run_record::fixtures::{Answer, MS, ok, spread};

/// The candidate answers in `slower` ms more than the baseline.
fn given(slower: u64, at_most: usize) -> GateRecord {
    let mut record = gate(&terms(&["p99"], 10), at_most, |attempt, arm, round| {
        let drawn = (round as u64 + 20 * attempt as u64) * 7 + arm as u64;
        let base = MS + (arm as u64) * slower * MS + spread(drawn, MS / 50);
        arm_run(arm, |asked| ok(base + spread(asked.arrival, MS / 10)))
    });
    let build = |digest: &str| Build {
        revision: Some("1f3a".into()),
        digest: Some(digest.into()),
        command: vec!["svc".into()],
        environment_digest: None,
    };
    record.builds = Some(Builds {
        baseline: build("aa"),
        candidate: build("bb"),
    });
    record
}

#[test]
fn what_is_saved_reads_back_the_same() {
    for (slower, at_most) in [(0, 100), (1, 100), (1, 13), (0, 0)] {
        let record = given(slower, at_most);
        let saved = record.to_json();
        let read = GateRecord::from_json(&saved).unwrap();
        assert_eq!(read, record);
        assert_eq!(read.to_json(), saved);
    }
}

#[test]
fn the_verdict_stands_first_and_is_computed_from_the_rounds() {
    let record = given(1, 100);
    let mut json: Value = serde_json::from_str(&record.to_json()).unwrap();
    assert_eq!(
        (&json["verdict"], &json["confirmed"]),
        (&json!("fail"), &json!(true))
    );
    assert_eq!(json["reasons"][0]["kind"], "exceeds");
    assert_eq!(json["attempts"].as_array().unwrap().len(), 2);
    let look = &json["attempts"][1]["metrics"][0]["looks"][0];
    assert_eq!(
        (&look["rounds"], &look["fail"]["doubled_statistic"]),
        (&json!(10), &json!(110))
    );
    json["verdict"] = json!("pass");
    json["attempts"] = json!([]);
    assert_eq!(GateRecord::from_json(&json.to_string()).unwrap(), record);
    let under_way = given(1, 13);
    assert!(under_way.confirmation.is_some() && under_way.decision().is_none());
    let json: Value = serde_json::from_str(&under_way.to_json()).unwrap();
    assert_eq!(
        (&json["verdict"], &json["attempts"][0]["verdict"]),
        (&Value::Null, &json!("fail"))
    );
}

#[test]
fn failures_in_some_rounds_are_kept_with_their_number() {
    let record = gate(&terms(&["p99"], 10), 100, |_, arm, round| {
        let base = MS + spread((round * 7 + arm) as u64, MS / 50);
        arm_run(arm, |asked| {
            let answer = ok(base + spread(asked.arrival, MS / 10));
            match arm == 1 && round == 3 && asked.arrival % 2 == 0 {
                true => Answer {
                    outcome: Outcome::StatusError,
                    status: Some(500),
                    ..answer
                },
                false => answer,
            }
        })
    });
    let saved = record.to_json();
    let json: Value = serde_json::from_str(&saved).unwrap();
    let reasons = &json["reasons"];
    assert_eq!(
        (&json["verdict"], &reasons[0]["kind"], &reasons[0]["rounds"]),
        (
            &json!("inconclusive"),
            &json!("failures in some rounds"),
            &json!(1)
        )
    );
    assert_eq!(GateRecord::from_json(&saved).unwrap(), record);
}

#[test]
fn equal_builds_pass_without_rounds() {
    let mut record = given(0, 0);
    let builds = record.builds.as_mut().unwrap();
    builds.candidate = builds.baseline.clone();
    let json: Value = serde_json::from_str(&record.to_json()).unwrap();
    assert_eq!(
        (&json["verdict"], &json["builds"]["same"]),
        (&json!("pass"), &json!(true))
    );
    assert_eq!(json["reasons"][0]["kind"], "same binary");
}

#[test]
fn damaged_and_contradicting_files_are_refused() {
    let whole: Value = serde_json::from_str(&given(0, 100).to_json()).unwrap();
    for (place, value, message) in [
        (
            "/format",
            json!("tailmark.run/1"),
            "format `tailmark.run/1` is not `tailmark.gate/1`",
        ),
        ("/terms", json!("usual"), "not a saved gate: "),
        ("/terms/metrics", json!(["p9000"]), "unknown metric `p9000`"),
        ("/terms/metrics", json!([]), "a gate needs a metric"),
        (
            "/terms/alpha",
            json!(2),
            "alpha must lie between 0 and 0.5: 2",
        ),
        (
            "/terms/looks",
            json!([10, 10]),
            "the looks [10, 10] do not rise",
        ),
        ("/first/rounds/0/number", json!(2), "the rounds of the gate"),
    ] {
        let mut damaged = whole.clone();
        *damaged.pointer_mut(place).unwrap() = value.clone();
        let error = GateRecord::from_json(&damaged.to_string()).unwrap_err();
        assert!(
            error.to_string().contains(message),
            "{place} = {value}: {error}"
        );
    }
    let mut three = whole;
    let arm = three["first"]["arms"][0].clone();
    three["first"]["arms"].as_array_mut().unwrap().push(arm);
    three["first"]["rounds"] = json!([]);
    let arms = three["first"]["arms"].as_array_mut().unwrap();
    arms.iter_mut().for_each(|arm| arm["target"] = Value::Null);
    let error = GateRecord::from_json(&three.to_string()).unwrap_err();
    assert_eq!(error.to_string(), "a gate has two arms, not 3");
}
