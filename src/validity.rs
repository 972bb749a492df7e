//! Whether a measurement may be believed: one rule, for runs and for rounds.
//!
//! A run is *client-bound* where tailmark itself was the bottleneck and *disturbed* where the machine was taken away
//! from it; such a run says nothing of the target. Notes never invalidate: they say what to mind when reading.

use crate::units::{format_duration, thousands, three_digits};
use std::time::Duration;

/// What the rule needs to know of a measurement. Times in nanoseconds; `None` where nothing was measured.
pub trait Measured {
    /// p99 of response time.
    fn response_p99(&self) -> Option<u64>;
    /// p99 of on time: what a punctual generator would have seen.
    fn on_time_p99(&self) -> Option<u64>;
    /// p99 of lag.
    fn lag_p99(&self) -> Option<u64>;
    /// Mean of lag.
    fn lag_mean(&self) -> Option<u64>;
    /// Mean of service time.
    fn service_mean(&self) -> Option<u64>;
    /// p99 of wait.
    fn wait_p99(&self) -> Option<u64>;
    /// p99 of turn, an upper bound.
    fn turn_p99(&self) -> Option<u64>;
    /// The largest share of its time that a worker thread was on a CPU, 0 to 1, and the worker's number.
    fn busiest_worker(&self) -> Option<(usize, f64)>;
    /// What the generator ran out of (ports, descriptors), in words.
    fn ran_out(&self) -> Option<String>;
    /// The feeder whose rows ended the run.
    fn rows_ended(&self) -> Option<RowsEnded>;
    /// Whether arrivals waited because too many walks were in progress.
    fn walks_full(&self) -> bool;
    /// The share of CPU time that the hypervisor took away, 0 to 1.
    fn steal(&self) -> Option<f64>;
    /// How long tailmark's own control group was throttled.
    fn throttled_ns(&self) -> Option<u64>;
    /// Exchanges that found the pool full, and all of them.
    fn pool_full(&self) -> (u64, u64);
    /// Of the exchanges that found the pool full, those that found another worker's connection free.
    fn imbalanced(&self) -> u64;
    /// Connections that the target had closed while they rested, and that were replaced.
    fn reopened(&self) -> u64;
    /// Connections at most.
    fn connections(&self) -> usize;
    /// Arrivals per second that the target kept up with, and that were offered.
    fn kept_up(&self) -> (f64, f64);
}

/// A feeder of which every row had been taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowsEnded {
    /// Its name.
    pub feeder: String,
    /// How many it had.
    pub rows: u64,
    /// Whether the scenario needed more: its order is `unique`.
    pub is_failure: bool,
}

/// The verdict of the rule.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Validity {
    /// The state; anything but valid voids the measurement.
    pub state: State,
    /// Why it is not valid, in plain words, each with its figures.
    pub reasons: Vec<String>,
    /// What to mind.
    pub notes: Vec<Note>,
}

/// A measurement's state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum State {
    /// The figures are the target's.
    #[default]
    Valid,
    /// The figures are tailmark's own.
    ClientBound,
    /// Something else on the machine took the time.
    Disturbed,
    /// A feeder ran dry before the end.
    DataExhausted,
}

/// Something to mind about a valid measurement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// Its name, as records keep it.
    pub name: String,
    /// The sentence that people read, with figures and the next step.
    pub words: String,
}

/// Lateness of the generator that never matters: 250 µs, a few wake-ups of a busy kernel.
pub const NEGLIGIBLE_NS: u64 = 250_000;
/// The share of the response p99 that may be the generator's own before the figure is its own.
const OWN_SHARE: f64 = 0.10;
/// A worker busier than this cannot promise to wake in time.
const BUSY: f64 = 0.90;
/// Stolen CPU time beyond this moves a p99.
const STEAL: f64 = 0.05;
/// What happens to a hundredth of the exchanges or fewer moves no p99 by itself.
const RARE: f64 = 0.01;
/// A target that completes less than this share of what was offered falls behind for good.
const KEPT_UP: f64 = 0.98;

