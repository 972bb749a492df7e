//! Start-ups as a table: a median with its range per arm and metric, and the change between the arms with its interval.

use crate::report::Options;
use crate::report::figures::{TimeUnit, UNKNOWN, change, change_with_interval, span};
use crate::report::layout::{Column, Grid, Page};
use crate::run_record::TargetIdentity;
use crate::startup::{Figures, Launch, Metric, Shipped, Startups, Took};
use crate::stats::{Change, Direction, Spread};
use crate::units::{mib, three_digits};
use crate::validity::State;

/// Start-ups: how long each arm took, what it held and weighs, and what speaks against the figures.
#[must_use]
pub fn startup(startups: &Startups, options: &Options) -> String {
    startup_page(startups, options).into_text()
}

/// The same before it is laid out.
pub(in crate::report) fn startup_page(startups: &Startups, options: &Options) -> Page {
    let view = View { startups };
    let mut page = Page::new(options.width, options.color);
    view.title(&mut page);
    view.grid(&mut page);
    view.runtimes(&mut page);
    view.notes(&mut page);
    view.validity(&mut page);
    if options.verbose {
        view.rounds(&mut page);
    }
    view.closing(&mut page);
    super::saved(options, &mut page);
    page
}

/// Fewer rounds have no interval at 95 %.
const FEWEST: usize = 6;

struct View<'a> {
    startups: &'a Startups,
}

/// A figure in the unit of its row.
type Figure<'a> = &'a dyn Fn(f64) -> String;

/// A line of the grid.
struct Row<'a> {
    label: &'a str,
    metric: Metric,
    figure: Figure<'a>,
    /// What is said of less, and of more.
    words: [&'static str; 2],
}

impl<'a> Row<'a> {
    fn new(label: &'a str, metric: Metric, figure: Figure<'a>, words: [&'static str; 2]) -> Self {
        Self {
            label,
            metric,
            figure,
            words,
        }
    }
}

impl<'a> View<'a> {
    fn title(&self, page: &mut Page) {
        let Startups {
            plan, elapsed_ns, ..
        } = self.startups;
        let rounds = self.startups.rounds().len();
        let of = match rounds == plan.rounds {
            true => String::new(),
            false => format!(" of {}", plan.rounds),
        };
        let mut facts = vec![format!(
            "{rounds}{of} rounds, without load{}",
            self.freshness()
        )];
        facts.extend(elapsed_ns.map(span));
        facts.push(format!("order seed {}", plan.order_seed));
        page.title(&format!("start of {}", plan.arms.join(" and ")), &facts);
    }

    /// What every launch had to itself.
    fn freshness(&self) -> &'static str {
        let environment = self.startups.environment();
        match environment.is_some_and(|environment| !environment.stores.is_empty()) {
            true => ", fresh databases",
            false => "",
        }
    }

    /// The table in the most telling form for which there is room.
    fn grid(&self, page: &mut Page) {
        let names = &self.startups.plan.arms;
        let reference = &names[0];
        let forms: [&dyn Fn(&str) -> String; 3] = [
            &|name| format!("{name} against {reference}, 95 %"),
            &|_| format!("against {reference}, 95 %"),
            &|_| "change, 95 %".to_owned(),
        ];
        let width = page.width();
        let mut grids = forms.iter().map(|against| self.filled(names, *against));
        if let Some(grid) = grids.find(|grid| grid.width() <= width) {
            page.grid(&grid);
            return;
        }
        // Names too long for columns, such as command lines: letters, and what they stand for.
        let letters = (b'A'..=b'Z').map(|letter| char::from(letter).to_string());
        let letters: Vec<String> = letters.take(names.len()).collect();
        if letters.len() < names.len() {
            page.grid(&self.filled(names, forms[2]));
            return;
        }
        for (letter, name) in letters.iter().zip(names) {
            page.labelled(letter, &[name]);
        }
        page.grid(&self.filled(&letters, &|letter| format!("{letter} against A, 95 %")));
    }

