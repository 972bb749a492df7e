use insta::assert_snapshot;

use super::differences::Difference;
use super::*;
use crate::report::{Format, IN_A_FILE, Subject};
use crate::run_record::fixtures::{MS, container, ok, record, spread, target, url_yaml};
use crate::validity::State;

/// A run of 2,000 requests in half a millisecond to one and a half.
fn axum() -> RunRecord {
    let mut axum = record("url", &url_yaml("200/s", "10s"), |asked| {
        ok(MS / 2 + spread(asked.arrival, MS))
    });
    axum.resources.timeline.clear();
    axum
}

fn side_by_side(records: Vec<RunRecord>) -> Runs {
    let runs = records
        .into_iter()
        .zip('a'..)
        .map(|(record, letter)| SavedRun {
            source: format!("results/local/{letter}"),
            record,
        });
    Runs::new(runs.collect()).unwrap()
}

fn printed(runs: &Runs) -> String {
    let options = Options {
        width: 80,
        ..IN_A_FILE
    };
    table(runs, &options)
}

#[test]
fn equal_runs_differ_in_nothing_that_was_recorded() {
    let runs = side_by_side(vec![axum(), axum()]);
    assert!(runs.differences().is_empty() && runs.remarks().is_empty());
    assert_snapshot!(printed(&runs), @r"
    2 runs side by side
      A          results/local/a     url on axum     2026-11-23T07:41:00Z
      B          results/local/b     url on axum     2026-11-23T07:41:00Z
      the same   scenario, seed, load, warm-up, pool, machine, kernel, tailmark,
                 placement, validity, ended, memory, target, runs as, program,
                 revision, limits
                                A             B
      response ms   p50         1.02          1.02
                    p90         1.42          1.42
                    p99         1.51          1.51
                    [95 %]      [1.51–1.51]   [1.51–1.51]
                    p99.9       n/a           n/a
                    max         1.52          1.52
      arrivals/s    kept up     200 of 200    200 of 200
      requests      due         2,000         2,000
                    failed      0             0
      RSS MiB       idle        6.1           6.1
                    peak        8.9           8.9
      CPU ms        per 1,000   205           205
    Which of them is faster single runs cannot say: each had the machine once, at a
    moment of its own. `tailmark compare` measures targets in turn, and can.
    ");
}

#[test]
fn what_differs_stands_before_the_figures() {
    let mut actix = record("url", &url_yaml("300/s", "10s"), |asked| {
        ok(MS + spread(asked.arrival, MS))
    });
    actix.target = target("actix");
    actix.environment.cores = 4;
    actix.interrupted = true;
    actix.validity.state = State::Disturbed;
    let runs = side_by_side(vec![axum(), actix, axum()]);
    assert_snapshot!(printed(&runs), @r"
    3 runs side by side
      A          results/local/a     url on axum     2026-11-23T07:41:00Z
      B          results/local/b     url on actix     2026-11-23T07:41:00Z
      C          results/local/c     url on axum     2026-11-23T07:41:00Z
      differ     in what was asked: their times answer different questions
      scenario   A, C: url 02e53b71a625 | B: url 919fba8eb872
      load       A, C: main 200/s constant, 10 s | B: main 300/s constant, 10 s
      differ     in where they ran: that alone may make the difference
      machine    A, C: Example CPU, 2 CPUs, 24,576.0 MiB | B: Example CPU, 4 CPUs,
                 24,576.0 MiB
      differ     in how far they may be believed: what is not valid, or not whole,
                 says little of its target
      validity   A, C: valid | B: disturbed
      ended      A, C: as planned | B: by an interrupt
      differ     in what was measured: that is what figures may show, beside chance
      target     A, C: axum | B: actix
      runs as    A, C: process target/release/axum-service | B: process
                 target/release/actix-service
      settings   A, C: framework axum | B: framework actix
      the same   seed, warm-up, pool, kernel, tailmark, placement, memory, program,
                 revision, limits
                                A             B             C
      response ms   p50         1.02          1.52          1.02
                    p90         1.42          1.92          1.42
                    p99         1.51          2.01          1.51
                    [95 %]      [1.51–1.51]   [2.01–2.01]   [1.51–1.51]
                    p99.9       n/a           n/a           n/a
                    max         1.52          2.02          1.52
      arrivals/s    kept up     200 of 200    300 of 300    200 of 200
      requests      due         2,000         3,000         2,000
                    failed      0             0             0
      RSS MiB       idle        6.1           6.1           6.1
                    peak        8.9           8.9           8.9
      CPU ms        per 1,000   205           137           205
    Which of them is faster single runs cannot say: each had the machine once, at a
    moment of its own. `tailmark compare` measures targets in turn, and can.
    ");
}

#[test]
fn memory_of_two_meanings_is_never_on_one_line() {
    let mut contained = axum();
    contained.resources.memory.working_set = contained.resources.memory.rss.clone();
    contained.target.container = Some(container());
    let runs = side_by_side(vec![axum(), contained]);
    let text = printed(&runs);
    let line = |label: &str| {
        let found = text
            .lines()
            .find(|line| line.trim_start().starts_with(label));
        found
            .unwrap_or_else(|| panic!("{label} in {text}"))
            .to_owned()
    };
    assert!(
        line("working set MiB").contains("n/a") && line("RSS MiB").contains("n/a"),
        "{text}"
    );
    assert!(
        text.contains("memory     A: RSS | B: working set"),
        "{text}"
    );
    assert!(runs.remarks().iter().any(|words| words.contains("memory")));
}

#[test]
fn nothing_is_called_faster() {
    let slower = record("url", &url_yaml("200/s", "10s"), |_| ok(50 * MS));
    let runs = side_by_side(vec![axum(), slower]);
    let subject = Subject::Runs(&runs);
    for format in [Format::Json, Format::Markdown, Format::Csv, Format::Html] {
        let text = subject.file(format).unwrap();
        for word in ["faster", "slower", "better", "worse"] {
            let said = text.matches(word).count();
            // In the sentence that says that nothing here says it.
            let allowed = usize::from(word == "faster" && format != Format::Csv);
            assert_eq!(said, allowed, "{word} in {text}");
        }
    }
}

#[test]
fn many_runs_stand_below_each_other_where_a_line_is_too_short() {
    let runs = side_by_side(vec![axum(); 6]);
    let text = printed(&runs);
    for line in text.lines() {
        assert!(line.chars().count() <= 80, "{line}");
    }
    assert_eq!(text.matches("response ms").count(), 2, "{text}");
}

#[test]
fn one_run_is_not_two_and_seven_are_too_many() {
    let saved = SavedRun {
        source: "a".into(),
        record: axum(),
    };
    for (count, words) in [(1, "1 runs"), (7, "7 runs")] {
        let error = Runs::new(vec![saved.clone(); count]).unwrap_err();
        assert!(error.to_string().starts_with(words), "{error}");
    }
}

#[test]
fn values_that_are_shared_are_said_once() {
    let difference = Difference {
        respect: Respect::Asked,
        what: "seed",
        values: ["42", "43", "42"].map(str::to_owned).to_vec(),
    };
    assert_eq!(difference.said(), "A, C: 42 | B: 43");
}

#[test]
fn a_row_for_each_run_and_figure() {
    let runs = side_by_side(vec![axum(), axum()]);
    let text = Subject::Runs(&runs).file(Format::Csv).unwrap();
    let mut lines = text.lines();
    assert_eq!(
        lines.next(),
        Some("run,source,started,target,figure,value,low,high,lower_bound")
    );
    assert!(
        lines
            .next()
            .unwrap()
            .starts_with("A,results/local/a,2026-11-23T07:41:00Z,axum,p50_ns,1"),
        "{text}"
    );
    assert_eq!(
        text.lines().filter(|line| line.starts_with("B,")).count(),
        13
    );
}

#[test]
fn markdown_says_the_same() {
    let mut other = axum();
    other.scenario.seed = 7;
    other.target.name = "a|b <x>".into();
    let runs = side_by_side(vec![axum(), other]);
    let text = Subject::Runs(&runs).file(Format::Markdown).unwrap();
    assert!(text.starts_with("### 2 runs side by side\n"), "{text}");
    assert!(text.contains("a\\|b &lt;x>"), "{text}");
    assert!(
        text.contains("- seed: A: 1 | B: 7") || text.contains("- seed: A: 1 \\| B: 7"),
        "{text}"
    );
}
