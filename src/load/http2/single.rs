//! One exchange of HTTP/2 by itself, kept for people to read.

use std::rc::Rc;
use std::time::Duration;

use http::HeaderMap;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::{Request, Response};

use super::{Connection, open_within};
use crate::exchange::Outcome;
use crate::load::clock::{Clock, monotonic};
use crate::load::http_parts::{Body, Parts};
use crate::load::http1::response::Sink as _;
use crate::load::kept::Keeper;
use crate::load::single::{Kept, Passed, owned};
use crate::load::stream::Stream;
use crate::scenario::Draw;

/// The status of the response to the request that `parts` and `draw` make, or how the exchange ended. To be called where
/// tasks can be spawned on this thread.
pub(in crate::load) async fn exchange(
    stream: Stream,
    limit: Duration,
    parts: &Parts,
    draw: &Draw<'_>,
    passed: &mut Passed,
) -> Result<u16, (Outcome, String)> {
    let request = parts
        .for_http2(draw)
        .map_err(|unfit| (unfit.outcome(), unfit.to_string()))?;
    let lanes = open_within(limit, stream, Rc::new(Clock::default()), 1)
        .await
        .map_err(|error| (error.outcome(), error.to_string()))?;
    let Connection { sender, watch } = &*lanes[0].connection;
    keep_request(&mut passed.request, &request).await;
    let stream = watch.begin();
    passed.sent = Some(monotonic());
    let response = sender.clone().send_request(request);
    let result = keep_response(&mut passed.response, &mut passed.keeper, response).await;
    let (moments, done) = watch.finish(stream);
    (passed.sent, passed.done) = (moments.sent, Some(done));
    result.map_err(|error| owned(&watch.failure(&moments, &error)))
}

async fn keep_request(kept: &mut Kept, request: &Request<Body>) {
    let uri = request.uri();
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    kept.add(format!("{} {path} HTTP/2\r\n", request.method()).as_bytes());
    if let Some(authority) = uri.authority() {
        kept.add(format!("host: {authority}\r\n").as_bytes());
    }
    keep_fields(kept, request.headers());
    let Ok(body) = request.body().clone().collect().await;
    kept.add(&body.to_bytes());
}

async fn keep_response(
    kept: &mut Kept,
    keeper: &mut Keeper,
    response: impl Future<Output = hyper::Result<Response<Incoming>>>,
) -> hyper::Result<u16> {
    let response = response.await?;
    let status = response.status().as_u16();
    kept.add(format!("HTTP/2 {status}\r\n").as_bytes());
    keep_fields(kept, response.headers());
    let fields = response.headers().iter();
    keeper.take_head(
        status,
        fields.map(|(name, value)| (name.as_str(), value.as_bytes())),
    );
    let mut body = response.into_body();
    while let Some(frame) = body.frame().await.transpose()? {
        if let Some(data) = frame.data_ref() {
            kept.add(data);
            keeper.body(data);
        } else if let Some(trailers) = frame.trailers_ref() {
            kept.add(b"\r\n");
            keep_fields(kept, trailers);
        }
    }
    Ok(status)
}

/// Fields, and the empty line behind them.
fn keep_fields(kept: &mut Kept, fields: &HeaderMap) {
    for (name, value) in fields {
        kept.add(&[name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat());
    }
    kept.add(b"\r\n");
}
