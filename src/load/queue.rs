//! What is due and waits for a connection: arrivals and later steps, taken in the order of their due moments.
//!
//! However far a target falls behind, this stays small: waiting arrivals are a cursor over the schedule, from which
//! their due moments are computed again when their turn comes; only the moments at which they were dispatched have
//! to be remembered, and these are kept together where there are too many.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use super::walks::WalkId;
use crate::scenario::Position;
use crate::schedule::{Arrival, Cursor};

/// Dispatch moments remembered one by one: 2 MiB, and 65 s of backlog at 1,000 wakes a second.
const MOST_MOMENTS: usize = 1 << 16;

/// Walks in progress from which on later steps go before new arrivals, so that an overloaded target cannot make a
/// worker remember ever more of them.
const MOST_WALKS: usize = 1 << 16;

/// An exchange that is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Job {
    /// When it was due.
    pub(super) due: u64,
    /// The arrival that started its walk.
    pub(super) arrival: u64,
    /// When that arrival was due.
    pub(super) arrival_due: u64,
    /// Its step within the flow.
    pub(super) at: Position,
    /// The phase of its due moment.
    pub(super) phase: usize,
    /// The phase of that arrival.
    pub(super) home: usize,
    /// The wake at which it was found due.
    pub(super) dispatched: u64,
    /// How long the walk has paused between its steps so far, in nanoseconds.
    pub(super) thought: u64,
    /// What the walk remembers.
    pub(super) walk: WalkId,
    /// New connections that were closed before anything of it could be written.
    pub(super) stillborn: u8,
}

impl Job {
    /// The first step of the walk that `arrival` starts.
    pub(super) fn first(arrival: Arrival, dispatched: u64) -> Self {
        Self {
            due: arrival.due,
            arrival: arrival.number,
            arrival_due: arrival.due,
            at: Position::START,
            phase: arrival.phase,
            home: arrival.phase,
            dispatched,
            thought: 0,
            walk: WalkId::default(),
            stillborn: 0,
        }
    }

    /// Whether it begins its walk.
    pub(super) fn is_first(&self) -> bool {
        self.at == Position::START
    }
}

/// The jobs of one worker.
#[derive(Debug)]
pub(super) struct Queue {
    /// The first waiting arrival and those after it.
    waiting: Cursor,
    moments: VecDeque<Moment>,
    arrivals: u64,
    later: BinaryHeap<Reverse<Job>>,
    /// Jobs that will be due.
    planned: BinaryHeap<Reverse<Job>>,
    /// Walks in progress that wait for a connection, and those that pause.
    walks: usize,
    pausing: usize,
    /// Whether arrivals have waited because there were too many of these.
    held: bool,
    coalesced: u64,
}

/// A wake, and how many of the waiting arrivals it found due.
#[derive(Debug)]
struct Moment {
    dispatched: u64,
    count: u64,
}

impl Queue {
    /// An empty queue of the arrivals that `cursor` walks.
    pub(super) fn new(cursor: Cursor) -> Self {
        Self {
            waiting: cursor,
            moments: VecDeque::new(),
            arrivals: 0,
            later: BinaryHeap::new(),
            planned: BinaryHeap::new(),
            walks: 0,
            pausing: 0,
            held: false,
            coalesced: 0,
        }
    }

    /// Adds the next `count` arrivals of the schedule, found due at `dispatched`.
    pub(super) fn push_arrivals(&mut self, count: u64, dispatched: u64) {
        self.arrivals += count;
        let full = self.moments.len() >= MOST_MOMENTS;
        match self.moments.back_mut().filter(|_| full) {
            // Kept with the wake before: its moment is the earlier one, so what is lost of the lag goes to the wait,
            // and their sum stays exact.
            Some(last) => {
                last.count += count;
                self.coalesced += count;
            }
            None => self.moments.push_back(Moment { dispatched, count }),
        }
    }

    /// Adds the next step of a walk in progress, or a job that has to go to another connection.
    pub(super) fn push(&mut self, job: Job) {
        self.walks += 1;
        self.later.push(Reverse(job));
    }

    /// Remembers a job that will be due.
    pub(super) fn plan(&mut self, job: Job) {
        self.pausing += usize::from(!job.is_first());
        self.planned.push(Reverse(job));
    }

    /// When the first of the remembered jobs will be due.
    pub(super) fn next_planned(&self) -> Option<u64> {
        self.planned.peek().map(|Reverse(job)| job.due)
    }

    /// Takes the first of the remembered jobs, if it is due at `now`; it is found due at that moment.
    pub(super) fn take_planned(&mut self, now: u64) -> Option<Job> {
        self.next_planned().filter(|&due| due <= now)?;
        let Reverse(job) = self.planned.pop()?;
        self.pausing -= usize::from(!job.is_first());
        Some(Job {
            dispatched: now,
            ..job
        })
    }

    /// Takes the remembered jobs that nobody will wait for.
    pub(super) fn drop_planned(&mut self) -> Vec<Job> {
        self.pausing = 0;
        let planned = self.planned.drain();
        planned.map(|Reverse(job)| job).collect()
    }

    /// Takes the job that has been due for longest.
    pub(super) fn pop(&mut self) -> Option<Job> {
        let arrival_due = self
            .waiting
            .peek()
            .filter(|_| self.arrivals > 0)
            .map(|arrival| arrival.due);
        let later_due = self.later.peek().map(|Reverse(job)| job.due);
        match (arrival_due, later_due) {
            (Some(arrival), Some(later)) if later <= arrival => self.pop_later(),
            (Some(_), _) if self.is_full() => {
                self.held = true;
                self.pop_later()
            }
            (Some(_), _) => self.pop_arrival(),
            (None, _) => self.pop_later(),
        }
    }

