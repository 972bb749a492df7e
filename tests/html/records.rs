//! Records for pages, made as real ones are: a schedule is walked, a scripted target answers in stated times, and every
//! exchange is absorbed.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tailmark::compare::{self, Comparison, MemoryKind, Plan};
use tailmark::exchange::{Exchange, Outcome};
use tailmark::gate::{Attempt, GateRecord, Next, Terms, Wanted};
use tailmark::judgement::rulings;
use tailmark::ledger::{Ledger, Place, WalkEnd};
use tailmark::run_record::resources::{Memory, MemorySeries, Moment, Resources};
use tailmark::run_record::{
    Connections, Environment, Failure, FlowNames, Generator, HttpVersion, PhaseRecord, RunRecord,
    ScenarioIdentity, TargetIdentity, Traffic,
};
use tailmark::scenario::{LoadModel, Scenario};
use tailmark::schedule::Schedule;
use tailmark::startup::{self, IdleMemory, Launch, Shipped, Size, Startups, Took};
use tailmark::units::Quantile;
use tailmark::validity::Validity;
use tailmark::windows::{Grid, Recorder, Windows};

const MS: f64 = 1e6;
const SECOND: u64 = 1_000_000_000;

/// One request, and how a target answers it.
#[derive(Clone, Copy)]
pub(crate) struct Asked {
    /// Of the run, from 0.
    pub(crate) number: u64,
    /// Of the flow, from 0.
    pub(crate) flow: usize,
    /// Of the flow, from 0.
    pub(crate) step: usize,
    /// Since the start of the run.
    pub(crate) second: f64,
}

/// Two flows over a warm-up, a ramp and a steady phase.
pub(crate) const SHOP: &str = "\
tailmark: 1
why: Shoppers browse; one in five logs in and pays. The p99 of the transfer is what we promise.
seed: 42
timeout: 2s
flows:
  browse:
    weight: 8
    steps:
      - { name: list, get: '/v1/items?limit=20' }
      - { name: item, get: /v1/items/17 }
  buy:
    weight: 2
    steps:
      - { name: login, post: /v1/sessions, json: { user: ada } }
      - { name: transfer, post: /v1/transfers, json: { amount: 5 }, checks: { status: 201 } }
      - { name: read-back, get: /v1/transfers/1 }
phases:
  - { name: warm, rate: 100/s, for: 10s, warmup: true }
  - { name: ramp, ramp: 100/s..400/s, for: 20s }
  - { name: steady, rate: 400/s, for: 60s, arrivals: poisson }
thresholds:
  - p99 < 250ms in steady
  - p99 of buy/transfer < 20ms in steady
  - error_rate < 0.5%
";

/// A number in 0..1 that looks drawn but is a function of `k`.
pub(crate) fn draw(k: u64) -> f64 {
    let mut bits = k.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 31)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((bits ^ (bits >> 33)) >> 11) as f64 / (1u64 << 53) as f64
}

/// Nanoseconds around `median_ms`, as services answer: most of them near it, a few far above.
pub(crate) fn usual(k: u64, median_ms: f64) -> u64 {
    // Box and Muller's transform of two draws.
    let radius = (-2.0 * (1.0 - draw(2 * k)).ln()).sqrt();
    let normal = radius * (std::f64::consts::TAU * draw(2 * k + 1)).cos();
    let far = if draw(k ^ 0xfa12) < 0.006 { 6.0 } else { 1.0 };
    (median_ms * MS * far * (0.42 * normal).exp()) as u64
}

