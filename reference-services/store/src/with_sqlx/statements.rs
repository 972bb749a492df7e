//! The statements, each checked by the compiler against the migrations.

use super::Held;
use crate::database::{Answer, Connection, EventColumns, Work};
use crate::{Booking, Error, TxMode};
use async_trait::async_trait;
use contract::account::Account;
use contract::item::{Item, ItemUpdate};
use contract::transfer::{NewTransfer, Transfer, TransferStatus};

#[async_trait]
impl Connection for Held<'_> {
    async fn ping(&mut self) -> Result<(), Error> {
        let query = sqlx::query_scalar!(r#"SELECT 1 AS "one!""#);
        query.fetch_one(&mut **self).await?;
        Ok(())
    }

    async fn account(&mut self, id: i64) -> Result<Option<Account>, Error> {
        let query = sqlx::query_as!(
            Account,
            "SELECT id, balance_minor, currency FROM accounts WHERE id = $1",
            id
        );
        Ok(query.fetch_optional(&mut **self).await?)
    }

    async fn items(&mut self, category: i32, after: i64, limit: i64) -> Result<Vec<Item>, Error> {
        let query = sqlx::query_as!(
            Item,
            "SELECT id, name, category, price_minor, version FROM items \
             WHERE category = $1 AND id > $2 ORDER BY id LIMIT $3",
            category,
            after,
            limit,
        );
        Ok(query.fetch_all(&mut **self).await?)
    }

    async fn item(&mut self, id: i64) -> Result<Option<Item>, Error> {
        let query = sqlx::query_as!(
            Item,
            "SELECT id, name, category, price_minor, version FROM items WHERE id = $1",
            id
        );
        Ok(query.fetch_optional(&mut **self).await?)
    }

    async fn update_item(
        &mut self,
        id: i64,
        versions: Option<&[i64]>,
        update: &ItemUpdate,
    ) -> Result<Option<Item>, Error> {
        let query = sqlx::query_as!(
            Item,
            "UPDATE items SET name = $2, category = $3, price_minor = $4, version = version + 1 \
             WHERE id = $1 AND ($5::bigint[] IS NULL OR version = ANY ($5)) \
             RETURNING id, name, category, price_minor, version",
            id,
            update.name,
            update.category,
            update.price_minor,
            versions as Option<&[i64]>,
        );
        Ok(query.fetch_optional(&mut **self).await?)
    }

    async fn has_item(&mut self, id: i64) -> Result<bool, Error> {
        let query = sqlx::query_scalar!(
            r#"SELECT EXISTS (SELECT FROM items WHERE id = $1) AS "exists!""#,
            id
        );
        Ok(query.fetch_one(&mut **self).await?)
    }

    async fn transfer(&mut self, id: i64) -> Result<Option<Transfer>, Error> {
        let query = sqlx::query!(
            "SELECT id, from_account, to_account, amount_minor, currency FROM transfers WHERE id = $1",
            id
        );
        let row = query.fetch_optional(&mut **self).await?;
        Ok(row.map(|row| Transfer {
            id: row.id,
            from: row.from_account,
            to: row.to_account,
            amount_minor: row.amount_minor,
            currency: row.currency,
            status: TransferStatus::Booked,
        }))
    }

    async fn transaction(&mut self, mode: TxMode, work: &dyn Work) -> Result<Booking, Error> {
        let begin = match mode {
            TxMode::Lock => "BEGIN ISOLATION LEVEL READ COMMITTED",
            TxMode::Serializable => "BEGIN ISOLATION LEVEL SERIALIZABLE",
        };
        let mut transaction = self.begun(begin).await?;
        let booking = work.run(&mut Held::InTransaction(&mut transaction)).await?;
        transaction.commit().await?;
        Ok(booking)
    }

    async fn claim(&mut self, key: &str, fingerprint: &str) -> Result<bool, Error> {
        let query = sqlx::query!(
            "INSERT INTO idempotency_keys (key, fingerprint) VALUES ($1, $2) ON CONFLICT DO NOTHING",
            key,
            fingerprint,
        );
        let inserted = query.execute(&mut **self).await?;
        Ok(inserted.rows_affected() == 1)
    }

    async fn answer(&mut self, key: &str) -> Result<Answer, Error> {
        let query = sqlx::query_as!(
            Answer,
            r#"SELECT fingerprint, response AS "response!" FROM idempotency_keys WHERE key = $1"#,
            key,
        );
        Ok(query.fetch_one(&mut **self).await?)
    }

    async fn keep_answer(&mut self, key: &str, response: &str) -> Result<(), Error> {
        let query = sqlx::query!(
            "UPDATE idempotency_keys SET response = $2 WHERE key = $1",
            key,
            response
        );
        query.execute(&mut **self).await?;
        Ok(())
    }

    async fn count_replay(&mut self, key: &str) -> Result<(), Error> {
        let query = sqlx::query!(
            "UPDATE idempotency_keys SET replays = replays + 1 WHERE key = $1",
            key
        );
        query.execute(&mut **self).await?;
        Ok(())
    }

    async fn balances(&mut self, ids: [i64; 2], mode: TxMode) -> Result<Vec<Account>, Error> {
        Ok(match mode {
            TxMode::Lock => {
                sqlx::query_as!(
                    Account,
                    "SELECT id, balance_minor, currency FROM accounts WHERE id = ANY ($1) ORDER BY id FOR UPDATE",
                    &ids[..],
                )
                .fetch_all(&mut **self)
                .await?
            }
            TxMode::Serializable => {
                sqlx::query_as!(
                    Account,
                    "SELECT id, balance_minor, currency FROM accounts WHERE id = ANY ($1)",
                    &ids[..],
                )
                .fetch_all(&mut **self)
                .await?
            }
        })
    }

    async fn add_to_balance(&mut self, account: i64, change: i64) -> Result<(), Error> {
        let query = sqlx::query!(
            "UPDATE accounts SET balance_minor = balance_minor + $2 WHERE id = $1",
            account,
            change
        );
        query.execute(&mut **self).await?;
        Ok(())
    }

    async fn insert_transfer(&mut self, key: &str, order: &NewTransfer) -> Result<i64, Error> {
        let query = sqlx::query_scalar!(
            r#"WITH booked AS (
               INSERT INTO transfers (idempotency_key, from_account, to_account, amount_minor, currency)
               VALUES ($1, $2, $3, $4, $5) RETURNING id
           ), entries AS (
               INSERT INTO ledger_entries (transfer_id, account_id, amount_minor)
               SELECT booked.id, entry.account, entry.change
               FROM booked, (VALUES ($2, -$4), ($3, $4)) AS entry (account, change)
           )
           SELECT id AS "id!" FROM booked"#,
            key,
            order.from,
            order.to,
            order.amount_minor,
            order.currency,
        );
        Ok(query.fetch_one(&mut **self).await?)
    }

    async fn writer_number(&mut self) -> Result<i64, Error> {
        let query = sqlx::query_scalar!(r#"SELECT nextval('event_writers') AS "writer!""#);
        Ok(query.fetch_one(&mut **self).await?)
    }

    async fn insert_events(&mut self, writer: i64, events: &EventColumns) -> Result<(), Error> {
        let query = sqlx::query!(
            "INSERT INTO events (writer, batch, position, size, device, at_ms, value) \
             SELECT $1::bigint, rows.* \
             FROM UNNEST($2::bigint[], $3::integer[], $4::integer[], $5::text[], $6::bigint[], $7::double precision[]) \
                 AS rows \
             ON CONFLICT DO NOTHING",
            writer,
            &events.batches[..],
            &events.positions[..],
            &events.sizes[..],
            &events.devices[..],
            &events.times[..],
            &events.values[..],
        );
        query.execute(&mut **self).await?;
        Ok(())
    }
}
