//! What is saved reads back the same, and what was damaged is refused.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::exchange::Outcome;
use crate::run_record::fixtures::{
    Answer, Asked, MODELS, MS, SHOP, audit, container, ok, record, shop, spread, url_yaml,
};
use crate::run_record::resources::Container;
use crate::run_record::{Audit, EndedBy};
use crate::threshold::{Figure, Observed, Ruling};

/// Two flows over two phases, few enough requests to be drawn many times.
const SMALL: &str = "\
tailmark: 1
flows:
  read: { steps: [ { get: / } ] }
  write: { steps: [ { post: /a }, { get: /b } ] }
phases:
  - { name: warm, rate: 7/s, for: 1s, warmup: true }
  - { name: main, rate: 20/s, for: 2s, arrivals: poisson }
";

fn answers() -> impl Strategy<Value = Vec<Answer>> {
    let answer = (
        0u64..1 << 22,
        0u64..1 << 24,
        0u64..1 << 34,
        0usize..22,
        100u16..600,
    )
        .prop_map(|(lag, wait, service, outcome, status)| {
            // Half of them ok, or hardly any walk would come to its second step.
            let outcome = Outcome::ALL.get(outcome).copied().unwrap_or(Outcome::Ok);
            Answer {
                lag,
                wait,
                service,
                outcome,
                status: (!outcome.is_censored()).then_some(status),
            }
        });
    prop::collection::vec(answer, 1..40)
}

proptest! {
    // A record holds some sixty histograms, each encoded and decoded.
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn what_is_saved_reads_back_the_same(
        answers in answers(),
        (hz, slope) in (0.1f64..1e4, -1e9f64..1e9),
        busy in 0.0f64..1.0,
        facts in prop::collection::vec(("[a-z]{1,4}", ".{0,8}"), 0..5),
        (interrupted, name) in (any::<bool>(), ".{0,12}"),
    ) {
        let mut next = answers.iter().cycle();
        let mut given = record("small", SMALL, |_| *next.next().unwrap());
        let rss = given.resources.memory.rss.as_mut().unwrap();
        (rss.hz, rss.slope_bytes_per_s) = (hz, Some(slope));
        rss.slope_ci_bytes_per_s = Some([slope - busy, slope + busy]);
        let rss = rss.clone();
        let memory = &mut given.resources.memory;
        (memory.working_set, memory.page_cache) = (Some(rss.clone()), interrupted.then_some(rss));
        given.resources.container = (busy > 0.1).then(|| Container {
            source: name.clone(),
            hz,
            memory_limit_bytes: Some(hz as u64),
            cpu_limit: Some(busy),
            tasks_peak: None,
            throttled_ns: Some(hz as u64),
            throttled_periods: interrupted.then_some(3),
            oom_kills: Some(0),
        });
        given.generator.busiest_worker = Some((0, busy));
        (0..hz as u64 / 1_000).for_each(|k| given.connections.tls.record(MS + k));
        given.environment.steal = Some(busy / 3.0);
        given.interrupted = interrupted;
        given.ended_by = (!interrupted).then(|| EndedBy { expression: name.clone(), at_ns: hz as u64 });
        given.thresholds = [
            Figure::Time(hz as u64),
            Figure::Size(hz as u64),
            Figure::Ratio(busy),
            Figure::Rate(hz),
            Figure::Slope(slope),
        ]
        .map(|figure| Ruling {
            expression: name.clone(),
            observed: Some(Observed { figure, lower_bound: interrupted }).filter(|_| busy > 0.1),
            when: Some(name.clone()),
            passed: busy > 0.5,
            reason: None,
        })
        .into();
        given.target.runtime = Some(name.clone()).filter(|_| busy > 0.5);
        given.target.container = Some(container()).filter(|_| busy > 0.5);
        given.target.name = name;
        let facts: std::collections::BTreeMap<_, _> = facts.into_iter().collect();
        // Not in the order of their names: the order is the audit's own.
        given.audits = vec![Audit { ok: true, facts: facts.into_iter().rev().collect() }];
        let read = RunRecord::from_json(&given.saved_json()).unwrap();
        prop_assert_eq!(read, given);
    }
}

