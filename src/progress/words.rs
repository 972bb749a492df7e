//! Figures as the view and the plain lines have them.

use std::time::Duration;

use crate::exchange::{Outcome, Outcomes};
use crate::ledger::Bound;
use crate::scenario::LoadModel;
use crate::units::{thousands, three_digits};

/// What stands where nothing is known.
pub(super) const UNKNOWN: &str = "n/a";

/// A time in milliseconds, marked where it is a lower bound.
pub(super) fn ms(bound: Option<Bound>) -> String {
    bound.map_or(UNKNOWN.to_owned(), |Bound { value, censored }| {
        let mark = if censored { "≥ " } else { "" };
        format!("{mark}{}", three_digits(value as f64 / 1e6))
    })
}

/// A time in milliseconds that matters only when it is large: with two decimals at most.
pub(super) fn brief_ms(ns: Option<u64>) -> String {
    ns.map_or(UNKNOWN.to_owned(), |ns| match ns as f64 / 1e6 {
        small @ ..1.0 => format!("{small:.2}"),
        large => three_digits(large),
    })
}

/// `998/s`: so many arrivals a second.
pub(super) fn per_second(rate: f64) -> String {
    match rate {
        0.0 => "0/s".to_owned(),
        rate => format!("{}/s", three_digits(rate)),
    }
}

/// Arrivals per second that `model` offers when `share` of its phase is over; none where the target decides, and in a
/// pause.
pub(super) fn offered(model: LoadModel, share: f64) -> Option<f64> {
    match model {
        LoadModel::Ramp { from, to, .. } => {
            let (from, to) = (from.per_second(), to.per_second());
            Some(from + (to - from) * share.clamp(0.0, 1.0))
        }
        other => other.mean_rate(),
    }
}

/// `0:09`, `12:05`, `1:00:00`, as wide as `longest` is.
pub(super) fn clock(seconds: u64, longest: u64) -> String {
    let said = match seconds {
        3_600.. => format!(
            "{}:{:02}:{:02}",
            seconds / 3_600,
            seconds / 60 % 60,
            seconds % 60
        ),
        _ => format!("{}:{:02}", seconds / 60, seconds % 60),
    };
    if seconds >= longest {
        return said;
    }
    let width = clock(longest, longest).len();
    format!("{said:>width$}")
}

/// How much longer something is expected to take: `about 40 s`, `about 5 min`.
pub(super) fn about(time: Duration) -> String {
    const SECONDS: u64 = 90;
    match time.as_secs() {
        // To ten seconds, so that it is calm.
        seconds @ ..SECONDS => format!("about {} s", seconds.div_ceil(10).max(1) * 10),
        seconds => format!("about {} min", (seconds + 30) / 60),
    }
}

/// `37 of 30,000 (0.12 %): 31 × 503 · 5 × timeout (10 s) · 1 × reset`.
pub(super) fn failures(outcomes: &Outcomes, statuses: &[(u16, u64)], timeout: Duration) -> String {
    let (failed, total) = (outcomes.failed(), outcomes.total());
    if failed == 0 {
        return format!("0 of {}", thousands(total));
    }
    let kinds = outcomes.iter().filter(|(_, count)| *count > 0);
    let kinds = kinds.flat_map(|(outcome, count)| match outcome {
        Outcome::Ok => Vec::new(),
        Outcome::StatusError => statuses
            .iter()
            .map(|(status, count)| format!("{} × {status}", thousands(*count)))
            .collect(),
        Outcome::Timeout => vec![format!(
            "{} × timeout ({} s)",
            thousands(count),
            timeout.as_secs_f64()
        )],
        other => vec![format!("{} × {}", thousands(count), other.words())],
    });
    format!(
        "{} of {} ({}): {}",
        thousands(failed),
        thousands(total),
        percent(failed as f64 / total as f64),
        kinds.collect::<Vec<_>>().join(" · ")
    )
}

/// `0.12 %`, `41 %`.
pub(super) fn percent(share: f64) -> String {
    let percent = share * 100.0;
    match percent {
        9.95.. => format!("{percent:.0} %"),
        0.995.. => format!("{percent:.1} %"),
        0.005.. => format!("{percent:.2} %"),
        _ if share == 0.0 => "0 %".to_owned(),
        _ => "under 0.01 %".to_owned(),
    }
}

/// `text`, or as much of it as `width` columns hold, and that there is more.
pub(super) fn fitting(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let kept: String = text.chars().take(width.saturating_sub(1)).collect();
    format!("{}…", kept.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_are_as_wide_as_the_longest_of_them() {
        for (seconds, longest, said) in [
            (9, 30, "0:09"),
            (9, 600, " 0:09"),
            (725, 725, "12:05"),
            (59, 3_600, "   0:59"),
            (3_661, 3_600, "1:01:01"),
            (0, 0, "0:00"),
        ] {
            assert_eq!(clock(seconds, longest), said, "{seconds} of {longest}");
        }
    }

    #[test]
    fn what_is_expected_is_said_roughly() {
        for (seconds, said) in [
            (0, "about 10 s"),
            (41, "about 50 s"),
            (89, "about 90 s"),
            (90, "about 2 min"),
            (305, "about 5 min"),
        ] {
            assert_eq!(about(Duration::from_secs(seconds)), said);
        }
    }

    #[test]
    fn failures_are_named_as_in_the_summary() {
        let mut outcomes = Outcomes::default();
        outcomes.add(Outcome::Ok, 29_963);
        let words = |outcomes: &Outcomes, statuses: &[(u16, u64)], ms| {
            failures(outcomes, statuses, Duration::from_millis(ms))
        };
        assert_eq!(words(&outcomes, &[], 10_000), "0 of 29,963");
        outcomes.add(Outcome::StatusError, 31);
        outcomes.add(Outcome::Timeout, 5);
        outcomes.add(Outcome::Reset, 1);
        assert_eq!(
            words(&outcomes, &[(500, 1), (503, 30)], 2_500),
            "37 of 30,000 (0.12 %): 1 × 500 · 30 × 503 · 5 × timeout (2.5 s) · 1 × reset"
        );
    }

    #[test]
    fn what_does_not_fit_says_that_there_is_more() {
        assert_eq!(fitting("steady", 6), "steady");
        assert_eq!(fitting("as steady", 5), "as s…");
        assert_eq!(fitting("as steady", 4), "as…");
        assert_eq!(fitting("as", 0), "…");
    }
}
