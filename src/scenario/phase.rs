//! A phase: how load is made, and for how long.

use std::time::Duration;

use crate::units::Rate;

/// A stretch of a run with one load model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Phase {
    /// Unique in its scenario.
    pub name: String,
    /// How load is made.
    pub model: LoadModel,
    /// How long; above zero.
    pub duration: Duration,
    /// Measured, but part of no total, threshold or gate. Of a pause: whether the phase before it is.
    pub warmup: bool,
}

/// How a phase makes load.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoadModel {
    /// Flows start at moments that do not depend on the target.
    Open {
        /// Flow starts over time.
        rate: Rate,
        /// How the starts are spread.
        arrivals: Arrivals,
    },
    /// As [`Self::Open`], at a rate that goes evenly from one to another.
    Ramp {
        /// The rate at the start of the phase.
        from: Rate,
        /// The rate at its end.
        to: Rate,
        /// How the starts are spread.
        arrivals: Arrivals,
    },
    /// Users who start a flow as soon as their last one has ended, and so wait for the target.
    Closed {
        /// How many; at least 1.
        users: u32,
    },
    /// No flow starts. What is under way goes on.
    Pause,
}

/// How the arrivals of an open phase are spread.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Arrivals {
    /// At equal gaps; in a ramp, at equal shares of its arrivals.
    #[default]
    Constant,
    /// As independent users come: with exponentially distributed gaps.
    Poisson,
}

impl Phase {
    /// The most arrivals of one phase: at the highest rate it lasts a day, and a count of nanoseconds times it fits 128 bits.
    pub const MAX_ARRIVALS: u64 = 1_000_000_000_000;

    /// The longest phase: a week, a soak test.
    pub const LONGEST: Duration = Duration::from_secs(7 * 24 * 3_600);

    /// The most users of a closed phase: each wants a connection, and one address has fewer ports.
    pub const MAX_USERS: u32 = 100_000;

    /// Whether its figures are a result: it offers load, and is no warm-up.
    #[must_use]
    pub fn is_measured(&self) -> bool {
        !self.warmup && self.model != LoadModel::Pause
    }

    /// How many arrivals are due in the phase on average, rounded up, in a ramp by up to one more; none where that
    /// depends on the target.
    #[must_use]
    pub fn expected_arrivals(&self) -> Option<u64> {
        // The arrivals of `parts` times the duration. Below 2^64 each: the product fits, and so does the quotient, since
        // a rate is at most one arrival per 100 ns.
        let due = |rate: Rate, parts: u128| {
            let arrivals = self.duration.as_nanos() * u128::from(rate.count());
            let due = arrivals.div_ceil(u128::from(rate.per_ns()) * parts);
            u64::try_from(due).unwrap_or(u64::MAX)
        };
        match self.model {
            LoadModel::Open { rate, .. } => Some(due(rate, 1)),
            // The mean of the two rates.
            LoadModel::Ramp { from, to, .. } => Some(due(from, 2).saturating_add(due(to, 2))),
            LoadModel::Closed { .. } => None,
            LoadModel::Pause => Some(0),
        }
    }
}

impl LoadModel {
    /// The key that makes it in a scenario file.
    #[must_use]
    pub fn key(&self) -> &'static str {
        match self {
            Self::Open { .. } => "rate",
            Self::Ramp { .. } => "ramp",
            Self::Closed { .. } => "users",
            Self::Pause => "pause",
        }
    }

    /// Whether arrivals come whatever the target does.
    #[must_use]
    pub fn is_open(&self) -> bool {
        matches!(self, Self::Open { .. } | Self::Ramp { .. })
    }

    /// Arrivals per second that are offered on average; none where the target decides, and in a pause.
    #[must_use]
    pub fn mean_rate(&self) -> Option<f64> {
        match self {
            Self::Open { rate, .. } => Some(rate.per_second()),
            Self::Ramp { from, to, .. } => Some(f64::midpoint(from.per_second(), to.per_second())),
            Self::Closed { .. } | Self::Pause => None,
        }
    }

    /// Arrivals per second where the most are offered; none where the target decides, and in a pause.
    #[must_use]
    pub fn highest_rate(&self) -> Option<f64> {
        match self {
            Self::Open { rate, .. } => Some(rate.per_second()),
            Self::Ramp { from, to, .. } => Some(from.per_second().max(to.per_second())),
            Self::Closed { .. } | Self::Pause => None,
        }
    }

    /// How arrivals are spread, where they are planned.
    #[must_use]
    pub fn arrivals(&self) -> Option<Arrivals> {
        match *self {
            Self::Open { arrivals, .. } | Self::Ramp { arrivals, .. } => Some(arrivals),
            Self::Closed { .. } | Self::Pause => None,
        }
    }

    /// The keys of a phase in a scenario file that make this model.
    pub(super) fn to_yaml(self) -> String {
        let spread = |arrivals| match arrivals {
            Arrivals::Constant => "constant",
            Arrivals::Poisson => "poisson",
        };
        match self {
            Self::Open { rate, arrivals } => {
                format!("rate: {rate}, arrivals: {}", spread(arrivals))
            }
            Self::Ramp { from, to, arrivals } => {
                format!("ramp: {from}..{to}, arrivals: {}", spread(arrivals))
            }
            Self::Closed { users } => format!("users: {users}"),
            Self::Pause => "pause: true".to_owned(),
        }
    }
}
