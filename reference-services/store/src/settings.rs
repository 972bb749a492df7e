//! What a service is told about its stores, and the bound of every wait for them.

use crate::Error;
use crate::database::Database;
use crate::with_sqlx::Sqlx;
use contract::limit;
use contract::setting::{number, text};
use sqlx::postgres::PgConnectOptions;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

/// Milliseconds that a request waits for a free `PostgreSQL` connection, or for a new one, if `POSTGRES_ACQUIRE_MS` does
/// not say: a service that has all connections busy for a second is overloaded, and says so with a 503 rather than let its
/// queue grow.
pub const ACQUIRE_MS: u64 = 1_000;

/// How long a transaction waits for a row or a key that another one holds. `PostgreSQL` enforces it. A transfer holds
/// its rows for a few milliseconds; whoever waited a second is behind a client that is stuck.
pub const LOCK_TIMEOUT: &str = "1s";

/// How long all statements of one request may take, beside the wait for a connection. Above three lock time-outs, so
/// that it speaks only when the server itself is silent.
pub const STATEMENTS_TIMEOUT: Duration = Duration::from_secs(4);

/// Milliseconds that a request waits for Redis, connecting included, if `REDIS_TIMEOUT_MS` does not say. Redis answers
/// within a millisecond; beyond this bound `PostgreSQL` is the faster answer, and the cache is bypassed.
pub const REDIS_TIMEOUT_MS: u64 = 100;

/// The longest wait that can be set, in milliseconds: a client has given up by then.
const LONGEST_WAIT_MS: u64 = 60_000;

/// `PostgreSQL` connections of one service over all its workers, if `POSTGRES_CONNECTIONS` does not say.
pub const POSTGRES_CONNECTIONS: u32 = 16;

/// Redis connections of one service over all its workers, where there is a pool and `REDIS_CONNECTIONS` does not say.
pub const REDIS_CONNECTIONS: u32 = 8;

/// The most connections that can be set: ten times what `PostgreSQL` allows by default.
const MOST_CONNECTIONS: u32 = 1_000;

/// Events that may wait to be written, if `EVENTS_QUEUE` does not say: twenty full statements, which take about as many
/// hundredths of a second.
pub const EVENTS_QUEUE: usize = 10_000;

/// The longest queue of events that can be set: a hundred times the default. An event takes 40 bytes and its device's name.
const LONGEST_QUEUE: usize = 1_000_000;

/// How long an item stays in the cache, if `CACHE_TTL_SECONDS` does not say.
pub const CACHE_TTL_SECONDS: u64 = 1;

/// The longest time to live that can be set: a day.
const LONGEST_TTL_SECONDS: u64 = 86_400;

/// How often a transfer is tried when the database refuses it because of others.
pub const TRANSFER_ATTEMPTS: u32 = 5;

/// How transfers are kept apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TxMode {
    /// READ COMMITTED, both accounts locked in ascending order: nobody fails, everybody waits.
    Lock,
    /// SERIALIZABLE without explicit locks: nobody waits for a reader, and the loser of a conflict tries again.
    Serializable,
}

impl TxMode {
    /// The name in `TX_MODE`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Lock => "lock",
            Self::Serializable => "serializable",
        }
    }
}

/// How Redis is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RedisAccess {
    /// One connection that all requests share: their commands go out together.
    Manager,
    /// A pool by `deadpool`: a connection for each command at a time, tested before use.
    Deadpool,
    /// A pool by `bb8`: the same.
    Bb8,
}

impl RedisAccess {
    /// The name in `REDIS_ACCESS`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Manager => "manager",
            Self::Deadpool => "deadpool",
            Self::Bb8 => "bb8",
        }
    }
}

/// Where the stores are and how they are used.
#[derive(Debug, Clone)]
pub struct Settings {
    pub(crate) database: Arc<dyn Database>,
    pub(crate) postgres_connections: NonZeroU32,
    pub(crate) acquire_timeout: Duration,
    pub(crate) redis: redis::Client,
    pub(crate) redis_access: RedisAccess,
    pub(crate) redis_connections: NonZeroU32,
    pub(crate) redis_timeout: Duration,
    pub(crate) cache_ttl: u64,
    pub(crate) tx_mode: TxMode,
    pub(crate) events_queue: usize,
}

