//! Files of each format, of records that are always the same.

use insta::assert_snapshot;

use super::{Format, Subject};
use crate::compare::fixtures::{arm_run, comparison};
use crate::judgement::rulings;
use crate::run_record::RunRecord;
use crate::run_record::fixtures::{MS, SHOP, ok, record, shop, spread};
use crate::scenario::Scenario;

/// Two flows over a warm-up and two measured phases, with thresholds of which one is broken.
fn run() -> RunRecord {
    let yaml = format!("{SHOP}thresholds: [ p99 < 8ms in steady, error_rate < 0.1% ]\n");
    let mut record = record("shop", &yaml, shop);
    let scenario = Scenario::parse("shop.yaml", yaml.as_bytes()).unwrap();
    record.thresholds = rulings(&record, scenario.thresholds());
    record
}

fn file(record: &RunRecord, format: Format) -> String {
    Subject::Run(record).file(format).unwrap()
}

#[test]
fn markdown_of_a_run() {
    assert_snapshot!("run.md", file(&run(), Format::Markdown));
}

#[test]
fn junit_of_a_run() {
    let mut record = run();
    assert_snapshot!("run.xml", file(&record, Format::JUnit));
    record.validity.state = crate::validity::State::Disturbed;
    record.validity.reasons = vec!["steal <11 %>".into()];
    let text = file(&record, Format::JUnit);
    assert!(
        text.contains("errors=\"1\"") && text.contains("steal &lt;11 %&gt;"),
        "{text}"
    );
}

#[test]
fn csv_of_a_run_and_of_rounds() {
    assert_snapshot!("run.csv", file(&run(), Format::Csv));
    let rounds = comparison(2, |arm, round| {
        arm_run(arm, |asked| {
            ok(600_000 + round as u64 * 20_000 + spread(asked.arrival, 400_000))
        })
    });
    let text = Subject::Comparison(&rounds).file(Format::Csv).unwrap();
    assert_snapshot!("compare.csv", text);
}

#[test]
fn openmetrics_of_a_run() {
    let mut record = run();
    record.target.name = "a \"b\" \\ c".into();
    assert_snapshot!("run.prom", file(&record, Format::OpenMetrics));
}

#[test]
fn percentiles_of_a_run() {
    assert_snapshot!("run.hgrm", file(&run(), Format::Percentiles));
}

#[test]
fn an_interval_log_has_a_line_for_each_window_and_each_step() {
    let text = file(&run(), Format::IntervalLog);
    let without_counts: Vec<&str> = text
        .lines()
        .map(|line| line.split_once(",HISTF").map_or(line, |(before, _)| before))
        .collect();
    assert_snapshot!("run.hlog", without_counts.join("\n"));
    assert!(
        text.lines().skip(4).all(|line| line.contains(",HISTF")),
        "{text}"
    );
}

#[test]
fn what_has_no_such_file_says_so() {
    let record = run();
    for format in [
        Format::Json,
        Format::Markdown,
        Format::Html,
        Format::JUnit,
        Format::Csv,
        Format::IntervalLog,
        Format::Percentiles,
        Format::OpenMetrics,
    ] {
        let subject = Subject::Run(&record);
        let is_there = subject.file(format).is_some();
        assert_eq!(is_there, subject.formats().contains(&format), "{format:?}");
        let rounds = comparison(1, |arm, _| arm_run(arm, |_| ok(MS)));
        let subject = Subject::Comparison(&rounds);
        let is_there = subject.file(format).is_some();
        assert_eq!(is_there, subject.formats().contains(&format), "{format:?}");
    }
}
