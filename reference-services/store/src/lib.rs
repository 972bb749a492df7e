//! What the reference services keep: all their SQL and all their Redis, behind one [`Store`].
//!
//! Both services call the same functions, so that a comparison of them measures their frameworks. The library that
//! speaks to `PostgreSQL` can be chosen, so that a comparison measures that one: `SQLx` here, Diesel in `store-diesel`; both
//! say the statements of [`database`] in their own words, and share all else. `SQLx`'s are checked against the migrations at
//! compile time (`.sqlx` holds what was learnt; `scripts/sqlx-check` keeps it fresh). Every wait has a bound: see
//! [`settings`].

mod accounts;
pub mod audit;
mod cache;
pub mod database;
mod error;
pub mod events;
mod items;
mod postgres;
mod redis_access;
pub mod seed;
pub mod settings;
mod transfers;
mod waits;
mod with_sqlx;

pub use error::{CacheError, DatabaseError, Error};
pub use events::{EventQueue, EventWriter};
pub use items::Found;
pub use settings::{RedisAccess, Settings, Share, TxMode};
pub use transfers::Booking;
pub use waits::{PoolStats, StoreStats};

use cache::Cache;
use postgres::Pool;
use redis_access::Redis;

/// A service's connections to `PostgreSQL` and Redis. Cheap to clone; clones share the connections.
#[derive(Debug, Clone)]
pub struct Store {
    pool: Pool,
    cache: Cache,
    tx_mode: TxMode,
}

impl Store {
    /// Opens `share` of the connections to `PostgreSQL` and Redis, on the runtime that this is called on.
    ///
    /// A store that cannot be reached is no error: the service starts, is not ready, and finds the store when it comes
    /// back. It is waited for once, for `POSTGRES_ACQUIRE_MS`.
    ///
    /// # Errors
    /// [`Error::Settings`] if the URL of Redis asks for what this client cannot do.
    pub async fn open(settings: &Settings, share: Share) -> Result<Self, Error> {
        let redis = Redis::new(settings, share.redis)?;
        redis.warm_up().await;
        let cache = Cache::new(redis, settings.cache_ttl);
        let pool = Pool::new(settings, share.postgres);
        pool.warm_up().await;
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
        let alive = async {
            let mut connection = self.pool.connection().await?;
            connection.ping().await
        };
        self.pool.bounded(alive).await?;
        Ok(self.cache.ping().await?)
    }

    /// How many connections there are, and how long was waited for them. Asks neither store.
    #[must_use]
    pub fn pool_stats(&self) -> StoreStats {
        StoreStats {
            postgres: self.pool.stats(),
            redis: self.cache.redis.stats(),
        }
    }
}
