//! Clears away what killed tailmarks of this user have left behind: processes, then folders.
//!
//! What is ended is a process that an estate names with the moment of its start, or one of its group; in a group whose leader is
//! gone, and beside what is written down (a tailmark can be killed right after it has started something), only a process whose
//! environment names the dead owner's run. Each is held by a descriptor before it is looked at, so that no signal reaches
//! somebody else who has been given the same id.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::io::{self, Read as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use procfs::process::{Process, Stat};
use rustix::process::{Pid, PidfdFlags, Signal};

use super::estate::{MARK, OWNER, PREFIX, PROCESSES};
use super::owner::{Fate, Owner, started};
use super::readable_within;

/// How long processes may take to follow a signal. They are nobody's any more, so nobody waits for more.
const STEP_WITHIN: Duration = Duration::from_secs(5);

/// How often a folder is tried to remove: what was killed may be writing to it for a moment.
const REMOVAL_TRIES: u32 = 20;
const REMOVAL_PAUSE: Duration = Duration::from_millis(50);

/// A child has its mark once it has executed its program, which one may be about to whose owner has just been killed.
const MARKED_WITHIN: Duration = Duration::from_millis(50);

/// An estate is made within a millisecond. One that is without labels for so long will have none.
const UNFINISHED_AFTER: Duration = Duration::from_secs(60 * 60);

/// The most of a file of an estate that is read: a comparison of many rounds starts some ten thousand processes.
const MOST_BYTES: u64 = 1 << 20;

/// What was cleared away.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Swept {
    /// Processes, each with its group.
    pub(crate) processes: usize,
    /// Folders.
    pub(crate) folders: usize,
}

/// A process that was started by an owner who is dead.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Noted {
    pid: i32,
    started: u64,
    /// What it is ended by, in turn, before SIGKILL.
    signals: Vec<Signal>,
}

/// Clears away what is in the system's folder for temporary files.
///
/// # Errors
/// When that cannot be read, or something of the dead cannot be ended or removed.
pub(crate) fn sweep() -> io::Result<Swept> {
    sweep_in(&std::env::temp_dir())
}

fn sweep_in(parent: &Path) -> io::Result<Swept> {
    let this = Owner::this()?;
    let mut swept = Swept::default();
    for entry in fs::read_dir(parent)?.flatten() {
        let named = entry.file_name();
        if !named.as_encoded_bytes().starts_with(PREFIX.as_bytes()) || !is_ours(&entry.path()) {
            continue;
        }
        let estate = entry.path();
        let Some(labels) = labels(&estate) else {
            if is_unfinished(&estate) {
                remove(&estate)?;
            }
            continue;
        };
        let label = |name: &str| labels.get(name).map(String::as_str);
        let Some(run) = Owner::run_of(label) else {
            continue;
        };
        match this.fate_of(label, started) {
            Fate::Unknown => continue,
            Fate::Ended => swept.processes += end_all(&estate, run)?,
            Fate::Rebooted => {}
        }
        remove(&estate)?;
        swept.folders += 1;
    }
    Ok(swept)
}

/// Whether nobody but this user can have written what is in the folder.
fn is_ours(folder: &Path) -> bool {
    // A link is none, whoever made it.
    fs::symlink_metadata(folder).is_ok_and(|found| {
        found.is_dir()
            && found.uid() == rustix::process::geteuid().as_raw()
            && found.mode() & 0o022 == 0
    })
}

/// Whether the owner of an estate without labels was killed while it made it.
fn is_unfinished(estate: &Path) -> bool {
    let made = fs::symlink_metadata(estate).and_then(|found| found.modified());
    made.is_ok_and(|made| made.elapsed().is_ok_and(|age| age > UNFINISHED_AFTER))
}

/// The labels of an estate's owner; none where they are not there yet, or no longer.
fn labels(estate: &Path) -> Option<BTreeMap<String, String>> {
    let text = text(&estate.join(OWNER)).ok();
    let text = text.filter(|text| !text.is_empty())?;
    let pairs = text.lines().filter_map(|line| line.split_once('='));
    Some(
        pairs
            .map(|(name, value)| (name.into(), value.into()))
            .collect(),
    )
}

fn text(file: &Path) -> io::Result<String> {
    let mut text = String::new();
    let file = fs::File::open(file)?;
    file.take(MOST_BYTES).read_to_string(&mut text)?;
    Ok(text)
}

/// Ends the processes of an estate, those that were started last first; how many there were.
fn end_all(estate: &Path, run: &str) -> io::Result<usize> {
    let lines = text(&estate.join(PROCESSES)).unwrap_or_default();
    let mut noted: Vec<Noted> = lines.lines().filter_map(Noted::read).collect();
    noted.extend(unnoted(&noted, estate, run));
    let mut ended = 0;
    for noted in noted.iter().rev() {
        ended += usize::from(noted.end(run)?);
    }
    std::thread::sleep(MARKED_WITHIN);
    for late in unnoted(&noted, estate, run) {
        ended += usize::from(late.end(run)?);
    }
    Ok(ended)
}

