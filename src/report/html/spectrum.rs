//! Whole distributions on the axis of percentiles: every step to the right is as many times rarer.

use super::plot::{Glyph, Hit, Key, Label, Panel, Place, Plot, Shape};
use super::scale::{Scale, percentile_axis, percentiles};
use crate::histogram::Histogram;
use crate::ledger::{Bound, Distribution};
use crate::report::figures::TimeUnit;
use crate::stats::sampling::QuantileInterval;
use crate::units::three_digits;

/// A distribution as a line.
pub(super) struct Curve {
    pub(super) name: String,
    /// Which colour and stroke it has.
    pub(super) class: String,
    pub(super) glyph: Option<Glyph>,
    pub(super) times: Times,
    /// How many there are.
    pub(super) count: u64,
    /// Of its p99.
    pub(super) interval: Option<QuantileInterval>,
}

/// What a line is read from.
pub(super) enum Times {
    /// All of them, and those whose end was seen: the others are lower bounds.
    Bounded { all: Histogram, known: Histogram },
    /// Those that were ok: the others count as infinitely long.
    OrInfinite { ok: Histogram },
}

/// A place on the axis.
#[derive(Clone, Copy)]
struct Step {
    /// One of so many values is beyond it: 1 ÷ (1 − q).
    one_of: f64,
    /// Whether it is the end of the axis, where the longest lies.
    is_end: bool,
}

/// Places of each factor of ten: close enough that a line between two of them is read as it is.
const PER_DECADE: f64 = 20.0;
/// Places at most, whatever the sample.
const MOST: f64 = 190.0;
/// A quantile is told where so many values are expected beyond it; see [`crate::stats::fewest`]: −ln 0.025.
const TOLD: f64 = 3.689;

impl Curve {
    /// A line of all exchanges, of which some may be lower bounds.
    pub(super) fn bounded(name: &str, class: &str, times: &Distribution) -> Self {
        let known = Histogram::merged([&times.ok, &times.failed]);
        let all = times.all();
        Self::of(name, class, times.count(), Times::Bounded { all, known })
    }

    /// A line of the exchanges that were ok among all of them.
    pub(super) fn or_infinite(name: &str, class: &str, times: &Distribution) -> Self {
        let ok = times.ok.clone();
        Self::of(name, class, times.count(), Times::OrInfinite { ok })
    }

    fn of(name: &str, class: &str, count: u64, times: Times) -> Self {
        Self {
            name: name.to_owned(),
            class: class.to_owned(),
            glyph: None,
            times,
            count,
            interval: None,
        }
    }

    /// What lies at a place; none beyond the longest.
    fn at(&self, step: Step) -> Option<Bound> {
        let rank = match step.is_end {
            true => self.count,
            false => rank(self.count, step.one_of),
        };
        match &self.times {
            Times::Bounded { all, known } => {
                let value = all.value_at_rank(rank)?;
                let at_worst = known.value_at_rank(rank);
                let censored = !at_worst.is_some_and(|worst| Histogram::same_bucket(worst, value));
                Some(Bound { value, censored })
            }
            Times::OrInfinite { ok } => ok.value_at_rank(rank).map(|value| Bound {
                value,
                censored: false,
            }),
        }
    }

    fn reaches(&self, step: Step, most: u64) -> bool {
        step.one_of <= self.count as f64 || step.is_end && self.count == most
    }
}

/// The rank of the quantile that one of `one_of` values is beyond, as [`crate::units::Quantile::rank`] has it: ⌈q·n⌉.
fn rank(count: u64, one_of: f64) -> u64 {
    // What division does to the last digit is undone: of 2,900 values 29 lie beyond the p99, not 28.
    let beyond = (count as f64 / one_of * (1.0 + 1e-12)).floor() as u64;
    count.saturating_sub(beyond).max(1)
}

/// The plot of these lines; none where there is nothing to draw.
pub(super) fn plot(
    id: &'static str,
    title: &str,
    curves: &[Curve],
    unit: TimeUnit,
) -> Option<Plot> {
    let most = curves.iter().map(|curve| curve.count).max()?;
    if most < 2 {
        return None;
    }
    let (axis, steps) = (percentile_axis(most), steps(most));
    let values = curves.iter().flat_map(|curve| {
        let reached = steps.iter().filter(|step| curve.reaches(**step, most));
        reached.filter_map(|step| Some(unit.of(curve.at(*step)?.value as f64)))
    });
    let scale = Scale::of_times(values);
    let panel = panel(title, curves, &steps, most, [axis, scale], unit);
    let mut legend: Vec<Key> = curves.iter().map(key).collect();
    if curves.iter().any(|curve| curve.interval.is_some()) {
        legend.push(Key::band("tone-1 interval", "95 % interval of the p99"));
    }
    legend.push(Key::band(
        "unsure",
        "fewer than 4 requests beyond: not to be relied on",
    ));
    Some(Plot {
        id,
        name: format!("{title}: {}", described(curves, unit)),
        panels: vec![panel],
        ticks: percentiles(most),
        axis: "percentile: each step to the right is ten times rarer".to_owned(),
        spans: Vec::new(),
        hits: hits(curves, &steps, most, [axis, scale], unit),
        legend,
    })
}

