//! The generator: sends a scenario's requests when they are due, and measures from that moment.
//!
//! [`Load::prepare`] starts a thread per worker and opens connections; [`Load::begin`] sets the moment from which all
//! due moments count; [`Load::finish`] collects what the workers have seen. Needs Linux (`timerfd`).

mod clock;
mod dial;
pub mod http1;
mod http2;
mod http_parts;
mod http_tap;
mod kept;
mod limits;
mod link;
mod memory;
mod names;
mod pacer;
mod pools;
mod punctuality;
mod queue;
mod single;
mod stream;
mod timer;
mod tls;
mod turn;
mod walks;
mod worker;

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;

use http::HeaderValue;
use tokio::sync::{mpsc, oneshot, watch};
use url::Url;

use crate::event::Standing;
use crate::ledger::Ledger;
use crate::run_record::{Connections, Failure, Generator, HttpVersion, RowsEnded, Traffic};
use crate::scenario::{Given, Known, LoadModel, Open, Order, RequestTemplate, Scenario, Unfilled};
use crate::schedule::Schedule;
use crate::windows::{Grid, Part, Windows};

use names::Names;
use pools::Pools;

pub(crate) use clock::monotonic;
pub use dial::Route;
pub use limits::LimitError;
pub(crate) use limits::most_connections;
pub use link::Engine;
pub(crate) use punctuality::{clock_read_ns, lateness};
pub use single::{Kept, Preflight, Shown, call_all, exchange as exchange_once, preflight};
pub use tls::{Pem, Tls, TlsError, TlsOptions};

/// What is to be sent, and where.
#[derive(Debug)]
pub struct Plan {
    /// The scenario.
    pub scenario: Arc<Scenario>,
    /// What it was given.
    given: Given,
    /// The requests of each flow's steps, with what is known before the run in them.
    requests: Vec<Vec<RequestTemplate>>,
    /// The target as walks' cookies know it.
    base: Url,
    /// Its arrivals.
    pub schedule: Arc<Schedule>,
    /// The target.
    pub route: Route,
    /// What the `host` header says.
    pub host: HeaderValue,
    /// Threads.
    pub workers: usize,
    /// Who speaks HTTP/1.1.
    pub engine: Engine,
    /// Where rows of a feeder may end the run.
    ending: Option<Ending>,
}

/// Rows that are read once.
#[derive(Debug)]
struct Ending {
    /// The feeder.
    feeder: String,
    order: Order,
    rows: u64,
    /// When the schedule would end if there were rows enough.
    without: u64,
}

/// What a worker tells while it works, about once a second.
#[derive(Debug)]
pub enum Told {
    /// What it saw of a window.
    Part(Box<Part>),
    /// How it stands, after all that it had to tell of windows.
    Standing(Standing),
}

/// Workers that are ready to offer load, or do.
#[derive(Debug)]
pub struct Load {
    plan: Arc<Plan>,
    command: Arc<watch::Sender<Command>>,
    told: mpsc::UnboundedReceiver<Told>,
    threads: Vec<JoinHandle<io::Result<worker::Report>>>,
    /// Keeps the target's addresses current.
    _names: Names,
}

/// Stops a load from elsewhere.
#[derive(Debug, Clone)]
pub struct Stopper(Arc<watch::Sender<Command>>);

/// What the workers have seen.
#[derive(Debug)]
pub struct Loaded {
    /// Every exchange.
    pub ledger: Ledger,
    /// Response times over time.
    pub windows: Windows,
    /// How the phases were cut into windows.
    pub grids: Vec<Grid>,
    /// Bytes.
    pub traffic: Traffic,
    /// Connections.
    pub connections: Connections,
    /// Cost.
    pub generator: Generator,
    /// The first failure of each kind, earliest first.
    pub failures: Vec<Failure>,
    /// When load was no longer offered, in nanoseconds from the start.
    pub ended: u64,
    /// Whether it was stopped before the schedule's end.
    pub stopped: bool,
    /// The feeder whose rows ended it, where they did.
    pub rows_ended: Option<RowsEnded>,
    /// Whether arrivals waited because too many walks were in progress.
    pub walks_full: bool,
}

/// Why a load could not be offered.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The target has no address.
    #[error("cannot resolve {host}")]
    Name {
        /// Its name.
        host: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The system allows too few connections.
    #[error(transparent)]
    Limit(#[from] LimitError),
    /// The system refused a thread, a timer or an event queue.
    #[error("could not set up a worker")]
    Worker(#[source] io::Error),
    /// An exchange was lost: a defect in tailmark.
    #[error(
        "{due} requests were due and {recorded} recorded; this is a defect of tailmark, please report it"
    )]
    Unbalanced {
        /// Exchanges found due.
        due: u64,
        /// Exchanges with an outcome.
        recorded: u64,
    },
}

