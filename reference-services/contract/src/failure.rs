//! Every error a client can see, over HTTP and over gRPC.

use crate::limit;
#[cfg(feature = "openapi")]
use crate::openapi::bound;
use crate::request_id::RequestId;
use serde::Serialize;
use std::borrow::Cow;
use std::fmt;

/// The statuses of gRPC that the contract has a use for, by their numbers on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are those of the protocol")]
#[repr(u8)]
pub enum GrpcCode {
    InvalidArgument = 3,
    DeadlineExceeded = 4,
    NotFound = 5,
    PermissionDenied = 7,
    ResourceExhausted = 8,
    FailedPrecondition = 9,
    Aborted = 10,
    Unimplemented = 12,
    Internal = 13,
    Unavailable = 14,
    Unauthenticated = 16,
}

/// Why a request was not granted, in terms of the contract. What happened inside is logged, never shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// 400: an account is named by a whole number from 1 up.
    InvalidAccountId,
    /// 400: what is wrong with the query.
    InvalidQuery(String),
    /// 400: what is wrong with the body.
    InvalidBody(String),
    /// 400: `If-Match` is neither `*` nor a list of quoted tags.
    InvalidPrecondition,
    /// 400: a transfer needs an `Idempotency-Key`.
    MissingIdempotencyKey,
    /// 400: a key has 1 to 64 visible ASCII characters.
    InvalidIdempotencyKey,
    /// 401: no such user, or another password.
    InvalidCredentials,
    /// 401: the request needs an `Authorization: Bearer …`.
    MissingToken,
    /// 401: the token is malformed, not ours, or expired.
    InvalidToken,
    /// 403: the token is good, but not for this.
    InsufficientScope,
    /// 404: no such path.
    PathNotFound,
    /// 404: no such account.
    AccountNotFound,
    /// 404: no such item.
    ItemNotFound,
    /// 404: no such transfer.
    TransferNotFound,
    /// 405: the path does not know the method.
    MethodNotAllowed,
    /// 409: an earlier request with the same key has not finished.
    KeyInFlight,
    /// 412: the item has another version.
    VersionMismatch,
    /// 413: the body is larger than [`limit::BODY_BYTES`], or than [`limit::EVENTS_BODY_BYTES`] where events go.
    BodyTooLarge,
    /// 415: the body is not `application/json`.
    UnsupportedMediaType,
    /// 422: the key was used for another order.
    KeyReused,
    /// 422: the account holds less than the amount.
    InsufficientFunds,
    /// 422: `from` and `to` are the same account.
    SameAccount,
    /// 422: an account is kept in another currency.
    CurrencyMismatch,
    /// 428: a change needs `If-Match`.
    PreconditionRequired,
    /// 429: the subject asked too often; whole seconds, from 1 up, until its next request may be served.
    RateLimited(u32),
    /// 429: the queue of events has no room for these.
    QueueFull,
    /// 500: a bug in the service.
    Internal,
    /// 502: the upstream could not be reached, or did not answer in HTTP.
    BadGateway,
    /// 503: the service has as many requests in flight as it may.
    Overloaded,
    /// 503: the database refused the transaction too often, because others touched the same rows.
    TooManyConflicts,
    /// 503: a store did not answer in time.
    Unavailable,
    /// 504: the request took longer than it may. Whatever it waited for, a store or a lock, is behind the service.
    TimedOut,
    /// 504: the request took longer than its client waits.
    DeadlineExceeded,
    /// 504: the upstream did not answer in time.
    GatewayTimeout,
}

