//! What stands behind the figures of a run: outcomes, the target, the measuring, the machine.

use maud::{Markup, html};

use super::page::{Section, items, table, term, verbatim};
use super::run::{parts, size};
use crate::exchange::Outcome;
use crate::report::figures::{TimeUnit, bytes, moment, percent, span};
use crate::report::layout::{Column, Grid, Page};
use crate::report::table::{self, View, failure_line, resources};
use crate::run_record::{Connections, Environment, Failure, RunRecord};
use crate::units::{Quantile, mib, thousands, three_digits};

/// Characters of a response.
const RESPONSE: usize = 4_000;
/// Failures that are shown with their responses.
const MOST_FAILURES: usize = 100;

/// How requests ended, and the first failure of each kind.
pub(super) fn outcomes(view: &View<'_>) -> Option<Section> {
    let outcomes = view.total.outcomes();
    let mut grid = Grid::new([
        Column::left("outcome"),
        Column::right("requests"),
        Column::right("share"),
    ]);
    for (outcome, count) in outcomes.iter() {
        if count > 0 || outcome == Outcome::Ok {
            let share = percent(count, outcomes.total());
            grid.row([outcome.words().to_owned(), thousands(count), share]);
        }
    }
    let mut statuses = Grid::new([Column::left("status"), Column::right("responses")]);
    for (status, count) in view.total.statuses() {
        statuses.row([status.to_string(), thousands(count)]);
    }
    let failures = &view.record.failures;
    let body = html! {
        div.beside {
            (table(&grid, "Outcomes"))
            @if !statuses.rows().is_empty() { (table(&statuses, "Statuses")) }
        }
        @if failures.is_empty() {
            p { "No request failed." }
        } @else {
            h3 { "The first failure of each kind" }
            ul.failures { @for failure in failures.iter().take(MOST_FAILURES) { (self::failure(failure)) } }
        }
    };
    let help = html! {
        p {
            "Every request that was due has exactly one " (term("outcome", "outcome")) ", and all of them are in the times above. "
            "Failures of warm-ups are shown here too."
        }
    };
    Some(Section::new("outcomes", "Outcomes", body).explained(help))
}

fn failure(failure: &Failure) -> Markup {
    html! {
        li {
            p { b { (failure.outcome) } " in " (failure.step) }
            p { code { (failure_line(failure)) } }
            @if let Some(response) = &failure.response {
                details { summary { "What was answered" } (verbatim(response, RESPONSE)) }
            }
        }
    }
}

/// What the target used.
pub(super) fn target(view: &View<'_>) -> Option<Section> {
    let record = view.record;
    let lines = parts(|page| resources::lines(record, page));
    let memory = memory(record);
    if lines.is_empty() && memory.rows().is_empty() {
        let body = html! {
            p { "Nothing was measured of the target: no process or container of it was seen from here (--watch says which)." }
        };
        return Some(Section::new("target", "Target", body));
    }
    let body = html! {
        (items(&lines, ""))
        @if !memory.rows().is_empty() { (table(&memory, "Memory of the target")) }
    };
    let help = html! {
        p {
            (term("memory", "Memory")) " in MiB over the measured phases; idle is before any load, “after” when the load was over. "
            (term("cpu", "CPU time")) " is of the target alone."
        }
    };
    Some(Section::new("target", "Target", body).explained(help))
}

fn memory(record: &RunRecord) -> Grid {
    let mut grid = Grid::new([
        Column::left("MiB"),
        Column::right("idle"),
        Column::right("p50"),
        Column::right("p95"),
        Column::right("peak"),
        Column::right("after"),
        Column::left("read from"),
    ]);
    let memory = &record.resources.memory;
    for (name, series) in [
        ("working set", &memory.working_set),
        ("RSS", &memory.rss),
        ("page cache", &memory.page_cache),
    ] {
        if let Some(series) = series {
            let sizes = [
                series.idle_bytes,
                series.p50_bytes,
                series.p95_bytes,
                series.peak_bytes,
                series.after_idle_bytes,
            ];
            let source = format!("{}, {} Hz", series.source, series.hz);
            grid.row(
                [name.to_owned()]
                    .into_iter()
                    .chain(sizes.map(size))
                    .chain([source]),
            );
        }
    }
    if let Some(pss) = &memory.pss {
        let none = String::new;
        let (idle, after) = (size(pss.idle_bytes), size(pss.after_idle_bytes));
        let source = "smaps_rollup, while idle".to_owned();
        grid.row([
            "PSS".to_owned(),
            idle,
            none(),
            none(),
            none(),
            after,
            source,
        ]);
    }
    grid
}

