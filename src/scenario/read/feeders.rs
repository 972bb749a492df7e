//! The feeders of a scenario file.

use super::{LoadModel, Phase, optional};
use crate::document::{Keys, Kind, Node, Place, Walk};
use crate::scenario::given::{Feeder, Field, Format, Order};
use crate::scenario::template::{FeederUse, Names, is_reserved};

pub(super) const KEYS: Keys = Keys::new(&["file", "order"], &[]);

/// The most feeders of a file.
const MAX_FEEDERS: usize = 20;

/// The most fields of a feeder that are used.
const MAX_FIELDS: usize = 100;

/// Reads the feeders, and where each one's file is named; their fields are known when everything else has been read.
pub(super) fn read<'d>(
    walk: &mut Walk<'d>,
    node: &'d Node,
    names: &mut Names,
) -> Option<Vec<(Feeder, Place)>> {
    let entries = walk.named(node, "`feeders`")?;
    if entries.len() > MAX_FEEDERS {
        walk.refuse(node.place, format!("more than {MAX_FEEDERS} feeders"));
        return None;
    }
    let mut feeders = Vec::new();
    for (name, node) in entries {
        // Known by its name even where it is wrong, so that its fields are no problems of their own.
        names.feeders.push(FeederUse {
            name: name.text.clone(),
            fields: Vec::new(),
        });
        feeders.extend(feeder(walk, name, node));
    }
    (feeders.len() == entries.len()).then_some(feeders)
}

fn feeder<'d>(walk: &mut Walk<'d>, name: &'d Node, node: &'d Node) -> Option<(Feeder, Place)> {
    let called = walk.name(name, "feeder");
    if is_reserved(&name.text) {
        walk.refuse(
            name.place,
            format!("`{}` is a function; call the feeder otherwise", name.text),
        );
    }
    let what = format!("feeder `{}`", name.text);
    let fields = walk.map(node, &what, KEYS)?;
    let words = [
        ("circular", Order::Circular),
        ("sequential", Order::Sequential),
        ("random", Order::Random),
        ("unique", Order::Unique),
    ];
    let order = optional(fields.get("order"), Order::default(), |node| {
        walk.word(node, "order", &words)
    });
    let file = walk.required(fields, &what, "file")?;
    let path = walk.text(file, "file", "the path of a .csv, .ndjson or .jsonl file")?;
    let format = match path.rsplit_once('.').map(|(_, ending)| ending) {
        Some("csv") => Format::Csv,
        Some("ndjson" | "jsonl") => Format::Ndjson,
        _ => {
            let hint = "rows are read from .csv, .ndjson and .jsonl files";
            walk.refuse_with_hint(file.place, format!("`{path}` is no file of rows"), hint);
            return None;
        }
    };
    let feeder = Feeder {
        name: called?,
        file: path.to_owned(),
        format,
        order: order?,
        fields: Vec::new(),
    };
    Some((feeder, file.place))
}

/// Fills in the fields that are used, and says what nothing uses.
pub(super) fn finish<'d>(
    walk: &mut Walk<'d>,
    node: Option<&'d Node>,
    feeders: Vec<(Feeder, Place)>,
    names: &Names,
    phases: Option<&[Phase]>,
) -> Option<Vec<(Feeder, Place)>> {
    let Some(node) = node else {
        return Some(feeders);
    };
    let mut finished = Vec::new();
    for ((feeder, place), used) in feeders.into_iter().zip(&names.feeders) {
        let key = match &node.kind {
            Kind::Map(entries) => entries.iter().find(|(key, _)| key.text == feeder.name),
            _ => None,
        };
        let key = key.map_or(node.place, |(key, _)| key.place);
        if used.fields.is_empty() {
            walk.warn(key, format!("nothing uses the feeder `{}`", feeder.name));
        }
        if used.fields.len() > MAX_FIELDS {
            walk.refuse(key, format!("more than {MAX_FIELDS} fields of one feeder"));
            return None;
        }
        // Nobody knows how many walks a closed phase will have, so the rows of a later phase cannot follow on.
        let closed = phases.unwrap_or_default().iter().rev().skip(1);
        let mut closed = closed.filter(|phase| matches!(phase.model, LoadModel::Closed { .. }));
        if let Some(phase) = closed.next().filter(|_| feeder.order.ends()) {
            let message = format!(
                "rows taken one after the other end in phase `{}`: nobody knows how many its users take",
                phase.name
            );
            let hint = "only the last phase can have `users` with an order that ends; circular and random do not";
            walk.refuse_with_hint(key, message, hint);
            return None;
        }
        let fields = used.fields.iter().map(|field| Field {
            name: field.name.clone(),
            whole: field.whole,
        });
        let fields = fields.collect();
        finished.push((Feeder { fields, ..feeder }, place));
    }
    Some(finished)
}
