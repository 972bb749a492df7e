//! Other generators: how each is asked to play the same run, and what it prints.

mod hey;
mod k6;
mod oha;
mod wrk;
mod wrk2;

use std::time::Duration;

use crate::units::Rate;

/// A generator that may be installed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peer {
    /// wrk.
    Wrk,
    /// wrk2.
    Wrk2,
    /// oha.
    Oha,
    /// hey.
    Hey,
    /// k6.
    K6,
}

/// How a generator offers load.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Model {
    /// At a rate.
    Open,
    /// Each connection sends as soon as it has its answer.
    Closed,
}

/// What is to be run.
#[derive(Debug, Clone, Copy)]
pub struct Job<'a> {
    /// Where.
    pub url: &'a str,
    /// How often, if the generator has a rate.
    pub rate: Rate,
    /// How long.
    pub duration: Duration,
    /// Over how many connections.
    pub connections: usize,
}

/// A command line without its program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invocation {
    /// The arguments.
    pub arguments: Vec<String>,
    /// What it reads from standard input.
    pub input: String,
}

/// Quantiles of response times, in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reported {
    /// The median.
    pub p50: u64,
    /// Ninety-nine in a hundred are at or below it.
    pub p99: u64,
}

impl Peer {
    /// Every peer, in the order in which they are run.
    pub const ALL: [Self; 5] = [Self::Wrk, Self::Wrk2, Self::Oha, Self::Hey, Self::K6];

    /// Its name, which is its program's.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Wrk => "wrk",
            Self::Wrk2 => "wrk2",
            Self::Oha => "oha",
            Self::Hey => "hey",
            Self::K6 => "k6",
        }
    }

    /// How it offers load.
    #[must_use]
    pub fn model(self) -> Model {
        match self {
            Self::Wrk => Model::Closed,
            Self::Wrk2 | Self::Oha | Self::Hey | Self::K6 => Model::Open,
        }
    }

    /// How it is asked to do `job`.
    #[must_use]
    pub fn invocation(self, job: &Job<'_>) -> Invocation {
        let plain = |arguments| Invocation {
            arguments,
            input: String::new(),
        };
        match self {
            Self::Wrk => plain(wrk::arguments(job)),
            Self::Wrk2 => plain(wrk2::arguments(job)),
            Self::Oha => plain(oha::arguments(job)),
            Self::Hey => plain(hey::arguments(job)),
            Self::K6 => k6::invocation(job),
        }
    }

    /// What it says of its run, in the output of the form that its [`Invocation`] asks for.
    #[must_use]
    pub fn reported(self, output: &str) -> Option<Reported> {
        match self {
            Self::Wrk => wrk::reported(output),
            Self::Wrk2 => wrk2::reported(output),
            Self::Oha => oha::reported(output),
            Self::Hey => hey::reported(output),
            Self::K6 => k6::reported(output),
        }
    }
}

impl Model {
    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Closed => "closed",
        }
    }
}

/// Words as arguments.
fn words<const N: usize>(words: [&str; N]) -> Vec<String> {
    words.map(str::to_owned).to_vec()
}

/// Whole seconds, which is what all of them understand.
fn seconds(duration: Duration) -> u64 {
    duration.as_secs_f64().ceil() as u64
}

/// A quantile in a table whose lines are `50% 1.04ms`: the first word that is `percent` with a `%`, and the word after
/// it.
fn in_table(output: &str, percent: f64) -> Option<&str> {
    output.lines().find_map(|line| {
        let mut words = line.split_whitespace();
        let first = words.next()?.strip_suffix('%')?;
        // hey writes the sign twice.
        let number: f64 = first.trim_end_matches('%').parse().ok()?;
        if number == percent {
            words.next()
        } else {
            None
        }
    })
}

/// A number of `unit_ns` nanoseconds each.
fn scaled(number: f64, unit_ns: f64) -> Option<u64> {
    (number.is_finite() && number >= 0.0).then_some((number * unit_ns).round() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job() -> Job<'static> {
        Job {
            url: "http://127.0.0.1:8080/",
            rate: Rate::per_second_of(1_000).unwrap(),
            duration: Duration::from_millis(4_500),
            connections: 16,
        }
    }

    #[test]
    fn every_peer_is_given_the_address_and_the_time() {
        for peer in Peer::ALL {
            let Invocation { arguments, input } = peer.invocation(&job());
            let all = format!("{} {input}", arguments.join(" "));
            assert!(all.contains("http://127.0.0.1:8080/"), "{all}");
            assert!(all.contains("5s"), "{all}");
            assert_eq!(peer.reported("no such output"), None);
        }
    }
}
