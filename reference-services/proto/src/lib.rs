//! Contract v1 in the language of gRPC: its messages and services, made from the protos beside this crate, and how a
//! [`Failure`] is told in it.
//!
//! What has a header in HTTP has metadata of the same name here: `idempotency-key`, `idempotency-replayed`, `x-cache`,
//! `x-request-id`, `authorization`.

mod convert;
mod status;

pub use status::{http_status, is_grpc, status, timeout};

/// What the protos of `tailmark.v1` say, as Rust.
#[allow(
    missing_docs,
    clippy::all,
    clippy::pedantic,
    reason = "generated; the protos have the documentation"
)]
pub mod v1 {
    tonic::include_proto!("tailmark.v1");
}

/// A `FileDescriptorSet` of all protos, for reflection.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));

#[cfg(doc)]
use contract::Failure;
