//! Clients that send batches of events for as long as they are let, and what of them is in the table afterwards.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;
use tokio::time::sleep;

use crate::client::Client;
use crate::outages::{StepCounts, connect};

/// Clients of each kind.
const CLIENTS: u64 = 2;

/// Between two batches of a client: hundreds a second are enough, and fit into a queue of [`QUEUE`] over an outage.
const PAUSE: Duration = Duration::from_millis(5);

/// `EVENTS_QUEUE` of a service that these clients ask.
pub(crate) const QUEUE: &str = "100000";

/// A batch, and how it was answered.
struct Sent {
    /// No other batch has it.
    device: String,
    events: i64,
    status: Option<u16>,
    answered: Instant,
}

/// Clients at work.
pub(crate) struct Batches {
    clients: Vec<JoinHandle<Vec<Sent>>>,
}

impl Batches {
    /// Lets clients send until it is `over`.
    pub(crate) fn start(client: &Client, over: &Arc<AtomicBool>) -> Self {
        let clients = ["durable", "queued"].into_iter().flat_map(|ack| {
            (0..CLIENTS).map(move |number| {
                tokio::spawn(batches(client.clone(), ack, number, Arc::clone(over)))
            })
        });
        Self {
            clients: clients.collect(),
        }
    }

    /// What clients saw, once all of them have ended.
    pub(crate) async fn end(self) -> Answered {
        let mut sent = Vec::new();
        for client in self.clients {
            sent.extend(client.await.unwrap());
        }
        Answered(sent)
    }
}

/// Batches with their answers.
pub(crate) struct Answered(Vec<Sent>);

impl Answered {
    pub(crate) fn with(&self, status: u16) -> u64 {
        let statuses = self.0.iter().map(|sent| sent.status);
        statuses.filter(|found| *found == Some(status)).count() as u64
    }

    /// Batches that were taken into the queue in that time.
    pub(crate) fn queued_in(&self, time: Range<Instant>) -> usize {
        let queued = self.0.iter().filter(|sent| sent.status == Some(202));
        queued.filter(|sent| time.contains(&sent.answered)).count()
    }

    /// For the audit.
    pub(crate) fn counts(&self) -> StepCounts {
        let known = [201, 202, 429].map(|status| (status, self.with(status)));
        StepCounts {
            statuses: known.into(),
            unknown: self.0.len() as u64 - known.iter().map(|(_, count)| count).sum::<u64>(),
        }
    }

    /// Asserts that what was promised is in the table, whole and once, and nothing in part.
    pub(crate) async fn are_whole(&self, database: &str) {
        let query = "SELECT device, count(*), count(DISTINCT value) FROM events GROUP BY device";
        let rows = connect(database).await.query(query, &[]).await.unwrap();
        let mut found: BTreeMap<String, (i64, i64)> = rows
            .iter()
            .map(|row| (row.get(0), (row.get(1), row.get(2))))
            .collect();
        for sent in &self.0 {
            let (device, whole) = (&sent.device, (sent.events, sent.events));
            let found = found.remove(device);
            match sent.status {
                Some(201 | 202) => assert_eq!(found, Some(whole), "{device}: {:?}", sent.status),
                Some(429) => assert_eq!(found, None, "{device} was refused"),
                _ => assert!(
                    found.is_none_or(|found| found == whole),
                    "{device}: {found:?}"
                ),
            }
        }
        assert_eq!(found, BTreeMap::new(), "nobody sent these");
    }
}

async fn batches(client: Client, ack: &str, number: u64, over: Arc<AtomicBool>) -> Vec<Sent> {
    let path = format!("/v1/events/batch?ack={ack}");
    let mut sent = Vec::new();
    for count in 0.. {
        if over.load(Ordering::Relaxed) {
            break;
        }
        let device = format!("{ack}-{number}-{count}");
        // Now and then one that fills a statement by itself.
        let events = if count % 50 == 49 {
            700
        } else {
            2 + count % 19
        };
        let list: Vec<String> = (0..events)
            .map(|value| format!(r#"{{"device":"{device}","at":0,"value":{value}}}"#))
            .collect();
        let body = format!(r#"{{"events":[{}]}}"#, list.join(","));
        let answer = client.send("POST", &path, &[], Some(&body)).await;
        sent.push(Sent {
            device,
            events,
            status: answer.map(|answer| answer.status),
            answered: Instant::now(),
        });
        sleep(PAUSE).await;
    }
    sent
}
