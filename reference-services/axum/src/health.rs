//! Row 1: the probes.

use crate::error::ApiError;
use axum::Json;
use axum::extract::State;
use contract::greeting::Probe;
use store::Store;

pub(crate) async fn live() -> Json<Probe> {
    Json(Probe::ALIVE)
}

pub(crate) async fn ready(State(store): State<Store>) -> Result<Json<Probe>, ApiError> {
    store.ready().await?;
    Ok(Json(Probe::READY))
}