fn saved() -> Value {
    let mut failing = 0;
    let mut record = record("shop", SHOP, |asked| {
        failing += 1;
        match failing % 100 {
            3 => Answer {
                outcome: Outcome::Timeout,
                status: None,
                ..ok(10_000 * MS)
            },
            5 => Answer {
                outcome: Outcome::StatusError,
                status: Some(503),
                ..ok(spread(asked.arrival, MS))
            },
            _ => shop(asked),
        }
    });
    record.audits.push(audit(12));
    serde_json::from_str(&record.saved_json()).unwrap()
}

#[test]
fn a_p99_has_an_interval_where_one_phase_is_steady_and_ends() {
    let of = |yaml: &str, failed: Outcome| {
        let answer = |asked: Asked| Answer {
            outcome: if asked.arrival.is_multiple_of(50) {
                failed
            } else {
                Outcome::Ok
            },
            ..ok(MS + spread(asked.arrival, MS))
        };
        let text = record("url", yaml, answer).summary_json();
        let json: Value = serde_json::from_str(&text).unwrap();
        json["total"]["response_time"].clone()
    };
    let steady = of(&url_yaml("2000/s", "12s"), Outcome::Ok);
    let ends: Vec<u64> = serde_json::from_value(steady["p99_ci_ns"].clone()).unwrap();
    let p99 = steady["p99_ns"].as_u64().unwrap();
    assert!(ends[0] <= p99 && p99 <= ends[1], "{steady}");
    assert!(ends[1] - ends[0] < p99 / 50, "{steady}");
    // A reset has ended; one of fifty that never do is beyond the p99.
    let resets = of(&url_yaml("2000/s", "12s"), Outcome::Reset);
    assert!(resets["p99_ci_ns"].is_array(), "{resets}");
    let endless = of(&url_yaml("2000/s", "12s"), Outcome::Timeout);
    assert_eq!(endless["p99_ci_ns"], Value::Null, "{endless}");
    let few = of(&url_yaml("100/s", "3s"), Outcome::Ok);
    assert_eq!(few["p99_ci_ns"], Value::Null, "{few}");
    let several = of(SMALL, Outcome::Ok);
    assert_eq!(several["p99_ci_ns"], Value::Null, "{several}");
}

#[test]
fn every_load_model_reads_back_the_same() {
    let given = record("models", MODELS, shop);
    let read = RunRecord::from_json(&given.saved_json()).unwrap();
    assert_eq!(read, given);
    let crowd: Value = serde_json::from_str(&given.summary_json()).unwrap();
    let crowd = &crowd["phases"][3];
    assert_eq!(crowd["model"], "closed");
    assert_eq!(crowd["offered_rate"], Value::Null);
    for users in [0, 100_001] {
        let mut damaged: Value = serde_json::from_str(&given.saved_json()).unwrap();
        damaged["phases"][3]["users"] = json!(users);
        assert!(refusal(&damaged).contains("not as its model `closed` is"));
    }
}

