//! A comparison as a table: a median with its range per arm and metric, and the bare change between the medians.

use std::collections::BTreeSet;

use crate::compare::{ArmRound, Comparison, Metric};
use crate::report::Options;
use crate::report::figures::{TimeUnit, UNKNOWN, change, rate, span};
use crate::report::layout::{Column, Grid, Page};
use crate::run_record::{Audit, TargetIdentity};
use crate::stats::{Spread, fewest_per_round};
use crate::units::{Quantile, mib, thousands, three_digits};

/// One comparison: what was sent, each arm's figures beside the reference's, and what speaks against them.
#[must_use]
pub fn compare(comparison: &Comparison, options: &Options) -> String {
    let view = View::of(comparison);
    let mut page = Page::new(options.width, options.color);
    view.title(&mut page);
    view.grid(&mut page);
    view.runtimes(&mut page);
    view.settings(&mut page);
    view.notes(&mut page);
    view.integrity(&mut page);
    view.validity(&mut page);
    if options.verbose {
        view.rounds(&mut page);
    }
    view.closing(&mut page);
    if let Some(folder) = options.saved {
        page.paragraph(&super::saved(folder));
    }
    page.into_text()
}

struct View<'a> {
    comparison: &'a Comparison,
    unit: TimeUnit,
}

const QUANTILES: [Quantile; 3] = [Quantile::P50, Quantile::P99, Quantile::P99_9];

impl<'a> View<'a> {
    fn of(comparison: &'a Comparison) -> Self {
        let of_reference = |quantile| {
            comparison
                .merged_quantile(0, quantile)
                .filter(|ns| ns.is_finite())
                .map(|ns| ns as u64)
        };
        Self {
            unit: TimeUnit::for_times(of_reference(Quantile::P50), of_reference(Quantile::P99)),
            comparison,
        }
    }

    fn title(&self, page: &mut Page) {
        let Comparison {
            plan, elapsed_ns, ..
        } = self.comparison;
        let rounds = self.comparison.rounds().len();
        let of = if rounds == plan.rounds {
            String::new()
        } else {
            format!(" of {}", plan.rounds)
        };
        let mut facts = vec![format!(
            "{rounds}{of} rounds interleaved{}",
            self.freshness()
        )];
        facts.extend(elapsed_ns.map(span));
        facts.push(format!("seed {}", plan.scenario.seed));
        let title = format!(
            "{}, phase {}, {} per arm",
            plan.scenario.name,
            plan.phase,
            rate(plan.rate)
        );
        page.title(&title, &facts);
    }

