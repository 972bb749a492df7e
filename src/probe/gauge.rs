//! One kind of memory, followed over a watch.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::series::{self, Series};
use crate::run_record::resources::MemorySeries;

/// How far back an idle reading looks: long enough for a median, short enough to be past the start-up.
const IDLE_SPAN: Duration = Duration::from_secs(1);

/// Readings of one kind of memory, in bytes.
#[derive(Debug, Default)]
pub(super) struct Gauge {
    /// Those of the last `IDLE_SPAN`, outside measured spans.
    recent: VecDeque<(Instant, u64)>,
    pub(super) latest: Option<u64>,
    pub(super) measured: Series,
    idle: Option<u64>,
    after: Option<u64>,
}

impl Gauge {
    /// Takes a reading, `None` when there is nothing left to read. `at` counts from the watch's beginning.
    pub(super) fn push(&mut self, now: Instant, at: Duration, bytes: Option<u64>, measured: bool) {
        self.latest = bytes;
        let Some(bytes) = bytes else { return };
        if measured {
            self.measured.push(at, bytes);
            return;
        }
        self.recent.push_back((now, bytes));
        while self
            .recent
            .front()
            .is_some_and(|&(at, _)| now - at > IDLE_SPAN)
        {
            self.recent.pop_front();
        }
    }

    /// Takes the median of the last second as the idle figure, where there is still something to read.
    pub(super) fn note_idle(&mut self) {
        self.idle = self.at_rest();
    }

    /// The same after the load.
    pub(super) fn note_after(&mut self) {
        self.after = self.at_rest();
    }

    /// Forgets what was read before a measured span, when that ends.
    pub(super) fn forget_recent(&mut self) {
        self.recent.clear();
    }

    fn at_rest(&self) -> Option<u64> {
        let mut values: Vec<u64> = self.recent.iter().map(|&(_, bytes)| bytes).collect();
        series::quantile(&mut values, 0.5).filter(|_| self.latest.is_some())
    }

    /// What was seen; `peak` is the kernel's, where it tells one.
    pub(super) fn series(
        &self,
        source: String,
        hz: f64,
        processes: Option<u32>,
        peak: Option<u64>,
    ) -> MemorySeries {
        let sampled = self.measured.largest();
        let trend = self.measured.trend();
        MemorySeries {
            source,
            hz,
            samples: self.measured.kept(),
            processes,
            idle_bytes: self.idle,
            p50_bytes: self.measured.quantile(0.5),
            p95_bytes: self.measured.quantile(0.95),
            // The kernel keeps some of its counts per CPU, so a reading can be a few pages above its peak.
            peak_bytes: sampled.max(peak.filter(|_| sampled.is_some())),
            after_idle_bytes: self.after,
            slope_bytes_per_s: trend.map(|trend| trend.slope),
            slope_ci_bytes_per_s: trend.and_then(|trend| trend.interval),
        }
    }
}
