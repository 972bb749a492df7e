//! What a run has seen: every exchange absorbed once, in distributions per phase and step.
//!
//! Each worker keeps a ledger of its own and absorbs exchanges without locks or allocation; at the end the parts are
//! merged, and `merge(parts) = whole` in every figure. Nothing is dropped: what was found due and what was absorbed
//! are counted apart, and [`Ledger::is_balanced`] holds them against each other.

use std::collections::BTreeMap;

use crate::exchange::{Exchange, Outcome, Outcomes, Spans};
use crate::histogram::Histogram;
use crate::units::Quantile;

/// Everything counted in a run, or in one worker's share of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Ledger {
    /// One tally per phase, in the scenario's order.
    pub phases: Vec<PhaseTally>,
}

/// Which tally an exchange belongs to: the phase of its *due*, and its step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The phase, from 0.
    pub phase: usize,
    /// The flow, from 0.
    pub flow: usize,
    /// The step within its flow, from 0.
    pub step: usize,
}

/// How a walk ended with an exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WalkEnd {
    /// When the walk's arrival was due.
    pub arrival: u64,
    /// The phase of that moment, to which the walk belongs.
    pub home: usize,
    /// The first step of the flow that it has not come to.
    pub unreached_from: usize,
    /// When that phase ends, and what the walk paused between its steps on top: what is done after that has overrun it.
    pub kept_up_by: u64,
}

/// What was counted in one phase.
#[derive(Debug, Clone, PartialEq)]
pub struct PhaseTally {
    /// Flows started.
    pub arrivals: u64,
    /// Exchanges found due. Equals the sum of the outcomes once a run is over.
    pub due: u64,
    /// Walks whose last exchange was answered, well or badly.
    pub walks_answered: u64,
    /// By how much the walks that were answered after the end of the phase overran it.
    pub overrun: Histogram,
    /// Exchanges that found every connection of a full pool busy.
    pub pool_full: u64,
    /// Of these, exchanges that found a connection of another worker free.
    pub imbalanced: u64,
    /// Exchanges whose lag is only a lower bound, because their dispatch moments were kept together.
    pub coalesced: u64,
    /// done − dispatched.
    pub on_time: Histogram,
    /// dispatched − due.
    pub lag: Histogram,
    /// sent − dispatched.
    pub wait: Histogram,
    /// The time between two polls of the reactor, at most.
    pub turn: Histogram,
    /// One tally per flow, in the scenario's order.
    pub flows: Vec<FlowTally>,
}

/// What was counted in one flow of a phase.
#[derive(Debug, Clone, PartialEq)]
pub struct FlowTally {
    /// Done of the last step − arrival, of walks that went through all their steps; kept where there are several.
    pub journey: Histogram,
    /// One tally per step, in the flow's order.
    pub steps: Vec<StepTally>,
}

/// What was counted in one step of a flow.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct StepTally {
    /// How its exchanges ended.
    pub outcomes: Outcomes,
    /// The statuses of the responses that arrived.
    pub statuses: BTreeMap<u16, u64>,
    /// done − due.
    pub response: Distribution,
    /// done − sent.
    pub service: Distribution,
    /// Walks that ended before they came to this step.
    pub unreached: u64,
}

/// Times of exchanges, kept apart by how far they can be trusted.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Distribution {
    /// Exchanges that were ok.
    pub ok: Histogram,
    /// Exchanges that failed, at a moment that is known.
    pub failed: Histogram,
    /// Exchanges of which only a lower bound is known: timeouts, unfinished, unsent.
    pub censored: Histogram,
}

/// A quantile that may be a lower bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bound {
    /// The value, in nanoseconds.
    pub value: u64,
    /// Whether the true value may be larger, because a censored exchange could move it.
    pub censored: bool,
}

