//! `PostgreSQL` by way of `SQLx` and its own pool.

mod statements;

use crate::Error;
use crate::database::{Connection, Connections, Count, Database};
use crate::settings::{LOCK_TIMEOUT, connect_options};
use async_trait::async_trait;
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{ConnectOptions, Connection as _, PgConnection, PgPool, Postgres, Transaction};
use std::num::NonZeroU32;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::time::Duration;

/// A database, reached by `SQLx`.
#[derive(Debug)]
pub(crate) struct Sqlx {
    options: PgConnectOptions,
}

impl Sqlx {
    /// The one at `url`.
    pub(crate) fn new(url: &str) -> Result<Self, Error> {
        let options = connect_options(url)?.options([("lock_timeout", LOCK_TIMEOUT)]);
        Ok(Self { options })
    }
}

#[async_trait]
impl Database for Sqlx {
    fn library(&self) -> &'static str {
        "sqlx"
    }

    fn pool_library(&self) -> &'static str {
        "sqlx"
    }

    fn pool(&self, connections: NonZeroU32, acquire_timeout: Duration) -> Arc<dyn Connections> {
        let pool = PgPoolOptions::new()
            .max_connections(connections.get())
            .min_connections(connections.get())
            .max_lifetime(None)
            .idle_timeout(None)
            .acquire_timeout(acquire_timeout)
            // A test would cost every request a round trip. A dead connection is noticed by the request that uses it.
            .test_before_acquire(false)
            .connect_lazy_with(self.options.clone());
        Arc::new(Pool(pool))
    }

    async fn connect(&self) -> Result<Box<dyn Connection>, Error> {
        let connection = self.options.connect().await?;
        Ok(Box::new(Held::Own(connection)))
    }
}

#[derive(Debug)]
struct Pool(PgPool);

#[async_trait]
impl Connections for Pool {
    async fn lease(&self) -> Result<Box<dyn Connection>, Error> {
        Ok(Box::new(Held::Leased(Leased {
            connection: self.0.acquire().await?,
            begins: false,
        })))
    }

    fn count(&self) -> Count {
        Count {
            size: self.0.size().into(),
            idle: u64::try_from(self.0.num_idle()).unwrap_or(u64::MAX),
        }
    }
}

/// A connection, and whose it is.
enum Held<'c> {
    Leased(Leased),
    Own(PgConnection),
    InTransaction(&'c mut PgConnection),
}

impl Deref for Held<'_> {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        match self {
            Self::Leased(leased) => &leased.connection,
            Self::Own(connection) => connection,
            Self::InTransaction(connection) => connection,
        }
    }
}

impl DerefMut for Held<'_> {
    fn deref_mut(&mut self) -> &mut PgConnection {
        match self {
            Self::Leased(leased) => &mut leased.connection,
            Self::Own(connection) => connection,
            Self::InTransaction(connection) => connection,
        }
    }
}

/// A connection of the pool. It goes back when it is dropped, but for one whose BEGIN was sent and not answered: `SQLx` knows
/// of a transaction, and rolls it back, only from the answer on (<https://github.com/launchbadge/sqlx/issues/4385>).
struct Leased {
    connection: PoolConnection<Postgres>,
    begins: bool,
}

impl Drop for Leased {
    fn drop(&mut self) {
        if self.begins {
            self.connection.close_on_drop();
        }
    }
}

impl Held<'_> {
    /// Begins a transaction, which is rolled back when it is dropped.
    async fn begun(
        &mut self,
        begin: &'static str,
    ) -> Result<Transaction<'_, Postgres>, sqlx::Error> {
        let Self::Leased(leased) = self else {
            return self.begin_with(begin).await;
        };
        leased.begins = true;
        let transaction = leased.connection.begin_with(begin).await?;
        leased.begins = false;
        Ok(transaction)
    }
}
