//! Waking at a moment: one `timerfd` per worker, armed with absolute times.
//!
//! Tokio's timer ticks in milliseconds and would make every arrival up to a millisecond late, so it is never used
//! for pacing. The descriptor need not be read: arming it again clears what it had counted.

use std::io;

use rustix::fd::OwnedFd;
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::clock::monotonic;

/// A timer of the kernel's on `CLOCK_MONOTONIC`.
#[derive(Debug)]
pub(super) struct Pacer {
    timer: AsyncFd<OwnedFd>,
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
        Ok(Self { timer })
    }

    /// Waits until [`monotonic`] reads `moment` or later; at once where it does already.
    pub(super) async fn until(&self, moment: u64) -> io::Result<()> {
        while monotonic() < moment {
            self.arm(moment)?;
            // A wake that was left over from an earlier arming finds the moment still ahead, and arms again.
            self.timer.readable().await?.clear_ready();
        }
        Ok(())
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
        Ok(())
    }
}
