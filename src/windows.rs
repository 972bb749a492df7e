//! A phase over time: response times in windows of equal width, kept encoded.
//!
//! A worker fills the few windows it is busy with ([`Recorder`]) and hands each over as a [`Part`]; whoever collects
//! them ([`Windows`]) merges parts of the same window and keeps them encoded, so that a long run costs kilobytes.

mod coarse;

use std::collections::BTreeMap;

pub use coarse::Coarse;

use crate::exchange::{Exchange, Outcome, Outcomes};
use crate::histogram::{DecodeError, Encoded, Histogram};

/// Windows of a phase at most: enough for a picture of it and for twelve batches of twenty, and a few hundred
/// kilobytes in a record.
pub const MOST: u64 = 240;

/// The narrowest window: a second holds enough exchanges for a p99 at 1,000/s.
const NARROWEST_NS: u64 = 1_000_000_000;

/// Windows that a worker keeps open: the current one, the one before, and one for a straggler.
const OPEN: usize = 3;

/// How a phase is cut into windows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grid {
    /// When the phase starts, in nanoseconds from the start of the run.
    pub start: u64,
    /// How wide each window is, in nanoseconds; the last one may be shorter.
    pub width: u64,
}

/// One window of a phase.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Window {
    /// When it starts, in nanoseconds from the start of its phase.
    pub start_ns: u64,
    /// How wide it is, in nanoseconds.
    pub width_ns: u64,
    /// Response times of the exchanges due in it that were ok.
    pub ok: Option<Encoded>,
    /// Response times of the others; lower bounds among them.
    pub failed: Option<Encoded>,
}

/// What one worker saw of one window, or of a part of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Part {
    /// The phase, from 0.
    pub phase: usize,
    /// The window in it, from 0.
    pub index: u64,
    /// Response times that were ok.
    pub ok: Histogram,
    /// The others.
    pub failed: Histogram,
    /// How all of them ended; for those who watch, as all that follows.
    pub outcomes: Outcomes,
    /// The statuses that were not the expected ones, and how often each came.
    pub statuses: Vec<(u16, u64)>,
    /// How late the generator was: dispatched − due.
    pub lag: Coarse,
}

/// The windows that one worker is filling.
#[derive(Debug)]
pub struct Recorder {
    grids: Vec<Grid>,
    /// The most recently opened last.
    open: Vec<Part>,
}

/// The windows of a whole run, merged from parts.
#[derive(Debug, Default)]
pub struct Windows {
    encoded: BTreeMap<(usize, u64), (Option<Encoded>, Option<Encoded>)>,
}

impl Grid {
    /// The grid of a phase: the narrowest windows of 1, 2, 4, … seconds of which [`MOST`] cover it.
    #[must_use]
    pub fn new(start: u64, duration: u64) -> Self {
        let mut width = NARROWEST_NS;
        while duration.div_ceil(width) > MOST {
            width = width.saturating_mul(2);
        }
        Self { start, width }
    }

    fn index(&self, due: u64) -> u64 {
        due.saturating_sub(self.start) / self.width
    }
}

impl Recorder {
    /// A recorder for phases cut by `grids`.
    #[must_use]
    pub fn new(grids: Vec<Grid>) -> Self {
        Self {
            grids,
            open: Vec::with_capacity(OPEN),
        }
    }

    /// Counts one exchange of `phase`, and returns a part that is to be handed over where a window had to be closed for it.
    #[inline]
    pub fn record(&mut self, phase: usize, exchange: &Exchange) -> Option<Part> {
        let index = self.grids[phase].index(exchange.due);
        let place = self
            .open
            .iter()
            .rposition(|part| part.index == index && part.phase == phase);
        let (place, closed) = match place {
            Some(place) => (place, None),
            None => {
                let closed = (self.open.len() == OPEN).then(|| self.open.remove(0));
                self.open.push(Part::new(phase, index));
                (self.open.len() - 1, closed)
            }
        };
        self.open[place].record(exchange);
        closed
    }

    /// Hands over what is open; what comes later to the same windows makes further parts of them.
    pub fn hand_over(&mut self) -> impl Iterator<Item = Part> + '_ {
        self.open.drain(..)
    }

    /// Whether there is anything to hand over.
    #[must_use]
    pub fn is_open(&self) -> bool {
        !self.open.is_empty()
    }
}

impl Part {
    /// A part of a window, of which nothing was seen yet.
    #[must_use]
    pub fn new(phase: usize, index: u64) -> Self {
        Self {
            phase,
            index,
            ok: Histogram::new(),
            failed: Histogram::new(),
            outcomes: Outcomes::default(),
            statuses: Vec::new(),
            lag: Coarse::default(),
        }
    }

    /// Counts one exchange that was due in the window.
    #[inline]
    pub fn record(&mut self, exchange: &Exchange) {
        let response = exchange.done - exchange.due;
        self.outcomes.count(exchange.outcome);
        self.lag
            .record(exchange.dispatched.unwrap_or(exchange.done) - exchange.due);
        if exchange.outcome == Outcome::Ok {
            self.ok.record(response);
        } else {
            self.failed.record(response);
            self.note_status(exchange);
        }
    }

    /// Counts the status of an exchange where that is what was wrong with it.
    #[cold]
    fn note_status(&mut self, exchange: &Exchange) {
        let Some(status) = exchange
            .status
            .filter(|_| exchange.outcome == Outcome::StatusError)
        else {
            return;
        };
        match self.statuses.iter_mut().find(|(own, _)| *own == status) {
            Some((_, count)) => *count += 1,
            None => self.statuses.push((status, 1)),
        }
    }
}

