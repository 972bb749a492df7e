//! What is saved reads back the same, and what was damaged is refused.

use serde_json::{Value, json};

use super::*;
use crate::compare::fixtures::{arm_run, comparison, plan};
use crate::exchange::Outcome;
use crate::run_record::fixtures::{Answer, MS, audit, ok, spread};

fn given() -> Comparison {
    comparison(3, |arm, round| {
        let mut record = arm_run(arm, |asked| match asked.arrival % 200 {
            7 => Answer {
                outcome: Outcome::Timeout,
                status: None,
                ..ok(900 * MS)
            },
            9 if arm == 1 => Answer {
                outcome: Outcome::StatusError,
                status: Some(503),
                ..ok(MS)
            },
            _ => ok((round as u64) * MS + spread(asked.arrival, 3 * MS)),
        });
        record.environment.steal = Some(if (arm, round) == (0, 2) {
            0.07
        } else {
            1.0 / 3.0e4
        });
        record.judge();
        record.audits.push(audit(round as u64));
        record
    })
}

#[test]
fn what_is_saved_reads_back_the_same() {
    let mut interrupted = Comparison::new(plan(4), "2026-11-23T07:41:00Z".into());
    interrupted.interrupted = true;
    for comparison in [given(), interrupted] {
        let saved = comparison.to_json();
        let read = Comparison::from_json(&saved).unwrap();
        assert_eq!(read, comparison);
        assert_eq!(read.to_json(), saved);
    }
}

#[test]
fn damaged_and_contradicting_files_are_refused() {
    let whole: Value = serde_json::from_str(&given().to_json()).unwrap();
    let other_ok = whole["rounds"][1]["runs"][0]["histograms"]["ok"]["v2"].clone();
    for (place, value, message) in [
        (
            "/format",
            json!("tailmark.run/1"),
            "format `tailmark.run/1` is not `tailmark.compare/1`",
        ),
        ("/scenario", json!("crud"), "not a saved comparison: "),
        (
            "/phase/offered_rate_exact",
            json!([600, 0]),
            "an impossible rate",
        ),
        (
            "/phase/arrivals",
            json!("weekly"),
            "unknown arrivals `weekly`",
        ),
        ("/arms", json!([]), "it has no arms"),
        (
            "/arms/1/target",
            Value::Null,
            "not every arm that was measured has its target",
        ),
        (
            "/rounds/0/number",
            json!(2),
            "round 2 stands where round 1 should",
        ),
        (
            "/rounds/0/order",
            json!([0, 0]),
            "does not name each of 2 arms once",
        ),
        ("/rounds/0/runs", json!([]), "round 1 has 0 runs of 2 arms"),
        (
            "/rounds/0/runs/0/outcomes/ok",
            json!(1),
            "axum in round 1 has 13 outcomes and 2400 response times",
        ),
        (
            "/rounds/0/runs/0/outcomes/ok",
            json!(u64::MAX),
            "is too many for `ok`",
        ),
        (
            "/rounds/0/runs/0/histograms/ok/v2",
            json!("%"),
            "response times of axum in round 1: histogram text is not base64",
        ),
        (
            "/rounds/0/runs/0/histograms/ok/v2",
            other_ok,
            "does not fit the min, max and sum",
        ),
        (
            "/rounds/0/runs/0/histograms/censored",
            Value::Null,
            "axum in round 1 has",
        ),
        (
            "/rounds/1/runs/1/memory/kind",
            json!("virtual"),
            "unknown kind of memory `virtual`",
        ),
        (
            "/rounds/1/runs/1/memory/kind",
            json!("working set"),
            "memory of actix is working set, of axum RSS",
        ),
        (
            "/rounds/0/runs/0/validity/state",
            json!("fine"),
            "unknown state `fine`",
        ),
    ] {
        let mut damaged = whole.clone();
        *damaged
            .pointer_mut(place)
            .unwrap_or_else(|| panic!("nothing at {place}")) = value.clone();
        let refusal = refusal(&damaged);
        assert!(refusal.contains(message), "{place} = {value}: {refusal}");
    }
}

fn refusal(damaged: &Value) -> String {
    use std::error::Error as _;
    let error = Comparison::from_json(&damaged.to_string()).unwrap_err();
    match error.source() {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

#[test]
fn figures_beside_the_histograms_are_never_read() {
    let given = given();
    let mut changed: Value = serde_json::from_str(&given.to_json()).unwrap();
    changed["arms"][0]["figures"] = json!("nonsense");
    changed["rounds"][0]["runs"][0]["response_time"] = json!(null);
    changed["rounds"][0]["valid"] = json!(false);
    changed["mood"] = json!("good");
    assert_eq!(Comparison::from_json(&changed.to_string()).unwrap(), given);
}

#[test]
fn an_infinite_quantile_is_null_and_named() {
    let comparison = comparison(2, |arm, _| {
        arm_run(arm, |asked| match asked.arrival % 50 {
            0 => Answer {
                outcome: Outcome::Reset,
                status: None,
                ..ok(MS)
            },
            _ => ok(MS),
        })
    });
    let json: Value = serde_json::from_str(&comparison.to_json()).unwrap();
    let merged = &json["arms"][0]["response_time"];
    assert_eq!(
        (&merged["p99_ns"], &merged["infinite"]),
        (&Value::Null, &json!(["p99_ns", "p99_9_ns"]))
    );
    let figures = &json["arms"][0]["figures"];
    assert_eq!(figures["p99_ns"]["median"], Value::Null);
    assert_eq!(figures["p99_ns"]["rounds"], json!(2));
    // Too few requests in a round is another thing than too many failures.
    assert_eq!(figures["p99_9_ns"]["rounds"], Value::Null);
    assert_eq!(json["arms"][1]["changes"]["p99_9_ns"], Value::Null);
    assert_eq!(json["arms"][1]["changes"]["p99_ns"]["ratio"], Value::Null);
    assert_eq!(
        json["rounds"][0]["runs"][0]["response_time"]["infinite"],
        json!(["p99_ns"])
    );
}

#[test]
fn a_change_is_written_with_what_it_rests_on() {
    let comparison = comparison(6, |arm, _| {
        arm_run(arm, |asked| {
            ok((arm as u64 + 2) * MS + spread(asked.arrival, 20_000))
        })
    });
    let json: Value = serde_json::from_str(&comparison.to_json()).unwrap();
    let change = &json["arms"][1]["changes"]["p50_ns"];
    assert_eq!(change["direction"], "higher");
    assert_eq!(
        (&change["rounds"], &change["level"]),
        (&json!(6), &json!(0.95))
    );
    let ratio = change["ratio"].as_f64().unwrap();
    assert!((ratio - 1.5).abs() < 0.01, "{change}");
    assert_eq!(change["interval"].as_array().unwrap().len(), 2);
}

#[test]
fn a_comparison_from_before_some_figures_were_kept_can_be_read() {
    let mut old: Value = serde_json::from_str(&given().to_json()).unwrap();
    for round in old["rounds"].as_array_mut().unwrap() {
        for run in round["runs"].as_array_mut().unwrap() {
            let run = run.as_object_mut().unwrap();
            run.remove("steps");
            run.remove("measured_ns");
            let memory = run["memory"].as_object_mut().unwrap();
            for key in ["p95_bytes", "after_idle_bytes", "slope_bytes_per_s"] {
                memory.remove(key);
            }
        }
    }
    let read = Comparison::from_json(&old.to_string()).unwrap();
    assert!(read.rounds()[0].arms[0].steps.is_empty());
    assert!(read.change(1, Metric::Response(Quantile::P50)).is_some());
}
