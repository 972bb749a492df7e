//! Load as it is offered, second by second.

use std::collections::VecDeque;
use std::time::Duration;

use crate::event::{Event, PhaseAhead, Standing};
use crate::exchange::Outcomes;
use crate::histogram::Histogram;
use crate::ledger::{Bound, Distribution};
use crate::stats::fewest;
use crate::units::{Quantile, nanoseconds};
use crate::windows::{Coarse, Part};

/// Seconds that are looked at together at most, where one has too few exchanges for a p99.
pub(in crate::progress) const MOST_SECONDS: usize = 10;

/// Seconds of which the line of p99s is made at most: more than a terminal has columns.
const MOST_IN_TRAIL: usize = 240;

/// Nanoseconds without a word of any worker from which on they have nothing to do.
const SILENCE: u64 = 2_500_000_000;

/// A shorter span is no second: what a worker tells at its end may follow what it told before at once.
const SHORTEST: u64 = 500_000_000;

/// Load that is offered, or was.
#[derive(Debug)]
pub(in crate::progress) struct Load {
    pub(in crate::progress) target: String,
    pub(in crate::progress) timeout: Duration,
    begun: Duration,
    phases: Vec<PhaseAhead>,
    /// What came of each phase.
    counted: Vec<Counted>,
    workers: Vec<Worker>,
    /// What has come since the last second was complete.
    coming: Times,
    /// The last seconds of the phase, the newest last.
    seconds: VecDeque<Times>,
    /// The phase of these; what comes of an earlier one is only counted.
    current: usize,
    /// The phase so far.
    so_far: Times,
    /// What was found of the last seconds, and of the phase.
    pub(in crate::progress) last: Figures,
    pub(in crate::progress) phase: Figures,
    /// The p99 and the longest of the last seconds, second by second.
    pub(in crate::progress) trail: VecDeque<[Option<Bound>; 2]>,
    /// Walks answered per second, when the workers last told.
    achieved: Option<f64>,
    /// What the target uses; none before it was looked at.
    pub(in crate::progress) usage: Option<Usage>,
}

/// How a phase's exchanges ended.
#[derive(Debug, Clone, Default)]
struct Counted {
    outcomes: Outcomes,
    statuses: Vec<(u16, u64)>,
}

/// What a worker said when a second was complete, and says now.
#[derive(Debug, Clone, Default)]
struct Worker {
    before: Standing,
    now: Standing,
    has_spoken: bool,
}

/// Times of exchanges.
#[derive(Debug, Clone, Default)]
struct Times {
    response: Distribution,
    lag: Coarse,
}

/// What is found of times.
#[derive(Debug, Clone, Default)]
pub(in crate::progress) struct Figures {
    /// Of how many seconds they are.
    pub(in crate::progress) seconds: usize,
    pub(in crate::progress) p50: Option<Bound>,
    pub(in crate::progress) p99: Option<Bound>,
    pub(in crate::progress) p99_9: Option<Bound>,
    pub(in crate::progress) max: Option<Bound>,
    /// In nanoseconds.
    pub(in crate::progress) lag_p99: Option<u64>,
}

/// What the target uses.
#[derive(Debug, Clone, Copy)]
pub(in crate::progress) struct Usage {
    at_ns: u64,
    cpu_ns: Option<u64>,
    pub(in crate::progress) memory_bytes: Option<u64>,
    /// CPU time per time: 1 is one core.
    pub(in crate::progress) cpu: Option<f64>,
}

/// Where load is at some moment.
#[derive(Debug, Clone, Copy)]
pub(in crate::progress) struct Place<'a> {
    /// The phase; none when all of them are over, and what is in flight is let end.
    pub(in crate::progress) phase: Option<&'a PhaseAhead>,
    /// Its number, from 1.
    pub(in crate::progress) number: usize,
    /// How many phases there are.
    pub(in crate::progress) phases: usize,
    /// Nanoseconds that it has lasted.
    pub(in crate::progress) gone_ns: u64,
    /// Nanoseconds from the beginning of all.
    pub(in crate::progress) all_gone_ns: u64,
    /// Nanoseconds that all takes.
    pub(in crate::progress) all_ns: u64,
}

