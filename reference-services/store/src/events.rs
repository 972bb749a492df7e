//! Events: into the stream of Redis at once, or into the table of `PostgreSQL` by way of a queue.
//!
//! The queue is one for a process, and so is the task that empties it: what many requests brought within a few
//! milliseconds goes into one statement. It has a connection of its own, opened with the first event, so that neither
//! waits for the pool of the requests.
//!
//! A statement holds whole requests, so that each is written as a whole or not at all. One that fails is tried again until
//! it succeeds, whatever the reason, unless `PostgreSQL` says that the rows themselves are impossible: then each of its
//! requests is tried alone, and those that are impossible are dropped.

use crate::database::{Connection, Database, EventColumns};
use crate::{Error, Settings, Store};
use contract::event::{Ack, NewEvents};
use contract::{Failure, limit};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout, timeout_at};

/// A statement is full with so many rows: enough that the round trip costs each row little, few enough that it takes no
/// more than a few milliseconds. The last request of a statement may bring it to [`limit::EVENTS`] rows more.
const ROWS: usize = 500;

/// How long the first of a group waits for others to join it.
const GATHERING: Duration = Duration::from_millis(5);

/// The pause after a statement that may succeed later: a database is away for seconds rather than milliseconds.
const PAUSE: Duration = Duration::from_millis(200);

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
    /// A statement with this entry in it was impossible: it is tried alone.
    suspect: bool,
    /// Given back when the entry is done with.
    _room: OwnedSemaphorePermit,
}

impl Entry {
    fn rows(&self) -> usize {
        self.events.as_slice().len()
    }

    /// Somebody waits for the commit no longer, because the time was up or the client has gone.
    fn is_given_up(&self) -> bool {
        self.waiting
            .as_ref()
            .is_some_and(oneshot::Sender::is_closed)
    }

    /// Tells whoever waits.
    fn finish(self, outcome: Result<(), Failure>) {
        if let Some(waiting) = self.waiting {
            // Nobody listens any more where the client has gone.
            let _ = waiting.send(outcome);
        }
    }
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
            database: Arc::clone(&settings.database),
            connect_timeout: settings.acquire_timeout,
            statement_timeout: settings.request_timeout(),
            connection: None,
            writer: None,
        };
        let task = tokio::spawn(Backlog::default().write_all(received, table));
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
    /// (503) if the database did not take them in time, or the service is stopping: no write of them is begun any more,
    /// but one that was under way may still commit all of them. [`Failure::Internal`] (500) if they are impossible.
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
            suspect: false,
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

/// What is to be written next, in the order in which it came. Suspects are first.
#[derive(Debug, Default)]
struct Backlog {
    entries: VecDeque<Entry>,
    /// Of all entries.
    rows: usize,
}

impl Backlog {
    /// Empties the queue until it is closed and nothing is left.
    async fn write_all(mut self, mut received: UnboundedReceiver<Message>, mut table: Table) {
        while self.gather(&mut received).await {
            let slice = self.slice();
            match table.write(&slice).await {
                Ok(()) => slice.into_iter().for_each(|entry| entry.finish(Ok(()))),
                Err(error) if error.is_impossible() => self.part(slice, &error),
                Err(error) => {
                    self.put_back(slice);
                    self.drop_given_up(&mut received);
                    tracing::error!(%error, waiting = self.rows, "events are not written yet");
                    sleep(PAUSE).await;
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
                self.rows += entry.rows();
                self.entries.push_back(entry);
            }
            // What was sent before is still received.
            Message::Stop => received.close(),
        }
    }

    /// The entries of the next statement: a suspect, or as many as there are until there are [`ROWS`]. None if all were
    /// given up.
    fn slice(&mut self) -> Vec<Entry> {
        let (mut slice, mut rows) = (Vec::new(), 0);
        while let Some(entry) = self.entries.pop_front() {
            self.rows -= entry.rows();
            if entry.is_given_up() {
                continue;
            }
            rows += entry.rows();
            let alone = entry.suspect;
            slice.push(entry);
            if alone || rows >= ROWS {
                break;
            }
        }
        slice
    }

    /// Has each entry of an impossible statement tried alone, or drops the one that was.
    fn part(&mut self, mut slice: Vec<Entry>, error: &Error) {
        if let Some(entry) = slice.pop_if(|entry| entry.suspect) {
            tracing::error!(%error, lost = entry.rows(), "events are impossible");
            entry.finish(Err(error.failure()));
        }
        for entry in &mut slice {
            entry.suspect = true;
        }
        self.put_back(slice);
    }

    fn put_back(&mut self, slice: Vec<Entry>) {
        for entry in slice.into_iter().rev() {
            self.rows += entry.rows();
            self.entries.push_front(entry);
        }
    }

    /// Gives the room of those back that nobody waits for any more, wherever in the queue they are.
    fn drop_given_up(&mut self, received: &mut UnboundedReceiver<Message>) {
        while let Ok(message) = received.try_recv() {
            self.take(message, received);
        }
        self.entries.retain(|entry| !entry.is_given_up());
        self.rows = self.entries.iter().map(Entry::rows).sum();
    }
}

/// The table of events, over one connection.
struct Table {
    database: Arc<dyn Database>,
    connect_timeout: Duration,
    statement_timeout: Duration,
    connection: Option<Box<dyn Connection>>,
    /// Tells this process from others that write into the table; known once it was connected.
    writer: Option<i64>,
}

impl Table {
    /// Commits the rows of all entries, by one statement, or none of them. Rows that are there already stay as they are:
    /// entries whose outcome is unknown can be written again.
    async fn write(&mut self, entries: &[Entry]) -> Result<(), Error> {
        if entries.is_empty() {
            return Ok(());
        }
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => timeout(self.connect_timeout, self.database.connect()).await??,
        };
        let statements = async {
            let writer = match self.writer {
                Some(writer) => writer,
                None => connection.writer_number().await?,
            };
            self.writer = Some(writer);
            connection.insert_events(writer, &columns(entries)).await
        };
        let outcome = timeout(self.statement_timeout, statements).await?;
        // One that failed is not used again: what state it is in is not known.
        if outcome.is_ok() {
            self.connection = Some(connection);
        }
        outcome
    }
}

fn columns(entries: &[Entry]) -> EventColumns {
    let mut columns = EventColumns::default();
    for entry in entries {
        let events = entry.events.as_slice();
        // Both are at most [`limit::EVENTS`].
        let size = i32::try_from(events.len()).unwrap_or(i32::MAX);
        for (position, event) in (0..).zip(events) {
            columns.batches.push(entry.batch);
            columns.positions.push(position);
            columns.sizes.push(size);
            columns.devices.push(event.device.clone());
            columns.times.push(event.at);
            columns.values.push(event.value);
        }
    }
    columns
}
