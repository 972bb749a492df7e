//! What can be typed to measure two services or more against each other.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args as ClapArgs, ValueEnum};

use super::super::access::AccessArgs;
use super::super::runtime::RuntimeArgs;
use super::{Common, Exporting, Placing, Saving, duration, output, rate};
use crate::compare::{Metric, Schedule};
use crate::report::Format;
use crate::units::{Rate, parse_ratio};

/// What a round is: the same for `compare` and `gate`.
#[derive(Debug, ClapArgs)]
pub(in crate::cli) struct RoundArgs {
    /// The file that describes targets [nearest of ./targets.yaml, ./reference-services/targets.yaml]
    #[arg(long, value_name = "FILE")]
    pub(in crate::cli) targets: Option<PathBuf>,
    /// Warm-up of each launch, in place of the scenario's [3s, or as long as 1,000 requests take]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(in crate::cli) warmup: Option<Duration>,
    /// Measured time of each launch, in place of the phase's `for`; a gate takes longer where its quantile needs more requests
    /// [5s, or as long as its quantile needs; of a comparison the p99]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(in crate::cli) measure: Option<Duration>,
    /// The targets of a round one after the other, or both at once. Duet is experimental: each slows the other, so that changes
    /// look smaller than they are
    #[arg(long, value_name = "HOW", default_value = "interleave")]
    pub(in crate::cli) schedule: ScheduleWord,
    /// The phase to measure [the only measured one with a rate]
    #[arg(long, value_name = "PHASE")]
    pub(in crate::cli) phase: Option<String>,
    /// Arrivals per second, the same for every target [the phase's]
    #[arg(short, long, value_parser = rate)]
    pub(in crate::cli) rate: Option<Rate>,
    /// Seed of every draw of the requests [the scenario's]
    #[arg(long)]
    pub(in crate::cli) seed: Option<u64>,
    /// Seed of the order of targets in each round [drawn]
    #[arg(long)]
    pub(in crate::cli) order_seed: Option<u64>,
    /// Go on with the rounds in DIR that an interrupt or a lost machine ended; what is measured must be the same
    #[arg(long, value_name = "DIR")]
    pub(in crate::cli) resume: Option<PathBuf>,
    #[command(flatten)]
    pub(in crate::cli) placing: Placing,
    /// Do not walk through each flow once before the first load of each target
    #[arg(long)]
    pub(in crate::cli) no_preflight: bool,
    #[command(flatten)]
    pub(in crate::cli) containers: RuntimeArgs,
    #[command(flatten)]
    pub(in crate::cli) access: AccessArgs,
    #[command(flatten)]
    pub(in crate::cli) exporting: Exporting,
    #[command(flatten)]
    pub(in crate::cli) saving: Saving,
    #[command(flatten)]
    pub(in crate::cli) common: Common,
}

/// How the targets of a round follow each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum ScheduleWord {
    /// One after the other.
    Interleave,
    /// Both at once.
    Duet,
}

impl From<ScheduleWord> for Schedule {
    fn from(word: ScheduleWord) -> Self {
        match word {
            ScheduleWord::Interleave => Self::Interleave,
            ScheduleWord::Duet => Self::Duet,
        }
    }
}

/// What `--help` says of it.
pub(super) const COMPARE: &str = "Measures targets in rounds. In each, every target is launched and measured once, in random order, by the same \
                  requests. Of the scenario one measured phase is taken, with its rate: its `for`, the other phases and the \
                  thresholds are left out. A p99 is compared only where each round has 2,000 requests of each target; at a low \
                  rate rounds are longer for that, unless --measure is given.\n\n\
                  Exits 0 where it has measured, whatever differs; 2 where it could not be done, for a file, a flag, a target or \
                  its stores; 4 where no request was ok, or of six rounds or more too many were void; 130 where it was \
                  interrupted.";

/// `compare`.
#[derive(Debug, ClapArgs)]
#[command(
    after_help = "tailmark compare scenarios/crud.yaml axum actix --rounds 6\n\
                  tailmark compare scenarios/crud.yaml axum@v1.4 axum@HEAD\n\
                  tailmark compare http://127.0.0.1:8080/items http://127.0.0.1:8081/items -r 500",
    mut_arg("output", |arg| arg.help(output(Format::OF_COMPARISON, "")))
)]
pub(in crate::cli) struct CompareArgs {
    /// A scenario file, then the targets (NAME@REV builds one at a revision); or URLs of one path, to which one request is sent.
    /// The first target is the reference
    #[arg(value_name = "[SCENARIO] A B", num_args = 1.., required = true)]
    pub(in crate::cli) what: Vec<String>,
    /// Rounds; in each, every target is measured once
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(in crate::cli) rounds: u32,
    /// As many rounds as fit into this time, if that is fewer [all]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(in crate::cli) max_time: Option<Duration>,
    #[command(flatten)]
    pub(in crate::cli) of_rounds: RoundArgs,
}

