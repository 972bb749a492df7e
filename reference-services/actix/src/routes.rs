//! Which handler answers which path and method.

use crate::error::ApiError;
use crate::{
    accounts, events, extract, gateway, greetings, health, items, middleware, sessions, transfers,
};
use actix_web::http::header::{ALLOW, HeaderValue};
use actix_web::middleware::from_fn;
use actix_web::web::{ServiceConfig, get, post, put, resource, to};
use actix_web::{Resource, ResponseError};
use contract::{Failure, limit, path};

pub(crate) fn configure(config: &mut ServiceConfig) {
    config
        .service(only("GET", path::LIVEZ).route(get().to(health::live)))
        .service(only("GET", path::READYZ).route(get().to(health::ready)))
        .service(only("GET", path::PLAINTEXT).route(get().to(greetings::plaintext)))
        .service(only("GET", path::JSON).route(get().to(greetings::json)))
        // Before the path with a parameter: the first that matches answers.
        .service(only("GET", path::RANDOM_ACCOUNTS).route(get().to(accounts::random)))
        .service(only("GET", path::ACCOUNT).route(get().to(accounts::read)))
        .service(only("GET", path::ITEMS).route(get().to(items::list)))
        .service(
            only("GET,PUT", path::ITEM)
                .route(get().to(items::read))
                .route(put().to(items::update)),
        )
        .service(only("POST", path::TRANSFERS).route(post().to(transfers::create)))
        .service(only("GET", path::TRANSFER).route(get().to(transfers::read)))
        .service(
            only("POST", path::EVENTS)
                .app_data(extract::json(limit::EVENTS_BODY_BYTES))
                .route(post().to(events::append)),
        )
        .service(
            only("POST", path::EVENTS_BATCH)
                .app_data(extract::json(limit::EVENTS_BODY_BYTES))
                .route(post().to(events::batch)),
        )
        .service(
            resource(path::GATEWAY_ITEM)
                .wrap(from_fn(middleware::guard))
                .to(gateway::proxy),
        )
        .service(only("POST", path::SESSIONS).route(post().to(sessions::open)))
        .default_service(to(async || {
            ApiError::from(Failure::PathNotFound).error_response()
        }));
}

/// The resource at `path`, which answers any method beside its routes with a 405 that names those in `allow`.
fn only(allow: &'static str, path: &str) -> Resource {
    resource(path).default_service(to(move || async move {
        let mut response = ApiError::from(Failure::MethodNotAllowed).error_response();
        response
            .headers_mut()
            .insert(ALLOW, HeaderValue::from_static(allow));
        response
    }))
}
