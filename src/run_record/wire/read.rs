//! From the JSON of a saved run back to a [`RunRecord`].

use std::collections::BTreeMap;

use super::parts::{WireEncoded, believable, outcomes_of};
use super::thresholds::WireEndedBy;
use super::{
    FORMAT, ReadError, WireFailure, WireFigures, WireHistogram, WireHttp, WireMoment, WirePhase,
    WireRecord, WireResources, WireSeries, WireStep, WireWindow,
};
use crate::exchange::Outcome;
use crate::histogram::Histogram;
use crate::ledger::{Distribution, PhaseTally, StepTally};
use crate::run_record::resources::{Container, Memory, MemorySeries, Moment, Pss, Resources};
use crate::run_record::{
    Connections, Failure, FlowNames, Generator, HttpVersion, PhaseRecord, RowsEnded, RunRecord,
    Traffic,
};
use crate::windows::Window;

pub(super) fn record(text: &str) -> Result<RunRecord, ReadError> {
    /// Read first, so that a file of another version is named as such and not as a file of a wrong shape.
    #[derive(serde::Deserialize)]
    struct OnlyFormat {
        format: String,
    }
    let OnlyFormat { format } = serde_json::from_str(text).map_err(ReadError::Shape)?;
    if format != FORMAT {
        return Err(ReadError::Format(format));
    }
    let wire: WireRecord = serde_json::from_str(text).map_err(ReadError::Shape)?;
    let flows = flow_names(&wire)?;
    let mut phases = wire
        .phases
        .into_iter()
        .map(|phase| phase_record(phase, &flows))
        .collect::<Result<Vec<_>, _>>()?;
    let mut connections = Connections {
        http: wire.connections.http.map(|http| match http {
            WireHttp::One => HttpVersion::One,
            WireHttp::Two => HttpVersion::Two,
        }),
        max: wire.connections.max,
        opened: wire.connections.opened,
        reopened: wire.connections.reopened,
        peak_in_use: wire.connections.peak_in_use,
        connect: Histogram::new(),
        tls: Histogram::new(),
    };
    let Some(histograms) = wire.histograms else {
        return contradiction("it has no histograms: this is a summary, not a saved run");
    };
    for histogram in histograms {
        let place = slot(&mut phases, &mut connections, &flows, &histogram)?;
        if !place.is_empty() {
            return contradiction(&format!("histogram `{}` is there twice", histogram.metric));
        }
        *place = decode(histogram)?;
    }
    let Some(windows) = wire.windows else {
        return contradiction("it has no windows");
    };
    for window in windows {
        let Some(phase) = phases.get_mut(window.phase) else {
            return contradiction("a window belongs to no phase");
        };
        phase.windows.push(read_window(window));
    }
    let record = RunRecord {
        started: wire.started,
        interrupted: wire.interrupted,
        ended_by: wire.ended_by.map(WireEndedBy::into_ended_by),
        scenario: wire.scenario.into_identity(),
        target: wire.target.into_identity(),
        flows,
        phases,
        traffic: Traffic {
            sent_bytes: wire.bytes.sent,
            received_bytes: wire.bytes.received,
        },
        connections,
        generator: Generator {
            workers: wire.generator.workers,
            cpu_ns: wire.generator.cpu_ns,
            busiest_worker: wire.generator.busiest_worker.zip(wire.generator.busy_max),
            memory_peak_bytes: wire.generator.memory_peak_bytes,
            placement: wire.generator.placement,
            ran_out: wire.generator.ran_out,
            rows_ended: wire.generator.rows_ended.map(|ended| RowsEnded {
                feeder: ended.feeder,
                rows: ended.rows,
                is_failure: ended.is_failure,
            }),
            walks_full: wire.generator.walks_full,
        },
        resources: resources(wire.resources, &wire.timeline.unwrap_or_default()),
        failures: wire.failures.into_iter().map(failure).collect(),
        audits: wire
            .audits
            .into_iter()
            .map(|audit| audit.into_audit().map_err(ReadError::Contradiction))
            .collect::<Result<_, _>>()?,
        validity: wire
            .validity
            .into_validity()
            .map_err(ReadError::Contradiction)?,
        thresholds: wire
            .thresholds
            .into_iter()
            .map(|ruling| ruling.into_ruling().map_err(ReadError::Contradiction))
            .collect::<Result<_, _>>()?,
        environment: wire.environment.into_environment(),
    };
    check_counts(&record)?;
    Ok(record)
}

/// Holds the counts that are saved as numbers against those in the histograms.
fn check_counts(record: &RunRecord) -> Result<(), ReadError> {
    for phase in &record.phases {
        let (name, tally) = (&phase.name, &phase.tally);
        for (flow, names) in tally.flows.iter().zip(&record.flows) {
            for (step, step_name) in flow.steps.iter().zip(&names.steps) {
                check_step(step, &format!("{}/{step_name} in phase {name}", names.name))?;
            }
        }
        let counted = tally.outcomes().total();
        let absorbed = [tally.due, tally.lag.count(), tally.wait.count()];
        if absorbed.iter().any(|&count| count != counted) || tally.on_time.count() > counted {
            let [due, lag, wait] = absorbed;
            return contradiction(&format!(
                "phase {name} has {counted} outcomes, {due} due, {lag} lags and {wait} waits"
            ));
        }
        if tally.overrun.count() > tally.walks_answered {
            return contradiction(&format!("phase {name} overran with walks it never had"));
        }
    }
    let mut durations = record.phases.iter().map(|phase| phase.duration_ns);
    if durations.try_fold(0, u64::checked_add).is_none() {
        return contradiction("its phases last for centuries");
    }
    Ok(())
}

