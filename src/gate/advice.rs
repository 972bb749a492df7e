//! What past sessions on machines like this one say of a new one: advice, never a verdict.
//!
//! One stored number says nothing: between jobs the same source differs by more than most regressions. From ten sessions
//! on, the next one is expected within a prediction interval, mean + t × sd × √(1 + 1/n); see Meeker, Hahn, Escobar:
//! "Statistical Intervals", 2nd edition, section 4.8.

use crate::compare::{Comparison, Metric};
use crate::run_record::Environment;
use crate::stats::student;

/// Fewer past sessions say nothing.
pub const FEWEST_SESSIONS: usize = 10;
/// Older ones are left out: machines, kernels and the service itself have changed since.
const MOST_SESSIONS: usize = 30;

/// What a machine has to share with another for their figures to stand beside each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MachineClass {
    /// CPU model.
    pub cpu_model: String,
    /// CPUs that tailmark may use.
    pub cores: usize,
}

/// One figure of one session: what a gate or comparison measured of an arm.
#[derive(Debug, Clone, PartialEq)]
pub struct Session {
    /// When it started, in UTC, as RFC 3339.
    pub started: String,
    /// On what; none where the CPU is not known.
    pub machine: Option<MachineClass>,
    /// What was sent, and how: the scenario's digest, phase, rate, warm-up, measured time, and how the arms follow each other.
    /// A warm-up that is shorter, a time that is longer, or an arm beside it, makes other figures of the same target.
    pub load: String,
    /// In the unit of the metric, above 0; +∞ where failures decide it.
    pub value: f64,
}

/// What past sessions say of a new one.
#[derive(Debug, Clone, PartialEq)]
pub enum Advice {
    /// Nothing: too few of them are alike.
    TooFew {
        /// How many are.
        alike: usize,
        /// Of how many.
        past: usize,
    },
    /// What the next session is expected to stay below, and whether it does.
    Predicted {
        /// How many sessions were alike, as far as they are used.
        sessions: usize,
        /// Their geometric mean.
        mean: f64,
        /// The upper end of the prediction, with the change that is allowed.
        limit: f64,
        /// What was measured.
        value: f64,
        /// Whether it lies above the limit.
        above: bool,
    },
}

impl MachineClass {
    /// The class of a machine; none where its CPU is not known.
    #[must_use]
    pub fn of(environment: &Environment) -> Option<Self> {
        Some(Self {
            cpu_model: environment.cpu_model.clone()?,
            cores: environment.cores,
        })
    }
}

impl Session {
    /// What the valid rounds of a comparison say of an arm's metric; none where they cannot say.
    #[must_use]
    pub fn of(comparison: &Comparison, arm: usize, metric: Metric) -> Option<Self> {
        let plan = &comparison.plan;
        Some(Self {
            started: comparison.started.clone(),
            machine: comparison.environment().and_then(MachineClass::of),
            load: format!(
                "{} {} {} {} ns after {} ns {}",
                plan.scenario.digest,
                plan.phase,
                plan.rate,
                plan.measure_ns,
                plan.warmup_ns,
                plan.schedule.name()
            ),
            value: comparison.figure(arm, metric)?.value,
        })
    }

    fn is_like(&self, other: &Self) -> bool {
        self.machine.is_some() && self.machine == other.machine && self.load == other.load
    }
}