/// The connections of one [`crate::Store`]: all of a service's, or one worker's part of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    pub(crate) postgres: NonZeroU32,
    pub(crate) redis: NonZeroU32,
}

impl Settings {
    /// Reads `DATABASE_URL` and `REDIS_URL`, which are required; `TX_MODE` (`lock`, the default, or `serializable`),
    /// `REDIS_ACCESS` (`manager`, the default, `deadpool` or `bb8`), `CACHE_TTL_SECONDS` (1), `POSTGRES_CONNECTIONS`
    /// ([`POSTGRES_CONNECTIONS`]), `POSTGRES_ACQUIRE_MS` ([`ACQUIRE_MS`]), `REDIS_CONNECTIONS` ([`REDIS_CONNECTIONS`]),
    /// `REDIS_TIMEOUT_MS` ([`REDIS_TIMEOUT_MS`]) and `EVENTS_QUEUE` ([`EVENTS_QUEUE`]). `PostgreSQL` is reached by `SQLx`;
    /// [`Settings::over`] changes that.
    ///
    /// # Errors
    /// [`Error::Settings`] names the variable that is missing or makes no sense.
    pub fn from_env() -> Result<Self, Error> {
        let tx_mode = choice(
            "TX_MODE",
            TxMode::Lock,
            &[
                ("lock", TxMode::Lock),
                ("serializable", TxMode::Serializable),
            ],
        )?;
        let redis_access = choice(
            "REDIS_ACCESS",
            RedisAccess::Manager,
            &[
                ("manager", RedisAccess::Manager),
                ("deadpool", RedisAccess::Deadpool),
                ("bb8", RedisAccess::Bb8),
            ],
        )?;
        Ok(Self {
            postgres_connections: connections("POSTGRES_CONNECTIONS", POSTGRES_CONNECTIONS)?,
            acquire_timeout: wait("POSTGRES_ACQUIRE_MS", ACQUIRE_MS)?,
            redis_access,
            redis_connections: connections("REDIS_CONNECTIONS", REDIS_CONNECTIONS)?,
            redis_timeout: wait("REDIS_TIMEOUT_MS", REDIS_TIMEOUT_MS)?,
            cache_ttl: number(
                "CACHE_TTL_SECONDS",
                CACHE_TTL_SECONDS,
                1..=LONGEST_TTL_SECONDS,
            )?,
            tx_mode,
            // The largest request has to fit, or it would be refused for ever.
            events_queue: number("EVENTS_QUEUE", EVENTS_QUEUE, limit::EVENTS..=LONGEST_QUEUE)?,
            ..Self::usual(&required("DATABASE_URL")?, &required("REDIS_URL")?)?
        })
    }

    /// The stores at these URLs, all else as it is where nothing is said.
    ///
    /// # Errors
    /// [`Error::Settings`] names the URL that cannot be used.
    pub fn usual(database_url: &str, redis_url: &str) -> Result<Self, Error> {
        let connections = |count| NonZeroU32::new(count).unwrap_or(NonZeroU32::MIN);
        Ok(Self {
            database: Arc::new(Sqlx::new(database_url)?),
            postgres_connections: connections(POSTGRES_CONNECTIONS),
            acquire_timeout: Duration::from_millis(ACQUIRE_MS),
            redis: redis::Client::open(redis_url)
                .map_err(|error| Error::Settings(format!("REDIS_URL cannot be used: {error}")))?,
            redis_access: RedisAccess::Manager,
            redis_connections: connections(REDIS_CONNECTIONS),
            redis_timeout: Duration::from_millis(REDIS_TIMEOUT_MS),
            cache_ttl: CACHE_TTL_SECONDS,
            tx_mode: TxMode::Lock,
            events_queue: EVENTS_QUEUE,
        })
    }

    /// The same, with `PostgreSQL` reached by another library than `SQLx`.
    #[must_use]
    pub fn over(self, database: Arc<dyn Database>) -> Self {
        Self { database, ..self }
    }

    /// The database, and the library that reaches it.
    #[must_use]
    pub fn database(&self) -> &dyn Database {
        &*self.database
    }

    /// How transfers are kept apart.
    #[must_use]
    pub const fn tx_mode(&self) -> TxMode {
        self.tx_mode
    }

    /// How long an item stays in the cache, in seconds.
    #[must_use]
    pub const fn cache_ttl_seconds(&self) -> u64 {
        self.cache_ttl
    }

