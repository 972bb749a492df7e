//! A run cut into stretches of time, of which each is one value of a line.

use crate::histogram::Histogram;
use crate::run_record::PhaseRecord;
use crate::stats::fewest;
use crate::units::Quantile;
use crate::windows::Window;

/// Windows that are read together, one value of each line.
pub(super) struct Column {
    pub(super) phase: usize,
    /// In nanoseconds from the start of the run.
    pub(super) from: u64,
    pub(super) to: u64,
    pub(super) ok: Histogram,
    /// The others.
    pub(super) failed: Histogram,
    pub(super) all: Histogram,
    /// What the shortest lower bound among those of its phase is; none where there are none.
    pub(super) shortest_bound: Option<u64>,
}

/// A line of the first panel.
#[derive(Clone, Copy)]
pub(super) enum Line {
    Quantile(Quantile),
    Max,
}

/// Columns of a run at most: two pixels each, where a page is wide.
const MOST: usize = 480;
/// A phase is not cut into fewer columns than this only to have more in each.
const FEWEST: usize = 6;
impl Line {
    pub(super) fn name(self) -> String {
        match self {
            Self::Quantile(quantile) => quantile.to_string(),
            Self::Max => "max".to_owned(),
        }
    }
}

impl Column {
    pub(super) fn due(&self) -> u64 {
        self.ok.count() + self.failed.count()
    }

    pub(super) fn per_second(&self, count: u64) -> f64 {
        count as f64 * 1e9 / (self.to - self.from).max(1) as f64
    }

    /// What a line shows of it; none where there are too few requests to say.
    pub(super) fn value(&self, line: Line) -> Option<u64> {
        match line {
            Line::Quantile(quantile) => (self.due() >= fewest(quantile))
                .then(|| self.all.quantile(quantile))
                .flatten(),
            Line::Max => self.ok.max().max(self.failed.max()),
        }
    }

    /// Whether requests whose end was not seen could move it. A failure that took less than the shortest of those did was
    /// seen to end.
    pub(super) fn is_bound(&self, line: Line) -> bool {
        let longest = self.failed.max();
        if self
            .shortest_bound
            .is_none_or(|shortest| longest < Some(shortest))
        {
            return false;
        }
        match line {
            Line::Quantile(quantile) => {
                let at_worst = self.ok.value_at_rank(quantile.rank(self.due()));
                let value = self.all.quantile(quantile);
                !at_worst
                    .zip(value)
                    .is_some_and(|(worst, value)| Histogram::same_bucket(worst, value))
            }
            Line::Max => longest >= self.ok.max(),
        }
    }
}

/// The columns of all phases, of which each starts at its place of `starts`, in nanoseconds.
pub(super) fn of_phases(phases: &[PhaseRecord], starts: &[u64]) -> Vec<Column> {
    let windows: usize = phases.iter().map(|phase| phase.windows.len()).sum();
    let least = windows.div_ceil(MOST).max(1);
    let phases = phases.iter().zip(starts).enumerate();
    phases
        .flat_map(|(index, (phase, start))| columns(index, phase, *start, least))
        .collect()
}

/// The windows of a phase, `least` or more of them together: as many as let most columns tell a p99, where enough columns
/// are left then.
fn columns(index: usize, phase: &PhaseRecord, start: u64, least: usize) -> Vec<Column> {
    let windows = phase.windows.len();
    let together = together(windows, phase.tally.due, least);
    let Some(width) = phase.windows.first().map(|window| window.width_ns) else {
        return Vec::new();
    };
    let place = |start_ns: u64| start_ns / (width.max(1) * together as u64);
    let groups =
        phase.windows[..within(phase)].chunk_by(|a, b| place(a.start_ns) == place(b.start_ns));
    let shortest_bound = phase.tally.response().censored.min();
    let column = |group: &[Window]| {
        let parts: Vec<[Histogram; 2]> = group
            .iter()
            .filter_map(|window| window.parts().ok())
            .collect();
        let (first, last) = (group.first()?, group.last()?);
        // The last window of a phase may be shorter.
        let end = (last.start_ns + last.width_ns).min(phase.duration_ns);
        let ok = Histogram::merged(parts.iter().map(|[ok, _]| ok));
        let failed = Histogram::merged(parts.iter().map(|[_, failed]| failed));
        Some(Column {
            phase: index,
            from: start + first.start_ns,
            to: start + end,
            all: Histogram::merged([&ok, &failed]),
            ok,
            failed,
            shortest_bound,
        })
    };
    groups.filter_map(column).collect()
}

/// How many of a phase's windows begin before its end. What comes due after the last phase has windows of its own.
pub(super) fn within(phase: &PhaseRecord) -> usize {
    let is_within = |window: &Window| window.start_ns < phase.duration_ns;
    phase.windows.partition_point(is_within)
}

/// How many windows make a column.
fn together(windows: usize, due: u64, least: usize) -> usize {
    let each = due / (windows as u64).max(1);
    let for_p99 = fewest(Quantile::P99).div_ceil(each.max(1)) as usize;
    match windows / for_p99.max(1) {
        FEWEST.. => for_p99.max(least),
        _ => least,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_go_together_until_they_tell_a_p99() {
        assert_eq!(together(60, 60_000, 1), 1);
        assert_eq!(together(60, 6_000, 1), 4);
        // 13 of them would leave too few columns to see anything.
        assert_eq!(together(10, 300, 1), 1);
        assert_eq!(together(240, 2_400_000, 3), 3);
    }
}
