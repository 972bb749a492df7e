//! When each arrival is due: a pure function of (phases, seed), with an integer clock.
//!
//! Phases lie end to end on one axis of nanoseconds. A [`Cursor`] walks the arrivals in order; it is small, cheap to
//! clone, and two cursors never disagree, so a due moment is recomputed wherever it is needed and never stored or
//! rounded. Arrivals are numbered from 0 over the whole run; a worker owns those with `number mod workers == worker`.
//!
//! The arrivals of a closed phase depend on the target: [`Closed`] says what is planned of them. How many they will be
//! is unknown, so numbers are set aside for as many as a phase may have, and those of later phases go on after a gap.

mod closed;
mod ramp;

use std::sync::Arc;

use crate::random::{self, Stream};
use crate::scenario::{Arrivals, LoadModel, Phase};
use crate::units::{Rate, nanoseconds};
use ramp::{ARRIVAL, Ramp};

pub use closed::{Closed, Gone};

/// The arrivals of a run.
#[derive(Debug, Clone)]
pub struct Schedule {
    phases: Vec<Span>,
    seed: u64,
    /// Arrivals of a closed phase at most.
    most_walks: u64,
    /// The numbers of arrivals end before this.
    numbers: u64,
    /// Whether a limit of arrivals ends it before its last phase would.
    is_cut: bool,
}

/// One phase on the run's axis, in nanoseconds.
#[derive(Debug, Clone, Copy)]
struct Span {
    start: u64,
    end: u64,
    plan: Plan,
    warmup: bool,
    /// The least number that an arrival of it may have.
    base: u64,
}

/// What is known of a phase's arrivals beforehand.
#[derive(Debug, Clone, Copy)]
enum Plan {
    /// The k-th is due after floor(k · per / count) ns: a gap of so many whole ones, and a rest in `1 / count` ns.
    Even {
        gap: u64,
        rest: u64,
        count: u64,
    },
    /// Exponential gaps around the rate's.
    Random(Rate),
    /// One for each of a ramp's arrivals.
    RampEven(Ramp),
    /// One for each arrival of a Poisson process of rate one, on the axis of the ramp's arrivals: Çınlar's inversion,
    /// which makes a process with the ramp's rate of it.
    RampRandom(Ramp),
    /// Users who come when they are done.
    Users(u64),
    Nothing,
}

/// One moment at which a flow starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arrival {
    /// Its number over the whole run, from 0.
    pub number: u64,
    /// The phase in which it is due, from 0.
    pub phase: usize,
    /// When it is due, in nanoseconds from the start of the run.
    pub due: u64,
}

/// A place in the schedule: the next planned arrival of one worker's share, and all that is needed to find those after
/// it. Closed phases are passed over.
#[derive(Debug, Clone)]
pub struct Cursor {
    schedule: Arc<Schedule>,
    worker: u64,
    workers: u64,
    next: Option<Arrival>,
    place: Place,
}

/// How far a cursor has come in a phase.
#[derive(Debug, Clone, Copy, Default)]
struct Place {
    /// Nanoseconds from the phase's start to the arrival.
    offset: u64,
    /// What the offset leaves out: of an even plan in `1 / count` ns; of a ramp, how much of it has come.
    remainder: u64,
    /// The arrival, from 0.
    index: u64,
}

impl Schedule {
    /// The schedule of `phases`, of which the Poisson ones draw their gaps from `seed`.
    #[must_use]
    pub fn new(phases: &[Phase], seed: u64) -> Self {
        let mut start = 0u64;
        // Numbers set aside so far, and from which on they are free after the last closed phase.
        let (mut taken, mut free) = (0u64, 0u64);
        let phases = phases
            .iter()
            .map(|phase| {
                let end = start + nanoseconds(phase.duration);
                let plan = Plan::of(phase.model, end - start);
                let closed = matches!(plan, Plan::Users(_));
                let base = if closed { taken } else { free };
                taken = taken.saturating_add(most_arrivals(phase));
                if closed {
                    free = taken;
                }
                let span = Span {
                    start,
                    end,
                    plan,
                    warmup: phase.warmup,
                    base,
                };
                start = end;
                span
            })
            .collect();
        Self {
            phases,
            seed,
            most_walks: u64::MAX,
            numbers: u64::MAX,
            is_cut: false,
        }
    }

