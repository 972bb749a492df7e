//! From the JSON of a saved comparison back to a [`Comparison`].

use super::{FORMAT, ReadError, WireComparison, WireHistograms, WireMemory, WireRound, WireRun};
use crate::compare::{
    ArmMemory, ArmRound, Comparison, MemoryKind, Plan, Round, Schedule, StepCount,
};
use crate::histogram::{DecodeError, Histogram};
use crate::ledger::Distribution;
use crate::run_record::wire::parts::{
    WireEncoded, WireEnvironment, WireTarget, arrivals_named, outcomes_of,
};
use crate::units::Rate;

pub(super) fn comparison(text: &str) -> Result<Comparison, ReadError> {
    /// Read first, so that a file of another version is named as such and not as a file of a wrong shape.
    #[derive(serde::Deserialize)]
    struct OnlyFormat {
        format: String,
    }
    let OnlyFormat { format } = serde_json::from_str(text).map_err(ReadError::Shape)?;
    if format != FORMAT {
        return Err(ReadError::Format(format));
    }
    let wire: WireComparison = serde_json::from_str(text).map_err(ReadError::Shape)?;
    from_wire(wire)
}

pub(crate) fn from_wire(wire: WireComparison) -> Result<Comparison, ReadError> {
    let [count, per_ns] = wire.phase.offered_rate_exact;
    let rate = Rate::new(count, per_ns).ok_or_else(|| wrong("an impossible rate"))?;
    let (arms, targets): (Vec<_>, Vec<_>) = wire
        .arms
        .into_iter()
        .map(|arm| (arm.name, arm.target))
        .unzip();
    if arms.is_empty() {
        return Err(wrong("it has no arms"));
    }
    let schedule = Schedule::named(&wire.schedule).ok_or_else(|| wrong("an unknown schedule"))?;
    let plan = Plan {
        scenario: wire.scenario.into_identity(),
        order_seed: wire.order_seed,
        phase: wire.phase.name,
        rate,
        arrivals: arrivals_named(&wire.phase.arrivals).map_err(ReadError::Contradiction)?,
        warmup_ns: wire.phase.warmup_ns,
        measure_ns: wire.phase.measure_ns,
        rounds: wire.rounds_planned,
        schedule,
        arms,
    };
    let mut comparison = Comparison::new(plan, wire.started);
    comparison.elapsed_ns = wire.elapsed_ns;
    comparison.interrupted = wire.interrupted;
    comparison.environment = wire.environment.map(WireEnvironment::into_environment);
    let targets = targets.into_iter().flatten();
    comparison.targets = targets.map(WireTarget::into_identity).collect();
    let expected = if wire.rounds.is_empty() {
        0
    } else {
        comparison.plan.arms.len()
    };
    if comparison.targets.len() != expected {
        return Err(wrong("not every arm that was measured has its target"));
    }
    for (place, wire) in wire.rounds.into_iter().enumerate() {
        if wire.number != place + 1 {
            return Err(wrong(&format!(
                "round {} stands where round {} should",
                wire.number,
                place + 1
            )));
        }
        let round = round(wire, &comparison.plan.arms)?;
        comparison
            .take_in(round)
            .map_err(|error| wrong(&error.to_string()))?;
    }
    Ok(comparison)
}

fn round(wire: WireRound, arms: &[String]) -> Result<Round, ReadError> {
    let number = wire.number;
    if wire.runs.len() != arms.len() {
        return Err(wrong(&format!(
            "round {number} has {} runs of {} arms",
            wire.runs.len(),
            arms.len()
        )));
    }
    let runs = wire.runs.into_iter().zip(arms);
    Ok(Round {
        number,
        order: wire.order,
        arms: runs
            .map(|(wire, arm)| run(wire, arm, number))
            .collect::<Result<_, _>>()?,
    })
}

fn run(wire: WireRun, arm: &str, round: usize) -> Result<ArmRound, ReadError> {
    let response = response(wire.histograms).map_err(|source| ReadError::Histogram {
        arm: arm.to_owned(),
        round,
        source,
    })?;
    let outcomes = outcomes_of(wire.outcomes).map_err(ReadError::Contradiction)?;
    if outcomes.failed() != response.failed.count() + response.censored.count()
        || outcomes.total() != response.count()
    {
        return Err(wrong(&format!(
            "{arm} in round {round} has {} outcomes and {} response times",
            outcomes.total(),
            response.count()
        )));
    }
    let audits = wire
        .audits
        .into_iter()
        .map(|audit| audit.into_audit().map_err(ReadError::Contradiction));
    let steps = wire.steps.into_iter().map(|count| StepCount {
        flow: count.flow,
        step: count.step,
        exchanges: count.exchanges,
    });
    Ok(ArmRound {
        measured_ns: wire.measured_ns,
        response,
        outcomes,
        steps: steps.collect(),
        offered_rate: wire.offered_rate,
        achieved_rate: wire.achieved_rate,
        memory: wire.memory.map(memory).transpose()?,
        cpu_per_1k_ns: wire.cpu_per_1k_requests_ns,
        startup_ns: wire.startup_ns,
        validity: wire
            .validity
            .into_validity()
            .map_err(ReadError::Contradiction)?,
        audits: audits.collect::<Result<_, _>>()?,
    })
}

fn response(wire: WireHistograms) -> Result<Distribution, DecodeError> {
    let decode = |wire: Option<WireEncoded>| wire.map_or(Ok(Histogram::new()), WireEncoded::decode);
    Ok(Distribution {
        ok: decode(wire.ok)?,
        failed: decode(wire.failed)?,
        censored: decode(wire.censored)?,
    })
}

fn memory(wire: WireMemory) -> Result<ArmMemory, ReadError> {
    let kinds = [MemoryKind::WorkingSet, MemoryKind::Rss];
    let Some(kind) = kinds.into_iter().find(|kind| kind.name() == wire.kind) else {
        return Err(wrong(&format!("unknown kind of memory `{}`", wire.kind)));
    };
    Ok(ArmMemory {
        kind,
        source: wire.source,
        idle_bytes: wire.idle_bytes,
        p95_bytes: wire.p95_bytes,
        peak_bytes: wire.peak_bytes,
        after_idle_bytes: wire.after_idle_bytes,
        slope_bytes_per_s: wire.slope_bytes_per_s,
    })
}

fn wrong(what: &str) -> ReadError {
    ReadError::Contradiction(what.to_owned())
}