/// Applies the rule.
#[must_use]
pub fn judge(measured: &impl Measured) -> Validity {
    let client_bound = client_bound(measured);
    let disturbed = disturbed(measured);
    let exhausted = exhausted(measured);
    let state = match (client_bound.is_empty(), disturbed.is_empty()) {
        _ if !exhausted.is_empty() => State::DataExhausted,
        (true, true) => State::Valid,
        // A machine that was taken away makes the generator late: name the cause, not its effect.
        (_, false) => State::Disturbed,
        (false, true) => State::ClientBound,
    };
    let notes = saturated(measured)
        .into_iter()
        .chain(pool_bound(measured))
        .chain(pool_imbalance(measured))
        .chain(keep_alive(measured))
        .chain(rows_ended(measured))
        .chain(walks_full(measured))
        .collect();
    Validity {
        state,
        reasons: [exhausted, disturbed, client_bound].concat(),
        notes,
    }
}

impl State {
    /// Its name, as records and tables have it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Valid => "valid",
            Self::ClientBound => "client-bound",
            Self::Disturbed => "disturbed",
            Self::DataExhausted => "data exhausted",
        }
    }
}

/// How the generator was late, in words, where that matters beside what it measured.
fn late(measured: &impl Measured) -> Option<String> {
    late_to_send(measured).or_else(|| late_to_read(measured))
}

/// Its own lateness moved the p99.
fn late_to_send(measured: &impl Measured) -> Option<String> {
    let (response, on_time) = (measured.response_p99()?, measured.on_time_p99()?);
    let own = response.saturating_sub(on_time);
    (own > NEGLIGIBLE_NS && own as f64 > OWN_SHARE * on_time as f64).then(|| {
        format!(
            "tailmark itself was late: lag p99 {} of response p99 {}, which would have been {} on time",
            ms(measured.lag_p99().unwrap_or(own)),
            ms(response),
            ms(on_time)
        )
    })
}

/// A generator that wakes late for what is due wakes as late for what has come, and a connection whose answer waits to be
/// read looks busy. Where all of them were, that lateness is hidden in the wait, and a target that was quick looks saturated.
fn late_to_read(measured: &impl Measured) -> Option<String> {
    let (full, all) = measured.pool_full();
    let (lag, service) = (measured.lag_mean()?, measured.service_mean()?);
    let is_late = measured.lag_p99()? > NEGLIGIBLE_NS && lag as f64 > OWN_SHARE * service as f64;
    (is_late && full as f64 > RARE * all as f64).then(|| {
        format!(
            "tailmark itself was late: lag {} on average beside a service time of {}, and connections whose answers it had not read yet looked busy",
            ms(lag),
            ms(service)
        )
    })
}

fn client_bound(measured: &impl Measured) -> Vec<String> {
    let mut reasons: Vec<String> = late(measured).into_iter().collect();
    if let (Some(turn), Some(response)) = (measured.turn_p99(), measured.response_p99())
        && turn > NEGLIGIBLE_NS
        && turn as f64 > OWN_SHARE * response as f64
    {
        reasons.push(format!(
            "a response may have been read up to {} late at p99, of response p99 {}",
            ms(turn),
            ms(response)
        ));
    }
    if let Some((worker, busy)) = measured.busiest_worker()
        && busy > BUSY
    {
        reasons.push(format!(
            "worker {} used {:.0} % of its core",
            worker + 1,
            busy * 100.0
        ));
    }
    reasons.extend(
        measured
            .ran_out()
            .map(|what| format!("tailmark ran out of {what}")),
    );
    reasons
}

/// What was planned could not be sent: the rest of the run is missing.
fn exhausted(measured: &impl Measured) -> Vec<String> {
    let ended = measured.rows_ended().filter(|ended| ended.is_failure);
    let words = |ended: RowsEnded| {
        format!(
            "feeder {} has {} rows, each for one arrival, and the run needed more; give it more rows, or order: circular",
            ended.feeder,
            thousands(ended.rows)
        )
    };
    ended.map(words).into_iter().collect()
}

fn rows_ended(measured: &impl Measured) -> Option<Note> {
    let ended = measured.rows_ended().filter(|ended| !ended.is_failure)?;
    Some(Note {
        name: "rows-ended".into(),
        words: format!(
            "the run ended with the {} rows of feeder {}",
            thousands(ended.rows),
            ended.feeder
        ),
    })
}

