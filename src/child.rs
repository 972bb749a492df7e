//! A child process that is ours to end: an end that can be awaited, an escalation of signals, and nothing left behind.
//!
//! What `stores` and `target` both stand on, and nothing more; it knows neither of them. What is ours is written down ([`estate`])
//! with whose it is ([`owner`]), so that the next start can clear it away where this process is killed ([`sweep`]).

mod estate;
mod owner;
mod sweep;

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::process::{Pid, PidfdFlags, Signal};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use self::estate::Estate;
pub use self::estate::Scratch;
pub(crate) use self::owner::{Fate, Owner, TOOL, started};
pub(crate) use self::sweep::{Swept, sweep};

/// How long a child may take to vanish after SIGKILL. The kernel needs milliseconds; a process caught in
/// uninterruptible disk I/O needs until that is done, and beyond this it is no longer ours to wait for.
const AFTER_KILL: Duration = Duration::from_secs(10);

/// The longest part of a log that is read for its last lines: a hundred long lines, whatever the log's size.
const LOG_TAIL: u64 = 16 * 1024;

/// A signal, and how long the child may take to follow it.
pub(crate) type Step = (Signal, Duration);

/// A child in a process group of its own, so that a terminal's Ctrl-C reaches us and not the child.
///
/// Dropping it stops it, with the whole group, and blocks until that is done.
#[derive(Debug)]
pub(crate) struct Guarded {
    child: Child,
    /// Readable from the moment the child is dead, reaped or not.
    ended: OwnedFd,
    escalation: Vec<Step>,
    status: Option<ExitStatus>,
    begun: Instant,
    _estate: Arc<Estate>,
}

impl Guarded {
    /// Starts `command`. To stop it, the signals of `escalation` are tried in turn, then SIGKILL.
    pub(crate) fn spawn(command: &mut Command, escalation: &[Step]) -> io::Result<Guarded> {
        let estate = Estate::this().map_err(|error| {
            let parent = std::env::temp_dir();
            let words = format!("making a folder in {}: {error}", parent.display());
            io::Error::new(error.kind(), words)
        })?;
        let (mark, run) = estate.mark();
        command.env(mark, run).process_group(0);
        let begun = Instant::now();
        let mut child = command.spawn()?;
        let ended = rustix::process::pidfd_open(Pid::from_child(&child), PidfdFlags::empty());
        let ended = ended.map_err(io::Error::from);
        match ended.and_then(|ended| estate.note(child.id(), escalation).map(|()| ended)) {
            Ok(ended) => Ok(Guarded {
                child,
                ended,
                escalation: escalation.to_vec(),
                status: None,
                begun,
                _estate: estate,
            }),
            Err(error) => {
                child.kill()?;
                child.wait()?;
                Err(error)
            }
        }
    }

    /// The moment right before it was started.
    pub(crate) fn begun(&self) -> Instant {
        self.begun
    }

    /// The child's process id, which is also its group's.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Returns when the child is dead. Nothing is reaped: [`Guarded::stop`] still ends what is left of the group.
    pub(crate) async fn ended(&self) -> io::Result<()> {
        readable(self.ended.as_fd()).await
    }

    /// As [`Guarded::ended`], for a task of its own.
    pub(crate) fn ended_elsewhere(
        &self,
    ) -> io::Result<impl Future<Output = io::Result<()>> + use<>> {
        let ended = self.ended.try_clone()?;
        Ok(async move { readable(ended.as_fd()).await })
    }

    /// Whether the child is dead.
    pub(crate) fn is_dead(&self) -> io::Result<bool> {
        self.ended_within(Duration::ZERO)
    }

    /// Ends the group and says how the child itself ended. Blocks for at most the bounds of the escalation.
    ///
    /// # Errors
    /// Fails where the child survives SIGKILL for ten seconds.
    pub(crate) fn stop(&mut self) -> io::Result<ExitStatus> {
        if let Some(status) = self.status {
            return Ok(status);
        }
        for (signal, within) in self.escalation.clone() {
            if self.is_dead()? {
                break;
            }
            self.signal_group(signal)?;
            self.ended_within(within)?;
        }
        // The leader may be dead while others of its group live on. It is not reaped yet, so its id is still the
        // group's and no one else's.
        self.signal_group(Signal::KILL)?;
        self.await_others();
        if !self.ended_within(AFTER_KILL)? {
            return Err(io::Error::new(
                io::ErrorKind::TimedOut,
                format!("process {} survives SIGKILL", self.pid()),
            ));
        }
        let status = self.child.wait()?;
        self.status = Some(status);
        Ok(status)
    }

    /// Sends `signal` to the child and to its own children, which may have sessions of theirs. The child stands still or is
    /// gone before its children are looked for, so that none is born behind our back; to be killed it stands still first,
    /// for the children of a dead process are no longer known as its own.
    ///
    /// # Errors
    /// When a process may not be signalled.
    pub(crate) fn signal_family(&self, signal: Signal) -> io::Result<()> {
        if self.is_dead()? {
            return Ok(());
        }
        let send = |pid, signal| match rustix::process::kill_process(pid, signal) {
            // What has ended has no need of it.
            Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
            Err(error) => Err(io::Error::from(error)),
        };
        let child = Pid::from_child(&self.child);
        send(
            child,
            if signal == Signal::KILL {
                Signal::STOP
            } else {
                signal
            },
        )?;
        let processes = procfs::process::all_processes().map_err(io::Error::other)?;
        let children = processes.flatten().filter_map(|process| {
            let stat = process.stat().ok()?;
            let is_child = stat.ppid.unsigned_abs() == self.pid();
            Pid::from_raw(stat.pid).filter(|_| is_child)
        });
        let children: Vec<Pid> = children.collect();
        children.into_iter().try_for_each(|pid| send(pid, signal))?;
        if signal == Signal::KILL {
            send(child, signal)?;
        }
        Ok(())
    }

