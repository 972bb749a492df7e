//! Items in Redis: a copy of each for a second or so.

use crate::Error;
use crate::error::CacheError;
use crate::settings::CACHE_TIMEOUT;
use contract::item::Item;
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::{AsyncCommands, Client, RedisFuture};
use std::fmt;
use tokio::time::timeout;

/// One multiplexed connection to Redis, which reconnects by itself.
#[derive(Clone)]
pub(crate) struct Cache {
    connection: ConnectionManager,
    ttl_seconds: u64,
}

impl Cache {
    /// Connects when it is first used.
    pub(crate) fn new(client: Client, ttl_seconds: u64) -> Result<Self, Error> {
        let config = ConnectionManagerConfig::new()
            // `bounded` is the one bound of a command, connecting included. The manager's own, 500 ms by default,
            // would neither cover the wait for a connection nor be the shorter one.
            .set_response_timeout(None)
            .set_connection_timeout(Some(CACHE_TIMEOUT))
            // The next command tries again; until then nobody waits.
            .set_number_of_retries(0);
        let connection = ConnectionManager::new_lazy_with_config(client, config)
            .map_err(|error| Error::Settings(format!("REDIS_URL cannot be used: {error}")))?;
        Ok(Self {
            connection,
            ttl_seconds,
        })
    }

    pub(crate) async fn ping(&self) -> Result<(), CacheError> {
        bounded(self.connection.clone().ping()).await
    }

    /// The copy of item `id`, if there is one that can be read.
    pub(crate) async fn read(&self, id: i64) -> Result<Option<Item>, CacheError> {
        let copy: Option<Vec<u8>> = bounded(self.connection.clone().get(key(id))).await?;
        Ok(copy.and_then(|copy| serde_json::from_slice(&copy).ok()))
    }

    /// Keeps a copy of `item` for the time to live.
    pub(crate) async fn write(&self, item: &Item) -> Result<(), CacheError> {
        let copy = serde_json::to_vec(item)?;
        bounded(
            self.connection
                .clone()
                .set_ex(key(item.id), copy, self.ttl_seconds),
        )
        .await
    }

    /// Drops the copy of item `id`.
    pub(crate) async fn forget(&self, id: i64) -> Result<(), CacheError> {
        bounded(self.connection.clone().del(key(id))).await
    }
}

impl fmt::Debug for Cache {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Cache")
            .field("ttl_seconds", &self.ttl_seconds)
            .finish_non_exhaustive()
    }
}

fn key(id: i64) -> String {
    format!("item:{id}")
}

async fn bounded<T>(command: RedisFuture<'_, T>) -> Result<T, CacheError> {
    Ok(timeout(CACHE_TIMEOUT, command).await??)
}
