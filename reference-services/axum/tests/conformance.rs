//! The suite that every reference service passes, on private stores.

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
    let lease = stores.lease().await.unwrap();
    let subject = conformance::Subject {
        program: env!("CARGO_BIN_EXE_axum-service").into(),
        database_url: lease.database_url().unwrap().to_owned(),
        redis_url: lease.redis_url().unwrap().to_owned(),
    };
    let failed = conformance::check(subject).await;
    stores.release(lease).await.unwrap();
    stores.stop().await.unwrap();
    assert_eq!(failed, [""; 0]);
}
