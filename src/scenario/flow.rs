//! The way of a walk through its flow: which step follows which, and after what pause.

use std::time::Duration;

use serde_json::Value as Json;

use super::expectation::Expectation;
use super::inspect::Inspection;
use super::request::RequestTemplate;
use super::template::Value;
use crate::random::{self, Stream, below, unit};
use crate::units::nanoseconds;

/// A weighted sequence of steps.
#[derive(Debug, Clone, PartialEq)]
pub struct Flow {
    /// Unique in its scenario.
    pub name: String,
    /// At least 1, relative to the other flows' weights.
    pub weight: u32,
    /// At least one.
    pub steps: Vec<Step>,
    /// Steps that repeat, or are made under a condition: in order, and none within another.
    pub(super) blocks: Vec<Block>,
    /// Pauses after the last step.
    pub(super) after: Vec<Think>,
    /// What its walks capture, by number.
    pub captured: Vec<String>,
}

impl Flow {
    /// The requests that a walk makes at least, where all are ok: all of them, or one of a flow with conditions.
    pub(super) fn least_requests(&self) -> usize {
        let is_fixed = |step: &Step| step.condition.is_none();
        if self.blocks.is_empty() && self.steps.iter().all(is_fixed) {
            self.steps.len()
        } else {
            1
        }
    }
}

/// One request of a flow and what it expects.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// Unique in its flow.
    pub name: String,
    /// What is sent.
    pub request: RequestTemplate,
    /// What is expected of the response, and captured from it.
    pub inspection: Inspection,
    /// Pauses before it.
    pub(super) before: Vec<Think>,
    /// It is skipped where this does not hold.
    pub(super) condition: Option<Condition>,
}

/// Steps that belong together.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Block {
    /// The first and the last step.
    pub(super) first: usize,
    pub(super) last: usize,
    /// How often they are made, at least and at most.
    pub(super) repeat: (u32, u32),
    /// They are skipped where this does not hold when they are reached.
    pub(super) condition: Option<Condition>,
    /// Pauses when they are reached, skipped or not.
    pub(super) before: Vec<Think>,
    /// Pauses at the end of each round.
    pub(super) end: Vec<Think>,
}

/// Expectations of captured values, by number: all must hold.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Condition(pub(super) Vec<(usize, Expectation)>);

/// How long a walk pauses, in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Think {
    /// Evenly between two ends, both included.
    Between(u64, u64),
    /// Exponentially distributed with this mean.
    Exponential(u64),
}

/// Where a walk stands: before which step, and how often it has made it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// The step, from 0.
    pub step: u32,
    /// How often the walk has made it before.
    pub round: u32,
}

/// What a walk does after a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Next {
    /// The step that follows; none where the walk is over.
    pub step: Option<Position>,
    /// The pause until then, or until the user of a closed phase begins another walk.
    pub pause: Duration,
}

impl Next {
    /// The walk is over.
    pub const END: Self = Self {
        step: None,
        pause: Duration::ZERO,
    };
}

/// The longest pause that is drawn: an hour, as long as the longest timeout.
const LONGEST_NS: u64 = 3_600_000_000_000;

impl Position {
    /// Where every walk begins.
    pub const START: Self = Self { step: 0, round: 0 };
}

impl Flow {
    /// What follows the step at `at` of the walk that `arrival` began, with what it has captured.
    #[must_use]
    pub fn next(
        &self,
        at: Position,
        (seed, arrival): (u64, u64),
        captured: &[Option<Value>],
    ) -> Next {
        let mut way = Way {
            flow: self,
            walk: (seed, arrival),
            pause: 0,
        };
        let end = self.steps.len() as u32;
        let mut here = way.leave(at);
        while here.step < end {
            if let Some(block) = self
                .block_of(here.step)
                .filter(|block| block.begins_at(here))
            {
                way.think(&block.before, here, BEFORE_BLOCK);
                if !holds(block.condition.as_ref(), captured) {
                    here = block.behind();
                    continue;
                }
            }
            let step = &self.steps[here.step as usize];
            way.think(&step.before, here, BEFORE_STEP);
            if holds(step.condition.as_ref(), captured) {
                return Next {
                    step: Some(here),
                    pause: Duration::from_nanos(way.pause),
                };
            }
            here = way.leave(here);
        }
        way.think(&self.after, here, BEFORE_STEP);
        Next {
            step: None,
            pause: Duration::from_nanos(way.pause),
        }
    }

