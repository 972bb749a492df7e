//! What a person sees, as snapshots of scripted runs.

use insta::assert_snapshot;

use super::{compare, run};
use crate::compare::Comparison;
use crate::compare::fixtures::{arm_run, comparison, plan};
use crate::exchange::Outcome;
use crate::judgement::rulings;
use crate::report::Options;
use crate::run_record::fixtures::{
    Answer, MODELS, MS, SHOP, audit, container, ok, record, shop, spread, url_yaml,
};
use crate::run_record::resources::{Container, MemorySeries, Resources};
use crate::run_record::{Audit, EndedBy, RunRecord};
use crate::scenario::{LoadModel, Scenario};
use crate::threshold::{Figure, Observed, Ruling};

const PLAIN: Options = Options {
    width: 120,
    color: false,
    saved: None,
    verbose: false,
    percentiles: &[],
    spectrum: false,
};

fn at(width: usize, record: &RunRecord) -> String {
    run(record, &Options { width, ..PLAIN })
}

/// A service that answers in 0.3 to 2 ms.
fn url(rate: &str, duration: &str) -> RunRecord {
    record("url", &url_yaml(rate, duration), |asked| {
        ok(300_000 + spread(asked.arrival, 17 * MS / 10))
    })
}

#[test]
fn a_bare_url() {
    let record = url("1000/s", "10s");
    let saved = Options {
        saved: Some("results/local/20261123T074100Z-127.0.0.1-8080"),
        ..PLAIN
    };
    assert_snapshot!(run(&record, &saved), @r"
    GET http://127.0.0.1:8080/items/1    1,000/s constant, 10 s · up to 256 connections, 14 used · process 4242 axum-service
      requests   10,000 due · 10,000 ok · 0 failed     1,000/s of 1,000/s · 4.12 MB received
      ms           p50    p90    p99   [95 %]        p99.9    max
      response    1.17   1.85   2.00   [2.00–2.01]    2.02   2.02   since each request was due
      service     1.15   1.83   1.98                  2.00   2.00   since it was sent      (wait p99 0.00, lag p99 0.02)
      interval   95 %, for this machine during this run, by sampling alone, for batches take 12,000 requests in 6 to 12
                 equal spans
      target     memory (RSS) 6.1 idle → 8.9 MiB peak · CPU 41.0 ms per 1,000 requests · ready after 3.21 ms
                 /proc statm; peak from the kernel (VmHWM), 20 Hz
      valid      tailmark was 0.02 ms late at p99 and used 9 % of one core
    saved results/local/20261123T074100Z-127.0.0.1-8080 · tailmark report results/local/latest -o report.html
    ");
    assert_snapshot!(at(80, &record), @r"
    GET http://127.0.0.1:8080/items/1
      1,000/s constant, 10 s · up to 256 connections, 14 used · process 4242
      axum-service
      requests   10,000 due · 10,000 ok · 0 failed
                 1,000/s of 1,000/s · 4.12 MB received
      ms           p50    p99   [95 %]         max
      response    1.17   2.00   [2.00–2.01]   2.02   since each request was due
      service     1.15   1.98                 2.00   since it was sent
                 wait p99 0.00, lag p99 0.02
      interval   95 %, for this machine during this run, by sampling alone, for
                 batches take 12,000 requests in 6 to 12 equal spans
      target     memory (RSS) 6.1 idle → 8.9 MiB peak · CPU 41.0 ms per 1,000
                 requests · ready after 3.21 ms
                 /proc statm; peak from the kernel (VmHWM), 20 Hz
      valid      tailmark was 0.02 ms late at p99 and used 9 % of one core
    ");
}

#[test]
fn thresholds_have_a_line_each() {
    let mut record = url("1000/s", "10s");
    record.resources = Resources::default();
    let scenario = Scenario::parse("url.yaml", record.scenario.text.as_bytes()).unwrap();
    let thresholds = [
        "p99 < 250ms in main",
        "error_rate < 0.5%",
        "p50<100us over every 2s",
        "achieved_rate > 2k/s",
        "mem.peak < 64MiB",
    ];
    let scenario = scenario.with_thresholds(&thresholds.map(str::to_owned));
    record.ended_by = Some(EndedBy {
        expression: "p50<100us over every 2s".into(),
        at_ns: 4_250 * MS,
    });
    record.thresholds = rulings(&record, scenario.unwrap().thresholds());
    for (figure, lower_bound, reason) in [
        (Figure::Time(2_000 * MS), true, Some("nobody can say so")),
        (Figure::Time(84_000), false, None),
        (Figure::Size(9_332_326), false, None),
        (Figure::Slope(7_500.0), false, None),
        (Figure::Ratio(0.000_04), false, None),
    ] {
        record.thresholds.push(Ruling {
            expression: "one more".into(),
            observed: Some(Observed {
                figure,
                lower_bound,
            }),
            when: None,
            passed: false,
            reason: reason.map(str::to_owned),
        });
    }
    assert_snapshot!(at(100, &record), @r"
    GET http://127.0.0.1:8080/items/1
      1,000/s constant, 10 s · up to 256 connections, 14 used · process 4242 axum-service
      requests   10,000 due · 10,000 ok · 0 failed     1,000/s of 1,000/s · 4.12 MB received
      ms           p50    p90    p99   [95 %]        p99.9    max
      response    1.17   1.85   2.00   [2.00–2.01]    2.02   2.02   since each request was due
      service     1.15   1.83   1.98                  2.00   2.00   since it was sent
                 wait p99 0.00, lag p99 0.02
      interval   95 %, for this machine during this run, by sampling alone, for batches take 12,000
                 requests in 6 to 12 equal spans
      ENDED      at 00:04.2: `p50<100us over every 2s` was broken: the load was ended before its time,
                 and these are the figures until then
      ✓ p99 < 250ms in main       observed 2.00 ms
      ✓ error_rate < 0.5%         observed 0 %
      ✗ p50<100us over every 2s   observed 1.17 ms from 0s to 2s of main
      ✗ achieved_rate > 2k/s      observed 1,000/s
      ✗ mem.peak < 64MiB          the target's memory was not read (--watch says whose to read)
      ✗ one more                  observed ≥ 2.00 s: nobody can say so
      ✗ one more                  observed 84.0 µs
      ✗ one more                  observed 8.9 MiB
      ✗ one more                  observed 0.429 MiB/min
      ✗ one more                  observed under 0.01 %
      valid      tailmark was 0.02 ms late at p99 and used 9 % of one core
    ");
}

#[test]
fn phases_steps_and_journeys() {
    let mut record = record("shop", SHOP, shop);
    record.audits.push(audit(614));
    assert_snapshot!(at(120, &record), @r"
    shop on axum    2 phases, 20 s · up to 256 connections, 14 used · process 4242 axum-service
      requests   8,350 due · 8,350 ok · 0 failed     297/s of 297/s · 3.72 MB received
      ms           p50    p90    p99   p99.9    max
      response    5.00   8.21   8.95    9.02   9.02   since each request was due
      service     4.98   8.19   8.92    8.99   9.00   since it was sent      (wait p99 0.00, lag p99 0.02)

      phase             arrivals/s   requests   failed   ms p50    p90    p99   [95 %]        p99.9    max
      warm (warm-up)   99.8 of 100        683        0     10.0   16.5   17.9                   n/a   18.0
      slow              200 of 200      2,839        0     4.99   8.16   8.95   [8.92–8.98]     n/a   9.02
      steady            394 of 394      5,511        0     5.01   8.24   8.95   [8.92–8.96]    9.02   9.02

      flow/step          requests   failed   ms p50    p90    p99   p99.9    max
      browse/list           4,740        0     4.99   8.22   8.95    9.02   9.02
      buy/login             1,203        0     5.13   8.20   8.93     n/a   9.01
      buy/transfer          1,203        0     4.87   8.14   8.92     n/a   9.01
      buy/read-back         1,204        0     5.03   8.30   8.98     n/a   9.02
        buy journey   1,204 walks              15.0   18.5   20.1     n/a   24.7

      target     memory (RSS) 6.1 idle → 8.9 MiB peak · CPU 49.1 ms per 1,000 requests · ready after 3.21 ms
                 /proc statm; peak from the kernel (VmHWM), 20 Hz
      valid      tailmark was 0.02 ms late at p99 and used 4 % of one core
      audit      ok: balances unchanged · keys 614 · transfers 614
    ");
    assert_snapshot!(at(80, &record), @r"
    shop on axum
      2 phases, 20 s · up to 256 connections, 14 used · process 4242 axum-service
      requests   8,350 due · 8,350 ok · 0 failed
                 297/s of 297/s · 3.72 MB received
      ms           p50    p90    p99   p99.9    max
      response    5.00   8.21   8.95    9.02   9.02   since each request was due
      service     4.98   8.19   8.92    8.99   9.00   since it was sent
                 wait p99 0.00, lag p99 0.02

      phase             arrivals/s   requests   failed   ms p50    p99    max
      warm (warm-up)   99.8 of 100        683        0     10.0   17.9   18.0
      slow              200 of 200      2,839        0     4.99   8.95   9.02
      steady            394 of 394      5,511        0     5.01   8.95   9.02

      flow/step          requests   failed   ms p50    p90    p99   p99.9    max
      browse/list           4,740        0     4.99   8.22   8.95    9.02   9.02
      buy/login             1,203        0     5.13   8.20   8.93     n/a   9.01
      buy/transfer          1,203        0     4.87   8.14   8.92     n/a   9.01
      buy/read-back         1,204        0     5.03   8.30   8.98     n/a   9.02
        buy journey   1,204 walks              15.0   18.5   20.1     n/a   24.7

      target     memory (RSS) 6.1 idle → 8.9 MiB peak · CPU 49.1 ms per 1,000
                 requests · ready after 3.21 ms
                 /proc statm; peak from the kernel (VmHWM), 20 Hz
      valid      tailmark was 0.02 ms late at p99 and used 4 % of one core
      audit      ok: balances unchanged · keys 614 · transfers 614
    ");
}

/// One phase of a bare URL, of a service that answers in 0.3 to 2 ms.
fn url_with(load: &str, duration: &str) -> RunRecord {
    let yaml = url_yaml("1/s", duration).replace("rate: 1/s", load);
    record("url", &yaml, |asked| {
        ok(300_000 + spread(asked.arrival, 17 * MS / 10))
    })
}

#[test]
fn users_who_wait() {
    let mut record = url_with("users: 50", "1s");
    assert_snapshot!(at(120, &record), @r"
    GET http://127.0.0.1:8080/items/1    50 users, closed, 1 s · up to 256 connections, 14 used · process 4242 axum-service
      requests   40,592 due · 40,592 ok · 0 failed     40,592/s · 16.7 MB received
      ms           p50    p90    p99   [95 %]        p99.9    max
      response    1.17   1.85   2.00   [2.00–2.00]    2.02   2.02   since each request was due
      service     1.15   1.83   1.98                  2.00   2.00   since it was sent      (wait p99 0.00, lag p99 0.02)
      interval   95 %, for this machine during this run, by sampling alone, for batches take 12,000 requests in 6 to 12
                 equal spans
      closed     each user waits for its answer before it asks again, so a slow target is asked less. No claim is made about
                 users who would have come meanwhile
      target     memory (RSS) 6.1 idle → 8.9 MiB peak · CPU 10.1 ms per 1,000 requests · ready after 3.21 ms
                 /proc statm; peak from the kernel (VmHWM), 20 Hz
      valid      tailmark was 0.02 ms late at p99 and used 90 % of one core
    ");
    assert_snapshot!(at(80, &record), @r"
    GET http://127.0.0.1:8080/items/1
      50 users, closed, 1 s · up to 256 connections, 14 used · process 4242
      axum-service
      requests   40,592 due · 40,592 ok · 0 failed     40,592/s · 16.7 MB received
      ms           p50    p99   [95 %]         max
      response    1.17   2.00   [2.00–2.00]   2.02   since each request was due
      service     1.15   1.98                 2.00   since it was sent
                 wait p99 0.00, lag p99 0.02
      interval   95 %, for this machine during this run, by sampling alone, for
                 batches take 12,000 requests in 6 to 12 equal spans
      closed     each user waits for its answer before it asks again, so a slow
                 target is asked less. No claim is made about users who would have
                 come meanwhile
      target     memory (RSS) 6.1 idle → 8.9 MiB peak · CPU 10.1 ms per 1,000
                 requests · ready after 3.21 ms
                 /proc statm; peak from the kernel (VmHWM), 20 Hz
      valid      tailmark was 0.02 ms late at p99 and used 90 % of one core
    ");
    assert_eq!(record.validity.notes, []);
    record.phases[0].model = LoadModel::Closed { users: 1 };
    assert!(at(120, &record).contains("    1 user, closed, 1 s"));
}

#[test]
fn ramps() {
    assert_snapshot!(at(120, &url_with("ramp: 100/s..2k/s", "10s")), @r"
    GET http://127.0.0.1:8080/items/1
      100/s..2,000/s ramp, 10 s · up to 256 connections, 14 used · process 4242 axum-service
      requests   10,500 due · 10,500 ok · 0 failed     1,050/s of 1,050/s · 4.33 MB received
      ms           p50    p90    p99   p99.9    max
      response    1.17   1.85   2.00    2.02   2.02   since each request was due
      service     1.15   1.83   1.98    2.00   2.00   since it was sent      (wait p99 0.00, lag p99 0.02)
      target     memory (RSS) 6.1 idle → 8.9 MiB peak · CPU 39.0 ms per 1,000 requests · ready after 3.21 ms
                 /proc statm; peak from the kernel (VmHWM), 20 Hz
      valid      tailmark was 0.02 ms late at p99 and used 9 % of one core
    ");
    let poisson = at(
        80,
        &url_with("ramp: 2000/s..30/m, arrivals: poisson", "10s"),
    );
    assert!(
        poisson.contains("2,000/s..30/m poisson ramp, 10 s"),
        "{poisson}"
    );
}

#[test]
fn every_load_model_side_by_side() {
    let record = record("models", MODELS, shop);
    assert_snapshot!(at(120, &record), @r"
    models on axum    4 phases, 12 s · up to 256 connections, 14 used · process 4242 axum-service
      requests   13,713 due · 13,713 ok · 0 failed     914/s · 5.80 MB received
      ms           p50    p90    p99   p99.9    max
      response    5.05   8.24   8.95    9.02   9.02   since each request was due
      service     5.03   8.22   8.93    8.99   9.00   since it was sent      (wait p99 0.00, lag p99 0.02)

      phase                             arrivals/s   requests   failed   ms p50    p90    p99   [95 %]        p99.9    max
      warm (warm-up; 4 users, closed)          280        369        0     10.5   16.6   17.8                   n/a   18.0
      climb (100/s..400/s ramp)         250 of 250      1,266        0     5.15   8.27   8.95                   n/a   9.02
      rest (pause)
      crowd (20 users, closed)               3,026     11,351        0     5.04   8.24   8.95   [8.93–8.96]    9.02   9.02
      steady                            202 of 200        741        0     4.96   8.21   8.95   [8.88–9.00]     n/a   9.02
      fall (300/s..30/m poisson ramp)   144 of 144        355        0     5.05   8.26    n/a                   n/a   9.01
      after (pause)
      closed     crowd: each user waits for its answer before it asks again, so a slow target is asked less. No claim is
                 made about users who would have come meanwhile

      flow/step             requests   failed   ms p50    p90    p99   p99.9    max
      read/GET-items           8,234        0     5.04   8.24   8.95    9.02   9.02
      write/POST-items         2,739        0     4.98   8.17   8.94     n/a   9.02
      write/back               2,740        0     5.12   8.30   8.97     n/a   9.02
        write journey    2,740 walks              10.1   13.3   14.8     n/a   17.0

      target     memory (RSS) 6.1 idle → 8.9 MiB peak · CPU 29.9 ms per 1,000 requests · ready after 3.21 ms
                 /proc statm; peak from the kernel (VmHWM), 20 Hz
      valid      tailmark was 0.02 ms late at p99 and used 6 % of one core
    ");
    assert_snapshot!(at(80, &record), @r"
    models on axum
      4 phases, 12 s · up to 256 connections, 14 used · process 4242 axum-service
      requests   13,713 due · 13,713 ok · 0 failed     914/s · 5.80 MB received
      ms           p50    p90    p99   p99.9    max
      response    5.05   8.24   8.95    9.02   9.02   since each request was due
      service     5.03   8.22   8.93    8.99   9.00   since it was sent
                 wait p99 0.00, lag p99 0.02

      phase                             arrivals/s   requests   failed   ms p50    p99    max
      warm (warm-up; 4 users, closed)          280        369        0     10.5   17.8   18.0
      climb (100/s..400/s ramp)         250 of 250      1,266        0     5.15   8.95   9.02
      rest (pause)
      crowd (20 users, closed)               3,026     11,351        0     5.04   8.95   9.02
      steady                            202 of 200        741        0     4.96   8.95   9.02
      fall (300/s..30/m poisson ramp)   144 of 144        355        0     5.05    n/a   9.01
      after (pause)
      closed     crowd: each user waits for its answer before it asks again, so a
                 slow target is asked less. No claim is made about users who would
                 have come meanwhile

      flow/step             requests   failed   ms p50    p90    p99   p99.9    max
      read/GET-items           8,234        0     5.04   8.24   8.95    9.02   9.02
      write/POST-items         2,739        0     4.98   8.17   8.94     n/a   9.02
      write/back               2,740        0     5.12   8.30   8.97     n/a   9.02
        write journey    2,740 walks              10.1   13.3   14.8     n/a   17.0

      target     memory (RSS) 6.1 idle → 8.9 MiB peak · CPU 29.9 ms per 1,000
                 requests · ready after 3.21 ms
                 /proc statm; peak from the kernel (VmHWM), 20 Hz
      valid      tailmark was 0.02 ms late at p99 and used 6 % of one core
    ");
}

#[test]
fn users_with_several_steps() {
    let one_phase: String = MODELS
        .lines()
        .filter(|line| !line.contains("for:") || line.contains("crowd"))
        .map(|line| format!("{line}\n"))
        .collect();
    let record = record("models", &one_phase, shop);
    assert_snapshot!(at(120, &record), @r"
    models on axum    20 users, closed ≈ 1,876 requests/s, 3 s · up to 256 connections, 14 used · process 4242 axum-service
      requests   5,627 due · 5,627 ok · 0 failed     1,492/s · 2.32 MB received
      ms           p50    p90    p99   [95 %]        p99.9    max
      response    10.0   16.4   17.9   [17.8–17.9]    18.0   18.0   since each request was due
      service     9.99   16.4   17.8                  18.0   18.0   since it was sent      (wait p99 0.00, lag p99 0.02)
      interval   95 %, for this machine during this run, by sampling alone, for batches take 12,000 requests in 6 to 12
                 equal spans
      closed     each user waits for its answer before it asks again, so a slow target is asked less. No claim is made about
                 users who would have come meanwhile

      flow/step             requests   failed   ms p50    p90    p99   p99.9    max
      read/GET-items           3,329        0     10.1   16.5   17.9     n/a   18.0
      write/POST-items         1,149        0     9.72   16.4   17.9     n/a   18.0
      write/back               1,149        0     9.87   16.3   17.8     n/a   18.0
        write journey    1,149 walks              19.8   26.6   29.6     n/a   29.9

      target     memory (RSS) 6.1 idle → 8.9 MiB peak · CPU 72.9 ms per 1,000 requests · ready after 3.21 ms
                 /proc statm; peak from the kernel (VmHWM), 20 Hz
      valid      tailmark was 0.02 ms late at p99 and used 30 % of one core
    ");
}

#[test]
fn arrivals_are_told_from_requests_where_a_flow_has_several_steps() {
    let one_phase: String = SHOP
        .lines()
        .filter(|line| !line.contains("name: warm") && !line.contains("name: slow"))
        .map(|line| format!("{line}\n"))
        .collect();
    let record = record("shop", &one_phase, |asked| match (asked.flow, asked.step) {
        (1, 1) if asked.arrival.is_multiple_of(2) => Answer {
            outcome: Outcome::StatusError,
            status: Some(409),
            ..ok(MS)
        },
        _ => shop(asked),
    });
    assert_snapshot!(at(100, &record), @r"
    shop on axum
      400 arrivals/s ≈ 530 requests/s poisson, 10 s · up to 256 connections, 14 used · process 4242
      axum-service
      requests   5,304 due · 4,878 ok · 426 failed     407/s of 408/s · 2.19 MB received
      ms           p50    p90    p99   [95 %]        p99.9    max
      response    9.31   16.3   17.9   [17.8–17.9]    18.0   18.0   since each request was due
      service     9.29   16.3   17.9                  18.0   18.0   since it was sent
                 wait p99 0.00, lag p99 0.02
      interval   95 %, for this machine during this run, by sampling alone, for batches take 12,000
                 requests in 6 to 12 equal spans

      flow/step        requests   failed   unreached   ms p50    p90    p99   p99.9    max
      browse/list         3,249        0           0     9.95   16.4   17.9     n/a   18.0
      buy/login             827        0           0     10.3   16.4   17.8     n/a   18.0
      buy/transfer          827      426           0     1.02   14.5   17.8     n/a   18.0
      buy/read-back         401        0         426     9.81   16.6   17.9     n/a   18.0
        buy journey   401 walks                          29.8   37.0   40.1     n/a   40.4

      target     memory (RSS) 6.1 idle → 8.9 MiB peak · CPU 77.3 ms per 1,000 requests · ready after
                 3.21 ms
                 /proc statm; peak from the kernel (VmHWM), 20 Hz
      failed     426 of 5,304 (8.0 %): 426 × 409     first: 00:00.1 POST /36 → 409
      valid      tailmark was 0.02 ms late at p99 and used 9 % of one core
    ");
}

#[test]
fn failures_and_lower_bounds() {
    let yaml = url_yaml("500/s", "10s").replace("tailmark: 1", "tailmark: 1\ntimeout: 2s");
    let record = record("url", &yaml, |asked| {
        let base = ok(MS + spread(asked.arrival, 2 * MS));
        match asked.arrival {
            k if k % 90 == 7 => Answer {
                service: 2_000 * MS,
                outcome: Outcome::Timeout,
                status: None,
                ..base
            },
            k if k % 500 == 41 => Answer {
                outcome: Outcome::StatusError,
                status: Some(503),
                ..base
            },
            1_234 => Answer {
                outcome: Outcome::Reset,
                status: None,
                ..base
            },
            _ => base,
        }
    });
    assert_snapshot!(at(120, &record), @r"
    GET http://127.0.0.1:8080/items/1    500/s constant, 10 s · up to 256 connections, 14 used · process 4242 axum-service
      requests   5,000 due · 4,933 ok · 67 failed     494/s of 500/s · 2.04 MB received
      ms           p50    p90       p99     p99.9       max
      response    2.03   2.84   ≥ 2,000   ≥ 2,000   ≥ 2,000   since each request was due
      service     2.01   2.82   ≥ 2,000   ≥ 2,000   ≥ 2,000   since it was sent      (wait p99 0.00, lag p99 0.02)
      target     memory (RSS) 6.1 idle → 8.9 MiB peak · CPU 82.9 ms per 1,000 requests · ready after 3.21 ms
                 /proc statm; peak from the kernel (VmHWM), 20 Hz
      failed     67 of 5,000 (1.3 %): 10 × 503 · 56 × timeout (2 s) · 1 × reset     first: 00:02.0 GET /7 → timeout
      valid      tailmark was 0.02 ms late at p99 and used 9 % of one core
    ");
    assert_snapshot!(at(80, &record), @r"
    GET http://127.0.0.1:8080/items/1
      500/s constant, 10 s · up to 256 connections, 14 used · process 4242
      axum-service
      requests   5,000 due · 4,933 ok · 67 failed
                 494/s of 500/s · 2.04 MB received
      ms           p50       p99     p99.9       max
      response    2.03   ≥ 2,000   ≥ 2,000   ≥ 2,000   since each request was due
      service     2.01   ≥ 2,000   ≥ 2,000   ≥ 2,000   since it was sent
                 wait p99 0.00, lag p99 0.02
      target     memory (RSS) 6.1 idle → 8.9 MiB peak · CPU 82.9 ms per 1,000
                 requests · ready after 3.21 ms
                 /proc statm; peak from the kernel (VmHWM), 20 Hz
      failed     67 of 5,000 (1.3 %): 10 × 503 · 56 × timeout (2 s) · 1 × reset
                 first: 00:02.0 GET /7 → timeout
      valid      tailmark was 0.02 ms late at p99 and used 9 % of one core
    ");
    let verbose = Options {
        verbose: true,
        ..PLAIN
    };
    assert_snapshot!(run(&record, &verbose), @r"
    GET http://127.0.0.1:8080/items/1    500/s constant, 10 s · up to 256 connections, 14 used · process 4242 axum-service
      requests   5,000 due · 4,933 ok · 67 failed     494/s of 500/s · 2.04 MB received
      ms           p50    p90       p99     p99.9       max
      response    2.03   2.84   ≥ 2,000   ≥ 2,000   ≥ 2,000   since each request was due
      service     2.01   2.82   ≥ 2,000   ≥ 2,000   ≥ 2,000   since it was sent      (wait p99 0.00, lag p99 0.02)
      target     memory (RSS) 6.1 idle → 8.9 MiB peak · CPU 82.9 ms per 1,000 requests · ready after 3.21 ms
                 /proc statm; peak from the kernel (VmHWM), 20 Hz
      failed     67 of 5,000 (1.3 %): 10 × 503 · 56 × timeout (2 s) · 1 × reset
      first      timeout in url/GET-items-1     00:02.0 GET /7 → timeout
      first      status error in url/GET-items-1     00:00.0 GET /41 → 503
      first      reset in url/GET-items-1     00:02.4 GET /1234 → reset
      valid      tailmark was 0.02 ms late at p99 and used 9 % of one core
      machine    Example CPU · 2 cores · 24,576.0 MiB of memory · Linux 6.1.0 · tailmark 0.1.0
      identity   http://127.0.0.1:8080 · target/release/axum-service --port 8080 · revision 4bc29b4-dirty · sha256
                 9f9f9f9f9f9f9f9f9f9f9f9f9f9f9f9f9f9f9f9f9f9f9f9f9f9f9f9f9f9f9f9f
      settings   framework axum · workers 2
      scenario   seed 1 · sha256 a40f806c7f9fabec3955f5561830f5ba10b3987b3fe65690a57703330b8c6e1c
    ");
}

#[test]
fn what_a_target_ran_in_is_said_and_how_it_ended() {
    let mut record = record("url", &url_yaml("100/s", "1s"), |_| ok(MS));
    record.target.runtime = Some("as a process: no container engine answers".into());
    let said = |record: &RunRecord, words: &str| {
        let text = run(record, &PLAIN);
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(text.contains(words), "{text}");
    };
    said(&record, "runtime as a process: no container engine answers");
    record.target.container = Some(container());
    said(
        &record,
        "container svc:1.4 · 2.61 MB · Docker 20.10.24 · this machine's network · 0.5 CPUs and 32 MiB of memory",
    );
    assert!(!run(&record, &PLAIN).contains("ENDED"));
    record.target.exit = Some("ended by itself 2 s after it was ready (exit status: 137)".into());
    said(
        &record,
        "ENDED the target ended by itself 2 s after it was ready",
    );
}

/// A target that serves one request at a time, each in `service`, so that a queue builds up in front of it.
fn one_at_a_time(rate: u64, service: u64) -> RunRecord {
    let mut free = 0u64;
    record("url", &url_yaml(&format!("{rate}/s"), "10s"), |asked| {
        let due = asked.arrival * 1_000_000_000 / rate;
        let start = free.max(due + 20_000);
        free = start + service;
        Answer {
            wait: start - due - 20_000,
            ..ok(service)
        }
    })
}

#[test]
fn a_target_that_cannot_keep_up() {
    let mut record = one_at_a_time(1_000, 1_634_000);
    record.connections.max = 16;
    record.phases[0].tally.pool_full = 9_400;
    record.judge();
    assert_snapshot!(at(120, &record), @r"
    GET http://127.0.0.1:8080/items/1    1,000/s constant, 10 s · up to 16 connections, 14 used · process 4242 axum-service
      requests   10,000 due · 10,000 ok · 0 failed     612/s of 1,000/s · 4.12 MB received
      s              p50      p90      p99   [95 %]         p99.9      max
      response      3.17     5.71     6.28   [6.27–6.29]     6.34     6.34   since each request was due
      service     0.0016   0.0016   0.0016                 0.0016   0.0016   since it was sent
                 wait p99 6.28, lag p99 0.00
      interval   95 %, for this machine during this run, by sampling alone, for batches take 12,000 requests in 6 to 12
                 equal spans
      target     memory (RSS) 6.1 idle → 8.9 MiB peak · CPU 41.0 ms per 1,000 requests · ready after 3.21 ms
                 /proc statm; peak from the kernel (VmHWM), 20 Hz
      SATURATED  the target finished 612 of 1,000 per second: these times say how long you ran, not how slow it is. Try -r
                 550.
      note       all 16 connections were busy for 94 % of requests: wait is part of the response time. -c raises the pool
      valid      tailmark was 0.02 ms late at p99 and used 9 % of one core
    ");
    assert_snapshot!(at(80, &record), @r"
    GET http://127.0.0.1:8080/items/1
      1,000/s constant, 10 s · up to 16 connections, 14 used · process 4242
      axum-service
      requests   10,000 due · 10,000 ok · 0 failed
                 612/s of 1,000/s · 4.12 MB received
      s              p50      p99      max
      response      3.17     6.28     6.34   since each request was due
      service     0.0016   0.0016   0.0016   since it was sent
                 wait p99 6.28, lag p99 0.00
      interval   95 %, for this machine during this run, by sampling alone, for
                 batches take 12,000 requests in 6 to 12 equal spans
      target     memory (RSS) 6.1 idle → 8.9 MiB peak · CPU 41.0 ms per 1,000
                 requests · ready after 3.21 ms
                 /proc statm; peak from the kernel (VmHWM), 20 Hz
      SATURATED  the target finished 612 of 1,000 per second: these times say how
                 long you ran, not how slow it is. Try -r 550.
      note       all 16 connections were busy for 94 % of requests: wait is part of
                 the response time. -c raises the pool
      valid      tailmark was 0.02 ms late at p99 and used 9 % of one core
    ");
}

#[test]
fn a_generator_that_was_itself_late() {
    let mut record = record("url", &url_yaml("1000/s", "10s"), |asked| Answer {
        lag: spread(asked.arrival, 31 * MS / 10),
        ..ok(MS)
    });
    record.generator.busiest_worker = Some((0, 0.97));
    record.judge();
    assert_snapshot!(at(120, &record), @r"
    GET http://127.0.0.1:8080/items/1    1,000/s constant, 10 s · up to 256 connections, 14 used · process 4242 axum-service
      requests   10,000 due · 10,000 ok · 0 failed     1,000/s of 1,000/s · 4.12 MB received
      ms           p50    p90    p99   [95 %]        p99.9    max
      response    2.55   3.79   4.07   [4.06–4.08]    4.10   4.10   since each request was due
      service     1.00   1.00   1.00                  1.00   1.00   since it was sent      (wait p99 0.00, lag p99 3.07)
      interval   95 %, for this machine during this run, by sampling alone, for batches take 12,000 requests in 6 to 12
                 equal spans
      target     memory (RSS) 6.1 idle → 8.9 MiB peak · CPU 41.0 ms per 1,000 requests · ready after 3.21 ms
                 /proc statm; peak from the kernel (VmHWM), 20 Hz
      CLIENT-BOUND  tailmark itself was late: lag p99 3.07 ms of response p99 4.07 ms, which would have been 1.00 ms on
                 time; worker 1 used 97 % of its core. The figures are tailmark's own, not the target's: try a lower -r or
                 more --workers; tailmark doctor says what this machine costs
    ");
    record.environment.steal = Some(0.11);
    record.interrupted = true;
    record.judge();
    assert_snapshot!(at(80, &record), @r"
    GET http://127.0.0.1:8080/items/1
      1,000/s constant, 10 s · up to 256 connections, 14 used · process 4242
      axum-service
      requests   10,000 due · 10,000 ok · 0 failed
                 1,000/s of 1,000/s · 4.12 MB received
      ms           p50    p99   [95 %]         max
      response    2.55   4.07   [4.06–4.08]   4.10   since each request was due
      service     1.00   1.00                 1.00   since it was sent
                 wait p99 0.00, lag p99 3.07
      interval   95 %, for this machine during this run, by sampling alone, for
                 batches take 12,000 requests in 6 to 12 equal spans
      target     memory (RSS) 6.1 idle → 8.9 MiB peak · CPU 41.0 ms per 1,000
                 requests · ready after 3.21 ms
                 /proc statm; peak from the kernel (VmHWM), 20 Hz
      INTERRUPTED  these are the figures of what was measured until then
      DISTURBED  the hypervisor took 11.0 % of the CPU time for others (steal);
                 tailmark itself was late: lag p99 3.07 ms of response p99 4.07 ms,
                 which would have been 1.00 ms on time; worker 1 used 97 % of its
                 core. Run it again on a quieter machine; tailmark doctor says what
                 this one costs
    ");
}

#[test]
fn nothing_is_made_up_where_nothing_was_measured() {
    let mut record = record("url", &url_yaml("100/s", "1s"), |_| Answer {
        outcome: Outcome::Unsent,
        status: None,
        wait: 1_000 * MS,
        ..ok(0)
    });
    record.resources = Resources::default();
    record.target.process = None;
    record.audits.push(Audit {
        ok: false,
        ..audit(3)
    });
    assert_snapshot!(at(120, &record), @r"
    GET http://127.0.0.1:8080/items/1    100/s constant, 1 s · up to 256 connections, 14 used
      requests   100 due · 0 ok · 100 failed     0.00/s of 100/s · 0 B received
      s              p50      p90   p99   p99.9      max
      response    ≥ 1.00   ≥ 1.00   n/a     n/a   ≥ 1.00   since each request was due
      service        n/a      n/a   n/a     n/a      n/a   since it was sent      (wait p99 n/a, lag p99 n/a)
      SATURATED  the target finished 0.00 of 100 per second: these times say how long you ran, not how slow it is.
      failed     100 of 100 (100 %): 100 × unsent     first: 00:01.0 GET /0 → unsent
      valid      tailmark was 0.02 ms late at most and used 90 % of one core
      AUDIT      the data are not as they should be: balances unchanged · keys 3 · transfers 3
    ");
}

#[test]
fn a_sample_too_small_for_its_tail() {
    assert_snapshot!(at(120, &url("100/s", "3s")), @r"
    GET http://127.0.0.1:8080/items/1    100/s constant, 3 s · up to 256 connections, 14 used · process 4242 axum-service
      requests   300 due · 300 ok · 0 failed     100/s of 100/s · 124 kB received
      ms           p50    p90   p99   p99.9    max
      response    1.17   1.85   n/a     n/a   2.01   since each request was due
      service     1.15   1.83   n/a     n/a   1.99   since it was sent      (wait p99 n/a, lag p99 n/a)
      target     memory (RSS) 6.1 idle → 8.9 MiB peak · CPU 1,367 ms per 1,000 requests · ready after 3.21 ms
                 /proc statm; peak from the kernel (VmHWM), 20 Hz
      valid      tailmark was 0.02 ms late at most and used 30 % of one core
    ");
}

/// Six rounds in which actix is a little slower in the tail, and smaller.
fn six_rounds() -> Comparison {
    comparison(6, |arm, round| {
        let (arm_u64, round) = (arm as u64, round as u64);
        let mut record = arm_run(arm, |asked| {
            let tail = if asked.arrival % 64 == 3 {
                3 * MS + arm_u64 * MS / 4
            } else {
                0
            };
            ok(600_000 + round * 20_000 + spread(asked.arrival, 400_000) + tail)
        });
        let rss = record.resources.memory.rss.as_mut().unwrap();
        rss.idle_bytes = Some((7 << 20) - arm_u64 * 600_000 + round * 30_000);
        rss.peak_bytes = Some((14 << 20) + arm_u64 * 800_000 - round * 40_000);
        record.resources.cpu_ns = Some((150 - 10 * arm_u64 + round) * MS);
        record.audits.push(audit(110 + round));
        record
    })
}

fn compared(width: usize, comparison: &Comparison) -> String {
    compare(comparison, &Options { width, ..PLAIN })
}

#[test]
fn quantiles_and_the_whole_distribution_where_they_are_asked_for() {
    let record = url("1000/s", "10s");
    let percentiles: Vec<_> = ["p75", "p99", "p99.99"]
        .map(|quantile| quantile.parse().unwrap())
        .into();
    let options = Options {
        percentiles: &percentiles,
        spectrum: true,
        ..PLAIN
    };
    assert_snapshot!("quantiles_and_spectrum", run(&record, &options));
}

#[test]
fn two_arms_side_by_side() {
    let comparison = six_rounds();
    assert_snapshot!(compared(120, &comparison), @r"
    crud, phase steady, 600/s per arm    6 rounds interleaved, fresh processes and databases · 1 min 52 s · seed 42
                              axum                  actix                 actix against axum, 95 %
      response ms   p50       0.893 [0.855–0.934]   0.893 [0.855–0.934]   ±0.0 % [±0.0, ±0.0]        no difference shown
                    p99       3.84 [3.80–3.88]      4.09 [4.05–4.13]      +6.5 % [+6.4, +6.6]        slower
                    p99.9     4.07                  4.33                  n/a                        needs 20,000 per round
      memory MiB    idle      7.1                   6.5                   −8.1 % [−8.1, −8.0]        less
                    p95       8.8                   8.8                   ±0.0 % [±0.0, ±0.0]        no difference shown
                    peak      13.9                  14.6                  +5.5 % [+5.5, +5.5]        more
                    after     8.5                   8.5                   ±0.0 % [±0.0, ±0.0]        no difference shown
      growth MiB/min          0.0007                0.0007                ±0.0 % [±0.0, ±0.0]        no difference shown
      CPU ms/1,000 requests   64.0                  59.8                  −6.5 % [−6.6, −6.4]        less
      start to ready ms       3.21                  3.21                  ±0.0 % [±0.0, ±0.0]        no difference shown
      failed                  0 of 14,400           0 of 14,400
      settings   framework axum | actix · 1 other is equal
      memory     RSS, /proc statm; peak from the kernel (VmHWM)
      note       p99.9 is of all rounds together: a round needs 20,000 requests to be compared by it
      pairs      actix's p99 ÷ axum's spreads by 0.1 % from round to round; both correlate by 1.00
      integrity  axum, actix: 6 of 6 audits ok: balances unchanged · keys 111…116 · transfers 111…116
      valid      6 of 6 rounds valid
    actix's p99 is 6.5 % above axum's (6.4 to 6.6 %); of its p50 no difference is shown. These are results of this machine
    and this scenario.
    ");
    assert_snapshot!(compared(80, &comparison), @r"
    crud, phase steady, 600/s per arm
      6 rounds interleaved, fresh processes and databases · 1 min 52 s · seed 42
                              axum     actix    actix against axum, 95 %
      response ms   p50       0.893    0.893    ±0.0 % [±0.0, ±0.0]        none
                    p99       3.84     4.09     +6.5 % [+6.4, +6.6]        slower
                    p99.9     4.07     4.33     n/a                        see note
      memory MiB    idle      7.1      6.5      −8.1 % [−8.1, −8.0]        less
                    p95       8.8      8.8      ±0.0 % [±0.0, ±0.0]        none
                    peak      13.9     14.6     +5.5 % [+5.5, +5.5]        more
                    after     8.5      8.5      ±0.0 % [±0.0, ±0.0]        none
      growth MiB/min          0.0007   0.0007   ±0.0 % [±0.0, ±0.0]        none
      CPU ms/1,000 requests   64.0     59.8     −6.5 % [−6.6, −6.4]        less
      start to ready ms       3.21     3.21     ±0.0 % [±0.0, ±0.0]        none
      failed of 14,400        0        0
      note       none: no difference shown (one of ≥ … would be)
      settings   framework axum | actix · 1 other is equal
      memory     RSS, /proc statm; peak from the kernel (VmHWM)
      note       p99.9 is of all rounds together: a round needs 20,000 requests to
                 be compared by it
      pairs      actix's p99 ÷ axum's spreads by 0.1 % from round to round; both
                 correlate by 1.00
      integrity  axum, actix: 6 of 6 audits ok: balances unchanged · keys 111…116 ·
                 transfers 111…116
      valid      6 of 6 rounds valid
    actix's p99 is 6.5 % above axum's (6.4 to 6.6 %); of its p50 no difference is
    shown. These are results of this machine and this scenario.
    ");
    let verbose = Options {
        verbose: true,
        saved: Some("results/local/20261123T074100Z-compare-crud"),
        ..PLAIN
    };
    assert_snapshot!(compare(&comparison, &verbose), @r"
    crud, phase steady, 600/s per arm    6 rounds interleaved, fresh processes and databases · 1 min 52 s · seed 42
                              axum                  actix                 actix against axum, 95 %
      response ms   p50       0.893 [0.855–0.934]   0.893 [0.855–0.934]   ±0.0 % [±0.0, ±0.0]        no difference shown
                    p99       3.84 [3.80–3.88]      4.09 [4.05–4.13]      +6.5 % [+6.4, +6.6]        slower
                    p99.9     4.07                  4.33                  n/a                        needs 20,000 per round
      memory MiB    idle      7.1                   6.5                   −8.1 % [−8.1, −8.0]        less
                    p95       8.8                   8.8                   ±0.0 % [±0.0, ±0.0]        no difference shown
                    peak      13.9                  14.6                  +5.5 % [+5.5, +5.5]        more
                    after     8.5                   8.5                   ±0.0 % [±0.0, ±0.0]        no difference shown
      growth MiB/min          0.0007                0.0007                ±0.0 % [±0.0, ±0.0]        no difference shown
      CPU ms/1,000 requests   64.0                  59.8                  −6.5 % [−6.6, −6.4]        less
      start to ready ms       3.21                  3.21                  ±0.0 % [±0.0, ±0.0]        no difference shown
      failed                  0 of 14,400           0 of 14,400
      settings   framework axum | actix · 1 other is equal
      memory     RSS, /proc statm; peak from the kernel (VmHWM)
      note       p99.9 is of all rounds together: a round needs 20,000 requests to be compared by it
      pairs      actix's p99 ÷ axum's spreads by 0.1 % from round to round; both correlate by 1.00
      integrity  axum, actix: 6 of 6 audits ok: balances unchanged · keys 111…116 · transfers 111…116
      valid      6 of 6 rounds valid

      round   arm     validity   requests   failed   ms p50    p99
      1       actix   valid         2,400        0    0.844   4.04
      1       axum    valid         2,400        0    0.844   3.79
      2       actix   valid         2,400        0    0.864   4.06
      2       axum    valid         2,400        0    0.864   3.81
      3       actix   valid         2,400        0    0.884   4.08
      3       axum    valid         2,400        0    0.884   3.83
      4       axum    valid         2,400        0    0.904   3.85
      4       actix   valid         2,400        0    0.904   4.10
      5       actix   valid         2,400        0    0.924   4.12
      5       axum    valid         2,400        0    0.924   3.87
      6       actix   valid         2,400        0    0.944   4.14
      6       axum    valid         2,400        0    0.944   3.89

    actix's p99 is 6.5 % above axum's (6.4 to 6.6 %); of its p50 no difference is shown. These are results of this machine
    and this scenario.
    saved results/local/20261123T074100Z-compare-crud · tailmark report results/local/latest -o report.html
    ");
}

#[test]
fn long_names_are_lettered() {
    let mut comparison = six_rounds();
    comparison.plan.arms = vec![
        "http://127.0.0.1:8080".into(),
        "http://127.0.0.1:9090/staging".into(),
    ];
    assert_snapshot!(compared(80, &comparison), @r"
    crud, phase steady, 600/s per arm
      6 rounds interleaved, fresh processes and databases · 1 min 52 s · seed 42
      A          http://127.0.0.1:8080
      B          http://127.0.0.1:9090/staging
                              A        B        B against A, 95 %
      response ms   p50       0.893    0.893    ±0.0 % [±0.0, ±0.0]   none
                    p99       3.84     4.09     +6.5 % [+6.4, +6.6]   slower
                    p99.9     4.07     4.33     n/a                   see note
      memory MiB    idle      7.1      6.5      −8.1 % [−8.1, −8.0]   less
                    p95       8.8      8.8      ±0.0 % [±0.0, ±0.0]   none
                    peak      13.9     14.6     +5.5 % [+5.5, +5.5]   more
                    after     8.5      8.5      ±0.0 % [±0.0, ±0.0]   none
      growth MiB/min          0.0007   0.0007   ±0.0 % [±0.0, ±0.0]   none
      CPU ms/1,000 requests   64.0     59.8     −6.5 % [−6.6, −6.4]   less
      start to ready ms       3.21     3.21     ±0.0 % [±0.0, ±0.0]   none
      failed of 14,400        0        0
      note       none: no difference shown (one of ≥ … would be)
      settings   framework axum | actix · 1 other is equal
      memory     RSS, /proc statm; peak from the kernel (VmHWM)
      note       p99.9 is of all rounds together: a round needs 20,000 requests to
                 be compared by it
      pairs      http://127.0.0.1:9090/staging's p99 ÷ http://127.0.0.1:8080's
                 spreads by 0.1 % from round to round; both correlate by 1.00
      integrity  http://127.0.0.1:8080, http://127.0.0.1:9090/staging: 6 of 6 audits
                 ok: balances unchanged · keys 111…116 · transfers 111…116
      valid      6 of 6 rounds valid
    http://127.0.0.1:9090/staging's p99 is 6.5 % above http://127.0.0.1:8080's (6.4
    to 6.6 %); of its p50 no difference is shown. These are results of this machine
    and this scenario.
    ");
}

#[test]
fn three_arms_each_beside_the_first_and_processes_that_run_already() {
    let scripted = comparison(8, |arm, round| {
        let drawn = (round * 2 + arm) as u64;
        let mut record = arm_run(arm, |asked| {
            ok(MS + spread(drawn, MS / 10) + spread(asked.arrival, 400_000))
        });
        record.target.kind = "url".into();
        record
    });
    assert_snapshot!(compared(120, &scripted), @r"
    crud, phase steady, 600/s per arm    8 rounds interleaved, fresh processes and databases · 1 min 52 s · seed 42
                              axum               actix              actix against axum, 95 %
      response ms   p50       1.28 [1.25–1.30]   1.26 [1.24–1.29]   −2.9 % [−3.0, +1.0]        none (≥ 2.1 %)
                    p99       1.50 [1.46–1.53]   1.49 [1.45–1.52]   −2.5 % [−2.6, +0.9]        none (≥ 1.7 %)
                    p99.9     1.51               1.50               n/a                        see note
      memory MiB    idle      6.1                6.1                ±0.0 % [±0.0, ±0.0]        none
                    p95       8.8                8.8                ±0.0 % [±0.0, ±0.0]        none
                    peak      8.9                8.9                ±0.0 % [±0.0, ±0.0]        none
                    after     8.5                8.5                ±0.0 % [±0.0, ±0.0]        none
      growth MiB/min          0.0007             0.0007             ±0.0 % [±0.0, ±0.0]        none
      CPU ms/1,000 requests   171                171                ±0.0 % [±0.0, ±0.0]        none
      start to ready ms       3.21               3.21               ±0.0 % [±0.0, ±0.0]        none
      failed of 19,200        0                  0
      note       none: no difference shown (one of ≥ … would be)
      settings   framework axum | actix · 1 other is equal
      memory     RSS, /proc statm; peak from the kernel (VmHWM)
      note       p99.9 is of all rounds together: a round needs 20,000 requests to be compared by it
      pairs      actix's p99 ÷ axum's spreads by 0.1 % from round to round; both correlate by −0.24
      valid      8 of 8 rounds valid
    Between actix's p99 and axum's no difference is shown, nor between their p50; one of 1.7 % or more would be. These are
    results of these processes only, which were not started afresh for each round, on this machine and by this scenario.
    ");
    let mut plan = scripted.plan.clone();
    plan.arms.push("go".into());
    let mut three = Comparison::new(plan, "2026-11-23T07:41:00Z".into());
    for round in 1..=8 {
        let records = [0, 1, 1].map(|arm| {
            let drawn = (round * 2 + arm) as u64;
            arm_run(arm, |asked| {
                ok((1 + arm as u64) * MS + spread(drawn, MS / 10) + spread(asked.arrival, MS / 4))
            })
        });
        three.add_round(vec![2, 0, 1], &records.each_ref()).unwrap();
    }
    assert_snapshot!(compared(120, &three), @r"
    crud, phase steady, 600/s per arm    8 rounds interleaved, fresh processes and databases · seed 42
                              axum               actix              actix against axum, 97.5 %
      response ms   p50       1.20 [1.18–1.23]   2.19 [2.16–2.21]   +80 % [+78, +91]             slower
                    p99       1.35 [1.32–1.39]   2.34 [2.30–2.38]   +73 % [+71, +82]             slower
                    p99.9     1.36               2.36               n/a                          needs 20,000 per round
      memory MiB    idle      6.1                6.1                ±0.0 % [±0.0, ±0.0]          no difference shown
                    p95       8.8                8.8                ±0.0 % [±0.0, ±0.0]          no difference shown
                    peak      8.9                8.9                ±0.0 % [±0.0, ±0.0]          no difference shown
                    after     8.5                8.5                ±0.0 % [±0.0, ±0.0]          no difference shown
      growth MiB/min          0.0007             0.0007             ±0.0 % [±0.0, ±0.0]          no difference shown
      CPU ms/1,000 requests   171                171                ±0.0 % [±0.0, ±0.0]          no difference shown
      start to ready ms       3.21               3.21               ±0.0 % [±0.0, ±0.0]          no difference shown
      failed                  0 of 19,200        0 of 19,200
                              axum               go                 go against axum, 97.5 %
      response ms   p50       1.20 [1.18–1.23]   2.19 [2.16–2.21]   +80 % [+78, +91]          slower
                    p99       1.35 [1.32–1.39]   2.34 [2.30–2.38]   +73 % [+71, +82]          slower
                    p99.9     1.36               2.36               n/a                       needs 20,000 per round
      memory MiB    idle      6.1                6.1                ±0.0 % [±0.0, ±0.0]       no difference shown
                    p95       8.8                8.8                ±0.0 % [±0.0, ±0.0]       no difference shown
                    peak      8.9                8.9                ±0.0 % [±0.0, ±0.0]       no difference shown
                    after     8.5                8.5                ±0.0 % [±0.0, ±0.0]       no difference shown
      growth MiB/min          0.0007             0.0007             ±0.0 % [±0.0, ±0.0]       no difference shown
      CPU ms/1,000 requests   171                171                ±0.0 % [±0.0, ±0.0]       no difference shown
      start to ready ms       3.21               3.21               ±0.0 % [±0.0, ±0.0]       no difference shown
      failed                  0 of 19,200        0 of 19,200
      settings   framework axum | actix | actix · 1 other is equal
      memory     RSS, /proc statm; peak from the kernel (VmHWM)
      note       p99.9 is of all rounds together: a round needs 20,000 requests to be compared by it
      pairs      actix's p99 ÷ axum's spreads by 1.1 % from round to round; both correlate by −0.24
      pairs      go's p99 ÷ axum's spreads by 1.1 % from round to round; both correlate by −0.24
      valid      8 of 8 rounds valid
    actix's p99 is 73 % above axum's (71 to 82 %); its p50 is 80 % above. go's p99 is 73 % above axum's (71 to 82 %); its
    p50 is 80 % above. These are results of this machine and this scenario.
    ");
}

#[test]
fn void_rounds_failures_and_data_that_are_wrong() {
    let comparison = comparison(3, |arm, round| {
        let mut record = arm_run(arm, |asked| match (arm, asked.arrival % 60) {
            (1, 5) => Answer {
                outcome: Outcome::StatusError,
                status: Some(503),
                ..ok(MS)
            },
            _ => ok(2 * MS),
        });
        if (arm, round) == (0, 2) {
            record.environment.steal = Some(0.11);
            record.judge();
        }
        record.audits.push(Audit {
            ok: (arm, round) != (1, 3),
            ..audit(100)
        });
        record.resources.memory.rss = None;
        record
    });
    assert_snapshot!(compared(100, &comparison), @r"
    crud, phase steady, 600/s per arm
      3 rounds interleaved, fresh processes and databases · 1 min 52 s · seed 42
                              axum   actix   actix against axum, 95 %
      response ms   p50       2.02   2.02    ±0.0 %                     (6 rounds give an interval)
                    p99       2.02   ∞       +∞                         (6 rounds give an interval)
                    p99.9     2.02   ∞       n/a                        see note
      memory MiB    idle      n/a    n/a     n/a
                    peak      n/a    n/a     n/a
      CPU ms/1,000 requests   171    171     ±0.0 %                     (6 rounds give an interval)
      start to ready ms       3.21   3.21    ±0.0 %                     (6 rounds give an interval)
      failed of 4,800         0      80
      settings   framework axum | actix · 1 other is equal
      note       p99.9 is of all rounds together: a round needs 20,000 requests to be compared by it
      note       ∞: a request that is not ok counts as infinitely slow, and so many were not
      integrity  axum: 3 of 3 audits ok: balances unchanged · keys 100 · transfers 100
      integrity  actix: 2 of 3 audits ok: balances unchanged · keys 100 · transfers 100
      AUDIT      actix in round 3: the data are not as they should be: balances unchanged · keys 100 ·
                 transfers 100
      VOID       round 2: axum was disturbed: the hypervisor took 11.0 % of the CPU time for others
                 (steal)
      valid      2 of 3 rounds valid
    Fewer than 6 valid rounds give no interval, and so show no difference. These are results of this
    machine and this scenario.
    ");
}

#[test]
fn rounds_of_which_too_many_are_void_say_nothing() {
    let mut comparison = comparison(12, |arm, round| {
        let mut record = arm_run(arm, |_| ok((arm as u64 + 1) * MS));
        if arm == 1 && round <= 3 {
            record.environment.steal = Some(0.11);
            record.judge();
        }
        record
    });
    comparison.plan.rounds = 9;
    let valid = compared(120, &comparison);
    assert!(
        valid.contains("slower") && valid.contains("valid      9 of 12"),
        "{valid}"
    );
    comparison.plan.rounds = 10;
    let invalid = compared(120, &comparison);
    assert!(!invalid.contains("slower"), "{invalid}");
    assert!(
        invalid.contains("\n  INVALID    9 of 12 rounds valid\n"),
        "{invalid}"
    );
    let words =
        "3 of 12 rounds were void, and no more than a fifth is replaced: nothing can be said.";
    assert!(invalid.replace('\n', " ").contains(words), "{invalid}");
}

#[test]
fn a_comparison_without_a_round() {
    let mut comparison = Comparison::new(plan(6), String::new());
    comparison.interrupted = true;
    assert_snapshot!(compared(100, &comparison), @r"
    crud, phase steady, 600/s per arm    0 of 6 rounds interleaved · seed 42
                              axum     actix    actix against axum, 95 %
      response ms   p50       n/a      n/a      n/a
                    p99       n/a      n/a      n/a
                    p99.9     n/a      n/a      n/a
      memory MiB    idle      n/a      n/a      n/a
                    peak      n/a      n/a      n/a
      CPU ms/1,000 requests   n/a      n/a      n/a
      failed                  0 of 0   0 of 0
      INTERRUPTED  these are the figures of the rounds that were complete
      valid      0 of 0 rounds valid
    No round is valid, so nothing can be said. These are results of this machine and this scenario.
    ");
}

#[test]
fn a_container_with_limits_that_it_met() {
    let mut record = url("1000/s", "10s");
    let memory = &mut record.resources.memory;
    let series = |source: &str, peak| MemorySeries {
        source: source.into(),
        peak_bytes: Some(peak),
        ..memory.rss.clone().unwrap()
    };
    let working_set = MemorySeries {
        slope_bytes_per_s: Some(20_000.0),
        slope_ci_bytes_per_s: Some([15_000.0, 25_000.0]),
        ..series(
            "cgroup-v1; peak from memory.max_usage_in_bytes since the measured phases began",
            31 << 20,
        )
    };
    memory.page_cache = Some(series("cgroup-v1 memory.stat; peak as sampled", 5 << 20));
    memory.working_set = Some(working_set);
    record.resources.container = Some(Container {
        source: "cgroup-v1".into(),
        hz: 20.0,
        memory_limit_bytes: Some(32 << 20),
        cpu_limit: Some(0.5),
        tasks_peak: Some(12),
        throttled_ns: Some(1_200_450_000),
        throttled_periods: Some(34),
        oom_kills: Some(1),
    });
    check_lines(
        &record,
        &[
            "target     memory (working set) 6.1 idle → 31.0 MiB peak · CPU ",
            "container  limits 32.0 MiB · 0.5 CPUs · RSS 8.9 MiB peak · page cache 5.0 MiB peak · up to 12 tasks · \
             throttled 1.20 s in 34 periods",
            "growth     1.14 MiB/min [0.858, 1.43]: memory grew over the measured phases: a leak, or a cache that still fills",
            "OOM KILL   the kernel killed a process of the container for want of memory: its limit is 32.0 MiB",
        ],
    );
    let container = record.resources.container.as_mut().unwrap();
    (container.memory_limit_bytes, container.cpu_limit) = (None, Some(1.0));
    (container.throttled_ns, container.oom_kills) = (Some(0), Some(2));
    let memory = record.resources.memory.working_set.as_mut().unwrap();
    memory.slope_ci_bytes_per_s = Some([-100.0, 200.0]);
    memory.slope_bytes_per_s = Some(50.0);
    check_lines(
        &record,
        &[
            "container  limits 1 CPU · RSS 8.9 MiB peak · page cache 5.0 MiB peak · up to 12 tasks\n",
            "growth     2.93 KiB/min [−5.86, 11.7]: no growth of memory that could be told from chance",
            "OOM KILL   the kernel killed 2 processes of the container for want of memory: the machine had none left, for \
             the container has no limit",
        ],
    );
}

/// Each of `lines` is the beginning of one in the wide table of `record`, in this order.
fn check_lines(record: &RunRecord, lines: &[&str]) {
    let text = at(240, record);
    let mut rest = &text[..];
    for line in lines {
        let found = rest.find(&format!("\n  {line}"));
        rest = &rest[found.unwrap_or_else(|| panic!("no `{line}` in\n{text}"))..];
    }
}
