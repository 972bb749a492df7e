//! In what runs differ, as far as records tell.

use std::collections::{BTreeMap, BTreeSet};

use super::{Runs, memory};
use crate::report::figures::{UNKNOWN, load, span};
use crate::run_record::{HttpVersion, RunRecord};
use crate::units::{mib, thousands};

/// Digits of a digest that tell two apart.
const DIGEST_DIGITS: usize = 12;

/// Settings of a target or of stores that are named where they differ; the others are counted.
const MOST_SETTINGS: usize = 6;

/// What a difference is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::report) enum Respect {
    /// Requests and load.
    Asked,
    /// Machine, tool and stores.
    Terms,
    /// Whether figures may be believed, and what they mean.
    Trust,
    /// The target itself.
    Target,
}

/// One thing that runs do not share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::report) struct Difference {
    pub(in crate::report) respect: Respect,
    /// What it is, in a word.
    pub(in crate::report) what: &'static str,
    /// What each run has, in the order of the runs.
    pub(in crate::report) values: Vec<String>,
}

/// What a run has of something.
type Value = fn(&RunRecord) -> String;

/// Everything that is held against each other, by words of nine letters at most.
const HELD: [(Respect, &str, Value); 17] = [
    (Respect::Asked, "scenario", scenario),
    (Respect::Asked, "seed", |run| run.scenario.seed.to_string()),
    (Respect::Asked, "load", measured),
    (Respect::Asked, "warm-up", warmup),
    (Respect::Asked, "pool", pool),
    (Respect::Terms, "machine", machine),
    (Respect::Terms, "kernel", |run| {
        known(run.environment.kernel.as_ref())
    }),
    (Respect::Terms, "tailmark", tool),
    (Respect::Terms, "placement", |run| {
        let placement = run.generator.placement.clone();
        placement.unwrap_or_else(|| "nothing set apart".to_owned())
    }),
    (Respect::Trust, "validity", |run| {
        run.validity.state.name().to_owned()
    }),
    (Respect::Trust, "ended", ended),
    (Respect::Trust, "memory", |run| {
        memory(run)
            .map_or("not measured", |(kind, _)| kind)
            .to_owned()
    }),
    (Respect::Target, "target", |run| run.target.name.clone()),
    (Respect::Target, "runs as", runs_as),
    (Respect::Target, "program", |run| {
        run.target
            .executable
            .as_ref()
            .map_or(UNKNOWN.to_owned(), |digest| short(digest))
    }),
    (Respect::Target, "revision", |run| {
        known(run.target.revision.as_ref())
    }),
    (Respect::Target, "limits", |run| {
        let container = run.target.container.as_ref();
        container.map_or("none".to_owned(), |container| container.limits.to_string())
    }),
];

impl Respect {
    /// Those first that decide whether figures can stand beside each other at all.
    pub(in crate::report) const ALL: [Self; 4] =
        [Self::Asked, Self::Terms, Self::Trust, Self::Target];

    /// In what respect.
    pub(in crate::report) fn words(self) -> &'static str {
        match self {
            Self::Asked => "in what was asked",
            Self::Terms => "in where they ran",
            Self::Trust => "in how far they may be believed",
            Self::Target => "in what was measured",
        }
    }

    /// What that means for their figures.
    pub(in crate::report) fn remark(self) -> &'static str {
        match self {
            Self::Asked => "their times answer different questions",
            Self::Terms => "that alone may make the difference",
            Self::Trust => "what is not valid, or not whole, says little of its target",
            Self::Target => "that is what figures may show, beside chance",
        }
    }

    /// Its name, as JSON has it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Asked => "asked",
            Self::Terms => "terms",
            Self::Trust => "trust",
            Self::Target => "target",
        }
    }
}

impl Difference {
    /// What each run has, those together that share it: `A, C: 42 | B: 43`.
    pub(in crate::report) fn said(&self) -> String {
        let mut shared: Vec<(Vec<String>, &str)> = Vec::new();
        for (letter, value) in ('A'..).zip(&self.values) {
            match shared.iter_mut().find(|(_, other)| other == value) {
                Some((letters, _)) => letters.push(letter.to_string()),
                None => shared.push((vec![letter.to_string()], value)),
            }
        }
        let said = shared
            .iter()
            .map(|(letters, value)| format!("{}: {value}", letters.join(", ")));
        said.collect::<Vec<_>>().join(" | ")
    }
}

