//! The container engine of this machine: Docker, or podman, which answers as Docker does.

use std::collections::HashMap;
use std::env;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bollard::errors::Error;
use bollard::query_parameters::{
    CreateImageOptionsBuilder, ListContainersOptionsBuilder, RemoveContainerOptionsBuilder,
};
use bollard::{API_DEFAULT_VERSION, ClientVersion, Docker};
use futures_util::StreamExt as _;

use super::super::TargetError;
use super::owner::{self, Owner};
use crate::docker;
use crate::target_spec::{Image, TargetSpec};

/// How long an engine may take to say that it is there.
const PING_WITHIN: Duration = Duration::from_secs(5);

/// How long an engine may take for anything else: removing a large container on a busy disk takes seconds.
const ANSWER_WITHIN: Duration = Duration::from_secs(60);

/// The longest head of an answer that is read; an engine's has some 300 bytes.
const MOST_HEAD: u64 = 16 * 1024;

/// An engine that answers.
#[derive(Debug, Clone)]
pub struct Engine {
    pub(super) docker: Docker,
    socket: PathBuf,
    version: ClientVersion,
    /// Its name and version, for people.
    pub(super) name: String,
}

/// What an image is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ImageFacts {
    pub(super) id: String,
    pub(super) digest: Option<String>,
    pub(super) bytes: Option<u64>,
    pub(super) revision: Option<String>,
    pub(super) here: ImageHere,
}

/// When an image on this machine came to be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImageHere {
    /// When it was made, as RFC 3339, where it says so.
    pub created: Option<String>,
    /// When it last got its name on this machine, as RFC 3339: a build that finds every layer in its cache makes no new image,
    /// and says by this that the old one is of the newest sources.
    pub named: Option<String>,
}

/// No engine answers: where one was looked for, and what came of it.
#[derive(Debug, thiserror::Error)]
#[error("no container engine answers ({})", tried.join("; "))]
pub struct NoEngine {
    tried: Vec<String>,
}

impl NoEngine {
    /// The next step.
    pub const HINT: &'static str =
        "start Docker or podman, or name its socket: DOCKER_HOST=unix:///run/docker.sock";
}

impl Engine {
    /// The first that answers: where `DOCKER_HOST` says, or else Docker's or podman's usual sockets.
    ///
    /// # Errors
    /// None does.
    pub async fn find() -> Result<Self, NoEngine> {
        let mut tried = Vec::new();
        let sockets = sockets(
            env::var("DOCKER_HOST").ok().as_deref(),
            env::var("XDG_RUNTIME_DIR").ok().as_deref(),
        );
        match sockets {
            Ok(sockets) => {
                for socket in sockets {
                    match Self::at(&socket).await {
                        Ok(engine) => return Ok(engine),
                        Err(error) => tried.push(format!("{}: {error}", socket.display())),
                    }
                }
            }
            Err(problem) => tried.push(problem),
        }
        Err(NoEngine { tried })
    }

