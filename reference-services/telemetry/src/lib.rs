//! What a reference service tells of itself, whatever its framework.
//!
//! | item | holds |
//! |---|---|
//! | [`Metrics`] | counts and times of all requests, as Prometheus reads them |
//! | [`request`] | the id and the log line of the request at hand |
//! | [`serve`] | answers `GET /metrics` on a port and a thread of its own |

mod listener;
mod metrics;
mod pools;
pub mod request;

pub use listener::serve;
pub use metrics::{Answer, InFlight, Metrics, Refused};
