//! The URL of a service that runs already.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use http::uri::PathAndQuery;
use thiserror::Error;

/// Where a service is reached: `http://host:port/path?query`, or `https://…`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TargetUrl {
    secure: bool,
    host: String,
    port: u16,
    path_and_query: String,
}

impl TargetUrl {
    /// The root of a service at `host` and `port`, without TLS.
    ///
    /// # Errors
    /// `host` cannot be a host.
    pub fn of(host: &str, port: u16) -> Result<Self, UrlError> {
        if !is_host(host) {
            return Err(UrlError::Host(host.to_owned()));
        }
        Ok(Self {
            secure: false,
            host: host.to_owned(),
            port,
            path_and_query: "/".to_owned(),
        })
    }

    /// Whether it is reached by TLS.
    #[must_use]
    pub fn is_secure(&self) -> bool {
        self.secure
    }

    /// A name or an address; an IPv6 address without its brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Whether it is on this machine by what it says: a name may lead here too.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        let address = self.host.parse::<IpAddr>();
        self.host.eq_ignore_ascii_case("localhost")
            || address.is_ok_and(|address| address.is_loopback())
    }

    /// The port; 80, or 443 for `https`, if none was written.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Path and query, beginning with `/`, as written.
    #[must_use]
    pub fn path_and_query(&self) -> &str {
        &self.path_and_query
    }

    /// `host:port`, an IPv6 address in brackets.
    #[must_use]
    pub fn authority(&self) -> String {
        format!("{}:{}", self.host_in_url(), self.port)
    }

    /// What a `host` header says: the authority, without the port that goes without saying.
    #[must_use]
    pub fn host_header(&self) -> String {
        if self.port == usual_port(self.secure) {
            self.host_in_url()
        } else {
            self.authority()
        }
    }

    fn host_in_url(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]", self.host)
        } else {
            self.host.clone()
        }
    }

    fn scheme(&self) -> &'static str {
        if self.secure { "https" } else { "http" }
    }

    /// The URL without path: what a scenario is replayed against.
    #[must_use]
    pub fn root(&self) -> Self {
        Self {
            path_and_query: "/".to_owned(),
            ..self.clone()
        }
    }
}

impl FromStr for TargetUrl {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Self, UrlError> {
        let (secure, rest) = match text.split_once("://") {
            Some(("http", rest)) => (false, rest),
            Some(("https", rest)) => (true, rest),
            Some((scheme, _)) => return Err(UrlError::Scheme(scheme.to_owned())),
            None => return Err(UrlError::NoScheme(text.to_owned())),
        };
        if rest.contains('#') {
            return Err(UrlError::Fragment);
        }
        let path_at = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(path_at);
        if authority.contains('@') {
            return Err(UrlError::Userinfo);
        }
        let (host, port) = split_authority(authority, usual_port(secure))?;
        // The host may stand without a path before its query (RFC 3986, section 6.2.3).
        let path = if path.starts_with('/') {
            path.to_owned()
        } else {
            format!("/{path}")
        };
        if !path.contains("${")
            && (path.contains(|c: char| !c.is_ascii_graphic())
                || PathAndQuery::from_str(&path).is_err())
        {
            return Err(UrlError::Path(path));
        }
        Ok(Self {
            secure,
            path_and_query: path,
            ..Self::of(host, port)?
        })
    }
}

impl fmt::Display for TargetUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scheme, host, path) = (self.scheme(), self.host_header(), &self.path_and_query);
        write!(f, "{scheme}://{host}{path}")
    }
}

/// A text that is no URL of a service.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum UrlError {
    /// No scheme at all.
    #[error("`{0}` is not a URL")]
    NoScheme(String),
    /// Neither http nor https.
    #[error("`{0}` is not a scheme that tailmark speaks")]
    Scheme(String),
    /// `user:password@`.
    #[error("a user in a URL is not sent")]
    Userinfo,
    /// `#…`.
    #[error("a fragment (`#…`) is never sent")]
    Fragment,
    /// No name, and no address.
    #[error("`{0}` is not a host")]
    Host(String),
    /// No port from 1 to 65,535.
    #[error("`{0}` is not a port")]
    Port(String),
    /// No path or query.
    #[error("`{0}` is not a path")]
    Path(String),
}

