//! Each state of a measurement and each note, on real servers: once where it must fire, and once where it must not.
//!
//! Steal cannot be made to order on any machine; that it disturbs is tested in `src/validity.rs`.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test stops where it cannot go on, and says why it was skipped"
)]

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use serde_json::Value;

use support::Tool;
use support::scripted::{Reply, Scripted};

/// Held by each test: they make CPUs busy, and judge how punctual the generator was.
static ALONE: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    // A test that failed has left nothing behind that another would mind.
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The record of a run of `url` with `flags`.
fn measured(url: &str, flags: &[&str]) -> Value {
    let words = [&["run", url, "--json", "--no-save"], flags].concat();
    Tool::new().run(&words).json(0)
}

fn notes(record: &Value) -> Vec<&str> {
    let notes = record["validity"]["notes"].as_array().unwrap();
    notes
        .iter()
        .map(|note| note["name"].as_str().unwrap())
        .collect()
}

fn reasons(record: &Value) -> String {
    record["validity"]["reasons"].to_string()
}

/// Threads that do nothing but take the time of one CPU, until they are dropped or a minute is over.
struct Busy {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Busy {
    fn beside(cpu: usize, threads: usize) -> Busy {
        let stop = Arc::new(AtomicBool::new(false));
        let spin = || {
            let stop = Arc::clone(&stop);
            std::thread::spawn(move || {
                let mut only = CpuSet::new();
                only.set(cpu);
                sched_setaffinity(None, &only).unwrap();
                let end = Instant::now() + Duration::from_secs(60);
                while !stop.load(Ordering::Relaxed) && Instant::now() < end {
                    std::hint::spin_loop();
                }
            })
        };
        let threads = (0..threads).map(|_| spin()).collect();
        Busy { stop, threads }
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.threads
            .drain(..)
            .for_each(|thread| thread.join().unwrap());
    }
}

#[test]
fn a_generator_beside_busy_threads_accuses_itself() {
    let _alone = alone();
    let allowed = sched_getaffinity(None).unwrap();
    let mut cpus = (0..CpuSet::MAX_CPU).filter(|&cpu| allowed.is_set(cpu));
    let (Some(crowded), Some(free)) = (cpus.next(), cpus.next()) else {
        println!("skipped: one CPU only, so that the server would be late as well");
        return;
    };
    let server = Scripted::start(|_| Reply::Status(200));
    let pin = format!("{crowded}:{free}:{free}");
    // The worker gets a seventeenth of a CPU, far from what 8,000 requests a second need.
    let flags = ["-r", "8000", "-d", "1s", "-c", "32", "--pin", &pin];
    let busy = Busy::beside(crowded, 16);
    let record = measured(&server.url(), &flags);
    drop(busy);
    let state = record["validity"]["state"].as_str().unwrap();
    // A hypervisor that takes time away too is named first.
    assert!(["client-bound", "disturbed"].contains(&state), "{state}");
    assert!(
        reasons(&record).contains("tailmark itself was late"),
        "{}",
        reasons(&record)
    );
    let placement = format!("generator {crowded}, target {free}, stores {free}");
    assert_eq!(record["generator"]["placement"], placement.as_str());
}

#[test]
fn a_slow_target_with_one_connection_is_no_fault_of_the_generator() {
    let _alone = alone();
    let server = Scripted::start(|_| Reply::Slow(Duration::from_millis(20)));
    let record = measured(&server.url(), &["-r", "100", "-d", "1s", "-c", "1"]);
    assert_eq!(notes(&record), ["saturated", "pool-bound"]);
    assert!(
        !reasons(&record).contains("tailmark"),
        "{}",
        reasons(&record)
    );
    // So many of them take as long as they would at this rate, whatever time was allowed for them.
    let record = measured(&server.url(), &["-r", "100", "-n", "100", "-c", "1"]);
    assert_eq!(notes(&record), ["saturated", "pool-bound"]);
    // The same target, for whom there are connections enough.
    let record = measured(&server.url(), &["-r", "100", "-d", "1s"]);
    assert_eq!(notes(&record), Vec::<&str>::new());
}

#[test]
fn descriptors_that_run_out_void_the_run() {
    let _alone = alone();
    let server = Scripted::start(|_| Reply::Status(200));
    let tool = Tool::new();
    tool.write(
        "s.yaml",
        "tailmark: 1\nconnections: { max: 128, open: all }\nflows: { f: { steps: [get: /] } }\n\
         phases: [{ name: p, rate: 50/s, for: 200ms }]\n",
    );
    let url = server.url();
    let words = [
        "run",
        "s.yaml",
        "--target",
        &url,
        "--json",
        "--no-save",
        "--no-preflight",
    ];
    // What was opened before tailmark started counts too, and tailmark cannot know of it beforehand.
    let crowded = |inherited: u32| {
        let script = format!(
            "ulimit -n 300; for fd in $(seq 20 {}); do eval \"exec $fd</dev/null\"; done; exec \"$@\"",
            19 + inherited
        );
        let mut command = Command::new("bash");
        command.current_dir(tool.folder.path());
        command.args(["-c", &script, "bash", env!("CARGO_BIN_EXE_tailmark")]);
        support::Ran::from(command.args(words).output().unwrap()).json(0)
    };
    let record = crowded(200);
    let ran_out = "tailmark ran out of descriptors";
    assert!(reasons(&record).contains(ran_out), "{}", reasons(&record));
    assert_ne!(record["validity"]["state"], "valid");
    let record = crowded(1);
    assert!(!reasons(&record).contains(ran_out), "{}", reasons(&record));
    assert_eq!(record["connections"]["opened"], 128);
}

#[test]
fn a_worker_that_starves_beside_idle_connections_is_a_note() {
    let _alone = alone();
    // Two workers take arrivals in turn: all of the slow ones fall to one of them.
    let server = Scripted::by_request(|_, request| {
        let path = request.split(' ').nth(1).unwrap();
        let number: u64 = path.trim_start_matches('/').parse().unwrap();
        if number.is_multiple_of(2) {
            Reply::Slow(Duration::from_millis(60))
        } else {
            Reply::Status(200)
        }
    });
    let url = format!("{}/${{seq}}", server.url());
    let load = ["-r", "50", "-n", "50"];
    let record = measured(&url, &[&load[..], &["-c", "2", "--workers", "2"]].concat());
    assert!(
        notes(&record).contains(&"pool-imbalance"),
        "{:?}",
        notes(&record)
    );
    assert!(record["total"]["imbalanced_count"].as_u64() > Some(5));
    let record = measured(&url, &[&load[..], &["-c", "4", "--workers", "1"]].concat());
    assert_eq!(record["total"]["imbalanced_count"], 0);
    assert!(
        !notes(&record).contains(&"pool-imbalance"),
        "{:?}",
        notes(&record)
    );
}

#[test]
fn a_target_that_keeps_closing_resting_connections_is_a_note() {
    let _alone = alone();
    let server = Scripted::start(|_| Reply::HangUp);
    let flags = ["-r", "100", "-n", "50", "-c", "4"];
    let record = measured(&server.url(), &flags);
    assert!(
        notes(&record).contains(&"keep-alive"),
        "{:?}",
        notes(&record)
    );
    let server = Scripted::start(|_| Reply::Status(200));
    let record = measured(&server.url(), &flags);
    assert_eq!(record["connections"]["reopened"], 0);
    assert!(
        !notes(&record).contains(&"keep-alive"),
        "{:?}",
        notes(&record)
    );
}

/// A control group for a command, removed when dropped.
struct Group {
    folder: PathBuf,
    /// The file that limits CPU time, and what in it stands for a tenth of a CPU and for no limit.
    quota: (&'static str, &'static str, &'static str),
}

impl Group {
    /// In whichever hierarchy has CPU limits; none where we may not make groups.
    fn new() -> Option<Group> {
        let name = format!("tailmark-test-{}", std::process::id());
        let hierarchies = [
            ("/sys/fs/cgroup/cpu", ("cpu.cfs_quota_us", "10000", "-1")),
            ("/sys/fs/cgroup", ("cpu.max", "10000 100000", "max")),
        ];
        hierarchies.into_iter().find_map(|(root, quota)| {
            let folder = Path::new(root).join(&name);
            fs::create_dir(&folder).ok()?;
            let group = Group { folder, quota };
            group.limit(false).ok()?;
            // Whoever is in it must see it as tailmark does, which a container may not.
            let inside = group.command("cat", &["/proc/self/cgroup"]).output().ok()?;
            let seen = String::from_utf8(inside.stdout).ok()?;
            let path = format!(":/{name}");
            seen.lines()
                .any(|line| line.ends_with(&path))
                .then_some(group)
        })
    }

