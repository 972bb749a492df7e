//! The flows of a scenario file: their variables and the way through their steps.

use std::time::Duration;

use super::{MAX_TIMEOUT, name_place, optional};
use crate::document::{Fields, Flaw, Keys, Kind, Node, Place, Walk, is_name, nearest};
use crate::scenario::expectation::Expectation;
use crate::scenario::flow::{Block, Condition, Flow, Step, Think};
use crate::scenario::template::{NameUse, Names, Part, is_reserved, parts, without_slots};
use crate::scenario::{inspect, request};
use crate::units::{parse_duration, thousands};

pub(super) const FLOW_KEYS: Keys = Keys::new(&["weight", "vars", "steps"], &[]);
pub(super) const STEP_KEYS: Keys = Keys::new(
    &[
        "name", "get", "post", "put", "patch", "delete", "head", "options", "method", "path",
        "headers", "body", "json", "form", "checks", "capture", "if", "repeat",
    ],
    // Keys of other items, which a misspelt key may have meant.
    &["think", "steps"],
);
pub(super) const GROUP_KEYS: Keys = Keys::new(&["steps", "if", "repeat"], &[]);
pub(super) const THINK_KEYS: Keys = Keys::new(&["think"], &[]);

/// The largest weight, so that the sum over all flows of a file stays far within 64 bits.
const MAX_WEIGHT: u64 = 1_000_000;

/// The most steps of all flows together: every step has histograms of its own, and a table row.
const MAX_STEPS: usize = 1_000;

/// The most rounds of steps that repeat.
const MAX_ROUNDS: u64 = 10_000;

/// The most variables of a flow.
const MAX_VARIABLES: usize = 100;

pub(super) fn read<'d>(
    walk: &mut Walk<'d>,
    fields: Fields<'d>,
    shared: request::Shared<'d>,
    names: &mut Names,
) -> Option<Vec<Flow>> {
    let node = walk.required(fields, "the scenario", "flows")?;
    let entries = walk.named(node, "`flows`")?;
    if entries
        .iter()
        .map(|(_, flow)| steps_of(flow))
        .sum::<usize>()
        > MAX_STEPS
    {
        let message = format!(
            "more than {} steps in all flows",
            thousands(MAX_STEPS as u64)
        );
        walk.refuse(node.place, message);
        return None;
    }
    let flows: Vec<_> = entries
        .iter()
        .filter_map(|(name, node)| flow(walk, name, node, shared, names))
        .collect();
    (flows.len() == entries.len()).then_some(flows)
}

/// How many steps a flow, or a group of them, has.
fn steps_of(node: &Node) -> usize {
    let Kind::Map(fields) = &node.kind else {
        return 0;
    };
    let lists = fields.iter().filter(|(key, _)| key.text == "steps");
    lists
        .map(|(_, list)| match &list.kind {
            Kind::Seq(items) => items.len() + items.iter().map(steps_of).sum::<usize>(),
            _ => 0,
        })
        .sum()
}

/// What is collected of a flow on the way through its items.
struct Steps<'n> {
    flow: &'n str,
    steps: Vec<Step>,
    blocks: Vec<Block>,
    /// Pauses that belong before the next step.
    thinks: Vec<Think>,
    captured: Vec<String>,
    complete: bool,
}

fn flow<'d>(
    walk: &mut Walk<'d>,
    name: &'d Node,
    node: &'d Node,
    shared: request::Shared<'d>,
    names: &mut Names,
) -> Option<Flow> {
    let called = walk.name(name, "flow");
    let fields = walk.map(node, &format!("flow `{}`", name.text), FLOW_KEYS)?;
    let weight = optional(fields.get("weight"), 1, |node| {
        walk.integer(node, "weight", 1..=MAX_WEIGHT)
            .and_then(|weight| u32::try_from(weight).ok())
    });
    names.variables.clear();
    names.captured.clear();
    names.later.clear();
    let variables = optional(fields.get("vars"), (), |node| {
        let read = variables(walk, node, names);
        if read.is_none() {
            names.accept_variables(node);
        }
        read
    });
    let nodes = walk.required(fields, &format!("flow `{}`", name.text), "steps")?;
    let nodes = walk.list(nodes, "`steps`")?;
    let captures: Vec<&Node> = nodes.iter().flat_map(captures_of).collect();
    names.later = captures.iter().map(|name| name.text.clone()).collect();
    let mut read = Steps {
        flow: &name.text,
        steps: Vec::new(),
        blocks: Vec::new(),
        thinks: Vec::new(),
        captured: Vec::new(),
        complete: true,
    };
    for node in nodes {
        read.item(walk, node, shared, names, false);
    }
    if read.steps.is_empty() && read.complete {
        walk.refuse(node.place, format!("flow `{}` has no request", name.text));
        return None;
    }
    for (known, _) in names.variables.iter().filter(|(known, _)| !known.used) {
        walk.warn(
            name_of(fields, "vars", &known.name),
            format!("nothing uses the variable `{}`", known.name),
        );
    }
    for known in names.captured.iter().filter(|known| !known.used) {
        let first = captures.iter().find(|name| name.text == known.name);
        walk.warn(
            first.map_or(node.place, |name| name.place),
            format!("nothing uses the captured value `{}`", known.name),
        );
    }
    variables?;
    Some(Flow {
        name: called?,
        weight: weight?,
        steps: read.steps,
        blocks: read.blocks,
        after: read.thinks,
        captured: read.captured,
    })
    .filter(|_| read.complete)
}

