//! A connection's life in a worker: open, exchange while there are jobs, rest, and be replaced when the peer closes it.

use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};

use rustix::io::Errno;

use super::Worker;
use super::ending::Ending;
use super::state::{Flight, Stage, State};
use crate::exchange::Outcome;
use crate::load::clock::monotonic;
use crate::load::dial::DialError;
use crate::load::http_parts::Unfit;
use crate::load::http1::Event;
use crate::load::link::{Link, NotStarted};
use crate::load::queue::Job;

/// New connections that are tried for one exchange before it ends as a connect error: one may be closed by bad luck, as
/// when the target restarts; a target that closes every one would otherwise be connected to for ever.
const MOST_STILLBORN: u8 = 3;

impl Worker {
    /// The task of link `id`, which opens the connection unless the link `is_open`. The lanes of a connection have a
    /// task each, and the one whose lane is the last to close goes on with the connection that takes its place.
    pub(super) async fn connection(self: Rc<Self>, id: usize, mut is_open: bool) {
        let mut replaced = false;
        while is_open || self.open(id, replaced).await {
            is_open = false;
            poll_fn(|context| self.drive(id, context)).await;
            let state = &mut *self.state.borrow_mut();
            if !state.slots[id].last {
                // Others of its connection are closing, and what it carried may have been the last of all.
                state.free_slot(id);
                self.pump(state);
                self.mind_quiet(state);
                return;
            }
            if !state.slots[id].replace || state.stage == Stage::Over {
                break;
            }
            replaced = true;
            state.slots[id].used = false;
            state.opening += 1;
        }
        let state = &mut *self.state.borrow_mut();
        state.free_slot(id);
        state.total -= 1;
        // Jobs may wait for the place that has become free.
        self.pump(state);
        self.mind_quiet(state);
    }

    /// Opens a connection and gives it the job that waits longest, or sends it to rest.
    ///
    /// Where it cannot be opened, that job ends as a connect or TLS error, and the next one gets its own try; false
    /// when no job is left.
    async fn open(self: &Rc<Self>, id: usize, replaced: bool) -> bool {
        loop {
            let dialed = self.dialer.dial().await;
            self.state.borrow_mut().count_dialed(&dialed);
            let opened = match dialed.stream {
                Ok((stream, spoken)) => {
                    let clock = Rc::clone(&self.clock);
                    self.manner.open(stream, spoken, clock).await
                }
                Err(error) => Err(error),
            };
            match opened {
                Ok((first, others)) => {
                    let state = &mut *self.state.borrow_mut();
                    state.reopened += u64::from(replaced);
                    self.opened(state, id, first, others);
                    return true;
                }
                Err(error) => {
                    let state = &mut *self.state.borrow_mut();
                    if !self.refused(state, self.clock.now(), &error) {
                        return false;
                    }
                }
            }
            // A refusal may come at once, and the next, and closed users ask again at once.
            tokio::task::yield_now().await;
        }
    }

    /// Takes a connection that is open into use: `first` by link `id`, and the other lanes, if there are, by links of
    /// their own.
    fn opened(self: &Rc<Self>, state: &mut State, id: usize, first: Link, others: Vec<Link>) {
        state.opening -= 1;
        state.opened += 1;
        state.http2 += u64::from(matches!(first, Link::Lane(_)));
        state.lanes = others.len() + 1;
        let since = monotonic();
        state.slots[id].since = since;
        state.slots[id].link = Some(first);
        self.give_next(state, id);
        for link in others {
            let id = state.take_slot();
            state.slots[id].since = since;
            state.slots[id].link = Some(link);
            self.give_next(state, id);
            self.spawn_link(id, true);
        }
        self.mind_quiet(state);
    }

    /// Ends the job that waits longest, for which no connection could be opened, or as many as would have shared it;
    /// whether another waits.
    fn refused(&self, state: &mut State, now: u64, error: &DialError) -> bool {
        state.ran_out = state.ran_out.take().or_else(|| exhausted(error));
        let shared = (state.queue.len()).clamp(1, state.lanes as u64);
        let mut job = None;
        for _ in 0..shared {
            job = state.next_job();
            let Some(job) = job else { break };
            let ending = Ending::unsent(now, error.outcome(), error);
            self.absorb(state, self.flight(job), &ending);
        }
        let more = job.is_some() && !state.queue.is_empty();
        state.opening -= u64::from(!more);
        more
    }

