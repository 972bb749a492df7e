//! Thresholds over scripted runs: what holds, what is broken, and what nobody can say.

use std::sync::Arc;

use super::*;
use crate::exchange::{Exchange, Outcome};
use crate::run_record::EndedBy;
use crate::run_record::fixtures::{Answer as Reply, Asked, MS, SHOP, ok, record, shop};
use crate::run_record::resources::{MemorySeries, Resources};
use crate::scenario::Scenario;
use crate::schedule::Schedule;
use crate::windows::{Grid, Part, Recorder};

/// Ten seconds at 100/s and ten at 200/s, after a warm-up.
const TWO: &str = "\
tailmark: 1
flows: { read: { steps: [ { get: /items, name: item } ] } }
phases:
  - { name: warm, rate: 10/s, for: 1s, warmup: true }
  - { name: slow, rate: 100/s, for: 10s }
  - { name: fast, rate: 200/s, for: 10s }
";

/// What became of `threshold` in `record`, a run of `yaml`: mark, figure, when and reason.
fn judged(record: &RunRecord, yaml: &str, threshold: &str) -> String {
    let scenario = Scenario::parse("s.yaml", yaml.as_bytes()).unwrap();
    let scenario = scenario.with_thresholds(&[threshold.to_owned()]);
    let scenario = scenario.unwrap_or_else(|error| panic!("{error}"));
    let [ruling] = &rulings(record, scenario.thresholds())[..] else {
        panic!("one threshold has one ruling");
    };
    assert_eq!(ruling.expression, threshold);
    let observed = ruling.observed.map(|observed| {
        let bound = if observed.lower_bound { "≥ " } else { "" };
        let figure = match observed.figure {
            // To whole milliseconds: the histograms keep three digits.
            Figure::Time(ns) => format!("{} ms", (ns as f64 / MS as f64).round()),
            Figure::Ratio(ratio) => format!("{} %", (ratio * 1e6).round() / 1e4),
            Figure::Rate(rate) => format!("{rate:.1}/s"),
            Figure::Size(bytes) => format!("{bytes} B"),
            Figure::Slope(slope) => format!("{slope} B/s"),
        };
        format!("{bound}{figure}")
    });
    let passed = if ruling.passed { "holds" } else { "fails" };
    let parts = [
        Some(passed.to_owned()),
        observed,
        ruling.when.clone(),
        ruling.reason.clone(),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    parts.join(" | ")
}

fn check(record: &RunRecord, yaml: &str, cases: &[(&str, &str)]) {
    for (threshold, expected) in cases {
        assert_eq!(judged(record, yaml, threshold), *expected, "{threshold}");
    }
}

/// 10 ms in the slow phase, 30 ms in the fast one, and a second while warming up.
fn steps(asked: Asked) -> Reply {
    ok([1_000, 10, 30][asked.phase] * MS)
}

const UNSURE: &str =
    "exchanges that did not end in time could move it, so it cannot be said to hold";

#[test]
fn times_are_of_all_measured_phases_or_of_one() {
    let record = record("two", TWO, steps);
    check(
        &record,
        TWO,
        &[
            ("p99 < 250ms", "holds | 30 ms"),
            ("p99 < 30ms", "fails | 30 ms"),
            ("max < 31ms", "holds | 30 ms"),
            ("min > 5ms", "holds | 10 ms"),
            ("mean <= 24ms", "holds | 23 ms"),
            ("p99 < 11ms in slow", "holds | 10 ms"),
            ("p50 < 11ms in fast", "fails | 30 ms"),
            ("p50 of read < 11ms in slow", "holds | 10 ms"),
            ("service.max of read/item < 31ms", "holds | 30 ms"),
            ("wait.max < 1ms", "holds | 0 ms"),
            ("lag.p50 < 1ms in fast", "holds | 0 ms"),
            ("achieved_rate >= 99/s in slow", "holds | 100.0/s"),
            ("achieved_rate > 300/s", "fails | 150.0/s"),
            ("error_rate <= 0%", "holds | 0 %"),
        ],
    );
}

#[test]
fn every_exchange_that_is_not_ok_is_an_error() {
    // Of 1,000 and 2,000 requests after ten of warm-up, every hundredth.
    let record = record("two", TWO, |asked| match asked.arrival % 100 {
        10 => Reply {
            outcome: Outcome::StatusError,
            status: Some(503),
            ..ok(500 * MS)
        },
        _ => steps(asked),
    });
    check(
        &record,
        TWO,
        &[
            ("error_rate <= 1%", "holds | 1 %"),
            ("error_rate < 1%", "fails | 1 %"),
            ("error_rate of read/item <= 0.01 in slow", "holds | 1 %"),
            // Quick or slow, a failure has a time as well.
            ("max < 400ms", "fails | 500 ms"),
        ],
    );
}

#[test]
fn a_bound_breaks_what_it_exceeds_and_is_unsure_below() {
    // One request in fifty is given up after two seconds.
    let record = record("two", TWO, |asked| match asked.arrival % 50 {
        10 => Reply {
            outcome: Outcome::Timeout,
            status: None,
            ..ok(2_000 * MS)
        },
        _ => steps(asked),
    });
    check(
        &record,
        TWO,
        &[
            ("p50 < 1s", "holds | 30 ms"),
            ("p99 < 1s", "fails | ≥ 2000 ms"),
            ("p99 < 3s", &format!("fails | ≥ 2000 ms | {UNSURE}")),
            ("p99 > 1s", "holds | ≥ 2000 ms"),
            ("max < 3s", &format!("fails | ≥ 2000 ms | {UNSURE}")),
            ("mean < 10s", &format!("fails | ≥ 63 ms | {UNSURE}")),
            ("min < 11ms", "holds | 10 ms"),
            (
                "p99 < 1s over every 10s",
                "fails | ≥ 2000 ms | from 0s to 10s of slow",
            ),
            (
                "p99 < 3s in fast over every 10s",
                &format!("fails | ≥ 2000 ms | from 0s to 10s of fast | {UNSURE}"),
            ),
        ],
    );
}

#[test]
fn journeys_are_of_walks_through_all_steps() {
    let record = record("shop", SHOP, |_| ok(10 * MS));
    check(
        &record,
        SHOP,
        &[
            ("journey.p50 of buy < 31ms", "holds | 30 ms"),
            ("journey.max < 30ms", "fails | 30 ms"),
            ("p50 of buy/transfer < 11ms in steady", "holds | 10 ms"),
        ],
    );
}

#[test]
fn walks_that_were_cut_off_make_journeys_lower_bounds() {
    // Every transfer times out after 100 ms.
    let cut = |asked: Asked| match (asked.flow, asked.step) {
        (1, 1) => Reply {
            outcome: Outcome::Timeout,
            status: None,
            ..ok(100 * MS)
        },
        _ => shop(asked),
    };
    let run = record("shop", SHOP, cut);
    let scenario = Scenario::parse("s.yaml", SHOP.as_bytes()).unwrap();
    assert!(scenario.flows()[1].steps.len() > 1);
    check(
        &run,
        SHOP,
        &[
            (
                "journey.p50 of buy < 1s",
                &format!("fails | ≥ 100 ms | {UNSURE}"),
            ),
            ("journey.p50 of buy < 50ms", "fails | ≥ 100 ms"),
            ("journey.p50 of buy > 50ms", "holds | ≥ 100 ms"),
        ],
    );
}

#[test]
fn what_was_never_sent_moves_the_waits_that_it_could() {
    // One of some thousands is never sent; the others wait 1 ms.
    let record = record("two", TWO, |asked| {
        let waited = Reply { wait: MS, ..ok(MS) };
        match asked.arrival {
            500 => Reply {
                outcome: Outcome::Unsent,
                status: None,
                ..waited
            },
            _ => waited,
        }
    });
    check(
        &record,
        TWO,
        &[
            ("wait.p50 < 2ms", "holds | 1 ms"),
            ("wait.min < 2ms", "holds | 1 ms"),
            ("wait.max < 2ms", &format!("fails | ≥ 1 ms | {UNSURE}")),
        ],
    );
}

#[test]
fn what_was_not_measured_holds_nothing() {
    // Nobody comes past the login.
    let mut run = record("shop", SHOP, |asked| match (asked.flow, asked.step) {
        (1, 0) => Reply {
            outcome: Outcome::Reset,
            status: None,
            ..ok(MS)
        },
        _ => shop(asked),
    });
    run.resources = Resources::default();
    run.phases.truncate(2);
    let nothing = "fails | nothing was measured";
    let unread = |what: &str| {
        format!("fails | the target's {what} was not read (--watch says whose to read)")
    };
    check(
        &run,
        SHOP,
        &[
            (
                "p99 of buy/transfer < 1s",
                &format!("{nothing} of buy/transfer"),
            ),
            (
                "error_rate of buy/transfer < 1%",
                &format!("{nothing} of buy/transfer"),
            ),
            (
                "service.p99 of buy/transfer < 1s in slow",
                &format!("{nothing} of buy/transfer in slow"),
            ),
            ("journey.p99 of buy > 0s", &format!("{nothing} of buy")),
            ("p99 < 1s in steady", "fails | phase steady was not reached"),
            (
                "p99 < 1s in steady over every 5s",
                "fails | phase steady was not reached",
            ),
            (
                "achieved_rate > 1/s in steady",
                "fails | phase steady was not reached",
            ),
            ("mem.idle < 1GiB", &unread("memory")),
            ("mem.slope < 1GiB/s", &unread("memory")),
            ("cpu.per_1k < 1h", &unread("CPU time")),
        ],
    );
    run.phases.truncate(1);
    check(
        &run,
        SHOP,
        &[
            ("p99 < 1h", nothing),
            ("error_rate <= 100%", nothing),
            ("achieved_rate < 1k/s", nothing),
            ("p99 < 1h over every 5s", nothing),
        ],
    );
}

#[test]
fn memory_and_cpu_are_the_targets() {
    let record = record("shop", SHOP, shop);
    check(
        &record,
        SHOP,
        &[
            ("mem.idle < 6MiB", "fails | 6396314 B"),
            ("mem.p95 < 9.2MB", "fails | 9200000 B"),
            ("mem.peak <= 9332326B", "holds | 9332326 B"),
            ("mem.after_idle < 9MB", "holds | 8900000 B"),
            ("mem.slope < 1kB/min", "holds | 12.5 B/s"),
            ("cpu.per_1k < 1s", "holds | 49 ms"),
        ],
    );
}

#[test]
fn without_a_reading_nothing_of_memory_holds() {
    let mut record = record("shop", SHOP, shop);
    let rss = record.resources.memory.rss.as_mut().unwrap();
    *rss = MemorySeries {
        source: rss.source.clone(),
        hz: rss.hz,
        ..MemorySeries::default()
    };
    let unread = "fails | no memory was read in the measured phases";
    let cases = [
        (
            "mem.idle < 1GiB",
            "fails | no memory was read before the load",
        ),
        ("mem.p95 < 1GiB", unread),
        ("mem.peak < 1GiB", unread),
        ("mem.slope < 1GiB/s", unread),
        (
            "mem.after_idle < 1GiB",
            "fails | no memory was read after the load",
        ),
        ("mem.peak >= 0B", unread),
    ];
    check(&record, SHOP, &cases);
    record.resources.memory.rss.as_mut().unwrap().samples = 40;
    let short = "fails | growth is told from ten seconds of readings on";
    check(&record, SHOP, &[("mem.slope < 1GiB/s", short)]);
}

#[test]
fn of_a_container_it_is_the_working_set_that_counts() {
    let mut record = record("shop", SHOP, shop);
    let rss = record.resources.memory.rss.clone().unwrap();
    record.resources.memory.working_set = Some(MemorySeries {
        idle_bytes: Some(3 << 20),
        p95_bytes: Some(5 << 20),
        peak_bytes: None,
        ..rss
    });
    check(
        &record,
        SHOP,
        &[
            ("mem.idle < 4MiB", "holds | 3145728 B"),
            ("mem.p95 < 5MiB", "fails | 5242880 B"),
            ("mem.peak < 1GiB", "fails | it was not measured"),
        ],
    );
}

#[test]
fn over_every_is_about_the_worst_block() {
    // A second of the fast phase is slow, and in another every fourth request fails.
    let start = 10 + 100 * 10;
    let record = record("two", TWO, |asked| {
        match asked.arrival.saturating_sub(start) / 200 {
            3 if asked.phase == 2 => ok(500 * MS),
            8 if asked.arrival % 4 == 0 => Reply {
                outcome: Outcome::StatusError,
                status: Some(500),
                ..ok(MS)
            },
            _ => steps(asked),
        }
    });
    check(
        &record,
        TWO,
        &[
            ("p50 < 100ms", "holds | 30 ms"),
            (
                "p50 < 100ms over every 1s",
                "fails | 500 ms | from 3s to 4s of fast",
            ),
            (
                "p50 < 100ms over every 3s",
                "holds | 30 ms | from 3s to 6s of fast",
            ),
            (
                "p99 < 100ms over every 5s",
                "fails | 500 ms | from 0s to 5s of fast",
            ),
            (
                "p99 < 100ms in slow over every 5s",
                "holds | 10 ms | from 0s to 5s of slow",
            ),
            (
                "max > 20ms over every 5s",
                "fails | 10 ms | from 0s to 5s of slow",
            ),
            ("error_rate < 10%", "holds | 1.6667 %"),
            (
                "error_rate < 10% over every 1s",
                "fails | 25 % | from 8s to 9s of fast",
            ),
            // What is left of the phase is half a block, and then less.
            (
                "error_rate < 3% over every 4s",
                "fails | 12.5 % | from 8s to 10s of fast",
            ),
            (
                "error_rate < 3% in fast over every 7s",
                "holds | 0 % | from 0s to 7s of fast",
            ),
        ],
    );
}

#[test]
fn blocks_in_which_nothing_was_due_are_left_out() {
    let yaml = TWO
        .replace("10/s, for: 1s", "1/s, for: 1s")
        .replace("100/s", "12/m");
    let record = record("two", &yaml, steps);
    check(
        &record,
        &yaml,
        &[(
            "max < 20ms in slow over every 1s",
            "holds | 10 ms | from 0s to 1s of slow",
        )],
    );
}

#[test]
fn a_threshold_that_ended_the_run_has_failed() {
    let mut run = record("two", TWO, steps);
    run.ended_by = Some(EndedBy {
        expression: "p99 < 250ms".into(),
        at_ns: 5_000 * MS,
    });
    check(
        &run,
        TWO,
        &[
            (
                "p99 < 250ms",
                "fails | 30 ms | it was broken when it ended the run",
            ),
            ("p99 < 251ms", "holds | 30 ms"),
        ],
    );
}

/// When a run of `TWO` with `thresholds` would be ended, and by which of them: every second a worker hands over a window
/// of response times as `answer` says.
fn ended(thresholds: &str, answer: impl Fn(u64) -> (Outcome, u64)) -> Option<(String, u64)> {
    let yaml = format!("{TWO}thresholds:\n{thresholds}");
    let scenario = Scenario::parse("s.yaml", yaml.as_bytes()).unwrap();
    let schedule = Arc::new(Schedule::new(scenario.phases(), scenario.seed()));
    let grids = (0..scenario.phases().len()).map(|phase| {
        let (start, end) = schedule.bounds(phase);
        Grid::new(start, end - start)
    });
    let mut recorder = Recorder::new(grids.collect());
    let mut guard = Guard::new(&scenario, &schedule);
    let mut see = |part: &Part, now| {
        let ended = guard.see(part, now)?;
        Some((ended.expression, ended.at_ns / (1_000 * MS)))
    };
    for arrival in schedule.arrivals() {
        let (outcome, response) = answer(arrival.due);
        let exchange = Exchange {
            due: arrival.due,
            dispatched: Some(arrival.due),
            sent: Some(arrival.due),
            done: arrival.due + response,
            outcome,
            status: None,
        };
        let part = recorder.record(arrival.phase, &exchange);
        if let Some(found) = part.and_then(|part| see(&part, arrival.due)) {
            return Some(found);
        }
    }
    recorder
        .hand_over()
        .find_map(|part| see(&part, schedule.end()))
}

#[test]
fn a_run_ends_when_a_threshold_is_surely_broken_after_its_time() {
    let second = 1_000 * MS;
    let fine = |_| (Outcome::Ok, 10 * MS);
    let failing = |due: u64| match due {
        due if due < 12 * second => (Outcome::Ok, 10 * MS),
        _ => (Outcome::StatusError, MS),
    };
    let ended_by = |expression: &str, at| Some((expression.to_owned(), at));
    let error_rate = "  - { that: error_rate < 20%, abort: true, after: 0s }\n";
    assert_eq!(ended(error_rate, fine), None);
    // From 12 s on all fail, 200 a second after 1,200 that were fine: the second of these seconds makes it 25 %, and its
    // window is handed over when the third after it begins.
    assert_eq!(ended(error_rate, failing), ended_by("error_rate < 20%", 16));
    let in_slow = "  - { that: error_rate < 20% in slow, abort: true }\n";
    assert_eq!(ended(in_slow, failing), None);
    // Windows of the slow phase are due from 1 s on; ten seconds of grace.
    let slow = "  - { that: p50 < 5ms in slow, abort: true }\n";
    assert_eq!(ended(slow, fine), ended_by("p50 < 5ms in slow", 11));
    let early = "  - { that: p50 < 5ms, abort: true, after: 2s }\n";
    assert_eq!(ended(early, fine), ended_by("p50 < 5ms", 4));
    let told = "  - p50 < 5ms\n  - { that: p50 < 6ms, abort: false }\n";
    assert_eq!(ended(told, fine), None);
    // Quick failures may have been endless ones: nothing is too quick for sure.
    let above = "  - { that: p99 > 5ms, abort: true, after: 0s }\n";
    let mixed = |due: u64| match due / MS % 100 {
        0..10 => (Outcome::StatusError, MS),
        _ => (Outcome::Ok, 2 * MS),
    };
    assert_eq!(ended(above, mixed), None);
    assert_eq!(
        ended(above, |_| (Outcome::Ok, 2 * MS)),
        ended_by("p99 > 5ms", 4)
    );
}
