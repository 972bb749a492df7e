//! The end of an exchange: into the ledger with it, and on to what follows from it.

use std::fmt;

use super::Worker;
use super::state::{Flight, Stage, State};
use crate::exchange::{Exchange, Outcome};
use crate::ledger::{Place, WalkEnd};
use crate::load::Told;
use crate::load::http1::Answer;
use crate::load::link::Link;
use crate::load::queue::Job;
use crate::run_record::Failure;
use crate::scenario::{Next, Unmet};
use crate::schedule::{Closed, Gone};
use crate::units::nanoseconds;

/// How an exchange ended.
pub(super) struct Ending<'a> {
    pub(super) sent: Option<u64>,
    pub(super) done: u64,
    pub(super) outcome: Outcome,
    pub(super) status: Option<u16>,
    /// What to tell of it if it is the first of its kind.
    pub(super) words: &'a dyn fmt::Display,
    /// The response as it is shown, where it is to be remembered.
    pub(super) response: Option<String>,
}

impl<'a> Ending<'a> {
    /// How an exchange ended of which nothing was sent.
    pub(super) fn unsent(done: u64, outcome: Outcome, words: &'a dyn fmt::Display) -> Self {
        Self {
            sent: None,
            done,
            outcome,
            status: None,
            words,
            response: None,
        }
    }
}

impl Worker {
    /// Takes an exchange of which `answer` came on link `id` into the ledger: checks it, and captures from it what the walk
    /// is to remember.
    pub(super) fn conclude(
        &self,
        state: &mut State,
        id: usize,
        flight: &mut Flight,
        answer: &Answer,
    ) {
        let failed;
        let (outcome, status, words): (_, _, &dyn fmt::Display) = match &answer.result {
            Ok(status) => {
                failed = self.inspect(state, id, flight, *status);
                match &failed {
                    None if self.plan.step(flight).inspection.status.contains(*status) => {
                        (Outcome::Ok, Some(*status), status)
                    }
                    None => (Outcome::StatusError, Some(*status), status),
                    Some(unmet) => (unmet.outcome(), Some(*status), unmet),
                }
            }
            Err(failure) => {
                let (outcome, words) = failure.outcome();
                (outcome, None, words)
            }
        };
        let response = match status {
            Some(status) if outcome != Outcome::Ok => self.shown(state, id, outcome, status),
            _ => None,
        };
        let ending = Ending {
            sent: answer.sent,
            done: answer.done,
            outcome,
            status,
            words,
            response,
        };
        self.absorb(state, *flight, &ending);
    }

    /// Keeps the cookies of the response on link `id`; checks one with an expected status, and captures from it.
    fn inspect(
        &self,
        state: &mut State,
        id: usize,
        flight: &mut Flight,
        status: u16,
    ) -> Option<Unmet> {
        let (plan, step) = (&self.plan, self.plan.step(flight));
        let looks = step.inspection.keep().anything() && step.inspection.status.contains(status);
        if !looks && !step.request.cookies {
            return None;
        }
        let State { slots, memory, .. } = state;
        let content = slots[id].link.as_ref()?.content();
        if step.request.cookies {
            let request = &plan.requests[flight.flow][flight.job.at.step as usize];
            memory.keep_cookies(plan, &self.clock, &mut flight.job, request, content);
        }
        if !looks {
            return None;
        }
        let captured = if step.inspection.captures_anything() {
            let values = plan.scenario.flows()[flight.flow].captured.len();
            memory.walks.room(&mut flight.job.walk, values)
        } else {
            &mut []
        };
        step.inspection.inspect(content, captured).err()
    }

    /// The response on link `id` as it is shown, if it is the first of its kind.
    #[cold]
    fn shown(&self, state: &State, id: usize, outcome: Outcome, status: u16) -> Option<String> {
        let first = !state.failures.iter().any(|(known, _)| *known == outcome);
        let link = state.slots[id].link.as_ref().filter(|_| first)?;
        Some(self.plan.given.known.conceal(&link.content().show(status)))
    }

