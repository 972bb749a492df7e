//! A container that runs, whoever started it.

use std::fs;

use bollard::errors::Error;
use bollard::models::{ContainerInspectResponse, HostConfig};
use bollard::query_parameters::InspectContainerOptions;

use super::{Address, Engine, NoEngine, in_words};
use crate::target_spec::Watch;

/// The kernel's period of CPU quotas where none is chosen, in microseconds.
const USUAL_PERIOD: i64 = 100_000;

/// A container that runs, and the engine that has it.
#[derive(Debug, Clone)]
pub struct Running {
    engine: Engine,
    id: String,
    name: String,
    process: Option<u32>,
    limits: Limits,
    /// Whether the kernel had killed a process of it for want of memory before.
    was_killed: bool,
}

/// What a container may use.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Limits {
    /// Memory in bytes.
    pub memory: Option<u64>,
    /// CPUs.
    pub cpus: Option<f64>,
}

/// Why a container is not known.
#[derive(Debug, thiserror::Error)]
pub enum DockerError {
    /// Nothing that could be a container's name.
    #[error("`{0}` is no name of a container: those have letters, digits, `_`, `.` and `-`")]
    Name(String),
    /// No engine answers.
    #[error(transparent)]
    NoEngine(#[from] NoEngine),
    /// No engine has it.
    #[error("there is no container `{name}` ({asked})")]
    NoContainer {
        /// Its name.
        name: String,
        /// What the engines said.
        asked: String,
    },
    /// It is there, and has no process.
    #[error("container `{name}` does not run: it is {status}")]
    NotRunning {
        /// Its name.
        name: String,
        /// What the engine calls its state.
        status: String,
    },
    /// The engine failed.
    #[error("{address} says: {failure}")]
    Failed {
        /// Where it listens.
        address: String,
        /// What it said.
        failure: String,
    },
}

impl DockerError {
    /// The next step, where there is one.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::NoEngine(none) => Some(none.hint()),
            Self::NoContainer { .. } | Self::Name(_) => {
                Some("`docker ps` or `podman ps` lists those that run")
            }
            Self::NotRunning { .. } => Some("start it first"),
            Self::Failed { .. } => None,
        }
    }
}

/// The container called `name` (or by its id, or the beginning of one). Engines are asked in turn, as [`Engine::find`] looks for
/// them.
///
/// # Errors
/// When no engine answers or none has the container, or it does not run.
pub async fn running(name: &str) -> Result<Running, DockerError> {
    let addresses = Address::of_environment().map_err(NoEngine::from)?;
    running_by(&addresses, name).await
}

async fn running_by(addresses: &[Address], name: &str) -> Result<Running, DockerError> {
    if !Watch::is_container(name) {
        return Err(DockerError::Name(name.to_owned()));
    }
    let (mut tried, mut asked) = (Vec::new(), Vec::new());
    for address in addresses {
        let engine = match Engine::at(address).await {
            Ok(engine) => engine,
            Err(error) => {
                tried.push(format!("{address}: {error}"));
                continue;
            }
        };
        let client = engine.client();
        let inspected = client.inspect_container(name, None::<InspectContainerOptions>);
        match inspected.await {
            Ok(seen) => return Running::of(&engine, name, &seen),
            Err(Error::DockerResponseServerError {
                status_code: 404,
                message,
            }) => asked.push(format!("{address}: {}", message.trim_end())),
            Err(error) => {
                return Err(DockerError::Failed {
                    address: address.to_string(),
                    failure: in_words(&error),
                });
            }
        }
    }
    if asked.is_empty() {
        return Err(NoEngine::Silent(tried).into());
    }
    Err(DockerError::NoContainer {
        name: name.to_owned(),
        asked: asked.join("; "),
    })
}

impl Running {
    /// The container that `seen` describes, if it runs.
    pub(crate) fn of(
        engine: &Engine,
        name: &str,
        seen: &ContainerInspectResponse,
    ) -> Result<Self, DockerError> {
        let state = seen.state.as_ref();
        let pid = state.and_then(|state| u32::try_from(state.pid?).ok());
        let Some(pid) = pid.filter(|&pid| pid > 0) else {
            let status = state.and_then(|state| state.status);
            return Err(DockerError::NotRunning {
                name: name.to_owned(),
                status: status.map_or("not running".to_owned(), |status| status.to_string()),
            });
        };
        let id = seen.id.clone().unwrap_or_default();
        let groups = || fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
        let here = matches!(engine.address(), Address::Socket(_)) && names(&groups(), &id);
        Ok(Self {
            engine: engine.clone(),
            id,
            name: name.to_owned(),
            process: here.then_some(pid),
            limits: Limits::of(seen),
            was_killed: state.is_some_and(|state| state.oom_killed == Some(true)),
        })
    }

