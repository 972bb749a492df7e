//! What Diesel's errors mean to the store.
//!
//! The store goes by SQLSTATEs. Diesel shows them for constraints and for 40001 alone, as kinds; a deadlock (40P01), a lock
//! not had in time (55P03), bad data (class 22) and a shutdown (57P) are all one kind, `Unknown`, and told apart by nothing
//! but words, which depend on the server's language. So the code is taken from where `PostgreSQL` writes it: see [`wire`].

use crate::{Held, wire};
use diesel::result::DatabaseErrorKind::{ClosedConnection, UnableToSendCommand};
use diesel::result::Error::{BrokenTransactionManager, DatabaseError, RollbackErrorOnCommit};
use diesel::result::QueryResult;
use store::Error;

/// Why a transaction was not committed.
pub(crate) enum Failed {
    /// What was to be done in it failed.
    Work(Error),
    /// It could not be begun, committed or rolled back.
    Transaction(diesel::result::Error),
}

impl From<diesel::result::Error> for Failed {
    fn from(error: diesel::result::Error) -> Self {
        Self::Transaction(error)
    }
}

impl Held<'_> {
    /// The outcome of a statement that was just run on this connection.
    pub(crate) fn told<T>(&mut self, outcome: QueryResult<T>) -> Result<T, Error> {
        outcome.map_err(|error| match error {
            // Also what diesel-async makes of every error that has no SQLSTATE, of which a lost connection is the usual one.
            DatabaseError(UnableToSendCommand | ClosedConnection, _)
            | RollbackErrorOnCommit { .. }
            | BrokenTransactionManager => Error::of_connection(error),
            DatabaseError(..) => match wire::last_sqlstate(self) {
                Some(sqlstate) => Error::of_postgresql(sqlstate, error),
                None => Error::of_library(error),
            },
            _ => Error::of_library(error),
        })
    }
}
