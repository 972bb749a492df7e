//! Row 12: the gateway.

use crate::error::ApiError;
use axum::body::{Body, Bytes};
use axum::extract::{FromRequest, Request, State};
use axum::http::header::{CONNECTION, CONTENT_LENGTH, VIA};
use axum::http::{HeaderMap, HeaderValue, Method, request, response};
use axum::response::Response;
use contract::forward::{self, Forwarded};
use contract::{Failure, limit};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use policy::Upstream;
use std::fmt::Display;
use std::mem;
use std::sync::Arc;
use tokio::time::timeout;

/// The way to the upstream. Cheap to clone; clones share the connections.
#[derive(Debug, Clone)]
pub(crate) struct Gateway {
    client: Client<HttpConnector, Full<Bytes>>,
    upstream: Arc<Upstream>,
}

impl Gateway {
    /// Connects when it is first used.
    pub(crate) fn new(upstream: Upstream) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(limit::UPSTREAM_IDLE)
            .build(connector);
        Self {
            client,
            upstream: Arc::new(upstream),
        }
    }

    /// One exchange with the upstream, whose answer is read to its end.
    async fn exchange(&self, request: Request<Full<Bytes>>) -> Result<Response, Failure> {
        let is_head = request.method() == Method::HEAD;
        let answer = self.client.request(request).await.map_err(bad_gateway)?;
        let (parts, body) = answer.into_parts();
        let body = Limited::new(body, limit::UPSTREAM_BODY_BYTES);
        let body = body.collect().await.map_err(bad_gateway)?.to_bytes();
        Ok(passed_back(&parts, body, is_head))
    }
}

pub(crate) async fn proxy(
    State(gateway): State<Gateway>,
    mut request: Request,
) -> Result<Response, ApiError> {
    let target = request
        .uri()
        .path_and_query()
        .map_or("/", |target| target.as_str());
    let mut passed_on = request::Builder::new()
        .method(request.method())
        .uri(gateway.upstream.url(target)?)
        .body(())
        .map_err(bad_gateway)?;
    let headers = mem::take(request.headers_mut());
    let body = Bytes::from_request(request, &()).await?;
    let forwarded = forwarded(&headers);
    for (name, value) in &headers {
        if forwarded.request(name.as_str()) {
            passed_on.headers_mut().append(name.clone(), value.clone());
        }
    }
    let via = HeaderValue::from_static(forward::VIA);
    passed_on.headers_mut().append(VIA, via);
    let passed_on = passed_on.map(|()| Full::new(body));
    let exchange = timeout(gateway.upstream.timeout, gateway.exchange(passed_on)).await;
    Ok(exchange.map_err(|_| Failure::GatewayTimeout)??)
}

/// The upstream's answer, as the client gets it.
fn passed_back(parts: &response::Parts, body: Bytes, is_head: bool) -> Response {
    let mut answer = Response::new(Body::from(body));
    *answer.status_mut() = parts.status;
    let forwarded = forwarded(&parts.headers);
    for (name, value) in &parts.headers {
        // An answer to HEAD tells the length of a body that it does not have.
        let is_length = is_head && *name == CONTENT_LENGTH;
        if forwarded.response(name.as_str()) || is_length {
            answer.headers_mut().append(name.clone(), value.clone());
        }
    }
    answer
}

fn forwarded(headers: &HeaderMap) -> Forwarded {
    let connection = headers.get_all(CONNECTION);
    Forwarded::of(connection.iter().map(HeaderValue::as_bytes))
}

fn bad_gateway(error: impl Display) -> Failure {
    tracing::debug!(%error, "the upstream did not answer");
    Failure::BadGateway
}