/// What the measuring cost, and its connections.
pub(super) fn measurement(view: &View<'_>) -> Option<Section> {
    let record = view.record;
    let generator = &record.generator;
    let lines = parts(|page| {
        view.validity(page);
        let mut facts = vec![
            match generator.workers {
                1 => "1 worker".to_owned(),
                several => format!("{several} workers"),
            },
            format!("CPU {} s", three_digits(generator.cpu_ns as f64 / 1e9)),
        ];
        facts.extend(generator.busiest_worker.map(|(worker, share)| {
            format!(
                "worker {} was on a CPU for {:.0} % of the time",
                worker + 1,
                share * 100.0
            )
        }));
        facts.extend(
            generator
                .memory_peak_bytes
                .map(|bytes| format!("memory {} MiB peak", mib(bytes))),
        );
        facts.extend(generator.placement.clone());
        page.labelled("tailmark", &[&facts.join(" · ")]);
        let turn = &view.total.turn;
        if !turn.is_empty() {
            let words = format!(
                "between two looks at what had come: p99 {} ms, at most {} ms",
                TimeUnit::Milliseconds.quantile_of(turn, Quantile::P99),
                TimeUnit::Milliseconds.max_of(turn)
            );
            page.labelled("looks", &[&words]);
        }
        page.labelled(
            "traffic",
            &[&format!(
                "{} sent, {} received",
                bytes(record.traffic.sent_bytes),
                bytes(record.traffic.received_bytes)
            )],
        );
        page.labelled("connections", &[&connections(&record.connections)]);
        view.connections(page);
        table::audits(record, page);
    });
    let help = html! {
        p {
            "A measurement judges itself: whether these figures are the target's, or the generator's and the machine's own. "
            (term("validity", "What the states mean")) "."
        }
    };
    Some(Section::new("measurement", "Measurement", items(&lines, "")).explained(help))
}

fn connections(connections: &Connections) -> String {
    let count = |count: u64| thousands(count);
    let connect = &connections.connect;
    let times = connect.max().map(|max| {
        format!(
            " · connecting p50 {}, max {} ms",
            TimeUnit::Milliseconds.quantile_of(connect, Quantile::P50),
            TimeUnit::Milliseconds.brief(max)
        )
    });
    format!(
        "up to {} · {} opened, {} of them in place of one that the target had closed · {} in use at once{}",
        count(connections.max as u64),
        count(connections.opened),
        count(connections.reopened),
        count(connections.peak_in_use as u64),
        times.unwrap_or_default()
    )
}

/// What was measured, and where.
pub(super) fn environment(view: &View<'_>) -> Option<Section> {
    let record = view.record;
    let lines = parts(|page| {
        table::environment(record, page);
        for (label, facts) in table::runtime(&record.target) {
            page.labelled(label, &[&facts.join(" · ")]);
        }
        machine(record, page);
    });
    Some(Section::new(
        "environment",
        "Environment",
        items(&lines, ""),
    ))
}

/// What is known of the machine beside what the text report says.
fn machine(record: &RunRecord, page: &mut Page) {
    let environment = &record.environment;
    let limits = [
        environment
            .descriptors
            .map(|limit| format!("{} descriptors", thousands(limit))),
        environment.steal.map(|steal| {
            format!(
                "{:.1} % of the CPU time taken by the hypervisor",
                steal * 100.0
            )
        }),
        environment
            .throttled_ns
            .map(|ns| format!("tailmark throttled for {}", span(ns))),
    ];
    let limits = table::listed(limits);
    if !limits.is_empty() {
        page.labelled("limits", &[&limits]);
    }
    stores(environment, page);
    if let Some(exit) = &record.target.exit {
        page.labelled("exit", &[exit]);
    }
    page.labelled("started", &[&record.started]);
    if let Some(ended) = &record.ended_by {
        page.labelled(
            "ended",
            &[&format!(
                "at {} by `{}`",
                moment(ended.at_ns),
                ended.expression
            )],
        );
    }
}

/// How the stores were set that the target used.
pub(super) fn stores(environment: &Environment, page: &mut Page) {
    let settings = environment.stores.iter();
    let settings = table::listed(settings.map(|(name, value)| Some(format!("{name} {value}"))));
    if !settings.is_empty() {
        page.labelled("stores", &[&settings]);
    }
}
