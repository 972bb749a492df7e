//! Another place to connect to than the one a URL names.

use std::str::FromStr;

use thiserror::Error;

use super::url::is_host;

/// `--connect-to` as curl has it: `HOST1:PORT1:HOST2:PORT2` reaches `HOST1:PORT1` at `HOST2:PORT2`. What the target is
/// called, in its certificate and in the `host` header, stays as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectTo {
    /// Any host and any port where nothing is said.
    from: (Option<String>, Option<u16>),
    /// The same host and port where nothing is said.
    to: (Option<String>, Option<u16>),
}

/// A text that does not say where to connect to.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "write HOST:PORT:HOST2:PORT2, such as example.com:443:127.0.0.1:8443; an empty part is any, or the same"
)]
pub struct ConnectToError;

impl ConnectTo {
    /// Where to connect to for `port` of `host`: as the first of `rules` says that speaks of it.
    #[must_use]
    pub fn place(rules: &[Self], host: &str, port: u16) -> (String, u16) {
        let speaks = |rule: &&Self| {
            let (host_from, port_from) = &rule.from;
            let mut host_from = host_from.iter();
            host_from.all(|from| from.eq_ignore_ascii_case(host))
                && port_from.is_none_or(|from| from == port)
        };
        let to = rules.iter().find(speaks).map(|rule| rule.to.clone());
        let (host_to, port_to) = to.unwrap_or_default();
        (
            host_to.unwrap_or_else(|| host.to_owned()),
            port_to.unwrap_or(port),
        )
    }
}

impl FromStr for ConnectTo {
    type Err = ConnectToError;

    fn from_str(text: &str) -> Result<Self, ConnectToError> {
        let (from, rest) = place(text)?;
        let (to, rest) = place(rest.strip_prefix(':').ok_or(ConnectToError)?)?;
        if rest.is_empty() {
            Ok(Self { from, to })
        } else {
            Err(ConnectToError)
        }
    }
}

type Place = (Option<String>, Option<u16>);

/// `HOST:PORT` at the beginning of `text`, an IPv6 address in brackets, and what follows.
fn place(text: &str) -> Result<(Place, &str), ConnectToError> {
    let (host, rest) = match text.strip_prefix('[') {
        Some(rest) => rest.split_once(']').ok_or(ConnectToError)?,
        None => text.split_at(text.find(':').ok_or(ConnectToError)?),
    };
    let rest = rest.strip_prefix(':').ok_or(ConnectToError)?;
    let (port, rest) = rest.split_at(rest.find(':').unwrap_or(rest.len()));
    if !host.is_empty() && !is_host(host) {
        return Err(ConnectToError);
    }
    let port = match port {
        "" => None,
        digits if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            let number = digits.parse().ok().filter(|&number| number > 0);
            Some(number.ok_or(ConnectToError)?)
        }
        _ => return Err(ConnectToError),
    };
    let host = (!host.is_empty()).then(|| host.to_owned());
    Ok(((host, port), rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place_of(rules: &[&str], host: &str, port: u16) -> String {
        let rules: Vec<ConnectTo> = rules.iter().map(|rule| rule.parse().unwrap()).collect();
        let (host, port) = ConnectTo::place(&rules, host, port);
        format!("{host} {port}")
    }

    #[test]
    fn the_first_rule_that_speaks_of_a_place_moves_it() {
        for (rules, place) in [
            (&["a.com:443:127.0.0.1:8443"][..], "127.0.0.1 8443"),
            (&["A.com:443:b.com:80"], "b.com 80"),
            (&["a.com:80:b.com:80"], "a.com 443"),
            (&["x.com:443:b.com:80"], "a.com 443"),
            (&["::127.0.0.1:8443"], "127.0.0.1 8443"),
            (&["a.com::b.com:"], "b.com 443"),
            (&[":443::8443"], "a.com 8443"),
            (&["a.com:443:[::1]:8443"], "::1 8443"),
            (&["a.com:443:b.com:1", "a.com:443:b.com:2"], "b.com 1"),
            (&["x.com:443:b.com:1", ":::2"], "a.com 2"),
        ] {
            assert_eq!(place_of(rules, "a.com", 443), place, "{rules:?}");
        }
        assert_eq!(place_of(&["[::1]:80:b.com:81"], "::1", 80), "b.com 81");
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            "",
            "a.com",
            "a.com:443",
            "a.com:443:b.com",
            "a.com:443:b.com:80:",
            "a.com:0:b.com:80",
            "a.com:+1:b.com:80",
            "a.com:70000:b.com:80",
            "a b:443:b.com:80",
            "[::1:443:b.com:80",
        ] {
            assert_eq!(text.parse::<ConnectTo>(), Err(ConnectToError), "{text}");
        }
    }
}