    fn filled(&self, names: &[String], against: &dyn Fn(&str) -> String) -> Grid {
        let mut columns = vec![Column::left("median  min…max")];
        for (arm, name) in names.iter().enumerate() {
            columns.push(Column::left(name));
            columns.extend((arm > 0).then(|| Column::left(against(name))));
        }
        let mut grid = Grid::new(columns);
        let ms = |ns: f64| TimeUnit::Milliseconds.figure(ns);
        let bytes = |bytes: f64| mib(bytes as u64);
        let megabytes = |bytes: f64| three_digits(bytes / 1e6);
        let size = format!("size MB       {}", self.shipped().name());
        let (time, more) = (["sooner", "later"], ["less", "more"]);
        let rows = [
            Row::new("from exec ms  listening", Metric::Listening, &ms, time),
            Row::new("              first 200", Metric::FirstOk, &ms, time),
            Row::new("before it ms  engine", Metric::Engine, &ms, time),
            Row::new("memory MiB    idle", Metric::MemoryIdle, &bytes, more),
            Row::new(&size, Metric::Size, &megabytes, ["smaller", "larger"]),
        ];
        for row in rows.iter().filter(|row| self.has(row.metric)) {
            grid.row(self.cells(row));
        }
        grid
    }

    /// What is shipped of the arms: the same of all, since all run the same way.
    fn shipped(&self) -> Shipped {
        let mut launches = self.launches();
        let found = launches.find_map(|(_, _, launch)| Some(launch.figures.size?.of));
        found.unwrap_or(Shipped::Executable)
    }

    /// Whether any launch has it, well seen or not: else it is no matter of these targets.
    fn has(&self, metric: Metric) -> bool {
        let mut launches = self.launches();
        launches.any(|(_, _, launch)| match metric {
            Metric::Listening => launch.figures.listening.is_some(),
            Metric::FirstOk => launch.figures.first_ok.is_some(),
            _ => launch.figures.value(metric).is_some(),
        })
    }

    fn cells(&self, row: &Row<'_>) -> Vec<String> {
        let unknown = || UNKNOWN.to_owned();
        let mut cells = vec![row.label.to_owned()];
        for arm in 0..self.startups.plan.arms.len() {
            let spread = self.startups.spread(arm, row.metric);
            cells.push(spread.map_or_else(unknown, |spread| with_range(&spread, row.figure)));
            if arm > 0 {
                let change = self.startups.change(arm, row.metric);
                cells.push(change.map_or_else(unknown, |change| in_words(&change, row.words)));
            }
        }
        cells
    }

    /// In what the targets ran, said once where it is the same of all.
    fn runtimes(&self, page: &mut Page) {
        let of = |target: &TargetIdentity| {
            let lines = super::runtime(target).into_iter();
            lines.map(|(label, facts)| (label, facts.join(" · ")))
        };
        let mut said: Vec<(&str, String)> = Vec::new();
        for line in self.startups.targets().iter().flat_map(of) {
            if !said.contains(&line) {
                page.labelled(line.0, &[&line.1]);
                said.push(line);
            }
        }
    }

    /// What is to be minded when reading the figures.
    fn notes(&self, page: &mut Page) {
        let times = [
            (Metric::Listening, "until listening"),
            (Metric::FirstOk, "to the first 200"),
        ];
        let rounds = self.startups.valid_rounds();
        let figures = rounds.flat_map(|round| round.launches.iter().map(|launch| &launch.figures));
        let seen = figures.flat_map(|figures| [figures.listening, figures.first_ok]);
        let blind = seen.flatten().filter(|took| !took.is_blind());
        if let Some(blind) = blind.map(|took| took.blind_ns).max() {
            let most = TimeUnit::Milliseconds.brief(blind);
            let words =
                format!("never too short, and up to {most} ms too long: nobody looked for so long");
            page.labelled("times", &[&words]);
        }
        let valid = self.startups.valid_rounds().count();
        for (metric, what) in times {
            let spread = self.startups.spread(0, metric);
            let counted = spread.map_or(0, |spread| spread.count);
            if self.has(metric) && counted < valid {
                let words = format!(
                    "the time {what} is that of {counted} of {valid} rounds: in the others nobody looked closely enough"
                );
                page.labelled("note", &[&words]);
            }
        }
        let rest = span(self.startups.plan.rest_ns);
        let mut said: Vec<String> = Vec::new();
        for (_, _, launch) in self.launches() {
            if let Some(memory) = &launch.figures.memory {
                let (kind, source) = (memory.kind.name(), &memory.source);
                let line = format!("{kind} after {rest} of rest, {source}");
                if !said.contains(&line) {
                    page.labelled("memory", &[&line]);
                    said.push(line);
                }
            }
        }
    }

