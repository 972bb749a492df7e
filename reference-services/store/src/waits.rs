//! How long requests wait for connections.

use std::ops::Add;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// The connections of a store to `PostgreSQL` and Redis, at one moment. The numbers are read one after another and may
/// disagree by what happened meanwhile. Those of several workers can be added up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StoreStats {
    /// The pool of `PostgreSQL` connections.
    pub postgres: PoolStats,
    /// The pool of Redis connections, or the one connection that all share, for which nobody waits.
    pub redis: PoolStats,
}

/// A pool of connections, at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PoolStats {
    /// Connections that are open or being opened.
    pub size: u64,
    /// Connections that nobody uses.
    pub idle: u64,
    /// Connections that were asked for, since the start.
    pub acquisitions: u64,
    /// Nanoseconds that passed in asking for connections, since the start.
    pub waited_ns: u64,
    /// Connections that were not had in time, since the start.
    pub timeouts: u64,
}

impl Add for StoreStats {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            postgres: self.postgres + other.postgres,
            redis: self.redis + other.redis,
        }
    }
}

impl Add for PoolStats {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            size: self.size + other.size,
            idle: self.idle + other.idle,
            acquisitions: self.acquisitions + other.acquisitions,
            waited_ns: self.waited_ns + other.waited_ns,
            timeouts: self.timeouts + other.timeouts,
        }
    }
}

/// Counts acquisitions: three additions and two looks at the clock for each.
#[derive(Debug, Default)]
pub(crate) struct Waits {
    acquisitions: AtomicU64,
    waited_ns: AtomicU64,
    timeouts: AtomicU64,
}

impl Waits {
    /// Awaits `acquire` and counts it; an error for which `is_timeout` holds counts as a time-out.
    pub(crate) async fn count<T, E>(
        &self,
        acquire: impl Future<Output = Result<T, E>>,
        is_timeout: impl FnOnce(&E) -> bool,
    ) -> Result<T, E> {
        let start = Instant::now();
        let outcome = acquire.await;
        let waited = u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.acquisitions.fetch_add(1, Ordering::Relaxed);
        self.waited_ns.fetch_add(waited, Ordering::Relaxed);
        if outcome.as_ref().is_err_and(is_timeout) {
            self.timeouts.fetch_add(1, Ordering::Relaxed);
        }
        outcome
    }

    /// What was counted, beside the `size` of the pool and what of it is `idle`.
    pub(crate) fn stats(&self, size: u64, idle: u64) -> PoolStats {
        PoolStats {
            size,
            idle,
            acquisitions: self.acquisitions.load(Ordering::Relaxed),
            waited_ns: self.waited_ns.load(Ordering::Relaxed),
            timeouts: self.timeouts.load(Ordering::Relaxed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn acquisitions_and_time_outs_are_counted() {
        let waits = Waits::default();
        let is_late = |error: &&str| *error == "late";
        assert_eq!(waits.count(async { Ok(1) }, is_late).await, Ok(1));
        for error in ["late", "refused"] {
            let outcome: Result<(), _> = waits.count(async { Err(error) }, is_late).await;
            assert_eq!(outcome, Err(error));
        }
        let stats = waits.stats(8, 7);
        assert_eq!((stats.acquisitions, stats.timeouts), (3, 1));
        assert_eq!((stats + stats).acquisitions, 6);
        assert_eq!((stats + stats).idle, 14);
    }
}
