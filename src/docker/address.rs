//! Where container engines listen.

use std::env;
use std::fmt;
use std::path::PathBuf;

use url::Url;

/// The port that Docker's own client takes where `tcp://HOST` names none.
const USUAL_PORT: u16 = 2375;

/// Where an engine listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// A Unix socket: of this machine, or forwarded from another.
    Socket(PathBuf),
    /// A port. Its containers count as another machine's.
    Tcp {
        /// A name or an address, without brackets.
        host: String,
        /// The port.
        port: u16,
    },
}

/// A `DOCKER_HOST` that tailmark cannot reach.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HostError {
    /// By another way than the two that tailmark knows.
    #[error("DOCKER_HOST is {0}: an engine is reached at unix://… or tcp://… alone")]
    Way(String),
    /// By TLS.
    #[error("DOCKER_HOST is {0}, with DOCKER_TLS_VERIFY: TLS is not spoken with an engine")]
    Tls(String),
}

impl HostError {
    /// The next step.
    pub const HINT: &'static str = "forward its socket: ssh -nNT -L /tmp/engine.sock:/var/run/docker.sock USER@HOST, then \
         DOCKER_HOST=unix:///tmp/engine.sock";
}

impl Address {
    /// Where an engine may be: where `DOCKER_HOST` says, or else at the usual sockets of Docker, of the user's podman and of the
    /// system's.
    ///
    /// # Errors
    /// When `DOCKER_HOST` says what tailmark does not know.
    pub fn of_environment() -> Result<Vec<Self>, HostError> {
        Self::all(|name| env::var(name).ok())
    }

    /// As [`Address::of_environment`], where `variable` tells the variables.
    fn all(variable: impl Fn(&str) -> Option<String>) -> Result<Vec<Self>, HostError> {
        let set = |name: &str| variable(name).filter(|value| !value.is_empty());
        let Some(host) = set("DOCKER_HOST") else {
            let own = set("XDG_RUNTIME_DIR");
            let own = own.map(|folder| PathBuf::from(folder).join("podman/podman.sock"));
            let docker = PathBuf::from("/var/run/docker.sock");
            let podman = PathBuf::from("/run/podman/podman.sock");
            let sockets = [Some(docker), own, Some(podman)].into_iter().flatten();
            return Ok(sockets.map(Self::Socket).collect());
        };
        if let Some(path) = host.strip_prefix("unix://") {
            return Ok(vec![Self::Socket(path.into())]);
        }
        match tcp(&host) {
            Some(_) if set("DOCKER_TLS_VERIFY").is_some() => Err(HostError::Tls(host)),
            Some(address) => Ok(vec![address]),
            None => Err(HostError::Way(host)),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Socket(path) => write!(f, "{}", path.display()),
            Self::Tcp { host, port } if host.contains(':') => write!(f, "tcp://[{host}]:{port}"),
            Self::Tcp { host, port } => write!(f, "tcp://{host}:{port}"),
        }
    }
}

/// `tcp://HOST:PORT`.
fn tcp(text: &str) -> Option<Address> {
    let url = Url::parse(text).ok().filter(|url| url.scheme() == "tcp")?;
    let host = url.host_str()?.trim_matches(['[', ']']).to_owned();
    let plain = url.username().is_empty() && matches!(url.path(), "" | "/");
    (plain && !host.is_empty()).then(|| Address::Tcp {
        host,
        port: url.port().unwrap_or(USUAL_PORT),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where an engine is looked for by these variables.
    fn found(variables: &[(&str, &str)]) -> Result<String, HostError> {
        let addresses = Address::all(|name| {
            let mut set = variables.iter();
            let (_, value) = set.find(|(other, _)| *other == name)?;
            Some((*value).to_owned())
        });
        let words = addresses?
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>();
        Ok(words.join(" "))
    }

    #[test]
    fn an_engine_is_looked_for_where_it_may_be() {
        let usual = [("DOCKER_HOST", ""), ("XDG_RUNTIME_DIR", "/run/user/1")];
        assert_eq!(
            found(&usual).unwrap(),
            "/var/run/docker.sock /run/user/1/podman/podman.sock /run/podman/podman.sock"
        );
        assert_eq!(
            found(&[]).unwrap(),
            "/var/run/docker.sock /run/podman/podman.sock"
        );
        for (host, expected) in [
            ("unix:///a.sock", "/a.sock"),
            ("tcp://10.0.0.1:2376", "tcp://10.0.0.1:2376"),
            ("tcp://build", "tcp://build:2375"),
            ("tcp://[::1]:4000/", "tcp://[::1]:4000"),
        ] {
            assert_eq!(found(&[("DOCKER_HOST", host)]).unwrap(), expected);
        }
    }

    #[test]
    fn what_cannot_be_reached_is_named() {
        for host in [
            "ssh://me@host",
            "fd://",
            "tcp://",
            "tcp://a:b",
            "tcp://a/b",
            "a:1",
        ] {
            let error = found(&[("DOCKER_HOST", host)]).unwrap_err();
            assert_eq!(error, HostError::Way(host.to_owned()), "{host}");
        }
        let secured = [("DOCKER_HOST", "tcp://a:2376"), ("DOCKER_TLS_VERIFY", "1")];
        assert_eq!(
            found(&secured).unwrap_err(),
            HostError::Tls("tcp://a:2376".to_owned())
        );
    }
}
