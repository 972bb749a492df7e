//! Reading accounts.

use crate::{Error, Store, seed};
use contract::Failure;
use contract::account::{Account, AccountId};

impl Store {
    /// One account, by its primary key.
    ///
    /// # Errors
    /// [`Failure::AccountNotFound`], or what kept `PostgreSQL` from answering.
    pub async fn account(&self, AccountId(id): AccountId) -> Result<Account, Error> {
        let query = sqlx::query_as!(
            Account,
            "SELECT id, balance_minor, currency FROM accounts WHERE id = $1",
            id
        );
        let account = async {
            let mut connection = self.pool.connection().await?;
            Ok(query.fetch_optional(&mut *connection).await?)
        };
        let account = self.pool.bounded(account).await?;
        Ok(account.ok_or(Failure::AccountNotFound)?)
    }

    /// `count` accounts at random, each by a query of its own and one after another, as in `TechEmpower`'s test of many
    /// queries. One connection serves them all.
    ///
    /// # Errors
    /// What kept `PostgreSQL` from answering; [`Error::Statement`] where the database was not seeded.
    pub async fn random_accounts(&self, count: usize) -> Result<Vec<Account>, Error> {
        let accounts = async {
            let mut connection = self.pool.connection().await?;
            let mut accounts = Vec::with_capacity(count);
            for _ in 0..count {
                let query = sqlx::query_as!(
                    Account,
                    "SELECT id, balance_minor, currency FROM accounts WHERE id = $1",
                    fastrand::i64(1..=seed::ACCOUNTS)
                );
                accounts.push(query.fetch_one(&mut *connection).await?);
            }
            Ok(accounts)
        };
        self.pool.bounded(accounts).await
    }
}
