//! What there is to measure and what was measured, as a list.

#[cfg(test)]
mod tests;
mod wire;

use super::Options;
use super::figures::{TimeUnit, change_with_interval, load, span};
use super::layout::{Column, Grid, Page};
use crate::compare::{Comparison, Metric};
use crate::gate::GateRecord;
use crate::run_record::RunRecord;
use crate::scenario::{LoadModel, Scenario};
use crate::startup::{self, Startups};
use crate::target_spec::{TargetKind, TargetSpec, TargetsFile};
use crate::units::{Quantile, nanoseconds, thousands};

/// Everything that is listed.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Listing {
    /// The targets; none where there is no file that describes any.
    pub targets: Option<Targets>,
    /// The scenarios, by the names of their files.
    pub scenarios: Vec<Entry<ScenarioSaid>>,
    /// Scenario files that are not listed, since there are too many.
    pub more_scenarios: usize,
    /// The results folder.
    pub results_folder: String,
    /// The results that were saved last, the newest first.
    pub results: Vec<Entry<ResultSaid>>,
    /// Older results that are not listed.
    pub older_results: usize,
}

/// A file of targets.
#[derive(Debug, Clone, PartialEq)]
pub struct Targets {
    /// Where it is.
    pub file: String,
    /// What it describes, or why it could not be read.
    pub said: Result<Vec<TargetSaid>, String>,
}

/// A file or folder, and what it says, or why it could not be read.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry<T> {
    /// Where it is: of a result, its name in the results folder.
    pub place: String,
    /// What it says.
    pub said: Result<T, String>,
}

/// A target in few words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TargetSaid {
    /// Its name.
    pub name: String,
    /// `command`, `image` or `url`.
    pub kind: &'static str,
    /// The program, the image or the URL.
    pub what: String,
    /// The image of a target that is started by a command otherwise.
    pub image: Option<String>,
    /// `postgres`, `redis` or both.
    pub stores: Vec<&'static str>,
}

/// A scenario in few words.
#[derive(Debug, Clone, PartialEq)]
pub struct ScenarioSaid {
    /// Its name.
    pub name: String,
    /// What its author wants to know by it.
    pub why: Option<String>,
    /// How many flows it has.
    pub flows: usize,
    /// Its phases, in order.
    pub phases: Vec<PhaseSaid>,
}

/// A phase in few words.
#[derive(Debug, Clone, PartialEq)]
pub struct PhaseSaid {
    /// Its name.
    pub name: String,
    /// How it makes load.
    pub model: LoadModel,
    /// Whether it is no result.
    pub warmup: bool,
    /// How long it is, in nanoseconds.
    pub duration_ns: u64,
}

/// A result in few words.
#[derive(Debug, Clone, PartialEq)]
pub struct ResultSaid {
    /// `run`, `compare`, `gate` or `startup`.
    pub kind: &'static str,
    /// When it was started, in UTC, as RFC 3339.
    pub started: String,
    /// What was measured: the scenario and the targets.
    pub what: String,
    /// What came of it.
    pub says: String,
    /// The p99 of a run's response times, where it has enough of them.
    pub p99_ns: Option<u64>,
    /// The verdict of a gate that has one.
    pub verdict: Option<&'static str>,
}

impl TargetSaid {
    /// What `target` is.
    #[must_use]
    pub fn of(target: &TargetSpec) -> Self {
        let (kind, what) = match &target.kind {
            TargetKind::Command(command) => ("command", command.program().to_owned()),
            TargetKind::Image(image) => ("image", image.reference.clone()),
            TargetKind::Url(url) => ("url", url.to_string()),
        };
        let stores = [
            ("postgres", target.stores.postgres),
            ("redis", target.stores.redis),
        ];
        Self {
            name: target.name.clone(),
            kind,
            what,
            image: target.image.as_ref().map(|image| image.reference.clone()),
            stores: stores
                .into_iter()
                .filter_map(|(name, wanted)| wanted.then_some(name))
                .collect(),
        }
    }

    /// The targets of a file, in its order.
    #[must_use]
    pub fn all(file: &TargetsFile) -> Vec<Self> {
        file.targets().iter().map(Self::of).collect()
    }

    /// `target/release/axum-service, or image tailmark/axum-service`.
    fn runs(&self) -> String {
        let image = self.image.as_ref();
        let image = image.map_or(String::new(), |image| format!(", or image {image}"));
        match self.kind {
            "image" => format!("image {}{image}", self.what),
            _ => format!("{}{image}", self.what),
        }
    }
}

