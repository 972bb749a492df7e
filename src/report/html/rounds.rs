//! What rounds say: each arm's figure in each of them, and the distributions of all.

use super::forest::Gated;
use super::plot::{Glyph, Hit, Key, Label, Panel, Place, Plot, Shape};
use super::scale::{Scale, Tick};
use super::spectrum::{Curve, at_the_end, plot as spectrum, titled};
use super::timeline::CUT;
use crate::compare::{Comparison, Metric, Round};
use crate::report::figures::{QUANTILES, TimeUnit, UNKNOWN, change};
use crate::units::{Quantile, thousands};
use crate::validity::State;

/// The part of a round's place over which its arms are spread.
const ASIDE: f64 = 0.45;
/// The part of the height, above the axis, that infinite figures have where there are any.
const LANE: f64 = 0.14;
/// Marks of a plot at most: where there are more, only every second round is drawn, or every third, so that a page stays
/// small enough to be sent.
const MOST_MARKS: usize = 900;

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
    let drawn = Drawn::of(comparison, Metric::Response(quantile), unit)?;
    let title = titled(
        &format!("{quantile} of response time"),
        drawn.axis.scale,
        unit,
    );
    let from = if drawn.axis.scale.is_cut() { CUT } else { "" };
    Some(Plot {
        id,
        name: format!(
            "{quantile} of every arm in each of {} rounds",
            drawn.rounds.len()
        ),
        panels: vec![Panel {
            title: format!("{title}{from}"),
            height: 220.0,
            ticks: drawn.axis.ticks(),
            shapes: drawn.shapes(),
            labels: drawn.labels(),
        }],
        ticks: drawn.numbers(),
        axis: "round, in the order of measurement".to_owned(),
        spans: Vec::new(),
        hits: drawn.hits(),
        legend: drawn.legend(),
    })
}

/// What is said where not every round is drawn.
pub(super) fn left_out(comparison: &Comparison) -> Option<String> {
    let (every, all) = (every(comparison), comparison.rounds().len());
    let drawn = all.div_ceil(every);
    (every > 1).then(|| {
        format!(
            "One of {every} rounds is drawn, {} of {}: {} are left out. -o report.csv has all of them.",
            thousands(drawn as u64),
            thousands(all as u64),
            thousands((all - drawn) as u64)
        )
    })
}

/// One of how many rounds is drawn.
fn every(comparison: &Comparison) -> usize {
    let marks = comparison.rounds().len() * comparison.plan.arms.len();
    marks.div_ceil(MOST_MARKS).max(1)
}

/// Rounds as they are drawn.
struct Drawn<'a> {
    comparison: &'a Comparison,
    rounds: Vec<&'a Round>,
    metric: Metric,
    unit: TimeUnit,
    axis: Axis,
}

/// The height of figures, with a lane above it for those that are infinite.
#[derive(Clone, Copy)]
struct Axis {
    scale: Scale,
    has_finite: bool,
    has_infinite: bool,
}

impl Axis {
    fn of(values: &[f64]) -> Self {
        Self {
            scale: Scale::around(values.iter().copied()),
            has_finite: values.iter().any(|value| value.is_finite()),
            has_infinite: values.iter().any(|value| value.is_infinite()),
        }
    }

    fn place(self, value: f64) -> f64 {
        match value.is_finite() {
            true => self.scale.place(value) * self.top(),
            false => 1.0 - LANE / 2.0,
        }
    }

    /// Where the scale ends, and the lane begins.
    fn top(self) -> f64 {
        if self.has_infinite { 1.0 - LANE } else { 1.0 }
    }

    /// What is written beside it. Where nothing is finite there is nothing of which it would be the scale.
    fn ticks(self) -> Vec<Tick> {
        let finite = self.scale.ticks(6).into_iter();
        let finite = finite.filter(|_| self.has_finite).map(|tick| Tick {
            at: tick.at * self.top(),
            ..tick
        });
        let infinite = self.has_infinite.then(|| Tick {
            at: self.place(f64::INFINITY),
            label: "∞".to_owned(),
        });
        finite.chain(infinite).collect()
    }
}