impl Windows {
    /// Adds a part to its window.
    pub fn add(&mut self, part: &Part) {
        let (ok, failed) = self.encoded.entry((part.phase, part.index)).or_default();
        merge(ok, &part.ok);
        merge(failed, &part.failed);
    }

    /// The windows of one phase, in order; those in which nothing was due are left out.
    #[must_use]
    pub fn of_phase(&self, phase: usize, grid: Grid) -> Vec<Window> {
        self.encoded
            .range((phase, 0)..=(phase, u64::MAX))
            .map(|(&(_, index), (ok, failed))| Window {
                start_ns: index * grid.width,
                width_ns: grid.width,
                ok: ok.clone(),
                failed: failed.clone(),
            })
            .collect()
    }
}

impl Window {
    /// Response times of all exchanges due in the window.
    ///
    /// # Errors
    /// When a histogram in the record is damaged.
    pub fn response(&self) -> Result<Histogram, DecodeError> {
        let [ok, failed] = self.parts()?;
        Ok(Histogram::merged([&ok, &failed]))
    }

    /// The same apart: of exchanges that were ok, and of the others, lower bounds among them.
    ///
    /// # Errors
    /// As [`Self::response`].
    pub fn parts(&self) -> Result<[Histogram; 2], DecodeError> {
        let decoded = |part: &Option<Encoded>| match part {
            Some(part) => Histogram::decode(part),
            None => Ok(Histogram::new()),
        };
        Ok([decoded(&self.ok)?, decoded(&self.failed)?])
    }
}

fn merge(encoded: &mut Option<Encoded>, part: &Histogram) {
    if part.is_empty() {
        return;
    }
    let mut whole = match encoded {
        Some(encoded) => Histogram::decode(encoded).expect("what was encoded here reads back"),
        None => Histogram::new(),
    };
    whole.merge(part);
    *encoded = whole.encode();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::Quantile;
    use proptest::prelude::*;

    const SECOND: u64 = 1_000_000_000;

    /// An exchange that was ok, dispatched when it was due.
    fn took(due: u64, response: u64) -> Exchange {
        Exchange {
            due,
            dispatched: Some(due),
            sent: Some(due),
            done: due + response,
            outcome: Outcome::Ok,
            status: None,
        }
    }

    #[test]
    fn a_part_tells_how_exchanges_ended_and_how_late_they_began() {
        let mut part = Part::new(0, 0);
        let ended = |outcome, status| Exchange {
            outcome,
            status,
            ..took(0, 5)
        };
        part.record(&ended(Outcome::Ok, Some(200)));
        part.record(&ended(Outcome::StatusError, Some(503)));
        part.record(&ended(Outcome::CheckFailed, Some(200)));
        part.record(&ended(Outcome::StatusError, Some(404)));
        part.record(&Exchange {
            dispatched: None,
            sent: None,
            ..ended(Outcome::Unsent, None)
        });
        part.record(&Exchange {
            dispatched: Some(1 << 20),
            sent: Some(1 << 20),
            done: 1 << 21,
            ..ended(Outcome::StatusError, Some(503))
        });
        assert_eq!(part.statuses, [(503, 2), (404, 1)]);
        assert_eq!(part.outcomes.total(), 6);
        assert_eq!(part.outcomes.of(Outcome::StatusError), 3);
        assert_eq!((part.ok.count(), part.failed.count()), (1, 5));
        assert_eq!(part.lag.count(), 6);
        assert!(part.lag.quantile(Quantile::P50).unwrap() < 2_000);
        assert!(part.lag.quantile(Quantile::P99).unwrap() >= 1 << 20);
    }

    #[test]
    fn a_grid_is_as_fine_as_its_bound_allows() {
        for (seconds, width) in [(1, 1), (240, 1), (241, 2), (480, 2), (481, 4), (3_600, 16)] {
            assert_eq!(
                Grid::new(0, seconds * SECOND).width,
                width * SECOND,
                "{seconds} s"
            );
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn every_exchange_is_in_the_window_of_its_due(
            entries in prop::collection::vec((0u64..20_000, 1u64..1 << 34, any::<bool>()), 1..80),
        ) {
            let grid = Grid::new(5 * SECOND, 20 * SECOND);
            let mut recorder = Recorder::new(vec![grid]);
            let mut windows = Windows::default();
            for &(due_ms, response, ok) in &entries {
                let due = grid.start + due_ms * 1_000_000;
                let exchange = Exchange {
                    outcome: if ok { Outcome::Ok } else { Outcome::Reset },
                    ..took(due, response)
                };
                recorder.record(0, &exchange).iter().for_each(|part| windows.add(part));
            }
            recorder.hand_over().for_each(|part| windows.add(&part));
            for window in windows.of_phase(0, grid) {
                let mut expected = Histogram::new();
                for &(due_ms, response, _) in &entries {
                    if due_ms * 1_000_000 / SECOND * SECOND == window.start_ns {
                        expected.record(response);
                    }
                }
                prop_assert_eq!(window.response().unwrap(), expected);
            }
            let count: u64 = windows.of_phase(0, grid).iter().map(|w| w.response().unwrap().count()).sum();
            prop_assert_eq!(count, entries.len() as u64);
        }
    }
}
