//! `TechEmpower`'s plaintext and JSON bodies: <https://github.com/TechEmpower/FrameworkBenchmarks/wiki>.

#[cfg(feature = "openapi")]
use crate::openapi::bound;
use serde::Serialize;

/// The text of both bodies.
pub const HELLO: &str = "Hello, World!";

/// The JSON body, `{"message":"Hello, World!"}`, built and serialised anew for every request.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Greeting {
    #[cfg_attr(feature = "openapi", schema(schema_with = bound::hello))]
    message: &'static str,
}

impl Greeting {
    /// The greeting of this request.
    #[must_use]
    pub fn hello() -> Self {
        Self { message: HELLO }
    }
}

/// What the probes answer: `{"status":"alive"}` or `{"status":"ready"}`.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Probe {
    #[cfg_attr(feature = "openapi", schema(schema_with = bound::probe))]
    status: &'static str,
}

impl Probe {
    /// The process serves requests.
    pub const ALIVE: Self = Self { status: "alive" };
    /// The process and both its stores serve requests.
    pub const READY: Self = Self { status: "ready" };
}