    /// Its name and version, for people.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    async fn at(socket: &Path) -> Result<Self, String> {
        let asked = socket.to_owned();
        let ping = move || ask(&asked, "GET", "/_ping", PING_WITHIN);
        let head = tokio::task::spawn_blocking(ping).await;
        let head = head.map_err(io::Error::other).flatten();
        let head = head.map_err(|error| error.kind().to_string())?;
        // Asked by a path with a version in it, an older engine would refuse to answer at all.
        let version = api_version(&head).ok_or("it is no container engine")?;
        let version = if version < *API_DEFAULT_VERSION {
            version
        } else {
            *API_DEFAULT_VERSION
        };
        let docker = Docker::connect_with_unix(
            &socket.display().to_string(),
            ANSWER_WITHIN.as_secs(),
            &version,
        );
        let docker = docker.map_err(|error| error.to_string())?;
        let about = docker.version().await.map_err(|error| in_words(&error))?;
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
            docker,
            socket: socket.to_owned(),
            version,
            name,
        })
    }

    /// The image, if it is here.
    ///
    /// # Errors
    /// The engine fails.
    pub async fn image(
        &self,
        spec: &TargetSpec,
        image: &Image,
    ) -> Result<Option<ImageHere>, TargetError> {
        match self.facts(spec, image).await {
            Ok(facts) => Ok(Some(facts.here)),
            Err(TargetError::NoImage { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// What the image is.
    pub(super) async fn facts(
        &self,
        spec: &TargetSpec,
        image: &Image,
    ) -> Result<ImageFacts, TargetError> {
        let found = match self.docker.inspect_image(&image.reference).await {
            Ok(found) => found,
            Err(Error::DockerResponseServerError {
                status_code: 404, ..
            }) => {
                return Err(TargetError::NoImage {
                    name: spec.name.clone(),
                    image: image.reference.clone(),
                });
            }
            Err(error) => return Err(failed(&spec.name, "look for the image", &error)),
        };
        let labels = found.config.and_then(|config| config.labels);
        Ok(ImageFacts {
            id: found.id.unwrap_or_default(),
            digest: found.repo_digests.unwrap_or_default().into_iter().next(),
            bytes: found.size.and_then(|bytes| u64::try_from(bytes).ok()),
            revision: labels
                .and_then(|mut labels| labels.remove("org.opencontainers.image.revision")),
            here: ImageHere {
                created: found.created.filter(|moment| is_known(moment)),
                named: found
                    .metadata
                    .and_then(|metadata| metadata.last_tag_time)
                    .filter(|moment| is_known(moment)),
            },
        })
    }

    /// Gets the image from its registry.
    ///
    /// # Errors
    /// The registry has none, or cannot be reached.
    pub async fn pull(&self, spec: &TargetSpec, image: &Image) -> Result<(), TargetError> {
        let named = image.reference.rsplit('/').next().unwrap_or_default();
        // Without a tag the engine would get every tag that there is.
        let reference = if named.contains([':', '@']) {
            image.reference.clone()
        } else {
            format!("{}:latest", image.reference)
        };
        let options = CreateImageOptionsBuilder::default()
            .from_image(&reference)
            .build();
        let mut steps = self.docker.create_image(Some(options), None, None);
        while let Some(step) = steps.next().await {
            step.map_err(|error| failed(&spec.name, "pull the image", &error))?;
        }
        Ok(())
    }

    /// Removes the containers whose owners are gone; how many there were.
    ///
    /// # Errors
    /// The engine fails.
    pub async fn sweep(&self) -> Result<usize, TargetError> {
        let failed = |error: &Error| failed("containers left behind", "sweep", error);
        let owner = Owner::this().map_err(|error| TargetError::Setup {
            name: "containers left behind".to_owned(),
            problem: error.to_string(),
        })?;
        let filters = HashMap::from([("label", vec![owner::TOOL])]);
        let options = ListContainersOptionsBuilder::default()
            .all(true)
            .filters(&filters)
            .build();
        let ours = self.docker.list_containers(Some(options)).await;
        let mut swept = 0;
        for container in ours.map_err(|error| failed(&error))? {
            let labels = container.labels.unwrap_or_default();
            let Some(id) = container
                .id
                .filter(|_| owner.outlives(&labels, owner::started))
            else {
                continue;
            };
            let options = RemoveContainerOptionsBuilder::default()
                .force(true)
                .v(true)
                .build();
            match self.docker.remove_container(&id, Some(options)).await {
                Ok(()) => swept += 1,
                // Somebody else sweeps too.
                Err(Error::DockerResponseServerError {
                    status_code: 404 | 409,
                    ..
                }) => {}
                Err(error) => return Err(failed(&error)),
            }
        }
        Ok(swept)
    }

    /// Kills and removes the container called `name` without a runtime, so that it can be done where nothing can be awaited.
    /// Whether it is gone.
    pub(super) fn remove_blocking(&self, name: &str) -> bool {
        let path = format!("/v{}/containers/{name}?force=true&v=true", self.version);
        ask(&self.socket, "DELETE", &path, ANSWER_WITHIN)
            .is_ok_and(|head| head.split(' ').nth(1) == Some("204"))
    }
}

/// What the engine could not do, and why.
pub(super) fn failed(name: &str, doing: &'static str, error: &Error) -> TargetError {
    TargetError::Engine {
        name: name.to_owned(),
        doing,
        failure: in_words(error),
    }
}

/// What the engine said, without what the library adds.
fn in_words(error: &Error) -> String {
    match error {
        Error::DockerResponseServerError { message, .. } => message.trim_end().to_owned(),
        error => error.to_string(),
    }
}

/// Where an engine may be: `host` is `DOCKER_HOST`, `runtime` the folder of the user's own sockets.
fn sockets(host: Option<&str>, runtime: Option<&str>) -> Result<Vec<PathBuf>, String> {
    docker::sockets(host, runtime).map_err(|host| {
        format!("DOCKER_HOST={host}: a target runs on this machine, where a unix:// socket is")
    })
}

/// Asks without a body, and returns the head of the answer.
fn ask(socket: &Path, method: &str, path: &str, within: Duration) -> io::Result<String> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(within))?;
    stream.set_write_timeout(Some(within))?;
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"
    )?;
    let mut answer = Vec::new();
    stream.take(MOST_HEAD).read_to_end(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

/// Whether a moment is more than what stands for none: Go's zero, or the epoch of a build that leaves time out.
fn is_known(moment: &str) -> bool {
    moment >= "2000"
}

/// The version that the head of an answer to `/_ping` names.
fn api_version(head: &str) -> Option<ClientVersion> {
    let named = |line: &str| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("api-version")
            .then(|| value.trim().to_owned())
    };
    let version = head.lines().find_map(named)?;
    let (major, minor) = version.split_once('.')?;
    Some(ClientVersion {
        major_version: major.parse().ok()?,
        minor_version: minor.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_in_the_head_of_a_ping() {
        let version = |head: &str| api_version(head).map(|version| version.to_string());
        let docker = "HTTP/1.1 200 OK\r\nApi-Version: 1.41\r\nDocker-Experimental: false\r\n\r\nOK";
        assert_eq!(version(docker).as_deref(), Some("1.41"));
        let podman = "HTTP/1.1 200 OK\r\nlibpod-api-version: 4.3.1\r\napi-version: 1.41\r\n\r\nOK";
        assert_eq!(version(podman).as_deref(), Some("1.41"));
        assert_eq!(version("HTTP/1.1 200 OK\r\n\r\n"), None);
        assert_eq!(version("HTTP/1.1 200 OK\r\nApi-Version: new\r\n\r\n"), None);
    }

    #[test]
    fn an_engine_is_looked_for_where_it_may_be() {
        let found = |host, runtime| {
            sockets(host, runtime).map(|sockets| {
                let sockets = sockets.iter().map(|path| path.display().to_string());
                sockets.collect::<Vec<_>>().join(" ")
            })
        };
        assert_eq!(found(Some("unix:///a.sock"), None).unwrap(), "/a.sock");
        assert_eq!(
            found(Some(""), Some("/run/user/1")).unwrap(),
            "/var/run/docker.sock /run/user/1/podman/podman.sock /run/podman/podman.sock"
        );
        let problem = found(Some("tcp://10.0.0.1:2375"), None).unwrap_err();
        assert!(problem.contains("tcp://10.0.0.1:2375"), "{problem}");
    }

    #[test]
    fn what_is_no_engine_is_not_taken_for_one() {
        let folder = tempfile::tempdir().unwrap();
        let missing = ask(&folder.path().join("none"), "GET", "/_ping", PING_WITHIN);
        assert_eq!(missing.unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
