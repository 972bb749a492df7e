//! Plots as SVG: panels one below the other on one horizontal axis.
//!
//! Heights are pixels and widths are shares, so that a plot fills whatever page it is on while its text keeps its size:
//! lines lie in a drawing that is stretched, everything else stands at percentages. Colours are classes, so that light,
//! dark and paper need no second plot.

use std::fmt::Write as _;

use maud::{Markup, html};

use super::scale::Tick;

/// A place in a panel: from 0 to 1 to the right, and from 0 to 1 upwards.
pub(super) type Place = [f64; 2];

/// Panels on one horizontal axis.
#[derive(Debug, Default)]
pub(super) struct Plot {
    /// By which tests and links find it.
    pub(super) id: &'static str,
    /// What it shows, for those who do not see it.
    pub(super) name: String,
    pub(super) panels: Vec<Panel>,
    pub(super) ticks: Vec<Tick>,
    /// What the horizontal axis is.
    pub(super) axis: String,
    /// Stretches of the horizontal axis with a name, such as phases.
    pub(super) spans: Vec<Span>,
    /// Where a pointer finds exact values, in the order of the axis.
    pub(super) hits: Vec<Hit>,
    pub(super) legend: Vec<Key>,
}

/// A drawing with a vertical axis of its own.
#[derive(Debug)]
pub(super) struct Panel {
    /// What it shows, and in which unit.
    pub(super) title: String,
    /// In pixels.
    pub(super) height: f64,
    pub(super) ticks: Vec<Tick>,
    /// What lies further back comes first.
    pub(super) shapes: Vec<Shape>,
    /// What stands at the right end of lines.
    pub(super) labels: Vec<Label>,
}

/// Something that is drawn.
#[derive(Debug)]
pub(super) enum Shape {
    /// A line, in pieces where there are gaps.
    Line {
        class: String,
        runs: Vec<Vec<Place>>,
    },
    /// What lies between two lines that have the same places to the right.
    Band {
        class: String,
        runs: Vec<[Vec<Place>; 2]>,
    },
    /// A vertical line from one height to another.
    Bar {
        class: String,
        x: f64,
        from: f64,
        to: f64,
    },
    /// A mark.
    Mark {
        class: String,
        glyph: Glyph,
        at: Place,
    },
    /// A stretch that is marked over the whole height.
    Stretch { class: String, from: f64, to: f64 },
}

/// A mark that is told from others without its colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Glyph {
    Circle,
    Square,
    Triangle,
    Diamond,
    Wedge,
    Slab,
    Cross,
    /// Of what lies beyond every axis.
    Arrow,
}

/// What stands at the right end of a line.
#[derive(Debug)]
pub(super) struct Label {
    pub(super) class: String,
    /// The height of the line's end, from 0 to 1.
    pub(super) y: f64,
    pub(super) text: String,
}

/// A stretch of the horizontal axis with a name.
#[derive(Debug)]
pub(super) struct Span {
    pub(super) from: f64,
    pub(super) to: f64,
    pub(super) name: String,
    /// Where there is no room for that.
    pub(super) brief: String,
    /// Whether it counts for nothing.
    pub(super) is_dim: bool,
}

/// Where a pointer finds exact values.
#[derive(Debug)]
pub(super) struct Hit {
    pub(super) from: f64,
    pub(super) to: f64,
    /// What is read there.
    pub(super) says: String,
    /// The panel and the height of each value.
    pub(super) dots: Vec<(usize, f64)>,
}

/// A line of a legend.
#[derive(Debug)]
pub(super) struct Key {
    pub(super) class: String,
    pub(super) glyph: Option<Glyph>,
    /// Whether it stands for an area.
    pub(super) is_band: bool,
    pub(super) name: String,
}

/// The width of the stretched drawing in its own units.
const WIDTH: f64 = 1_000.0;
/// Pixels for the names of spans.
const SPANS: f64 = 22.0;
/// Pixels for a panel's title, above it.
const TITLE: f64 = 30.0;
/// Pixels below the last panel, for the ticks.
const FOOT: f64 = 24.0;
/// Pixels between two labels at the right at least.
const LINE: f64 = 14.0;
/// The widths, in pixels, of the narrowest drawing that is read, and of a usual one.
const NARROW: f64 = 270.0;
const USUAL: f64 = 860.0;
/// Pixels that a character of a tick takes, about.
const CHARACTER: f64 = 6.8;

