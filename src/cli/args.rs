//! What can be typed. What it means is decided by the commands.

mod exporting;
mod look;
mod rounds;
mod services;
mod startup;
mod trust;
mod write;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{
    Args as ClapArgs, CommandFactory as _, FromArgMatches as _, Parser, Subcommand, ValueEnum,
};

use super::access::AccessArgs;
use super::runtime::RuntimeArgs;
use crate::placement::{Pin, PinError};
use crate::report::Format;
use crate::scenario::Phase;
use crate::session::Durability;
use crate::units::{Quantile, Rate, UnitError, parse_duration};

pub(super) use exporting::Exporting;
pub(super) use look::{ListArgs, ReportArgs};
pub(super) use rounds::{CompareArgs, GateArgs, PassOrFail, RoundArgs};
pub(super) use services::{ServiceCheckArgs, ServicesArgs, ServicesCommand, UpArgs};
pub(super) use startup::StartupArgs;
pub(super) use trust::{DoctorArgs, OracleArgs, VerifyArgs};
pub(super) use write::{CheckArgs, InitArgs, ManualArgs, SchemaArgs};

/// Columns of a table that is not printed on a terminal.
pub(super) const WIDTH: usize = 100;

/// Flags of other tools that mean something else here, and ours.
const OTHERS: [(&str, &str); 8] = [
    (
        "--url",
        "the URL is an argument of its own: tailmark run http://…",
    ),
    (
        "-t",
        "tailmark needs no threads; --workers N where one is not enough",
    ),
    ("-z", "-d/--duration says how long"),
    ("-m", "-X/--method names the method"),
    ("-N", "-n/--requests says how many"),
    ("-A", "-H 'accept: …' sets a header"),
    ("-T", "-H 'content-type: …' sets a header"),
    ("--rps", "-r/--rate says how many arrivals per second"),
];

/// The whole command line.
#[derive(Debug, Parser)]
#[command(
    name = "tailmark",
    version,
    about = "Measures how an HTTP service behaves in its tail",
    long_about = "Measures how an HTTP service behaves in its tail. Times run from the moment each request was due, so \
                  nothing that a user would have waited for is left out.",
    after_help = "tailmark run http://127.0.0.1:8080/ -r 1000 -d 30s\n\
                  tailmark compare scenarios/crud.yaml axum actix",
    disable_help_subcommand = true
)]
pub(super) struct Args {
    #[command(subcommand)]
    pub(super) command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Measure one target
    #[command(long_about = RUN)]
    Run(Box<RunArgs>),
    /// Measure several targets by the same scenario, in rounds of random order
    #[command(long_about = rounds::COMPARE)]
    Compare(Box<CompareArgs>),
    /// Hold a candidate against a baseline, and fail where its tail is worse
    #[command(long_about = rounds::GATE)]
    Gate(Box<GateArgs>),
    /// Show a saved result again, or runs side by side
    #[command(long_about = look::REPORT)]
    Report(ReportArgs),
    /// List targets, scenarios and the last results
    #[command(long_about = look::LIST)]
    List(ListArgs),
    /// Write a scenario, targets or a CI job to begin with
    #[command(long_about = write::INIT)]
    Init(InitArgs),
    /// Find what is wrong with scenario and target files
    Check(CheckArgs),
    /// Print the JSON Schema of scenario files
    Schema(SchemaArgs),
    /// Say what this machine costs a measurement, and how to mend it
    #[command(long_about = trust::DOCTOR)]
    Doctor(DoctorArgs),
    /// Hold what tailmark reports against what is true
    #[command(long_about = trust::VERIFY)]
    Verify(VerifyArgs),
    /// Serve as a script says, and write down what was done
    #[command(long_about = trust::ORACLE)]
    Oracle(Box<OracleArgs>),
    /// Compare how long targets take to start, and what they hold then
    #[command(long_about = startup::STARTUP)]
    Startup(Box<StartupArgs>),
    /// Try services out by hand
    Services(ServicesArgs),
    /// Write man pages and completions
    #[command(hide = true)]
    Manual(ManualArgs),
}

