//! Loads that begin together.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::sync::Barrier;

use crate::load;
use crate::units::nanoseconds;

/// One of several loads that begin at the same moment, each by its share of the gap between arrivals later than the one before:
/// their arrivals alternate.
#[derive(Debug, Clone)]
pub struct Together {
    all: Arc<Meeting>,
    after: Duration,
}

#[derive(Debug)]
struct Meeting {
    prepared: Barrier,
    start: OnceLock<u64>,
}

impl Together {
    /// A place for each of `N` loads with one arrival in every `gap`.
    #[must_use]
    pub fn each<const N: usize>(gap: Duration) -> [Self; N] {
        let all = Arc::new(Meeting {
            prepared: Barrier::new(N),
            start: OnceLock::new(),
        });
        std::array::from_fn(|place| Self {
            all: Arc::clone(&all),
            after: gap.mul_f64(place as f64 / N as f64),
        })
    }

    /// Waits until every load is prepared; when this one is to begin, by the monotonic clock in nanoseconds.
    pub(super) async fn start(&self) -> u64 {
        self.all.prepared.wait().await;
        let start = *self.all.start.get_or_init(load::soon);
        start.saturating_add(nanoseconds(self.after))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn loads_begin_a_share_of_the_gap_apart() {
        let [one, two] = Together::each(Duration::from_millis(3));
        let (one, two) = tokio::join!(one.start(), two.start());
        assert_eq!(two - one, 1_500_000);
    }
}
