//! Where the query builder is not enough: two statements for which it has no word, one with a common table expression that
//! writes and one that inserts from arrays; and a word for statements that are prepared once.
//!
//! The two are fragments of our own rather than `sql_query`, which is prepared anew whenever it is run: that would cost them
//! a round trip that `SQLx` does not pay. Their names and types are checked by nobody but the tests that run them.

use contract::transfer::NewTransfer;
use diesel::pg::Pg;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::result::QueryResult;
use diesel::sql_types::{Array, BigInt, Double, Integer, Text};
use store::database::EventColumns;

/// Inserts a transfer and its two ledger entries, in one round trip; yields the transfer's id.
pub(crate) struct InsertTransfer<'a> {
    pub(crate) key: &'a str,
    pub(crate) order: &'a NewTransfer,
}

impl QueryFragment<Pg> for InsertTransfer<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_sql(
            "WITH booked AS (\
             INSERT INTO transfers (idempotency_key, from_account, to_account, amount_minor, currency) VALUES (",
        );
        out.push_bind_param::<Text, _>(self.key)?;
        for number in [&self.order.from, &self.order.to, &self.order.amount_minor] {
            out.push_sql(", ");
            out.push_bind_param::<BigInt, _>(number)?;
        }
        out.push_sql(", ");
        out.push_bind_param::<Text, _>(&self.order.currency)?;
        // The placeholders are those of the values above, once more.
        out.push_sql(
            ") RETURNING id), entries AS (\
             INSERT INTO ledger_entries (transfer_id, account_id, amount_minor) \
             SELECT booked.id, entry.account, entry.change \
             FROM booked, (VALUES ($2, -$4), ($3, $4)) AS entry (account, change)) \
             SELECT id FROM booked",
        );
        Ok(())
    }
}

impl Query for InsertTransfer<'_> {
    type SqlType = BigInt;
}

impl QueryId for InsertTransfer<'_> {
    type QueryId = InsertTransfer<'static>;
    const HAS_STATIC_QUERY_ID: bool = true;
}

/// Inserts events, but for those that are there, as one statement of a length that does not depend on their number.
pub(crate) struct InsertEvents<'a> {
    pub(crate) writer: i64,
    pub(crate) events: &'a EventColumns,
}

impl QueryFragment<Pg> for InsertEvents<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        let events = self.events;
        out.push_sql(
            "INSERT INTO events (writer, batch, position, size, device, at_ms, value) SELECT ",
        );
        out.push_bind_param::<BigInt, _>(&self.writer)?;
        out.push_sql(", rows.* FROM UNNEST(");
        out.push_bind_param::<Array<BigInt>, _>(&events.batches)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<Integer>, _>(&events.positions)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<Integer>, _>(&events.sizes)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<Text>, _>(&events.devices)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<BigInt>, _>(&events.times)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<Double>, _>(&events.values)?;
        out.push_sql(") AS rows ON CONFLICT DO NOTHING");
        Ok(())
    }
}

impl QueryId for InsertEvents<'_> {
    type QueryId = InsertEvents<'static>;
    const HAS_STATIC_QUERY_ID: bool = true;
}

/// A statement that is prepared once for a connection. Diesel prepares every UPDATE anew, for a changeset may set other
/// columns each time; ours never do. The cache goes by the text, so it could not be wrong either way.
pub(crate) struct Once<Q>(pub(crate) Q);

impl<Q: QueryFragment<Pg>> QueryFragment<Pg> for Once<Q> {
    fn walk_ast<'b>(&'b self, out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        self.0.walk_ast(out)
    }

    fn is_safe_to_cache_prepared(&self, _: &Pg) -> QueryResult<bool> {
        Ok(true)
    }
}

impl<Q: Query> Query for Once<Q> {
    type SqlType = Q::SqlType;
}

impl<Q> QueryId for Once<Q> {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}
