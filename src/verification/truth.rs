//! What really happened, from a server's log and a schedule.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::Answers;
use super::log::{Entry, Log};
use crate::units::{Quantile, Rate};

/// Durations in nanoseconds, in order of size: their quantiles are exact.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Times(Vec<u64>);

/// What happened to the requests of a run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Truth {
    /// From the moment each was due to the moment its answer was written.
    pub response: Times,
    /// From the moment each could have arrived to the moment it did.
    pub late: Times,
    /// Requests that were due and were not answered, as far as the log knows.
    pub missing: u64,
    /// Requests that came without having been due, or a second time.
    pub strays: u64,
    /// How those that were due were answered.
    pub answers: Answers,
}

impl Times {
    /// The value at rank ⌈q·n⌉; none where there is none.
    #[must_use]
    pub fn quantile(&self, quantile: Quantile) -> Option<u64> {
        let rank = quantile.rank(self.0.len() as u64);
        self.0.get(usize::try_from(rank).ok()? - 1).copied()
    }

    /// The largest.
    #[must_use]
    pub fn max(&self) -> Option<u64> {
        self.0.last().copied()
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.0.len() as u64
    }
}

impl FromIterator<u64> for Times {
    fn from_iter<T: IntoIterator<Item = u64>>(times: T) -> Self {
        let mut times: Vec<u64> = times.into_iter().collect();
        times.sort_unstable();
        Self(times)
    }
}

impl Truth {
    /// The truth of an open run over `connections` connections, first come first served, in which request k, whose
    /// path ends in k + 1, was due at `due[k]`.
    ///
    /// Response times come from the schedule and the log's answers alone. Request k could have arrived when it was due,
    /// or when one of the connections became free of the requests before it; how much later it came is its lateness,
    /// without the time in which the server stood still and read nothing.
    #[must_use]
    pub fn of_schedule(log: &Log, due: &[u64], connections: usize) -> Self {
        let mut truth = Self::default();
        let mut came: Vec<Option<&Entry>> = vec![None; due.len()];
        for entry in &log.entries {
            let place = entry
                .seq
                .and_then(|seq| usize::try_from(seq.checked_sub(1)?).ok());
            match place.and_then(|place| came.get_mut(place)) {
                Some(place) if place.is_none() => *place = Some(entry),
                _ => truth.strays += 1,
            }
        }
        let (mut response, mut late) = (Vec::new(), Vec::new());
        let mut free: BinaryHeap<Reverse<u64>> = (0..connections).map(|_| Reverse(0)).collect();
        for (&due, came) in due.iter().zip(came) {
            let Some((came, answered)) = came.and_then(|came| Some((came, came.answered?))) else {
                truth.missing += 1;
                continue;
            };
            let connection_free = free.pop().map_or(0, |Reverse(moment)| moment);
            let earliest = due.max(connection_free);
            let after = came.arrived.saturating_sub(earliest);
            late.push(after.saturating_sub(log.stalled(earliest, came.arrived)));
            response.push(answered.saturating_sub(due));
            truth.answers.count(came);
            free.push(Reverse(answered));
        }
        truth.response = response.into_iter().collect();
        truth.late = late.into_iter().collect();
        truth
    }

    /// The truth of a run that should have had `rate`, from the log alone: the k-th request to arrive was due at
    /// t₀ + k / rate, where t₀ is the latest start for which none arrived early.
    ///
    /// A generator that leaves requests out makes all that follow late.
    #[must_use]
    pub fn at_rate(log: &Log, rate: Rate) -> Self {
        let offset = |k: usize| {
            let ns = k as u128 * u128::from(rate.per_ns()) / u128::from(rate.count());
            u64::try_from(ns).unwrap_or(u64::MAX)
        };
        // An arrival may lie before its offset on the machine's clock only if the machine is younger than the run.
        let start = log
            .entries
            .iter()
            .enumerate()
            .map(|(k, entry)| entry.arrived.saturating_sub(offset(k)))
            .min()
            .unwrap_or(0);
        let due = |k: usize| start.saturating_add(offset(k));
        let mut truth = Self::from_each(log, |k, _| due(k));
        let late = log.entries.iter().enumerate();
        truth.late = late
            .map(|(k, entry)| entry.arrived.saturating_sub(due(k)))
            .collect();
        truth
    }

    /// The truth of a closed run, whose requests follow upon each other's answers: from one answer on a connection to
    /// the next, and from its arrival for the first.
    #[must_use]
    pub fn closed(log: &Log) -> Self {
        let mut last: Vec<Option<u64>> = Vec::new();
        Self::from_each(log, |_, entry| {
            let connection = entry.connection as usize;
            if last.len() <= connection {
                last.resize(connection + 1, None);
            }
            let begun = last[connection].unwrap_or(entry.arrived);
            last[connection] = entry.answered;
            begun
        })
    }

    /// Response times from the moment that `begun` says.
    fn from_each(log: &Log, mut begun: impl FnMut(usize, &Entry) -> u64) -> Self {
        let mut truth = Self {
            missing: log.unlogged,
            ..Self::default()
        };
        let mut response = Vec::new();
        for (k, entry) in log.entries.iter().enumerate() {
            let begun = begun(k, entry);
            match entry.answered {
                Some(answered) => {
                    response.push(answered.saturating_sub(begun));
                    truth.answers.count(entry);
                }
                None => truth.missing += 1,
            }
        }
        truth.response = response.into_iter().collect();
        truth
    }
}

