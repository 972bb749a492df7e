//! One worker: a thread with a runtime of its own, its share of the arrivals and of the connections, its ledger.
//!
//! A dispatcher wakes for each due moment and puts arrivals into the queue; a task per connection takes the job that
//! has been due for longest, exchanges it and absorbs it. All of it runs on one thread, so there is no lock, and
//! nothing is shared with another worker but the schedule.

mod connection;
mod ending;
mod state;

use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::sync::Arc;

use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::coop::unconstrained;

use super::clock::{Clock, monotonic, thread_cpu};
use super::dial::Dialer;
use super::link::{Layout, Manner};
use super::names::Addresses;
use super::pacer::Pacer;
use super::pools::OwnPool;
use super::queue::Job;
use super::{Command, Plan, Told, turn};
use crate::event::Standing;
use crate::histogram::Histogram;
use crate::ledger::Ledger;
use crate::run_record::{Failure, Traffic};
use crate::scenario::{Http, Step};
use crate::schedule::{Closed, Cursor};
use crate::units::nanoseconds;
use state::{Flight, Stage, State};

/// Connections that are opened at once before the start. A server whose queue of connections is full lets the kernel try
/// again after a second; this is as many as the shortest usual queue (128) holds, and opens 15,000 within a second.
const OPENED_AT_ONCE: usize = 128;

/// Up to this rate a worker wakes for each due moment.
const EXACT_PER_SECOND: f64 = 10_000.0;

/// At higher rates, it sleeps for so long between two wakes, and takes what has come due meanwhile: most of what a request
/// costs there is waking up for it, and a worker without rest is late for all. A tenth of a millisecond is less than half of
/// what the rule of validity lets pass.
const STEP_NS: u64 = 100_000;

/// The time between two moments at which a worker hands over what it has seen: who watches the run knows of it by then.
const HANDING_NS: u64 = 1_000_000_000;

/// The time between two histograms of phases that are over being packed, at most.
const PACKING_NS: u64 = 200_000;

/// What a worker is given.
pub(super) struct Setup {
    pub(super) plan: Arc<Plan>,
    /// Its number, from 0.
    pub(super) index: usize,
    /// Connections at most.
    pub(super) connections: usize,
    /// What the other workers are told of these, and tell of theirs.
    pub(super) pool: OwnPool,
    /// Exchanges for which connections are opened before the start.
    pub(super) eager: usize,
    /// Where the target is, as far as is known.
    pub(super) addresses: watch::Receiver<Addresses>,
    /// Source addresses to spread connections over, where that is more than one.
    pub(super) sources: usize,
    pub(super) command: watch::Receiver<Command>,
    /// Told once the eager connections are open, or have failed to.
    pub(super) ready: oneshot::Sender<()>,
    pub(super) watchers: mpsc::UnboundedSender<Told>,
}

/// What a worker has seen.
pub(super) struct Report {
    pub(super) ledger: Ledger,
    pub(super) traffic: Traffic,
    pub(super) opened: u64,
    /// Of these, speaking HTTP/2.
    pub(super) http2: u64,
    pub(super) reopened: u64,
    pub(super) peak_in_use: usize,
    pub(super) connect: Histogram,
    pub(super) tls: Histogram,
    pub(super) failures: Vec<Failure>,
    pub(super) ran_out: Option<String>,
    /// Whether a user of a closed phase found no more rows.
    pub(super) rows_met: bool,
    /// Whether arrivals waited because too many walks were in progress.
    pub(super) walks_full: bool,
    /// When it stopped offering load, in nanoseconds from the start.
    pub(super) ended: u64,
    /// Whether it was told to.
    pub(super) stopped: bool,
    pub(super) cpu_ns: u64,
    /// The share of its time that its thread was on a CPU while it offered load.
    pub(super) busy: f64,
}

