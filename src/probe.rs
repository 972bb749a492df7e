//! Memory and CPU of a target, watched from outside.
//!
//! A thread of its own reads the resident set some twenty times a second (27 µs per 100 MiB and process), and of a container
//! the files of its control group; looks for new child processes once a second; and takes what is dear, the proportional set,
//! only when told that the target is idle. Of a container elsewhere, what its engine tells about once a second. The peak of a single process and that of a container are the kernel's, so that
//! nothing between two readings is missed.

mod cgroup;
mod gauge;
mod port;
mod process;
mod remote;
mod sampler;
mod series;
#[cfg(test)]
mod tests;
mod watch;

use std::io;

use self::cgroup::Group;
pub use self::cgroup::PlaceError;
use self::process::Tree;
use self::remote::Remote;
use self::sampler::Sampler;
use self::watch::Watch;
use crate::docker;
use crate::run_record::resources::Resources;

/// The readings per second that may be asked for. A reading takes tens of microseconds, so 100 are still under 1 % of a core.
pub const HZ: std::ops::RangeInclusive<u32> = 1..=100;

/// What to watch.
#[derive(Debug, Clone)]
#[expect(
    clippy::large_enum_variant,
    reason = "there is one of them at a time, once a run"
)]
pub enum Subject {
    /// The process of this id and its descendants.
    Process(u32),
    /// A container: its control group, and all processes in that; or what its engine tells, where they cannot be seen from here.
    Container(docker::Running),
    /// Whoever listens on this TCP port of 127.0.0.1, `[::1]` or every address, with descendants.
    Port(u16),
}

/// A running watch. Dropping it ends its thread.
#[derive(Debug)]
pub struct Probe(Eye);

/// Where the figures come from.
#[derive(Debug)]
enum Eye {
    /// Files of this machine.
    Here(Sampler),
    /// The engine of a container that is elsewhere.
    Elsewhere(Remote),
}

impl Probe {
    /// Finds the subject, takes a first reading, and goes on reading `hz` times a second; or, of a container elsewhere, as often
    /// as its engine tells. Waits for that first reading.
    ///
    /// # Errors
    /// Fails where the subject is not there or not ours to see, or `hz` is outside [`HZ`].
    pub fn watch(subject: Subject, hz: u32) -> Result<Probe, ProbeError> {
        if !HZ.contains(&hz) {
            return Err(ProbeError::Rate { hz });
        }
        let (tree, group, nobody) = match subject {
            Subject::Process(pid) => (tree_of(pid)?, None, ProbeError::NoProcess { pid }),
            Subject::Container(container) => {
                let Some(pid) = container.process() else {
                    return Remote::watch(&container).map(|remote| Probe(Eye::Elsewhere(remote)));
                };
                let tree = tree_of(pid)?;
                let group = Group::of(pid).map_err(ProbeError::NoContainer)?;
                (tree, Some(group), ProbeError::NoProcess { pid })
            }
            Subject::Port(port) => {
                let tree = Tree::of(port::listeners(port)?);
                let tree = tree.map_err(|source| ProbeError::Unreadable {
                    what: format!("the process on port {port}"),
                    source,
                })?;
                (tree, None, ProbeError::NobodyListens { port })
            }
        };
        let mut watch = Watch::over(tree, group, hz);
        if !watch.read() {
            return Err(nobody);
        }
        Sampler::start(watch, hz).map(|sampler| Probe(Eye::Here(sampler)))
    }

    /// Takes the idle figures: the median of the last second of readings, or of as many as there are, and the proportional set.
    /// Call it when the target is ready and before any connection is opened to it.
    pub fn idle(&self) {
        match &self.0 {
            Eye::Here(sampler) => sampler.idle(),
            Eye::Elsewhere(remote) => remote.idle(),
        }
    }

    /// Starts a measured span: from here on readings count for p50, p95, peak and CPU.
    pub fn measure_from(&self) {
        match &self.0 {
            Eye::Here(sampler) => sampler.measure_from(),
            Eye::Elsewhere(remote) => remote.measure_from(),
        }
    }

    /// Ends the measured span. Several spans add up.
    pub fn measure_to(&self) {
        match &self.0 {
            Eye::Here(sampler) => sampler.measure_to(),
            Eye::Elsewhere(remote) => remote.measure_to(),
        }
    }

    /// The newest resident set, or working set of a container elsewhere, in bytes, and CPU time since the processes began in ns,
    /// at most a second old; for a live view. `None` when no process lives.
    #[must_use]
    pub fn latest(&self) -> (Option<u64>, Option<u64>) {
        match &self.0 {
            Eye::Here(sampler) => sampler.latest(),
            Eye::Elsewhere(remote) => remote.latest(),
        }
    }

    /// Takes the figures after load (as [`Probe::idle`]; leave the target at rest for a second before) and ends the watch; of a
    /// container elsewhere it waits for one more reading. A target that died on the way is reported as far as it was seen.
    #[must_use]
    pub fn finish(self) -> Resources {
        match self.0 {
            Eye::Here(sampler) => sampler.finish(),
            Eye::Elsewhere(remote) => remote.finish(),
        }
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
    /// A container elsewhere, of which nothing is heard.
    #[error("the engine of container `{container}` does not tell what that uses: {why}")]
    Untold {
        /// Its name.
        container: String,
        /// What was told instead.
        why: String,
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