/// Children that were not written down: marked or at home in the estate, and leaders of a group in a session of somebody
/// else's, as children are made.
fn unnoted(noted: &[Noted], estate: &Path, run: &str) -> Vec<Noted> {
    let is_noted = |pid| noted.iter().any(|noted| noted.pid == pid);
    let leads = |stat: &Stat| stat.pgrp == stat.pid && stat.session != stat.pid;
    let found = living().filter(|(process, stat)| {
        let is_own = || is_marked(process, run) || is_at_home(process, stat, estate);
        leads(stat) && !is_noted(stat.pid) && is_own()
    });
    let found = found.map(|(_, stat)| Noted {
        pid: stat.pid,
        started: stat.starttime,
        signals: vec![Signal::TERM],
    });
    found.collect()
}

impl Noted {
    fn read(line: &str) -> Option<Self> {
        let mut words = line.split(' ');
        let pid = words.next()?.parse().ok().filter(|&pid| pid > 1)?;
        let started = words.next()?.parse().ok()?;
        let signals = words.map(|word| Signal::from_named_raw(word.parse().ok()?));
        Some(Self {
            pid,
            started,
            signals: signals.collect::<Option<_>>()?,
        })
    }

    /// Ends it and its group; whether there was anything to end.
    fn end(&self, run: &str) -> io::Result<bool> {
        let mut members = self.members(run);
        if members.is_empty() {
            return Ok(false);
        }
        for &signal in &self.signals {
            send(&members, signal)?;
            await_end(&members, STEP_WITHIN)?;
            members = self.members(run);
            if members.is_empty() {
                return Ok(true);
            }
        }
        // A process that forks may do so between the look and the signal.
        let deadline = Instant::now() + STEP_WITHIN;
        while Instant::now() < deadline {
            send(&members, Signal::KILL)?;
            await_end(&members, STEP_WITHIN)?;
            members = self.members(run);
            if members.is_empty() {
                return Ok(true);
            }
        }
        let words = format!("process {} of a killed tailmark survives SIGKILL", self.pid);
        Err(io::Error::new(io::ErrorKind::TimedOut, words))
    }

    /// The living processes of its group, each held by a descriptor.
    fn members(&self, run: &str) -> Vec<OwnedFd> {
        // The leader, alive or not waited for yet, keeps its id from everybody else.
        let leader = Process::new(self.pid).and_then(|process| process.stat());
        let is_led = leader.is_ok_and(|stat| stat.starttime == self.started);
        let members = living()
            .filter(|(process, stat)| stat.pgrp == self.pid && (is_led || is_marked(process, run)));
        members.filter_map(|(_, stat)| held(&stat)).collect()
    }
}

/// The processes that live, as far as this user may see them.
fn living() -> impl Iterator<Item = (Process, Stat)> {
    let processes = procfs::process::all_processes().into_iter().flatten();
    processes.flatten().filter_map(|process| {
        let stat = process.stat().ok()?;
        (!matches!(stat.state, 'Z' | 'X')).then_some((process, stat))
    })
}

/// Whether the process was started by the run `run`, or by one that was. Some write over their environment.
fn is_marked(process: &Process, run: &str) -> bool {
    let environment = process.environ().unwrap_or_default();
    let mark = environment.get(OsStr::new(MARK));
    mark.is_some_and(|mark| mark == run)
}

/// Whether the process works in `estate`, whose owner is gone: Redis does, and writes over its environment. What somebody runs
/// from a shell that is there has this shell for its parent.
fn is_at_home(process: &Process, stat: &Stat, estate: &Path) -> bool {
    let place = process.cwd().ok().zip(estate.canonicalize().ok());
    stat.ppid != stat.session && place.is_some_and(|(at, estate)| at.starts_with(estate))
}

/// The process that was seen, if its id is still its own.
fn held(seen: &Stat) -> Option<OwnedFd> {
    let held = rustix::process::pidfd_open(Pid::from_raw(seen.pid)?, PidfdFlags::empty()).ok()?;
    let now = Process::new(seen.pid)
        .and_then(|process| process.stat())
        .ok()?;
    (now.starttime == seen.starttime && now.pgrp == seen.pgrp).then_some(held)
}

