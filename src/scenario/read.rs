//! From the tree of a scenario file to a scenario: keys, defaults and bounds.

mod phases;
mod thresholds;

use std::time::Duration;

use super::status::StatusSet;
use super::template::without_slots;
use super::{Connections, Flow, Http, LoadModel, Open, Phase, Step, request};
use crate::document::{Fields, Keys, Kind, Node, Place, Walk, is_name};
use crate::threshold::Threshold;
use crate::units::thousands;

const FILE_KEYS: Keys = Keys::new(
    &[
        "tailmark",
        "why",
        "seed",
        "timeout",
        "connections",
        "headers",
        "flows",
        "phases",
        "thresholds",
    ],
    &["feeders", "setup"],
)
.with_extensions();
const CONNECTION_KEYS: Keys = Keys::new(
    &[
        "max",
        "connect_timeout",
        "open",
        "reuse",
        "ttl",
        "dns",
        "http",
        "streams",
    ],
    &[],
);
const DNS_KEYS: Keys = Keys::new(&["ttl"], &[]);
const FLOW_KEYS: Keys = Keys::new(&["weight", "steps"], &["vars"]);
const STEP_KEYS: Keys = Keys::new(
    &[
        "name", "get", "post", "put", "patch", "delete", "head", "options", "method", "path",
        "headers", "body", "json", "checks",
    ],
    &["think", "capture", "form"],
);
const CHECK_KEYS: Keys = Keys::new(&["status"], &["header", "body", "json"]);
/// The longest timeout: an hour, which is also the longest time that the histograms hold.
const MAX_TIMEOUT: Duration = Duration::from_secs(3_600);

/// The longest life of a connection or an address: a week, the longest phase.
const MAX_TTL: Duration = Duration::from_secs(7 * 24 * 3_600);

/// The shortest life of an address: a second, which is the finest that DNS itself can say.
const MIN_DNS_TTL: Duration = Duration::from_secs(1);

/// The most connections: beyond the ports that one address has.
const MAX_CONNECTIONS: u64 = 100_000;

/// The most streams of a connection: ten times what servers commonly allow.
const MAX_STREAMS: u64 = 1_000;

/// The largest weight, so that the sum over all flows of a file stays far within 64 bits.
const MAX_WEIGHT: u64 = 1_000_000;

/// The most steps of all flows together: every step has histograms of its own, and a table row.
const MAX_STEPS: usize = 1_000;

/// What a file says, its defaults filled in.
pub(super) struct Content {
    pub(super) why: Option<String>,
    pub(super) seed: u64,
    pub(super) timeout: Duration,
    pub(super) connections: Connections,
    pub(super) flows: Vec<Flow>,
    pub(super) phases: Vec<Phase>,
    pub(super) thresholds: Vec<Threshold>,
}

pub(super) fn content<'d>(walk: &mut Walk<'d>, root: &'d Node) -> Option<Content> {
    let fields = walk.map(root, "a scenario", FILE_KEYS)?;
    let version = walk.version(fields);
    let why = optional(fields.get("why"), None, |node| {
        walk.text(node, "why", "text")
            .map(|why| Some(why.to_owned()))
    });
    let seed = optional(fields.get("seed"), 1, |node| {
        walk.integer(node, "seed", 0..=u64::MAX)
    });
    let timeout = optional(fields.get("timeout"), Duration::from_secs(10), |node| {
        walk.duration(node, "timeout", MAX_TIMEOUT)
    });
    let headers = fields.get("headers");
    let checked = optional(headers, (), |node| request::check_headers(walk, node));
    // Headers that were refused once are not read, and refused, again for every step.
    let flows = flows(walk, fields, headers.filter(|_| checked.is_some()));
    let phases = phases::read(walk, fields);
    let usual = usual_connections(phases.as_deref().unwrap_or_default());
    let connections = optional(fields.get("connections"), usual, |node| {
        connections(walk, node, usual)
    });
    // Without flows and phases nobody knows what thresholds may name.
    let named = flows.as_deref().zip(phases.as_deref());
    let thresholds = fields.get("thresholds").zip(named);
    let thresholds = thresholds.map_or(Some(Vec::new()), |(node, (flows, phases))| {
        thresholds::read(walk, node, flows, phases)
    });
    checked?;
    version?;
    Some(Content {
        why: why?,
        seed: seed?,
        timeout: timeout?,
        connections: connections?,
        flows: flows?,
        phases: phases?,
        thresholds: thresholds?,
    })
}

