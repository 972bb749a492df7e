//! What a service is told about its stores, and the bound of every wait for them.

use crate::Error;
use contract::limit;
use sqlx::postgres::PgConnectOptions;
use std::env::{self, VarError};
use std::num::NonZeroU32;
use std::time::Duration;

/// How long a request waits for a free `PostgreSQL` connection, or for a new one: a service that has all connections
/// busy for a second is overloaded, and says so with a 503 rather than let its queue grow.
pub const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(1);

/// How long a transaction waits for a row or a key that another one holds. `PostgreSQL` enforces it. A transfer holds
/// its rows for a few milliseconds; whoever waited a second is behind a client that is stuck.
pub const LOCK_TIMEOUT: &str = "1s";

/// How long all statements of one request may take, the wait for a connection included. Above [`ACQUIRE_TIMEOUT`] plus
/// three lock time-outs, so that it speaks only when the server itself is silent.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a request waits for Redis, connecting included. Redis answers within a millisecond; beyond this bound
/// `PostgreSQL` is the faster answer, and the cache is bypassed.
pub const CACHE_TIMEOUT: Duration = Duration::from_millis(100);

/// How long an item stays in the cache, if `CACHE_TTL_SECONDS` does not say.
pub const CACHE_TTL_SECONDS: u64 = 1;

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

/// Where the stores are and how they are used.
#[derive(Debug, Clone)]
pub struct Settings {
    pub(crate) postgres: PgConnectOptions,
    pub(crate) redis: redis::Client,
    pub(crate) cache_ttl: u64,
    pub(crate) tx_mode: TxMode,
}

impl Settings {
    /// Reads `DATABASE_URL`, `REDIS_URL`, `CACHE_TTL_SECONDS` (default 1) and `TX_MODE` (`lock`, the default, or
    /// `serializable`).
    ///
    /// # Errors
    /// [`Error::Settings`] names the variable that is missing or makes no sense.
    pub fn from_env() -> Result<Self, Error> {
        let cache_ttl = match optional("CACHE_TTL_SECONDS")? {
            None => CACHE_TTL_SECONDS,
            Some(text) => text
                .parse()
                .ok()
                .filter(|seconds| *seconds > 0)
                .ok_or_else(|| {
                    Error::Settings(format!(
                        "CACHE_TTL_SECONDS is {text:?}; write whole seconds from 1 up"
                    ))
                })?,
        };
        let tx_mode = match optional("TX_MODE")?.as_deref() {
            None | Some("lock") => TxMode::Lock,
            Some("serializable") => TxMode::Serializable,
            Some(other) => {
                return Err(Error::Settings(format!(
                    "TX_MODE is {other:?}; write lock or serializable"
                )));
            }
        };
        Ok(Self {
            postgres: connect_options(&required("DATABASE_URL")?)?,
            redis: redis::Client::open(required("REDIS_URL")?)
                .map_err(|error| Error::Settings(format!("REDIS_URL cannot be used: {error}")))?,
            cache_ttl,
            tx_mode,
        })
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
}

/// The share of [`limit::POSTGRES_CONNECTIONS`] that worker `index` of `workers` gets: shares differ by one at most,
/// and add up to the whole unless there are more workers than connections, when each has one.
#[must_use]
pub fn connections_of_worker(index: u32, workers: NonZeroU32) -> NonZeroU32 {
    let extra = u32::from(index % workers < limit::POSTGRES_CONNECTIONS % workers);
    NonZeroU32::new(limit::POSTGRES_CONNECTIONS / workers + extra).unwrap_or(NonZeroU32::MIN)
}

/// How to connect to the database at `url`.
pub(crate) fn connect_options(url: &str) -> Result<PgConnectOptions, Error> {
    // The URL may hold a password, so the message does not repeat it.
    url.parse()
        .map_err(|error| Error::Settings(format!("DATABASE_URL cannot be used: {error}")))
}

/// The variable `name`, which must be set.
pub(crate) fn required(name: &str) -> Result<String, Error> {
    optional(name)?.ok_or_else(|| Error::Settings(format!("{name} is not set")))
}

fn optional(name: &str) -> Result<Option<String>, Error> {
    match env::var(name) {
        Ok(value) => Ok(Some(value)),
        Err(VarError::NotPresent) => Ok(None),
        Err(VarError::NotUnicode(_)) => Err(Error::Settings(format!("{name} is not valid UTF-8"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shares_of_all_workers_add_up() {
        for workers in 1..=limit::POSTGRES_CONNECTIONS {
            let workers = NonZeroU32::new(workers).unwrap();
            let shares: Vec<u32> = (0..workers.get())
                .map(|index| connections_of_worker(index, workers).get())
                .collect();
            assert_eq!(
                shares.iter().sum::<u32>(),
                limit::POSTGRES_CONNECTIONS,
                "{workers} workers"
            );
            assert!(
                shares.iter().max().unwrap() - shares.iter().min().unwrap() <= 1,
                "{shares:?}"
            );
        }
        assert_eq!(
            connections_of_worker(30, NonZeroU32::new(64).unwrap()),
            NonZeroU32::MIN
        );
    }
}
