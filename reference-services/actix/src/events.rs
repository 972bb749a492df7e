//! Rows 10 and 11: events.

use crate::error::ApiError;
use actix_web::web::{Data, Json, Query};
use actix_web::{HttpRequest, HttpResponse};
use contract::event::{Ack, BatchQuery, NewEvents};
use store::{EventQueue, Store};

pub(crate) async fn append(
    store: Data<Store>,
    events: Json<NewEvents>,
) -> Result<HttpResponse, ApiError> {
    store.append_events(&events).await?;
    Ok(HttpResponse::Accepted().json(events.accepted()))
}

pub(crate) async fn batch(
    queue: Data<EventQueue>,
    request: HttpRequest,
    Json(events): Json<NewEvents>,
) -> Result<HttpResponse, ApiError> {
    // Not by an extractor of its own, which would refuse the request with its body unread, and so end the connection.
    let query = Query::<BatchQuery>::from_query(request.query_string())?;
    let accepted = events.accepted();
    queue.push(events, query.ack).await?;
    let mut response = match query.ack {
        Ack::Durable => HttpResponse::Created(),
        Ack::Queued => HttpResponse::Accepted(),
    };
    Ok(response.json(accepted))
}
