//! Where the gateway passes requests on to.

use contract::path;
use contract::setting::{SettingError, number, text};
use http::Uri;
use std::time::Duration;

/// The upstream of a service that was told none: `upstream-stub` on its usual port.
const URL: &str = "http://127.0.0.1:8081";

/// Milliseconds that an upstream has for its whole answer, connecting included, if `UPSTREAM_TIMEOUT_MS` does not say.
pub const TIMEOUT_MS: u64 = 1_000;

/// The longest time-out that can be set, in milliseconds: a client has given up by then.
const LONGEST_TIMEOUT_MS: u64 = 60_000;

/// The upstream, by its address and its time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upstream {
    /// Without a slash at its end.
    base: String,
    /// How long an exchange may take.
    pub timeout: Duration,
}

impl Upstream {
    /// Reads `UPSTREAM_URL` (`http://127.0.0.1:8081`) and `UPSTREAM_TIMEOUT_MS` ([`TIMEOUT_MS`]).
    ///
    /// # Errors
    /// Names the variable that makes no sense, and what would.
    pub fn from_env() -> Result<Self, SettingError> {
        let url = text("UPSTREAM_URL")?.unwrap_or_else(|| URL.to_owned());
        let timeout = number("UPSTREAM_TIMEOUT_MS", TIMEOUT_MS, 1..=LONGEST_TIMEOUT_MS)?;
        Self::new(&url, Duration::from_millis(timeout))
    }

    fn new(url: &str, timeout: Duration) -> Result<Self, SettingError> {
        let is_usable = |uri: &Uri| {
            uri.scheme_str() == Some("http") && uri.host().is_some() && uri.query().is_none()
        };
        if !url.parse().is_ok_and(|uri| is_usable(&uri)) {
            return Err(SettingError::new(format!(
                "UPSTREAM_URL is {url:?}; write http://host:port"
            )));
        }
        Ok(Self {
            base: url.trim_end_matches('/').to_owned(),
            timeout,
        })
    }

    /// The URL of the upstream for a request to the gateway: `/v1/gateway/items/7?x=1` goes to `/items/7?x=1` there. The
    /// path goes on as it was written, escapes included.
    #[must_use]
    pub fn url(&self, path_and_query: &str) -> String {
        let rest = path_and_query
            .strip_prefix(path::GATEWAY)
            .unwrap_or(path_and_query);
        format!("{}{rest}", self.base)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_go_below_the_base() {
        let upstream = |url: &str| Upstream::new(url, Duration::from_secs(1));
        for (base, expected) in [
            ("http://127.0.0.1:8081", "http://127.0.0.1:8081/items/7?x=1"),
            ("http://up:80/", "http://up:80/items/7?x=1"),
            ("http://up/api", "http://up/api/items/7?x=1"),
        ] {
            let url = upstream(base).unwrap().url("/v1/gateway/items/7?x=1");
            assert_eq!(url, expected);
        }
        for bad in [
            "",
            "up:80",
            "https://up",
            "http://",
            "/items",
            "http://up?x=1",
        ] {
            let error = upstream(bad).unwrap_err().to_string();
            assert!(error.contains("UPSTREAM_URL is"), "{bad}: {error}");
        }
    }
}
