//! The stores, and the library that speaks to `PostgreSQL`.

use std::sync::Arc;
use store::settings::{choice, required};
use store::{Error, Settings};
use store_diesel::{Diesel, PoolLibrary};

/// What `STORE` says.
#[derive(Clone, Copy)]
enum Library {
    Sqlx,
    Diesel,
}

/// [`Settings::from_env`], with `PostgreSQL` reached by the library that `STORE` names: `sqlx`, the default, or `diesel`,
/// with the pool of `DIESEL_POOL`.
pub(crate) fn from_env() -> Result<Settings, Error> {
    let settings = Settings::from_env()?;
    let libraries = [("sqlx", Library::Sqlx), ("diesel", Library::Diesel)];
    let library = choice("STORE", Library::Sqlx, &libraries)?;
    let pool = PoolLibrary::from_env()?;
    Ok(match library {
        Library::Sqlx => settings,
        Library::Diesel => settings.over(Arc::new(Diesel::new(&required("DATABASE_URL")?, pool)?)),
    })
}