/// Runs a worker on the calling thread until its share is done.
pub(super) fn run(setup: Setup) -> io::Result<Report> {
    let runtime = Builder::new_current_thread()
        .enable_all()
        .event_interval(turn::EVENT_INTERVAL)
        .on_thread_park(turn::parked)
        .on_thread_unpark(turn::unparked)
        .build_local(LocalOptions::default())?;
    // The dispatcher writes to as many connections as have something due: Tokio's budget would make it stop halfway.
    runtime.block_on(turn::Counted::new(unconstrained(work(setup))))
}

async fn work(setup: Setup) -> io::Result<Report> {
    let cursor = setup.plan.schedule.share(setup.index, setup.plan.workers);
    let connections = setup.plan.scenario.connections();
    let worker = Rc::new(Worker {
        index: setup.index,
        clock: Rc::new(Clock::default()),
        pacer: Pacer::new()?,
        dialer: Dialer::new(
            &setup.plan.route,
            setup.addresses,
            setup.sources,
            connections.http,
            connections.connect_timeout,
            setup.index,
        ),
        manner: Manner {
            engine: setup.plan.engine,
            lanes: connections.lanes(),
            limit: connections.connect_timeout,
        },
        layouts: setup.plan.layouts(),
        closed: setup.plan.closed(),
        timeout: nanoseconds(setup.plan.scenario.timeout()),
        reuse: connections.reuse,
        ttl: connections.ttl.map_or(u64::MAX, nanoseconds),
        state: RefCell::new(State::new(
            &setup.plan,
            cursor.clone(),
            setup.connections,
            setup.pool,
        )),
        watchers: setup.watchers,
        plan: setup.plan,
    });
    worker.open_eagerly(setup.eager).await?;
    // Whoever waits for it is gone only if the run was given up.
    let _ = setup.ready.send(());
    let mut command = setup.command;
    let Some(start) = start(&mut command).await else {
        worker.state.borrow_mut().stopped = true;
        return Ok(worker.report(0, 0, 0.0));
    };
    // The worker's clock stands at zero until the start, and what is due at zero is not due before.
    while monotonic() < start {
        worker.pacer.wait(start).await?;
    }
    worker.clock.start_at(start);
    worker.state.borrow_mut().stage = Stage::Offering;
    worker.plan_users(setup.index);
    tokio::task::spawn_local(Rc::clone(&worker).heed(command));
    let cpu = thread_cpu();
    let ended = worker.dispatch(cursor).await?;
    let (cpu_busy, offered) = (thread_cpu() - cpu, worker.clock.now());
    worker.state.borrow_mut().stage = Stage::Draining;
    worker.drain(ended).await?;
    worker.abandon();
    let cpu_busy = cpu_busy.saturating_sub(worker.pacer.spun());
    let offered = offered.max(ended);
    let busy = if offered == 0 {
        0.0
    } else {
        cpu_busy as f64 / offered as f64
    };
    Ok(worker.report(ended, thread_cpu() - cpu, busy))
}

/// `connections` in batches that may be opened at once.
fn batches(connections: usize) -> impl Iterator<Item = usize> {
    let batches = (0..connections).step_by(OPENED_AT_ONCE);
    batches.map(move |opened| OPENED_AT_ONCE.min(connections - opened))
}

/// Waits for the command to run, and returns the moment at which the run starts; none where it is not to run.
async fn start(command: &mut watch::Receiver<Command>) -> Option<u64> {
    loop {
        match *command.borrow_and_update() {
            Command::Run { start } => return Some(start),
            Command::Drain | Command::Abort => return None,
            Command::Prepare => {}
        }
        command.changed().await.ok()?;
    }
}

struct Worker {
    plan: Arc<Plan>,
    /// Its number, from 0.
    index: usize,
    clock: Rc<Clock>,
    /// What the dispatcher sleeps on.
    pacer: Pacer,
    dialer: Dialer,
    manner: Manner,
    /// The bytes of each flow's steps.
    layouts: Vec<Vec<Layout>>,
    /// What is planned of each phase that is closed.
    closed: Vec<Option<Closed>>,
    /// Of an exchange, in nanoseconds.
    timeout: u64,
    /// Whether a connection carries more than one exchange.
    reuse: bool,
    /// From this age on, in nanoseconds, a connection is closed after its exchange.
    ttl: u64,
    state: RefCell<State>,
    watchers: mpsc::UnboundedSender<Told>,
}

