//! How often a subject may ask: GCRA, by `governor`, with one state for each subject.

use crate::Subject;
use contract::Failure;
use governor::clock::{Clock, MonotonicClock, Reference};
use governor::middleware::NoOpMiddleware;
use governor::state::keyed::DashMapStateStore;
use governor::{Quota, RateLimiter};
use std::fmt;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU32, Ordering};

/// After so many checks, subjects that have their whole burst again are forgotten. In between the table grows by as
/// many subjects at most: about a megabyte. Going through them takes well under a microsecond for each check.
const CHECKS_BETWEEN_CLEANINGS: u32 = 8_192;

/// The limits of all subjects of a process.
pub struct Limiter<C: Clock = MonotonicClock> {
    states: RateLimiter<Subject, DashMapStateStore<Subject>, C, NoOpMiddleware<C::Instant>>,
    clock: C,
    checks: AtomicU32,
}

impl Limiter {
    /// Lets each subject send `burst` requests at once and `rate` a second for ever.
    #[must_use]
    pub fn new(rate: NonZeroU32, burst: NonZeroU32) -> Self {
        Self::with_clock(rate, burst, MonotonicClock)
    }
}

impl<C: Clock + Clone> Limiter<C> {
    fn with_clock(rate: NonZeroU32, burst: NonZeroU32, clock: C) -> Self {
        let quota = Quota::per_second(rate).allow_burst(burst);
        Self {
            states: RateLimiter::dashmap_with_clock(quota, clock.clone()),
            clock,
            checks: AtomicU32::new(0),
        }
    }

    /// Counts a request of `subject`, if it may be served now.
    ///
    /// # Errors
    /// [`Failure::RateLimited`] (429) with the whole seconds, rounded up, after which the next one may be served: 1 at least.
    pub fn check(&self, subject: &Subject) -> Result<(), Failure> {
        if self.checks.fetch_add(1, Ordering::Relaxed) % CHECKS_BETWEEN_CLEANINGS
            == CHECKS_BETWEEN_CLEANINGS - 1
        {
            self.states.retain_recent();
        }
        self.states.check_key(subject).map_err(|not_until| {
            let wait = not_until
                .earliest_possible()
                .duration_since(self.clock.now());
            Failure::RateLimited(whole_seconds(wait.as_u64()))
        })
    }

    /// Subjects that do not have their whole burst, and some that do.
    #[must_use]
    pub fn subjects(&self) -> usize {
        self.states.len()
    }
}

impl<C: Clock + Clone> fmt::Debug for Limiter<C> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Limiter")
            .field("subjects", &self.subjects())
            .finish_non_exhaustive()
    }
}

/// Nanoseconds as seconds, rounded up, from 1 up: a client that is told 0 comes back at once.
fn whole_seconds(nanoseconds: u64) -> u32 {
    let seconds = nanoseconds.div_ceil(1_000_000_000).max(1);
    seconds.try_into().unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use governor::clock::FakeRelativeClock;
    use std::time::Duration;

    fn limiter(rate: u32, burst: u32) -> (Limiter<FakeRelativeClock>, FakeRelativeClock) {
        let clock = FakeRelativeClock::default();
        let limiter = Limiter::with_clock(
            NonZeroU32::new(rate).unwrap(),
            NonZeroU32::new(burst).unwrap(),
            clock.clone(),
        );
        (limiter, clock)
    }

    /// How many of `tries` are let through.
    fn served(limiter: &Limiter<FakeRelativeClock>, subject: &str, tries: u32) -> usize {
        let subject = Subject::new(subject);
        (0..tries)
            .filter(|_| limiter.check(&subject).is_ok())
            .count()
    }

    #[test]
    fn a_subject_has_its_burst_and_then_its_rate() {
        let (limiter, clock) = limiter(10, 4);
        assert_eq!(served(&limiter, "a", 20), 4);
        assert_eq!(served(&limiter, "b", 20), 4, "subjects share nothing");
        let mut later = 0;
        for _ in 0..100 {
            clock.advance(Duration::from_millis(50));
            later += served(&limiter, "a", 5);
        }
        assert_eq!(later, 50, "10 a second for 5 s");
    }

    #[test]
    fn a_refusal_says_when_to_come_again() {
        for (rate, burst, most) in [(1, 1, 1), (1_000, 1, 1), (1, 30, 1)] {
            let (limiter, clock) = limiter(rate, burst);
            let subject = Subject::new("a");
            while limiter.check(&subject).is_ok() {}
            let Err(Failure::RateLimited(seconds)) = limiter.check(&subject) else {
                panic!("{rate}/{burst}: it was served");
            };
            assert!((1..=most).contains(&seconds), "{rate}/{burst}: {seconds}");
            clock.advance(Duration::from_secs(seconds.into()));
            assert_eq!(limiter.check(&subject), Ok(()), "{rate}/{burst}");
        }
        assert_eq!(whole_seconds(0), 1);
        assert_eq!(whole_seconds(1_000_000_001), 2);
    }

    #[test]
    fn subjects_that_have_recovered_are_forgotten() {
        let (limiter, clock) = limiter(100, 10);
        for number in 0..4 * CHECKS_BETWEEN_CLEANINGS {
            clock.advance(Duration::from_millis(20));
            limiter
                .check(&Subject::new(&format!("user-{number}")))
                .unwrap();
            let most = usize::try_from(CHECKS_BETWEEN_CLEANINGS).unwrap() + 20;
            assert!(
                limiter.subjects() <= most,
                "{} are kept",
                limiter.subjects()
            );
        }
    }
}
