//! The machine under tailmark: what it is, how it is set, and whether it was taken away while we measured.

mod settings;

use std::fs;
use std::io;
use std::path::PathBuf;
use std::time::SystemTime;

use procfs::{Current, CurrentSI};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use rustix::time::{ClockId, clock_gettime};

pub use self::settings::settings;
use crate::placement::{CpuList, Topology};
use crate::run_record::Environment;

/// Watches the machine over a run.
#[derive(Debug)]
pub struct Pressure {
    before: Option<CpuTimes>,
    throttled_before: Option<u64>,
    /// CPU time of this process, in seconds.
    own_before: f64,
}

/// CPU time of the whole machine, in ticks.
#[derive(Debug, Clone, Copy)]
struct CpuTimes {
    all: u64,
    /// Nothing was to be done, or a disk was waited for.
    idle: u64,
    steal: u64,
    /// CPUs that it is the time of.
    cpus: usize,
}

/// What this machine is; stores and disturbances are left for whoever knows them.
#[must_use]
pub fn describe() -> Environment {
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").ok();
    let cpu = procfs::CpuInfo::current().ok();
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    Environment {
        tool_version: env!("CARGO_PKG_VERSION").into(),
        kernel: kernel.map(|release| format!("Linux {}", release.trim())),
        cpu_model: cpu.and_then(|cpu| cpu.model_name(0).map(str::to_owned)),
        cores: std::thread::available_parallelism().map_or(1, usize::from),
        memory_bytes: procfs::Meminfo::current()
            .ok()
            .map(|memory| memory.mem_total),
        descriptors: limit.current,
        container: in_container(),
        ..Environment::default()
    }
}

/// The kernel's peak of this process's own memory.
#[must_use]
pub fn own_memory_peak() -> Option<u64> {
    let status = procfs::process::Process::myself().ok()?.status().ok()?;
    status.vmhwm.map(|kibibytes| kibibytes * 1024)
}

/// The hard limit of descriptors, to which the soft one may be raised; none where there is no limit.
#[must_use]
pub fn most_descriptors() -> Option<u64> {
    rustix::process::getrlimit(rustix::process::Resource::Nofile).maximum
}

/// Raises the soft limit of descriptors to the hard one, so that many connections need no `ulimit` beforehand.
pub fn raise_descriptor_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    // Raising it up to the hard limit is everybody's right; should it fail, the limit in force is recorded.
    let _ = setrlimit(
        Resource::Nofile,
        Rlimit {
            current: limit.maximum,
            ..limit
        },
    );
}

/// The CPUs that the calling thread may use, by cores. A machine that does not say which CPUs share a core has as many
/// cores as CPUs.
///
/// # Errors
/// When the kernel does not say which CPUs may be used.
pub fn topology() -> io::Result<Topology> {
    let allowed = sched_getaffinity(None)?;
    let mut cores: Vec<CpuList> = Vec::new();
    for cpu in (0..CpuSet::MAX_CPU).filter(|&cpu| allowed.is_set(cpu)) {
        if cores.iter().any(|core| core.holds(cpu)) {
            continue;
        }
        let file = format!("/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list");
        let siblings = fs::read_to_string(file).ok();
        let siblings: Option<CpuList> = siblings.and_then(|list| list.trim().parse().ok());
        let core = siblings.unwrap_or_default();
        cores.push(
            core.cpus()
                .chain([cpu])
                .filter(|&cpu| allowed.is_set(cpu))
                .collect(),
        );
    }
    Ok(Topology::new(cores))
}

/// Keeps the calling thread to `cpus`, until what is returned is dropped. Threads and processes that it starts meanwhile
/// are kept to them for good.
///
/// # Errors
/// When none of `cpus` may be used.
pub fn confine(cpus: &CpuList) -> io::Result<Confined> {
    let before = sched_getaffinity(None)?;
    let mut only = CpuSet::new();
    cpus.cpus().for_each(|cpu| only.set(cpu));
    sched_setaffinity(None, &only)?;
    Ok(Confined { before })
}

/// A thread that keeps to some CPUs.
#[derive(Debug)]
pub struct Confined {
    before: CpuSet,
}

