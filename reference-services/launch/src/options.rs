//! What a service can be told beside its stores and its port, each by a variable of the environment.

use contract::limit;
use contract::setting::parse;
use std::fmt;
use std::time::Duration;

/// The longest time of a request, in milliseconds: ten minutes.
const LONGEST_ANSWER_MS: u64 = 600_000;

/// How the framework is set up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Profile {
    /// As its documentation shows it.
    Idiomatic,
    /// As its users tune it for load; see the README for each switch and its reason.
    Tuned,
}

impl Profile {
    /// The name in `PROFILE`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Idiomatic => "idiomatic",
            Self::Tuned => "tuned",
        }
    }

    /// How long a connection may stay idle, or take to send a request's head; `None`: for ever, because the proxy in
    /// front of a tuned service sees to that, and a timer for each request costs something.
    #[must_use]
    pub const fn head_timeout(self) -> Option<Duration> {
        match self {
            Self::Idiomatic => Some(limit::HEAD_TIMEOUT),
            Self::Tuned => None,
        }
    }
}

/// What stands between a connection and the handlers; see the README for the order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layers {
    /// Nothing.
    None,
    /// Request id and trace.
    Trace,
    /// Authentication.
    Auth,
    /// Authentication, and a limit for each subject.
    Limit,
    /// Request id, trace, time-out, load shedding, authentication, limit, body limit.
    All,
}

impl Layers {
    /// The name in `LAYERS`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Trace => "trace",
            Self::Auth => "auth",
            Self::Limit => "limit",
            Self::All => "all",
        }
    }

    /// Whether requests have names, and the log a line for each.
    #[must_use]
    pub const fn trace(self) -> bool {
        matches!(self, Self::Trace | Self::All)
    }

    /// Whether every route asks who is calling.
    #[must_use]
    pub const fn authenticate(self) -> bool {
        matches!(self, Self::Auth | Self::Limit | Self::All)
    }

    /// Whether every route counts its caller's requests.
    #[must_use]
    pub const fn limit(self) -> bool {
        matches!(self, Self::Limit | Self::All)
    }
}

/// How the log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LogFormat {
    /// A line for a person.
    Text,
    /// An object of JSON per line.
    Json,
}

impl LogFormat {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Json => "json",
        }
    }

    pub(crate) fn parse(source: &str, text: &str) -> Result<Self, String> {
        choose(source, text, [Self::Text, Self::Json], Self::as_str)
    }
}

/// Everything of this module, but the format of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Options {
    pub(crate) profile: Profile,
    pub(crate) layers: Layers,
    pub(crate) answer_timeout: Duration,
    /// `None`: nobody can ask for metrics, and none are kept.
    pub(crate) metrics_port: Option<u16>,
}

impl Options {
    /// Reads `PROFILE`, `LAYERS`, `ANSWER_TIMEOUT_MS` and `METRICS_PORT` by `variable`; an error names the variable and what it may say.
    pub(crate) fn read(variable: impl Fn(&str) -> Option<String>) -> Result<Self, String> {
        let profiles = [Profile::Idiomatic, Profile::Tuned];
        let layers = [
            Layers::None,
            Layers::Trace,
            Layers::Auth,
            Layers::Limit,
            Layers::All,
        ];
        Ok(Self {
            profile: match variable("PROFILE") {
                None => Profile::Idiomatic,
                Some(text) => choose("PROFILE", &text, profiles, Profile::as_str)?,
            },
            layers: match variable("LAYERS") {
                None => Layers::None,
                Some(text) => choose("LAYERS", &text, layers, Layers::as_str)?,
            },
            answer_timeout: match variable("ANSWER_TIMEOUT_MS") {
                None => limit::ANSWER_TIMEOUT,
                Some(text) => parse("ANSWER_TIMEOUT_MS", &text, &(1..=LONGEST_ANSWER_MS))
                    .map(Duration::from_millis)
                    .map_err(|error| error.to_string())?,
            },
            metrics_port: match variable("METRICS_PORT") {
                None => None,
                Some(text) => Some(parse_port("METRICS_PORT", &text)?),
            },
        })
    }
}

/// The port that `text`, the value of `source`, stands for.
pub(crate) fn parse_port(source: &str, text: &str) -> Result<u16, String> {
    text.parse()
        .map_err(|_| format!("{source} is {text:?}; write a number from 0 to 65535"))
}

/// The one of `values` whose name is `text`, the value of `source`.
fn choose<T: Copy, const N: usize>(
    source: impl fmt::Display,
    text: &str,
    values: [T; N],
    name: fn(T) -> &'static str,
) -> Result<T, String> {
    let found = values.into_iter().find(|value| name(*value) == text);
    found.ok_or_else(|| {
        let names = values.map(name).join(", ");
        format!("{source} is {text:?}; write one of {names}")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(variables: &[(&str, &str)], expected: Result<(&str, &str, Option<u16>), &str>) {
        let read = Options::read(|name| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        });
        let told = read.map(|read| {
            (
                read.profile.as_str(),
                read.layers.as_str(),
                read.metrics_port,
            )
        });
        assert_eq!(told, expected.map_err(ToOwned::to_owned), "{variables:?}");
    }

    #[test]
    fn variables_choose_and_errors_say_what_can_be_chosen() {
        check(&[], Ok(("idiomatic", "none", None)));
        let all = [
            ("PROFILE", "tuned"),
            ("LAYERS", "all"),
            ("METRICS_PORT", "0"),
        ];
        check(&all, Ok(("tuned", "all", Some(0))));
        let profile = "PROFILE is \"fast\"; write one of idiomatic, tuned";
        check(&[("PROFILE", "fast")], Err(profile));
        let layers = "LAYERS is \"\"; write one of none, trace, auth, limit, all";
        check(&[("LAYERS", "")], Err(layers));
        let timeout = "ANSWER_TIMEOUT_MS is \"0\"; write a whole number from 1 to 600000";
        check(&[("ANSWER_TIMEOUT_MS", "0")], Err(timeout));
        let port = "METRICS_PORT is \"-1\"; write a number from 0 to 65535";
        check(&[("METRICS_PORT", "-1")], Err(port));
    }
}