    /// What it was asked for by.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The engine's own name of it.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The engine that has it.
    #[must_use]
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// What it may use, as it was made.
    #[must_use]
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// Whether the kernel has killed a process of it for want of memory since it was found; none where the engine cannot tell any
    /// more, since the container was removed.
    pub async fn out_of_memory(&self) -> Option<bool> {
        let client = self.engine.client();
        let seen = client.inspect_container(&self.id, None::<InspectContainerOptions>);
        let state = seen.await.ok()?.state?;
        Some(state.oom_killed? && !self.was_killed)
    }

    /// Its main process, as this machine numbers it; none where its processes cannot be seen from here: the engine is reached by
    /// a port, or runs its containers on another machine or out of sight of this process.
    #[must_use]
    pub fn process(&self) -> Option<u32> {
        self.process
    }
}

impl Limits {
    fn of(seen: &ContainerInspectResponse) -> Self {
        let host = seen.host_config.as_ref();
        // None is said by nothing or by 0, and of some by -1.
        let number = |of: fn(&HostConfig) -> Option<i64>| host.and_then(of).filter(|&n| n > 0);
        let quota = number(|host| host.cpu_quota).map(|quota| {
            let period = number(|host| host.cpu_period);
            quota as f64 / period.unwrap_or(USUAL_PERIOD) as f64
        });
        Self {
            memory: number(|host| host.memory).and_then(|bytes| u64::try_from(bytes).ok()),
            cpus: number(|host| host.nano_cpus)
                .map(|nano| nano as f64 / 1e9)
                .or(quota),
        }
    }
}

