//! The thresholds of a scenario file: expressions, or maps with one and what becomes of the run when it is broken.

use std::time::Duration;

use super::optional;
use crate::document::{Keys, Kind, Node, Walk};
use crate::scenario::thresholds::{MOST, subjects};
use crate::scenario::{Flow, Phase};
use crate::threshold::{Expression, Subjects, Threshold};
use crate::units::parse_duration;

pub(super) const KEYS: Keys = Keys::new(&["that", "abort", "after"], &[]);

/// How long a threshold that ends the run may be broken at first: the seconds in which connections open and caches fill
/// are no reason to give up.
const AFTER: Duration = Duration::from_secs(10);

pub(super) fn read<'d>(
    walk: &mut Walk<'d>,
    node: &'d Node,
    flows: &[Flow],
    phases: &[Phase],
) -> Option<Vec<Threshold>> {
    let nodes = walk.list(node, "`thresholds`")?;
    if nodes.len() > MOST {
        walk.refuse(node.place, format!("more than {MOST} thresholds"));
        return None;
    }
    let subjects = subjects(flows, phases);
    let thresholds: Vec<Threshold> = nodes
        .iter()
        .filter_map(|node| threshold(walk, node, &subjects))
        .collect();
    (thresholds.len() == nodes.len()).then_some(thresholds)
}

fn threshold<'d>(
    walk: &mut Walk<'d>,
    node: &'d Node,
    subjects: &Subjects<'_>,
) -> Option<Threshold> {
    if !matches!(node.kind, Kind::Map(_)) {
        return expression(walk, node, "thresholds", subjects).map(Threshold::new);
    }
    let fields = walk.map(node, "a threshold", KEYS)?;
    let that = walk.required(fields, "a threshold", "that");
    let that = that.and_then(|node| expression(walk, node, "that", subjects));
    let abort = optional(fields.get("abort"), false, |node| {
        walk.boolean(node, "abort")
    });
    let after = optional(fields.get("after"), AFTER, |node| after(walk, node));
    let (that, abort, after) = (that?, abort?, after?);
    if abort {
        let (name, _) = fields.entry("abort")?;
        return Threshold::aborting(that, after)
            .map_err(|why| {
                let message = format!("`abort` cannot stand here: {why}");
                walk.refuse_with_hint(name.place, message, "leave `abort` out");
            })
            .ok();
    }
    if let Some((name, _)) = fields.entry("after") {
        let message = "`after` says nothing without `abort: true`";
        walk.refuse_with_hint(name.place, message, "leave `after` out");
    }
    Some(Threshold::new(that))
}

fn expression<'d>(
    walk: &mut Walk<'d>,
    node: &'d Node,
    key: &str,
    subjects: &Subjects<'_>,
) -> Option<Expression> {
    let text = walk.text(node, key, "what must hold, such as p99 < 250ms")?;
    Expression::parse(text, subjects)
        .map_err(|flaw| walk.refuse_flaw(node, &flaw))
        .ok()
}

/// A duration that may be none.
fn after<'d>(walk: &mut Walk<'d>, node: &'d Node) -> Option<Duration> {
    match parse_duration(&node.text) {
        Ok(none) if none.is_zero() => Some(none),
        _ => walk.duration(node, "after", Phase::LONGEST),
    }
}
