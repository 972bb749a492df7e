//! How a phase made load, as its record says.

use serde::{Deserialize, Serialize};

use super::parts::{arrivals_name, arrivals_named, rate_fraction};
use crate::scenario::{LoadModel, Phase};
use crate::units::Rate;

/// The keys of a phase that say how load was made: what does not belong to its model is null.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct WireModel {
    model: String,
    arrivals: Option<String>,
    /// The offered rate as an exact fraction: arrivals, and the nanoseconds that they take.
    offered_rate_exact: Option<[u64; 2]>,
    ramp: Option<WireRamp>,
    users: Option<u32>,
}

#[derive(Debug, Serialize, Deserialize)]
struct WireRamp {
    #[serde(skip_deserializing)]
    from_rate: f64,
    from_rate_exact: [u64; 2],
    #[serde(skip_deserializing)]
    to_rate: f64,
    to_rate_exact: [u64; 2],
}

impl WireModel {
    pub(super) fn new(model: LoadModel) -> Self {
        let named = |model: &str| Self {
            model: model.into(),
            ..Self::default()
        };
        match model {
            LoadModel::Open { rate, arrivals } => Self {
                arrivals: Some(arrivals_name(arrivals).into()),
                offered_rate_exact: Some(rate_fraction(rate)),
                ..named("open")
            },
            LoadModel::Ramp { from, to, arrivals } => Self {
                arrivals: Some(arrivals_name(arrivals).into()),
                ramp: Some(WireRamp {
                    from_rate: from.per_second(),
                    from_rate_exact: rate_fraction(from),
                    to_rate: to.per_second(),
                    to_rate_exact: rate_fraction(to),
                }),
                ..named("open")
            },
            LoadModel::Closed { users } => Self {
                users: Some(users),
                ..named("closed")
            },
            LoadModel::Pause => named("pause"),
        }
    }

    /// # Errors
    /// Says what is wrong where these are not the keys of one model.
    pub(super) fn into_model(self) -> Result<LoadModel, String> {
        let Self {
            model,
            arrivals,
            offered_rate_exact,
            ramp,
            users,
        } = self;
        let arrivals = arrivals.as_deref().map(arrivals_named).transpose()?;
        match (model.as_str(), arrivals, offered_rate_exact, ramp, users) {
            ("open", Some(arrivals), Some(exact), None, None) => Ok(LoadModel::Open {
                rate: rate(exact)?,
                arrivals,
            }),
            ("open", Some(arrivals), None, Some(ramp), None) => Ok(LoadModel::Ramp {
                from: rate(ramp.from_rate_exact)?,
                to: rate(ramp.to_rate_exact)?,
                arrivals,
            }),
            ("closed", None, None, None, Some(users @ 1..=Phase::MAX_USERS)) => {
                Ok(LoadModel::Closed { users })
            }
            ("pause", None, None, None, None) => Ok(LoadModel::Pause),
            _ => Err(format!("a phase is not as its model `{model}` is")),
        }
    }
}

fn rate([count, per_ns]: [u64; 2]) -> Result<Rate, String> {
    Rate::new(count, per_ns)
        .ok_or_else(|| format!("{count} every {per_ns} ns is an impossible rate"))
}
