//! The contract of the reference services, as one black-box suite.
//!
//! It knows no framework, and shares no code with the services but the messages that are made of the protos: names and
//! numbers are written out here once more, so that a change of the contract has to be made twice, on purpose. A service is a program that takes `--port 0`,
//! `DATABASE_URL` and `REDIS_URL`, with `upstream-stub` behind its gateway; the suite speaks HTTP to it, SQL to its database
//! where a situation (a key held by another request, a conflict of transactions) cannot be made from outside, and to
//! Redis where a stream cannot be read from outside.
//!
//! Every answer is compared whole: status, body, and the exact set of headers. A service whose headers differ from
//! its sisters' therefore fails.

#![allow(
    clippy::missing_panics_doc,
    clippy::unwrap_used,
    reason = "this is test code in a library: a panic is how a case fails"
)]

mod cases;
mod grpc;
mod http;
mod remote;
mod service;
mod token;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub use remote::{Row, check_url};
pub use service::{Service, run};

use service::Upstream;

/// What is tested, and on which stores. The database is a fresh copy of what `reference-seed` makes, and Redis is empty.
#[derive(Debug, Clone)]
pub struct Subject {
    /// The service's program.
    pub program: PathBuf,
    /// The program that stands behind its gateway, `upstream-stub`.
    pub upstream: PathBuf,
    /// A database that nobody else uses, for a user that may create functions in it.
    pub database_url: String,
    /// A Redis database that nobody else uses.
    pub redis_url: String,
    /// Variables that the service is started with in every case, beside those of the case.
    pub environment: Vec<(&'static str, &'static str)>,
}

/// Runs every case, prints a line for each on standard error, and returns the names of those that failed.
pub async fn check(subject: Subject) -> Vec<&'static str> {
    check_some(subject, |_| true).await
}

/// [`check`] with the cases alone that need Redis.
pub async fn check_redis(subject: Subject) -> Vec<&'static str> {
    let modules = ["basics::", "items::", "events::", "outages::"];
    check_some(subject, |name| {
        modules.iter().any(|module| name.starts_with(module))
    })
    .await
}

/// [`check`] with the cases alone that the way of serving could break, and without those of time-outs that the tuned
/// profile does not have.
pub async fn check_tuned(subject: Subject) -> Vec<&'static str> {
    let modules = [
        "basics::",
        "transfers::",
        "events::",
        "gateway::",
        "layers::",
        "process::",
        "tls::",
    ];
    check_some(subject, |name| {
        modules.iter().any(|module| name.starts_with(module))
            && name != "process::silent_connections_are_closed"
    })
    .await
}

/// What a service that speaks gRPC on the same port is asked beside [`check`].
pub async fn check_grpc(subject: Subject) -> Vec<&'static str> {
    check_these(subject, cases::GRPC.iter()).await
}

/// [`check_grpc`] without the cases of time-outs that the tuned profile does not have.
pub async fn check_grpc_tuned(subject: Subject) -> Vec<&'static str> {
    let bounded = "grpc::those_who_stop_within_the_preface_are_let_go";
    let cases = cases::GRPC.iter().filter(|(name, _)| *name != bounded);
    check_these(subject, cases).await
}

/// Whether each layer of such a service refuses rightly in both languages.
pub async fn check_rejections(subject: Subject) -> Vec<&'static str> {
    check_these(subject, cases::REJECTIONS.iter()).await
}

/// [`check`] with the cases alone that the library which speaks to `PostgreSQL` could break.
pub async fn check_database(subject: Subject) -> Vec<&'static str> {
    let some = [
        "basics::probes_answer",
        "accounts::",
        "items::",
        "transfers::",
        "events::",
        "pools::",
        "outages::postgresql",
        "operation::metrics",
        "process::",
    ];
    check_some(subject, |name| {
        some.iter().any(|start| name.starts_with(start))
            && name != "process::silent_connections_are_closed"
    })
    .await
}

async fn check_some(subject: Subject, chosen: impl Fn(&str) -> bool) -> Vec<&'static str> {
    check_these(subject, cases::ALL.iter().filter(|(name, _)| chosen(name))).await
}

async fn check_these(
    subject: Subject,
    cases: impl Iterator<Item = &'static (&'static str, cases::Case)>,
) -> Vec<&'static str> {
    let upstream = Upstream::start(&subject).await;
    // Copies of items live for a minute here, so that no case depends on how fast it runs.
    let environment = [
        ("CACHE_TTL_SECONDS", "60"),
        ("UPSTREAM_URL", &format!("http://{}", upstream.address)),
    ];
    let service = Service::start(&subject, &environment).await;
    let world = Arc::new(World {
        subject,
        service,
        upstream,
    });
    let mut failed = Vec::new();
    for (name, case) in cases {
        let start = Instant::now();
        // In a task of its own, a case that panics fails alone.
        let outcome = tokio::spawn(case(Arc::clone(&world))).await;
        say(name, outcome.is_ok(), start.elapsed());
        if outcome.is_err() {
            failed.push(*name);
        }
    }
    failed
}

/// What a case works with.
#[derive(Debug)]
struct World {
    subject: Subject,
    /// A service on both stores, for all cases that need nothing special.
    service: Service,
    /// What stands behind the gateway of that service.
    upstream: Upstream,
}

#[expect(
    clippy::print_stderr,
    reason = "the progress of a test, which the test harness shows when it fails"
)]
fn say(name: &str, passed: bool, elapsed: Duration) {
    let outcome = if passed { "ok    " } else { "FAILED" };
    eprintln!("{outcome} {:4.1} s  {name}", elapsed.as_secs_f64());
}
