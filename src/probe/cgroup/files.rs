//! What the files of a control group say: pure functions of their text.
//!
//! The files are described in the kernel's `Documentation/admin-guide/cgroup-v1/memory.rst`, `cgroup-v1/cpuacct.rst`,
//! `scheduler/sched-bwc.rst` and `cgroup-v2.rst`.

/// A number so large that v1 means no limit by it: the most pages that fit a signed 64-bit count of bytes.
const V1_UNLIMITED: u64 = 1 << 60;

/// What is charged to a container at a moment, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::probe) struct Memory {
    /// Everything: anonymous memory, page cache, and what the kernel keeps for the processes.
    pub(in crate::probe) usage: u64,
    /// Page cache that was read or written once and not since; the kernel takes it back before it wants for memory.
    pub(in crate::probe) inactive_file: u64,
    /// All of the page cache, with shared memory.
    pub(in crate::probe) page_cache: u64,
}

impl Memory {
    /// As `docker stats` has it: what is charged, less the page cache that goes first. The two are read one after the other, and
    /// what was in between can make the one larger.
    pub(in crate::probe) fn working_set(self) -> u64 {
        self.usage.saturating_sub(self.inactive_file)
    }
}

/// What `memory.stat` calls the parts of [`Memory`].
#[derive(Debug)]
pub(super) struct Keys {
    inactive_file: &'static str,
    page_cache: &'static str,
}

/// v1's, which has sums over the groups inside apart.
pub(super) const V1: Keys = Keys {
    inactive_file: "total_inactive_file",
    page_cache: "total_cache",
};

/// v2's, which are such sums.
pub(super) const V2: Keys = Keys {
    inactive_file: "inactive_file",
    page_cache: "file",
};

/// Memory by the file of the usage and `memory.stat`.
pub(super) fn memory(usage: &str, stat: &str, keys: &Keys) -> Option<Memory> {
    Some(Memory {
        usage: number(usage)?,
        inactive_file: keyed(stat, keys.inactive_file)?,
        page_cache: keyed(stat, keys.page_cache)?,
    })
}

/// A file that is a number; `max` is none.
pub(super) fn number(text: &str) -> Option<u64> {
    text.trim().parse().ok()
}

/// The value of `key` in a file of a key and a number on each line.
pub(super) fn keyed(text: &str, key: &str) -> Option<u64> {
    text.lines().find_map(|line| {
        let (name, value) = line.split_once(' ')?;
        (name == key).then(|| number(value))?
    })
}

/// The memory limit by v1's `memory.stat`, which has the least of the group's own and those above it.
pub(super) fn v1_memory_limit(stat: &str) -> Option<u64> {
    keyed(stat, "hierarchical_memory_limit").filter(|&bytes| bytes < V1_UNLIMITED)
}

/// How many CPUs a quota of microseconds in each period amounts to; v1 says −1 for no limit, v2 `max`.
pub(super) fn cpus(quota: &str, period: &str) -> Option<f64> {
    let (quota, period) = (number(quota)?, number(period)?);
    (period > 0).then(|| quota as f64 / period as f64)
}

/// What `cpu.stat` counts. v2 counts in microseconds and has the CPU time, v1 in nanoseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct CpuStat {
    pub(super) cpu_ns: Option<u64>,
    pub(super) throttled_ns: Option<u64>,
    pub(super) throttled_periods: Option<u64>,
}

pub(super) fn cpu_stat(text: &str) -> CpuStat {
    let microseconds = |key| keyed(text, key).map(|us| us.saturating_mul(1_000));
    CpuStat {
        cpu_ns: microseconds("usage_usec"),
        throttled_ns: microseconds("throttled_usec").or_else(|| keyed(text, "throttled_time")),
        throttled_periods: keyed(text, "nr_throttled"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const V1_STAT: &str = include_str!("testdata/v1-docker.memory.stat");
    const V2_STAT: &str = include_str!("testdata/v2.memory.stat");

    #[test]
    fn the_working_set_is_what_docker_says_it_is() {
        let usage = include_str!("testdata/v1-docker.memory.usage_in_bytes");
        let v1 = memory(usage, V1_STAT, &V1).unwrap();
        let v2 = memory("78643200\n", V2_STAT, &V2).unwrap();
        assert_eq!(v1.working_set(), 34_979_840 - 843_776);
        assert_eq!(v1.page_cache, 843_776);
        assert_eq!(v2.working_set(), 78_643_200 - 5_242_880);
        assert_eq!(v2.page_cache, 9_437_184);
        // The stat is read a moment after the usage.
        assert_eq!(memory("4096", V2_STAT, &V2).unwrap().working_set(), 0);
    }

    #[test]
    fn what_is_not_there_is_unknown() {
        for (usage, stat) in [
            ("", V2_STAT),
            ("max\n", V2_STAT),
            ("4096\n", ""),
            ("4096\n", "inactive_file 1\n"),
            ("4096\n", "inactive_file\nfile 2\n"),
            ("4096\n", "inactive_file -1\nfile 2\n"),
        ] {
            assert_eq!(memory(usage, stat, &V2), None, "{usage:?} {stat:?}");
        }
        assert_eq!(cpu_stat(""), CpuStat::default());
    }

    #[test]
    fn cpu_time_and_throttling_are_in_nanoseconds() {
        let v2 = cpu_stat(include_str!("testdata/v2.cpu.stat"));
        let expected = CpuStat {
            cpu_ns: Some(2_305_169_000),
            throttled_ns: Some(1_200_450_000),
            throttled_periods: Some(34),
        };
        assert_eq!(v2, expected);
        let v1 = cpu_stat(include_str!("testdata/v1-docker.cpu.stat"));
        // v1 has the CPU time elsewhere.
        let expected = CpuStat {
            cpu_ns: None,
            throttled_ns: Some(0),
            throttled_periods: Some(0),
        };
        assert_eq!(v1, expected);
    }

    #[test]
    fn limits_are_numbers_or_none() {
        assert_eq!(v1_memory_limit(V1_STAT), Some(96 << 20));
        let unlimited = "hierarchical_memory_limit 9223372036854771712\n";
        assert_eq!(v1_memory_limit(unlimited), None);
        for (quota, period, expected) in [
            ("50000\n", "100000\n", Some(0.5)),
            ("200000", "100000\n", Some(2.0)),
            ("-1\n", "100000\n", None),
            ("max", "100000\n", None),
            ("50000", "0\n", None),
        ] {
            assert_eq!(cpus(quota, period), expected, "{quota:?} of {period:?}");
        }
    }

    #[test]
    fn kills_are_counted() {
        let v2 = include_str!("testdata/v2.memory.events");
        let v1 = include_str!("testdata/v1-docker.memory.oom_control");
        for text in [v1, v2] {
            assert_eq!(keyed(text, "oom_kill"), Some(1), "{text}");
        }
        assert_eq!(keyed(v2, "oom"), Some(2));
    }
}
