//! What private servers are made to suffer, by tests of what stands on them.

use super::postgres::Postgres;
use super::redis::Redis;
use super::server::Daemon;
use super::{Stores, StoresError};

/// One of the two servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Server {
    /// PostgreSQL.
    Postgres,
    /// Redis.
    Redis,
}

impl Server {
    fn name(self) -> &'static str {
        match self {
            Self::Postgres => "PostgreSQL",
            Self::Redis => "Redis",
        }
    }
}

impl Stores {
    /// Stops a server where it stands: it still accepts connections, and says nothing.
    ///
    /// # Errors
    /// When it is not ours, or cannot be signalled.
    pub fn pause(&self, server: Server) -> Result<(), StoresError> {
        self.daemon(server)?.pause()
    }

    /// Lets a paused server go on.
    ///
    /// # Errors
    /// When it is not ours, or cannot be signalled.
    pub fn resume(&self, server: Server) -> Result<(), StoresError> {
        self.daemon(server)?.resume()
    }

    /// Kills a server (SIGKILL), with all its processes. What it had promised to keep must be there after
    /// [`Stores::restart`].
    ///
    /// # Errors
    /// When it is not ours, or survives.
    pub fn kill(&mut self, server: Server) -> Result<(), StoresError> {
        let daemon = match server {
            Server::Postgres => self.postgres.as_mut().and_then(Postgres::daemon_mut),
            Server::Redis => self.redis.as_mut().and_then(Redis::daemon_mut),
        };
        daemon.ok_or(StoresError::NotOurs(server.name()))?.kill()
    }

    /// Starts a server that was killed again, on the same port and the same data, and waits until it answers.
    ///
    /// # Errors
    /// When it is not ours, or does not start.
    pub async fn restart(&mut self, server: Server) -> Result<(), StoresError> {
        self.daemon(server)?;
        match (server, &mut self.postgres, &mut self.redis) {
            (Server::Postgres, Some(postgres), _) => postgres.restart().await,
            (Server::Redis, _, Some(redis)) => redis.restart().await,
            _ => Ok(()),
        }
    }

    fn daemon(&self, server: Server) -> Result<&Daemon, StoresError> {
        let daemon = match server {
            Server::Postgres => self.postgres.as_ref().and_then(Postgres::daemon),
            Server::Redis => self.redis.as_ref().and_then(Redis::daemon),
        };
        daemon.ok_or(StoresError::NotOurs(server.name()))
    }
}
