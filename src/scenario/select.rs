//! What the command line changes about a scenario: which phase, how fast, how long.

use std::time::Duration;

use thiserror::Error;

use super::{Http, LoadModel, Phase, Scenario};
use crate::document::nearest;
use crate::units::{Rate, format_duration, thousands};

/// A change that the scenario does not allow.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SelectError {
    /// More than one phase could be meant.
    #[error("{what} is ambiguous: {file} measures {} phases ({})", phases.len(), phases.join(", "))]
    Ambiguous {
        /// The flag, or what it would decide.
        what: &'static str,
        /// The scenario's file.
        file: String,
        /// The measured phases.
        phases: Vec<String>,
    },
    /// No phase of that name.
    #[error("unknown phase `{name}`{}", did_you_mean(name, phases))]
    UnknownPhase {
        /// What was asked for.
        name: String,
        /// The scenario's file.
        file: String,
        /// The phases that there are.
        phases: Vec<String>,
    },
    /// The phase is there, but is no measurement.
    #[error("phase `{name}` of {file} is {is} and never measured")]
    NotMeasured {
        /// What was asked for.
        name: String,
        /// The scenario's file.
        file: String,
        /// What it is.
        is: &'static str,
    },
    /// The phase makes load in another way than the flag is about.
    #[error("{flag} changes a phase with `{wants}`; phase `{name}` of {file} has `{has}`")]
    OtherModel {
        /// The flag.
        flag: &'static str,
        /// The load model that it is about.
        wants: &'static str,
        /// The phase.
        name: String,
        /// The scenario's file.
        file: String,
        /// The phase's own load model.
        has: &'static str,
    },
    /// The phase has no rate at which every target could be measured alike.
    #[error("phase `{name}` of {file} has `{has}`, and only a phase with `rate` can be compared")]
    NotComparable {
        /// The phase.
        name: String,
        /// The scenario's file.
        file: String,
        /// Its load model.
        has: &'static str,
    },
    /// No phase can be compared.
    #[error("{file} measures no phase with `rate`, and only such a phase can be compared")]
    NothingComparable {
        /// The scenario's file.
        file: String,
    },
    /// Nothing would be measured.
    #[error("a phase of 0s measures nothing")]
    NoTime,
    /// The duration is out of bounds.
    #[error("a phase lasts at most {}", format_duration(Phase::LONGEST))]
    TooLong,
    /// The rate times the duration is out of bounds.
    #[error("more than {} arrivals in one phase", thousands(Phase::MAX_ARRIVALS))]
    TooManyArrivals,
}

impl SelectError {
    /// The next step, where there is one.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Ambiguous { phases, .. } => {
                phases.last().map(|phase| format!("add --phase {phase}"))
            }
            Self::UnknownPhase { file, phases, .. } => {
                Some(format!("{file} has {}", phases.join(", ")))
            }
            Self::TooManyArrivals => Some("lower the rate or the duration".to_owned()),
            Self::OtherModel { .. } => Some("change the scenario file".to_owned()),
            Self::NotComparable { .. } | Self::NothingComparable { .. } => Some(
                "closed users ask a slow target less, and a ramp or a pause has no one rate"
                    .to_owned(),
            ),
            Self::NotMeasured { .. } | Self::NoTime | Self::TooLong => None,
        }
    }
}

impl Scenario {
    /// The scenario with another seed.
    #[must_use]
    pub fn with_seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// The scenario with another bound of connections, at least 1.
    #[must_use]
    pub fn with_connections(mut self, max: usize) -> Self {
        self.connections.max = max.max(1);
        self
    }

    /// The scenario with another version of HTTP.
    #[must_use]
    pub fn with_http(mut self, http: Http) -> Self {
        self.connections.http = http;
        self
    }

    /// The scenario with another timeout of an exchange.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// The one measured phase at another rate.
    ///
    /// # Errors
    /// Several phases are measured, or the phase has no one rate, or it would have too many arrivals.
    pub fn with_rate(mut self, rate: Rate) -> Result<Self, SelectError> {
        let phase = self.only_measured("--rate")?;
        match &mut self.phases[phase].model {
            LoadModel::Open { rate: own, .. } => *own = rate,
            _ => return Err(self.other_model("--rate", "rate", phase)),
        }
        self.checked(phase)
    }

