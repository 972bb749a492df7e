//! Row 3: accounts.

use crate::error::ApiError;
use crate::extract::Path;
use axum::Json;
use axum::extract::State;
use contract::account::Account;
use store::Store;

pub(crate) async fn read(
    State(store): State<Store>,
    Path(id): Path<String>,
) -> Result<Json<Account>, ApiError> {
    Ok(Json(store.account(id.parse()?).await?))
}
