//! Booking transfers, each once, and reading them back.

use crate::database::{Connection, Work};
use crate::settings::TRANSFER_ATTEMPTS;
use crate::{Error, Store, TxMode};
use async_trait::async_trait;
use contract::Failure;
use contract::account::Account;
use contract::transfer::{IdempotencyKey, NewTransfer, Transfer, TransferId, TransferStatus};
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
        let attempt = Attempt {
            key,
            order,
            mode: self.tx_mode,
        };
        let booking = connection.transaction(self.tx_mode, &attempt).await?;
        if booking.replayed {
            // For the audit: clients cannot tell tailmark which of their 201s were replays. Not in the transaction that
            // read the answer, where replays of one key would be in conflict in serializable mode.
            connection.count_replay(key.as_str()).await?;
        }
        Ok(booking)
    }

    /// A transfer that was booked.
    ///
    /// # Errors
    /// [`Failure::TransferNotFound`], or what kept `PostgreSQL` from answering.
    pub async fn booked_transfer(&self, TransferId(id): TransferId) -> Result<Transfer, Error> {
        let transfer = async {
            let mut connection = self.pool.connection().await?;
            connection.transfer(id).await
        };
        let transfer = self.pool.bounded(transfer).await?;
        Ok(transfer.ok_or(Failure::TransferNotFound)?)
    }
}

/// What is done in a transaction for an order.
struct Attempt<'a> {
    key: &'a IdempotencyKey,
    order: &'a NewTransfer,
    mode: TxMode,
}

#[async_trait]
impl Work for Attempt<'_> {
    async fn run(&self, connection: &mut dyn Connection) -> Result<Booking, Error> {
        let replayed = !self.claim(connection).await?;
        let transfer = if replayed {
            self.answer(connection).await?
        } else {
            // In lock mode nobody else can change them until the transaction ends: rows are locked in ascending id, so
            // that two opposite transfers cannot wait for each other.
            let ids = [self.order.from, self.order.to];
            let balances = connection.balances(ids, self.mode).await?;
            check(&balances, self.order)?;
            self.book(connection).await?
        };
        Ok(Booking { transfer, replayed })
    }
}

impl Attempt<'_> {
    /// Takes the key for this order, unless it is taken.
    async fn claim(&self, connection: &mut dyn Connection) -> Result<bool, Error> {
        let fingerprint = self.order.fingerprint();
        let claimed = connection.claim(self.key.as_str(), &fingerprint).await;
        claimed.map_err(|error| {
            if error.is_lock_timeout() {
                Failure::KeyInFlight.into()
            } else {
                error
            }
        })
    }

    /// The answer that was given under this key.
    async fn answer(&self, connection: &mut dyn Connection) -> Result<Transfer, Error> {
        let stored = connection.answer(self.key.as_str()).await?;
        if stored.fingerprint != self.order.fingerprint() {
            return Err(Failure::KeyReused.into());
        }
        serde_json::from_str(&stored.response).map_err(Error::StoredAnswer)
    }

    /// Moves the money, writes the transfer with its two ledger rows, and stores the answer under the key.
    async fn book(&self, connection: &mut dyn Connection) -> Result<Transfer, Error> {
        let (key, order) = (self.key.as_str(), self.order);
        // In ascending id here too: in serializable mode these are the first to lock the rows.
        let mut moves = [
            (order.from, -order.amount_minor),
            (order.to, order.amount_minor),
        ];
        moves.sort_unstable();
        for (account, change) in moves {
            connection.add_to_balance(account, change).await?;
        }
        let transfer = Transfer {
            id: connection.insert_transfer(key, order).await?,
            from: order.from,
            to: order.to,
            amount_minor: order.amount_minor,
            currency: order.currency.clone(),
            status: TransferStatus::Booked,
        };
        let response = serde_json::to_string(&transfer).map_err(Error::StoredAnswer)?;
        connection.keep_answer(key, &response).await?;
        Ok(transfer)
    }
}

/// Whether the accounts allow the order.
fn check(balances: &[Account], order: &NewTransfer) -> Result<(), Failure> {
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