impl Ledger {
    /// An empty ledger for `phases` phases over flows with as many steps as listed.
    #[must_use]
    pub fn new(phases: usize, steps_per_flow: &[usize]) -> Self {
        Self {
            phases: vec![PhaseTally::new(steps_per_flow); phases],
        }
    }

    /// Absorbs one exchange; `walk_end` where its walk ended with it.
    pub fn absorb(&mut self, place: Place, exchange: &Exchange, walk_end: Option<WalkEnd>) {
        self.phases[place.phase].absorb(place, exchange);
        if let Some(end) = walk_end {
            self.phases[end.home].end_walk(place, exchange, end);
        }
    }

    /// Counts a walk of `flow` that comes neither to `step` nor to those behind it.
    pub fn cut_short(&mut self, phase: usize, flow: usize, step: usize) {
        for missed in &mut self.phases[phase].flows[flow].steps[step..] {
            missed.unreached += 1;
        }
    }

    /// Adds what another part of the same run has counted.
    pub fn merge(&mut self, other: &Self) {
        for (mine, theirs) in self.phases.iter_mut().zip(&other.phases) {
            mine.merge(theirs);
        }
    }

    /// Packs the next histogram of the first `phases`, of which `passed` have been packed or passed over; how many these
    /// are then, or none at the end.
    ///
    /// They take the room of all their steps, and a phase that is over seldom gets another exchange. What one reopens
    /// stays open, so that nothing is packed again and again while a backlog is worked off.
    pub fn pack_next(&mut self, phases: usize, passed: usize) -> Option<usize> {
        let over = self.phases[..phases].iter_mut();
        let histograms = over.flat_map(PhaseTally::histograms).enumerate();
        let (index, histogram) = histograms
            .skip(passed)
            .find(|(_, histogram)| !histogram.is_packed())?;
        histogram.pack();
        Some(index + 1)
    }

    /// Packs all that it holds.
    pub fn pack(&mut self) {
        let histograms = self.phases.iter_mut().flat_map(PhaseTally::histograms);
        histograms.for_each(Histogram::pack);
    }

    /// Whether every exchange that was found due has exactly one outcome.
    #[must_use]
    pub fn is_balanced(&self) -> bool {
        self.phases
            .iter()
            .all(|phase| phase.due == phase.outcomes().total())
    }
}

impl PhaseTally {
    /// An empty tally over flows with as many steps as listed.
    #[must_use]
    pub fn new(steps_per_flow: &[usize]) -> Self {
        let flows = steps_per_flow
            .iter()
            .map(|&steps| FlowTally {
                journey: Histogram::new(),
                steps: vec![StepTally::default(); steps],
            })
            .collect();
        Self {
            arrivals: 0,
            due: 0,
            walks_answered: 0,
            overrun: Histogram::new(),
            pool_full: 0,
            imbalanced: 0,
            coalesced: 0,
            on_time: Histogram::new(),
            lag: Histogram::new(),
            wait: Histogram::new(),
            turn: Histogram::new(),
            flows,
        }
    }

    /// Adds what was counted elsewhere in the same phase, or in another phase of the same scenario.
    pub fn merge(&mut self, other: &Self) {
        self.arrivals += other.arrivals;
        self.due += other.due;
        self.walks_answered += other.walks_answered;
        self.overrun.merge(&other.overrun);
        self.pool_full += other.pool_full;
        self.imbalanced += other.imbalanced;
        self.coalesced += other.coalesced;
        self.on_time.merge(&other.on_time);
        self.lag.merge(&other.lag);
        self.wait.merge(&other.wait);
        self.turn.merge(&other.turn);
        for (mine, theirs) in self.flows.iter_mut().zip(&other.flows) {
            mine.journey.merge(&theirs.journey);
            for (mine, theirs) in mine.steps.iter_mut().zip(&theirs.steps) {
                mine.merge(theirs);
            }
        }
    }

