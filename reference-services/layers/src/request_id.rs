//! The name of a request.

use axum::http::{HeaderName, HeaderValue, Request, Response};
use contract::header;
use contract::request_id::RequestId;
use pin_project_lite::pin_project;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use telemetry::request::{self, Under};
use tower_layer::Layer;
use tower_service::Service;

const X_REQUEST_ID: HeaderName = HeaderName::from_static(header::X_REQUEST_ID);

/// Takes over a valid `x-request-id`, or makes one. The answer carries it, error bodies and log lines name it, and layers
/// within find it among the request's extensions.
#[derive(Debug, Clone, Copy)]
pub struct RequestIdLayer;

impl<S> Layer<S> for RequestIdLayer {
    type Service = Identified<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Identified { inner }
    }
}

/// A service whose requests have names.
#[derive(Debug, Clone)]
pub struct Identified<S> {
    inner: S,
}

impl<S, B, A> Service<Request<B>> for Identified<S>
where
    S: Service<Request<B>, Response = Response<A>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = RequestIdFuture<S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let given = request.headers().get_all(X_REQUEST_ID);
        let id = RequestId::accept(given.iter().map(HeaderValue::as_bytes));
        request.extensions_mut().insert(id.clone());
        RequestIdFuture {
            future: request::under(id, self.inner.call(request)),
        }
    }
}

pin_project! {
    /// The answer, with the name of its request.
    pub struct RequestIdFuture<F> {
        #[pin]
        future: Under<F>,
    }
}

impl<F, A, E> Future for RequestIdFuture<F>
where
    F: Future<Output = Result<Response<A>, E>>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let mut future = self.project().future;
        let mut answer = ready!(future.as_mut().poll(context))?;
        if let Some(id) = future.take_value()
            && let Ok(value) = HeaderValue::try_from(id.into_string())
        {
            answer.headers_mut().insert(X_REQUEST_ID, value);
        }
        Poll::Ready(Ok(answer))
    }
}