/// A shop that is slow while it is warming up, stalls for a moment in the middle, and fails now and then.
pub(crate) fn shop(asked: Asked) -> Exchange {
    let Asked {
        number,
        flow,
        step,
        second,
    } = asked;
    let slow = [[0.8, 0.5, 0.0], [3.1, 4.2, 0.9]][flow][step];
    let cold = if second < 10.0 { 2.5 } else { 1.0 };
    let load = 1.0 + (second - 10.0).clamp(0.0, 20.0) / 40.0;
    let k = number * 4 + step as u64;
    let service = usual(k, slow * cold * load);
    let due = (second * 1e9) as u64;
    // For 300 ms nobody is answered.
    let stall = if (58.0..58.3).contains(&second) {
        ((58.3 - second) * 1e9) as u64
    } else {
        0
    };
    let lag = 18_000 + (draw(k ^ 0x55) * 30_000.0) as u64;
    let sent = due + lag + if stall > 0 { stall / 3 } else { 0 };
    let (outcome, status, service) = match (flow, draw(k ^ 0x77)) {
        (1, ..0.004) => (Outcome::StatusError, Some(503), service / 2),
        (1, 0.004..0.0046) => (Outcome::Timeout, None, 2 * SECOND),
        (1, _) if step == 1 => (Outcome::Ok, Some(201), service),
        _ => (Outcome::Ok, Some(200), service),
    };
    Exchange {
        due,
        dispatched: Some(due + lag),
        sent: Some(sent),
        done: sent + stall * 2 / 3 + service,
        outcome,
        status,
    }
}

/// The record of `yaml` against a target that answers as `answer` says.
pub(crate) fn run(name: &str, yaml: &str, answer: impl Fn(Asked) -> Exchange) -> RunRecord {
    let scenario = Scenario::parse(&format!("{name}.yaml"), yaml.as_bytes()).unwrap();
    let schedule = Arc::new(Schedule::new(scenario.phases(), scenario.seed()));
    let steps: Vec<usize> = scenario
        .flows()
        .iter()
        .map(|flow| flow.steps.len())
        .collect();
    let bounds: Vec<(u64, u64)> = (0..scenario.phases().len())
        .map(|phase| schedule.bounds(phase))
        .collect();
    let grids: Vec<Grid> = bounds
        .iter()
        .map(|(start, end)| Grid::new(*start, end - start))
        .collect();
    let mut ledger = Ledger::new(bounds.len(), &steps);
    let mut recorder = Recorder::new(grids.clone());
    let mut windows = Windows::default();
    let mut failures: Vec<Failure> = Vec::new();
    for arrival in schedule.arrivals() {
        let flow = scenario.flow_of(scenario.seed(), arrival.number);
        ledger.phases[arrival.phase].arrivals += 1;
        let mut due = arrival.due;
        for step in 0..steps[flow] {
            let second = due as f64 / 1e9;
            let exchange = answer(Asked {
                number: arrival.number,
                flow,
                step,
                second,
            });
            // What was computed in seconds may be a nanosecond off.
            let by = due as i64 - exchange.due as i64;
            let moved = |ns: u64| ns.saturating_add_signed(by);
            let exchange = Exchange {
                due,
                dispatched: exchange.dispatched.map(moved),
                sent: exchange.sent.map(moved),
                done: moved(exchange.done),
                ..exchange
            };
            let phase = schedule.phase_at(due);
            let is_last = step + 1 == steps[flow] || exchange.outcome != Outcome::Ok;
            let end = is_last.then_some(WalkEnd {
                arrival: arrival.due,
                home: arrival.phase,
                unreached_from: step + 1,
                kept_up_by: bounds[arrival.phase].1,
            });
            ledger.phases[phase].due += 1;
            ledger.absorb(Place { phase, flow, step }, &exchange, end);
            let part = recorder.record(phase, &exchange);
            part.iter().for_each(|part| windows.add(part));
            note(&scenario, flow, step, &exchange, &mut failures);
            due = exchange.done;
            if is_last {
                break;
            }
        }
    }
    recorder.hand_over().for_each(|part| windows.add(&part));
    ledger.pack();
    let phases = scenario.phases().iter().zip(ledger.phases).enumerate();
    let phases = phases.map(|(index, (phase, tally))| PhaseRecord {
        name: phase.name.clone(),
        warmup: phase.warmup,
        model: phase.model,
        duration_ns: phase.duration.as_nanos() as u64,
        tally,
        windows: windows.of_phase(index, grids[index]),
    });
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
        flows: flows(&scenario),
        phases: phases.collect(),
        traffic: Traffic {
            sent_bytes: 9_400_000,
            received_bytes: 61_300_000,
        },
        connections: Connections {
            http: Some(HttpVersion::One),
            max: 256,
            opened: 118,
            reopened: 2,
            peak_in_use: 97,
            ..Connections::default()
        },
        generator: Generator {
            workers: 1,
            cpu_ns: 8 * SECOND,
            busiest_worker: Some((0, 0.09)),
            memory_peak_bytes: Some(14 << 20),
            placement: Some("generator 3, target 1-2, stores 0".into()),
            ..Generator::default()
        },
        resources: resources(bounds.last().map_or(0, |(_, end)| *end)),
        failures,
        audits: Vec::new(),
        validity: Validity::default(),
        thresholds: Vec::new(),
        environment: environment(),
    };
    record.thresholds = rulings(&record, scenario.thresholds());
    record.judge();
    record
}

