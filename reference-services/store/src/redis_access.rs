//! How Redis is reached: over one connection that all share, or by one of two pools.

use crate::error::CacheError;
use crate::settings::RedisAccess;
use crate::waits::{PoolStats, Waits};
use crate::{Error, Settings};
use bb8_redis::RedisConnectionManager;
use bb8_redis::bb8::{self, CustomizeConnection, RunError};
use deadpool_redis::PoolError;
use redis::aio::{
    ConnectionLike, ConnectionManager, ConnectionManagerConfig, MultiplexedConnection,
};
use redis::{AsyncConnectionConfig, Cmd, FromRedisValue, Pipeline, RedisError, RedisFuture, Value};
use std::num::NonZeroU32;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// The way to Redis. Cheap to clone; clones share the connections.
#[derive(Clone)]
pub(crate) struct Redis {
    access: Access,
    connections: NonZeroU32,
    timeout: Duration,
    waits: Arc<Waits>,
}

#[derive(Clone)]
enum Access {
    /// One multiplexed connection, which reconnects by itself.
    Manager(ConnectionManager),
    Deadpool(deadpool_redis::Pool),
    Bb8(bb8::Pool<RedisConnectionManager>),
}

/// A connection for one command or pipeline.
enum Connection {
    Manager(ConnectionManager),
    Deadpool(deadpool_redis::Connection),
    Bb8(bb8::PooledConnection<'static, RedisConnectionManager>),
}

impl Redis {
    /// Connects when it is first used; pools hold up to `connections`.
    pub(crate) fn new(settings: &Settings, connections: NonZeroU32) -> Result<Self, Error> {
        let timeout = settings.redis_timeout;
        let access = match settings.redis_access {
            RedisAccess::Manager => manager(&settings.redis, timeout),
            RedisAccess::Deadpool => deadpool(&settings.redis, timeout, connections),
            RedisAccess::Bb8 => bb8(&settings.redis, timeout, connections),
        };
        let access = access
            .map_err(|error| Error::Settings(format!("REDIS_URL cannot be used: {error}")))?;
        Ok(Self {
            access,
            connections,
            timeout,
            waits: Arc::default(),
        })
    }

    /// Runs one command. All its time-out is for it and for the wait for a connection together.
    pub(crate) async fn command<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, CacheError> {
        let deadline = Instant::now() + self.timeout;
        let mut connection = self.connection(deadline).await?;
        Ok(timeout_at(deadline, command.query_async(&mut connection)).await??)
    }

    /// Runs all commands of a pipeline in one round trip, within the time-out of one command.
    pub(crate) async fn pipeline(&self, pipeline: &Pipeline) -> Result<(), CacheError> {
        let deadline = Instant::now() + self.timeout;
        let mut connection = self.connection(deadline).await?;
        Ok(timeout_at(deadline, pipeline.exec_async(&mut connection)).await??)
    }

    /// Opens its connections, so that no measured request pays for one, and says so in the log if it could not.
    pub(crate) async fn warm_up(&self) {
        if matches!(self.access, Access::Manager(_)) {
            if let Err(error) = self.command::<()>(&redis::cmd("PING")).await {
                tracing::warn!(%error, "redis is not available yet");
            }
            return;
        }
        let mut open = Vec::new();
        for _ in 0..self.connections.get() {
            match self.connection(Instant::now() + self.timeout).await {
                Ok(connection) => open.push(connection),
                Err(error) => return tracing::warn!(%error, "redis is not available yet"),
            }
        }
    }

    pub(crate) fn stats(&self) -> PoolStats {
        let count = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
        let (size, idle) = match &self.access {
            Access::Manager(_) => (1, 1),
            Access::Deadpool(pool) => {
                let status = pool.status();
                (count(status.size), count(status.available))
            }
            Access::Bb8(pool) => {
                let state = pool.state();
                (state.connections.into(), state.idle_connections.into())
            }
        };
        self.waits.stats(size, idle)
    }

