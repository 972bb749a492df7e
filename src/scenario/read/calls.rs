//! The calls before and after a run: `setup` and `teardown`.

use super::flows::captures_of;
use super::optional;
use crate::document::{Keys, Kind, Node, Walk};
use crate::scenario::Call;
use crate::scenario::template::{NameUse, Names};
use crate::scenario::{inspect, request};

pub(super) const KEYS: Keys = Keys::new(
    &[
        "name", "get", "post", "put", "patch", "delete", "head", "options", "method", "path",
        "headers", "body", "json", "form", "checks", "capture",
    ],
    &[],
);

/// The most calls before or after a run: they are made one after the other.
const MAX_CALLS: usize = 1_000;

/// Reads the calls before a run, whose captures the rest of the file may use.
pub(super) fn setup<'d>(
    walk: &mut Walk<'d>,
    node: &'d Node,
    names: &mut Names,
) -> Option<Vec<Call>> {
    let shared = request::Shared {
        headers: None,
        cookies: false,
    };
    calls(walk, node, "setup", shared, names)
}

/// Reads the calls after a run.
pub(super) fn teardown<'d>(
    walk: &mut Walk<'d>,
    node: &'d Node,
    shared: request::Shared<'d>,
    names: &mut Names,
) -> Option<Vec<Call>> {
    names.variables.clear();
    names.captured.clear();
    names.later.clear();
    let shared = request::Shared {
        cookies: false,
        ..shared
    };
    calls(walk, node, "teardown", shared, names)
}

fn calls<'d>(
    walk: &mut Walk<'d>,
    node: &'d Node,
    what: &str,
    shared: request::Shared<'d>,
    names: &mut Names,
) -> Option<Vec<Call>> {
    let nodes = walk.list(node, &format!("`{what}`"))?;
    if nodes.len() > MAX_CALLS {
        walk.refuse(node.place, format!("more than {MAX_CALLS} calls"));
        return None;
    }
    // Rows belong to walks, and a call is none.
    let feeders = std::mem::take(&mut names.feeders);
    let mut calls = Vec::new();
    for node in nodes {
        calls.extend(call(walk, node, what, shared, names));
    }
    names.feeders = feeders;
    (calls.len() == nodes.len()).then_some(calls)
}

fn call<'d>(
    walk: &mut Walk<'d>,
    node: &'d Node,
    what: &str,
    shared: request::Shared<'d>,
    names: &mut Names,
) -> Option<Call> {
    let fields = walk.map(node, "a call", KEYS)?;
    let name = optional(fields.get("name"), None, |node| {
        walk.name(node, "call").map(Some)
    });
    names.slots = 0;
    let read = request::read(walk, fields, shared, names);
    let mut captured = Vec::new();
    let inspection = inspect::read(walk, fields, &mut captured);
    for name in &captured {
        if !names.setup.iter().any(|known| known.name == *name) {
            names.setup.push(NameUse::new(name));
        }
    }
    let read = read?;
    Some(Call {
        name: name?.unwrap_or_else(|| format!("{what} {} {}", read.request.method, read.path)),
        request: read.request,
        inspection: inspection?,
        captured,
    })
}

/// Says which captures of the set-up calls nothing uses.
pub(super) fn warn_of_unused(walk: &mut Walk<'_>, node: &Node, names: &Names) {
    let Kind::Seq(calls) = &node.kind else { return };
    for name in calls.iter().flat_map(captures_of) {
        let unused = |known: &NameUse| known.name == name.text && !known.used;
        if names.setup.iter().any(unused) {
            walk.warn(
                name.place,
                format!("nothing uses the captured value `{}`", name.text),
            );
        }
    }
}
