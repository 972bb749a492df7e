//! Gates over simulated rounds: who wins, who decides, and what is never believed.

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::compare::fixtures::plan;
use crate::compare::{Comparison, Metric, Plan, order};
use crate::exchange::Outcome;
use crate::random::{Stream, bits, unit};
use crate::run_record::fixtures::{Answer, MS, ok, record, spread};
use crate::units::Quantile;

const P50: Metric = Metric::Response(Quantile::P50);
const P99: Metric = Metric::Response(Quantile::P99);

fn wanted() -> Wanted {
    Wanted {
        metrics: vec![P99],
        allowed: 0.05,
        ruled_out: 0.20,
        alpha: 0.01,
        beta: 0.05,
        max_rounds: 40,
        max_time: Duration::from_secs(3_600),
        round_time: Duration::from_secs(20),
        seed: 7,
        confirm: false,
    }
}

/// A gate whose boundaries are drawn from fewer vectors, so that many of them fit a test.
fn gate(wanted: Wanted) -> Gate {
    let mut terms = Terms::new(wanted).unwrap();
    terms.vectors = 4_000;
    Gate::new(terms)
}

fn arm(p99: f64) -> Arm {
    Arm {
        figures: vec![(P99, Value::Known(p99)), (P50, Value::Known(1.0))],
        failed: 0,
        exchanges: 2_500,
        steps: [("read/item".to_owned(), 2_500)].into(),
        void: None,
    }
}

fn round(baseline: f64, candidate: f64) -> Round {
    Round {
        attempt: Attempt::First,
        baseline: arm(baseline),
        candidate: arm(candidate),
    }
}

/// A number that looks drawn from the standard normal distribution.
fn normal(keys: [u64; 3]) -> f64 {
    (0..12).fold(-6.0, |sum, part| {
        sum + unit(bits(1, Stream::Script, &[keys[0], keys[1], keys[2], part]))
    })
}

/// Round `number` of experiment `run`, of pairs that spread by `sd` about `ratio`, on a machine that drifts.
fn drawn(run: u64, attempt: Attempt, number: usize, ratio: f64, sd: f64) -> Round {
    let keys = |what| [run * 2 + attempt as u64, number as u64, what];
    let machine = 4e6 * (0.5 * normal(keys(0))).exp();
    let d = ratio.ln() + sd * normal(keys(1));
    Round {
        attempt,
        ..round(machine, machine * d.exp())
    }
}

/// Runs a gate to its end, with the rounds that `measure` makes of attempt and number.
fn run(gate: &Gate, mut measure: impl FnMut(Attempt, usize) -> Round) -> (Decision, usize) {
    let mut rounds = Vec::new();
    loop {
        match gate.next(&rounds) {
            Next::Decided(decision) => return (decision, rounds.len()),
            Next::Another(progress) => rounds.push(measure(progress.attempt, progress.number)),
        }
        assert!(rounds.len() < 200, "a gate ends");
    }
}

fn verdict(gate: &Gate, measure: impl FnMut(Attempt, usize) -> Round) -> (Verdict, Vec<Reason>) {
    let (decision, _) = run(gate, measure);
    (decision.verdict, decision.reasons)
}

/// Rounds of figures that spread a little, so that none are tied.
fn steady(number: usize, ratio: f64) -> Round {
    drawn(0, Attempt::First, number, ratio, 0.02)
}

#[test]
fn equal_arms_pass_and_much_slower_ones_fail_at_the_first_look() {
    let gate = gate(wanted());
    let (equal, rounds) = run(&gate, |_, number| steady(number, 1.0));
    assert_eq!((equal.verdict, rounds), (Verdict::Pass, 10));
    assert_eq!(equal.reasons, [Reason::RuledOut]);
    let standing = &equal.judged().unwrap().standings[0];
    let [low, high] = standing.change.interval.unwrap();
    assert!(low < 1.0 && 1.0 < high && high < 1.2, "{low} {high}");
    assert_eq!((standing.state, standing.looks.len()), (State::Passed, 1));

    let (slower, rounds) = run(&gate, |_, number| steady(number, 1.5));
    assert_eq!((slower.verdict, rounds), (Verdict::Fail, 10));
    assert_eq!(slower.reasons, [Reason::Exceeds(P99)]);
    let [low, high] = slower.judged().unwrap().standings[0]
        .change
        .interval
        .unwrap();
    assert!(1.05 < low && low < 1.5 && 1.5 < high, "{low} {high}");
    // A faster candidate passes too.
    let (faster, _) = run(&gate, |_, number| steady(number, 0.5));
    assert_eq!(faster.verdict, Verdict::Pass);
}

