//! What a worker's tasks share: the queue, the ledger, and which connection does what.

use std::collections::VecDeque;
use std::rc::Rc;
use std::task::Waker;

use crate::exchange::Outcome;
use crate::histogram::Histogram;
use crate::ledger::Ledger;
use crate::load::Plan;
use crate::load::http1::Stamps;
use crate::load::queue::{Job, Queue};
use crate::run_record::{Failure, Traffic};
use crate::schedule::Cursor;
use crate::windows::Recorder;

/// Everything that a worker's tasks share; borrowed for moments, never across an await.
pub(super) struct State {
    pub(super) queue: Queue,
    pub(super) ledger: Ledger,
    pub(super) windows: Recorder,
    /// Every connection that is open or opening, by its number.
    pub(super) slots: Vec<Slot>,
    /// Numbers of slots that are free.
    pub(super) free: Vec<usize>,
    /// Idle connections, the one that has rested longest first.
    pub(super) idle: VecDeque<usize>,
    /// Connections being opened.
    pub(super) opening: u64,
    /// Connections with an exchange.
    pub(super) in_use: usize,
    pub(super) connections: usize,
    /// Whether load was stopped before the schedule's end.
    pub(super) stopped: bool,
    /// Whether no exchange may be started any more.
    pub(super) over: bool,
    pub(super) traffic: Traffic,
    pub(super) opened: u64,
    pub(super) reopened: u64,
    pub(super) peak_in_use: usize,
    pub(super) connect: Histogram,
    pub(super) failures: Vec<(Outcome, Failure)>,
    pub(super) ran_out: Option<String>,
}

/// What is known of one connection from outside its task.
#[derive(Default)]
pub(super) struct Slot {
    /// A job that was given to it while it was idle.
    pub(super) given: Option<Job>,
    pub(super) waker: Option<Waker>,
    /// The exchange in progress.
    pub(super) flight: Option<(Job, Option<Rc<Stamps>>)>,
}

impl State {
    pub(super) fn new(plan: &Plan, cursor: Cursor, connections: usize) -> Self {
        let steps: Vec<usize> = plan
            .scenario
            .flows()
            .iter()
            .map(|flow| flow.steps.len())
            .collect();
        Self {
            queue: Queue::new(cursor),
            ledger: Ledger::new(plan.scenario.phases().len(), &steps),
            windows: Recorder::new(plan.grids()),
            slots: Vec::new(),
            free: Vec::new(),
            idle: VecDeque::new(),
            opening: 0,
            in_use: 0,
            connections,
            stopped: false,
            over: false,
            traffic: Traffic::default(),
            opened: 0,
            reopened: 0,
            peak_in_use: 0,
            connect: Histogram::new(),
            failures: Vec::new(),
            ran_out: None,
        }
    }

    /// Connections that are open or opening.
    pub(super) fn total(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    pub(super) fn take_slot(&mut self) -> usize {
        self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot::default());
            self.slots.len() - 1
        })
    }

    /// Takes the next job for connection `id`, or sends it to rest.
    pub(super) fn next_job(&mut self, id: usize) -> Option<Job> {
        let job = if self.over { None } else { self.queue.pop() };
        match job {
            Some(job) => self.begin(id, job),
            None => self.idle.push_back(id),
        }
        job
    }

    pub(super) fn begin(&mut self, id: usize, job: Job) {
        self.slots[id].flight = Some((job, None));
        self.in_use += 1;
        self.peak_in_use = self.peak_in_use.max(self.in_use);
    }

    pub(super) fn end(&mut self, id: usize) {
        if self.slots[id].flight.take().is_some() {
            self.in_use -= 1;
        }
    }
}
