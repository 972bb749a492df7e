//! Memory and CPU of live containers, by their control groups, held against what Docker says. Where no daemon answers, or its
//! containers are not in sight, the tests print why they were skipped.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test stops where it cannot go on, and says why it was skipped"
)]

mod support;

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use serde_json::Value;

use support::Tool;
use support::scripted::{Reply, Scripted};
use tailmark::docker::{self, Running};
use tailmark::probe::{Probe, Subject};
use tailmark::run_record::resources::Resources;

const MIB: u64 = 1 << 20;

/// How long a daemon may take for what takes it a second on an idle machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// An image that holds `tests/programs/hungry.rs` and nothing else, removed when the last test that runs it is over.
struct Image {
    name: String,
}

impl Image {
    /// The one of this process, made if there is none at the moment; or why there is none.
    fn shared() -> Result<Arc<Image>, String> {
        static MADE: Mutex<Weak<Image>> = Mutex::new(Weak::new());
        let mut made = MADE.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(image) = made.upgrade() {
            return Ok(image);
        }
        let image = Arc::new(Image::make()?);
        *made = Arc::downgrade(&image);
        Ok(image)
    }

    fn make() -> Result<Image, String> {
        succeed(Command::new("docker").args(["version", "--format", "{{.Server.Version}}"]))?;
        let folder = tempfile::tempdir().unwrap();
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/programs/hungry.rs");
        let mut rustc = Command::new("rustc");
        rustc.args([
            "--edition=2024",
            "-O",
            "-C",
            "target-feature=+crt-static",
            "-o",
        ]);
        succeed(rustc.arg(folder.path().join("hungry")).arg(source))?;
        let archive = folder.path().join("image.tar");
        let mut tar = Command::new("tar");
        tar.arg("-cf").arg(&archive).arg("-C").arg(folder.path());
        succeed(tar.arg("hungry"))?;
        let name = format!("tailmark-test-cgroup:{}", std::process::id());
        let mut import = Command::new("docker");
        import.args(["import", "--change", "ENTRYPOINT [\"/hungry\"]"]);
        succeed(import.arg(&archive).arg(&name))?;
        Ok(Image { name })
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        let _ = succeed(Command::new("docker").args(["rmi", "--force", &self.name]));
    }
}

/// What a command printed, or why it failed.
fn succeed(command: &mut Command) -> Result<String, String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command
        .output()
        .map_err(|error| format!("{program}: {error}"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(format!("{program}: {}", said.trim()))
}

/// A container that does what it is told, and ends with its standard input.
struct Hungry {
    name: String,
    client: Child,
    commands: ChildStdin,
    answers: BufReader<ChildStdout>,
    _image: Arc<Image>,
}

impl Hungry {
    /// Started with further `flags` of `docker run`; `None`, with the reason printed, where that cannot be.
    fn start(flags: &[&str]) -> Option<Hungry> {
        Hungry::kept(&[flags, &["--rm"]].concat())
    }

    /// One of which the daemon still knows when it has ended.
    fn kept(flags: &[&str]) -> Option<Hungry> {
        match Hungry::try_start(flags) {
            Ok(hungry) => Some(hungry),
            Err(reason) => {
                println!("skipped: {reason}");
                None
            }
        }
    }

    fn try_start(flags: &[&str]) -> Result<Hungry, String> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let image = Image::shared()?;
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("tailmark-test-cgroup-{}-{number}", std::process::id());
        let mut client = Command::new("docker")
            .args(["run", "--interactive", "--network=none"])
            .args(["--label=tailmark.test=cgroup", "--name", &name])
            .args(flags)
            .arg(&image.name)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let commands = client.stdin.take().unwrap();
        let answers = BufReader::new(client.stdout.take().unwrap());
        let mut hungry = Hungry {
            name,
            client,
            commands,
            answers,
            _image: image,
        };
        hungry.tell("free");
        // A daemon may be reached by its socket and yet run its containers where they cannot be seen from here.
        if hungry.running().process().is_none() {
            return Err("the daemon's containers cannot be seen from here".to_owned());
        }
        Ok(hungry)
    }

    /// The container as tailmark sees it.
    fn running(&self) -> Running {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(docker::running(&self.name)).unwrap()
    }

    fn watch(&self, hz: u32) -> Probe {
        Probe::watch(Subject::Container(self.running()), hz).unwrap()
    }

    /// Has `command` begun, and does not wait for it.
    fn begin(&mut self, command: &str) {
        writeln!(self.commands, "{command}").unwrap();
    }

    /// Has `command` carried out, and returns the answer when it is done.
    fn tell(&mut self, command: &str) -> String {
        self.begin(command);
        let mut line = String::new();
        self.answers.read_line(&mut line).unwrap();
        assert!(line.starts_with("done"), "{command}: {line}");
        line
    }

    /// `docker stats`, one line of it.
    fn stats_once(&self) -> u64 {
        let words = [
            "stats",
            "--no-stream",
            "--format",
            "{{.MemUsage}}",
            &self.name,
        ];
        memory_in(&succeed(Command::new("docker").args(words)).unwrap()).unwrap()
    }
}

