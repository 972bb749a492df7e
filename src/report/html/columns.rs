//! A run cut into stretches of time, of which each is one value of a line.

use crate::histogram::Histogram;
use crate::run_record::PhaseRecord;
use crate::stats::fewest;
use crate::units::Quantile;
use crate::windows::{Grid, Window};

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
const MOST: u64 = 480;
/// A phase is not cut into fewer columns than this only to have more in each.
const FEWEST: u64 = 6;
/// Requests that come due in a column at least, where there are columns enough: of one or none, a rate is read as twice
/// what it is, or as none.
const FEW: u64 = 2;

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

    /// Whether requests whose end was not seen could move it: any of them may have been the longest. A failure that took
    /// less than the shortest of those did was seen to end.
    pub(super) fn is_bound(&self, line: Line) -> bool {
        let slowest = self.failed.max();
        if self
            .shortest_bound
            .is_none_or(|shortest| slowest < Some(shortest))
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
            Line::Max => true,
        }
    }
}

/// The columns of all phases, of which each starts at its place of `starts`, in nanoseconds: one follows the other, and
/// those in which nothing was due are empty.
pub(super) fn of_phases(phases: &[PhaseRecord], starts: &[u64]) -> Vec<Column> {
    let windows: u64 = phases.iter().map(windows).sum();
    let least = windows.div_ceil(MOST).max(1);
    let phases = phases.iter().zip(starts).enumerate();
    phases
        .flat_map(|(index, (phase, start))| columns(index, phase, *start, least))
        .collect()
}

/// How many windows a phase is cut into. A record leaves out those in which nothing was due.
fn windows(phase: &PhaseRecord) -> u64 {
    phase.duration_ns.div_ceil(width(phase))
}

/// How wide the windows of a phase are, in nanoseconds.
fn width(phase: &PhaseRecord) -> u64 {
    let own = phase.windows.first().map(|window| window.width_ns);
    let width = own.unwrap_or_else(|| Grid::new(0, phase.duration_ns).width);
    width.max(1)
}

/// The windows of a phase, `least` or more of them together: as many as let most columns tell a p99, where enough columns
/// are left then.
fn columns(index: usize, phase: &PhaseRecord, start: u64, least: u64) -> Vec<Column> {
    let together = together(windows(phase), phase.tally.due, least);
    let span = width(phase).saturating_mul(together);
    let shortest_bound = phase.tally.response().censored.min();
    let seen = &phase.windows[..within(phase)];
    let column = |place: u64| {
        let from = place * span;
        // The last one of a phase may be shorter.
        let to = from.saturating_add(span).min(phase.duration_ns);
        let own = seen
            .iter()
            .filter(|window| (from..to).contains(&window.start_ns));
        let parts: Vec<[Histogram; 2]> = own.filter_map(|window| window.parts().ok()).collect();
        let ok = Histogram::merged(parts.iter().map(|[ok, _]| ok));
        let failed = Histogram::merged(parts.iter().map(|[_, failed]| failed));
        Column {
            phase: index,
            from: start + from,
            to: start + to,
            all: Histogram::merged([&ok, &failed]),
            ok,
            failed,
            shortest_bound,
        }
    };
    (0..phase.duration_ns.div_ceil(span)).map(column).collect()
}

/// How many of a phase's windows begin before its end. What comes due after the last phase has windows of its own.
pub(super) fn within(phase: &PhaseRecord) -> usize {
    let is_within = |window: &Window| window.start_ns < phase.duration_ns;
    phase.windows.partition_point(is_within)
}

/// How many windows make a column.
fn together(windows: u64, due: u64, least: u64) -> u64 {
    let holding = |requests: u64| {
        let wanted = requests.saturating_mul(windows).div_ceil(due.max(1));
        wanted.max(least)
    };
    [fewest(Quantile::P99), FEW]
        .map(holding)
        .into_iter()
        .find(|together| windows / together >= FEWEST)
        .unwrap_or(least)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::Outcome;
    use crate::run_record::fixtures::{Answer, MS, ok, record, url_yaml};

    #[test]
    fn windows_go_together_until_they_tell_a_p99() {
        assert_eq!(together(60, 60_000, 1), 1);
        assert_eq!(together(60, 6_000, 1), 4);
        // 13 of them would leave too few columns to see anything.
        assert_eq!(together(10, 300, 1), 1);
        assert_eq!(together(240, 2_400_000, 3), 3);
    }

    #[test]
    fn windows_of_one_request_or_none_go_together_too() {
        assert_eq!(together(60, 30, 1), 4);
        assert_eq!(together(60, 60, 1), 2);
        assert_eq!(together(60, 61, 2), 2);
        // Of four requests in a minute no rate can be read.
        assert_eq!(together(60, 4, 1), 1);
        assert_eq!(together(60, 0, 1), 1);
        assert_eq!(together(0, 0, 1), 1);
    }

    #[test]
    fn the_longest_is_a_bound_where_any_request_was_given_up() {
        let given_up = Answer {
            outcome: Outcome::Timeout,
            status: None,
            ..ok(1_000 * MS)
        };
        let record = record("url", &url_yaml("20/s", "3s"), |asked| {
            match asked.arrival {
                // In the first second, beside one that took longer and was seen to end.
                4 => given_up,
                5 => ok(2_000 * MS),
                // In the second one all is known.
                25 => ok(1_500 * MS),
                _ => ok(MS),
            }
        });
        let columns = of_phases(&record.phases, &[0]);
        let bounds: Vec<bool> = columns
            .iter()
            .map(|column| column.is_bound(Line::Max))
            .collect();
        assert_eq!(bounds, [true, false, false]);
        let longest = columns[0].value(Line::Max);
        assert!(longest > Some(1_999 * MS), "{longest:?}");
        assert!(!columns[0].is_bound(Line::Quantile(Quantile::P50)));
    }
}