/// What the workers are to do.
#[derive(Debug, Clone, Copy)]
enum Command {
    /// Open connections.
    Prepare,
    /// Offer load from `start` on, a reading of [`monotonic`].
    Run { start: u64 },
    /// Let what is in flight end.
    Drain,
    /// Stop at once.
    Abort,
}

/// A worker keeps its due moments to tens of microseconds up to about this rate on common machines.
const ARRIVALS_PER_WORKER: f64 = 50_000.0;

/// Seconds of arrivals for which connections are opened beforehand: the time that a stall may last before any
/// arrival has to wait for a connection to open, and little enough that none idles for longer than servers allow.
const EAGER_SECONDS: f64 = 0.25;

/// Connections opened beforehand at least.
const EAGER_AT_LEAST: usize = 4;

/// Time between the command to run and the first due moment: long enough for every worker to hear it.
const LEAD_NS: u64 = 2_000_000;

/// The earliest moment at which a load that is prepared can begin, by the monotonic clock in nanoseconds.
pub(crate) fn soon() -> u64 {
    monotonic() + LEAD_NS
}

impl Plan {
    /// The plan of `scenario`, given what it needs, against a target, with as few workers as its rate needs. Its arrivals
    /// end where the rows of a feeder do that is read once.
    ///
    /// # Errors
    /// When something that was given cannot stand where it should.
    pub fn new(
        scenario: Arc<Scenario>,
        given: Given,
        route: Route,
        host: HeaderValue,
    ) -> Result<Self, Unfilled> {
        let requests = scenario.flows().iter().map(|flow| {
            let steps = flow.steps.iter();
            steps.map(|step| step.request.bind(&given.known)).collect()
        });
        let requests = requests.collect::<Result<_, _>>()?;
        let mut schedule = Schedule::new(scenario.phases(), scenario.seed());
        let mut ending = ending(&scenario, &given);
        if let Some(ending) = &mut ending {
            ending.without = schedule.end();
            schedule = schedule.up_to(ending.rows);
        }
        Ok(Self {
            workers: workers(&scenario, None),
            requests,
            base: base(&route, &host),
            schedule: Arc::new(schedule),
            scenario,
            given,
            route,
            host,
            engine: Engine::default(),
            ending,
        })
    }

    /// The same plan, ending after `arrivals` measured ones.
    #[must_use]
    pub fn at_most(mut self, arrivals: u64) -> Self {
        if let Some(ending) = &mut self.ending {
            let whole = Schedule::new(self.scenario.phases(), self.scenario.seed());
            ending.without = whole.at_most(arrivals).end();
        }
        let schedule = Arc::unwrap_or_clone(self.schedule);
        self.schedule = Arc::new(schedule.at_most(arrivals));
        self
    }

    /// What is known before the run.
    #[must_use]
    pub fn known(&self) -> &Known {
        &self.given.known
    }

    fn grids(&self) -> Vec<Grid> {
        let bounds = (0..self.scenario.phases().len()).map(|phase| self.schedule.bounds(phase));
        bounds
            .map(|(start, end)| Grid::new(start, end - start))
            .collect()
    }

    /// Exchanges for which connections are opened beforehand: of HTTP/1.1, as many connections.
    fn eager_exchanges(&self) -> usize {
        let connections = self.scenario.connections();
        match connections.open {
            Open::OnDemand => return 0,
            _ if !connections.reuse => return 0,
            Open::All => return connections.max.saturating_mul(connections.lanes()),
            Open::Eager => {}
        }
        let wanted = (highest_rate(&self.scenario) * EAGER_SECONDS).ceil() as usize;
        let users = self
            .scenario
            .phases()
            .iter()
            .filter_map(|phase| match phase.model {
                LoadModel::Closed { users } => Some(users as usize),
                _ => None,
            });
        wanted
            .max(users.max().unwrap_or(0))
            .max(EAGER_AT_LEAST)
            .min(connections.max.saturating_mul(connections.lanes()))
    }
}

