//! The contract of the reference services, as one black-box suite.
//!
//! It knows no framework and shares no code with the services: names and numbers are written out here once more, so
//! that a change of the contract has to be made twice, on purpose. A service is a program that takes `--port 0`,
//! `DATABASE_URL` and `REDIS_URL`; the suite speaks HTTP to it, and SQL to its database where a situation (a key held
//! by another request, a conflict of transactions) cannot be made from outside.
//!
//! Every answer is compared whole: status, body, and the exact set of headers. A service whose headers differ from
//! its sisters' therefore fails.

#![allow(
    clippy::missing_panics_doc,
    clippy::unwrap_used,
    reason = "this is test code in a library: a panic is how a case fails"
)]

mod cases;
mod http;
mod service;
mod token;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use service::Service;

/// What is tested, and on which stores. The database is a fresh copy of what `reference-seed` makes, and Redis is empty.
#[derive(Debug, Clone)]
pub struct Subject {
    /// The service's program.
    pub program: PathBuf,
    /// A database that nobody else uses, for a user that may create functions in it.
    pub database_url: String,
    /// A Redis database that nobody else uses.
    pub redis_url: String,
}

/// Runs every case, prints a line for each on standard error, and returns the names of those that failed.
pub async fn check(subject: Subject) -> Vec<&'static str> {
    // Copies of items live for a minute here, so that no case depends on how fast it runs.
    let service = Service::start(&subject, &[("CACHE_TTL_SECONDS", "60")]).await;
    let world = Arc::new(World { subject, service });
    let mut failed = Vec::new();
    for (name, case) in cases::ALL {
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
}

#[expect(
    clippy::print_stderr,
    reason = "the progress of a test, which the test harness shows when it fails"
)]
fn say(name: &str, passed: bool, elapsed: Duration) {
    let outcome = if passed { "ok    " } else { "FAILED" };
    eprintln!("{outcome} {:4.1} s  {name}", elapsed.as_secs_f64());
}