impl Plot {
    pub(super) fn render(&self) -> Markup {
        html! {
            div.plot id=(self.id) {
                @if !self.legend.is_empty() {
                    ul.legend { @for key in &self.legend { (key.render()) } }
                }
                // A script shows it, and fills it: without one, the drawing's titles say the same.
                output.readout hidden { "Point at the plot, or focus it and press ← or →, to read exact values." }
                div.canvas {
                    svg.scale width="100%" height=(px(self.height())) aria-hidden="true" { (self.heights()) }
                    svg.drawing width="100%" height=(px(self.height())) role="img" tabindex="0" aria-label=(self.name) {
                        (self.backgrounds())
                        (self.drawings())
                        (self.veils())
                        (self.titles())
                        (self.foot())
                        (self.hits())
                    }
                    svg.ends width="100%" height=(px(self.height())) aria-hidden="true" { (self.ends()) }
                }
                p.axis { (self.axis) }
            }
        }
    }

    fn height(&self) -> f64 {
        self.bottom() + FOOT
    }

    /// The lower edge of the last panel.
    fn bottom(&self) -> f64 {
        self.top(self.panels.len()) - TITLE
    }

    /// The upper edge of a panel's drawing.
    fn top(&self, panel: usize) -> f64 {
        let spans = if self.spans.is_empty() { 0.0 } else { SPANS };
        let before = self.panels[..panel]
            .iter()
            .map(|panel| panel.height + TITLE);
        spans + before.sum::<f64>() + TITLE
    }

    /// Pixels from the top of the plot to a height in a panel.
    fn y(&self, panel: usize, height: f64) -> f64 {
        self.top(panel) + (1.0 - height) * self.panels[panel].height
    }

    fn heights(&self) -> Markup {
        html! {
            @for (index, panel) in self.panels.iter().enumerate() {
                @for tick in &panel.ticks {
                    text x="100%" dx="-8" y=(px(self.y(index, tick.at))) dy="4" text-anchor="end" { (tick.label) }
                }
            }
        }
    }

    /// What lies behind the lines: titles, grid, spans.
    fn backgrounds(&self) -> Markup {
        let first = self.spans.first().map_or(0.0, |_| SPANS);
        html! {
            @for span in &self.spans {
                @if span.is_dim {
                    rect.rest x=(percent(span.from)) width=(percent(span.to - span.from)) y=(px(first))
                        height=(px(self.bottom() - first)) {}
                }
                @if span.from > 0.0 {
                    line.border x1=(percent(span.from)) x2=(percent(span.from)) y1="4" y2=(px(self.bottom())) {}
                }
                (span.name())
            }
            @for (index, panel) in self.panels.iter().enumerate() {
                @for tick in &panel.ticks {
                    line.grid x1="0" x2="100%" y1=(px(self.y(index, tick.at))) y2=(px(self.y(index, tick.at))) {}
                }
                @for shape in &panel.shapes { (self.stretch(index, shape)) }
            }
        }
    }

    fn stretch(&self, panel: usize, shape: &Shape) -> Markup {
        let Shape::Stretch { class, from, to } = shape else {
            return html! {};
        };
        html! {
            rect class=(class) x=(percent(*from)) width=(percent(to - from)) y=(px(self.top(panel)))
                height=(px(self.panels[panel].height)) {}
        }
    }

    fn drawings(&self) -> Markup {
        html! {
            @for (index, panel) in self.panels.iter().enumerate() {
                svg.lines x="0" y=(px(self.top(index))) width="100%" height=(px(panel.height))
                    viewBox=(format!("0 0 {WIDTH} {}", panel.height)) preserveAspectRatio="none" {
                    @for shape in &panel.shapes { (panel.stretched(shape)) }
                }
                @for shape in &panel.shapes {
                    @if let Shape::Mark { class, glyph, at } = shape {
                        svg.mark x=(percent(at[0])) y=(px(self.y(index, at[1]))) width="1" height="1" overflow="visible" {
                            path class=(class) d=(glyph.path()) {}
                        }
                    }
                }
            }
        }
    }

    /// Over all that is drawn, for they are to be read.
    fn titles(&self) -> Markup {
        html! {
            @for (index, panel) in self.panels.iter().enumerate() {
                text.title x="0" y=(px(self.top(index) - 10.0)) { (panel.title) }
            }
        }
    }

    /// Over what counts for nothing.
    fn veils(&self) -> Markup {
        html! {
            @for span in self.spans.iter().filter(|span| span.is_dim) {
                rect.veil x=(percent(span.from)) width=(percent(span.to - span.from)) y=(px(SPANS))
                    height=(px(self.bottom() - SPANS)) {}
            }
        }
    }

