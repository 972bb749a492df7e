//! From the JSON of saved start-ups back to [`Startups`].

use super::{FORMAT, ReadError, WireLaunch, WireMemory, WireSize, WireStartups, WireTook};
use crate::compare::MemoryKind;
use crate::run_record::wire::parts::{WireEnvironment, WireTarget, believable};
use crate::startup::{Figures, IdleMemory, Launch, Plan, Shipped, Size, Startups, Took};

pub(super) fn startups(text: &str) -> Result<Startups, ReadError> {
    /// Read first, so that a file of another version is named as such and not as a file of a wrong shape.
    #[derive(serde::Deserialize)]
    struct OnlyFormat {
        format: String,
    }
    let OnlyFormat { format } = serde_json::from_str(text).map_err(ReadError::Shape)?;
    if format != FORMAT {
        return Err(ReadError::Format(format));
    }
    let wire: WireStartups = serde_json::from_str(text).map_err(ReadError::Shape)?;
    let (arms, targets): (Vec<_>, Vec<_>) = wire
        .arms
        .into_iter()
        .map(|arm| (arm.name, arm.target))
        .unzip();
    if arms.is_empty() {
        return Err(wrong("it has no arms"));
    }
    let plan = Plan {
        arms,
        rounds: wire.rounds_planned,
        order_seed: wire.order_seed,
        rest_ns: wire.rest_ns,
    };
    let mut startups = Startups::new(plan, wire.started);
    startups.elapsed_ns = wire.elapsed_ns;
    startups.interrupted = wire.interrupted;
    startups.environment = wire.environment.map(WireEnvironment::into_environment);
    let targets = targets.into_iter().flatten();
    startups.targets = targets.map(WireTarget::into_identity).collect();
    let described = startups.targets.len();
    if described != startups.plan.arms.len() && (described > 0 || !wire.rounds.is_empty()) {
        return Err(wrong("not every arm that was launched has its target"));
    }
    for (place, wire) in wire.rounds.into_iter().enumerate() {
        if wire.number != place + 1 {
            let words = format!(
                "round {} stands where round {} should",
                wire.number,
                place + 1
            );
            return Err(wrong(&words));
        }
        let launches = wire.launches.into_iter().map(launch);
        let launches = launches.collect::<Result<_, _>>()?;
        startups
            .add_round(wire.order, launches)
            .map_err(|error| wrong(&error.to_string()))?;
    }
    Ok(startups)
}

fn launch(wire: WireLaunch) -> Result<Launch, ReadError> {
    let figures = Figures {
        engine_ns: wire.engine_ns,
        listening: wire.listening.map(took).transpose()?,
        first_ok: wire.first_ok.map(took).transpose()?,
        memory: wire.memory.map(memory).transpose()?,
        size: wire.size.as_ref().map(size).transpose()?,
    };
    let validity = wire.validity.into_validity();
    Ok(Launch {
        figures,
        validity: validity.map_err(ReadError::Contradiction)?,
    })
}

fn took(WireTook { ns, blind_ns }: WireTook) -> Result<Took, ReadError> {
    if blind_ns > ns {
        return Err(wrong(
            "nobody looked for longer than there was something to see",
        ));
    }
    let ns = believable("ns", ns).map_err(ReadError::Contradiction)?;
    Ok(Took { ns, blind_ns })
}

fn memory(wire: WireMemory) -> Result<IdleMemory, ReadError> {
    let kinds = [MemoryKind::WorkingSet, MemoryKind::Rss];
    let Some(kind) = kinds.into_iter().find(|kind| kind.name() == wire.kind) else {
        return Err(wrong(&format!("unknown kind of memory `{}`", wire.kind)));
    };
    Ok(IdleMemory {
        kind,
        source: wire.source,
        bytes: wire.idle_bytes,
    })
}

fn size(wire: &WireSize) -> Result<Size, ReadError> {
    let all = [Shipped::Image, Shipped::Executable];
    let Some(of) = all.into_iter().find(|of| of.name() == wire.of) else {
        return Err(wrong(&format!(
            "nothing that is shipped is called `{}`",
            wire.of
        )));
    };
    Ok(Size {
        of,
        bytes: wire.bytes,
    })
}

fn wrong(what: &str) -> ReadError {
    ReadError::Contradiction(what.to_owned())
}