/// Whether the control groups of a process are those of the container `id`: its number may be another process's here.
fn names(groups: &str, id: &str) -> bool {
    !id.is_empty() && groups.contains(id)
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;
    use std::os::unix::net::UnixListener;
    use std::path::{Path, PathBuf};
    use std::thread;

    use super::*;

    const VERSION: &str = r#"{"Version":"20.10.24","ApiVersion":"1.41","Components":[{"Name":"Engine","Version":"20.10.24"}]}"#;

    /// What an engine answers to a request, which tells of the container `svc` by `inspected`, a status and a body.
    fn answer(asked: &str, inspected: (&str, &str)) -> String {
        let path = asked.split(' ').nth(1).unwrap_or_default();
        let (status, body) = match path {
            path if path.ends_with("/version") => ("200 OK", VERSION),
            path if path.ends_with("/containers/svc/json") => inspected,
            path => panic!("{path} is not asked for"),
        };
        let length = body.len();
        format!(
            "HTTP/1.1 {status}\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
        )
    }

    /// An engine of which two things are asked, one after the other.
    fn engine(folder: &Path, name: &str, inspected: (&'static str, &'static str)) -> Address {
        let socket = folder.join(name);
        let listener = UnixListener::bind(&socket).unwrap();
        thread::spawn(move || {
            for _ in 0..2 {
                let (mut stream, _) = listener.accept().unwrap();
                let mut asked = [0; 1024];
                let length = stream.read(&mut asked).unwrap();
                let asked = String::from_utf8_lossy(&asked[..length]);
                let answer = answer(&asked, inspected);
                stream.write_all(answer.as_bytes()).unwrap();
            }
        });
        Address::Socket(socket)
    }

    const RUNNING: (&str, &str) = (
        "200 OK",
        r#"{"Id":"f0c5f1f5d3a1","State":{"Status":"running","Pid":1}}"#,
    );
    const EXITED: (&str, &str) = (
        "200 OK",
        r#"{"Id":"f0","State":{"Status":"exited","Pid":0}}"#,
    );
    const MISSING: (&str, &str) = ("404 Not Found", r#"{"message":"No such container: svc"}"#);

    #[tokio::test]
    async fn the_first_engine_that_has_it_is_taken() {
        let folder = tempfile::tempdir().unwrap();
        let nobody = Address::Socket(folder.path().join("nobody"));
        let without = engine(folder.path(), "without", MISSING);
        let with = engine(folder.path(), "with", RUNNING);
        let container = running_by(&[nobody, without, with.clone()], "svc").await;
        let container = container.unwrap();
        assert_eq!(container.engine().address(), &with);
        assert_eq!(container.engine().name(), "Docker Engine 20.10.24");
        // There is a process 1 here too, and it is not the container's.
        assert_eq!(container.process(), None);
    }

    #[tokio::test]
    async fn what_is_wrong_is_said_with_what_the_engine_said() {
        for (inspected, expected) in [
            (EXITED, "container `svc` does not run: it is exited"),
            (
                MISSING,
                "there is no container `svc` (SOCKET: No such container: svc)",
            ),
            (
                (
                    "500 Internal Server Error",
                    r#"{"message":"the disk is full"}"#,
                ),
                "SOCKET says: the disk is full",
            ),
            (
                ("200 OK", "{}"),
                "container `svc` does not run: it is not running",
            ),
        ] {
            let folder = tempfile::tempdir().unwrap();
            let address = engine(folder.path(), "engine", inspected);
            let error = running_by(std::slice::from_ref(&address), "svc").await;
            let words = error.unwrap_err().to_string();
            assert_eq!(words.replace(&address.to_string(), "SOCKET"), expected);
        }
    }

    #[tokio::test]
    async fn what_answers_otherwise_is_no_engine() {
        for answer in [
            "SSH-2.0",
            "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}",
            "HTTP/1.1 200 OK\r\ncontent-length: 20\r\n\r\n{\"ApiVersion\":\"new\"}",
        ] {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let address = Address::Tcp {
                host: "127.0.0.1".to_owned(),
                port: listener.local_addr().unwrap().port(),
            };
            thread::spawn(move || {
                let (mut stream, _) = listener.accept().unwrap();
                let _ = stream.read(&mut [0; 1024]).unwrap();
                stream.write_all(answer.as_bytes()).unwrap();
            });
            let error = running_by(std::slice::from_ref(&address), "svc").await;
            let words = error.unwrap_err().to_string();
            let begin = format!("no container engine answers ({address}: ");
            assert!(words.starts_with(&begin), "{words}");
        }
    }

    #[tokio::test]
    async fn nothing_is_asked_for_a_name_that_is_none() {
        for name in ["", "a/b", "a b", "../x", "svc?x=1"] {
            let error = running_by(&[], name).await.unwrap_err();
            assert!(matches!(error, DockerError::Name(_)), "{error}");
        }
        let error = running_by(&[], "svc").await.unwrap_err();
        assert!(matches!(error, DockerError::NoEngine(_)), "{error}");
        let nobody = Address::Socket(PathBuf::from("/nobody/listens.sock"));
        let error = running_by(&[nobody], "svc").await.unwrap_err().to_string();
        assert!(error.starts_with("no container engine answers (/nobody/listens.sock: "));
    }

    #[test]
    fn limits_are_those_that_it_was_made_with() {
        for (host, memory, cpus) in [
            ("{}", None, None),
            (r#"{"Memory":0,"NanoCpus":0,"CpuQuota":-1}"#, None, None),
            (
                r#"{"Memory":67108864,"NanoCpus":500000000}"#,
                Some(64 << 20),
                Some(0.5),
            ),
            (r#"{"CpuQuota":150000}"#, None, Some(1.5)),
            (r#"{"CpuQuota":150000,"CpuPeriod":50000}"#, None, Some(3.0)),
        ] {
            let seen = serde_json::from_str(&format!(r#"{{"HostConfig":{host}}}"#)).unwrap();
            assert_eq!(Limits::of(&seen), Limits { memory, cpus }, "{host}");
        }
    }

    #[test]
    fn a_process_of_that_number_is_the_containers_where_its_groups_say_so() {
        let groups = "4:memory:/docker/f0c5f1f5d3a1\n0::/system.slice/docker-f0c5f1f5d3a1.scope\n";
        assert!(names(groups, "f0c5f1f5d3a1"));
        assert!(!names(groups, "f0c5f1f5d3a2"));
        assert!(!names(groups, ""));
        assert!(!names("", "f0c5f1f5d3a1"));
    }
}
