//! A container whose processes cannot be seen from here, by what its engine says of it.
//!
//! That comes about once a second, so what happens between two readings is not seen: memory's peak is the largest reading, and
//! CPU time at the moment where a measured span begins or ends lies on the line between the readings before and after it.

use std::pin::pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use tokio::sync::Notify;

use super::ProbeError;
use super::gauge::Gauge;
use crate::docker::{Limits, Reading, Running};
use crate::run_record::resources::{Container, Memory, Resources};

/// What records call the place that the figures come from.
const SOURCE: &str = "docker-stats";

/// How long the first reading may take: an engine begins to read when it is first asked, and a busy one is late.
const FIRST_WITHIN: Duration = Duration::from_secs(10);

/// How long one more is awaited at the end: a few times what it should take.
const LAST_WITHIN: Duration = Duration::from_secs(5);

/// The pause before an engine is asked again that has stopped telling.
const ASK_AGAIN: Duration = Duration::from_millis(500);

/// A thread that listens to an engine. Dropping it ends it.
#[derive(Debug)]
pub(super) struct Remote {
    shared: Arc<Shared>,
    stop: Arc<Notify>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    seen: Mutex<Seen>,
    /// Rung at each reading and each failure.
    heard: Condvar,
}

/// Everything that was heard of a container.
#[derive(Debug)]
struct Seen {
    began: Instant,
    limits: Limits,
    working_set: Gauge,
    page_cache: Gauge,
    latest: Option<(Duration, Reading)>,
    /// The latest of a container that runs.
    alive: Option<(Duration, Reading)>,
    first: Option<Duration>,
    readings: u32,
    tasks: Option<u64>,
    /// Where measured spans begin and end, in turn.
    edges: Vec<Edge>,
    failure: Option<String>,
}

/// A moment between two readings.
#[derive(Debug, Clone, Copy)]
struct Edge {
    at: Duration,
    before: Option<(Duration, Reading)>,
    after: Option<(Duration, Reading)>,
}

impl Remote {
    /// Listens to the engine of `container`, and waits until that has told something.
    ///
    /// # Errors
    /// When it tells nothing, or nothing of memory.
    pub(super) fn watch(container: &Running) -> Result<Self, ProbeError> {
        let shared = Arc::new(Shared {
            seen: Mutex::new(Seen::new(container.limits())),
            heard: Condvar::new(),
        });
        let stop = Arc::new(Notify::new());
        let (listener, told, stopped) = (container.clone(), Arc::clone(&shared), Arc::clone(&stop));
        let thread = std::thread::Builder::new()
            .name("probe".to_owned())
            .spawn(move || told.listen(&listener, &stopped))
            .map_err(ProbeError::Thread)?;
        let remote = Self {
            shared,
            stop,
            thread: Some(thread),
        };
        let seen = remote.shared.until(FIRST_WITHIN, |seen| {
            seen.latest.is_some() || seen.failure.is_some()
        });
        let says = seen.latest.and_then(|(_, reading)| reading.working_set);
        let failure = seen.failure.clone();
        drop(seen);
        match says {
            Some(_) => Ok(remote),
            None => Err(ProbeError::Untold {
                container: container.name().to_owned(),
                why: failure.unwrap_or_else(|| "nothing of its memory".to_owned()),
            }),
        }
    }

    pub(super) fn idle(&self) {
        let mut seen = self.shared.lock();
        seen.gauges().for_each(Gauge::note_idle);
    }

    pub(super) fn measure_from(&self) {
        self.shared.lock().edge(Instant::now(), false);
    }

    pub(super) fn measure_to(&self) {
        self.shared.lock().edge(Instant::now(), true);
    }

    /// The newest working set, and CPU time since the container began.
    pub(super) fn latest(&self) -> (Option<u64>, Option<u64>) {
        let seen = self.shared.lock();
        let reading = seen.latest.map(|(_, reading)| reading);
        let reading = reading.unwrap_or_default();
        (reading.working_set, reading.cpu_ns)
    }

    /// Waits for one more reading, takes it as that after the load, and ends.
    pub(super) fn finish(mut self) -> Resources {
        self.measure_to();
        let heard = self.shared.lock().readings;
        let seen = self.shared.until(LAST_WITHIN, |seen| {
            seen.readings > heard || seen.failure.is_some()
        });
        drop(seen);
        self.end();
        let mut seen = self.shared.lock();
        seen.gauges().for_each(Gauge::note_after);
        seen.resources()
    }

    fn end(&mut self) {
        self.stop.notify_one();
        if let Some(thread) = self.thread.take() {
            // If it panicked, what was heard is still there.
            let _ = thread.join();
        }
    }
}

