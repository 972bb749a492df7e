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

/// Of so many milliseconds, so many microseconds unseen.
fn took(ms: u64, blind_us: u64) -> Option<Took> {
    Some(Took {
        ns: ms * MS,
        blind_ns: blind_us * 1_000,
    })
}

#[test]
fn a_time_that_was_not_seen_well_is_left_out_of_its_round() {
    let startups = startups(7, |arm, round| {
        let mut figures = process(40);
        match (arm, round) {
            (1, 3) => figures.listening = took(900, 860_000),
            (0, 5) => (figures.listening, figures.first_ok) = (took(9, 9_000), took(9, 9_000)),
            _ => {}
        }
        Launch::judged(figures, Some(0.01), Some(0))
    });
    assert_eq!(startups.valid_rounds().count(), 6);
    let counted = |metric| {
        let spreads = [0, 1].map(|arm| startups.spread(arm, metric).unwrap());
        assert_eq!(
            spreads[0].count, spreads[1].count,
            "{metric:?}: rounds are pairs"
        );
        assert_eq!(startups.change(1, metric).unwrap().rounds, spreads[0].count);
        (spreads[1].count, spreads[1].high)
    };
    assert_eq!(counted(Metric::Listening), (5, 40e6));
    assert_eq!(counted(Metric::FirstOk), (6, 45e6));
    assert_eq!(counted(Metric::Size), (6, 13_900_000.0));
}

#[test]
fn a_launch_says_why_it_may_not_be_believed() {
    let with = |listening| Figures {
        listening,
        ..process(40)
    };
    let judged = |figures| Launch::judged(figures, None, None).validity;
    // Of two milliseconds nothing is made, and a tenth is allowed of a long time.
    for listening in [took(4, 2_000), took(40, 3_900)] {
        assert_eq!(
            judged(with(listening)),
            Validity::default(),
            "{listening:?}"
        );
    }
    let late =
        "tailmark itself was late: for 4.10 of the 40.0 ms until it listened it did not look";
    let too_late = "tailmark itself was late: when it first looked, 30.0 ms after the execution, it was too late to say what \
                    it took until it listened";
    for (listening, words) in [(took(40, 4_100), late), (took(30, 30_000), too_late)] {
        let validity = judged(with(listening));
        assert_eq!(
            (validity.state, &validity.reasons[..]),
            (State::Valid, &[][..])
        );
        let note = format!("{words}, so that time stands in no figure");
        assert_eq!(
            (validity.notes[0].words.as_str(), validity.notes.len()),
            (note.as_str(), 1)
        );
        let alone = Figures {
            first_ok: None,
            ..with(listening)
        };
        let validity = judged(alone);
        assert_eq!(
            (validity.state, validity.reasons),
            (State::ClientBound, vec![words.to_owned()])
        );
    }
    let unseen = Figures {
        listening: None,
        first_ok: None,
        ..contained(40)
    };
    let validity = judged(unseen);
    let words = "the execution of its program was not seen: it is looked for in /proc, among what runc, crun or youki start";
    assert_eq!(
        (validity.state, validity.reasons),
        (State::ClientBound, vec![words.to_owned()])
    );
    let disturbed = Launch::judged(with(took(40, 9_000)), Some(0.2), Some(MS)).validity;
    let counts = (disturbed.reasons.len(), disturbed.notes.len());
    assert_eq!((disturbed.state, counts), (State::Disturbed, (2, 1)));
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
