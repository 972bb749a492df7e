//! The grid of a comparison: one row per metric, for the reference and one other arm.

use std::collections::BTreeSet;

use super::{QUANTILES, View};
use crate::compare::{Comparison, Figure, Metric};
use crate::report::figures::{TimeUnit, UNKNOWN, change_with_interval, size_of_change};
use crate::report::layout::{Column, Grid};
use crate::stats::{Change, Direction, fewest_per_round};
use crate::threshold::MemoryFigure;
use crate::units::{Quantile, mib, thousands, three_digits};

/// The rows of two arms, before it is known how much room there is.
pub(super) struct Figures {
    arms: [String; 2],
    against: [String; 2],
    rows: Vec<Row>,
}

struct Row {
    label: String,
    values: [Value; 2],
    change: String,
    said: Said,
    /// Label and values where there is little room, if they are others then.
    brief: Option<(String, [String; 2])>,
}

/// A value, and what stands behind it where there is room: its interval, or its range.
struct Value {
    value: String,
    range: String,
}

/// What is said of a change.
enum Said {
    Words(String),
    /// A difference as large as this one would be shown.
    Undecided(Option<String>),
    /// A round has fewer requests than this.
    Needs(u64),
}

/// How much is printed.
#[derive(Clone, Copy)]
struct Form {
    header: usize,
    ranges: bool,
    long: bool,
}

/// From the most telling form to the narrowest.
const FORMS: [Form; 6] = [
    Form {
        header: 0,
        ranges: true,
        long: true,
    },
    Form {
        header: 0,
        ranges: true,
        long: false,
    },
    Form {
        header: 1,
        ranges: true,
        long: false,
    },
    Form {
        header: 0,
        ranges: false,
        long: true,
    },
    Form {
        header: 0,
        ranges: false,
        long: false,
    },
    Form {
        header: 1,
        ranges: false,
        long: false,
    },
];

impl Figures {
    pub(super) fn of(view: &View<'_>, arm: usize, names: &[String]) -> Self {
        let rows = Rows {
            view,
            arms: [0, arm],
        };
        let level = view.comparison.level() * 100.0;
        let level = match view.gated {
            Some(_) => String::new(),
            None => format!(", {} %", format!("{level:.1}").trim_end_matches(".0")),
        };
        Self {
            arms: [names[0].clone(), names[arm].clone()],
            against: [
                format!("{} against {}{level}", names[arm], names[0]),
                format!("change{level}"),
            ],
            rows: rows.all(),
        }
    }

    /// In the most telling form for which there is room.
    pub(super) fn fitting(&self, width: usize) -> Grid {
        self.filled(self.form(width))
    }

    pub(super) fn narrowest(&self) -> Grid {
        self.filled(FORMS[FORMS.len() - 1])
    }

    /// Whether there is no room for whole words.
    pub(super) fn is_brief(&self, width: usize) -> bool {
        !self.form(width).long
    }

    pub(super) fn has_undecided(&self) -> bool {
        let mut rows = self.rows.iter();
        rows.any(|row| matches!(row.said, Said::Undecided(_)))
    }

    fn form(&self, width: usize) -> Form {
        let fits = |form: &Form| self.filled(*form).width() <= width;
        FORMS
            .into_iter()
            .find(fits)
            .unwrap_or(FORMS[FORMS.len() - 1])
    }

    fn filled(&self, form: Form) -> Grid {
        let [reference, arm] = &self.arms;
        let mut grid = Grid::new([
            Column::left(""),
            Column::left(reference),
            Column::left(arm),
            Column::left(&self.against[form.header]),
            Column::left(""),
        ]);
        for row in &self.rows {
            let [reference, arm] = [&row.values[0], &row.values[1]].map(|value| {
                if form.ranges && !value.range.is_empty() {
                    format!("{} {}", value.value, value.range)
                } else {
                    value.value.clone()
                }
            });
            let said = row.said.in_words(form.long);
            let (label, [reference, arm]) = match &row.brief {
                Some(brief) if !form.long => brief.clone(),
                _ => (row.label.clone(), [reference, arm]),
            };
            grid.row([label, reference, arm, row.change.clone(), said]);
        }
        grid
    }
}

