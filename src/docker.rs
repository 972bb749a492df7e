//! The container daemons of this machine: where they listen, and the process of a container, for which they are asked there.
//!
//! Docker's API, which podman answers too, over HTTP/1.0: two questions need no client of more. The version is the daemon's own,
//! which it tells without being asked by one (`GET /_ping`); what is read here has not changed since API 1.24.

use std::env;
use std::io::{self, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

/// How long a daemon may take to answer. It answers in milliseconds; one that is busy starting containers takes seconds.
const PATIENCE: Duration = Duration::from_secs(10);

/// The largest answer that is read: an inspected container with many mounts and variables is some 20 KB.
const LARGEST: u64 = 4 << 20;

/// The process id of the main process of container `name` (or id, or the beginning of one), as this machine numbers it.
///
/// Daemons are asked in turn: the one that `DOCKER_HOST` names, or Docker's, the user's podman and the system's.
///
/// # Errors
/// Fails where no daemon answers or none has the container, where it does not run, and where `DOCKER_HOST` is elsewhere.
pub fn main_process(name: &str) -> Result<u32, DockerError> {
    let sockets = sockets(
        env::var("DOCKER_HOST").ok().as_deref(),
        env::var("XDG_RUNTIME_DIR").ok().as_deref(),
    );
    let sockets = sockets.map_err(|host| DockerError::Remote { host })?;
    main_process_by(&sockets, name)
}

/// Why a container's process is not known.
#[derive(Debug, thiserror::Error)]
pub enum DockerError {
    /// Nothing that could be a container's name.
    #[error("`{name}` is no name of a container: those have letters, digits, `_`, `.` and `-`")]
    Name {
        /// What was given.
        name: String,
    },
    /// The daemon is on another machine, where its processes cannot be seen from here.
    #[error(
        "DOCKER_HOST is {host}: only containers of this machine can be watched (unix:///…); run tailmark there, or unset it"
    )]
    Remote {
        /// What the variable says.
        host: String,
    },
    /// No daemon answers.
    #[error("no container daemon answers ({})", .tried.join("; "))]
    NoDaemon {
        /// The sockets, and why not.
        tried: Vec<String>,
    },
    /// No daemon has it.
    #[error(
        "there is no container `{name}` ({asked}); `docker ps` or `podman ps` lists those that run"
    )]
    NoContainer {
        /// Its name.
        name: String,
        /// What the daemons said.
        asked: String,
    },
    /// It is there, and has no process.
    #[error("container `{name}` does not run: it is {status}")]
    NotRunning {
        /// Its name.
        name: String,
        /// What the daemon calls its state.
        status: String,
    },
    /// The daemon said something else.
    #[error("{} answered {answer}", .socket.display())]
    Strange {
        /// Its socket.
        socket: PathBuf,
        /// What it said.
        answer: String,
    },
}

/// Where daemons may listen, by the values of `DOCKER_HOST` and `XDG_RUNTIME_DIR`.
///
/// # Errors
/// The value of `DOCKER_HOST`, where that is no Unix socket.
pub fn sockets(host: Option<&str>, runtime: Option<&str>) -> Result<Vec<PathBuf>, String> {
    match host.filter(|host| !host.is_empty()) {
        Some(host) => match host.strip_prefix("unix://") {
            Some(path) => Ok(vec![path.into()]),
            None => Err(host.to_owned()),
        },
        None => {
            let own = runtime.map(|folder| Path::new(folder).join("podman/podman.sock"));
            let docker = PathBuf::from("/var/run/docker.sock");
            let podman = PathBuf::from("/run/podman/podman.sock");
            Ok([Some(docker), own, Some(podman)]
                .into_iter()
                .flatten()
                .collect())
        }
    }
}