    /// The one measured phase with another number of users, at least 1.
    ///
    /// # Errors
    /// Several phases are measured, or the phase has no users.
    pub fn with_users(mut self, users: u32) -> Result<Self, SelectError> {
        let phase = self.only_measured("--users")?;
        match &mut self.phases[phase].model {
            LoadModel::Closed { users: own } => *own = users.max(1),
            _ => return Err(self.other_model("--users", "users", phase)),
        }
        Ok(self)
    }

    /// The one measured phase with another duration.
    ///
    /// # Errors
    /// Several phases are measured, or the phase would have no time, too much of it, or too many arrivals.
    pub fn with_duration(mut self, duration: Duration) -> Result<Self, SelectError> {
        let phase = self.only_measured("--duration")?;
        self.phases[phase].duration = duration;
        self.checked(phase)
    }

    /// Whether a limit on the number of measured arrivals says where the run ends: users count theirs apart from all
    /// other phases, so a closed phase has to be the only one.
    ///
    /// # Errors
    /// Several phases are measured, and one of them is closed.
    pub fn check_limit(&self) -> Result<(), SelectError> {
        let mut models = self.measured_phases().map(|phase| phase.model);
        if models.all(|model| model.is_open()) {
            return Ok(());
        }
        self.only_measured("--requests").map(drop)
    }

    /// The phase `name` alone, with the warm-up phases before it and the pauses after those, and without the thresholds of
    /// other phases.
    ///
    /// # Errors
    /// There is no such phase, or it is warm-up or a pause itself.
    pub fn only_phase(mut self, name: &str) -> Result<Self, SelectError> {
        let chosen = self.measured_phase(name)?;
        let before = self.phases.drain(..=chosen).enumerate();
        self.phases = before
            .filter(|(k, phase)| *k == chosen || phase.warmup)
            .map(|(_, phase)| phase)
            .collect();
        Ok(self.without_thresholds_of_others(name))
    }

    /// What one round of a comparison runs: a warm-up of `warmup` (left out where that is 0) and `phase`, or the only
    /// measured one with a rate, for `measure`; both at `rate`, or the phase's own. The seed is the round's. Thresholds say
    /// what holds of the scenario's own phases, so a round has none.
    ///
    /// # Errors
    /// The phase is unknown, not measured, without a rate, or not named while several could be meant; or it would have
    /// no time, too much of it, or too many arrivals.
    pub fn round(
        &self,
        phase: Option<&str>,
        rate: Option<Rate>,
        warmup: Duration,
        measure: Duration,
        seed: u64,
    ) -> Result<Self, SelectError> {
        let chosen = match phase {
            Some(name) => self.measured_phase(name)?,
            None => self.only_comparable()?,
        };
        let mut measured = self.phases[chosen].clone();
        measured.duration = measure;
        let LoadModel::Open { rate: own, .. } = &mut measured.model else {
            return Err(SelectError::NotComparable {
                name: measured.name,
                file: self.file_name.clone(),
                has: measured.model.key(),
            });
        };
        *own = rate.unwrap_or(*own);
        let name = if measured.name == "warmup" {
            "before"
        } else {
            "warmup"
        };
        let before = Phase {
            name: name.to_owned(),
            duration: warmup,
            warmup: true,
            ..measured.clone()
        };
        let mut round = self.clone().with_seed(seed);
        round.thresholds.clear();
        round.phases = if warmup.is_zero() {
            vec![measured]
        } else {
            vec![before, measured]
        };
        (0..round.phases.len()).try_fold(round, Self::checked)
    }

    fn only_measured(&self, what: &'static str) -> Result<usize, SelectError> {
        self.only(what, Phase::is_measured)
    }

    fn only_comparable(&self) -> Result<usize, SelectError> {
        let has_rate =
            |phase: &Phase| phase.is_measured() && matches!(phase.model, LoadModel::Open { .. });
        if !self.phases.iter().any(has_rate) {
            let file = self.file_name.clone();
            return Err(SelectError::NothingComparable { file });
        }
        self.only("the phase to compare", has_rate)
    }

