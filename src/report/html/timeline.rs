//! A run over time: response times, what came and what was answered, and what the target used, on one axis.

use super::columns::{Column, Line, of_phases, within};
use super::plot::{Hit, Key, Label, Panel, Place, Plot, Shape, Span, steps, steps_apart};
use super::scale::{Scale, moments, short};
use super::spectrum::titled;
use crate::report::figures::{TimeUnit, UNKNOWN};
use crate::run_record::resources::Moment;
use crate::run_record::{PhaseRecord, RunRecord};
use crate::scenario::{LoadModel, Scenario};
use crate::units::{Quantile, mib, thousands, three_digits};

/// What is drawn of a run over time.
pub(super) struct Timeline<'a> {
    record: &'a RunRecord,
    unit: TimeUnit,
    /// Requests that an arrival makes; none where the scenario cannot be read.
    per_arrival: Option<f64>,
    /// When each phase starts, in nanoseconds from the start of the run.
    starts: Vec<u64>,
    /// When all of it ends.
    end: u64,
    columns: Vec<Column>,
}

/// A panel of what the target used, its scale, and the value at a moment.
type Resource = (Panel, Scale, fn(&Timeline<'_>, u64) -> Option<f64>);

/// What is said of an axis whose start is another value than 0.
pub(super) const CUT: &str = ", axis does not start at 0";

/// From the lowest line to the highest, with the class of each and of what lies below it.
const LINES: [(Line, &str, &str); 5] = [
    (Line::Quantile(Quantile::P50), "q50", ""),
    (Line::Quantile(Quantile::P90), "q90", "below-q90"),
    (Line::Quantile(Quantile::P99), "q99", "below-q99"),
    (Line::Quantile(Quantile::P99_9), "q999", "below-q999"),
    (Line::Max, "longest", ""),
];

impl<'a> Timeline<'a> {
    pub(super) fn of(record: &'a RunRecord, scenario: Option<&Scenario>, unit: TimeUnit) -> Self {
        let mut end = 0;
        let mut starts = Vec::new();
        for phase in &record.phases {
            starts.push(end);
            end += phase.duration_ns;
        }
        let columns = of_phases(&record.phases, &starts);
        let last = columns.iter().map(|column| column.to).max();
        Self {
            record,
            unit,
            per_arrival: scenario.map(Scenario::requests_per_arrival),
            end: last.unwrap_or(0).max(end).max(1),
            starts,
            columns,
        }
    }

    /// None of a run in which nothing was due.
    pub(super) fn plot(&self) -> Option<Plot> {
        if self.columns.iter().all(|column| column.due() == 0) {
            return None;
        }
        let scale = self.times_scale();
        let rate = self.rate_scale();
        let mut panels = vec![self.times(scale), self.rates(rate)];
        let mut others = Vec::new();
        for (panel, scale, at) in [self.memory(), self.cpu()].into_iter().flatten() {
            others.push((panels.len(), scale, at));
            panels.push(panel);
        }
        let hit =
            |column: &Column| {
                let mut hit = self.hit(column, scale, rate);
                let middle = column.from.midpoint(column.to);
                let others = others.iter();
                hit.dots.extend(others.filter_map(|(panel, scale, at)| {
                    Some((*panel, scale.place(at(self, middle)?)))
                }));
                hit
            };
        Some(Plot {
            id: "over-time",
            name: format!(
                "Response times over {}, with the rate of requests and what the target used",
                crate::report::figures::span(self.end)
            ),
            panels,
            ticks: moments(self.end, 12),
            axis: "time since the start of the run".to_owned(),
            spans: self.spans(),
            hits: self.columns.iter().map(hit).collect(),
            legend: self.legend(),
        })
    }

    /// How long the stretches are of which each point is one: `1 s`, or `1 to 16 s`; the last of a phase may be shorter.
    pub(super) fn widths(&self) -> String {
        let phases = self.columns.chunk_by(|a, b| a.phase == b.phase);
        let asked = phases.filter(|of_phase| of_phase.iter().any(|column| column.due() > 0));
        let widths: Vec<u64> = asked
            .map(|of_phase| of_phase[0].to - of_phase[0].from)
            .collect();
        let seconds = |ns: u64| short((ns as f64 / 1e8).round() / 10.0);
        match (widths.iter().min(), widths.iter().max()) {
            (Some(least), Some(most)) if least != most => {
                format!("{} to {} s", seconds(*least), seconds(*most))
            }
            (least, _) => format!("{} s", seconds(least.copied().unwrap_or(0))),
        }
    }

    /// Requests that came due after the last phase, of walks that were under way: there is no place for them.
    pub(super) fn late(&self) -> u64 {
        let late = self
            .record
            .phases
            .iter()
            .flat_map(|phase| &phase.windows[within(phase)..]);
        late.filter_map(|window| window.response().ok())
            .map(|times| times.count())
            .sum()
    }

    /// Whether memory or CPU was recorded over time.
    pub(super) fn has_resources(&self) -> bool {
        self.record.resources.timeline.len() > 1
    }

    fn x(&self, ns: u64) -> f64 {
        (ns as f64 / self.end as f64).min(1.0)
    }

    fn times_scale(&self) -> Scale {
        let values = self.columns.iter().flat_map(|column| {
            LINES
                .iter()
                .filter_map(|(line, ..)| Some(self.unit.of(column.value(*line)? as f64)))
        });
        Scale::of_times(values)
    }

    fn times(&self, scale: Scale) -> Panel {
        let mut shapes = Vec::new();
        for pair in LINES.windows(2) {
            let ((below, ..), (line, _, class)) = (pair[0], pair[1]);
            if !class.is_empty() {
                shapes.push(self.band(below, line, class, scale));
            }
        }
        let lines = LINES.iter().rev();
        shapes.extend(lines.flat_map(|(own, class, _)| self.line(*own, class, scale)));
        Panel {
            title: titled("response time", scale, self.unit),
            height: 230.0,
            ticks: scale.ticks(6),
            shapes,
            labels: self.ends(scale),
        }
    }

    /// The height of a column's value; none where it has none.
    fn height(&self, column: &Column, line: Line, scale: Scale) -> Option<f64> {
        let ns = column.value(line)?;
        Some(scale.place(self.unit.of(ns as f64)))
    }

    /// A line, and what of it is a lower bound as another.
    fn line(&self, line: Line, class: &str, scale: Scale) -> Vec<Shape> {
        let values = self.columns.iter().filter_map(|column| {
            let height = self.height(column, line, scale)?;
            let step = (self.x(column.from), self.x(column.to), height);
            Some((step, column.is_bound(line)))
        });
        let classes = [class.to_owned(), format!("{class} bound")];
        let lines = classes.into_iter().zip(steps_apart(values));
        lines
            .filter(|(_, runs)| !runs.is_empty())
            .map(|(class, runs)| Shape::Line { class, runs })
            .collect()
    }

    /// What stands where the lines end, each with its name.
    fn ends(&self, scale: Scale) -> Vec<Label> {
        let counting = self.columns.iter().filter(|column| self.counts(column));
        let Some(last) = counting.rev().find(|column| column.due() > 0) else {
            return Vec::new();
        };
        let label = |(line, class, _): &(Line, &str, &str)| {
            let bound = if last.is_bound(*line) { " ≥" } else { "" };
            Some(Label {
                class: (*class).to_owned(),
                y: self.height(last, *line, scale)?,
                text: format!("{}{bound}", line.name()),
            })
        };
        LINES.iter().filter_map(label).collect()
    }

    fn band(&self, lower: Line, upper: Line, class: &str, scale: Scale) -> Shape {
        let both = self.columns.iter().filter_map(|column| {
            let [low, high] = [lower, upper].map(|line| self.height(column, line, scale));
            Some((self.x(column.from), self.x(column.to), low?, high?))
        });
        let both: Vec<(f64, f64, f64, f64)> = both.collect();
        let of = |high: bool| {
            let values = both
                .iter()
                .map(|&(from, to, lower, upper)| (from, to, if high { upper } else { lower }));
            steps(values)
        };
        Shape::Band {
            class: class.to_owned(),
            runs: of(true)
                .into_iter()
                .zip(of(false))
                .map(|(upper, lower)| [upper, lower])
                .collect(),
        }
    }

    fn rate_scale(&self) -> Scale {
        let came = self
            .columns
            .iter()
            .map(|column| column.per_second(column.due()));
        let planned = self
            .record
            .phases
            .iter()
            .filter_map(|phase| Some(phase.model.highest_rate()? * self.per_arrival?));
        Scale::from_zero(came.chain(planned).fold(0.0, f64::max))
    }

    fn rates(&self, scale: Scale) -> Panel {
        let line = |count: fn(&Column) -> u64| {
            steps(self.columns.iter().map(|column| {
                let rate = column.per_second(count(column));
                (self.x(column.from), self.x(column.to), scale.place(rate))
            }))
        };
        let mut shapes = vec![Shape::Line {
            class: "planned".to_owned(),
            runs: self.planned(scale),
        }];
        let mut labels = Vec::new();
        let mut add = |class: &str, name: &str, count: fn(&Column) -> u64| {
            shapes.push(Shape::Line {
                class: class.to_owned(),
                runs: line(count),
            });
            labels.extend(self.last().map(|column| Label {
                class: class.to_owned(),
                y: scale.place(column.per_second(count(column))),
                text: name.to_owned(),
            }));
        };
        add("came", "due", Column::due);
        if self.has_many_failed() {
            add("answered", "ok", |column| column.ok.count());
        }
        shapes.extend(self.failures());
        Panel {
            title: "requests per second".to_owned(),
            height: 96.0,
            ticks: scale.ticks(4),
            shapes,
            labels,
        }
    }

    /// A stroke at the foot of each window in which requests failed.
    fn failures(&self) -> Option<Shape> {
        const STROKE: f64 = 0.14;
        let failed = self
            .columns
            .iter()
            .filter(|column| !column.failed.is_empty());
        let strokes = failed.map(|column| {
            let middle = self.x(column.from.midpoint(column.to));
            vec![[middle, 0.0], [middle, STROKE]]
        });
        let runs: Vec<Vec<Place>> = strokes.collect();
        (!runs.is_empty()).then(|| Shape::Line {
            class: "failed".to_owned(),
            runs,
        })
    }

    /// What the phases offered, in requests per second.
    fn planned(&self, scale: Scale) -> Vec<Vec<Place>> {
        let Some(per_arrival) = self.per_arrival else {
            return Vec::new();
        };
        let phases = self.record.phases.iter().zip(&self.starts);
        let line = phases.filter_map(|(phase, start)| {
            let [from, to] = match phase.model {
                LoadModel::Open { rate, .. } => [rate, rate],
                LoadModel::Ramp { from, to, .. } => [from, to],
                LoadModel::Closed { .. } | LoadModel::Pause => return None,
            }
            .map(|rate| scale.place(rate.per_second() * per_arrival));
            let [start, end] = [*start, start + phase.duration_ns].map(|ns| self.x(ns));
            Some(vec![[start, from], [end, to]])
        });
        line.collect()
    }

    /// Whether anything that is drawn is a lower bound: where a quantile is one, so is the longest.
    fn has_bounds(&self) -> bool {
        let mut columns = self.columns.iter();
        columns.any(|column| column.is_bound(Line::Max))
    }

    fn has_failed(&self) -> bool {
        self.columns.iter().any(|column| !column.failed.is_empty())
    }

    /// Whether so many failed that a line of those that did not is told from the line of all.
    fn has_many_failed(&self) -> bool {
        const SEEN: u64 = 30;
        let failed: u64 = self
            .columns
            .iter()
            .map(|column| column.failed.count())
            .sum();
        let due: u64 = self.columns.iter().map(Column::due).sum();
        failed * SEEN > due
    }

    /// The last column that counts: lines of rates have their names there.
    fn last(&self) -> Option<&Column> {
        let mut columns = self.columns.iter().rev();
        columns.find(|column| self.counts(column))
    }

    fn counts(&self, column: &Column) -> bool {
        !self.is_dim(column.phase)
    }

    fn is_dim(&self, phase: usize) -> bool {
        let phase = &self.record.phases[phase];
        phase.warmup || !phase.offers_load()
    }

    fn memory(&self) -> Option<Resource> {
        let seen: Vec<(f64, f64)> = self
            .seen()
            .filter_map(|moment| Some((self.x(moment.at_ns), mebibytes(moment)?)))
            .collect();
        if seen.len() < 2 {
            return None;
        }
        let scale = Scale::of_sizes(seen.iter().map(|(_, size)| *size));
        let from = if scale.is_cut() { CUT } else { "" };
        let line = seen.iter().map(|(x, size)| [*x, scale.place(*size)]);
        let panel = Panel {
            title: format!("memory of the target, MiB{from}"),
            height: 84.0,
            ticks: scale.ticks(4),
            shapes: vec![Shape::Line {
                class: "memory".to_owned(),
                runs: vec![line.collect()],
            }],
            labels: Vec::new(),
        };
        Some((panel, scale, |timeline, at| {
            timeline.nearest(at).and_then(mebibytes)
        }))
    }

    fn cpu(&self) -> Option<Resource> {
        let used = self.cpu_used();
        let most = used.iter().map(|(.., cores)| *cores).fold(0.0, f64::max);
        if used.is_empty() {
            return None;
        }
        let scale = Scale::from_zero(most);
        let line = used.iter();
        let line = line.map(|&(from, to, cores)| (self.x(from), self.x(to), scale.place(cores)));
        let panel = Panel {
            title: "CPU of the target, cores in use".to_owned(),
            height: 84.0,
            ticks: scale.ticks(4),
            shapes: vec![Shape::Line {
                class: "cpu".to_owned(),
                runs: steps(line),
            }],
            labels: Vec::new(),
        };
        Some((panel, scale, |timeline, at| timeline.cores(at)))
    }

    /// The reading that is nearest to a moment.
    fn nearest(&self, at: u64) -> Option<&'a Moment> {
        self.seen().min_by_key(|moment| moment.at_ns.abs_diff(at))
    }

    /// Cores in use at a moment.
    fn cores(&self, at: u64) -> Option<f64> {
        let mut used = self.cpu_used().into_iter();
        used.find(|(from, to, _)| (*from..*to).contains(&at))
            .map(|(.., cores)| cores)
    }

    fn seen(&self) -> impl Iterator<Item = &'a Moment> {
        let end = self.end;
        let timeline = self.record.resources.timeline.iter();
        timeline.filter(move |moment| moment.at_ns <= end)
    }

    /// CPUs in use between each two readings.
    fn cpu_used(&self) -> Vec<(u64, u64, f64)> {
        let read: Vec<(u64, u64)> = self
            .seen()
            .filter_map(|moment| Some((moment.at_ns, moment.cpu_ns?)))
            .collect();
        let between = read.windows(2).filter_map(|pair| {
            let [(from, before), (to, after)] = [pair[0], pair[1]];
            let wall = to.checked_sub(from).filter(|wall| *wall > 0)?;
            // Where a process was replaced, its count begins again.
            let used = after.checked_sub(before)?;
            Some((from, to, used as f64 / wall as f64))
        });
        between.collect()
    }

    fn spans(&self) -> Vec<Span> {
        let phases = self.record.phases.iter().zip(&self.starts).enumerate();
        let span = |(index, (phase, start)): (usize, (&PhaseRecord, &u64))| {
            let what = match (phase.warmup, phase.offers_load()) {
                (_, false) => " (pause)",
                (true, _) => " (warm-up)",
                (false, _) => "",
            };
            Span {
                from: self.x(*start),
                to: self.x(start + phase.duration_ns),
                name: format!("{}{what}", phase.name),
                brief: phase.name.clone(),
                is_dim: self.is_dim(index),
            }
        };
        phases.map(span).collect()
    }

    fn legend(&self) -> Vec<Key> {
        let mut legend: Vec<Key> = Vec::new();
        for (line, class, _) in LINES.iter().rev() {
            let is_there = self
                .columns
                .iter()
                .any(|column| column.value(*line).is_some());
            legend.extend(is_there.then(|| Key::line(class, line.name())));
        }
        if self.has_bounds() {
            legend.push(Key::line("bound", "dotted: took as long as this at least"));
        }
        if self.per_arrival.is_some()
            && self.record.phases.iter().any(|phase| phase.model.is_open())
        {
            legend.push(Key::line("planned", "requests planned"));
        }
        legend.push(Key::line("came", "requests that came due"));
        if self.has_many_failed() {
            legend.push(Key::line("answered", "of these, ok"));
        }
        if self.has_failed() {
            legend.push(Key::line("failed", "windows with failures"));
        }
        legend
    }

    fn hit(&self, column: &Column, times: Scale, rates: Scale) -> Hit {
        let value = |line: Line| {
            let said = column
                .value(line)
                .map(|ns| self.unit.bounded(ns, column.is_bound(line)));
            format!(
                "{} {}",
                line.name(),
                said.unwrap_or_else(|| UNKNOWN.to_owned())
            )
        };
        let values: Vec<String> = LINES.iter().map(|(line, ..)| value(*line)).collect();
        let mut says = vec![
            format!(
                "{}–{} {}",
                clock(column.from),
                clock(column.to),
                self.record.phases[column.phase].name
            ),
            format!("{} {}", values.join(" · "), self.unit.name()),
            format!(
                "{} requests/s due, {} failed",
                three_digits(column.per_second(column.due())),
                thousands(column.failed.count())
            ),
        ];
        let middle = column.from.midpoint(column.to);
        let memory = self.nearest(middle).and_then(|moment| moment.memory_bytes);
        says.extend(memory.map(|bytes| format!("memory {} MiB", mib(bytes))));
        let cores = self.cores(middle);
        says.extend(cores.map(|cores| format!("CPU {} cores", three_digits(cores))));
        let heights = LINES
            .iter()
            .filter_map(|(line, ..)| Some((0, self.height(column, *line, times)?)));
        let rate = (1, rates.place(column.per_second(column.due())));
        Hit {
            from: self.x(column.from),
            to: self.x(column.to),
            says: says.join(" · "),
            dots: heights.chain([rate]).collect(),
        }
    }
}

