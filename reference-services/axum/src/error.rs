//! How a failure becomes a response.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use contract::{ErrorBody, Failure, header};

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

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let failure = self.0.failure();
        let status =
            StatusCode::from_u16(failure.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let body = ErrorBody::under(telemetry::request::id(), &failure);
        // A line for each request that is shed would cost more than serving it. They are counted.
        if status.is_server_error() && failure != Failure::Overloaded {
            tracing::error!(request_id = body.request_id, code = failure.code(), error = %self.0, "a request failed");
        }
        let retry_after = failure
            .retry_after()
            .map(|seconds| [(header::RETRY_AFTER, seconds.to_string())]);
        let authenticate = failure
            .www_authenticate()
            .map(|challenge| [(header::WWW_AUTHENTICATE, challenge)]);
        (status, retry_after, authenticate, Json(body)).into_response()
    }
}