impl Steps<'_> {
    /// Reads an item of `steps`: a request, a pause or a group of these.
    fn item<'d>(
        &mut self,
        walk: &mut Walk<'d>,
        node: &'d Node,
        shared: request::Shared<'d>,
        names: &mut Names,
        in_group: bool,
    ) {
        let read = if has_key(node, "think") {
            self.think(walk, node)
        } else if has_key(node, "steps") {
            self.group(walk, node, shared, names, in_group)
        } else {
            self.request(walk, node, shared, names, in_group)
        };
        self.complete &= read.is_some();
    }

    fn think<'d>(&mut self, walk: &mut Walk<'d>, node: &'d Node) -> Option<()> {
        let fields = walk.map(node, "a pause", THINK_KEYS)?;
        let think = think(walk, fields.get("think")?)?;
        if self.steps.is_empty() && self.complete {
            let hint = "an arrival is when its first request is due; `think` comes after a request";
            walk.refuse_with_hint(node.place, "a flow begins with a request", hint);
            return None;
        }
        self.thinks.push(think);
        Some(())
    }

    fn group<'d>(
        &mut self,
        walk: &mut Walk<'d>,
        node: &'d Node,
        shared: request::Shared<'d>,
        names: &mut Names,
        in_group: bool,
    ) -> Option<()> {
        if in_group {
            walk.refuse(node.place, "a group of steps cannot hold another");
            return None;
        }
        let fields = walk.map(node, "a group of steps", GROUP_KEYS)?;
        let condition = optional(fields.get("if"), None, |node| {
            condition(walk, node, names).map(Some)
        });
        let repeat = optional(fields.get("repeat"), (1, 1), |node| repeat(walk, node));
        let nodes = walk.list(fields.get("steps")?, "`steps`")?;
        let first = self.steps.len();
        let before = std::mem::take(&mut self.thinks);
        for node in nodes {
            self.item(walk, node, shared, names, true);
        }
        if self.steps.len() == first {
            if self.complete {
                walk.refuse(node.place, "a group of steps has no request");
            }
            return None;
        }
        self.blocks.push(Block {
            first,
            last: self.steps.len() - 1,
            repeat: repeat?,
            condition: condition?,
            before,
            end: std::mem::take(&mut self.thinks),
        });
        Some(())
    }

    fn request<'d>(
        &mut self,
        walk: &mut Walk<'d>,
        node: &'d Node,
        shared: request::Shared<'d>,
        names: &mut Names,
        in_group: bool,
    ) -> Option<()> {
        let fields = walk.map(node, "a step", STEP_KEYS)?;
        let name = optional(fields.get("name"), None, |node| {
            walk.name(node, "step").map(Some)
        });
        let condition = optional(fields.get("if"), None, |node| {
            condition(walk, node, names).map(Some)
        });
        let repeat = match fields.entry("repeat") {
            Some((key, _)) if in_group => {
                walk.refuse(key.place, "a step of a group repeats with the group");
                None
            }
            Some((_, node)) => repeat(walk, node),
            None => Some((1, 1)),
        };
        names.slots = 0;
        let read = request::read(walk, fields, shared, names);
        let before = self.captured.len();
        let inspection = inspect::read(walk, fields, &mut self.captured);
        for known in &self.captured[before..] {
            names.captured.push(NameUse::new(known));
        }
        let read = read?;
        let name = match name? {
            Some(name) => name,
            None => default_name(walk, node, read.request.method.as_str(), read.path)?,
        };
        if self.steps.iter().any(|before| before.name == name) {
            let place = name_place(node);
            let hint = "each step of a flow has a `name` of its own";
            walk.refuse_with_hint(
                place,
                format!("flow `{}` has two steps called `{name}`", self.flow),
                hint,
            );
        }
        let (condition, repeat) = (condition?, repeat?);
        let index = self.steps.len();
        let mut step = Step {
            name,
            request: read.request,
            inspection: inspection?,
            before: std::mem::take(&mut self.thinks),
            condition,
        };
        if repeat != (1, 1) {
            // What stands before it or decides on it does so once, not in every round.
            self.blocks.push(Block {
                first: index,
                last: index,
                repeat,
                condition: step.condition.take(),
                before: std::mem::take(&mut step.before),
                end: Vec::new(),
            });
        }
        self.steps.push(step);
        Some(())
    }
}