impl<'a> Drawn<'a> {
    /// None where there are no rounds.
    fn of(comparison: &'a Comparison, metric: Metric, unit: TimeUnit) -> Option<Self> {
        let every = every(comparison);
        let rounds: Vec<&Round> = comparison.rounds().iter().step_by(every).collect();
        let arms = rounds.iter().flat_map(|round| &round.arms);
        let values = arms.filter_map(|arm| Some(unit.of(arm.value(metric)?)));
        let axis = Axis::of(&values.collect::<Vec<_>>());
        (!rounds.is_empty()).then_some(Self {
            comparison,
            rounds,
            metric,
            unit,
            axis,
        })
    }

    /// The part of the width that a round has.
    fn width(&self) -> f64 {
        1.0 / self.rounds.len() as f64
    }

    fn names(&self) -> impl Iterator<Item = (usize, &'a String)> {
        self.comparison.plan.arms.iter().enumerate()
    }

    fn value(&self, round: &Round, arm: usize) -> Option<f64> {
        let value = round.arms[arm].value(self.metric)?;
        Some(self.unit.of(value))
    }

    fn shapes(&self) -> Vec<Shape> {
        let mut shapes = Vec::new();
        for (k, round) in self.rounds.iter().enumerate() {
            let state = if round.is_valid() { "" } else { " void" };
            let marks = self.marks(k, round);
            shapes.push(Shape::Line {
                class: format!("pair{state}"),
                runs: vec![marks.iter().map(|(_, _, at)| *at).collect()],
            });
            shapes.extend(marks.into_iter().map(|(arm, glyph, at)| Shape::Mark {
                class: format!("{}{state}", tone(arm)),
                glyph,
                at,
            }));
        }
        shapes
    }

    /// The arms of a round that have a value, each with its mark: beside each other, so that none hides another.
    fn marks(&self, k: usize, round: &Round) -> Vec<(usize, Glyph, Place)> {
        let arms = self.comparison.plan.arms.len();
        let mark = |arm: usize| {
            let value = self.value(round, arm)?;
            let place = (arm as f64 + 0.5) / arms as f64 - 0.5;
            let x = (k as f64 + 0.5 + place * ASIDE) * self.width();
            let glyph = match (round.is_valid(), value.is_finite()) {
                (false, _) => Glyph::Cross,
                (true, true) => glyph(arm),
                (true, false) => Glyph::Arrow,
            };
            Some((arm, glyph, [x, self.axis.place(value)]))
        };
        (0..arms).filter_map(mark).collect()
    }

    /// Each arm's name at its last round that counts.
    fn labels(&self) -> Vec<Label> {
        let last = self.rounds.iter().rev().find(|round| round.is_valid());
        let label = |(arm, name): (usize, &String)| {
            let value = self.value(last?, arm)?;
            let says = if value.is_finite() { "" } else { " ∞" };
            Some(Label {
                class: tone(arm),
                y: self.axis.place(value),
                text: at_the_end(name, says),
            })
        };
        self.names().filter_map(label).collect()
    }

    fn numbers(&self) -> Vec<Tick> {
        let rounds = self.rounds.iter().enumerate();
        rounds
            .map(|(k, round)| Tick {
                at: (k as f64 + 0.5) * self.width(),
                label: round.number.to_string(),
            })
            .collect()
    }

    fn hits(&self) -> Vec<Hit> {
        let rounds = self.rounds.iter().enumerate();
        rounds
            .map(|(k, round)| Hit {
                from: k as f64 * self.width(),
                to: (k as f64 + 1.0) * self.width(),
                says: says(self.comparison, round, self.metric, self.unit),
                dots: Vec::new(),
            })
            .collect()
    }

