//! What the stub answers. Tests ask for what goes wrong by headers of the request:
//!
//! | header | effect |
//! |---|---|
//! | `x-stub-status: 418` | the answer has this status |
//! | `x-stub-delay-ms: 5000` | it comes after this delay, instead of the usual one |
//! | `x-stub-break: 1` | the connection is closed without an answer |
//! | `x-stub-echo: 1` | the body tells the request, and the answer carries headers for one connection alone |

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONNECTION, CONTENT_TYPE, HeaderMap, HeaderValue};
use hyper::{Request, Response, StatusCode};
use serde_json::json;
use std::error::Error;
use std::io;
use std::str::FromStr;
use std::time::Duration;
use tokio::time::sleep;

/// The largest body that is read, in bytes.
const BODY_BYTES: usize = 1024 * 1024;

/// Answers one request after `delay`.
///
/// # Errors
/// Where the connection is to be closed: because the request asks for it, or its body does not come.
pub(crate) async fn answer(
    request: Request<Incoming>,
    delay: Duration,
) -> Result<Response<Full<Bytes>>, Box<dyn Error + Send + Sync>> {
    let (parts, body) = request.into_parts();
    let body = Limited::new(body, BODY_BYTES).collect().await?.to_bytes();
    let delay = number(&parts.headers, "x-stub-delay-ms").map_or(delay, Duration::from_millis);
    sleep(delay).await;
    if parts.headers.contains_key("x-stub-break") {
        return Err(io::Error::other("the connection breaks off, as the request asks").into());
    }
    let Some(id) = item(parts.uri.path()) else {
        let body = json!({"error": "there is no such item"});
        return Ok(json_answer(StatusCode::NOT_FOUND, &body.to_string()));
    };
    let status = number(&parts.headers, "x-stub-status");
    let status = status.and_then(|status| StatusCode::from_u16(status).ok());
    let status = status.unwrap_or(StatusCode::OK);
    if !parts.headers.contains_key("x-stub-echo") {
        let body = format!(r#"{{"id":{id},"name":"Upstream item {id}"}}"#);
        return Ok(json_answer(status, &body));
    }
    let headers: Vec<_> = parts
        .headers
        .iter()
        .map(|(name, value)| {
            [
                name.as_str().into(),
                String::from_utf8_lossy(value.as_bytes()),
            ]
        })
        .collect();
    let body = json!({
        "method": parts.method.as_str(),
        "target": parts.uri.to_string(),
        "headers": headers,
        "body": String::from_utf8_lossy(&body),
    });
    let mut answer = json_answer(status, &body.to_string());
    let headers = answer.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("x-hop"));
    headers.insert("x-hop", HeaderValue::from_static("1"));
    headers.insert("keep-alive", HeaderValue::from_static("timeout=5"));
    headers.insert("x-end", HeaderValue::from_static("1"));
    Ok(answer)
}

fn json_answer(status: StatusCode, body: &str) -> Response<Full<Bytes>> {
    let mut answer = Response::new(Full::from(body.to_owned()));
    *answer.status_mut() = status;
    answer
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    answer
}

/// The item that a path names, by a number from 1 up.
fn item(path: &str) -> Option<u64> {
    let id = path.strip_prefix("/items/")?.parse().ok();
    id.filter(|id| *id >= 1)
}

fn number<T: FromStr>(headers: &HeaderMap, name: &str) -> Option<T> {
    headers.get(name)?.to_str().ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_are_named_by_numbers_from_1_up() {
        assert_eq!(item("/items/7"), Some(7));
        for other in [
            "/items/0",
            "/items/x",
            "/items/",
            "/items",
            "/item/7",
            "/items/7/8",
        ] {
            assert_eq!(item(other), None, "{other}");
        }
    }
}
