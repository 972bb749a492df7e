//! When each arrival is due: a pure function of (phases, seed), with an integer clock.
//!
//! Phases lie end to end on one axis of nanoseconds. A [`Cursor`] walks the arrivals in order; it is small, cheap to
//! clone, and two cursors never disagree, so a due moment is recomputed wherever it is needed and never stored or
//! rounded. Arrivals are numbered from 0 over the whole run; a worker owns those with `number mod workers == worker`.

use std::sync::Arc;

use crate::random::{self, Stream};
use crate::scenario::{Arrivals, LoadModel, Phase};
use crate::units::Rate;

/// The arrivals of a run.
#[derive(Debug, Clone)]
pub struct Schedule {
    phases: Vec<Span>,
    seed: u64,
    at_most: u64,
}

/// One phase on the run's axis, in nanoseconds.
#[derive(Debug, Clone, Copy)]
struct Span {
    start: u64,
    end: u64,
    rate: Rate,
    arrivals: Arrivals,
    warmup: bool,
}

/// One moment at which the open model starts a flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arrival {
    /// Its number over the whole run, from 0.
    pub number: u64,
    /// The phase in which it is due, from 0.
    pub phase: usize,
    /// When it is due, in nanoseconds from the start of the run.
    pub due: u64,
}

/// A place in the schedule: the next arrival of one worker's share, and all that is needed to find those after it.
#[derive(Debug, Clone)]
pub struct Cursor {
    schedule: Arc<Schedule>,
    worker: u64,
    workers: u64,
    next: Option<Arrival>,
    /// Nanoseconds from the phase's start to the next arrival: whole, and the remainder in `1 / rate.count()` ns.
    offset: u64,
    remainder: u64,
    /// The place of the next arrival in its phase, from 0.
    in_phase: u64,
    measured: u64,
}

impl Schedule {
    /// The schedule of `phases`, of which the Poisson ones draw their gaps from `seed`.
    #[must_use]
    pub fn new(phases: &[Phase], seed: u64) -> Self {
        let mut start = 0u64;
        let phases = phases
            .iter()
            .map(|phase| {
                let LoadModel::Open { rate, arrivals } = phase.model;
                let end = start + nanoseconds(phase.duration);
                let span = Span {
                    start,
                    end,
                    rate,
                    arrivals,
                    warmup: phase.warmup,
                };
                start = end;
                span
            })
            .collect();
        Self {
            phases,
            seed,
            at_most: u64::MAX,
        }
    }

    /// The same schedule, ending after `arrivals` measured ones.
    #[must_use]
    pub fn at_most(self, arrivals: u64) -> Self {
        Self {
            at_most: arrivals,
            ..self
        }
    }

    /// When a phase starts and ends, in nanoseconds from the start of the run.
    #[must_use]
    pub fn bounds(&self, phase: usize) -> (u64, u64) {
        (self.phases[phase].start, self.phases[phase].end)
    }

    /// The phase in which a moment lies; what is due after the last phase belongs to it.
    #[must_use]
    pub fn phase_at(&self, moment: u64) -> usize {
        let after = self.phases.iter().position(|phase| moment < phase.end);
        after.unwrap_or(self.phases.len().saturating_sub(1))
    }

    /// When the last phase ends.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.phases.last().map_or(0, |phase| phase.end)
    }

    /// Every arrival, in order.
    #[must_use]
    pub fn arrivals(self: &Arc<Self>) -> Cursor {
        self.share(0, 1)
    }

    /// The arrivals of one of `workers` workers, in order.
    #[must_use]
    pub fn share(self: &Arc<Self>, worker: usize, workers: usize) -> Cursor {
        let mut cursor = Cursor {
            schedule: Arc::clone(self),
            worker: worker as u64,
            workers: workers as u64,
            next: None,
            offset: 0,
            remainder: 0,
            in_phase: 0,
            measured: 0,
        };
        cursor.next = cursor.enter(0, 0);
        cursor.skip_others();
        cursor
    }
}

impl Cursor {
    /// The next arrival, without passing it.
    #[must_use]
    pub fn peek(&self) -> Option<Arrival> {
        self.next
    }

    /// Whether the limit of [`Schedule::at_most`] ended it, and not the last phase.
    #[must_use]
    pub fn is_cut(&self) -> bool {
        self.next.is_none() && self.measured == self.schedule.at_most
    }

