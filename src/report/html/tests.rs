//! Pages of records that are always the same: what they have, what they may load, and how large they get.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use sha2::{Digest as _, Sha256};

use super::page;
use crate::compare::fixtures::{arm_run, comparison, plan};
use crate::compare::{Comparison, order};
use crate::exchange::Outcome;
use crate::gate::Repeated;
use crate::gate::fixtures::{gate, terms};
use crate::judgement::rulings;
use crate::report::Subject;
use crate::report::junit::Leniency;
use crate::run_record::RunRecord;
use crate::run_record::fixtures::{Answer, MODELS, MS, SHOP, ok, record, shop, spread, url_yaml};
use crate::scenario::Scenario;
use crate::startup::Launch;
use crate::startup::fixtures::{process, startups};

fn shop_run() -> RunRecord {
    let yaml = format!(
        "why: shoppers pay\n{SHOP}thresholds: [ p99 < 8ms in steady, error_rate < 0.1% ]\n"
    );
    let mut record = record("shop", &yaml, |asked| match asked.arrival % 97 {
        3 => Answer {
            outcome: Outcome::StatusError,
            status: Some(503),
            ..shop(asked)
        },
        4 => Answer {
            outcome: Outcome::Timeout,
            status: None,
            service: 900 * MS,
            ..shop(asked)
        },
        _ => shop(asked),
    });
    let scenario = Scenario::parse("shop.yaml", yaml.as_bytes()).unwrap();
    record.thresholds = rulings(&record, scenario.thresholds());
    record
}

/// Every kind of page.
fn pages() -> Vec<(&'static str, String)> {
    let rounds = comparison(7, |arm, round| {
        let base = 600_000 + round as u64 * 20_000 + arm as u64 * 90_000;
        let mut run = arm_run(arm, |asked| match asked.arrival % 50 {
            // In the last two rounds so many of an arm fail that its p99 is infinite.
            0 if arm == 1 && round > 5 => Answer {
                outcome: Outcome::StatusError,
                status: Some(503),
                ..ok(base)
            },
            _ => ok(base + spread(asked.arrival, 400_000)),
        });
        if (arm, round) == (1, 3) {
            run.environment.steal = Some(0.2);
            run.judge();
        }
        run
    });
    let gated = gate(&terms(&["p99"], 14), 40, |attempt, arm, round| {
        let drawn = (round as u64 * 2 + arm as u64) * 3 + attempt as u64;
        let base = 2 * MS + arm as u64 * MS / 2 + spread(drawn, MS / 25);
        arm_run(arm, |asked| ok(base + spread(asked.arrival, MS / 10)))
    });
    assert!(gated.confirmation.is_some());
    let launches = startups(6, |_, round| {
        Launch::judged(process(30 + round as u64), None, None)
    });
    let models = record("models", MODELS, |_| ok(300 * MS));
    vec![
        ("run", page(Subject::Run(&shop_run()))),
        ("models", page(Subject::Run(&models))),
        ("compare", page(Subject::Comparison(&rounds))),
        ("gate", page(Subject::Gate(&gated, Leniency::default()))),
        ("aa", page(Subject::Repeated(&Repeated::of(&[gated])))),
        ("startup", page(Subject::Startups(&launches))),
    ]
}

/// The texts between `before` and `after`.
fn between<'a>(text: &'a str, before: &str, after: &str) -> Vec<&'a str> {
    let parts = text.split(before).skip(1);
    parts
        .map(|part| part.split(after).next().unwrap())
        .collect()
}

#[test]
fn every_page_admits_its_own_style_and_script_alone() {
    for (name, page) in pages() {
        let digest = |text: &str| format!("'sha256-{}'", BASE64.encode(Sha256::digest(text)));
        let [policy] = between(&page, "Content-Security-Policy\" content=\"", "\">")[..] else {
            panic!("{name} has one policy");
        };
        assert!(policy.starts_with("default-src 'none';"), "{policy}");
        for (tag, admits) in [("style", "style-src"), ("script", "script-src")] {
            let [inside] = between(&page, &format!("<{tag}>"), &format!("</{tag}>"))[..] else {
                panic!("{name} has one {tag}");
            };
            assert!(
                policy.contains(&format!("{admits} {};", digest(inside))),
                "{name}: {policy}"
            );
        }
        assert!(
            !page.contains("style=\"") && !page.contains(" onclick"),
            "{name}"
        );
    }
}

#[test]
fn no_page_loads_anything_or_links_to_what_is_not_there() {
    for (name, page) in pages() {
        assert!(between(&page, "src=\"", "\"").is_empty(), "{name}");
        let ids = between(&page, " id=\"", "\"");
        for link in between(&page, "href=\"", "\"") {
            let is_there =
                link == "data:," || link.strip_prefix('#').is_some_and(|id| ids.contains(&id));
            assert!(is_there, "{name} links to {link}");
        }
        let mut unique = ids.clone();
        unique.sort_unstable();
        unique.dedup();
        assert_eq!(unique.len(), ids.len(), "{name} has an id twice: {ids:?}");
        assert!(
            !page.contains("url(") && !page.contains("@import"),
            "{name}"
        );
    }
}

