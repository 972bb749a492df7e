//! `schema.rs` says of every column what the database says after the migrations.

use diesel::expression::Expression;
use diesel::sql_types::{BigInt, Double, Integer, Nullable, SqlType, Text};
use diesel::{Column, Table};
use std::collections::BTreeSet;
use store_diesel::schema;
use tailmark::stores::{Durability, Options, Stores};
use tokio_postgres::NoTls;

/// Columns, as `table.column type` and whether it may be null.
type Columns = BTreeSet<String>;

fn column(table: &str, name: &str, sql_type: &str, nullable: bool) -> String {
    let null = if nullable { "null" } else { "not null" };
    format!("{table}.{name} {sql_type} {null}")
}

/// A type of Diesel, by the name that `information_schema` has for it.
trait Named {
    const NAME: &'static str;
    const NULLABLE: bool = false;
}

impl Named for BigInt {
    const NAME: &'static str = "bigint";
}

impl Named for Integer {
    const NAME: &'static str = "integer";
}

impl Named for Double {
    const NAME: &'static str = "double precision";
}

impl Named for Text {
    const NAME: &'static str = "text";
}

impl<T: Named + SqlType> Named for Nullable<T> {
    const NAME: &'static str = T::NAME;
    const NULLABLE: bool = true;
}

/// All columns of a table.
trait Described {
    fn describe(table: &str) -> Columns;
}

macro_rules! described {
    ($(($($column:ident)+))+) => {$(
        impl<$($column),+> Described for ($($column,)+)
        where
            $($column: Column + Expression<SqlType: Named>,)+
        {
            fn describe(table: &str) -> Columns {
                [$(column(
                    table,
                    $column::NAME,
                    <$column::SqlType as Named>::NAME,
                    <$column::SqlType as Named>::NULLABLE,
                )),+]
                .into()
            }
        }
    )+};
}

described!((A B C) (A B C D) (A B C D E) (A B C D E F) (A B C D E F G));

fn describe<T: Table<AllColumns: Described>>(_: T, name: &str) -> Columns {
    T::AllColumns::describe(name)
}

macro_rules! tables {
    ($module:path: $($table:ident)+) => {{
        use $module as declared;
        [$(describe(declared::$table::table, stringify!($table))),+]
            .into_iter()
            .flatten()
            .collect::<Columns>()
    }};
}

/// What one side has and the other has not.
fn differences(declared: &Columns, found: &Columns) -> Vec<String> {
    let only = |here: &Columns, there: &Columns, place: &str| -> Vec<String> {
        let lines = here.difference(there);
        lines.map(|line| format!("{place}: {line}")).collect()
    };
    [
        only(declared, found, "declared"),
        only(found, declared, "found"),
    ]
    .concat()
}

/// What `schema.rs` declares.
fn declared() -> Columns {
    tables!(store_diesel::schema: accounts transfers ledger_entries idempotency_keys items events)
}

/// The same with a table in place of `items` of which everything is wrong that can be.
fn wrongly_declared() -> Columns {
    mod wrong {
        diesel::table! {
            items (id) {
                id -> BigInt,
                name -> Nullable<Text>,
                category -> BigInt,
                colour -> Text,
                version -> BigInt,
            }
        }
    }
    let wrong = describe(wrong::items::table, "items");
    let right = describe(schema::items::table, "items");
    let others: Columns = declared().difference(&right).cloned().collect();
    others.union(&wrong).cloned().collect()
}

async fn found(database: &tokio_postgres::Client) -> Columns {
    let query = "SELECT table_name::text, column_name::text, data_type::text, is_nullable = 'YES' \
                 FROM information_schema.columns \
                 WHERE table_schema = 'public' AND table_name <> '_sqlx_migrations'";
    let rows = database.query(query, &[]).await;
    let rows = rows.expect("every database has an information_schema");
    let columns = rows
        .iter()
        .map(|row| column(row.get(0), row.get(1), row.get(2), row.get(3)));
    columns.collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_schema_is_that_of_the_migrations() {
    let options = Options {
        redis: false,
        ..Options::of_this_machine(Durability::Test)
    };
    let stores = Stores::start(options).await.unwrap();
    let lease = stores.empty().await.unwrap();
    let url = lease.database_url().unwrap();
    store::seed::seed(url).await.unwrap();
    let (database, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    tokio::spawn(connection);

    let columns = found(&database).await;
    assert_eq!(differences(&declared(), &columns), [""; 0]);
    // Controls: a comparison that finds nothing wrong proves something where it finds what is.
    assert_eq!(
        differences(&wrongly_declared(), &columns),
        [
            "declared: items.category bigint not null",
            "declared: items.colour text not null",
            "declared: items.name text null",
            "found: items.category integer not null",
            "found: items.name text not null",
            "found: items.price_minor bigint not null",
        ]
    );
    let changes = "ALTER TABLE events ADD COLUMN note TEXT; ALTER TABLE events ALTER COLUMN value TYPE REAL; \
                   CREATE TABLE more (id BIGINT PRIMARY KEY)";
    database.batch_execute(changes).await.unwrap();
    assert_eq!(
        differences(&declared(), &found(&database).await),
        [
            "declared: events.value double precision not null",
            "found: events.note text null",
            "found: events.value real not null",
            "found: more.id bigint not null",
        ]
    );
    stores.stop().await.unwrap();
}
