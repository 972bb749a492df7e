//! One row of a view.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use ratatui::widgets::{LineGauge, Sparkline, Widget as _};

use super::Look;
use crate::ledger::Bound;
use crate::units::three_digits;

/// Fewer columns make no gauge, and no line of values.
const LEAST: u16 = 6;

/// Heights that a value can have in a row.
const STEPS: u64 = 8;

/// A row.
pub(super) enum Row {
    Words(Vec<Span<'static>>),
    /// How much of something is over, between words.
    Gauge {
        left: Vec<Span<'static>>,
        share: f64,
        right: String,
    },
    /// Times in nanoseconds as a line, the newest last, and behind it how much its highest is.
    Spark {
        left: Span<'static>,
        values: Vec<Option<Bound>>,
    },
}

impl Row {
    /// Draws it as row `y`.
    pub(super) fn draw(&self, y: u16, look: Look, buffer: &mut Buffer) {
        match self {
            Self::Words(spans) => {
                put(spans, y, buffer);
            }
            Self::Gauge { left, share, right } => {
                let start = put(left, y, buffer);
                let end = put_at_end(right, y, start, buffer);
                let area = Rect::new(start, y, end.saturating_sub(start + 1), 1);
                if area.width >= LEAST {
                    LineGauge::default()
                        .ratio(*share)
                        .label("")
                        .filled_symbol("━")
                        .unfilled_symbol("─")
                        .filled_style(look.lit())
                        .unfilled_style(look.dim())
                        .render(area, buffer);
                }
            }
            Self::Spark { left, values } => spark(left, values, y, look, buffer),
        }
    }
}

fn spark(left: &Span<'static>, values: &[Option<Bound>], y: u16, look: Look, buffer: &mut Buffer) {
    /// Columns for how much the highest is.
    const TOP: usize = 16;
    let (start, _) = buffer.set_span(0, y, left, buffer.area.width);
    let end = buffer.area.width.saturating_sub(TOP as u16);
    let columns = end.saturating_sub(start);
    if columns < LEAST {
        return;
    }
    let shown = &values[values.len().saturating_sub(usize::from(columns))..];
    let Some(highest) = shown.iter().flatten().map(|bound| bound.value).max() else {
        return;
    };
    // The lowest is still to be seen.
    let height = |bound: Bound| {
        let step = u128::from(bound.value) * u128::from(STEPS) / u128::from(highest.max(1));
        (step as u64).clamp(1, STEPS)
    };
    Sparkline::default()
        .data(shown.iter().map(|value| value.map(height)))
        .max(STEPS)
        .absent_value_symbol(" ")
        .style(look.lit())
        .render(Rect::new(start, y, columns, 1), buffer);
    let is_bound = |bound: &Bound| bound.censored && bound.value == highest;
    let up_to = match shown.iter().flatten().any(is_bound) {
        true => "≥",
        false => "up to",
    };
    let top = format!("{up_to} {} ms", three_digits(highest as f64 / 1e6));
    put_at_end(&top, y, end, buffer);
}

/// Draws `spans` from the beginning of row `y`; where they end.
fn put(spans: &[Span<'static>], y: u16, buffer: &mut Buffer) -> u16 {
    let line = Line::from(spans.to_vec());
    let width = buffer.area.width;
    let (end, _) = buffer.set_line(0, y, &line, width);
    if line.width() > usize::from(width) && width > 0 {
        // There is more.
        buffer[(width - 1, y)].set_symbol("…");
    }
    end
}

/// Draws `words` at the end of row `y` where there is room behind `start`; where they begin.
fn put_at_end(words: &str, y: u16, start: u16, buffer: &mut Buffer) -> u16 {
    let width = buffer.area.width;
    let from = width.saturating_sub(words.chars().count() as u16);
    if from <= start || words.is_empty() {
        return width;
    }
    buffer.set_stringn(
        from,
        y,
        words,
        usize::from(width - from),
        ratatui::style::Style::new(),
    );
    from
}
