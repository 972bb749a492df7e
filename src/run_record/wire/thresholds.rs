//! What became of a run's thresholds, as its record says.

use serde::{Deserialize, Serialize};
use serde_json::Number;

use crate::run_record::EndedBy;
use crate::threshold::{Figure, Observed, Ruling};

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct WireEndedBy {
    expression: String,
    at_ns: u64,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct WireRuling {
    expression: String,
    observed: Option<Number>,
    /// Of what was observed.
    unit: Option<WireUnit>,
    lower_bound: bool,
    when: Option<String>,
    passed: bool,
    reason: Option<String>,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
enum WireUnit {
    #[serde(rename = "ns")]
    Nanoseconds,
    #[serde(rename = "ratio")]
    Ratio,
    #[serde(rename = "per_s")]
    PerSecond,
    #[serde(rename = "bytes")]
    Bytes,
    #[serde(rename = "bytes_per_s")]
    BytesPerSecond,
}

impl WireEndedBy {
    pub(super) fn new(ended: &EndedBy) -> Self {
        Self {
            expression: ended.expression.clone(),
            at_ns: ended.at_ns,
        }
    }

    pub(super) fn into_ended_by(self) -> EndedBy {
        EndedBy {
            expression: self.expression,
            at_ns: self.at_ns,
        }
    }
}

impl WireRuling {
    pub(super) fn new(ruling: &Ruling) -> Self {
        let observed = ruling.observed.map(|observed| match observed.figure {
            Figure::Time(ns) => (Some(ns.into()), WireUnit::Nanoseconds),
            Figure::Size(bytes) => (Some(bytes.into()), WireUnit::Bytes),
            Figure::Ratio(ratio) => (Number::from_f64(ratio), WireUnit::Ratio),
            Figure::Rate(rate) => (Number::from_f64(rate), WireUnit::PerSecond),
            Figure::Slope(slope) => (Number::from_f64(slope), WireUnit::BytesPerSecond),
        });
        Self {
            expression: ruling.expression.clone(),
            observed: observed.clone().and_then(|(number, _)| number),
            unit: observed.map(|(_, unit)| unit),
            lower_bound: ruling.observed.is_some_and(|observed| observed.lower_bound),
            when: ruling.when.clone(),
            passed: ruling.passed,
            reason: ruling.reason.clone(),
        }
    }

    /// # Errors
    /// Says what is wrong where the number does not fit its unit.
    pub(super) fn into_ruling(self) -> Result<Ruling, String> {
        let observed = match self.observed.zip(self.unit) {
            None => None,
            Some((number, unit)) => Some(Observed {
                figure: figure(&number, unit)
                    .ok_or_else(|| format!("`{}` observed {number}", self.expression))?,
                lower_bound: self.lower_bound,
            }),
        };
        Ok(Ruling {
            expression: self.expression,
            observed,
            when: self.when,
            passed: self.passed,
            reason: self.reason,
        })
    }
}

fn figure(number: &Number, unit: WireUnit) -> Option<Figure> {
    Some(match unit {
        WireUnit::Nanoseconds => Figure::Time(number.as_u64()?),
        WireUnit::Bytes => Figure::Size(number.as_u64()?),
        WireUnit::Ratio => Figure::Ratio(number.as_f64()?),
        WireUnit::PerSecond => Figure::Rate(number.as_f64()?),
        WireUnit::BytesPerSecond => Figure::Slope(number.as_f64()?),
    })
}
