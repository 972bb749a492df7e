//! Trials of a reference service: real servers of its own, which are really stopped, paused, killed and started again
//! while the service runs.
//!
//! [`outages`] asks what clients see meanwhile, and whether the service recovers without a restart; [`crash`] whether
//! `PostgreSQL` may die in the middle of transfers and of batches of events. Both stand on a [`Ground`]; so does the suite of `conformance`,
//! by [`conforms`].

#![allow(
    clippy::missing_panics_doc,
    clippy::unwrap_used,
    reason = "this is test code in a library: a panic is how a trial fails"
)]

mod batches;
mod client;
pub mod crash;
pub mod outages;

use std::path::PathBuf;

use conformance::{Service, Subject};
use store::{Settings, Store};
use tailmark::stores::{Lease, Options, Stores};

pub use tailmark::stores::Durability;

/// Private stores whose every lease is a copy of the seeded state.
#[derive(Debug)]
pub struct Ground {
    /// The servers.
    pub stores: Stores,
    program: PathBuf,
}

impl Ground {
    /// Starts and seeds stores for trials of `program`.
    pub async fn new(program: &str, durability: Durability) -> Self {
        let stores = Stores::start(Options::of_this_machine(durability))
            .await
            .unwrap();
        let empty = stores.empty().await.unwrap();
        store::seed::seed(empty.database_url().unwrap())
            .await
            .unwrap();
        stores.keep_as_template(empty).await.unwrap();
        Self {
            stores,
            program: program.into(),
        }
    }

    /// The program on fresh copies.
    pub async fn subject(&self) -> (Subject, Lease) {
        let lease = self.stores.lease().await.unwrap();
        let subject = Subject {
            upstream: self.program.with_file_name("upstream-stub"),
            program: self.program.clone(),
            database_url: lease.database_url().unwrap().to_owned(),
            redis_url: lease.redis_url().unwrap().to_owned(),
            environment: Vec::new(),
        };
        (subject, lease)
    }

    /// [`Ground::subject`] with `PostgreSQL` reached by `library`.
    async fn subject_over(&self, library: Library) -> (Subject, Lease) {
        let (mut subject, lease) = self.subject().await;
        subject.environment.extend_from_slice(library);
        (subject, lease)
    }

    /// What a service keeps, on a fresh copy: for handlers, which are functions of it and need no server.
    pub async fn store(&self) -> (Store, Lease) {
        let (subject, lease) = self.subject().await;
        let settings = Settings::usual(&subject.database_url, &subject.redis_url).unwrap();
        let store = Store::open(&settings, settings.whole()).await.unwrap();
        (store, lease)
    }

    /// Takes what [`Ground::subject`] or [`Ground::store`] gave back.
    pub async fn release(&self, lease: Lease) {
        self.stores.release(lease).await.unwrap();
    }

    /// Stops the servers.
    pub async fn stop(self) {
        self.stores.stop().await.unwrap();
    }
}

/// The variables that say by which library `PostgreSQL` is reached.
type Library = &'static [(&'static str, &'static str)];

const SQLX: Library = &[("STORE", "sqlx")];
const DIESEL_DEADPOOL: Library = &[("STORE", "diesel"), ("DIESEL_POOL", "deadpool")];
const DIESEL_BB8: Library = &[("STORE", "diesel"), ("DIESEL_POOL", "bb8")];

/// The suite of [`conformance`]: all of it with the usual way to Redis, what needs Redis with both pools, what serving can
/// change under the tuned profile, and what can be asked of any service. All at once, for they mostly wait: on servers of
/// their own, since some stop or pause them.
pub async fn conforms(program: &str) {
    let failed = tokio::join!(
        conforms_with(program, "REDIS_ACCESS", "manager"),
        conforms_with(program, "REDIS_ACCESS", "deadpool"),
        conforms_with(program, "REDIS_ACCESS", "bb8"),
        conforms_with(program, "PROFILE", "tuned"),
        conforms_as_any(program),
    );
    let failed = [failed.0, failed.1, failed.2, failed.3, failed.4].concat();
    assert_eq!(failed, [""; 0]);
}

/// What of the suite a variable of this value could break; the cases that failed.
async fn conforms_with(program: &str, name: &'static str, value: &'static str) -> Vec<String> {
    let ground = Ground::new(program, Durability::Test).await;
    let (mut subject, lease) = ground.subject().await;
    subject.environment.push((name, value));
    let failed = match value {
        "manager" => conformance::check(subject).await,
        "tuned" => conformance::check_tuned(subject).await,
        _ => conformance::check_redis(subject).await,
    };
    ground.release(lease).await;
    ground.stop().await;
    let named = failed.into_iter().map(|case| format!("{value}: {case}"));
    named.collect()
}

/// What can be asked of any service; what was found wrong.
async fn conforms_as_any(program: &str) -> Vec<String> {
    let ground = Ground::new(program, Durability::Test).await;
    let (subject, lease) = ground.subject().await;
    let service = Service::start(&subject, &[]).await;
    let url = format!("http://{}", service.address);
    let rows = conformance::check_url(&url, |_| {}).await;
    drop(service);
    ground.release(lease).await;
    ground.stop().await;
    rows.into_iter().filter_map(|row| row.failure).collect()
}

/// What of [`conformance`] is asked in gRPC, of a service that speaks it on the same port.
pub async fn conforms_in_grpc(program: &str) {
    let ground = Ground::new(program, Durability::Test).await;
    let mut failed = Vec::new();
    for profile in ["idiomatic", "tuned"] {
        let (mut subject, lease) = ground.subject().await;
        subject.environment.push(("PROFILE", profile));
        let cases = match profile {
            "tuned" => conformance::check_grpc_tuned(subject).await,
            _ => conformance::check_grpc(subject).await,
        };
        failed.extend(cases.into_iter().map(|case| format!("{profile}: {case}")));
        ground.release(lease).await;
    }
    ground.stop().await;
    assert_eq!(failed, [""; 0]);
}

/// Every layer refuses rightly in REST and in gRPC, which one running service is asked.
pub async fn rejections(program: &str) {
    let ground = Ground::new(program, Durability::Test).await;
    let (subject, lease) = ground.subject().await;
    let failed = conformance::check_rejections(subject).await;
    ground.release(lease).await;
    ground.stop().await;
    assert_eq!(failed, [""; 0]);
}

/// What of the suite Diesel could break, with one of its pools.
pub async fn conforms_over_diesel(program: &str, pool: &'static str) {
    let ground = Ground::new(program, Durability::Test).await;
    let (mut subject, lease) = ground.subject().await;
    subject.environment.push(("STORE", "diesel"));
    subject.environment.push(("DIESEL_POOL", pool));
    let failed = conformance::check_database(subject).await;
    ground.release(lease).await;
    ground.stop().await;
    assert_eq!(failed, [""; 0], "{pool}");
}