fn key(curve: &Curve) -> Key {
    match curve.glyph {
        Some(glyph) => Key::marked(&curve.class, glyph, &curve.name),
        None => Key::line(&curve.class, &curve.name),
    }
}

/// For those who do not see it: what each line says of a few percentiles.
fn described(curves: &[Curve], unit: TimeUnit) -> String {
    let of = |curve: &Curve| {
        let value = |(one_of, name): (f64, &str)| {
            let is_end = false;
            let bound = curve.at(Step { one_of, is_end })?;
            (curve.count as f64 >= one_of * TOLD)
                .then(|| format!("{name} {}", unit.bounded(bound.value, bound.censored)))
        };
        let known: Vec<String> = [
            (2.0, "p50"),
            (10.0, "p90"),
            (100.0, "p99"),
            (1_000.0, "p99.9"),
        ]
        .into_iter()
        .filter_map(value)
        .collect();
        format!("{}: {}", curve.name, known.join(", "))
    };
    let all: Vec<String> = curves.iter().map(of).collect();
    format!("{}; in {}", all.join("; "), unit.name())
}

/// Every place at which values are read, with the median and each nine among them.
fn steps(most: u64) -> Vec<Step> {
    let decades = (most as f64).log10();
    let per_decade = PER_DECADE.min((MOST / decades).floor()).max(1.0);
    let even =
        (0..(decades * per_decade).ceil() as u32).map(|k| 10f64.powf(f64::from(k) / per_decade));
    let nines = (1..=decades.floor() as i32).map(|nines| 10f64.powi(nines));
    let mut places: Vec<f64> = even.chain(nines).chain([2.0]).collect();
    places.retain(|one_of| *one_of <= most as f64);
    places.sort_by(f64::total_cmp);
    places.dedup_by(|a, b| (*a / *b - 1.0).abs() < 1e-9);
    let end = Step {
        one_of: most as f64,
        is_end: true,
    };
    let inner = places.into_iter().map(|one_of| Step {
        one_of,
        is_end: false,
    });
    inner.chain([end]).collect()
}

fn panel(
    title: &str,
    curves: &[Curve],
    steps: &[Step],
    most: u64,
    [axis, scale]: [Scale; 2],
    unit: TimeUnit,
) -> Panel {
    let told = axis.place((most as f64 / TOLD).max(1.0));
    let mut shapes = vec![Shape::Stretch {
        class: "unsure".to_owned(),
        from: told,
        to: 1.0,
    }];
    let mut labels = Vec::new();
    let height = |ns: f64| scale.place(unit.of(ns));
    for curve in curves {
        let p99 = axis.place(100.0);
        shapes.extend(curve.interval.map(|interval| Shape::Bar {
            class: format!("{} interval", curve.class),
            x: p99,
            from: height(interval.low),
            to: height(interval.high),
        }));
        let reached = steps.iter().filter(|step| curve.reaches(**step, most));
        let places: Vec<(Place, bool)> = reached
            .filter_map(|step| {
                let bound = curve.at(*step)?;
                let place = [axis.place(step.one_of), height(bound.value as f64)];
                Some((place, bound.censored))
            })
            .collect();
        shapes.extend(lines(&curve.class, &places));
        if let Some((place, _)) = places.last() {
            shapes.extend(curve.glyph.map(|glyph| Shape::Mark {
                class: curve.class.clone(),
                glyph,
                at: *place,
            }));
            labels.push(Label {
                class: curve.class.clone(),
                y: place[1],
                text: shortened(&curve.name),
            });
        }
    }
    Panel {
        title: titled(title, scale, unit),
        height: 300.0,
        ticks: scale.ticks(6),
        shapes,
        labels,
    }
}

/// What is known as a line, and lower bounds as one that is told from it.
fn lines(class: &str, places: &[(Place, bool)]) -> Vec<Shape> {
    let from = places
        .iter()
        .position(|(_, censored)| *censored)
        .unwrap_or(places.len());
    let run = |places: &[(Place, bool)]| vec![places.iter().map(|(place, _)| *place).collect()];
    let mut shapes = vec![Shape::Line {
        class: class.to_owned(),
        runs: run(&places[..from]),
    }];
    if from < places.len() {
        shapes.push(Shape::Line {
            class: format!("{class} bound"),
            runs: run(&places[from.saturating_sub(1)..]),
        });
    }
    shapes
}