/// Reads `500ms`, `200ms..800ms` or `exp(1s)`.
fn think<'d>(walk: &mut Walk<'d>, node: &'d Node) -> Option<Think> {
    let text = walk.text(
        node,
        "think",
        "a pause such as 500ms, 200ms..800ms or exp(1s)",
    )?;
    let trimmed = text.trim();
    let mean = trimmed
        .strip_prefix("exp(")
        .and_then(|rest| rest.strip_suffix(')'));
    if let Some(mean) = mean {
        return pause(walk, node, mean).map(Think::exponential);
    }
    let Some((low, high)) = trimmed.split_once("..") else {
        return pause(walk, node, trimmed).map(|pause| Think::between(pause, pause));
    };
    let [low, high] = [low, high].map(|end| pause(walk, node, end));
    let (low, high) = (low?, high?);
    if low > high {
        let message = format!("`think: {text}` has its ends the wrong way round");
        walk.refuse(node.place, message);
        return None;
    }
    Some(Think::between(low, high))
}

fn pause(walk: &mut Walk<'_>, node: &Node, text: &str) -> Option<Duration> {
    match parse_duration(text.trim()) {
        Ok(pause) if pause <= MAX_TIMEOUT => Some(pause),
        Ok(_) => {
            walk.refuse(
                node.place,
                format!("`think: {}` is too long: at most 1h", node.text),
            );
            None
        }
        Err(error) => {
            let message = format!("`think: {}` {}", node.text, error.fault());
            walk.refuse_with_hint(node.place, message, error.hint());
            None
        }
    }
}

/// Reads `3` or `1..5`.
fn repeat(walk: &mut Walk<'_>, node: &Node) -> Option<(u32, u32)> {
    let (low, high) = node
        .text
        .split_once("..")
        .unwrap_or((&node.text, &node.text));
    let number = |text: &str| text.trim().parse::<u32>().ok();
    let within =
        |&(low, high): &(u32, u32)| 1 <= low && low <= high && u64::from(high) <= MAX_ROUNDS;
    let read = number(low).zip(number(high)).filter(within);
    if read.is_none() {
        let wants = format!(
            "a number of rounds up to {}, such as 3 or 1..5",
            thousands(MAX_ROUNDS)
        );
        walk.wrong_type(node, "repeat", &wants);
    }
    read
}

/// Reads a map of captured values and what they must be.
fn condition<'d>(walk: &mut Walk<'d>, node: &'d Node, names: &mut Names) -> Option<Condition> {
    let entries = walk.named(node, "`if`")?;
    let mut expected = Vec::new();
    for (name, value) in entries {
        let index = names
            .captured
            .iter()
            .position(|known| known.name == name.text);
        match index {
            Some(index) => names.captured[index].used = true,
            None => {
                let hint = "`if` asks for what a step before has captured";
                let known = names.captured.iter().map(|known| known.name.as_str());
                match nearest(&name.text, known) {
                    Some(near) => walk.refuse(
                        name.place,
                        format!("unknown value `{}`; did you mean `{near}`?", name.text),
                    ),
                    None => walk.refuse_with_hint(
                        name.place,
                        format!("no step before captures `{}`", name.text),
                        hint,
                    ),
                }
            }
        }
        let is = Expectation::read(walk, value, &name.text);
        expected.extend(index.zip(is));
    }
    (expected.len() == entries.len()).then_some(Condition(expected))
}

/// Reads the variables of a flow, each of which may use the ones that are not defined by it.
fn variables<'d>(walk: &mut Walk<'d>, node: &'d Node, names: &mut Names) -> Option<()> {
    let entries = walk.named(node, "`vars`")?;
    if entries.len() > MAX_VARIABLES {
        walk.refuse(node.place, format!("more than {MAX_VARIABLES} variables"));
        return None;
    }
    let mut complete = Some(());
    for (key, value) in entries {
        let called = walk.name(key, "variable");
        let taken = is_reserved(&key.text)
            || names.setup.iter().any(|known| known.name == key.text)
            || names.feeders.iter().any(|known| known.name == key.text);
        if called.is_some() && taken {
            walk.refuse(
                key.place,
                format!("`{}` is the name of something else already", key.text),
            );
        }
        let is_text = walk.text(value, &key.text, "text or a number");
        complete = complete
            .and(called.filter(|_| !taken))
            .and(is_text)
            .map(|_| ());
    }
    complete?;
    let order = order(walk, entries)?;
    (names.of_walk, names.slots) = (true, 0);
    for index in order {
        let (key, value) = &entries[index];
        match variable(value, names) {
            Ok(held) => names.variables.push((NameUse::new(&key.text), held)),
            Err(flaw) => {
                walk.refuse_flaw(value, &flaw);
                complete = None;
            }
        }
    }
    names.of_walk = false;
    complete
}