impl Drop for Confined {
    fn drop(&mut self) {
        // Whatever the thread was allowed before it is allowed again, unless a container's limits have just changed.
        let _ = sched_setaffinity(None, &self.before);
    }
}

/// Now in UTC, as RFC 3339 with seconds, and in the basic form that folders are named by.
#[must_use]
pub fn utc_now() -> (String, String) {
    let now = jiff::Timestamp::now();
    let seconds = jiff::Timestamp::from_second(now.as_second()).unwrap_or(now);
    (
        seconds.to_string(),
        seconds.strftime("%Y%m%dT%H%M%SZ").to_string(),
    )
}

/// A moment that is written as RFC 3339; none where it is not.
#[must_use]
pub fn moment(text: &str) -> Option<SystemTime> {
    text.parse::<jiff::Timestamp>().ok().map(SystemTime::from)
}

impl Pressure {
    /// Begins to watch.
    #[must_use]
    pub fn watch() -> Self {
        Self {
            before: CpuTimes::now(),
            throttled_before: throttled_ns(),
            own_before: own_cpu_seconds(),
        }
    }

    /// How many CPUs were kept busy by other processes since, and by the kernel; none where the machine does not tell. The kernel
    /// counts in hundredths of a second.
    #[must_use]
    pub fn others(&self) -> Option<f64> {
        let (before, after) = self.before.zip(CpuTimes::now())?;
        let all = after.all.saturating_sub(before.all) as f64;
        let free = (after.idle + after.steal).saturating_sub(before.idle + before.steal) as f64;
        let seconds = all / after.cpus as f64 / procfs::ticks_per_second() as f64;
        let own = (own_cpu_seconds() - self.own_before) / seconds;
        let busy = (all - free) / all * after.cpus as f64;
        (all > 0.0).then(|| (busy - own).max(0.0))
    }

    /// What happened since: the share of CPU time that the hypervisor took away (0 to 1), and for how many
    /// nanoseconds tailmark's own control group was throttled. `None` where the machine does not tell.
    #[must_use]
    pub fn since(&self) -> (Option<f64>, Option<u64>) {
        let steal = self
            .before
            .zip(CpuTimes::now())
            .and_then(|(before, after)| {
                let all = after.all.saturating_sub(before.all);
                (all > 0).then(|| after.steal.saturating_sub(before.steal) as f64 / all as f64)
            });
        let throttled = self
            .throttled_before
            .zip(throttled_ns())
            .map(|(before, after)| after.saturating_sub(before));
        (steal, throttled)
    }
}

impl CpuTimes {
    fn now() -> Option<Self> {
        let stats = procfs::KernelStats::current().ok()?;
        let total = stats.total;
        let steal = total.steal?;
        let idle = total.idle + total.iowait.unwrap_or(0);
        // Guest time is part of user time already (proc_stat(5)).
        let all = total.user
            + total.nice
            + total.system
            + idle
            + total.irq.unwrap_or(0)
            + total.softirq.unwrap_or(0)
            + steal;
        Some(Self {
            all,
            idle,
            steal,
            cpus: stats.cpu_time.len().max(1),
        })
    }
}

fn own_cpu_seconds() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// How long this process's control group has been throttled: `throttled_usec` in v2's `cpu.stat`, `throttled_time`
/// (nanoseconds) in v1's.
fn throttled_ns() -> Option<u64> {
    let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
    cpu_stat_files(&groups)
        .into_iter()
        .find_map(|file| parse_throttled(&fs::read_to_string(file).ok()?))
}

/// Where `cpu.stat` may stand for the groups of a `/proc/PID/cgroup`.
fn cpu_stat_files(groups: &str) -> Vec<PathBuf> {
    let folders = group_folders(groups).into_iter();
    folders.map(|folder| folder.join("cpu.stat")).collect()
}

