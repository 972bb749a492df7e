//! A line for each threshold of a run: whether it held, and what was observed.

use crate::report::figures::figure;
use crate::report::layout::Page;
use crate::run_record::RunRecord;
use crate::threshold::Ruling;

/// Columns of expressions that are lined up; what stands beside a longer one follows it at once.
const LINED_UP: usize = 60;

pub(super) fn rulings(record: &RunRecord, page: &mut Page) {
    let widths = record.thresholds.iter();
    let widths = widths.map(|ruling| ruling.expression.chars().count());
    let width = widths.filter(|&width| width <= LINED_UP).max().unwrap_or(0);
    for ruling in &record.thresholds {
        let text = format!("{:<width$}   {}", ruling.expression, finding(ruling));
        page.marked(mark(ruling), text.trim_end());
    }
}

/// Whether it held.
pub(in crate::report) fn mark(ruling: &Ruling) -> &'static str {
    if ruling.passed { "✓" } else { "✗" }
}

/// `observed 12.3 ms`, `observed 84.1 ms from 20s to 30s of steady`, or why there is nothing.
pub(in crate::report) fn finding(ruling: &Ruling) -> String {
    let observed = ruling.observed.map(|observed| {
        let bound = if observed.lower_bound { "≥ " } else { "" };
        format!("observed {bound}{}", figure(observed.figure))
    });
    let observed = match (observed, &ruling.when) {
        (Some(observed), Some(when)) => Some(format!("{observed} {when}")),
        (observed, _) => observed,
    };
    let parts = [observed, ruling.reason.clone()];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    parts.join(": ")
}
