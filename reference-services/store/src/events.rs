//! Events: into the stream of Redis at once, or into the table of `PostgreSQL` by way of a queue.
//!
//! The queue is one for a process, and so is the task that empties it: what many requests brought within a few
//! milliseconds goes into one statement. It has a connection of its own, opened with the first event, so that neither
//! waits for the pool of the requests.

use crate::{Error, Settings, Store, postgres};
use contract::event::{Ack, Event, NewEvents};
use contract::{Failure, limit};
use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection, PgConnection};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout, timeout_at};

/// The most rows of one statement: enough that the round trip costs each row little, few enough that it takes no more
/// than a few milliseconds.
const ROWS: usize = 500;

/// How long the first of a group waits for others to join it.
const GATHERING: Duration = Duration::from_millis(5);

/// The pause after the database was found away.
const OUTAGE_PAUSE: Duration = Duration::from_millis(200);

impl Store {
    /// Adds `events` to the stream. Part of them may have been added where this fails.
    ///
    /// # Errors
    /// [`Error::Cache`] if Redis does not take them in time.
    pub async fn append_events(&self, events: &NewEvents) -> Result<(), Error> {
        Ok(self.cache.append(events.as_slice()).await?)
    }
}

/// Where requests leave their events. Cheap to clone; clones share the queue.
#[derive(Debug, Clone)]
pub struct EventQueue {
    /// Has no bound of its own: every entry has taken its part of `room` before.
    entries: UnboundedSender<Message>,
    room: Arc<Semaphore>,
    batches: Arc<AtomicI64>,
    patience: Duration,
}

/// The task that writes what is in the queue.
#[derive(Debug)]
pub struct EventWriter {
    queue: EventQueue,
    task: JoinHandle<()>,
}

#[derive(Debug)]
enum Message {
    Entry(Entry),
    /// Nothing comes any more, but for what is on its way.
    Stop,
}

/// The events of one request.
#[derive(Debug)]
struct Entry {
    /// Numbers the requests of this process.
    batch: i64,
    events: NewEvents,
    /// Whoever waits until the rows are committed.
    waiting: Option<oneshot::Sender<Result<(), Failure>>>,
    /// Given back when the entry is done with.
    _room: OwnedSemaphorePermit,
}

impl EventQueue {
    /// An empty queue with room for `EVENTS_QUEUE` events, and its writer, on the runtime that this is called on.
    #[must_use]
    pub fn open(settings: &Settings) -> (Self, EventWriter) {
        let (entries, received) = unbounded_channel();
        let queue = Self {
            entries,
            room: Arc::new(Semaphore::new(settings.events_queue)),
            batches: Arc::default(),
            patience: settings.request_timeout(),
        };
        let table = Table {
            options: postgres::options(settings),
            connect_timeout: settings.acquire_timeout,
            statement_timeout: settings.request_timeout(),
            connection: None,
            writer: None,
        };
        let task = tokio::spawn(Group::default().write_all(received, table));
        let writer = EventWriter {
            queue: queue.clone(),
            task,
        };
        (queue, writer)
    }

    /// Leaves `events` in the queue and, if `ack` says so, waits until they are committed.
    ///
    /// # Errors
    /// [`Failure::QueueFull`] (429) if there is no room for all of them: none is taken then. [`Failure::Unavailable`]
    /// (503) if the database did not take them in time, or the service is stopping; some or all of them may be
    /// committed all the same.
    pub async fn push(&self, events: NewEvents, ack: Ack) -> Result<(), Error> {
        let count = u32::try_from(events.as_slice().len()).map_err(|_| Failure::QueueFull)?;
        let room = Arc::clone(&self.room).try_acquire_many_owned(count);
        let _room = room.map_err(|error| match error {
            tokio::sync::TryAcquireError::NoPermits => Failure::QueueFull,
            tokio::sync::TryAcquireError::Closed => Failure::Unavailable,
        })?;
        let (waiting, committed) = match ack {
            Ack::Durable => {
                let (sender, receiver) = oneshot::channel();
                (Some(sender), Some(receiver))
            }
            Ack::Queued => (None, None),
        };
        let entry = Entry {
            batch: self.batches.fetch_add(1, Ordering::Relaxed),
            events,
            waiting,
            _room,
        };
        self.entries
            .send(Message::Entry(entry))
            .map_err(|_| Failure::Unavailable)?;
        let Some(committed) = committed else {
            return Ok(());
        };
        let outcome = timeout(self.patience, committed).await?;
        Ok(outcome.unwrap_or(Err(Failure::Unavailable))?)
    }
}

impl EventWriter {
    /// Takes no more events, and returns once all that were taken are written, or after [`limit::SHUTDOWN_GRACE`], with
    /// a word in the log about what is lost.
    pub async fn finish(self) {
        self.queue.room.close();
        // An error says that the writer has ended, and then there is nothing to wait for.
        let _ = self.queue.entries.send(Message::Stop);
        if timeout(limit::SHUTDOWN_GRACE, self.task).await.is_err() {
            tracing::error!(
                "events that were queued are lost: the database did not take them in time"
            );
        }
    }
}

/// Entries that are written together.
#[derive(Debug, Default)]
struct Group {
    entries: Vec<Entry>,
    rows: usize,
}