impl Worker {
    /// Plans the first walk of each user of the closed phases that falls to this worker.
    fn plan_users(&self, index: usize) {
        let state = &mut *self.state.borrow_mut();
        for closed in self.closed.iter().flatten() {
            for user in closed.share(index, self.plan.workers) {
                match closed.first(user) {
                    Ok(arrival) => {
                        state.users += 1;
                        state.queue.plan(Job::first(arrival, 0));
                    }
                    Err(gone) => state.note(gone),
                }
            }
        }
        state.limited |= state.users == 0;
    }

    /// Wakes for every due moment until the schedule ends or the run is stopped; returns when it stopped offering
    /// load, in nanoseconds from the start.
    async fn dispatch(self: &Rc<Self>, mut cursor: Cursor) -> io::Result<u64> {
        let schedule = &self.plan.schedule;
        let mut phase = 0;
        // Histograms of phases that are over that have given back their room, where some may not have: one at a wake,
        // since that takes some tens of microseconds, and something may be due.
        let mut packed = None;
        let mut handing = HANDING_NS;
        loop {
            let now = self.clock.now();
            let (arrival, other, rest) = {
                let state = &mut *self.state.borrow_mut();
                if state.stopped {
                    return Ok(now.min(schedule.end()));
                }
                take_due(state, &mut cursor, now);
                self.expire(state, now);
                self.pump(state);
                while now >= schedule.bounds(phase).1 {
                    state.ledger.phases[phase].turn.merge(&turn::take());
                    if phase + 1 == state.ledger.phases.len() {
                        return Ok(schedule.end());
                    }
                    phase += 1;
                    packed = Some(0);
                }
                packed = packed.and_then(|passed| state.ledger.pack_next(phase, passed));
                if now >= handing {
                    self.hand_over(state, now);
                    handing = now + HANDING_NS;
                }
                if let Some(end) = self.cut(state, &cursor, now) {
                    state.ledger.phases[phase].turn.merge(&turn::take());
                    return Ok(end);
                }
                let rest = self.least_sleep(phase);
                let arrivals = [
                    cursor.peek().map(|arrival| arrival.due.max(now + rest)),
                    state.queue.next_planned(),
                ];
                let arrival = arrivals.into_iter().flatten().min();
                let others = [
                    state.deadlines.next(),
                    packed.map(|_| now + PACKING_NS),
                    state.has_news().then_some(handing),
                ];
                let phase_end = schedule.bounds(phase).1;
                let other = others.into_iter().flatten().fold(phase_end, u64::min);
                (arrival, other, rest)
            };
            match arrival.filter(|&due| due <= other) {
                Some(due) if rest == 0 => {
                    self.pacer.wait_closely(self.clock.absolute(due)).await?;
                }
                due => {
                    let next = due.unwrap_or(other);
                    self.pacer.wait(self.clock.absolute(next)).await?;
                }
            }
        }
    }

    /// The least time between two wakes for arrivals of `phase`, in nanoseconds.
    fn least_sleep(&self, phase: usize) -> u64 {
        let rate = self.plan.scenario.phases()[phase].model.highest_rate();
        let own = rate.unwrap_or(0.0) / self.plan.workers as f64;
        if own > EXACT_PER_SECOND { STEP_NS } else { 0 }
    }

    /// Where a limit of arrivals ends the load, once there are no more: the time to the one that would have been next
    /// is not waited for.
    fn cut(&self, state: &State, cursor: &Cursor, now: u64) -> Option<u64> {
        let schedule = &self.plan.schedule;
        if cursor.peek().is_some() || state.users > 0 {
            return None;
        }
        if schedule.is_cut() {
            return Some(schedule.end());
        }
        let phases = self.plan.scenario.phases().iter().zip(&self.closed);
        let mut measured = phases.filter(|(phase, _)| phase.is_measured());
        let limited = state.limited && schedule.is_limited();
        (limited && measured.any(|(_, closed)| closed.is_some())).then_some(now)
    }