impl Load {
    pub(super) fn new(
        target: &str,
        phases: &[PhaseAhead],
        workers: usize,
        timeout: Duration,
        now: Duration,
    ) -> Self {
        Self {
            target: target.to_owned(),
            timeout,
            begun: now,
            counted: vec![Counted::default(); phases.len()],
            phases: phases.to_vec(),
            workers: vec![Worker::default(); workers],
            coming: Times::default(),
            seconds: VecDeque::new(),
            current: 0,
            so_far: Times::default(),
            last: Figures::default(),
            phase: Figures::default(),
            trail: VecDeque::new(),
            achieved: None,
            usage: None,
        }
    }

    pub(super) fn tell(&mut self, event: &Event<'_>) {
        match *event {
            Event::Window(part) => self.take(part),
            Event::Standing(standing) => self.hear(*standing),
            Event::Target {
                at_ns,
                memory_bytes,
                cpu_ns,
            } => {
                let usage = Usage {
                    at_ns,
                    cpu_ns,
                    memory_bytes,
                    cpu: None,
                };
                self.usage = Some(match self.usage {
                    Some(before) => usage.after(before),
                    None => usage,
                });
            }
            _ => {}
        }
    }

    /// Where it is.
    pub(in crate::progress) fn place(&self, now: Duration) -> Place<'_> {
        let all_gone_ns = nanoseconds(now.saturating_sub(self.begun));
        let mut end = 0;
        let found = self.phases.iter().enumerate().find(|(_, phase)| {
            end += phase.length_ns;
            all_gone_ns < end
        });
        Place {
            phase: found.map(|(_, phase)| phase),
            number: found.map_or(self.phases.len(), |(index, _)| index + 1),
            phases: self.phases.len(),
            gone_ns: found.map_or(0, |(_, phase)| all_gone_ns + phase.length_ns - end),
            all_gone_ns,
            all_ns: self.phases.iter().map(|phase| phase.length_ns).sum(),
        }
    }

    /// How the exchanges of the measured phases ended, or those of the warm-up while nothing was measured, with the
    /// statuses that were not the expected ones.
    pub(in crate::progress) fn ended(&self) -> (Outcomes, Vec<(u16, u64)>) {
        let counted = || self.phases.iter().zip(&self.counted);
        let is_measured =
            |(phase, counted): &(&PhaseAhead, &Counted)| !phase.warmup && !counted.is_empty();
        let measured = counted().any(|each| is_measured(&each));
        let mut all = Counted::default();
        counted()
            .filter(|each| !measured || is_measured(each))
            .for_each(|(_, counted)| all.add(&counted.outcomes, &counted.statuses));
        all.statuses.sort_unstable();
        (all.outcomes, all.statuses)
    }

    /// Exchanges in progress, and exchanges that wait for a connection, when the workers last told.
    pub(in crate::progress) fn open(&self) -> [u64; 2] {
        let sum =
            |of: fn(&Standing) -> u64| self.workers.iter().map(|worker| of(&worker.now)).sum();
        [sum(|now| now.in_flight), sum(|now| now.waiting)]
    }

    /// Walks answered per second of late. Workers that have nothing to do tell nothing.
    pub(in crate::progress) fn achieved(&self, now: Duration) -> Option<f64> {
        let told = self.workers.iter().map(|worker| worker.now.at_ns).max();
        let gone = nanoseconds(now.saturating_sub(self.begun));
        match gone.saturating_sub(told.unwrap_or(0)) {
            SILENCE.. => Some(0.0),
            _ => self.achieved,
        }
    }

    fn take(&mut self, part: &Part) {
        if let Some(counted) = self.counted.get_mut(part.phase) {
            counted.add(&part.outcomes, &part.statuses);
        }
        if part.phase > self.current {
            self.current = part.phase;
            (self.coming, self.so_far) = (Times::default(), Times::default());
            self.seconds.clear();
        }
        if part.phase == self.current {
            self.coming.add(part);
        }
    }

    /// A second is complete when every worker has spoken, or one speaks again.
    fn hear(&mut self, standing: Standing) {
        let speaks_again = |worker: &Worker| worker.has_spoken;
        if self.workers.get(standing.worker).is_some_and(speaks_again) {
            self.complete();
        }
        let Some(worker) = self.workers.get_mut(standing.worker) else {
            return;
        };
        (worker.now, worker.has_spoken) = (standing, true);
        if self.workers.iter().all(speaks_again) {
            self.complete();
        }
    }

    /// Takes stock of what has come since the last time, unless that is hardly anything.
    fn complete(&mut self) {
        if self.workers.iter().all(|worker| worker.span() < SHORTEST) {
            return;
        }
        let mut achieved = None;
        for worker in &mut self.workers {
            if let Some(rate) = worker.answered_per_second() {
                achieved = Some(achieved.unwrap_or(0.0) + rate);
            }
            (worker.before, worker.has_spoken) = (worker.now, false);
        }
        self.achieved = achieved.or(self.achieved);
        let mut second = std::mem::take(&mut self.coming);
        second.pack();
        self.so_far.merge(&second);
        self.so_far.pack();
        self.phase = self.so_far.figures(0);
        self.seconds.push_back(second);
        if self.seconds.len() > MOST_SECONDS {
            self.seconds.pop_front();
        }
        self.last = self.of_last_seconds();
        if self.trail.len() == MOST_IN_TRAIL {
            self.trail.pop_front();
        }
        self.trail.push_back([self.last.p99, self.last.max]);
    }

    /// Of the last second, or of as many as have enough exchanges for a p99.
    fn of_last_seconds(&self) -> Figures {
        let mut together = Times::default();
        let mut seconds = 0;
        for second in self.seconds.iter().rev() {
            together.merge(second);
            seconds += 1;
            if together.response.count() >= fewest(Quantile::P99) {
                break;
            }
        }
        together.figures(seconds)
    }
}

