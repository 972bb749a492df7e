//! The checks, each a few lines around a function of [`policy`].

use crate::gate::Check;
use axum::body::Body;
use axum::http::Request;
use axum::http::header::{AUTHORIZATION, CONTENT_LENGTH, HeaderValue};
use contract::{Failure, path};
use policy::{Permit, Policy, Subject};
use std::time::SystemTime;

/// Bounds the requests in flight: [`policy::Admission`].
#[derive(Debug, Clone)]
pub struct Shed(Policy);

impl Shed {
    /// The bound of `policy`, shared by all clones.
    #[must_use]
    pub const fn new(policy: Policy) -> Self {
        Self(policy)
    }
}

impl Check for Shed {
    type Pass = Permit;

    fn check(&self, _: &mut Request<Body>) -> Result<Permit, Failure> {
        self.0.admission.admit()
    }
}

/// Asks for a bearer token wherever [`path::needs_token`], whatever the language. Puts the [`Subject`] into the extensions
/// of the request.
#[derive(Debug, Clone)]
pub struct Authenticate(Policy);

impl Authenticate {
    /// Tokens of `policy`.
    #[must_use]
    pub const fn new(policy: Policy) -> Self {
        Self(policy)
    }
}

impl Check for Authenticate {
    type Pass = ();

    fn check(&self, request: &mut Request<Body>) -> Result<(), Failure> {
        if path::needs_token(request.uri().path()) {
            let values = request.headers().get_all(AUTHORIZATION);
            let values = values.iter().map(HeaderValue::as_bytes);
            let subject = self
                .0
                .authenticate(values, policy::ITEMS, SystemTime::now())?;
            request.extensions_mut().insert(subject);
        }
        Ok(())
    }
}

/// Bounds the rate of each [`Subject`]: [`policy::Limiter`]. Requests of nobody, which [`Authenticate`] asked for no token,
/// are not counted.
#[derive(Debug, Clone)]
pub struct Limit(Policy);

impl Limit {
    /// The limits of `policy`, shared by all clones.
    #[must_use]
    pub const fn new(policy: Policy) -> Self {
        Self(policy)
    }
}

impl Check for Limit {
    type Pass = ();

    fn check(&self, request: &mut Request<Body>) -> Result<(), Failure> {
        match request.extensions().get::<Subject>() {
            Some(subject) => self.0.limiter.check(subject),
            None => Ok(()),
        }
    }
}

/// Refuses a body whose announced length is above a bound, before anything of it is read. What is not announced is bounded
/// where it is read, by the extractors.
#[derive(Debug, Clone, Copy)]
pub struct BodyLimit(usize);

impl BodyLimit {
    /// Lets bodies of up to `bytes` through.
    #[must_use]
    pub const fn new(bytes: usize) -> Self {
        Self(bytes)
    }
}

impl Check for BodyLimit {
    type Pass = ();

    fn check(&self, request: &mut Request<Body>) -> Result<(), Failure> {
        let length = request.headers().get(CONTENT_LENGTH);
        let length = length.and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
        let most = u64::try_from(self.0).unwrap_or(u64::MAX);
        if length.is_some_and(|length| length > most) {
            return Err(Failure::BodyTooLarge);
        }
        Ok(())
    }
}
