//! One worker: a thread with a runtime of its own, its share of the arrivals and of the connections, its ledger.
//!
//! A dispatcher wakes for each due moment and puts arrivals into the queue; a task per connection takes the job that
//! has been due for longest, exchanges it and absorbs it. All of it runs on one thread, so there is no lock, and
//! nothing is shared with another worker but the schedule.

mod connection;
mod state;

use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::{Notify, mpsc, oneshot, watch};

use super::clock::{Clock, thread_cpu};
use super::http1::Connection;
use super::pacer::Pacer;
use super::queue::Job;
use super::{Command, Plan, turn};
use crate::exchange::{Exchange, Outcome};
use crate::histogram::Histogram;
use crate::ledger::{Ledger, Place, WalkEnd};
use crate::run_record::{Failure, Traffic};
use crate::scenario::{Draw, Step};
use crate::schedule::Cursor;
use crate::windows::Part;
use state::State;

/// What the drain lasts beyond the timeout of an exchange, so that one that was sent at the last moment still ends as
/// the timeout that it is: Tokio's timer ends it up to some milliseconds late.
const GRACE: Duration = Duration::from_millis(100);

/// What a worker is given.
pub(super) struct Setup {
    pub(super) plan: Arc<Plan>,
    /// Its number, from 0.
    pub(super) index: usize,
    /// Connections at most.
    pub(super) connections: usize,
    /// Of these, opened before the start.
    pub(super) eager: usize,
    pub(super) command: watch::Receiver<Command>,
    /// Told once the eager connections are open, or have failed to.
    pub(super) ready: oneshot::Sender<()>,
    pub(super) parts: mpsc::UnboundedSender<Part>,
}

/// What a worker has seen.
pub(super) struct Report {
    pub(super) ledger: Ledger,
    pub(super) traffic: Traffic,
    pub(super) opened: u64,
    pub(super) reopened: u64,
    pub(super) peak_in_use: usize,
    pub(super) connect: Histogram,
    pub(super) failures: Vec<Failure>,
    pub(super) ran_out: Option<String>,
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
    runtime.block_on(turn::Counted::new(work(setup)))
}

async fn work(setup: Setup) -> io::Result<Report> {
    let Setup {
        plan,
        index,
        connections,
        eager,
        mut command,
        ready,
        parts,
    } = setup;
    let schedule = &plan.schedule;
    let cursor = schedule.share(index, plan.workers);
    let worker = Rc::new(Worker {
        clock: Rc::new(Clock::default()),
        state: RefCell::new(State::new(&plan, cursor.clone(), connections)),
        quiet: Notify::new(),
        parts,
        plan,
    });
    let pacer = Pacer::new()?;
    worker.open(eager);
    worker.until(|state| state.opening == 0).await;
    // Whoever waits for it is gone only if the run was given up.
    let _ = ready.send(());
    let start = loop {
        match *command.borrow_and_update() {
            Command::Run { start } => break Some(start),
            Command::Drain | Command::Abort => break None,
            Command::Prepare => {}
        }
        if command.changed().await.is_err() {
            break None;
        }
    };
    let Some(start) = start else {
        worker.state.borrow_mut().stopped = true;
        return Ok(worker.report(0, 0, 0.0));
    };
    worker.clock.start_at(start);
    let cpu = thread_cpu();
    let ended = worker.dispatch(cursor, &pacer, &mut command).await?;
    let cpu_busy = thread_cpu() - cpu;
    worker.drain(ended, &pacer, &mut command).await?;
    worker.abandon();
    let busy = if ended == 0 {
        0.0
    } else {
        cpu_busy as f64 / ended as f64
    };
    Ok(worker.report(ended, thread_cpu() - cpu, busy))
}

struct Worker {
    plan: Arc<Plan>,
    clock: Rc<Clock>,
    state: RefCell<State>,
    /// Told whenever a connection has opened, failed or come to rest.
    quiet: Notify,
    parts: mpsc::UnboundedSender<Part>,
}

