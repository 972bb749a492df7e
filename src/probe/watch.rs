//! Everything that was seen of a target so far.

use std::time::{Duration, Instant};

use super::cgroup::{self, Counters, Group, Limits};
use super::gauge::Gauge;
use super::process::{Cpu, Tree};
use crate::run_record::resources::{Container, Memory, Pss, Resources};

/// How often new processes of the target are looked for: a service that forks does so at its start, and the look costs as
/// much as many readings.
pub(super) const REFRESH_EVERY: Duration = Duration::from_secs(1);

/// A target's memory and CPU, as read from time to time.
#[derive(Debug)]
pub(super) struct Watch {
    tree: Tree,
    container: Option<InContainer>,
    hz: u32,
    pub(super) began: Instant,
    refreshed: Instant,
    pub(super) finished: bool,
    pub(super) rss: Gauge,
    pub(super) cpu: Option<Cpu>,
    pub(super) processes: u32,
    peak: Peak,
    /// CPU time at the beginning of the open measured span.
    span: Option<Option<Cpu>>,
    cpu_ns: Option<u64>,
    idle_pss: Option<u64>,
    after_pss: Option<u64>,
}

/// What a container's control group adds to its processes.
#[derive(Debug)]
struct InContainer {
    group: Group,
    limits: Limits,
    working_set: Gauge,
    page_cache: Gauge,
    peak: Peak,
    /// The least page cache that a working set leaves out, in the open measured span.
    least_inactive: Option<u64>,
    /// The counters at the beginning of the open measured span.
    span: Option<Counters>,
    cpu_ns: Option<u64>,
    throttled_ns: Option<u64>,
    throttled_periods: Option<u64>,
    tasks: Option<u64>,
    /// Kills before the watch, and all of them.
    oom_kills: (Option<u64>, Option<u64>),
}

/// The kernel's peak, and how far it can be trusted.
#[derive(Debug, Clone, Copy, Default)]
struct Peak {
    bytes: Option<u64>,
    /// It also covers the time before the measured span, since it could not be reset.
    since_start: bool,
    /// There were several processes at some time, or it could not be read.
    unknown: bool,
}

impl Watch {
    pub(super) fn over(tree: Tree, group: Option<Group>, hz: u32) -> Watch {
        let now = Instant::now();
        Watch {
            processes: tree.len(),
            cpu: tree.cpu_coarse(),
            tree,
            container: group.map(InContainer::new),
            hz,
            began: now,
            refreshed: now,
            finished: false,
            rss: Gauge::default(),
            peak: Peak::default(),
            span: None,
            cpu_ns: None,
            idle_pss: None,
            after_pss: None,
        }
    }

    /// Takes one reading; false when no process lives.
    pub(super) fn read(&mut self) -> bool {
        let now = Instant::now();
        if now - self.refreshed >= REFRESH_EVERY {
            self.refresh(now);
        }
        let (at, measured) = (now - self.began, self.span.is_some());
        if let Some(container) = &mut self.container {
            container.read(now, at, measured);
        }
        self.rss.push(now, at, self.tree.rss(), measured);
        self.rss.latest.is_some()
    }

    fn refresh(&mut self, now: Instant) {
        self.refreshed = now;
        if let Some(container) = &mut self.container {
            // One that was started in the container from outside has its parent elsewhere.
            self.tree.admit(container.group.processes());
            container.refresh();
        }
        self.tree.refresh();
        self.processes = self.processes.max(self.tree.len());
        // After the end of the last process its time so far stays.
        self.cpu = self.tree.cpu_coarse().or(self.cpu.take());
        if self.span.is_some() {
            self.note_peak();
        }
    }

    /// Takes the figures before the load.
    pub(super) fn note_idle(&mut self) {
        self.idle_pss = self.rest();
        self.gauges().for_each(Gauge::note_idle);
    }

    /// Takes the figures after the load.
    pub(super) fn note_after(&mut self) {
        self.after_pss = self.rest();
        self.gauges().for_each(Gauge::note_after);
    }

    /// A last reading, and the proportional set.
    fn rest(&mut self) -> Option<u64> {
        self.refresh(Instant::now());
        let alive = self.read();
        self.tree.pss().filter(|_| alive)
    }

    fn gauges(&mut self) -> impl Iterator<Item = &mut Gauge> {
        let container = self.container.as_mut();
        let inside = container.map(|inside| [&mut inside.working_set, &mut inside.page_cache]);
        std::iter::once(&mut self.rss).chain(inside.into_iter().flatten())
    }

    pub(super) fn measure_from(&mut self) {
        if self.span.is_some() {
            return;
        }
        self.refresh(Instant::now());
        if !self.tree.reset_kernel_peak() {
            self.peak.since_start = true;
        }
        if let Some(container) = &mut self.container {
            container.measure_from();
        }
        self.span = Some(self.tree.cpu());
        self.read();
    }

    pub(super) fn measure_to(&mut self) {
        if self.span.is_none() {
            return;
        }
        self.read();
        self.refresh(Instant::now());
        if let Some(container) = &mut self.container {
            container.measure_to();
        }
        // Where all processes are gone, the last that was seen of their time is what there is.
        let (from, to) = (
            self.span.take().flatten(),
            self.tree.cpu().or_else(|| self.cpu.clone()),
        );
        if let (Some(from), Some(to)) = (from, to) {
            self.cpu_ns = Some(self.cpu_ns.unwrap_or(0) + to.since(&from));
        }
        self.gauges().for_each(Gauge::forget_recent);
    }

