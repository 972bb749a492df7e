//! What is kept in a log: a line for each run or round, and for a load by itself one every ten seconds.

use std::time::Duration;

use super::model::{Load, Model};
use super::words::{UNKNOWN, clock, ms, offered, per_second};
use crate::event::Event;
use crate::units::{mib, thousands};

/// The time between two lines of a load.
const EVERY: Duration = Duration::from_secs(10);

/// Plain lines.
#[derive(Debug, Default)]
pub(super) struct Log {
    model: Model,
    /// When the next line of the load is due; none while there is no load.
    next: Option<Duration>,
}

impl Log {
    /// The line that an event at `now` makes.
    pub(super) fn tell(&mut self, event: &Event<'_>, now: Duration) -> Option<String> {
        self.model.tell(event, now);
        match event {
            Event::Started { .. } => self.next = Some(now + EVERY),
            // The load is over, or about to be.
            Event::Step(_) => self.next = None,
            _ => {}
        }
        lasting(event)
    }

    /// The line that is due at `now`. Of loads that are one of many, the lines of runs and rounds tell enough.
    pub(super) fn tick(&mut self, now: Duration) -> Option<String> {
        let due = self.next.filter(|due| *due <= now)?;
        let missed = (now - due).as_secs() / EVERY.as_secs();
        self.next = Some(due + EVERY * (missed as u32 + 1));
        let load = self.model.load.as_ref()?;
        self.model.rounds.is_none().then(|| line(load, now))
    }
}

/// The line that an event leaves behind, wherever it is shown.
pub(super) fn lasting(event: &Event<'_>) -> Option<String> {
    match event {
        Event::Warning(words) => Some(format!("warning: {words}")),
        Event::RunDone(done) => Some(done.to_string()),
        Event::RoundDone(line) => Some((*line).to_owned()),
        _ => None,
    }
}

/// `steady 0:10 of 0:30 · 1,000/s offered, 998/s achieved · p50 0.412, p99 1.84 ms · 0 of 9,998 failed · memory 8.9 MiB`.
fn line(load: &Load, now: Duration) -> String {
    const SECOND: u64 = 1_000_000_000;
    let place = load.place(now);
    let Some(phase) = place.phase else {
        return "letting what is in flight end".to_owned();
    };
    let length = phase.length_ns.div_ceil(SECOND);
    let share = place.gone_ns as f64 / phase.length_ns.max(1) as f64;
    let achieved = load.achieved(now);
    let achieved = achieved.map_or(UNKNOWN.to_owned(), per_second);
    let rate = match offered(phase.model, share) {
        Some(rate) => format!("{} offered, {achieved} achieved", per_second(rate)),
        None => format!("{achieved} achieved"),
    };
    let (outcomes, _) = load.ended();
    let mut line = format!(
        "{} {} of {} · {rate} · p50 {}, p99 {} ms · {} of {} failed",
        phase.name,
        clock(place.gone_ns / SECOND, 0),
        clock(length, 0),
        ms(load.phase.p50),
        ms(load.phase.p99),
        thousands(outcomes.failed()),
        thousands(outcomes.total())
    );
    if let Some(bytes) = load.usage.and_then(|usage| usage.memory_bytes) {
        line += &format!(" · memory {} MiB", mib(bytes));
    }
    line
}