impl Group {
    /// Empties the queue until it is closed and nothing is left.
    async fn write_all(mut self, mut received: UnboundedReceiver<Message>, mut table: Table) {
        while self.gather(&mut received).await {
            match table.write(&self.entries).await {
                Ok(()) => self.done(),
                Err(error) => {
                    self.refuse(&mut received, &error);
                    sleep(OUTAGE_PAUSE).await;
                }
            }
        }
    }

    /// Waits for a first entry, and then for [`GATHERING`] or until there are [`ROWS`]. False once none can come.
    async fn gather(&mut self, received: &mut UnboundedReceiver<Message>) -> bool {
        while self.entries.is_empty() {
            match received.recv().await {
                Some(message) => self.take(message, received),
                None => return false,
            }
        }
        let deadline = Instant::now() + GATHERING;
        while self.rows < ROWS {
            match timeout_at(deadline, received.recv()).await {
                Ok(Some(message)) => self.take(message, received),
                // Closed, or the time is up.
                Ok(None) | Err(_) => break,
            }
        }
        true
    }

    fn take(&mut self, message: Message, received: &mut UnboundedReceiver<Message>) {
        match message {
            Message::Entry(entry) => {
                self.rows += entry.events.as_slice().len();
                self.entries.push(entry);
            }
            // What was sent before is still received.
            Message::Stop => received.close(),
        }
    }

    /// Tells whoever waits that the rows are committed.
    fn done(&mut self) {
        self.rows = 0;
        for entry in self.entries.drain(..) {
            if let Some(waiting) = entry.waiting {
                // Nobody listens any more where the client has gone.
                let _ = waiting.send(Ok(()));
            }
        }
    }

    /// Tells whoever waits that there is no database, those still in the queue included. Who was promised no more than
    /// the queue is kept and tried again, unless the fault is not one that passes.
    fn refuse(&mut self, received: &mut UnboundedReceiver<Message>, error: &Error) {
        while let Ok(message) = received.try_recv() {
            self.take(message, received);
        }
        let kept = error.is_outage();
        let mut lost = 0;
        for mut entry in std::mem::take(&mut self.entries) {
            match entry.waiting.take() {
                Some(waiting) => {
                    let _ = waiting.send(Err(error.failure()));
                }
                None if kept => self.entries.push(entry),
                None => lost += entry.events.as_slice().len(),
            }
        }
        self.rows = self
            .entries
            .iter()
            .map(|entry| entry.events.as_slice().len())
            .sum();
        let waiting = self.rows;
        tracing::error!(%error, waiting, lost, "events were not written");
    }
}

/// The table of events, over one connection.
#[derive(Debug)]
struct Table {
    options: PgConnectOptions,
    connect_timeout: Duration,
    statement_timeout: Duration,
    connection: Option<PgConnection>,
    /// Tells this process from others that write into the table; known once it was connected.
    writer: Option<i64>,
}

impl Table {
    /// Commits the rows of all entries, [`ROWS`] at a time. Rows that are there already stay as they are: a group whose
    /// outcome is unknown can be written again.
    async fn write(&mut self, entries: &[Entry]) -> Result<(), Error> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => {
                let connect = PgConnection::connect_with(&self.options);
                timeout(self.connect_timeout, connect).await??
            }
        };
        let bound = self.statement_timeout;
        let statements = async {
            let writer = match self.writer {
                Some(writer) => writer,
                None => writer_number(&mut connection).await?,
            };
            self.writer = Some(writer);
            let rows: Vec<Row<'_>> = entries.iter().flat_map(rows).collect();
            for rows in rows.chunks(ROWS) {
                insert(&mut connection, writer, rows).await?;
            }
            Ok(())
        };
        let outcome = timeout(bound, statements).await?;
        // One that failed is not used again: what state it is in is not known.
        if outcome.is_ok() {
            self.connection = Some(connection);
        }
        outcome
    }
}

/// One event, and where it came from.
struct Row<'e> {
    batch: i64,
    position: i32,
    event: &'e Event,
}

fn rows(entry: &Entry) -> impl Iterator<Item = Row<'_>> {
    (0..)
        .zip(entry.events.as_slice())
        .map(|(position, event)| Row {
            batch: entry.batch,
            position,
            event,
        })
}

async fn writer_number(connection: &mut PgConnection) -> Result<i64, Error> {
    let query = sqlx::query_scalar!(r#"SELECT nextval('event_writers') AS "writer!""#);
    Ok(query.fetch_one(connection).await?)
}

async fn insert(connection: &mut PgConnection, writer: i64, rows: &[Row<'_>]) -> Result<(), Error> {
    let batches: Vec<i64> = rows.iter().map(|row| row.batch).collect();
    let positions: Vec<i32> = rows.iter().map(|row| row.position).collect();
    let devices: Vec<String> = rows.iter().map(|row| row.event.device.clone()).collect();
    let times: Vec<i64> = rows.iter().map(|row| row.event.at).collect();
    let values: Vec<f64> = rows.iter().map(|row| row.event.value).collect();
    sqlx::query!(
        "INSERT INTO events (writer, batch, position, device, at_ms, value) \
         SELECT $1::bigint, rows.* \
         FROM UNNEST($2::bigint[], $3::integer[], $4::text[], $5::bigint[], $6::double precision[]) AS rows \
         ON CONFLICT DO NOTHING",
        writer,
        &batches[..],
        &positions[..],
        &devices[..],
        &times[..],
        &values[..],
    )
    .execute(connection)
    .await?;
    Ok(())
}
