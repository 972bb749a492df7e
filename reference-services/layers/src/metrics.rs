//! Counts and times, for [`telemetry::Metrics`].

use crate::refusal::{route, status};
use axum::extract::MatchedPath;
use axum::http::{HeaderName, HeaderValue, Method, Request, Response};
use contract::header;
use pin_project_lite::pin_project;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use telemetry::{Answer, InFlight, Metrics, Refused};
use tower_layer::Layer;
use tower_service::Service;

const X_CACHE: HeaderName = HeaderName::from_static(header::X_CACHE);

/// Counts and times every request, whatever other layers make of it.
#[derive(Debug, Clone)]
pub struct MetricsLayer(Metrics);

impl MetricsLayer {
    /// Counts in `metrics`.
    #[must_use]
    pub const fn new(metrics: Metrics) -> Self {
        Self(metrics)
    }
}

impl<S> Layer<S> for MetricsLayer {
    type Service = Counted<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Counted {
            inner,
            metrics: self.0.clone(),
        }
    }
}

/// A service whose requests are counted.
#[derive(Debug, Clone)]
pub struct Counted<S> {
    inner: S,
    metrics: Metrics,
}

impl<S, B, A> Service<Request<B>> for Counted<S>
where
    S: Service<Request<B>, Response = Response<A>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = MetricsFuture<S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        MetricsFuture {
            in_flight: Some(self.metrics.begin()),
            method: request.method().clone(),
            route: route(&request),
            future: self.inner.call(request),
        }
    }
}

pin_project! {
    /// The answer, once it has been counted.
    pub struct MetricsFuture<F> {
        #[pin]
        future: F,
        in_flight: Option<InFlight>,
        method: Method,
        route: Option<MatchedPath>,
    }
}

impl<F, A, E> Future for MetricsFuture<F>
where
    F: Future<Output = Result<Response<A>, E>>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let answer = ready!(this.future.poll(context))?;
        if let Some(in_flight) = this.in_flight.take() {
            in_flight.end(&Answer {
                route: this.route.as_ref().map(MatchedPath::as_str),
                method: this.method.as_str(),
                status: status(&answer),
                cache: answer.headers().get(X_CACHE).map(HeaderValue::as_bytes),
                refused: answer.extensions().get::<Refused>().copied(),
            });
        }
        Poll::Ready(Ok(answer))
    }
}
