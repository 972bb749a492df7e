//! What must hold of a run: expressions such as `p99 of buy/transfer < 400ms in steady`.
//!
//! An [`Expression`] is valid by construction: its metric is kept for what it is asked of, its value has the unit of the
//! metric, and the flows, steps and phases that it names are there. Whether it held is decided in [`crate::judgement`].

mod parse;
#[cfg(test)]
mod tests;

use std::cmp::Ordering;
use std::time::Duration;

use crate::document::Flaw;
use crate::units::Quantile;

/// A condition on a run, and whether the run ends when it is broken.
#[derive(Debug, Clone, PartialEq)]
pub struct Threshold {
    expression: Expression,
    abort_after: Option<Duration>,
}

/// `metric [of flow[/step]] op value [in phase] [over every D]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Expression {
    text: String,
    metric: Metric,
    comparison: Comparison,
    limit: Figure,
    phase: Option<String>,
    every: Option<Duration>,
}

/// What is compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Metric {
    /// done − due, of all exchanges.
    Response(Statistic, Scope),
    /// done − sent.
    Service(Statistic, Scope),
    /// sent − dispatched.
    Wait(Statistic),
    /// dispatched − due.
    Lag(Statistic),
    /// The time of whole walks, of one flow or of all that have several steps.
    Journey(Statistic, Option<String>),
    /// The exchanges that were not ok among all that were due.
    ErrorRate(Scope),
    /// Walks per second that the target finished in time.
    AchievedRate,
    /// Memory of the target.
    Memory(MemoryFigure),
    /// CPU time of the target per 1,000 answered requests.
    CpuPer1k,
}

/// A figure of a distribution of times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Statistic {
    /// A quantile.
    Quantile(Quantile),
    /// The mean.
    Mean,
    /// The shortest.
    Min,
    /// The longest.
    Max,
}

/// Whose exchanges.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// Everybody's.
    All,
    /// Those of a flow.
    Flow(String),
    /// Those of a step.
    Step {
        /// Its flow.
        flow: String,
        /// The step.
        step: String,
    },
}

/// A figure of the target's memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MemoryFigure {
    /// Before any load.
    Idle,
    /// 95th percentile over the measured phases.
    P95,
    /// The most.
    Peak,
    /// Growth over the measured phases.
    Slope,
    /// After the load.
    AfterIdle,
}

/// How the observed figure has to lie to the limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    /// `<`
    Below,
    /// `<=`
    AtMost,
    /// `>`
    Above,
    /// `>=`
    AtLeast,
}

/// A quantity with its unit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Figure {
    /// Nanoseconds.
    Time(u64),
    /// A part of one.
    Ratio(f64),
    /// Arrivals per second.
    Rate(f64),
    /// Bytes.
    Size(u64),
    /// Bytes per second.
    Slope(f64),
}

/// A figure that was observed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Observed {
    /// The figure.
    pub figure: Figure,
    /// Whether the true one may be larger.
    pub lower_bound: bool,
}

/// Whether an expression holds of a figure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Answer {
    /// It does.
    Holds,
    /// The figure is a lower bound, and the true one could lie on either side.
    Unknown,
    /// It does not, whatever the true figure is.
    Broken,
}

/// What became of a threshold.
#[derive(Debug, Clone, PartialEq)]
pub struct Ruling {
    /// As it was written.
    pub expression: String,
    /// What was compared, where there was anything: of `over every`, the worst block's.
    pub observed: Option<Observed>,
    /// Which block that was, in words.
    pub when: Option<String>,
    /// Whether it held.
    pub passed: bool,
    /// Why it did not, where the figures alone do not say it.
    pub reason: Option<String>,
}

/// What expressions can be about: the flows, steps and phases of one scenario.
#[derive(Debug, Clone, Default)]
pub struct Subjects<'s> {
    /// Each flow with its steps.
    pub flows: Vec<(&'s str, Vec<&'s str>)>,
    /// The phases, in order.
    pub phases: Vec<SubjectPhase<'s>>,
}

/// A phase that an expression may name.
#[derive(Debug, Clone, Copy)]
pub struct SubjectPhase<'s> {
    /// Its name.
    pub name: &'s str,
    /// What it is instead of measured.
    pub unmeasured: Option<&'static str>,
    /// How long it lasts.
    pub duration: Duration,
    /// How wide the windows are in which it is kept over time.
    pub window: Duration,
}

