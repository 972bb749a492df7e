//! What can go wrong in the stores, and what a client is told of it. `PostgreSQL`'s word is its SQLSTATE, whichever library
//! brings it.

use contract::Failure;
use contract::setting::SettingError;
use std::borrow::Cow;
use tokio::time::error::Elapsed;

/// The SQLSTATE of a row or key that another transaction held for longer than the lock time-out.
const LOCK_NOT_AVAILABLE: &str = "55P03";

/// An outcome of a store call that is not a success.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The stores did their work, and the answer to the client is no.
    #[error(transparent)]
    Refused(#[from] Failure),
    /// No connection to `PostgreSQL` was free, or could be opened, in time.
    #[error("no connection to postgresql was had in time")]
    NoConnection,
    /// `PostgreSQL` could not be reached, has no room, or gave up waiting.
    #[error("postgresql is not available: {0}")]
    Unavailable(#[source] DatabaseError),
    /// `PostgreSQL` was silent for longer than a request may take.
    #[error("postgresql did not answer within the time of a request")]
    Silent(#[from] Elapsed),
    /// A statement failed for a reason that has no answer in the contract.
    #[error("a statement failed: {0}")]
    Statement(#[source] DatabaseError),
    /// An account that the seed makes is not there.
    #[error("the database was not seeded")]
    NotSeeded,
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

/// What the library that speaks to `PostgreSQL` says, and the SQLSTATE where it was `PostgreSQL` that said no.
#[derive(Debug, thiserror::Error)]
#[error("{cause}")]
pub struct DatabaseError {
    sqlstate: Option<String>,
    cause: Cause,
}

type Cause = Box<dyn std::error::Error + Send + Sync>;

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
            Self::NoConnection | Self::Unavailable(_) | Self::Silent(_) | Self::Cache(_) => {
                Failure::Unavailable
            }
            Self::Statement(_) | Self::NotSeeded | Self::StoredAnswer(_) | Self::Settings(_) => {
                Failure::Internal
            }
        }
    }

    /// `PostgreSQL` said no, with this SQLSTATE.
    pub fn of_postgresql(sqlstate: impl Into<String>, cause: impl Into<Cause>) -> Self {
        let (sqlstate, cause) = (sqlstate.into(), cause.into());
        // Classes 08, connection; 53, out of resources; 57P, shutting down or starting; and a lock not had in time.
        // <https://www.postgresql.org/docs/current/errcodes-appendix.html>
        let away = ["08", "53", "57P"]
            .iter()
            .any(|class| sqlstate.starts_with(class))
            || sqlstate == LOCK_NOT_AVAILABLE;
        let sqlstate = Some(sqlstate);
        let error = DatabaseError { sqlstate, cause };
        if away {
            Self::Unavailable(error)
        } else {
            Self::Statement(error)
        }
    }

    /// A connection could not be opened, or broke before the answer had come.
    pub fn of_connection(cause: impl Into<Cause>) -> Self {
        Self::Unavailable(DatabaseError {
            sqlstate: None,
            cause: cause.into(),
        })
    }

    /// The library could not ask, or did not understand the answer.
    pub fn of_library(cause: impl Into<Cause>) -> Self {
        Self::Statement(DatabaseError {
            sqlstate: None,
            cause: cause.into(),
        })
    }

    /// Whether the same transaction may well succeed when it is tried again: `PostgreSQL` broke it off because of
    /// another one (40001, serialization failure; 40P01, deadlock).
    pub(crate) fn is_conflict(&self) -> bool {
        matches!(self.sqlstate(), Some("40001" | "40P01"))
    }

    /// Whether the rows of the statement are what is wrong with it (class 22, data that make no sense; 23, a constraint),
    /// so that it fails however often it is tried. Anything else may pass.
    pub(crate) fn is_impossible(&self) -> bool {
        let code = self.sqlstate();
        code.is_some_and(|code| code.starts_with("22") || code.starts_with("23"))
    }

    /// Whether a row or key was held by another transaction for longer than we wait.
    pub(crate) fn is_lock_timeout(&self) -> bool {
        self.sqlstate() == Some(LOCK_NOT_AVAILABLE)
    }

    /// What `PostgreSQL` said, where it was `PostgreSQL` that said no.
    #[must_use]
    pub fn sqlstate(&self) -> Option<&str> {
        match self {
            Self::Unavailable(error) | Self::Statement(error) => error.sqlstate.as_deref(),
            _ => None,
        }
    }
}

impl From<SettingError> for Error {
    fn from(error: SettingError) -> Self {
        Self::Settings(error.to_string())
    }
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        match &error {
            sqlx::Error::Database(said) => match said.code().map(Cow::into_owned) {
                Some(sqlstate) => Self::of_postgresql(sqlstate, error),
                None => Self::of_library(error),
            },
            sqlx::Error::PoolTimedOut => Self::NoConnection,
            sqlx::Error::PoolClosed | sqlx::Error::Io(_) => Self::of_connection(error),
            _ => Self::of_library(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sqlstate_says_what_is_done_about_it() {
        // Whether it is a conflict, impossible, or a lock not had in time.
        for (sqlstate, failure, asked) in [
            ("40001", Failure::Internal, [true, false, false]),
            ("40P01", Failure::Internal, [true, false, false]),
            ("22P02", Failure::Internal, [false, true, false]),
            ("23514", Failure::Internal, [false, true, false]),
            ("55P03", Failure::Unavailable, [false, false, true]),
            ("08006", Failure::Unavailable, [false; 3]),
            ("53300", Failure::Unavailable, [false; 3]),
            ("57P01", Failure::Unavailable, [false; 3]),
            ("57014", Failure::Internal, [false; 3]),
            ("42703", Failure::Internal, [false; 3]),
        ] {
            let error = Error::of_postgresql(sqlstate, "words");
            let found = [
                error.is_conflict(),
                error.is_impossible(),
                error.is_lock_timeout(),
            ];
            assert_eq!((error.failure(), found), (failure, asked), "{sqlstate}");
        }
        let lost = Error::of_connection("reset");
        assert_eq!(lost.failure(), Failure::Unavailable);
        assert!(!lost.is_conflict() && !lost.is_impossible());
    }
}
