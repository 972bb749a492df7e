//! Whether a generator reports what really happened: its figures beside the truth, which a server with a script wrote down.
//!
//! [`log::Log`] is what the server saw, [`truth::Truth`] what follows from it and the schedule, [`scripts::all`] what is
//! played, and a [`Verification`] what came of it; it renders itself as a table and as JSON. What is timed, started
//! and stopped for it is `session`'s.

pub mod log;
pub mod peers;
pub mod scripts;
mod table;
pub mod truth;
mod wire;

use std::time::Duration;

use crate::histogram::Histogram;
use crate::run_record::Environment;
use crate::units::{Quantile, Rate, parse_duration};
use crate::validity::Validity;
use peers::{Model, Reported};
use scripts::Scripted;
use truth::Times;

/// The quantiles that are judged.
pub const JUDGED: [Quantile; 4] = [Quantile::P50, Quantile::P90, Quantile::P99, Quantile::P99_9];

/// How far a quantile may be off: 2 % of the truth, of which the histogram's precision takes a twentieth …
pub const ALLOWED_SHARE: f64 = 0.02;
/// … and 100 µs, which an answer may take from the server's write through the kernel to the generator's read.
pub const ALLOWED_NS: u64 = 100_000;

/// Every script that was played, and what was found.
#[derive(Debug, Clone, PartialEq)]
pub struct Verification {
    /// Requests per second.
    pub rate: Rate,
    /// How long each script was played.
    pub duration: Duration,
    /// What was found, in the order of the scripts.
    pub found: Vec<Found>,
    /// Peers that were asked for and are not installed.
    pub not_installed: Vec<&'static str>,
    /// Where it ran.
    pub environment: Environment,
}

/// What one script showed.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// The script.
    pub scripted: Scripted,
    /// Requests that were due.
    pub due: u64,
    /// Requests that were due and of whose answer the server knows nothing.
    pub missing: u64,
    /// Requests that came without having been due, or twice.
    pub strays: u64,
    /// What happened.
    pub truth: Seen,
    /// What tailmark reports.
    pub measured: Seen,
    /// How much later than they should have, requests arrived; none where none did.
    pub late: Option<Late>,
    /// What tailmark says of its own run.
    pub validity: Validity,
    /// What was off in each earlier playing of the script.
    pub earlier: Vec<Vec<String>>,
    /// What others report, of runs of their own.
    pub peers: Vec<PeerFound>,
}

/// Times and kinds of answers, from one side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// Response times; none where there is no answer.
    pub times: Option<Figures>,
    /// How many answers were of which kind.
    pub answers: Answers,
}

/// Response times in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Figures {
    /// Those of [`JUDGED`], in its order.
    pub quantiles: [u64; JUDGED.len()],
    /// The largest.
    pub max: u64,
}

/// How many requests were answered, and how.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Answers {
    /// With status 200.
    pub ok: u64,
    /// With status 500.
    pub errors: u64,
    /// By closing the connection.
    pub resets: u64,
}

/// Lateness in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Late {
    /// The median.
    pub p50: u64,
    /// Ninety-nine in a hundred are at or below it.
    pub p99: u64,
    /// The largest.
    pub max: u64,
}

/// What another generator reported of its own run of a script.
#[derive(Debug, Clone, PartialEq)]
pub struct PeerFound {
    /// Its name.
    pub name: &'static str,
    /// How it offers load, and with that what is true of its run.
    pub model: Model,
    /// Requests that the server saw.
    pub requests: u64,
    /// p50 and p99 of its run as the server saw it; none where nothing arrived.
    pub truth: Option<Reported>,
    /// What it printed, or why there is nothing.
    pub reported: Result<Reported, String>,
}

impl Verification {
    /// Whether every script was reported as it was.
    #[must_use]
    pub fn is_right(&self) -> bool {
        self.found.iter().all(|found| found.wrongs().is_empty())
    }
}