/// Every outcome has its response time in the part that it belongs to, and a service time if it was sent.
fn check_step(step: &StepTally, what: &str) -> Result<(), ReadError> {
    let censored = Outcome::ALL
        .into_iter()
        .filter(|outcome| outcome.is_censored());
    let censored: u64 = censored.map(|outcome| step.outcomes.of(outcome)).sum();
    let ok = step.outcomes.of(Outcome::Ok);
    let failed = step.outcomes.failed() - censored;
    let parts = |times: &Distribution| {
        [
            times.ok.count(),
            times.failed.count(),
            times.censored.count(),
        ]
    };
    let (counted, response, service) = (
        [ok, failed, censored],
        parts(&step.response),
        parts(&step.service),
    );
    if response != counted
        || service
            .iter()
            .zip(counted)
            .any(|(&service, all)| service > all)
    {
        return contradiction(&format!(
            "{what} has {counted:?} ok, failed and censored outcomes, {response:?} response times and {service:?} service times"
        ));
    }
    Ok(())
}

/// The flows and steps, which every phase lists alike.
fn flow_names(wire: &WireRecord) -> Result<Vec<FlowNames>, ReadError> {
    let Some(first) = wire.phases.first() else {
        return contradiction("it has no phases");
    };
    let steps_of = |flow: &str| {
        let own = first.figures.steps.iter().filter(|step| step.flow == flow);
        own.map(|step| step.step.clone()).collect()
    };
    Ok(first
        .figures
        .flows
        .iter()
        .map(|flow| FlowNames {
            name: flow.flow.clone(),
            steps: steps_of(&flow.flow),
        })
        .collect())
}

fn phase_record(wire: WirePhase, flows: &[FlowNames]) -> Result<PhaseRecord, ReadError> {
    let model = wire.model.into_model().map_err(ReadError::Contradiction)?;
    let steps: Vec<usize> = flows.iter().map(|flow| flow.steps.len()).collect();
    let mut tally = PhaseTally::new(&steps);
    for (place, what, count) in [
        (
            &mut tally.arrivals,
            "arrival_count",
            wire.figures.arrival_count,
        ),
        (&mut tally.due, "due_count", wire.figures.due_count),
        (
            &mut tally.walks_answered,
            "answered_walks",
            wire.figures.answered_walks,
        ),
        (
            &mut tally.pool_full,
            "pool_full_count",
            wire.figures.pool_full_count,
        ),
        (
            &mut tally.imbalanced,
            "imbalanced_count",
            wire.figures.imbalanced_count,
        ),
        (
            &mut tally.coalesced,
            "lag_lower_bounds",
            wire.figures.lag_lower_bounds,
        ),
    ] {
        *place = believable(what, count).map_err(ReadError::Contradiction)?;
    }
    if listed(&wire.figures) != listed_names(flows) {
        return contradiction(&format!(
            "phase {} lists other steps than the first",
            wire.name
        ));
    }
    for step in wire.figures.steps {
        let (flow, index) = place(flows, &step.flow, &step.step)?;
        tally.flows[flow].steps[index] = step_tally(step)?;
    }
    Ok(PhaseRecord {
        name: wire.name,
        warmup: wire.warmup,
        model,
        duration_ns: wire.duration_ns,
        tally,
        windows: Vec::new(),
    })
}

/// The steps that a phase lists, each with its flow.
fn listed(figures: &WireFigures) -> Vec<(&str, &str)> {
    let steps = figures.steps.iter();
    steps
        .map(|step| (step.flow.as_str(), step.step.as_str()))
        .collect()
}

fn listed_names(flows: &[FlowNames]) -> Vec<(&str, &str)> {
    let mut names = Vec::new();
    for flow in flows {
        names.extend(
            flow.steps
                .iter()
                .map(|step| (flow.name.as_str(), step.as_str())),
        );
    }
    names
}

fn step_tally(wire: WireStep) -> Result<StepTally, ReadError> {
    let outcomes = outcomes_of(wire.outcomes).map_err(ReadError::Contradiction)?;
    let mut statuses = BTreeMap::new();
    for (status, count) in wire.statuses {
        let count = believable(&status, count).map_err(ReadError::Contradiction)?;
        let Ok(status) = status.parse() else {
            return contradiction(&format!("`{status}` is no status"));
        };
        statuses.insert(status, count);
    }
    Ok(StepTally {
        outcomes,
        statuses,
        unreached: believable("unreached", wire.unreached).map_err(ReadError::Contradiction)?,
        ..StepTally::default()
    })
}

