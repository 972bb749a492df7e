//! The moments of a start that was watched closely.

use std::time::{Duration, Instant};

use super::lookout::{Seen, Sighting};

/// How long a target took to start, counted from the execution of its program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Start {
    /// What the engine took before: from the request to make the container to the program's execution. `None` for a process,
    /// and where the execution was not seen.
    pub engine: Option<Duration>,
    /// Until it accepted a connection; `None` where the execution was not seen.
    pub listening: Option<Took>,
    /// Until it answered its readiness path with a status of 2xx; `None` where the execution was not seen, or it has none.
    pub answered: Option<Took>,
}

/// A time that is never too short.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Took {
    /// From the last moment before both ends may have come to the moment at which both had.
    pub time: Duration,
    /// How much shorter it may have been: for so long nobody looked.
    pub blind: Duration,
}

impl Start {
    /// From what was seen. `asked`: when the engine was asked for the container. `exec`: that the program was executed.
    pub(super) fn seen(asked: Option<Instant>, exec: Option<Sighting>, seen: &Seen) -> Self {
        let took = |end: Option<Sighting>| Some(Took::between(exec?, end?));
        let exec_at_first = exec.map(|exec| exec.at - exec.blind);
        Self {
            engine: asked
                .zip(exec_at_first)
                .map(|(asked, exec)| exec.saturating_duration_since(asked)),
            listening: took(seen.listening),
            answered: took(seen.answered),
        }
    }
}

impl Took {
    fn between(from: Sighting, to: Sighting) -> Self {
        let time = to.at.saturating_duration_since(from.at - from.blind);
        Self {
            time,
            // Nothing ends before it has begun.
            blind: (from.blind + to.blind).min(time),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn a_time_is_as_long_as_it_may_have_been() {
        let asked = Instant::now();
        let sighting = |at: u32, blind: u32| {
            Some(Sighting {
                at: asked + at * MS,
                blind: blind * MS,
            })
        };
        let seen = |listening, answered| {
            let mut seen = Seen::default();
            (seen.listening, seen.answered) = (listening, answered);
            seen
        };
        let took = |time: u32, blind: u32| {
            Some(Took {
                time: time * MS,
                blind: blind * MS,
            })
        };
        let start = Start::seen(
            Some(asked),
            sighting(200, 2),
            &seen(sighting(210, 1), sighting(230, 0)),
        );
        assert_eq!(start.engine, Some(198 * MS));
        assert_eq!(start.listening, took(12, 3));
        assert_eq!(start.answered, took(32, 2));
        // It listened when it was first looked at, which says no more than that it listened by then.
        let late = Start::seen(None, sighting(200, 2), &seen(sighting(210, 150), None));
        assert_eq!((late.engine, late.answered), (None, None));
        assert_eq!(late.listening, took(12, 12));
        let unseen = Start::seen(Some(asked), None, &seen(sighting(210, 1), None));
        assert_eq!((unseen.engine, unseen.listening), (None, None));
    }
}
