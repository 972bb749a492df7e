//! Row 12: the gateway.

use crate::error::ApiError;
use actix_service::ServiceExt;
use actix_tls::connect::{self, Connection};
use actix_web::body::{BodySize, MessageBody};
use actix_web::http::header::{CONNECTION, CONTENT_LENGTH, HeaderMap, HeaderValue, VIA};
use actix_web::http::{Method, Uri};
use actix_web::web::{Bytes, Data};
use actix_web::{Error, HttpRequest, HttpResponse};
use awc::error::{ConnectError, SendRequestError};
use awc::{Client, ClientRequest, Connector};
use contract::forward::{self, Forwarded};
use contract::{Failure, limit};
use policy::Upstream;
use std::convert::Infallible;
use std::fmt::Display;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// A worker's way to the upstream. It connects when it is first used.
pub(crate) fn client() -> Client {
    let tcp = connect::Connector::default().service().map(undelayed);
    let connector = Connector::new()
        .connector(tcp)
        .limit(0)
        .conn_keep_alive(limit::UPSTREAM_IDLE)
        .conn_lifetime(limit::UPSTREAM_LIFETIME);
    // `proxy` has one time-out for the whole exchange, and passes on what it was given.
    Client::builder()
        .connector(connector)
        .disable_timeout()
        .disable_redirects()
        .no_default_headers()
        .finish()
}

/// A new connection, without the Nagle delay that awc leaves on.
fn undelayed(connection: Connection<Uri, TcpStream>) -> Connection<Uri, TcpStream> {
    if let Err(error) = connection.io_ref().set_nodelay(true) {
        tracing::debug!(%error, "a connection keeps its Nagle delay");
    }
    connection
}

pub(crate) async fn proxy(
    client: Data<Client>,
    upstream: Data<Upstream>,
    request: HttpRequest,
    body: Result<Bytes, Error>,
) -> Result<HttpResponse, ApiError> {
    let body = body.map_err(|error| ApiError::of_body(&error))?;
    let target = request
        .uri()
        .path_and_query()
        .map_or("/", |target| target.as_str());
    let mut passed_on = client.request(request.method().clone(), upstream.url(target)?);
    let forwarded = forwarded(request.headers());
    for (name, value) in request.headers() {
        if forwarded.request(name.as_str()) {
            passed_on.headers_mut().append(name.clone(), value.clone());
        }
    }
    let via = HeaderValue::from_static(forward::VIA);
    passed_on.headers_mut().append(VIA, via);
    let is_head = *request.method() == Method::HEAD;
    let exchange = timeout(upstream.timeout, exchange(passed_on, body, is_head)).await;
    Ok(exchange.map_err(|_| Failure::GatewayTimeout)??)
}

/// One exchange with the upstream, whose answer is read to its end.
async fn exchange(
    request: ClientRequest,
    body: Bytes,
    is_head: bool,
) -> Result<HttpResponse, Failure> {
    let sent = if body.is_empty() {
        request.send()
    } else {
        request.send_body(body)
    };
    let mut answer = sent.await.map_err(of_upstream)?;
    let body = answer.body().limit(limit::UPSTREAM_BODY_BYTES);
    let body = body.await.map_err(bad_gateway)?;
    let mut passed_back = HttpResponse::build(answer.status());
    let forwarded = forwarded(answer.headers());
    for (name, value) in answer.headers() {
        if forwarded.response(name.as_str()) {
            passed_back.append_header((name.clone(), value.clone()));
        }
    }
    // An answer to HEAD tells the length of a body that it does not have.
    let length = answer.headers().get(CONTENT_LENGTH).filter(|_| is_head);
    let length = length.and_then(|value| value.to_str().ok()?.parse().ok());
    Ok(match length {
        Some(length) => passed_back.body(Unsent(length)),
        None => passed_back.body(body),
    })
}

/// The body that an answer to HEAD does not have: a length in bytes, and nothing.
struct Unsent(u64);

impl MessageBody for Unsent {
    type Error = Infallible;

    fn size(&self) -> BodySize {
        BodySize::Sized(self.0)
    }

    fn poll_next(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Self::Error>>> {
        Poll::Ready(None)
    }
}

fn forwarded(headers: &HeaderMap) -> Forwarded {
    Forwarded::of(headers.get_all(CONNECTION).map(HeaderValue::as_bytes))
}

fn of_upstream(error: SendRequestError) -> Failure {
    match error {
        SendRequestError::Timeout | SendRequestError::Connect(ConnectError::Timeout) => {
            Failure::GatewayTimeout
        }
        other => bad_gateway(other),
    }
}

fn bad_gateway(error: impl Display) -> Failure {
    tracing::debug!(%error, "the upstream did not answer");
    Failure::BadGateway
}