/// What `--help` says of it.
pub(super) const GATE: &str = "Measures a baseline and a candidate in rounds, and says whether the candidate is worse: FAIL where a change \
                  of what is allowed or less is rejected, PASS where one of what is to be ruled out is rejected, else \
                  INCONCLUSIVE after the last round. A measurement that cannot be believed is INVALID.\n\n\
                  Exits 0 for PASS, and for INCONCLUSIVE; 1 for FAIL; 2 where it could not be done, for a file, a flag, a target \
                  or its stores; 3 for INCONCLUSIVE where --on-inconclusive is fail; 4 for INVALID, or 0 where --on-invalid is \
                  pass; 130 where it was interrupted before it had decided. --aa and --against exit 0 whatever they say.";

/// `gate`.
#[derive(Debug, ClapArgs)]
#[command(
    after_help = "tailmark gate scenarios/crud.yaml --baseline-ref main --target axum\n\
                  tailmark gate shop.yaml --baseline before --candidate after --metric p99 --metric mem.peak",
    mut_arg("output", |arg| {
        arg.help(output(Format::OF_GATE, "; with --against no .xml, with --aa .json and .html alone"))
    })
)]
pub(in crate::cli) struct GateArgs {
    /// A scenario file
    #[arg(value_name = "SCENARIO")]
    pub(in crate::cli) scenario: PathBuf,
    /// What there was before: a name in targets.yaml, a URL, command:… or image:…
    #[arg(long, value_name = "TARGET", requires = "candidate", conflicts_with_all = ["baseline_ref", "target"])]
    pub(in crate::cli) baseline: Option<String>,
    /// What is to be judged
    #[arg(long, value_name = "TARGET", requires = "baseline")]
    pub(in crate::cli) candidate: Option<String>,
    /// Build --target as it was where HEAD left this revision, and as it is in HEAD
    #[arg(long, value_name = "REV")]
    pub(in crate::cli) baseline_ref: Option<String>,
    /// The target to build at both revisions, or to hold against itself [the only one in targets.yaml]
    #[arg(long, value_name = "TARGET")]
    pub(in crate::cli) target: Option<String>,
    /// What decides: p50 to p99.9, mem.idle, mem.p95, mem.peak, mem.slope, mem.after_idle or cpu.per_1k; may be given again
    #[arg(long, value_name = "METRIC", default_value = "p99")]
    pub(in crate::cli) metric: Vec<Metric>,
    /// The rise that is allowed
    #[arg(long, value_name = "SHARE", default_value = "5%", value_parser = share)]
    pub(in crate::cli) allowed: f64,
    /// The rise that a PASS rules out
    #[arg(long, value_name = "SHARE", default_value = "20%", value_parser = share)]
    pub(in crate::cli) ruled_out: f64,
    /// Rounds at most
    #[arg(long, value_name = "N", default_value_t = 40, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(in crate::cli) max_rounds: u32,
    /// No more rounds than fit into this time; a confirmation may take as long again
    #[arg(long, value_name = "TIME", default_value = "15m", value_parser = duration)]
    pub(in crate::cli) max_time: Duration,
    /// The chance of a FAIL where every rise is the allowed one
    #[arg(long, value_name = "SHARE", default_value = "1%", value_parser = share, hide_short_help = true)]
    pub(in crate::cli) alpha: f64,
    /// The chance of a PASS where the rise is the one to rule out
    #[arg(long, value_name = "SHARE", default_value = "5%", value_parser = share, hide_short_help = true)]
    pub(in crate::cli) beta: f64,
    /// Believe a FAIL at once
    #[arg(long)]
    pub(in crate::cli) no_confirm: bool,
    /// Whether INCONCLUSIVE lets a build pass (exit 0) or fail (exit 3)
    #[arg(long, value_name = "HOW", default_value = "pass")]
    pub(in crate::cli) on_inconclusive: PassOrFail,
    /// Whether INVALID lets a build pass (exit 0) or fail (exit 4)
    #[arg(long, value_name = "HOW", default_value = "fail")]
    pub(in crate::cli) on_invalid: PassOrFail,
    /// Hold the target against itself, N times, and say how often it is flagged and what this machine can see
    #[arg(long, value_name = "N", conflicts_with_all = ["baseline_ref", "against", "resume", "export"], value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(in crate::cli) aa: Option<u32>,
    /// Hold one measurement of --target against the saved results in DIR: advice, which fails nothing
    #[arg(long, value_name = "DIR", conflicts_with_all = ["baseline", "candidate", "baseline_ref", "resume"])]
    pub(in crate::cli) against: Option<PathBuf>,
    /// Do not tell the CI system (GitHub Actions: step summary, annotation, outputs)
    #[arg(long)]
    pub(in crate::cli) no_ci: bool,
    #[command(flatten)]
    pub(in crate::cli) of_rounds: RoundArgs,
}

/// What a verdict that is neither PASS nor FAIL does to a build.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum PassOrFail {
    /// It passes.
    Pass,
    /// It fails.
    Fail,
}

fn share(text: &str) -> Result<f64, String> {
    parse_ratio(text).map_err(|error: crate::units::UnitError| format!("{error}; {}", error.hint()))
}
