//! How the kernel of this machine is set, and what is left of it: read from `/proc` and `/sys`.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::group_folders;
use crate::doctor::Settings;

/// How this machine is set.
#[must_use]
pub fn settings() -> Settings {
    below(Path::new("/"))
}

/// The same of a machine whose files are below `root`.
fn below(root: &Path) -> Settings {
    let text = |path: &str| fs::read_to_string(root.join(path)).ok();
    let word = |path: &str| text(path).map(|text| text.trim().to_owned());
    let number = |path: &str| word(path)?.parse().ok();
    let on = |path: &str, yes: &str| word(path).map(|word| word == yes);
    Settings {
        ports: text("proc/sys/net/ipv4/ip_local_port_range").and_then(|text| pair(&text)),
        reuse_ports: number("proc/sys/net/ipv4/tcp_tw_reuse"),
        backlog: number("proc/sys/net/core/somaxconn"),
        governors: governors(&root.join("sys/devices/system/cpu/cpufreq")),
        boost: on("sys/devices/system/cpu/cpufreq/boost", "1")
            .or_else(|| on("sys/devices/system/cpu/intel_pstate/no_turbo", "0")),
        clock_source: word("sys/devices/system/clocksource/clocksource0/current_clocksource"),
        cpu_quota: text("proc/self/cgroup").and_then(|groups| cpu_quota(root, &groups)),
        huge_pages: text("sys/kernel/mm/transparent_hugepage/enabled")
            .and_then(|text| chosen(&text).map(str::to_owned)),
        available_bytes: text("proc/meminfo").and_then(|text| available(&text)),
        load_average: text("proc/loadavg")
            .and_then(|text| text.split_whitespace().next()?.parse().ok()),
    }
}

fn pair(text: &str) -> Option<(u16, u16)> {
    let mut numbers = text.split_whitespace().map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

/// The governor of each policy, each name once, in the order of the alphabet.
fn governors(folder: &Path) -> Vec<String> {
    let policies = fs::read_dir(folder).into_iter().flatten().flatten();
    let named = policies.filter_map(|policy| {
        let file = policy.path().join("scaling_governor");
        Some(fs::read_to_string(file).ok()?.trim().to_owned())
    });
    named.collect::<BTreeSet<_>>().into_iter().collect()
}

/// The word in brackets: `always [madvise] never`.
fn chosen(words: &str) -> Option<&str> {
    let (_, rest) = words.split_once('[')?;
    Some(rest.split_once(']')?.0)
}

/// `MemAvailable` of `/proc/meminfo`, which is in KiB.
fn available(meminfo: &str) -> Option<u64> {
    let line = meminfo
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kibibytes: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kibibytes.saturating_mul(1_024))
}

/// CPUs that the process's group may keep busy: the least of its own limit and those of the groups that it is in.
fn cpu_quota(root: &Path, groups: &str) -> Option<f64> {
    let top = root.join("sys/fs/cgroup");
    let quotas = group_folders(groups).into_iter().flat_map(|folder| {
        let folder = root.join(folder.strip_prefix("/").unwrap_or(folder.as_path()));
        let above: Vec<PathBuf> = (folder.ancestors())
            .take_while(|folder| folder.starts_with(&top))
            .map(Path::to_owned)
            .collect();
        above.into_iter().filter_map(|folder| quota_of(&folder))
    });
    quotas.min_by(f64::total_cmp)
}

/// By v2's `cpu.max`, or v1's pair of files, where −1 is no limit.
fn quota_of(folder: &Path) -> Option<f64> {
    let text = |file: &str| fs::read_to_string(folder.join(file)).ok();
    let (quota, period) = match text("cpu.max") {
        Some(max) => {
            let (quota, period) = max.split_once(' ')?;
            (quota.to_owned(), period.to_owned())
        }
        None => (text("cpu.cfs_quota_us")?, text("cpu.cfs_period_us")?),
    };
    let quota: u64 = quota.trim().parse().ok()?;
    let period: u64 = period.trim().parse().ok()?;
    (period > 0).then(|| quota as f64 / period as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A machine with these files.
    fn machine(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        root
    }

    #[test]
    fn a_machine_that_tells_everything() {
        let root = machine(&[
            ("proc/sys/net/ipv4/ip_local_port_range", "32768\t60999\n"),
            ("proc/sys/net/ipv4/tcp_tw_reuse", "2\n"),
            ("proc/sys/net/core/somaxconn", "4096\n"),
            (
                "sys/devices/system/cpu/cpufreq/policy0/scaling_governor",
                "powersave\n",
            ),
            (
                "sys/devices/system/cpu/cpufreq/policy1/scaling_governor",
                "performance\n",
            ),
            (
                "sys/devices/system/cpu/cpufreq/policy2/scaling_governor",
                "powersave\n",
            ),
            ("sys/devices/system/cpu/intel_pstate/no_turbo", "0\n"),
            (
                "sys/devices/system/clocksource/clocksource0/current_clocksource",
                "tsc\n",
            ),
            ("proc/self/cgroup", "0::/a/b\n"),
            ("sys/fs/cgroup/a/b/cpu.max", "max 100000\n"),
            ("sys/fs/cgroup/a/cpu.max", "150000 100000\n"),
            (
                "sys/kernel/mm/transparent_hugepage/enabled",
                "always [madvise] never\n",
            ),
            (
                "proc/meminfo",
                "MemTotal:  100 kB\nMemAvailable:   2048 kB\n",
            ),
            ("proc/loadavg", "2.00 1.62 1.03 3/132 3651\n"),
        ]);
        assert_eq!(
            below(root.path()),
            Settings {
                ports: Some((32_768, 60_999)),
                reuse_ports: Some(2),
                backlog: Some(4_096),
                governors: vec!["performance".into(), "powersave".into()],
                boost: Some(true),
                clock_source: Some("tsc".into()),
                cpu_quota: Some(1.5),
                huge_pages: Some("madvise".into()),
                available_bytes: Some(2 << 20),
                load_average: Some(2.0),
            }
        );
    }

    #[test]
    fn a_machine_that_tells_nothing() {
        let root = machine(&[
            ("proc/meminfo", "MemAvailable: lots\n"),
            ("sys/kernel/mm/transparent_hugepage/enabled", "[always\n"),
        ]);
        assert_eq!(below(root.path()), Settings::default());
    }

    #[test]
    fn quotas_of_the_older_interface_count_too() {
        let groups = ("proc/self/cgroup", "4:cpu,cpuacct:/docker/1f\n");
        let limited = |quota| {
            let root = machine(&[
                groups,
                ("sys/fs/cgroup/cpu/docker/1f/cpu.cfs_quota_us", quota),
                ("sys/fs/cgroup/cpu/docker/1f/cpu.cfs_period_us", "100000\n"),
            ]);
            below(root.path()).cpu_quota
        };
        assert_eq!(limited("50000\n"), Some(0.5));
        assert_eq!(limited("-1\n"), None);
    }

    #[test]
    fn this_machine_tells_its_memory() {
        assert!(settings().available_bytes.unwrap() > 1 << 20);
    }
}
