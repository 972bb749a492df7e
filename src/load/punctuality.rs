//! What a machine lets a generator do, tried out without load: how late it wakes, and what a look at the clock takes.

use std::hint::black_box;
use std::io;
use std::time::Duration;

use tokio::runtime::Builder;

use super::clock::monotonic;
use super::pacer::Pacer;
use super::turn;
use crate::histogram::Histogram;
use crate::units::nanoseconds;

/// Wakes before those that count: meanwhile the pacer learns by how much to wake ahead.
const LEARNING: u32 = 50;

/// Looks at the clock that are timed together: under a millisecond where a look is cheap, and 20 ms where it is dear.
const LOOKS: u32 = 10_000;

/// How late the calling thread wakes, in nanoseconds, for each of `wakes` moments that are `apart` from each other: by the timer, and
/// on a runtime, that a worker has for its arrivals. A wake that comes after the next moment makes that one late too.
pub(crate) fn lateness(wakes: u32, apart: Duration) -> io::Result<Histogram> {
    let runtime = Builder::new_current_thread()
        .enable_all()
        .event_interval(turn::EVENT_INTERVAL)
        .on_thread_park(turn::parked)
        .on_thread_unpark(turn::unparked)
        .build()?;
    runtime.block_on(async {
        let pacer = Pacer::new()?;
        let mut late = Histogram::new();
        let mut moment = monotonic();
        for wake in 0..LEARNING.saturating_add(wakes) {
            moment += nanoseconds(apart);
            while monotonic() < moment {
                pacer.wait_closely(moment).await?;
            }
            if wake >= LEARNING {
                late.record(monotonic() - moment);
            }
        }
        Ok(late)
    })
}

/// What a look at the clock takes, in nanoseconds, on average.
pub(crate) fn clock_read_ns() -> f64 {
    let begun = monotonic();
    for _ in 0..LOOKS {
        black_box(monotonic());
    }
    (monotonic() - begun) as f64 / f64::from(LOOKS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_wake_that_counts_is_counted_and_none_is_early() {
        let late = lateness(20, Duration::from_micros(200)).unwrap();
        assert_eq!(late.count(), 20);
        assert!(clock_read_ns() > 0.0);
    }
}
