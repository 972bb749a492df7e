//! An engine that answers.

use std::time::Duration;

use bollard::errors::Error;
use bollard::query_parameters::RemoveContainerOptionsBuilder;
use bollard::{API_DEFAULT_VERSION, ClientVersion, Docker};

use super::{Address, HostError};

/// How long an engine may take to say that it is there.
const FIRST_WITHIN: Duration = Duration::from_secs(5);

/// How long an engine may take for anything else: removing a large container on a busy disk takes seconds.
const ANSWER_WITHIN: Duration = Duration::from_secs(60);

/// An engine that answers.
#[derive(Debug, Clone)]
pub struct Engine {
    client: Docker,
    address: Address,
    name: String,
}

/// No engine answers.
#[derive(Debug, Clone, thiserror::Error)]
pub enum NoEngine {
    /// It cannot be reached from here.
    #[error(transparent)]
    Host(#[from] HostError),
    /// Where one was looked for, and what came of it.
    #[error("no container engine answers ({})", .0.join("; "))]
    Silent(Vec<String>),
}

impl NoEngine {
    /// The next step.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Host(_) => HostError::HINT,
            Self::Silent(_) => {
                "start Docker or podman, or name its socket: DOCKER_HOST=unix:///run/docker.sock"
            }
        }
    }
}

impl Engine {
    /// The first that answers: where `DOCKER_HOST` says, or else Docker's or podman's usual sockets.
    ///
    /// # Errors
    /// None does.
    pub async fn find() -> Result<Self, NoEngine> {
        let mut tried = Vec::new();
        for address in Address::of_environment()? {
            match Self::at(&address).await {
                Ok(engine) => return Ok(engine),
                Err(error) => tried.push(format!("{address}: {error}")),
            }
        }
        Err(NoEngine::Silent(tried))
    }

    /// The engine at `address`; or, in words, why there is none.
    pub(super) async fn at(address: &Address) -> Result<Self, String> {
        let asked = client(address, API_DEFAULT_VERSION)?;
        let about = tokio::time::timeout(FIRST_WITHIN, asked.version()).await;
        let about = about.map_err(|_| "no answer")?;
        let about = about.map_err(|error| in_words(&error))?;
        let version = about.api_version.as_deref().and_then(api_version);
        let version = version.ok_or("it is no container engine")?;
        let component = about.components.unwrap_or_default().into_iter().next();
        // Docker calls its own part of itself so, and podman is more to the point.
        let name = match component {
            Some(component) if component.name != "Engine" => component.name,
            _ => "Docker Engine".to_owned(),
        };
        let name = match about.version {
            Some(version) => format!("{name} {version}"),
            None => name,
        };
        Ok(Self {
            client: client(address, &version)?,
            address: address.clone(),
            name,
        })
    }

    /// Its name and version, for people.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// What it is spoken to by.
    pub(crate) fn client(&self) -> &Docker {
        &self.client
    }

    /// Kills and removes the container called `name`, with what it has stored.
    pub(crate) async fn remove(&self, name: &str) -> Result<(), Error> {
        let options = RemoveContainerOptionsBuilder::default()
            .force(true)
            .v(true)
            .build();
        self.client.remove_container(name, Some(options)).await
    }

    /// The same where nothing can be awaited. Whether there was one, and it is gone.
    pub(crate) fn remove_blocking(&self, name: &str) -> bool {
        let (engine, name) = (self.clone(), name.to_owned());
        // A runtime cannot be entered from within another one, so this one gets a thread of its own.
        let removal = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build();
            runtime.is_ok_and(|runtime| runtime.block_on(engine.remove(&name)).is_ok())
        });
        removal.join().unwrap_or(false)
    }
}

/// What speaks to the engine at `address`, by the older of this version and the library's own.
fn client(address: &Address, version: &ClientVersion) -> Result<Docker, String> {
    let (place, within) = (address.to_string(), ANSWER_WITHIN.as_secs());
    let version = if version < API_DEFAULT_VERSION {
        version
    } else {
        API_DEFAULT_VERSION
    };
    let client = match address {
        Address::Socket(_) => Docker::connect_with_unix(&place, within, version),
        Address::Tcp { .. } => Docker::connect_with_http(&place, within, version),
    };
    client.map_err(|error| in_words(&error))
}

/// What the engine said, or the system, without what the library adds.
pub(crate) fn in_words(error: &Error) -> String {
    match error {
        Error::DockerResponseServerError { message, .. } => message.trim_end().to_owned(),
        Error::SocketNotFoundError(_) => "there is no such socket".to_owned(),
        error => {
            let causes = std::iter::successors(Some(error as &dyn std::error::Error), |cause| {
                cause.source()
            });
            causes.last().unwrap_or(error).to_string()
        }
    }
}

/// A version such as `1.41`.
fn api_version(text: &str) -> Option<ClientVersion> {
    let (major, minor) = text.split_once('.')?;
    Some(ClientVersion {
        major_version: major.parse().ok()?,
        minor_version: minor.parse().ok()?,
    })
}