impl Drop for Hungry {
    fn drop(&mut self) {
        let _ = succeed(Command::new("docker").args(["rm", "--force", &self.name]));
        let _ = self.client.kill();
        let _ = self.client.wait();
    }
}

/// Memory in use in a line such as `64.5MiB / 23.5GiB`, with what a terminal is told before it.
fn memory_in(line: &str) -> Option<u64> {
    let (used, _) = line.split_once(" / ")?;
    let units = [
        ("KiB", 1024.0),
        ("MiB", 1_048_576.0),
        ("GiB", 1_073_741_824.0),
    ];
    let (number, unit) = units
        .into_iter()
        .find_map(|(name, unit)| Some((used.strip_suffix(name)?, unit)))?;
    let start = number.rfind(|c: char| c != '.' && !c.is_ascii_digit());
    let number: f64 = number[start.map_or(0, |at| at + 1)..].parse().ok()?;
    Some((number * unit) as u64)
}

/// `docker stats` as it goes on, about once a second.
struct Stats {
    client: Child,
    lines: Receiver<u64>,
}

impl Stats {
    fn follow(name: &str) -> Stats {
        let mut client = Command::new("docker")
            .args(["stats", "--format", "{{.MemUsage}}", name])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let output = BufReader::new(client.stdout.take().unwrap());
        let (send, lines) = channel();
        std::thread::spawn(move || {
            let seen = output.lines().map_while(Result::ok);
            // Ends with the test.
            let _ = seen
                .filter_map(|line| memory_in(&line))
                .try_for_each(|bytes| send.send(bytes));
        });
        Stats { client, lines }
    }

    /// The most in the next `count` lines.
    fn most_of(&self, count: usize) -> u64 {
        (0..count)
            .map(|_| self.lines.recv_timeout(PATIENCE).unwrap())
            .max()
            .unwrap()
    }
}

impl Drop for Stats {
    fn drop(&mut self) {
        let _ = self.client.kill();
        let _ = self.client.wait();
    }
}

/// `a` and `b` differ by no more than 2 % of `b`.
fn assert_within_two_percent(what: &str, a: u64, b: u64) {
    let off = (a as f64 / b as f64 - 1.0).abs();
    assert!(
        off <= 0.02,
        "{what}: {a} and {b}, {:.2} % apart",
        off * 100.0
    );
}

fn source(resources: &Resources) -> &str {
    &resources.memory.working_set.as_ref().unwrap().source
}

#[test]
fn the_working_set_is_within_two_percent_of_docker_stats() {
    let Some(mut hungry) = Hungry::start(&[]) else {
        return;
    };
    for mib in [64, 128, 32] {
        hungry.tell("free");
        hungry.tell(&format!("allocate {}", mib * MIB));
        let probe = hungry.watch(100);
        probe.idle();
        probe.measure_from();
        let docker = hungry.stats_once();
        probe.measure_to();
        let resources = probe.finish();
        let memory = &resources.memory;
        let [working_set, rss, page_cache] = [&memory.working_set, &memory.rss, &memory.page_cache]
            .map(|kind| kind.as_ref().unwrap());
        println!(
            "{mib} MiB: docker stats {docker}, working set {:?}, RSS {:?}, page cache {:?}; {}",
            working_set.p50_bytes,
            rss.p50_bytes,
            page_cache.p50_bytes,
            source(&resources)
        );
        assert_within_two_percent("working set", working_set.p50_bytes.unwrap(), docker);
        assert!(rss.p50_bytes.unwrap() >= mib * MIB && working_set.p50_bytes.unwrap() >= mib * MIB);
        assert!(
            working_set.source.starts_with("cgroup-v"),
            "{}",
            working_set.source
        );
        assert_eq!((working_set.hz, working_set.processes), (100.0, Some(1)));
        let container = resources.container.as_ref().unwrap();
        assert_eq!(container.tasks_peak, Some(1));
        assert_eq!(container.oom_kills, Some(0));
    }
}

