//! Memory and CPU of a target, watched from outside.
//!
//! A thread of its own reads the resident set some twenty times a second (27 µs per 100 MiB and process), looks for new
//! child processes once a second, and takes what is dear, the proportional set, only when told that the target is idle.
//! The peak of a single process is the kernel's, so that nothing between two readings is missed.

mod port;
mod process;
mod series;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use self::process::{Cpu, Tree};
use self::series::Series;
use crate::run_record::resources::{Memory, MemorySeries, Pss, Resources};

/// How often new processes of the target are looked for: a service that forks does so at its start, and the look costs as
/// much as many readings.
const REFRESH_EVERY: Duration = Duration::from_secs(1);

/// How far back an idle reading looks: long enough for a median, short enough to be past the start-up.
const IDLE_SPAN: Duration = Duration::from_secs(1);

/// The readings per second that may be asked for. A reading takes tens of microseconds, so 100 are still under 1 % of a core.
pub const HZ: std::ops::RangeInclusive<u32> = 1..=100;

/// What to watch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject {
    /// The process of this id and its descendants.
    Process(u32),
    /// Whoever listens on this TCP port of 127.0.0.1, `[::1]` or every address, with descendants.
    Port(u16),
}

/// A running watch. Dropping it ends its thread.
#[derive(Debug)]
pub struct Probe {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Probe {
    /// Finds the subject, takes a first reading, and goes on reading `hz` times a second.
    ///
    /// # Errors
    /// Fails where the subject is not there or not ours to see, or `hz` is outside [`HZ`].
    pub fn watch(subject: Subject, hz: u32) -> Result<Probe, ProbeError> {
        if !HZ.contains(&hz) {
            return Err(ProbeError::Rate { hz });
        }
        let tree = match subject {
            Subject::Process(pid) => {
                let id = i32::try_from(pid).map_err(|_| ProbeError::NoProcess { pid })?;
                Tree::of([id]).map_err(|source| not_there(pid, source))?
            }
            Subject::Port(port) => {
                Tree::of(port::listeners(port)?).map_err(|source| ProbeError::Unreadable {
                    what: format!("the process on port {port}"),
                    source,
                })?
            }
        };
        let mut watch = Watch::over(tree, hz);
        if !watch.read() {
            return Err(match subject {
                Subject::Process(pid) => ProbeError::NoProcess { pid },
                Subject::Port(port) => ProbeError::NobodyListens { port },
            });
        }
        let shared = Arc::new(Shared {
            watch: Mutex::new(watch),
            finished: Condvar::new(),
        });
        let sampled = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("probe".to_owned())
            .spawn(move || sampled.sample(Duration::from_secs(1) / hz))
            .map_err(ProbeError::Thread)?;
        Ok(Probe {
            shared,
            thread: Some(thread),
        })
    }

    /// Takes the idle figures: the median of the last second of readings, or of as many as there are, and the proportional set.
    /// Call it when the target is ready and before any connection is opened to it.
    pub fn idle(&self) {
        let mut watch = self.shared.lock();
        watch.idle = watch.at_rest();
    }

    /// Starts a measured span: from here on readings count for p50, p95, peak and CPU.
    pub fn measure_from(&self) {
        self.shared.lock().measure_from();
    }

    /// Ends the measured span. Several spans add up.
    pub fn measure_to(&self) {
        self.shared.lock().measure_to();
    }

    /// The newest resident set in bytes, and CPU time since the processes began in ns, at most a second old; for a live view.
    /// `None` when no process lives.
    #[must_use]
    pub fn latest(&self) -> (Option<u64>, Option<u64>) {
        let watch = self.shared.lock();
        (watch.rss, watch.cpu.as_ref().map(Cpu::total_ns))
    }

    /// Takes the figures after load (as [`Probe::idle`]; leave the target at rest for a second before) and ends the watch. A
    /// target that died on the way is reported as far as it was seen.
    #[must_use]
    pub fn finish(mut self) -> Resources {
        self.end();
        let mut watch = self.shared.lock();
        watch.measure_to();
        watch.after = watch.at_rest();
        watch.resources()
    }

    fn end(&mut self) {
        self.shared.lock().finished = true;
        self.shared.finished.notify_all();
        if let Some(thread) = self.thread.take() {
            // The thread only reads files; if it panicked all the same, what it had seen is still in `shared`.
            let _ = thread.join();
        }
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        self.end();
    }
}

/// Why a target cannot be watched.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// No such process, or it has ended.
    #[error("no process {pid} to watch")]
    NoProcess {
        /// Its id.
        pid: u32,
    },
    /// No socket listens there.
    #[error("nobody listens on port {port} of this machine; name the process with --watch pid:N")]
    NobodyListens {
        /// The port.
        port: u16,
    },
    /// Somebody listens whose descriptors we may not see.
    #[error(
        "port {port} belongs to a process of user {uid} that we may not look into; run as that user or as root, or name \
         the process with --watch pid:N"
    )]
    OwnerHidden {
        /// The port.
        port: u16,
        /// The owner of the socket.
        uid: u32,
    },
    /// Readings per second out of range.
    #[error("{hz} readings per second are outside {} to {}", HZ.start(), HZ.end())]
    Rate {
        /// What was asked for.
        hz: u32,
    },
    /// `/proc` could not be read.
    #[error("cannot read {what}")]
    Unreadable {
        /// What of it.
        what: String,
        /// What the system said.
        #[source]
        source: procfs::ProcError,
    },
    /// The sampling thread could not be started.
    #[error("cannot start the thread that watches the target")]
    Thread(#[source] io::Error),
}

#[derive(Debug)]
struct Shared {
    watch: Mutex<Watch>,
    finished: Condvar,
}

