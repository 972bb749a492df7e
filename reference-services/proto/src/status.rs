//! The protocol itself: who speaks it, how long they wait, and what they are told.

use contract::Failure;
use contract::request_id::RequestId;
use std::time::Duration;
use tonic::codegen::http::header::CONTENT_TYPE;
use tonic::codegen::http::{Extensions, HeaderMap, Request, Version};
use tonic::metadata::MetadataMap;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

/// Whose error codes these are, where a client knows several services.
const DOMAIN: &str = "tailmark.v1";

/// The status of HTTP, in the metadata of `ErrorInfo`.
const HTTP_STATUS: &str = "http_status";

/// How long a client is asked to wait, for the retries of gRPC's own libraries
/// (<https://github.com/grpc/proposal/blob/master/A6-client-retries.md#pushback>).
const PUSHBACK: &str = "grpc-retry-pushback-ms";

/// How long a client waits (<https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md#requests>).
const TIMEOUT: &str = "grpc-timeout";

/// Whether a client speaks gRPC: HTTP/2, and `application/grpc`, `application/grpc+proto` or `application/grpc;…`. Not
/// `application/grpc-web`, which is another protocol.
#[must_use]
pub fn is_grpc<B>(request: &Request<B>) -> bool {
    // The version first: plain HTTP/1.1 then pays for one comparison, and no look-up.
    request.version() == Version::HTTP_2
        && request.headers().get(CONTENT_TYPE).is_some_and(|value| {
            value
                .as_bytes()
                .strip_prefix(b"application/grpc")
                .is_some_and(|rest| matches!(rest.first(), None | Some(b'+' | b';')))
        })
}

/// How long the client of these headers waits for an answer, if it says so: 1 to 8 digits and a unit.
#[must_use]
pub fn timeout(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(TIMEOUT)?.to_str().ok()?;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if !(1..=8).contains(&digits.len()) || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let number: u64 = digits.parse().ok()?;
    Some(match unit {
        "H" => Duration::from_secs(number * 3_600),
        "M" => Duration::from_secs(number * 60),
        "S" => Duration::from_secs(number),
        "m" => Duration::from_millis(number),
        "u" => Duration::from_micros(number),
        "n" => Duration::from_nanos(number),
        _ => return None,
    })
}

/// What a client is told of the `failure` of the request with this id: code and message, and in the details the name
/// that it has in the contract (`ErrorInfo`, in capitals, with `http_status` beside it), the id (`RequestInfo`) and, where another try makes sense,
/// when (`RetryInfo`, and `grpc-retry-pushback-ms` for libraries that try again by themselves).
#[must_use]
pub fn status(failure: &Failure, request_id: RequestId) -> Status {
    let reason = failure.code().to_ascii_uppercase();
    let http_status = (HTTP_STATUS.to_owned(), failure.status().to_string());
    let mut details = ErrorDetails::new();
    details
        .set_error_info(reason, DOMAIN, [http_status])
        .set_request_info(request_id.into_string(), "");
    let mut metadata = MetadataMap::new();
    if let Some(seconds) = failure.retry_after() {
        let delay = Duration::from_secs(seconds.into());
        details.set_retry_info(Some(delay));
        metadata.insert(PUSHBACK, (u64::from(seconds) * 1_000).into());
    }
    let code = Code::from_i32(failure.grpc_code() as i32);
    Status::with_error_details_and_metadata(code, failure.to_string(), details, metadata)
}