/// Whether a text has what Rust prints of a number that is none: `NaN`, or `inf` where no word goes on.
fn has_broken_number(text: &str) -> bool {
    let goes_on = |rest: &str| rest.starts_with(|c: char| c.is_ascii_lowercase());
    let mut infinite = text.match_indices("inf");
    text.contains("NaN") || infinite.any(|(at, inf)| !goes_on(&text[at + inf.len()..]))
}

#[test]
fn no_figure_of_a_page_is_a_number_that_is_none() {
    for broken in ["inf", "M0 infL3 4", "NaN%", "M1 2Linf 3", "p99 inf ms"] {
        assert!(has_broken_number(broken), "{broken}");
    }
    assert!(!has_broken_number("#what-infinite") && !has_broken_number("info"));
    for (name, page) in pages() {
        for broken in ["NaN", "inf%", ">inf<", "Some(", "None"] {
            assert!(!page.contains(broken), "{name} has {broken}");
        }
        // Digests may have any letters.
        let attributes = between(&page, "=\"", "\"").into_iter();
        for attribute in attributes.filter(|text| !text.contains("sha256-")) {
            assert!(!has_broken_number(attribute), "{name} has {attribute}");
        }
        for text in between(&page, "<title>", "</title>") {
            assert!(!has_broken_number(text), "{name} says {text}");
        }
    }
}

#[test]
fn infinite_figures_stand_above_the_axis() {
    let pages = pages();
    let (_, page) = pages.iter().find(|(name, _)| *name == "compare").unwrap();
    assert!(page.contains(">∞</text>"), "the lane has its name");
    assert!(
        page.contains(">actix ∞</text>"),
        "so has the end of the line"
    );
    assert!(page.contains("∞, above the axis: too many requests were not ok"));
}

#[test]
fn every_metric_that_decides_has_a_row() {
    let gated = gate(&terms(&["p95", "p75"], 14), 40, |_, arm, round| {
        let base = 2 * MS + arm as u64 * MS / 2 + spread((round * 2 + arm) as u64, MS / 25);
        arm_run(arm, |asked| ok(base + spread(asked.arrival, MS / 10)))
    });
    let page = page(Subject::Gate(&gated, Leniency::default()));
    let deciding = between(&page, "decides\"><span class=\"name\">", "</span>");
    assert_eq!(deciding[..2], ["response p75", "response p95"]);
    let rows = between(&page, "<span class=\"name\">response ", "</span>");
    assert_eq!(rows[..5], ["p50", "p75", "p90", "p95", "p99"]);
}

#[test]
fn a_comparison_of_which_too_much_is_void_shows_no_difference() {
    let mut rounds = comparison(12, |arm, round| {
        let mut run = arm_run(arm, |_| ok((arm as u64 + 1) * MS));
        if arm == 1 && round <= 3 {
            run.environment.steal = Some(0.2);
            run.judge();
        }
        run
    });
    let shows = |rounds: &Comparison| {
        let page = page(Subject::Comparison(rounds));
        let forest = between(&page, "id=\"forest\"", "</section>")[0];
        let is_shown = ["mark tone-2\"", "<em>slower</em>"].map(|sign| forest.contains(sign));
        (is_shown, page.contains("verdict bad"))
    };
    rounds.plan.rounds = 9;
    assert_eq!(shows(&rounds), ([true, true], false));
    rounds.plan.rounds = 10;
    assert_eq!(shows(&rounds), ([false, false], true));
}

#[test]
fn an_interval_that_has_no_upper_end_says_why() {
    // Of 2,000 requests 15 are given up: the p99 is among the others, the upper end of its interval is not.
    let record = record("url", &url_yaml("200/s", "10s"), |asked| {
        match asked.arrival % 133 {
            7 => Answer {
                outcome: Outcome::Timeout,
                status: None,
                ..ok(2_000 * MS)
            },
            _ => ok(MS + spread(asked.arrival, 8 * MS)),
        }
    });
    let page = page(Subject::Run(&record));
    assert!(page.contains("–∞]"));
    assert!(page.contains("Its upper end is ∞: requests that had not ended"));
}

#[test]
fn what_comes_from_the_world_stays_text() {
    const HOSTILE: &str = "<script>hacked=1</script>\"'><img src=x onerror=hacked=1>";
    let mut record = shop_run();
    record.scenario.name = HOSTILE.into();
    record.scenario.text += &format!("# {HOSTILE}");
    record.target.name = HOSTILE.into();
    record.target.command = Some(vec![HOSTILE.into()]);
    record.flows[0].name = HOSTILE.into();
    record.flows[0].steps[0] = HOSTILE.into();
    record.phases[1].name = HOSTILE.into();
    record.environment.kernel = Some(HOSTILE.into());
    record.validity.reasons = vec![HOSTILE.into()];
    for failure in &mut record.failures {
        failure.what = HOSTILE.into();
        failure.response = Some(HOSTILE.into());
    }
    let page = page(Subject::Run(&record));
    assert_eq!(page.matches("<script>").count(), 1);
    assert_eq!(page.matches("<img").count(), 0);
    assert!(page.matches("&lt;script&gt;hacked").count() > 10);
}

