//! What comparisons hold on to, and what they refuse.

use proptest::prelude::*;

use super::*;
use crate::compare::fixtures::{arm_run, comparison, plan};
use crate::exchange::Outcome;
use crate::run_record::fixtures::{Answer, Asked, MS, ok, spread};
use crate::run_record::resources::MemorySeries;
use crate::stats::Direction;
use crate::threshold::MemoryFigure;
use crate::units::Quantile;

#[test]
fn each_order_of_three_arms_is_as_likely_as_any_other() {
    let mut seen = std::collections::BTreeMap::new();
    for round in 0..60_000 {
        *seen.entry(order(7, round, 3)).or_insert(0u32) += 1;
    }
    // Six orders of 10,000 each: Binomial(60,000, 1/6) has a standard deviation of 91, so 500 is over five of them.
    assert_eq!(seen.len(), 6);
    assert!(seen.values().all(|n| n.abs_diff(10_000) < 500), "{seen:?}");
}

proptest! {
    #[test]
    fn an_order_names_every_arm_once(seed: u64, round in 0usize..1_000, arms in 0usize..9) {
        let mut named = order(seed, round, arms);
        prop_assert_eq!(&named, &order(seed, round, arms));
        named.sort_unstable();
        prop_assert_eq!(named, (0..arms).collect::<Vec<_>>());
    }
}

#[test]
fn rounds_have_seeds_of_their_own_that_json_keeps() {
    let seeds: std::collections::BTreeSet<u64> =
        (1..=1_000).map(|round| round_seed(42, round)).collect();
    assert_eq!(seeds.len(), 1_000);
    assert!(seeds.iter().all(|&seed| seed < 1 << 53));
    assert_ne!(round_seed(42, 1), round_seed(43, 1));
}

const P50: Metric = Metric::Response(Quantile::P50);
const P99: Metric = Metric::Response(Quantile::P99);
const P99_9: Metric = Metric::Response(Quantile::P99_9);

#[test]
fn a_change_is_that_of_the_rounds_and_has_an_interval_from_six_on() {
    // Round r answers in r ms in the first arm and in 2r in the second.
    let run = |arm: usize, round: usize| arm_run(arm, |_| ok((arm as u64 + 1) * round as u64 * MS));
    let five = comparison(5, run);
    let change = five.change(1, P50).unwrap();
    // Each response time is 20 µs of lag longer than its service time.
    assert!(
        (change.ratio.unwrap() - 6.02 / 3.02).abs() < 0.01,
        "{change:?}"
    );
    assert_eq!(change.interval, None);
    let figure = five.figure(1, P50).unwrap();
    let spread = figure.spread.unwrap();
    let ends = [spread.low, spread.median, spread.high].map(|ns| (ns / 1e6).round());
    assert_eq!((ends, figure.interval), ([2.0, 6.0, 10.0], None));

    let six = comparison(6, run);
    let change = six.change(1, P50).unwrap();
    let [low, high] = change.interval.unwrap();
    assert!(
        1.9 < low && low < change.ratio.unwrap() && high < 2.001,
        "{change:?}"
    );
    assert_eq!(change.direction(), Direction::Higher);
    assert_eq!(six.change(0, P50).unwrap().ratio, Some(1.0));
    let figure = six.figure(1, P50).unwrap();
    let [low, high] = figure.interval.unwrap();
    assert!(low < figure.value && figure.value < high, "{figure:?}");
}

#[test]
fn several_arms_share_the_confidence() {
    let mut comparison = comparison(6, |arm, _| arm_run(arm, |_| ok(MS)));
    assert_eq!((comparison.level(), comparison.fewest_rounds()), (0.95, 6));
    comparison.plan.arms.push("third".into());
    comparison.plan.arms.push("fourth".into());
    assert!((comparison.level() - (1.0 - 0.05 / 3.0)).abs() < 1e-12);
    assert_eq!(comparison.fewest_rounds(), 7);
}