    fn validity(&self, page: &mut Page) {
        if self.startups.interrupted {
            let words = "these are the figures of the rounds that were complete";
            page.verdict("INTERRUPTED", &[words]);
        }
        for (round, name, launch) in self.launches() {
            let validity = &launch.validity;
            if validity.state != State::Valid {
                let (state, reasons) = (validity.state.name(), validity.reasons.join("; "));
                let words = format!("round {round}: {name} was {state}: {reasons}");
                page.verdict("VOID", &[&words]);
            }
        }
        let (valid, all) = (
            self.startups.valid_rounds().count(),
            self.startups.rounds().len(),
        );
        page.verdict("valid", &[&format!("{valid} of {all} rounds valid")]);
    }

    /// Every launch, with its figures.
    fn rounds(&self, page: &mut Page) {
        let mut grid = Grid::new([
            Column::left("round"),
            Column::left("arm"),
            Column::left("validity"),
            Column::right("ms to listening"),
            Column::right("to first 200"),
            Column::right("MiB idle"),
        ]);
        for round in self.startups.rounds() {
            for &arm in &round.order {
                let launch = &round.launches[arm];
                let Figures {
                    listening,
                    first_ok,
                    memory,
                    ..
                } = &launch.figures;
                let memory = memory.as_ref().map(|memory| mib(memory.bytes));
                let figures = [listening.map(at_most), first_ok.map(at_most), memory];
                let figures = figures.map(|figure| figure.unwrap_or_else(|| UNKNOWN.to_owned()));
                let start = [
                    round.number.to_string(),
                    self.startups.plan.arms[arm].clone(),
                    launch.validity.state.name().to_owned(),
                ];
                let cells = start.into_iter().chain(figures);
                match round.is_valid() {
                    true => grid.row(cells),
                    false => grid.dim_row(cells),
                }
            }
        }
        page.blank();
        page.grid(&grid);
        page.blank();
    }

    fn closing(&self, page: &mut Page) {
        let rounds = self.startups.valid_rounds().count();
        let words = match rounds {
            0 => "No round is valid, so nothing can be said.".to_owned(),
            1 => "One round shows no spread, and so no difference.".to_owned(),
            2..FEWEST => format!(
                "Medians of {rounds} rounds, with the smallest and the largest; six rounds give an interval of a change."
            ),
            _ => format!("Medians of {rounds} rounds, with the smallest and the largest."),
        };
        let kept = "Files were in memory: each target had been launched once before.";
        page.paragraph(&format!(
            "{words} {kept} These are results of this machine."
        ));
    }

    /// Every launch, with its round's number and its arm's name.
    fn launches(&self) -> impl Iterator<Item = (usize, &'a str, &'a Launch)> {
        let names = &self.startups.plan.arms;
        let rounds = self.startups.rounds().iter();
        rounds.flat_map(move |round| {
            let launches = names.iter().zip(&round.launches);
            launches.map(|(name, launch)| (round.number, name.as_str(), launch))
        })
    }
}

/// A time, marked where it may be so much shorter that it stands in no figure.
fn at_most(took: Took) -> String {
    let figure = TimeUnit::Milliseconds.figure(took.ns as f64);
    match took.is_blind() {
        true => format!("≤ {figure}"),
        false => figure,
    }
}

/// `36.1  34.2…41.0`; one figure where all rounds show the same.
fn with_range(spread: &Spread, figure: Figure<'_>) -> String {
    let [median, low, high] = [spread.median, spread.low, spread.high].map(figure);
    match low == high {
        true => median,
        false => format!("{median}  {low}…{high}"),
    }
}

