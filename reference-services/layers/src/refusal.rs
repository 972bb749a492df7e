//! How a layer says no.

use axum::body::Body;
use axum::extract::MatchedPath;
use axum::http::{Request, Response};
use contract::Failure;
use telemetry::Refused;

/// How a service answers a failure over plain HTTP.
pub type Render = fn(&Failure) -> Response<Body>;

/// The answer to a request that was not granted, in the language of its client: gRPC's is 200, no body, and the status
/// among the headers, or that of `render`. A bare 401 or 429 would reach a client of gRPC as an unknown error.
pub fn refuse(failure: &Failure, grpc: bool, render: Render) -> Response<Body> {
    let refused = Refused::of(failure);
    let mut response = if grpc {
        proto::status(failure, telemetry::request::id()).into_http()
    } else {
        render(failure)
    };
    if let Some(refused) = refused {
        response.extensions_mut().insert(refused);
    }
    response
}

/// The template of the path that a request matched, as far as the router is outside.
pub(crate) fn route<B>(request: &Request<B>) -> Option<MatchedPath> {
    request.extensions().get::<MatchedPath>().cloned()
}

/// The status of an answer, as metrics and the log know it: an answer of gRPC is 200 whatever became of it.
pub(crate) fn status<A>(answer: &Response<A>) -> u16 {
    proto::http_status(answer.headers()).unwrap_or(answer.status().as_u16())
}
