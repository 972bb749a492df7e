//! Row 1: the probes.

use crate::error::ApiError;
use actix_web::web::{Data, Json};
use contract::greeting::Probe;
use store::Store;

pub(crate) async fn live() -> Json<Probe> {
    Json(Probe::ALIVE)
}

pub(crate) async fn ready(store: Data<Store>) -> Result<Json<Probe>, ApiError> {
    store.ready().await?;
    Ok(Json(Probe::READY))
}