fn note(
    scenario: &Scenario,
    flow: usize,
    step: usize,
    exchange: &Exchange,
    failures: &mut Vec<Failure>,
) {
    let outcome = exchange.outcome.words();
    if exchange.outcome == Outcome::Ok || failures.iter().any(|known| known.outcome == outcome) {
        return;
    }
    let flow = &scenario.flows()[flow];
    let step = &flow.steps[step];
    let came = exchange
        .status
        .map_or(outcome.to_owned(), |status| status.to_string());
    failures.push(Failure {
        at_ns: exchange.done,
        step: format!("{}/{}", flow.name, step.name),
        outcome: outcome.into(),
        what: format!("{} /v1/{} → {came}", step.request.method, step.name),
        response: exchange.status.map(|status| {
            format!(
                "{status} Service Unavailable\nretry-after: 1\n\n{{\"error\":\"pool exhausted\"}}"
            )
        }),
    });
}

fn flows(scenario: &Scenario) -> Vec<FlowNames> {
    let flows = scenario.flows().iter();
    flows
        .map(|flow| FlowNames {
            name: flow.name.clone(),
            steps: flow.steps.iter().map(|step| step.name.clone()).collect(),
        })
        .collect()
}

fn target(name: &str) -> TargetIdentity {
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
        revision: Some("4bc29b4".into()),
        settings: [("framework", name), ("workers", "2")]
            .map(|(name, value)| (name.into(), value.into()))
            .into(),
        exit: Some("exit status 0".into()),
        ..TargetIdentity::default()
    }
}

fn environment() -> Environment {
    Environment {
        tool_version: "0.1.0".into(),
        kernel: Some("Linux 6.1.0".into()),
        cpu_model: Some("Example CPU".into()),
        cores: 4,
        memory_bytes: Some(24 << 30),
        descriptors: Some(20_000),
        stores: BTreeMap::from([("postgres.synchronous_commit".into(), "off".into())]),
        steal: Some(0.001),
        ..Environment::default()
    }
}

/// Memory that grows while the load does, and a core and a half at most.
fn resources(end: u64) -> Resources {
    let moment = |k: u64| {
        let at_ns = end * k / 200;
        let share = k as f64 / 200.0;
        Moment {
            at_ns,
            memory_bytes: Some(((6.4 + 2.6 * share.sqrt() + 0.2 * draw(k)) * 1_048_576.0) as u64),
            cpu_ns: Some((at_ns as f64 * (0.2 + 0.5 * share)) as u64),
        }
    };
    Resources {
        memory: Memory {
            rss: Some(MemorySeries {
                source: "/proc statm; peak from the kernel (VmHWM)".into(),
                hz: 20.0,
                samples: 1_600,
                processes: Some(1),
                idle_bytes: Some(6_710_000),
                p50_bytes: Some(9_000_000),
                p95_bytes: Some(9_500_000),
                peak_bytes: Some(9_640_000),
                after_idle_bytes: Some(8_900_000),
                slope_bytes_per_s: Some(9_000.0),
                slope_ci_bytes_per_s: Some([4_000.0, 14_000.0]),
            }),
            ..Memory::default()
        },
        cpu_ns: Some(41 * SECOND),
        startup_ns: Some(3_210_000),
        container: None,
        timeline: (0..=200).map(moment).collect(),
    }
}

