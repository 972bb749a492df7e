//! One measurement of one target.

use std::cell::RefCell;
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep, sleep_until};

use super::calls;
use super::shutdown::Shutdown;
use super::together::Together;
use super::watching::{self, Watched};
use super::{Access, SessionError, Stage, Tls, TlsOptions, Watcher};
use crate::event::{Event, PhaseAhead};
use crate::judgement::{Guard, rulings};
pub use crate::load::Engine;
use crate::load::{self, Load, LoadError, Loaded, Plan, Route, Told};
use crate::machine::{self, Pressure};
use crate::probe::Probe;
use crate::run_record::resources::{Moment, Resources, Timeline};
use crate::run_record::{
    EndedBy, FlowNames, Generator, PhaseRecord, RunRecord, ScenarioIdentity, TargetIdentity,
};
use crate::scenario::{Given, Http, Scenario};
use crate::schedule::Schedule;
use crate::stores::Lease;
use crate::target::{Companions, Launch, Target};
use crate::target_spec::{ConnectTo, TargetSpec};
use crate::units::nanoseconds;
use crate::validity::Validity;

/// What to measure, and how.
#[derive(Debug, Clone)]
pub struct Request {
    /// The scenario.
    pub scenario: Scenario,
    /// What it was given.
    pub given: Given,
    /// Whether each flow is walked through once before the load.
    pub preflight: bool,
    /// The target.
    pub target: TargetSpec,
    /// How it is reached.
    pub access: Access,
    /// Measured arrivals at most.
    pub at_most: Option<u64>,
    /// Who speaks HTTP/1.1.
    pub engine: Engine,
    /// Threads; as many as the rate needs where none is given.
    pub workers: Option<usize>,
    /// Memory readings per second.
    pub sample_hz: u32,
    /// How long a target that tailmark started rests before its idle memory is read.
    pub rest: Duration,
    /// Whether memory is read once more when the load has been over for a second.
    pub after_load: bool,
    /// With whom it begins its load; by itself where nobody is named.
    pub together: Option<Together>,
}

/// How long a target that tailmark started rests after the load: allocators give memory back within this time, if at all.
pub(super) const REST_AFTER: Duration = Duration::from_secs(1);

/// The time between two looks at what the target uses while load is offered.
const LOOK: Duration = Duration::from_secs(1);

/// How long a service that runs already is watched before the load: a handful of readings.
const GLANCE: Duration = Duration::from_millis(250);

/// Measures once, and returns the record; it is not saved yet. The target's own output goes to `folder`.
///
/// An interrupt during the load ends it early, and so does a threshold that is to end it; the record says which. An
/// interrupt before that gives the run up.
///
/// # Errors
/// When the target, its stores, the probe or the generator fail. What was started is stopped.
pub async fn run_once(
    stage: &Stage,
    request: &Request,
    folder: &Path,
    shutdown: &Shutdown,
    watch: Watcher<'_>,
) -> Result<RunRecord, SessionError> {
    run(stage, request, folder, shutdown, watch, false).await
}

/// The same of a target that is held against another, and is measured however it answers the preflight: what is not as
/// expected there is a warning.
pub(super) async fn run_anyway(
    stage: &Stage,
    request: &Request,
    folder: &Path,
    shutdown: &Shutdown,
    watch: Watcher<'_>,
) -> Result<RunRecord, SessionError> {
    run(stage, request, folder, shutdown, watch, true).await
}