#[test]
fn a_spike_of_fifty_milliseconds_that_docker_stats_misses_is_in_the_peak() {
    const SPIKE: u64 = 96 * MIB;
    /// Docker's reading falls into a spike about once in twenty times; not five times in a row.
    const TRIES: u32 = 5;
    let Some(mut hungry) = Hungry::start(&[]) else {
        return;
    };
    let stats = Stats::follow(&hungry.name);
    let base = stats.most_of(2);
    for _ in 0..TRIES {
        let probe = hungry.watch(1);
        probe.measure_from();
        hungry.tell(&format!("spike {SPIKE} 50"));
        probe.measure_to();
        let resources = probe.finish();
        let working_set = resources.memory.working_set.as_ref().unwrap();
        let peak = working_set.peak_bytes.unwrap();
        let seen = stats.most_of(4);
        println!(
            "peak {peak}, docker stats at most {seen}; {}",
            working_set.source
        );
        if working_set.source.contains("since the measured phases") {
            // Pages that the kernel charges in advance, and those that the container had.
            assert!(peak >= SPIKE && peak <= SPIKE + base + 4 * MIB, "{peak}");
        } else {
            assert!(peak >= SPIKE, "{peak}");
        }
        if seen < SPIKE / 2 {
            return;
        }
    }
    panic!("docker stats saw {TRIES} of {TRIES} spikes");
}

#[test]
fn what_was_before_the_measured_phases_is_not_in_the_peak() {
    let Some(mut hungry) = Hungry::start(&[]) else {
        return;
    };
    hungry.tell(&format!("spike {} 1", 128 * MIB));
    let probe = hungry.watch(20);
    probe.measure_from();
    hungry.tell(&format!("allocate {}", 32 * MIB));
    probe.measure_to();
    let resources = probe.finish();
    let peak = resources.memory.working_set.as_ref().unwrap().peak_bytes;
    if source(&resources).contains("since the measured phases") {
        assert!(peak.unwrap() < 64 * MIB, "{peak:?}");
    } else {
        println!(
            "skipped: this kernel's peak cannot be reset ({})",
            source(&resources)
        );
    }
}

#[test]
fn a_process_killed_for_memory_is_counted_with_the_limit() {
    let limits = ["--memory=48m", "--memory-swap=48m"];
    let Some(mut hungry) = Hungry::start(&limits) else {
        return;
    };
    let probe = hungry.watch(20);
    let answer = hungry.tell(&format!("child {}", 96 * MIB));
    assert!(answer.contains("signal: 9"), "{answer}");
    let container = probe.finish().container.unwrap();
    assert_eq!(container.memory_limit_bytes, Some(48 * MIB));
    assert_eq!(container.oom_kills, Some(1));
}

#[test]
fn cpu_time_and_throttling_are_the_containers() {
    let Some(mut hungry) = Hungry::start(&["--cpus=0.05"]) else {
        return;
    };
    let probe = hungry.watch(20);
    hungry.tell("spin 500");
    probe.measure_from();
    // By the clock; the limit leaves a twentieth of that, which even a busy machine has.
    hungry.tell("spin 1000");
    probe.measure_to();
    hungry.tell("spin 500");
    let resources = probe.finish();
    let cpu = resources.cpu_ns.unwrap();
    assert!(cpu > 1_000_000 && cpu < 300_000_000, "{cpu}");
    let container = resources.container.unwrap();
    assert_eq!(container.cpu_limit, Some(0.05));
    assert!(container.throttled_ns.unwrap() > 0, "{container:?}");
    assert!(container.throttled_periods.unwrap() > 0, "{container:?}");
}

#[test]
fn a_container_that_dies_is_reported_as_far_as_it_was_seen() {
    let Some(mut hungry) = Hungry::start(&[]) else {
        return;
    };
    hungry.tell(&format!("allocate {}", 32 * MIB));
    let probe = hungry.watch(50);
    probe.measure_from();
    std::thread::sleep(Duration::from_millis(200));
    succeed(Command::new("docker").args(["kill", &hungry.name])).unwrap();
    let deadline = Instant::now() + PATIENCE;
    while probe.latest().0.is_some() {
        assert!(Instant::now() < deadline, "it does not end");
        std::thread::sleep(Duration::from_millis(10));
    }
    let resources = probe.finish();
    let working_set = resources.memory.working_set.unwrap();
    assert!(working_set.p50_bytes.unwrap() > 32 * MIB, "{working_set:?}");
    assert_eq!(working_set.after_idle_bytes, None);
}

