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

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::StatusCode;
    use axum::response::IntoResponse;
    use trials::Ground;

    /// A handler is a function: it is called as one, on real stores and without a server.
    #[tokio::test]
    async fn an_account_is_read_without_a_server() {
        let ground = Ground::new("", trials::Durability::Test).await;
        let (store, lease) = ground.store().await;
        let read = async |id: &str| read(State(store.clone()), Path(id.to_owned())).await;
        let Json(account) = read("7").await.unwrap();
        assert_eq!((account.id, account.balance_minor), (7, 1_000_000_000_000));
        for (id, status) in [
            ("x", StatusCode::BAD_REQUEST),
            ("10001", StatusCode::NOT_FOUND),
        ] {
            let refused = read(id).await.unwrap_err();
            assert_eq!(refused.into_response().status(), status);
        }
        ground.release(lease).await;
        ground.stop().await;
    }
}
