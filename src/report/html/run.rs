//! The page of a run: what it comes to, its distribution and its course.

use maud::{Markup, html};

use super::behind::{environment, measurement, outcomes, target};
use super::glossary;
use super::page::{SCENARIO, Section, Shell, items, table, term, verbatim};
use super::spectrum::{Curve, plot as spectrum};
use super::steps::{phase_table, step_tables};
use super::timeline::Timeline;
use crate::histogram::Histogram;
use crate::ledger::Distribution;
use crate::report::figures::{UNKNOWN, percent, supported};
use crate::report::layout::{Column, Grid, Item, Page};
use crate::report::table::{self, View, thresholds};
use crate::report::{IN_A_FILE, Options};
use crate::run_record::RunRecord;
use crate::run_record::resources::MemorySeries;
use crate::stats::fewest;
use crate::units::{Quantile, mib, thousands, three_digits};
use crate::validity::State;

/// One run: what it comes to first, then its distribution, its course, and everything behind the figures.
#[must_use]
pub(super) fn page(record: &RunRecord) -> String {
    let view = View::of(record, &[]);
    let titles = parts(|page| view.title(page));
    let (title, facts) = match &titles[..] {
        [Item::Title { title, facts }] => (title.clone(), facts.join(" · ")),
        _ => (record.scenario.name.clone(), String::new()),
    };
    let sections = [
        distribution(&view),
        over_time(&view),
        phase_table(&view),
        step_tables(&view),
        outcomes(&view),
        target(&view),
        measurement(&view),
        environment(&view),
        scenario(record),
    ];
    Shell {
        title: format!("{title} · tailmark"),
        kind: "run",
        started: Some(record.started.clone()),
        version: Some(record.environment.tool_version.clone()),
        head: html! {
            h1 { (title) }
            p.facts { (facts) }
            @if let Some(why) = view.scenario.as_ref().and_then(|scenario| scenario.why()) {
                blockquote { (why) }
            }
            (verdict(&view))
            (tiles(&view))
        },
        sections: sections.into_iter().flatten().collect(),
        terms: glossary::of_run(),
    }
    .render()
}

/// What a part of the text report has, to be laid out as HTML.
pub(super) fn parts(write: impl FnOnce(&mut Page)) -> Vec<Item> {
    let mut page = Page::unbounded();
    write(&mut page);
    page.into_items()
}

/// Whether the figures may be believed, what to mind, and what became of the thresholds.
fn verdict(view: &View<'_>) -> Markup {
    let record = view.record;
    let is_valid = record.validity.state == State::Valid;
    let validity = parts(|page| view.validity(page));
    let brief = Options {
        verbose: false,
        ..IN_A_FILE
    };
    let remarks = parts(|page| view.remarks(page, &brief));
    let ended = parts(|page| table::ended(&record.target, page));
    html! {
        div.verdict.good[is_valid].bad[!is_valid] {
            @for item in &validity {
                @if let Item::Labelled { label, parts, .. } = item {
                    p.headline {
                        span.sign aria-hidden="true" { (if is_valid { "✓" } else { "!" }) } " "
                        b { (label) } " — " (parts.join(" "))
                    }
                }
            }
            @if !remarks.is_empty() || !ended.is_empty() { (items(&[remarks, ended].concat(), "")) }
            @if !record.thresholds.is_empty() {
                ul.thresholds aria-label="Thresholds" {
                    @for ruling in &record.thresholds {
                        li.good[ruling.passed].bad[!ruling.passed] {
                            b { (thresholds::mark(ruling)) } " " code { (ruling.expression) } " "
                            span { (thresholds::finding(ruling)) }
                        }
                    }
                }
            }
        }
    }
}

/// The key figures.
fn tiles(view: &View<'_>) -> Markup {
    let (record, unit) = (view.record, view.unit);
    let response = view.total.response();
    let outcomes = view.total.outcomes();
    let interval = record.interval(Quantile::P99);
    let time = |quantile: Quantile| match supported(&response, quantile) {
        Some(_) => (unit.quantile(&response, quantile), unit.name().to_owned()),
        None => {
            let needed = thousands(fewest(quantile));
            (UNKNOWN.to_owned(), format!("takes {needed} requests"))
        }
    };
    let below_p99 = match interval {
        Some(interval) => format!("95 % {}", unit.interval(Some(interval))),
        None if record.measured().count() > 1 => "95 % by phase, below".to_owned(),
        None => String::new(),
    };
    let (kept_up, offered) = record.kept_up();
    let (rate, of) = match record.measured().all(|phase| phase.model.is_open()) {
        true => (kept_up, format!("of {} offered", three_digits(offered))),
        false => (
            record.achieved_rate(),
            "users decide how many come".to_owned(),
        ),
    };
    let memory = record.resources.memory.working_set.as_ref();
    let memory = memory.or(record.resources.memory.rss.as_ref());
    html! {
        div.tiles {
            (tile("quantile", "response p99", time(Quantile::P99), &below_p99, true))
            (tile("quantile", "p50", time(Quantile::P50), "", false))
            (tile("quantile", "p99.9", time(Quantile::P99_9), "", false))
            (tile("bound", "longest", (unit.max(&response), unit.name().to_owned()), "", false))
            (tile(
                "outcome",
                "failed",
                (thousands(outcomes.failed()), String::new()),
                &format!("of {} requests ({})", thousands(outcomes.total()), percent(outcomes.failed(), outcomes.total())),
                false,
            ))
            (tile("rate", "arrivals kept up with", (three_digits(rate), "/s".to_owned()), &of, false))
            @if let Some(series) = memory {
                (tile("memory", "memory, peak", (size(series.peak_bytes), "MiB".to_owned()), &idle(series), false))
            }
            @if let Some(ns) = record.cpu_per_1k_ns() {
                (tile("cpu", "CPU per 1,000 requests", (three_digits(ns as f64 / 1e6), "ms".to_owned()), "", false))
            }
        }
    }
}