/// Holds `new` against the latest of the past sessions with the same load on the same class of machine, where
/// `allowed` is the change that is allowed and `alpha` the chance to call an equal session worse.
#[must_use]
pub fn against(new: &Session, past: &[Session], allowed: f64, alpha: f64) -> Advice {
    let usable = |session: &&Session| {
        session.is_like(new) && session.value.is_finite() && session.value > 0.0
    };
    let mut alike: Vec<&Session> = past.iter().filter(usable).collect();
    if alike.len() < FEWEST_SESSIONS {
        return Advice::TooFew {
            alike: alike.len(),
            past: past.len(),
        };
    }
    alike.sort_by(|a, b| b.started.cmp(&a.started));
    alike.truncate(MOST_SESSIONS);
    let logs: Vec<f64> = alike.iter().map(|session| session.value.ln()).collect();
    let n = logs.len() as f64;
    let mean = logs.iter().sum::<f64>() / n;
    let squares: f64 = logs.iter().map(|log| (log - mean).powi(2)).sum();
    let sd = (squares / (n - 1.0)).sqrt();
    let spread = student(n - 1.0, 1.0 - alpha) * sd * (1.0 + 1.0 / n).sqrt();
    let limit = (mean + allowed.ln_1p() + spread).exp();
    Advice::Predicted {
        sessions: logs.len(),
        mean: mean.exp(),
        limit,
        value: new.value,
        above: new.value > limit,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::fixtures::{arm_run, comparison};
    use crate::compare::{Plan, Schedule};
    use crate::random::{Stream, bits, unit};
    use crate::run_record::fixtures::{MS, ok};
    use crate::units::Quantile;

    fn session(day: usize, value: f64) -> Session {
        Session {
            started: format!("2026-11-{day:02}T07:41:00Z"),
            machine: Some(MachineClass {
                cpu_model: "EPYC".into(),
                cores: 4,
            }),
            load: "ab steady 400/s".into(),
            value,
        }
    }

    #[test]
    fn ten_sessions_predict_the_next() {
        // ln of the values: ±0.1 in turn, so mean 0, sd √(10 × .01 / 9) = .1054.
        let past: Vec<Session> = (1..=10)
            .map(|day| session(day, if day % 2 == 0 { 0.1f64 } else { -0.1 }.exp()))
            .collect();
        let Advice::Predicted {
            sessions,
            mean,
            limit,
            above,
            ..
        } = against(&session(20, 1.2), &past, 0.0, 0.05)
        else {
            panic!("ten sessions are enough");
        };
        assert_eq!((sessions, above), (10, false));
        assert!((mean - 1.0).abs() < 1e-9);
        // t(9, .95) = 1.833: 1.833 × .1054 × √1.1 = .2027.
        assert!((limit.ln() - 0.2027).abs() < 0.0005, "{limit}");
        let worse = against(&session(20, 1.3), &past, 0.0, 0.05);
        assert!(matches!(worse, Advice::Predicted { above: true, .. }));
        let allowed = against(&session(20, 1.3), &past, 0.1, 0.05);
        assert!(matches!(allowed, Advice::Predicted { above: false, .. }));
    }

    #[test]
    fn of_fewer_or_other_sessions_nothing_can_be_said() {
        let past: Vec<Session> = (1..=10).map(|day| session(day, 1.0)).collect();
        let nine = against(&session(20, 9.0), &past[..9], 0.05, 0.01);
        assert_eq!(nine, Advice::TooFew { alike: 9, past: 9 });
        let mut other = session(20, 9.0);
        other.machine.as_mut().unwrap().cores = 8;
        let too_few = Advice::TooFew { alike: 0, past: 10 };
        assert_eq!(against(&other, &past, 0.05, 0.01), too_few);
        let other_load = Session {
            load: "cd".into(),
            ..session(20, 9.0)
        };
        assert_eq!(against(&other_load, &past, 0.05, 0.01), too_few);
        let unknown = Session {
            machine: None,
            ..session(20, 9.0)
        };
        assert_eq!(
            against(&unknown, &vec![unknown.clone(); 12], 0.05, 0.01),
            Advice::TooFew { alike: 0, past: 12 }
        );
    }

    #[test]
    fn sessions_that_were_measured_otherwise_are_not_alike() {
        let measured = comparison(1, |arm, _| arm_run(arm, |_| ok(MS)));
        let session = |change: &dyn Fn(&mut Plan)| {
            let mut other = measured.clone();
            change(&mut other.plan);
            Session::of(&other, 0, Metric::Response(Quantile::P99)).unwrap()
        };
        let own = session(&|_| {});
        assert!(own.is_like(&session(&|plan| plan.rounds += 1)));
        let changes: [&dyn Fn(&mut Plan); 4] = [
            &|plan| plan.warmup_ns += MS,
            &|plan| plan.measure_ns += MS,
            &|plan| plan.schedule = Schedule::Duet,
            &|plan| plan.phase = "other".into(),
        ];
        for change in changes {
            assert!(!own.is_like(&session(change)));
        }
    }

    #[test]
    fn only_the_latest_sessions_are_used() {
        let past: Vec<Session> = (1..=28).map(|day| session(day, 1.0)).collect();
        let old = (1..=9).map(|_| Session {
            started: "2020-01-01T00:00:00Z".into(),
            ..session(1, 50.0)
        });
        let past: Vec<Session> = old.chain(past).collect();
        let Advice::Predicted { sessions, mean, .. } =
            against(&session(30, 1.0), &past, 0.05, 0.01)
        else {
            panic!("enough");
        };
        assert!(sessions == 30 && mean < 1.4, "{sessions} {mean}");
    }

    #[test]
    fn equal_sessions_are_seldom_called_worse() {
        let mut worse = 0;
        for run in 0..2_000u64 {
            let draw = |k: u64| {
                let sum = (0..12).fold(-6.0, |sum, part| {
                    sum + unit(bits(3, Stream::Script, &[run, k, part]))
                });
                session(1, (0.1 * sum).exp())
            };
            let past: Vec<Session> = (0..10).map(draw).collect();
            let advice = against(&draw(10), &past, 0.0, 0.05);
            worse += i32::from(matches!(advice, Advice::Predicted { above: true, .. }));
        }
        // Binomial(2,000, .05): a standard deviation of 9.7.
        assert!((60..=140).contains(&worse), "{worse}");
    }
}
