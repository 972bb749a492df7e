//! The JSON of a saved gate, format `tailmark.gate/1`; `docs/schemas/gate-1.json` is its schema.
//!
//! It holds the terms and every round; a reader computes verdict, reasons and looks from those, never from what stands
//! beside them. The rounds are comparisons, in the shape of `tailmark.compare/1`, and so are its promises: a reader must
//! accept keys that it does not know, and a key is never removed or given another meaning within a version.

mod repeated;

use serde::{Deserialize, Serialize};

use super::{
    Build, Builds, Decision, Failures, GateRecord, Judged, Needed, Next, Reason, Side, Standing,
    Terms, TermsError, Verdict,
};
use crate::compare::UnknownMetric;
use crate::compare::wire::{ReadError as CompareError, WireChange, WireComparison, read};
use crate::stats::{AtLook, Looks};

/// The format that is written, and the only one that is read.
pub const FORMAT: &str = "tailmark.gate/1";

/// Why a saved gate could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// Not JSON, or not of this shape.
    #[error("not a saved gate: {0}")]
    Shape(#[source] serde_json::Error),
    /// Written by another version of tailmark.
    #[error("format `{0}` is not `{FORMAT}`; read it with the version of tailmark that wrote it")]
    Format(String),
    /// A metric that is none.
    #[error("the terms of the gate: {0}")]
    Metric(#[from] UnknownMetric),
    /// Terms on which there is no verdict.
    #[error("the terms of the gate: {0}")]
    Terms(#[from] TermsError),
    /// Looks in an impossible order.
    #[error("the terms of the gate: the looks {0:?} do not rise")]
    Looks(Vec<usize>),
    /// Its rounds are damaged.
    #[error("the rounds of the gate")]
    Rounds(#[from] CompareError),
    /// Other arms than a baseline and a candidate.
    #[error("a gate has two arms, not {0}")]
    Arms(usize),
}

impl GateRecord {
    /// The whole gate, as it is saved and as `--json` prints it.
    ///
    /// # Panics
    /// Never: every key is text and every number is finite or null.
    #[must_use]
    pub fn to_json(&self) -> String {
        let wire = WireGate::new(self);
        serde_json::to_string_pretty(&wire).expect("keys are text and numbers are finite") + "\n"
    }

    /// Reads what [`Self::to_json`] wrote.
    ///
    /// # Errors
    /// When the text is not a saved gate of [`FORMAT`], or is damaged.
    pub fn from_json(text: &str) -> Result<Self, ReadError> {
        /// Read first, so that a file of another version is named as such and not as a file of a wrong shape.
        #[derive(Deserialize)]
        struct OnlyFormat {
            format: String,
        }
        let OnlyFormat { format } = serde_json::from_str(text).map_err(ReadError::Shape)?;
        if format != FORMAT {
            return Err(ReadError::Format(format));
        }
        let wire: WireGate = serde_json::from_str(text).map_err(ReadError::Shape)?;
        wire.into_record()
    }
}

#[derive(Debug, Serialize, Deserialize)]
struct WireGate {
    format: String,
    started: String,
    elapsed_ns: Option<u64>,
    interrupted: bool,
    #[serde(skip_deserializing)]
    verdict: Option<String>,
    #[serde(skip_deserializing)]
    confirmed: bool,
    #[serde(skip_deserializing)]
    reasons: Vec<WireReason>,
    terms: WireTerms,
    #[serde(skip_deserializing)]
    attempts: Vec<WireJudged>,
    builds: Option<WireBuilds>,
    /// The rounds of the gate itself.
    first: WireComparison,
    /// Those of its confirmation.
    confirmation: Option<WireComparison>,
}

#[derive(Debug, Serialize, Deserialize)]
struct WireTerms {
    metrics: Vec<String>,
    allowed: f64,
    ruled_out: f64,
    alpha: f64,
    beta: f64,
    looks: Vec<usize>,
    seed: u64,
    confirm: bool,
    sign_vectors: usize,
}

#[derive(Debug, Serialize)]
struct WireReason {
    kind: &'static str,
    metric: Option<String>,
    side: Option<&'static str>,
    step: Option<String>,
    /// Rounds that are meant.
    rounds: Option<usize>,
    /// Of so many that were measured.
    measured: Option<usize>,
    /// In words.
    because: Option<String>,
    exchanges: Option<u64>,
    exchanges_needed: Option<u64>,
}

#[derive(Debug, Serialize)]
struct WireJudged {
    verdict: Option<String>,
    reasons: Vec<WireReason>,
    valid_rounds: usize,
    void_rounds: usize,
    metrics: Vec<WireStanding>,
    p50: Option<WireChange>,
    failures: WireFailures,
}

#[derive(Debug, Serialize)]
struct WireStanding {
    metric: String,
    state: &'static str,
    change: WireChange,
    looks: Vec<WireLook>,
    both_infinite_rounds: usize,
    rounds_needed: Option<WireNeeded>,
}

/// Signed-rank statistics, in half ranks.
#[derive(Debug, Serialize)]
struct WireLook {
    rounds: usize,
    fail: WireAtLook,
    pass: WireAtLook,
}

#[derive(Debug, Serialize)]
struct WireAtLook {
    doubled_statistic: u64,
    doubled_boundary: u64,
    crossed: bool,
}

#[derive(Debug, Serialize)]
struct WireNeeded {
    to_pass: f64,
    to_fail: f64,
    to_either: Option<f64>,
}

#[derive(Debug, Serialize)]
struct WireFailures {
    baseline: WireFailed,
    candidate: WireFailed,
}

#[derive(Debug, Serialize)]
struct WireFailed {
    failed: u64,
    exchanges: u64,
}

#[derive(Debug, Serialize, Deserialize)]
struct WireBuilds {
    baseline: WireBuild,
    candidate: WireBuild,
    #[serde(skip_deserializing)]
    same: bool,
}

#[derive(Debug, Serialize, Deserialize)]
struct WireBuild {
    revision: Option<String>,
    digest: Option<String>,
    command: Vec<String>,
    environment_digest: Option<String>,
}

impl WireGate {
    fn new(record: &GateRecord) -> Self {
        let decision = record.decision();
        let attempts = match record.next() {
            Next::Decided(decision) => decision.attempts,
            Next::Another(progress) => {
                let progress = *progress;
                let begun = progress.unconfirmed.into_iter().chain([progress.judged]);
                begun.collect()
            }
        };
        Self {
            format: FORMAT.into(),
            started: record.started.clone(),
            elapsed_ns: record.elapsed_ns,
            interrupted: record.interrupted,
            verdict: decision.as_ref().map(|decision| verdict(decision.verdict)),
            confirmed: decision.as_ref().is_some_and(Decision::is_confirmed),
            reasons: decision
                .as_ref()
                .map_or(Vec::new(), |decision| reasons(&decision.reasons)),
            terms: WireTerms::new(&record.terms),
            attempts: attempts.iter().map(WireJudged::new).collect(),
            builds: record.builds.as_ref().map(WireBuilds::new),
            first: WireComparison::new(&record.first).without_intervals(),
            confirmation: record
                .confirmation
                .as_ref()
                .map(|again| WireComparison::new(again).without_intervals()),
        }
    }

    fn into_record(self) -> Result<GateRecord, ReadError> {
        let first = read::from_wire(self.first)?;
        if first.plan.arms.len() != 2 {
            return Err(ReadError::Arms(first.plan.arms.len()));
        }
        let confirmation = self.confirmation.map(read::from_wire).transpose()?;
        let arms = confirmation
            .as_ref()
            .map_or(2, |again| again.plan.arms.len());
        if arms != 2 {
            return Err(ReadError::Arms(arms));
        }
        Ok(GateRecord {
            terms: self.terms.into_terms()?,
            started: self.started,
            elapsed_ns: self.elapsed_ns,
            interrupted: self.interrupted,
            builds: self.builds.map(WireBuilds::into_builds),
            first,
            confirmation,
        })
    }
}

impl WireTerms {
    fn new(terms: &Terms) -> Self {
        Self {
            metrics: terms.metrics.iter().map(ToString::to_string).collect(),
            allowed: terms.allowed,
            ruled_out: terms.ruled_out,
            alpha: terms.alpha,
            beta: terms.beta,
            looks: terms.looks.rounds().to_vec(),
            seed: terms.seed,
            confirm: terms.confirm,
            sign_vectors: terms.vectors,
        }
    }

    fn into_terms(self) -> Result<Terms, ReadError> {
        let metrics = self.metrics.iter().map(|name| name.parse());
        let looks = Looks::listed(self.looks).map_err(ReadError::Looks)?;
        let terms = Terms {
            metrics: metrics.collect::<Result<_, _>>()?,
            allowed: self.allowed,
            ruled_out: self.ruled_out,
            alpha: self.alpha,
            beta: self.beta,
            looks,
            seed: self.seed,
            confirm: self.confirm,
            vectors: self.sign_vectors,
        };
        Ok(terms.checked()?)
    }
}

fn verdict(verdict: Verdict) -> String {
    verdict.name().to_lowercase()
}

fn reasons(reasons: &[Reason]) -> Vec<WireReason> {
    reasons.iter().map(WireReason::new).collect()
}

impl WireReason {
    fn new(reason: &Reason) -> Self {
        let bare = |kind| Self {
            kind,
            metric: None,
            side: None,
            step: None,
            rounds: None,
            measured: None,
            because: None,
            exchanges: None,
            exchanges_needed: None,
        };
        match reason {
            Reason::RuledOut => bare("ruled out"),
            Reason::SameBinary => bare("same binary"),
            Reason::Failures => bare("failures"),
            Reason::NotConfirmed => bare("not confirmed"),
            Reason::BaselineBroken => bare("baseline broken"),
            Reason::Exceeds(metric) => bare("exceeds").of(metric),
            Reason::Undecided(metric) => bare("undecided").of(metric),
            Reason::OneSided { step, only } => Self {
                side: Some(only.name()),
                step: Some(step.clone()),
                ..bare("one side only")
            },
            Reason::NoSamples { metric, side } => bare("no samples").of(metric).at(*side),
            Reason::BothInfinite { metric, rounds } => Self {
                rounds: Some(*rounds),
                ..bare("infinite on both sides").of(metric)
            },
            Reason::FailuresInSome { rounds } => Self {
                rounds: Some(*rounds),
                ..bare("failures in some rounds")
            },
            Reason::TooManyVoid {
                void,
                measured,
                because,
            } => Self {
                rounds: Some(*void),
                measured: Some(*measured),
                because: Some(because.clone()),
                ..bare("too many void rounds")
            },
            Reason::TooFew {
                metric,
                side,
                exchanges,
            } => Self {
                exchanges: exchanges.map(|(had, _)| had),
                exchanges_needed: exchanges.map(|(_, needed)| needed),
                ..bare("too few samples").of(metric).at(*side)
            },
        }
    }

    fn of(self, metric: &crate::compare::Metric) -> Self {
        Self {
            metric: Some(metric.to_string()),
            ..self
        }
    }

    fn at(self, side: Option<Side>) -> Self {
        Self {
            side: Some(side.map_or("both", Side::name)),
            ..self
        }
    }
}

impl WireJudged {
    fn new(judged: &Judged) -> Self {
        Self {
            verdict: judged.verdict.map(verdict),
            reasons: reasons(&judged.reasons),
            valid_rounds: judged.valid,
            void_rounds: judged.void,
            metrics: judged.standings.iter().map(WireStanding::new).collect(),
            p50: judged.middle.as_ref().map(WireChange::new),
            failures: WireFailures::new(&judged.failures),
        }
    }
}

impl WireStanding {
    fn new(standing: &Standing) -> Self {
        Self {
            metric: standing.metric.to_string(),
            state: standing.state.name(),
            change: WireChange::new(&standing.change),
            looks: standing.looks.iter().map(WireLook::new).collect(),
            both_infinite_rounds: standing.both_infinite,
            rounds_needed: standing.needed.as_ref().map(WireNeeded::new),
        }
    }
}

impl WireLook {
    fn new([fail, pass]: &[AtLook; 2]) -> Self {
        Self {
            rounds: fail.rounds,
            fail: WireAtLook::new(fail),
            pass: WireAtLook::new(pass),
        }
    }
}

impl WireAtLook {
    fn new(look: &AtLook) -> Self {
        Self {
            doubled_statistic: look.doubled_statistic,
            doubled_boundary: look.doubled_boundary,
            crossed: look.crossed(),
        }
    }
}

impl WireNeeded {
    fn new(needed: &Needed) -> Self {
        Self {
            to_pass: needed.to_pass,
            to_fail: needed.to_fail,
            to_either: Some(needed.to_either).filter(|rounds| rounds.is_finite()),
        }
    }
}

impl WireFailures {
    fn new(failures: &Failures) -> Self {
        let of = |(failed, exchanges)| WireFailed { failed, exchanges };
        Self {
            baseline: of(failures.baseline),
            candidate: of(failures.candidate),
        }
    }
}

impl WireBuilds {
    fn new(builds: &Builds) -> Self {
        Self {
            baseline: WireBuild::new(&builds.baseline),
            candidate: WireBuild::new(&builds.candidate),
            same: builds.are_same(),
        }
    }

    fn into_builds(self) -> Builds {
        Builds {
            baseline: self.baseline.into_build(),
            candidate: self.candidate.into_build(),
        }
    }
}

impl WireBuild {
    fn new(build: &Build) -> Self {
        Self {
            revision: build.revision.clone(),
            digest: build.digest.clone(),
            command: build.command.clone(),
            environment_digest: build.environment_digest.clone(),
        }
    }

    fn into_build(self) -> Build {
        Build {
            revision: self.revision,
            digest: self.digest,
            command: self.command,
            environment_digest: self.environment_digest,
        }
    }
}

#[cfg(test)]
mod tests;