    /// What every launch had to itself.
    fn freshness(&self) -> &'static str {
        let targets = self.comparison.targets();
        let started = !targets.is_empty() && targets.iter().all(|target| target.command.is_some());
        let stores = self
            .comparison
            .environment()
            .is_some_and(|environment| !environment.stores.is_empty());
        match (started, stores) {
            (true, true) => ", fresh processes and databases",
            (true, false) => ", fresh processes",
            (false, _) => "",
        }
    }

    /// The table in the most telling form for which there is room.
    fn grid(&self, page: &mut Page) {
        let names = &self.comparison.plan.arms;
        let reference = &names[0];
        let against: [&dyn Fn(&str) -> String; 3] = [
            &|name: &str| format!("{name} against {reference}"),
            &|_: &str| format!("against {reference}"),
            &|_: &str| "change".to_owned(),
        ];
        let forms = against.iter().map(|against| self.filled(names, *against));
        let width = page.width();
        if let Some(grid) = forms.into_iter().find(|grid| grid.width() <= width) {
            page.grid(&grid);
            return;
        }
        // Names too long for columns, such as URLs: letters, and what they stand for.
        let letters: Vec<String> = (b'A'..=b'Z')
            .take(names.len())
            .map(|letter| char::from(letter).to_string())
            .collect();
        if letters.len() < names.len() {
            page.grid(&self.filled(names, against[2]));
            return;
        }
        for (letter, name) in letters.iter().zip(names) {
            page.labelled(letter, &[name]);
        }
        page.grid(&self.filled(&letters, &|letter| format!("{letter} against A")));
    }

    fn filled(&self, names: &[String], against: &dyn Fn(&str) -> String) -> Grid {
        let mut columns = vec![Column::left("median  min…max")];
        for (arm, name) in names.iter().enumerate() {
            columns.push(Column::left(name));
            columns.extend((arm > 0).then(|| Column::left(against(name))));
        }
        let mut grid = Grid::new(columns);
        let unit = self.unit.name();
        for quantile in QUANTILES {
            let group = if quantile == Quantile::P50 {
                format!("response {unit}")
            } else {
                String::new()
            };
            self.response_row(&mut grid, &format!("{group:<14}{quantile}"), quantile);
        }
        self.row(&mut grid, "achieved /s", Metric::AchievedRate, three_digits);
        let bytes = |bytes: f64| mib(bytes as u64);
        self.row(&mut grid, "memory MiB    idle", Metric::MemoryIdle, bytes);
        self.row(&mut grid, "              peak", Metric::MemoryPeak, bytes);
        let ms = |ns: f64| TimeUnit::Milliseconds.figure(ns);
        self.row(&mut grid, "CPU ms/1,000 requests", Metric::CpuPer1k, ms);
        if self.comparison.spread(0, Metric::Startup).is_some() {
            self.row(&mut grid, "start to ready ms", Metric::Startup, ms);
        }
        let failed = (0..names.len()).map(|arm| {
            let counts = self
                .comparison
                .valid_rounds()
                .map(|round| round.arms[arm].failed());
            let (failed, all) = counts.fold((0, 0), |sum, next| (sum.0 + next.0, sum.1 + next.1));
            (
                format!("{} of {}", thousands(failed), thousands(all)),
                String::new(),
            )
        });
        push(&mut grid, "failed", failed);
        grid
    }

    /// A quantile: compared by rounds where they are large enough, and of all rounds together otherwise.
    fn response_row(&self, grid: &mut Grid, label: &str, quantile: Quantile) {
        let arms = 0..self.comparison.plan.arms.len();
        let metric = Metric::Response(quantile);
        if arms
            .clone()
            .all(|arm| self.comparison.spread(arm, metric).is_some())
        {
            self.row(grid, label, metric, |ns| self.unit.figure(ns));
            return;
        }
        let merged = arms.map(|arm| {
            let value = self.comparison.merged_quantile(arm, quantile);
            (
                value.map_or(UNKNOWN.to_owned(), |ns| self.unit.figure(ns)),
                UNKNOWN.to_owned(),
            )
        });
        push(grid, label, merged);
    }

    fn row(&self, grid: &mut Grid, label: &str, metric: Metric, figure: impl Fn(f64) -> String) {
        let cells = (0..self.comparison.plan.arms.len()).map(|arm| {
            let spread = self.comparison.spread(arm, metric);
            let value = spread.map_or(UNKNOWN.to_owned(), |spread| with_range(&spread, &figure));
            let ratio = self.comparison.change(arm, metric);
            (value, ratio.map_or(UNKNOWN.to_owned(), change))
        });
        push(grid, label, cells);
    }

    /// In what the targets ran, said once where it is the same of all.
    fn runtimes(&self, page: &mut Page) {
        let targets = self.comparison.targets();
        let of = |target: &TargetIdentity| {
            let lines = super::runtime(target).into_iter();
            lines.map(|(label, facts)| (label, facts.join(" · ")))
        };
        let mut said: Vec<(&str, String)> = Vec::new();
        for line in targets.iter().flat_map(of) {
            if !said.contains(&line) {
                page.labelled(line.0, &[&line.1]);
                said.push(line);
            }
        }
    }

    /// In what the targets differ by their own account, and in how much they do not.
    fn settings(&self, page: &mut Page) {
        let targets = self.comparison.targets();
        let names: BTreeSet<&String> = targets
            .iter()
            .flat_map(|target| target.settings.keys())
            .collect();
        let values = |name: &String| {
            let of =
                |target: &'a TargetIdentity| target.settings.get(name).map_or("–", String::as_str);
            targets.iter().map(of).collect::<Vec<_>>()
        };
        let differ = |name: &&&String| values(name).windows(2).any(|pair| pair[0] != pair[1]);
        let different: Vec<String> = (names.iter().filter(differ))
            .map(|name| format!("{name} {}", values(name).join(" | ")))
            .collect();
        if names.is_empty() {
            return;
        }
        let alike = match names.len() - different.len() {
            0 => None,
            1 => Some("1 other is equal".to_owned()),
            count => Some(format!("{count} others are equal")),
        };
        let facts: Vec<String> = different.into_iter().chain(alike).collect();
        page.labelled("settings", &[&facts.join(" · ")]);
    }

    /// What is to be minded when reading the figures.
    fn notes(&self, page: &mut Page) {
        let comparison = self.comparison;
        let memory: BTreeSet<String> = self
            .runs()
            .filter_map(|(_, _, run)| run.memory.as_ref())
            .map(|memory| format!("{}, {}", memory.kind.name(), memory.source))
            .collect();
        for meaning in memory {
            page.labelled("memory", &[&meaning]);
        }
        for quantile in QUANTILES {
            let merged = comparison.merged_quantile(0, quantile).is_some();
            if merged && comparison.spread(0, Metric::Response(quantile)).is_none() {
                let words = format!(
                    "{quantile} is of all rounds together: a round needs {} requests to be compared by it",
                    thousands(fewest_per_round(quantile))
                );
                page.labelled("note", &[&words]);
            }
        }
        let endless = |arm| {
            QUANTILES
                .iter()
                .any(|&quantile| comparison.merged_quantile(arm, quantile) == Some(f64::INFINITY))
        };
        if (0..comparison.plan.arms.len()).any(endless) {
            page.labelled(
                "note",
                &["∞: a request that is not ok counts as infinitely slow, and so many were not"],
            );
        }
        for (name, arm) in comparison.plan.arms.iter().zip(0..) {
            self.notes_of_runs(name, arm, page);
        }
    }

    /// The notes of an arm's runs, each once, with the number of rounds that have it.
    fn notes_of_runs(&self, name: &str, arm: usize, page: &mut Page) {
        let notes = || {
            self.comparison
                .valid_rounds()
                .flat_map(|round| &round.arms[arm].validity.notes)
        };
        let kinds: BTreeSet<&str> = notes().map(|note| note.name.as_str()).collect();
        for kind in kinds {
            let of_kind: Vec<_> = notes().filter(|note| note.name == kind).collect();
            let words = format!(
                "{name} in {} of {} rounds: {}",
                of_kind.len(),
                self.comparison.valid_rounds().count(),
                of_kind[0].words
            );
            if kind == "saturated" {
                page.verdict("SATURATED", &[&words]);
            } else {
                page.labelled("note", &[&words]);
            }
        }
    }

    /// What the targets' own audits found, over all rounds: data that are wrong are wrong in a void round too.
    fn integrity(&self, page: &mut Page) {
        let mut lines: Vec<(String, Vec<&str>)> = Vec::new();
        for (arm, name) in self.comparison.plan.arms.iter().enumerate() {
            let audits: Vec<&Audit> = self
                .comparison
                .rounds()
                .iter()
                .flat_map(|round| &round.arms[arm].audits)
                .collect();
            if audits.is_empty() {
                continue;
            }
            let good = audits.iter().filter(|audit| audit.ok).count();
            let line = format!("{good} of {} audits ok: {}", audits.len(), facts(&audits));
            match lines.iter_mut().find(|(known, _)| *known == line) {
                Some((_, names)) => names.push(name),
                None => lines.push((line, vec![name])),
            }
        }
        for (line, names) in lines {
            page.labelled("integrity", &[&format!("{}: {line}", names.join(", "))]);
        }
        for (round, name, run) in self.runs() {
            for audit in run.audits.iter().filter(|audit| !audit.ok) {
                let words = format!(
                    "{name} in round {round}: the data are not as they should be: {}",
                    facts(&[audit])
                );
                page.verdict("AUDIT", &[&words]);
            }
        }
    }

    fn validity(&self, page: &mut Page) {
        let comparison = self.comparison;
        if comparison.interrupted {
            page.verdict(
                "INTERRUPTED",
                &["these are the figures of the rounds that were complete"],
            );
        }
        for (round, name, run) in self.runs() {
            let validity = &run.validity;
            if validity.state != crate::validity::State::Valid {
                let words = format!(
                    "round {round}: {name} was {}: {}",
                    validity.state.name(),
                    validity.reasons.join("; ")
                );
                page.verdict("VOID", &[&words]);
            }
        }
        let (valid, all) = (comparison.valid_rounds().count(), comparison.rounds().len());
        page.verdict("valid", &[&format!("{valid} of {all} rounds valid")]);
    }

    /// Every run, with its figures.
    fn rounds(&self, page: &mut Page) {
        let mut grid = Grid::new([
            Column::left("round"),
            Column::left("arm"),
            Column::left("validity"),
            Column::right("requests").goes(1),
            Column::right("failed"),
            Column::right(format!("{} p50", self.unit.name())),
            Column::right("p99").bold(),
        ]);
        for round in self.comparison.rounds() {
            for &arm in &round.order {
                let run = &round.arms[arm];
                let (failed, all) = run.failed();
                let times = [Quantile::P50, Quantile::P99].map(|quantile| {
                    run.value(Metric::Response(quantile))
                        .map_or(UNKNOWN.to_owned(), |ns| self.unit.figure(ns))
                });
                let start = [
                    round.number.to_string(),
                    self.comparison.plan.arms[arm].clone(),
                    run.validity.state.name().to_owned(),
                    thousands(all),
                    thousands(failed),
                ];
                let cells = start.into_iter().chain(times);
                if round.is_valid() {
                    grid.row(cells);
                } else {
                    grid.dim_row(cells);
                }
            }
        }
        page.blank();
        page.grid(&grid);
        page.blank();
    }

    fn closing(&self, page: &mut Page) {
        let rounds = match self.comparison.valid_rounds().count() {
            0 => "No round is valid, so nothing can be said.".to_owned(),
            1 => "One round shows no spread, and so no difference.".to_owned(),
            rounds => format!("Medians of {rounds} rounds, with the smallest and the largest."),
        };
        page.paragraph(&format!(
            "{rounds} These are results of this machine and this scenario."
        ));
    }

    /// Every run: its round's number, its arm's name, and what it says.
    fn runs(&self) -> impl Iterator<Item = (usize, &'a str, &'a ArmRound)> {
        let names = &self.comparison.plan.arms;
        let rounds = self.comparison.rounds().iter();
        rounds.flat_map(move |round| {
            names
                .iter()
                .zip(&round.arms)
                .map(|(name, run)| (round.number, name.as_str(), run))
        })
    }
}