#[test]
fn memory_and_cpu_are_compared_like_times() {
    let comparison = comparison(6, |arm, round| {
        let mut record = arm_run(arm, |_| ok(MS));
        let memory = record.resources.memory.rss.as_mut().unwrap();
        memory.peak_bytes = Some((10 + round as u64) << (20 + arm));
        memory.p95_bytes = Some(100 << 20);
        // 4 s of measurement: 4 MiB and 8 MiB of 100.
        memory.slope_bytes_per_s = Some(f64::from((1 + arm as u32) << 20));
        record
    });
    let of = |figure| comparison.change(1, Metric::Memory(figure)).unwrap();
    let peak = of(MemoryFigure::Peak);
    assert!((peak.ratio.unwrap() - 2.0).abs() < 1e-9);
    assert_eq!(peak.direction(), Direction::Higher);
    // Growth over the measured time, 108 % over 104 %.
    let slope = of(MemoryFigure::Slope).ratio.unwrap();
    assert!((slope - 1.08 / 1.04).abs() < 1e-9, "{slope}");
    let figure = comparison
        .figure(1, Metric::Memory(MemoryFigure::Slope))
        .unwrap();
    assert_eq!((figure.value, figure.interval), (f64::from(2 << 20), None));
    let peak = comparison
        .figure(0, Metric::Memory(MemoryFigure::Peak))
        .unwrap();
    let [low, high] = peak.interval.unwrap();
    assert!(low < peak.value && peak.value < high);
    let cpu = comparison.change(1, Metric::CpuPer1k).unwrap();
    assert_eq!(
        (cpu.ratio, cpu.direction()),
        (Some(1.0), Direction::NotShown)
    );
}

#[test]
fn a_quantile_needs_its_requests() {
    let comparison = comparison(2, |arm, _| {
        arm_run(arm, |asked| ok(MS + spread(asked.arrival, MS)))
    });
    // 2,400 requests a round: enough for the p99 of a round, and together for the p99.9 of all.
    assert!(comparison.figure(0, P99).unwrap().spread.is_some());
    assert!(comparison.change(1, P99).is_some());
    assert!(comparison.figure(0, P99_9).unwrap().spread.is_none());
    assert_eq!(comparison.change(1, P99_9), None);
    assert!(comparison.merged_quantile(0, Quantile::P99_9).is_some());
}

#[test]
fn failures_are_infinitely_slow() {
    let failing = |asked: Asked| Answer {
        outcome: if asked.arrival.is_multiple_of(50) {
            Outcome::StatusError
        } else {
            Outcome::Ok
        },
        ..ok(MS)
    };
    let comparison = comparison(6, |arm, _| match arm {
        0 => arm_run(arm, |_| ok(2 * MS)),
        _ => arm_run(arm, failing),
    });
    let figure = comparison.figure(1, P99).unwrap();
    assert_eq!((figure.value, figure.interval), (f64::INFINITY, None));
    assert_eq!(
        comparison.merged_quantile(1, Quantile::P99),
        Some(f64::INFINITY)
    );
    let change = comparison.change(1, P99).unwrap();
    assert_eq!(change.ratio, Some(f64::INFINITY));
    assert_eq!(change.direction(), Direction::Higher);
    assert!(comparison.change(1, P50).unwrap().ratio.unwrap() < 0.6);
    assert_eq!(comparison.rounds()[0].arms[1].failed(), (48, 2_400));
}

#[test]
fn a_void_round_is_kept_and_stands_in_no_figure() {
    let comparison = comparison(3, |arm, round| {
        let mut record = arm_run(arm, |_| ok(round as u64 * MS));
        if (arm, round) == (1, 3) {
            record.environment.steal = Some(0.2);
            record.judge();
        }
        record
    });
    assert_eq!(comparison.rounds().len(), 3);
    assert_eq!(
        comparison
            .valid_rounds()
            .map(|round| round.number)
            .collect::<Vec<_>>(),
        [1, 2]
    );
    let spread = comparison.figure(0, P50).unwrap().spread.unwrap();
    assert_eq!((spread.count, (spread.high / 1e6).round()), (2, 2.0));
    assert_eq!(comparison.merged(0).count(), 4_800);
    assert_eq!(comparison.change(1, P50).unwrap().rounds, 2);
}

#[test]
fn a_fifth_of_the_rounds_is_replaced_and_no_more() {
    let voided = |wanted: usize, void: usize, measured: usize| {
        let mut comparison = comparison(measured, |arm, round| {
            let mut record = arm_run(arm, |_| ok(MS));
            if arm == 0 && round <= void {
                record.environment.steal = Some(0.2);
                record.judge();
            }
            record
        });
        comparison.plan.rounds = wanted;
        comparison
    };
    for (wanted, void, measured, complete, invalid) in [
        (6, 0, 5, false, false),
        (6, 0, 6, true, false),
        (6, 1, 6, false, false),
        (6, 1, 7, true, false),
        (6, 2, 7, true, true),
        (10, 3, 12, true, true),
        // So few have no interval, and claim nothing.
        (3, 1, 3, true, false),
    ] {
        let mut comparison = voided(wanted, void, measured);
        let said = (comparison.is_complete(), comparison.is_invalid());
        assert_eq!(
            said,
            (complete, invalid),
            "{void} of {measured} for {wanted}"
        );
        comparison.interrupted = true;
        assert!(
            !comparison.is_invalid(),
            "{void} of {measured} for {wanted}"
        );
    }
}

