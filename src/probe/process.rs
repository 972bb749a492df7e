//! A target's processes, read from `/proc`.
//!
//! Each process is held by an open handle on its folder, so a process id that the kernel gave to somebody else is never
//! mistaken for the target's.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::time::Duration;

use procfs::process::{ClearRefs, Process};
use procfs::{ProcError, ProcResult};

/// One or more processes and all their descendants.
#[derive(Debug)]
pub(super) struct Tree {
    members: BTreeMap<i32, Process>,
    page: u64,
}

/// CPU time used so far, in its two grains.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Cpu {
    /// `utime + stime + cutime + cstime` over all processes: complete, in ticks of 10 ms.
    ticks: Duration,
    /// What the readings of `ticks` may lack, since the kernel rounds each of them down.
    grain: Duration,
    /// `schedstat` of each living thread, by process and thread: exact to the nanosecond, but a thread that ends takes
    /// its time with it.
    threads: BTreeMap<(i32, i32), u64>,
}

impl Tree {
    /// The processes `roots` and their descendants.
    pub(super) fn of(roots: impl IntoIterator<Item = i32>) -> ProcResult<Tree> {
        let members = roots
            .into_iter()
            .map(|pid| Ok((pid, Process::new(pid)?)))
            .collect::<ProcResult<_>>()?;
        let mut tree = Tree {
            members,
            page: procfs::page_size(),
        };
        tree.refresh();
        Ok(tree)
    }

    /// Finds new descendants and forgets processes that are gone. One whose parent died stays: it is still the target's.
    pub(super) fn refresh(&mut self) {
        let mut unexplored: Vec<i32> = self.members.keys().copied().collect();
        while let Some(pid) = unexplored.pop() {
            for child in self.members.get(&pid).map(children).unwrap_or_default() {
                // A child that is gone by now is no loss: its time has gone to its parent.
                if !self.members.contains_key(&child)
                    && let Ok(process) = Process::new(child)
                {
                    self.members.insert(child, process);
                    unexplored.push(child);
                }
            }
        }
        self.members.retain(|_, process| process.stat().is_ok());
    }

    /// Takes in further processes, if they live; their descendants come with the next [`Tree::refresh`].
    pub(super) fn admit(&mut self, pids: impl IntoIterator<Item = i32>) {
        for pid in pids {
            if let Entry::Vacant(place) = self.members.entry(pid)
                && let Ok(process) = Process::new(pid)
            {
                place.insert(process);
            }
        }
    }

    /// How many processes live.
    pub(super) fn len(&self) -> u32 {
        self.resident().count() as u32
    }

    /// The sum of the resident sets; `None` when no process lives.
    pub(super) fn rss(&self) -> Option<u64> {
        self.resident().reduce(|sum, bytes| sum + bytes)
    }

    /// The sum of the proportional sets; `None` where one of them may not be read.
    pub(super) fn pss(&self) -> Option<u64> {
        let mut sum = None;
        for process in self.members.values() {
            match pss(process) {
                Ok(bytes) => sum = Some(sum.unwrap_or(0) + bytes),
                // Gone since the last refresh.
                Err(ProcError::NotFound(_)) => {}
                Err(_) => return None,
            }
        }
        sum
    }

    /// The kernel's own peak of the resident set, where the target is one process: peaks of several need not coincide.
    pub(super) fn kernel_peak(&self) -> Option<u64> {
        let only = self.only()?;
        Some(only.status().ok()?.vmhwm? * 1024)
    }

    /// Starts the kernel's peak anew from what is resident now. False where that is not allowed, or not for one process.
    pub(super) fn reset_kernel_peak(&self) -> bool {
        self.only()
            .is_some_and(|process| process.clear_refs(ClearRefs::PeakRSS).is_ok())
    }

    /// CPU time so far, without a look at each thread; `None` when no process can be read.
    pub(super) fn cpu_coarse(&self) -> Option<Cpu> {
        let tick = Duration::from_secs(1) / u32::try_from(procfs::ticks_per_second()).ok()?;
        let mut cpu = None;
        for stat in self
            .members
            .values()
            .filter_map(|process| process.stat().ok())
        {
            let cpu: &mut Cpu = cpu.get_or_insert_default();
            let reaped = u64::try_from(stat.cutime + stat.cstime).unwrap_or(0);
            let ticks = u32::try_from(stat.utime + stat.stime + reaped).unwrap_or(u32::MAX);
            cpu.ticks += tick * ticks;
            // User and system time are rounded down each.
            cpu.grain += tick * 2;
        }
        cpu
    }