impl ScenarioSaid {
    /// What `scenario` is.
    #[must_use]
    pub fn of(scenario: &Scenario) -> Self {
        let phases = scenario.phases().iter().map(|phase| PhaseSaid {
            name: phase.name.clone(),
            model: phase.model,
            warmup: phase.warmup,
            duration_ns: nanoseconds(phase.duration),
        });
        Self {
            name: scenario.name().to_owned(),
            why: scenario.why().map(str::to_owned),
            flows: scenario.flows().len(),
            phases: phases.collect(),
        }
    }

    /// `600/s constant, 20 s`, or `5 phases, 2 min 30 s`: without warm-ups.
    fn load(&self) -> String {
        let measured: Vec<&PhaseSaid> = self.phases.iter().filter(|phase| !phase.warmup).collect();
        match measured[..] {
            [phase] => format!("{}, {}", load(phase.model), span(phase.duration_ns)),
            _ => {
                let whole = measured.iter().map(|phase| phase.duration_ns).sum();
                format!("{} phases, {}", measured.len(), span(whole))
            }
        }
    }
}

impl ResultSaid {
    /// What a run says.
    #[must_use]
    pub fn of_run(record: &RunRecord) -> Self {
        let response = record.total().response();
        let value = |quantile| response.quantile(quantile).map(|bound| bound.value);
        let unit = TimeUnit::for_times(value(Quantile::P50), value(Quantile::P99));
        let p99 = super::figures::supported(&response, Quantile::P99);
        let failed = record.thresholds.iter().filter(|ruling| !ruling.passed);
        let failed = match (failed.count(), record.thresholds.len()) {
            (0, _) => None,
            (failed, all) => Some(format!("{failed} of {all} thresholds failed")),
        };
        let parts = [
            Some(match p99 {
                Some(_) => format!(
                    "p99 {} {}",
                    unit.quantile(&response, Quantile::P99),
                    unit.name()
                ),
                None => format!("max {} {}", unit.max(&response), unit.name()),
            }),
            Some(record.validity.state.name().to_owned()),
            failed,
            record.interrupted.then(|| "interrupted".to_owned()),
        ];
        Self {
            kind: "run",
            started: record.started.clone(),
            what: format!("{} on {}", record.scenario.name, record.target.name),
            says: joined(parts),
            p99_ns: p99.map(|bound| bound.value),
            verdict: None,
        }
    }

    /// What a comparison says.
    #[must_use]
    pub fn of_comparison(comparison: &Comparison) -> Self {
        let arms = &comparison.plan.arms;
        let p99 = Metric::Response(Quantile::P99);
        let changes = arms.iter().enumerate().skip(1).map(|(arm, name)| {
            let change = comparison.change(arm, p99);
            let change = change.map_or("n/a".to_owned(), |change| change_with_interval(&change));
            Some(format!("{name} p99 {change}"))
        });
        let interrupted = comparison.interrupted.then(|| "interrupted".to_owned());
        Self {
            kind: "compare",
            started: comparison.started.clone(),
            what: of_arms(comparison),
            says: joined(changes.chain([interrupted])),
            p99_ns: None,
            verdict: None,
        }
    }

    /// What a gate says.
    #[must_use]
    pub fn of_gate(record: &GateRecord) -> Self {
        let verdict = record.decision().map(|decision| decision.verdict.name());
        let rounds = record.latest().rounds().len();
        let says = match verdict {
            Some(verdict) => format!("{verdict} after {}", counted(rounds, "round")),
            None => format!("undecided after {}", counted(rounds, "round")),
        };
        Self {
            kind: "gate",
            started: record.started.clone(),
            what: of_arms(&record.first),
            says,
            p99_ns: None,
            verdict,
        }
    }

    /// What start-ups say.
    #[must_use]
    pub fn of_startups(startups: &Startups) -> Self {
        let arms = startups.plan.arms.iter().enumerate();
        let times = arms.map(|(arm, name)| {
            let spread = startups.spread(arm, startup::Metric::FirstOk);
            let spread = spread.or_else(|| startups.spread(arm, startup::Metric::Listening));
            let time = spread.map_or("n/a".to_owned(), |spread| {
                format!("{} ms", TimeUnit::Milliseconds.figure(spread.median))
            });
            Some(format!("{name} {time}"))
        });
        Self {
            kind: "startup",
            started: startups.started.clone(),
            what: startups.plan.arms.join(", "),
            says: format!("ready after {}", joined(times)),
            p99_ns: None,
            verdict: None,
        }
    }
}

fn joined(parts: impl IntoIterator<Item = Option<String>>) -> String {
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    parts.join(", ")
}

