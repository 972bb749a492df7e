//! The end of an exchange: into the ledger with it, and on to what follows from it.

use std::fmt;

use super::state::{Flight, Stage, State};
use super::{Worker, first_step};
use crate::exchange::{Exchange, Outcome};
use crate::ledger::{Place, WalkEnd};
use crate::load::http1::Answer;
use crate::load::link::Link;
use crate::load::queue::Job;
use crate::run_record::Failure;
use crate::scenario::Step;
use crate::schedule::Closed;

/// How an exchange ended.
pub(super) struct Ending<'a> {
    pub(super) sent: Option<u64>,
    pub(super) done: u64,
    pub(super) outcome: Outcome,
    pub(super) status: Option<u16>,
    /// What to tell of it if it is the first of its kind.
    pub(super) words: &'a dyn fmt::Display,
}

impl<'a> Ending<'a> {
    /// How an exchange of `step` ended of which `answer` came.
    pub(super) fn of(answer: &'a Answer, step: &Step) -> Self {
        let (outcome, status, words): (_, _, &dyn fmt::Display) = match &answer.result {
            Ok(status) if step.expect.contains(*status) => (Outcome::Ok, Some(*status), status),
            Ok(status) => (Outcome::StatusError, Some(*status), status),
            Err(failure) => {
                let (outcome, words) = failure.outcome();
                (outcome, None, words)
            }
        };
        Self {
            sent: answer.sent,
            done: answer.done,
            outcome,
            status,
            words,
        }
    }

    /// How an exchange ended of which nothing was sent.
    pub(super) fn unsent(done: u64, outcome: Outcome, words: &'a dyn fmt::Display) -> Self {
        Self {
            sent: None,
            done,
            outcome,
            status: None,
            words,
        }
    }
}

impl Worker {
    /// Takes an exchange into the ledger, and puts the walk's next step into the queue.
    pub(super) fn absorb(&self, state: &mut State, flight: Flight, ending: &Ending<'_>) {
        let (plan, job) = (&self.plan, &flight.job);
        let steps = plan.scenario.flows()[flight.flow].steps.len();
        let goes_on = ending.outcome == Outcome::Ok && job.step + 1 < steps;
        // A response can be complete before the request is: an early refusal. The clock must not run backwards.
        let done = ending.done.max(ending.sent.unwrap_or(job.dispatched));
        let exchange = Exchange {
            due: job.due,
            dispatched: Some(job.dispatched),
            sent: ending.sent,
            done,
            outcome: ending.outcome,
            status: ending.status,
        };
        let phase_end = plan.schedule.bounds(job.phase).1;
        let walk_end = (!goes_on).then_some(WalkEnd {
            arrival: job.arrival_due,
            phase_end,
        });
        let place = Place {
            phase: job.phase,
            flow: flight.flow,
            step: job.step,
        };
        state.ledger.absorb(place, &exchange, walk_end);
        if let Some(part) = state
            .windows
            .record(job.phase, job.due, ending.outcome, done - job.due)
        {
            // Whoever collects the parts outlives the workers, unless the run was given up.
            let _ = self.parts.send(part);
        }
        if ending.outcome != Outcome::Ok {
            self.remember(state, &flight, done, ending);
        }
        if goes_on {
            let phase = plan.schedule.phase_at(done);
            state.ledger.phases[phase].due += 1;
            let dispatched = self.clock.now().max(done);
            state.queue.push(Job {
                due: done,
                step: job.step + 1,
                phase,
                dispatched,
                stillborn: 0,
                ..*job
            });
        } else if let Some(closed) = &self.closed[job.home] {
            self.come_again(state, closed, job.arrival, done);
        }
    }

    /// Starts the next walk of a user whose last one ended at `done`, unless load is no longer offered.
    fn come_again(&self, state: &mut State, closed: &Closed, last: u64, done: u64) {
        let next = closed
            .after(last, done)
            .filter(|_| state.stage == Stage::Offering);
        let Some(arrival) = next else {
            state.users -= 1;
            if state.users == 0 {
                // The last user may have been what the dispatcher waited for; an error shows when it arms the timer.
                let _ = self.pacer.ring();
            }
            return;
        };
        let tally = &mut state.ledger.phases[arrival.phase];
        tally.arrivals += 1;
        tally.due += 1;
        let dispatched = self.clock.now().max(done);
        state.queue.push(first_step(arrival, dispatched));
    }

    /// Remembers the first failure of its kind.
    #[cold]
    fn remember(&self, state: &mut State, flight: &Flight, done: u64, ending: &Ending<'_>) {
        let outcome = ending.outcome;
        if state.failures.iter().any(|(known, _)| *known == outcome) {
            return;
        }
        let flow = &self.plan.scenario.flows()[flight.flow];
        let step = &flow.steps[flight.job.step];
        let mut path = Vec::new();
        step.request
            .path
            .render(&self.plan.draw(&flight.job), &mut path);
        let failure = Failure {
            at_ns: done,
            step: format!("{}/{}", flow.name, step.name),
            outcome: outcome.words().into(),
            what: format!(
                "{} {} → {}",
                step.request.method,
                String::from_utf8_lossy(&path),
                ending.words
            ),
        };
        state.failures.push((outcome, failure));
    }

    /// Ends what is still there: in flight is unfinished, waiting is unsent.
    pub(super) fn abandon(&self) {
        let now = self.clock.now();
        let state = &mut *self.state.borrow_mut();
        state.stage = Stage::Over;
        for id in 0..state.slots.len() {
            let link = state.slots[id].link.as_ref();
            let sent = link.and_then(Link::sent);
            let Some(flight) = state.end(id) else {
                continue;
            };
            let outcome = if sent.is_some() {
                Outcome::Unfinished
            } else {
                Outcome::Unsent
            };
            let ending = Ending {
                sent,
                done: now,
                outcome,
                status: None,
                words: &"the run ended",
            };
            self.absorb(state, flight, &ending);
        }
        while let Some(job) = state.queue.pop() {
            let words = &"no connection was free before the run ended";
            let ending = Ending::unsent(now, Outcome::Unsent, words);
            self.absorb(state, self.flight(job), &ending);
        }
    }
}