impl Answers {
    fn count(&mut self, entry: &Entry) {
        match entry.status {
            0 => self.resets += 1,
            200 => self.ok += 1,
            _ => self.errors += 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    fn entry(seq: u64, connection: u32, arrived: u64, answered: u64) -> Entry {
        Entry {
            seq: Some(seq),
            connection,
            arrived,
            answered: Some(answered),
            status: 200,
        }
    }

    fn log(entries: impl IntoIterator<Item = Entry>) -> Log {
        Log {
            entries: entries.into_iter().collect(),
            ..Log::default()
        }
    }

    fn times(times: impl IntoIterator<Item = u64>) -> Times {
        times.into_iter().collect()
    }

    #[test]
    fn quantiles_of_times_are_values_at_their_ranks() {
        let times = times((1..=1_000).rev());
        assert_eq!(times.quantile(Quantile::P50), Some(500));
        assert_eq!(times.quantile(Quantile::P99), Some(990));
        assert_eq!(times.quantile(Quantile::P99_9), Some(999));
        assert_eq!((times.max(), times.count()), (Some(1_000), 1_000));
        assert_eq!(Times::default().quantile(Quantile::P50), None);
    }

    #[test]
    fn response_times_run_from_due_whatever_the_generator_did() {
        // Due every millisecond from 10 on; the second was sent 5 ms late, and overtaken by the third.
        let log = log([
            entry(1, 0, 10 * MS, 12 * MS),
            entry(3, 1, 12 * MS, 14 * MS),
            entry(2, 0, 16 * MS, 18 * MS),
        ]);
        let truth = Truth::of_schedule(&log, &[10 * MS, 11 * MS, 12 * MS], 2);
        assert_eq!(truth.response, times([2 * MS, 7 * MS, 2 * MS]));
        assert_eq!(truth.late, times([0, 5 * MS, 0]));
        assert_eq!((truth.missing, truth.strays), (0, 0));
    }

    #[test]
    fn a_request_is_not_late_while_every_connection_is_taken() {
        // One connection, and answers that take 3 ms: the second could be sent at 3, the third at 6.
        let log = log([
            entry(1, 0, 0, 3 * MS),
            entry(2, 0, 3 * MS + 20, 6 * MS),
            entry(3, 0, 6 * MS + 30, 9 * MS),
        ]);
        let due = [0, MS, 2 * MS];
        assert_eq!(Truth::of_schedule(&log, &due, 1).late, times([0, 20, 30]));
        // With a second connection, the second could have been sent when it was due, and the third at 3.
        let late = Truth::of_schedule(&log, &due, 2).late;
        assert_eq!(late, times([0, 2 * MS + 20, 3 * MS + 30]));
    }

    #[test]
    fn a_request_is_not_late_while_the_server_stands_still() {
        let stalled = Log {
            stalls: vec![(10 * MS, 90 * MS)],
            ..log([entry(1, 0, 90 * MS + 40, 91 * MS)])
        };
        let truth = Truth::of_schedule(&stalled, &[20 * MS], 4);
        assert_eq!(truth.late, times([40]));
        // Nor where it was sent before the stall and not read in time.
        let before = Truth::of_schedule(&stalled, &[10 * MS - 30], 4);
        assert_eq!(before.late, times([70]));
        // But whoever was due waited for all of it.
        assert_eq!(truth.response, times([71 * MS]));
    }

    #[test]
    fn what_is_missing_or_too_much_is_counted() {
        let unanswered = Entry {
            answered: None,
            ..entry(2, 0, 5, 0)
        };
        let unnumbered = Entry {
            seq: None,
            ..entry(0, 0, 5, 6)
        };
        let log = log([
            entry(1, 0, 1, 2),
            entry(1, 0, 3, 4),
            unanswered,
            unnumbered,
            entry(0, 0, 7, 8),
            entry(9, 0, 7, 8),
        ]);
        let truth = Truth::of_schedule(&log, &[0, 0, 0], 1);
        assert_eq!((truth.missing, truth.strays), (2, 4));
        assert_eq!(truth.response.count(), 1);
    }

    #[test]
    fn answers_are_counted_by_kind() {
        let with = |seq, status| Entry {
            status,
            ..entry(seq, 0, 1, 2)
        };
        let log = log([with(1, 200), with(2, 500), with(3, 0), with(4, 200)]);
        let answers = Truth::of_schedule(&log, &[0; 4], 1).answers;
        let expected = Answers {
            ok: 2,
            errors: 1,
            resets: 1,
        };
        assert_eq!(answers, expected);
    }

    #[test]
    fn at_a_rate_the_start_is_where_nobody_came_early() {
        // The third request came soonest for its place: no start is later than the one it implies.
        let start = 50 * MS;
        let arrivals = [
            start + 40,
            start + MS + 35,
            start + 2 * MS,
            start + 3 * MS + 90,
        ];
        let log = log((0..4).map(|k| entry(0, 0, arrivals[k], arrivals[k] + 1_000)));
        let truth = Truth::at_rate(&log, Rate::per_second_of(1_000).unwrap());
        assert_eq!(truth.late, times([40, 35, 0, 90]));
        assert_eq!(truth.response, times([1_040, 1_035, 1_000, 1_090]));
    }

    #[test]
    fn in_a_closed_run_each_answer_begins_the_next_request() {
        let log = log([
            entry(0, 0, 100, 200),
            entry(0, 1, 150, 260),
            entry(0, 0, 210, 900),
            entry(0, 1, 265, 300),
        ]);
        let truth = Truth::closed(&log);
        assert_eq!(truth.response, times([100, 110, 700, 40]));
    }
}
