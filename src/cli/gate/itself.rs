//! `tailmark gate --aa N`: a target against itself, to learn what this machine can see.

use super::super::args::GateArgs;
use super::super::failure::Failure;
use super::super::keep::Keep;
use super::super::report::{Outputs, print};
use super::super::rounds::fair_seed;
use super::{Outcome, Prepared};
use crate::archive::GATE_FILE;
use crate::gate::{GateRecord, Repeated};
use crate::report::Subject;

/// Gates the target against itself as often as `args` say. Each gate is saved as soon as it is decided, and what ends one of
/// them takes nothing from those before it.
pub(super) async fn itself(
    args: &GateArgs,
    mut prepared: Prepared,
    outputs: Outputs,
) -> Result<Outcome, Failure> {
    let of_rounds = &args.of_rounds;
    let count = args.aa.unwrap_or(1);
    let name = format!("aa-{}", prepared.request.scenario.name());
    let keep = Keep::open(&of_rounds.saving, &name)?;
    if let Some(candidate) = &args.candidate {
        let words =
            format!("note: --aa holds the baseline against itself: {candidate} is not measured");
        of_rounds.common.say(&words);
    }
    let mut gates: Vec<GateRecord> = Vec::new();
    let mut failed = None;
    for number in 1..=count {
        of_rounds.common.say(&format!("gate {number} of {count}"));
        let folder = keep.folder().create(&format!("gate-{number:02}"))?;
        let record = match prepared.decide(args, &folder).await {
            Ok(record) => record,
            Err(failure) => {
                failed = Some(failure);
                break;
            }
        };
        if record.decision().is_none() {
            // An interrupt; half a gate says nothing of how often whole ones are flagged.
            folder.remove()?;
            break;
        }
        folder.write(GATE_FILE, &record.to_json())?;
        gates.push(record);
        // Each has an order of arms of its own.
        prepared.draw_again(fair_seed());
    }
    if gates.is_empty() {
        keep.give_up();
        return Err(failed.unwrap_or_else(Failure::interrupted));
    }
    let saved = keep.keep()?;
    let complete = gates.len() == count as usize;
    let repeated = Repeated::of(&gates);
    let common = &of_rounds.common;
    let options = common.options(saved.as_deref());
    print(Subject::Repeated(&repeated), common, options)?;
    outputs.write(Subject::Repeated(&repeated))?;
    match failed {
        Some(failure) => Err(failure),
        None if complete => Ok(Outcome::Done),
        None => Ok(Outcome::Interrupted),
    }
}
