//! How a layer says no.

use axum::body::Body;
use axum::extract::MatchedPath;
use axum::http::{Request, Response};
use contract::Failure;
use telemetry::Refused;

/// How a service tells a failure, in the language of gRPC or in that of REST.
pub type Render = fn(&Failure, grpc: bool) -> Response<Body>;

/// The answer to a request that was not granted, in the language of its client. In gRPC that is 200, no body, and the status
/// among the headers: a bare 401 or 429 would reach its client as an unknown error.
pub(crate) fn refuse(failure: &Failure, grpc: bool, render: Render) -> Response<Body> {
    let mut response = render(failure, grpc);
    if let Some(refused) = Refused::of(failure) {
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
    proto::http_status(answer.extensions()).unwrap_or(answer.status().as_u16())
}