impl Load {
    /// Starts the workers and opens the first connections. That one could not be opened is no error here: the
    /// exchange that needs it will say so.
    ///
    /// # Errors
    /// When the target's name has no address, its connections are more than the system allows, or the system refuses
    /// what a worker needs.
    pub async fn prepare(plan: Plan) -> Result<Self, LoadError> {
        let plan = Arc::new(plan);
        let connections = plan.scenario.connections();
        limits::check_descriptors(connections.max, plan.workers)?;
        let names = Names::resolve(&plan.route.host, plan.route.port, connections.dns_ttl)
            .await
            .map_err(|source| LoadError::Name {
                host: plan.route.host.clone(),
                source,
            })?;
        let addresses = names.current();
        let sources = limits::sources(connections.max, &addresses.borrow())?;
        let (command, heard) = watch::channel(Command::Prepare);
        let (watchers, told) = mpsc::unbounded_channel();
        let mut load = Self {
            command: Arc::new(command),
            told,
            threads: Vec::new(),
            plan: Arc::clone(&plan),
            _names: names,
        };
        let mut prepared = Vec::new();
        let most = connections.max;
        let pools = Pools::new((0..plan.workers).map(|index| share(most, index, plan.workers)));
        for index in 0..plan.workers {
            let (ready, is_ready) = oneshot::channel();
            let setup = worker::Setup {
                index,
                connections: share(most, index, plan.workers),
                pool: pools.own(index),
                eager: share(plan.eager_exchanges(), index, plan.workers),
                addresses: addresses.clone(),
                sources,
                command: heard.clone(),
                ready,
                watchers: watchers.clone(),
                plan: Arc::clone(&plan),
            };
            let thread = std::thread::Builder::new()
                .name(format!("worker-{index}"))
                .spawn(move || worker::run(setup))
                .map_err(LoadError::Worker)?;
            load.threads.push(thread);
            prepared.push(is_ready);
        }
        for ready in prepared {
            // A worker that ended instead says why when it is joined.
            let _ = ready.await;
        }
        Ok(load)
    }

    /// Starts the schedule; `start` is its zero as a reading of the machine's monotonic clock, in nanoseconds, a little ahead of now.
    pub fn begin(&self, start: u64) {
        self.command.send_replace(Command::Run { start });
    }

    /// A handle that stops this load.
    #[must_use]
    pub fn stopper(&self) -> Stopper {
        Stopper(Arc::clone(&self.command))
    }

    /// Waits until every worker is done, telling `watch` of what they tell as it comes.
    ///
    /// # Errors
    /// When a worker could not work, or an exchange was lost.
    pub async fn finish(mut self, mut watch: impl FnMut(&Told)) -> Result<Loaded, LoadError> {
        let plan = Arc::clone(&self.plan);
        let mut windows = Windows::default();
        while let Some(told) = self.told.recv().await {
            watch(&told);
            if let Told::Part(part) = told {
                windows.add(&part);
            }
        }
        let mut rows_met = false;
        let mut loaded = Loaded {
            ledger: Ledger::new(plan.scenario.phases().len(), &plan.steps_per_flow()),
            windows,
            grids: plan.grids(),
            traffic: Traffic::default(),
            connections: Connections {
                max: plan.scenario.connections().max,
                ..Connections::default()
            },
            generator: Generator {
                workers: plan.workers,
                ..Generator::default()
            },
            failures: Vec::new(),
            ended: 0,
            stopped: false,
            rows_ended: None,
            walks_full: false,
        };
        let mut http2 = 0;
        for (index, thread) in self.threads.drain(..).enumerate() {
            // Nobody is left to tell anything, so the threads have ended or are about to.
            let report = match thread.join() {
                Ok(report) => report.map_err(LoadError::Worker)?,
                Err(panic) => std::panic::resume_unwind(panic),
            };
            http2 += report.http2;
            rows_met |= report.rows_met;
            loaded.add(index, report);
        }
        loaded.connections.http = match (http2, loaded.connections.opened) {
            (_, 0) => None,
            (0, _) => Some(HttpVersion::One),
            (http2, opened) => (http2 == opened).then_some(HttpVersion::Two),
        };
        if !loaded.stopped {
            loaded.rows_ended = plan.ended_by_rows(rows_met, loaded.ended);
        }
        loaded.failures.sort_by_key(|failure| failure.at_ns);
        let mut seen = Vec::new();
        loaded.failures.retain(|failure| {
            let first = !seen.contains(&failure.outcome);
            seen.push(failure.outcome.clone());
            first
        });
        if !loaded.ledger.is_balanced() {
            let due = loaded.ledger.phases.iter().map(|phase| phase.due).sum();
            let recorded = loaded
                .ledger
                .phases
                .iter()
                .map(|phase| phase.outcomes().total())
                .sum();
            return Err(LoadError::Unbalanced { due, recorded });
        }
        Ok(loaded)
    }
}