fn walks_full(measured: &impl Measured) -> Option<Note> {
    measured.walks_full().then(|| Note {
        name: "walks-full".into(),
        words: "a worker had 65,536 walks in progress, and arrivals waited for one to end; that is in their wait. --workers has room for more".into(),
    })
}

fn disturbed(measured: &impl Measured) -> Vec<String> {
    taken_away(measured.steal(), measured.throttled_ns())
}

/// How the machine was taken away while something was measured, in words; nothing where it was not. `steal`: the share of CPU
/// time that the hypervisor took, 0 to 1; `throttled_ns`: for how long tailmark's own control group was throttled.
#[must_use]
pub fn taken_away(steal: Option<f64>, throttled_ns: Option<u64>) -> Vec<String> {
    let steal = steal.filter(|&steal| steal > STEAL).map(|steal| {
        format!(
            "the hypervisor took {:.1} % of the CPU time for others (steal)",
            steal * 100.0
        )
    });
    let throttled = throttled_ns.filter(|&ns| ns > 0).map(|ns| {
        format!(
            "tailmark's own control group was throttled for {} (raise its CPU limit)",
            ms(ns)
        )
    });
    steal.into_iter().chain(throttled).collect()
}

fn saturated(measured: &impl Measured) -> Option<Note> {
    let (kept_up, offered) = measured.kept_up();
    (offered > 0.0 && kept_up < KEPT_UP * offered && late(measured).is_none()).then(|| Note {
        name: "saturated".into(),
        words: format!(
            "the target finished {} of {} per second: these times say how long you ran, not how slow it is.{}",
            three_digits(kept_up),
            three_digits(offered),
            rate_to_try(kept_up).map_or(String::new(), |rate| format!(" Try -r {rate}."))
        ),
    })
}

/// Nine tenths of what the target managed, to two digits; none where it managed next to nothing.
fn rate_to_try(kept_up: f64) -> Option<u64> {
    let nine_tenths = (kept_up * 0.9) as u64;
    let unit = 10u64.pow(nine_tenths.checked_ilog10()?.saturating_sub(1));
    Some(nine_tenths / unit * unit)
}

fn pool_bound(measured: &impl Measured) -> Option<Note> {
    let (full, all) = measured.pool_full();
    let (wait, response) = (measured.wait_p99()?, measured.response_p99()?);
    (full > 0 && wait as f64 > OWN_SHARE * response as f64).then(|| Note {
        name: "pool-bound".into(),
        words: format!(
            "{} busy for {} of requests: wait is part of the response time. -c raises the pool",
            match measured.connections() {
                1 => "the only connection was".to_owned(),
                all => format!("all {} connections were", thousands(all as u64)),
            },
            percent(full, all)
        ),
    })
}

fn pool_imbalance(measured: &impl Measured) -> Option<Note> {
    let (_, all) = measured.pool_full();
    let imbalanced = measured.imbalanced();
    let (wait, response) = (measured.wait_p99()?, measured.response_p99()?);
    let starved = imbalanced as f64 > RARE * all as f64;
    (starved && wait as f64 > OWN_SHARE * response as f64).then(|| Note {
        name: "pool-imbalance".into(),
        words: format!(
            "{} of requests waited for a connection of one worker while another's were free. Try --workers 1, or a larger -c",
            percent(imbalanced, all)
        ),
    })
}

fn keep_alive(measured: &impl Measured) -> Option<Note> {
    let (_, all) = measured.pool_full();
    let reopened = measured.reopened();
    (reopened as f64 > RARE * all as f64).then(|| Note {
        name: "keep-alive".into(),
        words: format!(
            "the target closed {} resting connections, which were replaced ({} of requests): its keep-alive is shorter than they rest. With a smaller -c they rest less",
            thousands(reopened),
            percent(reopened, all)
        ),
    })
}

/// At least a whole percent, since none would read as none.
fn percent(part: u64, whole: u64) -> String {
    let percent = part as f64 / whole.max(1) as f64 * 100.0;
    format!("{:.0} %", percent.max(1.0))
}

