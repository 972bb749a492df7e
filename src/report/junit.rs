//! JUnit XML. A gate is one test, which a FAIL fails, an INVALID is an error of, and an INCONCLUSIVE skips; a run is one for each
//! of its thresholds, and one for the measurement itself.

use std::time::Duration;

use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};

use super::table::thresholds::finding;
use super::table::{self, ending};
use super::{IN_A_FILE, Options};
use crate::gate::{GateRecord, Verdict};
use crate::run_record::RunRecord;
use crate::validity::State;

/// How a verdict that is neither PASS nor FAIL is reported.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Leniency {
    /// Whether an INCONCLUSIVE fails the test; it skips it otherwise.
    pub inconclusive_fails: bool,
    /// Whether an INVALID skips the test; it is an error otherwise.
    pub invalid_passes: bool,
}

/// The gate as a report of one suite with one test.
///
/// # Panics
/// Never: what is written to memory cannot fail to be.
#[must_use]
pub fn gate(record: &GateRecord, leniency: Leniency) -> String {
    let (word, words) = ending(record);
    let verdict = record.decision().map(|decision| decision.verdict);
    let mut status = status(verdict, leniency);
    status.set_type(word).set_message(words);
    let plan = &record.first.plan;
    let metrics: Vec<String> = record
        .terms
        .metrics
        .iter()
        .map(ToString::to_string)
        .collect();
    let name = format!(
        "{}, phase {}: {} of {} against {}",
        plan.scenario.name,
        plan.phase,
        metrics.join(", "),
        plan.arms.get(1).map_or("candidate", String::as_str),
        plan.arms.first().map_or("baseline", String::as_str),
    );
    let mut case = TestCase::new(name, status);
    case.set_classname("tailmark.gate");
    if let Some(ns) = record.elapsed_ns {
        case.set_time(Duration::from_nanos(ns));
    }
    case.set_system_out(table::gate(record, &BRIEFLY));
    suite("tailmark gate", [case])
}

/// The run as a report of one suite: a test for each threshold, and one that has an error where the measurement is not to be
/// believed.
///
/// # Panics
/// Never: what is written to memory cannot fail to be.
#[must_use]
pub fn run(record: &RunRecord) -> String {
    let named = |name: &str, status: TestCaseStatus| {
        let name = format!("{} on {}: {name}", record.scenario.name, record.target.name);
        let mut case = TestCase::new(name, status);
        case.set_classname("tailmark.run");
        case
    };
    let mut measured = match record.validity.state {
        State::Valid => TestCaseStatus::success(),
        _ => TestCaseStatus::non_success(NonSuccessKind::Error),
    };
    if record.validity.state != State::Valid {
        let reasons = record.validity.reasons.join("; ");
        (measured.set_type(record.validity.state.name())).set_message(reasons);
    }
    let mut measured = named("valid", measured);
    measured.set_system_out(table::run(record, &BRIEFLY));
    let thresholds = record.thresholds.iter().map(|ruling| {
        let mut status = match ruling.passed {
            true => TestCaseStatus::success(),
            false => TestCaseStatus::non_success(NonSuccessKind::Failure),
        };
        if !ruling.passed {
            status.set_type("threshold").set_message(finding(ruling));
        }
        named(&ruling.expression, status)
    });
    suite("tailmark run", thresholds.chain([measured]))
}

fn suite(name: &str, cases: impl IntoIterator<Item = TestCase>) -> String {
    let mut suite = TestSuite::new(name);
    suite.add_test_cases(cases);
    let mut report = Report::new("tailmark");
    report.add_test_suite(suite);
    report.to_string().expect("writing to memory does not fail")
}

const BRIEFLY: Options<'static> = Options {
    verbose: false,
    ..IN_A_FILE
};

fn status(verdict: Option<Verdict>, leniency: Leniency) -> TestCaseStatus {
    match verdict {
        Some(Verdict::Pass) => TestCaseStatus::success(),
        Some(Verdict::Inconclusive) if !leniency.inconclusive_fails => TestCaseStatus::skipped(),
        Some(Verdict::Invalid) if leniency.invalid_passes => TestCaseStatus::skipped(),
        Some(Verdict::Fail | Verdict::Inconclusive) => {
            TestCaseStatus::non_success(NonSuccessKind::Failure)
        }
        Some(Verdict::Invalid) | None => TestCaseStatus::non_success(NonSuccessKind::Error),
    }
}
