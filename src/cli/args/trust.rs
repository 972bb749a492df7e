//! What can be typed to find out whether tailmark can be trusted.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args as ClapArgs;

use super::{Common, duration, rate};
use crate::script::{self, Delay, MOST_BODY, Script, ScriptError, Stall, TailSlowdown};
use crate::units::Rate;
use crate::verification::scripts::NAMES;

/// What `--help` says of it.
pub(super) const DOCTOR: &str = "Looks at this machine for two seconds or so, changes nothing, and says of each finding what it costs a \
                  measurement and how to mend it. Exits 0, also where something costs, and 1 where a finding prevents \
                  measuring: what is measured then is refused, or not valid.";

/// `doctor`.
#[derive(Debug, ClapArgs)]
#[command(after_help = "tailmark doctor\n\
                  tailmark doctor --json")]
pub(in crate::cli) struct DoctorArgs {
    #[command(flatten)]
    pub(in crate::cli) common: Common,
}

/// What `--help` says of it.
pub(super) const VERIFY: &str = "Plays scripts on a server of its own, and holds what tailmark reports against what that server's log and \
                  the schedule say is true. Exits 1 where p50, p90, p99 or p99.9 is off by more than 2 % + 100 µs, \
                  or a request is not accounted for.";

/// `verify`.
#[derive(Debug, ClapArgs)]
#[command(after_help = "tailmark verify\n\
                  tailmark verify --only stalls --peers")]
pub(in crate::cli) struct VerifyArgs {
    /// Play this script alone; may be given again
    #[arg(long, value_name = "SCRIPT", value_parser = clap::builder::PossibleValuesParser::new(NAMES))]
    pub(in crate::cli) only: Vec<String>,
    /// Requests per second
    #[arg(short, long, default_value = "1000/s", value_parser = rate)]
    pub(in crate::cli) rate: Rate,
    /// How long to play each script
    #[arg(short, long, default_value = "5s", value_parser = verified_duration)]
    pub(in crate::cli) duration: Duration,
    /// Run wrk, wrk2, oha, hey and k6 on the same scripts too, where they are on the PATH
    #[arg(long)]
    pub(in crate::cli) peers: bool,
    #[command(flatten)]
    pub(in crate::cli) common: Common,
}

/// What `--help` says of it.
pub(super) const ORACLE: &str = "Serves HTTP/1.1 on 127.0.0.1 as the flags say, until it is interrupted, and can write down what it did. \
                  Which request is treated how is a function of --seed and the number at the end of its path \
                  (/…/17); a path without one counts by order of arrival.";

/// `oracle`.
#[derive(Debug, ClapArgs)]
#[command(
    after_help = "tailmark oracle --port 8080 --constant 2ms --stall 800ms/4s\n\
                  tailmark oracle --lognormal 1ms,0.8 --log requests.csv --rate 1000/s"
)]
pub(in crate::cli) struct OracleArgs {
    /// Where to listen on 127.0.0.1 [0: a free port, printed]
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    pub(in crate::cli) port: u16,
    /// End by itself after this time
    #[arg(long = "for", value_name = "TIME", default_value = "1h", value_parser = duration)]
    pub(in crate::cli) lasts: Duration,
    /// Write each request's arrival and answer to FILE at the end, the first 4,000,000 of them
    #[arg(long, value_name = "FILE")]
    pub(in crate::cli) log: Option<PathBuf>,
    /// Say at the end how late requests came for a schedule of this rate
    #[arg(short, long, value_parser = rate)]
    pub(in crate::cli) rate: Option<Rate>,
    /// Never sleep: see arrivals to the microsecond, and keep a CPU busy
    #[arg(long)]
    pub(in crate::cli) spin: bool,
    #[command(flatten)]
    script: ScriptArgs,
    #[command(flatten)]
    pub(in crate::cli) common: Common,
}

