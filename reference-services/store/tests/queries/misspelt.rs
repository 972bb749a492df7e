//! Does not compile: the schema has no such column.

use sqlx::PgPool;

/// What account 1 holds.
pub async fn balance(pool: &PgPool) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar!("SELECT balance_major FROM accounts WHERE id = $1", 1_i64)
        .fetch_one(pool)
        .await
}

fn main() {}
