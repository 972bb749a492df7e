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
use crate::ledger::{Distribution, PhaseTally};
use crate::run_record::resources::Resources;
use crate::scenario::LoadModel;
use crate::stats::sampling::{self, QuantileInterval};
use crate::target_spec::Limits;
use crate::threshold::Ruling;
use crate::units::Quantile;
pub use crate::validity::RowsEnded;
use crate::validity::{Measured, Validity, judge};
use crate::windows::Window;

/// One run of a scenario against a target.
#[derive(Debug, Clone, PartialEq)]
pub struct RunRecord {
    /// When it started, in UTC, as RFC 3339.
    pub started: String,
    /// Whether an interrupt ended it early.
    pub interrupted: bool,
    /// The threshold that ended it early, where one did.
    pub ended_by: Option<EndedBy>,
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
    /// What became of its thresholds, in order.
    pub thresholds: Vec<Ruling>,
    /// Where it ran.
    pub environment: Environment,
}

/// The threshold that ended a run before its time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndedBy {
    /// As it was written.
    pub expression: String,
    /// When it was found broken, in nanoseconds from the start of the run.
    pub at_ns: u64,
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
    /// `command`, `image` or `url`.
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
    /// The container that it ran in, where it did.
    pub container: Option<ContainerIdentity>,
    /// Why it ran as a process, or in a container, in words, where it could have been either.
    pub runtime: Option<String>,
    /// How it is set, by its own account.
    pub settings: BTreeMap<String, String>,
    /// How it ended, where tailmark started it.
    pub exit: Option<String>,
}

/// What a target's container was made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerIdentity {
    /// The engine that ran it, and its version.
    pub engine: String,
    /// What the image was called.
    pub image: String,
    /// The engine's own name for it: the digest of its configuration.
    pub image_id: String,
    /// What a registry knows it by, where it came from one.
    pub image_digest: Option<String>,
    /// The size of its layers.
    pub image_bytes: Option<u64>,
    /// When it was made, as RFC 3339, where it says so.
    pub image_created: Option<String>,
    /// `host`: this machine's network; `own`: a namespace of its own, reached at its address there.
    pub network: String,
    /// What it was allowed to use.
    pub limits: Limits,
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
    /// How it made load.
    pub model: LoadModel,
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

/// A version of HTTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HttpVersion {
    /// HTTP/1.1.
    One,
    /// HTTP/2.
    Two,
}

/// What became of connections.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Connections {
    /// What all of them spoke; none where there were none, or they differed.
    pub http: Option<HttpVersion>,
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
    /// Time of TLS handshakes.
    pub tls: Histogram,
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
    /// The CPUs that were set apart, in words; none where everything ran everywhere.
    pub placement: Option<String>,
    /// What it ran out of, in words.
    pub ran_out: Option<String>,
    /// The feeder whose rows ended the run, where they did.
    pub rows_ended: Option<RowsEnded>,
    /// Whether arrivals waited because too many walks were in progress.
    pub walks_full: bool,
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
    /// What was asked and what came, without what may be secret.
    pub what: String,
    /// The response's status, its head without secrets, and the beginning of its body, as far as there was one.
    pub response: Option<String>,
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
    /// The measured phases: neither warm-up nor pause.
    pub fn measured(&self) -> impl Iterator<Item = &PhaseRecord> {
        self.counted().filter(|phase| phase.offers_load())
    }

    /// Nanoseconds for which the measured phases offered load.
    #[must_use]
    pub fn measured_ns(&self) -> u64 {
        self.measured().map(|phase| phase.duration_ns).sum()
    }

    /// The measured phases together, with what went on in the pauses after them.
    #[must_use]
    pub fn total(&self) -> PhaseTally {
        let steps: Vec<usize> = self.flows.iter().map(|flow| flow.steps.len()).collect();
        let mut total = PhaseTally::new(&steps);
        self.counted().for_each(|phase| total.merge(&phase.tally));
        total
    }

    /// The interval of a quantile of response time; none where several phases were measured, each with its own.
    #[must_use]
    pub fn interval(&self, quantile: Quantile) -> Option<QuantileInterval> {
        let mut measured = self.measured();
        let only = measured.next().filter(|_| measured.next().is_none());
        only?.interval(quantile)
    }

    /// Walks per second that the target finished in time, over the measured phases.
    #[must_use]
    pub fn achieved_rate(&self) -> f64 {
        rate_over(self.counted(), PhaseTally::walks_kept_up)
    }

    /// The same of the open phases alone, and the arrivals per second that they had: what the target was offered, and
    /// what it kept up with. Closed users offer what the target lets them.
    #[must_use]
    pub fn kept_up(&self) -> (f64, f64) {
        (
            rate_over(self.open(), PhaseTally::walks_kept_up),
            rate_over(self.open(), |tally| tally.arrivals),
        )
    }

    /// What counts in totals: all but warm-ups. A walk that was begun in a measured phase may end in a pause after it.
    fn counted(&self) -> impl Iterator<Item = &PhaseRecord> {
        self.phases.iter().filter(|phase| !phase.warmup)
    }

    /// The open phases that count, and the pauses after them.
    fn open(&self) -> impl Iterator<Item = &PhaseRecord> {
        let mut open = false;
        self.counted().filter(move |phase| {
            if phase.offers_load() {
                open = phase.model.is_open();
            }
            open
        })
    }

    /// CPU time of the target per 1,000 answered requests of the measured phases, in nanoseconds.
    #[must_use]
    pub fn cpu_per_1k_ns(&self) -> Option<u64> {
        let answered: u64 = self
            .counted()
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
    /// The 95 % interval of a quantile of response time: of this machine, during this run. None of too few requests, of a ramp,
    /// whose rate is another at every moment, and where requests that never ended reach the quantile. Where they reach its
    /// upper end, that is +∞.
    #[must_use]
    pub fn interval(&self, quantile: Quantile) -> Option<QuantileInterval> {
        let is_steady = matches!(
            self.model,
            LoadModel::Open { .. } | LoadModel::Closed { .. }
        );
        let response = self.tally.response();
        let bound = response.quantile(quantile)?;
        if bound.censored || !is_steady {
            return None;
        }
        let times = |window: &Window| {
            let [ok, failed] = window.parts().ok()?;
            Some(Distribution {
                ok,
                failed,
                ..Distribution::default()
            })
        };
        let windows: Option<Vec<Distribution>> = self.windows.iter().map(times).collect();
        sampling::of_windows(
            &windows?,
            quantile,
            |times, rank| times.all().value_at_rank(rank),
            response.censored.count(),
        )
    }

    /// Whether flows started in it.
    #[must_use]
    pub fn offers_load(&self) -> bool {
        self.model != LoadModel::Pause
    }

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

    /// Arrivals per second that were due: the offered rate as it really came, which differs under Poisson arrivals, and
    /// the rate at which closed users came.
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

/// How many there were per second of the phases that offered load.
fn rate_over<'a>(
    phases: impl Iterator<Item = &'a PhaseRecord>,
    count: impl Fn(&PhaseTally) -> u64,
) -> f64 {
    let (mut sum, mut ns) = (0, 0);
    for phase in phases {
        sum += count(&phase.tally);
        ns += if phase.offers_load() {
            phase.duration_ns
        } else {
            0
        };
    }
    per_second(sum, ns)
}

