//! `tailmark gate --against DIR`: one more measurement beside those of other days. It is advice: it fails nothing.

use std::path::Path;

use super::super::args::GateArgs;
use super::super::failure::Failure;
use super::super::keep::Keep;
use super::super::report::Outputs;
use super::super::rounds::{self, Arms};
use super::super::stage::on_stage;
use super::{Outcome, fewest_requests, only};
use crate::archive::{self, Saved};
use crate::compare::{Comparison, Metric};
use crate::data;
use crate::gate::{FEWEST_SESSIONS, GateRecord, Session, against as advise};
use crate::report::{Subject, table};
use crate::session::rounds::{Rounds, compare as measure};
use crate::session::shutdown::Shutdown;
use crate::session::{Stage, Watcher};
use crate::target_spec::TargetSpec;

/// Rounds of one arm: as many as a gate has before its first look.
const ROUNDS: usize = 10;

/// Measures the target, and says whether past results let it be expected.
pub(super) async fn against(args: &GateArgs, outputs: Outputs) -> Result<Outcome, Failure> {
    let of_rounds = &args.of_rounds;
    let folder = args.against.as_deref().expect("the caller has seen it");
    let targets = data::targets_or_nearest(of_rounds.targets.as_deref())?;
    let arm = match &args.target {
        Some(target) => TargetSpec::from_argument(target, targets.as_ref())?,
        None => only(targets.as_ref())?.clone(),
    };
    let past = comparisons(folder)?;
    let mut request = rounds::request(
        of_rounds,
        Arms {
            scenario: rounds::scenario(&args.scenario, of_rounds.seed)?,
            arms: vec![arm],
            rounds: ROUNDS.min(args.max_rounds as usize),
            order_seed: None,
        },
    )?;
    request.lengthen(fewest_requests(&args.metric))?;
    rounds::check(of_rounds, &mut request).await?;
    let keep = Keep::open(
        &of_rounds.saving,
        &format!("compare-{}", request.scenario.name()),
    )?;
    let place = keep.folder();
    let work = async |stage: &Stage, shutdown: &Shutdown, watch: Watcher<'_>| {
        let rounds = Rounds {
            stage,
            request: &request,
            folder: place,
            shutdown,
            most: request.rounds,
        };
        measure(&rounds, None, watch).await
    };
    let terms = rounds::stage_terms(of_rounds, &request)?;
    let arms = &request.arms;
    let measured = on_stage(&of_rounds.common, arms, terms, place.path(), work).await;
    let (keep, comparison) = keep.unless_empty(measured, |came| came.interrupted)?;
    let saved = keep.keep()?;
    outputs.write(Subject::Comparison(&comparison))?;
    let advice: Vec<_> = args
        .metric
        .iter()
        .map(|&metric| (metric, advice(args, &comparison, &past, metric)))
        .collect();
    if of_rounds.common.json {
        of_rounds.common.print(&comparison.to_json())?;
        of_rounds.common.say(&table::advice(&advice, &comparison));
    } else {
        let options = of_rounds.common.options(saved.as_deref());
        let text = table::compare(&comparison, &options) + &table::advice(&advice, &comparison);
        of_rounds.common.print(&text)?;
    }
    let subject = Subject::Comparison(&comparison);
    of_rounds.exporting.send(subject, &keep).await;
    Ok(Outcome::Done)
}

fn advice(
    args: &GateArgs,
    comparison: &Comparison,
    past: &[Comparison],
    metric: Metric,
) -> Option<crate::gate::Advice> {
    let new = Session::of(comparison, 0, metric)?;
    let name = &comparison.plan.arms[0];
    let past: Vec<Session> = past
        .iter()
        .flat_map(|past| {
            let arms = past.plan.arms.iter().enumerate();
            arms.filter(|(_, arm)| *arm == name)
                .filter_map(|(arm, _)| Session::of(past, arm, metric))
        })
        .collect();
    Some(advise(&new, &past, args.allowed, args.alpha))
}

/// The comparisons and gates that are saved in folders of `folder`; what cannot be read is no help.
fn comparisons(folder: &Path) -> Result<Vec<Comparison>, Failure> {
    let failed = |error: std::io::Error| {
        Failure::new(&format!("reading {}", folder.display()), &error).with_hint(&format!(
            "--against takes a results folder with {FEWEST_SESSIONS} results or more"
        ))
    };
    let entries = std::fs::read_dir(folder).map_err(failed)?;
    let folders = entries.flatten().map(|entry| entry.path());
    // `latest` is one of the others.
    let saved = folders.filter(|path| path.is_dir() && !path.is_symlink());
    Ok(saved
        .filter_map(|path| match archive::read(&path).ok()? {
            Saved::Comparison(text) => Comparison::from_json(&text).ok(),
            Saved::Gate(text) => GateRecord::from_json(&text).ok().map(|gate| gate.first),
            Saved::Run(_) | Saved::Startups(_) => None,
        })
        .collect())
}
