//! What a service is told about its rules.

use contract::setting::{SettingError, number, text};
use std::fmt;
use std::num::NonZeroU32;

/// Signs tokens where `TOKEN_SECRET` does not say with what. Everybody can read it here: it is for measurements alone.
pub const MEASUREMENT_SECRET: &str = "tailmark measures with this secret, which is none";

/// HMAC with SHA-256 needs a key as long as its output (RFC 7518, section 3.2), in bytes.
const SECRET_BYTES: usize = 32;

/// The highest rate and the largest burst of a subject: above what one machine serves.
const MOST_REQUESTS: u32 = 1_000_000;

/// The rules, as numbers.
#[derive(Clone, PartialEq, Eq)]
pub struct Settings {
    /// What tokens are signed with, at least 32 bytes.
    pub secret: String,
    /// Requests a second that a subject may send for ever.
    pub rate: NonZeroU32,
    /// Requests that a subject may send at once, after a pause.
    pub burst: NonZeroU32,
    /// Requests that the whole service may have in flight.
    pub in_flight: NonZeroU32,
}

impl Settings {
    /// Reads `TOKEN_SECRET` (default [`MEASUREMENT_SECRET`]), `RATE_LIMIT_PER_SECOND` (100), `RATE_LIMIT_BURST` (100)
    /// and `MAX_IN_FLIGHT` (1,024).
    ///
    /// # Errors
    /// Names the variable that makes no sense, and what would.
    pub fn from_env() -> Result<Self, SettingError> {
        let secret = text("TOKEN_SECRET")?.unwrap_or_else(|| MEASUREMENT_SECRET.to_owned());
        if secret.len() < SECRET_BYTES {
            return Err(SettingError::new(format!(
                "TOKEN_SECRET has {} bytes; write {SECRET_BYTES} or more",
                secret.len()
            )));
        }
        Ok(Self {
            secret,
            rate: positive("RATE_LIMIT_PER_SECOND", 100)?,
            burst: positive("RATE_LIMIT_BURST", 100)?,
            in_flight: positive("MAX_IN_FLIGHT", 1_024)?,
        })
    }
}

impl Settings {
    /// Whether tokens are signed with the secret that everybody knows.
    #[must_use]
    pub fn is_for_measurements(&self) -> bool {
        self.secret == MEASUREMENT_SECRET
    }
}

/// Without the secret, which a log must not hold.
impl fmt::Debug for Settings {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Settings")
            .field("rate", &self.rate)
            .field("burst", &self.burst)
            .field("in_flight", &self.in_flight)
            .finish_non_exhaustive()
    }
}

fn positive(name: &str, default: u32) -> Result<NonZeroU32, SettingError> {
    let value = number(name, default, 1..=MOST_REQUESTS)?;
    Ok(NonZeroU32::new(value).unwrap_or(NonZeroU32::MIN))
}
