//! What `compare` and `gate` have in common: a request for rounds, checked before anything is started.

use std::path::Path;
use std::time::Duration;

use super::args::RoundArgs;
use super::failure::Failure;
use super::keep::Keep;
use crate::compare::{Plan, Schedule};
use crate::data;
use crate::placement::Pin;
use crate::scenario::Scenario;
use crate::session::rounds::Request;
use crate::session::run::check_limits;
use crate::session::{Terms, place, watching};
use crate::target_spec::TargetSpec;

/// The warm-up of a launch where nothing else is said, and the fewest requests that it has then.
const WARMUP: Duration = Duration::from_secs(3);
const WARMUP_REQUESTS: u64 = 1_000;
/// The measured time of a launch where nothing else is said.
pub(super) const MEASURE: Duration = Duration::from_secs(5);

/// What is measured against what.
pub(super) struct Arms {
    /// What is sent.
    pub(super) scenario: Scenario,
    /// The targets, the reference first.
    pub(super) arms: Vec<TargetSpec>,
    /// How many rounds there may be.
    pub(super) rounds: usize,
    /// The seed of the order of arms that an earlier start drew; `--order-seed`, or a new one, where there was none.
    pub(super) order_seed: Option<u64>,
}

/// The scenario, with the seed that was asked for.
pub(super) fn scenario(path: &Path, seed: Option<u64>) -> Result<Scenario, Failure> {
    let scenario = data::scenario(path)?;
    Ok(match seed {
        Some(seed) => scenario.with_seed(seed),
        None => scenario,
    })
}

pub(super) fn request(args: &RoundArgs, what: Arms) -> Result<Request, Failure> {
    let Arms {
        scenario,
        mut arms,
        rounds,
        order_seed,
    } = what;
    tell_apart(&mut arms);
    let schedule = Schedule::from(args.schedule);
    if schedule == Schedule::Duet {
        check_duet(args, &arms)?;
    }
    let (scenario, given) = data::given(scenario)?;
    let mut request = Request {
        access: args.access.read(&arms.iter().collect::<Vec<_>>())?,
        scenario,
        given,
        preflight: !args.no_preflight,
        phase: args.phase.clone(),
        rate: args.rate,
        arms,
        rounds,
        schedule,
        warmup: args.warmup.unwrap_or(WARMUP),
        measure: args.measure.unwrap_or(MEASURE),
        order_seed: args.order_seed.or(order_seed).unwrap_or_else(fair_seed),
        sample_hz: args.placing.sample_hz,
        after_load: true,
    };
    if args.warmup.is_none() {
        request.lengthen_warmup(WARMUP_REQUESTS)?;
    }
    Ok(request)
}

fn check_duet(args: &RoundArgs, arms: &[TargetSpec]) -> Result<(), Failure> {
    if arms.len() != 2 {
        let message = format!("a duet has two targets, not {}", arms.len());
        return Err(Failure::said(
            &message,
            Some("leave out --schedule duet".into()),
        ));
    }
    if matches!(args.placing.pin, Pin::Lists(_)) {
        let message =
            "--schedule duet runs both targets on the same CPUs, so --pin cannot set any apart";
        return Err(Failure::said(message, Some("leave out --pin".into())));
    }
    Ok(())
}

/// Before anything is started: which phase, at which rate, whether this machine allows it, and how targets run.
pub(super) async fn check(args: &RoundArgs, request: &mut Request) -> Result<(), Failure> {
    request.plan()?;
    check_limits(&request.scenario, None)?;
    args.containers
        .apply(&mut request.arms, &args.common)
        .await?;
    Ok(watching::check(&request.arms, args.placing.sample_hz).await?)
}

/// On which terms the stage of `request` stands.
pub(super) fn stage_terms(args: &RoundArgs, request: &Request) -> Result<Terms, Failure> {
    let pin = match request.schedule {
        Schedule::Interleave => &args.placing.pin,
        // Who shares the machine shares its cores.
        Schedule::Duet => &Pin::None,
    };
    Ok(Terms {
        placement: place(pin, &request.arms, request.workers()?)?,
        durability: args.placing.durability.into(),
    })
}

/// Whether what is asked for is what `before` began: rounds of something else cannot be added to it.
pub(super) fn same_plan(before: &Plan, now: &Plan) -> Result<(), Failure> {
    let differs = [
        (
            "its scenario",
            before.scenario.digest != now.scenario.digest,
        ),
        ("its seed", before.scenario.seed != now.scenario.seed),
        (
            "the order of its arms (--order-seed)",
            before.order_seed != now.order_seed,
        ),
        (
            "its phase",
            before.phase != now.phase || before.arrivals != now.arrivals,
        ),
        ("its rate", before.rate != now.rate),
        ("its schedule", before.schedule != now.schedule),
        ("its warm-up", before.warmup_ns != now.warmup_ns),
        ("its measured time", before.measure_ns != now.measure_ns),
        ("its targets", before.arms != now.arms),
        ("its number of rounds", before.rounds != now.rounds),
    ];
    match differs.into_iter().find(|(_, differs)| *differs) {
        Some((what, _)) => Err(another(what)),
        None => Ok(()),
    }
}

/// The same failure, and how to go on after it, where `keep` has rounds by now: `file` is written after each.
pub(super) fn to_go_on(failure: Failure, keep: &Keep, file: &str) -> Failure {
    match keep {
        Keep::Saved { folder, .. } if folder.path().join(file).is_file() => {
            failure.with_hint(&format!(
                "the rounds before it are saved: once it is mended, the same command line goes on with them by --resume {}",
                folder.path().display()
            ))
        }
        Keep::Saved { .. } | Keep::Passing { .. } => failure,
    }
}

/// What cannot be gone on with.
pub(super) fn another(what: &str) -> Failure {
    let message = format!("--resume: what was begun differs in {what}");
    Failure::said(
        &message,
        Some("repeat the command line of the first start, and add --resume".into()),
    )
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