async fn run(
    stage: &Stage,
    request: &Request,
    folder: &Path,
    shutdown: &Shutdown,
    watch: Watcher<'_>,
    anyway: bool,
) -> Result<RunRecord, SessionError> {
    check_limits(&request.scenario, request.workers)?;
    let spec = &request.target;
    let launched = launch(stage, spec, &request.access, folder, shutdown, watch);
    let (target, lease) = launched.await?;
    let watched = watching::begin(spec, &target, request.sample_hz);
    let watched = shutdown.unless_requested(watched).await??;
    watch(Event::Step(&format!("letting {} rest", spec.name)));
    let (rest, rest_after) = match spec.is_started() {
        true => (request.rest, REST_AFTER),
        false => (GLANCE, GLANCE),
    };
    shutdown.unless_requested(sleep(rest)).await?;
    if let Some(watched) = &watched {
        watched.probe().idle();
    }

    let (started, _) = machine::utc_now();
    let (measured, answered) = {
        let _confined = stage.confine(|placement| &placement.generator)?;
        let probe = watched.as_ref().map(Watched::probe);
        let measured = calls::around(request, &target, shutdown, watch, async |plan, watch| {
            let answered = preflight(request, &plan, shutdown, watch, anyway).await?;
            let measured = measure(request, plan, probe, shutdown, watch).await?;
            Ok((measured, answered))
        });
        measured.await?
    };
    let resources = match watched {
        Some(watched) if request.after_load => {
            watch(Event::Step(&format!("letting {} rest", spec.name)));
            // Not for an interrupt's sake: the figures after the load are then those right after it.
            let _ = shutdown.unless_requested(sleep(rest_after)).await;
            watched.finish().await
        }
        Some(watched) => watched.finish().await.without_after_idle(),
        None => Resources::default(),
    };
    let mut record = record(request, started, measured);
    record.resources = Resources {
        startup_ns: target.startup().map(nanoseconds),
        timeline: std::mem::take(&mut record.resources.timeline),
        ..resources
    };
    record.generator.placement = stage.placement.as_ref().map(ToString::to_string);
    record.target = target.identity().clone();
    watch(Event::Step(&format!("auditing and stopping {}", spec.name)));
    record
        .audits
        .extend(target.audit(&record.audit_counts(&answered)).await?);
    record.target.exit = target.stop().await?.map(|exit| exit.to_string());
    if let Some(stores) = stage.stores_for(spec) {
        record.environment.stores = stores.settings();
    }
    stage.release(spec, lease).await?;
    record.judge();
    record.thresholds = rulings(&record, request.scenario.thresholds());
    Ok(record)
}

/// The target, started if it is ours to start, and ready; with the stores that it has for itself.
pub(super) async fn launch(
    stage: &Stage,
    spec: &TargetSpec,
    access: &Access,
    folder: &Path,
    shutdown: &Shutdown,
    watch: Watcher<'_>,
) -> Result<(Target, Option<Lease>), SessionError> {
    launch_watched(stage, spec, access, folder, shutdown, watch, false).await
}

/// The same of a target that is ours to start, whose [`start`](Target::start) is watched closely.
pub(super) async fn launch_closely(
    stage: &Stage,
    spec: &TargetSpec,
    folder: &Path,
    shutdown: &Shutdown,
    watch: Watcher<'_>,
) -> Result<(Target, Option<Lease>), SessionError> {
    let access = Access::default();
    launch_watched(stage, spec, &access, folder, shutdown, watch, true).await
}

async fn launch_watched(
    stage: &Stage,
    spec: &TargetSpec,
    access: &Access,
    folder: &Path,
    shutdown: &Shutdown,
    watch: Watcher<'_>,
    closely: bool,
) -> Result<(Target, Option<Lease>), SessionError> {
    watch(Event::Step(&format!("starting {}", spec.name)));
    let lease = shutdown.unless_requested(stage.lease(spec)).await??;
    let env = lease.as_ref().map(Lease::env).unwrap_or_default();
    let beside = {
        // They are no part of what is measured, as the stores are none.
        let _confined = stage.confine(|placement| &placement.stores)?;
        let companions = Companions::launch(spec, &env, folder);
        shutdown.unless_requested(companions).await??
    };
    let log = folder.join(format!("{}.log", spec.name));
    let launch = Launch {
        env,
        log: &log,
        connect_to: &access.connect_to,
        beside,
        cpus: (stage.placement.as_ref())
            .map(|placement| placement.target.to_string())
            .filter(|cpus| !cpus.is_empty()),
    };
    let _confined = stage.confine(|placement| &placement.target)?;
    let target = async {
        match closely {
            true => Target::launch_closely(spec, launch).await,
            false => Target::launch(spec, launch).await,
        }
    };
    let target = shutdown.unless_requested(target).await??;
    Ok((target, lease))
}

/// What the generator and the machine had to say.
struct Measured {
    loaded: Loaded,
    interrupted: bool,
    ended_by: Option<EndedBy>,
    schedule: Arc<Schedule>,
    timeline: Vec<Moment>,
    steal: Option<f64>,
    throttled_ns: Option<u64>,
}