/// Flags of every command.
#[derive(Debug, ClapArgs)]
pub(super) struct Common {
    /// Print JSON on standard output instead of tables
    #[arg(long, help_heading = "Output")]
    pub(super) json: bool,
    /// Say nothing on standard error but errors
    #[arg(short, long, help_heading = "Output")]
    pub(super) quiet: bool,
    /// Show more: what the first failures were
    #[arg(short, long, help_heading = "Output")]
    pub(super) verbose: bool,
    /// Whether to colour tables
    #[arg(
        long,
        value_name = "WHEN",
        default_value = "auto",
        help_heading = "Output"
    )]
    pub(super) color: Color,
}

/// How much of a run is shown.
#[derive(Debug, Default, ClapArgs)]
pub(super) struct Shown {
    /// The quantiles of a run's tables, such as p50,p75,p99.99 [p50,p90,p99,p99.9]
    #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = quantile, help_heading = "Output")]
    pub(super) percentiles: Vec<Quantile>,
    /// Print the whole distribution of a run's response times too
    #[arg(long, help_heading = "Output")]
    pub(super) spectrum: bool,
}

/// Where things run, on which terms, and how closely they are watched.
#[derive(Debug, ClapArgs)]
pub(super) struct Placing {
    /// CPUs of the generator, of targets that tailmark starts, and of their stores, such as 0:1-2:3; auto sets them
    /// apart from four cores up
    #[arg(long, value_name = "auto|none|G:T:S", default_value = "auto", value_parser = pin)]
    pub(super) pin: Pin,
    /// What a private PostgreSQL promises: relaxed may lose the last moments before a crash, strict loses nothing
    /// that was committed
    #[arg(long, value_name = "HOW", default_value = "relaxed")]
    pub(super) durability: DurabilityWord,
    /// Memory readings per second
    #[arg(long, value_name = "HZ", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub(super) sample_hz: u32,
}

/// Where results go.
#[derive(Debug, ClapArgs)]
pub(super) struct Saving {
    /// Write the result to FILE too; its ending says the format; may be given again
    #[arg(short, long, value_name = "FILE", help_heading = "Output")]
    pub(super) output: Vec<PathBuf>,
    /// The results folder
    #[arg(
        long,
        value_name = "DIR",
        default_value = "results/local",
        help_heading = "Output"
    )]
    pub(super) results: PathBuf,
    /// Keep no record
    #[arg(long, help_heading = "Output")]
    pub(super) no_save: bool,
}

/// When to use colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Color {
    /// On a terminal, unless NO_COLOR is set.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// What a private PostgreSQL promises about a crash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum DurabilityWord {
    /// The last moments may be lost.
    Relaxed,
    /// Nothing is lost.
    Strict,
}

impl From<DurabilityWord> for Durability {
    fn from(word: DurabilityWord) -> Self {
        match word {
            DurabilityWord::Relaxed => Self::Relaxed,
            DurabilityWord::Strict => Self::Strict,
        }
    }
}

/// How arrivals are spaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Spacing {
    /// At equal gaps.
    Constant,
    /// As independent users come.
    Poisson,
}

/// The version of HTTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum HttpWord {
    /// HTTP/1.1.
    #[value(name = "1.1")]
    One,
    /// HTTP/2.
    #[value(name = "2")]
    Two,
    /// By TLS what the target chooses, else HTTP/1.1.
    Auto,
}

/// Who speaks HTTP/1.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum EngineWord {
    /// tailmark's own client.
    Own,
    /// `hyper`, to hold the other against.
    Hyper,
}

/// What `--help` says of it.
const RUN: &str = "Measures one target once: response times from the moment each request was due, the memory and CPU of the target, and \
                  whether the measurement may be believed.\n\n\
                  Exits 0 where every threshold holds, and without thresholds also where the run is not valid; 1 where a threshold \
                  does not hold; 2 where it could not be done, for a file, a flag, the target or its stores; 4 where no request was \
                  ok, a `unique` feeder ran out of rows, or there are thresholds and the run is not valid; 130 where it was \
                  interrupted. With --debug: 0 where the exchange was ok, else 4.";