#[test]
fn what_was_not_measured_in_every_round_has_no_figure() {
    let comparison = comparison(2, |arm, round| {
        let mut record = arm_run(arm, |_| ok(MS));
        if round == 2 {
            record.resources.cpu_ns = None;
        }
        record
    });
    assert_eq!(comparison.figure(0, Metric::CpuPer1k), None);
    assert_eq!(comparison.change(1, Metric::CpuPer1k), None);
    let peak = Metric::Memory(MemoryFigure::Peak);
    assert!(comparison.figure(0, peak).is_some());
}

#[test]
fn steps_are_counted() {
    let comparison = comparison(1, |arm, _| arm_run(arm, |_| ok(MS)));
    let steps = &comparison.rounds()[0].arms[0].steps;
    let expected = StepCount {
        flow: "read".into(),
        step: "item".into(),
        exchanges: 2_400,
    };
    assert_eq!(
        (&steps[..], comparison.rounds()[0].arms[0].measured_ns),
        (&[expected][..], 4_000 * MS)
    );
}

#[test]
fn runs_that_cannot_stand_beside_each_other_are_refused() {
    let good = arm_run(0, |_| ok(MS));
    let mut other_scenario = good.clone();
    other_scenario.scenario.digest = "00".into();
    let mut other_memory = good.clone();
    other_memory.resources.memory.rss = None;
    other_memory.resources.memory.working_set = Some(MemorySeries::default());
    let mut two_phases = good.clone();
    two_phases.phases[0].warmup = false;
    for (order, records, message) in [
        (vec![0, 1], vec![&good], "1 runs for 2 arms"),
        (
            vec![0, 0],
            vec![&good, &good],
            "the order [0, 0] does not name each of 2 arms once",
        ),
        (
            vec![1],
            vec![&good, &good],
            "the order [1] does not name each of 2 arms once",
        ),
        (
            vec![0, 1],
            vec![&good, &other_scenario],
            "actix was measured with another scenario than the one compared",
        ),
        (
            vec![0, 1],
            vec![&two_phases, &good],
            "axum was measured over 2 phases, not one",
        ),
        (
            vec![0, 1],
            vec![&good, &other_memory],
            "memory of actix is working set, of axum RSS: they cannot be compared; run all arms the same way",
        ),
    ] {
        let mut comparison = Comparison::new(plan(6), String::new());
        let error = comparison.add_round(order, &records).unwrap_err();
        assert_eq!(error.to_string(), message);
        assert!(comparison.rounds().is_empty());
    }
    // Later rounds are held against earlier ones.
    let mut comparison = Comparison::new(plan(6), String::new());
    comparison.add_round(vec![0, 1], &[&good, &good]).unwrap();
    comparison
        .add_round(vec![0, 1], &[&other_memory, &other_memory])
        .unwrap_err();
    let mut rebuilt = good.clone();
    rebuilt.target.executable = Some("b1".repeat(32));
    let error = comparison
        .add_round(vec![0, 1], &[&good, &rebuilt])
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "actix is not what it was in the first round: its executable was 9f9f9f9f9f9f9f9f and is b1b1b1b1b1b1b1b1; bring the \
         first one back, or begin anew without --resume"
    );
    let mut unknown = good.clone();
    unknown.target.executable = None;
    comparison
        .add_round(vec![0, 1], &[&unknown, &good])
        .unwrap();
    let in_image = |id: &str| {
        let mut record = good.clone();
        let container = crate::run_record::fixtures::container();
        record.target.container = Some(crate::run_record::ContainerIdentity {
            image_id: id.into(),
            ..container
        });
        record
    };
    let (one, other) = (in_image("sha256:0a"), in_image("sha256:0b"));
    let mut comparison = Comparison::new(plan(6), String::new());
    comparison.add_round(vec![0, 1], &[&one, &one]).unwrap();
    let error = comparison
        .add_round(vec![0, 1], &[&one, &other])
        .unwrap_err();
    assert!(
        error
            .to_string()
            .contains("actix is not what it was in the first round: its image was 0a and is 0b"),
        "{error}"
    );
}
