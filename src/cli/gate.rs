//! `tailmark gate`: whether a candidate is slower than a baseline by more than is allowed.

mod against;
mod itself;

use std::path::Path;
use std::time::Duration;

use super::Outcome;
use super::args::{Common, GateArgs, PassOrFail};
use super::ci::Ci;
use super::failure::Failure;
use super::keep::Keep;
use super::report::{Outputs, print};
use super::revisions::{Built, Order, Site, only};
use super::rounds::{self, Arms};
use super::stage::on_stage;
use crate::archive::{self, Folder, Saved};
use crate::compare::{Comparison, Metric};
use crate::data;
use crate::gate::{Builds, GateRecord, Side, Terms, Verdict, Wanted};
use crate::machine;
use crate::report::junit::Leniency;
use crate::report::{Format, Subject, table};
use crate::session::gate::gate as measure;
use crate::session::rounds::Request;
use crate::session::shutdown::Shutdown;
use crate::session::{Stage, Watcher};
use crate::stats::fewest_per_round;
use crate::target_spec::{TargetSpec, TargetsFile};
use crate::threshold::MemoryFigure;

pub(super) async fn gate(args: Box<GateArgs>) -> Result<Outcome, Failure> {
    let formats = match (&args.against, args.aa) {
        (Some(_), _) => Format::OF_COMPARISON,
        (None, Some(_)) => Format::OF_OTHERS,
        (None, None) => Format::OF_GATE,
    };
    let outputs = Outputs::open(&args.of_rounds.saving.output, formats)?;
    if args.against.is_some() {
        return against::against(&args, outputs).await;
    }
    let prepared = Prepared::new(&args).await?;
    if args.aa.is_some() {
        return itself::itself(&args, prepared, outputs).await;
    }
    let keep = prepared.keep(&args)?;
    let came = prepared.decide(&args, keep.folder()).await;
    let (keep, record) = keep.unless_empty(came, |came| {
        came.interrupted && came.first.rounds().is_empty()
    })?;
    keep.folder().write(archive::GATE_FILE, &record.to_json())?;
    let saved = keep.keep()?;
    let leniency = Leniency {
        inconclusive_fails: args.on_inconclusive == PassOrFail::Fail,
        invalid_passes: args.on_invalid == PassOrFail::Pass,
    };
    let subject = Subject::Gate(&record, leniency);
    outputs.write(subject)?;
    let common = &args.of_rounds.common;
    print(subject, common, common.options(saved.as_deref()))?;
    args.of_rounds.exporting.send(subject, &keep).await;
    Ci::of_this_process(args.no_ci).tell(&record, saved.as_deref())?;
    Ok(outcome(&args, &record))
}

/// Everything that is known before the first round.
pub(super) struct Prepared {
    pub(super) request: Request,
    pub(super) terms: Terms,
    pub(super) builds: Option<Builds>,
    before: Option<GateRecord>,
    round_time: Duration,
    /// Where revisions were built.
    _built: Option<Built>,
}

impl Prepared {
    async fn new(args: &GateArgs) -> Result<Self, Failure> {
        let rounds = &args.of_rounds;
        let targets = data::targets_or_nearest(rounds.targets.as_deref())?;
        // What is wrong with the scenario is said before anything is built.
        let scenario = rounds::scenario(&args.scenario, rounds.seed)?;
        let mut built = None;
        let arms = match &args.baseline_ref {
            None => arms(args, targets.as_ref())?,
            Some(reference) => {
                let both = both(&Site::of(rounds)?, args, reference, &rounds.common).await?;
                built.insert(both).arms.clone()
            }
        };
        let before = match &rounds.resume {
            Some(folder) => Some(saved(folder)?),
            None => None,
        };
        let order_seed = before.as_ref().map(|record| record.terms.seed);
        let mut request = rounds::request(
            rounds,
            Arms {
                scenario,
                arms,
                rounds: args.max_rounds as usize,
                order_seed,
            },
        )?;
        request.after_load = args
            .metric
            .contains(&Metric::Memory(MemoryFigure::AfterIdle));
        request.lengthen(fewest_requests(&args.metric))?;
        let round_time = request.round_time();
        let terms = Terms::new(Wanted {
            metrics: args.metric.clone(),
            allowed: args.allowed,
            ruled_out: args.ruled_out,
            alpha: args.alpha,
            beta: args.beta,
            max_rounds: args.max_rounds as usize,
            max_time: args.max_time,
            round_time,
            seed: request.order_seed,
            confirm: !args.no_confirm,
        })?;
        request.rounds = terms.looks.last();
        let builds = built.as_ref().and_then(|built| {
            let [baseline, candidate] = built.builds.clone().try_into().ok()?;
            Some(Builds {
                baseline,
                candidate,
            })
        });
        if let Some(before) = &before {
            same(before, &terms, &request)?;
        }
        rounds::check(rounds, &mut request).await?;
        Ok(Self {
            request,
            terms,
            builds,
            before,
            round_time,
            _built: built,
        })
    }

    fn keep(&self, args: &GateArgs) -> Result<Keep, Failure> {
        let name = format!("gate-{}", self.request.scenario.name());
        Keep::open_or_resume(
            &args.of_rounds.saving,
            &name,
            args.of_rounds.resume.as_deref(),
        )
    }

