//! Reading accounts.

use crate::{Error, Store, postgres};
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
        let account =
            postgres::bounded(async { Ok(query.fetch_optional(&self.pool).await?) }).await?;
        Ok(account.ok_or(Failure::AccountNotFound)?)
    }
}
