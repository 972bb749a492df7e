//! What a scripted server does with a request: how long it holds the answer back, and whether there is one.
//!
//! A pure function of (seed, number of the request), so that a run against it can be repeated, whatever the order in
//! which its requests come. Only its stalls have times of their own, counted from the first request.

mod read;

use std::time::Duration;

use crate::random::{self, Stream};
use crate::units::format_duration;

pub use read::{ScriptError, factor, share};

/// The longest an answer is held back: a minute, beyond the timeout of every client that a script is for. A lognormal
/// delay has no bound of its own.
pub const MOST_DELAY: Duration = Duration::from_secs(60);

/// The largest body that is answered.
pub const MOST_BODY: usize = 1 << 20;

/// The share of requests that [`TailSlowdown`] slows down where none is given: enough of them to move a p99, and too few
/// to move a p90.
pub const TAIL_SHARE: f64 = 0.015;

/// What a server is to do.
#[derive(Debug, Clone, PartialEq)]
pub struct Script {
    /// The seed of every draw.
    pub seed: u64,
    /// How long each answer is held back.
    pub delay: Delay,
    /// A factor on all delays.
    pub slowdown: f64,
    /// A factor on some delays.
    pub tail: Option<TailSlowdown>,
    /// When the whole server stands still.
    pub stall: Option<Stall>,
    /// The share of requests that are answered with status 500.
    pub errors: f64,
    /// The share of requests on which the connection is closed without an answer.
    pub resets: f64,
    /// Bytes of the body of an answer.
    pub body: usize,
    /// How long the body takes after the head.
    pub slow_body: Option<Duration>,
    /// How many requests are served at once, first come first served; any number where none is given.
    pub capacity: Option<u32>,
}

/// How long answers are held back.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub enum Delay {
    /// Not at all.
    #[default]
    None,
    /// All equally long.
    Constant(Duration),
    /// Most a short time, some a long one.
    Bimodal {
        /// The short time.
        fast: Duration,
        /// The long time.
        slow: Duration,
        /// The share of requests that take the long time.
        share: f64,
    },
    /// By a lognormal distribution, which has a long tail.
    Lognormal {
        /// Half of them take no longer.
        median: Duration,
        /// The standard deviation of the delay's natural logarithm.
        sigma: f64,
    },
}

/// A factor on the delays of some requests.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TailSlowdown {
    /// The factor.
    pub factor: f64,
    /// The share of requests, drawn whatever their own delay is.
    pub share: f64,
}

/// Times in which the whole server stands still: it reads nothing and answers nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stall {
    /// How long each of them lasts.
    pub lasts: Duration,
    /// From the start of one to the start of the next; longer than one lasts.
    pub every: Duration,
    /// From the first request to the start of the first.
    pub first: Duration,
}

/// What is done with one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Act {
    /// For how many nanoseconds the answer is held back.
    pub delay_ns: u64,
    /// What is answered.
    pub reply: Reply,
}

/// What is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reply {
    /// Status 200.
    Ok,
    /// Status 500.
    Error,
    /// Nothing: the connection is closed.
    Reset,
}

/// What a draw decides.
#[derive(Debug, Clone, Copy)]
enum Draw {
    Mode = 1,
    Radius = 2,
    Angle = 3,
    Tail = 4,
    Reply = 5,
}

impl Default for Script {
    /// Answers `ok` at once.
    fn default() -> Self {
        Self {
            seed: 1,
            delay: Delay::None,
            slowdown: 1.0,
            tail: None,
            stall: None,
            errors: 0.0,
            resets: 0.0,
            body: 2,
            slow_body: None,
            capacity: None,
        }
    }
}

