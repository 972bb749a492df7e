use super::*;

const MS: u64 = 1_000_000;

fn figures(quantiles: [u64; 4], max: u64) -> Option<Figures> {
    Some(Figures { quantiles, max })
}

/// A script of which everything was reported as it was.
fn right() -> Found {
    let times = figures([2 * MS, 2 * MS, 3 * MS, 760 * MS], 800 * MS);
    let answers = Answers {
        ok: 980,
        errors: 15,
        resets: 5,
    };
    Found {
        scripted: scripts::all(Rate::per_second_of(1_000).unwrap()).remove(4),
        due: 1_000,
        missing: 0,
        strays: 0,
        truth: Seen { times, answers },
        measured: Seen { times, answers },
        late: Some(Late {
            p50: 31_000,
            p99: 66_000,
            max: 140_000,
        }),
        validity: Validity::default(),
        earlier: Vec::new(),
        peers: Vec::new(),
    }
}

fn verification(found: Vec<Found>) -> Verification {
    Verification {
        rate: Rate::per_second_of(1_000).unwrap(),
        duration: Duration::from_secs(5),
        found,
        not_installed: Vec::new(),
        environment: Environment::default(),
    }
}

#[test]
fn a_quantile_may_be_off_by_two_percent_and_a_tenth_of_a_millisecond() {
    for (truth, reported, off) in [
        (MS, MS + 120_000, false),
        (MS, MS + 120_001, true),
        (MS, MS - 120_000, false),
        (MS, MS - 120_001, true),
        (0, 100_000, false),
        (0, 100_001, true),
        // A generator that leaves out what waited for a stall.
        (762 * MS, 3 * MS, true),
    ] {
        assert_eq!(is_off(truth, reported), off, "{truth} {reported}");
    }
}

#[test]
fn what_was_reported_as_it_was_is_right() {
    assert_eq!(right().wrongs(), [""; 0]);
    let mut found = right();
    // The maximum is printed and not judged.
    found.measured.times = figures([2 * MS, 2 * MS, 3 * MS, 761 * MS], 950 * MS);
    assert_eq!(found.wrongs(), [""; 0]);
    assert!(verification(vec![right(), found]).is_right());
}

#[test]
fn a_tampered_figure_or_log_is_found_out() {
    let tampered = |tamper: fn(&mut Found)| {
        let mut found = right();
        tamper(&mut found);
        assert!(!verification(vec![right(), found.clone()]).is_right());
        found.wrongs().join("; ")
    };
    assert_eq!(
        tampered(|found| found.measured.times = figures([2 * MS, 2 * MS, 3 * MS, 4 * MS], 800 * MS)),
        "p99.9 4.00 ms is 760 ms"
    );
    assert_eq!(
        tampered(|found| found.truth.times = figures([4 * MS, 2 * MS, 3 * MS, 760 * MS], 800 * MS)),
        "p50 2.00 ms is 4.00 ms"
    );
    assert_eq!(
        tampered(|found| found.missing = 3),
        "3 of 1000 due requests are not among the answers"
    );
    assert_eq!(
        tampered(|found| found.strays = 1),
        "1 requests were not due"
    );
    assert_eq!(
        tampered(|found| found.measured.answers.resets = 4),
        "4 resets were 5"
    );
    assert_eq!(
        tampered(|found| found.measured.times = None),
        "nothing of what happened was measured"
    );
}

#[test]
fn the_table_shows_both_sides_and_the_verdict_last() {
    let mut wrong = right();
    wrong.scripted.name = "errors";
    wrong.measured.times = figures([2 * MS, 2 * MS, 3 * MS, 4 * MS], 5 * MS);
    wrong.peers = vec![
        PeerFound {
            name: "wrk",
            model: Model::Closed,
            requests: 74_000,
            truth: Some(Reported {
                p50: MS,
                p99: 3 * MS,
            }),
            reported: Ok(Reported {
                p50: MS,
                p99: 2 * MS,
            }),
        },
        PeerFound {
            name: "oha",
            model: Model::Open,
            requests: 0,
            truth: None,
            reported: Err("it ended with exit status: 2".into()),
        },
    ];
    let mut again = right();
    again.earlier = vec![vec!["p99 3.20 ms is 3.00 ms".into()]];
    let mut verification = verification(vec![again, wrong]);
    verification.not_installed = vec!["wrk2", "k6"];
    insta::assert_snapshot!(verification.table(), @r"
    tailmark against its oracle    1000/s for 5s per script · ms from the moment each request was due
        script                        p50    p90      p99    p99.9    max   late µs p50    p99   max
      ✓ stalls   true                2.00   2.00     3.00      760    800
                 tailmark            2.00   2.00     3.00      760    800          31.0   66.0   140
      ✗ errors   true                2.00   2.00     3.00      760    800
                 tailmark            2.00   2.00     3.00   ✗ 4.00   5.00          31.0   66.0   140
                 true, closed loop   1.00            3.00
                 wrk                 1.00          ✗ 2.00
                 true                 n/a             n/a
                 oha                  n/a             n/a
      stalls       stands still for 800 ms every 4 s, answers after 1 ms otherwise
      errors       stands still for 800 ms every 4 s, answers after 1 ms otherwise
      note         stalls: played again, since it was off: p99 3.20 ms is 3.00 ms
      note         errors: oha: it ended with exit status: 2
      note         a closed loop has no rate: its truth runs from one answer on a connection to the next
      missing      not installed: wrk2, k6
    WRONG        1 of 2 scripts: p50 to p99.9 within 2 % + 100 µs of what is true
                 errors: p99.9 4.00 ms is 760 ms
    ");
}