    /// The first step that a walk has not come to which makes the one at `at` as its last, or as its next: behind a group
    /// whose steps it has come to in an earlier round.
    #[must_use]
    pub fn unreached_from(&self, at: Position, is_made: bool) -> usize {
        match self.block_of(at.step).filter(|_| at.round > 0) {
            Some(block) => block.last + 1,
            None => at.step as usize + usize::from(is_made),
        }
    }

    /// Whether it has one step only, which is made once: most flows.
    #[must_use]
    pub fn is_single(&self) -> bool {
        self.steps.len() == 1 && self.blocks.is_empty()
    }

    /// Whether a walk that comes to its end has not paused after it.
    #[must_use]
    pub fn never_pauses(&self) -> bool {
        self.after.is_empty()
    }

    fn block_of(&self, step: u32) -> Option<&Block> {
        let step = step as usize;
        let block = self.blocks.iter().find(|block| step <= block.last)?;
        (block.first <= step).then_some(block)
    }
}

/// The way from one step to the next, and the pauses on it.
struct Way<'f> {
    flow: &'f Flow,
    walk: (u64, u64),
    pause: u64,
}

/// Tell apart the pauses that are drawn at one position.
const BEFORE_STEP: u64 = 0;
const BEFORE_BLOCK: u64 = 1 << 32;
const END_OF_ROUND: u64 = 2 << 32;

impl Way<'_> {
    fn think(&mut self, thinks: &[Think], at: Position, kind: u64) {
        let (seed, arrival) = self.walk;
        for (k, think) in (kind..).zip(thinks) {
            let drawn = think.draw(seed, [arrival, at.step.into(), at.round.into(), k]);
            self.pause = self.pause.saturating_add(drawn);
        }
    }

    /// The place behind `at`, whatever the conditions there.
    fn leave(&mut self, at: Position) -> Position {
        let next = Position {
            step: at.step + 1,
            round: 0,
        };
        match self.flow.block_of(at.step) {
            // Within a block, all steps are in the same round.
            Some(block) if block.last > at.step as usize => Position {
                round: at.round,
                ..next
            },
            Some(block) => {
                self.think(&block.end, at, END_OF_ROUND);
                if at.round + 1 < block.rounds(self.walk) {
                    return Position {
                        step: block.first as u32,
                        round: at.round + 1,
                    };
                }
                next
            }
            None => next,
        }
    }
}

impl Block {
    fn begins_at(&self, at: Position) -> bool {
        at.step as usize == self.first && at.round == 0
    }

    fn behind(&self) -> Position {
        Position {
            step: self.last as u32 + 1,
            round: 0,
        }
    }

    fn rounds(&self, (seed, arrival): (u64, u64)) -> u32 {
        let (low, high) = self.repeat;
        if low == high {
            return low;
        }
        let bits = random::bits(seed, Stream::Repeat, &[arrival, self.first as u64]);
        low + below(bits, u64::from(high - low) + 1) as u32
    }
}

impl Think {
    fn draw(self, seed: u64, keys: [u64; 4]) -> u64 {
        match self {
            Self::Between(low, high) if low == high => low,
            Self::Between(low, high) => {
                low + below(random::bits(seed, Stream::Think, &keys), high - low + 1)
            }
            Self::Exponential(mean) => {
                let drawn = -unit(random::bits(seed, Stream::Think, &keys)).ln() * mean as f64;
                (drawn as u64).min(LONGEST_NS)
            }
        }
    }

    /// Evenly between two.
    pub(super) fn between(low: Duration, high: Duration) -> Self {
        Self::Between(nanoseconds(low), nanoseconds(high))
    }

    /// Exponentially distributed.
    pub(super) fn exponential(mean: Duration) -> Self {
        Self::Exponential(nanoseconds(mean))
    }
}

/// Whether all expectations hold; without any, they do.
fn holds(condition: Option<&Condition>, captured: &[Option<Value>]) -> bool {
    let Some(Condition(expected)) = condition else {
        return true;
    };
    expected.iter().all(|(index, expected)| {
        let value = captured.get(*index).and_then(Option::as_ref);
        let json = value.map(|Value { text, is_json }| match is_json {
            true => serde_json::from_str(text).unwrap_or(Json::Null),
            false => Json::from(&**text),
        });
        expected.holds(&json.iter().collect::<Vec<_>>())
    })
}

#[cfg(test)]
mod tests;
