//! The state that every measurement starts from.

use crate::Error;
use crate::settings::{connect_options, required};
use sqlx::{Connection, PgConnection};

/// Accounts are numbered 1 to this.
pub const ACCOUNTS: i64 = 10_000;

/// What each account holds at first, in minor units: no run of transfers can empty one.
pub const OPENING_MINOR: i64 = 1_000_000_000_000;

/// Items are numbered 1 to this, spread evenly over the categories.
pub const ITEMS: i64 = 10_000;

/// Migrates the empty database at `url` and fills it. Done twice, it changes nothing the second time.
///
/// # Errors
/// [`Error::Settings`] if `url` cannot be used; else what `PostgreSQL` or a migration says.
pub async fn seed(url: &str) -> Result<(), Error> {
    let mut connection = PgConnection::connect_with(&connect_options(url)?).await?;
    sqlx::migrate!()
        .run(&mut connection)
        .await
        .map_err(sqlx::Error::from)?;
    sqlx::query!(
        "INSERT INTO accounts (id, currency, opening_minor, balance_minor) \
         SELECT id, 'EUR', $2, $2 FROM generate_series(1::bigint, $1) AS id ON CONFLICT DO NOTHING",
        ACCOUNTS,
        OPENING_MINOR,
    )
    .execute(&mut connection)
    .await?;
    sqlx::query!(
        "INSERT INTO items (id, name, category, price_minor) \
         SELECT id, 'Item ' || id, (id % $2 + 1)::integer, 1000 + id FROM generate_series(1::bigint, $1) AS id \
         ON CONFLICT DO NOTHING",
        ITEMS,
        i64::from(contract::limit::CATEGORIES),
    )
    .execute(&mut connection)
    .await?;
    // Every copy of this database starts with the same statistics and hint bits, whenever autovacuum wakes.
    for table in ["VACUUM (ANALYZE) accounts", "VACUUM (ANALYZE) items"] {
        sqlx::query(table).execute(&mut connection).await?;
    }
    Ok(connection.close().await?)
}

/// [`seed`] with the database of `DATABASE_URL`.
///
/// # Errors
/// As [`seed`], and without a `DATABASE_URL`.
pub async fn seed_from_env() -> Result<(), Error> {
    seed(&required("DATABASE_URL")?).await
}