impl Said {
    fn in_words(&self, long: bool) -> String {
        match self {
            Self::Words(words) => words.clone(),
            Self::Undecided(None) if long => "no difference shown".to_owned(),
            Self::Undecided(None) => "none".to_owned(),
            Self::Undecided(Some(size)) if long => {
                format!("no difference shown (≥ {size} would be)")
            }
            Self::Undecided(Some(size)) => format!("none (≥ {size})"),
            Self::Needs(requests) if long => {
                format!("needs {} per round", thousands(*requests))
            }
            Self::Needs(_) => "see note".to_owned(),
        }
    }
}

/// What a change is called that is shown; nothing is called by a comparison that is not valid.
pub(in crate::report) fn said(
    comparison: &Comparison,
    change: &Change,
    metric: Metric,
) -> Option<&'static str> {
    if comparison.is_invalid() {
        return None;
    }
    let is_time = metric.is_latency() || metric == Metric::Startup;
    match change.direction() {
        Direction::Higher => Some(if is_time { "slower" } else { "more" }),
        Direction::Lower => Some(if is_time { "faster" } else { "less" }),
        Direction::NotShown => None,
    }
}

struct Rows<'a> {
    view: &'a View<'a>,
    arms: [usize; 2],
}

impl Rows<'_> {
    fn all(&self) -> Vec<Row> {
        let mut rows = self.response();
        rows.extend(self.memory());
        let ms = |ns: f64| TimeUnit::Milliseconds.figure(ns);
        rows.push(self.row("CPU ms/1,000 requests", Metric::CpuPer1k, ms));
        rows.extend(self.where_measured("start to ready ms", Metric::Startup, ms));
        rows.push(self.failed());
        rows
    }

    fn response(&self) -> Vec<Row> {
        let unit = self.view.unit;
        let quantiles = self.quantiles();
        let row = |&quantile: &Quantile| {
            let group = if Some(&quantile) == quantiles.first() {
                format!("response {}", unit.name())
            } else {
                String::new()
            };
            let label = format!("{group:<14}{quantile}");
            self.row(&label, Metric::Response(quantile), |ns| unit.figure(ns))
        };
        quantiles.iter().map(row).collect()
    }

    /// The usual ones, and those by which a gate decides.
    fn quantiles(&self) -> BTreeSet<Quantile> {
        let gated = self.view.gated.unwrap_or_default().iter();
        let gated = gated.filter_map(|standing| match standing.metric {
            Metric::Response(quantile) => Some(quantile),
            _ => None,
        });
        QUANTILES.into_iter().chain(gated).collect()
    }

    fn memory(&self) -> Vec<Row> {
        let bytes = |bytes: f64| mib(bytes as u64);
        let per_minute = |bytes_per_s: f64| three_digits(bytes_per_s * 60.0 / f64::from(1 << 20));
        let of = |figure| Metric::Memory(figure);
        let mut rows = vec![self.row("memory MiB    idle", of(MemoryFigure::Idle), bytes)];
        rows.extend(self.where_measured("              p95", of(MemoryFigure::P95), bytes));
        rows.push(self.row("              peak", of(MemoryFigure::Peak), bytes));
        let after = of(MemoryFigure::AfterIdle);
        rows.extend(self.where_measured("              after", after, bytes));
        let slope = of(MemoryFigure::Slope);
        rows.extend(self.where_measured("growth MiB/min", slope, per_minute));
        rows
    }

    /// The row of a metric that not every target has.
    fn where_measured(
        &self,
        label: &str,
        metric: Metric,
        figure: impl Fn(f64) -> String,
    ) -> Option<Row> {
        let known = |arm| self.view.comparison.figure(arm, metric).is_some();
        let known = self.arms.into_iter().any(known);
        known.then(|| self.row(label, metric, figure))
    }

    fn row(&self, label: &str, metric: Metric, figure: impl Fn(f64) -> String) -> Row {
        let comparison = self.view.comparison;
        let values = self.arms.map(|arm| {
            let found = comparison.figure(arm, metric);
            found.map_or_else(Value::unknown, |found| {
                Value::of(&found, metric.is_latency(), &figure)
            })
        });
        let known = values.iter().all(|value| value.value != UNKNOWN);
        let (change, said) = match (comparison.change(self.arms[1], metric), metric) {
            (Some(change), _) if self.view.gated.is_some() => self.gated(&change, metric),
            (Some(change), _) => (change_with_interval(&change), self.said(&change, metric)),
            (None, Metric::Response(quantile)) if known => {
                (UNKNOWN.to_owned(), Said::Needs(fewest_per_round(quantile)))
            }
            (None, _) => (UNKNOWN.to_owned(), Said::Words(String::new())),
        };
        Row {
            label: label.to_owned(),
            values,
            change,
            said,
            brief: None,
        }
    }

    fn said(&self, change: &Change, metric: Metric) -> Said {
        let comparison = self.view.comparison;
        match said(comparison, change, metric) {
            Some(words) => Said::Words(words.to_owned()),
            None if comparison.is_invalid() => Said::Words(String::new()),
            None if change.interval.is_none() => {
                let fewest = comparison.fewest_rounds();
                Said::Words(format!("({fewest} rounds give an interval)"))
            }
            None => {
                let size = change.visible().filter(|size| size.is_finite());
                // Of equal figures the spread is none, and says nothing of what would be seen.
                let size = size.filter(|size| *size > 0.0);
                Said::Undecided(size.map(|size| size_of_change(1.0 + size)))
            }
        }
    }

    /// The change of a metric in a gate: with the interval of its looks where it decides, without one elsewhere.
    fn gated(&self, change: &Change, metric: Metric) -> (String, Said) {
        let mut standings = self.view.gated.unwrap_or_default().iter();
        let Some(standing) = standings.find(|standing| standing.metric == metric) else {
            let bare = Change {
                interval: None,
                ..change.clone()
            };
            return (change_with_interval(&bare), Said::Words(String::new()));
        };
        let said = Said::Words(standing.state.name().to_owned());
        (change_with_interval(&standing.change), said)
    }

    fn failed(&self) -> Row {
        let counts = self.arms.map(|arm| {
            let rounds = self.view.comparison.valid_rounds();
            let counts = rounds.map(|round| round.arms[arm].failed());
            counts.fold((0, 0), |sum, next| (sum.0 + next.0, sum.1 + next.1))
        });
        let [(_, all), (_, others)] = counts;
        let brief = (all == others).then(|| {
            let label = format!("failed of {}", thousands(all));
            (label, counts.map(|(failed, _)| thousands(failed)))
        });
        Row {
            label: "failed".to_owned(),
            values: counts.map(|(failed, all)| Value {
                value: format!("{} of {}", thousands(failed), thousands(all)),
                range: String::new(),
            }),
            change: String::new(),
            said: Said::Words(String::new()),
            brief,
        }
    }
}

impl Value {
    fn unknown() -> Self {
        Self {
            value: UNKNOWN.to_owned(),
            range: String::new(),
        }
    }

    /// With its interval where it is a time of requests, and with its range where there is no interval of anything yet.
    fn of(found: &Figure, is_latency: bool, figure: &impl Fn(f64) -> String) -> Self {
        let range = match (found.interval, found.spread) {
            (Some([low, high]), _) if is_latency => {
                format!("[{}–{}]", figure(low), figure(high))
            }
            (None, Some(spread)) if spread.low != spread.high => {
                format!("{}…{}", figure(spread.low), figure(spread.high))
            }
            _ => String::new(),
        };
        Self {
            value: figure(found.value),
            range,
        }
    }
}
