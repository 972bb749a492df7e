//! A container's memory and CPU, read from the files of its control group.
//!
//! A reading costs microseconds, where a daemon's statistics come once a second. What the files mean is in [`files`], which of
//! them are the container's in [`place`].

mod files;
mod place;

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

pub(super) use self::files::Memory;
pub use self::place::PlaceError;
use self::place::{Place, Version};

/// How deep groups inside a container's group are looked for: systemd in a container makes three levels or four.
const DEEPEST: usize = 8;

/// The control group of a container, in each hierarchy that has something to say of it.
#[derive(Debug)]
pub(super) struct Group {
    place: Place,
    /// v2's `memory.peak`, kept open: a reset holds for the file that it was written to, and for no other reader.
    peak: Option<File>,
}

/// What a group's counters say, each from its beginning; `None` where the kernel or the mounts do not tell.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counters {
    /// CPU time in nanoseconds.
    pub(super) cpu_ns: Option<u64>,
    /// How long it was kept from the CPU by its limit, in nanoseconds.
    pub(super) throttled_ns: Option<u64>,
    /// In how many periods.
    pub(super) throttled_periods: Option<u64>,
    /// Tasks that live now.
    pub(super) tasks: Option<u64>,
    /// Processes that the kernel killed for want of memory.
    pub(super) oom_kills: Option<u64>,
}

/// What a group may use.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Limits {
    /// In bytes; the least of its own and those above it.
    pub(super) memory: Option<u64>,
    /// In CPUs.
    pub(super) cpus: Option<f64>,
}

impl Group {
    /// The group of the container that process `pid` belongs to.
    ///
    /// # Errors
    /// Fails where the process is not there, is in no group of its own, or in one that is not mounted here.
    pub(super) fn of(pid: u32) -> Result<Group, PlaceError> {
        let read = |path: String| {
            fs::read_to_string(&path).map_err(|source| PlaceError::Unreadable { path, source })
        };
        let groups = read(format!("/proc/{pid}/cgroup"))?;
        let mounts = read("/proc/self/mountinfo".to_owned())?;
        let place = Place::find(pid, &groups, &mounts, Path::is_file)?;
        let peak = match place.version {
            Version::V1 => None,
            Version::V2 => {
                let file = place.memory.join("memory.peak");
                let both = OpenOptions::new().read(true).write(true).open(&file);
                both.or_else(|_| File::open(&file)).ok()
            }
        };
        Ok(Group { place, peak })
    }

    /// What records call the place that the figures come from.
    pub(super) fn source(&self) -> &'static str {
        match self.place.version {
            Version::V1 => "cgroup-v1",
            Version::V2 => "cgroup-v2",
        }
    }

    /// The file that has the kernel's peak.
    pub(super) fn peak_file(&self) -> &'static str {
        match self.place.version {
            Version::V1 => "memory.max_usage_in_bytes",
            Version::V2 => "memory.peak",
        }
    }

    /// Memory now; `None` when the group is gone.
    pub(super) fn memory(&self) -> Option<Memory> {
        let (usage, keys) = match self.place.version {
            Version::V1 => ("memory.usage_in_bytes", &files::V1),
            Version::V2 => ("memory.current", &files::V2),
        };
        files::memory(
            &text(&self.place.memory, usage)?,
            &text(&self.place.memory, "memory.stat")?,
            keys,
        )
    }

    /// The most that was charged since the last reset, or since the group began.
    pub(super) fn peak(&self) -> Option<u64> {
        match self.place.version {
            Version::V1 => files::number(&text(&self.place.memory, self.peak_file())?),
            Version::V2 => {
                let mut bytes = [0; 32];
                let length = self.peak.as_ref()?.read_at(&mut bytes, 0).ok()?;
                files::number(std::str::from_utf8(&bytes[..length]).ok()?)
            }
        }
    }

    /// Starts the kernel's peak anew from what is charged now. False where that is not allowed, or the kernel cannot: v2's
    /// can from Linux 6.12.
    pub(super) fn reset_peak(&mut self) -> bool {
        match (self.place.version, &mut self.peak) {
            (Version::V1, _) => fs::write(self.place.memory.join(self.peak_file()), "0").is_ok(),
            (Version::V2, Some(file)) => file.write_all(b"0").is_ok(),
            (Version::V2, None) => false,
        }
    }

    /// The counters now.
    pub(super) fn counters(&self) -> Counters {
        let place = &self.place;
        let stat = place.cpu.as_ref().and_then(|cpu| text(cpu, "cpu.stat"));
        let stat = stat.as_deref().map(files::cpu_stat).unwrap_or_default();
        let cpuacct = place.cpuacct.as_ref();
        Counters {
            cpu_ns: stat
                .cpu_ns
                .or_else(|| files::number(&text(cpuacct?, "cpuacct.usage")?)),
            throttled_ns: stat.throttled_ns,
            throttled_periods: stat.throttled_periods,
            tasks: (place.pids.as_ref())
                .and_then(|pids| files::number(&text(pids, "pids.current")?)),
            oom_kills: self.oom_kills(),
        }
    }

    /// Processes of the container that the kernel killed for want of memory, since it began.
    pub(super) fn oom_kills(&self) -> Option<u64> {
        let file = match self.place.version {
            Version::V1 => "memory.oom_control",
            Version::V2 => "memory.events",
        };
        files::keyed(&text(&self.place.memory, file)?, "oom_kill")
    }

    /// What the container may use.
    pub(super) fn limits(&self) -> Limits {
        let place = &self.place;
        let cpu = place.cpu.as_ref();
        match place.version {
            Version::V1 => Limits {
                memory: text(&place.memory, "memory.stat")
                    .and_then(|stat| files::v1_memory_limit(&stat)),
                cpus: cpu.and_then(|cpu| {
                    let quota = text(cpu, "cpu.cfs_quota_us")?;
                    let period = text(cpu, "cpu.cfs_period_us")?;
                    files::cpus(&quota, &period)
                }),
            },
            Version::V2 => Limits {
                memory: (place.with_parents(&place.memory))
                    .filter_map(|folder| files::number(&text(folder, "memory.max")?))
                    .min(),
                cpus: cpu.and_then(|cpu| {
                    let max = text(cpu, "cpu.max")?;
                    let (quota, period) = max.split_once(' ')?;
                    files::cpus(quota, period)
                }),
            },
        }
    }

    /// The processes in the group and in those inside it, as this process's namespace numbers them.
    pub(super) fn processes(&self) -> Vec<i32> {
        let mut found = Vec::new();
        collect_processes(&self.place.memory, DEEPEST, &mut found);
        found
    }
}

fn collect_processes(folder: &Path, levels: usize, found: &mut Vec<i32>) {
    let listed = text(folder, "cgroup.procs").unwrap_or_default();
    // One that this namespace has no number for is listed as 0.
    found.extend(
        listed
            .lines()
            .filter_map(|line| line.parse().ok())
            .filter(|&pid: &i32| pid > 0),
    );
    let Some(levels) = levels.checked_sub(1) else {
        return;
    };
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let folders = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    let inside: Vec<PathBuf> = folders.map(|entry| entry.path()).collect();
    for folder in inside {
        collect_processes(&folder, levels, found);
    }
}

fn text(folder: &Path, file: &str) -> Option<String> {
    fs::read_to_string(folder.join(file)).ok()
}
