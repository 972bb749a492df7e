//! The flows, steps and phases that a threshold names.

use super::{Clause, Word, flaw, unknown};
use crate::document::Flaw;
use crate::threshold::{Metric, Scope, Subjects};

impl Subjects<'_> {
    /// The flow or step that `word` names.
    pub(super) fn scope(&self, word: Word<'_>) -> Result<Scope, Flaw> {
        let (flow, step) = match word.text.split_once('/') {
            Some((flow, step)) => (flow, Some(step)),
            None => (word.text, None),
        };
        let named = self.flows.iter().find(|(name, _)| *name == flow);
        let Some((_, steps)) = named else {
            let names: Vec<&str> = self.flows.iter().map(|(name, _)| *name).collect();
            let owner = self.flows.iter().find(|(_, steps)| steps.contains(&flow));
            let hint = match owner {
                Some((owner, _)) => format!("a step is named with its flow: {owner}/{flow}"),
                None => format!("the flows are {}", names.join(", ")),
            };
            let word = Word { text: flow, ..word };
            return Err(unknown("flow", word, names, hint));
        };
        let Some(step) = step else {
            return Ok(Scope::Flow(flow.to_owned()));
        };
        if !steps.contains(&step) {
            let word = Word {
                at: word.at + flow.len() + 1,
                text: step,
            };
            let hint = format!("the steps of `{flow}` are {}", steps.join(", "));
            return Err(unknown("step", word, steps.iter().copied(), hint));
        }
        Ok(Scope::Step {
            flow: flow.to_owned(),
            step: step.to_owned(),
        })
    }

    /// The flow whose journeys are meant; none: those of all flows that have any.
    pub(super) fn journey(
        &self,
        name: Word<'_>,
        of: Option<(Word<'_>, Scope)>,
    ) -> Result<Option<String>, Flaw> {
        let several = |flow: &str| {
            let named = self.flows.iter().find(|(name, _)| *name == flow);
            named.is_some_and(|(_, steps)| steps.len() > 1)
        };
        match of {
            None if self.flows.iter().any(|(name, _)| several(name)) => Ok(None),
            None => {
                let message = "no flow has several steps, so there are no journeys";
                Err(flaw(name.at, message, "ask for the response time: p99"))
            }
            Some((word, Scope::Step { flow, .. })) => {
                let message = "a journey goes through all steps of a flow";
                Err(flaw(word.at, message, format!("write of {flow}")))
            }
            Some((word, Scope::Flow(flow))) if !several(&flow) => {
                let message = format!("`{flow}` has one step, so it has no journeys");
                Err(flaw(word.at, message, "ask for the response time: p99"))
            }
            Some((_, Scope::Flow(flow))) => Ok(Some(flow)),
            Some((_, Scope::All)) => Ok(None),
        }
    }
}

/// The phase that a clause `in` names.
pub(super) fn measured_phase<'s>(
    name: Word<'_>,
    metric: &Metric,
    clause: Clause<'_>,
    subjects: &Subjects<'s>,
) -> Result<&'s str, Flaw> {
    if !metric.has_phases() {
        let message = format!("`{}` is of the whole run: it has no `in`", name.text);
        return Err(flaw(clause.at, message, "leave `in` out"));
    }
    let word = clause.value;
    let phases = subjects.phases.iter();
    let measured = phases.filter(|phase| phase.unmeasured.is_none());
    let measured: Vec<&str> = measured.map(|phase| phase.name).collect();
    let hint = format!("the measured phases are {}", measured.join(", "));
    let named = subjects.phases.iter().find(|phase| phase.name == word.text);
    match named {
        None => {
            let names = subjects.phases.iter().map(|phase| phase.name);
            Err(unknown("phase", word, names, hint))
        }
        Some(phase) => match phase.unmeasured {
            Some(what) => {
                let message = format!("phase `{}` is {what}, and in no threshold", phase.name);
                Err(flaw(word.at, message, hint))
            }
            None => Ok(phase.name),
        },
    }
}
