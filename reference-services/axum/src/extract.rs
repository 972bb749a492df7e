//! Axum's own extractors, with rejections in the words of the contract.

use crate::error::ApiError;
use axum::extract::rejection::{BytesRejection, JsonRejection, QueryRejection};
use axum::extract::{FromRequest, FromRequestParts};
use axum::http::StatusCode;
use axum::http::request::Parts;
use contract::Failure;
use std::convert::Infallible;
use std::error::Error;

/// The parameter of the path. One that is not valid UTF-8 is empty, as it names nothing either.
pub(crate) struct Path(pub(crate) String);

impl<S: Send + Sync> FromRequestParts<S> for Path {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Infallible> {
        let text = axum::extract::Path::<String>::from_request_parts(parts, state).await;
        Ok(Self(text.map(|text| text.0).unwrap_or_default()))
    }
}

/// The query.
#[derive(FromRequestParts)]
#[from_request(via(axum::extract::Query), rejection(ApiError))]
pub(crate) struct Query<T>(pub(crate) T);

/// The body, as JSON.
#[derive(FromRequest)]
#[from_request(via(axum::Json), rejection(ApiError))]
pub(crate) struct Body<T>(pub(crate) T);

impl From<QueryRejection> for ApiError {
    fn from(rejection: QueryRejection) -> Self {
        Failure::InvalidQuery(cause(&rejection)).into()
    }
}

impl From<JsonRejection> for ApiError {
    fn from(rejection: JsonRejection) -> Self {
        match rejection.status() {
            StatusCode::UNSUPPORTED_MEDIA_TYPE => Failure::UnsupportedMediaType,
            StatusCode::PAYLOAD_TOO_LARGE => Failure::BodyTooLarge,
            _ => Failure::InvalidBody(cause(&rejection)),
        }
        .into()
    }
}

impl From<BytesRejection> for ApiError {
    fn from(rejection: BytesRejection) -> Self {
        match rejection.status() {
            StatusCode::PAYLOAD_TOO_LARGE => Failure::BodyTooLarge,
            _ => Failure::InvalidBody(cause(&rejection)),
        }
        .into()
    }
}

/// The first cause of a rejection: the words of Serde, without those of the layers above.
fn cause(rejection: &dyn Error) -> String {
    let mut cause = rejection;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}
