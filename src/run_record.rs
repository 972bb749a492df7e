//! One saved run: everything that judgements and reports are made of.
//!
//! A record holds distributions, not percentiles, and no figure without the identity of what was measured: scenario,
//! target, machine and tool. Its JSON, format `tailmark.run/1`, is written and read in [`wire`].

#[cfg(test)]
pub(crate) mod fixtures;
pub mod resources;
pub mod wire;

use std::collections::BTreeMap;

use crate::histogram::Histogram;
use crate::ledger::PhaseTally;
use crate::run_record::resources::Resources;
use crate::scenario::Arrivals;
use crate::units::{Quantile, Rate};
use crate::validity::{Measured, Validity, judge};
use crate::windows::Window;

/// One run of a scenario against a target.
#[derive(Debug, Clone, PartialEq)]
pub struct RunRecord {
    /// When it started, in UTC, as RFC 3339.
    pub started: String,
    /// Whether an interrupt ended it early.
    pub interrupted: bool,
    /// What was sent.
    pub scenario: ScenarioIdentity,
    /// What was measured.
    pub target: TargetIdentity,
    /// The flows and their steps, whose numbers the tallies use.
    pub flows: Vec<FlowNames>,
    /// One per phase, in order.
    pub phases: Vec<PhaseRecord>,
    /// Traffic over all phases.
    pub traffic: Traffic,
    /// Connections over all phases.
    pub connections: Connections,
    /// What the measuring cost.
    pub generator: Generator,
    /// What the target used.
    pub resources: Resources,
    /// The first failure of each kind.
    pub failures: Vec<Failure>,
    /// What the target's own audit found, a line per audit.
    pub audits: Vec<Audit>,
    /// Whether the figures may be believed.
    pub validity: Validity,
    /// Where it ran.
    pub environment: Environment,
}

/// The identity of a scenario.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScenarioIdentity {
    /// Its name: the file's, without its ending.
    pub name: String,
    /// SHA-256 of its text, in hex.
    pub digest: String,
    /// The seed of every draw.
    pub seed: u64,
    /// The text itself.
    pub text: String,
}

/// The identity of a target.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TargetIdentity {
    /// Its name in the targets file, or how it was named on the command line.
    pub name: String,
    /// `command` or `url`.
    pub kind: String,
    /// Where it was reached.
    pub url: String,
    /// The command that started it, split into words.
    pub command: Option<Vec<String>>,
    /// The process that answers, and its name.
    pub process: Option<(u32, String)>,
    /// SHA-256 of its executable, in hex.
    pub executable: Option<String>,
    /// The revision of the sources in its folder, with `-dirty` where they were changed.
    pub revision: Option<String>,
    /// How it ended, where tailmark started it.
    pub exit: Option<String>,
}

/// A flow's name, and its steps'.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FlowNames {
    /// The flow.
    pub name: String,
    /// Its steps, in order.
    pub steps: Vec<String>,
}

/// What happened in one phase.
#[derive(Debug, Clone, PartialEq)]
pub struct PhaseRecord {
    /// Its name.
    pub name: String,
    /// Whether it is left out of totals and judgements.
    pub warmup: bool,
    /// Arrivals per second that were offered.
    pub rate: Rate,
    /// How arrivals are spaced.
    pub arrivals: Arrivals,
    /// Nanoseconds for which it offered load.
    pub duration_ns: u64,
    /// What was counted.
    pub tally: PhaseTally,
    /// The same over time; empty windows are left out.
    pub windows: Vec<Window>,
}

/// Bytes on the wire, heads and bodies.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Written.
    pub sent_bytes: u64,
    /// Read.
    pub received_bytes: u64,
}

/// What became of connections.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Connections {
    /// At most so many at once.
    pub max: usize,
    /// Opened in all.
    pub opened: u64,
    /// Of these, opened in place of one that the target had closed.
    pub reopened: u64,
    /// The most that carried an exchange at once.
    pub peak_in_use: usize,
    /// Time to connect.
    pub connect: Histogram,
}

/// What the measuring cost.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Generator {
    /// Workers: a thread each.
    pub workers: usize,
    /// CPU time of all workers.
    pub cpu_ns: u64,
    /// The largest share of its time that a worker was on a CPU, and the worker's number from 0.
    pub busiest_worker: Option<(usize, f64)>,
    /// The kernel's peak of tailmark's own memory.
    pub memory_peak_bytes: Option<u64>,
    /// What it ran out of, in words.
    pub ran_out: Option<String>,
}

/// The first failure of its kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// When, in nanoseconds from the start of the run.
    pub at_ns: u64,
    /// Which step, as `flow/step`.
    pub step: String,
    /// Its outcome, in words.
    pub outcome: String,
    /// What was asked and what came, without headers and bodies, which may hold secrets.
    pub what: String,
}