    async fn connection(&self, deadline: Instant) -> Result<Connection, CacheError> {
        let acquire = async {
            Ok(match &self.access {
                Access::Manager(manager) => Connection::Manager(manager.clone()),
                Access::Deadpool(pool) => {
                    let connection = timeout_at(deadline, pool.get()).await?;
                    Connection::Deadpool(connection.map_err(of_deadpool)?)
                }
                Access::Bb8(pool) => {
                    let connection = timeout_at(deadline, pool.get_owned()).await?;
                    Connection::Bb8(connection.map_err(of_bb8)?)
                }
            })
        };
        let is_timeout = |error: &CacheError| matches!(error, CacheError::Silent(_));
        self.waits.count(acquire, is_timeout).await
    }
}

fn manager(client: &redis::Client, timeout: Duration) -> Result<Access, RedisError> {
    let config = ConnectionManagerConfig::new()
        // The deadline of a command is its one bound, connecting included. The manager's own, 500 ms by default,
        // would neither cover the wait for a connection nor be the shorter one.
        .set_response_timeout(None)
        .set_connection_timeout(Some(timeout))
        // The next command tries again; until then nobody waits.
        .set_number_of_retries(0);
    ConnectionManager::new_lazy_with_config(client.clone(), config).map(Access::Manager)
}

/// Asks `UNWATCH` and `PING` in one round trip of every connection that it hands out again.
fn deadpool(
    client: &redis::Client,
    timeout: Duration,
    connections: NonZeroU32,
) -> Result<Access, RedisError> {
    let config = AsyncConnectionConfig::new()
        .set_response_timeout(Some(timeout))
        .set_connection_timeout(Some(timeout));
    let info = client.get_connection_info().clone();
    let manager = deadpool_redis::Manager::new_with_config(info, config)?;
    let size = usize::try_from(connections.get()).unwrap_or(usize::MAX);
    let pool = deadpool_redis::Pool::builder(manager)
        .max_size(size)
        .build()
        .map_err(std::io::Error::other)?;
    Ok(Access::Deadpool(pool))
}

/// Asks `PING` of every connection that it hands out.
fn bb8(
    client: &redis::Client,
    timeout: Duration,
    connections: NonZeroU32,
) -> Result<Access, RedisError> {
    let manager = RedisConnectionManager::new(client.get_connection_info().clone())?;
    let pool = bb8::Pool::builder()
        .max_size(connections.get())
        .max_lifetime(None)
        .idle_timeout(None)
        // The next command tries again; until then nobody waits.
        .retry_connection(false)
        // Beyond the deadline of a command, so that it is the deadline that speaks.
        .connection_timeout(timeout * 2)
        .connection_customizer(Box::new(ResponseTimeout(timeout)))
        .build_unchecked(manager);
    Ok(Access::Bb8(pool))
}

/// Sets the time-out of answers, which `bb8-redis` leaves at the client's 500 ms.
#[derive(Debug)]
struct ResponseTimeout(Duration);

impl CustomizeConnection<MultiplexedConnection, RedisError> for ResponseTimeout {
    fn on_acquire<'a>(
        &'a self,
        connection: &'a mut MultiplexedConnection,
    ) -> Pin<Box<dyn Future<Output = Result<(), RedisError>> + Send + 'a>> {
        connection.set_response_timeout(self.0);
        Box::pin(std::future::ready(Ok(())))
    }
}

fn of_deadpool(error: PoolError) -> CacheError {
    match error {
        PoolError::Backend(error) => CacheError::Failed(error),
        other => CacheError::Pool(other.to_string()),
    }
}

fn of_bb8(error: RunError<RedisError>) -> CacheError {
    match error {
        RunError::User(error) => CacheError::Failed(error),
        RunError::TimedOut => CacheError::Pool("no connection was free in time".to_owned()),
    }
}

impl Connection {
    fn inner(&mut self) -> &mut dyn ConnectionLike {
        match self {
            Self::Manager(connection) => connection,
            Self::Deadpool(connection) => connection,
            Self::Bb8(connection) => &mut **connection,
        }
    }
}

impl ConnectionLike for Connection {
    fn req_packed_command<'a>(&'a mut self, command: &'a Cmd) -> RedisFuture<'a, Value> {
        self.inner().req_packed_command(command)
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        self.inner().req_packed_commands(pipeline, offset, count)
    }

    fn get_db(&self) -> i64 {
        match self {
            Self::Manager(connection) => connection.get_db(),
            Self::Deadpool(connection) => connection.get_db(),
            Self::Bb8(connection) => connection.get_db(),
        }
    }
}