fn tile(
    about: &str,
    name: &str,
    (value, unit): (String, String),
    below: &str,
    is_main: bool,
) -> Markup {
    html! {
        div.tile.main[is_main] {
            p.name { (term(about, name)) }
            p.value { (value) @if !unit.is_empty() { " " span.unit { (unit) } } }
            @if !below.is_empty() { p.below { (below) } }
        }
    }
}

/// A size in MiB.
pub(super) fn size(bytes: Option<u64>) -> String {
    bytes.map_or(UNKNOWN.to_owned(), mib)
}

fn idle(series: &MemorySeries) -> String {
    format!("{} idle", size(series.idle_bytes))
}

/// The whole distribution, and where the time went.
fn distribution(view: &View<'_>) -> Option<Section> {
    let (response, service) = (view.total.response(), view.total.service());
    if response.count() == 0 {
        let body =
            html! { p { "Nothing was due in the measured phases, so there is nothing to show." } };
        return Some(Section::new("distribution", "Distribution", body));
    }
    let interval = view.record.interval(Quantile::P99);
    let curves = [
        Curve {
            interval: interval.filter(|interval| interval.high.is_finite()),
            ..Curve::bounded("response", "tone-1", &response)
        },
        Curve::bounded("service", "tone-2", &service),
    ];
    let curves: Vec<Curve> = curves
        .into_iter()
        .take(if service.count() > 0 { 2 } else { 1 })
        .collect();
    let body = html! {
        @if let Some(plot) = spectrum("spectrum", "time of a request", &curves, view.unit) { (plot.render()) }
        (table(&times(view), "Where the time went"))
        @if let Some(interval) = interval {
            p.note {
                "The interval of the p99: " (table::basis(interval.basis)) "."
                @if interval.high == f64::INFINITY {
                    " Its upper end is ∞: requests that had not ended when they were given up reach it."
                }
            }
        }
    };
    let help = html! {
        p {
            "All requests in the order of how long they took: half of them lie left of 50, and each step to the right is ten times "
            "rarer. " (term("response", "Response time")) " runs from the moment a request was due, "
            (term("service", "service time")) " from the moment it was sent. Where the two lines part, requests waited. The "
            "shaded end rests on fewer than four requests."
        }
    };
    Some(Section::new("distribution", "Distribution", body).explained(help))
}

/// Response time and its parts.
fn times(view: &View<'_>) -> Grid {
    let total = &view.total;
    let interval = view.record.interval(Quantile::P99);
    let quantiles = view.quantiles.with_intervals(interval.is_some());
    let mut columns = vec![Column::left(view.unit.name())];
    columns.extend(quantiles.columns(""));
    columns.push(Column::left("from … to"));
    let mut grid = Grid::new(columns);
    let mut row = |name: &str, cells: Vec<String>, meaning: &str| {
        grid.row(
            [name.to_owned()]
                .into_iter()
                .chain(cells)
                .chain([meaning.to_owned()]),
        );
    };
    let whole = |times: &Distribution, interval| quantiles.cells(view.unit, times, interval);
    let part = |times: &Histogram| quantiles.cells_of(view.unit, times);
    row("response", whole(&total.response(), interval), "due … done");
    row("lag", part(&total.lag), "due … found due by tailmark");
    row("wait", part(&total.wait), "found due … sent");
    row("service", whole(&total.service(), None), "sent … done");
    row("on time", part(&total.on_time), "found due … done");
    grid
}

fn over_time(view: &View<'_>) -> Option<Section> {
    let timeline = Timeline::of(view.record, view.scenario.as_ref(), view.unit);
    let plot = timeline.plot()?;
    let body = html! {
        (plot.render())
        @if !timeline.has_resources() {
            p.note { "Memory and CPU of the target were not recorded over time in this run." }
        }
        @if timeline.late() > 0 {
            p.note {
                (thousands(timeline.late())) " requests of walks that were under way came due after the last phase, and are not drawn."
            }
        }
    };
    let help = html! {
        p {
            "Each step of a line is a " (term("window", "window")) " of " (timeline.widths()) ", with the requests that were due in "
            "it, whenever they were answered: a stall shows where it began. A quantile is drawn where the window has enough "
            "requests to tell it; the longest is always drawn. Dotted is what is only a " (term("bound", "lower bound")) ". Warm-ups and "
            "pauses are dimmed, and count for nothing."
        }
        p {
            "Requests per second: what came due in each window. The dashed line is what the scenario planned: its arrivals "
            "per second times the requests of an arrival. A stroke at the foot marks windows in which requests failed. CPU is in "
            "cores: 1 is one core all of the time."
        }
    };
    Some(Section::new("time", "Over time", body).explained(help))
}

fn scenario(record: &RunRecord) -> Option<Section> {
    let body = verbatim(&record.scenario.text, SCENARIO);
    Some(Section::new("scenario", "Scenario", body))
}
