//! Where the gateway passes requests on to.

use contract::setting::{SettingError, number, text};
use contract::{Failure, path};
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
            let authority = uri.authority().map(http::uri::Authority::as_str);
            uri.scheme_str() == Some("http")
                && authority.is_some_and(|authority| !authority.contains('@'))
                && uri.query().is_none()
        };
        if !url.parse().is_ok_and(|uri| is_usable(&uri)) {
            // Without what it is: it may hold a password.
            return Err(SettingError::new(
                "UPSTREAM_URL cannot be used; write http://host:port".to_owned(),
            ));
        }
        Ok(Self {
            base: url.trim_end_matches('/').to_owned(),
            timeout,
        })
    }

    /// The URL of the upstream for a request to the gateway: `/v1/gateway/items/7?x=1` goes to `/items/7?x=1` there. The
    /// path goes on as it was written, escapes included.
    ///
    /// # Errors
    /// [`Failure::PathNotFound`] for what is not written as a path of the gateway, whatever a router makes of it, and for
    /// an id that an upstream might take for a way out of its items.
    pub fn url(&self, path_and_query: &str) -> Result<String, Failure> {
        let rest = path_and_query.strip_prefix(path::GATEWAY);
        let id = rest.and_then(|rest| rest.strip_prefix("/items/"));
        let id = id.map(|id| id.split('?').next().unwrap_or_default());
        match (rest, id) {
            (Some(rest), Some(id)) if stays(id) => Ok(format!("{}{rest}", self.base)),
            _ => Err(Failure::PathNotFound),
        }
    }
}

/// Whether a part of a path names something below the part before it, however it is decoded.
fn stays(part: &str) -> bool {
    let lower = part.to_ascii_lowercase();
    let dots = lower.replace("%2e", ".");
    let separators = ["/", "\\", "%2f", "%5c", "%25"];
    !matches!(dots.as_str(), "" | "." | "..") && !separators.iter().any(|one| lower.contains(one))
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
            assert_eq!(url.unwrap(), expected);
        }
        for path in [
            "/v1/%67ateway/items/7",
            "/v1/gateway/items/",
            "/v1/gateway/items/.",
            "/v1/gateway/items/..?x=1",
            "/v1/gateway/items/%2E%2e",
            "/v1/gateway/items/..%2Fadmin",
            "/v1/gateway/items/..%5cadmin",
            "/v1/gateway/items/%252e%252e",
            "/items/7",
        ] {
            let url = upstream("http://up").unwrap().url(path);
            assert_eq!(url, Err(Failure::PathNotFound), "{path}");
        }
        let odd = "/v1/gateway/items/%C3%A9.7";
        assert!(upstream("http://up").unwrap().url(odd).is_ok());
        for bad in [
            "",
            "up:80",
            "https://up",
            "http://",
            "/items",
            "http://up?x=1",
            "http://user:password@up",
        ] {
            let error = upstream(bad).unwrap_err().to_string();
            assert!(error.starts_with("UPSTREAM_URL cannot"), "{bad}: {error}");
            assert!(!error.contains("password"), "{error}");
        }
    }
}
