//! A comparison as a table: each arm's figures beside the reference's, with the change between them and its interval.

mod closing;
mod figures;

use std::collections::BTreeSet;

use crate::compare::{ArmRound, Comparison, Metric, Schedule};
use crate::gate::Standing;
use crate::report::Options;
pub(in crate::report) use closing::{is_of_processes, words as closing};
use figures::Figures;
pub(in crate::report) use figures::said;

use crate::report::figures::{TimeUnit, UNKNOWN, rate, size_of_change, span};
use crate::report::layout::{Column, Grid, Page};
use crate::run_record::{Audit, TargetIdentity};
use crate::stats::fewest_per_round;
use crate::units::{Quantile, thousands};

/// One comparison: what was sent, each arm's figures beside the reference's, and what speaks against them.
#[must_use]
pub fn compare(comparison: &Comparison, options: &Options) -> String {
    let mut page = Page::new(options.width, options.color);
    let all = [
        Section::Title,
        Section::Figures,
        Section::Setting,
        Section::Validity,
        Section::Closing,
    ];
    sections(comparison, None, options, &mut page, &all);
    super::saved(options, &mut page);
    page.into_text()
}

/// A part of what is said of a comparison.
#[derive(Debug, Clone, Copy)]
pub(in crate::report) enum Section {
    /// What was measured.
    Title,
    /// The grid of figures.
    Figures,
    /// What the arms are, and what is to be minded.
    Setting,
    /// Audits, void rounds, and each round where all is asked for.
    Validity,
    /// What it comes to.
    Closing,
}

/// These sections of a comparison, in their order.
///
/// Of a gate, whose rounds ended when enough was seen, only the intervals of `gated` hold.
pub(in crate::report) fn sections(
    comparison: &Comparison,
    gated: Option<&[Standing]>,
    options: &Options,
    page: &mut Page,
    sections: &[Section],
) {
    let view = View {
        gated,
        ..View::of(comparison)
    };
    for section in sections {
        match section {
            Section::Title => view.title(page),
            Section::Figures => view.grid(page),
            Section::Setting => {
                view.runtimes(page);
                view.settings(page);
                view.notes(page);
            }
            Section::Validity => {
                view.integrity(page);
                view.validity(page);
                if options.verbose {
                    view.rounds(page);
                }
            }
            Section::Closing => view.closing(page),
        }
    }
}

struct View<'a> {
    comparison: &'a Comparison,
    gated: Option<&'a [Standing]>,
    unit: TimeUnit,
}

/// A p99 that is so many times the p50 is made by something else than the p50 is.
const FAR_TAIL: f64 = 5.0;
/// From this correlation on, half of what a p99 varies by is common to both arms.
const TOGETHER: f64 = 0.7;

const QUANTILES: [Quantile; 3] = [Quantile::P50, Quantile::P99, Quantile::P99_9];

/// The unit of all its times: what suits the reference.
pub(in crate::report) fn unit(comparison: &Comparison) -> TimeUnit {
    let of_reference = |quantile| {
        comparison
            .merged_quantile(0, quantile)
            .filter(|ns| ns.is_finite())
            .map(|ns| ns as u64)
    };
    TimeUnit::for_times(of_reference(Quantile::P50), of_reference(Quantile::P99))
}

impl<'a> View<'a> {
    fn of(comparison: &'a Comparison) -> Self {
        Self {
            unit: unit(comparison),
            comparison,
            gated: None,
        }
    }

    fn title(&self, page: &mut Page) {
        let Comparison {
            plan, elapsed_ns, ..
        } = self.comparison;
        let rounds = self.comparison.rounds().len();
        // Void rounds are measured again, so there may be more of them.
        let of = if rounds >= plan.rounds {
            String::new()
        } else {
            format!(" of {}", plan.rounds)
        };
        let how = match plan.schedule {
            Schedule::Interleave => "interleaved",
            Schedule::Duet => "of both at once (experimental)",
        };
        let noun = if rounds == 1 && of.is_empty() {
            "round"
        } else {
            "rounds"
        };
        let mut facts = vec![format!("{rounds}{of} {noun} {how}{}", self.freshness())];
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

    /// The figures of each arm beside the reference's.
    fn grid(&self, page: &mut Page) {
        let names = &self.comparison.plan.arms;
        if let Some(letters) = self.letters(page.width()) {
            for (letter, name) in letters.iter().zip(names) {
                page.labelled(letter, &[name]);
            }
            self.grids(&letters, page);
        } else {
            self.grids(names, page);
        }
    }

    /// Letters for names that are too long for columns, such as URLs.
    fn letters(&self, width: usize) -> Option<Vec<String>> {
        let names = &self.comparison.plan.arms;
        let fits = |arm| Figures::of(self, arm, names).narrowest().width() <= width;
        let letters: Vec<String> = (b'A'..=b'Z')
            .take(names.len())
            .map(|letter| char::from(letter).to_string())
            .collect();
        let others = 1..names.len();
        (letters.len() == names.len() && !others.into_iter().all(fits)).then_some(letters)
    }

    fn grids(&self, names: &[String], page: &mut Page) {
        for arm in 1..names.len() {
            let figures = Figures::of(self, arm, names);
            let width = page.width();
            page.grid(&figures.fitting(width));
            if figures.is_brief(width) && figures.has_undecided() {
                page.labelled("note", &["none: no difference shown (one of ≥ … would be)"]);
            }
        }
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
        if comparison.plan.schedule == Schedule::Duet {
            page.labelled(
                "note",
                &["the arms ran at once and slowed each other: a change is larger than it looks here, and a PASS less sure"],
            );
        }
        for quantile in QUANTILES {
            let merged = comparison.merged_quantile(0, quantile).is_some();
            if merged && comparison.change(0, Metric::Response(quantile)).is_none() {
                let words = format!(
                    "{quantile} is of all rounds together: a round needs {} requests to be compared by it",
                    thousands(fewest_per_round(quantile))
                );
                page.labelled("note", &[&words]);
            }
        }
        self.pairs(page);
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
        let label = match comparison.is_invalid() {
            true => "INVALID",
            false => "valid",
        };
        page.verdict(label, &[&format!("{valid} of {all} rounds valid")]);
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

    /// How much the pairs of rounds differ by themselves, and what that says.
    fn pairs(&self, page: &mut Page) {
        let comparison = self.comparison;
        let p99 = Metric::Response(Quantile::P99);
        for (arm, name) in comparison.plan.arms.iter().enumerate().skip(1) {
            let Some(change) = comparison.change(arm, p99) else {
                continue;
            };
            let (Some(sd), Some(correlation)) = (change.pair_sd, change.correlation) else {
                continue;
            };
            let size = |p| {
                comparison
                    .figure(0, Metric::Response(p))
                    .map(|figure| figure.value)
            };
            let far = size(Quantile::P99)
                .zip(size(Quantile::P50))
                .is_some_and(|(p99, p50)| p99 >= FAR_TAIL * p50);
            let words = format!(
                "{name}'s p99 ÷ {}'s spreads by {} from round to round; both correlate by {}",
                comparison.plan.arms[0],
                size_of_change(sd.exp()),
                format!("{correlation:.2}").replace('-', "−"),
            );
            page.labelled("pairs", &[&words]);
            if correlation >= TOGETHER && far {
                page.labelled(
                    "note",
                    &["the p99 of both rise and fall together, far above the p50: it is mostly this machine's, and hides \
                       changes of the targets. Gate p90 or p95 as well (--metric p90)"],
                );
            }
        }
    }

    fn closing(&self, page: &mut Page) {
        page.paragraph(&closing::words(self.comparison));
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