/// What a target's own audit of its data found.
#[derive(Debug, Clone, PartialEq)]
pub struct Audit {
    /// Whether the data are as they should be.
    pub ok: bool,
    /// What it counted: a name and a value each.
    pub facts: Vec<(String, String)>,
}

/// The machine and the circumstances.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Environment {
    /// tailmark's version.
    pub tool_version: String,
    /// Kernel name and release.
    pub kernel: Option<String>,
    /// CPU model.
    pub cpu_model: Option<String>,
    /// CPUs that tailmark may use.
    pub cores: usize,
    /// Memory of the machine.
    pub memory_bytes: Option<u64>,
    /// Soft limit of descriptors.
    pub descriptors: Option<u64>,
    /// Whether tailmark ran in a container.
    pub container: bool,
    /// Settings of the stores that the target used.
    pub stores: BTreeMap<String, String>,
    /// Share of the CPU time that the hypervisor took away during the run.
    pub steal: Option<f64>,
    /// How long tailmark's own control group was throttled during the run.
    pub throttled_ns: Option<u64>,
}

impl RunRecord {
    /// The measured phases: all but warm-ups.
    pub fn measured(&self) -> impl Iterator<Item = &PhaseRecord> {
        self.phases.iter().filter(|phase| !phase.warmup)
    }

    /// The measured phases together.
    #[must_use]
    pub fn total(&self) -> PhaseTally {
        let steps: Vec<usize> = self.flows.iter().map(|flow| flow.steps.len()).collect();
        let mut total = PhaseTally::new(&steps);
        self.measured().for_each(|phase| total.merge(&phase.tally));
        total
    }

    /// CPU time of the target per 1,000 answered requests of the measured phases, in nanoseconds.
    #[must_use]
    pub fn cpu_per_1k_ns(&self) -> Option<u64> {
        let answered: u64 = self
            .measured()
            .flat_map(|phase| phase.tally.statuses().into_values())
            .sum();
        let cpu = u128::from(self.resources.cpu_ns?);
        (answered > 0).then(|| (cpu * 1_000 / u128::from(answered)) as u64)
    }

    /// Applies the rule of validity to what was recorded.
    pub fn judge(&mut self) {
        self.validity = judge(&Judged {
            record: self,
            total: self.total(),
        });
    }
}

impl PhaseRecord {
    /// Arrivals per second that the target kept up with.
    #[must_use]
    pub fn achieved_rate(&self) -> f64 {
        per_second(self.tally.walks_kept_up(), self.duration_ns)
    }

    /// Requests per second that were due.
    #[must_use]
    pub fn request_rate(&self) -> f64 {
        per_second(self.tally.due, self.duration_ns)
    }

    /// Arrivals per second that were due: the offered rate as it really came, which differs under Poisson arrivals.
    #[must_use]
    pub fn arrival_rate(&self) -> f64 {
        per_second(self.tally.arrivals, self.duration_ns)
    }
}

fn per_second(count: u64, duration_ns: u64) -> f64 {
    if duration_ns == 0 {
        0.0
    } else {
        count as f64 * 1e9 / duration_ns as f64
    }
}

/// A record as the rule of validity sees it.
struct Judged<'a> {
    record: &'a RunRecord,
    total: PhaseTally,
}

impl Judged<'_> {
    fn measured_ns(&self) -> u64 {
        self.record.measured().map(|phase| phase.duration_ns).sum()
    }
}

impl Measured for Judged<'_> {
    fn response_p99(&self) -> Option<u64> {
        self.total
            .response()
            .quantile(Quantile::P99)
            .map(|bound| bound.value)
    }
    fn on_time_p99(&self) -> Option<u64> {
        self.total.on_time.quantile(Quantile::P99)
    }
    fn lag_p99(&self) -> Option<u64> {
        self.total.lag.quantile(Quantile::P99)
    }
    fn wait_p99(&self) -> Option<u64> {
        self.total.wait.quantile(Quantile::P99)
    }
    fn turn_p99(&self) -> Option<u64> {
        self.total.turn.quantile(Quantile::P99)
    }
    fn busiest_worker(&self) -> Option<(usize, f64)> {
        self.record.generator.busiest_worker
    }
    fn ran_out(&self) -> Option<String> {
        self.record.generator.ran_out.clone()
    }
    fn steal(&self) -> Option<f64> {
        self.record.environment.steal
    }
    fn throttled_ns(&self) -> Option<u64> {
        self.record.environment.throttled_ns
    }
    fn pool_full(&self) -> (u64, u64) {
        (self.total.pool_full, self.total.due)
    }
    fn connections(&self) -> usize {
        self.record.connections.max
    }
    fn kept_up(&self) -> (f64, f64) {
        let kept_up = self
            .record
            .measured()
            .map(|phase| phase.tally.walks_kept_up())
            .sum();
        (
            per_second(kept_up, self.measured_ns()),
            per_second(self.total.arrivals, self.measured_ns()),
        )
    }
}
