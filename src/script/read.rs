//! The values of a script's flags, as people write them.

use std::str::FromStr;

use super::{Delay, Stall, TAIL_SHARE, TailSlowdown};
use crate::units::{UnitError, parse_duration, parse_ratio};

/// A value that is not what it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScriptError {
    /// Not of the form.
    #[error("`{text}` is not {what}; write {example}")]
    Form {
        /// What was written.
        text: String,
        /// What was asked for.
        what: &'static str,
        /// One that is right.
        example: &'static str,
    },
    /// A part is no duration, or no ratio.
    #[error("{0}; {hint}", hint = .0.hint())]
    Unit(#[from] UnitError),
    /// Above 1.
    #[error("{0} is more than all requests")]
    Share(String),
    /// A server that always stands still.
    #[error("stalls of {0} leave no time between them")]
    Endless(String),
}

impl Delay {
    /// Reads `FAST,SLOW,SHARE`, such as `1ms,20ms,5%`.
    ///
    /// # Errors
    /// Anything else.
    pub fn bimodal(text: &str) -> Result<Self, ScriptError> {
        let Ok([fast, slow, share]) = parts(text) else {
            return Err(form(text, "FAST,SLOW,SHARE", "1ms,20ms,5%"));
        };
        Ok(Self::Bimodal {
            fast: parse_duration(fast)?,
            slow: parse_duration(slow)?,
            share: self::share(share)?,
        })
    }

    /// Reads `MEDIAN,SIGMA`, such as `1ms,0.8`.
    ///
    /// # Errors
    /// Anything else.
    pub fn lognormal(text: &str) -> Result<Self, ScriptError> {
        let wrong = || form(text, "MEDIAN,SIGMA", "1ms,0.8");
        let [median, sigma] = parts(text).map_err(|()| wrong())?;
        Ok(Self::Lognormal {
            median: parse_duration(median)?,
            sigma: number(sigma).ok_or_else(wrong)?,
        })
    }
}

impl FromStr for TailSlowdown {
    type Err = ScriptError;

    /// Reads `FACTOR` or `FACTOR,SHARE`, such as `1.5` or `1.5,3%`.
    fn from_str(text: &str) -> Result<Self, ScriptError> {
        let (factor, share) = match text.split_once(',') {
            Some((factor, share)) => (factor, self::share(share)?),
            None => (text, TAIL_SHARE),
        };
        match number(factor) {
            Some(factor) => Ok(Self { factor, share }),
            None => Err(form(text, "FACTOR,SHARE", "1.5 or 1.5,3%")),
        }
    }
}

impl FromStr for Stall {
    type Err = ScriptError;

    /// Reads `LASTS/EVERY` or `LASTS/EVERY@FIRST`, such as `800ms/4s` or `800ms/4s@1s`. The first begins half a
    /// distance after the first request where nothing else is said.
    fn from_str(text: &str) -> Result<Self, ScriptError> {
        let Some((lasts, rest)) = text.split_once('/') else {
            return Err(form(text, "LASTS/EVERY@FIRST", "800ms/4s or 800ms/4s@1s"));
        };
        let (every, first) = match rest.split_once('@') {
            Some((every, first)) => (parse_duration(every)?, Some(parse_duration(first)?)),
            None => (parse_duration(rest)?, None),
        };
        let lasts = parse_duration(lasts)?;
        if lasts >= every {
            return Err(ScriptError::Endless(text.to_owned()));
        }
        let first = first.unwrap_or(every / 2);
        Ok(Self {
            lasts,
            every,
            first,
        })
    }
}

/// Reads a share of all requests, such as `1%` or `0.01`.
///
/// # Errors
/// Anything else, and more than all of them.
pub fn share(text: &str) -> Result<f64, ScriptError> {
    match parse_ratio(text)? {
        share if share <= 1.0 => Ok(share),
        _ => Err(ScriptError::Share(text.to_owned())),
    }
}

/// Reads a factor, such as `1.2`.
///
/// # Errors
/// Anything else.
pub fn factor(text: &str) -> Result<f64, ScriptError> {
    number(text).ok_or_else(|| form(text, "a factor", "1.2"))
}

/// A factor or a standard deviation: finite, and not below 0.
fn number(text: &str) -> Option<f64> {
    let number: f64 = text.trim().parse().ok()?;
    (number.is_finite() && number >= 0.0).then_some(number)
}

fn parts<const N: usize>(text: &str) -> Result<[&str; N], ()> {
    let parts: Vec<&str> = text.split(',').map(str::trim).collect();
    parts.try_into().map_err(|_| ())
}

fn form(text: &str, what: &'static str, example: &'static str) -> ScriptError {
    ScriptError::Form {
        text: text.to_owned(),
        what,
        example,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn values_are_read_as_they_are_written() {
        assert_eq!(
            Delay::bimodal("1ms, 20ms, 5%"),
            Ok(Delay::Bimodal {
                fast: ms(1),
                slow: ms(20),
                share: 0.05
            })
        );
        assert_eq!(
            Delay::lognormal("1ms,0.8"),
            Ok(Delay::Lognormal {
                median: ms(1),
                sigma: 0.8
            })
        );
        assert_eq!(
            "1.5".parse(),
            Ok(TailSlowdown {
                factor: 1.5,
                share: TAIL_SHARE
            })
        );
        assert_eq!(
            "2,3%".parse(),
            Ok(TailSlowdown {
                factor: 2.0,
                share: 0.03
            })
        );
        let stall = |first| Stall {
            lasts: ms(800),
            every: ms(4_000),
            first: ms(first),
        };
        assert_eq!("800ms/4s".parse(), Ok(stall(2_000)));
        assert_eq!("800ms/4s@500ms".parse(), Ok(stall(500)));
    }

    #[test]
    fn what_is_wrong_is_said_with_one_that_is_right() {
        let said = [
            Delay::bimodal("1ms,20ms").unwrap_err().to_string(),
            Delay::bimodal("1,20ms,5%").unwrap_err().to_string(),
            Delay::bimodal("1ms,20ms,2").unwrap_err().to_string(),
            Delay::lognormal("1ms,-1").unwrap_err().to_string(),
            "fast".parse::<TailSlowdown>().unwrap_err().to_string(),
            "800ms".parse::<Stall>().unwrap_err().to_string(),
            "5s/4s".parse::<Stall>().unwrap_err().to_string(),
        ];
        assert_eq!(
            said,
            [
                "`1ms,20ms` is not FAST,SLOW,SHARE; write 1ms,20ms,5%",
                "`1` has no unit; write 1s, 1m or 1ms",
                "2 is more than all requests",
                "`1ms,-1` is not MEDIAN,SIGMA; write 1ms,0.8",
                "`fast` is not FACTOR,SHARE; write 1.5 or 1.5,3%",
                "`800ms` is not LASTS/EVERY@FIRST; write 800ms/4s or 800ms/4s@1s",
                "stalls of 5s/4s leave no time between them",
            ]
        );
    }
}
