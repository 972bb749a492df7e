//! The statements of [`store::database`] in Diesel, over diesel-async and a pool by `deadpool` or `bb8`.
//!
//! All else — what comes before, between and after the statements, the bounds of every wait, what an error means — is
//! `store`'s, and the same as with `SQLx`: a comparison of the two measures the libraries. [`schema`] is what queries are
//! checked against when they are compiled, and a test compares it with the database that the migrations make.

mod custom;
mod error;
mod pool;
mod rows;
pub mod schema;
mod statements;
#[cfg(test)]
mod tests;
mod wire;

use async_trait::async_trait;
use diesel_async::AsyncPgConnection;
use diesel_async::pooled_connection::bb8;
use pool::{Pool, Returned};
use std::num::NonZeroU32;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::time::Duration;
use store::Error;
use store::database::{Connection, Connections, Database};
use store::settings::{LOCK_TIMEOUT, choice};
use tokio_postgres::Config;
use tokio_postgres::config::Host;

/// Whose pool there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PoolLibrary {
    /// `deadpool`: a broken connection is noticed when it would be handed out, and replaced.
    Deadpool,
    /// `bb8`: a broken connection is noticed by the request that uses it, as in the pool of `SQLx`.
    Bb8,
}

impl PoolLibrary {
    /// The name in `DIESEL_POOL`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Deadpool => "deadpool",
            Self::Bb8 => "bb8",
        }
    }

    /// What `DIESEL_POOL` says: `deadpool`, the default, or `bb8`.
    ///
    /// # Errors
    /// [`Error::Settings`] if it says anything else.
    pub fn from_env() -> Result<Self, Error> {
        let libraries = [Self::Deadpool, Self::Bb8].map(|library| (library.as_str(), library));
        choice("DIESEL_POOL", Self::Deadpool, &libraries)
    }
}

/// A database, reached by Diesel.
#[derive(Debug)]
pub struct Diesel {
    config: Arc<Config>,
    pool: PoolLibrary,
}

impl Diesel {
    /// The one at `url`, with this pool.
    ///
    /// # Errors
    /// [`Error::Settings`] if the URL cannot be used.
    pub fn new(url: &str, pool: PoolLibrary) -> Result<Self, Error> {
        // The URL may hold a password, so the message does not repeat it.
        let unusable = |why: String| Error::Settings(format!("DATABASE_URL cannot be used: {why}"));
        let mut config: Config = url
            .parse()
            .map_err(|error: tokio_postgres::Error| unusable(error.to_string()))?;
        let hosts: &[Host] = config.get_hosts();
        if hosts.len() != 1 || !config.get_hostaddrs().is_empty() {
            return Err(unusable("write one host".to_owned()));
        }
        let lock_timeout = format!("-c lock_timeout={LOCK_TIMEOUT}");
        let options = match config.get_options() {
            Some(options) => format!("{options} {lock_timeout}"),
            None => lock_timeout,
        };
        config.options(options);
        Ok(Self {
            config: Arc::new(config),
            pool,
        })
    }
}

#[async_trait]
impl Database for Diesel {
    fn library(&self) -> &'static str {
        "diesel"
    }

    fn pool_library(&self) -> &'static str {
        self.pool.as_str()
    }

    fn pool(&self, connections: NonZeroU32, acquire_timeout: Duration) -> Arc<dyn Connections> {
        let config = Arc::clone(&self.config);
        Arc::new(Pool::new(self.pool, config, connections, acquire_timeout))
    }

    async fn connect(&self) -> Result<Box<dyn Connection>, Error> {
        let connection = wire::connect(&self.config).await;
        Ok(Box::new(Held::Own(
            connection.map_err(Error::of_connection)?,
        )))
    }
}

/// A connection, and whose it is.
enum Held<'c> {
    Deadpool(Returned),
    Bb8(bb8::PooledConnection<'static, AsyncPgConnection>),
    Own(AsyncPgConnection),
    InTransaction(&'c mut AsyncPgConnection),
}

impl Deref for Held<'_> {
    type Target = AsyncPgConnection;

    fn deref(&self) -> &AsyncPgConnection {
        match self {
            Self::Deadpool(connection) => connection,
            Self::Bb8(connection) => connection,
            Self::Own(connection) => connection,
            Self::InTransaction(connection) => connection,
        }
    }
}

impl DerefMut for Held<'_> {
    fn deref_mut(&mut self) -> &mut AsyncPgConnection {
        match self {
            Self::Deadpool(connection) => connection,
            Self::Bb8(connection) => connection,
            Self::Own(connection) => connection,
            Self::InTransaction(connection) => connection,
        }
    }
}
