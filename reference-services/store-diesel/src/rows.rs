//! Rows, by the names of their columns, and what the contract makes of them.

use crate::schema::{accounts, items, transfers};
use contract::account::Account;
use contract::item::Item;
use contract::transfer::{Transfer, TransferStatus};
use diesel::pg::Pg;
use diesel::prelude::*;

#[derive(Queryable, Selectable)]
#[diesel(table_name = accounts, check_for_backend(Pg))]
pub(crate) struct AccountRow {
    id: i64,
    balance_minor: i64,
    currency: String,
}

impl From<AccountRow> for Account {
    fn from(row: AccountRow) -> Self {
        Self {
            id: row.id,
            balance_minor: row.balance_minor,
            currency: row.currency,
        }
    }
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = items, check_for_backend(Pg))]
pub(crate) struct ItemRow {
    id: i64,
    name: String,
    category: i32,
    price_minor: i64,
    version: i64,
}

impl From<ItemRow> for Item {
    fn from(row: ItemRow) -> Self {
        Self {
            id: row.id,
            name: row.name,
            category: row.category,
            price_minor: row.price_minor,
            version: row.version,
        }
    }
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = transfers, check_for_backend(Pg))]
pub(crate) struct TransferRow {
    id: i64,
    from_account: i64,
    to_account: i64,
    amount_minor: i64,
    currency: String,
}

impl From<TransferRow> for Transfer {
    fn from(row: TransferRow) -> Self {
        Self {
            id: row.id,
            from: row.from_account,
            to: row.to_account,
            amount_minor: row.amount_minor,
            currency: row.currency,
            status: TransferStatus::Booked,
        }
    }
}