impl Names {
    /// Makes known what was refused, so that using it is no problem of its own.
    fn accept_variables(&mut self, node: &Node) {
        let Kind::Map(entries) = &node.kind else {
            return;
        };
        for (key, _) in entries {
            if !self
                .variables
                .iter()
                .any(|(known, _)| known.name == key.text)
            {
                let used = NameUse {
                    used: true,
                    ..NameUse::new(&key.text)
                };
                self.variables.push((used, Vec::new()));
            }
        }
    }
}

/// The longest value of a variable, others spelt out: a variable is a key or a name, not a body.
const MOST_PARTS: usize = 1_000;

fn variable(value: &Node, names: &mut Names) -> Result<Vec<Part>, Flaw> {
    names.place = value.place;
    let held = parts(&value.text, names)?;
    let bytes = held.iter().map(|part| match part {
        Part::Literal(text) | Part::Variable(text) => text.len(),
        Part::Slot(..) => 1,
    });
    if held.len() > MOST_PARTS || bytes.sum::<usize>() > 64 << 10 {
        return Err(Flaw {
            offset: 0,
            message: "with its variables spelt out, this is too long".to_owned(),
            hint: None,
        });
    }
    Ok(held)
}

/// The variables in an order in which each comes after those that it uses.
fn order(walk: &mut Walk<'_>, entries: &[(Node, Node)]) -> Option<Vec<usize>> {
    let uses = |index: usize| {
        let text = &entries[index].1.text;
        let names = text
            .split("${")
            .skip(1)
            .filter_map(|rest| rest.split('}').next());
        let find = |name: &str| entries.iter().position(|(key, _)| key.text == name.trim());
        names.filter_map(find).collect::<Vec<_>>()
    };
    let mut order: Vec<usize> = Vec::new();
    let mut left: Vec<usize> = (0..entries.len()).collect();
    while !left.is_empty() {
        let ready = |&index: &usize| uses(index).iter().all(|used| order.contains(used));
        let Some(at) = left.iter().position(ready) else {
            // Every one that is left uses another that is left: following them must come round.
            let mut path = vec![left[0]];
            let next = |index: usize| uses(index).into_iter().find(|used| !order.contains(used));
            while let Some(used) = next(path[path.len() - 1]) {
                let seen = path.iter().position(|&before| before == used);
                path.push(used);
                if let Some(start) = seen {
                    let circle: Vec<&str> = path[start..]
                        .iter()
                        .map(|&index| entries[index].0.text.as_str())
                        .collect();
                    let message = format!("variables go in a circle: {}", circle.join(" → "));
                    walk.refuse(entries[path[start]].0.place, message);
                    return None;
                }
            }
            return None;
        };
        order.push(left.remove(at));
    }
    Some(order)
}

/// `METHOD-path` without query and slots, in the characters that a name may have: `GET-v1-items`.
fn default_name(walk: &mut Walk<'_>, node: &Node, method: &str, path: &str) -> Option<String> {
    let path = without_slots(path);
    let path = path.split('?').next().unwrap_or(&path);
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

fn has_key(node: &Node, key: &str) -> bool {
    match &node.kind {
        Kind::Map(entries) => entries.iter().any(|(name, _)| name.text == key),
        _ => false,
    }
}

/// Where `name` stands in the map that is the value of `key`.
fn name_of(fields: Fields<'_>, key: &str, name: &str) -> Place {
    let found = fields.get(key).and_then(|node| match &node.kind {
        Kind::Map(entries) => entries.iter().find(|(own, _)| own.text == name),
        _ => None,
    });
    found.map_or(fields.place(), |(own, _)| own.place)
}

/// The names that an item of `steps` captures, or a call; of a group, those of its items.
pub(super) fn captures_of(node: &Node) -> Vec<&Node> {
    let Kind::Map(entries) = &node.kind else {
        return Vec::new();
    };
    entries
        .iter()
        .flat_map(|(key, value)| match (key.text.as_str(), &value.kind) {
            ("capture", Kind::Map(names)) => names.iter().map(|(name, _)| name).collect(),
            ("steps", Kind::Seq(items)) => items.iter().flat_map(captures_of).collect(),
            _ => Vec::new(),
        })
        .collect()
}
