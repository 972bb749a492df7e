//! What a person reads of a gate, as snapshots of scripted ones.

use std::time::Duration;

use insta::assert_snapshot;

use super::{gate, gate_plan, gate_round};
use crate::compare::fixtures::arm_run;
use crate::exchange::Outcome;
use crate::gate::fixtures::{gate as driven, terms};
use crate::gate::{Attempt, Build, Builds, GateRecord, Judged, Verdict};
use crate::report::junit::{Leniency, gate as junit};
use crate::report::markdown::{compare as markdown_of_comparison, gate as markdown};
use crate::report::{Options, verdict};
use crate::run_record::RunRecord;
use crate::run_record::fixtures::{Answer, MS, ok, spread};

const PLAIN: Options = Options {
    width: 100,
    color: false,
    saved: None,
    verbose: false,
    percentiles: &[],
    spectrum: false,
};

/// Rounds that spread a little, in which the candidate takes `percent` longer.
fn run(attempt: Attempt, arm: usize, round: usize, percent: u64) -> RunRecord {
    let drawn = (round as u64 * 2 + arm as u64) * 3 + attempt as u64;
    let base = 2 * MS + arm as u64 * percent * MS / 50 + spread(drawn, MS / 25);
    arm_run(arm, |asked| ok(base + spread(asked.arrival, MS / 10)))
}

fn gated(max_rounds: usize, percent: u64) -> GateRecord {
    driven(&terms(&["p99"], max_rounds), 100, |attempt, arm, round| {
        run(attempt, arm, round, percent)
    })
}

/// Rounds of which every other one is far off, so that nothing can be told.
fn unsteady(attempt: Attempt, arm: usize, round: usize) -> RunRecord {
    let off = if (round + arm).is_multiple_of(2) {
        9
    } else {
        0
    };
    run(attempt, arm, round, off * 5)
}

fn judged(record: &GateRecord) -> Judged {
    record.judged().unwrap()
}