/// The connections of a scenario that does not say how many: no user of a closed phase waits for another's.
fn usual_connections(phases: &[Phase]) -> Connections {
    let usual = Connections::default();
    let users = phases.iter().map(|phase| match phase.model {
        LoadModel::Closed { users } => users as usize,
        _ => 0,
    });
    Connections {
        max: users.fold(usual.max, usize::max),
        ..usual
    }
}

fn connections<'d>(walk: &mut Walk<'d>, node: &'d Node, usual: Connections) -> Option<Connections> {
    let fields = walk.map(node, "`connections`", CONNECTION_KEYS)?;
    let max = optional(fields.get("max"), usual.max, |node| {
        walk.integer(node, "max", 1..=MAX_CONNECTIONS)
            .and_then(|max| usize::try_from(max).ok())
    });
    let connect_timeout = optional(
        fields.get("connect_timeout"),
        usual.connect_timeout,
        |node| walk.duration(node, "connect_timeout", MAX_TIMEOUT),
    );
    let words = [
        ("eager", Open::Eager),
        ("on-demand", Open::OnDemand),
        ("all", Open::All),
    ];
    let open = optional(fields.get("open"), usual.open, |node| {
        walk.word(node, "open", &words)
    });
    let reuse = optional(fields.get("reuse"), usual.reuse, |node| {
        walk.boolean(node, "reuse")
    });
    let ttl = optional(fields.get("ttl"), usual.ttl, |node| {
        walk.duration(node, "ttl", MAX_TTL).map(Some)
    });
    let dns_ttl = optional(fields.get("dns"), usual.dns_ttl, |node| {
        let fields = walk.map(node, "`dns`", DNS_KEYS)?;
        optional(fields.get("ttl"), usual.dns_ttl, |node| dns_ttl(walk, node))
    });
    let words = [("1.1", Http::One), ("2", Http::Two), ("auto", Http::Auto)];
    let http = optional(fields.get("http"), usual.http, |node| {
        walk.word(node, "http", &words)
    });
    let streams = optional(fields.get("streams"), usual.streams, |node| {
        walk.integer(node, "streams", 1..=MAX_STREAMS)
            .and_then(|streams| usize::try_from(streams).ok())
    });
    if reuse == Some(false) {
        // A connection that is opened for its exchange is not there before, and does not live on.
        let idle = [("ttl", true), ("open", open != Some(Open::OnDemand))];
        for (key, idle) in idle {
            if let Some((name, _)) = fields.entry(key).filter(|_| idle) {
                let message = format!(
                    "`{key}` says nothing where `reuse: false` opens a connection for every exchange"
                );
                walk.refuse_with_hint(name.place, message, format!("leave `{key}` out"));
            }
        }
    }
    Some(Connections {
        max: max?,
        connect_timeout: connect_timeout?,
        open: open?,
        reuse: reuse?,
        ttl: ttl?,
        dns_ttl: dns_ttl?,
        http: http?,
        streams: streams?,
    })
}

fn dns_ttl<'d>(walk: &mut Walk<'d>, node: &'d Node) -> Option<Duration> {
    let ttl = walk.duration(node, "ttl", MAX_TTL)?;
    if ttl < MIN_DNS_TTL {
        walk.refuse(
            node.place,
            format!("`ttl: {}` is too short: at least 1s", node.text),
        );
        return None;
    }
    Some(ttl)
}

fn flows<'d>(
    walk: &mut Walk<'d>,
    fields: Fields<'d>,
    headers: Option<&'d Node>,
) -> Option<Vec<Flow>> {
    let node = walk.required(fields, "the scenario", "flows")?;
    let entries = walk.named(node, "`flows`")?;
    let steps = |(_, flow): &(Node, Node)| match &flow.kind {
        Kind::Map(fields) => fields.iter().map(|(_, value)| value.items()).sum(),
        _ => 0,
    };
    if entries.iter().map(steps).sum::<usize>() > MAX_STEPS {
        let message = format!(
            "more than {} steps in all flows",
            thousands(MAX_STEPS as u64)
        );
        walk.refuse(node.place, message);
        return None;
    }
    let flows: Vec<_> = entries
        .iter()
        .filter_map(|(name, node)| flow(walk, name, node, headers))
        .collect();
    (flows.len() == entries.len()).then_some(flows)
}

