//! When the program of a container takes the place of the engine's own process: the moment at which a service begins.
//!
//! Docker's `StartedAt` is the moment at which the daemon has heard that the container runs, which may be after it listens;
//! the kernel's start time is that of the process that prepares the container. So a thread looks some thousand times a second
//! into `/proc`: at the processes that are new, until one is in the container's control group, and then at its command line,
//! which is the runtime's until the program is executed.

use std::collections::VecDeque;
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::super::lookout::Sighting;

/// The pause between looks. A look costs some 20 µs for each process that is new.
const PAUSE: Duration = Duration::from_micros(200);

/// For how long a process is new: some runtimes put it into the group of its container only after it has begun.
const NEW_FOR: Duration = Duration::from_millis(20);

/// The largest container start that is watched: one that takes longer is not a matter of milliseconds.
const PATIENCE: Duration = Duration::from_secs(60);

/// What prepares containers, by the names of their programs: what is new in a container's group and none of these is its own.
const RUNTIMES: [&str; 4] = ["runc", "docker-runc", "crun", "youki"];

/// As what some of them execute themselves again.
const ITSELF: &[u8] = b"/proc/self/exe";

/// A thread that looks for the execution of a container's program. It ends when that is seen, or with this.
#[derive(Debug)]
pub(super) struct ExecWatch {
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<Option<Sighting>>>,
}

impl ExecWatch {
    /// Looks from now on for the container called `id`, which was not started yet.
    pub(super) fn of(id: &str) -> std::io::Result<Self> {
        let over = Arc::new(AtomicBool::new(false));
        let (id, told) = (id.to_owned(), Arc::clone(&over));
        // Which process is new is known only if the last old one is.
        let mut newest = newest();
        let look = move || {
            let begun = Instant::now();
            let mut before = begun;
            let mut new = VecDeque::new();
            let mut inside = Vec::new();
            while !told.load(Ordering::Relaxed) && begun.elapsed() < PATIENCE {
                let looked = Instant::now();
                let last = self::newest();
                // Ids begin again from below when they have all been used.
                let from = if last < newest { 0 } else { newest };
                new.extend((from + 1..=last).map(|pid| (pid, looked)));
                newest = last;
                inside.extend(
                    new.iter()
                        .map(|(pid, _)| *pid)
                        .filter(|pid| is_in(*pid, &id)),
                );
                new.retain(|(pid, since)| !inside.contains(pid) && looked - *since < NEW_FOR);
                if inside.iter().any(|pid| runs_a_program(*pid)) {
                    let at = Instant::now();
                    let blind = at - before;
                    return Some(Sighting { at, blind });
                }
                before = looked;
                std::thread::sleep(PAUSE);
            }
            None
        };
        let thread = std::thread::Builder::new()
            .name("exec-watch".to_owned())
            .spawn(look)?;
        Ok(Self {
            over,
            thread: Some(thread),
        })
    }

    /// What was seen. Blocks for one look at most.
    pub(super) fn finish(mut self) -> Option<Sighting> {
        self.over.store(true, Ordering::Relaxed);
        self.thread.take().and_then(|thread| thread.join().ok()?)
    }
}

impl Drop for ExecWatch {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
    }
}

/// The id of the process, or thread, that came last (proc_loadavg(5)); 0 where the kernel does not say.
fn newest() -> u32 {
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let last = load.split_whitespace().last();
    last.and_then(|pid| pid.parse().ok()).unwrap_or(0)
}

/// Whether the process is in the control group of container `id`: engines name that by it.
fn is_in(pid: u32, id: &str) -> bool {
    fs::read_to_string(format!("/proc/{pid}/cgroup")).is_ok_and(|groups| groups.contains(id))
}

/// Whether the process runs something else than what prepares containers.
fn runs_a_program(pid: u32) -> bool {
    let words = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    is_program(&words)
}

/// Whether words that end with NULs are those of a program; there are none while one takes the place of another, and of a
/// process that is gone.
fn is_program(words: &[u8]) -> bool {
    let first = words.split(|byte| *byte == 0).next().unwrap_or_default();
    let name = first
        .rsplit(|byte| *byte == b'/')
        .next()
        .unwrap_or_default();
    !name.is_empty() && first != ITSELF && RUNTIMES.iter().all(|runtime| name != runtime.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_what_prepares_no_container() {
        for (words, expected) in [
            (&b""[..], false),
            (b"runc\0init\0", false),
            (b"/usr/sbin/runc\0init\0", false),
            (b"/proc/self/exe\0init\0", false),
            (b"/usr/bin/crun\0--systemd-cgroup\0create\0", false),
            (b"/axum-service\0", true),
            (b"service\0at\08080\0", true),
        ] {
            let shown = String::from_utf8_lossy(words);
            assert_eq!(is_program(words), expected, "{shown}");
        }
    }

    #[test]
    fn the_newest_process_is_known_and_what_is_not_there_is_nowhere() {
        let before = newest();
        let mut child = std::process::Command::new("true").spawn().unwrap();
        assert!(child.id() <= newest() || newest() < before, "ids go up");
        child.wait().unwrap();
        let own = std::process::id();
        assert!(is_in(own, "") && !is_in(own, "no-such-container"));
        assert!(runs_a_program(own));
    }

    #[test]
    fn what_is_not_started_is_not_seen() {
        let watch = ExecWatch::of("no-such-container").unwrap();
        assert_eq!(watch.finish(), None);
    }
}