/// A record as the rule of validity sees it.
struct Judged<'a> {
    record: &'a RunRecord,
    total: PhaseTally,
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
    fn rows_ended(&self) -> Option<RowsEnded> {
        self.record.generator.rows_ended.clone()
    }

    fn walks_full(&self) -> bool {
        self.record.generator.walks_full
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
    fn lag_mean(&self) -> Option<u64> {
        self.total.lag.mean()
    }
    fn service_mean(&self) -> Option<u64> {
        self.total.service().all().mean()
    }
    fn imbalanced(&self) -> u64 {
        self.total.imbalanced
    }
    fn reopened(&self) -> u64 {
        self.record.connections.reopened
    }
    fn connections(&self) -> usize {
        self.record.connections.max
    }
    fn kept_up(&self) -> (f64, f64) {
        self.record.kept_up()
    }
}

#[cfg(test)]
mod tests {
    use super::fixtures::{Answer, MODELS, MS, ok, record, url_yaml};

    /// The names of the notes of a run under `load`, of a target that lets everyone wait for 5 s before it answers.
    fn notes(load: &str) -> Vec<String> {
        let yaml = url_yaml("100/s", "2s").replace("rate: 100/s", load);
        let record = record("slow", &yaml, |_| Answer {
            wait: 5_000 * MS,
            ..ok(MS)
        });
        let notes = record.validity.notes.into_iter();
        notes.map(|note| note.name).collect()
    }

    #[test]
    fn only_what_is_offered_can_be_too_much() {
        assert_eq!(notes("rate: 100/s"), ["saturated"]);
        assert_eq!(notes("ramp: 100/s..200/s"), ["saturated"]);
        assert_eq!(notes("users: 100"), Vec::<String>::new());
    }

    #[test]
    fn what_goes_on_in_a_pause_counts_with_what_was_begun_before_it() {
        let record = record("models", MODELS, |_| ok(300 * MS));
        let due = |name: &str| {
            let phase = record.phases.iter().find(|phase| phase.name == name);
            phase.unwrap().tally.due
        };
        assert!(due("rest") > 0);
        let all: u64 = record.phases.iter().map(|phase| phase.tally.due).sum();
        assert_eq!(record.total().due, all - due("warm"));
        assert_eq!(record.measured_ns(), 12_000 * MS);
        // Of the arrivals of three open phases over their nine seconds, users aside.
        let (kept_up, offered) = record.kept_up();
        let open = ["climb", "steady", "fall"].map(|name| {
            let phase = record.phases.iter().find(|phase| phase.name == name);
            phase.unwrap().tally.arrivals
        });
        assert!((offered - open.iter().sum::<u64>() as f64 / 9.0).abs() < 1e-9);
        assert!(kept_up > 0.98 * offered, "{kept_up} of {offered}");
    }
}
