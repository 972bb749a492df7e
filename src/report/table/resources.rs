//! What the target used.

use super::listed;
use crate::report::figures::{UNKNOWN, span};
use crate::report::layout::Page;
use crate::run_record::RunRecord;
use crate::run_record::resources::{Container, Memory, MemorySeries};
use crate::units::{mib, thousands, three_digits};

pub(in crate::report) fn lines(record: &RunRecord, page: &mut Page) {
    let resources = &record.resources;
    let memory = in_use(&resources.memory);
    let facts = listed([
        memory.map(|(kind, series)| memory_line(kind, series)),
        record.cpu_per_1k_ns().map(|ns| {
            format!(
                "CPU {} ms per 1,000 requests",
                three_digits(ns as f64 / 1e6)
            )
        }),
        resources
            .startup_ns
            .map(|ns| format!("ready after {}", span(ns))),
    ]);
    if !facts.is_empty() {
        let source = memory.map(|(_, series)| format!("{}, {} Hz", series.source, series.hz));
        page.labelled("target", &[&facts, &source.unwrap_or_default()]);
    }
    if let Some(container) = &resources.container {
        let facts = container_line(container, &resources.memory);
        if !facts.is_empty() {
            page.labelled("container", &[&facts]);
        }
    }
    if let Some((_, series)) = memory
        && let (Some(slope), Some(interval)) =
            (series.slope_bytes_per_s, series.slope_ci_bytes_per_s)
    {
        page.labelled("growth", &[&growth_line(slope, interval)]);
    }
    let killed = |container: &Container| container.oom_kills.filter(|&kills| kills > 0);
    if let Some(container) = &resources.container
        && let Some(kills) = killed(container)
    {
        page.verdict("OOM KILL", &[&killed_line(kills, container)]);
    }
}

/// What is meant by memory: a container's working set, and the resident set of processes.
fn in_use(memory: &Memory) -> Option<(&'static str, &MemorySeries)> {
    [("working set", &memory.working_set), ("RSS", &memory.rss)]
        .into_iter()
        .find_map(|(kind, series)| Some((kind, series.as_ref()?)))
}

fn memory_line(kind: &str, series: &MemorySeries) -> String {
    format!(
        "memory ({kind}) {} idle → {} MiB peak",
        figure(series.idle_bytes),
        figure(series.peak_bytes)
    )
}

fn container_line(container: &Container, memory: &Memory) -> String {
    let cpus = container.cpu_limit.map(|cpus| {
        let unit = if cpus == 1.0 { "CPU" } else { "CPUs" };
        format!("{cpus} {unit}")
    });
    let limits = listed([
        container
            .memory_limit_bytes
            .map(|bytes| format!("{} MiB", mib(bytes))),
        cpus,
    ]);
    let rss = memory.rss.as_ref();
    let page_cache = memory.page_cache.as_ref();
    let throttled = container.throttled_ns.filter(|&ns| ns > 0).map(|ns| {
        let periods = container.throttled_periods.unwrap_or(0);
        format!("throttled {} in {} periods", span(ns), thousands(periods))
    });
    listed([
        (!limits.is_empty()).then(|| format!("limits {limits}")),
        rss.map(|rss| format!("RSS {} MiB peak", figure(rss.peak_bytes))),
        page_cache.map(|cache| format!("page cache {} MiB peak", figure(cache.peak_bytes))),
        container
            .tasks_peak
            .map(|tasks| format!("up to {} tasks", thousands(tasks))),
        throttled,
    ])
}

/// Growth, and whether it can be told from chance.
fn growth_line(slope: f64, interval: [f64; 2]) -> String {
    const MIB: f64 = 1_048_576.0;
    const MINUTE: f64 = 60.0;
    let [low, high] = interval;
    let large = low.abs().max(high.abs()) * MINUTE >= MIB / 10.0;
    let (unit, bytes) = if large { ("MiB", MIB) } else { ("KiB", 1024.0) };
    let per_minute = |slope: f64| three_digits(slope * MINUTE / bytes);
    let figures = format!(
        "{} {unit}/min [{}, {}]",
        per_minute(slope),
        per_minute(low),
        per_minute(high)
    );
    let words = if low > 0.0 {
        "memory grew over the measured phases: a leak, or a cache that still fills"
    } else if high < 0.0 {
        "memory shrank over the measured phases"
    } else {
        "no growth of memory that could be told from chance"
    };
    format!("{figures}: {words}")
}

fn killed_line(kills: u64, container: &Container) -> String {
    let processes = match kills {
        1 => "a process of the container".to_owned(),
        several => format!("{} processes of the container", thousands(several)),
    };
    let why = match container.memory_limit_bytes {
        Some(bytes) => format!("its limit is {} MiB", mib(bytes)),
        None => "the machine had none left, for the container has no limit".to_owned(),
    };
    format!("the kernel killed {processes} for want of memory: {why}")
}

fn figure(bytes: Option<u64>) -> String {
    bytes.map_or(UNKNOWN.to_owned(), mib)
}
