//! What every layer has in common that looks at a request and may refuse it.

use crate::refusal::{Render, refuse};
use axum::body::Body;
use axum::http::{Request, Response};
use contract::Failure;
use pin_project_lite::pin_project;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tower_layer::Layer;
use tower_service::Service;

/// Decides on a request before it is served.
pub trait Check: Clone {
    /// What is kept until the request has been answered: a place among those in flight, or nothing.
    type Pass;

    /// Lets the request through, changed if need be.
    ///
    /// # Errors
    /// What the client is told instead of an answer.
    fn check(&self, request: &mut Request<Body>) -> Result<Self::Pass, Failure>;
}

/// The layer of a [`Check`].
#[derive(Debug, Clone)]
pub struct Gate<C> {
    check: C,
    render: Render,
}

impl<C> Gate<C> {
    /// Refuses what `check` refuses, in the words of `render`.
    pub const fn new(check: C, render: Render) -> Self {
        Self { check, render }
    }
}

impl<S, C: Clone> Layer<S> for Gate<C> {
    type Service = Gated<S, C>;

    fn layer(&self, inner: S) -> Self::Service {
        Gated {
            inner,
            gate: self.clone(),
        }
    }
}

/// A service behind a [`Gate`].
#[derive(Debug, Clone)]
pub struct Gated<S, C> {
    inner: S,
    gate: Gate<C>,
}

impl<S, C> Service<Request<Body>> for Gated<S, C>
where
    S: Service<Request<Body>, Response = Response<Body>>,
    C: Check,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = GateFuture<S::Future, C::Pass>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let state = match self.gate.check.check(&mut request) {
            Ok(pass) => State::Passed {
                future: self.inner.call(request),
                pass: Some(pass),
            },
            Err(failure) => State::Refused {
                failure: Some(failure),
                grpc: proto::is_grpc(&request),
                render: self.gate.render,
            },
        };
        GateFuture { state }
    }
}

pin_project! {
    /// The answer of a service behind a [`Gate`], or the gate's.
    pub struct GateFuture<F, P> {
        #[pin]
        state: State<F, P>,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State<F, P> {
        Passed { #[pin] future: F, pass: Option<P> },
        // Rendered when it is polled, where the id of the request is known.
        Refused { failure: Option<Failure>, grpc: bool, render: Render },
    }
}

impl<F, P, E> Future for GateFuture<F, P>
where
    F: Future<Output = Result<Response<Body>, E>>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        match self.project().state.project() {
            StateProjection::Passed { future, pass } => {
                let answer = ready!(future.poll(context));
                drop(pass.take());
                Poll::Ready(answer)
            }
            StateProjection::Refused {
                failure,
                grpc,
                render,
            } => {
                let failure = failure.take().unwrap_or(Failure::Internal);
                Poll::Ready(Ok(refuse(&failure, *grpc, *render)))
            }
        }
    }
}