    fn foot(&self) -> Markup {
        let bottom = self.bottom();
        html! {
            line.base x1="0" x2="100%" y1=(px(bottom)) y2=(px(bottom)) {}
            @for (tick, class) in spaced(&self.ticks) {
                line.grid x1=(percent(tick.at)) x2=(percent(tick.at)) y1=(px(bottom)) y2=(px(bottom + 4.0)) {}
                text class=[class] x=(percent(tick.at)) y=(px(bottom + 18.0)) text-anchor=(anchor(tick.at)) { (tick.label) }
            }
        }
    }

    fn hits(&self) -> Markup {
        let top = self.top(0);
        html! {
            g.hits {
                @for hit in &self.hits {
                    rect x=(percent(hit.from)) width=(percent(hit.to - hit.from)) y=(px(top))
                        height=(px(self.bottom() - top)) data-y=(self.dots(hit)) { title { (hit.says) } }
                }
            }
        }
    }

    fn dots(&self, hit: &Hit) -> String {
        let places = hit
            .dots
            .iter()
            .map(|(panel, height)| px(self.y(*panel, *height)));
        places.collect::<Vec<_>>().join(" ")
    }

    /// The labels at the right, none over another.
    fn ends(&self) -> Markup {
        html! {
            @for (index, panel) in self.panels.iter().enumerate() {
                @for (label, y) in apart(&panel.labels, |label| self.y(index, label.y), self.y(index, 0.0)) {
                    text class=(label.class) x="6" y=(px(y)) dy="4" { (label.text) }
                }
            }
        }
    }
}

impl Panel {
    fn stretched(&self, shape: &Shape) -> Markup {
        match shape {
            Shape::Line { class, runs } => {
                let line = runs.iter().map(|run| self.path(run)).collect::<String>();
                html! { path.line.(class) d=(line) {} }
            }
            Shape::Band { class, runs } => {
                let mut outline = String::new();
                for [upper, lower] in runs {
                    let around = upper.iter().chain(lower.iter().rev()).copied();
                    outline += &self.path(&around.collect::<Vec<_>>());
                    outline.push('Z');
                }
                html! { path.band.(class) d=(outline) {} }
            }
            Shape::Bar { class, x, from, to } => {
                html! { path.line.(class) d=(self.path(&[[*x, *from], [*x, *to]])) {} }
            }
            Shape::Mark { .. } | Shape::Stretch { .. } => html! {},
        }
    }

    /// A path through places, as short as it can be written.
    fn path(&self, places: &[Place]) -> String {
        let mut path = String::new();
        let mut last: Option<[String; 2]> = None;
        for place in places {
            let next = [px(place[0] * WIDTH), px((1.0 - place[1]) * self.height)];
            // Writing to a string does not fail.
            let _ = match &last {
                None => write!(path, "M{} {}", next[0], next[1]),
                Some(last) if *last == next => Ok(()),
                Some(last) if last[1] == next[1] => write!(path, "H{}", next[0]),
                Some(last) if last[0] == next[0] => write!(path, "V{}", next[1]),
                Some(_) => write!(path, "L{} {}", next[0], next[1]),
            };
            last = Some(next);
        }
        path
    }
}

impl Span {
    /// Its name at its beginning, where there is room for it, and the brief one where there is room for that alone.
    fn name(&self) -> Markup {
        let share = self.to - self.from;
        let fitting = |width: f64| {
            let mut names = [&self.name, &self.brief].into_iter();
            names.find(|name| size(name) <= share * width)
        };
        let (usual, narrow) = (fitting(USUAL), fitting(NARROW));
        let text = |name: Option<&String>, class: &str| {
            html! {
                @if let Some(name) = name {
                    text class=(class) x=(percent(self.from)) dx="4" y="14" { (name) }
                }
            }
        };
        match usual == narrow {
            true => text(usual, "span"),
            false => html! { (text(usual, "span wide")) (text(narrow, "span narrow")) },
        }
    }
}

impl Glyph {
    /// One for each of several arms, in this order.
    pub(super) const OF_ARMS: [Self; 6] = [
        Self::Circle,
        Self::Diamond,
        Self::Square,
        Self::Triangle,
        Self::Wedge,
        Self::Slab,
    ];

