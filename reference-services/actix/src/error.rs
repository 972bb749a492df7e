//! How a failure becomes a response.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, ResponseError};
use contract::{ErrorBody, Failure, header};
use std::fmt;

/// Anything that keeps a handler from granting a request.
#[derive(Debug)]
pub(crate) struct ApiError(store::Error);

impl From<store::Error> for ApiError {
    fn from(error: store::Error) -> Self {
        Self(error)
    }
}

impl From<Failure> for ApiError {
    fn from(failure: Failure) -> Self {
        Self(failure.into())
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

impl ResponseError for ApiError {
    fn status_code(&self) -> StatusCode {
        StatusCode::from_u16(self.0.failure().status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    fn error_response(&self) -> HttpResponse {
        let failure = self.0.failure();
        let status = self.status_code();
        let body = ErrorBody::under(telemetry::request::id(), &failure);
        // A line for each request that is shed would cost more than serving it. They are counted.
        if status.is_server_error() && failure != Failure::Overloaded {
            tracing::error!(request_id = body.request_id, code = failure.code(), error = %self.0, "a request failed");
        }
        let mut response = HttpResponse::build(status);
        if let Some(seconds) = failure.retry_after() {
            response.insert_header((header::RETRY_AFTER, seconds.to_string()));
        }
        if let Some(challenge) = failure.www_authenticate() {
            response.insert_header((header::WWW_AUTHENTICATE, challenge));
        }
        response.json(body)
    }
}