    /// The same schedule, ending after `arrivals` measured ones: when the next one would have been due, so that they are
    /// as many as their rate makes of that time. Those of a closed phase are limited apart from all others: its users
    /// share as many among them, each the same number of walks or one less.
    #[must_use]
    pub fn at_most(self, arrivals: u64) -> Self {
        let whole = Arc::new(self);
        let beyond = usize::try_from(arrivals).ok().and_then(|passed| {
            let measured = |arrival: &Arrival| !whole.phases[arrival.phase].warmup;
            whole.arrivals().filter(measured).nth(passed)
        });
        let mut limited = Arc::unwrap_or_clone(whole);
        limited.most_walks = arrivals;
        limited.cut_at(beyond);
        limited
    }

    /// The same schedule without the arrivals from `number` on; it ends when the first of them would have been due.
    #[must_use]
    pub fn up_to(self, number: u64) -> Self {
        let whole = Arc::new(self);
        let mut numbered = whole.arrivals();
        let beyond = usize::try_from(number).ok().and_then(|passed| {
            // Those before a closed phase have every number there is, those behind it have none below it.
            numbered
                .nth(passed)
                .filter(|arrival| arrival.number >= number)
        });
        let mut limited = Arc::unwrap_or_clone(whole);
        limited.numbers = number;
        limited.cut_at(beyond);
        limited
    }

    /// Ends it when `beyond` would have been due, if there is such an arrival.
    fn cut_at(&mut self, beyond: Option<Arrival>) {
        let Some(beyond) = beyond else { return };
        self.is_cut = true;
        for (index, phase) in self.phases.iter_mut().enumerate().skip(beyond.phase) {
            if index > beyond.phase {
                phase.start = beyond.due;
            }
            phase.end = beyond.due;
        }
    }

    /// Whether a number of arrivals ends it before its last phase would.
    #[must_use]
    pub fn is_cut(&self) -> bool {
        self.is_cut
    }

    /// Whether a number of arrivals may end its closed phases.
    #[must_use]
    pub fn is_limited(&self) -> bool {
        self.most_walks < u64::MAX || self.numbers < u64::MAX
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
        after.unwrap_or_else(|| self.last_phase())
    }

    /// The last phase of which a limit of arrivals has left something.
    #[must_use]
    pub fn last_phase(&self) -> usize {
        let lasts = |phase: &Span| phase.start < phase.end;
        self.phases.iter().rposition(lasts).unwrap_or(0)
    }

