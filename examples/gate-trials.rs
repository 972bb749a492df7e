//! Real gates on the oracle, to see how often `tailmark gate` errs on this machine.
//!
//! ```text
//! cargo build --release --bin tailmark --example gate-trials
//! target/release/examples/gate-trials target/release/tailmark results/aa aa=20 strict=20 slow30=15 slow20=15 noise=10
//! target/release/examples/gate-trials target/release/tailmark results/aa verdict-aa=5 verdict-slow50=5
//! ```
//!
//! Each gate is a line of `DIR/CELL.jsonl` as soon as it is decided, and a further call goes on until there are as many as it
//! was asked for, taking the cells in turn. At the end, and with no cells at once, the outcome of each is printed.
//!
//! Both arms are `tailmark oracle` with lognormal answers (median 1 ms, sigma 0.8), each with draws of its own; a candidate is
//! slower by `--slowdown`. Under `noise`, both are stopped and continued at random: bursts with a mean of one stop a second, of
//! lognormal length (median 12 ms), beside a loop that keeps one core busy in phases of about 12 of 40 s.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program for whoever validates the method: it stops where it cannot go on, and prints"
)]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{sleep, spawn};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

/// What is measured, and how the candidate differs.
struct Cell {
    name: &'static str,
    slowdown: &'static str,
    /// Rounds are short, as in every cell but those that time a verdict; the rest are the flags' defaults.
    short: bool,
    flags: &'static [&'static str],
    noise: bool,
}

const fn cell(name: &'static str, slowdown: &'static str) -> Cell {
    Cell {
        name,
        slowdown,
        short: true,
        flags: &[],
        noise: false,
    }
}

const CELLS: [Cell; 7] = [
    cell("aa", "1"),
    Cell {
        flags: &["--alpha", "5%", "--allowed", "0%"],
        ..cell("strict", "1")
    },
    cell("slow30", "1.3"),
    cell("slow20", "1.2"),
    Cell {
        noise: true,
        ..cell("noise", "1")
    },
    Cell {
        short: false,
        ..cell("verdict-aa", "1")
    },
    Cell {
        short: false,
        ..cell("verdict-slow50", "1.5")
    },
];

/// Arrivals per second, on every cell.
const RATE: &str = "2500/s";

/// Longer than any gate takes: two hundred rounds of short launches.
const PATIENCE: Duration = Duration::from_secs(3_600);

const SCENARIO: &str = "\
tailmark: 1
why: One request whose time is known, to see how often a gate errs.
flows:
  only:
    steps:
      - { name: answer, get: \"/${random.int(1, 1000000000)}\" }
phases:
  - { name: steady, rate: 2500/s, for: 5s }
";

fn main() {
    let mut words = std::env::args().skip(1);
    let (Some(program), Some(folder)) = (words.next(), words.next()) else {
        eprintln!("gate-trials TAILMARK DIR [CELL=COUNT…]");
        std::process::exit(2);
    };
    let program = fs::canonicalize(program).unwrap();
    let folder = PathBuf::from(folder);
    let wanted: Vec<(&Cell, usize)> = words.map(|word| asked(&word)).collect();
    fs::create_dir_all(&folder).unwrap();
    let place = tempfile::tempdir().unwrap();
    fs::write(place.path().join("oracle.yaml"), SCENARIO).unwrap();
    let most = wanted.iter().map(|(_, count)| *count).max().unwrap_or(0);
    for number in 0..most {
        for (cell, count) in &wanted {
            let done = lines(&folder, cell).len();
            if number < *count && done <= number {
                let line = trial(&program, cell, place.path());
                append(&folder, cell, &line);
                println!("{} {}: {}", cell.name, done + 1, brief(&line));
            }
        }
    }
    print!("{}", summary(&folder));
}

fn asked(word: &str) -> (&'static Cell, usize) {
    let (name, count) = word.split_once('=').expect("CELL=COUNT");
    let cell = CELLS.iter().find(|cell| cell.name == name);
    (
        cell.expect("a cell of this program"),
        count.parse().unwrap(),
    )
}

/// One gate, from its start to its verdict, as a line to keep.
fn trial(program: &Path, cell: &Cell, place: &Path) -> Value {
    let arm = |seed: u32, slowdown: &str| {
        format!(
            "command:{} oracle --quiet --port {{port}} --lognormal 1ms,0.8 --seed {seed} --slowdown {slowdown}",
            program.display()
        )
    };
    let mut command = Command::new(program);
    command
        .current_dir(place)
        .args([
            "gate",
            "oracle.yaml",
            "--no-confirm",
            "--no-save",
            "--json",
            "--quiet",
            "--no-ci",
        ])
        .args(["--rate", RATE])
        .arg("--baseline")
        .arg(arm(1, "1"))
        .arg("--candidate")
        .arg(arm(2, cell.slowdown))
        .args(cell.flags)
        .stdout(Stdio::piped());
    if cell.short {
        command.args(["--measure", "1s", "--warmup", "1s"]);
    }
    let begun = Instant::now();
    let child = command.spawn().unwrap();
    let noise = cell.noise.then(|| Noise::around(child.id()));
    let output = child.wait_with_output().unwrap();
    drop(noise);
    assert!(begun.elapsed() < PATIENCE, "a gate ends by itself");
    let gate: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| {
        panic!("{error}: {:?}", String::from_utf8_lossy(&output.stdout));
    });
    kept(&gate, begun.elapsed())
}