/// Walks through each flow of `plan` once, unless that is not wanted; the steps that were answered, and with which status.
/// What is not as expected ends it, unless the target is measured `anyway`.
async fn preflight(
    request: &Request,
    plan: &Plan,
    shutdown: &Shutdown,
    watch: Watcher<'_>,
    anyway: bool,
) -> Result<Vec<(String, u16)>, SessionError> {
    if !request.preflight {
        return Ok(Vec::new());
    }
    watch(Event::Step("walking through each flow once"));
    let made = shutdown.unless_requested(calls::preflight(plan)).await?;
    let (answers, unexpected) = made?;
    match unexpected {
        Some(unexpected) if anyway => {
            let name = &request.target.name;
            let words = format!(
                "{name}: {unexpected}\n  it is measured anyway: its requests count as they come"
            );
            watch(Event::Warning(&words));
            Ok(answers)
        }
        Some(unexpected) => Err(unexpected.into()),
        None => Ok(answers),
    }
}

async fn measure(
    request: &Request,
    mut plan: Plan,
    probe: Option<&Probe>,
    shutdown: &Shutdown,
    watch: Watcher<'_>,
) -> Result<Measured, SessionError> {
    let scenario = Arc::clone(&plan.scenario);
    plan.engine = request.engine;
    if let Some(arrivals) = request.at_most {
        plan = plan.at_most(arrivals);
    }
    plan.workers = workers(&scenario, request.workers);
    let workers = plan.workers;
    let schedule = Arc::clone(&plan.schedule);
    watch(Event::Step("opening connections"));
    let load = Load::prepare(plan).await?;
    let stopper = load.stopper();
    let pressure = Pressure::watch();
    let start = match &request.together {
        Some(together) => together.start().await,
        None => load::soon(),
    };
    load.begin(start);
    watch(Event::Started {
        target: &request.target.name,
        phases: &ahead(&scenario, &schedule),
        workers,
        timeout: scenario.timeout(),
        start_ns: start,
    });

    let (from, to) = measured_span(&scenario, &schedule);
    let bracket = async {
        if let Some(probe) = probe {
            sleep_until(instant_of(start + from)).await;
            probe.measure_from();
            sleep_until(instant_of(start + to)).await;
            probe.measure_to();
        }
    };
    // Load, signals and looks at the target are told of in turn, all in this task.
    let watch = RefCell::new(watch);
    let tell = |event: Event<'_>| (watch.borrow_mut())(event);
    let mut timeline = Timeline::new(nanoseconds(LOOK));
    let looks = async {
        let Some(probe) = probe else { return };
        let mut looks = interval_at(instant_of(start), LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            looks.tick().await;
            let at_ns = load::monotonic().saturating_sub(start);
            let (memory_bytes, cpu_ns) = probe.latest();
            timeline.take(Moment {
                at_ns,
                memory_bytes,
                cpu_ns,
            });
            tell(Event::Target {
                at_ns,
                memory_bytes,
                cpu_ns,
            });
        }
    };
    let interrupts = async {
        shutdown.requested().await;
        tell(Event::Step(
            "interrupted: letting what is in flight end (Ctrl-C again stops at once)",
        ));
        stopper.drain();
        shutdown.insisted().await;
        stopper.abort();
    };
    let mut guard = Guard::new(&scenario, &schedule);
    let mut broken = None;
    let guarded = |told: &Told| {
        let part = match told {
            Told::Part(part) => part,
            Told::Standing(standing) => return tell(Event::Standing(standing)),
        };
        tell(Event::Window(part));
        let now = load::monotonic().saturating_sub(start);
        if let Some(threshold) = guard.see(part, now)
            && broken.is_none()
            && !shutdown.is_requested()
        {
            stopper.drain();
            let words = format!("ending the load: {} is broken", threshold.expression);
            tell(Event::Step(&words));
            broken = Some(threshold);
        }
    };
    let loaded = {
        let mut beside = pin!(async { tokio::join!(bracket, interrupts, looks) });
        let mut finish = pin!(load.finish(guarded));
        tokio::select! {
            biased;
            loaded = &mut finish => loaded,
            _ = &mut beside => finish.await,
        }?
    };
    // What was found broken when all had been offered has ended nothing.
    let ended_by = broken.filter(|_| loaded.stopped);
    if let Some(probe) = probe {
        // Where the load ended before its time.
        probe.measure_to();
    }
    let (steal, throttled_ns) = pressure.since();
    Ok(Measured {
        interrupted: loaded.stopped && (ended_by.is_none() || shutdown.is_requested()),
        ended_by,
        loaded,
        schedule,
        timeline: timeline.into_moments(),
        steal,
        throttled_ns,
    })
}

