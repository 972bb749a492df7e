//! What can go wrong in the stores, and what a client is told of it.

use contract::Failure;
use contract::setting::SettingError;
use tokio::time::error::Elapsed;

/// An outcome of a store call that is not a success.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The stores did their work, and the answer to the client is no.
    #[error(transparent)]
    Refused(#[from] Failure),
    /// `PostgreSQL` could not be reached, had no connection to spare, or gave up waiting.
    #[error("postgresql is not available: {0}")]
    Unavailable(#[source] sqlx::Error),
    /// `PostgreSQL` was silent for longer than a request may take.
    #[error("postgresql did not answer within the time of a request")]
    Silent(#[from] Elapsed),
    /// A statement failed for a reason that has no answer in the contract.
    #[error("a statement failed: {0}")]
    Statement(#[source] sqlx::Error),
    /// Redis did not answer, where its answer was required.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// A stored answer is not what was stored.
    #[error("the stored answer of an idempotency key cannot be read")]
    StoredAnswer(#[source] serde_json::Error),
    /// The environment does not describe usable stores.
    #[error("{0}")]
    Settings(String),
}

/// Redis failed, could not be given an item, or was slower than `REDIS_TIMEOUT_MS`.
#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    /// The connection or the command failed.
    #[error("redis failed: {0}")]
    Failed(#[from] redis::RedisError),
    /// The item could not be written as JSON.
    #[error("an item cannot be kept in redis: {0}")]
    Encode(#[from] serde_json::Error),
    /// A pool had no connection to give.
    #[error("the pool of redis has no connection: {0}")]
    Pool(String),
    /// No answer in time, the wait for a connection included.
    #[error("redis did not answer in time")]
    Silent(#[from] Elapsed),
}

impl Error {
    /// What the client is told.
    #[must_use]
    pub fn failure(&self) -> Failure {
        match self {
            Self::Refused(failure) => failure.clone(),
            Self::Unavailable(_) | Self::Silent(_) | Self::Cache(_) => Failure::Unavailable,
            Self::Statement(_) | Self::StoredAnswer(_) | Self::Settings(_) => Failure::Internal,
        }
    }

    /// Whether the same transaction may well succeed when it is tried again: `PostgreSQL` broke it off because of
    /// another one (40001, serialization failure; 40P01, deadlock).
    pub(crate) fn is_conflict(&self) -> bool {
        matches!(self.sqlstate().as_deref(), Some("40001" | "40P01"))
    }

    /// Whether the rows of the statement are what is wrong with it (class 22, data that make no sense; 23, a constraint),
    /// so that it fails however often it is tried. Anything else may pass.
    pub(crate) fn is_impossible(&self) -> bool {
        let code = self.sqlstate();
        code.is_some_and(|code| code.starts_with("22") || code.starts_with("23"))
    }

    /// Whether a row or key was held by another transaction for longer than we wait (55P03).
    pub(crate) fn is_lock_timeout(&self) -> bool {
        self.sqlstate().as_deref() == Some("55P03")
    }

    fn sqlstate(&self) -> Option<String> {
        let (Self::Unavailable(sqlx::Error::Database(error))
        | Self::Statement(sqlx::Error::Database(error))) = self
        else {
            return None;
        };
        error.code().map(Into::into)
    }
}

impl From<SettingError> for Error {
    fn from(error: SettingError) -> Self {
        Self::Settings(error.to_string())
    }
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        if is_outage(&error) {
            Self::Unavailable(error)
        } else {
            Self::Statement(error)
        }
    }
}

/// Whether the database is away or overloaded, rather than the statement wrong.
fn is_outage(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed | sqlx::Error::Io(_) => true,
        // Classes 08, connection; 53, out of resources; 57P, shutting down or starting; and a lock not had in time.
        // <https://www.postgresql.org/docs/current/errcodes-appendix.html>
        sqlx::Error::Database(error) => error.code().is_some_and(|code| {
            code.starts_with("08")
                || code.starts_with("53")
                || code.starts_with("57P")
                || code == "55P03"
        }),
        _ => false,
    }
}
