//! `tailmark compare`: several targets, measured in rounds.

use std::path::Path;

use super::args::CompareArgs;
use super::failure::Failure;
use super::keep::Keep;
use super::stage::on_stage;
use super::{Outcome, report};
use crate::compare::Comparison;
use crate::data;
use crate::session::rounds::{self, Request};
use crate::session::run::check_limits;
use crate::session::shutdown::Shutdown;
use crate::session::{Stage, Terms, Watcher, place};
use crate::target_spec::{TargetSpec, TargetsFile};

pub(super) async fn compare(args: Box<CompareArgs>) -> Result<Outcome, Failure> {
    let outputs = report::Outputs::open(&args.saving.output)?;
    let targets = data::targets_or_nearest(args.targets.as_deref())?;
    let mut request = request(&args, targets.as_ref())?;
    // Before anything is started: which phase, at which rate, and whether this machine allows it.
    request.plan()?;
    check_limits(&request.scenario, None)?;
    let arms = &mut request.arms;
    args.containers.apply(arms, &args.common).await?;
    let terms = Terms {
        placement: place(&args.placing.pin, &request.arms, request.workers()?)?,
        durability: args.placing.durability.into(),
    };
    let keep = Keep::open(
        &args.saving,
        &format!("compare-{}", request.scenario.name()),
    )?;
    let comparison = match measure(&request, &args, terms, &keep).await {
        Ok(comparison) if !comparison.rounds().is_empty() => comparison,
        Ok(_) => {
            keep.give_up();
            return Err(Failure::interrupted());
        }
        Err(failure) => {
            keep.give_up();
            return Err(failure);
        }
    };
    let saved = keep.keep()?;
    outputs.write(&comparison.to_json())?;
    let options = crate::report::Options {
        saved: saved.as_deref(),
        ..args.common.table()
    };
    let text = if args.common.json {
        comparison.to_json()
    } else {
        crate::report::table::compare(&comparison, &options)
    };
    args.common.print(&text)?;
    Ok(outcome(&comparison))
}

async fn measure(
    request: &Request,
    args: &CompareArgs,
    terms: Terms,
    keep: &Keep,
) -> Result<Comparison, Failure> {
    let folder = keep.folder();
    let work = async |stage: &Stage, shutdown: &Shutdown, watch: Watcher<'_>| {
        rounds::compare(stage, request, folder, shutdown, watch).await
    };
    on_stage(&args.common, &request.arms, terms, folder.path(), work).await
}

fn outcome(comparison: &Comparison) -> Outcome {
    if comparison.interrupted {
        Outcome::Interrupted
    } else if comparison.has_ok() {
        Outcome::Done
    } else {
        Outcome::NothingMeasured
    }
}

fn request(args: &CompareArgs, targets: Option<&TargetsFile>) -> Result<Request, Failure> {
    let [scenario, arms @ ..] = args.what.as_slice() else {
        return Err(Failure::said("nothing to compare", None));
    };
    let as_arm = |name: &String| TargetSpec::from_argument(name, targets).map_err(Failure::from);
    if !Path::new(scenario).is_file() && as_arm(scenario).is_ok() {
        let hint = "tailmark compare SCENARIO A B: name a scenario file first";
        return Err(Failure::said(
            &format!("`{scenario}` is a target, not a scenario"),
            Some(hint.into()),
        ));
    }
    let mut arms = arms.iter().map(as_arm).collect::<Result<Vec<_>, _>>()?;
    if arms.len() < 2 {
        let hint = "tailmark compare SCENARIO A B: name two targets or more";
        return Err(Failure::said(
            "a comparison needs two targets",
            Some(hint.into()),
        ));
    }
    tell_apart(&mut arms);
    let mut scenario = data::scenario(Path::new(scenario))?;
    if let Some(seed) = args.seed {
        scenario = scenario.with_seed(seed);
    }
    let (scenario, given) = data::given(scenario)?;
    Ok(Request {
        access: args.access.read(&arms.iter().collect::<Vec<_>>())?,
        scenario,
        given,
        preflight: !args.no_preflight,
        phase: args.phase.clone(),
        rate: args.rate,
        arms,
        rounds: args.rounds as usize,
        warmup: args.warmup,
        measure: args.measure,
        order_seed: args.order_seed.unwrap_or_else(fair_seed),
        sample_hz: args.placing.sample_hz,
    })
}

/// Gives an arm that is named twice (a target against itself) a name of its own: `axum`, `axum-2`.
pub(super) fn tell_apart(arms: &mut [TargetSpec]) {
    for place in 1..arms.len() {
        let (before, rest) = arms.split_at_mut(place);
        let name = rest[0].name.clone();
        let mut number = 2;
        while before.iter().any(|arm| arm.name == rest[0].name) {
            rest[0].name = format!("{name}-{number}");
            number += 1;
        }
    }
}

/// Entropy from the system: the order of arms has to be a fair coin. Below 2^53, so that every reader of JSON keeps it.
pub(super) fn fair_seed() -> u64 {
    uuid::Uuid::new_v4().as_u64_pair().0 >> 11
}
