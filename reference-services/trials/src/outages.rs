//! What clients see while a store is away, slow or gone, and that the service recovers by itself.

use std::collections::BTreeMap;
use std::time::Duration;

use conformance::{Service, run};
use rustix::process::Signal;
use serde_json::{Value, json};
use tailmark::stores::{Durability, Server};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::sleep;
use tokio_postgres::NoTls;

use crate::client::{Client, order};
use crate::{DIESEL_BB8, DIESEL_DEADPOOL, Ground, Library, SQLX};

/// Above each bound of a service (a command of Redis 100 ms, a connection 1 s, a request 5 s) on a busy machine.
const BYPASSED_WITHIN: Duration = Duration::from_secs(3);
const REFUSED_WITHIN: Duration = Duration::from_secs(4);
const GIVEN_UP_WITHIN: Duration = Duration::from_secs(10);

/// All of them, one after the other on the same stores.
pub async fn all(program: &str) {
    let mut ground = Ground::new(program, Durability::Test).await;
    for access in ["manager", "deadpool", "bb8"] {
        redis_comes_and_goes(&mut ground, access).await;
    }
    for library in [SQLX, DIESEL_DEADPOOL, DIESEL_BB8] {
        postgresql_comes_and_goes(&mut ground, library).await;
        connections_are_those_that_were_set(&ground, library).await;
        a_client_that_vanishes_leaves_no_half_transfer(&ground, library).await;
        what_is_in_flight_at_the_end_finishes(&ground, library).await;
    }
    what_is_too_much_is_shed(&ground).await;
    ground.stop().await;
}

/// Items are served past a Redis that is dead or silent, and from it again once it is back.
async fn redis_comes_and_goes(ground: &mut Ground, access: &str) {
    let (subject, lease) = ground.subject().await;
    let environment = [("REDIS_ACCESS", access), ("CACHE_TTL_SECONDS", "60")];
    let service = Service::start(&subject, &environment).await;
    let client = Client::of(&service);
    let cache = async |path: &str| client.get(path).await.cache;
    assert_eq!(cache("/v1/items/1").await.as_deref(), Some("miss"));
    assert_eq!(cache("/v1/items/1").await.as_deref(), Some("hit"));
    for dies in [true, false] {
        if dies {
            ground.stores.kill(Server::Redis).unwrap();
        } else {
            ground.stores.pause(Server::Redis).unwrap();
        }
        for _ in 0..3 {
            let item = client.get("/v1/items/1").await;
            assert_eq!((item.status, item.cache.as_deref()), (200, Some("bypass")));
            item.came_within(BYPASSED_WITHIN);
        }
        client.get("/readyz").await.is_unavailable("unavailable");
        let event = r#"{"events":[{"device":"d","at":1,"value":2}]}"#;
        let events = client.send("POST", "/v1/events", &[], Some(event)).await;
        let events = events.unwrap();
        events.is_unavailable("unavailable");
        events.came_within(REFUSED_WITHIN);
        if dies {
            ground.stores.restart(Server::Redis).await.unwrap();
        } else {
            ground.stores.resume(Server::Redis).unwrap();
        }
        let served = |answer: &crate::client::Answer| answer.cache.as_deref() == Some("hit");
        client.until("/v1/items/1", served).await;
        client.until("/readyz", |answer| answer.status == 200).await;
    }
    stop(service).await;
    ground.release(lease).await;
}

/// A PostgreSQL that is dead or silent is a 503 in time, and not felt any more once it is back.
async fn postgresql_comes_and_goes(ground: &mut Ground, library: Library) {
    let (subject, lease) = ground.subject_over(library).await;
    let service = Service::start(&subject, &[]).await;
    let client = Client::of(&service);
    assert_eq!(client.get("/v1/accounts/1").await.status, 200);
    for dies in [true, false] {
        if dies {
            ground.stores.kill(Server::Postgres).unwrap();
        } else {
            ground.stores.pause(Server::Postgres).unwrap();
        }
        let order = order(1, 5_001);
        let (account, ready, transfer) = tokio::join!(
            client.get("/v1/accounts/1"),
            client.get("/readyz"),
            client.transfer("away", &order),
        );
        for answer in [account, ready, transfer.unwrap()] {
            answer.is_unavailable("unavailable");
            answer.came_within(GIVEN_UP_WITHIN);
        }
        assert_eq!(client.get("/livez").await.status, 200);
        if dies {
            ground.stores.restart(Server::Postgres).await.unwrap();
        } else {
            ground.stores.resume(Server::Postgres).unwrap();
        }
        client.until("/readyz", |answer| answer.status == 200).await;
        let served = |answer: &crate::client::Answer| answer.status == 200;
        client.until("/v1/accounts/1", served).await;
        nobody_is_left_in_a_transaction(&subject.database_url).await;
    }
    stop(service).await;
    ground.release(lease).await;
}

