//! Which headers a gateway passes on (RFC 9110, section 7.6.1).

use crate::header;

/// Headers that concern one connection, whether or not `Connection` names them.
const HOP_BY_HOP: [&str; 9] = [
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Headers of a request that the gateway speaks itself: its client frames the body anew, the body has been asked for
/// already, and the token was for the gateway.
const OWN: [&str; 4] = ["content-length", "expect", "host", header::AUTHORIZATION];

/// What the gateway adds to a request under `via` (RFC 9110, section 7.6.3), after what others have added.
pub const VIA: &str = "1.1 tailmark";

/// Tells which headers of one message go on.
#[derive(Debug)]
pub struct Forwarded {
    /// In lower case.
    named: Vec<String>,
}

impl Forwarded {
    /// For a message whose `Connection` headers have these values.
    #[must_use]
    pub fn of<'a>(connection: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut named = Vec::new();
        for value in connection {
            let names = value.split(|byte| *byte == b',');
            let names = names.map(|name| String::from_utf8_lossy(name.trim_ascii()).into_owned());
            named.extend(names.map(|name| name.to_ascii_lowercase()));
        }
        Self { named }
    }

    /// Whether a header of a request goes on to the upstream; `name` is in lower case.
    #[must_use]
    pub fn request(&self, name: &str) -> bool {
        self.is_end_to_end(name) && !OWN.contains(&name)
    }

    /// Whether a header of an answer goes back to the client; `name` is in lower case. Its length does not: the service
    /// sends the body that it holds.
    #[must_use]
    pub fn response(&self, name: &str) -> bool {
        self.is_end_to_end(name) && name != "content-length"
    }

    fn is_end_to_end(&self, name: &str) -> bool {
        !HOP_BY_HOP.contains(&name) && !self.named.iter().any(|named| named == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_concerns_one_connection_stays_there() {
        let forwarded = Forwarded::of([&b"close, X-Hop"[..], b"x-other"]);
        for name in ["connection", "te", "upgrade", "x-hop", "x-other", "close"] {
            assert!(!forwarded.request(name), "{name}");
            assert!(!forwarded.response(name), "{name}");
        }
        for name in ["accept", "via", "x-end", "date"] {
            assert!(forwarded.request(name), "{name}");
            assert!(forwarded.response(name), "{name}");
        }
        for name in ["authorization", "host", "content-length", "expect"] {
            assert!(!forwarded.request(name), "{name}");
        }
        assert!(Forwarded::of([]).request("x-hop"));
    }
}
