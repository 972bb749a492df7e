//! What a reference service tells of itself, whatever its framework.
//!
//! | item | holds |
//! |---|---|
//! | [`Metrics`] | counts and times of all requests, as Prometheus reads them |
//! | [`serve`] | answers `GET /metrics` on a port and a thread of its own |

mod listener;
mod metrics;
mod pools;

pub use listener::serve;
pub use metrics::{Answer, InFlight, Metrics, Refused};
