//! The scripts that are played: each a way in which services are slow, and in which generators have been wrong.

use std::time::Duration;

use crate::script::{Delay, Script, Stall};
use crate::units::Rate;

/// A script with its name, and the pool through which it is played.
#[derive(Debug, Clone, PartialEq)]
pub struct Scripted {
    /// Its name, as `--only` takes it.
    pub name: &'static str,
    /// What the server does, in words.
    pub does: &'static str,
    /// What the server does.
    pub script: Script,
    /// Connections at most.
    pub connections: usize,
}

/// The names of all scripts, in order.
pub const NAMES: [&str; 9] = [
    "at-once",
    "constant",
    "bimodal",
    "lognormal",
    "stalls",
    "errors",
    "resets",
    "slow-body",
    "saturated",
];

/// Connections: three times what the longest delays keep busy at 1,000/s, and so few that a stall takes all of them at
/// once and what is due has to wait.
const CONNECTIONS: usize = 16;

/// By how much the time that a saturated server needs for a request exceeds the time between two arrivals: a sixth of
/// the requests is still queued when the last one is due.
const OVERLOAD: f64 = 1.2;

/// All scripts, in the order of [`NAMES`], for a run at `rate`.
#[must_use]
pub fn all(rate: Rate) -> Vec<Scripted> {
    let scripts = delays().into_iter().chain(troubles(rate));
    scripts
        .map(|(name, does, script)| Scripted {
            name,
            does,
            script,
            connections: CONNECTIONS,
        })
        .collect()
}

/// A name, what the server does, and the script that says it.
type Described = (&'static str, &'static str, Script);

/// Servers that answer all requests well, after some time.
fn delays() -> [Described; 4] {
    [
        ("at-once", "answers at once", Script::default()),
        ("constant", "answers after 2 ms", after(2)),
        (
            "bimodal",
            "answers after 1 ms, one in twenty after 20 ms",
            Script {
                delay: Delay::Bimodal {
                    fast: milliseconds(1),
                    slow: milliseconds(20),
                    share: 0.05,
                },
                ..Script::default()
            },
        ),
        (
            "lognormal",
            "answers after a lognormal time, median 1 ms, sigma 0.8",
            Script {
                delay: Delay::Lognormal {
                    median: milliseconds(1),
                    sigma: 0.8,
                },
                ..Script::default()
            },
        ),
    ]
}

/// Servers in trouble.
fn troubles(rate: Rate) -> [Described; 5] {
    let stall = Stall {
        lasts: milliseconds(800),
        every: milliseconds(4_000),
        first: milliseconds(500),
    };
    [
        (
            "stalls",
            "stands still for 800 ms every 4 s, answers after 1 ms otherwise",
            Script {
                stall: Some(stall),
                ..after(1)
            },
        ),
        (
            "errors",
            "answers after 1 ms, one in a hundred with status 500",
            Script {
                errors: 0.01,
                ..after(1)
            },
        ),
        (
            "resets",
            "answers after 1 ms, and to one in a hundred closes the connection instead",
            Script {
                resets: 0.01,
                ..after(1)
            },
        ),
        (
            "slow-body",
            "answers at once with a body that takes 5 ms",
            Script {
                body: 1_000,
                slow_body: Some(milliseconds(5)),
                ..Script::default()
            },
        ),
        (
            "saturated",
            "serves one request at a time, and takes 1.2 times as long as they are apart",
            Script {
                delay: Delay::Constant(overload(rate)),
                capacity: Some(1),
                ..Script::default()
            },
        ),
    ]
}

/// A server that answers after a constant time.
fn after(ms: u64) -> Script {
    Script {
        delay: Delay::Constant(milliseconds(ms)),
        ..Script::default()
    }
}

/// The time that a saturated server takes for a request, in whole microseconds so that it can be written as a flag.
fn overload(rate: Rate) -> Duration {
    Duration::from_micros((OVERLOAD * 1e6 / rate.per_second()).ceil() as u64)
}

fn milliseconds(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_has_a_script_of_its_own() {
        let all = all(Rate::per_second_of(1_000).unwrap());
        let names: Vec<&str> = all.iter().map(|scripted| scripted.name).collect();
        assert_eq!(names, NAMES);
        for scripted in &all {
            let alike = |other: &&Scripted| other.script == scripted.script;
            assert_eq!(all.iter().filter(alike).count(), 1, "{}", scripted.name);
        }
        let saturated = &all.last().unwrap().script;
        assert_eq!(
            saturated.delay,
            Delay::Constant(Duration::from_micros(1_200))
        );
    }
}