#[test]
fn between_the_margins_nothing_is_decided() {
    let gate = gate(wanted());
    let (open, rounds) = run(&gate, |_, number| {
        drawn(3, Attempt::First, number, 1.12, 0.4)
    });
    assert_eq!((open.verdict, rounds), (Verdict::Inconclusive, 40));
    assert_eq!(open.reasons, [Reason::Undecided(P99)]);
    let standing = &open.judged().unwrap().standings[0];
    assert_eq!((standing.state, standing.looks.len()), (State::Open, 5));
    assert!(standing.needed.unwrap().to_either > 100.0);
}

#[test]
fn progress_tells_how_far_it_is() {
    let (gate, another) = (gate(wanted()), gate(wanted()));
    let Next::Another(begun) = gate.next(&[]) else {
        panic!("nothing decided without a round");
    };
    assert_eq!((begun.attempt, begun.number), (Attempt::First, 1));
    assert_eq!((begun.judged.valid, begun.judged.verdict), (0, None));
    assert_eq!((begun.judged.void, begun.unconfirmed), (0, None));
    let rounds: Vec<Round> = (1..=12)
        .map(|number| drawn(3, Attempt::First, number, 1.12, 0.4))
        .collect();
    let Next::Another(before) = gate.next(&rounds[..9]) else {
        panic!("no look yet");
    };
    let standing = &before.judged.standings[0];
    assert_eq!((before.number, standing.looks.len()), (10, 0));
    assert!(standing.change.ratio.is_some() && standing.change.interval.is_none());
    let Next::Another(after) = gate.next(&rounds) else {
        panic!("nothing decided yet");
    };
    let standing = &after.judged.standings[0];
    assert_eq!((after.number, standing.looks.len()), (13, 1));
    assert!(standing.change.interval.is_some() && standing.needed.is_some());
    // The rounds alone decide, not what was asked before: a saved gate goes on as if it had never stopped.
    assert_eq!(another.next(&rounds), Next::Another(after));
}

#[test]
fn later_rounds_change_no_decision() {
    let gate = gate(wanted());
    let mut rounds: Vec<Round> = (1..=10).map(|number| steady(number, 1.0)).collect();
    let decided = gate.next(&rounds);
    assert!(matches!(decided, Next::Decided(_)));
    rounds.extend((11..=14).map(|number| steady(number, 3.0)));
    assert_eq!(gate.next(&rounds), decided);
}

#[test]
fn failures_of_the_candidate_are_infinitely_slow_and_fail() {
    let gate = gate(wanted());
    let broken = |_: Attempt, number| {
        let mut round = steady(number, 1.0);
        round.candidate.figures[0].1 = Value::Known(f64::INFINITY);
        round.candidate.failed = 100;
        round
    };
    let (found, reasons) = verdict(&gate, broken);
    assert_eq!(found, Verdict::Fail);
    assert_eq!(reasons, [Reason::Failures, Reason::Exceeds(P99)]);
    // Failures too few to reach the p99: 0.8 points more.
    let (found, reasons) = verdict(&gate, |_, number| {
        let mut round = steady(number, 1.0);
        round.candidate.failed = 20 + number as u64 % 3;
        round
    });
    assert_eq!((found, reasons), (Verdict::Fail, vec![Reason::Failures]));
    // 0.4 points more are within the half.
    let (found, _) = verdict(&gate, |_, number| {
        let mut round = steady(number, 1.0);
        round.candidate.failed = 9 + number as u64 % 3;
        round
    });
    assert_eq!(found, Verdict::Pass);
}

/// All requests of the candidate fail in the first rounds, and none in the others.
fn lost_at_first(lost: usize) -> impl Fn(Attempt, usize) -> Round {
    move |_, number| {
        let mut round = steady(number, 1.0);
        if number <= lost {
            round.candidate.failed = round.candidate.exchanges;
            round.candidate.figures[0].1 = Value::Known(f64::INFINITY);
        }
        round
    }
}