    /// Lets connection `id` exchange and rest; ready when it is closed.
    fn drive(self: &Rc<Self>, id: usize, context: &mut Context<'_>) -> Poll<()> {
        let state = &mut *self.state.borrow_mut();
        let waker = &mut state.slots[id].waker;
        if !waker
            .as_ref()
            .is_some_and(|known| known.will_wake(context.waker()))
        {
            *waker = Some(context.waker().clone());
        }
        while state.slots[id].link.is_some() {
            ready!(self.step(state, id, context));
        }
        Poll::Ready(())
    }

    /// Takes what has come of connection `id` since; pending when that is nothing.
    fn step(self: &Rc<Self>, state: &mut State, id: usize, context: &mut Context<'_>) -> Poll<()> {
        let Some(link) = &mut state.slots[id].link else {
            return Poll::Pending;
        };
        match ready!(link.poll(context, &mut state.buffer)) {
            Event::Over(answer) => {
                let mut flight = state.end(id).expect("only an exchange can be over");
                self.conclude(state, id, &mut flight, &answer);
                if answer.reusable && self.keeps(state.slots[id].since, answer.done) {
                    self.give_next(state, id);
                } else {
                    if let Some(link) = &state.slots[id].link {
                        link.retire();
                    }
                    state.close(id, false);
                }
            }
            Event::Closed => match state.end(id) {
                // Nothing of it was written.
                Some(flight) => self.requeue(state, id, flight.job),
                None => {
                    state.rouse(id);
                    // One that never carried anything is not replaced: its peer may close every connection at once,
                    // and we would open them for ever.
                    let used = state.was_used(id);
                    state.close(id, used);
                }
            },
        }
        self.mind_quiet(state);
        Poll::Ready(())
    }

    /// Gives waiting jobs to resting connections, and opens more where those do not suffice.
    pub(super) fn pump(self: &Rc<Self>, state: &mut State) {
        while !state.queue.is_empty() && state.stage != Stage::Over {
            let Some(id) = state.rouse_oldest() else {
                break;
            };
            let slot = &mut state.slots[id];
            let waker = slot.waker.as_ref().unwrap_or(Waker::noop());
            if slot.link.as_mut().is_none_or(|link| link.is_stale(waker)) {
                let used = state.was_used(id);
                state.close(id, used);
                continue;
            }
            self.give_next(state, id);
        }
        if state.stage == Stage::Over {
            return;
        }
        let coming = state.opening as usize * state.lanes;
        let waiting = (state.queue.len() as usize).saturating_sub(coming);
        let wanted = waiting.div_ceil(state.lanes);
        let room = state.connections - state.total;
        for _ in 0..wanted.min(room) {
            self.spawn_connection(state);
        }
    }

    /// Starts the next exchange on link `id`, or sends it to rest.
    fn give_next(self: &Rc<Self>, state: &mut State, id: usize) {
        loop {
            let Some(job) = state.next_job() else {
                state.lay_down(id);
                return;
            };
            let flight = self.flight(job);
            let State {
                slots,
                memory,
                room,
                ..
            } = state;
            let slot = &mut slots[id];
            let Some(link) = &mut slot.link else {
                return self.requeue(state, id, job);
            };
            let step = job.at.step as usize;
            let layout = &self.layouts[flight.flow][step];
            let request = &self.plan.requests[flight.flow][step];
            let started = match memory.beside(&self.plan, &self.clock, &job, request) {
                Ok(beside) => link.start(layout, &job.draw(&self.plan, &beside), room),
                Err(unfilled) => Err(Unfit::from(unfilled).into()),
            };
            match started {
                Ok(()) => {
                    if link.wants_poll()
                        && let Some(waker) = &slot.waker
                    {
                        // Its task waits until the socket takes more, or does not wait yet.
                        waker.wake_by_ref();
                    }
                    let from = link.sent().unwrap_or(job.dispatched);
                    state.begin(id, flight);
                    return self.set_deadline(state, id, from);
                }
                Err(NotStarted::Closed) => return self.requeue(state, id, job),
                Err(NotStarted::Unfit(words)) => self.absorb_unfit(state, flight, &words),
            }
        }
    }

