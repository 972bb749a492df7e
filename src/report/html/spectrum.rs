//! Whole distributions on the axis of percentiles: every step to the right is as many times rarer.

mod curve;

use super::plot::{Hit, Key, Label, Panel, Place, Plot, Shape};
use super::scale::{Scale, percentile_axis, percentiles};
use crate::ledger::Bound;
use crate::report::figures::TimeUnit;
use crate::units::three_digits;
pub(super) use curve::Curve;
use curve::told;

/// A line in a plot of several: it ends where its own longest lies.
struct Drawn<'a> {
    curve: &'a Curve,
    /// Its count, which is 1 ÷ (1 − q) of its longest, or the next that nobody could point at apart from it.
    end: f64,
}

/// What a line says at a place.
struct Reading {
    /// None where it is infinite.
    bound: Option<Bound>,
    rests_on: Support,
}

/// What stands behind a value.
#[derive(Clone, Copy, PartialEq)]
enum Support {
    Enough,
    /// Too few are expected beyond it.
    TooFew,
    /// It is the longest of all, and as such no estimate.
    Longest,
}

/// Places of each factor of ten: close enough that a line between two of them is read as it is.
const PER_DECADE: f64 = 20.0;
/// Places at most, whatever the sample.
const MOST: f64 = 190.0;
/// Ends of lines that are nearer to each other than this part of the axis, two pixels, are one.
const APART: f64 = 0.002_5;

impl Drawn<'_> {
    /// What the line says at a place; none where it has ended.
    fn reading(&self, one_of: f64) -> Option<Reading> {
        let Self { curve, end } = self;
        if one_of == *end {
            return Some(Reading {
                bound: curve.longest,
                rests_on: Support::Longest,
            });
        }
        let rests_on = match one_of <= told(curve.count) {
            true => Support::Enough,
            false => Support::TooFew,
        };
        (one_of <= curve.count as f64).then(|| Reading {
            bound: curve.at(one_of),
            rests_on,
        })
    }
}

impl Reading {
    /// What is added to a line's class there.
    fn manner(&self) -> &'static str {
        let is_bound = self.bound.is_some_and(|bound| bound.censored);
        match (self.rests_on == Support::Enough, is_bound) {
            (true, false) => "",
            (true, true) => " bound",
            (false, false) => " few",
            (false, true) => " few bound",
        }
    }

    /// `axum 4.10`, `axum ≥ 740`, `axum 4.10 (too few)`.
    fn said(&self, name: &str, unit: TimeUnit, is_end_of_all: bool) -> String {
        let value = self.bound.map_or("∞".to_owned(), |bound| {
            unit.bounded(bound.value, bound.censored)
        });
        let remark = match self.rests_on {
            Support::TooFew => " (too few)",
            Support::Longest if !is_end_of_all => " (its longest)",
            Support::Longest | Support::Enough => "",
        };
        format!("{name} {value}{remark}")
    }
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
    let axis = percentile_axis(most);
    let ends = ends(curves, axis);
    let (lines, steps) = (drawn(curves, &ends), steps(&ends));
    let values = lines.iter().flat_map(|line| {
        let values = steps.iter().filter_map(|step| line.reading(*step)?.bound);
        values.map(|bound| unit.of(bound.value as f64))
    });
    let scale = Scale::of_times(values);
    Some(Plot {
        id,
        name: format!("{title}: {}", described(curves, unit)),
        panels: vec![panel(title, &lines, &steps, [axis, scale], unit)],
        ticks: percentiles(most),
        axis: "percentile: each step to the right is ten times rarer".to_owned(),
        spans: Vec::new(),
        hits: hits(&lines, &steps, [axis, scale], unit),
        legend: legend(curves),
    })
}

fn legend(curves: &[Curve]) -> Vec<Key> {
    let key = |curve: &Curve| match curve.glyph {
        Some(glyph) => Key::marked(&curve.class, glyph, &curve.name),
        None => Key::line(&curve.class, &curve.name),
    };
    let mut legend: Vec<Key> = curves.iter().map(key).collect();
    if curves.iter().any(|curve| curve.interval.is_some()) {
        legend.push(Key::band("tone-1 interval", "95 % interval of the p99"));
    }
    if curves.len() > 1 {
        let thin = "thin: fewer than 4 requests of that line beyond";
        legend.push(Key::line("few", thin));
    }
    let shaded = "fewer than 4 requests beyond: not to be relied on";
    legend.push(Key::band("unsure", shaded));
    legend
}

