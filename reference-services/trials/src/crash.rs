//! PostgreSQL dies in the middle of transfers and of batches of events, and comes back: what was acknowledged is there, and
//! nothing twice or in part.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use conformance::Service;
use tailmark::stores::{Durability, Server};
use tokio::time::sleep;

use crate::batches::{Answered, Batches, QUEUE};
use crate::client::{Client, order};
use crate::outages::{StepCounts, audit, stop};
use crate::{DIESEL_BB8, DIESEL_DEADPOOL, Ground, Library, SQLX};

/// Clients that order at once, from few accounts, so that they are in each other's way.
const CLIENTS: u64 = 16;
const ACCOUNTS: u64 = 4;

/// The most orders of a client: more than it comes to.
const MOST: u64 = 10_000;

/// How long clients order before and after the crash.
const WHILE: Duration = Duration::from_millis(1_500);

/// An order, and the answer to it where one came.
struct Sent {
    key: String,
    order: String,
    /// The body of the 201.
    acknowledged: Option<String>,
}

/// Kills PostgreSQL under load, in both modes of transactions, by each library that speaks to it.
pub async fn nothing_acknowledged_is_lost(program: &str) {
    let mut ground = Ground::new(program, Durability::Strict).await;
    for (library, mode) in [
        (SQLX, "lock"),
        (SQLX, "serializable"),
        (DIESEL_DEADPOOL, "lock"),
        (DIESEL_BB8, "serializable"),
    ] {
        in_mode(&mut ground, library, mode).await;
    }
    ground.stop().await;
}

async fn in_mode(ground: &mut Ground, library: Library, mode: &str) {
    let (subject, lease) = ground.subject_over(library).await;
    let service = Service::start(&subject, &[("TX_MODE", mode), ("EVENTS_QUEUE", QUEUE)]).await;
    let client = Client::of(&service);
    let over = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> = (0..CLIENTS)
        .map(|number| tokio::spawn(orders(client.clone(), number, Arc::clone(&over))))
        .collect();
    let batches = Batches::start(&client, &over);
    sleep(WHILE).await;
    ground.stores.kill(Server::Postgres).unwrap();
    let killed = Instant::now();
    sleep(Duration::from_millis(300)).await;
    let away = killed..Instant::now();
    ground.stores.restart(Server::Postgres).await.unwrap();
    client.until("/readyz", |answer| answer.status == 200).await;
    sleep(WHILE).await;
    over.store(true, Ordering::Relaxed);
    let mut sent = Vec::new();
    for orders in clients {
        sent.extend(orders.await.unwrap());
    }
    let batches = batches.end().await;
    client
        .until("/v1/accounts/1", |answer| answer.status == 200)
        .await;

    let (mut answered, mut unknown) = (0, 0);
    for Sent {
        key,
        order,
        acknowledged,
    } in &sent
    {
        // An order that got no good answer may have been booked all the same: its client asks again.
        let again = client.transfer(key, order).await.unwrap();
        assert_eq!(again.status, 201, "{mode}: {key}: {again:?}");
        answered += 1;
        match acknowledged {
            Some(body) => {
                assert!(again.replayed, "{mode}: {key} was lost: {again:?}");
                assert_eq!(again.body, *body, "{mode}: {key} was booked twice");
                answered += 1;
            }
            None => unknown += 1,
        }
    }
    let acknowledged = sent.len() as u64 - unknown;
    assert!(acknowledged > CLIENTS, "{mode}: there was load");
    assert!(unknown > 0, "{mode}: the crash was felt");
    for status in [201, 202] {
        assert!(batches.with(status) > CLIENTS, "{mode}: {status}");
    }
    assert!(batches.queued_in(away) > 0, "{mode}: without a database");
    // The end is what queued batches are promised to be written by.
    stop(service).await;
    batches.are_whole(&subject.database_url).await;
    let transfers = StepCounts::of(201, answered, unknown);
    let audit = audit(&subject, transfers, batches.counts()).await;
    assert_eq!(audit["ok"], true, "{mode}: {audit}");
    assert_eq!(
        audit["facts"]["transfers"],
        sent.len(),
        "{mode}: each once: {audit}"
    );
    say(library, mode, acknowledged, unknown, &batches);
    ground.release(lease).await;
}

/// Orders one transfer after the other until it is `over`.
async fn orders(client: Client, number: u64, over: Arc<AtomicBool>) -> Vec<Sent> {
    let mut sent = Vec::new();
    for count in 0..MOST {
        if over.load(Ordering::Relaxed) {
            break;
        }
        let key = format!("{number}-{count}");
        let order = order(1 + count % ACCOUNTS, 5_001 + (count + number) % ACCOUNTS);
        let answer = client.transfer(&key, &order).await;
        let acknowledged = answer.filter(|answer| answer.status == 201);
        if acknowledged.is_none() {
            // A service without its database is not helped by being asked without end.
            sleep(Duration::from_millis(20)).await;
        }
        sent.push(Sent {
            key,
            order,
            acknowledged: acknowledged.map(|answer| answer.body),
        });
    }
    sent
}

#[expect(
    clippy::print_stderr,
    reason = "the progress of a test, which the test harness shows when it is asked to"
)]
fn say(library: Library, mode: &str, acknowledged: u64, unknown: u64, batches: &Answered) {
    let (durable, queued) = (batches.with(201), batches.with(202));
    let batches = batches.counts().unknown;
    let library: Vec<_> = library
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    let library = library.join(" ");
    eprintln!(
        "{library} TX_MODE={mode}: {acknowledged} transfers acknowledged, {unknown} without a good answer; {durable} batches durable, \
         {queued} queued, {batches} without a good answer; none lost, doubled or torn"
    );
}