    /// `PostgreSQL` connections over all workers.
    #[must_use]
    pub const fn postgres_connections(&self) -> u32 {
        self.postgres_connections.get()
    }

    /// How long a request waits for a `PostgreSQL` connection.
    #[must_use]
    pub const fn acquire_timeout(&self) -> Duration {
        self.acquire_timeout
    }

    /// How Redis is reached.
    #[must_use]
    pub const fn redis_access(&self) -> RedisAccess {
        self.redis_access
    }

    /// Redis connections over all workers, where there is a pool.
    #[must_use]
    pub const fn redis_connections(&self) -> u32 {
        self.redis_connections.get()
    }

    /// How long a request waits for Redis.
    #[must_use]
    pub const fn redis_timeout(&self) -> Duration {
        self.redis_timeout
    }

    /// Events that may wait to be written.
    #[must_use]
    pub const fn events_queue(&self) -> usize {
        self.events_queue
    }

    /// All connections, for a service with one store.
    #[must_use]
    pub fn whole(&self) -> Share {
        self.share_of_worker(0, NonZeroU32::MIN)
    }

    /// The part of worker `index` of `workers`: parts differ by one connection at most, and add up to the whole unless
    /// there are more workers than connections, when each has one.
    #[must_use]
    pub fn share_of_worker(&self, index: u32, workers: NonZeroU32) -> Share {
        Share {
            postgres: part(self.postgres_connections, index, workers),
            redis: part(self.redis_connections, index, workers),
        }
    }

    /// How long a request may take in all, the wait for a connection included.
    pub(crate) fn request_timeout(&self) -> Duration {
        self.acquire_timeout + STATEMENTS_TIMEOUT
    }
}

fn part(whole: NonZeroU32, index: u32, workers: NonZeroU32) -> NonZeroU32 {
    let extra = u32::from(index % workers < whole.get() % workers);
    NonZeroU32::new(whole.get() / workers + extra).unwrap_or(NonZeroU32::MIN)
}

fn connections(name: &str, default: u32) -> Result<NonZeroU32, Error> {
    let connections = number(name, default, 1..=MOST_CONNECTIONS)?;
    Ok(NonZeroU32::new(connections).unwrap_or(NonZeroU32::MIN))
}

fn wait(name: &str, default: u64) -> Result<Duration, Error> {
    let milliseconds = number(name, default, 1..=LONGEST_WAIT_MS)?;
    Ok(Duration::from_millis(milliseconds))
}

/// What the variable `name` chooses of `choices`, or `default` if it is not set.
///
/// # Errors
/// [`Error::Settings`] says what can be chosen.
pub fn choice<T: Copy>(name: &str, default: T, choices: &[(&str, T)]) -> Result<T, Error> {
    let Some(text) = text(name)? else {
        return Ok(default);
    };
    let chosen = choices.iter().find(|(word, _)| *word == text);
    chosen.map(|(_, choice)| *choice).ok_or_else(|| {
        let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
        Error::Settings(format!("{name} is {text:?}; write {}", words.join(" or ")))
    })
}

/// How to connect to the database at `url`.
pub(crate) fn connect_options(url: &str) -> Result<PgConnectOptions, Error> {
    // The URL may hold a password, so the message does not repeat it.
    url.parse()
        .map_err(|error| Error::Settings(format!("DATABASE_URL cannot be used: {error}")))
}

/// The variable `name`, which must be set.
///
/// # Errors
/// [`Error::Settings`] if it is not.
pub fn required(name: &str) -> Result<String, Error> {
    text(name)?.ok_or_else(|| Error::Settings(format!("{name} is not set")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_of_all_workers_add_up() {
        let whole = NonZeroU32::new(16).unwrap();
        for workers in 1..=16 {
            let workers = NonZeroU32::new(workers).unwrap();
            let parts: Vec<u32> = (0..workers.get())
                .map(|index| part(whole, index, workers).get())
                .collect();
            assert_eq!(parts.iter().sum::<u32>(), 16, "{workers} workers");
            assert!(
                parts.iter().max().unwrap() - parts.iter().min().unwrap() <= 1,
                "{parts:?}"
            );
        }
        assert_eq!(
            part(whole, 30, NonZeroU32::new(64).unwrap()),
            NonZeroU32::MIN
        );
        assert_eq!(part(whole, 0, NonZeroU32::MIN), whole);
    }
}
