//! Which handler answers which path and method.

use crate::error::ApiError;
use crate::{accounts, greetings, health, items, transfers};
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::{get, post};
use contract::{Failure, limit, path};
use store::Store;

pub(crate) fn router(store: Store) -> Router {
    Router::new()
        .route(path::LIVEZ, get(health::live))
        .route(path::READYZ, get(health::ready))
        .route(path::PLAINTEXT, get(greetings::plaintext))
        .route(path::JSON, get(greetings::json))
        .route(path::ACCOUNT, get(accounts::read))
        .route(path::ITEMS, get(items::list))
        .route(path::ITEM, get(items::read).put(items::update))
        .route(path::TRANSFERS, post(transfers::create))
        .route(path::TRANSFER, get(transfers::read))
        .fallback(async || ApiError::from(Failure::PathNotFound))
        .method_not_allowed_fallback(async || ApiError::from(Failure::MethodNotAllowed))
        .layer(DefaultBodyLimit::max(limit::BODY_BYTES))
        .with_state(store)
}