/// For those who do not see it: what each line says of a few percentiles.
fn described(curves: &[Curve], unit: TimeUnit) -> String {
    let of = |curve: &Curve| {
        let value = |(one_of, name): (f64, &str)| {
            let bound = curve.at(one_of)?;
            (one_of <= told(curve.count))
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

/// Where lines end, the farthest first: at their counts, of which those that are too near to each other are one.
fn ends(curves: &[Curve], axis: Scale) -> Vec<f64> {
    let counts = curves.iter().map(|curve| curve.count as f64);
    let mut counts: Vec<f64> = counts.filter(|count| *count > 0.0).collect();
    counts.sort_by(|a, b| b.total_cmp(a));
    // Of each that follows, it is asked how far it lies from the last one that stays.
    counts.dedup_by(|next, last| axis.place(*last) - axis.place(*next) < APART);
    counts
}

/// The lines of which there is anything to draw, with their ends.
fn drawn<'a>(curves: &'a [Curve], ends: &[f64]) -> Vec<Drawn<'a>> {
    let of = |curve: &'a Curve| {
        let mut nearest = ends.iter().rev();
        let end = nearest.find(|end| **end >= curve.count as f64)?;
        (curve.count > 0).then_some(Drawn { curve, end: *end })
    };
    curves.iter().filter_map(of).collect()
}

/// Every place at which values are read, with the median, each nine, and the ends of lines among them.
fn steps(ends: &[f64]) -> Vec<f64> {
    let most = ends[0];
    let decades = most.log10();
    let per_decade = PER_DECADE.min((MOST / decades).floor()).max(1.0);
    let even =
        (0..(decades * per_decade).ceil() as u32).map(|k| 10f64.powf(f64::from(k) / per_decade));
    let nines = (1..=decades.floor() as i32).map(|nines| 10f64.powi(nines));
    let are_one = |a: f64, b: f64| (a / b - 1.0).abs() < 1e-9;
    let inner = even.chain(nines).chain([2.0]);
    let inner =
        inner.filter(|one_of| *one_of < most && !ends.iter().any(|end| are_one(*one_of, *end)));
    let mut places: Vec<f64> = inner.chain(ends.iter().copied()).collect();
    places.sort_by(f64::total_cmp);
    places.dedup_by(|a, b| are_one(*a, *b));
    places
}

