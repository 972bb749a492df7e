//! Which handler answers which path and method.

use crate::error::ApiError;
use crate::gateway::Gateway;
use crate::{accounts, events, gateway, greetings, health, items, middleware, sessions, transfers};
use axum::Router;
use axum::extract::{DefaultBodyLimit, FromRef, Request};
use axum::response::Response;
use axum::routing::{any, get, post};
use contract::{Failure, limit, path};
use launch::Layers;
use policy::Policy;
use store::{EventQueue, Store};

/// What handlers ask for by the type of its parts.
#[derive(Debug, Clone, FromRef)]
pub(crate) struct App {
    pub(crate) store: Store,
    pub(crate) queue: EventQueue,
    pub(crate) policy: Policy,
    pub(crate) gateway: Gateway,
}

/// The routes of `app`, and beside them those of `rpc`; where `layers` leave it to the gateway, that one asks who is calling
/// itself.
pub(crate) fn router(app: App, rpc: Router<App>, layers: Layers) -> Router {
    let larger = DefaultBodyLimit::max(limit::EVENTS_BODY_BYTES);
    let proxy = middleware::guard(any(gateway::proxy), layers, &app.policy);
    Router::new()
        .route(path::LIVEZ, get(health::live))
        .route(path::READYZ, get(health::ready))
        .route(path::PLAINTEXT, get(greetings::plaintext))
        .route(path::JSON, get(greetings::json))
        .route(path::ACCOUNT, get(accounts::read))
        .route(path::RANDOM_ACCOUNTS, get(accounts::random))
        .route(path::ITEMS, get(items::list))
        .route(path::ITEM, get(items::read).put(items::update))
        .route(path::TRANSFERS, post(transfers::create))
        .route(path::TRANSFER, get(transfers::read))
        .route(path::EVENTS, post(events::append).layer(larger))
        .route(path::EVENTS_BATCH, post(events::batch).layer(larger))
        .route(path::GATEWAY_ITEM, proxy)
        .route(path::SESSIONS, post(sessions::open))
        .merge(rpc)
        .fallback(unknown)
        .method_not_allowed_fallback(async || ApiError::from(Failure::MethodNotAllowed))
        .layer(DefaultBodyLimit::max(limit::BODY_BYTES))
        .with_state(app)
}

/// A path that is not there, in the language of whoever asked for it.
async fn unknown(request: Request) -> Response {
    middleware::refuse(&Failure::PathNotFound, proto::is_grpc(&request))
}
