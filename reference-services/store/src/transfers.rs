//! Booking transfers, each once, and reading them back.

use crate::settings::TRANSFER_ATTEMPTS;
use crate::{Error, Store, TxMode};
use contract::Failure;
use contract::transfer::{IdempotencyKey, NewTransfer, Transfer, TransferId, TransferStatus};
use sqlx::{Connection, PgConnection, Postgres, Transaction};
use std::time::Duration;

/// The pause before the second attempt is drawn from 0 to this, and the range doubles with each further one: long
/// against a transfer (about 2 ms), short against a client's patience even when added up (at most 60 ms).
const FIRST_PAUSE: Duration = Duration::from_millis(4);

/// A booked transfer, and whether this request booked it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Booking {
    /// The transfer.
    pub transfer: Transfer,
    /// An earlier request with the same key booked it.
    pub replayed: bool,
}

impl Store {
    /// Books `order` under `key`, or finds what was booked under it. A refused order leaves nothing behind: its key is
    /// free again.
    ///
    /// # Errors
    /// [`Failure::SameAccount`], [`Failure::AccountNotFound`], [`Failure::CurrencyMismatch`] and
    /// [`Failure::InsufficientFunds`] for the order; [`Failure::KeyReused`] and [`Failure::KeyInFlight`] for the key;
    /// [`Failure::TooManyConflicts`] after [`TRANSFER_ATTEMPTS`]; or what kept `PostgreSQL` from answering.
    pub async fn transfer(
        &self,
        key: &IdempotencyKey,
        order: &NewTransfer,
    ) -> Result<Booking, Error> {
        if order.from == order.to {
            return Err(Failure::SameAccount.into());
        }
        let attempts = async {
            for attempt in 0..TRANSFER_ATTEMPTS {
                if attempt > 0 {
                    tokio::time::sleep(pause_before(attempt)).await;
                }
                match self.try_transfer(key, order).await {
                    Err(error) if error.is_conflict() => {
                        tracing::debug!(%error, attempt, "a transfer met a conflict");
                    }
                    outcome => return outcome,
                }
            }
            Err(Failure::TooManyConflicts.into())
        };
        self.pool.bounded(attempts).await
    }

    /// One attempt, in one transaction.
    async fn try_transfer(
        &self,
        key: &IdempotencyKey,
        order: &NewTransfer,
    ) -> Result<Booking, Error> {
        let mut connection = self.pool.connection().await?;
        let mut transaction = self.begin_transfer(&mut connection).await?;
        if claim(&mut transaction, key, order).await? {
            let balances = self.balances(&mut transaction, order).await?;
            check(&balances, order)?;
            let transfer = book(&mut transaction, key, order).await?;
            transaction.commit().await?;
            return Ok(Booking {
                transfer,
                replayed: false,
            });
        }
        let transfer = answer(&mut transaction, key, order).await?;
        transaction.commit().await?;
        count_replay(&mut connection, key).await?;
        Ok(Booking {
            transfer,
            replayed: true,
        })
    }

    async fn begin_transfer<'c>(
        &self,
        connection: &'c mut PgConnection,
    ) -> Result<Transaction<'c, Postgres>, Error> {
        let begin = match self.tx_mode {
            TxMode::Lock => "BEGIN ISOLATION LEVEL READ COMMITTED",
            TxMode::Serializable => "BEGIN ISOLATION LEVEL SERIALIZABLE",
        };
        Ok(connection.begin_with(begin).await?)
    }

    /// What both accounts hold. In lock mode nobody else can change it until the transaction ends: rows are locked in
    /// ascending id, so that two opposite transfers cannot wait for each other.
    async fn balances(
        &self,
        connection: &mut PgConnection,
        order: &NewTransfer,
    ) -> Result<Vec<Balance>, Error> {
        let ids = [order.from, order.to];
        Ok(match self.tx_mode {
            TxMode::Lock => {
                sqlx::query_as!(
                    Balance,
                    "SELECT id, balance_minor, currency FROM accounts WHERE id = ANY ($1) ORDER BY id FOR UPDATE",
                    &ids[..],
                )
                .fetch_all(connection)
                .await?
            }
            TxMode::Serializable => {
                sqlx::query_as!(
                    Balance,
                    "SELECT id, balance_minor, currency FROM accounts WHERE id = ANY ($1)",
                    &ids[..],
                )
                .fetch_all(connection)
                .await?
            }
        })
    }

    /// A transfer that was booked.
    ///
    /// # Errors
    /// [`Failure::TransferNotFound`], or what kept `PostgreSQL` from answering.
    pub async fn booked_transfer(&self, TransferId(id): TransferId) -> Result<Transfer, Error> {
        let query = sqlx::query!(
            "SELECT id, from_account, to_account, amount_minor, currency FROM transfers WHERE id = $1",
            id
        );
        let row = async {
            let mut connection = self.pool.connection().await?;
            Ok(query.fetch_optional(&mut *connection).await?)
        };
        let row = self.pool.bounded(row).await?;
        let row = row.ok_or(Failure::TransferNotFound)?;
        Ok(Transfer {
            id: row.id,
            from: row.from_account,
            to: row.to_account,
            amount_minor: row.amount_minor,
            currency: row.currency,
            status: TransferStatus::Booked,
        })
    }
}

