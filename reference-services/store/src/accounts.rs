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
        let account = async {
            let mut connection = self.pool.connection().await?;
            connection.account(id).await
        };
        let account = self.pool.bounded(account).await?;
        Ok(account.ok_or(Failure::AccountNotFound)?)
    }

    /// `count` accounts at random, each by a query of its own and one after another, as in `TechEmpower`'s test of many
    /// queries. One connection serves them all.
    ///
    /// # Errors
    /// What kept `PostgreSQL` from answering; [`Error::NotSeeded`] where the database was not.
    pub async fn random_accounts(&self, count: usize) -> Result<Vec<Account>, Error> {
        let accounts = async {
            let mut connection = self.pool.connection().await?;
            let mut accounts = Vec::with_capacity(count);
            for _ in 0..count {
                let id = fastrand::i64(1..=seed::ACCOUNTS);
                let account = connection.account(id).await?;
                accounts.push(account.ok_or(Error::NotSeeded)?);
            }
            Ok(accounts)
        };
        self.pool.bounded(accounts).await
    }
}
