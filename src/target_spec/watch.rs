//! Whose memory and CPU are read, where somebody says so.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use crate::document::{Fields, Keys, Kind, Node, Walk};

const KEYS: Keys = Keys::new(&["container", "pid", "port"], &[]);

/// The kernel's largest process id (`PID_MAX_LIMIT`, proc(5)).
const LARGEST_PID: u32 = 1 << 22;

/// Whose memory and CPU are read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Watch {
    /// A container, by its name, its id or the beginning of one.
    Container(String),
    /// A process and its descendants.
    Process(u32),
    /// Whoever listens on a port of this machine, with descendants; on the port of the target's URL where none is named.
    Port(Option<u16>),
}

/// A text that says nothing to watch.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{0}` names nothing to watch")]
pub struct WatchError(String);

impl WatchError {
    /// The next step.
    pub const HINT: &'static str = "write container:NAME, pid:4242, port or port:8080";
}

impl Watch {
    /// Whether `text` can name a container: as Docker names them, and ids too.
    #[must_use]
    pub fn is_container(text: &str) -> bool {
        text.starts_with(|c: char| c.is_ascii_alphanumeric())
            && text
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte))
    }
}

impl FromStr for Watch {
    type Err = WatchError;

    fn from_str(text: &str) -> Result<Self, WatchError> {
        let watch = match text.split_once(':') {
            Some(("container", name)) if Self::is_container(name) => {
                Some(Self::Container(name.into()))
            }
            Some(("pid", pid)) => number(pid, LARGEST_PID).map(Self::Process),
            Some(("port", port)) => {
                number(port, u16::MAX.into()).map(|port| Self::Port(u16::try_from(port).ok()))
            }
            None if text == "port" => Some(Self::Port(None)),
            _ => None,
        };
        watch.ok_or_else(|| WatchError(text.to_owned()))
    }
}

impl fmt::Display for Watch {
    /// As the command line has it: `container:svc`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Container(name) => write!(f, "container:{name}"),
            Self::Process(pid) => write!(f, "pid:{pid}"),
            Self::Port(None) => f.write_str("port"),
            Self::Port(Some(port)) => write!(f, "port:{port}"),
        }
    }
}

/// A whole number from 1 up to `most`.
fn number(text: &str, most: u32) -> Option<u32> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let number = text.parse().ok().filter(|_| digits)?;
    (1..=most).contains(&number).then_some(number)
}

/// The key `watch` of a target, which is for one that runs already.
pub(super) fn read<'d>(walk: &mut Walk<'d>, fields: Fields<'d>) -> Option<Option<Watch>> {
    let Some((key, node)) = fields.entry("watch") else {
        return Some(None);
    };
    if ["command", "image"]
        .iter()
        .any(|key| fields.get(key).is_some())
    {
        walk.refuse_with_hint(
            key.place,
            "`watch` is for a target with `url`: what tailmark starts it watches by itself",
            "leave it out; for one run, --watch says otherwise",
        );
        return None;
    }
    let fields = walk.map(node, "`watch`", KEYS)?;
    let mut named = KEYS.names().filter_map(|key| fields.entry(key));
    let Some((key, node)) = named.next() else {
        if !KEYS.names().any(|key| walk.misspelt(fields, key)) {
            walk.refuse_with_hint(
                node.place,
                "`watch` names nothing to watch",
                "write { container: NAME }, { pid: 4242 } or { port: true }",
            );
        }
        return None;
    };
    if let Some((other, _)) = named.next() {
        let message = format!(
            "`watch` names `{}` and `{}`: one of them",
            key.text, other.text
        );
        walk.refuse(other.place, message);
        return None;
    }
    match key.text.as_str() {
        "container" => container(walk, node),
        "pid" => {
            let pid = walk.integer(node, "pid", 1..=LARGEST_PID.into())?;
            u32::try_from(pid).ok().map(Watch::Process)
        }
        _ => port(walk, node),
    }
    .map(Some)
}

fn container<'d>(walk: &mut Walk<'d>, node: &'d Node) -> Option<Watch> {
    let name = walk.text(node, "container", "a container's name")?;
    if Watch::is_container(name) {
        return Some(Watch::Container(name.to_owned()));
    }
    walk.refuse_with_hint(
        node.place,
        format!("`{name}` is no name of a container: those have letters, digits, `_`, `.` and `-`"),
        "`docker ps` or `podman ps` lists those that run",
    );
    None
}

/// `true` for the port of the URL, or another one.
fn port(walk: &mut Walk<'_>, node: &Node) -> Option<Watch> {
    match node.kind {
        Kind::Bool(true) => Some(Watch::Port(None)),
        Kind::Int(_) => {
            let port = walk.integer(node, "port", 1..=u16::MAX.into())?;
            Some(Watch::Port(u16::try_from(port).ok()))
        }
        _ => {
            walk.wrong_type(node, "port", "true, for the port of `url`, or a number");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_to_watch_is_written_as_it_is_read() {
        for (text, watch) in [
            ("container:svc-1.b_2", Watch::Container("svc-1.b_2".into())),
            ("container:4242", Watch::Container("4242".into())),
            ("pid:4242", Watch::Process(4242)),
            ("port", Watch::Port(None)),
            ("port:8080", Watch::Port(Some(8080))),
        ] {
            assert_eq!(text.parse(), Ok(watch.clone()));
            assert_eq!(watch.to_string(), text);
        }
        for text in [
            "",
            "svc",
            "pid",
            "pid:",
            "pid:0",
            "pid:+1",
            "pid:4194305",
            "port:",
            "port:0",
            "port:65536",
            "container:",
            "container:a/b",
            "container:-a",
            "Port",
        ] {
            let error = text.parse::<Watch>().unwrap_err();
            assert_eq!(error, WatchError(text.to_owned()));
        }
    }
}