impl Threshold {
    /// A condition that is judged when the run is over.
    #[must_use]
    pub fn new(expression: Expression) -> Self {
        Self {
            expression,
            abort_after: None,
        }
    }

    /// One that is judged while the run goes on, too, and ends it when it is broken later than `after` from the start of
    /// the first measured phase that it is about.
    ///
    /// # Errors
    /// Says why where the expression cannot be judged from what is known during a run.
    pub fn aborting(expression: Expression, after: Duration) -> Result<Self, &'static str> {
        let all = matches!(
            expression.metric,
            Metric::Response(_, Scope::All) | Metric::ErrorRate(Scope::All)
        );
        if !all {
            return Err(
                "while a run goes on, only response times and `error_rate` of all flows together are known",
            );
        }
        if expression.every.is_some() {
            return Err("while a run goes on, all that was measured so far is judged together");
        }
        Ok(Self {
            expression,
            abort_after: Some(after),
        })
    }

    /// The condition.
    #[must_use]
    pub fn expression(&self) -> &Expression {
        &self.expression
    }

    /// From when on the run ends when it is broken; none: it does not.
    #[must_use]
    pub fn abort_after(&self) -> Option<Duration> {
        self.abort_after
    }
}

impl Expression {
    /// Reads an expression about `subjects`.
    ///
    /// # Errors
    /// The first thing that is wrong with it, and where.
    pub fn parse(text: &str, subjects: &Subjects<'_>) -> Result<Self, Flaw> {
        parse::expression(text, subjects)
    }

    /// As it was written.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// What is compared.
    #[must_use]
    pub fn metric(&self) -> &Metric {
        &self.metric
    }

    /// The one phase that it is about; none: all that are measured.
    #[must_use]
    pub fn phase(&self) -> Option<&str> {
        self.phase.as_deref()
    }

    /// Whether it is about the measured phase `name`.
    #[must_use]
    pub fn is_about(&self, name: &str) -> bool {
        self.phase().is_none_or(|phase| phase == name)
    }

    /// How long the blocks are in each of which it has to hold; none: it is about all of them together.
    #[must_use]
    pub fn every(&self) -> Option<Duration> {
        self.every
    }

    /// Whether it holds of `observed`, a figure of its metric.
    #[must_use]
    pub fn answer(&self, observed: Observed) -> Answer {
        let order = observed.figure.compare(self.limit);
        let holds = match self.comparison {
            Comparison::Below => order == Ordering::Less,
            Comparison::AtMost => order != Ordering::Greater,
            Comparison::Above => order == Ordering::Greater,
            Comparison::AtLeast => order != Ordering::Less,
        };
        // What may be larger can still exceed a limit from above, and can still reach one from below.
        match (observed.lower_bound, holds) {
            (true, holds) if holds == self.is_upper() => Answer::Unknown,
            (_, true) => Answer::Holds,
            (_, false) => Answer::Broken,
        }
    }

    /// Which of two figures is nearer to breaking it, or further beyond: [`Ordering::Greater`] if `a` is.
    #[must_use]
    pub fn worse(&self, a: Observed, b: Observed) -> Ordering {
        let larger = a.figure.compare(b.figure);
        let further = if self.is_upper() {
            larger
        } else {
            larger.reverse()
        };
        self.answer(a).cmp(&self.answer(b)).then(further)
    }

    /// Whether large figures break it.
    fn is_upper(&self) -> bool {
        matches!(self.comparison, Comparison::Below | Comparison::AtMost)
    }
}

impl Figure {
    /// How it lies to another of the same unit.
    fn compare(self, other: Self) -> Ordering {
        self.value().total_cmp(&other.value())
    }

    /// The number, in the unit of its kind: exact as far as the histograms are.
    fn value(self) -> f64 {
        match self {
            Self::Time(ns) => ns as f64,
            Self::Size(bytes) => bytes as f64,
            Self::Ratio(value) | Self::Rate(value) | Self::Slope(value) => value,
        }
    }
}

impl From<Figure> for Observed {
    fn from(figure: Figure) -> Self {
        Self {
            figure,
            lower_bound: false,
        }
    }
}
