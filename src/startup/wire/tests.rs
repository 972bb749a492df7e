//! What is written is read back the same, and what is damaged is refused with the damage named.

use serde_json::{Value, json};

use super::*;
use crate::startup::fixtures::{contained, process, startups};

fn sound() -> Startups {
    startups(6, |arm, round| {
        let steal = ((arm, round) == (1, 2)).then_some(0.2);
        Launch::judged(contained(30 + (arm * 3 + round) as u64), steal, Some(0))
    })
}

#[test]
fn what_is_written_is_read_back() {
    let of_processes = startups(2, |_, _| Launch::judged(process(30), None, None));
    let interrupted = Startups {
        interrupted: true,
        elapsed_ns: None,
        ..startups(0, |_, _| Launch::judged(process(30), None, None))
    };
    let mut unseen = contained(30);
    (unseen.engine_ns, unseen.listening, unseen.first_ok) = (None, None, None);
    let unseen = startups(1, |_, _| Launch::judged(unseen.clone(), None, None));
    for startups in [sound(), of_processes, interrupted, unseen] {
        assert_eq!(Startups::from_json(&startups.to_json()).unwrap(), startups);
    }
}

#[test]
fn figures_are_written_beside_the_launches() {
    let written: Value = serde_json::from_str(&sound().to_json()).unwrap();
    let actix = &written["arms"][1];
    assert_eq!(actix["figures"]["listening_ns"]["rounds"], 5);
    assert_eq!(actix["changes"]["listening_ns"]["rounds"], 5);
    assert!(actix["changes"]["listening_ns"]["ratio"].as_f64().unwrap() > 1.0);
    assert_eq!(written["arms"][0]["changes"]["listening_ns"], Value::Null);
    assert_eq!(written["rounds"][1]["valid"], false);
}

#[test]
fn what_is_damaged_is_refused() {
    let written: Value = serde_json::from_str(&sound().to_json()).unwrap();
    for (place, value, words) in [
        (
            "/format",
            json!("tailmark.startup/2"),
            "format `tailmark.startup/2` is not",
        ),
        ("/arms", json!([]), "it has no arms"),
        (
            "/arms/0/target",
            json!(null),
            "not every arm that was launched has its target",
        ),
        (
            "/rounds/1/number",
            json!(3),
            "round 3 stands where round 2 should",
        ),
        (
            "/rounds/1/order",
            json!([0, 0]),
            "the order [0, 0] does not name",
        ),
        ("/rounds/0/launches", json!([]), "0 launches for 2 arms"),
        (
            "/rounds/0/launches/0/listening/blind_ns",
            json!(u64::MAX),
            "nobody looked for longer",
        ),
        (
            "/rounds/0/launches/0/memory/kind",
            json!("PSS"),
            "unknown kind of memory `PSS`",
        ),
        (
            "/rounds/0/launches/0/memory/kind",
            json!("RSS"),
            "memory of actix is working set",
        ),
        (
            "/rounds/0/launches/0/size/of",
            json!("archive"),
            "nothing that is shipped is called `archive`",
        ),
        (
            "/rounds/0/launches/0/validity/state",
            json!("fine"),
            "unknown state `fine`",
        ),
        (
            "/rounds/0/launches/0/engine_ns",
            json!("long"),
            "not saved start-ups: ",
        ),
    ] {
        let mut damaged = written.clone();
        *damaged.pointer_mut(place).unwrap() = value;
        let error = Startups::from_json(&damaged.to_string()).unwrap_err();
        assert!(error.to_string().contains(words), "{place}: {error}");
    }
}
