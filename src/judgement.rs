//! Whether a run was as its thresholds say: when it is over, from its record, and while it goes on ([`Guard`]).
//!
//! What was not measured holds nothing: a threshold about a phase that was not reached, a step to which nobody came, or
//! memory that nobody could read fails, and says so. A figure of which only a lower bound is known is compared by that
//! bound: it may break a threshold, and it holds one only where larger figures would hold it too.

mod live;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::time::Duration;

use crate::exchange::{Outcome, Outcomes};
use crate::histogram::Histogram;
use crate::ledger::{Distribution, PhaseTally, StepTally};
use crate::run_record::{PhaseRecord, RunRecord};
use crate::threshold::{
    Answer, Expression, Figure, MemoryFigure, Metric, Observed, Ruling, Scope, Statistic, Threshold,
};
use crate::units::{format_duration, nanoseconds};
use crate::windows::Window;

pub use live::Guard;

/// What became of `thresholds` in a run, in their order.
#[must_use]
pub fn rulings(record: &RunRecord, thresholds: &[Threshold]) -> Vec<Ruling> {
    let judge = Judge {
        record,
        total: record.total(),
    };
    let expressions = thresholds.iter().map(Threshold::expression);
    expressions
        .map(|expression| judge.ruling(expression))
        .collect()
}

/// A record with what is asked of it often.
struct Judge<'a> {
    record: &'a RunRecord,
    /// The measured phases together.
    total: PhaseTally,
}

/// A figure, and when it was observed where that is not the whole run or phase.
type Observation = (Observed, Option<String>);

