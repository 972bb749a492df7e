use super::*;
use crate::scenario::Scenario;

fn flow(steps: &str) -> Flow {
    let text = format!(
        "tailmark: 1\nflows:\n  f:\n    steps:\n{steps}\nphases: [{{ name: p, rate: 1/s, for: 1s }}]\n"
    );
    let scenario = Scenario::parse("f.yaml", text.as_bytes());
    scenario
        .map_err(|problems| problems.to_string())
        .unwrap()
        .flows()[0]
        .clone()
}

/// The names of the steps of a walk and the pauses between them, in milliseconds.
fn way(flow: &Flow, arrival: u64, captured: &[Option<Value>]) -> String {
    let mut at = Position::START;
    let mut way = flow.steps[0].name.clone();
    for _ in 0..100 {
        let next = flow.next(at, (1, arrival), captured);
        if !next.pause.is_zero() {
            way += &format!(" {}", next.pause.as_millis());
        }
        let Some(next) = next.step else { return way };
        way += &format!(" {}", flow.steps[next.step as usize].name);
        at = next;
    }
    panic!("it does not end: {way}");
}

#[test]
fn steps_follow_each_other_after_their_pauses() {
    let flow = flow(
        "      - { name: a, get: / }
      - think: 100ms
      - think: 20ms
      - { name: b, get: / }
      - { name: c, get: / }
      - think: 3ms",
    );
    assert_eq!(way(&flow, 0, &[]), "a 120 b c 3");
    assert!(!flow.is_single() && !flow.never_pauses());
}

#[test]
fn steps_and_groups_repeat() {
    let flow = flow(
        "      - { name: a, get: /, repeat: 2 }
      - think: 5ms
      - repeat: 2
        steps:
          - think: 1ms
          - { name: b, get: / }
          - { name: c, get: / }
          - think: 2ms
      - { name: d, get: / }",
    );
    assert_eq!(way(&flow, 0, &[]), "a a 6 b c 3 b c 2 d");
}

#[test]
fn how_often_is_drawn_for_the_walk() {
    let flow = flow("      - { name: a, get: /, repeat: 1..3 }");
    let mut seen = [0; 3];
    for arrival in 0..300 {
        let rounds = way(&flow, arrival, &[]).split(' ').count();
        assert_eq!(rounds, way(&flow, arrival, &[]).split(' ').count());
        seen[rounds - 1] += 1;
    }
    assert!(seen.iter().all(|&count| count > 60), "{seen:?}");
}

#[test]
fn conditions_ask_for_what_was_captured() {
    let flow = flow(
        "      - { name: a, get: /, capture: { state: $.state, next: { json: $.next, optional: true } } }
      - { name: wait, get: /, if: { state: pending } }
      - think: 1ms
      - if: { next: { exists: true }, state: { not: done } }
        steps:
          - think: 2ms
          - { name: b, get: / }
          - { name: c, get: /, if: { next: { matches: '^x' } } }
      - { name: d, get: / }",
    );
    let text = |text: &str| Some(Value::text(text));
    let ways = [
        ([None, None], "a 1 d"),
        ([text("pending"), None], "a wait 1 d"),
        ([text("open"), text("y")], "a 3 b d"),
        ([text("open"), text("x1")], "a 3 b c d"),
        ([text("done"), text("x1")], "a 1 d"),
    ];
    for (captured, expected) in ways {
        assert_eq!(way(&flow, 0, &captured), expected);
    }
}

#[test]
fn pauses_are_drawn_within_their_ends_and_around_their_mean() {
    let flow = flow(
        "      - { name: a, get: / }
      - think: 200ms..800ms
      - { name: b, get: / }
      - think: exp(1s)
      - { name: c, get: / }",
    );
    let at = |step| Position { step, round: 0 };
    let mut sums = [0.0; 2];
    for arrival in 0..2_000 {
        let even = flow.next(at(0), (1, arrival), &[]).pause;
        assert!((Duration::from_millis(200)..=Duration::from_millis(800)).contains(&even));
        let exponential = flow.next(at(1), (1, arrival), &[]).pause;
        sums[0] += even.as_secs_f64() / 2_000.0;
        sums[1] += exponential.as_secs_f64() / 2_000.0;
    }
    // Means of 2,000 draws: within five standard errors, 0.004 and 0.022.
    assert!(
        (sums[0] - 0.5).abs() < 0.02 && (sums[1] - 1.0).abs() < 0.12,
        "{sums:?}"
    );
}