    /// CPU time so far, in both grains.
    pub(super) fn cpu(&self) -> Option<Cpu> {
        let mut cpu = self.cpu_coarse()?;
        for process in self.members.values() {
            let Ok(tasks) = process.tasks() else { continue };
            for task in tasks.flatten() {
                if let Ok(schedstat) = task.schedstat() {
                    cpu.threads
                        .insert((task.pid, task.tid), schedstat.sum_exec_runtime);
                }
            }
        }
        Some(cpu)
    }

    fn only(&self) -> Option<&Process> {
        let mut members = self.members.values();
        members.next().filter(|_| members.next().is_none())
    }

    /// The resident set of each process that lives, in bytes. One that ended and was not reaped has none.
    fn resident(&self) -> impl Iterator<Item = u64> {
        self.members
            .values()
            .filter_map(|process| process.statm().ok())
            .map(|statm| statm.resident * self.page)
            .filter(|&bytes| bytes > 0)
    }
}

impl Cpu {
    /// All of it, in ns.
    pub(super) fn total_ns(&self) -> u64 {
        ns(self.ticks)
    }

    /// What was used since `earlier`, in ns: by the threads' own clocks, unless the ticks show that these missed
    /// something (a thread or a process that ended in between), and then by the ticks.
    pub(super) fn since(&self, earlier: &Cpu) -> u64 {
        let ticks = self.ticks.saturating_sub(earlier.ticks);
        let grain = self.grain.max(earlier.grain);
        let exact: u64 = self
            .threads
            .iter()
            .map(|(thread, now)| {
                now.saturating_sub(earlier.threads.get(thread).copied().unwrap_or(0))
            })
            .sum();
        let complete = !self.threads.is_empty() && ns(ticks).abs_diff(exact) <= ns(grain);
        if complete { exact } else { ns(ticks) }
    }
}

fn ns(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// The children of a process, which the kernel lists by the thread that made them.
fn children(process: &Process) -> Vec<i32> {
    let Ok(tasks) = process.tasks() else {
        return Vec::new();
    };
    tasks
        .flatten()
        .filter_map(|task| task.children().ok())
        .flatten()
        .filter_map(|pid| i32::try_from(pid).ok())
        .collect()
}

fn pss(process: &Process) -> ProcResult<u64> {
    let rollup = process.smaps_rollup()?;
    let maps = rollup.memory_map_rollup.0;
    maps.iter()
        .find_map(|map| map.extension.map.get("Pss").copied())
        .ok_or(ProcError::NotFound(None))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cpu(ticks_ms: u64, threads: &[(i32, u64)]) -> Cpu {
        Cpu {
            ticks: Duration::from_millis(ticks_ms),
            grain: Duration::from_millis(20),
            threads: threads
                .iter()
                .map(|&(thread, ms)| ((1, thread), ms * 1_000_000))
                .collect(),
        }
    }

    #[test]
    fn a_span_is_taken_from_the_threads_unless_they_miss_something() {
        let cases = [
            (
                "threads agree with ticks",
                cpu(100, &[(1, 101)]),
                cpu(150, &[(1, 158)]),
                57,
            ),
            (
                "a new thread counts whole",
                cpu(100, &[(1, 100)]),
                cpu(150, &[(1, 110), (2, 45)]),
                55,
            ),
            (
                "a thread ended with its time",
                cpu(100, &[(1, 50), (2, 50)]),
                cpu(200, &[(1, 60)]),
                100,
            ),
            (
                "a short-lived child was reaped",
                cpu(0, &[(1, 0)]),
                cpu(80, &[(1, 10)]),
                80,
            ),
            ("no schedstat", cpu(100, &[]), cpu(150, &[]), 50),
            (
                "nothing happened",
                cpu(100, &[(1, 100)]),
                cpu(100, &[(1, 100)]),
                0,
            ),
        ];
        for (case, earlier, later, expected_ms) in cases {
            assert_eq!(later.since(&earlier), expected_ms * 1_000_000, "{case}");
        }
    }
}
