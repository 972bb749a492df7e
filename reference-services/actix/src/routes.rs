//! Which handler answers which path and method.

use crate::error::ApiError;
use crate::{accounts, greetings, health, items, transfers};
use actix_web::http::header::{ALLOW, HeaderValue};
use actix_web::web::{ServiceConfig, get, post, put, resource, to};
use actix_web::{Resource, ResponseError};
use contract::{Failure, path};

pub(crate) fn configure(config: &mut ServiceConfig) {
    config
        .service(only("GET", path::LIVEZ).route(get().to(health::live)))
        .service(only("GET", path::READYZ).route(get().to(health::ready)))
        .service(only("GET", path::PLAINTEXT).route(get().to(greetings::plaintext)))
        .service(only("GET", path::JSON).route(get().to(greetings::json)))
        .service(only("GET", path::ACCOUNT).route(get().to(accounts::read)))
        .service(only("GET", path::ITEMS).route(get().to(items::list)))
        .service(
            only("GET,PUT", path::ITEM)
                .route(get().to(items::read))
                .route(put().to(items::update)),
        )
        .service(only("POST", path::TRANSFERS).route(post().to(transfers::create)))
        .service(only("GET", path::TRANSFER).route(get().to(transfers::read)))
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
