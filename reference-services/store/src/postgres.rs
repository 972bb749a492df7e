//! The pool of `PostgreSQL` connections, whichever library it is of.

use crate::Error;
use crate::database::{Connection, Connections, Count};
use crate::settings::Settings;
use crate::waits::{PoolStats, Waits};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

/// A pool whose waits are counted. Cheap to clone; clones share the connections.
#[derive(Debug, Clone)]
pub(crate) struct Pool {
    connections: Arc<dyn Connections>,
    size: NonZeroU32,
    request_timeout: Duration,
    waits: Arc<Waits>,
}

impl Pool {
    /// A pool of so many `connections`.
    pub(crate) fn new(settings: &Settings, connections: NonZeroU32) -> Self {
        let pool = settings
            .database
            .pool(connections, settings.acquire_timeout);
        Self {
            connections: pool,
            size: connections,
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
        for _ in 0..self.size.get() {
            match self.connections.lease().await {
                Ok(connection) => open.push(connection),
                Err(error) => return tracing::warn!(%error, "postgresql is not available yet"),
            }
        }
    }

    /// A connection, once one is free.
    ///
    /// # Errors
    /// [`Error::NoConnection`] if none was in time.
    pub(crate) async fn connection(&self) -> Result<Box<dyn Connection>, Error> {
        let is_timeout = |error: &Error| matches!(error, Error::NoConnection);
        self.waits.count(self.connections.lease(), is_timeout).await
    }

    /// Runs the statements of one request within its time, the wait for a connection included.
    pub(crate) async fn bounded<T>(
        &self,
        statements: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        timeout(self.request_timeout, statements).await?
    }

    pub(crate) fn stats(&self) -> PoolStats {
        let Count { size, idle } = self.connections.count();
        self.waits.stats(size, idle)
    }
}
