//! The method held against simulated machines: what it promises of equal services and of slower ones, and that a method
//! which takes requests for independent does not keep it.
//!
//! The counts of runs are small enough for a minute, and the bands are wider by the binomial error of those counts.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test stops where it cannot go on, and says what it found"
)]

use std::time::Duration;

use tailmark::compare::Metric;
use tailmark::gate::{Arm, Attempt, Gate, Next, Round, Terms, Value, Verdict, Wanted};
use tailmark::random::{Stream, bits, unit};
use tailmark::stats::sampling::order_statistics;
use tailmark::stats::{Change, Looks, Sequential, Signed, log_ratio};
use tailmark::units::Quantile;

/// Numbers that look drawn, one after the other, from a stream of their own.
struct Draws {
    seed: u64,
    next: u64,
}

impl Draws {
    fn new(seed: u64) -> Self {
        Self { seed, next: 0 }
    }

    fn uniform(&mut self) -> f64 {
        self.next += 1;
        unit(bits(self.seed, Stream::Script, &[self.next]))
    }

    /// Box and Muller's transform; one of its two numbers is enough.
    fn normal(&mut self) -> f64 {
        let radius = (-2.0 * self.uniform().ln()).sqrt();
        radius * (std::f64::consts::TAU * self.uniform()).cos()
    }

    fn exponential(&mut self, mean: f64) -> f64 {
        -self.uniform().ln() * mean
    }
}

/// How a machine stalls; times in seconds.
#[derive(Clone, Copy)]
struct Machine {
    /// Stalls per second in calm and in troubled times.
    stalls: [f64; 2],
    /// The median of their lengths.
    length: f64,
}

/// As a shared runner of a continuous integration service.
const SHARED: Machine = Machine {
    stalls: [0.1, 1.0],
    length: 0.012,
};
/// As a machine of one's own.
const QUIET: Machine = Machine {
    stalls: [0.05, 0.3],
    length: 0.006,
};

const RATE: f64 = 500.0;
const ROUNDS: usize = 15;
const SPAN: f64 = 5.0;
/// What is idle or warming up between two measurements.
const BETWEEN: f64 = 1.0;
/// Time constant of the drift of the machine's speed, and its spread.
const DRIFT: (f64, f64) = (60.0, 0.05);
/// How much one launch of a program differs from the next.
const LAUNCH: f64 = 0.02;
/// How long calm and troubled times last on average.
const STATES: [f64; 2] = [20.0, 6.0];

/// The machine as it goes on from measurement to measurement.
struct Simulation {
    draws: Draws,
    machine: Machine,
    troubled: bool,
    state_left: f64,
    speed: f64,
    next_stall: f64,
}

impl Simulation {
    fn new(machine: Machine, seed: u64) -> Self {
        let mut draws = Draws::new(seed);
        let troubled = draws.uniform() < STATES[1] / (STATES[0] + STATES[1]);
        let state_left = draws.exponential(STATES[usize::from(troubled)]);
        let speed = DRIFT.1 * draws.normal();
        let mut simulation = Self {
            draws,
            machine,
            troubled,
            state_left,
            speed,
            next_stall: 0.0,
        };
        simulation.next_stall = simulation.until_stall();
        simulation
    }

    /// The time until the next stall: Poisson, at the rate of now.
    fn until_stall(&mut self) -> f64 {
        let rate = self.machine.stalls[usize::from(self.troubled)];
        self.draws.exponential(1.0 / rate)
    }

    /// Lets `span` pass, and returns how long the machine stood still meanwhile.
    fn pass(&mut self, span: f64) -> f64 {
        self.state_left -= span;
        if self.state_left < 0.0 {
            self.troubled = !self.troubled;
            self.state_left = self.draws.exponential(STATES[usize::from(self.troubled)]);
            self.next_stall = self.until_stall();
        }
        let mut stood = 0.0;
        self.next_stall -= span;
        while self.next_stall < 0.0 {
            stood += self.machine.length * (0.8 * self.draws.normal()).exp();
            self.next_stall += self.until_stall();
        }
        stood
    }