#[test]
fn launches_that_fail_now_and_then_do_not_pass() {
    let gate = gate(wanted());
    // 7 to 14 % of the candidate's requests fail, and the p99 alone would pass.
    for (lost, of) in [(1, 14), (2, 20), (4, 28)] {
        let measure = lost_at_first(lost);
        let rounds: Vec<Round> = (1..=of)
            .map(|number| measure(Attempt::First, number))
            .collect();
        let Next::Another(progress) = gate.next(&rounds) else {
            panic!("{lost} of {of} are lost, and it is decided");
        };
        assert_eq!(progress.judged.standings[0].state, State::Passed);
        let (decision, rounds) = run(&gate, measure);
        assert_eq!((decision.verdict, rounds), (Verdict::Inconclusive, 40));
        assert_eq!(
            decision.reasons,
            [Reason::FailuresInSome { rounds: lost }],
            "{of}"
        );
        assert_eq!(
            decision.judged().unwrap().failures.candidate,
            (lost as u64 * 2_500, 100_000)
        );
    }
}

#[test]
fn few_failures_among_many_requests_pass() {
    let gate = gate(wanted());
    // 200 of the first round: 0.8, 0.57 and 0.4 points more after 10, 14 and 20 rounds.
    let (decision, rounds) = run(&gate, |_, number| {
        let mut round = steady(number, 1.0);
        if number == 1 {
            round.candidate.failed = 200;
            round.candidate.figures[0].1 = Value::Known(f64::INFINITY);
        }
        round
    });
    assert_eq!((decision.verdict, rounds), (Verdict::Pass, 20));
    // As many of the baseline's are no fault of the candidate's.
    let (decision, rounds) = run(&gate, |_, number| {
        let mut round = steady(number, 1.0);
        if number == 1 {
            round.candidate.failed = 20;
            round.baseline.failed = 20;
        }
        round
    });
    assert_eq!((decision.verdict, rounds), (Verdict::Pass, 10));
}

/// Three steps, and 2,250 requests where all are ok.
const FLOW: &str = "\
tailmark: 1
seed: 42
flows:
  buy:
    steps:
      - { name: login, get: /login }
      - { name: pay, get: /pay }
      - { name: look, get: /look }
phases:
  - { name: steady, rate: 150/s, for: 5s }
";

#[test]
fn a_candidate_that_breaks_a_flow_fails_though_too_few_requests_are_left() {
    let gate = gate(wanted());
    let run = |broken: bool| {
        record("flow", FLOW, |asked| {
            let answer = ok(MS + spread(asked.arrival * 3 + asked.step as u64, MS / 10));
            match broken && asked.step == 0 && asked.arrival % 5 == 0 {
                true => Answer {
                    outcome: Outcome::StatusError,
                    status: Some(500),
                    ..answer
                },
                false => answer,
            }
        })
    };
    let (baseline, candidate) = (run(false), run(true));
    let plan = Plan {
        scenario: baseline.scenario.clone(),
        ..plan(40)
    };
    let mut measured = Comparison::new(plan, baseline.started.clone());
    for number in 1..=10 {
        let records = [&baseline, &candidate];
        measured.add_round(order(7, number, 2), &records).unwrap();
    }
    let rounds: Vec<Round> = measured
        .rounds()
        .iter()
        .map(|round| Round::of(Attempt::First, round, gate.terms()))
        .collect();
    let Round {
        baseline,
        candidate,
        ..
    } = &rounds[0];
    assert_eq!((baseline.failed, baseline.exchanges), (0, 2_250));
    assert_eq!((candidate.failed, candidate.exchanges), (150, 1_950));
    assert_eq!(candidate.value(P99), Value::Known(f64::INFINITY));
    // It counts: what the candidate alone lacks is its own doing.
    assert_eq!(rounds[0].void(&[P99]), None);
    let Next::Decided(decision) = gate.next(&rounds) else {
        panic!("ten rounds decide");
    };
    assert_eq!(decision.verdict, Verdict::Fail);
    assert_eq!(decision.reasons, [Reason::Failures, Reason::Exceeds(P99)]);
}

#[test]
fn a_baseline_that_fails_gives_no_verdict_on_the_candidate() {
    let gate = gate(wanted());
    let (decision, rounds) = run(&gate, |_, number| {
        let mut round = steady(number, 1.0);
        round.baseline.failed = 2_000;
        round.baseline.figures[0].1 = Value::Known(f64::INFINITY);
        round.baseline.steps.clear();
        round
    });
    assert_eq!((decision.verdict, rounds), (Verdict::Invalid, 3));
    assert_eq!(decision.reasons, [Reason::BaselineBroken]);
}

