//! What a worker's tasks share: the queue, the ledger, and which connection does what.

use std::collections::VecDeque;
use std::task::Waker;

use crate::exchange::Outcome;
use crate::histogram::Histogram;
use crate::ledger::Ledger;
use crate::load::Plan;
use crate::load::dial::Dialed;
use crate::load::http1::Room;
use crate::load::link::Link;
use crate::load::memory::Memory;
use crate::load::pools::OwnPool;
use crate::load::queue::{Job, Queue};
use crate::load::timer::Deadlines;
use crate::run_record::{Failure, Traffic};
use crate::scenario::Http;
use crate::schedule::{Cursor, Gone};
use crate::windows::Recorder;

/// Bytes that one read takes in at most: more than most responses, so that a read that fills less tells that nothing
/// is left. Of large ones, a quarter of a mebibyte at once costs a tenth less CPU than 64 KiB.
const READ_BYTES: usize = 256 * 1024;

/// Everything that a worker's tasks share; borrowed for moments, never across an await.
pub(super) struct State {
    pub(super) queue: Queue,
    pub(super) ledger: Ledger,
    pub(super) windows: Recorder,
    /// Every link that is open or opening, by its number: a connection, or a lane of one.
    pub(super) slots: Vec<Slot>,
    /// Numbers of slots that are free.
    free: Vec<usize>,
    rest: Rest,
    pub(super) deadlines: Deadlines,
    /// What requests are rendered with.
    pub(super) memory: Memory,
    /// Room in which requests are rendered, one at a time.
    pub(super) room: Room,
    /// Room into which responses are read, one at a time.
    pub(super) buffer: Box<[u8]>,
    /// Connections being opened.
    pub(super) opening: u64,
    /// Connections that are open or opening.
    pub(super) total: usize,
    /// Exchanges in progress.
    in_use: usize,
    /// Connections with an exchange.
    busy: usize,
    /// What the other workers are told of that.
    pub(super) pool: OwnPool,
    /// Connections at most.
    pub(super) connections: usize,
    /// Exchanges that a connection is expected to carry at once: as many as the last one that was opened can.
    pub(super) lanes: usize,
    pub(super) stage: Stage,
    /// Until when what pauses goes on while what is under way is let end, in nanoseconds from the start.
    pub(super) last: u64,
    /// Users of closed phases who will start a flow, or are in one.
    pub(super) users: u64,
    /// Whether a limit of arrivals has left a user none, or there is no user.
    pub(super) limited: bool,
    /// Whether that limit was the number of a feeder's rows.
    pub(super) rows_met: bool,
    /// Whether load was stopped before the schedule's end.
    pub(super) stopped: bool,
    /// Whether what is in flight is to end at once.
    pub(super) aborted: bool,
    pub(super) traffic: Traffic,
    pub(super) opened: u64,
    /// Of these, speaking HTTP/2.
    pub(super) http2: u64,
    pub(super) reopened: u64,
    pub(super) peak_in_use: usize,
    pub(super) connect: Histogram,
    pub(super) tls: Histogram,
    pub(super) failures: Vec<(Outcome, Failure)>,
    pub(super) ran_out: Option<String>,
}

/// What a worker is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// Opening connections.
    Preparing,
    /// Offering load.
    Offering,
    /// Letting what is due and in flight end.
    Draining,
    /// No exchange may be started any more.
    Over,
}

/// One of a worker's connections, or a lane of one.
#[derive(Default)]
pub(super) struct Slot {
    /// The connection; none while it is being opened, and after its end.
    pub(super) link: Option<Link>,
    /// Wakes the task that looks after it.
    pub(super) waker: Option<Waker>,
    /// The exchange in progress.
    pub(super) flight: Option<Flight>,
    /// Whether it has carried an exchange.
    pub(super) used: bool,
    /// Whether the connection ended with it.
    pub(super) last: bool,
    /// Whether another is to be opened in its place.
    pub(super) replace: bool,
    /// When it was opened, on the machine's clock.
    pub(super) since: u64,
    /// How often it has come to rest or left it.
    turns: u64,
}

/// An exchange in progress.
#[derive(Debug, Clone, Copy)]
pub(super) struct Flight {
    pub(super) job: Job,
    pub(super) flow: usize,
}

/// The connections that rest, the one that has rested longest first.
#[derive(Default)]
struct Rest {
    /// With the turn at which each came to rest: an entry of an earlier turn has been left behind.
    entries: VecDeque<(usize, u64)>,
    count: usize,
}

impl State {
    /// Notes why a user does not come again.
    pub(super) fn note(&mut self, gone: Gone) {
        self.limited |= gone != Gone::Over;
        self.rows_met |= gone == Gone::Numbers;
    }