fn main_process_by(sockets: &[PathBuf], name: &str) -> Result<u32, DockerError> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
    if name.is_empty() || !name.chars().all(is_name) {
        return Err(DockerError::Name { name: name.into() });
    }
    let (mut tried, mut asked) = (Vec::new(), Vec::new());
    for socket in sockets {
        let shown = socket.display();
        let answer = match inspect(socket, name) {
            Ok(answer) => answer,
            Err(error) => {
                tried.push(format!("{shown}: {error}"));
                continue;
            }
        };
        match answer.status {
            200 => return running(socket, name, &answer),
            404 => asked.push(format!("{shown}: {}", answer.message())),
            status => {
                return Err(DockerError::Strange {
                    socket: socket.clone(),
                    answer: format!("{status}: {}", answer.message()),
                });
            }
        }
    }
    if asked.is_empty() {
        return Err(DockerError::NoDaemon { tried });
    }
    Err(DockerError::NoContainer {
        name: name.into(),
        asked: asked.join("; "),
    })
}

fn inspect(socket: &Path, name: &str) -> io::Result<Answer> {
    let ping = get(socket, "/_ping")?;
    let version = ping
        .header("api-version")
        .map(|version| format!("/v{version}"));
    let version = version.unwrap_or_default();
    get(socket, &format!("{version}/containers/{name}/json"))
}

fn running(socket: &Path, name: &str, answer: &Answer) -> Result<u32, DockerError> {
    let state = answer.json().map(|mut inspected| inspected["State"].take());
    let pid = state.as_ref().and_then(|state| state["Pid"].as_u64());
    match (pid.map(u32::try_from), state) {
        (Some(Ok(0)), Some(state)) => Err(DockerError::NotRunning {
            name: name.into(),
            status: state["Status"].as_str().unwrap_or("not running").into(),
        }),
        (Some(Ok(pid)), _) => Ok(pid),
        _ => Err(DockerError::Strange {
            socket: socket.to_owned(),
            answer: "without the process id of the container".into(),
        }),
    }
}

/// What a daemon answered.
struct Answer {
    status: u16,
    head: String,
    body: Vec<u8>,
}

impl Answer {
    fn read(bytes: &[u8]) -> Option<Answer> {
        const END: &[u8] = b"\r\n\r\n";
        let end = bytes.windows(END.len()).position(|window| window == END)?;
        let head = std::str::from_utf8(&bytes[..end]).ok()?.to_owned();
        let status = head
            .strip_prefix("HTTP/1.")?
            .split(' ')
            .nth(1)?
            .parse()
            .ok()?;
        Some(Answer {
            status,
            head,
            body: bytes[end + END.len()..].to_vec(),
        })
    }

    fn header(&self, name: &str) -> Option<&str> {
        let mut fields = self
            .head
            .lines()
            .skip(1)
            .filter_map(|line| line.split_once(':'));
        let found = fields.find(|(field, _)| field.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.trim())
    }

    fn json(&self) -> Option<Value> {
        serde_json::from_slice(&self.body).ok()
    }

    /// What an error says of itself.
    fn message(&self) -> String {
        let message = self
            .json()
            .and_then(|error| Some(error["message"].as_str()?.to_owned()));
        message.unwrap_or_else(|| String::from_utf8_lossy(&self.body).trim().to_owned())
    }
}

