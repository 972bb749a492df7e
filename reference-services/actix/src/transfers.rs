//! Rows 8 and 9: transfers.

use crate::error::ApiError;
use actix_web::http::header::HeaderValue;
use actix_web::web::{Data, Json, Path};
use actix_web::{HttpRequest, HttpResponse};
use contract::header;
use contract::transfer::{IdempotencyKey, NewTransfer, Transfer};
use store::Store;

pub(crate) async fn create(
    store: Data<Store>,
    request: HttpRequest,
    order: Json<NewTransfer>,
) -> Result<HttpResponse, ApiError> {
    let keys = request.headers().get_all(header::IDEMPOTENCY_KEY);
    let key = IdempotencyKey::parse(keys.map(HeaderValue::as_bytes))?;
    let booking = store.transfer(&key, &order).await?;
    let mut response = HttpResponse::Created();
    response.insert_header((header::LOCATION, booking.transfer.location()));
    if booking.replayed {
        response.insert_header((header::IDEMPOTENCY_REPLAYED, "true"));
    }
    Ok(response.json(booking.transfer))
}

pub(crate) async fn read(store: Data<Store>, id: Path<String>) -> Result<Json<Transfer>, ApiError> {
    Ok(Json(store.booked_transfer(id.parse()?).await?))
}
