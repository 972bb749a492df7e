//! Thresholds that end a run, judged while it goes on.

use super::{error_rate, times};
use crate::ledger::Distribution;
use crate::run_record::EndedBy;
use crate::scenario::Scenario;
use crate::schedule::Schedule;
use crate::threshold::{Answer, Expression, Metric, Observed};
use crate::units::nanoseconds;
use crate::windows::Part;

/// Watches a run for the thresholds that end it.
///
/// It knows what the workers have handed over, which they do every second: what is judged is all that came from the
/// measured phases so far. A window does not tell a failure at a known moment from a lower bound, so a failure
/// counts as one that may have lasted for ever, and only what is broken even so ends a run.
#[derive(Debug)]
pub struct Guard {
    watched: Vec<Watched>,
    /// What is known of each phase.
    seen: Vec<Distribution>,
}

#[derive(Debug)]
struct Watched {
    expression: Expression,
    /// The phases that it is about.
    phases: Vec<usize>,
    /// From when on the run ends when it is broken, in nanoseconds from the start.
    from_ns: u64,
}

impl Guard {
    /// A guard over the thresholds of `scenario` that end its run; there may be none.
    #[must_use]
    pub fn new(scenario: &Scenario, schedule: &Schedule) -> Self {
        let watched = scenario.thresholds().iter().filter_map(|threshold| {
            let expression = threshold.expression();
            let phases = scenario.phases().iter().enumerate();
            let phases: Vec<usize> = phases
                .filter(|(_, phase)| phase.is_measured() && expression.is_about(&phase.name))
                .map(|(index, _)| index)
                .collect();
            let (start, _) = schedule.bounds(*phases.first()?);
            Some(Watched {
                from_ns: start.saturating_add(nanoseconds(threshold.abort_after()?)),
                expression: expression.clone(),
                phases,
            })
        });
        Self {
            watched: watched.collect(),
            seen: vec![Distribution::default(); scenario.phases().len()],
        }
    }

    /// Takes what a worker has handed over at `now_ns` from the start of the run, and says which threshold is broken.
    pub fn see(&mut self, part: &Part, now_ns: u64) -> Option<EndedBy> {
        let about = |watched: &&Watched| watched.phases.contains(&part.phase);
        let about: Vec<&Watched> = self.watched.iter().filter(about).collect();
        if about.is_empty() {
            return None;
        }
        let seen = self.seen.get_mut(part.phase)?;
        for (times, part) in [(&mut seen.ok, &part.ok), (&mut seen.censored, &part.failed)] {
            times.merge(part);
            times.pack();
        }
        let due = about
            .into_iter()
            .filter(|watched| watched.from_ns <= now_ns);
        let broken = due.into_iter().find(|watched| self.is_broken(watched))?;
        Some(EndedBy {
            expression: broken.expression.text().to_owned(),
            at_ns: now_ns,
        })
    }

    fn is_broken(&self, watched: &Watched) -> bool {
        let phases = watched.phases.iter();
        let seen = Distribution::merged(phases.map(|&phase| &self.seen[phase]));
        let observed: Option<Observed> = match watched.expression.metric() {
            Metric::Response(statistic, _) => times(&seen, *statistic),
            _ => error_rate(seen.censored.count(), seen.count()),
        };
        observed.is_some_and(|observed| watched.expression.answer(observed) == Answer::Broken)
    }
}