    pub(super) fn new(plan: &Plan, cursor: Cursor, connections: usize, pool: OwnPool) -> Self {
        Self {
            queue: Queue::new(cursor),
            ledger: Ledger::new(plan.scenario.phases().len(), &plan.steps_per_flow()),
            windows: Recorder::new(plan.grids()),
            slots: Vec::new(),
            free: Vec::new(),
            rest: Rest::default(),
            deadlines: Deadlines::default(),
            memory: Memory::default(),
            room: Room::default(),
            buffer: vec![0; READ_BYTES].into_boxed_slice(),
            opening: 0,
            total: 0,
            in_use: 0,
            busy: 0,
            pool,
            connections,
            lanes: match plan.scenario.connections() {
                known if known.http == Http::Two => known.lanes(),
                _ => 1,
            },
            stage: Stage::Preparing,
            last: 0,
            users: 0,
            limited: false,
            rows_met: false,
            stopped: false,
            aborted: false,
            traffic: Traffic::default(),
            opened: 0,
            http2: 0,
            reopened: 0,
            peak_in_use: 0,
            connect: Histogram::new(),
            tls: Histogram::new(),
            failures: Vec::new(),
            ran_out: None,
        }
    }

    /// Links that rest.
    pub(super) fn resting(&self) -> usize {
        self.rest.count
    }

    /// Exchanges in progress.
    pub(super) fn in_flight(&self) -> usize {
        self.in_use
    }

    /// Whether there is something to tell those who watch.
    pub(super) fn has_news(&self) -> bool {
        self.in_use > 0 || self.windows.is_open()
    }

    /// Whether nothing is left to wait for at this stage.
    pub(super) fn is_quiet(&self) -> bool {
        match self.stage {
            Stage::Preparing => self.opening == 0,
            Stage::Offering => false,
            Stage::Draining => {
                let pausing = self
                    .queue
                    .next_planned()
                    .is_some_and(|due| due <= self.last);
                self.in_use == 0 && self.queue.is_empty() && !pausing
            }
            Stage::Over => true,
        }
    }

    pub(super) fn take_slot(&mut self) -> usize {
        self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot::default());
            self.slots.len() - 1
        })
    }

    pub(super) fn free_slot(&mut self, id: usize) {
        let slot = &mut self.slots[id];
        (slot.link, slot.waker, slot.used) = (None, None, false);
        self.free.push(id);
    }

    /// The next job, unless no exchange may be started any more.
    pub(super) fn next_job(&mut self) -> Option<Job> {
        if self.stage == Stage::Over {
            None
        } else {
            self.queue.pop()
        }
    }

    /// Counts how long it took to open a connection, as far as that came.
    pub(super) fn count_dialed(&mut self, dialed: &Dialed) {
        let steps = [
            (&mut self.connect, dialed.connect),
            (&mut self.tls, dialed.tls),
        ];
        for (times, ns) in steps {
            ns.into_iter().for_each(|ns| times.record(ns));
        }
    }

    /// Sends connection `id` to rest.
    pub(super) fn lay_down(&mut self, id: usize) {
        let slot = &mut self.slots[id];
        slot.turns += 1;
        self.rest.entries.push_back((id, slot.turns));
        self.rest.count += 1;
    }

    /// Takes the connection that has rested longest.
    pub(super) fn rouse_oldest(&mut self) -> Option<usize> {
        loop {
            let (id, turn) = self.rest.entries.pop_front()?;
            if self.slots[id].turns == turn {
                self.rouse(id);
                return Some(id);
            }
        }
    }

    /// Connection `id` rests no longer.
    pub(super) fn rouse(&mut self, id: usize) {
        self.slots[id].turns += 1;
        self.rest.count -= 1;
        if self.rest.count == 0 {
            self.rest.entries.clear();
        }
    }

    /// Link `id` has begun an exchange.
    pub(super) fn begin(&mut self, id: usize, flight: Flight) {
        let slot = &mut self.slots[id];
        slot.flight = Some(flight);
        self.in_use += 1;
        if let Some(link) = &slot.link {
            slot.used |= link.sent().is_some();
            self.busy += usize::from(link.occupy());
        }
        self.pool.tell(self.busy);
        self.peak_in_use = self.peak_in_use.max(self.busy);
    }

    /// Ends the exchange of link `id`.
    pub(super) fn end(&mut self, id: usize) -> Option<Flight> {
        let slot = &mut self.slots[id];
        let flight = slot.flight.take()?;
        self.in_use -= 1;
        if let Some(link) = &slot.link {
            self.busy -= usize::from(link.vacate());
        }
        self.pool.tell(self.busy);
        self.deadlines.clear(id);
        self.count_bytes(id);
        Some(flight)
    }

    /// Whether the connection of link `id` has carried an exchange.
    pub(super) fn was_used(&self, id: usize) -> bool {
        let slot = &self.slots[id];
        slot.used || slot.link.as_ref().is_some_and(Link::has_carried)
    }

    /// Closes link `id`; its task is told, and opens another connection in its place if that is wanted and the connection
    /// is gone with it.
    pub(super) fn close(&mut self, id: usize, replace: bool) {
        self.count_bytes(id);
        let slot = &mut self.slots[id];
        if let Some(link) = slot.link.take() {
            (slot.last, slot.replace) = link.leave(replace);
        }
        if let Some(waker) = &slot.waker {
            waker.wake_by_ref();
        }
    }

    fn count_bytes(&mut self, id: usize) {
        if let Some(link) = &mut self.slots[id].link {
            let bytes = link.take_bytes();
            self.traffic.sent_bytes += bytes.sent;
            self.traffic.received_bytes += bytes.received;
        }
    }
}