    /// Ends an exchange of which nothing can be sent.
    #[cold]
    fn absorb_unfit(&self, state: &mut State, flight: Flight, words: &Unfit) {
        let ending = Ending::unsent(self.clock.now(), words.outcome(), words);
        self.absorb(state, flight, &ending);
    }

    /// Whether a connection that was opened at `since`, on the machine's clock, may carry more after an exchange that was
    /// done at `done`.
    fn keeps(&self, since: u64, done: u64) -> bool {
        let age = self.clock.absolute(done).saturating_sub(since);
        self.reuse && age < self.ttl
    }

    fn set_deadline(&self, state: &mut State, id: usize, sent: u64) {
        let at = sent.saturating_add(self.timeout);
        state.deadlines.set(id, at);
        // An error of the timer's would have shown when the dispatcher armed it.
        let _ = self.pacer.no_later_than(self.clock.absolute(at));
    }

    /// Ends the exchanges whose time is up.
    pub(super) fn expire(self: &Rc<Self>, state: &mut State, now: u64) {
        while let Some(id) = state.deadlines.expired(now) {
            let sent = state.slots[id].link.as_ref().and_then(Link::sent);
            // The time runs from `sent`, which is known only now where the socket was full.
            let deadline = sent.unwrap_or(now).saturating_add(self.timeout);
            if deadline > now {
                state.deadlines.set(id, deadline);
                continue;
            }
            // A response may have come in time and wait to be read.
            if let Some(waker) = state.slots[id].waker.clone()
                && self
                    .step(state, id, &mut Context::from_waker(&waker))
                    .is_ready()
            {
                continue;
            }
            if let Some(flight) = state.end(id) {
                self.give_up(state, id, now);
                let ending = Ending {
                    sent,
                    done: now,
                    outcome: Outcome::Timeout,
                    status: None,
                    words: &"no complete response in time",
                    response: None,
                };
                self.absorb(state, flight, &ending);
            }
        }
    }

    /// Closes link `id`, whose exchange takes too long. A lane only resets its stream, and rests: others use the
    /// connection.
    fn give_up(&self, state: &mut State, id: usize, now: u64) {
        let slot = &mut state.slots[id];
        let survives = slot.link.as_mut().is_some_and(Link::abandon);
        if !survives || !self.keeps(slot.since, now) {
            if let Some(link) = &slot.link {
                link.retire();
            }
            return state.close(id, false);
        }
        if let Some(waker) = &slot.waker {
            // So that its task sees the end of the connection.
            waker.wake_by_ref();
        }
        state.lay_down(id);
    }

    /// Closes connection `id`, to which nothing of `job` could be written; the job goes to another one, unless that
    /// has happened too often on connections that never carried anything.
    fn requeue(self: &Rc<Self>, state: &mut State, id: usize, mut job: Job) {
        let used = state.was_used(id);
        state.close(id, used);
        job.stillborn += u8::from(!used);
        if job.stillborn < MOST_STILLBORN {
            state.queue.push(job);
            return;
        }
        let words =
            format!("{MOST_STILLBORN} new connections were closed before anything was sent");
        let ending = Ending::unsent(self.clock.now(), Outcome::ConnectError, &words);
        self.absorb(state, self.flight(job), &ending);
    }

    pub(super) fn flight(&self, job: Job) -> Flight {
        let scenario = &self.plan.scenario;
        Flight {
            job,
            flow: scenario.flow_of(scenario.seed(), job.arrival),
        }
    }
}

/// What tailmark has run out of, where that is why it cannot connect.
fn exhausted(error: &DialError) -> Option<String> {
    let DialError::Connect(error) = error else {
        return None;
    };
    match error.raw_os_error().map(Errno::from_raw_os_error)? {
        Errno::MFILE | Errno::NFILE => Some("descriptors (ulimit -n)".into()),
        Errno::ADDRNOTAVAIL => Some("local ports for this target".into()),
        _ => None,
    }
}
