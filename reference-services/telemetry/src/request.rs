//! The request at hand: what it is called, and what the log says of it.

use contract::request_id::RequestId;
use std::time::Instant;
use tokio::task::futures::TaskLocalFuture;
use tracing::Span;
use tracing::field::Empty;

tokio::task_local! {
    static ID: RequestId;
}

/// A future that knows the id of its request.
pub type Under<F> = TaskLocalFuture<RequestId, F>;

/// Runs `future` so that [`id`] is `id` in it.
pub fn under<F: Future>(id: RequestId, future: F) -> Under<F> {
    ID.scope(id, future)
}

/// The id of the request that is served here, or a new one where requests are given none.
#[must_use]
pub fn id() -> RequestId {
    ID.try_get().unwrap_or_else(|_| RequestId::next())
}

/// Whether anybody reads the spans of requests: a route is not worth looking up otherwise.
#[must_use]
pub fn is_logged() -> bool {
    tracing::enabled!(tracing::Level::INFO)
}

/// The span of a request. `route` is the template of its path.
#[must_use]
pub fn span(method: &str, route: Option<&str>, id: Option<&RequestId>) -> Span {
    tracing::info_span!(
        "request",
        method,
        route = route.unwrap_or("unmatched"),
        request_id = id.map(RequestId::as_str),
        status = Empty,
        latency_us = Empty,
    )
}

/// Notes the answer to a request that came at `since` in its span, and writes the line that tells of both.
///
/// Neither the clock nor the status is asked where nobody reads the span.
pub fn answered(span: &Span, status: impl FnOnce() -> u16, since: Instant) {
    if span.is_disabled() {
        return;
    }
    let latency = u64::try_from(since.elapsed().as_micros()).unwrap_or(u64::MAX);
    span.record("status", status())
        .record("latency_us", latency);
    span.in_scope(|| tracing::info!("answered"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_id_is_known_within_and_nowhere_else() {
        let given = RequestId::accept([&b"given"[..]]);
        assert_eq!(under(given.clone(), async { id() }).await, given);
        assert_ne!(id(), given);
        assert_ne!(id(), id());
    }
}
