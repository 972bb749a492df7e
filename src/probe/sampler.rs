//! A thread that reads a target's files at a steady rate.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::ProbeError;
use super::process::Cpu;
use super::watch::Watch;
use crate::run_record::resources::Resources;

/// A running watch over files of this machine. Dropping it ends its thread.
#[derive(Debug)]
pub(super) struct Sampler {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    watch: Mutex<Watch>,
    finished: Condvar,
}

impl Sampler {
    /// Goes on reading `hz` times a second.
    ///
    /// # Errors
    /// When there can be no thread for it.
    pub(super) fn start(watch: Watch, hz: u32) -> Result<Self, ProbeError> {
        let shared = Arc::new(Shared {
            watch: Mutex::new(watch),
            finished: Condvar::new(),
        });
        let sampled = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("probe".to_owned())
            .spawn(move || sampled.sample(Duration::from_secs(1) / hz))
            .map_err(ProbeError::Thread)?;
        Ok(Self {
            shared,
            thread: Some(thread),
        })
    }

    pub(super) fn idle(&self) {
        self.lock().note_idle();
    }

    pub(super) fn measure_from(&self) {
        self.lock().measure_from();
    }

    pub(super) fn measure_to(&self) {
        self.lock().measure_to();
    }

    pub(super) fn latest(&self) -> (Option<u64>, Option<u64>) {
        let watch = self.lock();
        (watch.rss.latest, watch.cpu.as_ref().map(Cpu::total_ns))
    }

    pub(super) fn finish(mut self) -> Resources {
        self.end();
        let mut watch = self.lock();
        watch.measure_to();
        watch.note_after();
        watch.resources()
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Watch> {
        self.shared.lock()
    }

    fn end(&mut self) {
        self.lock().finished = true;
        self.shared.finished.notify_all();
        if let Some(thread) = self.thread.take() {
            // The thread only reads files; if it panicked all the same, what it had seen is still in `shared`.
            let _ = thread.join();
        }
    }
}

impl Drop for Sampler {
    fn drop(&mut self) {
        self.end();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Watch> {
        self.watch.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads at absolute moments, so that a late reading does not delay the next; those missed altogether are left out.
    fn sample(&self, period: Duration) {
        let mut watch = self.lock();
        let mut due = watch.began + period;
        while !watch.finished {
            let now = Instant::now();
            if now < due {
                let waited = self.finished.wait_timeout(watch, due - now);
                watch = waited.unwrap_or_else(PoisonError::into_inner).0;
                continue;
            }
            watch.read();
            while due <= now {
                due += period;
            }
        }
    }
}
