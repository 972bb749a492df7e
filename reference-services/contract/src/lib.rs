//! Contract v1 of the reference services: what a client may send, what it gets back, and every bound on both.
//!
//! Types here cannot be wrong once they exist: a [`transfer::NewTransfer`] has a positive amount, an
//! [`item::ItemPage`] a limit within its bounds, whichever framework parsed it. Nothing here knows a framework, a database
//! or a clock.
//!
//! | module | holds |
//! |---|---|
//! | [`account`], [`item`], [`transfer`], [`event`], [`session`], [`greeting`] | the resources, as they are read and written |
//! | [`failure`], [`request_id`] | every error a client can see: status, code, message, body |
//! | [`header`], [`path`], [`limit`] | the names and numbers both services share |
//! | [`forward`] | which headers a gateway passes on |
//! | [`setting`] | environment variables, read in one way |
//! | `openapi` | all of it as an `OpenAPI` document, for tests and tools alone: no service is built with it |

pub mod account;
pub mod event;
pub mod failure;
pub mod forward;
pub mod greeting;
pub mod header;
pub mod item;
pub mod limit;
#[cfg(feature = "openapi")]
pub mod openapi;
pub mod path;
pub mod request_id;
pub mod session;
pub mod setting;
pub mod transfer;

pub use failure::{ErrorBody, Failure, GrpcCode};