    /// Takes an exchange into the ledger, and puts the walk's next step into the queue.
    pub(super) fn absorb(&self, state: &mut State, flight: Flight, ending: &Ending<'_>) {
        let (plan, job) = (&self.plan, &flight.job);
        let flow = &plan.scenario.flows()[flight.flow];
        // A response can be complete before the request is: an early refusal. The clock must not run backwards.
        let done = ending.done.max(ending.sent.unwrap_or(job.dispatched));
        let next = if ending.outcome == Outcome::Ok && !(flow.is_single() && flow.never_pauses()) {
            let walk = (plan.scenario.seed(), job.arrival);
            flow.next(job.at, walk, state.memory.walks.captured(job.walk))
        } else {
            Next::END
        };
        let exchange = Exchange {
            due: job.due,
            dispatched: Some(job.dispatched),
            sent: ending.sent,
            done,
            outcome: ending.outcome,
            status: ending.status,
        };
        let walk_end = next.step.is_none().then(|| WalkEnd {
            arrival: job.arrival_due,
            home: job.home,
            // A walk that was ok may have skipped steps, but missed none.
            unreached_from: match ending.outcome {
                Outcome::Ok => flow.steps.len(),
                _ => flow.unreached_from(job.at, true),
            },
            // What the walk paused is no fault of the target's.
            kept_up_by: (plan.schedule.bounds(job.home).1).saturating_add(job.thought),
        });
        let place = Place {
            phase: job.phase,
            flow: flight.flow,
            step: job.at.step as usize,
        };
        state.ledger.absorb(place, &exchange, walk_end);
        if let Some(part) = state.windows.record(job.phase, &exchange) {
            self.tell(Told::Part(Box::new(part)));
        }
        if ending.outcome != Outcome::Ok {
            self.remember(state, &flight, done, ending);
        }
        let pause = nanoseconds(next.pause);
        let due = done.saturating_add(pause);
        if let Some(at) = next.step {
            let phase = plan.schedule.phase_at(due);
            let job = Job {
                due,
                at,
                phase,
                thought: job.thought.saturating_add(pause),
                stillborn: 0,
                ..*job
            };
            if pause > 0 {
                state.queue.plan(job);
                self.mind_planned(due);
            } else {
                state.ledger.phases[phase].due += 1;
                let dispatched = self.clock.now().max(done);
                state.queue.push(Job { dispatched, ..job });
            }
        } else if let Some(closed) = &self.closed[job.home] {
            self.come_again(state, closed, job, due, ending.sent.is_some());
        } else {
            state.memory.walks.end(job.walk);
        }
    }

    /// Wakes the dispatcher no later than `due`, on the run's axis.
    fn mind_planned(&self, due: u64) {
        // An error of the timer's would have shown when the dispatcher armed it.
        let _ = self.pacer.no_later_than(self.clock.absolute(due));
    }

    /// Starts the next walk of the user whose last one was that of `last`, at `due`, unless load is no longer offered.
    fn come_again(&self, state: &mut State, closed: &Closed, last: &Job, due: u64, sent: bool) {
        let next = match state.stage {
            Stage::Offering => closed.after(last.arrival, due),
            _ => Err(Gone::Over),
        };
        let arrival = match next {
            Ok(arrival) => arrival,
            Err(gone) => {
                state.note(gone);
                state.memory.walks.end(last.walk);
                state.users -= 1;
                if state.users == 0 {
                    // The last user may have been what the dispatcher waited for; an error shows when it arms the timer.
                    let _ = self.pacer.ring();
                }
                return;
            }
        };
        let now = self.clock.now();
        let job = Job {
            walk: state.memory.walks.end_for_user(last.walk),
            ..Job::first(arrival, now.max(due))
        };
        // Where nothing could be sent, the reactor has its turn before the next try: that may fail at once, too.
        if due > now || !sent {
            state.queue.plan(job);
            return self.mind_planned(due);
        }
        let tally = &mut state.ledger.phases[arrival.phase];
        tally.arrivals += 1;
        tally.due += 1;
        state.queue.push(job);
    }

    /// Remembers the first failure of its kind.
    #[cold]
    fn remember(&self, state: &mut State, flight: &Flight, done: u64, ending: &Ending<'_>) {
        let outcome = ending.outcome;
        if state.failures.iter().any(|(known, _)| *known == outcome) {
            return;
        }
        let flow = &self.plan.scenario.flows()[flight.flow];
        let step = self.plan.step(flight);
        // With what the scenario says, and not with what it was given: that may be secret.
        let (job, request) = (&flight.job, &step.request);
        let beside = state.memory.beside(&self.plan, &self.clock, job, request);
        let path = match beside {
            Ok(beside) => request.path.show(&job.draw(&self.plan, &beside)),
            Err(_) => request.path.to_string(),
        };
        let known = &self.plan.given.known;
        let failure = Failure {
            at_ns: done,
            step: format!("{}/{}", flow.name, step.name),
            outcome: outcome.words().into(),
            what: known.conceal(&format!(
                "{} {path} → {}",
                step.request.method, ending.words
            )),
            response: ending.response.clone(),
        };
        state.failures.push((outcome, failure));
    }

    /// Ends what is still there: in flight is unfinished, waiting is unsent.
    pub(super) fn abandon(&self) {
        let now = self.clock.now();
        let state = &mut *self.state.borrow_mut();
        state.stage = Stage::Over;
        // Walks that pause beyond the end do not come to their next step.
        for job in state.queue.drop_planned() {
            let flow = self.flight(job).flow;
            let from = self.plan.scenario.flows()[flow].unreached_from(job.at, false);
            state.ledger.cut_short(job.home, flow, from);
        }
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
                response: None,
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