fn ms(nanoseconds: u64) -> String {
    if nanoseconds >= 1_000_000_000 {
        return format_duration(Duration::from_millis(nanoseconds / 1_000_000));
    }
    format!("{} ms", three_digits(nanoseconds as f64 / 1e6))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A measurement in which all is well: what a test changes is what it is about.
    #[derive(Clone)]
    struct Given {
        response: u64,
        on_time: u64,
        lag: u64,
        lag_mean: u64,
        service_mean: u64,
        wait: u64,
        turn: u64,
        busy: f64,
        ran_out: Option<&'static str>,
        rows_ended: Option<bool>,
        walks_full: bool,
        steal: f64,
        throttled: u64,
        full: u64,
        imbalanced: u64,
        reopened: u64,
        kept_up: f64,
    }

    const WELL: Given = Given {
        response: 5_000_000,
        on_time: 4_990_000,
        lag: 20_000,
        lag_mean: 5_000,
        service_mean: 1_000_000,
        wait: 1_000,
        turn: 100_000,
        busy: 0.2,
        ran_out: None,
        rows_ended: None,
        walks_full: false,
        steal: 0.0,
        throttled: 0,
        full: 0,
        imbalanced: 0,
        reopened: 0,
        kept_up: 999.0,
    };

    impl Measured for Given {
        fn response_p99(&self) -> Option<u64> {
            Some(self.response)
        }
        fn on_time_p99(&self) -> Option<u64> {
            Some(self.on_time)
        }
        fn lag_p99(&self) -> Option<u64> {
            Some(self.lag)
        }
        fn lag_mean(&self) -> Option<u64> {
            Some(self.lag_mean)
        }
        fn service_mean(&self) -> Option<u64> {
            Some(self.service_mean)
        }
        fn wait_p99(&self) -> Option<u64> {
            Some(self.wait)
        }
        fn turn_p99(&self) -> Option<u64> {
            Some(self.turn)
        }
        fn busiest_worker(&self) -> Option<(usize, f64)> {
            Some((0, self.busy))
        }
        fn rows_ended(&self) -> Option<RowsEnded> {
            self.rows_ended.map(|is_failure| RowsEnded {
                feeder: "users".into(),
                rows: 1_000,
                is_failure,
            })
        }
        fn walks_full(&self) -> bool {
            self.walks_full
        }
        fn ran_out(&self) -> Option<String> {
            self.ran_out.map(str::to_owned)
        }
        fn steal(&self) -> Option<f64> {
            Some(self.steal)
        }
        fn throttled_ns(&self) -> Option<u64> {
            Some(self.throttled)
        }
        fn pool_full(&self) -> (u64, u64) {
            (self.full, 1_000)
        }
        fn imbalanced(&self) -> u64 {
            self.imbalanced
        }
        fn reopened(&self) -> u64 {
            self.reopened
        }
        fn connections(&self) -> usize {
            16
        }
        fn kept_up(&self) -> (f64, f64) {
            (self.kept_up, 1_000.0)
        }
    }

    fn check(given: &Given, state: State, words: &[&str]) {
        let verdict = judge(given);
        assert_eq!(verdict.state, state, "{verdict:?}");
        let all: Vec<&str> = verdict
            .reasons
            .iter()
            .map(String::as_str)
            .chain(verdict.notes.iter().map(|note| note.words.as_str()))
            .collect();
        assert_eq!(all, words);
    }

    #[test]
    fn all_is_well() {
        check(&WELL, State::Valid, &[]);
    }

    #[test]
    fn a_late_generator_accuses_itself() {
        let late = Given {
            on_time: 1_900_000,
            lag: 3_100_000,
            ..WELL
        };
        check(
            &late,
            State::ClientBound,
            &[
                "tailmark itself was late: lag p99 3.10 ms of response p99 5.00 ms, which would have been 1.90 ms on time",
            ],
        );
        // Late by a tenth or less, or by too little to matter, is not client-bound.
        check(
            &Given {
                on_time: 4_600_000,
                ..WELL
            },
            State::Valid,
            &[],
        );
        check(
            &Given {
                response: 300_000,
                on_time: 60_000,
                ..WELL
            },
            State::Valid,
            &[],
        );
    }

    #[test]
    fn a_generator_that_reads_late_or_has_no_time_left_accuses_itself() {
        check(
            &Given {
                turn: 800_000,
                busy: 0.97,
                ..WELL
            },
            State::ClientBound,
            &[
                "a response may have been read up to 0.800 ms late at p99, of response p99 5.00 ms",
                "worker 1 used 97 % of its core",
            ],
        );
        check(
            &Given {
                ran_out: Some("descriptors"),
                ..WELL
            },
            State::ClientBound,
            &["tailmark ran out of descriptors"],
        );
    }

    #[test]
    fn a_machine_taken_away_is_named_before_what_it_caused() {
        let given = Given {
            steal: 0.11,
            throttled: 2_000_000,
            busy: 0.95,
            ..WELL
        };
        check(
            &given,
            State::Disturbed,
            &[
                "the hypervisor took 11.0 % of the CPU time for others (steal)",
                "tailmark's own control group was throttled for 2.00 ms (raise its CPU limit)",
                "worker 1 used 95 % of its core",
            ],
        );
    }

    #[test]
    fn a_slow_target_is_saturated_and_not_the_generators_fault() {
        let slow = Given {
            response: 8_000_000_000,
            on_time: 7_999_990_000,
            kept_up: 612.0,
            ..WELL
        };
        check(
            &slow,
            State::Valid,
            &[
                "the target finished 612 of 1,000 per second: these times say how long you ran, not how slow it is. Try -r 550.",
            ],
        );
    }

    #[test]
    fn a_backlog_is_the_targets_unless_the_generator_was_late_beside_it() {
        let behind = Given {
            response: 800_000_000,
            on_time: 797_000_000,
            lag: 3_000_000,
            kept_up: 612.0,
            ..WELL
        };
        let names = |given: &Given| -> Vec<String> {
            judge(given)
                .notes
                .into_iter()
                .map(|note| note.name)
                .collect()
        };
        assert_eq!(names(&behind), ["saturated"]);
        let late = Given {
            on_time: 300_000_000,
            lag: 500_000_000,
            ..behind
        };
        assert_eq!(names(&late), Vec::<String>::new());
    }

    #[test]
    fn a_generator_without_a_cpu_does_not_accuse_the_target() {
        let starved = Given {
            response: 800_000_000,
            on_time: 780_000_000,
            lag: 63_000_000,
            lag_mean: 28_000_000,
            service_mean: 8_000_000,
            wait: 780_000_000,
            full: 1_000,
            kept_up: 438.0,
            ..WELL
        };
        let verdict = judge(&starved);
        assert_eq!(verdict.state, State::ClientBound);
        assert_eq!(
            verdict.reasons,
            [
                "tailmark itself was late: lag 28.0 ms on average beside a service time of 8.00 ms, and connections whose answers it had not read yet looked busy"
            ]
        );
        assert!(verdict.notes.iter().all(|note| note.name != "saturated"));
        // Late now and then, beside a target that takes its time: that one is slow.
        let slow = Given {
            lag: 3_000_000,
            lag_mean: 40_000,
            ..starved
        };
        assert_eq!(judge(&slow).state, State::Valid);
    }

    #[test]
    fn a_full_pool_is_a_note() {
        let full = Given {
            full: 310,
            wait: 2_000_000,
            ..WELL
        };
        check(
            &full,
            State::Valid,
            &[
                "all 16 connections were busy for 31 % of requests: wait is part of the response time. -c raises the pool",
            ],
        );
    }

    #[test]
    fn a_worker_that_starves_beside_idle_connections_is_a_note() {
        let starved = Given {
            imbalanced: 120,
            wait: 2_000_000,
            ..WELL
        };
        check(
            &starved,
            State::Valid,
            &[
                "12 % of requests waited for a connection of one worker while another's were free. Try --workers 1, or a larger -c",
            ],
        );
        // Where that cost no time, or hardly ever happened, it is nothing to mind.
        let quick = Given {
            wait: 100_000,
            ..starved.clone()
        };
        check(&quick, State::Valid, &[]);
        let rare = Given {
            imbalanced: 10,
            ..starved
        };
        check(&rare, State::Valid, &[]);
    }

    #[test]
    fn connections_that_the_target_keeps_closing_are_a_note() {
        let closed = Given {
            reopened: 1_000,
            ..WELL
        };
        check(
            &closed,
            State::Valid,
            &[
                "the target closed 1,000 resting connections, which were replaced (100 % of requests): its keep-alive is shorter than they rest. With a smaller -c they rest less",
            ],
        );
        let rare = Given {
            reopened: 10,
            ..WELL
        };
        check(&rare, State::Valid, &[]);
    }
}
