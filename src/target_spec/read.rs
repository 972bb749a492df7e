//! From the tree of a targets file to targets: keys, defaults and bounds.

use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use http::uri::PathAndQuery;

use super::{
    CommandLine, Companion, Image, LimitError, Limits, Ready, Signal, Stop, Stores, TargetKind,
    TargetSpec, TargetUrl, watch,
};
use crate::document::{Fields, Keys, Kind, Node, Walk};

const FILE_KEYS: Keys = Keys::new(&["tailmark", "targets"], &[]).with_extensions();
const TARGET_KEYS: Keys = Keys::new(
    &[
        "command", "image", "url", "build", "ready", "stop", "stores", "seed", "audit", "describe",
        "env", "beside", "port", "args", "limits", "watch",
    ],
    &["prepare"],
);
const LIMITS_KEYS: Keys = Keys::new(&["cpus", "memory"], &[]);
const READY_KEYS: Keys = Keys::new(&["path", "within"], &[]);
const STOP_KEYS: Keys = Keys::new(&["signal", "within"], &[]);

/// What a target that runs already has no use for: tailmark neither starts nor stops it.
const STARTED_ONLY: [&str; 9] = [
    "build", "ready", "stop", "stores", "seed", "audit", "describe", "env", "beside",
];

/// What is said of containers alone.
const IMAGE_ONLY: [&str; 3] = ["port", "args", "limits"];

/// How long starting or stopping may take at most: ten minutes, beyond which a person would have looked.
const MAX_WITHIN: Duration = Duration::from_secs(600);

pub(super) fn targets<'d>(
    walk: &mut Walk<'d>,
    root: &'d Node,
    folder: &Path,
) -> Option<Vec<TargetSpec>> {
    let fields = walk.map(root, "a targets file", FILE_KEYS)?;
    let version = walk.version(fields);
    let node = walk.required(fields, "the file", "targets")?;
    let entries = walk.named(node, "`targets`")?;
    let targets: Vec<_> = entries
        .iter()
        .filter_map(|(name, node)| target(walk, name, node, folder))
        .collect();
    version?;
    (targets.len() == entries.len()).then_some(targets)
}

fn target<'d>(
    walk: &mut Walk<'d>,
    name: &'d Node,
    node: &'d Node,
    folder: &Path,
) -> Option<TargetSpec> {
    let called = walk.name(name, "target");
    let fields = walk.map(node, &format!("target `{}`", name.text), TARGET_KEYS)?;
    let kind = kind(walk, fields, &name.text);
    let image = image(walk, fields);
    let ready = match fields.get("ready") {
        Some(node) => ready(walk, node),
        None => Some(Ready::default()),
    };
    let stop = match fields.get("stop") {
        Some(node) => stop(walk, node),
        None => Some(Stop::default()),
    };
    let stores = match fields.get("stores") {
        Some(node) => stores(walk, node),
        None => Some(Stores::default()),
    };
    let [build, seed, audit, describe] =
        ["build", "seed", "audit", "describe"].map(|key| side_command(walk, fields, key));
    let env = env(walk, fields, stores.unwrap_or_default());
    let beside = beside(walk, fields, stores.unwrap_or_default());
    let watch = watch::read(walk, fields);
    let (kind, image) = match (kind?, image?) {
        (Some(kind), image) => (kind, image),
        (None, Some(image)) => (TargetKind::Image(image), None),
        (None, None) => return None,
    };
    Some(TargetSpec {
        name: called?,
        folder: folder.to_owned(),
        kind,
        image,
        runtime: None,
        ready: ready?,
        stop: stop?,
        stores: stores?,
        build: build?,
        seed: seed?,
        audit: audit?,
        describe: describe?,
        env: env?,
        beside: beside?,
        watch: watch?,
    })
}

/// The command or the URL; none of a target that is an image alone.
fn kind<'d>(walk: &mut Walk<'d>, fields: Fields<'d>, name: &str) -> Option<Option<TargetKind>> {
    let image = fields.get("image").is_some();
    match (fields.get("command"), fields.entry("url")) {
        (Some(node), None) => {
            let command = command(walk, node, "command")?;
            Some(Some(TargetKind::Command(command)))
        }
        (None, None) if image => Some(None),
        (None, Some((_, node))) if !image => {
            for (key, _) in STARTED_ONLY.iter().filter_map(|key| fields.entry(key)) {
                let message = format!(
                    "`{}` is for a target with `command` or `image`: tailmark does not start this one",
                    key.text
                );
                walk.refuse(key.place, message);
            }
            url(walk, node).map(|url| Some(TargetKind::Url(url)))
        }
        (command, Some((url, _))) => {
            let other = if command.is_some() {
                "command"
            } else {
                "image"
            };
            walk.refuse(
                url.place,
                format!("target `{name}` has both `{other}` and `url`"),
            );
            None
        }
        (None, None) => {
            // Where one was misspelt, that all are missing is no second problem.
            let meant = ["command", "image", "url"]
                .iter()
                .any(|key| walk.misspelt(fields, key));
            if !meant {
                let message = format!("target `{name}` has no `command`, `image` or `url`");
                walk.refuse(fields.place(), message);
            }
            None
        }
    }
}