    /// Response times of one launch, `factor` times as slow, in order of size.
    ///
    /// Open loop, lognormal service, one queue in front of four workers (by Lindley's recursion over a quarter of the
    /// work), into which a stall puts its whole length.
    fn measure(&mut self, factor: f64) -> Vec<f64> {
        let keep = (-SPAN / DRIFT.0).exp();
        self.speed = keep * self.speed + DRIFT.1 * (1.0 - keep * keep).sqrt() * self.draws.normal();
        let launch = factor * (LAUNCH * self.draws.normal() + self.speed).exp();
        let gap = 1.0 / RATE;
        let mut backlog: f64 = 0.0;
        let mut times: Vec<f64> = (0..(RATE * SPAN) as usize)
            .map(|_| {
                backlog = (backlog - gap).max(0.0) + self.pass(gap);
                let service = 0.001 * launch * (0.8 * self.draws.normal()).exp();
                let response = backlog + service;
                backlog += service / 4.0;
                response
            })
            .collect();
        self.pass(BETWEEN);
        times.sort_by(f64::total_cmp);
        times
    }

    /// Rounds of two arms, whose order is a fair coin's; the second is `factor` times as slow.
    fn rounds(&mut self, factor: f64) -> Vec<[Vec<f64>; 2]> {
        let round = |simulation: &mut Self| {
            if simulation.draws.uniform() < 0.5 {
                let first = simulation.measure(1.0);
                [first, simulation.measure(factor)]
            } else {
                let second = simulation.measure(factor);
                [simulation.measure(1.0), second]
            }
        };
        (0..ROUNDS).map(|_| round(self)).collect()
    }
}

fn p99(sorted: &[f64]) -> f64 {
    sorted[Quantile::P99.rank(sorted.len() as u64) as usize - 1]
}

/// Whether the second arm is slower, by the signed ranks of the rounds at 5 %.
fn paired(rounds: &[[Vec<f64>; 2]]) -> bool {
    let d = rounds.iter().map(|[a, b]| log_ratio(p99(a), p99(b)));
    Signed::new(d).p_value() <= 0.05
}

/// Whether it is slower by all requests together, as if each were independent of the others, at 5 %.
fn pooled(rounds: &[[Vec<f64>; 2]]) -> bool {
    let [a, b] = [0, 1].map(|arm| {
        let mut all: Vec<f64> = rounds
            .iter()
            .flat_map(|round| round[arm].iter().copied())
            .collect();
        all.sort_by(f64::total_cmp);
        let ranks = order_statistics(all.len() as u64, Quantile::P99).map(Option::unwrap);
        let [low, high] = ranks.map(|rank| all[rank as usize - 1].ln());
        (p99(&all).ln(), (high - low) / (2.0 * 1.96))
    });
    b.0 - a.0 > 1.645 * (a.1 * a.1 + b.1 * b.1).sqrt()
}

/// The shares of `runs` simulated comparisons in which each method calls the second arm slower.
fn flags(machine: Machine, runs: u64, factor: f64) -> [f64; 2] {
    let mut flags = [0.0; 2];
    for run in 0..runs {
        let rounds = Simulation::new(machine, 1_000 + run).rounds(factor);
        for (flag, found) in flags.iter_mut().zip([paired(&rounds), pooled(&rounds)]) {
            *flag += f64::from(u8::from(found)) / runs as f64;
        }
    }
    flags
}

#[test]
fn equal_services_on_a_shared_machine_are_called_different_as_seldom_as_promised() {
    // 600 runs: a standard deviation of .009 about .05.
    let [paired, pooled] = flags(SHARED, 600, 1.0);
    println!("shared machine, equal services: signed ranks {paired:.3}, pooled {pooled:.3}");
    assert!((0.02..=0.08).contains(&paired), "{paired}");
    assert!(
        pooled > 0.15,
        "a method that ought to fail here does not: {pooled}"
    );
}

#[test]
fn a_slower_service_is_found() {
    let [paired, _] = flags(QUIET, 100, 1.10);
    println!("quiet machine, 10 % slower: signed ranks {paired:.2}");
    assert!(paired > 0.8, "{paired}");
}

