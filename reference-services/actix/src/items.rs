//! Rows 5 to 7: items.

use crate::error::ApiError;
use actix_web::http::header::HeaderValue;
use actix_web::web::{Data, Json, Path, Query};
use actix_web::{HttpRequest, HttpResponse};
use contract::header;
use contract::item::{IfMatch, ItemPage, ItemUpdate, Items};
use store::Store;

pub(crate) async fn list(
    store: Data<Store>,
    page: Query<ItemPage>,
) -> Result<Json<Items>, ApiError> {
    Ok(Json(store.items(&page).await?))
}

pub(crate) async fn read(store: Data<Store>, id: Path<String>) -> Result<HttpResponse, ApiError> {
    let found = store.item(id.parse()?).await?;
    Ok(HttpResponse::Ok()
        .insert_header((header::X_CACHE, found.cache.as_str()))
        .insert_header((header::ETAG, found.item.etag()))
        .json(found.item))
}

pub(crate) async fn update(
    store: Data<Store>,
    id: Path<String>,
    request: HttpRequest,
    update: Json<ItemUpdate>,
) -> Result<HttpResponse, ApiError> {
    let if_match = IfMatch::parse(
        request
            .headers()
            .get_all(header::IF_MATCH)
            .map(HeaderValue::as_bytes),
    )?;
    let item = store.update_item(id.parse()?, &if_match, &update).await?;
    Ok(HttpResponse::Ok()
        .insert_header((header::ETAG, item.etag()))
        .json(item))
}
