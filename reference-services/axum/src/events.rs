//! Rows 10 and 11: events.

use crate::error::ApiError;
use crate::extract::{Body, Query};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use contract::event::{Accepted, Ack, BatchQuery, NewEvents};
use store::{EventQueue, Store};

pub(crate) async fn append(
    State(store): State<Store>,
    Body(events): Body<NewEvents>,
) -> Result<(StatusCode, Json<Accepted>), ApiError> {
    store.append_events(&events).await?;
    Ok((StatusCode::ACCEPTED, Json(events.accepted())))
}

pub(crate) async fn batch(
    State(queue): State<EventQueue>,
    Query(BatchQuery { ack }): Query<BatchQuery>,
    Body(events): Body<NewEvents>,
) -> Result<(StatusCode, Json<Accepted>), ApiError> {
    let accepted = events.accepted();
    queue.push(events, ack).await?;
    let status = match ack {
        Ack::Durable => StatusCode::CREATED,
        Ack::Queued => StatusCode::ACCEPTED,
    };
    Ok((status, Json(accepted)))
}