    /// Another order of arms, for another gate.
    fn draw_again(&mut self, seed: u64) {
        (self.request.order_seed, self.terms.seed) = (seed, seed);
    }

    /// Measures until it is decided.
    async fn decide(&self, args: &GateArgs, folder: &Folder) -> Result<GateRecord, Failure> {
        let begun = std::time::Instant::now();
        let mut record = match &self.before {
            Some(before) => before.clone(),
            None => {
                let (started, _) = machine::utc_now();
                let first = Comparison::new(self.request.plan()?, started.clone());
                GateRecord::new(self.terms.clone(), first, started)
            }
        };
        record.builds.clone_from(&self.builds);
        let same = record.builds.as_ref().is_some_and(Builds::are_same);
        if !same {
            let plan = table::gate_plan(&record.first.plan, &record.terms, self.round_time);
            args.of_rounds.common.say(&plan);
            let gate = &mut record;
            let work = async |stage: &Stage, shutdown: &Shutdown, watch: Watcher<'_>| {
                measure(stage, &self.request, gate, folder, shutdown, watch).await
            };
            let terms = rounds::stage_terms(&args.of_rounds, &self.request)?;
            on_stage(
                &args.of_rounds.common,
                &self.request.arms,
                terms,
                folder.path(),
                work,
            )
            .await?;
        }
        let spent = crate::units::nanoseconds(begun.elapsed());
        record.elapsed_ns = Some(record.elapsed_ns.unwrap_or(0).saturating_add(spent));
        Ok(record)
    }
}

/// The requests that a round needs so that each of `metrics` can be read.
fn fewest_requests(metrics: &[Metric]) -> u64 {
    let needed = metrics.iter().map(|metric| match metric {
        Metric::Response(quantile) => fewest_per_round(*quantile),
        _ => 0,
    });
    needed.max().unwrap_or(0)
}

/// The exit code of a gate.
fn outcome(args: &GateArgs, record: &GateRecord) -> Outcome {
    let fails = |wish| wish == PassOrFail::Fail;
    match record.decision().map(|decision| decision.verdict) {
        None => Outcome::Interrupted,
        Some(Verdict::Pass) => Outcome::Done,
        Some(Verdict::Fail) => Outcome::Wrong,
        Some(Verdict::Inconclusive) if fails(args.on_inconclusive) => Outcome::Inconclusive,
        Some(Verdict::Invalid) if fails(args.on_invalid) => Outcome::Invalid,
        Some(Verdict::Inconclusive | Verdict::Invalid) => Outcome::Done,
    }
}

/// The baseline and the candidate as they were named.
fn arms(args: &GateArgs, targets: Option<&TargetsFile>) -> Result<Vec<TargetSpec>, Failure> {
    let named = |name: &String| TargetSpec::from_argument(name, targets).map_err(Failure::from);
    if let (Some(baseline), Some(candidate)) = (&args.baseline, &args.candidate) {
        let mut arms = [named(baseline)?, named(candidate)?];
        if arms[0].name == arms[1].name {
            for (arm, side) in arms.iter_mut().zip([Side::Baseline, Side::Candidate]) {
                side.name().clone_into(&mut arm.name);
            }
        }
        return Ok(arms.to_vec());
    }
    if args.aa.is_none() {
        let message = "a gate needs a baseline and a candidate";
        let hint = "--baseline-ref main, or --baseline A --candidate B".to_owned();
        return Err(Failure::said(message, Some(hint)));
    }
    let target = match &args.target {
        Some(target) => named(target)?,
        None => only(targets)?.clone(),
    };
    Ok(vec![target.clone(), target])
}

/// The target as it was where HEAD left `reference`, and as it is in HEAD.
async fn both(
    site: &Site<'_>,
    args: &GateArgs,
    reference: &str,
    common: &Common,
) -> Result<Built, Failure> {
    let commits = site.commits(reference)?;
    let order = |side: Side, commit| Order {
        name: side.name().to_owned(),
        target: args.target.as_deref(),
        commit,
    };
    let orders = [
        order(Side::Baseline, commits.baseline),
        order(Side::Candidate, commits.candidate),
    ];
    site.build(&orders, common).await
}

fn saved(folder: &Path) -> Result<GateRecord, Failure> {
    match archive::read(folder)? {
        Saved::Gate(text) => GateRecord::from_json(&text)
            .map_err(|error| Failure::new(&format!("reading {}", folder.display()), &error)),
        Saved::Run(_) | Saved::Comparison(_) | Saved::Startups(_) => Err(Failure::said(
            &format!("{} holds no gate", folder.display()),
            Some("--resume takes the folder that a gate said it saved".into()),
        )),
    }
}

/// Whether what is asked for is what `before` began.
fn same(before: &GateRecord, terms: &Terms, request: &Request) -> Result<(), Failure> {
    if before.terms != *terms {
        return Err(rounds::another(
            "its terms (metrics, margins, alpha, beta, rounds or time)",
        ));
    }
    rounds::same_plan(&before.first.plan, &request.plan()?)
}