#[test]
fn rounds_that_are_infinite_on_both_sides_count_against_either_verdict() {
    let gate = gate(wanted());
    let both = |_: Attempt, number| {
        let mut round = steady(number, 1.0);
        if number == 4 {
            for arm in [&mut round.baseline, &mut round.candidate] {
                arm.failed = 30;
                arm.figures[0].1 = Value::Known(f64::INFINITY);
            }
        }
        round
    };
    let (found, reasons) = verdict(&gate, both);
    assert_eq!(found, Verdict::Inconclusive);
    let expected = Reason::BothInfinite {
        metric: P99,
        rounds: 1,
    };
    assert_eq!(reasons, [expected]);
    // A baseline alone that fails is no fault of the candidate's.
    let (found, _) = verdict(&gate, |_, number| {
        let mut round = steady(number, 1.0);
        if number % 5 == 4 {
            round.baseline.figures[0].1 = Value::Known(f64::INFINITY);
        }
        round
    });
    assert_eq!(found, Verdict::Pass);
}

#[test]
fn what_only_one_side_came_to_fails() {
    let gate = gate(wanted());
    for (of_baseline, only) in [(true, Side::Baseline), (false, Side::Candidate)] {
        let (found, reasons) = verdict(&gate, |_, number| {
            let mut round = steady(number, 1.0);
            let arms = [&mut round.candidate, &mut round.baseline];
            let arm = arms.into_iter().nth(usize::from(of_baseline)).unwrap();
            arm.steps.insert("buy/pay".into(), 3);
            round
        });
        let step = "buy/pay".to_owned();
        assert_eq!(
            (found, reasons),
            (Verdict::Fail, vec![Reason::OneSided { step, only }])
        );
    }
    // A seldom step that a round leaves out.
    let (found, _) = verdict(&gate, |_, number| {
        let mut round = steady(number, 1.0);
        round
            .baseline
            .steps
            .insert("buy/pay".into(), number as u64 % 2);
        round.candidate.steps.insert("buy/pay".into(), 1);
        round
    });
    assert_eq!(found, Verdict::Pass);
}

#[test]
fn a_metric_without_samples_fails() {
    let gate = gate(wanted());
    let with = |value: Value| {
        move |_: Attempt, number| {
            let mut round = steady(number, 1.0);
            round.candidate.figures[0].1 = value;
            round
        }
    };
    let none = Value::TooFew {
        had: 0,
        needed: 2_000,
    };
    let (decision, rounds) = run(&gate, with(none));
    assert_eq!((decision.verdict, rounds), (Verdict::Fail, 3));
    let side = Some(Side::Candidate);
    assert_eq!(decision.reasons, [Reason::NoSamples { metric: P99, side }]);
    let (found, _) = verdict(&gate, with(Value::Missing));
    assert_eq!(found, Verdict::Fail);
}

/// A figure of too few requests.
fn of_few(had: u64) -> Value {
    Value::TooFew { had, needed: 2_000 }
}

/// In some rounds the candidate made 1,990 requests, and the baseline as well where `both`.
fn small(both: bool, is_small: fn(usize) -> bool) -> impl Fn(Attempt, usize) -> Round {
    move |_, number| {
        let mut round = steady(number, 1.0);
        if is_small(number) {
            round.candidate.figures[0].1 = of_few(1_990);
            if both {
                round.baseline.figures[0].1 = of_few(1_980);
            }
        }
        round
    }
}

#[test]
fn a_round_that_is_too_small_by_chance_is_replaced() {
    let gate = gate(wanted());
    let (decision, rounds) = run(&gate, small(true, |number| number == 4));
    assert_eq!((decision.verdict, rounds), (Verdict::Pass, 11));
    let judged = decision.judged().unwrap();
    assert_eq!((judged.valid, judged.void), (10, 1));
    // The ninth is more than a fifth of the forty that there may be.
    let (decision, rounds) = run(&gate, small(true, |number| number % 2 == 1));
    assert_eq!((decision.verdict, rounds), (Verdict::Invalid, 17));
    let because = "1,990 requests, and p99 needs 2,000".to_owned();
    let expected = Reason::TooManyVoid {
        void: 9,
        measured: 17,
        because,
    };
    assert_eq!(decision.reasons, [expected]);
    // Where none of the first is large enough, none will be.
    let (decision, rounds) = run(&gate, small(true, |_| true));
    assert_eq!((decision.verdict, rounds), (Verdict::Invalid, 3));
    let expected = Reason::TooFew {
        metric: P99,
        side: None,
        exchanges: Some((1_990, 2_000)),
    };
    assert_eq!(decision.reasons, [expected]);
}

