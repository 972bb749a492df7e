//! The suite that every reference service passes, on private stores: all of it with the usual way to Redis, what needs
//! Redis with both pools, and what serving can change under the tuned profile.

use conformance::Subject;
use std::path::PathBuf;
use tailmark::stores::{Durability, Options, Stores};

#[tokio::test]
async fn conforms_to_the_contract() {
    let stores = Stores::start(Options::of_this_machine(Durability::Test))
        .await
        .unwrap();
    let empty = stores.empty().await.unwrap();
    store::seed::seed(empty.database_url().unwrap())
        .await
        .unwrap();
    stores.keep_as_template(empty).await.unwrap();
    let mut failed = Vec::new();
    for (name, value) in [
        ("REDIS_ACCESS", "manager"),
        ("REDIS_ACCESS", "deadpool"),
        ("REDIS_ACCESS", "bb8"),
        ("PROFILE", "tuned"),
    ] {
        let lease = stores.lease().await.unwrap();
        let program = PathBuf::from(env!("CARGO_BIN_EXE_axum-service"));
        let subject = Subject {
            upstream: program.with_file_name("upstream-stub"),
            program,
            database_url: lease.database_url().unwrap().to_owned(),
            redis_url: lease.redis_url().unwrap().to_owned(),
            environment: vec![(name, value)],
        };
        let outcome = match value {
            "manager" => conformance::check(subject).await,
            "tuned" => conformance::check_tuned(subject).await,
            _ => conformance::check_redis(subject).await,
        };
        failed.extend(outcome.into_iter().map(|case| format!("{value}: {case}")));
        stores.release(lease).await.unwrap();
    }
    stores.stop().await.unwrap();
    assert_eq!(failed, [""; 0]);
}