    fn histograms(&mut self) -> impl Iterator<Item = &mut Histogram> {
        let Self {
            overrun,
            on_time,
            lag,
            wait,
            turn,
            flows,
            ..
        } = self;
        let own = [overrun, on_time, lag, wait, turn];
        own.into_iter()
            .chain(flows.iter_mut().flat_map(FlowTally::histograms))
    }

    /// How the exchanges of all steps ended.
    #[must_use]
    pub fn outcomes(&self) -> Outcomes {
        let mut all = Outcomes::default();
        self.steps().for_each(|step| all.merge(&step.outcomes));
        all
    }

    /// The statuses of all steps.
    #[must_use]
    pub fn statuses(&self) -> BTreeMap<u16, u64> {
        let mut all = BTreeMap::new();
        for (&status, &count) in self.steps().flat_map(|step| &step.statuses) {
            *all.entry(status).or_default() += count;
        }
        all
    }

    /// The response times of all steps.
    #[must_use]
    pub fn response(&self) -> Distribution {
        Distribution::merged(self.steps().map(|step| &step.response))
    }

    /// The service times of all steps.
    #[must_use]
    pub fn service(&self) -> Distribution {
        Distribution::merged(self.steps().map(|step| &step.service))
    }

    /// Walks that the target had answered by the end of the phase.
    ///
    /// A walk still in the target's hands when the phase ends is no sign of trouble, so those answered within the
    /// p99 of the service time after it count too; those that had queued for longer do not.
    #[must_use]
    pub fn walks_kept_up(&self) -> u64 {
        let allowance = self
            .service()
            .quantile(Quantile::P99)
            .map_or(0, |bound| bound.value);
        self.walks_answered - self.overrun.count_above(allowance)
    }

    fn steps(&self) -> impl Iterator<Item = &StepTally> {
        self.flows.iter().flat_map(|flow| &flow.steps)
    }

    fn absorb(&mut self, place: Place, exchange: &Exchange) {
        let spans = exchange.spans();
        self.lag.record(spans.lag);
        self.wait.record(spans.wait);
        if let Some(on_time) = spans.on_time {
            self.on_time.record(on_time);
        }
        self.flows[place.flow].steps[place.step].absorb(exchange, &spans);
    }

    /// Counts the end of a walk of this phase, by `exchange` at `place`.
    fn end_walk(&mut self, place: Place, exchange: &Exchange, end: WalkEnd) {
        let flow = &mut self.flows[place.flow];
        let is_ok = exchange.outcome == Outcome::Ok;
        for missed in &mut flow.steps[end.unreached_from..] {
            missed.unreached += 1;
        }
        if is_ok && flow.steps.len() > 1 {
            flow.journey.record(exchange.done - end.arrival);
        }
        if exchange.status.is_some() && !exchange.outcome.is_censored() {
            self.walks_answered += 1;
            if exchange.done > end.kept_up_by {
                self.overrun.record(exchange.done - end.kept_up_by);
            }
        }
    }
}

impl FlowTally {
    fn histograms(&mut self) -> impl Iterator<Item = &mut Histogram> {
        let steps = self.steps.iter_mut().flat_map(StepTally::histograms);
        std::iter::once(&mut self.journey).chain(steps)
    }
}

impl StepTally {
    /// Adds what was counted elsewhere in the same step.
    pub fn merge(&mut self, other: &Self) {
        self.outcomes.merge(&other.outcomes);
        for (&status, &count) in &other.statuses {
            *self.statuses.entry(status).or_default() += count;
        }
        self.response.merge(&other.response);
        self.service.merge(&other.service);
        self.unreached += other.unreached;
    }

    fn histograms(&mut self) -> impl Iterator<Item = &mut Histogram> {
        let (response, service) = (&mut self.response, &mut self.service);
        [response, service]
            .into_iter()
            .flat_map(Distribution::histograms)
    }

