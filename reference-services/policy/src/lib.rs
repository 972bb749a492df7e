//! Who may ask a reference service, how often, and how many at once: functions without a framework and without a
//! runtime. Axum wraps them into Tower layers and Actix into middleware; what they decide is the same.
//!
//! | module | decides |
//! |---|---|
//! | [`credentials`] | whether a user and a password belong together |
//! | [`token`] | whose token it is, and whether it is still good: JWT, HS256 |
//! | [`limiter`] | whether a subject asks too often: GCRA |
//! | [`admission`] | whether the service has too many requests in flight |
//! | [`upstream`] | where the gateway passes requests on to |
//! | [`settings`] | how much of each, from the environment |
//!
//! There is one [`Policy`] for a process, which all its workers share: a subject's limit must not depend on the worker
//! that its connection fell to. Request ids are in [`contract::request_id`], where error bodies are.

pub mod admission;
pub mod credentials;
mod hs256;
pub mod limiter;
pub mod settings;
pub mod token;
pub mod upstream;

pub use admission::{Admission, Permit};
pub use limiter::Limiter;
pub use settings::{MEASUREMENT_SECRET, Settings};
pub use token::{Subject, Tokens};
pub use upstream::Upstream;

use contract::Failure;
use contract::session::{NewSession, Session};
use std::sync::Arc;
use std::time::SystemTime;

/// The scope that the gateway's items need.
pub const ITEMS: &str = "items";

/// All rules of one process. Cheap to clone; clones share the counters.
#[derive(Debug, Clone)]
pub struct Policy {
    /// Issues tokens and knows them again.
    pub tokens: Arc<Tokens>,
    /// Limits each subject.
    pub limiter: Arc<Limiter>,
    /// Limits all of them together.
    pub admission: Admission,
}

impl Policy {
    /// The rules that `settings` ask for. Made once in a process.
    #[must_use]
    pub fn new(settings: &Settings) -> Self {
        Self {
            tokens: Arc::new(Tokens::new(settings.secret.as_bytes())),
            limiter: Arc::new(Limiter::new(settings.rate, settings.burst)),
            admission: Admission::new(settings.in_flight),
        }
    }

    /// Opens a session for whoever knows the password: a token for [`ITEMS`], good for
    /// [`contract::limit::TOKEN_SECONDS`] from `now`.
    ///
    /// # Errors
    /// [`Failure::InvalidCredentials`] (401); [`Failure::Internal`] if the token could not be written.
    pub fn open_session(&self, login: &NewSession, now: SystemTime) -> Result<Session, Failure> {
        let subject = credentials::check(&login.user, &login.password)?;
        Ok(Session::bearer(self.tokens.issue(&subject, ITEMS, now)?))
    }

    /// Who asks, from the values of all `Authorization` headers of a request, if the token is good at `now` and covers
    /// `scope`.
    ///
    /// # Errors
    /// [`Failure::MissingToken`] and [`Failure::InvalidToken`] (401); [`Failure::InsufficientScope`] (403).
    pub fn authenticate<'a>(
        &self,
        authorization: impl IntoIterator<Item = &'a [u8]>,
        scope: &str,
        now: SystemTime,
    ) -> Result<Subject, Failure> {
        self.tokens
            .verify(token::bearer(authorization)?, scope, now)
    }
}