    fn signal_group(&self, signal: Signal) -> io::Result<()> {
        match rustix::process::kill_process_group(Pid::from_child(&self.child), signal) {
            Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Waits for the killed members of the group that are not our child: they end without anybody's waiting, but not at once,
    /// and until then they hold ports and files.
    fn await_others(&self) {
        let Ok(processes) = procfs::process::all_processes() else {
            return;
        };
        let others = processes.flatten().filter_map(|process| {
            let stat = process.stat().ok()?;
            let other =
                stat.pgrp.unsigned_abs() == self.pid() && stat.pid.unsigned_abs() != self.pid();
            Pid::from_raw(stat.pid).filter(|_| other)
        });
        for pid in others {
            // One that has gone in the meantime needs no waiting for.
            if let Ok(ended) = rustix::process::pidfd_open(pid, PidfdFlags::empty()) {
                let _ = readable_within(ended.as_fd(), AFTER_KILL);
            }
        }
    }

    fn ended_within(&self, within: Duration) -> io::Result<bool> {
        readable_within(self.ended.as_fd(), within)
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        // Where even SIGKILL fails there is nobody left to tell.
        let _ = self.stop();
    }
}

fn readable_within(ended: BorrowedFd<'_>, within: Duration) -> io::Result<bool> {
    let timeout = Timespec::try_from(within).map_err(io::Error::other)?;
    let mut fds = [PollFd::new(&ended, PollFlags::IN)];
    loop {
        match rustix::event::poll(&mut fds, Some(&timeout)) {
            Ok(ready) => return Ok(ready > 0),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

async fn readable(ended: BorrowedFd<'_>) -> io::Result<()> {
    #[expect(
        deprecated,
        reason = "its successor is unsafe, since a descriptor must stay open while registered; this one is \
                  borrowed for just as long"
    )]
    let ended = AsyncFd::with_interest(ended, Interest::READABLE)?;
    ended.readable().await?.retain_ready();
    Ok(())
}

/// The last `count` lines of the log at `path`; empty where there is none.
pub(crate) fn last_lines(path: &Path, count: usize) -> Vec<String> {
    let Ok(tail) = read_tail(path) else {
        return Vec::new();
    };
    let text = String::from_utf8_lossy(&tail);
    let lines: Vec<&str> = text
        .lines()
        .filter(|line| !line.trim().is_empty())
        .collect();
    lines[lines.len().saturating_sub(count)..]
        .iter()
        .map(|line| (*line).to_owned())
        .collect()
}

fn read_tail(path: &Path) -> io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(LOG_TAIL)))?;
    let mut tail = Vec::new();
    file.take(LOG_TAIL).read_to_end(&mut tail)?;
    Ok(tail)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::ExitStatusExt;
    use std::time::Instant;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn the_first_signal_that_works_ends_it() {
        let mut child = Guarded::spawn(
            &mut shell("sleep 60"),
            &[(Signal::TERM, Duration::from_secs(5))],
        )
        .unwrap();
        assert!(!child.is_dead().unwrap());
        assert_eq!(child.stop().unwrap().signal(), Some(Signal::TERM.as_raw()));
        assert_eq!(
            child.stop().unwrap().signal(),
            Some(Signal::TERM.as_raw()),
            "stopping twice changes nothing"
        );
    }

    #[test]
    fn a_deaf_child_is_killed_at_the_bound() {
        let mut command = shell("trap '' TERM; echo deaf; while :; do sleep 60; done");
        command.stdout(std::process::Stdio::piped());
        let mut child =
            Guarded::spawn(&mut command, &[(Signal::TERM, Duration::from_millis(50))]).unwrap();
        // Once it has spoken, the trap is set.
        let mut spoken = [0; 5];
        child
            .child
            .stdout
            .take()
            .unwrap()
            .read_exact(&mut spoken)
            .unwrap();
        let started = Instant::now();
        assert_eq!(child.stop().unwrap().signal(), Some(Signal::KILL.as_raw()));
        assert!(started.elapsed() >= Duration::from_millis(50));
    }

    #[tokio::test]
    async fn what_is_left_of_the_group_dies_with_it() {
        // The leader ends at once and leaves a child that holds the pipe's other end open.
        let mut command = shell("sleep 60 & exit 3");
        command.stdout(std::process::Stdio::piped());
        let mut child = Guarded::spawn(&mut command, &[]).unwrap();
        let mut pipe = child.child.stdout.take().unwrap();
        child.ended().await.unwrap();
        assert_eq!(child.stop().unwrap().code(), Some(3));
        let mut rest = Vec::new();
        pipe.read_to_end(&mut rest).unwrap();
        assert!(rest.is_empty());
    }

    #[test]
    fn the_last_lines_of_a_long_log() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        let text: String = (0..10_000).map(|n| format!("line {n}\n\n")).collect();
        std::fs::write(&log, text).unwrap();
        assert_eq!(last_lines(&log, 2), ["line 9998", "line 9999"]);
        assert!(last_lines(&folder.path().join("none"), 2).is_empty());
    }
}
