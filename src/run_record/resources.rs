//! Memory and CPU of a target, as measured; what was not measured is `None`, never 0.

mod timeline;

pub use timeline::Timeline;

/// What the target used.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Resources {
    /// Memory, in each of the meanings that could be measured.
    pub memory: Memory,
    /// CPU time of the target over the measured phases, in nanoseconds.
    pub cpu_ns: Option<u64>,
    /// From exec to ready, in nanoseconds.
    pub startup_ns: Option<u64>,
    /// What is told of a container beside its memory and CPU time.
    pub container: Option<Container>,
    /// Readings over the whole run, in order: at most [`MOMENTS`].
    pub timeline: Vec<Moment>,
}

/// Moments of a timeline at most: as many as a phase has windows.
pub const MOMENTS: usize = crate::windows::MOST as usize;

/// What a target used at one moment of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// Nanoseconds from the start of the run.
    pub at_ns: u64,
    /// The resident set of its processes in bytes, or the working set of a container that is not seen from here.
    pub memory_bytes: Option<u64>,
    /// CPU time since its processes began, in nanoseconds.
    pub cpu_ns: Option<u64>,
}

impl Resources {
    /// The same without what was read after the load: where the target had not rested, that says nothing of it at rest.
    #[must_use]
    pub fn without_after_idle(mut self) -> Self {
        let Memory {
            working_set,
            rss,
            pss,
            page_cache,
        } = &mut self.memory;
        for series in [working_set, rss, page_cache].into_iter().flatten() {
            series.after_idle_bytes = None;
        }
        if let Some(pss) = pss {
            pss.after_idle_bytes = None;
        }
        self
    }
}

/// Memory in its several meanings, which are never mixed.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Memory {
    /// A container's working set.
    pub working_set: Option<MemorySeries>,
    /// Resident memory of a process tree.
    pub rss: Option<MemorySeries>,
    /// Proportional memory, which counts a shared page in shares.
    pub pss: Option<Pss>,
    /// A container's page cache, of which its working set has the part that was used again.
    pub page_cache: Option<MemorySeries>,
}

impl Memory {
    /// What was followed over time, each under the name of its field.
    #[must_use]
    pub fn series(&self) -> [(&'static str, Option<&MemorySeries>); 3] {
        [
            ("working_set", self.working_set.as_ref()),
            ("rss", self.rss.as_ref()),
            ("page_cache", self.page_cache.as_ref()),
        ]
    }
}

impl MemorySeries {
    /// Its figures that are known, in bytes, each under the name of its moment.
    pub fn figures(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let all = [
            ("idle", self.idle_bytes),
            ("p50", self.p50_bytes),
            ("p95", self.p95_bytes),
            ("peak", self.peak_bytes),
            ("after_idle", self.after_idle_bytes),
        ];
        all.into_iter()
            .filter_map(|(when, bytes)| Some((when, bytes?)))
    }
}

/// What is told of a container beside its memory and CPU time.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Container {
    /// Where the figures come from: `cgroup-v1` or `cgroup-v2`, or `docker-stats` of a container elsewhere.
    pub source: String,
    /// Readings of memory per second: as asked for, or as an engine gave them.
    pub hz: f64,
    /// The memory limit in bytes, of the container or of a group that it is in.
    pub memory_limit_bytes: Option<u64>,
    /// The CPU limit, in CPUs.
    pub cpu_limit: Option<f64>,
    /// Tasks (processes and their threads), at most at once, as read once a second.
    pub tasks_peak: Option<u64>,
    /// How long its CPU limit kept it from running over the measured phases, in nanoseconds.
    pub throttled_ns: Option<u64>,
    /// In how many scheduling periods.
    pub throttled_periods: Option<u64>,
    /// Processes that the kernel killed for want of memory while it was watched.
    pub oom_kills: Option<u64>,
}

/// One kind of memory over time, in bytes.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct MemorySeries {
    /// Where the figures come from.
    pub source: String,
    /// Samples per second.
    pub hz: f64,
    /// Samples in the measured phases.
    pub samples: u64,
    /// Processes, at most at once.
    pub processes: Option<u32>,
    /// Before any load.
    pub idle_bytes: Option<u64>,
    /// Median over the measured phases.
    pub p50_bytes: Option<u64>,
    /// 95th percentile over the measured phases.
    pub p95_bytes: Option<u64>,
    /// The most.
    pub peak_bytes: Option<u64>,
    /// After the load.
    pub after_idle_bytes: Option<u64>,
    /// Growth over the measured phases, in bytes per second.
    pub slope_bytes_per_s: Option<f64>,
    /// The 95 % interval of the growth, in bytes per second.
    pub slope_ci_bytes_per_s: Option<[f64; 2]>,
}

/// Proportional memory, read only when idle, since the reading stops the process for a moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pss {
    /// Before any load.
    pub idle_bytes: Option<u64>,
    /// After the load.
    pub after_idle_bytes: Option<u64>,
}
