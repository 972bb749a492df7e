//! Several targets launched in turn, round by round, without load: how long each takes to start, and what it holds then.

use std::time::{Duration, Instant};

use tokio::time::sleep;

use super::run::launch_closely;
use super::shutdown::Shutdown;
use super::{SessionError, Stage, Watcher};
use crate::archive::{Folder, STARTUP_FILE};
use crate::compare::{self, MemoryKind};
use crate::event::{Event, RunDone};
use crate::machine::{self, Pressure};
use crate::probe::{Probe, Subject};
use crate::run_record::TargetIdentity;
use crate::run_record::resources::Memory;
use crate::startup::{Figures, IdleMemory, Launch, Plan, Shipped, Size, Startups, Took};
use crate::stores::Stores;
use crate::target::{self, Target};
use crate::target_spec::TargetSpec;
use crate::units::{mib, nanoseconds, three_digits};
use crate::validity::State;

/// How long a target rests when it is ready, before its memory is read: as in the rounds of a comparison.
pub const REST: Duration = Duration::from_secs(1);

/// Readings of memory per second: the idle figure is the median of those of the rest.
const HZ: u32 = 20;

/// What to launch, and how often.
#[derive(Debug, Clone)]
pub struct Request {
    /// The targets, the reference first. All are tailmark's to start.
    pub arms: Vec<TargetSpec>,
    /// Rounds; in each, every target is launched once.
    pub rounds: usize,
    /// The seed of the arms' order.
    pub order_seed: u64,
}

/// Launches every arm once for nothing, so that all of them find their files in memory, and then once in every round, saving
/// what there is in `folder` after each.
///
/// An interrupt ends it after the rounds that are complete; the result says so.
///
/// # Errors
/// When a target, its stores or the probe fail. What was started is stopped.
pub async fn startup(
    stage: &Stage,
    request: &Request,
    folder: &Folder,
    shutdown: &Shutdown,
    watch: Watcher<'_>,
) -> Result<Startups, SessionError> {
    let begun = Instant::now();
    let (started, _) = machine::utc_now();
    let plan = Plan {
        arms: request.arms.iter().map(|arm| arm.name.clone()).collect(),
        rounds: request.rounds,
        order_seed: request.order_seed,
        rest_ns: nanoseconds(REST),
    };
    let mut startups = Startups::new(plan, started);
    for number in 0..=request.rounds {
        let order = match number {
            0 => (0..request.arms.len()).collect(),
            number => compare::order(request.order_seed, number, request.arms.len()),
        };
        let launched = round(stage, request, number, &order, folder, shutdown, watch).await;
        let launched = match launched {
            Err(SessionError::Interrupted(_)) => {
                startups.interrupted = true;
                break;
            }
            launched => launched?,
        };
        let (launches, targets): (Vec<Launch>, Vec<TargetIdentity>) = launched.into_iter().unzip();
        if number == 0 {
            let mut environment = machine::describe();
            let mut stores = request.arms.iter().map(|arm| stage.stores_for(arm));
            let stores = stores.find_map(|stores| stores.map(Stores::settings));
            environment.stores = stores.unwrap_or_default();
            startups.describe(targets, environment);
            continue;
        }
        startups.add_round(order, launches)?;
        startups.elapsed_ns = Some(nanoseconds(begun.elapsed()));
        folder.write(STARTUP_FILE, &startups.to_json())?;
    }
    if startups.interrupted && !startups.rounds().is_empty() {
        folder.write(STARTUP_FILE, &startups.to_json())?;
    }
    Ok(startups)
}

/// Launches every arm once, in `order`; what came of it, in the arms' own order.
async fn round(
    stage: &Stage,
    request: &Request,
    number: usize,
    order: &[usize],
    folder: &Folder,
    shutdown: &Shutdown,
    watch: Watcher<'_>,
) -> Result<Vec<(Launch, TargetIdentity)>, SessionError> {
    let mut launched = Vec::new();
    for &arm in order {
        let spec = &request.arms[arm];
        let (launch, target) = once(stage, spec, folder, shutdown, watch).await?;
        if number > 0 {
            watch(Event::RunDone(&RunDone {
                round: number,
                rounds: request.rounds,
                arm: &spec.name,
                result: &in_few_words(&launch),
            }));
        }
        launched.push((arm, (launch, target)));
    }
    launched.sort_by_key(|(arm, _)| *arm);
    Ok(launched.into_iter().map(|(_, launch)| launch).collect())
}