/// `run`.
#[derive(Debug, ClapArgs)]
#[command(
    after_help = "tailmark run http://127.0.0.1:8080/items/1 -r 1000 -d 30s\n\
                  tailmark run scenarios/crud.yaml --target axum",
    mut_arg("output", |arg| arg.help(output(Format::OF_RUN, "")))
)]
pub(super) struct RunArgs {
    /// A scenario file, or a URL to which one request is sent again and again
    #[arg(value_name = "SCENARIO|URL")]
    pub(super) what: String,
    /// The target: a name in targets.yaml, a URL, command:… or image:…
    #[arg(long, value_name = "TARGET")]
    pub(super) target: Option<String>,
    /// The file that describes targets [nearest of ./targets.yaml, ./reference-services/targets.yaml]
    #[arg(long, value_name = "FILE")]
    pub(super) targets: Option<PathBuf>,
    /// Arrivals per second, such as 400/s, 30/m, 2k/s [a URL: 100/s]
    #[arg(short, long, value_parser = rate)]
    pub(super) rate: Option<Rate>,
    /// Closed users instead of a rate: each asks again when it has its answer
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=i64::from(Phase::MAX_USERS)))]
    pub(super) users: Option<u32>,
    /// How long to measure, such as 30s or 1m30s [a URL: 10s]
    #[arg(short, long, value_parser = duration)]
    pub(super) duration: Option<Duration>,
    /// Stop after N measured arrivals
    #[arg(short = 'n', long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(super) requests: Option<u64>,
    /// How long to warm up first (a URL) [0s]
    #[arg(short, long, value_parser = duration)]
    pub(super) warmup: Option<Duration>,
    /// How long a target that tailmark starts is left alone before its idle memory is read
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = duration, hide_short_help = true)]
    pub(super) rest: Duration,
    /// Connections at most [256; with -u: N]
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(super) connections: Option<u32>,
    /// The version of HTTP [the scenario's, or 1.1]
    #[arg(long, value_name = "VERSION")]
    pub(super) http: Option<HttpWord>,
    /// Who speaks HTTP/1.1
    #[arg(long, hide = true, default_value = "own")]
    pub(super) engine: EngineWord,
    /// The method (a URL) [GET]
    #[arg(short = 'X', long)]
    pub(super) method: Option<String>,
    /// A header as `name: value` (a URL); may be given again
    #[arg(short = 'H', long = "header", value_name = "HEADER")]
    pub(super) headers: Vec<String>,
    /// The body (a URL): text, @FILE, or @- for standard input
    #[arg(short, long)]
    pub(super) body: Option<String>,
    /// Time for one exchange, from the moment it was sent [10s]
    #[arg(long, value_parser = duration)]
    pub(super) timeout: Option<Duration>,
    /// How arrivals are spaced (a URL) [constant]
    #[arg(long, value_name = "HOW")]
    pub(super) arrivals: Option<Spacing>,
    /// What must hold, such as 'p99 < 250ms', beside what the scenario says; may be given again
    #[arg(long, value_name = "EXPR")]
    pub(super) threshold: Vec<String>,
    /// Measure this phase alone
    #[arg(long, value_name = "PHASE")]
    pub(super) phase: Option<String>,
    /// Seed of every draw [the scenario's, or 1]
    #[arg(long)]
    pub(super) seed: Option<u64>,
    /// Worker threads [as few as the rate needs]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub(super) workers: Option<u32>,
    /// Whose memory and CPU to read: container:NAME, pid:N, port:N, or port for that of a loopback URL [what targets.yaml says,
    /// or the target's own process]
    #[arg(long, value_name = "WHAT")]
    pub(super) watch: Option<String>,
    #[command(flatten)]
    pub(super) placing: Placing,
    /// Make one exchange and print it, without load
    #[arg(long, conflicts_with_all = ["json", "output", "export"])]
    pub(super) debug: bool,
    #[command(flatten)]
    pub(super) shown: Shown,
    /// Do not walk through each flow once before the load
    #[arg(long)]
    pub(super) no_preflight: bool,
    #[command(flatten)]
    pub(super) containers: RuntimeArgs,
    #[command(flatten)]
    pub(super) access: AccessArgs,
    #[command(flatten)]
    pub(super) exporting: Exporting,
    #[command(flatten)]
    pub(super) saving: Saving,
    #[command(flatten)]
    pub(super) common: Common,
}