/// Where the files about CPU time may stand for the groups of a `/proc/PID/cgroup` (cgroups(7)): `0::/path` is v2's,
/// `n:cpu,…:/path` is v1's. Inside a container the hierarchy's root is the container's own group.
fn group_folders(groups: &str) -> Vec<PathBuf> {
    let mut folders = Vec::new();
    for line in groups.lines() {
        let mut parts = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (parts.next(), parts.next()) else {
            continue;
        };
        let roots: &[&str] = if controllers.is_empty() {
            &["/sys/fs/cgroup"]
        } else if controllers.split(',').any(|controller| controller == "cpu") {
            &["/sys/fs/cgroup/cpu", "/sys/fs/cgroup/cpu,cpuacct"]
        } else {
            &[]
        };
        for root in roots {
            folders.push(PathBuf::from(format!("{root}{path}")));
            folders.push(PathBuf::from(root));
        }
    }
    folders
}

fn parse_throttled(text: &str) -> Option<u64> {
    text.lines().find_map(|line| {
        let (key, value) = line.split_once(' ')?;
        let value: u64 = value.trim().parse().ok()?;
        match key {
            "throttled_usec" => Some(value.saturating_mul(1_000)),
            "throttled_time" => Some(value),
            _ => None,
        }
    })
}

/// The marks that Docker and podman leave in a container's root, and the variable that Kubernetes sets.
fn in_container() -> bool {
    ["/.dockerenv", "/run/.containerenv"]
        .iter()
        .any(|mark| fs::exists(mark).unwrap_or(false))
        || std::env::var_os("KUBERNETES_SERVICE_HOST").is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_is_described() {
        let environment = describe();
        assert!(environment.kernel.unwrap().starts_with("Linux "));
        assert!(environment.cores >= 1);
        assert!(environment.memory_bytes.unwrap() > 1 << 20);
        assert!(own_memory_peak().unwrap() > 1 << 18);
    }

    #[test]
    fn pressure_is_a_share() {
        let pressure = Pressure::watch();
        let (steal, _) = pressure.since();
        assert!(steal.is_none_or(|share| (0.0..=1.0).contains(&share)));
        let others = pressure.others();
        assert!(others.is_none_or(|cpus| (0.0..=4_096.0).contains(&cpus)));
    }

    #[test]
    fn the_groups_file_of_either_version_leads_to_its_cpu_stat() {
        let has = |groups: &str, file: &str| cpu_stat_files(groups).contains(&PathBuf::from(file));
        assert!(has(
            "0::/user.slice\n",
            "/sys/fs/cgroup/user.slice/cpu.stat"
        ));
        assert!(has(
            "4:cpu,cpuacct:/docker/1f\n",
            "/sys/fs/cgroup/cpu/docker/1f/cpu.stat"
        ));
        assert!(cpu_stat_files("9:memory:/x\n").is_empty());
    }

    #[test]
    fn throttling_is_read_in_nanoseconds_from_either_version() {
        let v2 = "usage_usec 9\nnr_throttled 2\nthrottled_usec 1500\n";
        assert_eq!(parse_throttled(v2), Some(1_500_000));
        assert_eq!(
            parse_throttled("nr_periods 0\nthrottled_time 42\n"),
            Some(42)
        );
        assert_eq!(parse_throttled("usage_usec 9\n"), None);
    }

    #[test]
    fn now_is_written_in_both_forms() {
        let (long, short) = utc_now();
        assert_eq!(long.replace(['-', ':'], ""), short);
    }

    #[test]
    fn what_is_started_by_a_confined_thread_stays_where_that_was() {
        let all = topology().unwrap().all();
        let first: CpuList = all.cpus().take(1).collect();
        let child = || {
            let status = std::process::Command::new("grep")
                .args(["Cpus_allowed_list", "/proc/self/status"])
                .output()
                .unwrap();
            let line = String::from_utf8(status.stdout).unwrap();
            line.split_whitespace().last().unwrap().to_owned()
        };
        let confined = confine(&first).unwrap();
        assert_eq!(child(), first.to_string());
        let thread = std::thread::spawn(move || topology().unwrap().all());
        assert_eq!(thread.join().unwrap(), first);
        drop(confined);
        assert_eq!(child(), all.to_string());
        assert!(confine(&[1023].into_iter().collect()).is_err());
    }
}