impl Drop for Remote {
    fn drop(&mut self) {
        self.end();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until `there` is true of what was heard, or the time is up.
    fn until(&self, within: Duration, there: impl Fn(&Seen) -> bool) -> MutexGuard<'_, Seen> {
        let seen = self.lock();
        let waited = self
            .heard
            .wait_timeout_while(seen, within, |seen| !there(seen));
        waited.unwrap_or_else(PoisonError::into_inner).0
    }

    fn tell(&self, what: impl FnOnce(&mut Seen)) {
        what(&mut self.lock());
        self.heard.notify_all();
    }

    /// Listens until `stop`.
    fn listen(&self, container: &Running, stop: &Notify) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        match runtime {
            Ok(runtime) => runtime.block_on(async {
                tokio::select! {
                    () = stop.notified() => {}
                    () = self.follow(container) => {}
                }
            }),
            Err(error) => self.tell(|seen| seen.failure = Some(error.to_string())),
        }
    }

    async fn follow(&self, container: &Running) {
        loop {
            let mut readings = pin!(container.readings());
            let failure = loop {
                match readings.next().await {
                    Some(Ok(reading)) => self.tell(|seen| seen.take(Instant::now(), reading)),
                    Some(Err(failure)) => break failure,
                    None => break "nothing more".to_owned(),
                }
            };
            self.tell(|seen| seen.lose(Instant::now(), failure));
            tokio::time::sleep(ASK_AGAIN).await;
        }
    }
}

impl Seen {
    fn new(limits: Limits) -> Self {
        Self {
            began: Instant::now(),
            limits,
            working_set: Gauge::default(),
            page_cache: Gauge::default(),
            latest: None,
            alive: None,
            first: None,
            readings: 0,
            tasks: None,
            edges: Vec::new(),
            failure: None,
        }
    }

    fn gauges(&mut self) -> impl Iterator<Item = &mut Gauge> {
        [&mut self.working_set, &mut self.page_cache].into_iter()
    }

    /// Whether a measured span is open.
    fn is_measured(&self) -> bool {
        self.edges.len() % 2 == 1
    }

    fn take(&mut self, now: Instant, reading: Reading) {
        let (at, measured) = (now - self.began, self.is_measured());
        self.working_set
            .push(now, at, reading.working_set, measured);
        self.page_cache.push(now, at, reading.page_cache, measured);
        if reading.working_set.is_some() {
            for edge in self.edges.iter_mut().filter(|edge| edge.after.is_none()) {
                edge.after = Some((at, reading));
            }
            self.alive = Some((at, reading));
            self.tasks = self.tasks.max(reading.tasks);
        }
        self.latest = Some((at, reading));
        self.first.get_or_insert(at);
        self.readings += 1;
        self.failure = None;
    }

    /// The engine tells nothing more.
    fn lose(&mut self, now: Instant, failure: String) {
        let at = now - self.began;
        self.working_set.push(now, at, None, false);
        self.page_cache.push(now, at, None, false);
        self.failure = Some(failure);
    }

    /// Begins a measured span, or `ends` the open one.
    fn edge(&mut self, now: Instant, ends: bool) {
        if self.is_measured() != ends {
            return;
        }
        self.edges.push(Edge {
            at: now - self.began,
            before: self.alive,
            after: None,
        });
        if ends {
            self.gauges().for_each(Gauge::forget_recent);
        }
    }

    /// How much a counter grew over the measured spans.
    fn grown(&self, counter: impl Fn(&Reading) -> Option<u64>) -> Option<u64> {
        let spans = self.edges.chunks_exact(2);
        let grown = spans.filter_map(|span| {
            let (from, to) = (span[0].value(&counter)?, span[1].value(&counter)?);
            Some(to.saturating_sub(from))
        });
        grown.reduce(|sum, grown| sum + grown)
    }

    /// Readings per second, as they came.
    fn hz(&self) -> f64 {
        let (Some(first), Some((last, _))) = (self.first, self.latest) else {
            return 0.0;
        };
        let span = (last - first).as_secs_f64();
        let gaps = f64::from(self.readings.saturating_sub(1));
        if span == 0.0 {
            return 0.0;
        }
        (gaps / span * 100.0).round() / 100.0
    }

    fn resources(&self) -> Resources {
        let hz = self.hz();
        let series = |gauge: &Gauge| {
            let source = format!(
                "{SOURCE}, coarse: what is between two readings is not seen; peak as sampled"
            );
            gauge.series(source, hz, None, None)
        };
        Resources {
            memory: Memory {
                working_set: Some(series(&self.working_set)),
                rss: None,
                pss: None,
                page_cache: Some(series(&self.page_cache)),
            },
            cpu_ns: self.grown(|reading| reading.cpu_ns),
            startup_ns: None,
            timeline: Vec::new(),
            container: Some(Container {
                source: SOURCE.to_owned(),
                hz,
                memory_limit_bytes: self.limits.memory,
                cpu_limit: self.limits.cpus,
                tasks_peak: self.tasks,
                throttled_ns: self.grown(|reading| reading.throttled_ns),
                throttled_periods: self.grown(|reading| reading.throttled_periods),
                oom_kills: None,
            }),
        }
    }
}