    /// The only phase that could be meant.
    fn only(
        &self,
        what: &'static str,
        meant: impl Fn(&Phase) -> bool,
    ) -> Result<usize, SelectError> {
        let phases = self.phases.iter().enumerate();
        let meant: Vec<(usize, &Phase)> = phases.filter(|(_, phase)| meant(phase)).collect();
        match meant[..] {
            [(index, _)] => Ok(index),
            _ => Err(SelectError::Ambiguous {
                what,
                file: self.file_name.clone(),
                phases: meant.iter().map(|(_, phase)| phase.name.clone()).collect(),
            }),
        }
    }

    fn other_model(&self, flag: &'static str, wants: &'static str, phase: usize) -> SelectError {
        let phase = &self.phases[phase];
        SelectError::OtherModel {
            flag,
            wants,
            name: phase.name.clone(),
            file: self.file_name.clone(),
            has: phase.model.key(),
        }
    }

    fn measured_phase(&self, name: &str) -> Result<usize, SelectError> {
        let file = self.file_name.clone();
        match self.phases.iter().position(|phase| phase.name == name) {
            Some(index) if !self.phases[index].is_measured() => Err(SelectError::NotMeasured {
                name: name.to_owned(),
                file,
                is: match self.phases[index].model {
                    LoadModel::Pause => "a pause",
                    _ => "warm-up",
                },
            }),
            Some(index) => Ok(index),
            None => {
                let phases = self.phases.iter().map(|phase| phase.name.clone()).collect();
                Err(SelectError::UnknownPhase {
                    name: name.to_owned(),
                    file,
                    phases,
                })
            }
        }
    }

    fn checked(self, phase: usize) -> Result<Self, SelectError> {
        match &self.phases[phase] {
            phase if phase.duration.is_zero() => Err(SelectError::NoTime),
            phase if phase.duration > Phase::LONGEST => Err(SelectError::TooLong),
            phase if phase.expected_arrivals() > Some(Phase::MAX_ARRIVALS) => {
                Err(SelectError::TooManyArrivals)
            }
            _ => Ok(self),
        }
    }
}