fn mebibytes(moment: &Moment) -> Option<f64> {
    const MIB: f64 = 1_048_576.0;
    Some(moment.memory_bytes? as f64 / MIB)
}

/// `0:42`, `1:02:03`; with tenths where a column does not begin with a second.
fn clock(ns: u64) -> String {
    let tenths = ns / 100_000_000;
    let (seconds, tenth) = (tenths / 10, tenths % 10);
    let (hours, minutes, seconds) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    let part = if tenth == 0 {
        String::new()
    } else {
        format!(".{tenth}")
    };
    match hours {
        0 => format!("{minutes}:{seconds:02}{part}"),
        _ => format!("{hours}:{minutes:02}:{seconds:02}{part}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::Outcome;
    use crate::run_record::fixtures::{Answer, MODELS, MS, SHOP, ok, record, shop, url_yaml};

    fn timeline(record: &RunRecord) -> Timeline<'_> {
        let scenario = Scenario::parse("x.yaml", record.scenario.text.as_bytes()).unwrap();
        Timeline::of(record, Some(&scenario), TimeUnit::Milliseconds)
    }

    /// The pieces of a line of a panel.
    fn pieces<'a>(panel: &'a Panel, wanted: &str) -> &'a [Vec<Place>] {
        let mut shapes = panel.shapes.iter();
        let found = shapes.find_map(|shape| match shape {
            Shape::Line { class, runs } if class == wanted => Some(runs.as_slice()),
            _ => None,
        });
        found.unwrap_or_default()
    }

    #[test]
    fn every_request_is_in_one_column() {
        for yaml in [SHOP, MODELS] {
            let record = record("x", yaml, |asked| match yaml {
                SHOP => shop(asked),
                _ => ok(300 * MS),
            });
            let timeline = timeline(&record);
            let due: u64 = record.phases.iter().map(|phase| phase.tally.due).sum();
            let drawn: u64 = timeline.columns.iter().map(Column::due).sum();
            assert_eq!(drawn + timeline.late(), due);
            let mut pairs = timeline.columns.windows(2);
            assert!(
                pairs.all(|pair| pair[0].to == pair[1].from),
                "columns overlap, or leave a gap"
            );
            let ends = [timeline.columns.first(), timeline.columns.last()];
            let [first, last] = ends.map(Option::unwrap);
            assert_eq!((first.from, last.to), (0, timeline.end));
        }
    }

    #[test]
    fn a_low_rate_is_drawn_as_it_was_planned() {
        let record = record("x", &url_yaml("30/m", "60s"), |_| ok(MS));
        let timeline = timeline(&record);
        assert_eq!(timeline.columns.len(), 15);
        for column in &timeline.columns {
            assert!((column.per_second(column.due()) - 0.5).abs() < 1e-9);
        }
        let plot = timeline.plot().unwrap();
        let [came, planned] = ["came", "planned"].map(|class| pieces(&plot.panels[1], class));
        assert_eq!((came.len(), planned.len()), (1, 1));
        let mut heights = came[0].iter().map(|place| place[1]);
        assert!(heights.all(|height| (height - planned[0][0][1]).abs() < 1e-9));
    }

    #[test]
    fn while_a_target_hangs_the_rate_of_its_users_is_none() {
        let yaml = "tailmark: 1\nflows: { a: { steps: [ { get: / } ] } }\nphases: [ { name: main, users: 3, for: 20s } ]\n";
        let mut number = 0;
        let record = record("x", yaml, |_| {
            number += 1;
            match number {
                // Each user waits for five seconds, once.
                241..244 => ok(5_000 * MS),
                _ => ok(100 * MS),
            }
        });
        let timeline = timeline(&record);
        let due: Vec<u64> = timeline.columns.iter().map(Column::due).collect();
        assert_eq!(due.len(), 20, "{due:?}");
        let still = due.chunk_by(|a, b| a == b).filter(|same| same[0] == 0);
        let still: Vec<usize> = still.map(<[u64]>::len).collect();
        // Those of five seconds that are whole columns.
        assert!(matches!(still[..], [3 | 4]), "{due:?}");
        let plot = timeline.plot().unwrap();
        let came = pieces(&plot.panels[1], "came");
        assert_eq!(came.len(), 1, "the line has a gap");
        let low = came[0].iter().filter(|place| place[1] == 0.0);
        assert_eq!(low.count(), 2 * still[0], "{came:?}");
        // No time is told where nothing was asked.
        assert_eq!(pieces(&plot.panels[0], "longest").len(), 2);
        let mut says = plot.hits.iter().map(|hit| &hit.says);
        let said = says.find(|says| says.contains(" 0.00 requests/s due"));
        assert!(said.unwrap().contains("max n/a"), "{said:?}");
    }

    #[test]
    fn lower_bounds_are_dotted_and_named_so() {
        let record = record("x", &url_yaml("100/s", "10s"), |asked| {
            let is_given_up = asked.arrival >= 900 && asked.arrival % 2 == 0;
            match is_given_up {
                true => Answer {
                    outcome: Outcome::Timeout,
                    status: None,
                    ..ok(2_000 * MS)
                },
                false => ok(MS),
            }
        });
        let plot = timeline(&record).plot().unwrap();
        let times = &plot.panels[0];
        for (line, has_bounds) in [("q50", false), ("q90", true), ("longest", true)] {
            let bounds = pieces(times, &format!("{line} bound"));
            assert_eq!(!bounds.is_empty(), has_bounds, "{line}");
            let known = pieces(times, line)[0].last().unwrap()[0];
            let from = if has_bounds { 0.9 } else { 1.0 };
            assert!((known - from).abs() < 1e-9, "{line} is known until {known}");
        }
        let ends: Vec<&str> = times
            .labels
            .iter()
            .map(|label| label.text.as_str())
            .collect();
        assert_eq!(ends, ["p50", "p90 ≥", "max ≥"]);
        assert!(plot.legend.iter().any(|key| key.class == "bound"));
        assert!(plot.hits[9].says.contains("p90 ≥ "), "{:?}", plot.hits[9]);
    }

    #[test]
    fn the_rate_that_came_is_the_rate_that_was_planned() {
        let record = record(
            "x",
            "tailmark: 1\nflows: { a: { steps: [ { get: / } ] } }\nphases: [ { name: main, rate: 500/s, for: 2500ms } ]\n",
            |_| ok(MS),
        );
        let timeline = timeline(&record);
        for column in &timeline.columns {
            assert!((column.per_second(column.due()) - 500.0).abs() < 3.0);
        }
        let plot = timeline.plot().unwrap();
        assert_eq!(plot.panels.len(), 4);
        assert!(
            plot.hits[2].says.starts_with("0:02–0:02.5"),
            "{}",
            plot.hits[2].says
        );
        assert_eq!(timeline.widths(), "1 s");
    }
}
