//! Row 3: accounts.

use crate::error::ApiError;
use actix_web::web::{Data, Json, Path};
use contract::account::Account;
use store::Store;

pub(crate) async fn read(store: Data<Store>, id: Path<String>) -> Result<Json<Account>, ApiError> {
    Ok(Json(store.account(id.parse()?).await?))
}