    /// Goes on to the next arrival of any worker.
    fn step(&mut self) {
        let Some(passed) = self.next else { return };
        let span = self.schedule.phases[passed.phase];
        self.in_phase += 1;
        match span.arrivals {
            Arrivals::Constant => {
                // The k-th is due after floor(k · per / count) ns: carried as quotient and remainder, so exact for ever.
                let (count, per) = (span.rate.count(), span.rate.per_ns());
                self.offset += per / count;
                self.remainder += per % count;
                if self.remainder >= count {
                    self.remainder -= count;
                    self.offset += 1;
                }
            }
            Arrivals::Poisson => {
                self.offset = self
                    .offset
                    .saturating_add(self.gap(passed.phase, self.in_phase));
            }
        }
        let number = passed.number + 1;
        let due = span.start.saturating_add(self.offset);
        self.next = if due < span.end {
            self.arrival(number, passed.phase, due)
        } else {
            self.enter(passed.phase + 1, number)
        };
    }

    /// The first arrival in `phase` or after it.
    fn enter(&mut self, phase: usize, number: u64) -> Option<Arrival> {
        for phase in phase..self.schedule.phases.len() {
            let span = self.schedule.phases[phase];
            (self.in_phase, self.remainder) = (0, 0);
            self.offset = match span.arrivals {
                Arrivals::Constant => 0,
                Arrivals::Poisson => self.gap(phase, 0),
            };
            let due = span.start.saturating_add(self.offset);
            if due < span.end {
                return self.arrival(number, phase, due);
            }
        }
        None
    }

    fn arrival(&mut self, number: u64, phase: usize, due: u64) -> Option<Arrival> {
        if !self.schedule.phases[phase].warmup {
            if self.measured == self.schedule.at_most {
                return None;
            }
            self.measured += 1;
        }
        Some(Arrival { number, phase, due })
    }

    /// The exponential gap before the k-th arrival of a Poisson phase, to the nearest nanosecond, by inversion.
    fn gap(&self, phase: usize, k: u64) -> u64 {
        let rate = self.schedule.phases[phase].rate;
        let mean = rate.per_ns() as f64 / rate.count() as f64;
        let uniform = random::unit(random::bits(
            self.schedule.seed,
            Stream::Gap,
            &[phase as u64, k],
        ));
        (-uniform.ln() * mean).round() as u64
    }

    fn skip_others(&mut self) {
        while self
            .next
            .is_some_and(|next| next.number % self.workers != self.worker)
        {
            self.step();
        }
    }
}

impl Iterator for Cursor {
    type Item = Arrival;

    fn next(&mut self) -> Option<Arrival> {
        let passed = self.next?;
        self.step();
        self.skip_others();
        Some(passed)
    }
}

