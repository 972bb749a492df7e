//! How long a worker looked away: the time between two polls of the reactor.
//!
//! A response that arrives meanwhile is read late by at most one turn. Tokio tells when a thread parks and wakes;
//! between the two it polls the reactor once every [`EVENT_INTERVAL`] tasks, so polls of our tasks are counted and
//! a turn ends with each such batch. The figure is an upper bound, since a batch counted here may span two of
//! Tokio's.

use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use super::clock::monotonic;
use crate::histogram::Histogram;

/// Tasks polled between two looks at the reactor. Tokio's 61 would let a turn grow to a millisecond at some 15 µs
/// an exchange; with 8 it stays near a tenth of that, and an `epoll_wait` that does not wait costs about 1 µs.
pub(super) const EVENT_INTERVAL: u32 = 8;

thread_local! {
    static METER: RefCell<Meter> =
        const { RefCell::new(Meter { since: None, polls: 0, turns: Histogram::new() }) };
}

struct Meter {
    /// When the reactor was last polled; none while the thread is parked.
    since: Option<u64>,
    polls: u32,
    turns: Histogram,
}

/// A task whose polls are counted.
pub(super) struct Counted<F>(Pin<Box<F>>);

impl<F: Future> Counted<F> {
    pub(super) fn new(task: F) -> Self {
        Self(Box::pin(task))
    }
}

impl<F: Future> Future for Counted<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        polled();
        self.0.as_mut().poll(context)
    }
}

/// To be called when the thread wakes.
pub(super) fn unparked() {
    METER.with_borrow_mut(|meter| {
        meter.since = Some(monotonic());
        meter.polls = 0;
    });
}

/// To be called when the thread parks.
pub(super) fn parked() {
    METER.with_borrow_mut(|meter| {
        if let Some(since) = meter.since.take() {
            meter.turns.record(monotonic().saturating_sub(since));
        }
    });
}

/// To be called by a task that looks at the clock all the time, with what the clock says, whenever it is polled again:
/// the reactor was polled in between. Whether no other task was: that is then no turn, since nobody looked away.
pub(super) fn looked(now: u64) -> bool {
    METER.with_borrow_mut(|meter| {
        let alone = meter.polls <= 1;
        if let Some(since) = meter.since.replace(now)
            && !alone
        {
            meter.turns.record(now.saturating_sub(since));
        }
        meter.polls = 0;
        alone
    })
}

/// The turns since the last call.
pub(super) fn take() -> Histogram {
    METER.with_borrow_mut(|meter| std::mem::take(&mut meter.turns))
}

fn polled() {
    METER.with_borrow_mut(|meter| {
        meter.polls += 1;
        if meter.polls >= EVENT_INTERVAL {
            let now = monotonic();
            if let Some(since) = meter.since.replace(now) {
                meter.turns.record(now.saturating_sub(since));
            }
            meter.polls = 0;
        }
    });
}
