//! The pool of `PostgreSQL` connections.

use crate::Error;
use crate::settings::{ACQUIRE_TIMEOUT, LOCK_TIMEOUT, REQUEST_TIMEOUT};
use sqlx::PgPool;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use std::num::NonZeroU32;
use tokio::time::timeout;

/// A pool of exactly `connections`: it neither grows nor shrinks nor renews them while a service is measured.
pub(crate) fn pool(options: PgConnectOptions, connections: NonZeroU32) -> PgPool {
    PgPoolOptions::new()
        .max_connections(connections.get())
        .min_connections(connections.get())
        .max_lifetime(None)
        .idle_timeout(None)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        // A test would cost every request a round trip. A dead connection is noticed by the request that uses it.
        .test_before_acquire(false)
        .connect_lazy_with(options.options([("lock_timeout", LOCK_TIMEOUT)]))
}

/// Opens all connections, so that no measured request pays for one, and says so in the log if it could not.
///
/// One after another: a password costs several thousand hashes for each, and all at once would time out together where
/// the processor is slow.
pub(crate) async fn warm_up(pool: &PgPool) {
    // All are held until the last one is open: a connection given back would be handed out again.
    let mut open = Vec::new();
    for _ in 0..pool.options().get_max_connections() {
        match pool.acquire().await {
            Ok(connection) => open.push(connection),
            Err(error) => return tracing::warn!(%error, "postgresql is not available yet"),
        }
    }
}

/// Runs the statements of one request within [`REQUEST_TIMEOUT`].
pub(crate) async fn bounded<T>(
    statements: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    timeout(REQUEST_TIMEOUT, statements).await?
}
