//! What the reference services keep: all their SQL and all their Redis, behind one [`Store`].
//!
//! Both services call the same functions, so that a comparison of them measures their frameworks. Queries are checked
//! against the migrations at compile time (`.sqlx` holds what was learnt; `scripts/sqlx-check` keeps it fresh). Every
//! wait has a bound: see [`settings`].

mod accounts;
pub mod audit;
mod cache;
mod error;
mod items;
mod postgres;
pub mod seed;
pub mod settings;
mod transfers;

pub use error::Error;
pub use items::Found;
pub use settings::{Settings, TxMode};
pub use transfers::Booking;

use cache::Cache;
use sqlx::PgPool;
use std::num::NonZeroU32;

/// A service's connections to `PostgreSQL` and Redis. Cheap to clone; clones share the connections.
#[derive(Debug, Clone)]
pub struct Store {
    pool: PgPool,
    cache: Cache,
    tx_mode: TxMode,
}

impl Store {
    /// Opens `connections` connections to `PostgreSQL` and one to Redis, on the runtime that this is called on.
    ///
    /// A store that cannot be reached is no error: the service starts, is not ready, and finds the store when it comes
    /// back. It is waited for once, for [`settings::ACQUIRE_TIMEOUT`].
    ///
    /// # Errors
    /// [`Error::Settings`] if the URL of Redis asks for what this client cannot do.
    pub async fn open(settings: &Settings, connections: NonZeroU32) -> Result<Self, Error> {
        let cache = Cache::new(settings.redis.clone(), settings.cache_ttl)?;
        let pool = postgres::pool(settings.postgres.clone(), connections);
        postgres::warm_up(&pool).await;
        Ok(Self {
            pool,
            cache,
            tx_mode: settings.tx_mode,
        })
    }

    /// Asks both stores for a sign of life: `SELECT 1` and `PING`.
    ///
    /// # Errors
    /// [`Error::Unavailable`] or [`Error::Cache`] if one does not give it in time.
    pub async fn ready(&self) -> Result<(), Error> {
        postgres::bounded(async {
            sqlx::query_scalar!(r#"SELECT 1 AS "one!""#)
                .fetch_one(&self.pool)
                .await?;
            Ok(())
        })
        .await?;
        Ok(self.cache.ping().await?)
    }
}
