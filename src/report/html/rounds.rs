//! What rounds say: each arm's figure in each of them, and the distributions of all.

use super::forest::Gated;
use super::plot::{Glyph, Hit, Key, Label, Panel, Place, Plot, Shape};
use super::scale::{Scale, Tick};
use super::spectrum::{Curve, plot as spectrum, shortened, titled};
use super::timeline::CUT;
use crate::compare::{Comparison, Metric, Round};
use crate::report::figures::{QUANTILES, TimeUnit, UNKNOWN, change};
use crate::units::Quantile;
use crate::validity::State;

/// The part of a round's place over which its arms are spread.
const ASIDE: f64 = 0.45;
/// The class of an arm's colour and stroke: there are six, and then they begin again.
pub(super) fn tone(arm: usize) -> String {
    format!("tone-{}", arm % 6 + 1)
}

/// The distributions of all arms on one axis.
pub(super) fn spectra(id: &'static str, comparison: &Comparison, unit: TimeUnit) -> Option<Plot> {
    let curves: Vec<Curve> = comparison
        .plan
        .arms
        .iter()
        .enumerate()
        .map(|(arm, name)| Curve {
            glyph: Some(glyph(arm)),
            ..Curve::or_infinite(name, &tone(arm), &comparison.merged(arm))
        })
        .collect();
    spectrum(id, "response time", &curves, unit)
}

fn glyph(arm: usize) -> Glyph {
    Glyph::OF_ARMS[arm % Glyph::OF_ARMS.len()]
}

/// What a plot of rounds is of: the figure of the gate or the p99, or the first below it that every valid round can tell.
pub(super) fn told(comparison: &Comparison, gated: Option<Gated<'_>>) -> Option<Quantile> {
    let wanted = gated.and_then(|gated| {
        gated.terms.metrics.iter().find_map(|metric| match metric {
            Metric::Response(quantile) => Some(*quantile),
            _ => None,
        })
    });
    let telling = |quantile: &Quantile| {
        let metric = Metric::Response(*quantile);
        let mut arms = comparison.valid_rounds().flat_map(|round| &round.arms);
        arms.all(|arm| arm.value(metric).is_some())
    };
    let below = QUANTILES
        .into_iter()
        .rev()
        .filter(|quantile| *quantile <= Quantile::P99);
    wanted.into_iter().chain(below).find(telling)
}

/// Each round as a line from arm to arm; none where there are no rounds.
pub(super) fn pairs(
    id: &'static str,
    comparison: &Comparison,
    quantile: Quantile,
    unit: TimeUnit,
) -> Option<Plot> {
    let rounds = comparison.rounds();
    if rounds.is_empty() {
        return None;
    }
    let metric = Metric::Response(quantile);
    let value = |round: &Round, arm: usize| round.arms[arm].value(metric).map(|ns| unit.of(ns));
    let arms = comparison.plan.arms.len();
    let values = rounds
        .iter()
        .flat_map(|round| (0..arms).filter_map(|arm| value(round, arm)));
    let values: Vec<f64> = values.collect();
    let scale = Scale::around(values);
    let width = 1.0 / rounds.len() as f64;
    let mut shapes = Vec::new();
    let mut hits = Vec::new();
    for (k, round) in rounds.iter().enumerate() {
        let state = if round.is_valid() { "" } else { " void" };
        let places: Vec<(usize, Place)> = (0..arms)
            .filter_map(|arm| {
                // Beside each other, so that none hides another.
                let place = (arm as f64 + 0.5) / arms as f64 - 0.5;
                let x = (k as f64 + 0.5 + place * ASIDE) * width;
                Some((arm, [x, scale.place(value(round, arm)?)]))
            })
            .collect();
        shapes.push(Shape::Line {
            class: format!("pair{state}"),
            runs: vec![places.iter().map(|(_, place)| *place).collect()],
        });
        shapes.extend(places.iter().map(|&(arm, at)| Shape::Mark {
            class: format!("{}{state}", tone(arm)),
            glyph: if round.is_valid() {
                glyph(arm)
            } else {
                Glyph::Cross
            },
            at,
        }));
        hits.push(Hit {
            from: k as f64 * width,
            to: (k as f64 + 1.0) * width,
            says: says(comparison, round, metric, unit),
            dots: Vec::new(),
        });
    }
    let last = rounds.iter().rev().find(|round| round.is_valid());
    let labels = comparison
        .plan
        .arms
        .iter()
        .enumerate()
        .filter_map(|(arm, name)| {
            Some(Label {
                class: tone(arm),
                y: scale.place(value(last?, arm)?),
                text: shortened(name),
            })
        });
    let mut legend: Vec<Key> = comparison
        .plan
        .arms
        .iter()
        .enumerate()
        .map(|(arm, name)| Key::marked(&format!("{} dot", tone(arm)), glyph(arm), name))
        .collect();
    let from = if scale.is_cut() { CUT } else { "" };
    if rounds.iter().any(|round| !round.is_valid()) {
        legend.push(Key::marked(
            "void dot",
            Glyph::Cross,
            "void round: in no figure",
        ));
    }
    Some(Plot {
        id,
        name: format!("{quantile} of every arm in each of {} rounds", rounds.len()),
        panels: vec![Panel {
            title: format!(
                "{}{from}",
                titled(&format!("{quantile} of response time"), scale, unit)
            ),
            height: 220.0,
            ticks: scale.ticks(6),
            shapes,
            labels: labels.collect(),
        }],
        ticks: numbers(rounds, width),
        axis: "round, in the order of measurement".to_owned(),
        spans: Vec::new(),
        hits,
        legend,
    })
}

fn numbers(rounds: &[Round], width: f64) -> Vec<Tick> {
    let numbers = rounds.iter().enumerate();
    numbers
        .map(|(k, round)| Tick {
            at: (k as f64 + 0.5) * width,
            label: round.number.to_string(),
        })
        .collect()
}

/// `round 7: axum 4.10, actix 4.35 ms (+6.1 %) · actix first`.
fn says(comparison: &Comparison, round: &Round, metric: Metric, unit: TimeUnit) -> String {
    let names = &comparison.plan.arms;
    let values = names.iter().zip(&round.arms).map(|(name, arm)| {
        let value = arm.value(metric);
        format!(
            "{name} {}",
            value.map_or(UNKNOWN.to_owned(), |ns| unit.figure(ns))
        )
    });
    let values: Vec<String> = values.collect();
    let pair = match &round.arms[..] {
        [reference, other] => reference.value(metric).zip(other.value(metric)),
        _ => None,
    };
    let by = pair.map_or(String::new(), |(reference, other)| {
        format!(" ({})", change(other / reference))
    });
    let first = round
        .order
        .first()
        .map(|arm| format!(" · {} first", names[*arm]));
    let void = round
        .arms
        .iter()
        .zip(names)
        .find(|(arm, _)| arm.validity.state != State::Valid);
    let void = void.map(|(arm, name)| {
        let validity = &arm.validity;
        format!(
            " · void: {name} was {}: {}",
            validity.state.name(),
            validity.reasons.join("; ")
        )
    });
    format!(
        "round {}: {} {}{by}{}{}",
        round.number,
        values.join(" · "),
        unit.name(),
        first.unwrap_or_default(),
        void.unwrap_or_default()
    )
}
