//! The statements, each checked by the compiler against [`crate::schema`].

use crate::Held;
use crate::custom::{InsertEvents, InsertTransfer, Once};
use crate::error::Failed;
use crate::rows::{AccountRow, ItemRow, TransferRow};
use crate::schema::{accounts, idempotency_keys, items, transfers};
use async_trait::async_trait;
use contract::account::Account;
use contract::item::{Item, ItemUpdate};
use contract::transfer::{NewTransfer, Transfer};
use diesel::dsl::{exists, sql};
use diesel::prelude::*;
use diesel::result::Error::NotFound;
use diesel::sql_types::{BigInt, Integer};
use diesel_async::RunQueryDsl;
use store::database::{Answer, Connection, EventColumns, Work};
use store::{Booking, Error, TxMode};

#[async_trait]
impl Connection for Held<'_> {
    async fn ping(&mut self) -> Result<(), Error> {
        let one = diesel::select(1.into_sql::<Integer>());
        let outcome = one.get_result::<i32>(&mut **self).await;
        self.told(outcome)?;
        Ok(())
    }

    async fn account(&mut self, id: i64) -> Result<Option<Account>, Error> {
        let query = accounts::table.find(id).select(AccountRow::as_select());
        let outcome = query.get_result(&mut **self).await;
        Ok(self.told(outcome.optional())?.map(Account::from))
    }

    async fn items(&mut self, category: i32, after: i64, limit: i64) -> Result<Vec<Item>, Error> {
        let query = items::table
            .filter(items::category.eq(category))
            .filter(items::id.gt(after))
            .order(items::id)
            .limit(limit)
            .select(ItemRow::as_select());
        let outcome = query.load(&mut **self).await;
        let rows = self.told(outcome)?;
        Ok(rows.into_iter().map(Item::from).collect())
    }

    async fn item(&mut self, id: i64) -> Result<Option<Item>, Error> {
        let query = items::table.find(id).select(ItemRow::as_select());
        let outcome = query.get_result(&mut **self).await;
        Ok(self.told(outcome.optional())?.map(Item::from))
    }

    async fn update_item(
        &mut self,
        id: i64,
        versions: Option<&[i64]>,
        update: &ItemUpdate,
    ) -> Result<Option<Item>, Error> {
        let item = items::table.find(id);
        let changes = (
            items::name.eq(&update.name),
            items::category.eq(update.category),
            items::price_minor.eq(update.price_minor),
            items::version.eq(items::version + 1),
        );
        let outcome = match versions {
            Some(versions) => {
                let statement = diesel::update(item.filter(items::version.eq_any(versions)))
                    .set(changes)
                    .returning(ItemRow::as_returning());
                Once(statement).load(&mut **self).await
            }
            None => {
                let statement = diesel::update(item)
                    .set(changes)
                    .returning(ItemRow::as_returning());
                Once(statement).load(&mut **self).await
            }
        };
        // Read to the end, for an error may come after the row.
        let mut rows: Vec<ItemRow> = self.told(outcome)?;
        Ok(rows.pop().map(Item::from))
    }

    async fn has_item(&mut self, id: i64) -> Result<bool, Error> {
        let query = diesel::select(exists(items::table.find(id)));
        let outcome = query.get_result(&mut **self).await;
        self.told(outcome)
    }

    async fn transfer(&mut self, id: i64) -> Result<Option<Transfer>, Error> {
        let query = transfers::table.find(id).select(TransferRow::as_select());
        let outcome = query.get_result(&mut **self).await;
        Ok(self.told(outcome.optional())?.map(Transfer::from))
    }

    async fn transaction(&mut self, mode: TxMode, work: &dyn Work) -> Result<Booking, Error> {
        let transaction = self.build_transaction();
        let mut transaction = match mode {
            TxMode::Lock => transaction.read_committed(),
            TxMode::Serializable => transaction.serializable(),
        };
        let outcome = transaction
            .run(async |connection| {
                let booking = work.run(&mut Held::InTransaction(connection)).await;
                booking.map_err(Failed::Work)
            })
            .await;
        match outcome {
            Ok(booking) => Ok(booking),
            Err(Failed::Work(error)) => Err(error),
            Err(Failed::Transaction(error)) => self.told(Err(error)),
        }
    }

    async fn claim(&mut self, key: &str, fingerprint: &str) -> Result<bool, Error> {
        let statement = diesel::insert_into(idempotency_keys::table)
            .values((
                idempotency_keys::key.eq(key),
                idempotency_keys::fingerprint.eq(fingerprint),
            ))
            .on_conflict_do_nothing();
        let outcome = statement.execute(&mut **self).await;
        Ok(self.told(outcome)? == 1)
    }

    async fn answer(&mut self, key: &str) -> Result<Answer, Error> {
        let query = idempotency_keys::table.find(key).select((
            idempotency_keys::fingerprint,
            idempotency_keys::response.assume_not_null(),
        ));
        let outcome = query.get_result(&mut **self).await;
        let (fingerprint, response) = self.told(outcome)?;
        Ok(Answer {
            fingerprint,
            response,
        })
    }

    async fn keep_answer(&mut self, key: &str, response: &str) -> Result<(), Error> {
        let statement = diesel::update(idempotency_keys::table.find(key))
            .set(idempotency_keys::response.eq(response));
        let outcome = Once(statement).execute(&mut **self).await;
        self.told(outcome)?;
        Ok(())
    }

    async fn count_replay(&mut self, key: &str) -> Result<(), Error> {
        let statement = diesel::update(idempotency_keys::table.find(key))
            .set(idempotency_keys::replays.eq(idempotency_keys::replays + 1));
        let outcome = Once(statement).execute(&mut **self).await;
        self.told(outcome)?;
        Ok(())
    }

    async fn balances(&mut self, ids: [i64; 2], mode: TxMode) -> Result<Vec<Account>, Error> {
        let query = accounts::table
            .filter(accounts::id.eq_any(ids))
            .select(AccountRow::as_select());
        let outcome = match mode {
            TxMode::Lock => {
                let query = query.order(accounts::id).for_update();
                query.load(&mut **self).await
            }
            TxMode::Serializable => query.load(&mut **self).await,
        };
        let rows = self.told(outcome)?;
        Ok(rows.into_iter().map(Account::from).collect())
    }

    async fn add_to_balance(&mut self, account: i64, change: i64) -> Result<(), Error> {
        let statement = diesel::update(accounts::table.find(account))
            .set(accounts::balance_minor.eq(accounts::balance_minor + change));
        let outcome = Once(statement).execute(&mut **self).await;
        self.told(outcome)?;
        Ok(())
    }

    async fn insert_transfer(&mut self, key: &str, order: &NewTransfer) -> Result<i64, Error> {
        let statement = InsertTransfer { key, order };
        let outcome = statement.load(&mut **self).await;
        let outcome = outcome.and_then(|mut ids: Vec<i64>| ids.pop().ok_or(NotFound));
        self.told(outcome)
    }

    async fn writer_number(&mut self) -> Result<i64, Error> {
        // The query builder knows no sequences.
        let query = diesel::select(sql::<BigInt>("nextval('event_writers')"));
        let outcome = query.get_result(&mut **self).await;
        self.told(outcome)
    }

    async fn insert_events(&mut self, writer: i64, events: &EventColumns) -> Result<(), Error> {
        let statement = InsertEvents { writer, events };
        let outcome = statement.execute(&mut **self).await;
        self.told(outcome)?;
        Ok(())
    }
}