fn did_you_mean(name: &str, names: &[String]) -> String {
    nearest(name, names)
        .map(|near| format!("; did you mean `{near}`?"))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_phases(phases: &str) -> Scenario {
        let text = format!("tailmark: 1\nflows: {{ f: {{ steps: [get: /] }} }}\nphases:\n{phases}");
        Scenario::parse("journey.yaml", text.as_bytes()).unwrap()
    }

    fn journey() -> Scenario {
        with_phases(
            "  - { name: warm, rate: 10/s, for: 1s, warmup: true }
  - { name: climb, rate: 20/s, for: 2s }
  - { name: steady, rate: 30/s, for: 3s, arrivals: poisson }
",
        )
    }

    /// Every load model.
    fn mixed() -> Scenario {
        with_phases(
            "  - { name: warm, rate: 10/s, for: 1s, warmup: true }
  - { name: breath, pause: true, for: 1s }
  - { name: climb, ramp: 10/s..30/s, for: 2s }
  - { name: rest, pause: true, for: 4s }
  - { name: steady, rate: 30/s, for: 3s }
  - { name: crowd, users: 5, for: 6s }
",
        )
    }

    /// The phases as `name { load } duration`, warm-up in brackets; or the error and its hint.
    fn check(result: Result<Scenario, SelectError>, expected: &str) {
        let sketch = |phase: &Phase| {
            let line = format!(
                "{} {{ {} }} {}",
                phase.name,
                phase.model.to_yaml(),
                format_duration(phase.duration)
            );
            if phase.warmup {
                format!("({line})")
            } else {
                line
            }
        };
        let seen = match result {
            Ok(scenario) => scenario
                .phases
                .iter()
                .map(sketch)
                .collect::<Vec<_>>()
                .join(", "),
            Err(error) => format!("{error} | {}", error.hint().unwrap_or_default()),
        };
        assert_eq!(seen, expected);
    }

    #[test]
    fn phases_are_chosen_and_changed() {
        let rate = Rate::per_second_of(5).unwrap();
        let (two, ten) = (Duration::from_secs(2), Duration::from_secs(10));
        check(
            journey().with_rate(rate),
            "--rate is ambiguous: journey.yaml measures 2 phases (climb, steady) | add --phase steady",
        );
        check(
            journey().only_phase("stedy"),
            "unknown phase `stedy`; did you mean `steady`? | journey.yaml has warm, climb, steady",
        );
        check(
            journey().only_phase("warm"),
            "phase `warm` of journey.yaml is warm-up and never measured | ",
        );
        check(
            journey().only_phase("steady"),
            "(warm { rate: 10/s, arrivals: constant } 1s), steady { rate: 30/s, arrivals: poisson } 3s",
        );
        check(
            journey()
                .only_phase("climb")
                .and_then(|only| only.with_rate(rate))
                .and_then(|only| only.with_duration(ten)),
            "(warm { rate: 10/s, arrivals: constant } 1s), climb { rate: 5/s, arrivals: constant } 10s",
        );
        check(
            journey().round(Some("steady"), None, two, ten, 7),
            "(warmup { rate: 30/s, arrivals: poisson } 2s), steady { rate: 30/s, arrivals: poisson } 10s",
        );
        check(
            journey().round(Some("climb"), Some(rate), Duration::ZERO, ten, 7),
            "climb { rate: 5/s, arrivals: constant } 10s",
        );
        check(
            journey().round(Some("climb"), None, two, Duration::ZERO, 7),
            "a phase of 0s measures nothing | ",
        );
        check(
            journey().round(None, None, two, ten, 7),
            "the phase to compare is ambiguous: journey.yaml measures 2 phases (climb, steady) | add --phase steady",
        );
        check(
            journey().round(
                Some("climb"),
                Rate::per_second_of(10_000_000),
                two,
                Duration::from_secs(500_000),
                7,
            ),
            "more than 1,000,000,000,000 arrivals in one phase | lower the rate or the duration",
        );
        check(
            journey().round(Some("steady"), None, two, Duration::from_secs(604_801), 7),
            "a phase lasts at most 168h | ",
        );
    }

    #[test]
    fn a_flag_changes_only_the_load_model_that_it_is_about() {
        let rate = Rate::per_second_of(5).unwrap();
        let only = |name| mixed().only_phase(name).unwrap();
        check(
            mixed().with_rate(rate),
            "--rate is ambiguous: journey.yaml measures 3 phases (climb, steady, crowd) | add --phase crowd",
        );
        check(
            only("climb").with_rate(rate),
            "--rate changes a phase with `rate`; phase `climb` of journey.yaml has `ramp` | change the scenario file",
        );
        check(
            only("steady").with_users(7),
            "--users changes a phase with `users`; phase `steady` of journey.yaml has `rate` | change the scenario file",
        );
        check(
            only("crowd").with_users(7),
            "(warm { rate: 10/s, arrivals: constant } 1s), (breath { pause: true } 1s), crowd { users: 7 } 6s",
        );
        check(
            mixed().only_phase("rest"),
            "phase `rest` of journey.yaml is a pause and never measured | ",
        );
    }

    #[test]
    fn a_phase_with_a_rate_is_compared_and_no_other() {
        let round = |scenario: Scenario, phase| {
            scenario.round(phase, None, Duration::ZERO, Duration::from_secs(9), 7)
        };
        check(
            round(mixed(), None),
            "steady { rate: 30/s, arrivals: constant } 9s",
        );
        let why = "closed users ask a slow target less, and a ramp or a pause has no one rate";
        for (phase, has) in [("climb", "ramp"), ("crowd", "users")] {
            check(
                round(mixed(), Some(phase)),
                &format!(
                    "phase `{phase}` of journey.yaml has `{has}`, and only a phase with `rate` can be compared | {why}"
                ),
            );
        }
        check(
            round(mixed().only_phase("crowd").unwrap(), None),
            &format!(
                "journey.yaml measures no phase with `rate`, and only such a phase can be compared | {why}"
            ),
        );
    }

    #[test]
    fn users_count_their_arrivals_alone() {
        assert_eq!(journey().check_limit(), Ok(()));
        assert_eq!(mixed().only_phase("crowd").unwrap().check_limit(), Ok(()));
        assert_eq!(
            mixed().check_limit().unwrap_err().to_string(),
            "--requests is ambiguous: journey.yaml measures 3 phases (climb, steady, crowd)"
        );
    }
}