fn hits(
    curves: &[Curve],
    steps: &[Step],
    most: u64,
    [axis, scale]: [Scale; 2],
    unit: TimeUnit,
) -> Vec<Hit> {
    let places: Vec<f64> = steps.iter().map(|step| axis.place(step.one_of)).collect();
    let hit = |(k, step): (usize, &Step)| {
        let here = places[k];
        let before = k.checked_sub(1).map_or(0.0, |k| places[k].midpoint(here));
        let behind = places.get(k + 1).map_or(1.0, |next| here.midpoint(*next));
        let reached = curves.iter().filter(|curve| curve.reaches(*step, most));
        let values: Vec<(&Curve, Option<Bound>)> =
            reached.map(|curve| (curve, curve.at(*step))).collect();
        let said = values.iter().map(|(curve, bound)| {
            let value = bound.map_or("∞".to_owned(), |bound| {
                unit.bounded(bound.value, bound.censored)
            });
            format!("{} {value}", curve.name)
        });
        let said: Vec<String> = said.collect();
        let rest = match step.is_end {
            true => "the longest".to_owned(),
            false => format!("one of {} takes longer", three_digits(step.one_of)),
        };
        let dots = values
            .iter()
            .filter_map(|(_, bound)| Some((0, scale.place(unit.of(bound.as_ref()?.value as f64)))));
        Hit {
            from: before,
            to: behind,
            says: format!(
                "{}: {} {} · {rest}",
                name(*step),
                said.join(" · "),
                unit.name()
            ),
            dots: dots.collect(),
        }
    };
    // At the end two places meet, and the longest is the one to be read.
    let inner = steps
        .iter()
        .enumerate()
        .filter(|(k, step)| step.is_end || places[*k] < 1.0 - 1e-9);
    inner.map(hit).collect()
}

/// `p99`, `p99.32`, `max`.
fn name(step: Step) -> String {
    if step.is_end {
        return "max".to_owned();
    }
    let digits = (step.one_of.log10() + 1e-9).floor().max(1.0) as usize;
    let percent = format!("{:.digits$}", 100.0 - 100.0 / step.one_of);
    format!("p{}", percent.trim_end_matches('0').trim_end_matches('.'))
}

/// What a panel shows, with its unit and what is to be known of its axis.
pub(super) fn titled(title: &str, scale: Scale, unit: TimeUnit) -> String {
    let kind = if scale.is_log() { ", log scale" } else { "" };
    format!("{title}, {}{kind}", unit.name())
}

/// A name at the end of a line: the legend has the whole of it.
pub(super) fn shortened(name: &str) -> String {
    const MOST: usize = 9;
    if name.chars().count() <= MOST {
        return name.to_owned();
    }
    let start: String = name.chars().take(MOST - 1).collect();
    format!("{start}…")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::Quantile;

    #[test]
    fn the_ranks_are_those_of_quantiles() {
        for count in [1, 2, 3, 99, 100, 101, 2_900, 30_000, 999_999, 123_456_789] {
            for (one_of, quantile) in [
                (2.0, Quantile::P50),
                (10.0, Quantile::P90),
                (100.0, Quantile::P99),
                (1_000.0, Quantile::P99_9),
            ] {
                assert_eq!(
                    rank(count, one_of),
                    quantile.rank(count),
                    "{quantile} of {count}"
                );
            }
        }
    }

    #[test]
    fn places_are_few_and_have_every_nine() {
        for most in [2, 30_000, 1_000_000_000_000] {
            let steps = steps(most);
            assert!(steps.len() <= 205, "{most}: {}", steps.len());
            assert!(steps.iter().any(|step| name(*step) == "p50"));
            assert!(steps.last().unwrap().is_end);
        }
        let names: Vec<String> = steps(30_000).into_iter().map(name).collect();
        for wanted in ["p0", "p50", "p90", "p99", "p99.9", "p99.99", "max"] {
            assert!(
                names.iter().any(|name| name == wanted),
                "{wanted}: {names:?}"
            );
        }
    }

    #[test]
    fn a_line_ends_where_requests_were_not_ok() {
        let mut times = Distribution::default();
        (1..=900).for_each(|k| times.ok.record(k * 1_000_000));
        (0..100).for_each(|_| times.failed.record(1));
        let curve = Curve::or_infinite("axum", "tone-1", &times);
        let at = |one_of| {
            curve
                .at(Step {
                    one_of,
                    is_end: false,
                })
                .map(|bound| bound.value / 1_000_000)
        };
        assert_eq!((at(2.0), at(100.0)), (Some(500), None));
        let plot = plot("p", "time", &[curve], TimeUnit::Milliseconds).unwrap();
        assert!(
            plot.hits.last().unwrap().says.contains("axum ∞"),
            "{:?}",
            plot.hits.last()
        );
    }
}
