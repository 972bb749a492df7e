//! Scripted start-ups: what is compared, and what may not be believed.

use super::fixtures::{contained, process, startups};
use super::*;
use crate::run_record::fixtures::MS;

/// Axum listens after 30 ms and a little, actix a fifth later; the machine sways from round to round.
fn sound(rounds: usize) -> Startups {
    startups(rounds, |arm, round| {
        let sway = 30 + (round as u64 * 7) % 10;
        let listening = if arm == 0 { sway } else { sway * 6 / 5 };
        Launch::judged(process(listening), None, None)
    })
}

#[test]
fn arms_are_compared_in_pairs_over_rounds() {
    let startups = sound(8);
    let spread = startups.spread(0, Metric::Listening).unwrap();
    assert_eq!((spread.low, spread.count), (31e6, 8));
    let change = startups.change(1, Metric::Listening).unwrap();
    let ratio = change.ratio.unwrap();
    assert!((1.15..1.21).contains(&ratio), "{change:?}");
    let [low, high] = change.interval.unwrap();
    assert!(1.0 < low && low <= ratio && ratio <= high, "{change:?}");
    let size = startups.change(1, Metric::Size).unwrap();
    assert_eq!((size.ratio, size.interval), (Some(1.0), Some([1.0, 1.0])));
    assert_eq!(
        startups.spread(0, Metric::Engine),
        None,
        "no engine, no figure"
    );
    assert_eq!(
        sound(3).change(1, Metric::Listening).unwrap().interval,
        None
    );
    assert_eq!(sound(0).change(1, Metric::Listening), None);
}

#[test]
fn a_round_with_a_launch_that_was_not_seen_well_is_void() {
    let startups = startups(7, |arm, round| {
        let mut figures = process(40);
        if (arm, round) == (1, 3) {
            figures.listening = Some(Took {
                ns: 900 * MS,
                blind_ns: 860 * MS,
            });
        }
        Launch::judged(figures, Some(0.01), Some(0))
    });
    assert_eq!(startups.valid_rounds().count(), 6);
    assert_eq!(startups.spread(1, Metric::Listening).unwrap().high, 40e6);
}

#[test]
fn a_launch_says_why_it_may_not_be_believed() {
    let with = |ms: u64, blind_us: u64| Figures {
        listening: Some(Took {
            ns: ms * MS,
            blind_ns: blind_us * 1_000,
        }),
        ..process(40)
    };
    let judged = |figures| Launch::judged(figures, None, None).validity;
    // Under a millisecond nothing is made of it, and a tenth is allowed of a long time.
    for (ms, blind_us) in [(2, 1_000), (40, 3_900)] {
        let validity = judged(with(ms, blind_us));
        assert_eq!(validity.state, State::Valid, "{validity:?}");
    }
    for (figures, words) in [
        (
            with(40, 4_100),
            "tailmark itself was late: for 4.10 of the 40.0 ms until it listened it did not look",
        ),
        (
            with(30, 30_000),
            "tailmark itself was late: when it first looked, 30.0 ms after the execution, it was too late to say what it took until it listened",
        ),
        (
            Figures {
                listening: None,
                first_ok: None,
                ..contained(40)
            },
            "the execution of its program was not seen: it is looked for in /proc, among what runc, crun or youki start",
        ),
    ] {
        let validity = judged(figures);
        assert_eq!(
            (validity.state, validity.reasons),
            (State::ClientBound, vec![words.to_owned()])
        );
    }
    let disturbed = Launch::judged(with(40, 9_000), Some(0.2), Some(MS)).validity;
    assert_eq!(
        (disturbed.state, disturbed.reasons.len()),
        (State::Disturbed, 3)
    );
}

#[test]
fn what_cannot_stand_beside_the_others_is_not_taken_in() {
    let launch = |figures| Launch::judged(figures, None, None);
    let mut startups = sound(1);
    let refused = startups.add_round(vec![0], vec![launch(process(1))]);
    assert_eq!(
        refused.unwrap_err(),
        StartupError::Arms { given: 1, arms: 2 }
    );
    let two = || vec![launch(process(1)), launch(process(2))];
    let refused = startups.add_round(vec![0, 0], two()).unwrap_err();
    assert_eq!(
        refused,
        StartupError::Order {
            order: vec![0, 0],
            arms: 2
        }
    );
    let mixed = vec![launch(process(1)), launch(contained(2))];
    let refused = startups
        .add_round(vec![1, 0], mixed)
        .unwrap_err()
        .to_string();
    assert!(
        refused.starts_with("memory of actix is working set, of axum RSS"),
        "{refused}"
    );
    assert_eq!(startups.rounds().len(), 1);
    assert_eq!(startups.add_round(vec![1, 0], two()).unwrap().number, 2);
}
