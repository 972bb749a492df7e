//! Actix's own extractors, with rejections in the words of the contract.

use crate::error::ApiError;
use actix_web::error::{JsonPayloadError, QueryPayloadError};
use actix_web::http::StatusCode;
use actix_web::web::{JsonConfig, PayloadConfig, QueryConfig, ServiceConfig};
use contract::{Failure, limit};
use std::error::Error;

pub(crate) fn configure(config: &mut ServiceConfig) {
    config
        .app_data(QueryConfig::default().error_handler(|error, _| ApiError::from(error).into()))
        .app_data(PayloadConfig::new(limit::BODY_BYTES))
        .app_data(json(limit::BODY_BYTES));
}

/// JSON bodies of up to `bytes`.
pub(crate) fn json(bytes: usize) -> JsonConfig {
    JsonConfig::default()
        .limit(bytes)
        .error_handler(|error, _| ApiError::from(error).into())
}

impl ApiError {
    /// What keeps a body from being read, if it is not JSON that is wanted.
    pub(crate) fn of_body(error: &actix_web::Error) -> Self {
        match error.as_response_error().status_code() {
            StatusCode::PAYLOAD_TOO_LARGE => Failure::BodyTooLarge,
            _ => Failure::InvalidBody(error.to_string()),
        }
        .into()
    }
}

impl From<QueryPayloadError> for ApiError {
    fn from(error: QueryPayloadError) -> Self {
        Failure::InvalidQuery(cause(&error)).into()
    }
}

impl From<JsonPayloadError> for ApiError {
    fn from(error: JsonPayloadError) -> Self {
        match error {
            JsonPayloadError::ContentType => Failure::UnsupportedMediaType,
            JsonPayloadError::Overflow { .. } | JsonPayloadError::OverflowKnownLength { .. } => {
                Failure::BodyTooLarge
            }
            error => Failure::InvalidBody(cause(&error)),
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
