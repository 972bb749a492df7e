//! What a comparison comes to, in sentences.

use crate::compare::{Comparison, Metric};
use crate::report::figures::size_of_change;
use crate::stats::{Change, Direction};
use crate::units::Quantile;

/// The sentences at the end of the table.
pub(in crate::report) fn words(comparison: &Comparison) -> String {
    let rounds = comparison.valid_rounds().count();
    let fewest = comparison.fewest_rounds();
    let found = if comparison.is_invalid() {
        let all = comparison.rounds().len();
        let void = all - rounds;
        format!(
            "{void} of {all} rounds were void, and no more than a fifth is replaced: nothing can be said."
        )
    } else if rounds == 0 {
        "No round is valid, so nothing can be said.".to_owned()
    } else if rounds < fewest {
        format!("Fewer than {fewest} valid rounds give no interval, and so show no difference.")
    } else {
        let others = 1..comparison.plan.arms.len();
        let sentences: Vec<String> = others.filter_map(|arm| of_arm(comparison, arm)).collect();
        sentences.join(" ")
    };
    let scope = if is_of_processes(comparison) {
        "These are results of these processes only, which were not started afresh for each round, on this machine and by \
         this scenario."
    } else {
        "These are results of this machine and this scenario."
    };
    format!("{found} {scope}").trim_start().to_owned()
}

/// Whether an arm is a process that runs already: what its luck at the start was, no round can show.
pub(in crate::report) fn is_of_processes(comparison: &Comparison) -> bool {
    let mut targets = comparison.targets().iter();
    targets.any(|target| target.kind == "url")
}

/// `actix's p99 is 6 % above axum's (2 to 10 %); its p50 is 2 % below.`
fn of_arm(comparison: &Comparison, arm: usize) -> Option<String> {
    let names = &comparison.plan.arms;
    let (name, reference) = (&names[arm], &names[0]);
    let change = |quantile| comparison.change(arm, Metric::Response(quantile));
    let p99 = change(Quantile::P99)?;
    let first = match p99.direction() {
        Direction::NotShown => {
            let seen = seen(&p99).map_or(String::new(), |size| {
                format!("; one of {size} or more would be")
            });
            format!("Between {name}'s p99 and {reference}'s no difference is shown{seen}")
        }
        direction => format!(
            "{name}'s p99 is {} {reference}'s{}",
            by_how_much(&p99, direction),
            between(&p99)
        ),
    };
    let p50 = change(Quantile::P50).map(|p50| match (p50.direction(), p99.direction()) {
        (Direction::NotShown, Direction::NotShown) => ", nor between their p50".to_owned(),
        (Direction::NotShown, _) => "; of its p50 no difference is shown".to_owned(),
        (direction, Direction::NotShown) => {
            format!(
                "; its p50 is {} {reference}'s",
                by_how_much(&p50, direction)
            )
        }
        (direction, _) => format!("; its p50 is {}", by_how_much(&p50, direction)),
    });
    // "nor" belongs to the first half, before what would be seen.
    let sentence = match p50 {
        Some(nor) if nor.starts_with(',') => match first.split_once(';') {
            Some((shown, seen)) => format!("{shown}{nor};{seen}"),
            None => format!("{first}{nor}"),
        },
        Some(more) => format!("{first}{more}"),
        None => first,
    };
    Some(format!("{sentence}."))
}

/// `6 % above`, or `infinitely far above` where failures decide it.
fn by_how_much(change: &Change, direction: Direction) -> String {
    let side = match direction {
        Direction::Lower => "below",
        Direction::Higher | Direction::NotShown => "above",
    };
    match change.ratio {
        Some(ratio) if ratio.is_finite() && ratio > 0.0 => {
            format!("{} {side}", size_of_change(ratio))
        }
        _ => format!("infinitely far {side}"),
    }
}

/// ` (2 to 10 %)`, the nearer end first.
fn between(change: &Change) -> String {
    let Some([low, high]) = change.interval else {
        return String::new();
    };
    let (near, far) = if low > 1.0 { (low, high) } else { (high, low) };
    if !far.is_finite() || far <= 0.0 {
        return format!(" (by {} at least)", size_of_change(near));
    }
    let near = size_of_change(near);
    let near = near.strip_suffix(" %").unwrap_or(&near);
    format!(" ({near} to {})", size_of_change(far))
}

fn seen(change: &Change) -> Option<String> {
    let size = change
        .visible()
        .filter(|size| size.is_finite() && *size > 0.0)?;
    Some(size_of_change(1.0 + size))
}
