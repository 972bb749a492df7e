//! What is known of what goes on: a function of the events so far and of when they came.

mod load;

use std::time::Duration;

use crate::event::{Event, RoundsSoFar};
pub(super) use load::{Load, MOST_SECONDS, Place};

/// All that is known.
#[derive(Debug, Default)]
pub(super) struct Model {
    /// What is being done beside offering load, and since when.
    pub(super) step: Option<(String, Duration)>,
    /// The load that is offered, or was last.
    pub(super) load: Option<Load>,
    /// The load that is offered beside it, to another target.
    pub(super) beside: Option<Load>,
    /// The rounds of a comparison or a gate.
    pub(super) rounds: Option<Rounds>,
}

/// How far a comparison or a gate is.
#[derive(Debug)]
pub(super) struct Rounds {
    pub(super) done: usize,
    pub(super) void: usize,
    pub(super) most: usize,
    pub(super) fewer_may_do: bool,
    /// The arms with their p99 so far, in nanoseconds.
    pub(super) arms: Vec<(String, Option<f64>)>,
    pub(super) says: String,
    /// When it was heard of first, and how many rounds were valid then.
    begun: (Duration, usize),
    /// When it was heard of last.
    told: Duration,
}

impl Model {
    /// Takes in an event that came at `now`.
    pub(super) fn tell(&mut self, event: &Event<'_>, now: Duration) {
        match *event {
            Event::Step(words) => self.step = Some((words.to_owned(), now)),
            Event::Beside(event) => self.tell_load(event, now, |model| &mut model.beside),
            Event::Rounds(so_far) => self.count(so_far, now),
            // What it came to stands in a line of its own.
            Event::RunDone(_) => (self.load, self.beside) = (None, None),
            Event::Over => *self = Self::default(),
            Event::Warning(_) | Event::RoundDone(_) => {}
            Event::Started { .. }
            | Event::Window(_)
            | Event::Standing(_)
            | Event::Target { .. } => {
                self.tell_load(event, now, |model| &mut model.load);
            }
        }
    }

    fn tell_load(
        &mut self,
        event: &Event<'_>,
        now: Duration,
        of: fn(&mut Self) -> &mut Option<Load>,
    ) {
        if let Event::Started {
            target,
            phases,
            workers,
            timeout,
            ..
        } = *event
        {
            self.step = None;
            *of(self) = Some(Load::new(target, phases, workers, timeout, now));
        } else if let Some(load) = of(self) {
            load.tell(event);
        }
    }

    fn count(&mut self, so_far: &RoundsSoFar<'_>, now: Duration) {
        let before = self.rounds.take();
        // A confirmation begins from zero.
        let begun = before.filter(|before| before.done <= so_far.done);
        let arms = so_far.arms.iter();
        self.rounds = Some(Rounds {
            done: so_far.done,
            void: so_far.void,
            most: so_far.most,
            fewer_may_do: so_far.fewer_may_do,
            arms: arms.map(|(name, p99)| ((*name).to_owned(), *p99)).collect(),
            says: so_far.says.to_owned(),
            begun: begun.map_or((now, so_far.done), |before| before.begun),
            told: now,
        });
    }
}

impl Rounds {
    /// How much longer the rounds that are left will take, by those that were seen; none before the first.
    pub(super) fn left(&self, now: Duration) -> Option<Duration> {
        let (begun, before) = self.begun;
        let seen = self.done.checked_sub(before).filter(|seen| *seen > 0)?;
        let each = (self.told - begun).div_f64(seen as f64);
        let left = each.mul_f64(self.most.saturating_sub(self.done) as f64);
        Some(left.saturating_sub(now.saturating_sub(self.told)))
    }
}