impl Drop for Load {
    /// A load that is given up leaves no thread behind.
    fn drop(&mut self) {
        self.command.send_replace(Command::Abort);
        for thread in self.threads.drain(..) {
            // Why it ended no longer matters.
            let _ = thread.join();
        }
    }
}

impl Stopper {
    /// Offers no more load, and lets what is in flight end.
    pub fn drain(&self) {
        self.0.send_replace(Command::Drain);
    }

    /// Stops at once.
    pub fn abort(&self) {
        self.0.send_replace(Command::Abort);
    }
}

impl Plan {
    fn steps_per_flow(&self) -> Vec<usize> {
        self.scenario
            .flows()
            .iter()
            .map(|flow| flow.steps.len())
            .collect()
    }
}

impl Loaded {
    fn add(&mut self, index: usize, report: worker::Report) {
        self.ledger.merge(&report.ledger);
        self.traffic.sent_bytes += report.traffic.sent_bytes;
        self.traffic.received_bytes += report.traffic.received_bytes;
        self.connections.opened += report.opened;
        self.connections.reopened += report.reopened;
        self.connections.peak_in_use += report.peak_in_use;
        self.connections.connect.merge(&report.connect);
        self.connections.tls.merge(&report.tls);
        self.generator.cpu_ns += report.cpu_ns;
        if self
            .generator
            .busiest_worker
            .is_none_or(|(_, busy)| busy < report.busy)
        {
            self.generator.busiest_worker = Some((index, report.busy));
        }
        self.generator.ran_out = self.generator.ran_out.take().or(report.ran_out);
        self.failures.extend(report.failures);
        self.ended = self.ended.max(report.ended);
        self.stopped |= report.stopped;
        self.walks_full |= report.walks_full;
    }
}

/// The feeder with the fewest rows of those that are read once; none where rows never end.
fn ending(scenario: &Scenario, given: &Given) -> Option<Ending> {
    let feeders = scenario.feeders().iter().zip(&given.rows);
    let ending = feeders.filter(|(feeder, _)| feeder.order.ends() && !feeder.fields.is_empty());
    ending
        .map(|(feeder, rows)| Ending {
            feeder: feeder.name.clone(),
            order: feeder.order,
            rows: rows.count(),
            without: 0,
        })
        .min_by_key(|ending| ending.rows)
}

impl Plan {
    /// The feeder whose rows ended a run of this plan at `ended`: `met` by a user of a closed phase, or by what was
    /// scheduled beforehand.
    fn ended_by_rows(&self, met: bool, ended: u64) -> Option<RowsEnded> {
        let Ending {
            feeder,
            order,
            rows,
            without,
        } = self.ending.as_ref()?;
        let scheduled = self.schedule.end() < *without && ended >= self.schedule.end();
        (met || scheduled).then(|| RowsEnded {
            feeder: feeder.clone(),
            rows: *rows,
            is_failure: *order == Order::Unique,
        })
    }
}

/// The root of the target, by the name that its requests give it.
fn base(route: &Route, host: &HeaderValue) -> Url {
    let scheme = if route.is_secure() { "https" } else { "http" };
    let host = host.to_str().unwrap_or_default();
    Url::parse(&format!("{scheme}://{host}/")).unwrap_or_else(|_| {
        // A host that is no part of a URL: cookies are its alone all the same.
        Url::parse("http://target.invalid/").expect("it is one")
    })
}

fn highest_rate(scenario: &Scenario) -> f64 {
    let phases = scenario.phases().iter();
    phases
        .filter_map(|phase| phase.model.highest_rate())
        .fold(0.0, f64::max)
}

/// Threads: as few as the rate of `scenario` needs, or so many as were asked for; each has a connection at least.
#[must_use]
pub fn workers(scenario: &Scenario, asked: Option<usize>) -> usize {
    let most = scenario.connections().max;
    if let Some(asked) = asked {
        return asked.clamp(1, most);
    }
    let wanted = (highest_rate(scenario) / ARRIVALS_PER_WORKER)
        .ceil()
        .max(1.0);
    (wanted as usize).min(most)
}

/// Whether the system allows the connections of `scenario` by so many workers, or as many as its rate needs: to be asked
/// before anything is started.
///
/// # Errors
/// When the hard limit of descriptors is too low.
pub fn check_limits(scenario: &Scenario, workers: Option<usize>) -> Result<(), LimitError> {
    limits::check_descriptors(scenario.connections().max, self::workers(scenario, workers))
}

/// The part of `whole` that falls to one of `workers`.
fn share(whole: usize, index: usize, workers: usize) -> usize {
    whole / workers + usize::from(index < whole % workers)
}