    /// How many jobs wait for a connection alone.
    pub(super) fn len(&self) -> u64 {
        let arrivals = if self.is_full() { 0 } else { self.arrivals };
        arrivals + self.later.len() as u64
    }

    /// Whether so many walks are in progress that no other may begin.
    fn is_full(&self) -> bool {
        self.walks + self.pausing >= MOST_WALKS
    }

    /// Whether arrivals have waited because of that.
    pub(super) fn was_full(&self) -> bool {
        self.held
    }

    /// Whether none waits.
    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many arrivals were given the dispatch moment of an earlier one.
    pub(super) fn coalesced(&self) -> u64 {
        self.coalesced
    }

    fn pop_arrival(&mut self) -> Option<Job> {
        let arrival = self.waiting.next()?;
        let first = self.moments.front_mut()?;
        // A moment that was kept for later arrivals too may lie before their due: they were not late at all, then.
        let dispatched = first.dispatched.max(arrival.due);
        first.count -= 1;
        if first.count == 0 {
            self.moments.pop_front();
        }
        self.arrivals -= 1;
        Some(Job::first(arrival, dispatched))
    }

    fn pop_later(&mut self) -> Option<Job> {
        let Reverse(job) = self.later.pop()?;
        self.walks -= 1;
        Some(job)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;
    use crate::scenario::{Arrivals, LoadModel, Phase};
    use crate::schedule::Schedule;
    use crate::units::Rate;

    fn cursor(seconds: u64) -> Cursor {
        let phase = Phase {
            name: "p".into(),
            model: LoadModel::Open {
                rate: Rate::new(1_000, 1_000_000_000).unwrap(),
                arrivals: Arrivals::Constant,
            },
            duration: Duration::from_secs(seconds),
            warmup: false,
        };
        Arc::new(Schedule::new(&[phase], 1)).arrivals()
    }

    fn job(due: u64, step: u32) -> Job {
        let arrival = Arrival {
            number: 7,
            phase: 0,
            due,
        };
        let at = Position { step, round: 0 };
        Job {
            at,
            ..Job::first(arrival, due)
        }
    }

    #[test]
    fn arrivals_wait_while_too_many_walks_are_in_progress() {
        let mut queue = Queue::new(cursor(1));
        for _ in 0..MOST_WALKS {
            queue.plan(job(500, 1));
        }
        queue.push_arrivals(1, 0);
        assert_eq!(
            (queue.pop(), queue.is_empty(), queue.was_full()),
            (None, true, true)
        );
        assert!(queue.take_planned(500).is_some());
        assert_eq!(
            (queue.pop().map(|job| job.due), queue.is_empty()),
            (Some(0), true)
        );
    }

    #[test]
    fn arrivals_come_back_in_order_with_the_wake_that_found_them() {
        let mut queue = Queue::new(cursor(1));
        queue.push_arrivals(2, 1_500_000);
        queue.push_arrivals(1, 2_100_000);
        let jobs: Vec<(u64, u64)> = std::iter::from_fn(|| queue.pop())
            .map(|job| (job.due, job.dispatched))
            .collect();
        assert_eq!(
            jobs,
            [
                (0, 1_500_000),
                (1_000_000, 1_500_000),
                (2_000_000, 2_100_000)
            ]
        );
        assert!(queue.is_empty());
    }

    #[test]
    fn the_job_due_first_goes_first_whether_arrival_or_later_step() {
        let mut queue = Queue::new(cursor(1));
        let later = |due| job(due, 1);
        queue.push_arrivals(2, 1_000_000);
        queue.push(later(500_000));
        queue.push(later(1_200_000));
        let due: Vec<u64> = std::iter::from_fn(|| queue.pop())
            .map(|job| job.due)
            .collect();
        assert_eq!(due, [0, 500_000, 1_000_000, 1_200_000]);
    }

    #[test]
    fn what_is_planned_comes_when_it_is_due() {
        let mut queue = Queue::new(cursor(1));
        for due in [30, 10, 20] {
            queue.plan(job(due, 0));
        }
        assert_eq!(queue.next_planned(), Some(10));
        assert_eq!(queue.take_planned(9), None);
        let taken: Vec<(u64, u64)> = std::iter::from_fn(|| queue.take_planned(25))
            .map(|job| (job.due, job.dispatched))
            .collect();
        assert_eq!(taken, [(10, 25), (20, 25)]);
        assert!(queue.is_empty());
    }

    #[test]
    fn a_long_backlog_is_remembered_in_bounded_memory_and_loses_no_arrival() {
        let wakes = MOST_MOMENTS as u64 + 1_000;
        let mut queue = Queue::new(cursor(wakes / 1_000 + 1));
        for k in 0..wakes {
            queue.push_arrivals(1, k * 1_000_000 + 10);
        }
        assert!(queue.moments.len() <= MOST_MOMENTS);
        assert_eq!((queue.len(), queue.coalesced()), (wakes, 1_000));
        let mut count = 0;
        while let Some(job) = queue.pop() {
            assert_eq!(job.due, count * 1_000_000);
            assert!(job.dispatched >= job.due);
            count += 1;
        }
        assert_eq!(count, wakes);
    }
}
