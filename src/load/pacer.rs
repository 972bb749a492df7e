//! Waking at a moment: one `timerfd` per worker, armed with absolute times.
//!
//! Tokio's timer ticks in milliseconds and would make every arrival up to a millisecond late, so it is never used
//! for pacing. The descriptor need not be read: arming it again clears what it had counted.
//!
//! A sleeping CPU takes a while to come back, tens of microseconds in a virtual machine, and every arrival would be late by
//! that. So the timer is armed ahead of the moment by as much as it usually wakes late, and the rest is spent looking
//! at the clock and at the reactor by turns.

use std::cell::Cell;
use std::io;

use rustix::fd::OwnedFd;
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::task::yield_now;

use super::clock::monotonic;
use super::turn;

/// The most that the timer is armed ahead of a moment, in nanoseconds: what is spent on looking at the clock instead of
/// sleeping stays a small part of a CPU at 1,000 wakes a second; at 10,000 the CPU sleeps lightly, and less is needed.
const MOST_AHEAD_NS: u64 = 60_000;

/// By how much less it is armed ahead after a wake in time; after a late one it is nine times as much more, so that one wake
/// in ten is late.
const LESS_AHEAD_NS: u64 = 100;

/// A timer of the kernel's on `CLOCK_MONOTONIC`, for one task to wait on and others to bring forward.
#[derive(Debug)]
pub(super) struct Pacer {
    timer: AsyncFd<OwnedFd>,
    /// The moment for which it is armed.
    armed: Cell<u64>,
    /// How far ahead of a moment to wake for it, in nanoseconds.
    ahead: Cell<u64>,
    /// What [`Pacer::spun`] tells.
    spun: Cell<u64>,
}

impl Pacer {
    /// A timer of the current runtime.
    #[expect(unsafe_code, reason = "tokio has no safe way to wait for a timerfd")]
    pub(super) fn new() -> io::Result<Self> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let timer = timerfd_create(TimerfdClockId::Monotonic, flags)?;
        // SAFETY: the descriptor is open and owned by the `AsyncFd`, which alone closes it; an `OwnedFd` always
        // names the same descriptor.
        let timer = unsafe { AsyncFd::register_with_interest(timer, Interest::READABLE) }?;
        Ok(Self {
            timer,
            armed: Cell::new(u64::MAX),
            ahead: Cell::new(0),
            spun: Cell::new(0),
        })
    }

    /// Waits until `CLOCK_MONOTONIC` reads `moment` nanoseconds, above zero, or until it is woken before.
    pub(super) async fn wait(&self, moment: u64) -> io::Result<()> {
        self.arm(moment)?;
        self.timer.readable().await?.clear_ready();
        Ok(())
    }

    /// Waits like [`wait`](Self::wait), and to the microsecond: sleeps almost until `moment`, and then looks at the clock,
    /// while what other tasks wait for goes on.
    pub(super) async fn wait_closely(&self, moment: u64) -> io::Result<()> {
        let ahead = self.ahead.get();
        let early = moment.saturating_sub(ahead);
        if monotonic() < early {
            self.wait(early).await?;
            let woken = monotonic();
            if woken < early {
                return Ok(());
            }
            self.ahead.set(adjusted(ahead, woken - early));
        }
        let mut before = monotonic();
        while before < moment {
            yield_now().await;
            let now = monotonic();
            if turn::looked(now) {
                self.spun.set(self.spun.get() + (now - before));
            }
            before = now;
        }
        Ok(())
    }

    /// The time that was spent on looking at the clock while there was nothing else to do, in nanoseconds.
    pub(super) fn spun(&self) -> u64 {
        self.spun.get()
    }

    /// Wakes whoever waits at `moment`, if it would sleep for longer.
    pub(super) fn no_later_than(&self, moment: u64) -> io::Result<()> {
        if moment < self.armed.get() {
            self.arm(moment)?;
        }
        Ok(())
    }

    /// Wakes whoever waits.
    pub(super) fn ring(&self) -> io::Result<()> {
        // The first nanosecond of the clock is past; zero itself would disarm the timer.
        self.arm(1)
    }

    fn arm(&self, moment: u64) -> io::Result<()> {
        let value = Itimerspec {
            it_interval: Timespec {
                tv_sec: 0,
                tv_nsec: 0,
            },
            it_value: Timespec {
                tv_sec: (moment / 1_000_000_000) as i64,
                tv_nsec: (moment % 1_000_000_000) as i64,
            },
        };
        timerfd_settime(self.timer.get_ref(), TimerfdTimerFlags::ABSTIME, &value)?;
        self.armed.set(moment);
        Ok(())
    }
}

/// How far ahead to wake next, after a wake that came `late` nanoseconds after the one for which the timer was armed.
fn adjusted(ahead: u64, late: u64) -> u64 {
    if late > ahead {
        (ahead + 9 * LESS_AHEAD_NS).min(MOST_AHEAD_NS)
    } else {
        ahead.saturating_sub(LESS_AHEAD_NS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_wake_in_ten_comes_late() {
        // Latencies of 5 to 15 µs, each as often, and in no order.
        let latency = |k: u64| 5_000 + k * 7_919 % 10_000;
        let mut ahead = 0;
        let mut late = 0;
        for k in 0..20_000 {
            late += u64::from(k >= 10_000 && latency(k) > ahead);
            ahead = adjusted(ahead, latency(k));
        }
        assert!((900..1_100).contains(&late), "{late} of 10,000");
        assert!((12_000..=15_000).contains(&ahead), "{ahead}");
    }

    #[test]
    fn waking_ahead_has_bounds() {
        let ahead = (0..1_000).fold(0, |ahead, _| adjusted(ahead, 5_000_000));
        assert_eq!(ahead, MOST_AHEAD_NS);
        assert_eq!((0..1_000).fold(ahead, |ahead, _| adjusted(ahead, 0)), 0);
    }

    #[tokio::test]
    async fn nobody_is_woken_before_the_moment() {
        let pacer = Pacer::new().unwrap();
        for _ in 0..100 {
            let moment = monotonic() + 200_000;
            pacer.wait_closely(moment).await.unwrap();
            assert!(monotonic() >= moment);
        }
    }
}
