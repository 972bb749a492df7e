//! What an operation answers: its successes, and all its failures by status.

use super::bound;
use crate::{ErrorBody, Failure, header};
use std::collections::BTreeMap;
use utoipa::ToSchema;
use utoipa::openapi::extensions::Extensions;
use utoipa::openapi::header::{Header, HeaderBuilder};
use utoipa::openapi::schema::{AllOfBuilder, Object, ObjectBuilder, Ref, Schema, Type};
use utoipa::openapi::{ContentBuilder, RefOr, Response, ResponseBuilder};

/// A success whose body is the JSON of `T`.
pub(super) fn json<T: ToSchema>(description: &str) -> ResponseBuilder {
    json_of(description, Ref::from_schema_name(T::name()))
}

/// A success whose body is JSON of this schema.
pub(super) fn json_of(description: &str, schema: impl Into<RefOr<Schema>>) -> ResponseBuilder {
    let content = ContentBuilder::new().schema(Some(schema)).build();
    ResponseBuilder::new()
        .description(description)
        .content(header::JSON, content)
}

/// A header that is there always.
pub(super) fn always(schema: Object) -> Header {
    // The builder does not know the field `required`; extensions stand beside the other fields.
    let required = Extensions::from_iter([("required", true)]);
    HeaderBuilder::from(sometimes(schema))
        .extensions(Some(required))
        .build()
}

/// A header that may be there.
pub(super) fn sometimes(mut schema: Object) -> Header {
    let description = schema.description.take();
    HeaderBuilder::new()
        .description(description)
        .schema(Some(schema))
        .build()
}

/// The answers to these failures, by status: which codes each may have, and its headers.
pub(super) fn failures(failures: &[Failure]) -> BTreeMap<u16, Response> {
    let mut by_status: BTreeMap<u16, Vec<&Failure>> = BTreeMap::new();
    for failure in failures {
        by_status.entry(failure.status()).or_default().push(failure);
    }
    let answers = by_status.into_iter();
    answers
        .map(|(status, failures)| (status, refusal(&failures)))
        .collect()
}

/// The answer to any of `failures`, all of one status.
fn refusal(failures: &[&Failure]) -> Response {
    let lines: Vec<_> = failures
        .iter()
        .map(|failure| format!("`{}`: {failure}", failure.code()))
        .collect();
    let codes = failures.iter().map(|failure| failure.code());
    let code = ObjectBuilder::new()
        .schema_type(Type::String)
        .enum_values(Some(codes));
    let error = ObjectBuilder::new().property("code", code);
    let body = AllOfBuilder::new()
        .item(Ref::from_schema_name(ErrorBody::name()))
        .item(ObjectBuilder::new().property("error", error));
    let mut response = json_of(&lines.join("; "), Schema::AllOf(body.build()));
    if failures
        .iter()
        .any(|failure| failure.retry_after().is_some())
    {
        response = response.header(header::RETRY_AFTER, always(bound::retry_after()));
    }
    let challenges: Vec<_> = failures
        .iter()
        .filter_map(|failure| failure.www_authenticate())
        .collect();
    if !challenges.is_empty() {
        response = response.header(header::WWW_AUTHENTICATE, always(challenge(challenges)));
    }
    response.build()
}

fn challenge(mut values: Vec<&str>) -> Object {
    values.dedup();
    ObjectBuilder::new()
        .schema_type(Type::String)
        .description(Some("What the client has to prove (RFC 6750, section 3)."))
        .enum_values(Some(values))
        .build()
}