fn get(socket: &Path, path: &str) -> io::Result<Answer> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    // By HTTP/1.0 the end of the connection is the end of the answer.
    let request = format!("GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut bytes = Vec::new();
    stream.take(LARGEST).read_to_end(&mut bytes)?;
    Answer::read(&bytes).ok_or_else(|| io::Error::other("this is no HTTP"))
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;
    use std::thread;

    use super::*;

    /// A daemon that answers `GET /_ping` as Docker 20.10 does, and the one path after it with `answer`.
    fn daemon(folder: &Path, name: &str, answer: &'static str) -> PathBuf {
        let socket = folder.join(name);
        let listener = UnixListener::bind(&socket).unwrap();
        thread::spawn(move || {
            for (path, answer) in [
                (
                    "/_ping",
                    "HTTP/1.0 200 OK\r\nApi-Version: 1.41\r\nServer: Docker\r\n\r\nOK",
                ),
                ("/v1.41/containers/svc/json", answer),
            ] {
                let (mut stream, _) = listener.accept().unwrap();
                let mut asked = [0; 1024];
                let length = stream.read(&mut asked).unwrap();
                let asked = String::from_utf8_lossy(&asked[..length]);
                assert!(
                    asked.starts_with(&format!("GET {path} HTTP/1.0\r\n")),
                    "{asked}"
                );
                stream.write_all(answer.as_bytes()).unwrap();
            }
        });
        socket
    }

    const RUNNING: &str = "HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n\r\n\
        {\"Id\":\"f0\",\"State\":{\"Status\":\"running\",\"Pid\":4242}}";
    const EXITED: &str = "HTTP/1.0 200 OK\r\n\r\n{\"State\":{\"Status\":\"exited\",\"Pid\":0}}";
    const MISSING: &str = "HTTP/1.0 404 Not Found\r\n\r\n{\"message\":\"No such container: svc\"}";

    #[test]
    fn the_first_daemon_that_has_it_tells_the_process() {
        let folder = tempfile::tempdir().unwrap();
        let nobody = folder.path().join("nobody");
        let without = daemon(folder.path(), "without", MISSING);
        let with = daemon(folder.path(), "with", RUNNING);
        assert_eq!(
            main_process_by(&[nobody, without, with], "svc").unwrap(),
            4242
        );
    }

    /// The words of the error where one daemon answers with `answer`, `SOCKET` in place of where.
    fn words(answer: &'static str) -> String {
        let folder = tempfile::tempdir().unwrap();
        let socket = daemon(folder.path(), "daemon", answer);
        let error = main_process_by(std::slice::from_ref(&socket), "svc").unwrap_err();
        error
            .to_string()
            .replace(socket.to_str().unwrap(), "SOCKET")
    }

    #[test]
    fn what_is_wrong_is_said_with_what_the_daemon_said() {
        for (answer, expected) in [
            (EXITED, "container `svc` does not run: it is exited"),
            (
                MISSING,
                "there is no container `svc` (SOCKET: No such container: svc); `docker ps` or `podman ps` lists those that run",
            ),
            (
                "HTTP/1.0 500 Internal Server Error\r\n\r\n{\"message\":\"the disk is full\"}",
                "SOCKET answered 500: the disk is full",
            ),
            (
                "HTTP/1.0 200 OK\r\n\r\n{}",
                "SOCKET answered without the process id of the container",
            ),
            (
                "SSH-2.0",
                "no container daemon answers (SOCKET: this is no HTTP)",
            ),
            ("", "no container daemon answers (SOCKET: this is no HTTP)"),
        ] {
            assert_eq!(words(answer), expected);
        }
    }

    #[test]
    fn nothing_is_asked_for_a_name_that_is_none() {
        for name in ["", "a/b", "a b", "../x", "svc?x=1"] {
            let error = main_process_by(&[], name).unwrap_err();
            assert!(matches!(error, DockerError::Name { .. }), "{error}");
        }
        let error = main_process_by(&[], "svc").unwrap_err();
        assert!(matches!(error, DockerError::NoDaemon { .. }), "{error}");
    }

    #[test]
    fn sockets_are_those_of_the_environment() {
        let given =
            |host: &str| sockets(Some(host), None).map_err(|host| DockerError::Remote { host });
        assert_eq!(
            given("unix:///run/x.sock").unwrap(),
            [PathBuf::from("/run/x.sock")]
        );
        let usual = sockets(Some(""), Some("/run/user/1000")).unwrap();
        assert_eq!(
            usual,
            [
                "/var/run/docker.sock",
                "/run/user/1000/podman/podman.sock",
                "/run/podman/podman.sock"
            ]
            .map(PathBuf::from)
        );
        for remote in ["tcp://10.0.0.1:2375", "ssh://me@host"] {
            let error = given(remote).unwrap_err().to_string();
            assert!(
                error.contains(&format!("DOCKER_HOST is {remote}")),
                "{error}"
            );
        }
    }
}
