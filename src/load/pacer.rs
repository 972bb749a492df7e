//! Waking at a moment: one `timerfd` per worker, armed with absolute times.
//!
//! Tokio's timer ticks in milliseconds and would make every arrival up to a millisecond late, so it is never used
//! for pacing. The descriptor need not be read: arming it again clears what it had counted.

use std::cell::Cell;
use std::io;

use rustix::fd::OwnedFd;
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// A timer of the kernel's on `CLOCK_MONOTONIC`, for one task to wait on and others to bring forward.
#[derive(Debug)]
pub(super) struct Pacer {
    timer: AsyncFd<OwnedFd>,
    /// The moment for which it is armed.
    armed: Cell<u64>,
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
        })
    }

    /// Waits until `CLOCK_MONOTONIC` reads `moment` nanoseconds, above zero, or until it is woken before.
    pub(super) async fn wait(&self, moment: u64) -> io::Result<()> {
        self.arm(moment)?;
        self.timer.readable().await?.clear_ready();
        Ok(())
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