/// Where a saved histogram belongs.
fn slot<'a>(
    phases: &'a mut [PhaseRecord],
    connections: &'a mut Connections,
    flows: &[FlowNames],
    wire: &WireHistogram,
) -> Result<&'a mut Histogram, ReadError> {
    let unknown = || {
        Err(ReadError::Contradiction(format!(
            "histogram `{}` belongs nowhere",
            wire.metric
        )))
    };
    let Some(phase) = wire.phase else {
        return match wire.metric.as_str() {
            "connect" => Ok(&mut connections.connect),
            "tls" => Ok(&mut connections.tls),
            _ => unknown(),
        };
    };
    let Some(tally) = phases.get_mut(phase).map(|phase| &mut phase.tally) else {
        return unknown();
    };
    let Some(flow) = &wire.flow else {
        return match wire.metric.as_str() {
            "overrun" => Ok(&mut tally.overrun),
            "on_time" => Ok(&mut tally.on_time),
            "lag" => Ok(&mut tally.lag),
            "wait" => Ok(&mut tally.wait),
            "turn" => Ok(&mut tally.turn),
            _ => unknown(),
        };
    };
    let Some(step) = &wire.step else {
        let index = flows.iter().position(|names| names.name == *flow);
        return match index {
            Some(index) if wire.metric == "journey" => Ok(&mut tally.flows[index].journey),
            _ => unknown(),
        };
    };
    let (flow, step) = place(flows, flow, step)?;
    let step = &mut tally.flows[flow].steps[step];
    let times: &mut Distribution = match wire.metric.as_str() {
        "response_time" => &mut step.response,
        "service_time" => &mut step.service,
        _ => return unknown(),
    };
    match wire.part.as_deref() {
        Some("ok") => Ok(&mut times.ok),
        Some("failed") => Ok(&mut times.failed),
        Some("censored") => Ok(&mut times.censored),
        _ => unknown(),
    }
}

fn place(flows: &[FlowNames], flow: &str, step: &str) -> Result<(usize, usize), ReadError> {
    let place = flows
        .iter()
        .enumerate()
        .find(|(_, names)| names.name == flow)
        .and_then(|(index, names)| {
            names
                .steps
                .iter()
                .position(|name| name == step)
                .map(|step| (index, step))
        });
    place.ok_or_else(|| {
        ReadError::Contradiction(format!("step {flow}/{step} is not in the first phase"))
    })
}

fn decode(wire: WireHistogram) -> Result<Histogram, ReadError> {
    let WireHistogram {
        phase,
        metric,
        encoded,
        ..
    } = wire;
    encoded.decode().map_err(|source| ReadError::Histogram {
        metric,
        phase,
        source,
    })
}

fn read_window(wire: WireWindow) -> Window {
    Window {
        start_ns: wire.start_ns,
        width_ns: wire.width_ns,
        ok: wire.ok.map(WireEncoded::into_encoded),
        failed: wire.failed.map(WireEncoded::into_encoded),
    }
}

fn resources(wire: WireResources, timeline: &[WireMoment]) -> Resources {
    let pss = wire.memory.pss;
    Resources {
        memory: Memory {
            working_set: wire.memory.working_set.map(series),
            rss: wire.memory.rss.map(series),
            pss: pss.map(|pss| Pss {
                idle_bytes: pss.idle_bytes,
                after_idle_bytes: pss.after_idle_bytes,
            }),
            page_cache: wire.memory.page_cache.map(series),
        },
        cpu_ns: wire.cpu.ns,
        startup_ns: wire.startup_ns,
        container: wire.container.map(|container| Container {
            source: container.source,
            hz: container.hz,
            memory_limit_bytes: container.memory_limit_bytes,
            cpu_limit: container.cpu_limit,
            tasks_peak: container.tasks_peak,
            throttled_ns: container.throttled_ns,
            throttled_periods: container.throttled_periods,
            oom_kills: container.oom_kills,
        }),
        timeline: timeline.iter().map(moment).collect(),
    }
}

fn moment(wire: &WireMoment) -> Moment {
    Moment {
        at_ns: wire.at_ns,
        memory_bytes: wire.memory_bytes,
        cpu_ns: wire.cpu_ns,
    }
}

fn series(wire: WireSeries) -> MemorySeries {
    MemorySeries {
        source: wire.source,
        hz: wire.hz,
        samples: wire.samples,
        processes: wire.processes,
        idle_bytes: wire.idle_bytes,
        p50_bytes: wire.p50_bytes,
        p95_bytes: wire.p95_bytes,
        peak_bytes: wire.peak_bytes,
        after_idle_bytes: wire.after_idle_bytes,
        slope_bytes_per_s: wire.slope_bytes_per_s,
        slope_ci_bytes_per_s: wire.slope_ci_bytes_per_s,
    }
}

fn failure(wire: WireFailure) -> Failure {
    Failure {
        at_ns: wire.at_ns,
        step: wire.step,
        outcome: wire.outcome,
        what: wire.what,
        response: wire.response,
    }
}

fn contradiction<T>(what: &str) -> Result<T, ReadError> {
    Err(ReadError::Contradiction(what.into()))
}