    /// Lets what is due and in flight end, for as long as one exchange may take.
    async fn drain(self: &Rc<Self>, ended: u64) -> io::Result<()> {
        let last = ended.saturating_add(self.timeout);
        {
            let state = &mut *self.state.borrow_mut();
            // Users begin no more walks; what pauses now and comes due before the end goes on.
            let planned = state.queue.drop_planned();
            let (later, first): (Vec<Job>, Vec<Job>) =
                planned.into_iter().partition(|job| !job.is_first());
            first
                .iter()
                .for_each(|job| state.memory.walks.end(job.walk));
            later.into_iter().for_each(|job| state.queue.plan(job));
            // Who stopped the run does not wait for pauses.
            state.last = if state.stopped { 0 } else { last };
        }
        let mut handing = self.clock.now();
        loop {
            let now = self.clock.now();
            let wake = {
                let state = &mut *self.state.borrow_mut();
                take_planned(state, now.min(state.last));
                self.expire(state, now);
                self.pump(state);
                if state.is_quiet() || state.aborted || now >= last {
                    return Ok(());
                }
                if now >= handing {
                    self.hand_over(state, now);
                    handing = now + HANDING_NS;
                }
                let goes_on = state.queue.next_planned().filter(|&due| due <= state.last);
                let moments = [state.deadlines.next(), goes_on, Some(handing)];
                moments.into_iter().flatten().fold(last, u64::min)
            };
            self.pacer.wait(self.clock.absolute(wake)).await?;
        }
    }

    /// Does what it is told to from outside.
    async fn heed(self: Rc<Self>, mut command: watch::Receiver<Command>) {
        loop {
            let told = *command.borrow_and_update();
            if matches!(told, Command::Drain | Command::Abort) {
                let state = &mut *self.state.borrow_mut();
                state.stopped |= state.stage == Stage::Offering;
                state.aborted |= matches!(told, Command::Abort);
                // An error of the timer's shows when the dispatcher arms it.
                let _ = self.pacer.ring();
            }
            if command.changed().await.is_err() {
                return;
            }
        }
    }

    /// Opens connections for so many exchanges at once, and waits until they are open or have failed to.
    async fn open_eagerly(self: &Rc<Self>, exchanges: usize) -> io::Result<()> {
        // How many a connection of HTTP/2 carries is known from the first one.
        let first = match self.plan.scenario.connections().http {
            Http::One => exchanges,
            Http::Two | Http::Auto => exchanges.min(1),
        };
        self.open_now(first).await?;
        let wanted = exchanges.div_ceil(self.state.borrow().lanes);
        self.open_now(wanted.saturating_sub(first)).await
    }

    /// Opens so many connections, and no more than there may be.
    async fn open_now(self: &Rc<Self>, connections: usize) -> io::Result<()> {
        let room = {
            let state = self.state.borrow();
            state.connections - state.total
        };
        for batch in batches(connections.min(room)) {
            for _ in 0..batch {
                self.spawn_connection(&mut self.state.borrow_mut());
            }
            while !self.state.borrow().is_quiet() {
                self.pacer.wait(u64::MAX).await?;
            }
        }
        Ok(())
    }

    fn spawn_connection(self: &Rc<Self>, state: &mut State) {
        let id = state.take_slot();
        state.opening += 1;
        state.total += 1;
        self.spawn_link(id, false);
    }

    /// Starts the task of link `id`, which `is_open` or has to open its connection.
    fn spawn_link(self: &Rc<Self>, id: usize, is_open: bool) {
        let task = Rc::clone(self).connection(id, is_open);
        tokio::task::spawn_local(turn::Counted::new(task));
    }

    /// Wakes the dispatcher where it waits for the last exchange, or the last connection to open.
    fn mind_quiet(&self, state: &State) {
        if state.is_quiet() {
            // An error of the timer's shows when the dispatcher arms it.
            let _ = self.pacer.ring();
        }
    }

