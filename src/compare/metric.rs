//! The figures that are compared, and their names.

use std::fmt;
use std::str::FromStr;

use crate::document::nearest;
use crate::threshold::MemoryFigure;
use crate::units::Quantile;

/// A figure that is compared; of all of them but the achieved rate, less is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Metric {
    /// A quantile of response time, in nanoseconds; +∞ where it falls among requests that were not ok.
    Response(Quantile),
    /// Arrivals per second that the target kept up with.
    AchievedRate,
    /// Memory, in bytes; its slope in bytes per second.
    Memory(MemoryFigure),
    /// CPU time per 1,000 answered requests, in nanoseconds.
    CpuPer1k,
    /// From exec to ready, in nanoseconds.
    Startup,
}

/// No metric by which a gate can decide.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown metric `{given}`{}", did_you_mean(nearest.as_deref()))]
pub struct UnknownMetric {
    /// What was given.
    pub given: String,
    /// What may have been meant.
    pub nearest: Option<String>,
}

impl UnknownMetric {
    /// What there is instead.
    pub const HINT: &str =
        "metrics of a gate are p50 … p99.9, mem.idle|p95|peak|slope|after_idle and cpu.per_1k";
}

const NAMED: [(&str, Metric); 6] = [
    ("mem.idle", Metric::Memory(MemoryFigure::Idle)),
    ("mem.p95", Metric::Memory(MemoryFigure::P95)),
    ("mem.peak", Metric::Memory(MemoryFigure::Peak)),
    ("mem.slope", Metric::Memory(MemoryFigure::Slope)),
    ("mem.after_idle", Metric::Memory(MemoryFigure::AfterIdle)),
    ("cpu.per_1k", Metric::CpuPer1k),
];

impl Metric {
    /// Whether it is a time of a request.
    #[must_use]
    pub fn is_latency(self) -> bool {
        matches!(self, Self::Response(_))
    }
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Response(quantile) => quantile.fmt(f),
            Self::AchievedRate => f.pad("achieved_rate"),
            Self::Startup => f.pad("startup"),
            Self::Memory(_) | Self::CpuPer1k => {
                let named = NAMED.iter().find(|(_, metric)| metric == self);
                f.pad(named.map_or("", |(name, _)| name))
            }
        }
    }
}

/// The metrics by which a gate can decide, as `--metric` names them.
impl FromStr for Metric {
    type Err = UnknownMetric;

    fn from_str(text: &str) -> Result<Self, UnknownMetric> {
        if let Some((_, metric)) = NAMED.iter().find(|(name, _)| *name == text) {
            return Ok(*metric);
        }
        text.parse().map(Self::Response).map_err(|_| {
            let names = NAMED.iter().map(|(name, _)| *name);
            UnknownMetric {
                given: text.to_owned(),
                nearest: nearest(text, names.chain(["p50", "p90", "p95", "p99", "p99.9"]))
                    .map(str::to_owned),
            }
        })
    }
}

fn did_you_mean(nearest: Option<&str>) -> String {
    nearest.map_or_else(String::new, |name| format!("; did you mean `{name}`?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_are_read_as_they_are_written() {
        for name in [
            "p50",
            "p99",
            "p99.9",
            "mem.idle",
            "mem.p95",
            "mem.peak",
            "mem.slope",
            "mem.after_idle",
            "cpu.per_1k",
        ] {
            assert_eq!(name.parse::<Metric>().unwrap().to_string(), name);
        }
        let error = "mem.peek".parse::<Metric>().unwrap_err();
        let message = "unknown metric `mem.peek`; did you mean `mem.peak`?";
        assert_eq!(error.to_string(), message);
        assert!("p100".parse::<Metric>().is_err() && "startup".parse::<Metric>().is_err());
    }
}