fn send(members: &[OwnedFd], signal: Signal) -> io::Result<()> {
    for member in members {
        match rustix::process::pidfd_send_signal(member, signal) {
            // It has ended in the meantime.
            Ok(()) | Err(rustix::io::Errno::SRCH) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

fn await_end(members: &[OwnedFd], within: Duration) -> io::Result<()> {
    let deadline = Instant::now() + within;
    for member in members {
        let left = deadline.saturating_duration_since(Instant::now());
        readable_within(member.as_fd(), left)?;
    }
    Ok(())
}

fn remove(folder: &PathBuf) -> io::Result<()> {
    let mut tries = 0;
    loop {
        tries += 1;
        match fs::remove_dir_all(folder) {
            Ok(()) => return Ok(()),
            // Somebody else sweeps too.
            Err(_) if !folder.exists() => return Ok(()),
            Err(error) if tries == REMOVAL_TRIES => {
                let words = format!("removing {}: {error}", folder.display());
                return Err(io::Error::new(error.kind(), words));
            }
            Err(_) => {}
        }
        std::thread::sleep(REMOVAL_PAUSE);
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader};
    use std::os::unix::fs::{PermissionsExt as _, symlink};
    use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
    use std::process::{Child, Command, Stdio};

    use super::*;

    const RUN: &str = "0123456789abcdef";

    /// The labels of an owner that has ended, but for those that are `changed`.
    fn labels(changed: &[(&str, &str)]) -> String {
        let mut gone = Command::new("true").spawn().unwrap();
        gone.wait().unwrap();
        let pid = gone.id().to_string();
        let ended = [
            ("tailmark.run", RUN),
            ("tailmark.owner.pid", pid.as_str()),
            ("tailmark.owner.started", "1"),
        ];
        let value = |name: &str, own: String| {
            let mut changes = changed.iter().chain(&ended);
            let change = changes.find(|(label, _)| *label == name);
            change.map_or(own, |(_, value)| (*value).to_owned())
        };
        let own = Owner::this().unwrap().labels();
        own.map(|(name, own)| format!("{name}={}\n", value(name, own)))
            .concat()
    }

    /// A folder for temporary files with one estate in it.
    struct Place {
        parent: tempfile::TempDir,
        estate: PathBuf,
    }

    impl Place {
        fn new(labels: &str, processes: &str) -> Self {
            let parent = tempfile::tempdir().unwrap();
            let estate = parent.path().join("tailmark-x");
            fs::create_dir_all(estate.join("stores-x/data")).unwrap();
            fs::write(estate.join(OWNER), labels).unwrap();
            fs::write(estate.join(PROCESSES), processes).unwrap();
            Self { parent, estate }
        }

        fn sweep(&self) -> Swept {
            sweep_in(self.parent.path()).unwrap()
        }

        /// Nothing was touched.
        fn assert_kept(&self) {
            assert_eq!(self.sweep(), Swept::default());
            assert!(self.estate.join("stores-x/data").is_dir());
        }
    }

    /// A process that lives until it is ended, in a group of its own.
    fn sleeper(run: &str) -> Child {
        let mut command = Command::new("sleep");
        command.arg("3600").env(MARK, run).process_group(0);
        command.spawn().unwrap()
    }

    fn noted(child: &Child) -> String {
        format!("{} {} 15\n", child.id(), started(child.id()).unwrap())
    }

    fn end(mut child: Child) {
        assert!(started(child.id()).is_some(), "it was ended");
        child.kill().unwrap();
        child.wait().unwrap();
    }

    #[test]
    fn what_the_dead_have_started_is_ended_and_their_folders_go() {
        let mut child = sleeper("");
        let place = Place::new(&labels(&[]), &noted(&child));
        let all = Swept {
            processes: 1,
            folders: 1,
        };
        assert_eq!(place.sweep(), all);
        assert_eq!(child.wait().unwrap().signal(), Some(Signal::TERM.as_raw()));
        assert!(!place.estate.exists());
        assert_eq!(place.sweep(), Swept::default());
    }

    #[test]
    fn what_follows_no_signal_is_killed() {
        let mut command = Command::new("sh");
        let script = "trap '' HUP; echo deaf; while :; do sleep 60; done";
        command.args(["-c", script]).process_group(0);
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        // Once it has spoken, the trap is set.
        let mut spoken = BufReader::new(child.stdout.take().unwrap());
        spoken.read_line(&mut String::new()).unwrap();
        let line = noted(&child).replace(" 15\n", " 1\n");
        let place = Place::new(&labels(&[]), &line);
        assert_eq!(place.sweep().processes, 1);
        assert_eq!(child.wait().unwrap().signal(), Some(Signal::KILL.as_raw()));
    }

    #[test]
    fn an_id_that_is_another_process_is_left_alone() {
        let child = sleeper("another");
        let place = Place::new(&labels(&[]), &format!("{} 1 15\n", child.id()));
        let folder = Swept {
            processes: 0,
            folders: 1,
        };
        assert_eq!(place.sweep(), folder);
        end(child);
    }

    #[test]
    fn what_was_not_written_down_is_known_by_its_environment() {
        let run = "not-written-down";
        let labels = labels(&[("tailmark.run", run)]);
        let (mut own, other) = (sleeper(run), sleeper("another"));
        let place = Place::new(&labels, "");
        assert_eq!(place.sweep().processes, 1);
        assert_eq!(own.wait().unwrap().signal(), Some(Signal::TERM.as_raw()));
        end(other);
    }

    #[test]
    fn what_has_written_over_its_environment_is_known_by_where_it_works() {
        let place = Place::new(&labels(&[]), "");
        let outside = tempfile::tempdir().unwrap();
        let at = |folder: &Path| {
            let mut command = Command::new("sleep");
            command.arg("3600").env_clear().current_dir(folder);
            command.process_group(0).spawn().unwrap()
        };
        let (mut own, other) = (at(&place.estate.join("stores-x")), at(outside.path()));
        assert_eq!(place.sweep().processes, 1);
        assert_eq!(own.wait().unwrap().signal(), Some(Signal::TERM.as_raw()));
        end(other);
    }

    /// Whether a process lives on whose group's leader is gone, where it was started with the mark `run`.
    fn orphan_survives(run: &str) -> bool {
        let mut command = Command::new("sh");
        // The leader stays until it has been written down.
        let script = "sleep 3600 >/dev/null & echo $!; read go";
        command.args(["-c", script]).env(MARK, run).process_group(0);
        let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut leader = piped.spawn().unwrap();
        let line = noted(&leader);
        let mut spoken = String::new();
        let mut output = BufReader::new(leader.stdout.take().unwrap());
        output.read_line(&mut spoken).unwrap();
        drop(leader.stdin.take());
        leader.wait().unwrap();
        let orphan: u32 = spoken.trim().parse().unwrap();
        Place::new(&labels(&[("tailmark.run", "orphans")]), &line).sweep();
        let survives = started(orphan).is_some();
        if survives {
            let pid = Pid::from_raw(orphan.try_into().unwrap()).unwrap();
            rustix::process::kill_process(pid, Signal::KILL).unwrap();
        }
        survives
    }

    #[test]
    fn of_a_group_without_its_leader_only_what_is_marked_is_ended() {
        assert!(!orphan_survives("orphans"));
        assert!(orphan_survives("another"));
    }

    #[test]
    fn what_is_not_certainly_a_dead_owners_is_left_alone() {
        let child = sleeper("");
        let processes = noted(&child);
        let own = std::process::id().to_string();
        let began = started(std::process::id()).unwrap().to_string();
        let alive = [
            ("tailmark.owner.pid", own.as_str()),
            ("tailmark.owner.started", began.as_str()),
        ];
        Place::new(&labels(&alive), &processes).assert_kept();
        for changed in [
            ("tailmark.owner.uid", "4294967294"),
            ("tailmark.owner.pid-namespace", "pid:[0]"),
            ("tailmark.run", ""),
        ] {
            Place::new(&labels(&[changed]), &processes).assert_kept();
        }
        Place::new("", &processes).assert_kept();
        let open = Place::new(&labels(&[]), &processes);
        fs::set_permissions(&open.estate, fs::Permissions::from_mode(0o777)).unwrap();
        open.assert_kept();
        let linked = Place::new(&labels(&[]), &processes);
        let moved = linked.parent.path().join("moved");
        fs::rename(&linked.estate, &moved).unwrap();
        symlink(&moved, &linked.estate).unwrap();
        linked.assert_kept();
        end(child);
    }

    #[test]
    fn what_was_never_finished_goes_when_it_is_old() {
        let [unlabelled, unmade] = [(); 2].map(|()| Place::new("", ""));
        fs::remove_file(unmade.estate.join(OWNER)).unwrap();
        for place in [unlabelled, unmade] {
            place.assert_kept();
            let old = std::time::SystemTime::now() - 2 * UNFINISHED_AFTER;
            let folder = fs::File::open(&place.estate).unwrap();
            folder.set_modified(old).unwrap();
            assert_eq!(place.sweep(), Swept::default());
            assert!(!place.estate.exists());
        }
    }

    #[test]
    fn what_is_from_before_a_boot_has_no_processes_any_more() {
        let child = sleeper("");
        let before = [
            ("tailmark.owner.boot", "another"),
            ("tailmark.owner.machine", "this"),
        ];
        let labels = labels(&before);
        // Where the machine has no id, or another one, nothing is known of that boot.
        Place::new(&labels, &noted(&child)).assert_kept();
        let machine = fs::read_to_string("/etc/machine-id").unwrap_or_default();
        if !machine.trim().is_empty() {
            let here = labels.replace("machine=this", &format!("machine={}", machine.trim()));
            let place = Place::new(&here, &noted(&child));
            let folder = Swept {
                processes: 0,
                folders: 1,
            };
            assert_eq!(place.sweep(), folder);
        }
        end(child);
    }
}
