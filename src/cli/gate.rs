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
use super::revisions::{Built, Order, SHORT, Site, only};
use super::rounds::{self, Arms};
use super::stage::on_stage;
use crate::archive::{self, Folder, Saved};
use crate::compare::{Comparison, Metric};
use crate::data;
use crate::gate::{Build, Builds, GateRecord, Side, Terms, Verdict, Wanted};
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
    let came = came.map_err(|failure| rounds::to_go_on(failure, &keep, archive::GATE_FILE));
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
    let common = &args.of_rounds.common;
    print(subject, common, common.options(saved.as_deref()))?;
    outputs.write(subject)?;
    args.of_rounds.exporting.send(subject, &keep).await;
    // The steps of a job do not all work in one folder.
    let place = saved.as_ref().map(|_| absolute(keep.folder().path()));
    let outcome = outcome(&args, &record);
    Ci::of_this_process(args.no_ci).tell(&record, outcome, place.as_deref())?;
    Ok(outcome)
}

/// `path`, whoever reads it wherever.
fn absolute(path: &Path) -> String {
    let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    path.display().to_string()
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
            same(before, &terms, &request, builds.as_ref())?;
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
                GateRecord {
                    builds: self.builds.clone(),
                    ..GateRecord::new(self.terms.clone(), first, started)
                }
            }
        };
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

/// The baseline and the candidate as they were named; where a target is held against itself, that one twice.
fn arms(args: &GateArgs, targets: Option<&TargetsFile>) -> Result<Vec<TargetSpec>, Failure> {
    let named = |name: &String| TargetSpec::from_argument(name, targets).map_err(Failure::from);
    if args.aa.is_some() {
        let target = match args.baseline.as_ref().or(args.target.as_ref()) {
            Some(target) => named(target)?,
            None => only(targets)?.clone(),
        };
        return Ok(vec![target.clone(), target]);
    }
    if let (Some(baseline), Some(candidate)) = (&args.baseline, &args.candidate) {
        let mut arms = [named(baseline)?, named(candidate)?];
        if arms[0].name == arms[1].name {
            for (arm, side) in arms.iter_mut().zip([Side::Baseline, Side::Candidate]) {
                side.name().clone_into(&mut arm.name);
            }
        }
        return Ok(arms.to_vec());
    }
    let message = "a gate needs a baseline and a candidate";
    let hint = "--baseline-ref main, or --baseline A --candidate B".to_owned();
    Err(Failure::said(message, Some(hint)))
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
fn same(
    before: &GateRecord,
    terms: &Terms,
    request: &Request,
    builds: Option<&Builds>,
) -> Result<(), Failure> {
    if before.terms != *terms {
        return Err(rounds::another(
            "its terms (metrics, margins, alpha, beta, rounds or time)",
        ));
    }
    rounds::same_plan(&before.first.plan, &request.plan()?)?;
    match (&before.builds, builds) {
        (None, None) => Ok(()),
        (Some(before), Some(now)) => {
            same_build(Side::Baseline, &before.baseline, &now.baseline)?;
            same_build(Side::Candidate, &before.candidate, &now.candidate)
        }
        _ => Err(rounds::another(
            "how its targets are named (--baseline-ref)",
        )),
    }
}

/// Whether an arm is made of what it was made of: rounds of two builds are of neither.
fn same_build(side: Side, before: &Build, now: &Build) -> Result<(), Failure> {
    let name = side.name();
    let refused = |message: &str, remedy: &str| {
        let message = format!("--resume: the {name} {message}");
        let hint = format!("{remedy}leave out --resume to begin anew");
        Err(Failure::said(&message, Some(hint)))
    };
    let short = |text: &Option<String>| match text {
        Some(text) => text.get(..SHORT).unwrap_or(text).to_owned(),
        None => "unknown".to_owned(),
    };
    if before.revision != now.revision {
        let (was, is) = (short(&before.revision), short(&now.revision));
        let remedy = match side {
            Side::Baseline => format!("--baseline-ref {was}, or "),
            Side::Candidate => format!("check {was} out again, or "),
        };
        let message = format!("was built from revision {was}, and is now built from {is}");
        return refused(&message, &remedy);
    }
    if before.digest != now.digest {
        let (was, is) = (short(&before.digest), short(&now.digest));
        let message = format!(
            "is another program, though built from the same revision: its SHA-256 was {was}, and is {is}"
        );
        return refused(&message, "let its build come out the same each time, or ");
    }
    if before.command != now.command {
        return refused("is started by another command than it was", "");
    }
    if before.environment_digest != now.environment_digest {
        let message = "is given something else than it was: variables, stores, a seed, what runs beside it, or files that their \
                       words name";
        return refused(message, "");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::super::args::{Command, parse};
    use super::*;

    fn args(words: &str) -> Box<GateArgs> {
        let words = ["tailmark", "gate", "shop.yaml"]
            .into_iter()
            .chain(words.split(' '));
        match parse(words.map(OsString::from)).unwrap().command {
            Command::Gate(args) => args,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_gate_of_one_with_itself_has_the_baseline_twice() {
        let both = "--baseline http://127.0.0.1:1/ --candidate http://127.0.0.1:2/";
        let names = |words: &str| -> Vec<String> {
            let arms = arms(&args(words), None).unwrap();
            arms.into_iter().map(|arm| arm.name).collect()
        };
        assert_eq!(names(both), ["127.0.0.1-1", "127.0.0.1-2"]);
        let itself = format!("{both} --aa 3");
        assert_eq!(names(&itself), ["127.0.0.1-1", "127.0.0.1-1"]);
        let named = "--target http://127.0.0.1:3/ --aa 3";
        assert_eq!(names(named), ["127.0.0.1-3", "127.0.0.1-3"]);
    }

    #[test]
    fn rounds_of_other_builds_are_not_gone_on_with() {
        let build = Build {
            revision: Some("1f3a9c0d2b4e6f80".repeat(2)),
            digest: Some("a0".repeat(32)),
            command: vec!["./built".into()],
            environment_digest: Some("c2".repeat(32)),
        };
        let refused = |side, change: &dyn Fn(&mut Build)| {
            let mut now = build.clone();
            change(&mut now);
            format!("{:?}", same_build(side, &build, &now).unwrap_err())
        };
        same_build(Side::Baseline, &build, &build).unwrap();
        let moved = |now: &mut Build| now.revision = Some("9e8d7c6b5a4f3e2d".repeat(2));
        let said = refused(Side::Candidate, &moved);
        for words in [
            "--resume: the candidate was built from revision 1f3a9c0d2b4e, and is now built from 9e8d7c6b5a4f",
            "hint: check 1f3a9c0d2b4e out again, or leave out --resume to begin anew",
        ] {
            assert!(said.contains(words), "{said}");
        }
        let said = refused(Side::Baseline, &moved);
        assert!(
            said.contains("hint: --baseline-ref 1f3a9c0d2b4e, or"),
            "{said}"
        );
        let said = refused(Side::Baseline, &|now| now.digest = Some("b1".repeat(32)));
        assert!(
            said.contains("was a0a0a0a0a0a0, and is b1b1b1b1b1b1"),
            "{said}"
        );
        let said = refused(Side::Baseline, &|now| now.digest = None);
        assert!(said.contains("was a0a0a0a0a0a0, and is unknown"), "{said}");
        let said = refused(Side::Candidate, &|now| now.command.push("--fast".into()));
        assert!(
            said.contains("the candidate is started by another command"),
            "{said}"
        );
        let said = refused(Side::Candidate, &|now| now.environment_digest = None);
        assert!(
            said.contains("the candidate is given something else"),
            "{said}"
        );
    }
}