impl Worker {
    /// Wakes for every due moment until the schedule ends or the run is stopped; returns when it stopped offering
    /// load, in nanoseconds from the start.
    async fn dispatch(
        self: &Rc<Self>,
        mut cursor: Cursor,
        pacer: &Pacer,
        command: &mut watch::Receiver<Command>,
    ) -> io::Result<u64> {
        let mut phase = 0;
        loop {
            let now = self.clock.now();
            self.take_due(&mut cursor, now);
            self.pump();
            let next = cursor
                .peek()
                .map_or(self.plan.schedule.end(), |arrival| arrival.due);
            let next_phase = cursor.peek().map_or(usize::MAX, |arrival| arrival.phase);
            if next_phase != phase {
                self.state.borrow_mut().ledger.phases[phase]
                    .turn
                    .merge(&turn::take());
                phase = next_phase.min(self.plan.scenario.phases().len() - 1);
            }
            if cursor.peek().is_none() && (now >= next || cursor.is_cut()) {
                return Ok(next.min(now));
            }
            tokio::select! {
                biased;
                paced = pacer.until(self.clock.absolute(next)) => paced?,
                changed = command.changed() => {
                    if changed.is_err() || !matches!(*command.borrow_and_update(), Command::Run { .. }) {
                        self.state.borrow_mut().stopped = true;
                        return Ok(self.clock.now().min(self.plan.schedule.end()));
                    }
                }
            }
        }
    }

    /// Puts every arrival that is due at `now` into the queue.
    fn take_due(&self, cursor: &mut Cursor, now: u64) {
        let state = &mut *self.state.borrow_mut();
        let full = state.total() >= state.connections;
        let mut count = 0;
        while let Some(arrival) = cursor.peek().filter(|arrival| arrival.due <= now) {
            let tally = &mut state.ledger.phases[arrival.phase];
            tally.arrivals += 1;
            tally.due += 1;
            if full && state.queue.len() + count >= state.idle.len() as u64 {
                tally.pool_full += 1;
            }
            count += 1;
            cursor.next();
        }
        if count > 0 {
            state.queue.push_arrivals(count, now);
        }
    }

    /// Gives waiting jobs to idle connections, and opens more where those do not suffice.
    fn pump(self: &Rc<Self>) {
        let state = &mut *self.state.borrow_mut();
        while !state.queue.is_empty() && !state.over {
            let Some(id) = state.idle.pop_front() else {
                break;
            };
            let Some(job) = state.queue.pop() else { break };
            state.begin(id, job);
            state.slots[id].given = Some(job);
            if let Some(waker) = state.slots[id].waker.take() {
                waker.wake();
            }
        }
        let wanted = state.queue.len().saturating_sub(state.opening) as usize;
        let room = state.connections - state.total();
        for _ in 0..wanted.min(room) {
            self.spawn_connection(state);
        }
    }

    /// Opens `count` connections.
    fn open(self: &Rc<Self>, count: usize) {
        let state = &mut *self.state.borrow_mut();
        for _ in 0..count {
            self.spawn_connection(state);
        }
    }

    fn spawn_connection(self: &Rc<Self>, state: &mut State) {
        let id = state.take_slot();
        state.opening += 1;
        tokio::task::spawn_local(turn::Counted::new(Rc::clone(self).connection(id)));
    }

    /// Takes an exchange into the ledger, and puts the walk's next step into the queue.
    fn absorb(
        self: &Rc<Self>,
        job: &Job,
        sent: Option<u64>,
        done: u64,
        outcome: Outcome,
        status: Option<u16>,
        words: impl FnOnce() -> String,
    ) {
        let plan = &self.plan;
        let flow = plan.scenario.flow_of(plan.scenario.seed(), job.arrival);
        let steps = plan.scenario.flows()[flow].steps.len();
        let goes_on = outcome == Outcome::Ok && job.step + 1 < steps;
        let dispatched = Some(job.dispatched);
        // A response can be complete before the request is: an early refusal. The clock must not run backwards.
        let done = done.max(sent.unwrap_or(job.dispatched));
        let exchange = Exchange {
            due: job.due,
            dispatched,
            sent,
            done,
            outcome,
            status,
        };
        let phase_end = plan.schedule.bounds(job.phase).1;
        let walk_end = (!goes_on).then_some(WalkEnd {
            arrival: job.arrival_due,
            phase_end,
        });
        let place = Place {
            phase: job.phase,
            flow,
            step: job.step,
        };
        let state = &mut *self.state.borrow_mut();
        state.ledger.absorb(place, &exchange, walk_end);
        if let Some(part) = state
            .windows
            .record(job.phase, job.due, outcome, done - job.due)
        {
            // Whoever collects the parts outlives the workers, unless the run was given up.
            let _ = self.parts.send(part);
        }
        if outcome != Outcome::Ok && !state.failures.iter().any(|(known, _)| *known == outcome) {
            state
                .failures
                .push((outcome, self.describe(job, flow, done, outcome, &words())));
        }
        if goes_on {
            let phase = plan.schedule.phase_at(done);
            state.ledger.phases[phase].due += 1;
            let dispatched = self.clock.now().max(done);
            state.queue.push_later(Job {
                due: done,
                step: job.step + 1,
                phase,
                dispatched,
                ..*job
            });
        }
    }