/// A run of an hour through forty steps.
pub(crate) fn hour() -> RunRecord {
    let steps: String = (0..40)
        .map(|step| format!("      - {{ name: step-{step}-of-a-long-walk, get: /items/{step} }}\n"))
        .collect();
    let yaml = format!(
        "tailmark: 1\nflows:\n  walk:\n    steps:\n{steps}phases:\n  \
         - {{ name: warm, rate: 1/s, for: 1m, warmup: true }}\n  \
         - {{ name: climb, ramp: 1/s..3/s, for: 19m }}\n  \
         - {{ name: steady, rate: 3/s, for: 40m }}\n"
    );
    run("hour", &yaml, |asked| {
        let due = (asked.second * 1e9) as u64;
        let k = asked.number * 40 + asked.step as u64;
        Exchange {
            due,
            dispatched: Some(due + 20_000),
            sent: Some(due + 25_000),
            done: due + 25_000 + usual(k, 1.0 + asked.step as f64 / 4.0),
            outcome: Outcome::Ok,
            status: Some(200),
        }
    })
}

/// A run of 30,000 requests, of which 150 have another status, 38 time out, and one connection is reset.
pub(crate) fn failing() -> RunRecord {
    let yaml = "tailmark: 1\nflows: { read: { steps: [ { name: item, get: /v1/items/1 } ] } }\nphases: [ { name: steady, rate: 1000/s, for: 30s } ]\n";
    run("failing", yaml, |asked| {
        let due = (asked.second * 1e9) as u64;
        let (outcome, status) = match asked.number {
            17 => (Outcome::Reset, None),
            number if number % 800 == 3 => (Outcome::Timeout, None),
            number if number % 200 == 5 => (Outcome::StatusError, Some(503)),
            _ => (Outcome::Ok, Some(200)),
        };
        Exchange {
            due,
            dispatched: Some(due + 20_000),
            sent: Some(due + 25_000),
            done: due + 25_000 + usual(asked.number, 1.0),
            outcome,
            status,
        }
    })
}

/// What arms are compared with: as many requests in a round as tell a p99.
const CRUD: &str = "\
tailmark: 1
why: Reads by key, which both frameworks answer from one connection pool.
seed: 42
flows:
  read:
    steps:
      - { name: item, get: /v1/items/1 }
phases:
  - { name: warm, rate: 100/s, for: 1s, warmup: true }
  - { name: steady, rate: 600/s, for: 4s }
";

/// One arm's run in a round: the machine sways from round to round, `by` is what the arm takes longer in the tail.
fn arm(name: &str, arm: usize, seed: u64, by: f64) -> RunRecord {
    let sway = 1.0 + 0.15 * draw(seed * 31);
    let own = 1.0 + 0.03 * draw(seed * 57 + arm as u64);
    let mut record = run("crud", CRUD, |asked| {
        let due = (asked.second * 1e9) as u64;
        let k = seed * 1_000_000 + asked.number * 2 + arm as u64;
        let tail = if draw(k ^ 0x31) < 0.04 { by } else { 1.0 };
        let service = usual(k, 0.8 * sway * own * tail);
        let failed = name == "actix" && draw(k ^ 0x99) < 0.000_3;
        Exchange {
            due,
            dispatched: Some(due + 20_000),
            sent: Some(due + 22_000),
            done: due + 22_000 + service,
            outcome: if failed { Outcome::Reset } else { Outcome::Ok },
            status: (!failed).then_some(200),
        }
    });
    record.target = target(name);
    record.resources.startup_ns = Some(3_000_000 + (draw(seed ^ arm as u64) * 400_000.0) as u64);
    let lighter = if arm == 0 { 1.0 } else { 0.93 };
    let memory = record.resources.memory.rss.as_mut().unwrap();
    let sized =
        |bytes: f64| Some((bytes * lighter * (1.0 + 0.004 * draw(seed * 7 + arm as u64))) as u64);
    memory.idle_bytes = sized(6_710_000.0);
    memory.p95_bytes = sized(9_500_000.0);
    memory.peak_bytes = sized(9_640_000.0);
    memory.after_idle_bytes = sized(8_900_000.0);
    memory.slope_bytes_per_s = Some(9_000.0 * draw(seed * 13 + arm as u64));
    record.resources.cpu_ns =
        Some((1.2e8 * lighter * (1.0 + 0.02 * draw(seed * 11 + arm as u64))) as u64);
    record
}

fn plan(names: &[&str], rounds: usize, run: &RunRecord) -> Plan {
    let measured = run.measured().next().unwrap();
    let LoadModel::Open { rate, arrivals } = measured.model else {
        panic!("only an open phase is compared");
    };
    Plan {
        scenario: run.scenario.clone(),
        order_seed: 7,
        phase: measured.name.clone(),
        rate,
        arrivals,
        warmup_ns: SECOND,
        measure_ns: measured.duration_ns,
        rounds,
        schedule: compare::Schedule::default(),
        arms: names.iter().map(|name| (*name).to_owned()).collect(),
    }
}