impl Failure {
    /// The HTTP status.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.parts().0
    }

    /// The status of gRPC that says the same.
    #[must_use]
    pub fn grpc_code(&self) -> GrpcCode {
        self.parts().1
    }

    /// The stable name of the failure, for programs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        self.parts().2
    }

    /// Seconds for the header `retry-after`, if another try makes sense.
    #[must_use]
    pub fn retry_after(&self) -> Option<u32> {
        match self {
            Self::RateLimited(seconds) => Some((*seconds).max(1)),
            _ => matches!(self.status(), 429 | 503).then_some(limit::RETRY_AFTER_SECONDS),
        }
    }

    /// The header `www-authenticate` of a 401 or 403 (RFC 6750, section 3): a request without a token is told no error.
    #[must_use]
    pub fn www_authenticate(&self) -> Option<&'static str> {
        match self {
            Self::InvalidCredentials | Self::MissingToken => Some("Bearer"),
            Self::InvalidToken => Some("Bearer error=\"invalid_token\""),
            Self::InsufficientScope => Some("Bearer error=\"insufficient_scope\", scope=\"items\""),
            _ => None,
        }
    }

    /// What went wrong, for people.
    fn message(&self) -> Cow<'static, str> {
        match self {
            Self::InvalidQuery(detail) => format!("the query is not valid: {detail}").into(),
            Self::InvalidBody(detail) => format!("the body is not valid: {detail}").into(),
            _ => self.parts().3.into(),
        }
    }

    /// Status, status of gRPC (<https://grpc.github.io/grpc/core/md_doc_statuscodes.html>), code and message, side by
    /// side. Neither status follows from the other: a conflict that is worth another try is `ABORTED`, whatever its number.
    fn parts(&self) -> (u16, GrpcCode, &'static str, &'static str) {
        use GrpcCode::{
            Aborted, DeadlineExceeded, FailedPrecondition, InvalidArgument, NotFound,
            PermissionDenied, ResourceExhausted, Unauthenticated, Unavailable, Unimplemented,
        };
        match self {
            Self::InvalidAccountId => (
                400,
                InvalidArgument,
                "invalid_account_id",
                "an account is named by a whole number from 1 up",
            ),
            Self::InvalidQuery(_) => (
                400,
                InvalidArgument,
                "invalid_query",
                "the query is not valid",
            ),
            Self::InvalidBody(_) => (
                400,
                InvalidArgument,
                "invalid_body",
                "the body is not valid",
            ),
            Self::InvalidPrecondition => (
                400,
                InvalidArgument,
                "invalid_if_match",
                "if-match must be * or a list of quoted versions",
            ),
            Self::MissingIdempotencyKey => (
                400,
                InvalidArgument,
                "missing_idempotency_key",
                "a transfer needs an idempotency-key",
            ),
            Self::InvalidIdempotencyKey => (
                400,
                InvalidArgument,
                "invalid_idempotency_key",
                "an idempotency-key has 1 to 64 visible ASCII characters",
            ),
            Self::InvalidCredentials => (
                401,
                Unauthenticated,
                "invalid_credentials",
                "there is no such user, or the password is another",
            ),
            Self::MissingToken => (
                401,
                Unauthenticated,
                "missing_token",
                "this needs a bearer token",
            ),
            Self::InvalidToken => (
                401,
                Unauthenticated,
                "invalid_token",
                "the token is malformed, not of this service, or expired",
            ),
            Self::InsufficientScope => (
                403,
                PermissionDenied,
                "insufficient_scope",
                "the token does not cover this",
            ),
            Self::PathNotFound => (
                404,
                Unimplemented,
                "path_not_found",
                "there is no such path",
            ),
            Self::AccountNotFound => (
                404,
                NotFound,
                "account_not_found",
                "there is no such account",
            ),
            Self::ItemNotFound => (404, NotFound, "item_not_found", "there is no such item"),
            Self::TransferNotFound => (
                404,
                NotFound,
                "transfer_not_found",
                "there is no such transfer",
            ),
            Self::MethodNotAllowed => (
                405,
                Unimplemented,
                "method_not_allowed",
                "this path does not know this method",
            ),
            Self::KeyInFlight => (
                409,
                Aborted,
                "key_in_flight",
                "a request with this idempotency-key has not finished",
            ),
            Self::VersionMismatch => (
                412,
                Aborted,
                "version_mismatch",
                "the item has another version",
            ),
            Self::BodyTooLarge => (
                413,
                ResourceExhausted,
                "body_too_large",
                "the body is too large",
            ),
            Self::UnsupportedMediaType => (
                415,
                InvalidArgument,
                "unsupported_media_type",
                "the body is of a type that this does not read",
            ),
            Self::KeyReused => (
                422,
                FailedPrecondition,
                "key_reused",
                "this idempotency-key was used for another transfer",
            ),
            Self::InsufficientFunds => (
                422,
                FailedPrecondition,
                "insufficient_funds",
                "the account holds less than the amount",
            ),
            Self::SameAccount => (
                422,
                InvalidArgument,
                "same_account",
                "from and to are the same account",
            ),
            Self::CurrencyMismatch => (
                422,
                FailedPrecondition,
                "currency_mismatch",
                "an account is kept in another currency",
            ),
            Self::PreconditionRequired => (
                428,
                InvalidArgument,
                "precondition_required",
                "a change needs if-match",
            ),
            Self::RateLimited(_) => (
                429,
                ResourceExhausted,
                "rate_limited",
                "these are too many requests",
            ),
            Self::QueueFull => (
                429,
                ResourceExhausted,
                "queue_full",
                "too many events are waiting",
            ),
            Self::Internal => (500, GrpcCode::Internal, "internal", "something went wrong"),
            Self::BadGateway => (
                502,
                Unavailable,
                "bad_gateway",
                "the upstream could not be reached",
            ),
            Self::Overloaded => (
                503,
                Unavailable,
                "overloaded",
                "too many requests are in flight",
            ),
            Self::DeadlineExceeded => (
                504,
                DeadlineExceeded,
                "deadline_exceeded",
                "the request took longer than its client waits",
            ),
            Self::TimedOut => (
                504,
                DeadlineExceeded,
                "timed_out",
                "the request took too long",
            ),
            Self::TooManyConflicts => (
                503,
                Aborted,
                "too_many_conflicts",
                "others are changing the same accounts",
            ),
            Self::Unavailable => (503, Unavailable, "unavailable", "a store does not answer"),
            Self::GatewayTimeout => (
                504,
                DeadlineExceeded,
                "gateway_timeout",
                "the upstream did not answer in time",
            ),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.message())
    }
}