    fn absorb(&mut self, exchange: &Exchange, spans: &Spans) {
        self.outcomes.count(exchange.outcome);
        if let Some(status) = exchange.status {
            *self.statuses.entry(status).or_default() += 1;
        }
        self.response.record(exchange.outcome, spans.response);
        if let Some(service) = spans.service {
            self.service.record(exchange.outcome, service);
        }
    }
}

impl Distribution {
    /// The union of several distributions.
    pub fn merged<'a>(parts: impl IntoIterator<Item = &'a Self>) -> Self {
        let mut whole = Self::default();
        parts.into_iter().for_each(|part| whole.merge(part));
        whole
    }

    /// All exchanges together, a censored one by its lower bound.
    #[must_use]
    pub fn all(&self) -> Histogram {
        Histogram::merged([&self.ok, &self.failed, &self.censored])
    }

    /// How many exchanges it holds.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.ok.count() + self.failed.count() + self.censored.count()
    }

    /// The quantile over all exchanges; none where there are none.
    ///
    /// Censored exchanges are placed at their lower bounds. Had they lasted for ever, the quantile would lie at a
    /// higher rank of the others; where that makes a difference beyond the precision, the value is only a bound.
    #[must_use]
    pub fn quantile(&self, quantile: Quantile) -> Option<Bound> {
        let value = self.all().quantile(quantile)?;
        if self.censored.is_empty() {
            return Some(Bound {
                value,
                censored: false,
            });
        }
        let known = Histogram::merged([&self.ok, &self.failed]);
        let at_worst = known.value_at_rank(quantile.rank(self.count()));
        let censored = !at_worst.is_some_and(|worst| Histogram::same_bucket(worst, value));
        Some(Bound { value, censored })
    }

    /// The longest exchange; none where there are none. One that is censored may have been the longest, however short it was
    /// when it was given up.
    #[must_use]
    pub fn max(&self) -> Option<Bound> {
        let Self {
            ok,
            failed,
            censored,
        } = self;
        let longest = [ok, failed, censored].map(Histogram::max).into_iter().max();
        longest.flatten().map(|value| Bound {
            value,
            censored: !censored.is_empty(),
        })
    }

    /// The quantile where every exchange that is not ok counts as +∞; none where it is infinite, or nothing was
    /// recorded.
    #[must_use]
    pub fn quantile_of_ok_among_all(&self, quantile: Quantile) -> Option<u64> {
        self.ok.value_at_rank(quantile.rank(self.count()))
    }

    fn histograms(&mut self) -> [&mut Histogram; 3] {
        [&mut self.ok, &mut self.failed, &mut self.censored]
    }

    fn record(&mut self, outcome: Outcome, value: u64) {
        match outcome {
            Outcome::Ok => self.ok.record(value),
            censored if censored.is_censored() => self.censored.record(value),
            _ => self.failed.record(value),
        }
    }

    fn merge(&mut self, other: &Self) {
        self.ok.merge(&other.ok);
        self.failed.merge(&other.failed);
        self.censored.merge(&other.censored);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const STEPS: [usize; 2] = [1, 3];

    fn place() -> impl Strategy<Value = Place> {
        (0usize..2, 0usize..2, 0usize..3).prop_map(|(phase, flow, step)| Place {
            phase,
            flow,
            step: step.min(STEPS[flow] - 1),
        })
    }

    fn exchange() -> impl Strategy<Value = Exchange> {
        (
            0u64..1 << 36,
            0u64..1 << 24,
            0u64..1 << 24,
            1u64..1 << 30,
            0usize..11,
        )
            .prop_map(|(due, lag, wait, service, outcome)| {
                let outcome = Outcome::ALL[outcome];
                let dispatched = due + lag;
                let sent = (outcome != Outcome::Unsent).then_some(dispatched + wait);
                Exchange {
                    due,
                    dispatched: Some(dispatched),
                    sent,
                    done: sent.unwrap_or(dispatched) + service,
                    outcome,
                    status: matches!(outcome, Outcome::Ok | Outcome::StatusError).then_some(200),
                }
            })
    }

    fn absorb_all(entries: &[(Place, Exchange, bool)]) -> Ledger {
        let mut ledger = Ledger::new(2, &STEPS);
        for (place, exchange, ends) in entries {
            ledger.phases[place.phase].due += 1;
            let end = ends.then_some(WalkEnd {
                arrival: exchange.due,
                home: place.phase,
                unreached_from: place.step + 1,
                kept_up_by: 1 << 30,
            });
            ledger.absorb(*place, exchange, end);
        }
        ledger
    }

    proptest! {
        // A ledger holds some forty histograms, and each case fills three ledgers.
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn parts_merge_to_the_whole_and_nothing_is_lost(
            entries in prop::collection::vec((place(), exchange(), any::<bool>()), 0..60),
            split in 0usize..60,
        ) {
            let whole = absorb_all(&entries);
            let (left, right) = entries.split_at(split.min(entries.len()));
            let mut merged = absorb_all(left);
            merged.merge(&absorb_all(right));
            prop_assert_eq!(&merged, &whole);
            prop_assert!(whole.is_balanced());
            let total: u64 = whole.phases.iter().map(|phase| phase.response().count()).sum();
            prop_assert_eq!(total, entries.len() as u64);
        }
    }

    fn distribution(ok: &[u64], censored: &[u64]) -> Distribution {
        let mut distribution = Distribution::default();
        ok.iter()
            .for_each(|&value| distribution.record(Outcome::Ok, value));
        censored
            .iter()
            .for_each(|&value| distribution.record(Outcome::Timeout, value));
        distribution
    }

    #[test]
    fn the_longest_is_a_bound_as_soon_as_one_exchange_never_ended() {
        assert_eq!(distribution(&[], &[]).max(), None);
        let known = distribution(&[1, 12], &[]).max().unwrap();
        assert_eq!((known.value, known.censored), (12, false));
        // Given up after 10, it may have been longer than 12.
        let given_up = distribution(&[1, 12], &[10]).max().unwrap();
        assert_eq!((given_up.value, given_up.censored), (12, true));
        let longest = distribution(&[], &[10]).max().unwrap();
        assert_eq!((longest.value, longest.censored), (10, true));
    }

    #[test]
    fn a_quantile_is_a_bound_only_where_a_censored_exchange_could_move_it() {
        let values: Vec<u64> = (1..=99).map(|k| k * 1_000_000).collect();
        let p = |distribution: &Distribution, quantile| distribution.quantile(quantile).unwrap();
        // One timeout above everything: it is the maximum, and p50 does not care.
        let above = distribution(&values, &[5_000_000_000]);
        assert!(!p(&above, Quantile::P50).censored);
        assert!(!p(&above, Quantile::P99).censored);
        assert_eq!(
            p(&above, Quantile::P99_9),
            Bound {
                value: 5_000_000_000,
                censored: true
            }
        );
        // One bound below everything could have been anything: every quantile might be one rank higher.
        let below = distribution(&values, &[1]);
        assert!(p(&below, Quantile::P50).censored);
    }

    #[test]
    fn failures_count_as_infinite_where_a_gate_asks() {
        let mut distribution = distribution(&[10, 20, 30], &[]);
        assert_eq!(
            distribution.quantile_of_ok_among_all(Quantile::P50),
            Some(20)
        );
        distribution.record(Outcome::StatusError, 1);
        assert_eq!(
            distribution.quantile_of_ok_among_all(Quantile::P50),
            Some(20)
        );
        assert_eq!(distribution.quantile_of_ok_among_all(Quantile::P99), None);
    }

    #[test]
    fn an_unbalanced_ledger_is_noticed() {
        let mut ledger = Ledger::new(1, &[1]);
        ledger.phases[0].due = 1;
        assert!(!ledger.is_balanced());
    }
}