#[test]
fn the_plan_says_how_long_it_may_take() {
    let terms = terms(&["p99"], 40);
    let plan = gated(10, 0).first.plan;
    assert_snapshot!(gate_plan(&plan, &terms, Duration::from_secs(21)), @r"
    plan     phase steady, 600/s per arm · 4 s per arm and round · 10 to 40 rounds · 3.5 to 14 min (as long again before a FAIL)
    ");
}

#[test]
fn each_round_has_a_line() {
    let record = gated(14, 0);
    assert_snapshot!(gate_round(Attempt::First, &judged(&record), &record.terms), @r"
    round 10/14  p99 −0.3 % [−0.3, +0.7]  look 1 of 2: PASS
    ");
    let five = driven(&terms(&["p99"], 14), 5, |attempt, arm, round| {
        run(attempt, arm, round, 0)
    });
    assert_snapshot!(gate_round(Attempt::First, &judged(&five), &five.terms), @r"
    round 5/14  p99 −0.3 %
    ");
    let open = driven(&terms(&["p99"], 14), 10, unsteady);
    assert_snapshot!(gate_round(Attempt::Confirmation, &judged(&open), &open.terms), @r"
    confirming, round 10/14  p99 +19 % [±0, +42]  look 1 of 2: goes on
      p99: ~19 rounds to a PASS if nothing changed, ~53 to a FAIL at +20 %: more than the 14 there may be. A higher --rate, a longer --measure or a wider --ruled-out needs fewer
    ");
}

#[test]
fn a_pass() {
    let mut record = gated(14, 0);
    let build = |digest: &str| Build {
        revision: Some("1f3a9c0".into()),
        digest: Some(digest.repeat(32)),
        ..Build::default()
    };
    record.builds = Some(Builds {
        baseline: build("a0"),
        candidate: build("b1"),
    });
    assert_snapshot!(gate(&record, &PLAIN), @r"
    crud, phase steady, 600/s per arm
      10 of 14 rounds interleaved, fresh processes and databases · seed 42
                              axum               actix              actix against axum
      response ms   p50       2.09 [2.08–2.10]   2.09 [2.08–2.10]   −0.3 %
                    p99       2.15 [2.14–2.17]   2.15 [2.14–2.17]   −0.3 % [−0.3, +0.7]   passed
                    p99.9     2.16               2.16               n/a                   see note
      memory MiB    idle      6.1                6.1                ±0.0 %
                    p95       8.8                8.8                ±0.0 %
                    peak      8.9                8.9                ±0.0 %
                    after     8.5                8.5                ±0.0 %
      growth MiB/min          0.0007             0.0007             ±0.0 %
      CPU ms/1,000 requests   171                171                ±0.0 %
      start to ready ms       3.21               3.21               ±0.0 %
      failed of 24,000        0                  0
      settings   framework axum | actix · 1 other is equal
      memory     RSS, /proc statm; peak from the kernel (VmHWM)
      note       p99.9 is of all rounds together: a round needs 20,000 requests to be compared by it
      pairs      actix's p99 ÷ axum's spreads by 0.0 % from round to round; both correlate by 0.04
      valid      10 of 10 rounds valid
      baseline   revision 1f3a9c0 · sha256 a0a0a0a0a0a0a0a0
      candidate  revision 1f3a9c0 · sha256 b1b1b1b1b1b1b1b1
    PASS          p99 −0.3 % [−0.3, +0.7]: a rise of 20 % or more is ruled out. A smaller one may be
                  there (--ruled-out).
    ");
    assert_snapshot!(gate(&record, &Options { width: 80, ..PLAIN }), @r"
    crud, phase steady, 600/s per arm
      10 of 14 rounds interleaved, fresh processes and databases · seed 42
                              axum     actix    actix against axum
      response ms   p50       2.09     2.09     −0.3 %
                    p99       2.15     2.15     −0.3 % [−0.3, +0.7]   passed
                    p99.9     2.16     2.16     n/a                   see note
      memory MiB    idle      6.1      6.1      ±0.0 %
                    p95       8.8      8.8      ±0.0 %
                    peak      8.9      8.9      ±0.0 %
                    after     8.5      8.5      ±0.0 %
      growth MiB/min          0.0007   0.0007   ±0.0 %
      CPU ms/1,000 requests   171      171      ±0.0 %
      start to ready ms       3.21     3.21     ±0.0 %
      failed of 24,000        0        0
      settings   framework axum | actix · 1 other is equal
      memory     RSS, /proc statm; peak from the kernel (VmHWM)
      note       p99.9 is of all rounds together: a round needs 20,000 requests to
                 be compared by it
      pairs      actix's p99 ÷ axum's spreads by 0.0 % from round to round; both
                 correlate by 0.04
      valid      10 of 10 rounds valid
      baseline   revision 1f3a9c0 · sha256 a0a0a0a0a0a0a0a0
      candidate  revision 1f3a9c0 · sha256 b1b1b1b1b1b1b1b1
    PASS          p99 −0.3 % [−0.3, +0.7]: a rise of 20 % or more is ruled out. A
                  smaller one may be there (--ruled-out).
    ");
    let candidate = record.builds.as_ref().unwrap().baseline.clone();
    let mut same = driven(&terms(&["p99"], 14), 0, |_, arm, _| {
        arm_run(arm, |_| ok(MS))
    });
    same.builds = record.builds.map(|builds| Builds {
        candidate,
        ..builds
    });
    assert_snapshot!(gate(&same, &PLAIN), @r"
      baseline   revision 1f3a9c0 · sha256 a0a0a0a0a0a0a0a0
      candidate  revision 1f3a9c0 · sha256 a0a0a0a0a0a0a0a0
    PASS          same binary: executable, command and environment of both are equal, so there is
                  nothing to measure.
    ");
}

#[test]
fn a_fail_twice_and_a_fail_once() {
    let twice = gated(10, 30);
    assert_snapshot!(gate(&twice, &PLAIN), @r"
    crud, phase steady, 600/s per arm
      10 rounds interleaved, fresh processes and databases · seed 7679620881415563
                              axum               actix              actix against axum
      response ms   p50       2.09 [2.08–2.10]   2.69 [2.68–2.70]   +28 %
                    p99       2.15 [2.14–2.17]   2.75 [2.74–2.76]   +28 % [+28, +28]     failed
                    p99.9     2.16               2.75               n/a                  see note
      memory MiB    idle      6.1                6.1                ±0.0 %
                    p95       8.8                8.8                ±0.0 %
                    peak      8.9                8.9                ±0.0 %
                    after     8.5                8.5                ±0.0 %
      growth MiB/min          0.0007             0.0007             ±0.0 %
      CPU ms/1,000 requests   171                171                ±0.0 %
      start to ready ms       3.21               3.21               ±0.0 %
      failed of 24,000        0                  0
      settings   framework axum | actix · 1 other is equal
      memory     RSS, /proc statm; peak from the kernel (VmHWM)
      note       p99.9 is of all rounds together: a round needs 20,000 requests to be compared by it
      pairs      actix's p99 ÷ axum's spreads by 0.1 % from round to round; both correlate by 0.50
      valid      10 of 10 rounds valid
    FAIL          p99 +28 % [+28, +28]: more than the allowed 5 %, in two independent runs. p50 +28 %:
                  the middle as well.
    ");
    let once = driven(&terms(&["p99"], 10), 100, |attempt, arm, round| {
        run(
            attempt,
            arm,
            round,
            if attempt == Attempt::First { 30 } else { 0 },
        )
    });
    assert_snapshot!(words(&once), @r"
    INCONCLUSIVE: not confirmed: it failed once, and not again. First p99 +28 % [+28, +29]; then p99 −0.3 % [−0.3, −0.2], PASS.
    ");
}

fn words(record: &GateRecord) -> String {
    let decision = record.decision().unwrap();
    let words = verdict::words(&decision, &record.terms);
    format!("{}: {words}", decision.verdict.name())
}

#[test]
fn verdicts_say_what_to_do_next() {
    let open = driven(&terms(&["p99"], 10), 100, unsteady);
    assert_snapshot!(words(&open), @r"
    INCONCLUSIVE: p99 +19 % [±0, +42] after 10 rounds: neither above 5 % nor below 20 %. ~60 rounds would tell; or a higher --rate, a wider --ruled-out.
    ");
    let disturbed = driven(&terms(&["p99"], 10), 100, |attempt, arm, round| {
        let mut record = run(attempt, arm, round, 0);
        record.environment.steal = Some(0.11);
        record.judge();
        record
    });
    assert_snapshot!(words(&disturbed), @r"
    INVALID: 3 of 3 rounds were void (disturbed: the hypervisor took 11.0 % of the CPU time for others (steal)): nothing can be said. Not counted as a regression; the exit code is 4 (--on-invalid pass: 0).
    ");
    let failing = |share: u64, of: usize| {
        move |attempt: Attempt, arm: usize, round: usize| {
            let own = run(attempt, arm, round, 0);
            if arm != of {
                return own;
            }
            arm_run(arm, |asked| match asked.arrival % 100 {
                part if part < share => Answer {
                    outcome: Outcome::StatusError,
                    status: Some(503),
                    ..ok(MS)
                },
                _ => ok(2 * MS),
            })
        }
    };
    assert_snapshot!(words(&driven(&terms(&["p99"], 10), 100, failing(60, 0))), @r"
    INVALID: baseline broken: in every round less than half of its requests were ok, so there is nothing to compare with. Not counted as a regression; the exit code is 4 (--on-invalid pass: 0).
    ");
    assert_snapshot!(words(&driven(&terms(&["p50"], 10), 100, failing(3, 1))), @r"
    FAIL: 3.0 % of the candidate's requests were not ok, 0 % of the baseline's: more by over half a point, in two independent runs.
    ");
    assert_snapshot!(words(&driven(&terms(&["p99.9"], 10), 100, |a, arm, r| run(a, arm, r, 0))), @r"
    INVALID: p99.9 needs 20,000 requests per round; a round of both had 2,400. A higher --rate or a longer --measure has more. Not counted as a regression; the exit code is 4 (--on-invalid pass: 0).
    ");
    let no_memory = driven(&terms(&["mem.peak"], 10), 100, |attempt, arm, round| {
        let mut record = run(attempt, arm, round, 0);
        record.resources.memory.rss = None;
        record
    });
    assert_snapshot!(words(&no_memory), @r"
    FAIL: mem.peak: not one sample of both, in two independent runs.
    ");
}

#[test]
fn a_gate_that_was_ended_early() {
    let mut record = driven(&terms(&["p99"], 10), 3, |attempt, arm, round| {
        run(attempt, arm, round, 0)
    });
    record.interrupted = true;
    let text = gate(&record, &PLAIN);
    assert!(
        text.contains("\nINTERRUPTED   after 3 of 10 rounds"),
        "{text}"
    );
}

#[test]
fn markdown_has_the_verdict_first_and_the_rest_folded() {
    let record = gated(10, 30);
    let text = markdown(&record);
    let (head, folded) = text.split_once("<details>").unwrap();
    assert_snapshot!(head, @r"
    ### ❌ FAIL: crud, phase steady: axum, actix

    p99 +28 % \[+28, +28\]: more than the allowed 5 %, in two independent runs. p50 +28 %: the middle as well.

    | metric | change | says |
    | --- | --- | --- |
    | p99 | +28 % [+28, +28] | failed |
    ");
    assert!(folded.contains("```text\n") && folded.trim_end().ends_with("</details>"));
    // Every round stands in the folded part.
    assert!(folded.contains("\n  10      "), "{folded}");
    let text = markdown_of_comparison(&record.first);
    let (head, _) = text.split_once("<details>").unwrap();
    assert_snapshot!(head, @r"
    ### crud, phase steady: axum, actix

    actix's p99 is 28 % above axum's (28 to 29 %); its p50 is 28 % above. These are results of this machine and this scenario.

    | actix against axum | change |
    | --- | --- |
    | p50 | +28 % [+28, +29] |
    | p99 | +28 % [+28, +29] |
    | mem.idle | ±0.0 % [±0.0, ±0.0] |
    | mem.peak | ±0.0 % [±0.0, ±0.0] |
    | cpu.per_1k | ±0.0 % [±0.0, ±0.0] |
    ");
}

#[test]
fn names_make_no_markup() {
    let mut record = gated(10, 0);
    record.first.plan.phase = "<b>*_`#".into();
    let text = markdown(&record);
    let (title, _) = text.split_once('\n').unwrap();
    assert!(title.contains(r"&lt;b>\*\_\`\#"), "{title}");
}

#[test]
fn junit_tells_a_failure_from_an_error_and_from_what_is_skipped() {
    let strict = Leniency {
        inconclusive_fails: true,
        invalid_passes: false,
    };
    let lenient = Leniency {
        inconclusive_fails: false,
        invalid_passes: true,
    };
    let unsteady = driven(&terms(&["p99"], 10), 100, unsteady);
    let invalid = driven(&terms(&["p99.9"], 10), 100, |a, arm, r| run(a, arm, r, 0));
    for (record, verdict, in_strict, in_lenient) in [
        (gated(10, 0), Verdict::Pass, "", ""),
        (gated(10, 30), Verdict::Fail, "<failure", "<failure"),
        (unsteady, Verdict::Inconclusive, "<failure", "<skipped"),
        (invalid, Verdict::Invalid, "<error", "<skipped"),
    ] {
        assert_eq!(record.decision().unwrap().verdict, verdict);
        for (leniency, expected) in [(strict, in_strict), (lenient, in_lenient)] {
            let xml = junit(&record, leniency);
            let found: Vec<&str> = ["<failure", "<error", "<skipped"]
                .into_iter()
                .filter(|tag| xml.contains(tag))
                .collect();
            assert_eq!(
                found.first().copied().unwrap_or_default(),
                expected,
                "{xml}"
            );
            assert!(
                found.len() <= 1 && xml.contains("crud, phase steady: p99"),
                "{xml}"
            );
        }
    }
}
