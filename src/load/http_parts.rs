//! A step's request as `hyper` takes it.

use http::header::{
    CONNECTION, CONTENT_LENGTH, COOKIE, HOST, HeaderName, HeaderValue, TE, TRANSFER_ENCODING,
    UPGRADE,
};
use http::uri::{PathAndQuery, Scheme};
use http::{Method, Request, Response, Uri};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};

use super::http1::response::Sink as _;

use super::kept::Keeper;
use crate::exchange::Outcome;
use crate::scenario::{Draw, RequestTemplate, Template, Unfilled};

/// The body of a request.
pub(super) type Body = Full<Bytes>;

/// What of one connection a message says to another, and HTTP/2 has no place for (RFC 9113, section 8.2.2). `te` may
/// only say `trailers` there, which we do not look at.
const OF_THE_CONNECTION: [HeaderName; 6] = [
    CONNECTION,
    TRANSFER_ENCODING,
    UPGRADE,
    TE,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
];

/// One step's requests.
#[derive(Debug)]
pub(super) struct Parts {
    request: RequestTemplate,
    authority: HeaderValue,
    scheme: Scheme,
    /// Whether the connection carries nothing after it.
    last: bool,
}

/// Why there is no request to send.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unfit {
    /// What was rendered is none.
    #[error("this cannot be sent: {0}")]
    Http(#[from] http::Error),
    /// It could not be rendered.
    #[error(transparent)]
    Unfilled(#[from] Unfilled),
}

impl Unfit {
    /// The outcome of its exchange.
    pub(super) fn outcome(&self) -> Outcome {
        match self {
            Self::Http(_) => Outcome::ProtocolError,
            Self::Unfilled(_) => Outcome::CaptureFailed,
        }
    }
}

impl Parts {
    /// Of `request` to `authority`, which it goes to unless it has a `host` of its own. `last` says that the connection
    /// carries nothing after it.
    pub(super) fn new(
        request: &RequestTemplate,
        authority: &HeaderValue,
        secure: bool,
        last: bool,
    ) -> Self {
        Self {
            request: request.clone(),
            authority: authority.clone(),
            scheme: if secure { Scheme::HTTPS } else { Scheme::HTTP },
            last,
        }
    }

    /// The request that `draw` names, for HTTP/2: `host` is its authority, and what concerns one connection is left out.
    ///
    /// # Errors
    /// When a slot was filled with what cannot stand there.
    pub(super) fn for_http2(&self, draw: &Draw<'_>) -> Result<Request<Body>, Unfit> {
        let mut request = Request::builder();
        let mut authority = self.authority.clone();
        for (name, value) in &self.request.headers {
            if *name == HOST {
                authority = header(value, draw)?;
            } else if !OF_THE_CONNECTION.contains(name) {
                request = request.header(name, header(value, draw)?);
            }
        }
        if let Some(cookies) = self.cookies(draw)? {
            request = request.header(COOKIE, cookies);
        }
        let uri = Uri::builder()
            .scheme(self.scheme.clone())
            .authority(authority.as_bytes())
            .path_and_query(self.path(draw)?);
        self.finish(request.uri(uri.build()?), draw)
    }

    /// The request that `draw` names, for HTTP/1.1.
    ///
    /// # Errors
    /// When a slot was filled with what cannot stand there.
    pub(super) fn for_http1(&self, draw: &Draw<'_>) -> Result<Request<Body>, Unfit> {
        let mut request = Request::builder().uri(Uri::from(self.path(draw)?));
        let headers = &self.request.headers;
        if !headers.iter().any(|(name, _)| *name == HOST) {
            request = request.header(HOST, &self.authority);
        }
        for (name, value) in headers {
            request = request.header(name, header(value, draw)?);
        }
        if let Some(cookies) = self.cookies(draw)? {
            request = request.header(COOKIE, cookies);
        }
        if self.last {
            request = request.header(CONNECTION, "close");
        }
        self.finish(request, draw)
    }

    fn cookies(&self, draw: &Draw<'_>) -> Result<Option<HeaderValue>, Unfit> {
        if !self.request.cookies || draw.beside.cookies.is_empty() {
            return Ok(None);
        }
        let value = HeaderValue::from_bytes(draw.beside.cookies).map_err(http::Error::from)?;
        Ok(Some(value))
    }

    fn path(&self, draw: &Draw<'_>) -> Result<PathAndQuery, Unfit> {
        let path = rendered(&self.request.path, draw)?;
        Ok(PathAndQuery::from_maybe_shared(path).map_err(http::Error::from)?)
    }

    fn finish(
        &self,
        mut request: http::request::Builder,
        draw: &Draw<'_>,
    ) -> Result<Request<Body>, Unfit> {
        let RequestTemplate { method, body, .. } = &self.request;
        let body = match body {
            Some(body) => Body::new(rendered(body, draw)?),
            None => Body::default(),
        };
        // A method that usually brings a body says that there is none (RFC 9110, section 8.6). `hyper` says how long one
        // is.
        if self.request.body.is_none()
            && [Method::POST, Method::PUT, Method::PATCH].contains(method)
        {
            request = request.header(CONTENT_LENGTH, 0);
        }
        Ok(request.method(method).body(body)?)
    }
}

fn header(value: &Template, draw: &Draw<'_>) -> Result<HeaderValue, Unfit> {
    Ok(HeaderValue::from_maybe_shared(rendered(value, draw)?).map_err(http::Error::from)?)
}

fn rendered(template: &Template, draw: &Draw<'_>) -> Result<Bytes, Unfilled> {
    let mut bytes = Vec::new();
    template.render(draw, &mut bytes)?;
    Ok(bytes.into())
}

/// The status of a response, when all of it has come, and what `keeper` keeps of it.
pub(super) async fn read_whole(
    response: impl Future<Output = hyper::Result<Response<Incoming>>>,
    mut keeper: Keeper,
) -> hyper::Result<(u16, Keeper)> {
    let mut response = response.await?;
    let status = response.status().as_u16();
    let fields = response.headers().iter();
    keeper.take_head(
        status,
        fields.map(|(name, value)| (name.as_str(), value.as_bytes())),
    );
    while let Some(frame) = response.frame().await {
        // That it was read lets the peer send more, whether or not it is kept.
        if let Some(data) = frame?.data_ref() {
            keeper.body(data);
        }
    }
    Ok((status, keeper))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::Scenario;

    fn parts(step: &str) -> Parts {
        let text = format!(
            "tailmark: 1\nflows: {{ f: {{ steps: [{step}] }} }}\nphases: [{{ name: p, rate: 1/s, for: 1s }}]\n"
        );
        let scenario = Scenario::parse("s.yaml", text.as_bytes()).unwrap();
        let request = &scenario.flows()[0].steps[0].request;
        Parts::new(request, &HeaderValue::from_static("h:1"), true, true)
    }

    fn shown(request: &Request<Body>) -> String {
        let headers = request.headers().iter();
        let headers: Vec<String> = headers
            .map(|(name, value)| format!(" {name}={}", value.to_str().unwrap()))
            .collect();
        format!("{} {}{}", request.method(), request.uri(), headers.concat())
    }

    #[test]
    fn a_request_is_translated_for_http2() {
        for (step, expected) in [
            ("get: '/a?b=${seq}'", "GET https://h:1/a?b=42"),
            (
                "{ get: /, headers: { Host: 'o${seq}', X-A: 'v${seq}', TE: gzip, keep-alive: '5' } }",
                "GET https://o42/ x-a=v42",
            ),
            (
                "{ post: /p, json: { n: '${seq}' } }",
                "POST https://h:1/p content-type=application/json",
            ),
            ("put: /p", "PUT https://h:1/p content-length=0"),
        ] {
            assert_eq!(
                shown(&parts(step).for_http2(&Draw::new(1, 41, 0)).unwrap()),
                expected
            );
        }
    }

    #[test]
    fn a_request_keeps_its_form_for_http1() {
        let request =
            parts("{ get: '/${seq}', headers: { X-A: v } }").for_http1(&Draw::new(1, 41, 0));
        assert_eq!(
            shown(&request.unwrap()),
            "GET /42 host=h:1 x-a=v connection=close"
        );
    }

    #[test]
    fn what_cannot_be_an_authority_is_refused_with_words() {
        let refused = parts("{ get: /, headers: { host: 'a b' } }").for_http2(&Draw::new(1, 41, 0));
        let words = refused.unwrap_err().to_string();
        assert!(words.starts_with("this cannot be sent: "), "{words}");
    }
}
