//! The one clock of a run: `CLOCK_MONOTONIC`, read as nanoseconds since the run's start.

use std::cell::Cell;

use rustix::time::{ClockId, clock_gettime};

/// The kernel's monotonic clock in nanoseconds, the same in every process of the machine.
pub(crate) fn monotonic() -> u64 {
    nanoseconds(ClockId::Monotonic)
}

/// CPU time of the calling thread, in nanoseconds.
pub(super) fn thread_cpu() -> u64 {
    nanoseconds(ClockId::ThreadCPUTime)
}

/// A worker's clock. Until the run's start is set, it counts from the machine's.
#[derive(Debug, Default)]
pub(super) struct Clock {
    start: Cell<u64>,
    /// The start, in milliseconds since the Unix epoch.
    wall: Cell<u64>,
}

impl Clock {
    /// Nanoseconds since the start of the run.
    pub(super) fn now(&self) -> u64 {
        monotonic().saturating_sub(self.start.get())
    }

    /// Sets the start of the run, a reading of [`monotonic`].
    pub(super) fn start_at(&self, start: u64) {
        self.start.set(start);
        let ago = monotonic().saturating_sub(start) / 1_000_000;
        let wall = nanoseconds(ClockId::Realtime) / 1_000_000;
        self.wall.set(wall.saturating_sub(ago));
    }

    /// A moment of the run, in milliseconds since the Unix epoch.
    pub(super) fn wall_ms(&self, moment: u64) -> u64 {
        self.wall.get() + moment / 1_000_000
    }

    /// A moment of the run on the machine's axis.
    pub(super) fn absolute(&self, moment: u64) -> u64 {
        self.start.get().saturating_add(moment)
    }
}

fn nanoseconds(clock: ClockId) -> u64 {
    let time = clock_gettime(clock);
    // The kernel's clocks start near zero and stay far below 584 years.
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}
