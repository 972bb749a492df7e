//! The changes between arms as intervals on one axis, a row for each metric.

use maud::{Markup, html};

use super::plot::{Glyph, Key, percent, px};
use super::rounds::tone;
use super::scale::{Scale, changes};
use crate::compare::{Comparison, Metric};
use crate::gate::{Standing, Terms};
use crate::report::figures::change_with_interval;
use crate::report::table::compare::said;
use crate::report::verdict::share;
use crate::stats::{Change, Direction};
use crate::threshold::MemoryFigure;
use crate::units::Quantile;

/// The changes that a page of rounds shows, in the order of their tables: the quantiles first, the highest last.
const METRICS: [Metric; 12] = [
    Metric::Response(Quantile::P50),
    Metric::Response(Quantile::P90),
    Metric::Response(Quantile::P99),
    Metric::Response(Quantile::P99_9),
    Metric::AchievedRate,
    Metric::Memory(MemoryFigure::Idle),
    Metric::Memory(MemoryFigure::P95),
    Metric::Memory(MemoryFigure::Peak),
    Metric::Memory(MemoryFigure::AfterIdle),
    Metric::Memory(MemoryFigure::Slope),
    Metric::CpuPer1k,
    Metric::Startup,
];

/// Ratios beyond these ends are drawn as arrows: a forest is read near its middle.
const FARTHEST: f64 = 4.0;
/// Both sides of an axis have at least as much room as a change of 2 %.
const NEAREST: f64 = 1.02;
/// Of the axis, between two ticks, on a narrow page too.
const GAP: f64 = 0.15;

/// A line of a forest.
struct Row {
    name: String,
    class: String,
    change: Change,
    said: String,
    /// Whether it decides a gate.
    decides: bool,
}

/// What is gated, and by which margins.
#[derive(Clone, Copy)]
pub(super) struct Gated<'a> {
    pub(super) terms: &'a Terms,
    pub(super) standings: &'a [Standing],
}

/// The changes of every metric and arm as intervals on one axis; none where nothing can be said of any.
///
/// The second one of a page has a name of its own.
pub(super) fn forest(
    comparison: &Comparison,
    gated: Option<Gated<'_>>,
    is_second: bool,
) -> Option<Markup> {
    let id = if is_second { "forest-again" } else { "forest" };
    let groups: Vec<(String, Vec<Row>)> = (1..comparison.plan.arms.len())
        .map(|arm| (title(comparison, arm), rows(comparison, arm, gated)))
        .filter(|(_, rows)| !rows.is_empty())
        .collect();
    if groups.is_empty() {
        return None;
    }
    let scale = axis(groups.iter().flat_map(|(_, rows)| rows), gated);
    let bounds = bounds(gated);
    Some(html! {
        div.forest id=(id) role="group" aria-label="Changes with their intervals" {
            @for (title, rows) in &groups {
                h3 { (title) }
                @for row in rows {
                    div.forest-row.decides[row.decides] {
                        span.name { (row.name) }
                        div.track { (interval_row(scale, &row.class, row.change.ratio, row.change.interval, &bounds)) }
                        span.value {
                            (change_with_interval(&row.change))
                            @if !row.said.is_empty() { " " em { (row.said) } }
                        }
                    }
                }
            }
            (foot(scale, gated))
        }
    })
}

/// The ticks below a forest, and what its upright lines are.
fn foot(scale: Scale, gated: Option<Gated<'_>>) -> Markup {
    let unfound = match gated {
        Some(_) => "none is shown, or it does not decide",
        None => "none is shown",
    };
    html! {
        div.forest-row.forest-foot {
            span.name { "change" }
            svg width="100%" height="22" aria-hidden="true" {
                @for tick in changes(scale, GAP) {
                    text x=(percent(tick.at)) y="15" text-anchor="middle" { (tick.label) }
                }
            }
            span.value {}
        }
        ul.legend {
            (Key::line("no-change", "no change").render())
            (Key::marked("found", Glyph::Diamond, "a difference is shown").render())
            (Key::marked("unfound", Glyph::Diamond, unfound).render())
            @if let Some(Gated { terms, .. }) = gated {
                (Key::line("allowed", format!("allowed: +{}", share(terms.allowed))).render())
                (Key::line("ruled-out", format!("to rule out: +{}", share(terms.ruled_out))).render())
            }
        }
    }
}

fn title(comparison: &Comparison, arm: usize) -> String {
    let names = &comparison.plan.arms;
    format!("{} against {}", names[arm], names[0])
}

fn rows(comparison: &Comparison, arm: usize, gated: Option<Gated<'_>>) -> Vec<Row> {
    let is_invalid = gated.is_none() && comparison.is_invalid();
    let row = |metric: Metric| {
        let found = comparison.change(arm, metric)?;
        // Of a gate, whose rounds ended when enough was seen, only the intervals of its looks hold.
        let standing = gated.and_then(|gated| {
            let mut standings = gated.standings.iter();
            standings.find(|standing| standing.metric == metric)
        });
        let (change, said) = match (gated, standing) {
            (Some(_), Some(standing)) => {
                (standing.change.clone(), standing.state.name().to_owned())
            }
            (Some(_), None) => {
                let interval = None;
                (Change { interval, ..found }, String::new())
            }
            (None, _) => {
                let words = match (said(comparison, &found, metric), found.interval) {
                    (Some(words), _) => words.to_owned(),
                    (None, _) if is_invalid => String::new(),
                    (None, Some(_)) => "no difference shown".to_owned(),
                    (None, None) => {
                        format!("{} rounds give an interval", comparison.fewest_rounds())
                    }
                };
                (found, words)
            }
        };
        let is_shown = !is_invalid && change.direction() != Direction::NotShown;
        let filling = if is_shown { "" } else { " hollow" };
        Some(Row {
            name: name(metric),
            class: format!("{}{filling}", tone(arm)),
            change,
            said,
            decides: standing.is_some(),
        })
    };
    metrics(gated).into_iter().filter_map(row).collect()
}

