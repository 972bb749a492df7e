//! Rows 3 and 4: accounts.

use crate::error::ApiError;
use actix_web::HttpRequest;
use actix_web::web::{Data, Json, Path};
use contract::account::{Account, random_count};
use store::Store;

pub(crate) async fn read(store: Data<Store>, id: Path<String>) -> Result<Json<Account>, ApiError> {
    Ok(Json(store.account(id.parse()?).await?))
}

pub(crate) async fn random(
    store: Data<Store>,
    request: HttpRequest,
) -> Result<Json<Vec<Account>>, ApiError> {
    let count = random_count(Some(request.query_string()));
    Ok(Json(store.random_accounts(count).await?))
}
