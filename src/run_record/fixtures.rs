//! Records for tests, made as real ones are: a scenario's schedule is walked, a scripted target answers in stated
//! times, and every exchange is absorbed.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::exchange::{Exchange, Outcome};
use crate::ledger::{Ledger, Place, WalkEnd};
use crate::run_record::resources::{Memory, MemorySeries, Moment, Pss, Resources};
use crate::run_record::{
    Audit, Connections, ContainerIdentity, Environment, Failure, FlowNames, Generator, HttpVersion,
    PhaseRecord, RunRecord, ScenarioIdentity, TargetIdentity, Traffic,
};
use crate::scenario::Scenario;
use crate::schedule::{Arrival, Schedule};
use crate::target_spec::Limits;
use crate::validity::Validity;
use crate::windows::{Grid, Recorder, Windows};

/// One millisecond in nanoseconds.
pub(crate) const MS: u64 = 1_000_000;

/// One request as the scripted target sees it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked {
    /// The arrival's number over the whole run.
    pub(crate) arrival: u64,
    /// The phase of its due.
    pub(crate) phase: usize,
    /// Its flow.
    pub(crate) flow: usize,
    /// Its step.
    pub(crate) step: usize,
}

/// What became of it: times in nanoseconds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Answer {
    /// Until it was dispatched.
    pub(crate) lag: u64,
    /// Until it was sent.
    pub(crate) wait: u64,
    /// Until it was answered.
    pub(crate) service: u64,
    /// How it ended.
    pub(crate) outcome: Outcome,
    /// The response's status.
    pub(crate) status: Option<u16>,
}

/// A good answer after `service` nanoseconds.
pub(crate) fn ok(service: u64) -> Answer {
    Answer {
        lag: 20_000,
        wait: 0,
        service,
        outcome: Outcome::Ok,
        status: Some(200),
    }
}

/// A value in `0..bound` that looks drawn but is a function of `k`: consecutive ones are far apart and fill the range
/// evenly (multiples of the golden ratio, Weyl's sequence).
pub(crate) fn spread(k: u64, bound: u64) -> u64 {
    let unit = k.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    ((u128::from(unit) * u128::from(bound)) >> 64) as u64
}

/// The record of `yaml`, called `name`, against a target that answers as `answer` says.
pub(crate) fn record(name: &str, yaml: &str, mut answer: impl FnMut(Asked) -> Answer) -> RunRecord {
    let scenario = Scenario::parse(&format!("{name}.yaml"), yaml.as_bytes()).unwrap();
    let schedule = Arc::new(Schedule::new(scenario.phases(), scenario.seed()));
    let mut walked = Walked::new(&scenario, &schedule);
    for arrival in schedule.arrivals() {
        walked.walk(&scenario, &schedule, arrival, &mut answer);
    }
    for closed in (0..scenario.phases().len()).filter_map(|phase| schedule.closed(phase)) {
        // The user who is done first goes on first.
        let first = (0..closed.users()).filter_map(|user| closed.first(user).ok());
        let mut users: Vec<Arrival> = first.collect();
        while let Some(arrival) = users.iter().min_by_key(|arrival| arrival.due).copied() {
            let done = walked.walk(&scenario, &schedule, arrival, &mut answer);
            users.retain(|user| *user != arrival);
            users.extend(closed.after(arrival.number, done));
        }
    }
    walked.record(name, &scenario)
}

/// A scenario of one request at `rate` for `duration`, as a bare URL stands for.
pub(crate) fn url_yaml(rate: &str, duration: &str) -> String {
    format!(
        "tailmark: 1\nflows:\n  url:\n    steps:\n      - get: /items/1\nphases:\n  - {{ name: main, rate: {rate}, for: {duration} }}\n"
    )
}

/// Two flows, one of three steps, over a warm-up, a slow and a fast phase.
pub(crate) const SHOP: &str = "\
tailmark: 1
seed: 42
flows:
  browse:
    weight: 8
    steps:
      - { name: list, get: /v1/items }
  buy:
    weight: 2
    steps:
      - { name: login, post: /v1/sessions, json: { user: ada } }
      - { name: transfer, post: /v1/transfers, json: { amount: 5 }, checks: { status: 201 } }
      - { name: read-back, get: /v1/transfers/1 }
phases:
  - { name: warm, rate: 100/s, for: 5s, warmup: true }
  - { name: slow, rate: 200/s, for: 10s }
  - { name: steady, rate: 400/s, for: 10s, arrivals: poisson }
";

/// Every load model, by two flows of which one has two steps.
pub(crate) const MODELS: &str = "\
tailmark: 1
seed: 5
flows:
  read: { weight: 3, steps: [ { get: /items } ] }
  write: { steps: [ { post: /items }, { name: back, get: /items/1 } ] }
