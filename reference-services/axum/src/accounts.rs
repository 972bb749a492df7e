//! Rows 3 and 4: accounts.

use crate::error::ApiError;
use crate::extract::Path;
use axum::Json;
use axum::extract::{RawQuery, State};
use contract::account::{Account, random_count};
use store::Store;

pub(crate) async fn read(
    State(store): State<Store>,
    Path(id): Path,
) -> Result<Json<Account>, ApiError> {
    Ok(Json(store.account(id.parse()?).await?))
}

pub(crate) async fn random(
    State(store): State<Store>,
    RawQuery(query): RawQuery,
) -> Result<Json<Vec<Account>>, ApiError> {
    let count = random_count(query.as_deref());
    Ok(Json(store.random_accounts(count).await?))
}