fn panel(
    title: &str,
    lines: &[Drawn<'_>],
    steps: &[f64],
    [axis, scale]: [Scale; 2],
    unit: TimeUnit,
) -> Panel {
    let most = lines.iter().map(|line| line.curve.count).max();
    let mut shapes = vec![Shape::Stretch {
        class: "unsure".to_owned(),
        from: axis.place(told(most.unwrap_or(0))),
        to: 1.0,
    }];
    let mut labels = Vec::new();
    let height = |ns: f64| scale.place(unit.of(ns));
    for line in lines {
        let curve = line.curve;
        let p99 = axis.place(100.0);
        shapes.extend(curve.interval.map(|interval| Shape::Bar {
            class: format!("{} interval", curve.class),
            x: p99,
            from: height(interval.low),
            to: height(interval.high),
        }));
        let place = |step: &f64| {
            let reading = line.reading(*step)?;
            let place = [axis.place(*step), height(reading.bound?.value as f64)];
            Some((place, reading.manner()))
        };
        let places: Vec<(Place, &str)> = steps.iter().filter_map(place).collect();
        shapes.extend(stretches(&curve.class, &places));
        if let Some((place, _)) = places.last() {
            shapes.extend(curve.glyph.map(|glyph| Shape::Mark {
                class: curve.class.clone(),
                glyph,
                at: *place,
            }));
            labels.push(Label {
                class: curve.class.clone(),
                y: place[1],
                text: at_the_end(&curve.name, ""),
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

/// A line through these places in stretches, each in the manner of the places to which it leads.
fn stretches(class: &str, places: &[(Place, &str)]) -> Vec<Shape> {
    let mut before: Option<Place> = None;
    let alike = places.chunk_by(|a, b| a.1 == b.1);
    let stretch = |alike: &[(Place, &str)]| {
        let own = alike.iter().map(|(place, _)| *place);
        let run: Vec<Place> = before.into_iter().chain(own).collect();
        before = run.last().copied();
        Shape::Line {
            class: format!("{class}{}", alike[0].1),
            runs: vec![run],
        }
    };
    alike.map(stretch).collect()
}

fn hits(lines: &[Drawn<'_>], steps: &[f64], [axis, scale]: [Scale; 2], unit: TimeUnit) -> Vec<Hit> {
    let places: Vec<f64> = steps.iter().map(|step| axis.place(*step)).collect();
    let hit = |(k, step): (usize, &f64)| {
        let here = places[k];
        let before = k.checked_sub(1).map_or(0.0, |k| places[k].midpoint(here));
        let behind = places.get(k + 1).map_or(1.0, |next| here.midpoint(*next));
        let reached = lines
            .iter()
            .filter_map(|line| Some((&line.curve.name, line.reading(*step)?)));
        let readings: Vec<(&String, Reading)> = reached.collect();
        let is_end = readings
            .iter()
            .all(|(_, reading)| reading.rests_on == Support::Longest);
        let said = readings
            .iter()
            .map(|(name, reading)| reading.said(name, unit, is_end));
        let said: Vec<String> = said.collect();
        let [what, rest] = match is_end {
            true => ["max".to_owned(), "the longest".to_owned()],
            false => [
                name(*step),
                format!("one of {} takes longer", three_digits(*step)),
            ],
        };
        let dots = readings.iter().filter_map(|(_, reading)| {
            Some((0, scale.place(unit.of(reading.bound?.value as f64))))
        });
        Hit {
            from: before,
            to: behind,
            says: format!("{what}: {} {} · {rest}", said.join(" · "), unit.name()),
            dots: dots.collect(),
        }
    };
    steps.iter().enumerate().map(hit).collect()
}

/// `p99`, `p99.32`.
fn name(one_of: f64) -> String {
    let digits = (one_of.log10() + 1e-9).floor().max(1.0) as usize;
    let percent = format!("{:.digits$}", 100.0 - 100.0 / one_of);
    format!("p{}", percent.trim_end_matches('0').trim_end_matches('.'))
}

/// What a panel shows, with its unit and what is to be known of its axis.
pub(super) fn titled(title: &str, scale: Scale, unit: TimeUnit) -> String {
    let kind = if scale.is_log() { ", log scale" } else { "" };
    format!("{title}, {}{kind}", unit.name())
}

/// A name at the end of a line, and what is said of the end: the legend has the whole of it.
pub(super) fn at_the_end(name: &str, says: &str) -> String {
    const MOST: usize = 9;
    let most = MOST - says.chars().count();
    if name.chars().count() <= most {
        return format!("{name}{says}");
    }
    let start: String = name.chars().take(most - 1).collect();
    format!("{start}…{says}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::Distribution;

    /// `count` times, evenly up to `most` milliseconds.
    fn evenly(count: u64, most: u64) -> Distribution {
        let mut times = Distribution::default();
        (1..=count).for_each(|k| times.ok.record(k * most * 1_000_000 / count));
        times
    }

    #[test]
    fn places_are_few_and_have_every_nine() {
        for most in [3.0, 30_000.0, 1e12] {
            let steps = steps(&[most]);
            assert!(steps.len() <= 205, "{most}: {}", steps.len());
            assert!(steps.iter().any(|step| name(*step) == "p50"));
            assert_eq!(steps.last(), Some(&most));
        }
        let steps = steps(&[30_000.0, 1_000.0, 77.0]);
        assert!(steps.is_sorted() && steps.contains(&77.0));
        let names: Vec<String> = steps.into_iter().map(name).collect();
        for wanted in ["p0", "p50", "p90", "p99", "p99.9", "p99.99"] {
            assert!(
                names.iter().any(|name| name == wanted),
                "{wanted}: {names:?}"
            );
        }
    }

    #[test]
    fn ends_that_nobody_could_tell_apart_are_one() {
        let curves = [30_000, 29_990, 400].map(|count| {
            let times = evenly(count, 10);
            Curve::bounded("a", "tone-1", &times)
        });
        let ends = ends(&curves, percentile_axis(30_000));
        assert_eq!(ends, [30_000.0, 400.0]);
        let lines = drawn(&curves, &ends);
        let own: Vec<f64> = lines.iter().map(|line| line.end).collect();
        assert_eq!(own, [30_000.0, 30_000.0, 400.0]);
        let longest = lines[1].reading(30_000.0).unwrap();
        assert_eq!(longest.bound, curves[1].longest);
        // What has ended says nothing, and before that only what is there.
        assert!(lines[2].reading(400.1).is_none() && lines[1].reading(29_995.0).is_none());
    }

    #[test]
    fn a_small_sample_is_not_drawn_as_if_it_were_a_large_one() {
        let curves = [
            Curve::bounded("large", "tone-1", &evenly(100_000, 10)),
            Curve::bounded("small", "tone-2", &evenly(500, 40)),
        ];
        let plot = plot("p", "time", &curves, TimeUnit::Milliseconds).unwrap();
        let axis = percentile_axis(100_000);
        let line = |wanted: &str| {
            let mut shapes = plot.panels[0].shapes.iter();
            let found = shapes.find_map(|shape| match shape {
                Shape::Line { class, runs } if class == wanted => Some(runs[0].as_slice()),
                _ => None,
            });
            found.unwrap()
        };
        let (sure, few) = (line("tone-2"), line("tone-2 few"));
        assert!(sure.last().unwrap()[0] <= axis.place(told(500)));
        assert_eq!(sure.last(), few.first());
        assert!(few[1][0] > axis.place(told(500)));
        // Its longest is where its own count ends, the other's at the end of the axis.
        assert_eq!(few.last().unwrap()[0], axis.place(500.0));
        assert_eq!(line("tone-1 few").last().unwrap()[0], 1.0);
        let says = |start: &str| {
            let mut says = plot.hits.iter().map(|hit| hit.says.as_str());
            let found = says.find(|says| says.starts_with(start));
            found.unwrap_or_else(|| panic!("{start} in {:?}", plot.hits))
        };
        assert!(says("p99:").ends_with(" · small 39.6 ms · one of 100 takes longer"));
        assert!(says("p99.8: ").contains(" · small 40.0 (its longest) ms · one of 500"));
        assert!(
            says("p99.68").contains(" (too few) ms"),
            "{}",
            says("p99.68")
        );
        assert!(!says("p99.9:").contains("small"));
        assert_eq!(says("max"), "max: large 10.0 ms · the longest");
        assert!(plot.legend.iter().any(|key| key.class == "few"));
    }

    #[test]
    fn the_longest_is_a_bound_where_any_was_given_up() {
        let mut times = evenly(1_000, 10);
        times.censored.record(2_000_000);
        let curve = Curve::bounded("a", "tone-1", &times);
        let plot = plot("p", "time", &[curve], TimeUnit::Milliseconds).unwrap();
        let last = plot.hits.last().unwrap();
        assert_eq!(last.says, "max: a ≥ 10.0 ms · the longest");
    }

    #[test]
    fn a_line_ends_where_requests_were_not_ok() {
        let mut times = Distribution::default();
        (1..=900).for_each(|k| times.ok.record(k * 1_000_000));
        (0..100).for_each(|_| times.failed.record(1));
        let curve = Curve::or_infinite("axum", "tone-1", &times);
        let at = |one_of| curve.at(one_of).map(|bound| bound.value / 1_000_000);
        assert_eq!((at(2.0), at(100.0)), (Some(500), None));
        let plot = plot("p", "time", &[curve], TimeUnit::Milliseconds).unwrap();
        assert!(
            plot.hits.last().unwrap().says.contains("axum ∞"),
            "{:?}",
            plot.hits.last()
        );
    }

    #[test]
    fn a_name_at_an_end_takes_no_more_room_than_there_is() {
        for (name, says, expected) in [
            ("axum", "", "axum"),
            ("axum-tuned", "", "axum-tun…"),
            ("axum", " ∞", "axum ∞"),
            ("axum-tuned", " ∞", "axum-t… ∞"),
        ] {
            assert_eq!(at_the_end(name, says), expected);
        }
    }
}
