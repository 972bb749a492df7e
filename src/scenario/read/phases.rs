//! The phases of a scenario file: one load model each, and for how long.

use super::{name_place, optional};
use crate::document::{Fields, Keys, Kind, Node, Walk};
use crate::scenario::{Arrivals, LoadModel, Phase};
use crate::units::{Fault, Rate, UnitError, thousands};

pub(super) const KEYS: Keys = Keys::new(
    &[
        "name", "rate", "ramp", "users", "pause", "for", "arrivals", "warmup",
    ],
    &[],
);

/// The keys of which a phase has exactly one.
const MODELS: [&str; 4] = ["rate", "ramp", "users", "pause"];

/// The most phases: beyond what anyone reads, and every one is measured apart.
const MAX_PHASES: usize = 100;

pub(super) fn read<'d>(walk: &mut Walk<'d>, fields: Fields<'d>) -> Option<Vec<Phase>> {
    let node = walk.required(fields, "the scenario", "phases")?;
    let nodes = walk.list(node, "`phases`")?;
    if nodes.len() > MAX_PHASES {
        walk.refuse(node.place, format!("more than {MAX_PHASES} phases"));
        return None;
    }
    let mut phases: Vec<Phase> = Vec::new();
    for node in nodes {
        let Some(phase) = phase(walk, node) else {
            continue;
        };
        if phases.iter().any(|before| before.name == phase.name) {
            walk.refuse(
                name_place(node),
                format!("two phases are called `{}`", phase.name),
            );
        }
        phases.push(phase);
    }
    if phases.len() < nodes.len() {
        return None;
    }
    if !phases.iter().any(Phase::is_measured) {
        let (what, hint) = if phases.iter().all(|phase| phase.warmup) {
            (
                "warm-up",
                "leave `warmup: true` out of the phase whose times you want",
            )
        } else {
            (
                "warm-up or a pause",
                "add a phase with `rate`, `ramp` or `users` whose times you want",
            )
        };
        let message = format!("no phase is measured: all are {what}");
        walk.refuse_with_hint(node.place, message, hint);
        return None;
    }
    attach_pauses(&mut phases);
    Some(phases)
}

/// What is due in a pause was begun before it and counts as that does; before anything was begun, nothing counts.
fn attach_pauses(phases: &mut [Phase]) {
    let mut warmup = true;
    for phase in phases {
        match phase.model {
            LoadModel::Pause => phase.warmup = warmup,
            _ => warmup = phase.warmup,
        }
    }
}

fn phase<'d>(walk: &mut Walk<'d>, node: &'d Node) -> Option<Phase> {
    let fields = walk.map(node, "a phase", KEYS)?;
    let name = walk
        .required(fields, "a phase", "name")
        .and_then(|node| walk.name(node, "phase"));
    let model = model(walk, fields);
    let duration = walk
        .required(fields, "a phase", "for")
        .and_then(|node| walk.duration(node, "for", Phase::LONGEST));
    let warmup = optional(fields.get("warmup"), false, |node| {
        walk.boolean(node, "warmup")
    });
    let phase = Phase {
        name: name?,
        model: model?,
        duration: duration?,
        warmup: warmup?,
    };
    if phase.expected_arrivals() > Some(Phase::MAX_ARRIVALS) {
        let message = format!(
            "more than {} arrivals in one phase",
            thousands(Phase::MAX_ARRIVALS)
        );
        let hint = format!("lower `{}` or `for`", phase.model.key());
        walk.refuse_with_hint(fields.place(), message, hint);
        return None;
    }
    Some(phase)
}

/// The one load model of a phase.
fn model<'d>(walk: &mut Walk<'d>, fields: Fields<'d>) -> Option<LoadModel> {
    let mut given = MODELS
        .into_iter()
        .filter_map(|key| Some((key, fields.entry(key)?)));
    let Some((key, (_, node))) = given.next() else {
        if !MODELS.iter().any(|key| walk.misspelt(fields, key)) {
            let message = "a phase has no `rate`, `ramp`, `users` or `pause`";
            walk.refuse_with_hint(fields.place(), message, "it has exactly one of these");
        }
        return None;
    };
    if let Some((second, (name, _))) = given.next() {
        let message = format!("a phase has either `{key}` or `{second}`");
        walk.refuse_with_hint(name.place, message, "write two phases");
        return None;
    }
    match key {
        "rate" => {
            let (rate, arrivals) = (walk.rate(node, key), arrivals(walk, fields));
            Some(LoadModel::Open {
                rate: rate?,
                arrivals: arrivals?,
            })
        }
        "ramp" => {
            let (ends, arrivals) = (ramp(walk, node), arrivals(walk, fields));
            let ((from, to), arrivals) = (ends?, arrivals?);
            Some(LoadModel::Ramp { from, to, arrivals })
        }
        "users" => {
            let users = walk.integer(node, key, 1..=u64::from(Phase::MAX_USERS));
            without(walk, fields, "arrivals", "users come when they are done")?;
            u32::try_from(users?)
                .ok()
                .map(|users| LoadModel::Closed { users })
        }
        _ => {
            let pause = pause(walk, node);
            let nothing = "nothing arrives in a pause";
            let arrivals = without(walk, fields, "arrivals", nothing);
            without(walk, fields, "warmup", nothing).and(arrivals)?;
            pause
        }
    }
}

fn arrivals<'d>(walk: &mut Walk<'d>, fields: Fields<'d>) -> Option<Arrivals> {
    let words = [
        ("constant", Arrivals::Constant),
        ("poisson", Arrivals::Poisson),
    ];
    optional(fields.get("arrivals"), Arrivals::Constant, |node| {
        walk.word(node, "arrivals", &words)
    })
}

/// Refuses a key that says nothing under the phase's load model.
fn without(walk: &mut Walk<'_>, fields: Fields<'_>, key: &str, why: &str) -> Option<()> {
    let Some((name, _)) = fields.entry(key) else {
        return Some(());
    };
    let message = format!("`{key}` has no meaning here: {why}");
    walk.refuse_with_hint(name.place, message, format!("leave `{key}` out"));
    None
}

/// `100/s..400/s`.
fn ramp<'d>(walk: &mut Walk<'d>, node: &'d Node) -> Option<(Rate, Rate)> {
    let text = walk.text(node, "ramp", "two rates such as 100/s..400/s")?;
    let Some((from, to)) = text.split_once("..") else {
        let message = format!("`ramp: {text}` is not two rates");
        let hint = "a ramp goes from one rate to another: write 100/s..400/s";
        walk.refuse_with_hint(node.place, message, hint);
        return None;
    };
    let mut rate = |end: &str| {
        let parsed: Result<Rate, UnitError> = end.parse();
        parsed
            .map_err(|error| {
                let hint = match error.fault() {
                    Fault::ZeroRate => "write a low rate there, such as 1/m".to_owned(),
                    _ => error.hint(),
                };
                walk.refuse_with_hint(node.place, format!("`ramp: {text}`: {error}"), hint);
            })
            .ok()
    };
    let (from, to) = (rate(from), rate(to));
    from.zip(to)
}

/// `true`: how long it is stands in `for`.
fn pause(walk: &mut Walk<'_>, node: &Node) -> Option<LoadModel> {
    match node.kind {
        Kind::Bool(true) => Some(LoadModel::Pause),
        _ => {
            walk.wrong_type(node, "pause", "true (`for` says how long)");
            None
        }
    }
}