/// `−16 % [−20, −12]  sooner`: what is shown, and what an interval that holds no difference leaves unsaid.
fn in_words(found: &Change, [lower, higher]: [&str; 2]) -> String {
    // Of sizes, which do not vary, the interval is the change itself.
    let figure = match (found.ratio, found.interval) {
        (Some(ratio), Some([low, high])) if low == high => change(ratio),
        _ => change_with_interval(found),
    };
    let shown = match found.direction() {
        Direction::Lower => lower,
        Direction::Higher => higher,
        Direction::NotShown => "",
    };
    format!("{figure}  {shown}").trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::*;
    use crate::run_record::fixtures::MS;
    use crate::startup::fixtures::{contained, process, startups};

    fn at(width: usize, startups: &Startups, verbose: bool) -> String {
        let options = Options {
            width,
            color: false,
            saved: Some("results/local/20261123T074100Z-startup-axum-actix"),
            verbose,
            percentiles: &[],
            spectrum: false,
        };
        startup(startups, &options)
    }

    /// Actix listens a fifth sooner; the machine sways from round to round.
    fn figures(arm: usize, round: usize, of: fn(u64) -> Figures) -> Figures {
        let sway = 40 + (round as u64 * 7) % 10;
        of(if arm == 0 { sway } else { sway * 4 / 5 })
    }

    #[test]
    fn processes_are_compared_by_rounds() {
        let startups = startups(8, |arm, round| {
            Launch::judged(figures(arm, round, process), None, None)
        });
        assert_snapshot!(at(100, &startups, false), @r"
        start of axum and actix    8 rounds, without load · 1 min 12 s · order seed 7
          median  min…max            axum              actix             actix against axum, 95 %
          from exec ms  listening    45.5  41.0…49.0   36.0  32.0…39.0   −21 % [−22, −20]  sooner
                        first 200    50.5  46.0…54.0   41.0  37.0…44.0   −19 % [−19, −18]  sooner
          memory MiB    idle         9.0               9.0               ±0.0 %
          size MB       executable   13.9              13.9              ±0.0 %
          times      never too short, and up to 0.25 ms too long: nobody looked for so long
          memory     RSS after 1 s of rest, /proc statm of one process
          valid      8 of 8 rounds valid
        Medians of 8 rounds, with the smallest and the largest. Files were in memory: each target had been
        launched once before. These are results of this machine.
        saved results/local/20261123T074100Z-startup-axum-actix
        tailmark report results/local/latest -o report.html
        ");
    }

    #[test]
    fn an_engine_stands_apart_and_a_time_that_was_not_seen_well_in_no_figure() {
        let startups = startups(4, |arm, round| {
            let mut figures = figures(arm, round, contained);
            if (arm, round) == (1, 2) {
                figures.listening = Some(Took {
                    ns: 90 * MS,
                    blind_ns: 60 * MS,
                });
            }
            let steal = ((arm, round) == (0, 3)).then_some(0.2);
            Launch::judged(figures, steal, None)
        });
        assert_snapshot!(at(80, &startups, true), @r"
        start of axum and actix    4 rounds, without load · 1 min 12 s · order seed 7
          median  min…max           axum              actix             change, 95 %
          from exec ms  listening   47.5  47.0…48.0   37.5  37.0…38.0   −21 %
                        first 200   52.0  49.0…53.0   42.0  40.0…43.0   −19 %
          before it ms  engine      150               150               ±0.0 %
          memory MiB    idle        9.0               9.0               ±0.0 %
          size MB       image       14.0              14.0              ±0.0 %
          runtime    in a container: as asked
          container  svc:1.4 · 2.61 MB · Docker 20.10.24 · this machine's network · 0.5
                     CPUs and 32 MiB of memory
          times      never too short, and up to 0.25 ms too long: nobody looked for so
                     long
          note       the time until listening is that of 2 of 3 rounds: in the others
                     nobody looked closely enough
          memory     working set after 1 s of rest, cgroup-v2
          VOID       round 3: axum was disturbed: the hypervisor took 20.0 % of the CPU
                     time for others (steal)
          valid      3 of 4 rounds valid

          round   arm     validity    ms to listening   to first 200   MiB idle
          1       actix   valid                  37.0           42.0        9.0
          1       axum    valid                  47.0           52.0        9.0
          2       actix   valid                ≤ 90.0           40.0        9.0
          2       axum    valid                  44.0           49.0        9.0
          3       actix   valid                  32.0           37.0        9.0
          3       axum    disturbed              41.0           46.0        9.0
          4       axum    valid                  48.0           53.0        9.0
          4       actix   valid                  38.0           43.0        9.0

        Medians of 3 rounds, with the smallest and the largest; six rounds give an
        interval of a change. Files were in memory: each target had been launched once
        before. These are results of this machine.
        saved results/local/20261123T074100Z-startup-axum-actix
        tailmark report results/local/latest -o report.html
        ");
    }
}
