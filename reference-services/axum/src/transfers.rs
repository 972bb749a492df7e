//! Rows 8 and 9: transfers.

use crate::error::ApiError;
use crate::extract::{Body, Path};
use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::IntoResponse;
use contract::header;
use contract::transfer::{IdempotencyKey, NewTransfer, Transfer};
use store::Store;

pub(crate) async fn create(
    State(store): State<Store>,
    headers: HeaderMap,
    Body(order): Body<NewTransfer>,
) -> Result<impl IntoResponse, ApiError> {
    let keys = headers.get_all(header::IDEMPOTENCY_KEY);
    let key = IdempotencyKey::parse(keys.iter().map(HeaderValue::as_bytes))?;
    let booking = store.transfer(&key, &order).await?;
    let location = [(header::LOCATION, booking.transfer.location())];
    let replayed = booking
        .replayed
        .then_some([(header::IDEMPOTENCY_REPLAYED, "true")]);
    Ok((
        StatusCode::CREATED,
        location,
        replayed,
        Json(booking.transfer),
    ))
}

pub(crate) async fn read(
    State(store): State<Store>,
    Path(id): Path,
) -> Result<Json<Transfer>, ApiError> {
    Ok(Json(store.booked_transfer(id.parse()?).await?))
}