phases:
  - { name: warm, users: 4, for: 1s, warmup: true }
  - { name: climb, ramp: 100/s..400/s, for: 4s }
  - { name: rest, pause: true, for: 2s }
  - { name: crowd, users: 20, for: 3s }
  - { name: steady, rate: 200/s, for: 3s }
  - { name: fall, ramp: 300/s..30/m, for: 2s, arrivals: poisson }
  - { name: after, pause: true, for: 1s }
";

/// A shop that answers in one to nine milliseconds, twice as slow while it is warming up.
pub(crate) fn shop(asked: Asked) -> Answer {
    let slow = if asked.phase == 0 { 2 } else { 1 };
    let base = ok(slow * (MS + spread(asked.arrival * 3 + asked.step as u64, 8 * MS)));
    match (asked.flow, asked.step) {
        (1, 1) => Answer {
            status: Some(201),
            ..base
        },
        _ => base,
    }
}

struct Walked {
    ledger: Ledger,
    grids: Vec<Grid>,
    recorder: Recorder,
    windows: Windows,
    failures: Vec<(Outcome, Failure)>,
    bytes: u64,
}

impl Walked {
    fn new(scenario: &Scenario, schedule: &Schedule) -> Self {
        let steps: Vec<usize> = scenario
            .flows()
            .iter()
            .map(|flow| flow.steps.len())
            .collect();
        let grids: Vec<Grid> = (0..scenario.phases().len())
            .map(|phase| {
                let (start, end) = schedule.bounds(phase);
                Grid::new(start, end - start)
            })
            .collect();
        Self {
            ledger: Ledger::new(grids.len(), &steps),
            recorder: Recorder::new(grids.clone()),
            grids,
            windows: Windows::default(),
            failures: Vec::new(),
            bytes: 0,
        }
    }

    /// Walks through a flow, and returns when that was done.
    fn walk(
        &mut self,
        scenario: &Scenario,
        schedule: &Schedule,
        arrival: Arrival,
        answer: &mut impl FnMut(Asked) -> Answer,
    ) -> u64 {
        let flow = scenario.flow_of(scenario.seed(), arrival.number);
        let steps = scenario.flows()[flow].steps.len();
        self.ledger.phases[arrival.phase].arrivals += 1;
        let mut due = arrival.due;
        for step in 0..steps {
            let phase = schedule.phase_at(due);
            let asked = Asked {
                arrival: arrival.number,
                phase,
                flow,
                step,
            };
            let exchange = exchange(due, answer(asked));
            let last = step + 1 == steps || exchange.outcome != Outcome::Ok;
            let end = last.then_some(WalkEnd {
                arrival: arrival.due,
                home: phase,
                unreached_from: step + 1,
                kept_up_by: schedule.bounds(phase).1,
            });
            self.ledger.phases[phase].due += 1;
            self.ledger
                .absorb(Place { phase, flow, step }, &exchange, end);
            let closed = self.recorder.record(phase, &exchange);
            closed.iter().for_each(|part| self.windows.add(part));
            self.fail(scenario, asked, &exchange);
            self.bytes += if exchange.status.is_some() { 412 } else { 0 };
            due = exchange.done;
            if last {
                break;
            }
        }
        due
    }

    fn fail(&mut self, scenario: &Scenario, asked: Asked, exchange: &Exchange) {
        let outcome = exchange.outcome;
        if outcome == Outcome::Ok || self.failures.iter().any(|(known, _)| *known == outcome) {
            return;
        }
        let flow = &scenario.flows()[asked.flow];
        let step = &flow.steps[asked.step];
        let words = exchange
            .status
            .map_or(outcome.words().to_owned(), |status| status.to_string());
        self.failures.push((
            outcome,
            Failure {
                at_ns: exchange.done,
                step: format!("{}/{}", flow.name, step.name),
                outcome: outcome.words().into(),
                what: format!("{} /{} → {words}", step.request.method, asked.arrival),
                response: None,
            },
        ));
    }

    fn record(mut self, name: &str, scenario: &Scenario) -> RunRecord {
        let parts: Vec<_> = self.recorder.hand_over().collect();
        parts.iter().for_each(|part| self.windows.add(part));
        let phases = scenario
            .phases()
            .iter()
            .zip(self.ledger.phases)
            .enumerate()
            .map(|(index, (phase, tally))| PhaseRecord {
                name: phase.name.clone(),
                warmup: phase.warmup,
                model: phase.model,
                duration_ns: phase.duration.as_nanos() as u64,
                tally,
                windows: self.windows.of_phase(index, self.grids[index]),
            })
            .collect();
        let mut record = RunRecord {
            started: "2026-11-23T07:41:00Z".into(),
            interrupted: false,
            ended_by: None,
            scenario: ScenarioIdentity {
                name: name.into(),
                digest: scenario.digest().into(),
                seed: scenario.seed(),
                text: scenario.text().into(),
            },
            target: target("axum"),
            flows: scenario
                .flows()
                .iter()
                .map(|flow| FlowNames {
                    name: flow.name.clone(),
                    steps: flow.steps.iter().map(|step| step.name.clone()).collect(),
                })
                .collect(),
            phases,
            traffic: Traffic {
                sent_bytes: self.bytes / 4,
                received_bytes: self.bytes,
            },
            connections: connections(),
            generator: generator(),
            resources: resources(),
            failures: self
                .failures
                .into_iter()
                .map(|(_, failure)| failure)
                .collect(),
            audits: Vec::new(),
            validity: Validity::default(),
            thresholds: Vec::new(),
            environment: environment(),
        };
        record.judge();
        record
    }
}