/// What of a gate is worth keeping: enough to judge it again.
fn kept(gate: &Value, elapsed: Duration) -> Value {
    let rounds = gate["first"]["rounds"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    let rounds: Vec<Value> = rounds
        .iter()
        .map(|round| {
            let arm = |place: usize| {
                let run = &round["runs"][place];
                let response = &run["response_time"];
                json!([response["p50_ns"], response["p99_ns"], response["count"]])
            };
            json!({ "valid": round["valid"], "order": round["order"], "arms": [arm(0), arm(1)] })
        })
        .collect();
    json!({
        "started": gate["started"],
        "environment": gate["first"]["environment"]["tool_version"],
        "seconds": (elapsed.as_secs_f64() * 10.0).round() / 10.0,
        "seed": gate["terms"]["seed"],
        "verdict": gate["verdict"],
        "reasons": gate["reasons"],
        "rounds": rounds,
    })
}

fn brief(line: &Value) -> String {
    let rounds = line["rounds"].as_array().map_or(0, Vec::len);
    format!(
        "{} after {rounds} rounds, {} s",
        text(&line["verdict"]),
        line["seconds"]
    )
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or("?")
}

fn path(folder: &Path, cell: &Cell) -> PathBuf {
    folder.join(format!("{}.jsonl", cell.name))
}

fn append(folder: &Path, cell: &Cell, line: &Value) {
    let file = OpenOptions::new()
        .append(true)
        .create(true)
        .open(path(folder, cell));
    writeln!(file.unwrap(), "{line}").unwrap();
}

fn lines(folder: &Path, cell: &Cell) -> Vec<Value> {
    let text = fs::read_to_string(path(folder, cell)).unwrap_or_default();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// A table of what has been seen so far.
fn summary(folder: &Path) -> String {
    let mut table = String::from(
        "| cell | candidate | gates | PASS | FAIL | INCONCLUSIVE | INVALID | rounds, median | s, median | pair sd, median |\n\
         |---|---|---|---|---|---|---|---|---|---|\n",
    );
    for cell in &CELLS {
        let lines = lines(folder, cell);
        if lines.is_empty() {
            continue;
        }
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        for line in &lines {
            *counts
                .entry(text(&line["verdict"]).to_uppercase())
                .or_default() += 1;
        }
        let count = |verdict: &str| counts.get(verdict).copied().unwrap_or(0);
        let median = |value: &dyn Fn(&Value) -> f64| middle(lines.iter().map(value).collect());
        let rounds = median(&|line| {
            line["rounds"]
                .as_array()
                .map_or(0.0, |rounds| rounds.len() as f64)
        });
        let seconds = median(&|line| line["seconds"].as_f64().unwrap());
        let spread = median(&spread);
        writeln!(
            table,
            "| {} | × {} | {} | {} | {} | {} | {} | {rounds:.0} | {seconds:.0} | {spread:.3} |",
            cell.name,
            cell.slowdown,
            lines.len(),
            count("PASS"),
            count("FAIL"),
            count("INCONCLUSIVE"),
            count("INVALID"),
        )
        .unwrap();
    }
    table
}

/// How far ln of the ratio of both p99s spreads over the valid rounds of a gate: 1.4826 times the median absolute deviation.
fn spread(line: &Value) -> f64 {
    let rounds = line["rounds"].as_array().cloned().unwrap_or_default();
    let valid = rounds.iter().filter(|round| round["valid"] == true);
    let p99 = |round: &Value, arm: usize| round["arms"][arm][1].as_f64();
    let logs = valid.filter_map(|round| Some((p99(round, 1)? / p99(round, 0)?).ln()));
    let logs: Vec<f64> = logs.collect();
    let middle = middle(logs.clone());
    1.4826 * self::middle(logs.iter().map(|log| (log - middle).abs()).collect())
}

fn middle(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Troubles the servers that are children of a process, and the machine; ends when it is dropped.
struct Noise {
    stop: Arc<AtomicBool>,
    threads: Vec<std::thread::JoinHandle<()>>,
}

impl Noise {
    fn around(gate: u32) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (stopping, spinning) = (Arc::clone(&stop), Arc::clone(&stop));
        let threads = vec![
            spawn(move || stalls(gate, &stopping)),
            spawn(move || spins(&spinning)),
        ];
        Self { stop, threads }
    }
}

impl Drop for Noise {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            thread.join().unwrap();
        }
    }
}

