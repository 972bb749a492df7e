//! What is asked of `PostgreSQL`, statement by statement. A library that speaks to it says these in its own words, and
//! nothing else: what comes before, between and after them is written once, in this crate.
//!
//! A statement and a connection are boxed where they are asked for, whichever library there is. That costs each the
//! same, and little beside a round trip.

use crate::{Booking, Error, TxMode};
use async_trait::async_trait;
use contract::account::Account;
use contract::item::{Item, ItemUpdate};
use contract::transfer::{NewTransfer, Transfer};
use std::fmt::Debug;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

/// A database, reached by a library.
#[async_trait]
pub trait Database: Debug + Send + Sync {
    /// The library's name in `STORE`.
    fn library(&self) -> &'static str;

    /// Whose pool there is.
    fn pool_library(&self) -> &'static str;

    /// A pool of exactly `connections`, which are opened when they are first asked for: it neither grows nor
    /// renews them while a service is measured, and shrinks by those alone that were closed in a transaction. Who asks for one waits for at most `acquire_timeout`.
    fn pool(&self, connections: NonZeroU32, acquire_timeout: Duration) -> Arc<dyn Connections>;

    /// A connection beside the pools.
    ///
    /// # Errors
    /// What kept it from being opened. There is no bound on how long that takes.
    async fn connect(&self) -> Result<Box<dyn Connection>, Error>;
}

/// A pool.
#[async_trait]
pub trait Connections: Debug + Send + Sync {
    /// A connection, which goes back into the pool when it is dropped, unless it is broken or in a transaction.
    ///
    /// # Errors
    /// [`Error::NoConnection`] if none was free or could be opened in time; else what kept it from being opened.
    async fn lease(&self) -> Result<Box<dyn Connection>, Error>;

    /// How many connections there are, and how many of them nobody uses.
    fn count(&self) -> Count;
}

/// The connections of a pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Count {
    /// Those that are open, and with `SQLx` those that are being opened.
    pub size: u64,
    /// Those that nobody uses.
    pub idle: u64,
}

/// What is done within a transaction.
#[async_trait]
pub trait Work: Sync {
    /// Does it: an error rolls the transaction back.
    ///
    /// # Errors
    /// Why the transaction is not to be committed.
    async fn run(&self, connection: &mut dyn Connection) -> Result<Booking, Error>;
}

/// A connection: one method for each statement. Each fails with what `PostgreSQL` or the library says.
///
/// A statement whose future is dropped leaves a connection that can be used, and a transaction one that is not used again
/// before it is rolled back.
#[async_trait]
pub trait Connection: Send {
    /// `SELECT 1`.
    async fn ping(&mut self) -> Result<(), Error>;

    /// An account, by its primary key.
    async fn account(&mut self, id: i64) -> Result<Option<Account>, Error>;

    /// At most `limit` items of a category above the id `after`, in ascending id.
    async fn items(&mut self, category: i32, after: i64, limit: i64) -> Result<Vec<Item>, Error>;

    /// An item, by its primary key.
    async fn item(&mut self, id: i64) -> Result<Option<Item>, Error>;

    /// Changes an item that has one of these versions, or any where there are none; the item as it is then.
    async fn update_item(
        &mut self,
        id: i64,
        versions: Option<&[i64]>,
        update: &ItemUpdate,
    ) -> Result<Option<Item>, Error>;

    /// Whether there is such an item.
    async fn has_item(&mut self, id: i64) -> Result<bool, Error>;

    /// A transfer, by its primary key.
    async fn transfer(&mut self, id: i64) -> Result<Option<Transfer>, Error>;

    /// Does `work` in a transaction of this mode and commits it.
    async fn transaction(&mut self, mode: TxMode, work: &dyn Work) -> Result<Booking, Error>;

    /// Inserts an idempotency key, unless it is there. If another transaction is inserting it, waits for that one to
    /// end: on the unique index, for as long as the lock time-out allows.
    async fn claim(&mut self, key: &str, fingerprint: &str) -> Result<bool, Error>;

    /// The fingerprint and the answer of an idempotency key that is there.
    async fn answer(&mut self, key: &str) -> Result<Answer, Error>;

    /// Keeps the answer of an idempotency key.
    async fn keep_answer(&mut self, key: &str, response: &str) -> Result<(), Error>;

    /// Counts an answer that was given again.
    async fn count_replay(&mut self, key: &str) -> Result<(), Error>;

    /// These accounts, in any order; in lock mode locked, in ascending id.
    async fn balances(&mut self, ids: [i64; 2], mode: TxMode) -> Result<Vec<Account>, Error>;

    /// Adds to the balance of an account.
    async fn add_to_balance(&mut self, account: i64, change: i64) -> Result<(), Error>;

    /// Inserts a transfer and its two ledger entries; its id.
    async fn insert_transfer(&mut self, key: &str, order: &NewTransfer) -> Result<i64, Error>;

    /// A number for a process that writes events, which no other has.
    async fn writer_number(&mut self) -> Result<i64, Error>;

    /// Inserts events, but for those that are there.
    async fn insert_events(&mut self, writer: i64, events: &EventColumns) -> Result<(), Error>;
}

/// What is kept for an idempotency key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Tells the order that the key was first used for from any other.
    pub fingerprint: String,
    /// The answer, as JSON text.
    pub response: String,
}

/// Events to be inserted, column by column. All columns are of one length.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct EventColumns {
    /// Numbers the requests of a process.
    pub batches: Vec<i64>,
    /// Numbers the events of a request.
    pub positions: Vec<i32>,
    /// How many events the request had.
    pub sizes: Vec<i32>,
    /// What sent them.
    pub devices: Vec<String>,
    /// When, in milliseconds since 1970.
    pub times: Vec<i64>,
    /// What they say.
    pub values: Vec<f64>,
}
