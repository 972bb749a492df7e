//! What is sent to a target before and after its load: the calls of a scenario, and one walk through each of its flows.

use std::fmt;
use std::sync::Arc;

use http::HeaderValue;

use super::run::{Request, host, route};
use super::shutdown::Shutdown;
use super::{SessionError, Watcher};
use crate::event::Event;
use crate::load::{self, Plan, Route, Shown};
use crate::scenario::{Known, Scenario};
use crate::target::Target;

/// An exchange without load that was not as a scenario expects it.
#[derive(Debug)]
pub struct NotAsExpected {
    /// What it was made for.
    what: &'static str,
    shown: Box<Shown>,
}

/// Makes the calls before a load, does `work` with the plan of the load, and makes the calls after it, whatever came of
/// what was before them. A call after it that is not as expected takes nothing from what was measured: it is a warning.
///
/// # Errors
/// When a call before the load is not as expected, there was an interrupt before its end, or `work` fails.
pub(super) async fn around<T>(
    request: &Request,
    target: &Target,
    shutdown: &Shutdown,
    watch: Watcher<'_>,
    work: impl AsyncFnOnce(Plan, Watcher<'_>) -> Result<T, SessionError>,
) -> Result<T, SessionError> {
    let scenario = Arc::new(request.scenario.clone());
    let route = route(target, &request.access, scenario.connections().http)?;
    let place = (&route, &host(target));
    let mut given = request.given.clone();
    let before = async {
        if !scenario.setup().is_empty() {
            watch(Event::Step("making the set-up calls"));
            let setup = setup(&scenario, &mut given.known, place);
            shutdown.unless_requested(setup).await??;
        }
        Ok(())
    };
    let worked = match before.await {
        Ok(()) => {
            let (route, host) = (route.clone(), place.1.clone());
            match Plan::new(Arc::clone(&scenario), given.clone(), route, host) {
                Ok(plan) => work(plan, watch).await,
                Err(unfilled) => Err(unfilled.into()),
            }
        }
        Err(error) => Err(error),
    };
    tokio::select! {
        biased;
        () = shutdown.insisted() => {
            if !scenario.teardown().is_empty() {
                watch(Event::Warning("teardown: given up at the second interrupt"));
            }
        }
        () = teardown(&scenario, &given.known, place, watch) => {}
    }
    worked
}

/// `known` then holds what the calls have captured.
async fn setup(
    scenario: &Scenario,
    known: &mut Known,
    place: (&Route, &HeaderValue),
) -> Result<(), SessionError> {
    let unexpected = load::call_all(scenario, scenario.setup(), false, known, place).await?;
    match unexpected.into_iter().next() {
        Some(shown) => Err(NotAsExpected::new("setup", shown).into()),
        None => Ok(()),
    }
}

async fn teardown(
    scenario: &Scenario,
    known: &Known,
    place: (&Route, &HeaderValue),
    watch: Watcher<'_>,
) {
    if scenario.teardown().is_empty() {
        return;
    }
    let known = &mut known.clone();
    match load::call_all(scenario, scenario.teardown(), true, known, place).await {
        Ok(unexpected) => {
            for shown in unexpected {
                let words = NotAsExpected::new("teardown", shown).to_string();
                watch(Event::Warning(&words));
            }
        }
        Err(error) => watch(Event::Warning(&format!("teardown: {error}"))),
    }
}

/// Walks through each flow of `plan` once: the steps that were answered, and with which status, and the exchange that ended
/// it, where one was not as the scenario expects it.
///
/// # Errors
/// When the target's name has no address.
pub(super) async fn preflight(
    plan: &Plan,
) -> Result<(Vec<(String, u16)>, Option<NotAsExpected>), SessionError> {
    let made = load::preflight(plan).await?;
    let unexpected = made.failed;
    let unexpected = unexpected.map(|shown| NotAsExpected::new("preflight", shown));
    Ok((made.answers, unexpected))
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
