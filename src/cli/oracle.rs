//! `tailmark oracle`: a server that does what its flags say.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::Path;

use super::Outcome;
use super::args::OracleArgs;
use super::failure::Failure;
use crate::oracle::{Options, Oracle};
use crate::session::shutdown::Shutdown;
use crate::units::{Rate, thousands, three_digits};
use crate::verification::Late;
use crate::verification::log::{Log, MOST_ENTRIES};
use crate::verification::truth::Truth;

pub(super) async fn oracle(args: Box<OracleArgs>) -> Result<Outcome, Failure> {
    let log = args.log.as_deref().map(LogFile::create).transpose()?;
    let failed = |error| Failure::new("serving", &error);
    let oracle = Oracle::bind(args.port)
        .map_err(|error| Failure::new(&format!("listening on 127.0.0.1:{}", args.port), &error))?;
    let address = oracle.address().map_err(failed)?;
    let shutdown =
        Shutdown::listen().map_err(|error| Failure::new("listening for signals", &error))?;
    args.common
        .print(&format!("listening on http://{address}\n"))?;

    let most_logged = if log.is_some() || args.rate.is_some() {
        MOST_ENTRIES
    } else {
        0
    };
    let script = args.script();
    let options = Options {
        lasts: args.lasts,
        most_logged,
        spin: args.spin,
    };
    let (stopped, stop) = std::io::pipe().map_err(failed)?;
    // A thread of its own, which this one only waits for: whatever is held back is answered in time.
    let serve = move || oracle.serve(&script, stopped, options);
    let mut serving = tokio::task::spawn_blocking(serve);
    let served = tokio::select! {
        served = &mut serving => served,
        () = shutdown.requested() => {
            drop(stop);
            serving.await
        }
    };
    let seen = served
        .map_err(|error| Failure::new("serving", &error))?
        .map_err(failed)?;
    if let Some(log) = log {
        log.write(&seen)?;
    }
    if !args.common.quiet {
        print(&summary(&seen, args.rate));
    }
    Ok(Outcome::Done)
}

/// Where the log goes: opened before anything is served.
struct LogFile<'a> {
    path: &'a Path,
    file: File,
}

impl<'a> LogFile<'a> {
    fn create(path: &'a Path) -> Result<Self, Failure> {
        match File::create(path) {
            Ok(file) => Ok(Self { path, file }),
            Err(error) => Err(Self::failure(path, &error)),
        }
    }

    fn write(self, log: &Log) -> Result<(), Failure> {
        let mut out = BufWriter::new(self.file);
        log.write(&mut out)
            .and_then(|()| out.flush())
            .map_err(|error| Self::failure(self.path, &error))
    }

    fn failure(path: &Path, error: &std::io::Error) -> Failure {
        Failure::new(&format!("writing {}", path.display()), error)
    }
}

/// What came, and how late it came for a schedule.
fn summary(log: &Log, rate: Option<Rate>) -> String {
    let logged = log.entries.len() as u64;
    let mut text = match logged + log.unlogged {
        1 => "1 request".to_owned(),
        count => format!("{} requests", thousands(count)),
    };
    if log.unlogged > 0 {
        text += &format!(", the first {} of them logged", thousands(logged));
    }
    let Some((rate, late)) = rate.and_then(|rate| {
        let late = Late::of(&Truth::at_rate(log, rate).late)?;
        Some((rate, late))
    }) else {
        return text;
    };
    let us = |ns: u64| three_digits(ns as f64 / 1e3);
    text + &format!(
        "\nlate for {rate}, µs: p50 {} p99 {} max {}",
        us(late.p50),
        us(late.p99),
        us(late.max)
    )
}

#[expect(
    clippy::print_stderr,
    reason = "the command line alone writes to the terminal"
)]
fn print(summary: &str) {
    eprintln!("{summary}");
}