/// Everything seen so far.
#[derive(Debug)]
struct Watch {
    tree: Tree,
    hz: u32,
    began: Instant,
    refreshed: Instant,
    finished: bool,
    /// The readings of the last `IDLE_SPAN`, outside measured spans.
    recent: VecDeque<(Instant, u64)>,
    rss: Option<u64>,
    cpu: Option<Cpu>,
    processes: u32,
    measured: Series,
    peak: Peak,
    /// CPU time at the beginning of the open measured span.
    span: Option<Option<Cpu>>,
    cpu_ns: Option<u64>,
    idle: AtRest,
    after: AtRest,
}

/// The kernel's peak, and how far it can be trusted.
#[derive(Debug, Clone, Copy, Default)]
struct Peak {
    bytes: Option<u64>,
    /// It also covers the time before the measured span, since it could not be reset.
    since_start: bool,
    /// There were several processes at some time, or it could not be read.
    unknown: bool,
}

#[derive(Debug, Clone, Copy, Default)]
struct AtRest {
    rss: Option<u64>,
    pss: Option<u64>,
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

impl Watch {
    fn over(tree: Tree, hz: u32) -> Watch {
        let now = Instant::now();
        Watch {
            processes: tree.len(),
            cpu: tree.cpu_coarse(),
            tree,
            hz,
            began: now,
            refreshed: now,
            finished: false,
            recent: VecDeque::new(),
            rss: None,
            measured: Series::default(),
            peak: Peak::default(),
            span: None,
            cpu_ns: None,
            idle: AtRest::default(),
            after: AtRest::default(),
        }
    }

    /// Takes one reading; false when no process lives.
    fn read(&mut self) -> bool {
        let now = Instant::now();
        if now - self.refreshed >= REFRESH_EVERY {
            self.refresh(now);
        }
        self.rss = self.tree.rss();
        let Some(bytes) = self.rss else { return false };
        if self.span.is_some() {
            self.measured.push(now - self.began, bytes);
        } else {
            self.recent.push_back((now, bytes));
            while self
                .recent
                .front()
                .is_some_and(|&(at, _)| now - at > IDLE_SPAN)
            {
                self.recent.pop_front();
            }
        }
        true
    }

    fn refresh(&mut self, now: Instant) {
        self.refreshed = now;
        self.tree.refresh();
        self.processes = self.processes.max(self.tree.len());
        // After the end of the last process its time so far stays.
        self.cpu = self.tree.cpu_coarse().or(self.cpu.take());
        if self.span.is_some() {
            self.note_peak();
        }
    }

    fn at_rest(&mut self) -> AtRest {
        self.refresh(Instant::now());
        self.read();
        let alive = self.rss.is_some();
        let mut values: Vec<u64> = self.recent.iter().map(|&(_, bytes)| bytes).collect();
        AtRest {
            rss: series::quantile(&mut values, 0.5).filter(|_| alive),
            pss: self.tree.pss().filter(|_| alive),
        }
    }

    fn measure_from(&mut self) {
        if self.span.is_some() {
            return;
        }
        self.refresh(Instant::now());
        if !self.tree.reset_kernel_peak() {
            self.peak.since_start = true;
        }
        self.span = Some(self.tree.cpu());
        self.read();
    }

    fn measure_to(&mut self) {
        if self.span.is_none() {
            return;
        }
        self.read();
        self.refresh(Instant::now());
        // Where all processes are gone, the last that was seen of their time is what there is.
        let (from, to) = (
            self.span.take().flatten(),
            self.tree.cpu().or_else(|| self.cpu.clone()),
        );
        if let (Some(from), Some(to)) = (from, to) {
            self.cpu_ns = Some(self.cpu_ns.unwrap_or(0) + to.since(&from));
        }
        self.recent.clear();
    }

    fn note_peak(&mut self) {
        match self.tree.kernel_peak() {
            Some(bytes) if self.processes == 1 => {
                self.peak.bytes = self.peak.bytes.max(Some(bytes));
            }
            _ => self.peak.unknown = true,
        }
    }

    fn resources(&self) -> Resources {
        let sampled = self.measured.largest();
        let kernel = self.peak.bytes.filter(|_| !self.peak.unknown);
        let processes = match self.processes {
            1 => "one process".to_owned(),
            several => format!("{several} processes, shared pages counted in each"),
        };
        let peak = match kernel {
            None => "peak as sampled",
            Some(_) if self.peak.since_start => "peak from VmHWM since the process began",
            Some(_) => "peak from VmHWM since the measured phases began",
        };
        let rss = MemorySeries {
            source: format!("/proc statm of {processes}; {peak}"),
            hz: f64::from(self.hz),
            idle_bytes: self.idle.rss,
            p50_bytes: self.measured.quantile(0.5),
            p95_bytes: self.measured.quantile(0.95),
            // The kernel keeps some of its counts per CPU, so a reading can be a few pages above its peak.
            peak_bytes: sampled.max(kernel.filter(|_| sampled.is_some())),
            after_idle_bytes: self.after.rss,
            slope_bytes_per_s: self.measured.slope(),
            processes: self.processes,
            samples: self.measured.kept(),
        };
        let pss = Pss {
            idle_bytes: self.idle.pss,
            after_idle_bytes: self.after.pss,
        };
        let memory = Memory {
            working_set: None,
            rss: Some(rss),
            pss: (pss != Pss::default()).then_some(pss),
        };
        Resources {
            memory,
            cpu_ns: self.cpu_ns,
            startup_ns: None,
        }
    }
}

fn not_there(pid: u32, source: procfs::ProcError) -> ProbeError {
    match source {
        procfs::ProcError::NotFound(_) => ProbeError::NoProcess { pid },
        source => ProbeError::Unreadable {
            what: format!("process {pid}"),
            source,
        },
    }
}
