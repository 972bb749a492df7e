//! Memory and CPU of a target, watched from outside.
//!
//! A thread of its own reads the resident set some twenty times a second (27 µs per 100 MiB and process), and of a container
//! the files of its control group; looks for new child processes once a second; and takes what is dear, the proportional set,
//! only when told that the target is idle. The peak of a single process and that of a container are the kernel's, so that
//! nothing between two readings is missed.

mod cgroup;
mod gauge;
mod port;
mod process;
mod series;
#[cfg(test)]
mod tests;
mod watch;

use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use self::cgroup::Group;
pub use self::cgroup::PlaceError;
use self::process::{Cpu, Tree};
use self::watch::Watch;
use crate::run_record::resources::Resources;

/// The readings per second that may be asked for. A reading takes tens of microseconds, so 100 are still under 1 % of a core.
pub const HZ: std::ops::RangeInclusive<u32> = 1..=100;

/// What to watch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject {
    /// The process of this id and its descendants.
    Process(u32),
    /// The container that the process of this id is in, as the process ids of this namespace go: its control group, and all
    /// processes in that.
    Cgroup(u32),
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
        let (tree, group) = match subject {
            Subject::Process(pid) => (tree_of(pid)?, None),
            Subject::Cgroup(pid) => {
                let tree = tree_of(pid)?;
                let group = Group::of(pid).map_err(ProbeError::NoContainer)?;
                (tree, Some(group))
            }
            Subject::Port(port) => {
                let tree = Tree::of(port::listeners(port)?);
                let tree = tree.map_err(|source| ProbeError::Unreadable {
                    what: format!("the process on port {port}"),
                    source,
                })?;
                (tree, None)
            }
        };
        let mut watch = Watch::over(tree, group, hz);
        if !watch.read() {
            return Err(match subject {
                Subject::Process(pid) | Subject::Cgroup(pid) => ProbeError::NoProcess { pid },
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
        self.shared.lock().note_idle();
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
        (watch.rss.latest, watch.cpu.as_ref().map(Cpu::total_ns))
    }

    /// Takes the figures after load (as [`Probe::idle`]; leave the target at rest for a second before) and ends the watch. A
    /// target that died on the way is reported as far as it was seen.
    #[must_use]
    pub fn finish(mut self) -> Resources {
        self.end();
        let mut watch = self.shared.lock();
        watch.measure_to();
        watch.note_after();
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
    /// No container, or one that cannot be looked into.
    #[error("cannot watch a container")]
    NoContainer(#[source] PlaceError),
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

fn tree_of(pid: u32) -> Result<Tree, ProbeError> {
    let id = i32::try_from(pid).map_err(|_| ProbeError::NoProcess { pid })?;
    Tree::of([id]).map_err(|source| not_there(pid, source))
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