    fn describe(
        &self,
        job: &Job,
        flow: usize,
        done: u64,
        outcome: Outcome,
        words: &str,
    ) -> Failure {
        let flow = &self.plan.scenario.flows()[flow];
        let step = &flow.steps[job.step];
        let mut path = Vec::new();
        let draw = self.plan.draw(job);
        step.request.path.render(&draw, &mut path);
        Failure {
            at_ns: done,
            step: format!("{}/{}", flow.name, step.name),
            outcome: outcome.words().into(),
            what: format!(
                "{} {} → {words}",
                step.request.method,
                String::from_utf8_lossy(&path)
            ),
        }
    }

    fn count_bytes(&self, connection: &Connection) {
        let (sent, received) = connection.take_bytes();
        let traffic = &mut self.state.borrow_mut().traffic;
        traffic.sent_bytes += sent;
        traffic.received_bytes += received;
    }

    /// Lets what is due and in flight end, for as long as one exchange may take.
    async fn drain(
        &self,
        ended: u64,
        pacer: &Pacer,
        command: &mut watch::Receiver<Command>,
    ) -> io::Result<()> {
        let drain = self.plan.scenario.timeout() + GRACE;
        let drain = u64::try_from(drain.as_nanos()).unwrap_or(u64::MAX);
        let deadline = self.clock.absolute(ended.saturating_add(drain));
        let aborted = async {
            while !matches!(*command.borrow_and_update(), Command::Abort) {
                if command.changed().await.is_err() {
                    break;
                }
            }
        };
        tokio::select! {
            biased;
            () = self.until(|state| state.in_use == 0 && state.queue.is_empty()) => Ok(()),
            () = aborted => Ok(()),
            paced = pacer.until(deadline) => paced,
        }
    }

    /// Ends what is still there: in flight is unfinished, waiting is unsent.
    fn abandon(self: &Rc<Self>) {
        let now = self.clock.now();
        let flights: Vec<_> = {
            let state = &mut *self.state.borrow_mut();
            state.over = true;
            state
                .slots
                .iter_mut()
                .filter_map(|slot| slot.flight.take())
                .collect()
        };
        for (job, stamps) in flights {
            let sent = stamps
                .and_then(|stamps| stamps.sent())
                .filter(|&sent| sent >= job.dispatched);
            let outcome = if sent.is_some() {
                Outcome::Unfinished
            } else {
                Outcome::Unsent
            };
            self.absorb(&job, sent, now, outcome, None, || "the run ended".into());
        }
        loop {
            let Some(job) = self.state.borrow_mut().queue.pop() else {
                break;
            };
            self.absorb(&job, None, now, Outcome::Unsent, None, || {
                "no connection was free before the run ended".into()
            });
        }
    }

    fn report(&self, ended: u64, cpu_ns: u64, busy: f64) -> Report {
        let state = &mut *self.state.borrow_mut();
        for part in state.windows.finish() {
            let _ = self.parts.send(part);
        }
        let mut ledger = std::mem::replace(&mut state.ledger, Ledger::new(0, &[]));
        // Which phases the coalesced moments belong to is not kept; nearly always it is the last.
        if let Some(last) = ledger.phases.last_mut() {
            last.coalesced = state.queue.coalesced();
        }
        Report {
            ledger,
            traffic: state.traffic,
            opened: state.opened,
            reopened: state.reopened,
            peak_in_use: state.peak_in_use,
            connect: std::mem::take(&mut state.connect),
            failures: state
                .failures
                .drain(..)
                .map(|(_, failure)| failure)
                .collect(),
            ran_out: state.ran_out.take(),
            ended,
            stopped: state.stopped,
            cpu_ns,
            busy,
        }
    }

    /// Waits until `state` is as wanted.
    async fn until(&self, wanted: impl Fn(&State) -> bool) {
        while !wanted(&self.state.borrow()) {
            self.quiet.notified().await;
        }
    }
}

impl Plan {
    fn draw(&self, job: &Job) -> Draw {
        Draw {
            seed: self.scenario.seed(),
            arrival: job.arrival,
            step: job.step as u32,
        }
    }

    fn step(&self, job: &Job) -> &Step {
        let flow = self.scenario.flow_of(self.scenario.seed(), job.arrival);
        &self.scenario.flows()[flow].steps[job.step]
    }
}