impl Judge<'_> {
    fn ruling(&self, expression: &Expression) -> Ruling {
        let mut ruling = Ruling {
            expression: expression.text().to_owned(),
            observed: None,
            when: None,
            passed: false,
            reason: None,
        };
        match self.observe(expression) {
            Ok((observed, when)) => {
                let answer = expression.answer(observed);
                ruling.observed = Some(observed);
                ruling.when = when;
                ruling.passed = answer == Answer::Holds;
                ruling.reason = (answer == Answer::Unknown).then(|| {
                    "exchanges that did not end in time could move it, so it cannot be said to hold"
                        .to_owned()
                });
            }
            Err(reason) => ruling.reason = Some(reason),
        }
        let ended_by = self.record.ended_by.as_ref();
        if ruling.passed && ended_by.is_some_and(|ended| ended.expression == ruling.expression) {
            // What was under way then has ended since.
            ruling.passed = false;
            ruling.reason = Some("it was broken when it ended the run".to_owned());
        }
        ruling
    }

    /// The figure that `expression` is about, or why there is none.
    fn observe(&self, expression: &Expression) -> Result<Observation, String> {
        if let Some(every) = expression.every() {
            return self.worst_block(expression, nanoseconds(every));
        }
        let phase = expression.phase().map(|name| self.phase(name));
        let phase = phase.transpose()?;
        let observed = match expression.metric() {
            Metric::Memory(figure) => Some(self.memory(*figure)?.into()),
            Metric::CpuPer1k => Some(self.cpu()?.into()),
            Metric::AchievedRate => {
                let (rate, ns) = match phase {
                    Some(phase) => (phase.achieved_rate(), phase.duration_ns),
                    None => (self.record.achieved_rate(), self.record.measured_ns()),
                };
                (ns > 0).then(|| Figure::Rate(rate).into())
            }
            metric => self.of_exchanges(metric, phase.map_or(&self.total, |phase| &phase.tally)),
        };
        let observed = observed.ok_or_else(|| nothing(expression))?;
        Ok((observed, None))
    }

    /// A figure of what was counted in `tally`; none where that is nothing.
    fn of_exchanges(&self, metric: &Metric, tally: &PhaseTally) -> Option<Observed> {
        let merged = |scope, of: fn(&StepTally) -> &Distribution| {
            Distribution::merged(self.steps(tally, scope).map(of))
        };
        match metric {
            Metric::Response(statistic, scope) => {
                times(&merged(scope, |step| &step.response), *statistic)
            }
            Metric::Service(statistic, scope) => {
                times(&merged(scope, |step| &step.service), *statistic)
            }
            // What was never sent has waited for longer than is known.
            Metric::Wait(statistic) => {
                let unsent = tally.outcomes().of(Outcome::Unsent);
                Some(Observed {
                    lower_bound: could_rise(&tally.wait, *statistic, unsent),
                    ..times(&known(&tally.wait), *statistic)?
                })
            }
            // Of what waited in a long backlog only the earliest dispatch of a group is known.
            Metric::Lag(statistic) => Some(Observed {
                lower_bound: tally.coalesced > 0,
                ..times(&known(&tally.lag), *statistic)?
            }),
            Metric::Journey(statistic, flow) => {
                let flows = self.record.flows.iter().zip(&tally.flows);
                let meant = |name: &str| flow.as_ref().is_none_or(|flow| flow == name);
                let meant = flows.filter(|(names, _)| meant(&names.name));
                let mut journeys = Distribution::default();
                for (_, flow) in meant.filter(|(_, flow)| flow.steps.len() > 1) {
                    journeys.ok.merge(&flow.journey);
                    // A walk that was cut off took longer than the exchange that it was cut off in.
                    for step in &flow.steps {
                        journeys.censored.merge(&step.response.censored);
                    }
                }
                times(&journeys, *statistic)
            }
            Metric::ErrorRate(scope) => {
                let mut outcomes = Outcomes::default();
                self.steps(tally, scope)
                    .for_each(|step| outcomes.merge(&step.outcomes));
                error_rate(outcomes.failed(), outcomes.total())
            }
            Metric::AchievedRate | Metric::Memory(_) | Metric::CpuPer1k => None,
        }
    }

    /// The measured phase `name`.
    fn phase(&self, name: &str) -> Result<&PhaseRecord, String> {
        let phase = self.record.measured().find(|phase| phase.name == name);
        phase.ok_or_else(|| format!("phase {name} was not reached"))
    }

    /// The steps of `tally` that `scope` means.
    fn steps<'t>(
        &'t self,
        tally: &'t PhaseTally,
        scope: &'t Scope,
    ) -> impl Iterator<Item = &'t StepTally> {
        let flows = self.record.flows.iter().zip(&tally.flows);
        flows.flat_map(move |(names, tally)| {
            let steps = names.steps.iter().zip(&tally.steps);
            let meant = move |name: &str| match scope {
                Scope::All => true,
                Scope::Flow(flow) => *flow == names.name,
                Scope::Step { flow, step } => *flow == names.name && step == name,
            };
            steps
                .filter(move |(name, _)| meant(name))
                .map(|(_, step)| step)
        })
    }

    /// A figure of the target's memory, or why there is none.
    fn memory(&self, figure: MemoryFigure) -> Result<Figure, String> {
        let memory = &self.record.resources.memory;
        let series = memory.working_set.as_ref().or(memory.rss.as_ref());
        let series = series.ok_or_else(|| unwatched("memory"))?;
        let size = |bytes: Option<u64>| bytes.map(Figure::Size);
        let found = match figure {
            MemoryFigure::Idle => size(series.idle_bytes),
            MemoryFigure::P95 => size(series.p95_bytes),
            MemoryFigure::Peak => size(series.peak_bytes),
            MemoryFigure::AfterIdle => size(series.after_idle_bytes),
            MemoryFigure::Slope => series.slope_bytes_per_s.map(Figure::Slope),
        };
        found.ok_or_else(|| {
            match figure {
                MemoryFigure::Idle => "no memory was read before the load",
                MemoryFigure::AfterIdle => "no memory was read after the load",
                _ if series.samples == 0 => "no memory was read in the measured phases",
                MemoryFigure::Slope => "growth is told from ten seconds of readings on",
                MemoryFigure::P95 | MemoryFigure::Peak => "it was not measured",
            }
            .to_owned()
        })
    }

    /// The target's CPU time per 1,000 answered requests, or why there is none.
    fn cpu(&self) -> Result<Figure, String> {
        self.record
            .cpu_per_1k_ns()
            .map(Figure::Time)
            .ok_or_else(|| match self.record.resources.cpu_ns {
                Some(_) => "no request was answered".to_owned(),
                None => unwatched("CPU time"),
            })
    }

    /// The block of `every` nanoseconds that is nearest to breaking the expression, or breaks it most.
    fn worst_block(&self, expression: &Expression, every: u64) -> Result<Observation, String> {
        if let Some(name) = expression.phase() {
            self.phase(name)?;
        }
        let mut worst: Option<Observation> = None;
        let phases = self.record.measured();
        for phase in phases.filter(|phase| expression.is_about(&phase.name)) {
            for (block, times) in blocks(phase, every)? {
                let from = block.saturating_mul(every);
                let to = from.saturating_add(every).min(phase.duration_ns);
                let observed = match expression.metric() {
                    Metric::Response(statistic, _) => self::times(&times, *statistic),
                    _ => error_rate(times.count() - times.ok.count(), times.count()),
                };
                let Some(observed) = observed.filter(|_| to.saturating_sub(from) >= every / 2)
                else {
                    continue;
                };
                let worse = |(other, _): &Observation| expression.worse(observed, *other).is_gt();
                if worst.as_ref().is_none_or(worse) {
                    let [from, to] = [from, to].map(|ns| format_duration(Duration::from_nanos(ns)));
                    let when = format!("from {from} to {to} of {}", phase.name);
                    worst = Some((observed, Some(when)));
                }
            }
        }
        worst.ok_or_else(|| nothing(expression))
    }
}