#[test]
fn the_interval_of_a_change_covers_it() {
    let runs = 2_000u64;
    let mut covered = 0;
    for run in 0..runs {
        let mut draws = Draws::new(90_000 + run);
        let truth: f64 = 1.07;
        let (a, b): (Vec<f64>, Vec<f64>) = (0..20)
            .map(|_| {
                let machine = (0.5 * draws.normal()).exp();
                (machine, machine * truth * (0.2 * draws.normal()).exp())
            })
            .unzip();
        let [low, high] = Change::of(&a, &b, 0.95).interval.unwrap();
        covered += u64::from(low <= truth && truth <= high);
    }
    // 95.2 % by construction; the binomial's standard deviation is .5 %.
    let share = covered as f64 / runs as f64;
    assert!((0.935..=0.967).contains(&share), "{share}");
}

/// How often the boundary for a FAIL is crossed at the allowed change, where no PASS stops it before.
#[test]
fn the_boundary_spends_its_level() {
    let looks = Looks::new(40).unwrap();
    let runs = 12_000u64;
    let mut crossed = 0;
    for run in 0..runs {
        let mut draws = Draws::new(200_000 + run);
        let x: Vec<f64> = (0..40).map(|_| 0.2 * draws.normal()).collect();
        let test = Sequential {
            looks: &looks,
            level: 0.01,
            seed: run,
            vectors: 2_000,
        };
        let mut seen = looks.rounds().iter();
        crossed += u64::from(seen.any(|&n| test.at(&x[..n]).unwrap().crossed()));
    }
    let rate = crossed as f64 / runs as f64;
    println!("boundary at 1 %: crossed in {:.2} %", rate * 100.0);
    // 1 % less what 2,000 vectors cannot split, and two and a half standard deviations of .0009.
    assert!((0.0055..=0.0123).contains(&rate), "{rate}");
}

/// The shares of FAIL and PASS of whole gates whose pairs spread by `sd` about `ratio`.
fn verdicts(runs: u64, ratio: f64, sd: f64) -> [f64; 2] {
    let metric = Metric::Response(Quantile::P99);
    let arm = |value: f64| Arm {
        figures: vec![(metric, Value::Known(value))],
        exchanges: 2_500,
        ..Arm::default()
    };
    let mut shares = [0.0; 2];
    for run in 0..runs {
        let mut terms = Terms::new(Wanted {
            metrics: vec![metric],
            allowed: 0.05,
            ruled_out: 0.20,
            alpha: 0.01,
            beta: 0.05,
            max_rounds: 40,
            max_time: Duration::from_secs(3_600),
            round_time: Duration::from_secs(20),
            seed: run,
            confirm: false,
        })
        .unwrap();
        terms.vectors = 1_000;
        let looks = terms.looks.clone();
        let gate = Gate::new(terms);
        let mut draws = Draws::new(400_000 + run);
        let rounds: Vec<Round> = (0..40)
            .map(|_| Round {
                attempt: Attempt::First,
                baseline: arm(1.0),
                candidate: arm(ratio * (sd * draws.normal()).exp()),
            })
            .collect();
        let mut decided = looks
            .rounds()
            .iter()
            .filter_map(|&n| match gate.next(&rounds[..n]) {
                Next::Decided(decision) => Some(decision.verdict),
                Next::Another(_) => None,
            });
        match decided.next().unwrap() {
            Verdict::Fail => shares[0] += 1.0 / runs as f64,
            Verdict::Pass => shares[1] += 1.0 / runs as f64,
            Verdict::Inconclusive | Verdict::Invalid => {}
        }
    }
    shares
}

#[test]
fn a_whole_gate_keeps_to_its_errors() {
    let [fail, _] = verdicts(2_500, 1.05, 0.2);
    println!("at the allowed change: {fail:.4} FAIL");
    // .01 and two and a half standard deviations of .002.
    assert!(fail <= 0.015, "{fail}");
    let [fail, pass] = verdicts(600, 1.20, 0.2);
    println!("at the change to rule out: {fail:.3} FAIL, {pass:.3} PASS");
    // .05 and two and a half standard deviations of .009.
    assert!(pass <= 0.073 && fail > 0.5, "{fail} {pass}");
    let [fail, pass] = verdicts(400, 1.0, 0.2);
    println!("equal arms: {fail:.3} FAIL, {pass:.3} PASS");
    assert!(fail <= 0.005 && pass > 0.9, "{fail} {pass}");
}
