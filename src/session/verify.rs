//! Plays scripts on an oracle of its own, and holds what tailmark measures against what the oracle wrote down.
//!
//! The oracle is a process, started for each run anew; tailmark's own generator runs in this one, as in any other
//! measurement.

mod oracle;
mod peer;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::run::{self, run_once};
use super::shutdown::{Interrupted, Shutdown};
use super::{Access, SessionError, Stage, Watcher};
use crate::event::Event;
use crate::exchange::Outcome;
use crate::machine;
use crate::run_record::RunRecord;
use crate::scenario::{Given, Scenario};
use crate::schedule::Schedule;
use crate::target_spec::TargetSpec;
use crate::units::{Rate, format_duration};
use crate::verification::log::MOST_ENTRIES;
use crate::verification::peers::Peer;
use crate::verification::scripts::Scripted;
use crate::verification::truth::Truth;
use crate::verification::{Answers, Figures, Found, Late, Seen, Verification};
use oracle::Running;

/// How often a script is played at most before its times count as wrong. A wrong generator is off every time; a
/// machine that takes the CPU away for some milliseconds moves a p99.9 of 5,000 requests about one time in five.
const MOST_PLAYED: usize = 3;

/// What to play.
#[derive(Debug, Clone)]
pub struct Request {
    /// tailmark itself, which is also the oracle.
    pub program: PathBuf,
    /// The scripts.
    pub scripts: Vec<Scripted>,
    /// Requests per second.
    pub rate: Rate,
    /// How long each is played.
    pub duration: Duration,
    /// Whether others play them too.
    pub peers: bool,
}

/// Why scripts could not be played.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// The oracle could not be started, or did not say where it listens.
    #[error("the oracle did not start: {0}")]
    Start(String),
    /// What it wrote could not be read.
    #[error("the oracle left no log: {0}")]
    Log(String),
    /// More requests than it can write down.
    #[error(
        "{0} requests per script are more than the {MOST_ENTRIES} that the oracle can write down"
    )]
    TooMany(u64),
    /// Something went wrong with a peer that is not its own failure.
    #[error("running {0}")]
    Peer(&'static str, #[source] std::io::Error),
}

/// Plays every script and returns what was found; what is written on the way goes to `folder`.
///
/// # Errors
/// When the oracle or the generator fail, or at an interrupt. What was started is stopped.
pub async fn verify(
    request: &Request,
    folder: &Path,
    shutdown: &Shutdown,
    watch: Watcher<'_>,
) -> Result<Verification, SessionError> {
    let peers: &[Peer] = if request.peers { &Peer::ALL } else { &[] };
    let (peers, not_installed): (Vec<_>, Vec<_>) = peers
        .iter()
        .map(|&peer| (peer, peer::find(peer.name())))
        .partition(|(_, program)| program.is_some());
    let mut found = Vec::new();
    for scripted in &request.scripts {
        let mut own = play_until_right(request, scripted, folder, shutdown, watch).await?;
        for (peer, program) in peers
            .iter()
            .filter_map(|(peer, at)| Some((peer, at.as_ref()?)))
        {
            let name = peer.name();
            watch(Event::Step(&format!("{}: {name} plays it", scripted.name)));
            let playing = peer::play(request, scripted, *peer, program, folder);
            own.peers.push(shutdown.unless_requested(playing).await??);
        }
        found.push(own);
    }
    Ok(Verification {
        rate: request.rate,
        duration: request.duration,
        found,
        not_installed: not_installed.iter().map(|(peer, _)| peer.name()).collect(),
        environment: machine::describe(),
    })
}

/// Plays one script to tailmark's own generator, and again where only times are off.
async fn play_until_right(
    request: &Request,
    scripted: &Scripted,
    folder: &Path,
    shutdown: &Shutdown,
    watch: Watcher<'_>,
) -> Result<Found, SessionError> {
    let mut earlier = Vec::new();
    loop {
        let found = play(request, scripted, folder, shutdown, watch).await?;
        let off = found.off();
        if off.is_empty() || !found.lost().is_empty() || earlier.len() + 1 == MOST_PLAYED {
            return Ok(Found { earlier, ..found });
        }
        earlier.push(off);
    }
}

/// Plays one script to tailmark's own generator.
async fn play(
    request: &Request,
    scripted: &Scripted,
    folder: &Path,
    shutdown: &Shutdown,
    watch: Watcher<'_>,
) -> Result<Found, SessionError> {
    let scenario = scenario(request, scripted);
    let expected = scenario.phases()[0].expected_arrivals();
    if let Some(arrivals) = expected.filter(|&arrivals| arrivals > MOST_ENTRIES as u64) {
        return Err(VerifyError::TooMany(arrivals).into());
    }
    watch(Event::Step(&format!(
        "{}: starting the oracle",
        scripted.name
    )));
    let starting = Running::start(request, scripted, folder);
    let oracle = shutdown.unless_requested(starting).await??;
    let run = run::Request {
        target: TargetSpec::from_argument(oracle.url(), None)
            .expect("where the oracle listens is a URL"),
        scenario,
        given: Given::default(),
        // The oracle's log is of the load alone.
        preflight: false,
        at_most: None,
        engine: run::Engine::default(),
        workers: None,
        sample_hz: 1,
        rest: Duration::ZERO,
        after_load: false,
        together: None,
        access: Access::default(),
    };
    let mut start = None;
    let mut watched = |event: Event<'_>| {
        if let Event::Started { start_ns, .. } = event {
            start = Some(start_ns);
        }
        watch(event);
    };
    let record = run_once(&Stage::default(), &run, folder, shutdown, &mut watched).await?;
    watch(Event::Over);
    let Some(start) = start.filter(|_| !record.interrupted) else {
        return Err(Interrupted.into());
    };
    let log = oracle.stop()?;

    let schedule = Arc::new(Schedule::new(run.scenario.phases(), run.scenario.seed()));
    let due: Vec<u64> = schedule
        .arrivals()
        .map(|arrival| start + arrival.due)
        .collect();
    let truth = Truth::of_schedule(&log, &due, scripted.connections);
    Ok(Found {
        scripted: scripted.clone(),
        due: due.len() as u64,
        missing: truth.missing,
        strays: truth.strays,
        truth: Seen {
            times: Figures::of_times(&truth.response),
            answers: truth.answers,
        },
        measured: measured(&record),
        late: Late::of(&truth.late),
        validity: record.validity,
        earlier: Vec::new(),
        peers: Vec::new(),
    })
}

/// What the record says, as anybody reads it.
fn measured(record: &RunRecord) -> Seen {
    let total = record.total();
    let outcomes = total.outcomes();
    Seen {
        times: Figures::of_histogram(&total.response().all()),
        answers: Answers {
            ok: outcomes.of(Outcome::Ok),
            errors: outcomes.of(Outcome::StatusError),
            resets: outcomes.of(Outcome::Reset),
        },
    }
}

/// One request again and again, whose path says which it is.
fn scenario(request: &Request, scripted: &Scripted) -> Scenario {
    let text = format!(
        "tailmark: 1
connections: {{ max: {} }}
flows: {{ oracle: {{ steps: [{{ name: answer, get: \"/${{seq}}\" }}] }} }}
phases: [{{ name: main, rate: {}, for: {} }}]
",
        scripted.connections,
        request.rate,
        format_duration(request.duration)
    );
    Scenario::parse(scripted.name, text.as_bytes()).expect("a rate and a duration make a phase")
}