impl Runs {
    /// In what they differ, by respects.
    pub(in crate::report) fn differences(&self) -> Vec<Difference> {
        let mut found: Vec<Difference> = Vec::new();
        for (respect, what, value) in HELD {
            let values: Vec<String> = self.records().map(value).collect();
            found.extend(
                Difference {
                    respect,
                    what,
                    values,
                }
                .if_any(),
            );
        }
        let stores = self.records().map(|run| &run.environment.stores);
        found.extend(differing(
            Respect::Terms,
            "stores",
            &stores.collect::<Vec<_>>(),
        ));
        let settings = self.records().map(|run| &run.target.settings);
        found.extend(differing(
            Respect::Target,
            "settings",
            &settings.collect::<Vec<_>>(),
        ));
        found
    }

    /// In what they do not, by the same words.
    pub(in crate::report) fn same(&self) -> Vec<&'static str> {
        let differences = self.differences();
        let held = HELD.iter().map(|(_, what, _)| *what);
        held.filter(|what| differences.iter().all(|other| other.what != *what))
            .collect()
    }
}

impl Difference {
    fn if_any(self) -> Option<Self> {
        let first = self.values.first()?;
        let differ = self.values.iter().any(|value| value != first);
        differ.then_some(self)
    }
}

/// The settings that are not the same in all.
fn differing(
    respect: Respect,
    what: &'static str,
    all: &[&BTreeMap<String, String>],
) -> Option<Difference> {
    let names: BTreeSet<&String> = all.iter().flat_map(|settings| settings.keys()).collect();
    let first = all.first()?;
    let differs = |name: &&String| all.iter().any(|other| other.get(*name) != first.get(*name));
    let names: Vec<&String> = names.into_iter().filter(differs).collect();
    if names.is_empty() {
        return None;
    }
    let beyond = names.len().saturating_sub(MOST_SETTINGS);
    let said = |settings: &BTreeMap<String, String>| {
        let shown = names.iter().take(MOST_SETTINGS);
        let shown = shown.map(|name| {
            let value = settings.get(*name).map_or("–", String::as_str);
            format!("{name} {value}")
        });
        let more = (beyond > 0).then(|| format!("and {beyond} more"));
        shown.chain(more).collect::<Vec<_>>().join(", ")
    };
    Some(Difference {
        respect,
        what,
        values: all.iter().map(|settings| said(settings)).collect(),
    })
}

fn scenario(run: &RunRecord) -> String {
    format!("{} {}", run.scenario.name, short(&run.scenario.digest))
}

fn measured(run: &RunRecord) -> String {
    let phases = run.measured();
    let said = phases.map(|phase| {
        let length = span(phase.duration_ns);
        format!("{} {}, {length}", phase.name, load(phase.model))
    });
    said.collect::<Vec<_>>().join("; ")
}

fn warmup(run: &RunRecord) -> String {
    let phases = run.phases.iter().filter(|phase| phase.warmup);
    let said: Vec<String> = phases
        .map(|phase| format!("{}, {}", load(phase.model), span(phase.duration_ns)))
        .collect();
    match said.as_slice() {
        [] => "none".to_owned(),
        some => some.join("; "),
    }
}

fn pool(run: &RunRecord) -> String {
    let version = match run.connections.http {
        Some(HttpVersion::One) => " of HTTP/1.1",
        Some(HttpVersion::Two) => " of HTTP/2",
        None => "",
    };
    format!("{}{version}", thousands(run.connections.max as u64))
}

fn machine(run: &RunRecord) -> String {
    let environment = &run.environment;
    let memory = environment.memory_bytes;
    let memory = memory.map_or(UNKNOWN.to_owned(), |bytes| format!("{} MiB", mib(bytes)));
    let inside = if environment.container {
        ", in a container"
    } else {
        ""
    };
    let model = known(environment.cpu_model.as_ref());
    format!("{model}, {} CPUs, {memory}{inside}", environment.cores)
}

fn tool(run: &RunRecord) -> String {
    run.environment.tool_version.clone()
}

fn ended(run: &RunRecord) -> String {
    if run.interrupted {
        return "by an interrupt".to_owned();
    }
    match &run.ended_by {
        Some(ended) => format!("by `{}`", ended.expression),
        None => "as planned".to_owned(),
    }
}

fn runs_as(run: &RunRecord) -> String {
    let target = &run.target;
    if let Some(container) = &target.container {
        return format!(
            "container of {} {}",
            container.image,
            image(&container.image_id)
        );
    }
    match &target.command {
        Some(words) => format!("process {}", words.first().map_or(UNKNOWN, String::as_str)),
        None => format!("what was at {}", target.url),
    }
}

fn image(id: &str) -> String {
    short(id.rsplit(':').next().unwrap_or(id))
}

fn short(digest: &str) -> String {
    digest.chars().take(DIGEST_DIGITS).collect()
}

fn known(value: Option<&String>) -> String {
    value.cloned().unwrap_or_else(|| UNKNOWN.to_owned())
}
