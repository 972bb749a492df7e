//! Readings over a run of any length, evenly spaced, and never more than a record keeps.

use super::{MOMENTS, Moment};

/// Takes readings as they come and keeps them at an even spacing: when there are too many, every second one goes, and from
/// then on every second one is taken.
#[derive(Debug, Clone)]
pub struct Timeline {
    /// Nanoseconds from one moment to the next.
    every_ns: u64,
    /// By how much a reading may come before its time.
    early_ns: u64,
    moments: Vec<Moment>,
}

impl Timeline {
    /// A timeline of readings that come about every `every_ns` nanoseconds, which is above zero.
    #[must_use]
    pub fn new(every_ns: u64) -> Self {
        Self {
            every_ns,
            early_ns: every_ns / 4,
            moments: Vec::new(),
        }
    }

    /// Takes a reading in, unless there is one of that place already. Readings come in the order of time.
    pub fn take(&mut self, moment: Moment) {
        if !self.is_later(&moment) {
            return;
        }
        while self.moments.len() >= MOMENTS {
            self.thin_out();
        }
        // The place that it would have had may be gone.
        if self.is_later(&moment) {
            self.moments.push(moment);
        }
    }

    /// The readings that were kept, in order.
    #[must_use]
    pub fn into_moments(self) -> Vec<Moment> {
        self.moments
    }

    fn is_later(&self, moment: &Moment) -> bool {
        let last = self.moments.last();
        last.is_none_or(|last| self.place(last) < self.place(moment))
    }

    /// The place of a reading on the even grid.
    fn place(&self, moment: &Moment) -> u64 {
        (moment.at_ns + self.early_ns) / self.every_ns
    }

    /// Keeps every second place.
    fn thin_out(&mut self) {
        let places = self.moments.iter().map(|moment| self.place(moment));
        let keep: Vec<bool> = places.map(|place| place.is_multiple_of(2)).collect();
        let mut keep = keep.into_iter();
        self.moments.retain(|_| keep.next().unwrap_or(false));
        self.every_ns = self.every_ns.saturating_mul(2);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SECOND: u64 = 1_000_000_000;

    fn at(at_ns: u64) -> Moment {
        Moment {
            at_ns,
            memory_bytes: Some(at_ns),
            cpu_ns: None,
        }
    }

    fn seconds(timeline: Timeline) -> Vec<u64> {
        let moments = timeline.into_moments().into_iter();
        moments.map(|moment| moment.at_ns / SECOND).collect()
    }

    #[test]
    fn a_short_run_keeps_every_reading() {
        let mut timeline = Timeline::new(SECOND);
        (0..MOMENTS as u64).for_each(|second| timeline.take(at(second * SECOND)));
        let all: Vec<u64> = (0..MOMENTS as u64).collect();
        assert_eq!(seconds(timeline), all);
    }

    #[test]
    fn an_hour_is_spaced_by_sixteen_seconds() {
        let mut timeline = Timeline::new(SECOND);
        (0..=3_600).for_each(|second| timeline.take(at(second * SECOND)));
        let spaced: Vec<u64> = (0..=3_600).step_by(16).collect();
        assert_eq!(seconds(timeline), spaced);
    }

    #[test]
    fn a_reading_that_comes_too_early_is_one_of_the_place_before() {
        let mut timeline = Timeline::new(SECOND);
        for ms in [0, 400, 1_003, 1_400, 2_001, 4_000] {
            timeline.take(at(ms * 1_000_000));
        }
        assert_eq!(seconds(timeline), [0, 1, 2, 4]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn there_are_never_too_many_and_the_first_stays(gaps in prop::collection::vec(1u64..5 * SECOND, 1..2_000)) {
            let mut timeline = Timeline::new(SECOND);
            let mut now = 0;
            timeline.take(at(0));
            for gap in gaps {
                now += gap;
                timeline.take(at(now));
                prop_assert!(timeline.moments.len() <= MOMENTS);
            }
            prop_assert_eq!(timeline.moments[0].at_ns, 0);
            let each_has_a_place = (timeline.moments)
                .windows(2)
                .all(|pair| timeline.place(&pair[0]) < timeline.place(&pair[1]));
            prop_assert!(each_has_a_place);
        }
    }
}