fn exchange(due: u64, answer: Answer) -> Exchange {
    let dispatched = due + answer.lag;
    let sent = (answer.outcome != Outcome::Unsent).then_some(dispatched + answer.wait);
    Exchange {
        due,
        dispatched: Some(dispatched),
        sent,
        done: dispatched + answer.wait + if sent.is_some() { answer.service } else { 0 },
        outcome: answer.outcome,
        status: answer.status,
    }
}

/// A target that tailmark started.
pub(crate) fn target(name: &str) -> TargetIdentity {
    TargetIdentity {
        name: name.into(),
        kind: "command".into(),
        url: "http://127.0.0.1:8080".into(),
        command: Some(vec![
            format!("target/release/{name}-service"),
            "--port".into(),
            "8080".into(),
        ]),
        process: Some((4242, format!("{name}-service"))),
        executable: Some("9f".repeat(32)),
        revision: Some("4bc29b4-dirty".into()),
        container: None,
        runtime: None,
        settings: [("framework", name), ("workers", "2")]
            .map(|(name, value)| (name.into(), value.into()))
            .into(),
        exit: Some("exit status 0".into()),
    }
}

/// What a target's container was made of.
pub(crate) fn container() -> ContainerIdentity {
    ContainerIdentity {
        engine: "Docker 20.10.24".into(),
        image: "svc:1.4".into(),
        image_id: format!("sha256:{}", "0a".repeat(32)),
        image_digest: Some(format!("svc@sha256:{}", "0b".repeat(32))),
        image_bytes: Some(2_610_000),
        image_created: Some("2026-11-23T07:00:00Z".into()),
        network: "host".into(),
        limits: Limits {
            cpus: "0.5".parse().ok(),
            memory: "32MiB".parse().ok(),
        },
    }
}

/// An audit that found what it should.
pub(crate) fn audit(transfers: u64) -> Audit {
    Audit {
        ok: true,
        facts: vec![
            ("balances".into(), "unchanged".into()),
            ("keys".into(), transfers.to_string()),
            ("transfers".into(), transfers.to_string()),
        ],
    }
}

fn connections() -> Connections {
    let mut connections = Connections {
        http: Some(HttpVersion::One),
        max: 256,
        opened: 25,
        reopened: 0,
        peak_in_use: 14,
        ..Connections::default()
    };
    (0..25).for_each(|k| connections.connect.record(80_000 + k * 1_000));
    connections
}

fn generator() -> Generator {
    Generator {
        workers: 1,
        cpu_ns: 900 * MS,
        busiest_worker: Some((0, 0.09)),
        memory_peak_bytes: Some(14 << 20),
        placement: Some("generator 3, target 1-2, stores 0".into()),
        ran_out: None,
        rows_ended: None,
        walks_full: false,
    }
}

fn resources() -> Resources {
    Resources {
        memory: Memory {
            working_set: None,
            rss: Some(MemorySeries {
                source: "/proc statm; peak from the kernel (VmHWM)".into(),
                hz: 20.0,
                samples: 200,
                processes: Some(1),
                idle_bytes: Some(6_396_314),
                p50_bytes: Some(9_000_000),
                p95_bytes: Some(9_200_000),
                peak_bytes: Some(9_332_326),
                after_idle_bytes: Some(8_900_000),
                slope_bytes_per_s: Some(12.5),
                slope_ci_bytes_per_s: None,
            }),
            pss: Some(Pss {
                idle_bytes: Some(5_000_000),
                after_idle_bytes: None,
            }),
            page_cache: None,
        },
        cpu_ns: Some(410 * MS),
        startup_ns: Some(3_210_000),
        container: None,
        timeline: (0..8)
            .map(|second| Moment {
                at_ns: second * 1_000 * MS,
                memory_bytes: Some(6_396_314 + second * 400_000),
                cpu_ns: Some(second * 50 * MS),
            })
            .collect(),
    }
}

fn environment() -> Environment {
    Environment {
        tool_version: "0.1.0".into(),
        kernel: Some("Linux 6.1.0".into()),
        cpu_model: Some("Example CPU".into()),
        cores: 2,
        memory_bytes: Some(24 << 30),
        descriptors: Some(20_000),
        container: false,
        stores: BTreeMap::from([("postgres.synchronous_commit".into(), "off".into())]),
        steal: Some(0.001),
        throttled_ns: None,
    }
}