/// The changes that are shown: the usual ones, and at their places those others by which a gate decides.
fn metrics(gated: Option<Gated<'_>>) -> Vec<Metric> {
    let mut metrics = METRICS.to_vec();
    for metric in gated.iter().flat_map(|gated| &gated.terms.metrics) {
        if metrics.contains(metric) {
            continue;
        }
        let is_before = |known: &Metric| match (known, metric) {
            (Metric::Response(known), Metric::Response(own)) => known < own,
            (_, own) => !own.is_latency(),
        };
        let place = metrics.iter().take_while(|known| is_before(known)).count();
        metrics.insert(place, *metric);
    }
    metrics
}

/// A metric in words.
fn name(metric: Metric) -> String {
    match metric {
        Metric::Response(quantile) => format!("response {quantile}"),
        Metric::AchievedRate => "arrivals kept up with".to_owned(),
        Metric::Memory(figure) => {
            let figure = match figure {
                MemoryFigure::Idle => "idle",
                MemoryFigure::P95 => "p95",
                MemoryFigure::Peak => "peak",
                MemoryFigure::AfterIdle => "after the load",
                MemoryFigure::Slope => "growth",
            };
            format!("memory {figure}")
        }
        Metric::CpuPer1k => "CPU per 1,000 requests".to_owned(),
        Metric::Startup => "start to ready".to_owned(),
    }
}

/// From a little below the lowest end to a little above the highest, as far as a reader looks.
fn axis<'a>(rows: impl Iterator<Item = &'a Row>, gated: Option<Gated<'_>>) -> Scale {
    let margins = gated.map_or(1.0, |gated| 1.0 + gated.terms.ruled_out);
    let seen = rows.flat_map(|row| {
        let ends = row.change.interval.into_iter().flatten();
        ends.chain(row.change.ratio)
    });
    let seen = seen.chain([margins, NEAREST, 1.0 / NEAREST]);
    let within = seen.filter(|ratio| *ratio > 0.0 && ratio.is_finite());
    let clamped = within.map(|ratio| ratio.ln().clamp(-FARTHEST.ln(), FARTHEST.ln()));
    let (low, high) = clamped.fold((0.0f64, 0.0f64), |(low, high), log| {
        (low.min(log), high.max(log))
    });
    let room = (high - low) * 0.06;
    Scale::Log {
        low: (low - room).exp(),
        high: (high + room).exp(),
    }
}

fn bounds(gated: Option<Gated<'_>>) -> Vec<(f64, &'static str)> {
    let mut bounds = vec![(1.0, "no-change")];
    if let Some(Gated { terms, .. }) = gated {
        bounds.push((1.0 + terms.allowed, "allowed"));
        bounds.push((1.0 + terms.ruled_out, "ruled-out"));
    }
    bounds
}

/// A row of a forest: an interval on an axis of ratios, between bounds.
fn interval_row(
    scale: Scale,
    class: &str,
    ratio: Option<f64>,
    interval: Option<[f64; 2]>,
    bounds: &[(f64, &str)],
) -> Markup {
    let Scale::Log { low, high } = scale else {
        return html! {};
    };
    let end = |ratio: f64| percent(scale.place(ratio));
    html! {
        svg.forest-line width="100%" height="100%" aria-hidden="true" {
            @for (ratio, class) in bounds {
                line class=(class) x1=(end(*ratio)) x2=(end(*ratio)) y1="0" y2="100%" {}
            }
            @if let Some([from, to]) = interval {
                line class=(format!("whisker {class}")) x1=(end(from)) x2=(end(to)) y1="50%" y2="50%" {}
                (whisker_end(&end(from), class, from < low, -1.0))
                (whisker_end(&end(to), class, to > high, 1.0))
            }
            @if let Some(ratio) = ratio.filter(|ratio| (low..=high).contains(ratio)) {
                svg x=(end(ratio)) y="50%" width="1" height="1" overflow="visible" {
                    path class=(format!("mark {class}")) d=(Glyph::Diamond.path()) {}
                }
            }
        }
    }
}

/// The end of an interval: a stroke, or an arrow where it goes on beyond the axis.
fn whisker_end(x: &str, class: &str, goes_on: bool, to: f64) -> Markup {
    let path = match goes_on {
        true => format!("M{} -5L0 0L{} 5", px(-6.0 * to), px(-6.0 * to)),
        false => "M0 -5V5".to_owned(),
    };
    html! {
        svg x=(x) y="50%" width="1" height="1" overflow="visible" { path class=(format!("whisker {class}")) d=(path) {} }
    }
}
