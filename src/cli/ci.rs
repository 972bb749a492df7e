//! What a CI system is told beside the exit code: in GitHub Actions a step summary, one annotation, and the outputs of the
//! step. It never comments anywhere.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::PathBuf;

use super::Outcome;
use super::failure::Failure;
use crate::gate::{GateRecord, Verdict};
use crate::report;

/// The CI system that this process runs in, as far as it wants to be told.
#[derive(Debug, Default)]
pub(super) struct Ci {
    annotate: bool,
    summary: Option<PathBuf>,
    outputs: Option<PathBuf>,
}

impl Ci {
    /// The one that the environment names; none if `off`.
    pub(super) fn of_this_process(off: bool) -> Self {
        let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        if off || set("GITHUB_ACTIONS").is_none_or(|value| value != "true") {
            return Self::default();
        }
        Self {
            annotate: true,
            summary: set("GITHUB_STEP_SUMMARY").map(PathBuf::from),
            outputs: set("GITHUB_OUTPUT").map(PathBuf::from),
        }
    }

    /// Tells it of a gate that ends as `outcome` says, and whose results are kept in `saved`.
    #[expect(
        clippy::print_stderr,
        reason = "the command line alone writes to the terminal, and GitHub reads annotations there too"
    )]
    pub(super) fn tell(
        &self,
        record: &GateRecord,
        outcome: Outcome,
        saved: Option<&str>,
    ) -> Result<(), Failure> {
        if self.annotate {
            eprintln!("{}", annotation(record, outcome));
        }
        if let Some(path) = &self.summary {
            append(path, &report::markdown::gate(record))?;
        }
        if let Some(path) = &self.outputs {
            append(path, &outputs(record, saved))?;
        }
        Ok(())
    }
}

/// The verdict as a workflow command, which GitHub shows beside the change: an error where the exit code makes one of it.
fn annotation(record: &GateRecord, outcome: Outcome) -> String {
    let verdict = record.decision().map(|decision| decision.verdict);
    let kind = match (verdict, outcome) {
        (Some(Verdict::Pass), _) => "notice",
        (None, _) | (_, Outcome::Done) => "warning",
        _ => "error",
    };
    format!(
        "::{kind} title={}::{}",
        property(&format!(
            "tailmark gate {}",
            record.first.plan.scenario.name
        )),
        message(&report::table::gate_verdict(record))
    )
}

/// `key=value` lines; a value that is not known is empty.
fn outputs(record: &GateRecord, saved: Option<&str>) -> String {
    let decision = record.decision();
    let verdict = decision
        .as_ref()
        .map_or("interrupted".to_owned(), |decision| {
            decision.verdict.name().to_lowercase()
        });
    let standing = (decision.as_ref())
        .and_then(|decision| decision.judged()?.standings.first())
        .map(|standing| &standing.change);
    let number = |value: Option<f64>| value.map_or(String::new(), |value| format!("{value:.4}"));
    let interval = standing.and_then(|change| change.interval);
    format!(
        "verdict={verdict}\nratio={}\nci-low={}\nci-high={}\nresults-path={}\n",
        number(standing.and_then(|change| change.ratio)),
        number(interval.map(|[low, _]| low)),
        number(interval.map(|[_, high]| high)),
        saved.unwrap_or_default()
    )
}

/// As a workflow command wants its text: GitHub reads a line.
fn message(text: &str) -> String {
    let text = text.replace('%', "%25");
    text.replace('\r', "%0D").replace('\n', "%0A")
}

/// As a workflow command wants the value of a property.
fn property(text: &str) -> String {
    message(text).replace(':', "%3A").replace(',', "%2C")
}

fn append(path: &PathBuf, text: &str) -> Result<(), Failure> {
    let file = OpenOptions::new().append(true).create(true).open(path);
    file.and_then(|mut file| file.write_all(text.as_bytes()))
        .map_err(|error| Failure::new(&format!("writing {}", path.display()), &error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::fixtures::arm_run;
    use crate::exchange::Outcome as Ended;
    use crate::gate::Attempt;
    use crate::gate::fixtures::{gate, terms};
    use crate::run_record::fixtures::{Answer, MS, ok, spread};

    /// A gate whose candidate is slower in some attempts, and whose baseline fails where `broken`.
    fn record(at_most: usize, broken: bool, slower: impl Fn(Attempt) -> bool) -> GateRecord {
        gate(&terms(&["p99"], 10), at_most, |attempt, arm, round| {
            let more = u64::from(arm == 1 && slower(attempt));
            let base = MS + more * MS + spread((round * 7 + arm) as u64, MS / 50);
            arm_run(arm, |asked| {
                let answer = ok(base + spread(asked.arrival, MS / 10));
                match broken && arm == 0 {
                    true => Answer {
                        outcome: Ended::StatusError,
                        status: Some(500),
                        ..answer
                    },
                    false => answer,
                }
            })
        })
    }

    #[test]
    fn an_annotation_is_an_error_where_the_exit_code_is_one() {
        let passed = record(100, false, |_| false);
        let failed = record(100, false, |_| true);
        let open = record(100, false, |attempt| attempt == Attempt::First);
        let invalid = record(100, true, |_| false);
        let begun = record(2, false, |_| false);
        for (record, verdict, outcome, kind) in [
            (&passed, "PASS", Outcome::Done, "notice"),
            (&failed, "FAIL", Outcome::Wrong, "error"),
            (&open, "INCONCLUSIVE", Outcome::Done, "warning"),
            (&open, "INCONCLUSIVE", Outcome::Inconclusive, "error"),
            (&invalid, "INVALID", Outcome::Invalid, "error"),
            (&invalid, "INVALID", Outcome::Done, "warning"),
            (&begun, "INTERRUPTED", Outcome::Interrupted, "warning"),
        ] {
            let said = annotation(record, outcome);
            let expected = format!("::{kind} title=tailmark gate crud::{verdict}: ");
            assert!(said.starts_with(&expected), "{said}");
        }
    }

    #[test]
    fn what_github_would_take_for_its_own_is_escaped() {
        assert_eq!(message("+9 % [−4, +24]\nno"), "+9 %25 [−4, +24]%0Ano");
        assert_eq!(property("a:b,c"), "a%3Ab%2Cc");
    }
}