impl UrlError {
    /// The next step, where there is one.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NoScheme(text) if text.is_empty() => None,
            Self::NoScheme(text) => Some(format!("add http://: http://{text}")),
            Self::Scheme(_) => Some("write http:// or https://".to_owned()),
            Self::Userinfo => Some("send an `authorization` header instead".to_owned()),
            Self::Path(_) => Some("percent-encode what is neither a letter nor a digit".to_owned()),
            Self::Fragment | Self::Host(_) | Self::Port(_) => None,
        }
    }
}

/// The port of a URL without one.
fn usual_port(secure: bool) -> u16 {
    if secure { 443 } else { 80 }
}

fn split_authority(authority: &str, usual: u16) -> Result<(&str, u16), UrlError> {
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let Some((host, after)) = rest.split_once(']') else {
                return Err(UrlError::Host(authority.to_owned()));
            };
            match after.strip_prefix(':') {
                Some(port) => (host, Some(port)),
                None if after.is_empty() => (host, None),
                None => return Err(UrlError::Host(authority.to_owned())),
            }
        }
        None => match authority.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        },
    };
    let Some(port) = port else {
        return Ok((host, usual));
    };
    let digits = port.bytes().all(|byte| byte.is_ascii_digit());
    match port.parse() {
        Ok(number) if number > 0 && digits => Ok((host, number)),
        _ => Err(UrlError::Port(port.to_owned())),
    }
}

/// Whether `host` is an address or could be a name (RFC 1123, and underscores, which resolvers accept).
pub(super) fn is_host(host: &str) -> bool {
    let name = !host.is_empty()
        && host.len() <= 253
        && host
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_'));
    name || host.parse::<std::net::Ipv6Addr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_print_as_they_read() {
        for (text, expected) in [
            (
                "http://127.0.0.1:8080/items/1?a=b",
                Ok("http://127.0.0.1:8080/items/1?a=b"),
            ),
            ("http://localhost", Ok("http://localhost/")),
            ("http://localhost:80/", Ok("http://localhost/")),
            ("http://localhost?x", Ok("http://localhost/?x")),
            ("http://[::1]:8080", Ok("http://[::1]:8080/")),
            ("http://[::1]", Ok("http://[::1]/")),
            (
                "http://h/${random.int(1, 5)}",
                Ok("http://h/${random.int(1, 5)}"),
            ),
            ("127.0.0.1:8080", Err("`127.0.0.1:8080` is not a URL")),
            ("https://x", Ok("https://x/")),
            ("https://x:443/a", Ok("https://x/a")),
            ("https://[::1]:80/a", Ok("https://[::1]:80/a")),
            ("http://x:443", Ok("http://x:443/")),
            ("ftp://x", Err("`ftp` is not a scheme that tailmark speaks")),
            ("http://u:p@x", Err("a user in a URL is not sent")),
            ("http://x/#top", Err("a fragment (`#…`) is never sent")),
            ("http://", Err("`` is not a host")),
            ("http://a b/", Err("`a b` is not a host")),
            ("http://[::1", Err("`[::1` is not a host")),
            ("http://[::1]x", Err("`[::1]x` is not a host")),
            ("http://x:0", Err("`0` is not a port")),
            ("http://x:70000", Err("`70000` is not a port")),
            ("http://x:+80", Err("`+80` is not a port")),
            ("http://x:", Err("`` is not a port")),
            ("http://x/a b", Err("`/a b` is not a path")),
        ] {
            let seen = text
                .parse::<TargetUrl>()
                .map(|url| url.to_string())
                .map_err(|error| error.to_string());
            assert_eq!(seen.as_deref().map_err(String::as_str), expected, "{text}");
        }
    }
}