impl Script {
    /// What is done with a request.
    #[must_use]
    pub fn act(&self, request: u64) -> Act {
        let tail = match self.tail {
            Some(tail) if self.unit(request, Draw::Tail) < tail.share => tail.factor,
            _ => 1.0,
        };
        let delay = self.base_delay(request) * self.slowdown * tail;
        let reply = match self.unit(request, Draw::Reply) {
            draw if draw < self.resets => Reply::Reset,
            draw if draw < self.resets + self.errors => Reply::Error,
            _ => Reply::Ok,
        };
        Act {
            delay_ns: delay.min(MOST_DELAY.as_nanos() as f64).round() as u64,
            reply,
        }
    }

    /// The flags of `tailmark oracle` that say the same.
    #[must_use]
    pub fn flags(&self) -> Vec<String> {
        let default = Self::default();
        let mut flags = vec![format!("--seed={}", self.seed)];
        match self.delay {
            Delay::None => {}
            Delay::Constant(delay) => flags.push(format!("--constant={}", format_duration(delay))),
            Delay::Bimodal { fast, slow, share } => flags.push(format!(
                "--bimodal={},{},{share}",
                format_duration(fast),
                format_duration(slow)
            )),
            Delay::Lognormal { median, sigma } => {
                flags.push(format!("--lognormal={},{sigma}", format_duration(median)));
            }
        }
        if self.slowdown != default.slowdown {
            flags.push(format!("--slowdown={}", self.slowdown));
        }
        if let Some(TailSlowdown { factor, share }) = self.tail {
            flags.push(format!("--tail-slowdown={factor},{share}"));
        }
        if let Some(stall) = self.stall {
            flags.push(format!(
                "--stall={}/{}@{}",
                format_duration(stall.lasts),
                format_duration(stall.every),
                format_duration(stall.first)
            ));
        }
        for (name, share) in [("errors", self.errors), ("reset", self.resets)] {
            if share > 0.0 {
                flags.push(format!("--{name}={share}"));
            }
        }
        if self.body != default.body {
            flags.push(format!("--body={}", self.body));
        }
        if let Some(lasts) = self.slow_body {
            flags.push(format!("--slow-body={}", format_duration(lasts)));
        }
        if let Some(capacity) = self.capacity {
            flags.push(format!("--capacity={capacity}"));
        }
        flags
    }

    /// The delay in nanoseconds before any slowdown.
    fn base_delay(&self, request: u64) -> f64 {
        match self.delay {
            Delay::None => 0.0,
            Delay::Constant(delay) => nanoseconds(delay),
            Delay::Bimodal { fast, slow, share } => {
                let slow_now = self.unit(request, Draw::Mode) < share;
                nanoseconds(if slow_now { slow } else { fast })
            }
            Delay::Lognormal { median, sigma } => {
                nanoseconds(median) * (sigma * self.normal(request)).exp()
            }
        }
    }

    /// A standard normal variate (G. E. P. Box, M. E. Muller: "A note on the generation of random normal deviates",
    /// 1958).
    fn normal(&self, request: u64) -> f64 {
        let radius = (-2.0 * self.unit(request, Draw::Radius).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.unit(request, Draw::Angle)).cos()
    }

    fn unit(&self, request: u64, draw: Draw) -> f64 {
        let keys = [request, draw as u64];
        random::unit(random::bits(self.seed, Stream::Script, &keys))
    }
}

impl Stall {
    /// When the stall of a number from 0 starts and ends, in nanoseconds from the first request.
    #[must_use]
    pub fn bounds(&self, number: u64) -> (u64, u64) {
        let ns = |duration: Duration| u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        let start = ns(self.every)
            .saturating_mul(number)
            .saturating_add(ns(self.first));
        (start, start.saturating_add(ns(self.lasts)))
    }
}