    fn limit(&self, limited: bool) -> std::io::Result<()> {
        let (file, tenth, none) = self.quota;
        fs::write(self.folder.join(file), if limited { tenth } else { none })
    }

    /// A command that runs in it.
    fn command(&self, program: &str, words: &[&str]) -> Command {
        let procs = self.folder.join("cgroup.procs");
        let script = format!("echo $$ >{} && exec \"$@\"", procs.display());
        let mut command = Command::new("sh");
        command.args(["-c", &script, "sh", program]).args(words);
        command
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // What ran in it has ended, so nothing keeps it.
        let _ = fs::remove_dir(&self.folder);
    }
}

#[test]
fn a_generator_that_is_throttled_says_that_it_was_disturbed() {
    let _alone = alone();
    let Some(group) = Group::new() else {
        println!("skipped: no control group with CPU limits can be made here");
        return;
    };
    let server = Scripted::start(|_| Reply::Status(200));
    let url = server.url();
    let run = |limited| {
        group.limit(limited).unwrap();
        let words = [
            "run",
            &url,
            "--json",
            "--no-save",
            "--no-preflight",
            "-r",
            "20000",
            "-d",
            "1s",
            "-c",
            "16",
        ];
        let ran = group
            .command(env!("CARGO_BIN_EXE_tailmark"), &words)
            .output();
        support::Ran::from(ran.unwrap()).json(0)
    };
    let record = run(true);
    assert_eq!(record["validity"]["state"], "disturbed");
    assert!(
        reasons(&record).contains("tailmark's own control group was throttled for"),
        "{}",
        reasons(&record)
    );
    let record = run(false);
    assert!(
        !reasons(&record).contains("throttled"),
        "{}",
        reasons(&record)
    );
}