    /// When the last phase ends.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.phases.last().map_or(0, |phase| phase.end)
    }

    /// What is planned of a closed phase; none of any other.
    #[must_use]
    pub fn closed(&self, phase: usize) -> Option<Closed> {
        let span = self.phases[phase];
        let Plan::Users(users) = span.plan else {
            return None;
        };
        let most = match span.warmup {
            true => Phase::MAX_ARRIVALS,
            false => Phase::MAX_ARRIVALS.min(self.most_walks),
        };
        Some(Closed {
            phase,
            start: span.start,
            end: span.end,
            users,
            base: span.base,
            asked: span.base.saturating_add(most),
            numbers: self.numbers,
            seed: self.seed,
        })
    }

    /// Every planned arrival, in order.
    #[must_use]
    pub fn arrivals(self: &Arc<Self>) -> Cursor {
        self.share(0, 1)
    }

    /// The planned arrivals of one of `workers` workers, in order.
    #[must_use]
    pub fn share(self: &Arc<Self>, worker: usize, workers: usize) -> Cursor {
        let mut cursor = Cursor {
            schedule: Arc::clone(self),
            worker: worker as u64,
            workers: workers as u64,
            next: None,
            place: Place::default(),
        };
        cursor.next = cursor.enter(0, 0);
        cursor.skip_others();
        cursor
    }

    /// The place of a phase's first planned arrival; none where it has none.
    fn first(&self, phase: usize) -> Option<Place> {
        let place = Place::default();
        match self.phases[phase].plan {
            Plan::Even { .. } | Plan::RampEven(_) => Some(place),
            Plan::Random(_) | Plan::RampRandom(_) => Some(self.after_gap(phase, place)),
            Plan::Users(_) | Plan::Nothing => None,
        }
    }

    /// The place of the arrival after the one at `place`.
    fn after(&self, phase: usize, mut place: Place) -> Place {
        place.index += 1;
        match &self.phases[phase].plan {
            Plan::Even { gap, rest, count } => {
                // Carried as quotient and remainder, and so exact for ever.
                place.offset += gap;
                place.remainder += rest;
                if place.remainder >= *count {
                    place.remainder -= count;
                    place.offset += 1;
                }
                place
            }
            Plan::RampEven(ramp) => {
                place.remainder = place.index.saturating_mul(ARRIVAL);
                place.offset = ramp.due(place.remainder);
                place
            }
            Plan::Random(_) | Plan::RampRandom(_) => self.after_gap(phase, place),
            Plan::Users(_) | Plan::Nothing => place,
        }
    }

    /// The place behind the gap before the arrival that `place` is to be of: exponential, by inversion, and rounded to
    /// the nearest nanosecond, or to the unit in which a ramp's arrivals are counted.
    fn after_gap(&self, phase: usize, place: Place) -> Place {
        let keys = [phase as u64, place.index];
        let uniform = random::unit(random::bits(self.seed, Stream::Gap, &keys));
        let gap = |mean: f64| (-uniform.ln() * mean).round() as u64;
        let mut place = place;
        match &self.phases[phase].plan {
            Plan::Random(rate) => {
                let mean = rate.per_ns() as f64 / rate.count() as f64;
                place.offset = place.offset.saturating_add(gap(mean));
            }
            Plan::RampRandom(ramp) => {
                place.remainder = place.remainder.saturating_add(gap(ARRIVAL as f64));
                place.offset = ramp.due(place.remainder);
            }
            _ => {}
        }
        place
    }
}

impl Plan {
    fn of(model: LoadModel, length: u64) -> Self {
        match model {
            LoadModel::Open { rate, arrivals } => match arrivals {
                Arrivals::Constant => Self::Even {
                    gap: rate.per_ns() / rate.count(),
                    rest: rate.per_ns() % rate.count(),
                    count: rate.count(),
                },
                Arrivals::Poisson => Self::Random(rate),
            },
            LoadModel::Ramp { from, to, arrivals } => {
                let ramp = Ramp::new(from, to, length);
                match arrivals {
                    Arrivals::Constant => Self::RampEven(ramp),
                    Arrivals::Poisson => Self::RampRandom(ramp),
                }
            }
            LoadModel::Closed { users } => Self::Users(u64::from(users)),
            LoadModel::Pause => Self::Nothing,
        }
    }
}

impl Cursor {
    /// The next arrival, without passing it.
    #[must_use]
    pub fn peek(&self) -> Option<Arrival> {
        self.next
    }

    /// Goes on to the next arrival of any worker.
    fn step(&mut self) {
        let Some(passed) = self.next else { return };
        let span = &self.schedule.phases[passed.phase];
        self.place = self.schedule.after(passed.phase, self.place);
        let number = passed.number + 1;
        let due = span.start.saturating_add(self.place.offset);
        self.next = if due < span.end {
            Some(Arrival {
                number,
                phase: passed.phase,
                due,
            })
        } else {
            self.enter(passed.phase + 1, number)
        };
    }