/// What the oracle does.
#[derive(Debug, ClapArgs)]
#[command(next_help_heading = "Script")]
struct ScriptArgs {
    /// Answer after this time [at once]
    #[arg(long, value_name = "TIME", value_parser = duration, group = "delay")]
    constant: Option<Duration>,
    /// Answer after one of two times, such as 1ms,20ms,5%
    #[arg(long, value_name = "FAST,SLOW,SHARE", value_parser = read(Delay::bimodal), group = "delay")]
    bimodal: Option<Delay>,
    /// Answer after a lognormal time, such as 1ms,0.8
    #[arg(long, value_name = "MEDIAN,SIGMA", value_parser = read(Delay::lognormal), group = "delay")]
    lognormal: Option<Delay>,
    /// Multiply all times by this
    #[arg(long, value_name = "FACTOR", default_value = "1", value_parser = read(script::factor))]
    slowdown: f64,
    /// Multiply the times of a share of requests [1.5%]
    #[arg(long, value_name = "FACTOR[,SHARE]", value_parser = read(str::parse::<TailSlowdown>))]
    tail_slowdown: Option<TailSlowdown>,
    /// Stand still again and again, such as 800ms/4s; @1s: first 1 s after the first request [half of EVERY]
    #[arg(long, value_name = "LASTS/EVERY[@FIRST]", value_parser = read(str::parse::<Stall>))]
    stall: Option<Stall>,
    /// Answer a share of requests with status 500
    #[arg(long, value_name = "SHARE", default_value = "0", value_parser = read(script::share))]
    errors: f64,
    /// Close the connection instead of answering, for a share of requests
    #[arg(long, value_name = "SHARE", default_value = "0", value_parser = read(script::share))]
    reset: f64,
    /// Bytes of an answer's body
    #[arg(long, value_name = "BYTES", default_value_t = 2, value_parser = body)]
    body: usize,
    /// Send the head at once, and the body in pieces over this time
    #[arg(long, value_name = "TIME", value_parser = duration)]
    slow_body: Option<Duration>,
    /// Serve so many requests at once, first come first served [any number]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    capacity: Option<u32>,
    /// Serve one request at a time: --capacity 1
    #[arg(long, conflicts_with = "capacity")]
    serial: bool,
    /// Seed of every draw
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

impl OracleArgs {
    /// What was asked for.
    pub(in crate::cli) fn script(&self) -> Script {
        let flags = &self.script;
        Script {
            seed: flags.seed,
            delay: flags
                .constant
                .map(Delay::Constant)
                .or(flags.bimodal)
                .or(flags.lognormal)
                .unwrap_or_default(),
            slowdown: flags.slowdown,
            tail: flags.tail_slowdown,
            stall: flags.stall,
            errors: flags.errors,
            resets: flags.reset,
            body: flags.body,
            slow_body: flags.slow_body,
            capacity: flags.capacity.or(flags.serial.then_some(1)),
        }
    }
}

/// A reader of ours as clap wants it.
fn read<T>(
    read: impl Fn(&str) -> Result<T, ScriptError> + Clone,
) -> impl Fn(&str) -> Result<T, String> + Clone {
    move |text| read(text).map_err(|error| error.to_string())
}

fn body(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(bytes) if bytes <= MOST_BODY => Ok(bytes),
        _ => Err(format!("a body has 0 to {MOST_BODY} bytes")),
    }
}

/// Long enough for a p50, and short enough that the log of a rate of thousands holds it.
fn verified_duration(text: &str) -> Result<Duration, String> {
    match duration(text)? {
        time if (Duration::from_millis(100)..=Duration::from_secs(600)).contains(&time) => Ok(time),
        _ => Err("a script is played for 100ms to 10m".into()),
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::super::{Command, parse};
    use crate::script::Script;
    use crate::units::Rate;
    use crate::verification::scripts;

    fn script(flags: &[String]) -> Script {
        let words = ["tailmark".to_owned(), "oracle".to_owned()];
        let words = words.iter().chain(flags).map(OsString::from);
        match parse(words).unwrap().command {
            Command::Oracle(args) => args.script(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_flags_of_a_script_say_the_same() {
        assert_eq!(script(&[]), Script::default());
        for scripted in scripts::all(Rate::per_second_of(700).unwrap()) {
            let slowed = Script {
                seed: 9,
                slowdown: 1.2,
                tail: "3,2%".parse().ok(),
                ..scripted.script.clone()
            };
            for wanted in [scripted.script, slowed] {
                assert_eq!(script(&wanted.flags()), wanted);
            }
        }
    }
}