/// A row: for each arm its value, and but for the reference how it changed.
fn push(grid: &mut Grid, label: &str, arms: impl Iterator<Item = (String, String)>) {
    let cells = arms
        .enumerate()
        .flat_map(|(arm, (value, change))| [Some(value), (arm > 0).then_some(change)]);
    grid.row([label.to_owned()].into_iter().chain(cells.flatten()));
}

/// `4.10  3.82…4.49`; one figure where all rounds show the same.
fn with_range(spread: &Spread, figure: &impl Fn(f64) -> String) -> String {
    let [median, low, high] = [spread.median, spread.low, spread.high].map(figure);
    if low == high {
        median
    } else {
        format!("{median}  {low}…{high}")
    }
}

/// Each fact with its value, or with the range of its values where they are numbers that differ.
fn facts(audits: &[&Audit]) -> String {
    let mut names: Vec<&str> = Vec::new();
    for (name, _) in audits.iter().flat_map(|audit| &audit.facts) {
        if !names.contains(&name.as_str()) {
            names.push(name);
        }
    }
    let said = names.into_iter().map(|name| {
        let values = audits
            .iter()
            .flat_map(|audit| &audit.facts)
            .filter(|(own, _)| own == name)
            .map(|(_, value)| value.as_str());
        format!("{name} {}", value_or_range(&values.collect::<Vec<_>>()))
    });
    said.collect::<Vec<_>>().join(" · ")
}

fn value_or_range(values: &[&str]) -> String {
    let count = |count: &u64| thousands(*count);
    let counts: Option<Vec<u64>> = values.iter().map(|value| value.parse().ok()).collect();
    match counts
        .as_ref()
        .and_then(|counts| counts.iter().min().zip(counts.iter().max()))
    {
        Some((low, high)) if low == high => count(low),
        Some((low, high)) => format!("{}…{}", count(low), count(high)),
        None => {
            let different: BTreeSet<&str> = values.iter().copied().collect();
            different.into_iter().collect::<Vec<_>>().join(" | ")
        }
    }
}