#[test]
fn a_run_has_its_words_and_figures() {
    let record = shop_run();
    let page = page(Subject::Run(&record));
    let text = super::table::run(&record, &super::UNBOUNDED);
    let line = |label: &str| {
        let line = text
            .lines()
            .find(|line| line.trim_start().starts_with(label));
        line.unwrap_or_else(|| panic!("{label} in {text}"))
            .to_owned()
    };
    for (label, word) in [
        ("failed", "503"),
        ("valid", "ms late at p99"),
        ("✗", "observed"),
    ] {
        assert!(line(label).contains(word), "{text}");
        assert!(page.contains(word), "{word}");
    }
    let view = super::table::View::of(&record, &[]);
    let p99 = view
        .unit
        .quantile(&view.total.response(), crate::units::Quantile::P99);
    assert!(
        page.contains(&format!("p99: response {p99}")),
        "the plot says {p99}"
    );
    // Every place that a pointer finds says its values without a script.
    let places = page.matches("data-y=").count();
    assert!(places > 60 && page.matches("<title>").count() == places + 1);
    assert!(page.contains("shoppers pay"));
    assert!(page.contains("warm (warm-up)"));
}

#[test]
fn a_page_without_requests_says_so() {
    let mut record = record("models", MODELS, |_| ok(MS));
    for phase in &mut record.phases {
        phase.windows.clear();
        phase.tally = crate::ledger::PhaseTally::new(&[1, 2]);
    }
    record.resources = crate::run_record::resources::Resources::default();
    let page = page(Subject::Run(&record));
    assert!(page.contains("Nothing was due"), "{page}");
    assert!(
        page.contains("Nothing was measured of the target"),
        "{page}"
    );
}

#[test]
fn an_hour_of_forty_steps_is_a_page_of_less_than_a_megabyte() {
    let steps: String = (0..40)
        .map(|step| {
            format!("      - {{ name: a-step-with-a-long-name-{step}, get: /items/{step} }}\n")
        })
        .collect();
    let yaml = format!(
        "tailmark: 1\nflows:\n  walk:\n    steps:\n{steps}phases:\n  - {{ name: warm, rate: 1/s, for: 60s, warmup: true }}\n  - {{ name: climb, ramp: 1/s..3/s, for: 20m }}\n  - {{ name: steady, rate: 2/s, for: 39m }}\n"
    );
    let mut record = record("hour", &yaml, |asked| {
        ok(MS + spread(asked.arrival * 40 + asked.step as u64, 90 * MS))
    });
    record.resources.timeline = (0..240)
        .map(|k| crate::run_record::resources::Moment {
            at_ns: k * 15_000 * MS,
            memory_bytes: Some((9 << 20) + k * 10_000),
            cpu_ns: Some(k * 3_000 * MS),
        })
        .collect();
    let page = page(Subject::Run(&record));
    assert!(page.len() < 1_000_000, "{} bytes", page.len());
    assert!(page.matches("data-y=").count() < 700);
}

#[test]
fn a_thousand_rounds_of_three_arms_are_a_page_of_less_than_a_megabyte() {
    const ROUNDS: usize = 1_000;
    let runs = |is_void: bool| {
        [0, 1, 1].map(|arm| {
            let mut run = arm_run(arm, |asked| ok(MS + asked.arrival % 7 * (MS / 10)));
            // A thousand times the room of open counts is more than a test may take.
            let phases = run.phases.iter_mut();
            let flows = phases.flat_map(|phase| &mut phase.tally.flows);
            for step in flows.flat_map(|flow| &mut flow.steps) {
                step.response.ok.pack();
            }
            if is_void && arm == 0 {
                run.environment.steal = Some(0.2);
                run.judge();
            }
            run
        })
    };
    // Most are void, for intervals of a thousand rounds take long to compute; nothing else is less for it.
    let (valid, void) = (runs(false), runs(true));
    let mut plan = plan(ROUNDS);
    plan.arms = ["axum", "actix", "axum-tuned"].map(str::to_owned).into();
    let mut rounds = Comparison::new(plan, "2026-11-23T07:41:00Z".into());
    for number in 1..=ROUNDS {
        let runs = if number % 50 == 1 { &valid } else { &void };
        let runs: Vec<&RunRecord> = runs.iter().collect();
        rounds.add_round(order(7, number, 3), &runs).unwrap();
    }
    let page = page(Subject::Comparison(&rounds));
    assert!(page.len() < 1_000_000, "{} bytes", page.len());
    let rows = "The first 500 of 3,000 rows: 2,500 are left out. -o report.csv has all of them.";
    assert!(page.contains(rows));
    let drawn =
        "One of 4 rounds is drawn, 250 of 1,000: 750 are left out. -o report.csv has all of them.";
    assert!(page.contains(drawn));
    let pairs = between(&page, "id=\"pairs\"", "</section>")[0];
    assert_eq!(pairs.matches("data-y=").count(), 250);
    // With that of its head.
    assert_eq!(pairs.matches("<tr").count(), 501);
}