/// A request that was given up leaves no transaction open, on whose connection the next would change something in vain.
async fn nobody_is_left_in_a_transaction(database_url: &str) {
    let idle = "SELECT count(*) FROM pg_stat_activity \
                WHERE datname = current_database() AND state LIKE 'idle in transaction%'";
    let watcher = connect(database_url).await;
    for _ in 0..100 {
        let row = watcher.query_one(idle, &[]).await.unwrap();
        if row.get::<_, i64>(0) == 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("a connection is left in a transaction");
}

/// A service has the connections to PostgreSQL that it was told to have and one for batches, and none of another library
/// beside them.
async fn connections_are_those_that_were_set(ground: &Ground, library: Library) {
    // More than workers, each of which has one at least.
    const CONNECTIONS: i64 = 40;
    let (subject, lease) = ground.subject_over(library).await;
    let connections = CONNECTIONS.to_string();
    // All are opened at the start, however slow the machine is.
    let environment = [
        ("POSTGRES_CONNECTIONS", connections.as_str()),
        ("POSTGRES_ACQUIRE_MS", "20000"),
    ];
    let service = Service::start(&subject, &environment).await;
    let client = Client::of(&service);
    client.until("/readyz", |answer| answer.status == 200).await;
    for path in ["/v1/accounts/1", "/v1/items/1", "/v1/items?category=1"] {
        assert_eq!(client.get(path).await.status, 200, "{path}");
    }
    let transfer = client.transfer("counted", &order(1, 5_001)).await;
    assert_eq!(transfer.unwrap().status, 201);
    let batch = r#"{"events":[{"device":"d","at":1,"value":2}]}"#;
    let batch = client.send("POST", "/v1/events/batch?ack=durable", &[], Some(batch));
    assert_eq!(batch.await.unwrap().status, 201);
    let open = "SELECT count(*) FROM pg_stat_activity \
                WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'";
    let watcher = connect(&subject.database_url).await;
    let row = watcher.query_one(open, &[]).await.unwrap();
    assert_eq!(row.get::<_, i64>(0), CONNECTIONS + 1, "{library:?}");
    stop(service).await;
    ground.release(lease).await;
}

/// While PostgreSQL is slow, requests beyond those that may be in flight are refused at once.
async fn what_is_too_much_is_shed(ground: &Ground) {
    const MOST: usize = 4;
    const ASKED: usize = 20;
    let (subject, lease) = ground.subject().await;
    let most = MOST.to_string();
    let environment = [("LAYERS", "all"), ("MAX_IN_FLIGHT", &most)];
    let service = Service::start(&subject, &environment).await;
    let client = Client::of(&service).signed_in().await;
    assert_eq!(client.get("/v1/accounts/1").await.status, 200);
    ground.stores.pause(Server::Postgres).unwrap();
    let asked: Vec<_> = (0..ASKED)
        .map(|_| {
            let client = client.clone();
            tokio::spawn(async move { client.get("/v1/accounts/1").await })
        })
        .collect();
    let mut shed = 0;
    for answer in asked {
        let answer = answer.await.unwrap();
        assert_eq!(answer.status, 503, "{answer:?}");
        let body: Value = serde_json::from_str(&answer.body).unwrap();
        if body["error"]["code"] == "overloaded" {
            answer.is_unavailable("overloaded");
            answer.came_within(REFUSED_WITHIN);
            shed += 1;
        }
    }
    assert_eq!(
        shed,
        ASKED - MOST,
        "as many as may be in flight were let in"
    );
    ground.stores.resume(Server::Postgres).unwrap();
    client
        .until("/v1/accounts/1", |answer| answer.status == 200)
        .await;
    stop(service).await;
    ground.release(lease).await;
}

/// A transfer whose client is gone is booked whole or not at all, and its key is good for one booking.
async fn a_client_that_vanishes_leaves_no_half_transfer(ground: &Ground, library: Library) {
    let (subject, lease) = ground.subject_over(library).await;
    let service = Service::start(&subject, &[]).await;
    let client = Client::of(&service);
    let body = order(1, 5_001);
    for vanished in 0..5 {
        let key = format!("vanished-{vanished}");
        let lock = Lock::of_account(&subject.database_url, 1).await;
        let mut stream = TcpStream::connect(&service.address).await.unwrap();
        let request = format!(
            "POST /v1/transfers HTTP/1.1\r\nhost: trial\r\nidempotency-key: {key}\r\ncontent-type: application/json\r\n\
             content-length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        lock.is_waited_for(1).await;
        drop(stream);
        // Whether the service has noticed by now is its own affair.
        sleep(Duration::from_millis(20 * vanished)).await;
        lock.release().await;
        let again = client.transfer(&key, &body).await.unwrap();
        assert_eq!(again.status, 201, "{again:?}");
    }
    let audit = audit(&subject, StepCounts::of(201, 5, 5), StepCounts::default()).await;
    assert_eq!(audit["ok"], true, "{audit}");
    assert_eq!(audit["facts"]["transfers"], 5, "{audit}");
    stop(service).await;
    ground.release(lease).await;
}

/// SIGTERM under load: what is in flight is answered, and the exit code is 0.
async fn what_is_in_flight_at_the_end_finishes(ground: &Ground, library: Library) {
    const IN_FLIGHT: usize = 8;
    let (subject, lease) = ground.subject_over(library).await;
    let service = Service::start(&subject, &[]).await;
    let client = Client::of(&service);
    let load: Vec<_> = (0..4)
        .map(|_| {
            let client = client.clone();
            tokio::spawn(async move {
                let mut answered = 0_u64;
                // Ends with the service, whose listener is then gone.
                while let Some(answer) = client.send("GET", "/v1/items/1", &[], None).await {
                    assert_eq!(answer.status, 200, "{answer:?}");
                    answered += 1;
                }
                answered
            })
        })
        .collect();
    let lock = Lock::of_account(&subject.database_url, 1).await;
    let transfers: Vec<_> = (0..IN_FLIGHT)
        .map(|number| {
            let client = client.clone();
            tokio::spawn(async move {
                let body = order(1, 5_001 + number as u64);
                client.transfer(&format!("late-{number}"), &body).await
            })
        })
        .collect();
    lock.is_waited_for(IN_FLIGHT as i64).await;
    service.signal(Signal::TERM);
    sleep(Duration::from_millis(50)).await;
    lock.release().await;
    let mut booked = 0;
    for transfer in transfers {
        let answer = transfer.await.unwrap();
        // A conflict where all this took longer than the service waits for a lock: an answer, too.
        match answer.as_ref().map(|answer| answer.status) {
            Some(201) => booked += 1,
            Some(409 | 503) => {}
            _ => panic!("{answer:?}"),
        }
    }
    assert!(service.ended().await.success());
    for answered in load {
        assert!(answered.await.unwrap() > 0, "there was load");
    }
    let audit = audit(
        &subject,
        StepCounts::of(201, booked, 0),
        StepCounts::default(),
    )
    .await;
    assert_eq!(audit["ok"], true, "{audit}");
    ground.release(lease).await;
}

/// What clients counted of one kind of request.
#[derive(Default)]
pub(crate) struct StepCounts {
    pub(crate) statuses: BTreeMap<u16, u64>,
    pub(crate) unknown: u64,
}

impl StepCounts {
    pub(crate) fn of(status: u16, answered: u64, unknown: u64) -> Self {
        Self {
            statuses: [(status, answered)].into(),
            unknown,
        }
    }
}

/// Asks the service's own audit, which is told what clients counted.
pub(crate) async fn audit(
    subject: &conformance::Subject,
    transfers: StepCounts,
    batches: StepCounts,
) -> Value {
    let step = |counts: StepCounts| {
        let statuses = counts.statuses.into_iter();
        let statuses: BTreeMap<_, _> = statuses
            .map(|(status, count)| (status.to_string(), count))
            .collect();
        json!({"statuses": statuses, "unknown": counts.unknown})
    };
    let counts =
        json!({"steps": {"trial/transfer": step(transfers), "trial/batch": step(batches)}});
    let (_, printed) = run(subject, &[], "audit", &counts.to_string()).await;
    serde_json::from_str(&printed).unwrap()
}

pub(crate) async fn stop(service: Service) {
    service.signal(Signal::TERM);
    assert!(service.ended().await.success());
}

/// The row of an account, held by a transaction of ours.
struct Lock {
    holder: tokio_postgres::Client,
    watcher: tokio_postgres::Client,
}

impl Lock {
    async fn of_account(database: &str, account: i64) -> Self {
        let (holder, watcher) = (connect(database).await, connect(database).await);
        holder.batch_execute("BEGIN").await.unwrap();
        let lock = "SELECT 1 FROM accounts WHERE id = $1 FOR UPDATE";
        holder.execute(lock, &[&account]).await.unwrap();
        Self { holder, watcher }
    }

    /// Returns once so many transactions wait for a lock.
    async fn is_waited_for(&self, transactions: i64) {
        let waiting = "SELECT count(*) FROM pg_stat_activity \
                       WHERE datname = current_database() AND wait_event_type = 'Lock'";
        // The lock time-out of the service is a second: who waits longer than that waits in vain.
        for _ in 0..1_000 {
            let row = self.watcher.query_one(waiting, &[]).await.unwrap();
            if row.get::<_, i64>(0) >= transactions {
                return;
            }
            sleep(Duration::from_millis(1)).await;
        }
        panic!("nobody waits for the lock");
    }

    async fn release(self) {
        self.holder.batch_execute("COMMIT").await.unwrap();
    }
}

pub(crate) async fn connect(database: &str) -> tokio_postgres::Client {
    let (client, connection) = tokio_postgres::connect(database, NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}