impl std::error::Error for Failure {}

/// The body of every answer that is not a success:
/// `{"error":{"code":"item_not_found","message":"there is no such item"},"request_id":"5c3a1f0e9b2d4476-1"}`.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ErrorBody {
    error: ErrorDetail,
    /// Finds the line about this request in the service's log, where there is one.
    #[cfg_attr(feature = "openapi", schema(schema_with = bound::request_id))]
    pub request_id: String,
}

#[derive(Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub(crate) struct ErrorDetail {
    #[cfg_attr(feature = "openapi", schema(schema_with = bound::code))]
    code: &'static str,
    #[cfg_attr(feature = "openapi", schema(schema_with = bound::message))]
    message: Cow<'static, str>,
}

impl ErrorBody {
    /// The body that tells `failure`, under a request id of its own.
    #[must_use]
    pub fn new(failure: &Failure) -> Self {
        Self::under(RequestId::next(), failure)
    }

    /// The body that tells `failure` of the request with this id.
    #[must_use]
    pub fn under(request_id: RequestId, failure: &Failure) -> Self {
        let error = ErrorDetail {
            code: failure.code(),
            message: failure.message(),
        };
        Self {
            error,
            request_id: request_id.into_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_tells_the_failure_and_names_the_request() {
        let failure = Failure::InvalidBody("missing field `to`".to_owned());
        let body = serde_json::to_value(ErrorBody::new(&failure)).unwrap();
        assert_eq!(body["error"]["code"], "invalid_body");
        assert_eq!(
            body["error"]["message"],
            "the body is not valid: missing field `to`"
        );
        assert_ne!(
            body["request_id"],
            serde_json::to_value(ErrorBody::new(&failure)).unwrap()["request_id"]
        );
    }

    #[test]
    fn a_429_and_a_503_name_a_time_to_try_again_and_others_do_not() {
        assert_eq!(Failure::RateLimited(7).retry_after(), Some(7));
        assert_eq!(Failure::RateLimited(0).retry_after(), Some(1));
        assert_eq!(
            Failure::QueueFull.retry_after(),
            Some(limit::RETRY_AFTER_SECONDS)
        );
        assert_eq!(Failure::GatewayTimeout.retry_after(), None);
        assert_eq!(
            Failure::TooManyConflicts.retry_after(),
            Some(limit::RETRY_AFTER_SECONDS)
        );
        assert_eq!(Failure::Internal.retry_after(), None);
        const { assert!(limit::RETRY_AFTER_SECONDS > 0) };
    }
}