    /// Tells whoever watches the run.
    fn tell(&self, told: Told) {
        // They outlive the workers, unless the run was given up.
        let _ = self.watchers.send(told);
    }

    /// Tells what was seen since the last time, and how it stands.
    fn hand_over(&self, state: &mut State, now: u64) {
        for part in state.windows.hand_over() {
            self.tell(Told::Part(Box::new(part)));
        }
        let phases = state.ledger.phases.iter();
        let (arrivals, answered) = phases.fold((0, 0), |(arrivals, answered), phase| {
            (arrivals + phase.arrivals, answered + phase.walks_answered)
        });
        self.tell(Told::Standing(Standing {
            worker: self.index,
            at_ns: now,
            arrivals,
            answered,
            in_flight: state.in_flight() as u64,
            waiting: state.queue.len(),
        }));
    }

    fn report(&self, ended: u64, cpu_ns: u64, busy: f64) -> Report {
        let state = &mut *self.state.borrow_mut();
        self.hand_over(state, self.clock.now());
        let mut ledger = std::mem::replace(&mut state.ledger, Ledger::new(0, &[]));
        ledger.pack();
        // Which phases the coalesced moments belong to is not kept; nearly always it is the last.
        if let Some(last) = ledger.phases.get_mut(self.plan.schedule.last_phase()) {
            last.coalesced = state.queue.coalesced();
        }
        Report {
            ledger,
            traffic: state.traffic,
            opened: state.opened,
            http2: state.http2,
            reopened: state.reopened,
            peak_in_use: state.peak_in_use,
            connect: std::mem::take(&mut state.connect),
            tls: std::mem::take(&mut state.tls),
            failures: state
                .failures
                .drain(..)
                .map(|(_, failure)| failure)
                .collect(),
            ran_out: state.ran_out.take(),
            rows_met: state.rows_met,
            walks_full: state.queue.was_full(),
            ended,
            stopped: state.stopped,
            cpu_ns,
            busy,
        }
    }
}

/// Puts everything that is due at `now` into the queue.
fn take_due(state: &mut State, cursor: &mut Cursor, now: u64) {
    let mut count = 0;
    while let Some(arrival) = cursor.peek().filter(|arrival| arrival.due <= now) {
        count_arrival(state, arrival.phase, count);
        count += 1;
        cursor.next();
    }
    if count > 0 {
        state.queue.push_arrivals(count, now);
    }
    take_planned(state, now);
}

/// Puts into the queue what was planned and is due at `now`.
fn take_planned(state: &mut State, now: u64) {
    while let Some(job) = state.queue.take_planned(now) {
        if job.is_first() {
            count_arrival(state, job.phase, 0);
        } else {
            state.ledger.phases[job.phase].due += 1;
        }
        state.queue.push(job);
    }
}

/// Counts an arrival that is to be queued behind what waits already and `before` others.
fn count_arrival(state: &mut State, phase: usize, before: u64) {
    let full =
        state.total >= state.connections && state.queue.len() + before >= state.resting() as u64;
    let tally = &mut state.ledger.phases[phase];
    tally.arrivals += 1;
    tally.due += 1;
    if full {
        tally.pool_full += 1;
        tally.imbalanced += u64::from(state.pool.others_have_room());
    }
}

impl Plan {
    fn layouts(&self) -> Vec<Vec<Layout>> {
        let last = !self.scenario.connections().reuse;
        let secure = self.route.is_secure();
        let flows = self.scenario.flows().iter().zip(&self.requests);
        flows
            .map(|(flow, requests)| {
                let steps = flow.steps.iter().zip(requests);
                let layout = |(step, request): (&Step, _)| {
                    Layout::new(request, &step.inspection, &self.host, secure, last)
                };
                steps.map(layout).collect()
            })
            .collect()
    }

    fn closed(&self) -> Vec<Option<Closed>> {
        let phases = 0..self.scenario.phases().len();
        phases.map(|phase| self.schedule.closed(phase)).collect()
    }

    fn step(&self, flight: &Flight) -> &Step {
        &self.scenario.flows()[flight.flow].steps[flight.job.at.step as usize]
    }
}
