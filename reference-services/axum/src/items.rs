//! Rows 5 to 7: items.

use crate::error::ApiError;
use crate::extract::{Body, Path, Query};
use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue};
use axum::response::IntoResponse;
use contract::header;
use contract::item::{IfMatch, ItemPage, ItemUpdate, Items};
use store::Store;

pub(crate) async fn list(
    State(store): State<Store>,
    Query(page): Query<ItemPage>,
) -> Result<Json<Items>, ApiError> {
    Ok(Json(store.items(&page).await?))
}

pub(crate) async fn read(
    State(store): State<Store>,
    Path(id): Path,
) -> Result<impl IntoResponse, ApiError> {
    let found = store.item(id.parse()?).await?;
    let cache = [(header::X_CACHE, found.cache.as_str())];
    Ok((cache, [(header::ETAG, found.item.etag())], Json(found.item)))
}

pub(crate) async fn update(
    State(store): State<Store>,
    Path(id): Path,
    headers: HeaderMap,
    Body(update): Body<ItemUpdate>,
) -> Result<impl IntoResponse, ApiError> {
    let if_match = IfMatch::parse(
        headers
            .get_all(header::IF_MATCH)
            .iter()
            .map(HeaderValue::as_bytes),
    )?;
    let item = store.update_item(id.parse()?, &if_match, &update).await?;
    Ok(([(header::ETAG, item.etag())], Json(item)))
}