#[test]
fn what_is_too_small_on_one_side_counts_against_either_verdict() {
    let gate = gate(wanted());
    // One of ten stands in the way of a PASS at the first look, as a lost one does.
    let (decision, rounds) = run(&gate, small(false, |number| number == 4));
    assert_eq!(decision.verdict, Verdict::Pass);
    assert!((11..=20).contains(&rounds), "{rounds}");
    let judged = decision.judged().unwrap();
    assert_eq!((judged.void, judged.standings[0].both_infinite), (0, 0));
    // The ninth is more than a fifth of the forty that there may be; until then it may still fail.
    let (decision, rounds) = run(&gate, small(false, |_| true));
    assert_eq!((decision.verdict, rounds), (Verdict::Invalid, 10));
    let expected = Reason::TooFew {
        metric: P99,
        side: Some(Side::Candidate),
        exchanges: Some((1_990, 2_000)),
    };
    assert_eq!(decision.reasons, [expected]);
    // What the candidate does wrong has the word before what is not known of it.
    let few = small(false, |_| true);
    let (found, reasons) = verdict(&gate, |attempt, number| {
        let mut round = few(attempt, number);
        round.candidate.failed = 20 + number as u64 % 3;
        round.candidate.steps.clear();
        round
    });
    let only_baseline = Reason::OneSided {
        step: "read/item".into(),
        only: Side::Baseline,
    };
    let expected = vec![only_baseline, Reason::Failures];
    assert_eq!((found, reasons), (Verdict::Fail, expected));
}

#[test]
fn void_rounds_are_replaced_up_to_a_fifth() {
    let gate = gate(wanted());
    let with = |void: fn(usize) -> bool| {
        move |_: Attempt, number| {
            let mut round = steady(number, 1.0);
            if void(number) {
                round.baseline.void = Some("disturbed: steal 11 %".into());
                round.candidate = arm(9e9);
            }
            round
        }
    };
    // Two of the first twelve are void: the look after ten valid ones decides.
    let (decision, rounds) = run(&gate, with(|number| number == 3 || number == 7));
    assert_eq!((decision.verdict, rounds), (Verdict::Pass, 12));
    assert_eq!(decision.judged().unwrap().void, 2);
    // Three of thirteen are over a fifth, three of seventeen are not.
    let (decision, rounds) = run(&gate, with(|number| number < 4));
    assert_eq!((decision.verdict, rounds), (Verdict::Pass, 17));
    // The ninth is more than a fifth of the forty that there may be.
    let (decision, rounds) = run(&gate, with(|number| number % 2 == 1));
    assert_eq!((decision.verdict, rounds), (Verdict::Invalid, 17));
    let because = "disturbed: steal 11 %".to_owned();
    let expected = Reason::TooManyVoid {
        void: 9,
        measured: 17,
        because,
    };
    assert_eq!(decision.reasons, [expected]);
}

#[test]
fn a_fail_is_believed_when_it_happens_twice() {
    let gate = gate(Wanted {
        confirm: true,
        ..wanted()
    });
    let (decision, rounds) = run(&gate, |attempt, number| {
        drawn(1, attempt, number, 1.5, 0.02)
    });
    assert_eq!((decision.verdict, rounds), (Verdict::Fail, 20));
    assert!(decision.is_confirmed() && decision.attempts.len() == 2);
    let once = |attempt: Attempt, number| {
        let ratio = if attempt == Attempt::First { 1.5 } else { 1.0 };
        drawn(1, attempt, number, ratio, 0.02)
    };
    let (decision, rounds) = run(&gate, once);
    assert_eq!((decision.verdict, rounds), (Verdict::Inconclusive, 20));
    assert_eq!(decision.reasons, [Reason::NotConfirmed]);
    let [first, again] = [0, 1].map(|place| decision.attempts[place].verdict);
    assert_eq!((first, again), (Some(Verdict::Fail), Some(Verdict::Pass)));
    // A PASS needs no confirmation.
    let (decision, rounds) = run(&gate, |attempt, number| {
        drawn(1, attempt, number, 1.0, 0.02)
    });
    assert_eq!((decision.verdict, rounds), (Verdict::Pass, 10));
    assert_ne!(Attempt::Confirmation.seed(7), Attempt::First.seed(7));
}

