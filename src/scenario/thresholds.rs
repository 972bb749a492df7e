//! What a scenario's thresholds can be about, and what the command line adds to them.

use std::fmt;
use std::time::Duration;

use super::{Flow, LoadModel, Phase, Scenario};
use crate::document::Flaw;
use crate::threshold::{Expression, SubjectPhase, Subjects, Threshold};
use crate::units::nanoseconds;
use crate::windows::Grid;

/// The most thresholds: beyond what anyone reads.
pub(super) const MOST: usize = 100;

/// A threshold that the command line adds, or that does not fit what the command line makes of the phases.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ThresholdError {
    /// The flag, or the file.
    from: String,
    text: String,
    flaw: Flaw,
}

impl fmt::Display for ThresholdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { from, text, flaw } = self;
        write!(f, "{from} `{text}`: {}", flaw.message)
    }
}

impl std::error::Error for ThresholdError {}

impl ThresholdError {
    /// The next step.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        self.flaw.hint.clone()
    }
}

impl Scenario {
    /// What must hold of a run, in the order of the file.
    #[must_use]
    pub fn thresholds(&self) -> &[Threshold] {
        &self.thresholds
    }

    /// The scenario with the thresholds of `--threshold`, after its own. All are held against the phases as they are now:
    /// the command line may have given them other durations.
    ///
    /// # Errors
    /// One does not read, names what is not there, or does not fit; or they are too many.
    pub fn with_thresholds(mut self, more: &[String]) -> Result<Self, ThresholdError> {
        let subjects = subjects(&self.flows, &self.phases);
        let parse = |from: &str, text: &str| {
            Expression::parse(text, &subjects).map_err(|flaw| ThresholdError {
                from: from.to_owned(),
                text: text.to_owned(),
                flaw,
            })
        };
        for own in &self.thresholds {
            let from = format!("threshold of {}", self.file_name);
            parse(&from, own.expression().text())?;
        }
        let mut added = Vec::new();
        for text in more {
            if self.thresholds.len() + added.len() == MOST {
                return Err(ThresholdError {
                    from: "--threshold".to_owned(),
                    text: text.clone(),
                    flaw: Flaw {
                        offset: 0,
                        message: format!("more than {MOST} thresholds"),
                        hint: None,
                    },
                });
            }
            added.push(Threshold::new(parse("--threshold", text)?));
        }
        self.thresholds.extend(added);
        Ok(self)
    }

    /// The scenario without the thresholds of phases other than `phase`.
    pub(super) fn without_thresholds_of_others(mut self, phase: &str) -> Self {
        let about = |threshold: &Threshold| threshold.expression().is_about(phase);
        self.thresholds.retain(about);
        self
    }
}

/// The names of flows, steps and phases.
pub(super) fn subjects<'s>(flows: &'s [Flow], phases: &'s [Phase]) -> Subjects<'s> {
    let steps = |flow: &'s Flow| flow.steps.iter().map(|step| step.name.as_str()).collect();
    let flows = flows.iter().map(|flow| (flow.name.as_str(), steps(flow)));
    let phases = phases.iter().map(|phase| SubjectPhase {
        name: &phase.name,
        unmeasured: match phase.model {
            LoadModel::Pause => Some("a pause"),
            _ if phase.warmup => Some("warm-up"),
            _ => None,
        },
        duration: phase.duration,
        window: Duration::from_nanos(Grid::new(0, nanoseconds(phase.duration)).width),
    });
    Subjects {
        flows: flows.collect(),
        phases: phases.collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scenario() -> Scenario {
        let text = b"tailmark: 1
flows: { f: { steps: [get: /] } }
phases:
  - { name: climb, ramp: 10/s..20/s, for: 30s }
  - { name: steady, rate: 20/s, for: 4m }
thresholds:
  - p99 < 250ms
  - p99 < 300ms in climb
  - { that: error_rate < 20%, abort: true, after: 0s }
  - { that: error_rate < 1% in steady over every 5s }
  - { that: error_rate < 2%, abort: true }
";
        Scenario::parse("t.yaml", text).unwrap()
    }

    fn texts(scenario: &Scenario) -> Vec<&str> {
        let thresholds = scenario.thresholds().iter();
        thresholds.map(|own| own.expression().text()).collect()
    }

    fn message(error: &ThresholdError) -> String {
        format!("{error} | {}", error.hint().unwrap_or_default())
    }

    #[test]
    fn a_file_has_thresholds_of_which_some_end_the_run() {
        let aborts: Vec<Option<u64>> = scenario()
            .thresholds()
            .iter()
            .map(|own| own.abort_after().map(|after| after.as_secs()))
            .collect();
        assert_eq!(aborts, [None, None, Some(0), None, Some(10)]);
    }

    #[test]
    fn the_command_line_adds_thresholds() {
        let more = ["max < 1s".to_owned(), " mean<5ms in climb".to_owned()];
        let scenario = scenario().with_thresholds(&more).unwrap();
        assert_eq!(texts(&scenario)[5..], ["max < 1s", "mean<5ms in climb"]);
    }

    #[test]
    fn what_is_added_names_the_flag() {
        let refused = |text: &str| {
            let error = scenario().with_thresholds(&[text.to_owned()]);
            message(&error.unwrap_err())
        };
        assert_eq!(
            refused("p99 < 250"),
            "--threshold `p99 < 250`: `250` has no unit | write 250ms or 250s"
        );
        assert_eq!(
            refused("p99 < 1s in stedy"),
            "--threshold `p99 < 1s in stedy`: unknown phase `stedy`; did you mean `steady`? | "
        );
        let many = vec!["p99 < 1s".to_owned(); 96];
        let error = scenario().with_thresholds(&many).unwrap_err();
        assert_eq!(
            error.to_string(),
            "--threshold `p99 < 1s`: more than 100 thresholds"
        );
    }

    #[test]
    fn a_phase_that_is_left_out_takes_its_thresholds_along() {
        let steady = scenario().only_phase("steady").unwrap();
        assert_eq!(texts(&steady).len(), 4);
        assert!(!texts(&steady).contains(&"p99 < 300ms in climb"));
        let second = Duration::from_secs(1);
        let round = scenario().round(Some("steady"), None, second, second, 1);
        assert!(round.unwrap().thresholds().is_empty());
    }

    #[test]
    fn another_duration_may_have_other_windows() {
        let longer = scenario().only_phase("steady").unwrap();
        let longer = longer.with_duration(Duration::from_secs(241)).unwrap();
        let error = longer.with_thresholds(&[]).unwrap_err();
        assert_eq!(
            message(&error),
            "threshold of t.yaml `error_rate < 1% in steady over every 5s`: `5s` is not a whole number of windows: \
             phase `steady` is kept in windows of 2s | write 6s"
        );
    }
}
