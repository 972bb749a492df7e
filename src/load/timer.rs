//! When exchanges time out: one moment per connection, at next to no cost for an exchange that ends in time.
//!
//! Every exchange has the same timeout, so a connection's deadline only moves later. Each connection therefore has one
//! entry in a heap at most: what it says may be too early by the time it comes up, and is then corrected. An exchange
//! costs a store, not a change of the heap.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// The deadlines of connections, by their numbers.
#[derive(Debug, Default)]
pub(super) struct Deadlines {
    current: Vec<Deadline>,
    heap: BinaryHeap<Reverse<(u64, usize)>>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Deadline {
    at: Option<u64>,
    /// Whether the heap has an entry for it.
    queued: bool,
}

impl Deadlines {
    /// Sets the deadline of connection `id`, which is no earlier than the one it had before.
    pub(super) fn set(&mut self, id: usize, at: u64) {
        if self.current.len() <= id {
            self.current.resize(id + 1, Deadline::default());
        }
        let deadline = &mut self.current[id];
        deadline.at = Some(at);
        if !deadline.queued {
            deadline.queued = true;
            self.heap.push(Reverse((at, id)));
        }
    }

    /// Connection `id` has no deadline any more.
    pub(super) fn clear(&mut self, id: usize) {
        if let Some(deadline) = self.current.get_mut(id) {
            deadline.at = None;
        }
    }

    /// No deadline comes before this moment.
    pub(super) fn next(&self) -> Option<u64> {
        self.heap.peek().map(|Reverse((at, _))| *at)
    }

    /// Takes a connection whose deadline has come.
    pub(super) fn expired(&mut self, now: u64) -> Option<usize> {
        while let Some(&Reverse((at, id))) = self.heap.peek().filter(|Reverse((at, _))| *at <= now)
        {
            debug_assert!(at <= now);
            self.heap.pop();
            let deadline = &mut self.current[id];
            match deadline.at {
                Some(later) if later > now => self.heap.push(Reverse((later, id))),
                current => {
                    *deadline = Deadline::default();
                    if current.is_some() {
                        return Some(id);
                    }
                }
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all_expired(deadlines: &mut Deadlines, now: u64) -> Vec<usize> {
        std::iter::from_fn(|| deadlines.expired(now)).collect()
    }

    #[test]
    fn a_deadline_comes_up_once_at_its_latest_moment() {
        let mut deadlines = Deadlines::default();
        deadlines.set(3, 10);
        deadlines.set(1, 12);
        deadlines.set(3, 20);
        assert_eq!(deadlines.next(), Some(10));
        assert_eq!(all_expired(&mut deadlines, 11), [0; 0]);
        assert_eq!(deadlines.next(), Some(12));
        assert_eq!(all_expired(&mut deadlines, 12), [1]);
        assert_eq!(all_expired(&mut deadlines, 30), [3]);
        assert_eq!(deadlines.next(), None);
    }

    #[test]
    fn what_was_cleared_does_not_come_up_and_may_be_set_again() {
        let mut deadlines = Deadlines::default();
        deadlines.clear(7);
        deadlines.set(0, 10);
        deadlines.clear(0);
        deadlines.set(0, 15);
        deadlines.clear(0);
        assert_eq!(all_expired(&mut deadlines, 16), [0; 0]);
        deadlines.set(0, 18);
        assert_eq!(all_expired(&mut deadlines, 18), [0]);
    }

    #[test]
    fn a_connection_has_one_entry_however_many_exchanges_it_carries() {
        let mut deadlines = Deadlines::default();
        for moment in 0..10_000 {
            deadlines.set(0, moment + 100);
            deadlines.clear(0);
        }
        assert_eq!(deadlines.heap.len(), 1);
    }
}