/// The status of HTTP that says the same as an answer of gRPC that is a failure, from the extensions of that answer: metrics
/// and logs know failures of both languages by one number.
///
/// Failures of the contract carry it. For the library's own, such as a message that cannot be decoded, it is the usual
/// one (<https://github.com/googleapis/googleapis/blob/master/google/rpc/code.proto>).
#[must_use]
pub fn http_status(answer: &Extensions) -> Option<u16> {
    let status = answer.get::<Status>()?;
    let told = status.get_details_error_info();
    let told = told.and_then(|info| info.metadata.get(HTTP_STATUS)?.parse().ok());
    Some(told.unwrap_or(match status.code() {
        Code::Ok => 200,
        Code::InvalidArgument | Code::FailedPrecondition | Code::OutOfRange => 400,
        Code::Unauthenticated => 401,
        Code::PermissionDenied => 403,
        Code::NotFound | Code::Unimplemented => 404,
        Code::AlreadyExists | Code::Aborted => 409,
        Code::ResourceExhausted => 429,
        Code::Cancelled => 499,
        Code::Unknown | Code::Internal | Code::DataLoss => 500,
        Code::Unavailable => 503,
        Code::DeadlineExceeded => 504,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(version: Version, content_type: &str) -> Request<()> {
        let request = Request::builder().version(version);
        let request = request.header(CONTENT_TYPE, content_type);
        request.body(()).unwrap()
    }

    #[test]
    fn grpc_is_known_by_its_version_and_its_type() {
        for (content_type, expected) in [
            ("application/grpc", true),
            ("application/grpc+proto", true),
            ("application/grpc;charset=utf-8", true),
            ("application/grpc-web", false),
            ("application/grpcs", false),
            ("application/json", false),
        ] {
            assert_eq!(
                is_grpc(&request(Version::HTTP_2, content_type)),
                expected,
                "{content_type}"
            );
            assert!(!is_grpc(&request(Version::HTTP_11, content_type)));
        }
        assert!(!is_grpc(
            &Request::builder()
                .version(Version::HTTP_2)
                .body(())
                .unwrap()
        ));
    }

    #[test]
    fn a_clients_patience_has_digits_and_a_unit() {
        let parsed = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(TIMEOUT, text.parse().unwrap());
            timeout(&headers)
        };
        for (text, nanoseconds) in [
            ("2H", 7_200_000_000_000),
            ("3M", 180_000_000_000),
            ("0S", 0),
            ("99999999m", 99_999_999_000_000),
            ("250u", 250_000),
            ("1n", 1),
        ] {
            assert_eq!(
                parsed(text),
                Some(Duration::from_nanos(nanoseconds)),
                "{text}"
            );
        }
        for text in ["", "S", "1", "1s", "+1S", "123456789S", "1.5S", "é"] {
            assert_eq!(parsed(text), None, "{text}");
        }
        assert_eq!(timeout(&HeaderMap::new()), None);
    }

    #[test]
    fn a_status_says_what_the_contract_says_and_when_to_try_again() {
        let told = status(&Failure::RateLimited(7), RequestId::accept([&b"mine"[..]]));
        assert_eq!(told.code(), Code::ResourceExhausted);
        assert_eq!(told.message(), Failure::RateLimited(7).to_string());
        assert_eq!(told.metadata().get(PUSHBACK).unwrap(), "7000");
        let details = told.get_error_details();
        let delay = details.retry_info().unwrap().retry_delay;
        assert_eq!(delay, Some(Duration::from_secs(7)));
        let info = details.error_info().unwrap();
        assert_eq!(
            (info.reason.as_str(), info.domain.as_str()),
            ("RATE_LIMITED", DOMAIN)
        );
        assert_eq!(details.request_info().unwrap().request_id, "mine");

        let final_one = status(&Failure::SameAccount, RequestId::next());
        assert_eq!(final_one.code(), Code::InvalidArgument);
        assert!(final_one.get_error_details().retry_info().is_none());
        assert!(final_one.metadata().get(PUSHBACK).is_none());
    }

    #[test]
    fn failures_are_counted_by_the_status_that_they_have_in_http() {
        let counted = |status: Status| http_status(status.into_http::<()>().extensions());
        for failure in [
            Failure::MissingToken,
            Failure::BodyTooLarge,
            Failure::RateLimited(1),
            Failure::TimedOut,
            Failure::Overloaded,
            Failure::PathNotFound,
            // Both are ABORTED.
            Failure::KeyInFlight,
            Failure::TooManyConflicts,
        ] {
            let told = counted(status(&failure, RequestId::next()));
            assert_eq!(told, Some(failure.status()), "{failure:?}");
        }
        assert_eq!(counted(Status::internal("not decoded")), Some(500));
        assert_eq!(counted(Status::unimplemented("no such method")), Some(404));
        assert_eq!(http_status(&Extensions::new()), None);
    }
}
