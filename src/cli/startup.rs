//! `tailmark startup`: how long targets take to start, compared in rounds.

use super::Outcome;
use super::args::StartupArgs;
use super::failure::Failure;
use super::keep::Keep;
use super::report::{Outputs, print};
use super::rounds::{fair_seed, tell_apart};
use super::stage::on_stage;
use crate::data;
use crate::report::{Format, Subject};
use crate::session::shutdown::Shutdown;
use crate::session::startup::{self, Request};
use crate::session::{Stage, Terms, Watcher, place};
use crate::startup::Startups;
use crate::target_spec::{TargetSpec, TargetsFile};

pub(super) async fn startup(args: Box<StartupArgs>) -> Result<Outcome, Failure> {
    let outputs = Outputs::open(&args.saving.output, Format::OF_OTHERS)?;
    let targets = data::targets_or_nearest(args.targets.as_deref())?;
    let mut request = request(&args, targets.as_ref())?;
    let containers = &args.containers;
    containers.apply(&mut request.arms, &args.common).await?;
    let terms = Terms {
        placement: place(&args.pin, &request.arms, 0)?,
        durability: args.durability.into(),
    };
    let keep = Keep::open(&args.saving, &name(&request))?;
    let came = measure(&request, &args, terms, &keep).await;
    let (keep, startups) = keep.unless_empty(came, |came| came.rounds().is_empty())?;
    let saved = keep.keep()?;
    let options = args.common.options(saved.as_deref());
    print(Subject::Startups(&startups), &args.common, options)?;
    outputs.write(Subject::Startups(&startups))?;
    Ok(outcome(&startups))
}

async fn measure(
    request: &Request,
    args: &StartupArgs,
    terms: Terms,
    keep: &Keep,
) -> Result<Startups, Failure> {
    let folder = keep.folder();
    let work = async |stage: &Stage, shutdown: &Shutdown, watch: Watcher<'_>| {
        startup::startup(stage, request, folder, shutdown, watch).await
    };
    on_stage(&args.common, &request.arms, terms, folder.path(), work).await
}

/// What a results folder is called, beside the time: by two arms at most, for names can be long.
fn name(request: &Request) -> String {
    let names = request.arms.iter().take(2).map(|arm| arm.name.as_str());
    format!("startup-{}", names.collect::<Vec<_>>().join("-"))
}

fn outcome(startups: &Startups) -> Outcome {
    if startups.interrupted {
        Outcome::Interrupted
    } else if startups.valid_rounds().next().is_some() {
        Outcome::Done
    } else {
        Outcome::NothingMeasured
    }
}

fn request(args: &StartupArgs, targets: Option<&TargetsFile>) -> Result<Request, Failure> {
    let as_arm = |name: &String| {
        let target = TargetSpec::from_argument(name, targets)?;
        match target.is_started() {
            true => Ok(target),
            false => Err(Failure::said(
                &format!("`{name}` runs already: its start is over"),
                Some("name a target with a `command` or an `image`".into()),
            )),
        }
    };
    let mut arms = args
        .arms
        .iter()
        .map(as_arm)
        .collect::<Result<Vec<_>, Failure>>()?;
    tell_apart(&mut arms);
    Ok(Request {
        arms,
        rounds: args.rounds as usize,
        order_seed: args.order_seed.unwrap_or_else(fair_seed),
    })
}
