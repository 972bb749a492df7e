//! `tailmark compare`: several targets, measured in rounds.

use std::path::Path;

use super::Outcome;
use super::args::CompareArgs;
use super::failure::Failure;
use super::keep::Keep;
use super::report::{Outputs, print};
use super::revisions::{Built, Order, Site};
use super::rounds::{self, Arms, MEASURE};
use super::run::{TIMEOUT, URL_RATE};
use super::stage::on_stage;
use crate::archive::{self, Saved};
use crate::compare::Comparison;
use crate::data;
use crate::report::{Format, Subject};
use crate::scenario::{Arrivals, Connections, LoadModel, Scenario, UrlRun};
use crate::session::rounds::{Request, Rounds, compare as measure};
use crate::session::shutdown::Shutdown;
use crate::session::{Stage, Watcher};
use crate::stats::fewest_per_round;
use crate::target_spec::{TargetKind, TargetSpec, TargetsFile};
use crate::units::{Quantile, Rate, format_duration};

pub(super) async fn compare(args: Box<CompareArgs>) -> Result<Outcome, Failure> {
    let outputs = Outputs::open(&args.of_rounds.saving.output, Format::OF_COMPARISON)?;
    let (scenario, arms, _built) = what(&args).await?;
    let (mut request, before) = request(&args, scenario, arms)?;
    rounds::check(&args.of_rounds, &mut request).await?;
    let name = format!("compare-{}", request.scenario.name());
    let keep = Keep::open_or_resume(
        &args.of_rounds.saving,
        &name,
        args.of_rounds.resume.as_deref(),
    )?;
    let came = run(&request, &args, before, &keep).await;
    let came = came.map_err(|failure| rounds::to_go_on(failure, &keep, archive::COMPARE_FILE));
    let (keep, comparison) = keep.unless_empty(came, |came| came.rounds().is_empty())?;
    let saved = keep.keep()?;
    let subject = Subject::Comparison(&comparison);
    let common = &args.of_rounds.common;
    print(subject, common, common.options(saved.as_deref()))?;
    outputs.write(subject)?;
    args.of_rounds.exporting.send(subject, &keep).await;
    Ok(outcome(&comparison))
}

async fn run(
    request: &Request,
    args: &CompareArgs,
    before: Option<Comparison>,
    keep: &Keep,
) -> Result<Comparison, Failure> {
    let folder = keep.folder();
    let work = async |stage: &Stage, shutdown: &Shutdown, watch: Watcher<'_>| {
        let rounds = Rounds {
            stage,
            request,
            folder,
            shutdown,
            most: request.rounds,
        };
        measure(&rounds, before, watch).await
    };
    let terms = rounds::stage_terms(&args.of_rounds, request)?;
    let common = &args.of_rounds.common;
    on_stage(common, &request.arms, terms, folder.path(), work).await
}

fn outcome(comparison: &Comparison) -> Outcome {
    if comparison.interrupted {
        Outcome::Interrupted
    } else if !comparison.has_ok() {
        Outcome::NothingMeasured
    } else if comparison.is_invalid() {
        Outcome::Invalid
    } else {
        Outcome::Done
    }
}

/// What is to be measured, and what of it was measured before.
fn request(
    args: &CompareArgs,
    scenario: Scenario,
    arms: Vec<TargetSpec>,
) -> Result<(Request, Option<Comparison>), Failure> {
    let before = args.of_rounds.resume.as_deref().map(saved).transpose()?;
    let order_seed = before.as_ref().map(|before| before.plan.order_seed);
    let mut request = rounds::request(
        &args.of_rounds,
        Arms {
            scenario,
            arms,
            rounds: args.rounds as usize,
            order_seed,
        },
    )?;
    if args.of_rounds.measure.is_none() {
        request.lengthen(fewest_per_round(Quantile::P99))?;
        if request.measure > MEASURE {
            let words = format!(
                "note: each launch is measured for {}, as long as a p99 takes at {} (--measure says otherwise)",
                format_duration(request.measure),
                request.plan()?.rate
            );
            args.of_rounds.common.say(&words);
        }
    }
    if let Some(most) = args.max_time {
        // Fixed before the start: a comparison that ended when it looked good would be none.
        let fit = (most.as_secs_f64() / request.round_time().as_secs_f64()) as usize;
        request.rounds = request.rounds.min(fit.max(1));
    }
    if let Some(before) = &before {
        rounds::same_plan(&before.plan, &request.plan()?)?;
    }
    Ok((request, before))
}