/// The image, with what is said of its containers; none where the target has none.
fn image<'d>(walk: &mut Walk<'d>, fields: Fields<'d>) -> Option<Option<Image>> {
    let Some(node) = fields.get("image") else {
        let meant = walk.misspelt(fields, "image");
        for (key, _) in IMAGE_ONLY.iter().filter_map(|key| fields.entry(key)) {
            if !meant {
                let message = format!("`{}` is for a target with `image`", key.text);
                walk.refuse(key.place, message);
            }
        }
        return Some(None);
    };
    let reference = walk.text(node, "image", "an image such as svc:1.4");
    let image = reference.and_then(|reference| match Image::parse(reference) {
        Ok(image) => Some(image),
        Err(error) => {
            walk.refuse_with_hint(node.place, format!("`image`: {error}"), error.hint());
            None
        }
    });
    let args = match fields.get("args") {
        Some(node) => command(walk, node, "args").map(Some),
        None => Some(None),
    };
    let port = port(walk, fields);
    let limits = match fields.get("limits") {
        Some(node) => limits(walk, node),
        None => Some(Limits::default()),
    };
    Some(Some(Image {
        args: args?,
        port: port?,
        limits: limits?,
        ..image?
    }))
}

/// The port of an image that has a fixed one. In its own network, this machine's loopback is out of its reach.
fn port<'d>(walk: &mut Walk<'d>, fields: Fields<'d>) -> Option<Option<u16>> {
    let Some((key, node)) = fields.entry("port") else {
        return Some(None);
    };
    let port = walk.integer(node, "port", 1..=u64::from(u16::MAX));
    let unreachable = ["stores", "beside"];
    for other in unreachable.iter().filter(|key| fields.get(key).is_some()) {
        walk.refuse_with_hint(
            key.place,
            format!(
                "`port` gives the image a network of its own, from where `{other}` on 127.0.0.1 are out of reach"
            ),
            "leave `port` out: the image is told a free port by PORT, and by `{port}` in `args`",
        );
    }
    port.and_then(|port| u16::try_from(port).ok()).map(Some)
}

fn limits<'d>(walk: &mut Walk<'d>, node: &'d Node) -> Option<Limits> {
    let fields = walk.map(node, "`limits`", LIMITS_KEYS)?;
    let cpus = limit(walk, fields, "cpus", "a number of CPUs such as 0.5");
    let memory = limit(walk, fields, "memory", "a size such as 512MiB");
    Some(Limits {
        cpus: cpus?,
        memory: memory?,
    })
}

fn limit<'d, T: FromStr<Err = LimitError>>(
    walk: &mut Walk<'d>,
    fields: Fields<'d>,
    key: &str,
    wants: &str,
) -> Option<Option<T>> {
    let Some(node) = fields.get(key) else {
        return Some(None);
    };
    match walk.text(node, key, wants)?.parse() {
        Ok(limit) => Some(Some(limit)),
        Err(error) => {
            walk.refuse_with_hint(node.place, format!("`{key}`: {error}"), error.hint());
            None
        }
    }
}

fn url<'d>(walk: &mut Walk<'d>, node: &'d Node) -> Option<TargetUrl> {
    let text = walk.text(node, "url", "a URL such as http://127.0.0.1:8080")?;
    match text.parse::<TargetUrl>() {
        Ok(url) if url.path_and_query() == "/" => return Some(url),
        Ok(url) => walk.refuse(
            node.place,
            format!(
                "a target's `url` has no path: `{}` stands in the scenario",
                url.path_and_query()
            ),
        ),
        Err(error) => match error.hint() {
            Some(hint) => walk.refuse_with_hint(node.place, format!("`url`: {error}"), hint),
            None => walk.refuse(node.place, format!("`url`: {error}")),
        },
    }
    None
}

fn command<'d>(walk: &mut Walk<'d>, node: &'d Node, key: &str) -> Option<CommandLine> {
    let text = walk.text(node, key, "a command line")?;
    CommandLine::parse(text)
        .map_err(|error| walk.refuse(node.place, format!("`{key}` {error}")))
        .ok()
}

/// A command beside the service's own, which has no port.
fn side_command<'d>(
    walk: &mut Walk<'d>,
    fields: Fields<'d>,
    key: &str,
) -> Option<Option<CommandLine>> {
    let Some(node) = fields.get(key) else {
        return Some(None);
    };
    let command = command(walk, node, key)?;
    if command.wants_port() {
        walk.refuse(
            node.place,
            format!("`{key}` has no port: `{{port}}` stands in `command` and `args` alone"),
        );
        return None;
    }
    Some(Some(command))
}

