//! The end of patience.

use crate::refusal::{Render, refuse};
use axum::body::Body;
use axum::http::{Request, Response};
use contract::Failure;
use pin_project_lite::pin_project;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::time::{Sleep, sleep};
use tower_layer::Layer;
use tower_service::Service;

/// Breaks off a request that has no answer after a while ([`Failure::TimedOut`]), or after what its client of gRPC waits if
/// that is less ([`Failure::DeadlineExceeded`]).
#[derive(Debug, Clone)]
pub struct TimeoutLayer {
    limit: Duration,
    render: Render,
}

impl TimeoutLayer {
    /// Waits for an answer for as long as `limit`, and tells of its end in the words of `render`.
    pub const fn new(limit: Duration, render: Render) -> Self {
        Self { limit, render }
    }
}

impl<S> Layer<S> for TimeoutLayer {
    type Service = Timed<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Timed {
            inner,
            layer: self.clone(),
        }
    }
}

/// A service whose requests take no longer than they may.
#[derive(Debug, Clone)]
pub struct Timed<S> {
    inner: S,
    layer: TimeoutLayer,
}

impl<S, B> Service<Request<B>> for Timed<S>
where
    S: Service<Request<B>, Response = Response<Body>>,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = TimeoutFuture<S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let grpc = proto::is_grpc(&request);
        let patience = grpc.then(|| proto::timeout(request.headers())).flatten();
        let (limit, failure) = match patience {
            Some(patience) if patience < self.layer.limit => (patience, Failure::DeadlineExceeded),
            _ => (self.layer.limit, Failure::TimedOut),
        };
        TimeoutFuture {
            future: Some(self.inner.call(request)),
            end: sleep(limit),
            failure,
            grpc,
            render: self.layer.render,
        }
    }
}

pin_project! {
    /// The answer, or the end of patience.
    pub struct TimeoutFuture<F> {
        // Dropped before its client hears that it was, so that its place is free then.
        #[pin]
        future: Option<F>,
        #[pin]
        end: Sleep,
        failure: Failure,
        grpc: bool,
        render: Render,
    }
}

impl<F, E> Future for TimeoutFuture<F>
where
    F: Future<Output = Result<Response<Body>, E>>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let mut this = self.project();
        if let Some(future) = this.future.as_mut().as_pin_mut()
            && let Poll::Ready(answer) = future.poll(context)
        {
            return Poll::Ready(answer);
        }
        ready!(this.end.poll(context));
        this.future.set(None);
        Poll::Ready(Ok(refuse(this.failure, *this.grpc, *this.render)))
    }
}