fn of_arms(comparison: &Comparison) -> String {
    let plan = &comparison.plan;
    format!("{}: {}", plan.scenario.name, plan.arms.join(", "))
}

fn counted(count: usize, what: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{} {what}{plural}", thousands(count as u64))
}

/// The least that is left of a description: less says nothing.
const SHORTEST: usize = 16;

impl Listing {
    /// The list as tables, a line for each target, scenario and result.
    #[must_use]
    pub fn table(&self, options: &Options) -> String {
        let mut page = Page::new(options.width, options.color);
        self.targets(&mut page);
        page.blank();
        self.scenarios(&mut page);
        page.blank();
        self.results(&mut page);
        page.into_text()
    }

    fn targets(&self, page: &mut Page) {
        let Some(targets) = &self.targets else {
            let words = "none: there is no targets.yaml here; tailmark init --targets writes one";
            page.title("targets", &[words.to_owned()]);
            return;
        };
        page.title("targets", std::slice::from_ref(&targets.file));
        let said = match &targets.said {
            Ok(said) => said,
            Err(words) => return page.marked("✗", words),
        };
        let rows = said.iter().map(|target| {
            let stores = target.stores.join(", ");
            ([target.name.clone(), stores], target.runs())
        });
        described(["target", "stores"], "runs", rows.collect(), page);
    }

    fn scenarios(&self, page: &mut Page) {
        if self.scenarios.is_empty() {
            let words = "none: no ./*.yaml and no ./scenarios/*.yaml has flows; tailmark init URL writes one";
            page.title("scenarios", &[words.to_owned()]);
            return;
        }
        page.title("scenarios", &[]);
        let rows = readable(&self.scenarios).map(|(place, said)| {
            let why = said.why.clone().unwrap_or_default();
            ([place.to_owned(), said.load()], why)
        });
        described(["scenario", "load"], "why", rows.collect(), page);
        broken(&self.scenarios, page);
        if self.more_scenarios > 0 {
            let more = thousands(self.more_scenarios as u64);
            page.marked("–", &format!("and {more} more"));
        }
    }

    fn results(&self, page: &mut Page) {
        let folder = &self.results_folder;
        if self.results.is_empty() {
            page.title("results", &[format!("none in {folder}")]);
            return;
        }
        let mut facts = vec![folder.clone()];
        if self.older_results > 0 {
            let older = thousands(self.older_results as u64);
            facts.push(format!("the newest first, {older} older ones left out"));
        }
        page.title("results", &facts);
        let rows = readable(&self.results)
            .map(|(place, said)| ([place.to_owned(), said.kind.to_owned()], said.says.clone()));
        described(["result", "of"], "says", rows.collect(), page);
        broken(&self.results, page);
        page.paragraph(&format!("tailmark report {folder}/RESULT shows one again"));
    }
}

fn readable<T>(entries: &[Entry<T>]) -> impl Iterator<Item = (&str, &T)> {
    entries
        .iter()
        .filter_map(|entry| Some((entry.place.as_str(), entry.said.as_ref().ok()?)))
}

/// What could not be read, and why.
fn broken<T>(entries: &[Entry<T>], page: &mut Page) {
    for entry in entries {
        if let Err(why) = &entry.said {
            page.marked("✗", why);
        }
    }
}

/// A grid whose last column has what there is room for: a description is cut, and stands below where hardly any of it is left.
fn described<const N: usize>(
    headers: [&str; N],
    last: &str,
    rows: Vec<([String; N], String)>,
    page: &mut Page,
) {
    if rows.is_empty() {
        return;
    }
    let columns = || headers.iter().map(|header| Column::left(*header));
    let mut bare = Grid::new(columns());
    rows.iter().for_each(|(cells, _)| bare.row(cells.clone()));
    // Three columns between this column and the one before it.
    let room = page.width().saturating_sub(bare.width() + 3);
    let longest = rows.iter().map(|(_, text)| text.chars().count()).max();
    if longest == Some(0) || room < SHORTEST.min(longest.unwrap_or(0)) {
        return page.grid(&bare);
    }
    let mut grid = Grid::new(columns().chain([Column::left(last)]));
    for (cells, text) in rows {
        grid.row(cells.into_iter().chain([cut(&text, room)]));
    }
    page.grid(&grid);
}

/// The first line of a text, as far as there is room for it.
fn cut(text: &str, room: usize) -> String {
    let line = text.lines().next().unwrap_or_default().trim_end();
    if line.chars().count() <= room {
        return line.to_owned();
    }
    let mut short: String = line.chars().take(room.saturating_sub(1)).collect();
    short.truncate(short.trim_end().len());
    short + "…"
}