/// Three arms over `rounds` rounds, of which one is void.
pub(crate) fn comparison(rounds: usize) -> Comparison {
    let names = ["axum", "actix", "axum-tuned"];
    let tails = [1.0, 1.35, 0.8];
    let runs = |round: usize| {
        let run = |place: usize| {
            let mut run = arm(names[place], place, round as u64, tails[place]);
            if (round, place) == (5, 1) {
                run.environment.steal = Some(0.11);
                run.judge();
            }
            run
        };
        [0, 1, 2].map(run)
    };
    let mut comparison = Comparison::new(
        plan(&names, rounds, &runs(1)[0]),
        "2026-11-23T07:41:00Z".into(),
    );
    for round in 1..=rounds {
        let runs = runs(round);
        let order = compare::order(7, round, 3);
        comparison
            .add_round(order, &[&runs[0], &runs[1], &runs[2]])
            .unwrap();
    }
    comparison.elapsed_ns = Some(312 * SECOND);
    comparison
}

/// A gate whose candidate's tail takes `by` times as long, driven to its end.
pub(crate) fn gate(by: f64) -> GateRecord {
    let mut terms = Terms::new(Wanted {
        metrics: vec![compare::Metric::Response(Quantile::P99)],
        allowed: 0.05,
        ruled_out: 0.20,
        alpha: 0.01,
        beta: 0.05,
        max_rounds: 20,
        max_time: Duration::from_secs(3_600),
        round_time: Duration::from_secs(21),
        seed: 7,
        confirm: true,
    })
    .unwrap();
    terms.vectors = 4_000;
    let names = ["baseline", "candidate"];
    let first = arm("baseline", 0, 1, 1.0);
    let started = || "2026-11-23T07:41:00Z".to_owned();
    let comparison = || Comparison::new(plan(&names, 20, &first), started());
    let mut record = GateRecord::new(terms, comparison(), started());
    while let Next::Another(progress) = record.next() {
        let (attempt, number) = (progress.attempt, progress.number);
        let seed = number as u64 + if attempt == Attempt::First { 0 } else { 100 };
        let runs = [arm("baseline", 0, seed, 1.0), arm("candidate", 1, seed, by)];
        let own = match attempt {
            Attempt::First => &mut record.first,
            Attempt::Confirmation => record.confirmation.get_or_insert_with(comparison),
        };
        own.add_round(compare::order(7, number, 2), &[&runs[0], &runs[1]])
            .unwrap();
    }
    record.elapsed_ns = Some(203 * SECOND);
    record
}

/// Launches of two arms, of which the second listens sooner.
pub(crate) fn startups() -> Startups {
    let names = ["axum", "actix"];
    let plan = startup::Plan {
        arms: names.map(str::to_owned).into(),
        rounds: 8,
        order_seed: 7,
        rest_ns: SECOND,
    };
    let launch = |arm: usize, round: usize| {
        let took = |ms: f64| {
            let ms = ms * (1.0 - 0.2 * arm as f64) * (1.0 + 0.1 * draw((round * 2 + arm) as u64));
            Some(Took {
                ns: (ms * MS) as u64,
                blind_ns: 250_000,
            })
        };
        let figures = startup::Figures {
            engine_ns: None,
            listening: took(41.0),
            first_ok: took(46.0),
            memory: Some(IdleMemory {
                kind: MemoryKind::Rss,
                source: "/proc statm of one process".into(),
                bytes: 9 << 20,
            }),
            size: Some(Size {
                of: Shipped::Executable,
                bytes: 13_900_000,
            }),
        };
        Launch::judged(figures, None, None)
    };
    let mut startups = Startups::new(plan, "2026-11-23T07:41:00Z".into());
    startups.describe(names.map(target).into(), environment());
    for round in 1..=8 {
        let launches = vec![launch(0, round), launch(1, round)];
        startups
            .add_round(compare::order(7, round, 2), launches)
            .unwrap();
    }
    startups.elapsed_ns = Some(72 * SECOND);
    startups
}
