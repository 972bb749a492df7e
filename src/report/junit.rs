//! A gate as JUnit XML: one test, which a FAIL fails, an INVALID is an error of, and an INCONCLUSIVE skips.

use std::time::Duration;

use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};

use super::table::ending;
use crate::gate::{GateRecord, Verdict};

/// How a verdict that is neither PASS nor FAIL is reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
    let text = super::table::gate(
        record,
        &super::Options {
            width: 100,
            color: false,
            saved: None,
            verbose: false,
        },
    );
    case.set_system_out(text);
    let mut suite = TestSuite::new("tailmark gate");
    suite.add_test_case(case);
    let mut report = Report::new("tailmark");
    report.add_test_suite(suite);
    report.to_string().expect("writing to memory does not fail")
}

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