#[test]
fn a_run_reads_the_container_that_it_is_told_to_watch() {
    let Some(mut hungry) = Hungry::start(&["--memory=256m"]) else {
        return;
    };
    hungry.tell(&format!("allocate {}", 64 * MIB));
    let server = Scripted::start(|_| Reply::Status(200));
    let tool = Tool::new();
    let watched = format!("container:{}", hungry.name);
    let url = server.url();
    let words = ["run", &url, "-r", "50", "-d", "1s", "--watch", &watched];
    let limits = [
        "--threshold",
        "mem.p95 < 40MiB",
        "--threshold",
        "mem.peak < 128MiB",
    ];
    let ran = tool.run(&[&words[..], &limits, &["--sample-hz", "50", "--json"]].concat());
    // Or 4, on a machine so busy that the measurement is not valid: what was observed of memory holds all the same.
    let code = ran.code.filter(|&code| code == 1 || code == 4);
    let record = ran.json(code.unwrap_or(1));
    let working_set = &record["resources"]["memory"]["working_set"];
    assert!(
        working_set["p50_bytes"].as_u64().unwrap() >= 64 * MIB,
        "{working_set}"
    );
    assert_eq!(working_set["hz"], 50.0);
    assert!(
        working_set["source"]
            .as_str()
            .unwrap()
            .starts_with("cgroup-v")
    );
    let limit = &record["resources"]["container"]["memory_limit_bytes"];
    assert_eq!(limit, 256 * MIB);
    let passed: Vec<bool> = record["thresholds"]
        .as_array()
        .unwrap()
        .iter()
        .map(|ruling| ruling["passed"].as_bool().unwrap())
        .collect();
    assert_eq!(passed, [false, true]);
    let text = tool.run(&["report", tool.latest().to_str().unwrap()]).out;
    assert!(text.contains("memory (working set) "), "{text}");
    assert!(
        text.contains("container  limits 256.0 MiB · RSS "),
        "{text}"
    );
}

/// A run that watches the container, while `server` is asked; `environment` is added to its own.
fn watching(
    tool: &Tool,
    server: &Scripted,
    hungry: &Hungry,
    lasts: &str,
    environment: &[(&str, &str)],
) -> Command {
    let watched = format!("container:{}", hungry.name);
    let url = server.url();
    let words = [
        "run", &url, "-r", "50", "-d", lasts, "--watch", &watched, "--json",
    ];
    let mut command = tool.command(&words);
    command.envs(environment.iter().copied());
    command
}

#[test]
fn a_container_whose_only_process_is_killed_for_memory_is_said_to_be() {
    let Some(mut hungry) = Hungry::kept(&["--memory=48m", "--memory-swap=48m"]) else {
        return;
    };
    let server = Scripted::start(|_| Reply::Status(200));
    let tool = Tool::new();
    let run = watching(&tool, &server, &hungry, "2s", &[])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let deadline = Instant::now() + PATIENCE;
    while server.connections() == 0 {
        assert!(Instant::now() < deadline, "nothing is sent");
        std::thread::sleep(Duration::from_millis(5));
    }
    hungry.begin(&format!("allocate {}", 96 * MIB));
    let record = support::Ran::from(run.wait_with_output().unwrap()).json(0);
    let container = &record["resources"]["container"];
    assert_eq!(container["oom_kills"], 1, "{container}");
    assert_eq!(container["memory_limit_bytes"], 48 * MIB);
    let text = tool.run(&["report", tool.latest().to_str().unwrap()]).out;
    let said = "OOM KILL   the kernel killed a process of the container for want of memory: its limit is 48.0 MiB";
    assert!(text.contains(said), "{text}");
}