impl Found {
    /// What tailmark reported wrongly, in words; empty where it was right.
    #[must_use]
    pub fn wrongs(&self) -> Vec<String> {
        [self.lost(), self.off()].concat()
    }

    /// Quantiles that are further from the truth than they may be.
    ///
    /// A machine that keeps the generator from running for a moment, after an answer was written and before it was
    /// read, does this too; a wrong generator does it every time.
    #[must_use]
    pub fn off(&self) -> Vec<String> {
        let Some((truth, measured)) = self.truth.times.zip(self.measured.times) else {
            return Vec::new();
        };
        let pairs = truth.quantiles.into_iter().zip(measured.quantiles);
        JUDGED
            .iter()
            .zip(pairs)
            .filter(|&(_, (is, says))| is_off(is, says))
            .map(|(quantile, (is, says))| format!("{quantile} {} ms is {} ms", ms(says), ms(is)))
            .collect()
    }

    /// Requests and answers that are not accounted for, which no machine can be blamed for.
    #[must_use]
    pub fn lost(&self) -> Vec<String> {
        let mut wrongs = Vec::new();
        match (self.truth.times, self.measured.times) {
            (Some(_), Some(_)) => {}
            (None, None) => wrongs.push("nothing was measured".into()),
            (None, Some(_)) => wrongs.push("what was measured never happened".into()),
            (Some(_), None) => wrongs.push("nothing of what happened was measured".into()),
        }
        if self.missing > 0 {
            wrongs.push(format!(
                "{} of {} due requests are not among the answers",
                self.missing, self.due
            ));
        }
        if self.strays > 0 {
            wrongs.push(format!("{} requests were not due", self.strays));
        }
        let (is, says) = (self.truth.answers, self.measured.answers);
        for (kind, is, says) in [
            ("ok", is.ok, says.ok),
            ("errors", is.errors, says.errors),
            ("resets", is.resets, says.resets),
        ] {
            if is != says {
                wrongs.push(format!("{says} {kind} were {is}"));
            }
        }
        wrongs
    }
}

impl Figures {
    /// The exact figures of `times`; none where there are none.
    #[must_use]
    pub fn of_times(times: &Times) -> Option<Self> {
        Self::new(|quantile| times.quantile(quantile), times.max())
    }

    /// The figures of `histogram`; none where it is empty.
    #[must_use]
    pub fn of_histogram(histogram: &Histogram) -> Option<Self> {
        Self::new(|quantile| histogram.quantile(quantile), histogram.max())
    }

    fn new(quantile: impl Fn(Quantile) -> Option<u64>, max: Option<u64>) -> Option<Self> {
        let mut quantiles = [0; JUDGED.len()];
        for (place, judged) in JUDGED.into_iter().enumerate() {
            quantiles[place] = quantile(judged)?;
        }
        Some(Self {
            quantiles,
            max: max?,
        })
    }
}

impl Late {
    /// The lateness in `times`; none where there is none.
    #[must_use]
    pub fn of(times: &Times) -> Option<Self> {
        Some(Self {
            p50: times.quantile(Quantile::P50)?,
            p99: times.quantile(Quantile::P99)?,
            max: times.max()?,
        })
    }
}

/// Whether a reported quantile is further from the true one than is allowed. In nanoseconds.
#[must_use]
pub fn is_off(truth: u64, reported: u64) -> bool {
    let allowed = truth as f64 * ALLOWED_SHARE + ALLOWED_NS as f64;
    truth.abs_diff(reported) as f64 > allowed
}

/// Nanoseconds as milliseconds, as they are printed.
fn ms(ns: u64) -> String {
    crate::units::three_digits(ns as f64 / 1e6)
}

/// A time as other tools print it, such as `1.04ms`, in nanoseconds.
fn printed_time(text: &str) -> Option<u64> {
    let duration = parse_duration(text).ok()?;
    u64::try_from(duration.as_nanos()).ok()
}

#[cfg(test)]
mod tests;
