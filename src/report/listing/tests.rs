use std::path::Path;

use insta::assert_snapshot;

use super::*;
use crate::compare::fixtures::{arm_run, comparison};
use crate::report::IN_A_FILE;
use crate::run_record::fixtures::{MS, ok, record, spread, url_yaml};

const TARGETS: &str = "\
tailmark: 1
targets:
  axum:
    command: target/release/axum-service --port {port}
    image: tailmark/axum-service
    stores: [postgres, redis]
  staging: { url: 'https://staging.example.com' }
  svc: { image: 'svc:1.4' }
";

const CRUD: &str = "\
tailmark: 1
why: Shoppers browse; one in five logs in and pays. The p99 of the transfer is what we promise.
flows: { read: { steps: [ get: /items ] } }
phases:
  - { name: warm, rate: 100/s, for: 5s, warmup: true }
  - { name: steady, rate: 600/s, for: 20s }
";

const STAIRS: &str = "\
tailmark: 1
flows: { read: { steps: [ get: /items ] } }
phases:
  - { name: low, rate: 100/s, for: 30s }
  - { name: high, rate: 200/s, for: 30s }
";

fn listing() -> Listing {
    let targets = TargetsFile::parse("targets.yaml", Path::new("."), TARGETS.as_bytes()).unwrap();
    let scenario = |file: &str, text: &str| {
        let scenario = Scenario::parse(file, text.as_bytes()).unwrap();
        Entry {
            place: file.to_owned(),
            said: Ok(ScenarioSaid::of(&scenario)),
        }
    };
    let run = record("url", &url_yaml("200/s", "10s"), |asked| {
        ok(MS / 2 + spread(asked.arrival, MS))
    });
    let rounds = comparison(7, |arm, _| arm_run(arm, |_| ok(MS + arm as u64 * MS / 10)));
    let result = |place: &str, said| Entry {
        place: place.to_owned(),
        said,
    };
    let torn = "scenarios/torn.yaml:3:1: unknown key `phasse`; did you mean `phases`?";
    let gone = "results/local/20261123T074000Z-gate-crud: no result is kept there";
    Listing {
        targets: Some(Targets {
            file: "targets.yaml".into(),
            said: Ok(TargetSaid::all(&targets)),
        }),
        scenarios: vec![
            scenario("scenarios/crud.yaml", CRUD),
            scenario("scenarios/stairs.yaml", STAIRS),
            Entry {
                place: "scenarios/torn.yaml".into(),
                said: Err(torn.into()),
            },
        ],
        more_scenarios: 0,
        results_folder: "results/local".into(),
        results: vec![
            result(
                "20261123T074500Z-compare-crud",
                Ok(ResultSaid::of_comparison(&rounds)),
            ),
            result("20261123T074100Z-crud-axum", Ok(ResultSaid::of_run(&run))),
            result("20261123T074000Z-gate-crud", Err(gone.into())),
        ],
        older_results: 1_032,
    }
}

#[test]
fn everything_has_a_line() {
    let options = Options {
        width: 80,
        ..IN_A_FILE
    };
    let text = listing().table(&options);
    for line in text.lines() {
        assert!(line.chars().count() <= 80, "{line}");
    }
    assert_snapshot!(text, @r"
    targets    targets.yaml
      target    stores            runs
      axum      postgres, redis   target/release/axum-service, or image tailmark/ax…
      staging                     https://staging.example.com/
      svc                         image svc:1.4

    scenarios
      scenario                load                   why
      scenarios/crud.yaml     600/s constant, 20 s   Shoppers browse; one in five l…
      scenarios/stairs.yaml   2 phases, 1 min
      ✗ scenarios/torn.yaml:3:1: unknown key `phasse`; did you mean `phases`?

    results    results/local · the newest first, 1,032 older ones left out
      result                          of        says
      20261123T074500Z-compare-crud   compare   actix p99 +9.8 % [+9.8, +9.8]
      20261123T074100Z-crud-axum      run       p99 1.51 ms, valid
      ✗ results/local/20261123T074000Z-gate-crud: no result is kept there
    tailmark report results/local/RESULT shows one again
    ");
}

#[test]
fn nothing_says_how_to_begin() {
    let nothing = Listing {
        results_folder: "results/local".into(),
        ..Listing::default()
    };
    assert_snapshot!(nothing.table(&IN_A_FILE), @r"
    targets    none: there is no targets.yaml here; tailmark init --targets writes one

    scenarios    none: no ./*.yaml and no ./scenarios/*.yaml has flows; tailmark init URL writes one

    results    none in results/local
    ");
}

#[test]
fn a_run_says_what_came_of_it() {
    let mut run = record("url", &url_yaml("10/s", "10s"), |_| ok(MS));
    run.interrupted = true;
    let said = ResultSaid::of_run(&run);
    assert_eq!(said.says, "max 1.02 ms, valid, interrupted");
    assert_eq!(said.p99_ns, None);
}

#[test]
fn what_is_too_long_is_cut_where_the_line_ends() {
    assert_eq!(cut("a few words", 11), "a few words");
    assert_eq!(cut("a few words", 7), "a few…");
    assert_eq!(cut("one line\nof two", 20), "one line");
}
