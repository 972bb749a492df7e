//! What gates say beside their verdicts: of a target against itself, and of results of other days.

use crate::compare::{Comparison, Metric};
use crate::gate::{Advice, Repeated, Seen, Verdict};
use crate::report::Options;
use crate::report::figures::{percent, size_of_change};
use crate::report::layout::Page;
use crate::report::verdict::share;
use crate::stats::Spread;
use crate::units::three_digits;

/// Gates of a target against itself.
#[must_use]
pub fn gates(repeated: &Repeated, options: &Options) -> String {
    gates_page(repeated, options).into_text()
}

/// The same before it is laid out.
pub(in crate::report) fn gates_page(repeated: &Repeated, options: &Options) -> Page {
    let mut page = Page::new(options.width, options.color);
    let names: Vec<String> = repeated
        .terms
        .metrics
        .iter()
        .map(Metric::to_string)
        .collect();
    let all = repeated.gates.len() as u64;
    page.title(
        &format!("{} against itself, {}", repeated.target, names.join(", ")),
        &[],
    );
    let counts = [
        Verdict::Pass,
        Verdict::Fail,
        Verdict::Inconclusive,
        Verdict::Invalid,
    ]
    .map(|verdict| format!("{} {}", repeated.count(verdict), verdict.name()));
    page.labelled("gates", &[&counts.join(" · ")]);
    let flagged = repeated.flagged() as u64;
    page.labelled(
        "flagged",
        &[&format!(
            "{flagged} of {all} ({}) were not PASS; at 95 % at most {} of such gates are not",
            percent(flagged, all),
            size_of_change(1.0 + repeated.flagged_at_most()),
        )],
    );
    if let Some(rounds) = Spread::of(repeated.gates.iter().map(|gate| gate.rounds as f64)) {
        page.labelled(
            "rounds",
            &[&format!(
                "{} in the middle, {}…{}",
                three_digits(rounds.median),
                rounds.low,
                rounds.high
            )],
        );
    }
    for seen in &repeated.metrics {
        page.labelled("sees", &[&sees(seen, repeated)]);
    }
    if let Some(ruled_out) = repeated.suggested_ruled_out() {
        page.labelled(
            "try",
            &[&format!(
                "--ruled-out {}",
                share(ruled_out).replace(' ', "")
            )],
        );
    }
    if let Some(folder) = options.saved {
        // It holds a folder for each gate, and nothing that could be shown as one.
        page.paragraph(&format!("saved {folder}"));
    }
    page
}

fn sees(seen: &Seen, repeated: &Repeated) -> String {
    let (Some(sd), Some(fails), Some(rules_out)) = (seen.pair_sd, seen.fails_from, seen.rules_out)
    else {
        return format!(
            "{}: its rounds differ too much to say what they show",
            seen.metric
        );
    };
    format!(
        "{}: pairs of rounds spread by {}; in {} rounds a rise of {} fails nine times of ten, and a PASS rules out {}",
        seen.metric,
        size_of_change(1.0 + sd.median),
        repeated.terms.looks.last(),
        size_of_change(1.0 + fails),
        size_of_change(1.0 + rules_out)
    )
}

/// What results of other days say of the first arm of `comparison`, by metric; none where it was not measured.
#[must_use]
pub fn advice(advice: &[(Metric, Option<Advice>)], comparison: &Comparison) -> String {
    let name = &comparison.plan.arms[0];
    let lines = advice.iter().map(|(metric, advice)| {
        let said = match advice {
            None => "it was not measured, so nothing can be said".to_owned(),
            Some(Advice::TooFew { alike, past }) => format!(
                "nothing can be said: {alike} of {past} past results are of this load and class of machine, and it takes {}",
                crate::gate::FEWEST_SESSIONS
            ),
            Some(Advice::Predicted {
                sessions,
                mean,
                limit,
                value,
                above,
            }) => {
                let change = size_of_change(value / mean);
                let more = if value >= mean { "above" } else { "below" };
                let limit = size_of_change(limit / mean);
                let (word, limit) = if *above {
                    ("more than", limit)
                } else {
                    ("within", limit)
                };
                format!(
                    "{change} {more} the mean of {sessions} past results, {word} the {limit} to be expected of another day"
                )
            }
        };
        format!("cross-session  {metric} of {name}: {said}. Advice: it fails nothing.\n")
    });
    lines.collect()
}
