//! How many requests a service works on at once. Beyond that it says no while it still can.

use contract::Failure;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// Counts the requests in flight. Cheap to clone; clones share the count.
#[derive(Debug, Clone)]
pub struct Admission {
    in_flight: Arc<AtomicU32>,
    most: NonZeroU32,
}

/// Counts one request as in flight for as long as it lives.
#[derive(Debug)]
#[must_use = "the request counts for as long as the permit lives"]
pub struct Permit(Arc<AtomicU32>);

impl Admission {
    /// Admits `most` requests at once.
    #[must_use]
    pub fn new(most: NonZeroU32) -> Self {
        Self {
            in_flight: Arc::default(),
            most,
        }
    }

    /// Admits a request, if there is room for it. It never waits.
    ///
    /// # Errors
    /// [`Failure::Overloaded`] (503).
    pub fn admit(&self) -> Result<Permit, Failure> {
        let more = |in_flight| (in_flight < self.most.get()).then_some(in_flight + 1);
        self.in_flight
            .try_update(Ordering::Relaxed, Ordering::Relaxed, more)
            .map(|_| Permit(Arc::clone(&self.in_flight)))
            .map_err(|_| Failure::Overloaded)
    }

    /// Requests in flight now.
    #[must_use]
    pub fn in_flight(&self) -> u32 {
        self.in_flight.load(Ordering::Relaxed)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_given_back_with_the_permit() {
        let admission = Admission::new(NonZeroU32::new(2).unwrap());
        let first = admission.admit().unwrap();
        let second = admission.clone().admit().unwrap();
        assert_eq!(admission.admit().unwrap_err(), Failure::Overloaded);
        assert_eq!(admission.in_flight(), 2);
        drop(first);
        let third = admission.admit().unwrap();
        assert_eq!(admission.admit().unwrap_err(), Failure::Overloaded);
        drop((second, third));
        assert_eq!(admission.in_flight(), 0);
    }

    #[test]
    fn threads_together_never_exceed_the_most() {
        let admission = Admission::new(NonZeroU32::new(3).unwrap());
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..10_000 {
                        let permit = admission.admit();
                        assert!(admission.in_flight() <= 3);
                        drop(permit);
                    }
                });
            }
        });
        assert_eq!(admission.in_flight(), 0);
    }
}
