//! How a layer says no.

use axum::body::Body;
use axum::extract::MatchedPath;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, HeaderValue, Request, Response};
use contract::Failure;
use std::fmt::Write;
use telemetry::Refused;

/// How a service answers a failure over plain HTTP.
pub type Render = fn(&Failure) -> Response<Body>;

/// The answer to a request that was not granted, in the protocol of its client.
pub(crate) fn refuse(failure: &Failure, grpc: bool, render: Render) -> Response<Body> {
    let refused = Refused::of(failure);
    let mut response = if grpc {
        trailers_only(failure)
    } else {
        render(failure)
    };
    if let Some(refused) = refused {
        response.extensions_mut().insert(refused);
    }
    response
}

/// Whether a client speaks gRPC: `application/grpc`, `application/grpc+proto` and so on.
pub(crate) fn is_grpc(headers: &HeaderMap) -> bool {
    headers
        .get(CONTENT_TYPE)
        .is_some_and(|value| value.as_bytes().starts_with(b"application/grpc"))
}

/// The template of the path that a request matched, as far as the router is outside.
pub(crate) fn route<B>(request: &Request<B>) -> Option<MatchedPath> {
    request.extensions().get::<MatchedPath>().cloned()
}

/// The status of gRPC that says the same (<https://grpc.github.io/grpc/core/md_doc_statuscodes.html>).
#[must_use]
pub fn grpc_status(failure: &Failure) -> u8 {
    match (failure, failure.status()) {
        (Failure::TimedOut | Failure::GatewayTimeout, _) => 4, // DEADLINE_EXCEEDED
        (Failure::KeyInFlight | Failure::TooManyConflicts, _) => 10, // ABORTED
        (_, 400 | 415) => 3,                                   // INVALID_ARGUMENT
        (_, 401) => 16,                                        // UNAUTHENTICATED
        (_, 403) => 7,                                         // PERMISSION_DENIED
        (_, 404) => 5,                                         // NOT_FOUND
        (_, 405) => 12,                                        // UNIMPLEMENTED
        (_, 409 | 412 | 422 | 428) => 9,                       // FAILED_PRECONDITION
        (_, 413 | 429) => 8,                                   // RESOURCE_EXHAUSTED
        (_, 502 | 503) => 14,                                  // UNAVAILABLE
        _ => 13,                                               // INTERNAL
    }
}

/// An answer of gRPC that is nothing but its end
/// (<https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md#responses>).
fn trailers_only(failure: &Failure) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    headers.insert("grpc-status", u16::from(grpc_status(failure)).into());
    if let Ok(message) = HeaderValue::try_from(percent_encoded(&failure.to_string())) {
        headers.insert("grpc-message", message);
    }
    response
}

/// As gRPC wants its messages: everything but visible ASCII, and the percent sign, in percent and two digits.
fn percent_encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if matches!(byte, b' '..=b'~') && byte != b'%' {
            encoded.push(byte.into());
        } else {
            // A string takes whatever is written to it.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_encoded_and_read_as_they_are_where_they_can() {
        assert_eq!(percent_encoded("an item, 5%: ä"), "an item, 5%25: %C3%A4");
    }
}
