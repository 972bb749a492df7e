//! The JSON of saved start-ups, format `tailmark.startup/1`; `docs/schemas/startup-1.json` is its schema.
//!
//! Times are whole nanoseconds, sizes are bytes, and what was not measured is `null`. A reader computes every figure from the
//! launches, never from the figures beside them.
//!
//! A reader of `tailmark.startup/1` must accept keys that it does not know. A key is never removed or given another meaning
//! within a version.

mod read;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Figures, IdleMemory, Launch, Metric, Round, Size, Startups, Took};
use crate::run_record::wire::parts::{WireEnvironment, WireTarget, WireValidity};
use crate::stats::{Change, Spread};

/// The format that is written, and the only one that is read.
pub const FORMAT: &str = "tailmark.startup/1";

/// Why saved start-ups could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// Not JSON, or not of this shape.
    #[error("not saved start-ups: {0}")]
    Shape(#[source] serde_json::Error),
    /// Written by another version of tailmark.
    #[error("format `{0}` is not `{FORMAT}`; read it with the version of tailmark that wrote it")]
    Format(String),
    /// Parts of the file contradict each other.
    #[error("the start-ups contradict themselves: {0}")]
    Contradiction(String),
}

impl Startups {
    /// All of it, as it is saved and as `--json` prints it.
    ///
    /// # Panics
    /// Never: every key is text and every number is finite or null.
    #[must_use]
    pub fn to_json(&self) -> String {
        let wire = WireStartups::new(self);
        serde_json::to_string_pretty(&wire).expect("keys are text and numbers are finite") + "\n"
    }

    /// Reads what [`Self::to_json`] wrote.
    ///
    /// # Errors
    /// When the text is not [`FORMAT`], or is damaged.
    pub fn from_json(text: &str) -> Result<Self, ReadError> {
        read::startups(text)
    }
}

#[derive(Debug, Serialize, Deserialize)]
struct WireStartups {
    format: String,
    started: String,
    elapsed_ns: Option<u64>,
    interrupted: bool,
    order_seed: u64,
    rest_ns: u64,
    rounds_planned: usize,
    arms: Vec<WireArm>,
    rounds: Vec<WireRound>,
    environment: Option<WireEnvironment>,
}

#[derive(Debug, Serialize, Deserialize)]
struct WireArm {
    name: String,
    target: Option<WireTarget>,
    /// Over the valid rounds.
    #[serde(skip_deserializing)]
    figures: BTreeMap<String, Option<WireSpread>>,
    /// Against the reference, whose own are none.
    #[serde(skip_deserializing)]
    changes: BTreeMap<String, Option<WireChange>>,
}

#[derive(Debug, Serialize)]
struct WireSpread {
    rounds: usize,
    median: f64,
    min: f64,
    max: f64,
}

/// A ratio and its interval; a part that is infinite is null.
#[derive(Debug, Serialize)]
struct WireChange {
    ratio: Option<f64>,
    interval: Option<[Option<f64>; 2]>,
    level: f64,
    rounds: usize,
}

#[derive(Debug, Serialize, Deserialize)]
struct WireRound {
    number: usize,
    #[serde(skip_deserializing)]
    valid: bool,
    /// The arms in the order in which they were launched, each by its place in `arms`, from 0.
    order: Vec<usize>,
    /// In the order of `arms`.
    launches: Vec<WireLaunch>,
}

#[derive(Debug, Serialize, Deserialize)]
struct WireLaunch {
    #[serde(skip_deserializing)]
    arm: String,
    engine_ns: Option<u64>,
    listening: Option<WireTook>,
    first_ok: Option<WireTook>,
    memory: Option<WireMemory>,
    size: Option<WireSize>,
    validity: WireValidity,
}

#[derive(Debug, Serialize, Deserialize)]
struct WireTook {
    ns: u64,
    blind_ns: u64,
}