    pub(super) fn path(self) -> &'static str {
        match self {
            Self::Circle => "M-4 0a4 4 0 1 0 8 0a4 4 0 1 0 -8 0Z",
            Self::Square => "M-3.6 -3.6H3.6V3.6H-3.6Z",
            Self::Triangle => "M0 -4.6L4.6 3.6H-4.6Z",
            Self::Diamond => "M0 -5L5 0L0 5L-5 0Z",
            Self::Wedge => "M0 4.6L4.6 -3.6H-4.6Z",
            Self::Slab => "M-5.2 -2.4H5.2V2.4H-5.2Z",
            Self::Cross => "M-4 -4L4 4M-4 4L4 -4",
            Self::Arrow => "M0 -6L5 0H2V5H-2V0H-5Z",
        }
    }
}

impl Key {
    pub(super) fn line(class: &str, name: impl Into<String>) -> Self {
        Self {
            class: class.to_owned(),
            glyph: None,
            is_band: false,
            name: name.into(),
        }
    }

    pub(super) fn marked(class: &str, glyph: Glyph, name: impl Into<String>) -> Self {
        Self {
            glyph: Some(glyph),
            ..Self::line(class, name)
        }
    }

    pub(super) fn band(class: &str, name: impl Into<String>) -> Self {
        Self {
            is_band: true,
            ..Self::line(class, name)
        }
    }

    pub(super) fn render(&self) -> Markup {
        html! {
            li {
                svg.swatch width="26" height="12" aria-hidden="true" {
                    @if self.is_band {
                        rect class=(format!("band {}", self.class)) x="0" y="1" width="26" height="10" {}
                    } @else {
                        path class=(format!("line {}", self.class)) d="M0 6H26" {}
                    }
                    @if let Some(glyph) = self.glyph {
                        svg x="13" y="6" width="1" height="1" overflow="visible" {
                            path class=(format!("mark {}", self.class)) d=(glyph.path()) {}
                        }
                    }
                }
                (self.name)
            }
        }
    }
}

/// A step for each value that holds from one place to another, in pieces where one does not follow the other.
pub(super) fn steps(values: impl IntoIterator<Item = (f64, f64, f64)>) -> Vec<Vec<Place>> {
    let [runs, _] = steps_apart(values.into_iter().map(|value| (value, false)));
    runs
}

/// As [`steps`], with those that are marked apart, behind the others: a piece of either joins the one that it follows.
pub(super) fn steps_apart(
    values: impl IntoIterator<Item = ((f64, f64, f64), bool)>,
) -> [Vec<Vec<Place>>; 2] {
    let mut runs: [Vec<Vec<Place>>; 2] = [Vec::new(), Vec::new()];
    let mut last: Option<(Place, bool)> = None;
    for ((from, to, value), is_marked) in values {
        let step = [[from, value], [to, value]];
        let joined = last.filter(|(place, _)| (place[0] - from).abs() < 1e-9);
        let own = &mut runs[usize::from(is_marked)];
        match (joined, own.last_mut()) {
            (Some((_, was_marked)), Some(run)) if was_marked == is_marked => run.extend(step),
            (Some((place, _)), _) => own.push(vec![place, step[0], step[1]]),
            (None, _) => own.push(step.into()),
        }
        last = Some((step[1], is_marked));
    }
    runs
}

/// A number as it is written in a drawing: to a tenth.
pub(super) fn px(value: f64) -> String {
    let text = format!("{value:.1}");
    text.strip_suffix(".0").map_or(text.clone(), str::to_owned)
}

/// A share of the width: to a hundredth of a percent.
pub(super) fn percent(share: f64) -> String {
    let text = format!("{:.2}", share * 100.0);
    format!("{}%", text.trim_end_matches('0').trim_end_matches('.'))
}

/// How a tick's text lies to its place: not beyond the ends.
fn anchor(at: f64) -> &'static str {
    match at {
        ..0.02 => "start",
        0.98.. => "end",
        _ => "middle",
    }
}

/// Ticks that do not touch, and on a narrow page those that do not touch there: the others have the class `wide`.
fn spaced(ticks: &[Tick]) -> Vec<(&Tick, Option<&'static str>)> {
    let kept = |width: f64| {
        let mut ends = f64::NEG_INFINITY;
        let keeps = move |tick: &&Tick| {
            let size = tick.label.chars().count() as f64 * CHARACTER;
            let begins = match anchor(tick.at) {
                "start" => tick.at * width,
                "end" => tick.at * width - size,
                _ => tick.at * width - size / 2.0,
            };
            let is_free = begins >= ends + CHARACTER;
            if is_free {
                ends = begins + size;
            }
            is_free
        };
        ticks.iter().filter(keeps).collect::<Vec<_>>()
    };
    let (usual, narrow) = (kept(USUAL), kept(NARROW));
    let class = |tick: &Tick| (!narrow.contains(&tick)).then_some("wide");
    usual.into_iter().map(|tick| (tick, class(tick))).collect()
}