fn ready<'d>(walk: &mut Walk<'d>, node: &'d Node) -> Option<Ready> {
    let fields = walk.map(node, "`ready`", READY_KEYS)?;
    let path = match fields.get("path") {
        Some(node) => ready_path(walk, node).map(Some),
        None => Some(None),
    };
    let within = within(walk, fields, Ready::default().within);
    Some(Ready {
        path: path?,
        within: within?,
    })
}

fn ready_path<'d>(walk: &mut Walk<'d>, node: &'d Node) -> Option<String> {
    let text = walk.text(node, "path", "a path such as /readyz")?;
    if text.starts_with('/')
        && text
            .parse::<PathAndQuery>()
            .is_ok_and(|path| path.as_str() == text)
    {
        return Some(text.to_owned());
    }
    walk.wrong_type(node, "path", "a path such as /readyz");
    None
}

fn stop<'d>(walk: &mut Walk<'d>, node: &'d Node) -> Option<Stop> {
    let fields = walk.map(node, "`stop`", STOP_KEYS)?;
    let usual = Stop::default();
    let signal = match fields.get("signal") {
        Some(node) => walk.word(node, "signal", &Signal::NAMES),
        None => Some(usual.signal),
    };
    let within = within(walk, fields, usual.within);
    Some(Stop {
        signal: signal?,
        within: within?,
    })
}

fn within<'d>(walk: &mut Walk<'d>, fields: Fields<'d>, usual: Duration) -> Option<Duration> {
    match fields.get("within") {
        Some(node) => walk.duration(node, "within", MAX_WITHIN),
        None => Some(usual),
    }
}

fn stores<'d>(walk: &mut Walk<'d>, node: &'d Node) -> Option<Stores> {
    let items = walk.list(node, "`stores`")?;
    let mut stores = Stores::default();
    let mut read = 0;
    for item in items {
        match walk.word(item, "store", &[("postgres", 0), ("redis", 1)]) {
            Some(0) => stores.postgres = true,
            Some(_) => stores.redis = true,
            None => continue,
        }
        read += 1;
    }
    (read == items.len()).then_some(stores)
}

fn env<'d>(
    walk: &mut Walk<'d>,
    fields: Fields<'d>,
    stores: Stores,
) -> Option<Vec<(String, String)>> {
    let Some(node) = fields.get("env") else {
        return Some(Vec::new());
    };
    let entries = walk.named(node, "`env`")?;
    let mut env = Vec::new();
    for (key, value) in entries {
        let Some(name) = variable(walk, key, stores) else {
            continue;
        };
        if let Kind::Null = value.kind {
            walk.refuse_with_hint(
                value.place,
                format!("`{name}` has no value"),
                "write \"\" for an empty one",
            );
        } else if value.text.contains('\0') {
            walk.refuse(value.place, format!("the value of `{name}` holds a NUL"));
        } else if let Some(value) = walk.text(value, name, "text") {
            env.push((name.to_owned(), value.to_owned()));
        }
    }
    (env.len() == entries.len()).then_some(env)
}

/// What runs beside the target.
fn beside<'d>(walk: &mut Walk<'d>, fields: Fields<'d>, stores: Stores) -> Option<Vec<Companion>> {
    let Some(node) = fields.get("beside") else {
        return Some(Vec::new());
    };
    let entries = walk.named(node, "`beside`")?;
    let env = fields.get("env").map(|node| walk.named(node, "`env`"));
    let mut companions = Vec::new();
    for (key, value) in entries {
        let Some(name) = variable(walk, key, stores) else {
            continue;
        };
        let mut set = env.iter().flatten().copied().flatten();
        if set.any(|(other, _)| other.text == name) {
            let message = format!("`env` sets `{name}` too: `beside` sets it to a URL");
            walk.refuse(key.place, message);
        } else if let Some(command) = command(walk, value, name) {
            let variable = name.to_owned();
            companions.push(Companion { variable, command });
        }
    }
    (companions.len() == entries.len()).then_some(companions)
}

/// The name of an environment variable that is the file's to set.
fn variable<'d>(walk: &mut Walk<'d>, key: &'d Node, stores: Stores) -> Option<&'d str> {
    let name = key.text.as_str();
    let set = match name {
        "PORT" => Some("tailmark sets `PORT`"),
        "DATABASE_URL" if stores.postgres => Some("`stores: [postgres]` sets `DATABASE_URL`"),
        "REDIS_URL" if stores.redis => Some("`stores: [redis]` sets `REDIS_URL`"),
        _ => None,
    };
    if let Some(reason) = set {
        walk.refuse(key.place, reason);
    } else if !is_variable(name) {
        let message = format!("`{name}` is not the name of an environment variable");
        walk.refuse(key.place, message);
    } else {
        return Some(name);
    }
    None
}

fn is_variable(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}