/// One launch, from stores of its own to its end.
async fn once(
    stage: &Stage,
    spec: &TargetSpec,
    folder: &Folder,
    shutdown: &Shutdown,
    watch: Watcher<'_>,
) -> Result<(Launch, TargetIdentity), SessionError> {
    let pressure = Pressure::watch();
    let launched = launch_closely(stage, spec, folder.path(), shutdown, watch).await;
    let (target, lease) = launched?;
    let size = size(&target);
    let memory = match subject(&target) {
        Some(subject) => {
            watch(Event::Step(&format!("letting {} rest", spec.name)));
            let probe = Probe::watch(subject, HZ)?;
            shutdown.unless_requested(sleep(REST)).await?;
            probe.idle();
            idle(&probe.finish().memory)
        }
        None => None,
    };
    let (steal, throttled_ns) = pressure.since();
    let start = target.start();
    let figures = Figures {
        engine_ns: start.and_then(|start| start.engine).map(nanoseconds),
        listening: start.and_then(|start| start.listening).map(took),
        first_ok: start.and_then(|start| start.answered).map(took),
        memory,
        size,
    };
    watch(Event::Step(&format!("stopping {}", spec.name)));
    let mut identity = target.identity().clone();
    identity.exit = target.stop().await?.map(|exit| exit.to_string());
    stage.release(spec, lease).await?;
    Ok((Launch::judged(figures, steal, throttled_ns), identity))
}

fn took(took: target::Took) -> Took {
    Took {
        ns: nanoseconds(took.time),
        blind_ns: nanoseconds(took.blind),
    }
}

fn subject(target: &Target) -> Option<Subject> {
    match target.container() {
        Some(container) => Some(Subject::Container(container.clone())),
        None => target.pid().map(Subject::Process),
    }
}

/// The idle memory in the meaning that compares: a container's working set, a process's resident set.
fn idle(memory: &Memory) -> Option<IdleMemory> {
    let (kind, series) = match (&memory.working_set, &memory.rss) {
        (Some(series), _) => (MemoryKind::WorkingSet, series),
        (None, series) => (MemoryKind::Rss, series.as_ref()?),
    };
    Some(IdleMemory {
        kind,
        source: series.source.clone(),
        bytes: series.idle_bytes?,
    })
}

/// What is shipped of a target: its image, or the file that its process executes.
fn size(target: &Target) -> Option<Size> {
    if let Some(container) = &target.identity().container {
        return Some(Size {
            of: Shipped::Image,
            bytes: container.image_bytes?,
        });
    }
    // The kernel's link leads to the file that runs, even where another has taken its place.
    let program = std::fs::metadata(format!("/proc/{}/exe", target.pid()?));
    Some(Size {
        of: Shipped::Executable,
        bytes: program.ok()?.len(),
    })
}

fn in_few_words(launch: &Launch) -> String {
    let Figures {
        listening,
        first_ok,
        memory,
        ..
    } = &launch.figures;
    let ms = |took: Took| {
        let bound = if took.is_blind() { "≤ " } else { "" };
        format!("{bound}{}", three_digits(took.ns as f64 / 1e6))
    };
    let listening = listening.map(|took| format!("listening after {} ms", ms(took)));
    let first_ok = first_ok.map(|took| format!("first good answer after {} ms", ms(took)));
    let memory = (memory.as_ref()).map(|memory| format!("{} MiB idle", mib(memory.bytes)));
    let state = launch.validity.state;
    let mut words: Vec<String> = [listening, first_ok, memory]
        .into_iter()
        .flatten()
        .collect();
    words.push(state.name().to_owned());
    let words = words.join(", ");
    match state {
        State::Valid => words,
        _ => format!("{words}: {}", launch.validity.reasons.join("; ")),
    }
}