/// The message, with what caused it.
fn refusal(damaged: &Value) -> String {
    use std::error::Error as _;
    let error = RunRecord::from_json(&damaged.to_string()).unwrap_err();
    match error.source() {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

#[test]
fn damaged_and_contradicting_files_are_refused() {
    let whole = saved();
    RunRecord::from_json(&whole.to_string()).unwrap();
    let first_histogram = whole["histograms"][1].clone();
    let other_text = whole["histograms"][2]["v2"].clone();
    for (place, value, message) in [
        (
            "/format",
            json!("tailmark.run/2"),
            "format `tailmark.run/2` is not `tailmark.run/1`",
        ),
        ("/format", Value::Null, "not a saved run: "),
        ("/started", json!(5), "not a saved run: "),
        (
            "/histograms",
            Value::Null,
            "this is a summary, not a saved run",
        ),
        ("/windows", Value::Null, "it has no windows"),
        ("/phases", json!([]), "it has no phases"),
        (
            "/phases/0/offered_rate_exact",
            json!([0, 1]),
            "0 every 1 ns is an impossible rate",
        ),
        (
            "/phases/0/arrivals",
            json!("weekly"),
            "unknown arrivals `weekly`",
        ),
        (
            "/phases/0/model",
            json!("closed"),
            "a phase is not as its model `closed` is",
        ),
        (
            "/phases/1/users",
            json!(5),
            "a phase is not as its model `open` is",
        ),
        ("/phases/1/due_count", json!(7), "7 due"),
        (
            "/phases/1/due_count",
            json!(u64::MAX),
            "is too many for `due_count`",
        ),
        (
            "/phases/1/duration_ns",
            json!(u64::MAX),
            "its phases last for centuries",
        ),
        (
            "/phases/1/answered_walks",
            json!(0),
            "overran with walks it never had",
        ),
        (
            "/phases/1/steps/0/outcomes/ok",
            json!(1),
            "browse/list in phase slow has [1, ",
        ),
        (
            "/phases/1/steps/0/outcomes/ok",
            json!(u64::MAX),
            "is too many for `ok`",
        ),
        (
            "/phases/1/steps/0/outcomes",
            json!({"good": 1}),
            "unknown outcome `good`",
        ),
        (
            "/phases/1/steps/0/statuses",
            json!({"2xx": 1}),
            "`2xx` is no status",
        ),
        (
            "/phases/1/steps/0/step",
            json!("lost"),
            "phase slow lists other steps than the first",
        ),
        ("/validity/state", json!("fine"), "unknown state `fine`"),
        (
            "/audits/0/facts/keys",
            json!(12),
            "fact `keys` of an audit is not text",
        ),
        ("/windows/0/phase", json!(9), "a window belongs to no phase"),
        (
            "/histograms/1/metric",
            json!("mood"),
            "histogram `mood` belongs nowhere",
        ),
        ("/histograms/2", first_histogram, "is there twice"),
        (
            "/histograms/1/v2",
            json!("%"),
            "histogram text is not base64",
        ),
        (
            "/histograms/1/v2",
            json!("AAAA"),
            "histogram text is not a V2 HdrHistogram",
        ),
        (
            "/histograms/1/v2",
            other_text,
            "does not fit the min, max and sum",
        ),
        (
            "/histograms/1/max_ns",
            json!(1),
            "does not fit the min, max and sum",
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

#[test]
fn a_histogram_that_was_cut_out_is_missed() {
    let whole = saved();
    let histograms = whole["histograms"].as_array().unwrap();
    let mut counted = 0;
    for (place, histogram) in histograms.iter().enumerate() {
        let metric = histogram["metric"].as_str().unwrap();
        if !["response_time", "lag", "wait"].contains(&metric) {
            continue;
        }
        counted += 1;
        let mut damaged = whole.clone();
        damaged["histograms"].as_array_mut().unwrap().remove(place);
        let refusal = refusal(&damaged);
        assert!(
            refusal.contains("contradicts itself"),
            "{metric}: {refusal}"
        );
    }
    assert!(counted > 20, "{counted}");
}

#[test]
fn a_file_cut_short_is_refused() {
    let text = saved().to_string();
    for end in (0..text.len()).step_by(text.len() / 40) {
        let cut = text.get(..end).unwrap_or_default();
        assert!(
            matches!(RunRecord::from_json(cut), Err(ReadError::Shape(_))),
            "{end}"
        );
    }
}

#[test]
fn keys_of_a_later_edition_are_passed_over() {
    let mut later = saved();
    let before = RunRecord::from_json(&later.to_string()).unwrap();
    later["mood"] = json!("good");
    later["phases"][0]["mood"] = json!({"of": "the phase"});
    later["phases"][0]["steps"][0]["mood"] = json!([1]);
    assert_eq!(RunRecord::from_json(&later.to_string()).unwrap(), before);
}

#[test]
fn keys_of_thresholds_are_missing_in_earlier_records() {
    let whole = saved();
    let before = RunRecord::from_json(&whole.to_string()).unwrap();
    let mut earlier = whole;
    for key in ["ended_by", "thresholds"] {
        assert!(earlier.as_object_mut().unwrap().remove(key).is_some());
    }
    assert_eq!(RunRecord::from_json(&earlier.to_string()).unwrap(), before);
    earlier["thresholds"] = json!([
        { "expression": "p99 < 1s", "observed": -1, "unit": "ns", "lower_bound": false, "when": null, "passed": true, "reason": null }
    ]);
    assert!(refusal(&earlier).contains("`p99 < 1s` observed -1"));
}

#[test]
fn figures_beside_the_histograms_are_never_read() {
    let whole = saved();
    let before = RunRecord::from_json(&whole.to_string()).unwrap();
    let mut changed = whole;
    changed["phases"][1]["response_time"]["p99_ns"] = json!(1);
    changed["total"] = json!("nonsense");
    assert_eq!(RunRecord::from_json(&changed.to_string()).unwrap(), before);
}
