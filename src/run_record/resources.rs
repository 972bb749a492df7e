//! Memory and CPU of a target, as measured; what was not measured is `None`, never 0.

/// What the target used.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Resources {
    /// Memory, in each of the meanings that could be measured.
    pub memory: Memory,
    /// CPU time of the target over the measured phases, in nanoseconds.
    pub cpu_ns: Option<u64>,
    /// From exec to ready, in nanoseconds.
    pub startup_ns: Option<u64>,
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
    pub processes: u32,
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
}

/// Proportional memory, read only when idle, since the reading stops the process for a moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pss {
    /// Before any load.
    pub idle_bytes: Option<u64>,
    /// After the load.
    pub after_idle_bytes: Option<u64>,
}
