//! What is sent to a target before and after its load: the calls of a scenario, and one walk through each of its flows.

use std::fmt;

use http::HeaderValue;

use super::SessionError;
use crate::load::{self, Plan, Route, Shown};
use crate::scenario::{Call, Known, Scenario};

/// An exchange without load that was not as a scenario expects it.
#[derive(Debug)]
pub struct NotAsExpected {
    /// What it was made for.
    what: &'static str,
    shown: Box<Shown>,
}

/// Makes the calls before a load; `known` then holds what they have captured.
///
/// # Errors
/// When one is not as expected.
pub(super) async fn setup(
    scenario: &Scenario,
    known: &mut Known,
    route: &Route,
    host: &HeaderValue,
) -> Result<(), SessionError> {
    all(scenario, "setup", scenario.setup(), known, route, host).await
}

/// Makes the calls after a load.
///
/// # Errors
/// When one is not as expected.
pub(super) async fn teardown(
    scenario: &Scenario,
    known: &Known,
    route: &Route,
    host: &HeaderValue,
) -> Result<(), SessionError> {
    let known = &mut known.clone();
    all(
        scenario,
        "teardown",
        scenario.teardown(),
        known,
        route,
        host,
    )
    .await
}

async fn all(
    scenario: &Scenario,
    what: &'static str,
    calls: &[Call],
    known: &mut Known,
    route: &Route,
    host: &HeaderValue,
) -> Result<(), SessionError> {
    if calls.is_empty() {
        return Ok(());
    }
    match load::call_all(scenario, calls, known, route, host).await? {
        Some(shown) => Err(NotAsExpected::new(what, shown).into()),
        None => Ok(()),
    }
}

/// Walks through each flow of `plan` once; the steps that were answered, and with which status.
///
/// # Errors
/// When something is not as the scenario expects it.
pub(super) async fn preflight(plan: &Plan) -> Result<Vec<(String, u16)>, SessionError> {
    let made = load::preflight(plan).await?;
    match made.failed {
        Some(shown) => Err(NotAsExpected::new("preflight", shown).into()),
        None => Ok(made.answers),
    }
}

impl NotAsExpected {
    fn new(what: &'static str, shown: Shown) -> Self {
        Self {
            what,
            shown: Box::new(shown),
        }
    }

    /// The next step.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self.what {
            "preflight" => {
                "each flow is walked through once before the load; --no-preflight leaves that out"
            }
            _ => "the call is one of the scenario's own",
        }
    }
}

impl std::error::Error for NotAsExpected {}

impl fmt::Display for NotAsExpected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Shown {
            step,
            outcome,
            words,
            request,
            response,
            ..
        } = &*self.shown;
        write!(f, "{}: {step}: {}: {words}", self.what, outcome.words())?;
        for (mark, kept) in [('>', request), ('<', response)] {
            for line in kept.lines(MOST_LINES) {
                write!(f, "\n{}", format!("  {mark} {line}").trim_end())?;
            }
        }
        Ok(())
    }
}

/// Lines of a message that are shown.
const MOST_LINES: usize = 20;