#[derive(Debug, Serialize, Deserialize)]
struct WireMemory {
    kind: String,
    source: String,
    idle_bytes: u64,
}

#[derive(Debug, Serialize, Deserialize)]
struct WireSize {
    of: String,
    bytes: u64,
}

fn name(metric: Metric) -> &'static str {
    match metric {
        Metric::Engine => "engine_ns",
        Metric::Listening => "listening_ns",
        Metric::FirstOk => "first_ok_ns",
        Metric::MemoryIdle => "memory_idle_bytes",
        Metric::Size => "size_bytes",
    }
}

impl WireStartups {
    fn new(startups: &Startups) -> Self {
        let plan = &startups.plan;
        let rounds = startups.rounds().iter();
        Self {
            format: FORMAT.into(),
            started: startups.started.clone(),
            elapsed_ns: startups.elapsed_ns,
            interrupted: startups.interrupted,
            order_seed: plan.order_seed,
            rest_ns: plan.rest_ns,
            rounds_planned: plan.rounds,
            arms: (0..plan.arms.len())
                .map(|arm| WireArm::new(startups, arm))
                .collect(),
            rounds: rounds
                .map(|round| WireRound::new(round, &plan.arms))
                .collect(),
            environment: startups.environment().map(WireEnvironment::new),
        }
    }
}

impl WireArm {
    fn new(startups: &Startups, arm: usize) -> Self {
        let figures = Metric::ALL.map(|metric| {
            let spread = startups.spread(arm, metric);
            (name(metric).to_owned(), spread.map(WireSpread::new))
        });
        let changes = Metric::ALL.map(|metric| {
            let change = startups.change(arm, metric).filter(|_| arm > 0);
            (
                name(metric).to_owned(),
                change.as_ref().map(WireChange::new),
            )
        });
        Self {
            name: startups.plan.arms[arm].clone(),
            target: startups.targets().get(arm).map(WireTarget::new),
            figures: figures.into(),
            changes: changes.into(),
        }
    }
}

impl WireSpread {
    fn new(spread: Spread) -> Self {
        Self {
            rounds: spread.count,
            median: spread.median,
            min: spread.low,
            max: spread.high,
        }
    }
}

impl WireChange {
    fn new(change: &Change) -> Self {
        let finite = |value: f64| value.is_finite().then_some(value);
        Self {
            ratio: change.ratio.and_then(finite),
            interval: change.interval.map(|ends| ends.map(finite)),
            level: change.level,
            rounds: change.rounds,
        }
    }
}

impl WireRound {
    fn new(round: &Round, arms: &[String]) -> Self {
        let launches = arms.iter().zip(&round.launches);
        Self {
            number: round.number,
            valid: round.is_valid(),
            order: round.order.clone(),
            launches: launches
                .map(|(arm, launch)| WireLaunch::new(arm, launch))
                .collect(),
        }
    }
}

impl WireLaunch {
    fn new(arm: &str, launch: &Launch) -> Self {
        let Figures {
            engine_ns,
            listening,
            first_ok,
            memory,
            size,
        } = &launch.figures;
        Self {
            arm: arm.into(),
            engine_ns: *engine_ns,
            listening: listening.map(WireTook::new),
            first_ok: first_ok.map(WireTook::new),
            memory: memory.as_ref().map(WireMemory::new),
            size: size.map(WireSize::new),
            validity: WireValidity::new(&launch.validity),
        }
    }
}

impl WireTook {
    fn new(Took { ns, blind_ns }: Took) -> Self {
        Self { ns, blind_ns }
    }
}

impl WireMemory {
    fn new(memory: &IdleMemory) -> Self {
        Self {
            kind: memory.kind.name().into(),
            source: memory.source.clone(),
            idle_bytes: memory.bytes,
        }
    }
}

impl WireSize {
    fn new(size: Size) -> Self {
        Self {
            of: size.of.name().into(),
            bytes: size.bytes,
        }
    }
}

#[cfg(test)]
mod tests;