struct Balance {
    id: i64,
    balance_minor: i64,
    currency: String,
}

/// Takes the key for this order. If another transaction holds it, waits for that one to end: on the unique index, for
/// as long as the lock time-out allows.
async fn claim(
    connection: &mut PgConnection,
    key: &IdempotencyKey,
    order: &NewTransfer,
) -> Result<bool, Error> {
    let inserted = sqlx::query!(
        "INSERT INTO idempotency_keys (key, fingerprint) VALUES ($1, $2) ON CONFLICT DO NOTHING",
        key.as_str(),
        order.fingerprint(),
    )
    .execute(connection)
    .await
    .map_err(Error::from)
    .map_err(|error| {
        if error.is_lock_timeout() {
            Failure::KeyInFlight.into()
        } else {
            error
        }
    })?;
    Ok(inserted.rows_affected() == 1)
}

/// The answer that was given under this key.
async fn answer(
    connection: &mut PgConnection,
    key: &IdempotencyKey,
    order: &NewTransfer,
) -> Result<Transfer, Error> {
    let stored = sqlx::query!(
        r#"SELECT fingerprint, response AS "response!" FROM idempotency_keys WHERE key = $1"#,
        key.as_str(),
    )
    .fetch_one(connection)
    .await?;
    if stored.fingerprint != order.fingerprint() {
        return Err(Failure::KeyReused.into());
    }
    serde_json::from_str(&stored.response).map_err(Error::StoredAnswer)
}

/// Counts an answer given again, for the audit: clients cannot tell tailmark which of their 201s were replays. Not in the
/// transaction that read the answer, where replays of one key would be in conflict in serializable mode.
async fn count_replay(connection: &mut PgConnection, key: &IdempotencyKey) -> Result<(), Error> {
    sqlx::query!(
        "UPDATE idempotency_keys SET replays = replays + 1 WHERE key = $1",
        key.as_str()
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Whether the accounts allow the order.
fn check(balances: &[Balance], order: &NewTransfer) -> Result<(), Failure> {
    let account = |id| {
        balances
            .iter()
            .find(|account| account.id == id)
            .ok_or(Failure::AccountNotFound)
    };
    let (from, to) = (account(order.from)?, account(order.to)?);
    if from.currency != order.currency || to.currency != order.currency {
        return Err(Failure::CurrencyMismatch);
    }
    if from.balance_minor < order.amount_minor {
        return Err(Failure::InsufficientFunds);
    }
    Ok(())
}

/// Moves the money, writes the transfer with its two ledger rows, and stores the answer under the key.
async fn book(
    connection: &mut PgConnection,
    key: &IdempotencyKey,
    order: &NewTransfer,
) -> Result<Transfer, Error> {
    // In ascending id here too: in serializable mode these are the first to lock the rows.
    let mut moves = [
        (order.from, -order.amount_minor),
        (order.to, order.amount_minor),
    ];
    moves.sort_unstable();
    for (account, change) in moves {
        sqlx::query!(
            "UPDATE accounts SET balance_minor = balance_minor + $2 WHERE id = $1",
            account,
            change
        )
        .execute(&mut *connection)
        .await?;
    }
    let id = sqlx::query_scalar!(
        r#"WITH booked AS (
               INSERT INTO transfers (idempotency_key, from_account, to_account, amount_minor, currency)
               VALUES ($1, $2, $3, $4, $5) RETURNING id
           ), entries AS (
               INSERT INTO ledger_entries (transfer_id, account_id, amount_minor)
               SELECT booked.id, entry.account, entry.change
               FROM booked, (VALUES ($2, -$4), ($3, $4)) AS entry (account, change)
           )
           SELECT id AS "id!" FROM booked"#,
        key.as_str(),
        order.from,
        order.to,
        order.amount_minor,
        order.currency,
    )
    .fetch_one(&mut *connection)
    .await?;
    let transfer = Transfer {
        id,
        from: order.from,
        to: order.to,
        amount_minor: order.amount_minor,
        currency: order.currency.clone(),
        status: TransferStatus::Booked,
    };
    let response = serde_json::to_string(&transfer).map_err(Error::StoredAnswer)?;
    sqlx::query!(
        "UPDATE idempotency_keys SET response = $2 WHERE key = $1",
        key.as_str(),
        response
    )
    .execute(connection)
    .await?;
    Ok(transfer)
}

/// A random pause before attempt `attempt` (from 1): without chance, those who met would meet again.
fn pause_before(attempt: u32) -> Duration {
    let most = FIRST_PAUSE * (1 << (attempt - 1));
    most.mul_f64(fastrand::f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_stay_within_their_bound() {
        for attempt in 1..TRANSFER_ATTEMPTS {
            let most = FIRST_PAUSE * (1 << (attempt - 1));
            assert!(
                (0..1_000).all(|_| pause_before(attempt) <= most),
                "attempt {attempt}"
            );
        }
    }
}