/// The phases of `scenario` as those who watch are told of them.
fn ahead(scenario: &Scenario, schedule: &Schedule) -> Vec<PhaseAhead> {
    let phases = scenario.phases().iter().enumerate();
    let ahead = phases.map(|(index, phase)| {
        let (start, end) = schedule.bounds(index);
        PhaseAhead {
            name: phase.name.clone(),
            model: phase.model,
            warmup: phase.warmup,
            length_ns: end - start,
        }
    });
    ahead.collect()
}

/// Where the target's URL leads, unless it is to be reached elsewhere.
pub(super) fn route(target: &Target, access: &Access, http: Http) -> Result<Route, SessionError> {
    let url = target.url();
    let (host, port) = ConnectTo::place(&access.connect_to, url.host(), url.port());
    let route = Route::plain(&host, port);
    if !url.is_secure() {
        return Ok(route);
    }
    let tls = match &access.tls {
        Some(tls) => tls.clone(),
        None => Tls::new(&TlsOptions::default())?,
    };
    Ok(route.secured(&tls, url.host(), http)?)
}

/// What the `host` header says.
pub(super) fn host(target: &Target) -> HeaderValue {
    let host = target.url().host_header();
    host.parse()
        .expect("the host of a valid URL is a valid header value")
}

/// Threads of the generator: so many as were asked for, or as few as the rate needs.
#[must_use]
pub fn workers(scenario: &Scenario, asked: Option<usize>) -> usize {
    load::workers(scenario, asked)
}

/// Whether the system allows what `scenario` needs by so many workers, or as many as it takes: to be asked before anything
/// is started.
///
/// # Errors
/// When it does not.
pub fn check_limits(scenario: &Scenario, workers: Option<usize>) -> Result<(), SessionError> {
    Ok(load::check_limits(scenario, workers).map_err(LoadError::from)?)
}

/// From the start of the first measured phase to the end of the last, in nanoseconds from the start of the run.
fn measured_span(scenario: &Scenario, schedule: &Schedule) -> (u64, u64) {
    let measured =
        || (0..scenario.phases().len()).filter(|&index| scenario.phases()[index].is_measured());
    let from = measured()
        .next()
        .map_or(0, |index| schedule.bounds(index).0);
    let to = measured()
        .next_back()
        .map_or(from, |index| schedule.bounds(index).1);
    (from, to)
}

/// A reading of the monotonic clock as Tokio's timer wants it; that one's millisecond is enough for a bracket.
fn instant_of(monotonic_ns: u64) -> Instant {
    Instant::now() + Duration::from_nanos(monotonic_ns.saturating_sub(load::monotonic()))
}

fn record(request: &Request, started: String, measured: Measured) -> RunRecord {
    let scenario = &request.scenario;
    let Measured {
        loaded,
        interrupted,
        ended_by,
        schedule,
        timeline,
        steal,
        throttled_ns,
    } = measured;
    let phases = scenario
        .phases()
        .iter()
        .zip(&loaded.ledger.phases)
        .enumerate()
        .filter(|(index, _)| schedule.bounds(*index).0 < loaded.ended || *index == 0)
        .map(|(index, (phase, tally))| {
            let (start, end) = schedule.bounds(index);
            PhaseRecord {
                name: phase.name.clone(),
                warmup: phase.warmup,
                model: phase.model,
                duration_ns: end.min(loaded.ended).saturating_sub(start),
                tally: tally.clone(),
                windows: loaded.windows.of_phase(index, loaded.grids[index]),
            }
        })
        .collect();
    let mut environment = machine::describe();
    (environment.steal, environment.throttled_ns) = (steal, throttled_ns);
    RunRecord {
        started,
        interrupted,
        ended_by,
        scenario: ScenarioIdentity {
            name: scenario.name().into(),
            digest: scenario.digest().into(),
            seed: scenario.seed(),
            text: scenario.public_text().into(),
        },
        target: TargetIdentity::default(),
        flows: scenario
            .flows()
            .iter()
            .map(|flow| FlowNames {
                name: flow.name.clone(),
                steps: flow.steps.iter().map(|step| step.name.clone()).collect(),
            })
            .collect(),
        phases,
        traffic: loaded.traffic,
        connections: loaded.connections,
        generator: Generator {
            memory_peak_bytes: machine::own_memory_peak(),
            rows_ended: loaded.rows_ended,
            walks_full: loaded.walks_full,
            ..loaded.generator
        },
        resources: Resources {
            timeline,
            ..Resources::default()
        },
        failures: loaded.failures,
        audits: Vec::new(),
        validity: Validity::default(),
        thresholds: Vec::new(),
        environment,
    }
}
