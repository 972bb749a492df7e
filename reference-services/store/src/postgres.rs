//! The pool of `PostgreSQL` connections.

use crate::Error;
use crate::settings::{LOCK_TIMEOUT, Settings};
use crate::waits::{PoolStats, Waits};
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{PgPool, Postgres};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

/// A pool whose waits are counted. Cheap to clone; clones share the connections.
#[derive(Debug, Clone)]
pub(crate) struct Pool {
    pool: PgPool,
    request_timeout: Duration,
    waits: Arc<Waits>,
}

impl Pool {
    /// A pool of exactly `connections`: it neither grows nor shrinks nor renews them while a service is measured.
    pub(crate) fn new(settings: &Settings, connections: NonZeroU32) -> Self {
        let pool = PgPoolOptions::new()
            .max_connections(connections.get())
            .min_connections(connections.get())
            .max_lifetime(None)
            .idle_timeout(None)
            .acquire_timeout(settings.acquire_timeout)
            // A test would cost every request a round trip. A dead connection is noticed by the request that uses it.
            .test_before_acquire(false)
            .connect_lazy_with(options(settings));
        Self {
            pool,
            request_timeout: settings.request_timeout(),
            waits: Arc::default(),
        }
    }

    /// Opens all connections, so that no measured request pays for one, and says so in the log if it could not.
    ///
    /// One after another: a password costs several thousand hashes for each, and all at once would time out together
    /// where the processor is slow.
    pub(crate) async fn warm_up(&self) {
        // All are held until the last one is open: a connection given back would be handed out again.
        let mut open = Vec::new();
        for _ in 0..self.pool.options().get_max_connections() {
            match self.pool.acquire().await {
                Ok(connection) => open.push(connection),
                Err(error) => return tracing::warn!(%error, "postgresql is not available yet"),
            }
        }
    }

    /// A connection, once one is free.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if none was in time.
    pub(crate) async fn connection(&self) -> Result<PoolConnection<Postgres>, Error> {
        let is_timeout = |error: &sqlx::Error| matches!(error, sqlx::Error::PoolTimedOut);
        Ok(self.waits.count(self.pool.acquire(), is_timeout).await?)
    }

    /// Runs the statements of one request within its time, the wait for a connection included.
    pub(crate) async fn bounded<T>(
        &self,
        statements: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        timeout(self.request_timeout, statements).await?
    }

    pub(crate) fn stats(&self) -> PoolStats {
        let idle = u64::try_from(self.pool.num_idle()).unwrap_or(u64::MAX);
        self.waits.stats(self.pool.size().into(), idle)
    }
}

/// How every connection of a service is opened.
pub(crate) fn options(settings: &Settings) -> PgConnectOptions {
    settings
        .postgres
        .clone()
        .options([("lock_timeout", LOCK_TIMEOUT)])
}