/// Pixels that the name of a span takes, about, with some room.
fn size(text: &str) -> f64 {
    text.chars().count() as f64 * (CHARACTER + 0.8) + 8.0
}

/// Labels with their heights in pixels, moved as little as keeps a line between two of them and all above `bottom`.
fn apart(labels: &[Label], y: impl Fn(&Label) -> f64, bottom: f64) -> Vec<(&Label, f64)> {
    let mut placed: Vec<(&Label, f64)> = labels.iter().map(|label| (label, y(label))).collect();
    placed.sort_by(|a, b| a.1.total_cmp(&b.1));
    // Downwards first, then back up from the lower edge.
    for k in 1..placed.len() {
        placed[k].1 = placed[k].1.max(placed[k - 1].1 + LINE);
    }
    let mut limit = bottom;
    for (_, y) in placed.iter_mut().rev() {
        *y = y.min(limit);
        limit = *y - LINE;
    }
    placed
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::html::scale::Scale;

    fn panel() -> Panel {
        Panel {
            title: "ms".into(),
            height: 100.0,
            ticks: Scale::from_zero(4.0).ticks(4),
            shapes: Vec::new(),
            labels: Vec::new(),
        }
    }

    #[test]
    fn a_path_is_as_short_as_it_can_be() {
        let runs = steps([(0.0, 0.5, 0.25), (0.5, 1.0, 0.75)]);
        assert_eq!(panel().path(&runs[0]), "M0 75H500V25H1000");
        let gap = steps([(0.0, 0.25, 1.0), (0.5, 0.75, 1.0)]);
        assert_eq!(gap.len(), 2);
        assert_eq!(
            panel().path(&[[0.0, 0.0], [0.1234, 0.5]]),
            "M0 100L123.4 50"
        );
    }

    #[test]
    fn steps_that_are_marked_join_those_that_they_follow() {
        let [plain, marked] = steps_apart([
            ((0.0, 0.2, 0.1), false),
            ((0.2, 0.4, 0.5), true),
            ((0.4, 0.6, 0.6), true),
            ((0.6, 0.8, 0.2), false),
            // Nothing is known of what lies before it.
            ((0.9, 1.0, 0.3), true),
        ]);
        let paths = |runs: &[Vec<Place>]| -> Vec<String> {
            runs.iter().map(|run| panel().path(run)).collect()
        };
        assert_eq!(paths(&plain), ["M0 90H200", "M600 40V80H800"]);
        assert_eq!(paths(&marked), ["M200 90V50H400V40H600", "M900 70H1000"]);
    }

    #[test]
    fn labels_do_not_cover_each_other() {
        let label = |y: f64| Label {
            class: String::new(),
            y,
            text: "p".into(),
        };
        let labels = [label(0.02), label(0.0), label(0.01), label(0.9)];
        let placed = apart(&labels, |label| (1.0 - label.y) * 100.0, 100.0);
        let heights: Vec<f64> = placed.iter().map(|(_, y)| y.round()).collect();
        assert_eq!(heights, [10.0, 72.0, 86.0, 100.0]);
    }

    #[test]
    fn ticks_that_would_touch_are_left_out() {
        let ticks: Vec<Tick> = (0..=20)
            .map(|k| Tick {
                at: f64::from(k) / 20.0,
                label: "1:00:00".into(),
            })
            .collect();
        let kept = spaced(&ticks);
        assert!(kept.len() < ticks.len() && kept.len() > 8, "{}", kept.len());
        let narrow = kept.iter().filter(|(_, class)| class.is_none()).count();
        assert!((2..=5).contains(&narrow), "{narrow}");
    }

    #[test]
    fn what_is_drawn_lies_within_its_panel() {
        let mut panel = panel();
        panel.shapes.push(Shape::Line {
            class: "tone-1".into(),
            runs: vec![vec![[0.0, 0.0], [1.0, 1.0]]],
        });
        let plot = Plot {
            id: "p",
            name: "a <plot>".into(),
            panels: vec![panel],
            ..Plot::default()
        };
        let text = plot.render().into_string();
        assert!(text.contains("M0 100L1000 0"), "{text}");
        assert!(text.contains("a &lt;plot&gt;"), "{text}");
        assert!(!text.contains("style="), "{text}");
    }
}