impl Counted {
    fn is_empty(&self) -> bool {
        self.outcomes.total() == 0
    }

    fn add(&mut self, outcomes: &Outcomes, statuses: &[(u16, u64)]) {
        self.outcomes.merge(outcomes);
        for &(status, count) in statuses {
            match self.statuses.iter_mut().find(|(own, _)| *own == status) {
                Some((_, counted)) => *counted += count,
                None => self.statuses.push((status, count)),
            }
        }
    }
}

impl Worker {
    /// Nanoseconds from when the last second was complete to when it spoke last.
    fn span(&self) -> u64 {
        self.now.at_ns.saturating_sub(self.before.at_ns)
    }

    /// Of that time; none where it has not spoken in it.
    fn answered_per_second(&self) -> Option<f64> {
        let answered = self.now.answered.saturating_sub(self.before.answered);
        let span = Some(self.span()).filter(|span| *span > 0);
        span.map(|span| answered as f64 * 1e9 / span as f64)
    }
}

impl Times {
    fn add(&mut self, part: &Part) {
        self.response.ok.merge(&part.ok);
        // A part does not tell lower bounds from failures at a moment that is known: with one of the former among them, all
        // are taken for such.
        let mut outcomes = part.outcomes.iter();
        let has_bounds = outcomes.any(|(outcome, count)| count > 0 && outcome.is_censored());
        let failed = match has_bounds {
            true => &mut self.response.censored,
            false => &mut self.response.failed,
        };
        failed.merge(&part.failed);
        self.lag.merge(&part.lag);
    }

    fn merge(&mut self, other: &Self) {
        let Distribution {
            ok,
            failed,
            censored,
        } = &other.response;
        self.response.ok.merge(ok);
        self.response.failed.merge(failed);
        self.response.censored.merge(censored);
        self.lag.merge(&other.lag);
    }

    fn pack(&mut self) {
        let Distribution {
            ok,
            failed,
            censored,
        } = &mut self.response;
        [ok, failed, censored].into_iter().for_each(Histogram::pack);
    }

    fn figures(&self, seconds: usize) -> Figures {
        let count = self.response.count();
        let supported = |quantile| {
            let bound = self.response.quantile(quantile);
            bound.filter(|_| count >= fewest(quantile))
        };
        let lag = self.lag.quantile(Quantile::P99);
        Figures {
            seconds,
            p50: supported(Quantile::P50),
            p99: supported(Quantile::P99),
            p99_9: supported(Quantile::P99_9),
            max: self.response.max(),
            lag_p99: lag.filter(|_| count >= fewest(Quantile::P99)),
        }
    }
}

impl Usage {
    /// The same with the CPU time since `before`.
    fn after(self, before: Self) -> Self {
        let grown = self
            .cpu_ns
            .zip(before.cpu_ns)
            .and_then(|(now, before)| now.checked_sub(before));
        let span = self.at_ns.saturating_sub(before.at_ns);
        let share = grown.filter(|_| span > 0);
        Self {
            cpu: share.map(|grown| grown as f64 / span as f64),
            ..self
        }
    }
}
