//! The metric of a threshold: its name, and of what it is kept.

use std::str::FromStr as _;

use super::{Word, flaw, unknown, wrong_unit};
use crate::document::{Flaw, nearest};
use crate::threshold::{MemoryFigure, Metric, Scope, Statistic, Subjects};
use crate::units::Quantile;

/// Metrics as they are written, to guess what a misspelt one meant; any quantile will do for `p99`.
const METRICS: [&str; 17] = [
    "p50",
    "p90",
    "p99",
    "p99.9",
    "mean",
    "min",
    "max",
    "service.p99",
    "wait.p99",
    "lag.p99",
    "journey.p99",
    "error_rate",
    "achieved_rate",
    "mem.idle",
    "mem.peak",
    "mem.slope",
    "cpu.per_1k",
];

const MEMORY: [(&str, MemoryFigure); 5] = [
    ("idle", MemoryFigure::Idle),
    ("p95", MemoryFigure::P95),
    ("peak", MemoryFigure::Peak),
    ("slope", MemoryFigure::Slope),
    ("after_idle", MemoryFigure::AfterIdle),
];

const STATISTICS: &str = "p50, p99, p99.9, mean, min or max";

/// A metric before it is known of what.
#[derive(Debug, Clone, Copy)]
pub(super) enum Named {
    Times(Times, Statistic),
    ErrorRate,
    AchievedRate,
    Memory(MemoryFigure),
    CpuPer1k,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Times {
    Response,
    Service,
    Wait,
    Lag,
    Journey,
}

impl Named {
    pub(super) fn parse(word: Word<'_>) -> Result<Self, Flaw> {
        match word.text {
            "error_rate" => return Ok(Self::ErrorRate),
            "achieved_rate" => return Ok(Self::AchievedRate),
            "cpu.per_1k" => return Ok(Self::CpuPer1k),
            _ => {}
        }
        let (times, statistic) = match word.text.split_once('.') {
            Some(("service", statistic)) => (Times::Service, statistic),
            Some(("wait", statistic)) => (Times::Wait, statistic),
            Some(("lag", statistic)) => (Times::Lag, statistic),
            Some(("journey", statistic)) => (Times::Journey, statistic),
            Some(("mem", figure)) => return Self::memory(word, figure),
            _ => (Times::Response, word.text),
        };
        let statistic = match statistic {
            "mean" => Statistic::Mean,
            "min" => Statistic::Min,
            "max" => Statistic::Max,
            quantile if looks_like_a_quantile(quantile) => {
                let quantile = Quantile::from_str(quantile);
                Statistic::Quantile(quantile.map_err(|error| wrong_unit(word, &error))?)
            }
            _ if matches!(times, Times::Response) => {
                let hint = "metrics are p50 … p99.9, mean, min, max, those after service., wait., lag. or journey., \
                            error_rate, achieved_rate, mem.idle|p95|peak|slope|after_idle and cpu.per_1k";
                return Err(unknown("metric", word, METRICS, hint.to_owned()));
            }
            other => {
                let message = format!("unknown metric `{}`", word.text);
                let offset = word.at + word.text.len() - other.len();
                return Err(flaw(
                    offset,
                    message,
                    format!("after the point stands {STATISTICS}"),
                ));
            }
        };
        Ok(Self::Times(times, statistic))
    }

    fn memory(word: Word<'_>, figure: &str) -> Result<Self, Flaw> {
        if let Some((_, figure)) = MEMORY.iter().find(|(name, _)| *name == figure) {
            return Ok(Self::Memory(*figure));
        }
        let names = MEMORY.map(|(name, _)| format!("mem.{name}"));
        // The part that they share says nothing about which was meant.
        let near = nearest(figure, MEMORY.map(|(name, _)| name));
        let near = near.map(|name| format!("mem.{name}"));
        let hint = format!("figures of memory are {}", names.join(", "));
        Err(unknown("metric", word, near, hint))
    }

    /// The metric `name` of what `of` names.
    pub(super) fn of(
        self,
        name: Word<'_>,
        of: Option<Word<'_>>,
        subjects: &Subjects<'_>,
    ) -> Result<Metric, Flaw> {
        let scope = of.map(|word| subjects.scope(word)).transpose()?;
        let refused = |why: &str| match of {
            Some(word) => Err(flaw(
                word.at,
                format!("`{}` {why}: it has no `of`", name.text),
                "leave `of` out",
            )),
            None => Ok(()),
        };
        let all = scope.clone().unwrap_or(Scope::All);
        Ok(match self {
            Self::Times(Times::Response, statistic) => Metric::Response(statistic, all),
            Self::Times(Times::Service, statistic) => Metric::Service(statistic, all),
            Self::ErrorRate => Metric::ErrorRate(all),
            Self::Times(Times::Journey, statistic) => {
                Metric::Journey(statistic, subjects.journey(name, of.zip(scope))?)
            }
            Self::Times(Times::Wait, statistic) => {
                refused("is kept for each phase, not for each flow")?;
                Metric::Wait(statistic)
            }
            Self::Times(Times::Lag, statistic) => {
                refused("is kept for each phase, not for each flow")?;
                Metric::Lag(statistic)
            }
            Self::AchievedRate => {
                refused("is kept for each phase, not for each flow")?;
                Metric::AchievedRate
            }
            Self::Memory(figure) => {
                refused("is the target's as a whole")?;
                Metric::Memory(figure)
            }
            Self::CpuPer1k => {
                refused("is the target's as a whole")?;
                Metric::CpuPer1k
            }
        })
    }
}

fn looks_like_a_quantile(word: &str) -> bool {
    word.strip_prefix('p')
        .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
}
