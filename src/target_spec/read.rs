//! From the tree of a targets file to targets: keys, defaults and bounds.

use std::path::Path;
use std::time::Duration;

use http::uri::PathAndQuery;

use super::{
    CommandLine, Companion, Ready, Signal, Stop, Stores, TargetKind, TargetSpec, TargetUrl,
};
use crate::document::{Fields, Keys, Kind, Node, Walk};

const FILE_KEYS: Keys = Keys::new(&["tailmark", "targets"], &[]).with_extensions();
const TARGET_KEYS: Keys = Keys::new(
    &[
        "command", "url", "build", "ready", "stop", "stores", "seed", "audit", "describe", "env",
        "beside",
    ],
    &["image", "port", "args", "limits", "prepare", "watch"],
);
const READY_KEYS: Keys = Keys::new(&["path", "within"], &[]);
const STOP_KEYS: Keys = Keys::new(&["signal", "within"], &[]);

/// What a target that runs already has no use for: tailmark neither starts nor stops it.
const COMMAND_ONLY: [&str; 9] = [
    "build", "ready", "stop", "stores", "seed", "audit", "describe", "env", "beside",
];

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
    Some(TargetSpec {
        name: called?,
        folder: folder.to_owned(),
        kind: kind?,
        ready: ready?,
        stop: stop?,
        stores: stores?,
        build: build?,
        seed: seed?,
        audit: audit?,
        describe: describe?,
        env: env?,
        beside: beside?,
    })
}

fn kind<'d>(walk: &mut Walk<'d>, fields: Fields<'d>, name: &str) -> Option<TargetKind> {
    match (fields.get("command"), fields.entry("url")) {
        (Some(node), None) => command(walk, node, "command").map(TargetKind::Command),
        (None, Some((_, node))) => {
            for (key, _) in COMMAND_ONLY.iter().filter_map(|key| fields.entry(key)) {
                let message = format!(
                    "`{}` is for a target with `command`: tailmark does not start this one",
                    key.text
                );
                walk.refuse(key.place, message);
            }
            url(walk, node).map(TargetKind::Url)
        }
        (Some(_), Some((url, _))) => {
            walk.refuse(
                url.place,
                format!("target `{name}` has both `command` and `url`"),
            );
            None
        }
        (None, None) => {
            // Where either was misspelt, or the image was refused, that both are missing is no second problem.
            let meant = ["command", "url"]
                .iter()
                .any(|key| walk.misspelt(fields, key));
            if !meant && fields.get("image").is_none() {
                let message = format!("target `{name}` has neither `command` nor `url`");
                walk.refuse(fields.place(), message);
            }
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
            format!("`{key}` has no port: `{{port}}` stands in `command` alone"),
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
