//! What the command line changes about a scenario: which phase, how fast, how long.

use std::time::Duration;

use thiserror::Error;

use super::{LoadModel, Phase, Scenario};
use crate::document::nearest;
use crate::units::{Rate, thousands};

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
    #[error("phase `{name}` of {file} is warm-up and never measured")]
    WarmUp {
        /// What was asked for.
        name: String,
        /// The scenario's file.
        file: String,
    },
    /// Nothing would be measured.
    #[error("a phase of 0s measures nothing")]
    NoTime,
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
            Self::WarmUp { .. } | Self::NoTime => None,
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

    /// The scenario with another timeout of an exchange.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// The one measured phase at another rate.
    ///
    /// # Errors
    /// Several phases are measured, or the phase would have too many arrivals.
    pub fn with_rate(mut self, rate: Rate) -> Result<Self, SelectError> {
        let phase = self.only_measured("--rate")?;
        self.phases[phase].set_rate(rate);
        self.checked(phase)
    }

    /// The one measured phase with another duration.
    ///
    /// # Errors
    /// Several phases are measured, or the phase would have no time or too many arrivals.
    pub fn with_duration(mut self, duration: Duration) -> Result<Self, SelectError> {
        let phase = self.only_measured("--duration")?;
        self.phases[phase].duration = duration;
        self.checked(phase)
    }

    /// The phase `name` alone, with the warm-up phases before it.
    ///
    /// # Errors
    /// There is no such phase, or it is warm-up itself.
    pub fn only_phase(mut self, name: &str) -> Result<Self, SelectError> {
        let chosen = self.measured_phase(name)?;
        let before = self.phases.drain(..=chosen).enumerate();
        self.phases = before
            .filter(|(k, phase)| *k == chosen || phase.warmup)
            .map(|(_, phase)| phase)
            .collect();
        Ok(self)
    }

    /// What one round of a comparison runs: a warm-up of `warmup` (left out where that is 0) and `phase`, or the only
    /// measured one, for `measure`; both at `rate`, or the phase's own. The seed is the round's.
    ///
    /// # Errors
    /// The phase is unknown, warm-up or not named while several are measured; or it would have no time or too many
    /// arrivals.
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
            None => self.only_measured("the phase to compare")?,
        };
        let mut measured = self.phases[chosen].clone();
        measured.duration = measure;
        if let Some(rate) = rate {
            measured.set_rate(rate);
        }
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
        round.phases = if warmup.is_zero() {
            vec![measured]
        } else {
            vec![before, measured]
        };
        (0..round.phases.len()).try_fold(round, Self::checked)
    }

    fn only_measured(&self, what: &'static str) -> Result<usize, SelectError> {
        let mut measured = self
            .phases
            .iter()
            .enumerate()
            .filter(|(_, phase)| !phase.warmup);
        match (measured.next(), measured.next()) {
            (Some((index, _)), None) => Ok(index),
            _ => Err(SelectError::Ambiguous {
                what,
                file: self.file_name.clone(),
                phases: self
                    .measured_phases()
                    .map(|phase| phase.name.clone())
                    .collect(),
            }),
        }
    }

    fn measured_phase(&self, name: &str) -> Result<usize, SelectError> {
        let file = self.file_name.clone();
        match self.phases.iter().position(|phase| phase.name == name) {
            Some(index) if self.phases[index].warmup => Err(SelectError::WarmUp {
                name: name.to_owned(),
                file,
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
            phase if phase.expected_arrivals() > Phase::MAX_ARRIVALS => {
                Err(SelectError::TooManyArrivals)
            }
            _ => Ok(self),
        }
    }
}

impl Phase {
    fn set_rate(&mut self, new: Rate) {
        let LoadModel::Open { rate, .. } = &mut self.model;
        *rate = new;
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
    use crate::units::format_duration;

    fn journey() -> Scenario {
        let text = b"tailmark: 1
flows: { f: { steps: [get: /] } }
phases:
  - { name: warm, rate: 10/s, for: 1s, warmup: true }
  - { name: ramp, rate: 20/s, for: 2s }
  - { name: steady, rate: 30/s, for: 3s, arrivals: poisson }
";
        Scenario::parse("journey.yaml", text).unwrap()
    }

    /// The phases as `name rate duration`, warm-up in brackets; or the error and its hint.
    fn check(result: Result<Scenario, SelectError>, expected: &str) {
        let sketch = |phase: &Phase| {
            let LoadModel::Open { rate, arrivals } = phase.model;
            let line = format!(
                "{} {rate} {arrivals:?} {}",
                phase.name,
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
            "--rate is ambiguous: journey.yaml measures 2 phases (ramp, steady) | add --phase steady",
        );
        check(
            journey().only_phase("stedy"),
            "unknown phase `stedy`; did you mean `steady`? | journey.yaml has warm, ramp, steady",
        );
        check(
            journey().only_phase("warm"),
            "phase `warm` of journey.yaml is warm-up and never measured | ",
        );
        check(
            journey().only_phase("steady"),
            "(warm 10/s Constant 1s), steady 30/s Poisson 3s",
        );
        check(
            journey()
                .only_phase("ramp")
                .and_then(|only| only.with_rate(rate))
                .and_then(|only| only.with_duration(ten)),
            "(warm 10/s Constant 1s), ramp 5/s Constant 10s",
        );
        check(
            journey().round(Some("steady"), None, two, ten, 7),
            "(warmup 30/s Poisson 2s), steady 30/s Poisson 10s",
        );
        check(
            journey().round(Some("ramp"), Some(rate), Duration::ZERO, ten, 7),
            "ramp 5/s Constant 10s",
        );
        check(
            journey().round(Some("ramp"), None, two, Duration::ZERO, 7),
            "a phase of 0s measures nothing | ",
        );
        check(
            journey().round(None, None, two, ten, 7),
            "the phase to compare is ambiguous: journey.yaml measures 2 phases (ramp, steady) | add --phase steady",
        );
        check(
            journey().round(
                Some("ramp"),
                Rate::per_second_of(10_000_000),
                two,
                Duration::from_secs(1_000_000),
                7,
            ),
            "more than 1,000,000,000,000 arrivals in one phase | lower the rate or the duration",
        );
    }
}
