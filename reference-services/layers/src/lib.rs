//! Tower layers of the reference services, for Axum and for gRPC on the same port. What they decide is [`policy`]'s; what a
//! refused client reads is the service's own, which hands each layer a [`Render`].
//!
//! | layer, outermost first | does |
//! |---|---|
//! | [`MetricsLayer`] | counts and times every request |
//! | [`RequestIdLayer`] | takes over or makes an `x-request-id`, for the answer and all that is said of the request |
//! | [`TraceLayer`] | a span for each request, and a line with its status and latency |
//! | [`TimeoutLayer`] | breaks off what takes too long |
//! | [`Gate`] with [`Shed`] | refuses what is too much for the service |
//! | [`Gate`] with [`Authenticate`] | asks who is calling |
//! | [`Gate`] with [`Limit`] | refuses what is too much of one caller |
//! | [`Gate`] with [`BodyLimit`] | refuses what is too long |
//!
//! The same layers stand before HTTP and gRPC. Each decides without knowing which it is, and its refusal is told in the
//! language of the client, by the service itself ([`Render`]).

mod checks;
mod gate;
mod metrics;
mod refusal;
mod request_id;
mod timeout;
mod trace;

pub use checks::{Authenticate, BodyLimit, Limit, Shed};
pub use gate::{Check, Gate, GateFuture, Gated};
pub use metrics::{Counted, MetricsFuture, MetricsLayer};
pub use refusal::Render;
pub use request_id::{Identified, RequestIdFuture, RequestIdLayer};
pub use timeout::{Timed, TimeoutFuture, TimeoutLayer};
pub use trace::{TraceFuture, TraceLayer, Traced};

#[cfg(test)]
mod tests;