/// Draws that need not be the same again.
struct Draws(u64);

impl Draws {
    fn of_now() -> Self {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        Self(u64::try_from(now.unwrap().as_nanos()).unwrap_or(1))
    }

    /// Between 0 and 1, neither of them.
    fn unit(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (((mixed ^ (mixed >> 31)) >> 12) as f64 + 0.5) / (1u64 << 52) as f64
    }

    fn exponential(&mut self, mean: f64) -> f64 {
        -mean * self.unit().ln()
    }

    fn lognormal(&mut self, median: f64, sigma: f64) -> f64 {
        let normal = (-2.0 * self.unit().ln()).sqrt() * (std::f64::consts::TAU * self.unit()).cos();
        median * (sigma * normal).exp()
    }
}

/// Stops and continues the servers: rarely for a while, often for a while, once a second on average.
fn stalls(gate: u32, stop: &AtomicBool) {
    let mut draws = Draws::of_now();
    while !stop.load(Ordering::Relaxed) {
        let gap = if draws.unit() < 0.5 { 0.2 } else { 1.8 };
        pause(draws.exponential(gap), stop);
        let servers = children(gate);
        let length = draws.lognormal(0.012, 0.8).min(0.5);
        for server in &servers {
            // One that has ended in the meantime needs no stop.
            let _ = kill_process(*server, Signal::STOP);
        }
        sleep(Duration::from_secs_f64(length));
        for server in &servers {
            let _ = kill_process(*server, Signal::CONT);
        }
    }
}

/// Keeps a core busy for about 12 of every 40 seconds.
fn spins(stop: &AtomicBool) {
    let mut draws = Draws::of_now();
    while !stop.load(Ordering::Relaxed) {
        pause(draws.exponential(28.0), stop);
        let until = Instant::now() + Duration::from_secs_f64(draws.exponential(12.0).min(60.0));
        while Instant::now() < until && !stop.load(Ordering::Relaxed) {
            std::hint::spin_loop();
        }
    }
}

fn pause(seconds: f64, stop: &AtomicBool) {
    let until = Instant::now() + Duration::from_secs_f64(seconds);
    while Instant::now() < until && !stop.load(Ordering::Relaxed) {
        let left = until.saturating_duration_since(Instant::now());
        sleep(left.min(Duration::from_millis(50)));
    }
}

/// The oracles that a gate has started.
fn children(gate: u32) -> Vec<Pid> {
    let processes = procfs::process::all_processes().unwrap();
    let servers = processes.flatten().filter_map(|process| {
        let stat = process.stat().ok()?;
        let is_server = stat.ppid.unsigned_abs() == gate;
        Pid::from_raw(stat.pid).filter(|_| is_server)
    });
    servers.collect()
}
