//! Pages of records that are always the same: what they have, what they may load, and how large they get.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use sha2::{Digest as _, Sha256};

use super::page;
use crate::compare::fixtures::{arm_run, comparison};
use crate::exchange::Outcome;
use crate::gate::Repeated;
use crate::gate::fixtures::{gate, terms};
use crate::judgement::rulings;
use crate::report::Subject;
use crate::report::junit::Leniency;
use crate::run_record::RunRecord;
use crate::run_record::fixtures::{Answer, MODELS, MS, SHOP, ok, record, shop, spread};
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
        let mut run = arm_run(arm, |asked| ok(base + spread(asked.arrival, 400_000)));
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

#[test]
fn no_figure_of_a_page_is_a_number_that_is_none() {
    for (name, page) in pages() {
        for broken in ["NaN", "inf%", ">inf<", "Some(", "None"] {
            assert!(!page.contains(broken), "{name} has {broken}");
        }
    }
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