impl Edge {
    /// What a counter was at that moment; as near as can be said where there is a reading on one side alone.
    fn value(&self, counter: impl Fn(&Reading) -> Option<u64>) -> Option<u64> {
        let read = |(at, reading): (Duration, Reading)| Some((at, counter(&reading)?));
        let (before, after) = (self.before.and_then(read), self.after.and_then(read));
        let (Some((from, low)), Some((to, high))) = (before, after) else {
            return before.or(after).map(|(_, value)| value);
        };
        let share = (self.at - from).as_secs_f64() / (to - from).as_secs_f64();
        Some(low + (high.saturating_sub(low) as f64 * share.clamp(0.0, 1.0)) as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn reading(mib: u64, cpu_ms: u64) -> Reading {
        Reading {
            working_set: Some(mib * MIB),
            page_cache: Some(MIB),
            cpu_ns: Some(cpu_ms * 1_000_000),
            throttled_ns: Some(0),
            throttled_periods: None,
            tasks: Some(mib),
        }
    }

    /// What was heard of readings and edges, each at so many milliseconds.
    struct Heard(Seen);

    impl Heard {
        fn new() -> Self {
            Self(Seen::new(Limits::default()))
        }

        fn at(&self, ms: u64) -> Instant {
            self.0.began + Duration::from_millis(ms)
        }

        fn reading(mut self, ms: u64, reading: Reading) -> Self {
            let now = self.at(ms);
            self.0.take(now, reading);
            self
        }

        fn edge(mut self, ms: u64, ends: bool) -> Self {
            let now = self.at(ms);
            self.0.edge(now, ends);
            self
        }
    }

    #[test]
    fn cpu_time_lies_on_the_line_between_two_readings() {
        // A tenth of a CPU, then all of one: from 500 ms to 2,250 ms.
        let heard = Heard::new()
            .reading(0, reading(1, 0))
            .edge(500, false)
            .reading(1_000, reading(4, 100))
            .reading(2_000, reading(3, 1_100))
            .edge(2_250, true)
            .reading(3_000, reading(2, 2_100));
        let resources = heard.0.resources();
        assert_eq!(resources.cpu_ns, Some((50 + 1_000 + 250) * 1_000_000));
        let memory = resources.memory.working_set.unwrap();
        assert_eq!(
            (memory.peak_bytes, memory.samples, memory.hz),
            (Some(4 * MIB), 2, 1.0)
        );
        assert_eq!(memory.processes, None);
        let container = resources.container.unwrap();
        assert_eq!(
            (container.source.as_str(), container.tasks_peak),
            (SOURCE, Some(4))
        );
        assert_eq!(
            (container.throttled_ns, container.throttled_periods),
            (Some(0), None)
        );
    }

    #[test]
    fn spans_add_up_and_one_without_a_reading_is_on_one_line() {
        let heard = Heard::new()
            .reading(0, reading(1, 0))
            .edge(100, false)
            .edge(300, true)
            .edge(400, true)
            .edge(500, false)
            .edge(600, false)
            .edge(900, true)
            .reading(1_000, reading(1, 1_000));
        let resources = heard.0.resources();
        assert_eq!(resources.cpu_ns, Some(600 * 1_000_000));
        let memory = resources.memory.working_set.unwrap();
        assert_eq!(
            (memory.samples, memory.p50_bytes, memory.peak_bytes),
            (0, None, None)
        );
    }

    #[test]
    fn of_a_container_that_ends_the_last_that_was_heard_counts() {
        let mut heard = Heard::new()
            .reading(0, reading(1, 0))
            .edge(0, false)
            .reading(1_000, reading(8, 700))
            .reading(2_000, Reading::default())
            .edge(2_500, true);
        heard.0.gauges().for_each(Gauge::note_after);
        let resources = heard.0.resources();
        let memory = resources.memory.working_set.unwrap();
        assert_eq!(
            (memory.peak_bytes, memory.after_idle_bytes),
            (Some(8 * MIB), None)
        );
        assert_eq!(resources.cpu_ns, Some(700 * 1_000_000));
    }

    #[test]
    fn the_rate_is_that_at_which_readings_came() {
        let mut heard = Heard::new();
        assert_eq!(heard.0.hz(), 0.0);
        for number in 0..5 {
            heard = heard.reading(number * 1_250, reading(1, 0));
        }
        assert_eq!(heard.0.hz(), 0.8);
        let now = heard.at(6_000);
        heard.0.lose(now, "gone".to_owned());
        assert_eq!(heard.0.working_set.latest, None);
    }
}
