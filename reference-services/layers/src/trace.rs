//! What the log says of each request.

use crate::refusal::{route, status};
use axum::extract::MatchedPath;
use axum::http::{Request, Response};
use contract::request_id::RequestId;
use pin_project_lite::pin_project;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Instant;
use tower_layer::Layer;
use tower_service::Service;
use tracing::Instrument;
use tracing::instrument::Instrumented;

/// A span at `info` for each request, with its method, route and id, and a line in it with status and latency.
#[derive(Debug, Clone, Copy)]
pub struct TraceLayer;

impl<S> Layer<S> for TraceLayer {
    type Service = Traced<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Traced { inner }
    }
}

/// A service whose requests are logged.
#[derive(Debug, Clone)]
pub struct Traced<S> {
    inner: S,
}

impl<S, B, A> Service<Request<B>> for Traced<S>
where
    S: Service<Request<B>, Response = Response<A>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = TraceFuture<S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let span = telemetry::request::span(
            request.method().as_str(),
            route(&request).as_ref().map(MatchedPath::as_str),
            request.extensions().get::<RequestId>(),
        );
        TraceFuture {
            since: Instant::now(),
            future: self.inner.call(request).instrument(span),
        }
    }
}

pin_project! {
    /// The answer, once it has been logged.
    pub struct TraceFuture<F> {
        #[pin]
        future: Instrumented<F>,
        since: Instant,
    }
}

impl<F, A, E> Future for TraceFuture<F>
where
    F: Future<Output = Result<Response<A>, E>>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let mut this = self.project();
        let answer = ready!(this.future.as_mut().poll(context))?;
        telemetry::request::answered(this.future.span(), || status(&answer), *this.since);
        Poll::Ready(Ok(answer))
    }
}