#[test]
fn every_metric_has_to_pass_and_one_is_enough_to_fail() {
    let memory: Metric = "mem.peak".parse().unwrap();
    let gate = gate(Wanted {
        metrics: vec![P99, memory],
        ..wanted()
    });
    let with = |ratio: f64, sd: f64| {
        move |_: Attempt, number| {
            let mut round = steady(number, 1.0);
            let other = drawn(5, Attempt::First, number, ratio, sd);
            for (arm, value) in [
                (&mut round.baseline, other.baseline.value(P99)),
                (&mut round.candidate, other.candidate.value(P99)),
            ] {
                arm.figures.push((memory, value));
            }
            round
        }
    };
    let (found, reasons) = verdict(&gate, with(1.5, 0.02));
    assert_eq!(
        (found, reasons),
        (Verdict::Fail, vec![Reason::Exceeds(memory)])
    );
    assert_eq!(verdict(&gate, with(1.0, 0.02)).0, Verdict::Pass);
    let (found, reasons) = verdict(&gate, with(1.12, 0.5));
    assert_eq!(
        (found, reasons),
        (Verdict::Inconclusive, vec![Reason::Undecided(memory)])
    );
}

#[test]
fn the_same_binary_passes_without_a_round() {
    let decision = Gate::same_binary();
    assert_eq!(
        (decision.verdict, &decision.reasons[..]),
        (Verdict::Pass, &[Reason::SameBinary][..])
    );
    let build = |digest: Option<&str>, flag: &str| Build {
        revision: None,
        digest: digest.map(str::to_owned),
        command: vec!["svc".into(), flag.into()],
        environment_digest: Some("e".into()),
    };
    let same = |baseline: Build, candidate: Build| {
        Builds {
            baseline,
            candidate,
        }
        .are_same()
    };
    assert!(same(build(Some("a"), "x"), build(Some("a"), "x")));
    assert!(!same(build(Some("a"), "x"), build(Some("b"), "x")));
    assert!(!same(build(Some("a"), "x"), build(Some("a"), "y")));
    assert!(!same(build(None, "x"), build(None, "x")));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    /// Scaling both arms, as a faster machine does, changes nothing; by a power of two, which is exact.
    #[test]
    fn scaling_both_arms_changes_nothing(experiment in 0u64..500, ratio in 0.7f64..1.6, shift in -8i32..8) {
        let gate = gate(wanted());
        let scale = 2f64.powi(shift);
        let plain = |_: Attempt, number| drawn(experiment, Attempt::First, number, ratio, 0.15);
        let scaled = |_: Attempt, number| {
            let mut round = drawn(experiment, Attempt::First, number, ratio, 0.15);
            for arm in [&mut round.baseline, &mut round.candidate] {
                let Value::Known(value) = &mut arm.figures[0].1 else { unreachable!() };
                *value *= scale;
            }
            round
        };
        let ((a, rounds_a), (b, rounds_b)) = (run(&gate, plain), run(&gate, scaled));
        prop_assert_eq!((a.verdict, rounds_a), (b.verdict, rounds_b));
    }

    /// With margins that mirror each other, a candidate that is slower by a FAIL is, as the baseline, faster by a PASS: the
    /// two tests are one, the other way round.
    #[test]
    fn swapping_the_arms_mirrors_the_verdict(experiment in 0u64..500, ratio in 0.6f64..1.7) {
        // ln 1.1 on either side of equal: FAIL where ratio > 1.1 is shown; swapped, where ratio < 1 / 1.1 is.
        let metrics = |_: ()| Wanted { allowed: 0.1, ruled_out: 0.2, ..wanted() };
        let gate = gate(metrics(()));
        let mirrored = |number: usize| {
            let round = drawn(experiment, Attempt::First, number, ratio, 0.1);
            Round { baseline: round.candidate, candidate: round.baseline, ..round }
        };
        let (there, _) = run(&gate, |_, number| drawn(experiment, Attempt::First, number, ratio, 0.1));
        let (back, _) = run(&gate, |_, number| mirrored(number));
        // Not both can be worse, and who fails one way is fine the other way.
        prop_assert!(!(there.verdict == Verdict::Fail && back.verdict == Verdict::Fail));
        if there.verdict == Verdict::Fail {
            prop_assert_eq!(back.verdict, Verdict::Pass);
        }
        let ratio_of = |decision: &Decision| decision.judged().unwrap().standings[0].change.ratio.unwrap();
        if there.judged().unwrap().valid == back.judged().unwrap().valid {
            prop_assert!((ratio_of(&there) * ratio_of(&back) - 1.0).abs() < 1e-9);
        }
    }
}
