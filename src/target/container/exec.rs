//! When the program of a container takes the place of the engine's own process: the moment at which a service begins.
//!
//! Docker's `StartedAt` is the moment at which the daemon has heard that the container runs, which may be after it listens;
//! the kernel's start time is that of the process that prepares the container. So a thread looks some thousand times a second
//! into `/proc`: at the processes that are new, until one is in the container's control group, and then at its command line,
//! which is the runtime's until the program is executed.

use std::collections::VecDeque;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::super::lookout::Sighting;

/// The pause between looks. A look costs some 20 µs for each process that is new or in the container.
const PAUSE: Duration = Duration::from_micros(200);

/// For how long a process is new: some runtimes put it into the group of its container only after it has begun.
const NEW_FOR: Duration = Duration::from_millis(5);

/// The longest container start that is watched: one that takes longer is not a matter of milliseconds.
const PATIENCE: Duration = Duration::from_secs(60);

/// What prepares containers, by the names of their programs: what is in a container's group and none of these is its own.
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
    pub(super) fn of(id: &str) -> io::Result<Self> {
        let over = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&over);
        let mut group = Group::of(id);
        let look = move || {
            let begun = Instant::now();
            let mut before = begun;
            while !told.load(Ordering::Relaxed) && begun.elapsed() < PATIENCE {
                let looked = Instant::now();
                if group.processes(looked).into_iter().any(runs_a_program) {
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

/// The processes in the control group of a container that is being made.
struct Group {
    id: String,
    /// The process, or thread, that came last when it was last looked.
    newest: u32,
    /// Those that have come since, and when they were first seen.
    new: VecDeque<(u32, Instant)>,
    inside: Vec<u32>,
    /// The kernel's own list, as soon as there is a group.
    list: Option<PathBuf>,
}

impl Group {
    fn of(id: &str) -> Self {
        Self {
            id: id.to_owned(),
            newest: newest(),
            new: VecDeque::new(),
            inside: Vec::new(),
            list: None,
        }
    }

    /// Those that are in it now.
    fn processes(&mut self, now: Instant) -> Vec<u32> {
        let listed = self.list.as_ref().map(fs::read_to_string);
        if let Some(Ok(list)) = listed {
            return list.lines().filter_map(|pid| pid.parse().ok()).collect();
        }
        let last = newest();
        // Ids begin again from below when all have been used.
        let from = if last < self.newest { 0 } else { self.newest };
        self.new.extend((from + 1..=last).map(|pid| (pid, now)));
        self.newest = last;
        for (pid, _) in &self.new {
            let groups = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
            // Engines name the group by the container.
            if groups.contains(&self.id) {
                self.inside.push(*pid);
                self.list = self.list.take().or_else(|| list_of(&groups, &self.id));
            }
        }
        let inside = &self.inside;
        self.new
            .retain(|(pid, since)| !inside.contains(pid) && now - *since < NEW_FOR);
        inside.clone()
    }
}

/// The id of the process, or thread, that came last (proc_loadavg(5)); 0 where the kernel does not say.
fn newest() -> u32 {
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let last = load.split_whitespace().last();
    last.and_then(|pid| pid.parse().ok()).unwrap_or(0)
}

/// The list of processes of the group of container `id`, of which `groups` is a `/proc/PID/cgroup` (cgroups(7)): `0::/path` is
/// version 2's, `n:cpu,…:/path` version 1's. None where the hierarchies are not where they usually are.
fn list_of(groups: &str, id: &str) -> Option<PathBuf> {
    let lines = groups.lines().filter(|line| line.contains(id));
    let mut files = lines.filter_map(|line| {
        let mut parts = line.splitn(3, ':').skip(1);
        let (controllers, path) = (parts.next()?, parts.next()?);
        Some(PathBuf::from(format!(
            "/sys/fs/cgroup/{controllers}/{path}/cgroup.procs"
        )))
    });
    files.find(|file| file.is_file())
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
        assert!(runs_a_program(std::process::id()));
        let mut group = Group::of("no-such-container");
        let mut child = std::process::Command::new("true").spawn().unwrap();
        assert_eq!(group.processes(Instant::now()), Vec::<u32>::new());
        child.wait().unwrap();
    }

    #[test]
    fn the_list_of_a_group_is_where_its_hierarchy_is() {
        assert_eq!(list_of("0::/docker/1f\n4:memory:/docker/1f\n", "1f"), None);
        assert_eq!(list_of("damaged 1f\n", "1f"), None);
        // This process is in the root of a hierarchy, or in a group below it.
        let own = fs::read_to_string("/proc/self/cgroup").unwrap();
        if let Some(list) = list_of(&own, "") {
            assert!(list.ends_with("cgroup.procs"), "{}", list.display());
        }
    }

    #[test]
    fn what_is_not_started_is_not_seen() {
        let watch = ExecWatch::of("no-such-container").unwrap();
        assert_eq!(watch.finish(), None);
    }
}