    /// The first arrival in `phase` or after it, with `number` or a later one.
    fn enter(&mut self, phase: usize, number: u64) -> Option<Arrival> {
        for phase in phase..self.schedule.phases.len() {
            let span = &self.schedule.phases[phase];
            let Some(place) = self.schedule.first(phase) else {
                continue;
            };
            let due = span.start.saturating_add(place.offset);
            if due < span.end {
                self.place = place;
                let number = number.max(span.base);
                return Some(Arrival { number, phase, due });
            }
        }
        None
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

/// A number of arrivals that the phase does not exceed: of a Poisson phase, ten standard deviations above the mean.
fn most_arrivals(phase: &Phase) -> u64 {
    let expected = phase.expected_arrivals();
    match (expected, phase.model.arrivals()) {
        (Some(mean), Some(Arrivals::Poisson)) => {
            // Where the mean is small the distribution has a longer tail than its deviation says.
            mean.saturating_add(10 * mean.isqrt() + 50)
        }
        (Some(count), _) => count,
        (None, _) => Phase::MAX_ARRIVALS,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use proptest::prelude::*;

    fn phase(model: LoadModel, duration_ms: u64, warmup: bool) -> Phase {
        Phase {
            name: "p".into(),
            model,
            duration: Duration::from_millis(duration_ms),
            warmup,
        }
    }

    fn open(rate: Rate, arrivals: Arrivals, duration_ms: u64) -> Phase {
        phase(LoadModel::Open { rate, arrivals }, duration_ms, false)
    }

    fn per_second(count: u64) -> Rate {
        Rate::per_second_of(count).unwrap()
    }

    fn planned(phases: &[Phase], seed: u64) -> Arc<Schedule> {
        Arc::new(Schedule::new(phases, seed))
    }

    fn rates() -> impl Strategy<Value = Rate> {
        (1u64..5_000, 1u64..4)
            .prop_map(|(count, seconds)| Rate::new(count, seconds * 1_000_000_000).unwrap())
    }

    fn models() -> impl Strategy<Value = LoadModel> {
        let arrivals = || prop_oneof![Just(Arrivals::Constant), Just(Arrivals::Poisson)];
        prop_oneof![
            4 => (rates(), arrivals()).prop_map(|(rate, arrivals)| LoadModel::Open { rate, arrivals }),
            4 => (rates(), rates(), arrivals())
                .prop_map(|(from, to, arrivals)| LoadModel::Ramp { from, to, arrivals }),
            1 => (1u32..9).prop_map(|users| LoadModel::Closed { users }),
            1 => Just(LoadModel::Pause),
        ]
    }

    fn phases() -> impl Strategy<Value = Vec<Phase>> {
        let one = (models(), 1u64..400, prop::bool::ANY)
            .prop_map(|(model, duration_ms, warmup)| phase(model, duration_ms, warmup));
        prop::collection::vec(one, 1..4)
    }

    proptest! {
        #[test]
        fn arrivals_are_in_order_numbered_and_inside_their_phase(phases in phases(), seed: u64) {
            let schedule = planned(&phases, seed);
            let (mut last, mut number) = (0, 0);
            let mut number_of = vec![0; phases.len()];
            for arrival in schedule.arrivals() {
                let closed_before = (0..arrival.phase).rev().find_map(|phase| schedule.closed(phase));
                let free = closed_before.map_or(0, |closed| closed.base + Phase::MAX_ARRIVALS);
                prop_assert_eq!(arrival.number, number.max(free));
                prop_assert!(arrival.due >= last);
                let (start, end) = schedule.bounds(arrival.phase);
                prop_assert!((start..end).contains(&arrival.due));
                (last, number) = (arrival.due, arrival.number + 1);
                number_of[arrival.phase] = number;
            }
            // And none of them has a number that a user of a later phase may take.
            for closed in (0..phases.len()).filter_map(|phase| schedule.closed(phase)) {
                prop_assert!(number_of[..closed.phase].iter().all(|&number| number <= closed.base));
            }
        }

        #[test]
        fn a_constant_phase_has_every_multiple_of_its_gap_rounded_down(count in 1u64..5_000, duration_ms in 1u64..3_000) {
            let schedule = planned(&[open(per_second(count), Arrivals::Constant, duration_ms)], 1);
            let due: Vec<u64> = schedule.arrivals().map(|arrival| arrival.due).collect();
            let expected: Vec<u64> = (0..)
                .map(|k| k * 1_000_000_000 / count)
                .take_while(|&due| due < duration_ms * 1_000_000)
                .collect();
            prop_assert_eq!(due, expected);
        }

        #[test]
        fn at_any_moment_a_ramp_has_had_its_integral_to_within_one(
            (from, to) in (rates(), rates()),
            duration_ms in 1u64..3_000,
            part in 0.0f64..=1.0,
        ) {
            let model = LoadModel::Ramp { from, to, arrivals: Arrivals::Constant };
            let schedule = planned(&[phase(model, duration_ms, false)], 1);
            let (seconds, moment) = (duration_ms as f64 / 1e3, part * duration_ms as f64 / 1e3);
            let slope = (to.per_second() - from.per_second()) / seconds;
            let integral = |t: f64| from.per_second() * t + slope * t * t / 2.0;
            let come = schedule.arrivals().filter(|arrival| (arrival.due as f64) < moment * 1e9).count();
            prop_assert!((come as f64 - integral(moment)).abs() < 1.0 + 1e-6, "{come} by {moment} s");
            let all = schedule.arrivals().count();
            prop_assert!((all as f64 - integral(seconds)).abs() < 1.0 + 1e-6, "{all}");
        }

        #[test]
        fn a_ramp_between_equal_rates_is_a_constant_phase(rate in rates(), duration_ms in 1u64..3_000) {
            let arrivals = Arrivals::Constant;
            let ramp = LoadModel::Ramp { from: rate, to: rate, arrivals };
            let (ramp, even) = (planned(&[phase(ramp, duration_ms, false)], 1), planned(&[open(rate, arrivals, duration_ms)], 1));
            prop_assert!(ramp.arrivals().eq(even.arrivals()));
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
            prop_assert_eq!(limited.is_cut(), count(&all, false) > limit);
            let (start, end) = limited.bounds(limited.phase_at(limited.end()));
            prop_assert!(limited.end() == 0 || start < end, "what is due later has a phase that is kept");
            let mut beyond = all.arrivals().filter(|arrival| !phases[arrival.phase].warmup).skip(limit as usize);
            prop_assert_eq!(limited.end(), beyond.next().map_or(all.end(), |arrival| arrival.due));
        }
    }

    #[test]
    fn poisson_gaps_have_the_mean_and_the_variance_of_their_distribution() {
        let schedule = planned(&[open(per_second(10_000), Arrivals::Poisson, 20_000)], 11);
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
        let schedule = planned(&[open(per_second(7), Arrivals::Constant, 3_600_000)], 1);
        assert_eq!(schedule.arrivals().count(), 7 * 3_600);
        let last = schedule.arrivals().last().unwrap();
        assert_eq!(last.due, (7 * 3_600 - 1) * 1_000_000_000 / 7);
    }

    #[test]
    fn a_poisson_ramp_comes_at_its_rate_all_along() {
        let model = LoadModel::Ramp {
            from: per_second(20_000),
            to: per_second(2_000),
            arrivals: Arrivals::Poisson,
        };
        let schedule = planned(&[phase(model, 18_000, false)], 11);
        let mut seconds = [0u32; 18];
        for arrival in schedule.arrivals() {
            seconds[(arrival.due / 1_000_000_000) as usize] += 1;
        }
        for (second, &count) in (0u32..).zip(&seconds) {
            // The rate in the middle of the second; five standard deviations of a Poisson count around it.
            let mean = f64::from(19_500 - 1_000 * second);
            let deviation = (f64::from(count) - mean) / mean.sqrt();
            assert!(deviation.abs() < 5.0, "second {second}: {count} of {mean}");
        }
        // Within the first tenth of a second the rate hardly changes, so its gaps are exponential: their deviation is
        // their mean, of 2,000 to about 5 %.
        let start: Vec<u64> = schedule.arrivals().map(|arrival| arrival.due).collect();
        let gaps: Vec<f64> = start[..2_000]
            .windows(2)
            .map(|pair| (pair[1] - pair[0]) as f64)
            .collect();
        let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
        let variance = gaps.iter().map(|gap| (gap - mean).powi(2)).sum::<f64>() / gaps.len() as f64;
        assert!(
            (variance.sqrt() / mean - 1.0).abs() < 0.12,
            "{mean} {variance}"
        );
    }

    /// Two users for 10 s, after a warm-up of three arrivals.
    fn two_users() -> Schedule {
        let warmup = LoadModel::Open {
            rate: per_second(3),
            arrivals: Arrivals::Constant,
        };
        let phases = [
            phase(warmup, 1_000, true),
            phase(LoadModel::Closed { users: 2 }, 10_000, false),
            open(per_second(1), Arrivals::Constant, 1_000),
        ];
        Schedule::new(&phases, 7)
    }

    #[test]
    fn a_user_comes_again_when_it_is_done_and_until_the_phase_ends() {
        let schedule = two_users();
        assert!(schedule.closed(0).is_none());
        let closed = schedule.closed(1).unwrap();
        let first = closed.first(1).unwrap();
        assert_eq!((first.number, first.phase), (4, 1));
        let next = closed.after(first.number, 5_000_000_000).unwrap();
        assert_eq!((next.number, next.phase, next.due), (6, 1, 5_000_000_000));
        assert_eq!(closed.after(next.number, 11_000_000_000), Err(Gone::Over));
        let numbers: Vec<u64> = Arc::new(schedule)
            .arrivals()
            .map(|arrival| arrival.number)
            .collect();
        assert_eq!(numbers, [0, 1, 2, 3 + Phase::MAX_ARRIVALS]);
    }

    #[test]
    fn numbers_end_where_rows_do() {
        let phase = |model| Phase {
            name: "p".into(),
            model,
            duration: std::time::Duration::from_secs(1),
            warmup: false,
        };
        let rate = LoadModel::Open {
            rate: Rate::per_second_of(10).unwrap(),
            arrivals: Arrivals::Constant,
        };
        let phases = [phase(rate), phase(LoadModel::Closed { users: 2 })];
        let whole = || Schedule::new(&phases, 1);
        let cut = Arc::new(whole().up_to(4));
        assert_eq!((cut.arrivals().count(), cut.end()), (4, 400_000_000));
        assert!(cut.is_cut());
        let closed = whole().up_to(11);
        assert!(!closed.is_cut() && closed.is_limited());
        let users = closed.closed(1).unwrap();
        assert_eq!(users.first(0).map(|arrival| arrival.number), Ok(10));
        assert_eq!(users.first(1), Err(Gone::Numbers));
        for (rows, asked, gone) in [
            (2, 1, Gone::Asked),
            (1, 1, Gone::Asked),
            (1, 2, Gone::Numbers),
        ] {
            let crowd = Schedule::new(&phases[1..], 1).up_to(rows).at_most(asked);
            assert_eq!(crowd.closed(0).unwrap().first(1), Err(gone));
        }
        let ample = whole().up_to(1_000);
        assert_eq!(ample.end(), whole().end());
    }

    #[test]
    fn a_limit_is_shared_among_the_users() {
        let limited = |arrivals| two_users().at_most(arrivals).closed(1).unwrap();
        let walks = |closed: &Closed, user| {
            std::iter::successors(closed.first(user).ok(), |walk| {
                closed.after(walk.number, walk.due).ok()
            })
            .count()
        };
        let closed = limited(5);
        assert_eq!((walks(&closed, 0), walks(&closed, 1)), (3, 2));
        assert_eq!(
            (limited(1).first(0).is_ok(), limited(1).first(1)),
            (true, Err(Gone::Asked))
        );
    }

    #[test]
    fn users_come_within_the_first_second_or_tenth_evenly() {
        for (duration_ms, within) in [(60_000, 1_000_000_000), (5_000, 500_000_000)] {
            let crowd = phase(LoadModel::Closed { users: 10_000 }, duration_ms, false);
            let closed = Schedule::new(&[crowd], 3).closed(0).unwrap();
            let mut tenths = [0u32; 10];
            for user in 0..closed.users() {
                let first = closed.first(user).unwrap();
                assert_eq!(first.number, user);
                tenths[(first.due * 10 / within) as usize] += 1;
            }
            // Binomial(10,000, 0.1): a standard deviation of 30.
            assert!(
                tenths.iter().all(|&n| n.abs_diff(1_000) < 150),
                "{tenths:?}"
            );
            let mut shares: Vec<u64> = (0..3).flat_map(|worker| closed.share(worker, 3)).collect();
            shares.sort_unstable();
            assert!(shares.into_iter().eq(0..closed.users()));
        }
    }
}
