//! From the tree of a scenario file to a scenario: keys, defaults and bounds.

mod calls;
mod feeders;
mod flows;
mod phases;
mod thresholds;

use std::time::Duration;

use super::given::{Feeder, Key};
use super::template::Names;
use super::{Call, Connections, Flow, Http, LoadModel, Open, Phase, request};
use crate::document::{Keys, Kind, Node, Place, Walk};
use crate::threshold::Threshold;

const FILE_KEYS: Keys = Keys::new(
    &[
        "tailmark",
        "why",
        "seed",
        "timeout",
        "connections",
        "headers",
        "cookies",
        "feeders",
        "setup",
        "flows",
        "teardown",
        "phases",
        "thresholds",
    ],
    &[],
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

/// What a file says, its defaults filled in.
pub(super) struct Content {
    pub(super) why: Option<String>,
    pub(super) seed: u64,
    pub(super) timeout: Duration,
    pub(super) connections: Connections,
    pub(super) feeders: Vec<Feeder>,
    /// Where each feeder's fields are used first, and where what a run has to know is asked for.
    pub(super) places: Places,
    pub(super) setup: Vec<Call>,
    pub(super) flows: Vec<Flow>,
    pub(super) teardown: Vec<Call>,
    pub(super) phases: Vec<Phase>,
    pub(super) thresholds: Vec<Threshold>,
}

/// Where a file names what is only found out when other files are opened.
#[derive(Debug, Clone, Default)]
pub(super) struct Places {
    /// The files of feeders.
    pub(super) files: Vec<Place>,
    /// The fields of each feeder.
    pub(super) fields: Vec<Vec<Place>>,
    /// What a run has to know.
    pub(super) known: Vec<(Key, Place)>,
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
    let cookies = optional(fields.get("cookies"), false, |node| {
        walk.boolean(node, "cookies")
    });
    let mut names = Names::default();
    let feeders = optional(fields.get("feeders"), Vec::new(), |node| {
        feeders::read(walk, node, &mut names)
    });
    let setup = optional(fields.get("setup"), Vec::new(), |node| {
        calls::setup(walk, node, &mut names)
    });
    let headers = fields.get("headers");
    let checked = optional(headers, (), |node| {
        request::check_headers(walk, node, &mut names)
    });
    let shared = request::Shared {
        // Headers that were refused once are not read, and refused, again for every step.
        headers: headers.filter(|_| checked.is_some()),
        cookies: cookies.unwrap_or(false),
    };
    let flows = flows::read(walk, fields, shared, &mut names);
    let teardown = optional(fields.get("teardown"), Vec::new(), |node| {
        calls::teardown(walk, node, shared, &mut names)
    });
    let phases = phases::read(walk, fields);
    let usual = usual_connections(phases.as_deref().unwrap_or_default());
    let connections = optional(fields.get("connections"), usual, |node| {
        connections(walk, node, usual)
    });
    if let Some(node) = fields.get("setup").filter(|_| flows.is_some()) {
        calls::warn_of_unused(walk, node, &names);
    }
    let feeders = feeders.and_then(|feeders| {
        let node = fields.get("feeders");
        feeders::finish(walk, node, feeders, &names, phases.as_deref())
    });
    // Without flows and phases nobody knows what thresholds may name.
    let named = flows.as_deref().zip(phases.as_deref());
    let thresholds = fields.get("thresholds").zip(named);
    let thresholds = thresholds.map_or(Some(Vec::new()), |(node, (flows, phases))| {
        thresholds::read(walk, node, flows, phases)
    });
    checked?;
    version?;
    let feeders = feeders?;
    Some(Content {
        why: why?,
        seed: seed?,
        timeout: timeout?,
        connections: connections?,
        places: Places {
            files: feeders.iter().map(|(_, place)| *place).collect(),
            fields: names
                .feeders
                .iter()
                .map(|feeder| feeder.fields.iter().map(|field| field.place).collect())
                .collect(),
            known: names.known,
        },
        feeders: feeders.into_iter().map(|(feeder, _)| feeder).collect(),
        setup: setup?,
        flows: flows?,
        teardown: teardown?,
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

#[cfg(test)]
mod tests;
