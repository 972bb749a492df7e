//! Whether this machine can be measured on: what was found out about it, what each finding costs a measurement, and how
//! to mend it. Nothing is looked up here.

mod findings;
pub mod wire;

use crate::placement::Topology;
use crate::run_record::Environment;

/// What was found out about a machine; what it does not tell is none.
#[derive(Debug, Clone, PartialEq)]
pub struct Facts {
    /// When, in UTC, as RFC 3339.
    pub checked: String,
    /// What it is.
    pub environment: Environment,
    /// The hard limit of descriptors; none where there is no limit.
    pub descriptors: Option<u64>,
    /// The most connections that this limit leaves room for; none where there is no limit.
    pub connections: Option<u64>,
    /// How its kernel is set.
    pub settings: Settings,
    /// The CPUs that tailmark may use, by cores.
    pub topology: Option<Topology>,
    /// What went on while nothing was done.
    pub quiet: Quiet,
    /// How late it wakes.
    pub wakes: Option<Wakes>,
    /// What a look at the clock takes, in nanoseconds.
    pub clock_read_ns: Option<f64>,
    /// A container engine.
    pub engine: Supply,
    /// PostgreSQL.
    pub postgres: Supply,
    /// Redis.
    pub redis: Supply,
}

/// How the kernel of a machine is set; what it does not tell is none.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Settings {
    /// The first and the last local port.
    pub ports: Option<(u16, u16)>,
    /// `net.ipv4.tcp_tw_reuse`: 1 where the port of a closed connection may be taken again after a second.
    pub reuse_ports: Option<u64>,
    /// Connections that a listening socket keeps at most until they are accepted.
    pub backlog: Option<u64>,
    /// What decides about the frequency of each CPU, each name once.
    pub governors: Vec<String>,
    /// Whether CPUs may run faster than their nominal frequency while it is cool.
    pub boost: Option<bool>,
    /// Where the kernel reads the time.
    pub clock_source: Option<String>,
    /// CPUs that tailmark's control group may keep busy; none where it may keep all of them.
    pub cpu_quota: Option<f64>,
    /// Whether the kernel gives memory in huge pages by itself: `always`, `madvise` or `never`.
    pub huge_pages: Option<String>,
    /// Memory that can be had without swapping, in bytes.
    pub available_bytes: Option<u64>,
    /// Processes that ran or wanted to, on average over the last minute.
    pub load_average: Option<f64>,
}

/// What went on while nothing was done for a second or so.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Quiet {
    /// For how long, in nanoseconds.
    pub lasted_ns: u64,
    /// The share of CPU time that the hypervisor took away, 0 to 1.
    pub steal: Option<f64>,
    /// For how long tailmark's own control group was throttled, in nanoseconds.
    pub throttled_ns: Option<u64>,
    /// CPUs that others kept busy.
    pub others: Option<f64>,
}

/// How late the timer woke that arrivals are paced by, in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wakes {
    /// How many there were.
    pub count: u64,
    /// The median.
    pub p50_ns: u64,
    /// The 99th percentile.
    pub p99_ns: u64,
    /// The latest.
    pub max_ns: u64,
}

/// Something that a measurement may need.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Supply {
    /// Where it is, or what it calls itself.
    Found(String),
    /// It is not there.
    Missing {
        /// What was looked for, and what came of that.
        why: String,
        /// The next step.
        remedy: String,
    },
}

/// What is known of a subject, and what follows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What it is about, in a word.
    pub subject: &'static str,
    /// Whether it matters.
    pub status: Status,
    /// What was seen.
    pub observed: String,
    /// What it costs a measurement; none where that is nothing.
    pub cost: Option<String>,
    /// What mends it.
    pub remedy: Option<String>,
}

/// Whether a finding matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Status {
    /// It costs nothing.
    Fine,
    /// The machine does not tell.
    NotTold,
    /// Measurements can be made, and lose by it.
    Costs,
    /// Measurements are refused, or not valid.
    Prevents,
}

/// A machine that was looked at.
#[derive(Debug, Clone, PartialEq)]
pub struct Diagnosis {
    /// What was found out.
    pub facts: Facts,
    /// What follows from it, in an order that is always the same.
    pub findings: Vec<Finding>,
}

impl Status {
    /// Every status, from the best to the worst.
    pub const ALL: [Self; 4] = [Self::Fine, Self::NotTold, Self::Costs, Self::Prevents];

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Fine => "fine",
            Self::NotTold => "not told",
            Self::Costs => "costs",
            Self::Prevents => "prevents",
        }
    }
}

impl Diagnosis {
    /// What follows from `facts`.
    #[must_use]
    pub fn of(facts: Facts) -> Self {
        Self {
            findings: findings::all(&facts),
            facts,
        }
    }

    /// How many findings are of `status`.
    #[must_use]
    pub fn count(&self, status: Status) -> usize {
        let findings = self.findings.iter();
        findings.filter(|finding| finding.status == status).count()
    }

    /// Whether measurements can be made.
    #[must_use]
    pub fn can_measure(&self) -> bool {
        self.count(Status::Prevents) == 0
    }
}

#[cfg(test)]
pub(crate) mod fixtures;
#[cfg(test)]
mod tests;