/// What a record says of a container with 64 MiB and a tenth of a CPU that is always busy, watched for 5 s from afar.
fn assert_coarse(record: &Value, hungry: &Hungry) {
    let resources = &record["resources"];
    let memory = &resources["memory"]["working_set"];
    let source = memory["source"].as_str().unwrap();
    assert!(source.starts_with("docker-stats, coarse: "), "{source}");
    assert!(source.ends_with("peak as sampled"), "{source}");
    let hz = memory["hz"].as_f64().unwrap();
    // Docker reads once a second; a busy machine is late.
    assert!(hz > 0.1 && hz < 1.5, "{hz}");
    for figure in ["idle_bytes", "p50_bytes", "peak_bytes", "after_idle_bytes"] {
        let bytes = memory[figure]
            .as_u64()
            .unwrap_or_else(|| panic!("{memory}"));
        assert_within_two_percent(figure, bytes, hungry.stats_once());
        assert!(bytes >= 64 * MIB, "{figure}: {bytes}");
    }
    assert!(resources["memory"]["rss"].is_null());
    let cpu = resources["cpu"]["ns"].as_u64().unwrap();
    assert!(cpu > 200_000_000 && cpu < 1_000_000_000, "{cpu}");
    let container = &resources["container"];
    assert_eq!(container["source"], "docker-stats");
    assert_eq!(container["hz"], hz);
    assert_eq!(container["memory_limit_bytes"], 256 * MIB);
    assert_eq!(container["cpu_limit"], 0.1);
    assert_eq!(container["tasks_peak"], 1);
    assert!(
        container["throttled_ns"].as_u64().unwrap() > 0,
        "{container}"
    );
}

/// A container with 64 MiB and a tenth of a CPU, which it keeps busy.
fn busy() -> Option<Hungry> {
    let mut hungry = Hungry::start(&["--memory=256m", "--cpus=0.1"])?;
    hungry.tell(&format!("allocate {}", 64 * MIB));
    hungry.begin("spin 600000");
    Some(hungry)
}

#[test]
fn a_container_of_a_daemon_elsewhere_is_watched_by_what_that_tells() {
    let Some(hungry) = busy() else {
        return;
    };
    let server = Scripted::start(|_| Reply::Status(200));
    let tool = Tool::new();
    let elsewhere = support::forwarded::at_a_port();
    let environment = [("DOCKER_HOST", elsewhere.as_str())];
    let ran = watching(&tool, &server, &hungry, "5s", &environment).output();
    let record = support::Ran::from(ran.unwrap()).json(0);
    assert_coarse(&record, &hungry);
    let text = tool.run(&["report", tool.latest().to_str().unwrap()]).out;
    assert!(text.contains("memory (working set) "), "{text}");
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(
        text.contains("docker-stats, coarse: what is between two readings is not seen"),
        "{text}"
    );
}

#[test]
fn a_container_out_of_sight_is_watched_by_what_its_daemon_tells() {
    let Some(hungry) = busy() else {
        return;
    };
    let apart = ["--pid", "--fork", "--mount-proc"];
    if let Err(why) = succeed(Command::new("unshare").args(apart).arg("true")) {
        println!("skipped: no process can be put out of sight: {why}");
        return;
    }
    let server = Scripted::start(|_| Reply::Status(200));
    let tool = Tool::new();
    let run = watching(&tool, &server, &hungry, "5s", &[]);
    let mut unshare = Command::new("unshare");
    unshare
        .args(apart)
        .arg(run.get_program())
        .args(run.get_args())
        .current_dir(tool.folder.path());
    let record = support::Ran::from(unshare.output().unwrap()).json(0);
    assert_coarse(&record, &hungry);
}

#[test]
fn a_container_that_is_not_there_is_an_error_before_anything_is_sent() {
    let server = Scripted::start(|_| Reply::Status(200));
    let tool = Tool::new();
    let ran = tool
        .command(&[
            "run",
            &server.url(),
            "--watch",
            "container:no-such-container",
        ])
        .env("DOCKER_HOST", "unix:///nobody/listens.sock")
        .output();
    let ran = support::Ran::from(ran.unwrap());
    assert_eq!(ran.code, Some(2));
    assert_eq!(
        ran.err,
        format!(
            "error: {}: cannot watch container:no-such-container: no container engine answers (/nobody/listens.sock: there is \
             no such socket)\nhint: start Docker or podman, or name its socket: \
             DOCKER_HOST=unix:///run/docker.sock\n",
            server
                .url()
                .trim_start_matches("http://")
                .trim_end_matches('/')
                .replace(':', "-")
        )
    );
    let Ok(_image) = Image::shared() else {
        println!("skipped the rest: no daemon answers");
        return;
    };
    let ran = tool.run(&[
        "run",
        &server.url(),
        "--watch",
        "container:no-such-container",
    ]);
    assert_eq!(ran.code, Some(2));
    assert!(
        ran.err
            .contains("there is no container `no-such-container` ("),
        "{}",
        ran.err
    );
}
