//! A gate's rounds: as many as its verdict takes, and once more before a FAIL is believed.

use super::rounds::{Request, Rounds, arms_so_far};
use super::shutdown::Shutdown;
use super::{SessionError, Stage, Watcher};
use crate::archive::{Folder, GATE_FILE};
use crate::compare::Comparison;
use crate::event::{Event, RoundsSoFar};
use crate::gate::{Attempt, GateRecord, Next, Terms};
use crate::machine;
use crate::report;

/// Where the rounds of a confirmation are saved.
const CONFIRMATION: &str = "confirmation";

/// Measures what the verdict of `record` still takes, the baseline being the first arm of `request` and the candidate the
/// second, and saves the gate after each round in `folder`.
///
/// An interrupt ends it after what is complete; the record says so.
///
/// # Errors
/// When a target, its stores, the probe or the generator fail. What was started is stopped.
pub async fn gate(
    stage: &Stage,
    request: &Request,
    record: &mut GateRecord,
    folder: &Folder,
    shutdown: &Shutdown,
    watch: Watcher<'_>,
) -> Result<(), SessionError> {
    record.interrupted = false;
    let most = record.terms.looks.last();
    while let Next::Another(progress) = record.next() {
        let request = attempt(request, progress.attempt, &record.terms);
        let place = match progress.attempt {
            Attempt::First => folder.clone(),
            Attempt::Confirmation => folder.create(CONFIRMATION)?,
        };
        let rounds = Rounds {
            stage,
            request: &request,
            folder: &place,
            shutdown,
            most,
        };
        let comparison = match progress.attempt {
            Attempt::First => &mut record.first,
            Attempt::Confirmation => match &mut record.confirmation {
                Some(begun) => begun,
                none => none.insert(Comparison::new(request.plan()?, machine::utc_now().0)),
            },
        };
        watch(Event::Rounds(&RoundsSoFar {
            done: progress.judged.valid,
            void: progress.judged.void,
            most,
            fewer_may_do: true,
            arms: &arms_so_far(comparison),
            says: &report::table::gate_so_far(progress.attempt, &progress.judged, &record.terms),
        }));
        // A line for each round tells more than one for each run.
        let mut quietly = |event: Event<'_>| {
            if !matches!(event, Event::RunDone(_)) {
                watch(event);
            }
        };
        let measured = rounds.next(comparison, &mut quietly).await?;
        if let Some(again) = &record.confirmation {
            record.first.check_targets(again.targets())?;
        }
        record.interrupted = !measured;
        if measured || !record.first.rounds().is_empty() {
            folder.write(GATE_FILE, &record.to_json())?;
        }
        if !measured {
            break;
        }
        watch(Event::RoundDone(&line(record, progress.attempt)));
    }
    Ok(())
}

/// What is measured in an attempt: the same with the draws of its own. A confirmation needs no preflight: the targets have been
/// seen to answer.
#[must_use]
pub fn attempt(request: &Request, attempt: Attempt, terms: &Terms) -> Request {
    let scenario = request.scenario.clone();
    let seed = attempt.seed(scenario.seed());
    Request {
        scenario: scenario.with_seed(seed),
        order_seed: attempt.seed(terms.seed),
        preflight: request.preflight && attempt == Attempt::First,
        ..request.clone()
    }
}

/// What the rounds of `attempt` say now, in a line.
fn line(record: &GateRecord, attempt: Attempt) -> String {
    let said = |judged| report::table::gate_round(attempt, judged, &record.terms);
    match record.next() {
        Next::Decided(decision) => decision.judged().map_or(String::new(), said),
        // The first round of a confirmation is still to come: what failed has the word.
        Next::Another(progress) if progress.attempt != attempt => {
            progress.unconfirmed.as_ref().map_or(String::new(), said)
        }
        Next::Another(progress) => said(&progress.judged),
    }
}