/// The blocks of a phase in which something was due, with the response times of each.
fn blocks(phase: &PhaseRecord, every: u64) -> Result<BTreeMap<u64, Distribution>, String> {
    // A window does not tell which of its failures are lower bounds; where the phase has none, they are none.
    let exact = phase.tally.response().censored.is_empty();
    let mut blocks: BTreeMap<u64, Distribution> = BTreeMap::new();
    for window in &phase.windows {
        let block = blocks.entry(window.start_ns / every.max(1)).or_default();
        let Window { ok, failed, .. } = window;
        let failures = if exact {
            &mut block.failed
        } else {
            &mut block.censored
        };
        for (encoded, times) in [(ok, &mut block.ok), (failed, failures)] {
            if let Some(encoded) = encoded {
                let decoded = Histogram::decode(encoded).map_err(|error| error.to_string())?;
                times.merge(&decoded);
            }
        }
    }
    Ok(blocks)
}

/// Whether a figure of `times` would be larger if `unknown` of them, whichever, were without end.
fn could_rise(times: &Histogram, statistic: Statistic, unknown: u64) -> bool {
    match statistic {
        Statistic::Quantile(quantile) => {
            let rank = quantile.rank(times.count());
            let at = |rank| times.value_at_rank(rank);
            match (at(rank), at(rank.saturating_add(unknown))) {
                (Some(value), Some(worst)) => !Histogram::same_bucket(value, worst),
                _ => true,
            }
        }
        Statistic::Min => unknown >= times.count(),
        Statistic::Mean | Statistic::Max => unknown > 0,
    }
}

/// Times all of which are known.
fn known(times: &Histogram) -> Distribution {
    Distribution {
        ok: times.clone(),
        ..Distribution::default()
    }
}

/// A figure of response times or others; none where there are none.
fn times(times: &Distribution, statistic: Statistic) -> Option<Observed> {
    let all = times.all();
    let (ns, lower_bound) = match statistic {
        Statistic::Quantile(quantile) => {
            let bound = times.quantile(quantile)?;
            (bound.value, bound.censored)
        }
        Statistic::Mean => (all.mean()?, !times.censored.is_empty()),
        Statistic::Max => (all.max()?, !times.censored.is_empty()),
        Statistic::Min => {
            let known = [times.ok.min(), times.failed.min()];
            let shortest = all.min()?;
            (shortest, !known.contains(&Some(shortest)))
        }
    };
    Some(Observed {
        figure: Figure::Time(ns),
        lower_bound,
    })
}

/// That nobody watched the target.
fn unwatched(what: &str) -> String {
    format!("the target's {what} was not read (--watch says whose to read)")
}

/// The share of those that failed; none of none.
fn error_rate(failed: u64, due: u64) -> Option<Observed> {
    (due > 0).then(|| Figure::Ratio(failed as f64 / due as f64).into())
}

/// That there is nothing to compare.
fn nothing(expression: &Expression) -> String {
    let scope = match expression.metric() {
        Metric::Response(_, scope) | Metric::Service(_, scope) | Metric::ErrorRate(scope) => {
            match scope {
                Scope::All => String::new(),
                Scope::Flow(flow) => format!(" of {flow}"),
                Scope::Step { flow, step } => format!(" of {flow}/{step}"),
            }
        }
        Metric::Journey(_, Some(flow)) => format!(" of {flow}"),
        _ => String::new(),
    };
    let phase = expression.phase();
    let phase = phase.map_or(String::new(), |phase| format!(" in {phase}"));
    format!("nothing was measured{scope}{phase}")
}
