//! What workers tell each other of their pools: how many connections each has in use.
//!
//! The split of arrivals and connections over workers is fixed, so one worker's queue may wait while another's connections
//! rest. Nothing is moved then, since that would need a lock for each exchange; it is counted, and told.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The pools of all workers.
#[derive(Debug, Clone)]
pub(super) struct Pools(Arc<[Pool]>);

/// One worker's, on a cache line of its own: each worker writes its own at every exchange, and reads others' only when it
/// has no connection left itself.
#[derive(Debug)]
#[repr(align(64))]
struct Pool {
    connections: usize,
    in_use: AtomicUsize,
}

/// A worker's view of them.
#[derive(Debug)]
pub(super) struct OwnPool {
    pools: Pools,
    index: usize,
}

impl Pools {
    /// Pools of so many connections each.
    pub(super) fn new(connections: impl IntoIterator<Item = usize>) -> Self {
        let pools = connections.into_iter().map(|connections| Pool {
            connections,
            in_use: AtomicUsize::new(0),
        });
        Self(pools.collect())
    }

    /// The view of worker `index`.
    pub(super) fn own(&self, index: usize) -> OwnPool {
        OwnPool {
            pools: self.clone(),
            index,
        }
    }
}

impl OwnPool {
    /// Tells the others how many connections are in use.
    pub(super) fn tell(&self, in_use: usize) {
        // The figure stands for itself: nothing else is read because of it.
        self.pools.0[self.index]
            .in_use
            .store(in_use, Ordering::Relaxed);
    }

    /// Whether another worker has a connection that carries nothing, or may open one.
    pub(super) fn others_have_room(&self) -> bool {
        let mut others = self.pools.0.iter().enumerate();
        others.any(|(index, pool)| {
            index != self.index && pool.in_use.load(Ordering::Relaxed) < pool.connections
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_sees_whether_another_has_room() {
        let pools = Pools::new([2, 1]);
        let (first, second) = (pools.own(0), pools.own(1));
        second.tell(1);
        assert!(!first.others_have_room());
        assert!(second.others_have_room());
        first.tell(2);
        assert!(!second.others_have_room());
        first.tell(1);
        assert!(second.others_have_room());
        assert!(!Pools::new([1]).own(0).others_have_room());
    }
}
