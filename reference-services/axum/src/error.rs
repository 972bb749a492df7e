//! How a failure becomes a response.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use contract::request_id::RequestId;
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

impl ApiError {
    /// What the client is told, and of which request. What it is not told is in the log.
    pub(crate) fn told(self) -> (Failure, RequestId) {
        let (failure, request_id) = (self.0.failure(), telemetry::request::id());
        // A line for each request that is shed, or that its client gives up, would cost more than serving it. They are
        // counted.
        let is_counted_alone = matches!(failure, Failure::Overloaded | Failure::DeadlineExceeded);
        if failure.status() >= 500 && !is_counted_alone {
            tracing::error!(%request_id, code = failure.code(), error = %self.0, "a request failed");
        }
        (failure, request_id)
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let (failure, request_id) = self.told();
        let status =
            StatusCode::from_u16(failure.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let body = ErrorBody::under(request_id, &failure);
        let retry_after = failure
            .retry_after()
            .map(|seconds| [(header::RETRY_AFTER, seconds.to_string())]);
        let authenticate = failure
            .www_authenticate()
            .map(|challenge| [(header::WWW_AUTHENTICATE, challenge)]);
        (status, retry_after, authenticate, Json(body)).into_response()
    }
}
