//! Container engines: Docker, or podman, which answers as Docker does. Where they listen, and what is asked of any of them,
//! whoever made the container.
//!
//! An engine is spoken to by `bollard` alone.

mod address;
mod engine;
mod running;
mod stats;

pub use self::address::{Address, HostError};
pub(crate) use self::engine::in_words;
pub use self::engine::{Engine, NoEngine};
pub use self::running::{DockerError, Limits, Running, running};
pub use self::stats::Reading;