    fn note_peak(&mut self) {
        match self.tree.kernel_peak() {
            Some(bytes) if self.processes == 1 => {
                self.peak.bytes = self.peak.bytes.max(Some(bytes));
            }
            _ => self.peak.unknown = true,
        }
    }

    pub(super) fn resources(&self) -> Resources {
        let several = match self.processes {
            1 => "one process".to_owned(),
            several => format!("{several} processes, shared pages counted in each"),
        };
        let source = format!(
            "/proc statm of {several}; {}",
            self.peak.words("VmHWM", "process")
        );
        let (hz, processes) = (f64::from(self.hz), Some(self.processes));
        let rss = self.rss.series(source, hz, processes, self.peak.known());
        let pss = Pss {
            idle_bytes: self.idle_pss,
            after_idle_bytes: self.after_pss,
        };
        let inside = self.container.as_ref();
        let series =
            |gauge: &Gauge, source: String, peak| gauge.series(source, hz, processes, peak);
        let memory = Memory {
            working_set: inside.map(|inside| {
                let peak = inside.peak.words(inside.group.peak_file(), "container");
                let source = format!("{}; {peak}", inside.group.source());
                series(&inside.working_set, source, inside.peak.known())
            }),
            rss: Some(rss),
            pss: (pss != Pss::default()).then_some(pss),
            page_cache: inside.map(|inside| {
                let source = format!("{} memory.stat; peak as sampled", inside.group.source());
                series(&inside.page_cache, source, None)
            }),
        };
        Resources {
            memory,
            cpu_ns: match inside {
                Some(inside) => inside.cpu_ns.or(self.cpu_ns),
                None => self.cpu_ns,
            },
            startup_ns: None,
            container: inside.map(|inside| inside.facts(self.hz)),
            timeline: Vec::new(),
        }
    }
}

impl InContainer {
    fn new(group: Group) -> InContainer {
        let oom_kills = group.oom_kills();
        InContainer {
            limits: group.limits(),
            group,
            working_set: Gauge::default(),
            page_cache: Gauge::default(),
            peak: Peak::default(),
            least_inactive: None,
            span: None,
            cpu_ns: None,
            throttled_ns: None,
            throttled_periods: None,
            tasks: None,
            oom_kills: (oom_kills, oom_kills),
        }
    }

    fn read(&mut self, now: Instant, at: Duration, measured: bool) {
        let memory = self.group.memory();
        let working_set = memory.map(cgroup::Memory::working_set);
        self.working_set.push(now, at, working_set, measured);
        let page_cache = memory.map(|memory| memory.page_cache);
        self.page_cache.push(now, at, page_cache, measured);
        if let (Some(memory), true) = (memory, measured) {
            let least = self.least_inactive.unwrap_or(u64::MAX);
            self.least_inactive = Some(least.min(memory.inactive_file));
        }
        // Looked at each time: a container that dies of it takes its files away.
        self.oom_kills.1 = self.group.oom_kills().or(self.oom_kills.1);
    }

    fn refresh(&mut self) {
        let counters = self.group.counters();
        self.tasks = self.tasks.max(counters.tasks);
        if self.span.is_some() {
            self.note_peak();
        }
    }

    fn measure_from(&mut self) {
        if !self.group.reset_peak() {
            self.peak.since_start = true;
        }
        self.least_inactive = None;
        self.span = Some(self.group.counters());
    }

    fn measure_to(&mut self) {
        self.note_peak();
        let Some(from) = self.span.take() else { return };
        let to = self.group.counters();
        let add = |sum: &mut Option<u64>, from: Option<u64>, to: Option<u64>| {
            if let (Some(from), Some(to)) = (from, to) {
                *sum = Some(sum.unwrap_or(0) + to.saturating_sub(from));
            }
        };
        add(&mut self.cpu_ns, from.cpu_ns, to.cpu_ns);
        add(&mut self.throttled_ns, from.throttled_ns, to.throttled_ns);
        add(
            &mut self.throttled_periods,
            from.throttled_periods,
            to.throttled_periods,
        );
    }

    /// The kernel's peak is of all that is charged. Less the least page cache that working sets left out meanwhile, it is what
    /// the working set was at most.
    fn note_peak(&mut self) {
        // After the end of a container the last that was seen stays.
        if let (Some(charged), Some(inactive)) = (self.group.peak(), self.least_inactive) {
            let bytes = charged.saturating_sub(inactive);
            self.peak.bytes = self.peak.bytes.max(Some(bytes));
        }
    }

    fn facts(&self, hz: u32) -> Container {
        Container {
            source: self.group.source().to_owned(),
            hz: f64::from(hz),
            memory_limit_bytes: self.limits.memory,
            cpu_limit: self.limits.cpus,
            tasks_peak: self.tasks,
            throttled_ns: self.throttled_ns,
            throttled_periods: self.throttled_periods,
            oom_kills: match self.oom_kills {
                (Some(before), Some(now)) => Some(now.saturating_sub(before)),
                _ => None,
            },
        }
    }
}

impl Peak {
    fn known(self) -> Option<u64> {
        self.bytes.filter(|_| !self.unknown)
    }

    /// Where it comes from, and since when.
    fn words(self, file: &str, whole: &str) -> String {
        match self.known() {
            None => "peak as sampled".to_owned(),
            Some(_) if self.since_start => format!("peak from {file} since the {whole} began"),
            Some(_) => format!("peak from {file} since the measured phases began"),
        }
    }
}