/// What is sent, the arms, and where those of them are that had to be built.
async fn what(args: &CompareArgs) -> Result<(Scenario, Vec<TargetSpec>, Option<Built>), Failure> {
    let targets = data::targets_or_nearest(args.of_rounds.targets.as_deref())?;
    let targets = targets.as_ref();
    let [scenario, arms @ ..] = args.what.as_slice() else {
        return Err(Failure::said("nothing to compare", None));
    };
    if scenario.contains("://") {
        let arms = args.what.iter().map(|name| named(name, targets));
        let arms = several(arms.collect::<Result<_, _>>()?)?;
        return Ok((request_of(args, &arms)?, arms, None));
    }
    if !Path::new(scenario).is_file() && named(scenario, targets).is_ok() {
        let hint = "tailmark compare SCENARIO A B: name a scenario file first";
        return Err(Failure::said(
            &format!("`{scenario}` is a target, not a scenario"),
            Some(hint.into()),
        ));
    }
    let arms = several(arms.iter().collect())?;
    // What is wrong with the scenario is said before anything is built.
    let scenario = rounds::scenario(Path::new(scenario), args.of_rounds.seed)?;
    let at: Vec<(&str, &str)> = arms
        .iter()
        .filter_map(|arm| TargetSpec::at_revision(arm))
        .collect();
    let built = match at.is_empty() {
        true => None,
        false => Some(build(args, &at).await?),
    };
    let mut of_revisions = built.iter().flat_map(|built| &built.arms);
    let arms = arms.into_iter().map(|arm| {
        let built = TargetSpec::at_revision(arm).and_then(|_| of_revisions.next());
        built.map_or_else(|| named(arm, targets), |built| Ok(built.clone()))
    });
    let arms = arms.collect::<Result<_, _>>()?;
    Ok((scenario, arms, built))
}

fn named(name: &str, targets: Option<&TargetsFile>) -> Result<TargetSpec, Failure> {
    Ok(TargetSpec::from_argument(name, targets)?)
}

/// Builds each target at its revision, all at one path.
async fn build(args: &CompareArgs, at: &[(&str, &str)]) -> Result<Built, Failure> {
    let site = Site::of(&args.of_rounds)?;
    let mut orders = Vec::new();
    for &(target, revision) in at {
        orders.push(Order {
            name: TargetSpec::name_at(target, revision),
            target: Some(target),
            commit: site.commit(revision)?,
        });
    }
    let common = &args.of_rounds.common;
    let built = site.build(&orders, common).await?;
    for (place, build) in built.builds.iter().enumerate() {
        let same = built.builds[..place]
            .iter()
            .position(|other| build.is_same(other));
        if let Some(same) = same {
            common.say(&format!(
                "note: {} and {} are one program, called alike: whatever differs between them is chance",
                orders[same].name, orders[place].name
            ));
        }
    }
    Ok(built)
}

fn several<T>(arms: Vec<T>) -> Result<Vec<T>, Failure> {
    if arms.len() < 2 {
        let hint = "tailmark compare SCENARIO A B, or compare URL URL: name two targets or more";
        return Err(Failure::said(
            "a comparison needs two targets",
            Some(hint.into()),
        ));
    }
    Ok(arms)
}

/// The one request of URLs that are compared without a scenario: the same of each.
fn request_of(args: &CompareArgs, arms: &[TargetSpec]) -> Result<Scenario, Failure> {
    let path = |arm: &TargetSpec| match &arm.kind {
        TargetKind::Url(url) => Some(url.path_and_query().to_owned()),
        TargetKind::Command(_) | TargetKind::Image(_) => None,
    };
    let first = path(&arms[0]).unwrap_or_default();
    if let Some((arm, other)) = arms
        .iter()
        .filter_map(|arm| Some((arm, path(arm)?)))
        .find(|(_, other)| *other != first)
    {
        let message = format!(
            "{} asks for {other}, and {} for {first}",
            arm.name, arms[0].name
        );
        let hint = "all arms are sent the same: give their URLs one path, or write a scenario";
        return Err(Failure::said(&message, Some(hint.into())));
    }
    let rounds = &args.of_rounds;
    if rounds.rate.is_none() {
        let words = format!("note: {URL_RATE}/s, since no --rate says otherwise");
        rounds.common.say(&words);
    }
    let rate = Rate::per_second_of(URL_RATE).expect("the constant is a valid rate");
    Ok(Scenario::for_url(&UrlRun {
        method: "GET".into(),
        path: first,
        headers: Vec::new(),
        body: None,
        model: LoadModel::Open {
            rate: rounds.rate.unwrap_or(rate),
            arrivals: Arrivals::Constant,
        },
        duration: rounds.measure.unwrap_or(MEASURE),
        warmup: None,
        timeout: TIMEOUT,
        connections: Connections::default(),
        seed: rounds.seed.unwrap_or(1),
    })?)
}

fn saved(folder: &Path) -> Result<Comparison, Failure> {
    match archive::read(folder)? {
        Saved::Comparison(text) => Comparison::from_json(&text)
            .map_err(|error| Failure::new(&format!("reading {}", folder.display()), &error)),
        Saved::Run(_) | Saved::Gate(_) | Saved::Startups(_) => Err(Failure::said(
            &format!("{} holds no comparison", folder.display()),
            Some("--resume takes the folder that a comparison said it saved".into()),
        )),
    }
}