/// A command line that is none: help that was asked for, or an error.
#[derive(Debug)]
pub(super) struct NoArgs {
    error: clap::Error,
    hint: Option<&'static str>,
}

/// What `-o` says of itself where a result can be had in `formats`; `but` says where in fewer.
fn output(formats: &[Format], but: &str) -> String {
    let endings: Vec<String> = formats
        .iter()
        .map(|format| format!(".{}", format.ending()))
        .collect();
    format!(
        "Write the result to FILE too; its ending says the format ({}{but}); may be given again",
        endings.join(" ")
    )
}

/// The command line as a description of itself.
pub(super) fn command() -> clap::Command {
    Args::command()
}

/// Reads a command line.
pub(super) fn parse(words: impl IntoIterator<Item = OsString>) -> Result<Args, NoArgs> {
    let parsed = Args::command().try_get_matches_from(words);
    parsed
        .and_then(|matches| Args::from_arg_matches(&matches))
        .map_err(|error| {
            let hint = match error.get(ContextKind::InvalidArg) {
                Some(ContextValue::String(word)) if error.kind() == ErrorKind::UnknownArgument => {
                    OTHERS
                        .iter()
                        .find(|(other, _)| word == other)
                        .map(|(_, ours)| *ours)
                }
                _ => None,
            };
            NoArgs { error, hint }
        })
}

impl NoArgs {
    /// Prints the help or the error where it belongs.
    #[expect(
        clippy::print_stderr,
        reason = "the command line alone writes to the terminal"
    )]
    pub(super) fn print(&self) -> ExitCode {
        // A terminal that is gone reads nothing more.
        let _ = self.error.print();
        if let Some(hint) = self.hint {
            eprintln!("hint: {hint}");
        }
        ExitCode::from(if self.error.use_stderr() { 2 } else { 0 })
    }
}

fn rate(text: &str) -> Result<Rate, String> {
    text.parse()
        .map_err(|error: crate::units::UnitError| format!("{error}; {}", error.hint()))
}

fn pin(text: &str) -> Result<Pin, String> {
    text.parse()
        .map_err(|error: PinError| format!("{error}; {}", error.hint()))
}

fn quantile(text: &str) -> Result<Quantile, String> {
    text.parse()
        .map_err(|error: UnitError| format!("{error}; {}", error.hint()))
}

fn duration(text: &str) -> Result<Duration, String> {
    parse_duration(text).map_err(|error| format!("{error}; {}", error.hint()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Args::command().debug_assert();
    }

    #[test]
    fn help_says_how_commands_exit() {
        for name in ["run", "compare", "gate", "startup", "doctor", "verify"] {
            let mut command = Args::command();
            let command = command.find_subcommand_mut(name).unwrap();
            let help = command.render_long_help().to_string();
            assert!(help.contains("Exits "), "{name}: {help}");
        }
    }

    #[test]
    fn help_says_what_can_be_written() {
        for (name, formats) in [
            ("run", Format::OF_RUN),
            ("compare", Format::OF_COMPARISON),
            ("gate", Format::OF_GATE),
            ("startup", Format::OF_OTHERS),
            ("report", Format::OF_RUN),
        ] {
            let command = Args::command();
            let command = command.find_subcommand(name).unwrap();
            let mut flags = command.get_arguments();
            let flag = flags.find(|flag| flag.get_id() == "output").unwrap();
            let said = flag.get_help().unwrap().to_string();
            for format in Format::OF_RUN {
                let ending = format!(".{}", format.ending());
                let is_said = said.contains(&ending);
                assert_eq!(is_said, formats.contains(format), "{name}: {said}");
            }
        }
    }

    #[test]
    fn flags_of_other_tools_are_refused_with_ours() {
        for (flag, ours) in OTHERS {
            let words = ["tailmark", "run", "http://127.0.0.1/", flag, "1"];
            let refused = parse(words.map(OsString::from)).unwrap_err();
            assert_eq!(refused.hint, Some(ours), "{flag}");
        }
    }
}
