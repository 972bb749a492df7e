//! Finds out about this machine what a diagnosis needs ([`crate::doctor`]). Takes under three seconds, and changes nothing.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

use crate::docker::{Engine, NoEngine};
use crate::doctor::{Facts, Quiet, Supply, Wakes};
use crate::histogram::Histogram;
use crate::load;
use crate::machine::{self, Pressure};
use crate::stores::{self, Server};
use crate::units::{Quantile, nanoseconds};

/// For so long nothing is done, to see what others do: the kernel counts in hundredths of a second, so this tells a hundredth
/// of a CPU.
const QUIET: Duration = Duration::from_secs(1);

/// Wakes that are timed, as far apart as arrivals of 1,000/s: enough for a p99 that two of them decide.
const WAKES: u32 = 200;
/// The time between two of them.
const APART: Duration = Duration::from_millis(1);

/// How long a container engine may take to say that it is there; one that takes longer is of no use to a measurement.
const ENGINE_WITHIN: Duration = Duration::from_millis(1_500);

/// What this machine is, does and has.
pub async fn facts() -> Facts {
    let (checked, _) = machine::utc_now();
    let environment = machine::describe();
    let descriptors = machine::most_descriptors();
    // Before anything is done here that would count.
    let settings = machine::settings();
    let quiet = quiet().await;
    let tried = tokio::task::spawn_blocking(|| (wakes(), load::clock_read_ns())).await;
    let (wakes, clock_read_ns) = tried.map_or((None, None), |(wakes, ns)| (wakes, Some(ns)));
    Facts {
        checked,
        environment,
        descriptors,
        connections: descriptors.map(load::most_connections),
        settings,
        topology: machine::topology().ok(),
        quiet,
        wakes,
        clock_read_ns,
        engine: engine().await,
        postgres: store(Server::Postgres),
        redis: store(Server::Redis),
    }
}

async fn quiet() -> Quiet {
    let (pressure, begun) = (Pressure::watch(), Instant::now());
    sleep(QUIET).await;
    let (steal, throttled_ns) = pressure.since();
    Quiet {
        lasted_ns: nanoseconds(begun.elapsed()),
        steal,
        throttled_ns,
        others: pressure.others(),
    }
}

fn wakes() -> Option<Wakes> {
    let late = load::lateness(WAKES, APART).ok()?;
    summary(&late)
}

fn summary(late: &Histogram) -> Option<Wakes> {
    Some(Wakes {
        count: late.count(),
        p50_ns: late.quantile(Quantile::P50)?,
        p99_ns: late.quantile(Quantile::P99)?,
        max_ns: late.max()?,
    })
}

async fn engine() -> Supply {
    let found = timeout(ENGINE_WITHIN, Engine::find()).await;
    let missing = |why: String, error: Option<&NoEngine>| Supply::Missing {
        why,
        remedy: error
            .map_or("see what docker version says", NoEngine::hint)
            .into(),
    };
    match found {
        Ok(Ok(engine)) => Supply::Found(engine.name().to_owned()),
        Ok(Err(error)) => missing(error.to_string(), Some(&error)),
        Err(_) => missing("a container engine took over 1.5 s to answer".into(), None),
    }
}

fn store(server: Server) -> Supply {
    let (why, remedy) = match server {
        Server::Postgres => (
            "neither DATABASE_URL nor `postgres` and `initdb` in PATH or /usr/lib/postgresql/*/bin",
            "apt-get install postgresql, which need not run; or set DATABASE_URL",
        ),
        Server::Redis => (
            "neither REDIS_URL nor `redis-server` in PATH",
            "apt-get install redis-server, which need not run; or set REDIS_URL",
        ),
    };
    match stores::origin(server) {
        Ok(Some(place)) => Supply::Found(place),
        Ok(None) => Supply::Missing {
            why: why.into(),
            remedy: remedy.into(),
        },
        Err(error) => Supply::Missing {
            why: error.to_string(),
            remedy: "run tailmark as another user".into(),
        },
    }
}