fn nanoseconds(duration: Duration) -> f64 {
    duration.as_nanos() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    const REQUESTS: u64 = 100_000;

    fn script(delay: Delay) -> Script {
        Script {
            seed: 7,
            delay,
            ..Script::default()
        }
    }

    fn delays(script: &Script) -> Vec<f64> {
        (0..REQUESTS)
            .map(|request| script.act(request).delay_ns as f64)
            .collect()
    }

    fn share(script: &Script, wanted: impl Fn(Act) -> bool) -> f64 {
        let count = (0..REQUESTS)
            .filter(|&request| wanted(script.act(request)))
            .count();
        count as f64 / REQUESTS as f64
    }

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn a_lognormal_delay_has_the_mean_and_the_spread_of_its_distribution() {
        let logarithms: Vec<f64> = delays(&script(Delay::Lognormal {
            median: ms(1),
            sigma: 0.8,
        }))
        .into_iter()
        .map(|delay| (delay / 1e6).ln())
        .collect();
        let mean = logarithms.iter().sum::<f64>() / REQUESTS as f64;
        let variance = logarithms
            .iter()
            .map(|log| (log - mean).powi(2))
            .sum::<f64>()
            / REQUESTS as f64;
        // Standard errors of 0.0025 and 0.0018.
        assert!(mean.abs() < 0.013, "{mean}");
        assert!((variance.sqrt() - 0.8).abs() < 0.009, "{variance}");
    }

    #[test]
    fn a_bimodal_delay_is_one_of_two_in_the_given_shares() {
        let script = script(Delay::Bimodal {
            fast: ms(1),
            slow: ms(20),
            share: 0.05,
        });
        let slow = share(&script, |act| act.delay_ns == 20_000_000);
        let fast = share(&script, |act| act.delay_ns == 1_000_000);
        // A standard error of 0.0007.
        assert!((slow - 0.05).abs() < 0.0035, "{slow}");
        assert_eq!(slow + fast, 1.0);
    }

    #[test]
    fn slowdowns_multiply_all_delays_or_a_share_of_them() {
        let plain = script(Delay::Constant(ms(2)));
        let slow = Script {
            slowdown: 1.2,
            ..plain.clone()
        };
        assert_eq!(share(&slow, |act| act.delay_ns == 2_400_000), 1.0);
        let tail = Script {
            tail: Some(TailSlowdown {
                factor: 3.0,
                share: TAIL_SHARE,
            }),
            ..slow
        };
        let slowed = share(&tail, |act| act.delay_ns == 7_200_000);
        // A standard error of 0.0004.
        assert!((slowed - TAIL_SHARE).abs() < 0.002, "{slowed}");
    }

    #[test]
    fn errors_and_resets_have_their_shares_and_exclude_each_other() {
        let script = Script {
            errors: 0.02,
            resets: 0.01,
            ..script(Delay::None)
        };
        let errors = share(&script, |act| act.reply == Reply::Error);
        let resets = share(&script, |act| act.reply == Reply::Reset);
        assert!((errors - 0.02).abs() < 0.0025, "{errors}");
        assert!((resets - 0.01).abs() < 0.0016, "{resets}");
    }

    #[test]
    fn a_request_is_treated_the_same_whenever_it_comes() {
        let script = script(Delay::Lognormal {
            median: ms(1),
            sigma: 2.0,
        });
        let other = Script {
            seed: 8,
            ..script.clone()
        };
        assert_eq!(script.act(11), script.act(11));
        assert_ne!(script.act(11), script.act(12));
        assert_ne!(script.act(11), other.act(11));
    }

    #[test]
    fn no_answer_is_held_back_for_longer_than_a_minute() {
        let script = script(Delay::Lognormal {
            median: ms(50_000),
            sigma: 5.0,
        });
        let longest = delays(&script).into_iter().fold(0.0, f64::max);
        assert_eq!(longest, MOST_DELAY.as_nanos() as f64);
    }

    #[test]
    fn stalls_begin_at_equal_distances() {
        let stall = Stall {
            lasts: ms(800),
            every: ms(4_000),
            first: ms(500),
        };
        assert_eq!(stall.bounds(0), (500_000_000, 1_300_000_000));
        assert_eq!(stall.bounds(2), (8_500_000_000, 9_300_000_000));
    }
}
