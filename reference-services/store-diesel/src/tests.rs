//! What nobody sees from outside a service: how statements are prepared, and which code an error has.

use crate::{Diesel, Held, PoolLibrary, wire};
use contract::Failure;
use contract::item::ItemUpdate;
use contract::transfer::NewTransfer;
use diesel::dsl::sql;
use diesel::sql_types::BigInt;
use diesel_async::RunQueryDsl;
use std::time::Duration;
use store::database::{Connection, EventColumns};
use store::{Error, TxMode};
use tailmark::stores::{Durability, Lease, Options, Stores};
use tokio::time::timeout;
use tokio_postgres::NoTls;

/// A server with a seeded database.
async fn seeded() -> (Stores, Lease) {
    let options = Options {
        redis: false,
        ..Options::of_this_machine(Durability::Test)
    };
    let stores = Stores::start(options).await.unwrap();
    let lease = stores.empty().await.unwrap();
    store::seed::seed(lease.database_url().unwrap())
        .await
        .unwrap();
    (stores, lease)
}

async fn connect(lease: &Lease) -> Held<'static> {
    let diesel = Diesel::new(lease.database_url().unwrap(), PoolLibrary::Deadpool).unwrap();
    Held::Own(wire::connect(&diesel.config).await.unwrap())
}

/// Every statement that a request may run, and how many there are.
async fn run_all(connection: &mut Held<'_>) -> Result<i64, Error> {
    let update = ItemUpdate {
        name: "Lamp".to_owned(),
        category: 1,
        price_minor: 1,
    };
    let order = NewTransfer {
        from: 1,
        to: 2,
        amount_minor: 1,
        currency: "EUR".to_owned(),
    };
    let events = EventColumns {
        batches: vec![1],
        positions: vec![0],
        sizes: vec![1],
        devices: vec!["d".to_owned()],
        times: vec![1],
        values: vec![0.5],
    };
    connection.ping().await?;
    connection.account(1).await?;
    connection.items(1, 0, 2).await?;
    connection.item(1).await?;
    connection.update_item(1, None, &update).await?;
    connection.update_item(1, Some(&[1, 2]), &update).await?;
    connection.has_item(1).await?;
    connection.transfer(1).await?;
    connection.claim("key", "order").await?;
    connection.keep_answer("key", "{}").await?;
    connection.answer("key").await?;
    connection.count_replay("key").await?;
    connection.balances([1, 2], TxMode::Lock).await?;
    connection.balances([1, 2], TxMode::Serializable).await?;
    connection.add_to_balance(1, 1).await?;
    connection.insert_transfer("key", &order).await?;
    connection.insert_events(1, &events).await?;
    Ok(17)
}

#[tokio::test(flavor = "multi_thread")]
async fn statements_are_prepared_once_for_a_connection() {
    let (stores, lease) = seeded().await;
    let mut connection = connect(&lease).await;
    for _ in 0..3 {
        let statements = run_all(&mut connection).await.unwrap();
        // The query that asks is prepared too, and forgotten.
        let kept = sql::<BigInt>("(SELECT count(*) - 1 FROM pg_prepared_statements)");
        let kept: i64 = diesel::select(kept)
            .get_result(&mut *connection)
            .await
            .unwrap();
        assert_eq!(kept, statements);
    }
    drop(connection);
    stores.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_has_the_code_that_the_server_gave_it() {
    let (stores, lease) = seeded().await;
    let mut connection = connect(&lease).await;
    let url = lease.database_url().unwrap();
    let (other, driver) = tokio_postgres::connect(url, NoTls).await.unwrap();
    tokio::spawn(driver);
    let check = |outcome: Result<(), Error>, sqlstate, failure| {
        let error = outcome.unwrap_err();
        let found = (error.sqlstate(), error.failure());
        assert_eq!(found, (Some(sqlstate), failure), "{error}");
    };

    let overdrawn = connection.add_to_balance(1, -2_000_000_000_000).await;
    check(overdrawn, "23514", Failure::Internal);
    let overflow = connection.add_to_balance(1, i64::MAX).await;
    check(overflow, "22003", Failure::Internal);

    let hold = "BEGIN; INSERT INTO idempotency_keys (key, fingerprint) VALUES ('held', '')";
    other.batch_execute(hold).await.unwrap();
    let late = connection.claim("held", "").await.map(drop);
    check(late, "55P03", Failure::Unavailable);
    // The error of a statement that was given up comes first, and is not taken for that of the next one.
    let given_up = timeout(Duration::from_millis(50), connection.claim("held", "")).await;
    assert!(given_up.is_err(), "the key is held");
    let overdrawn = connection.add_to_balance(1, -2_000_000_000_000).await;
    check(overdrawn, "23514", Failure::Internal);
    connection.ping().await.unwrap();

    let end = "ROLLBACK; SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
               WHERE datname = current_database() AND pid <> pg_backend_pid()";
    other.batch_execute(end).await.unwrap();
    let lost = loop {
        // The server may still answer once.
        if let Err(error) = connection.ping().await {
            break error;
        }
    };
    assert_eq!(lost.failure(), Failure::Unavailable, "{lost}");
    stores.stop().await.unwrap();
}
