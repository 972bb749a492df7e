//! The two pools.

use crate::{Held, PoolLibrary, wire};
use async_trait::async_trait;
use diesel::ConnectionError;
use diesel_async::AsyncPgConnection;
use diesel_async::pooled_connection::{
    AsyncDieselConnectionManager, ManagerConfig, PoolableConnection, RecyclingMethod, bb8, deadpool,
};
use std::fmt;
use std::num::NonZeroU32;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::time::Duration;
use store::Error;
use store::database::{Connection, Connections, Count};
use tokio::time::timeout;
use tokio_postgres::Config;

/// A pool. Either looks, without asking the server, whether a connection is closed or has a transaction open, and drops it
/// then: `bb8` when it takes one back, `deadpool` before it hands one out.
pub(crate) enum Pool {
    Deadpool(deadpool::Pool<AsyncPgConnection>, Duration),
    Bb8(bb8::Pool<AsyncPgConnection>),
}

impl Pool {
    pub(crate) fn new(
        library: PoolLibrary,
        config: Arc<Config>,
        connections: NonZeroU32,
        acquire_timeout: Duration,
    ) -> Self {
        // bb8 goes on connecting when nobody waits for it any more; with deadpool whoever waits connects.
        let manager = manager(
            config,
            match library {
                PoolLibrary::Deadpool => Duration::MAX,
                PoolLibrary::Bb8 => acquire_timeout,
            },
        );
        match library {
            PoolLibrary::Deadpool => {
                let size = usize::try_from(connections.get()).unwrap_or(usize::MAX);
                let pool = deadpool::Pool::builder(manager).max_size(size).build();
                // It has no time-outs of its own here, which need a runtime, and can fail for nothing else.
                let pool = pool.unwrap_or_else(|error| unreachable!("{error}"));
                Self::Deadpool(pool, acquire_timeout)
            }
            PoolLibrary::Bb8 => {
                let pool = bb8::Pool::builder()
                    .max_size(connections.get())
                    .max_lifetime(None)
                    .idle_timeout(None)
                    .connection_timeout(acquire_timeout)
                    // A test would cost every request a round trip.
                    .test_on_check_out(false)
                    .build_unchecked(manager);
                Self::Bb8(pool)
            }
        }
    }
}

/// Opens connections, and says which are not to be used again.
fn manager(
    config: Arc<Config>,
    connect_timeout: Duration,
) -> AsyncDieselConnectionManager<AsyncPgConnection> {
    let mut setup = ManagerConfig::default();
    setup.recycling_method = RecyclingMethod::Fast;
    setup.custom_setup = Box::new(move |_| {
        let config = Arc::clone(&config);
        Box::pin(async move {
            let connection = timeout(connect_timeout, wire::connect(&config)).await;
            connection.map_err(|late| ConnectionError::BadConnection(late.to_string()))?
        })
    });
    // What is connected to is the setup's affair.
    AsyncDieselConnectionManager::new_with_config("", setup)
}

#[async_trait]
impl Connections for Pool {
    async fn lease(&self) -> Result<Box<dyn Connection>, Error> {
        let held = match self {
            Self::Deadpool(pool, acquire_timeout) => {
                let connection = timeout(*acquire_timeout, pool.get()).await;
                let connection = connection.map_err(|_| Error::NoConnection)?;
                Held::Deadpool(Returned(Some(connection.map_err(Error::of_connection)?)))
            }
            Self::Bb8(pool) => match pool.get_owned().await {
                Ok(connection) => Held::Bb8(connection),
                Err(bb8::RunError::TimedOut) => return Err(Error::NoConnection),
                Err(error) => return Err(Error::of_connection(error)),
            },
        };
        Ok(Box::new(held))
    }

    fn count(&self) -> Count {
        let count = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
        match self {
            Self::Deadpool(pool, _) => {
                let status = pool.status();
                Count {
                    size: count(status.size),
                    idle: count(status.available),
                }
            }
            Self::Bb8(pool) => {
                let state = pool.state();
                Count {
                    size: state.connections.into(),
                    idle: state.idle_connections.into(),
                }
            }
        }
    }
}

/// A connection of `deadpool` that goes back only if it can be used again. By itself `deadpool` takes back whatever it gave,
/// and looks at it when its turn comes: until then, a transaction whose request is gone would hold its locks.
pub(crate) struct Returned(Option<deadpool::Object<AsyncPgConnection>>);

impl Drop for Returned {
    fn drop(&mut self) {
        if let Some(mut connection) = self.0.take()
            && connection.is_broken()
        {
            drop(deadpool::Object::take(connection));
        }
    }
}

impl Deref for Returned {
    type Target = AsyncPgConnection;

    fn deref(&self) -> &AsyncPgConnection {
        self.0.as_ref().unwrap_or_else(|| unreachable!("{GONE}"))
    }
}

impl DerefMut for Returned {
    fn deref_mut(&mut self) -> &mut AsyncPgConnection {
        self.0.as_mut().unwrap_or_else(|| unreachable!("{GONE}"))
    }
}

const GONE: &str = "nobody has a connection that is dropped";

impl fmt::Debug for Pool {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.count();
        formatter.debug_tuple("Pool").field(&count).finish()
    }
}