    fn legend(&self) -> Vec<Key> {
        let arms = self.names();
        let key = |(arm, name): (usize, &String)| {
            Key::marked(&format!("{} dot", tone(arm)), glyph(arm), name)
        };
        let mut legend: Vec<Key> = arms.map(key).collect();
        if self.axis.has_infinite {
            let endless = "∞, above the axis: too many requests were not ok";
            legend.push(Key::marked("endless dot", Glyph::Arrow, endless));
        }
        if self.rounds.iter().any(|round| !round.is_valid()) {
            let void = "void round: in no figure";
            legend.push(Key::marked("void dot", Glyph::Cross, void));
        }
        legend
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::fixtures::{arm_run, comparison};
    use crate::exchange::Outcome;
    use crate::run_record::fixtures::{Answer, MS, ok};

    /// Six rounds in which one request of 50 fails, of the arms and rounds that `fails` names.
    fn rounds(fails: impl Fn(usize, usize) -> bool) -> Comparison {
        comparison(6, |arm, round| {
            let base = ok((10 + arm as u64 + round as u64) * MS);
            arm_run(arm, |asked| match asked.arrival % 50 {
                7 if fails(arm, round) => Answer {
                    outcome: Outcome::StatusError,
                    status: Some(503),
                    ..base
                },
                _ => base,
            })
        })
    }

    fn plot_of(comparison: &Comparison) -> Plot {
        pairs("p", comparison, Quantile::P99, TimeUnit::Milliseconds).unwrap()
    }

    /// The heights of the marks, those of infinite figures and the others.
    fn heights(plot: &Plot) -> [Vec<f64>; 2] {
        let mut heights = [Vec::new(), Vec::new()];
        for shape in &plot.panels[0].shapes {
            if let Shape::Mark { glyph, at, .. } = shape {
                heights[usize::from(*glyph != Glyph::Arrow)].push(at[1]);
            }
        }
        heights
    }

    fn labels(ticks: &[Tick]) -> Vec<&str> {
        ticks.iter().map(|tick| tick.label.as_str()).collect()
    }

    #[test]
    fn what_is_infinite_stands_above_the_axis() {
        let plot = plot_of(&rounds(|arm, round| arm == 1 && round > 3));
        let [infinite, finite] = heights(&plot);
        assert_eq!((infinite.len(), finite.len()), (3, 9));
        let panel = &plot.panels[0];
        let highest = finite.iter().copied().fold(0.0, f64::max);
        let end = &panel.ticks[panel.ticks.len() - 2];
        assert!(highest <= end.at && infinite.iter().all(|height| *height > end.at));
        assert_eq!(panel.ticks.last().unwrap().label, "∞");
        let ends: Vec<&str> = panel
            .labels
            .iter()
            .map(|label| label.text.as_str())
            .collect();
        assert_eq!(ends, ["axum", "actix ∞"]);
        assert!(
            plot.legend
                .iter()
                .any(|key| key.glyph == Some(Glyph::Arrow))
        );
        assert!(
            plot.hits[5].says.contains("actix ∞ ms"),
            "{:?}",
            plot.hits[5]
        );
    }

    #[test]
    fn without_a_finite_figure_there_is_no_scale() {
        let plot = plot_of(&rounds(|_, _| true));
        assert_eq!(labels(&plot.panels[0].ticks), ["∞"]);
        let [infinite, finite] = heights(&plot);
        assert_eq!((infinite.len(), finite.len()), (12, 0));
    }

    #[test]
    fn without_an_infinite_figure_there_is_no_lane() {
        let plot = plot_of(&rounds(|_, _| false));
        let panel = &plot.panels[0];
        assert!(!labels(&panel.ticks).contains(&"∞"));
        assert_eq!(panel.ticks.last().unwrap().at, 1.0);
        assert_eq!(plot.legend.len(), 2);
        assert_eq!(left_out(&rounds(|_, _| false)), None);
    }
}