/// A duration on the run's axis. Scenarios bound their phases far below the 584 years that fit.
fn nanoseconds(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use proptest::prelude::*;

    fn phase(rate: Rate, arrivals: Arrivals, duration_ms: u64, warmup: bool) -> Phase {
        Phase {
            name: "p".into(),
            model: LoadModel::Open { rate, arrivals },
            duration: Duration::from_millis(duration_ms),
            warmup,
        }
    }

    fn planned(phases: &[Phase], seed: u64) -> Arc<Schedule> {
        Arc::new(Schedule::new(phases, seed))
    }

    fn phases() -> impl Strategy<Value = Vec<Phase>> {
        let one = (
            1u64..5_000,
            1u64..4,
            prop::bool::ANY,
            1u64..400,
            prop::bool::ANY,
        )
            .prop_map(|(count, seconds, poisson, duration_ms, warmup)| {
                let rate = Rate::new(count, seconds * 1_000_000_000).unwrap();
                let arrivals = if poisson {
                    Arrivals::Poisson
                } else {
                    Arrivals::Constant
                };
                phase(rate, arrivals, duration_ms, warmup)
            });
        prop::collection::vec(one, 1..4)
    }

    proptest! {
        #[test]
        fn arrivals_are_in_order_numbered_and_inside_their_phase(phases in phases(), seed: u64) {
            let schedule = planned(&phases, seed);
            let mut last = 0;
            for (number, arrival) in schedule.arrivals().enumerate() {
                prop_assert_eq!(arrival.number, number as u64);
                prop_assert!(arrival.due >= last);
                let (start, end) = schedule.bounds(arrival.phase);
                prop_assert!((start..end).contains(&arrival.due));
                last = arrival.due;
            }
        }

        #[test]
        fn a_constant_phase_has_every_multiple_of_its_gap_rounded_down(count in 1u64..5_000, duration_ms in 1u64..3_000) {
            let rate = Rate::new(count, 1_000_000_000).unwrap();
            let schedule = planned(&[phase(rate, Arrivals::Constant, duration_ms, false)], 1);
            let due: Vec<u64> = schedule.arrivals().map(|arrival| arrival.due).collect();
            let expected: Vec<u64> = (0..)
                .map(|k| k * 1_000_000_000 / count)
                .take_while(|&due| due < duration_ms * 1_000_000)
                .collect();
            prop_assert_eq!(due, expected);
        }

        #[test]
        fn the_shares_of_all_workers_together_are_the_whole(phases in phases(), seed: u64, workers in 1usize..5) {
            let schedule = planned(&phases, seed);
            let mut shares: Vec<Arrival> = (0..workers).flat_map(|worker| schedule.share(worker, workers)).collect();
            shares.sort_by_key(|arrival| arrival.number);
            prop_assert_eq!(shares, schedule.arrivals().collect::<Vec<_>>());
        }

        #[test]
        fn the_same_seed_gives_the_same_schedule_and_a_clone_goes_on_alike(phases in phases(), seed: u64, at in 0usize..50) {
            let schedule = planned(&phases, seed);
            let mut cursor = schedule.arrivals();
            cursor.by_ref().take(at).for_each(drop);
            prop_assert_eq!(cursor.clone().collect::<Vec<_>>(), cursor.collect::<Vec<_>>());
            let again = planned(&phases, seed);
            prop_assert!(again.arrivals().eq(schedule.arrivals()));
        }

        #[test]
        fn a_limit_counts_measured_arrivals_only(phases in phases(), limit in 0u64..100) {
            let count = |schedule: &Arc<Schedule>, warmup: bool| {
                schedule.arrivals().filter(|arrival| phases[arrival.phase].warmup == warmup).count() as u64
            };
            let all = Schedule::new(&phases, 3);
            let (limited, all) = (Arc::new(all.clone().at_most(limit)), Arc::new(all));
            prop_assert_eq!(count(&limited, false), count(&all, false).min(limit));
        }
    }

    #[test]
    fn poisson_gaps_have_the_mean_and_the_variance_of_their_distribution() {
        let rate = Rate::new(10_000, 1_000_000_000).unwrap();
        let schedule = planned(&[phase(rate, Arrivals::Poisson, 20_000, false)], 11);
        let due: Vec<u64> = schedule.arrivals().map(|arrival| arrival.due).collect();
        let gaps: Vec<f64> = due
            .windows(2)
            .map(|pair| (pair[1] - pair[0]) as f64)
            .collect();
        let n = gaps.len() as f64;
        let mean = gaps.iter().sum::<f64>() / n;
        let variance = gaps.iter().map(|gap| (gap - mean).powi(2)).sum::<f64>() / n;
        // Of 200,000 exponential gaps of 100 µs, the mean has a standard error of 0.22 % and the variance of 0.63 %.
        assert!((mean / 1e5 - 1.0).abs() < 0.012, "mean {mean}");
        assert!((variance / 1e10 - 1.0).abs() < 0.035, "variance {variance}");
        // Arrivals per second, 20 counts of mean 10,000, each with a standard deviation of 100.
        for second in 0..20u64 {
            let inside = |&&due: &&u64| due / 1_000_000_000 == second;
            let count = due.iter().filter(inside).count() as f64;
            assert!((count - 10_000.0).abs() < 500.0, "second {second}: {count}");
        }
    }

    #[test]
    fn a_rate_that_does_not_divide_the_second_does_not_drift() {
        let rate = Rate::new(7, 1_000_000_000).unwrap();
        let schedule = planned(&[phase(rate, Arrivals::Constant, 3_600_000, false)], 1);
        assert_eq!(schedule.arrivals().count(), 7 * 3_600);
        let last = schedule.arrivals().last().unwrap();
        assert_eq!(last.due, (7 * 3_600 - 1) * 1_000_000_000 / 7);
    }
}