fn flow<'d>(
    walk: &mut Walk<'d>,
    name: &'d Node,
    node: &'d Node,
    headers: Option<&'d Node>,
) -> Option<Flow> {
    let called = walk.name(name, "flow");
    let fields = walk.map(node, &format!("flow `{}`", name.text), FLOW_KEYS)?;
    let weight = optional(fields.get("weight"), 1, |node| {
        walk.integer(node, "weight", 1..=MAX_WEIGHT)
            .and_then(|weight| u32::try_from(weight).ok())
    });
    let nodes = walk.required(fields, &format!("flow `{}`", name.text), "steps")?;
    let nodes = walk.list(nodes, "`steps`")?;
    let mut steps: Vec<Step> = Vec::new();
    for node in nodes {
        let Some(step) = step(walk, node, headers) else {
            continue;
        };
        if steps.iter().any(|before| before.name == step.name) {
            let place = name_place(node);
            let hint = "each step of a flow has a `name` of its own";
            walk.refuse_with_hint(
                place,
                format!("flow `{}` has two steps called `{}`", name.text, step.name),
                hint,
            );
        }
        steps.push(step);
    }
    let complete = steps.len() == nodes.len();
    Some(Flow {
        name: called?,
        weight: weight?,
        steps,
    })
    .filter(|_| complete)
}

/// Where a step's name stands, or the step.
fn name_place(node: &Node) -> Place {
    match &node.kind {
        Kind::Map(entries) => entries
            .iter()
            .find(|(key, _)| key.text == "name")
            .map_or(node.place, |(_, name)| name.place),
        _ => node.place,
    }
}

fn step<'d>(walk: &mut Walk<'d>, node: &'d Node, headers: Option<&'d Node>) -> Option<Step> {
    let fields = walk.map(node, "a step", STEP_KEYS)?;
    // A think time is a step of its own kind: that it lacks a request is not its fault.
    if fields.get("think").is_some() {
        return None;
    }
    let name = optional(fields.get("name"), None, |node| {
        walk.name(node, "step").map(Some)
    });
    let expect = optional(fields.get("checks"), StatusSet::default(), |node| {
        checks(walk, node)
    });
    let read = request::read(walk, fields, headers)?;
    let name = match name? {
        Some(name) => name,
        None => default_name(walk, node, read.request.method.as_str(), read.path)?,
    };
    Some(Step {
        name,
        request: read.request,
        expect: expect?,
    })
}

/// `METHOD-path` without query and slots, in the characters that a name may have: `GET-v1-items`.
fn default_name(walk: &mut Walk<'_>, node: &Node, method: &str, path: &str) -> Option<String> {
    let path = without_slots(path.split('?').next().unwrap_or(path));
    let words = path
        .split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .filter(|word| !word.is_empty());
    let mut name = std::iter::once(method)
        .chain(words)
        .collect::<Vec<_>>()
        .join("-");
    name.truncate(64);
    let name = name.trim_end_matches('-').to_owned();
    if is_name(&name) {
        return Some(name);
    }
    walk.refuse(
        node.place,
        format!("a step with the method `{method}` needs a `name`"),
    );
    None
}

fn checks<'d>(walk: &mut Walk<'d>, node: &'d Node) -> Option<StatusSet> {
    let fields = walk.map(node, "`checks`", CHECK_KEYS)?;
    optional(fields.get("status"), StatusSet::default(), |node| {
        StatusSet::read(walk, node)
    })
}

/// What `read` makes of a value, or `usual` where there is none; none only if `read` refused the value.
fn optional<'d, T>(
    node: Option<&'d Node>,
    usual: T,
    read: impl FnOnce(&'d Node) -> Option<T>,
) -> Option<T> {
    match node {
        Some(node) => read(node),
        None => Some(usual),
    }
}
