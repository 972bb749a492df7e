//! What several formats write alike: identities, validity, audits, counts and histograms.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::exchange::{Outcome, Outcomes};
use crate::histogram::{DecodeError, Encoded, Histogram};
use crate::run_record::{Audit, ContainerIdentity, Environment, ScenarioIdentity, TargetIdentity};
use crate::scenario::Arrivals;
use crate::target_spec::{Cpus, Limits, MemoryLimit};
use crate::units::Rate;
use crate::validity::{Note, State, Validity};

/// The largest count that is believed: 2^53, up to which every reader of JSON keeps whole numbers exactly, and so far
/// below 2^64 that sums of such counts do not overflow.
pub(crate) const LARGEST_COUNT: u64 = 1 << 53;

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct WireScenario {
    name: String,
    digest: String,
    seed: u64,
    text: String,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct WireTarget {
    name: String,
    kind: String,
    url: String,
    identity: WireIdentity,
    exit: Option<String>,
}

#[derive(Debug, Serialize, Deserialize)]
struct WireIdentity {
    command: Option<Vec<String>>,
    process_id: Option<u32>,
    process_name: Option<String>,
    executable_sha256: Option<String>,
    revision: Option<String>,
    #[serde(default)]
    container: Option<WireContainer>,
    #[serde(default)]
    runtime: Option<String>,
    #[serde(default)]
    settings: BTreeMap<String, String>,
}

#[derive(Debug, Serialize, Deserialize)]
struct WireContainer {
    engine: String,
    image: String,
    image_id: String,
    image_digest: Option<String>,
    image_bytes: Option<u64>,
    #[serde(default)]
    image_created: Option<String>,
    network: String,
    limit_nano_cpus: Option<u64>,
    limit_memory_bytes: Option<u64>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct WireValidity {
    state: String,
    reasons: Vec<String>,
    notes: Vec<WireNote>,
}

#[derive(Debug, Serialize, Deserialize)]
struct WireNote {
    name: String,
    words: String,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct WireAudit {
    ok: bool,
    /// Name to value, in the order in which the audit gave them.
    facts: Map<String, Value>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct WireEnvironment {
    tool_version: String,
    kernel: Option<String>,
    cpu_model: Option<String>,
    cores: usize,
    memory_bytes: Option<u64>,
    descriptors: Option<u64>,
    container: bool,
    stores: BTreeMap<String, String>,
    steal: Option<f64>,
    throttled_ns: Option<u64>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct WireEncoded {
    min_ns: u64,
    max_ns: u64,
    sum_ns: u64,
    /// HdrHistogram V2, compressed, base64.
    v2: String,
}

impl WireScenario {
    pub(crate) fn new(scenario: &ScenarioIdentity) -> Self {
        Self {
            name: scenario.name.clone(),
            digest: scenario.digest.clone(),
            seed: scenario.seed,
            text: scenario.text.clone(),
        }
    }

    pub(crate) fn into_identity(self) -> ScenarioIdentity {
        ScenarioIdentity {
            name: self.name,
            digest: self.digest,
            seed: self.seed,
            text: self.text,
        }
    }
}

impl WireTarget {
    pub(crate) fn new(target: &TargetIdentity) -> Self {
        Self {
            name: target.name.clone(),
            kind: target.kind.clone(),
            url: target.url.clone(),
            identity: WireIdentity {
                command: target.command.clone(),
                process_id: target.process.as_ref().map(|(id, _)| *id),
                process_name: target.process.as_ref().map(|(_, name)| name.clone()),
                executable_sha256: target.executable.clone(),
                revision: target.revision.clone(),
                container: target.container.as_ref().map(WireContainer::new),
                runtime: target.runtime.clone(),
                settings: target.settings.clone(),
            },
            exit: target.exit.clone(),
        }
    }

    pub(crate) fn into_identity(self) -> TargetIdentity {
        let identity = self.identity;
        TargetIdentity {
            name: self.name,
            kind: self.kind,
            url: self.url,
            command: identity.command,
            process: identity.process_id.zip(identity.process_name),
            executable: identity.executable_sha256,
            revision: identity.revision,
            container: identity.container.map(WireContainer::into_identity),
            runtime: identity.runtime,
            settings: identity.settings,
            exit: self.exit,
        }
    }
}

impl WireContainer {
    fn new(container: &ContainerIdentity) -> Self {
        Self {
            engine: container.engine.clone(),
            image: container.image.clone(),
            image_id: container.image_id.clone(),
            image_digest: container.image_digest.clone(),
            image_bytes: container.image_bytes,
            image_created: container.image_created.clone(),
            network: container.network.clone(),
            limit_nano_cpus: container.limits.cpus.map(Cpus::nano),
            limit_memory_bytes: container.limits.memory.map(MemoryLimit::bytes),
        }
    }

    fn into_identity(self) -> ContainerIdentity {
        ContainerIdentity {
            engine: self.engine,
            image: self.image,
            image_id: self.image_id,
            image_digest: self.image_digest,
            image_bytes: self.image_bytes,
            image_created: self.image_created,
            network: self.network,
            limits: Limits {
                cpus: self.limit_nano_cpus.map(Cpus::of_nano),
                memory: self.limit_memory_bytes.map(MemoryLimit::of),
            },
        }
    }
}

impl WireValidity {
    pub(crate) fn new(validity: &Validity) -> Self {
        let note = |note: &Note| WireNote {
            name: note.name.clone(),
            words: note.words.clone(),
        };
        Self {
            state: validity.state.name().into(),
            reasons: validity.reasons.clone(),
            notes: validity.notes.iter().map(note).collect(),
        }
    }

    /// # Errors
    /// Says what is wrong where the state is not one.
    pub(crate) fn into_validity(self) -> Result<Validity, String> {
        let states = [
            State::Valid,
            State::ClientBound,
            State::Disturbed,
            State::DataExhausted,
        ];
        let state = states.into_iter().find(|state| state.name() == self.state);
        let note = |note: WireNote| Note {
            name: note.name,
            words: note.words,
        };
        Ok(Validity {
            state: state.ok_or_else(|| format!("unknown state `{}`", self.state))?,
            reasons: self.reasons,
            notes: self.notes.into_iter().map(note).collect(),
        })
    }
}

impl WireAudit {
    pub(crate) fn new(audit: &Audit) -> Self {
        let facts = audit.facts.iter().cloned();
        Self {
            ok: audit.ok,
            facts: facts
                .map(|(name, value)| (name, Value::String(value)))
                .collect(),
        }
    }

    /// # Errors
    /// Says what is wrong where a fact is not text.
    pub(crate) fn into_audit(self) -> Result<Audit, String> {
        let facts = self.facts.into_iter().map(|(name, value)| match value {
            Value::String(value) => Ok((name, value)),
            _ => Err(format!("fact `{name}` of an audit is not text")),
        });
        Ok(Audit {
            ok: self.ok,
            facts: facts.collect::<Result<_, _>>()?,
        })
    }
}

impl WireEnvironment {
    pub(crate) fn new(environment: &Environment) -> Self {
        Self {
            tool_version: environment.tool_version.clone(),
            kernel: environment.kernel.clone(),
            cpu_model: environment.cpu_model.clone(),
            cores: environment.cores,
            memory_bytes: environment.memory_bytes,
            descriptors: environment.descriptors,
            container: environment.container,
            stores: environment.stores.clone(),
            steal: environment.steal,
            throttled_ns: environment.throttled_ns,
        }
    }

    pub(crate) fn into_environment(self) -> Environment {
        Environment {
            tool_version: self.tool_version,
            kernel: self.kernel,
            cpu_model: self.cpu_model,
            cores: self.cores,
            memory_bytes: self.memory_bytes,
            descriptors: self.descriptors,
            container: self.container,
            stores: self.stores,
            steal: self.steal,
            throttled_ns: self.throttled_ns,
        }
    }
}

impl WireEncoded {
    pub(crate) fn new(encoded: Encoded) -> Self {
        Self {
            min_ns: encoded.min,
            max_ns: encoded.max,
            sum_ns: encoded.sum,
            v2: encoded.text,
        }
    }

    pub(crate) fn into_encoded(self) -> Encoded {
        Encoded {
            min: self.min_ns,
            max: self.max_ns,
            sum: self.sum_ns,
            text: self.v2,
        }
    }

    /// # Errors
    /// When the text is damaged, or does not fit the figures beside it.
    pub(crate) fn decode(self) -> Result<Histogram, DecodeError> {
        Histogram::decode(&self.into_encoded())
    }
}

/// A rate as an exact fraction: arrivals, and the nanoseconds that they take.
pub(crate) fn rate_fraction(rate: Rate) -> [u64; 2] {
    [rate.count(), rate.per_ns()]
}

pub(crate) fn arrivals_name(arrivals: Arrivals) -> &'static str {
    match arrivals {
        Arrivals::Constant => "constant",
        Arrivals::Poisson => "poisson",
    }
}

/// # Errors
/// Says what is wrong where arrivals are neither.
pub(crate) fn arrivals_named(name: &str) -> Result<Arrivals, String> {
    [Arrivals::Constant, Arrivals::Poisson]
        .into_iter()
        .find(|&arrivals| arrivals_name(arrivals) == name)
        .ok_or_else(|| format!("unknown arrivals `{name}`"))
}

pub(crate) fn outcome_counts(outcomes: &Outcomes) -> BTreeMap<String, u64> {
    outcomes
        .iter()
        .map(|(outcome, count)| (outcome_key(outcome), count))
        .collect()
}

/// # Errors
/// Says what is wrong where an outcome is none, or was counted impossibly often.
pub(crate) fn outcomes_of(counts: BTreeMap<String, u64>) -> Result<Outcomes, String> {
    let mut outcomes = Outcomes::default();
    for (key, count) in counts {
        let mut all = Outcome::ALL.into_iter();
        let Some(outcome) = all.find(|&outcome| outcome_key(outcome) == key) else {
            return Err(format!("unknown outcome `{key}`"));
        };
        outcomes.add(outcome, believable(&key, count)?);
    }
    Ok(outcomes)
}

/// A count that is not above [`LARGEST_COUNT`].
///
/// # Errors
/// Says what is wrong where it is.
pub(crate) fn believable(what: &str, count: u64) -> Result<u64, String> {
    if count > LARGEST_COUNT {
        return Err(format!("{count} is too many for `{what}`"));
    }
    Ok(count)
}

pub(crate) fn status_counts(statuses: &BTreeMap<u16, u64>) -> BTreeMap<String, u64> {
    statuses
        .iter()
        .map(|(status, count)| (status.to_string(), *count))
        .collect()
}

/// Its words with underscores: a key that needs no quoting in any query language.
fn outcome_key(outcome: Outcome) -> String {
    outcome.words().replace(' ', "_")
}
