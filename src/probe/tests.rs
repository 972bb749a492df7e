//! Against real processes.

use std::net::TcpListener;
use std::sync::MutexGuard;
use std::time::{Duration, Instant};

use super::*;
use crate::test_child::Obedient;

const MIB: u64 = 1 << 20;

/// What a probe of this machine has seen.
fn seen(probe: &Probe) -> MutexGuard<'_, Watch> {
    match &probe.0 {
        Eye::Here(sampler) => sampler.lock(),
        Eye::Elsewhere(_) => panic!("it listens to an engine"),
    }
}

/// Lets the probe take at least `count` readings, as its own count of measured ones tells.
fn await_samples(probe: &Probe, count: u64) {
    let goal = seen(probe).rss.measured.kept() + count;
    let deadline = Instant::now() + Duration::from_secs(30);
    while seen(probe).rss.measured.kept() < goal {
        assert!(Instant::now() < deadline, "the probe reads nothing");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn assert_about(what: &str, observed: Option<u64>, expected: u64, margin: u64) {
    let observed = observed.unwrap_or_else(|| panic!("{what} is unknown"));
    assert!(
        observed.abs_diff(expected) <= margin,
        "{what}: {observed}, not {expected} ± {margin}"
    );
}

#[test]
fn memory_of_a_process_before_during_and_after() {
    let mut child = Obedient::start();
    child.tell("free");
    let probe = Probe::watch(Subject::Process(child.pid()), 100).unwrap();
    probe.idle();
    probe.measure_from();
    child.tell(&format!("allocate {}", 64 * MIB));
    await_samples(&probe, 20);
    probe.measure_to();
    let resources = probe.finish();
    let rss = resources.memory.rss.unwrap();
    let idle = rss.idle_bytes.unwrap();
    assert!(idle > MIB && idle < 32 * MIB, "{idle}");
    assert_about("p95", rss.p95_bytes, idle + 64 * MIB, 2 * MIB);
    assert_about("peak", rss.peak_bytes, idle + 64 * MIB, 2 * MIB);
    assert_about("after", rss.after_idle_bytes, idle + 64 * MIB, 2 * MIB);
    assert!(
        rss.source
            .contains("of one process; peak from VmHWM since the measured phases"),
        "{}",
        rss.source
    );
    assert!(
        (rss.processes, rss.hz) == (Some(1), 100.0) && rss.samples >= 20,
        "{rss:?}"
    );
    // The test binary is mapped by other processes too, so the proportional set is the smaller one.
    let pss = resources.memory.pss.unwrap();
    assert!(pss.idle_bytes.unwrap() <= idle, "{pss:?}");
    assert_about(
        "growth of pss",
        pss.after_idle_bytes,
        pss.idle_bytes.unwrap() + 64 * MIB,
        4 * MIB,
    );
    assert_eq!(
        (resources.memory.working_set, resources.startup_ns),
        (None, None)
    );
}

#[test]
fn a_spike_between_two_readings_is_in_the_peak_and_one_before_is_not() {
    let mut child = Obedient::start();
    child.tell(&format!("allocate {}", 128 * MIB));
    child.tell("free");
    let probe = Probe::watch(Subject::Process(child.pid()), 1).unwrap();
    probe.measure_from();
    child.tell(&format!("allocate {}", 32 * MIB));
    child.tell("free");
    probe.measure_to();
    let rss = probe.finish().memory.rss.unwrap();
    let spike = rss.peak_bytes.unwrap() - rss.p50_bytes.unwrap();
    assert_about("the spike", Some(spike), 32 * MIB, 3 * MIB);
}

#[test]
fn cpu_time_counts_in_measured_spans_alone() {
    let mut child = Obedient::start();
    let probe = Probe::watch(Subject::Process(child.pid()), 20).unwrap();
    child.tell("spin 300");
    for _ in 0..2 {
        probe.measure_from();
        child.tell("spin 100");
        probe.measure_to();
        child.tell("spin 100");
    }
    let spun = probe.finish().cpu_ns.unwrap();
    // The kernel counts in ticks of 10 ms, and what the child does beside spinning is little.
    assert!(spun > 150_000_000 && spun < 260_000_000, "{spun}");
}

#[test]
fn cpu_time_of_threads_and_children_that_ended_is_not_lost() {
    for command in ["spin-thread 200", "spawn; child spin 200; reap"] {
        let mut child = Obedient::start();
        child.tell("free");
        let probe = Probe::watch(Subject::Process(child.pid()), 20).unwrap();
        probe.measure_from();
        for part in command.split("; ") {
            child.tell(part);
        }
        probe.measure_to();
        let spun = probe.finish().cpu_ns.unwrap();
        assert!(spun > 150_000_000, "{command}: {spun}");
    }
}

#[test]
fn a_tree_counts_as_one_and_its_peak_is_the_sampled_one() {
    let mut child = Obedient::start();
    child.tell("spawn");
    child.tell(&format!("child allocate {}", 48 * MIB));
    let probe = Probe::watch(Subject::Process(child.pid()), 50).unwrap();
    probe.measure_from();
    await_samples(&probe, 3);
    let (rss, cpu) = probe.latest();
    assert!(rss.unwrap() > 48 * MIB && cpu.is_some(), "{rss:?} {cpu:?}");
    let rss = probe.finish().memory.rss.unwrap();
    assert_eq!(rss.processes, Some(2));
    assert!(rss.p50_bytes.unwrap() > 48 * MIB, "{rss:?}");
    assert_eq!(
        rss.source,
        "/proc statm of 2 processes, shared pages counted in each; peak as sampled"
    );
}

#[test]
fn a_child_that_comes_later_is_found() {
    let mut child = Obedient::start();
    child.tell("free");
    let probe = Probe::watch(Subject::Process(child.pid()), 100).unwrap();
    assert_eq!(seen(&probe).processes, 1);
    child.tell("spawn");
    child.tell("child free");
    let deadline = Instant::now() + 3 * watch::REFRESH_EVERY;
    while seen(&probe).processes < 2 {
        assert!(Instant::now() < deadline, "the child was not found");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_target_that_dies_is_reported_as_far_as_it_was_seen() {
    let mut child = Obedient::start();
    child.tell(&format!("allocate {}", 16 * MIB));
    let probe = Probe::watch(Subject::Process(child.pid()), 100).unwrap();
    probe.idle();
    probe.measure_from();
    await_samples(&probe, 3);
    child.kill();
    probe.measure_to();
    assert_eq!(probe.latest().0, None);
    let resources = probe.finish();
    let rss = resources.memory.rss.unwrap();
    assert!(
        rss.p50_bytes.unwrap() > 16 * MIB && rss.idle_bytes.is_some(),
        "{rss:?}"
    );
    assert_eq!(rss.after_idle_bytes, None);
    assert_eq!(resources.memory.pss.unwrap().after_idle_bytes, None);
}

#[test]
fn what_was_not_measured_is_not_zero() {
    let child = Obedient::start();
    let resources = Probe::watch(Subject::Process(child.pid()), 20)
        .unwrap()
        .finish();
    let rss = resources.memory.rss.unwrap();
    assert_eq!(
        (rss.idle_bytes, rss.p50_bytes, rss.p95_bytes, rss.peak_bytes),
        (None, None, None, None)
    );
    assert_eq!(
        (rss.slope_bytes_per_s, rss.samples, resources.cpu_ns),
        (None, 0, None)
    );
}

#[test]
fn the_process_behind_a_port_is_watched() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let probe = Probe::watch(Subject::Port(port), 20).unwrap();
    assert!(probe.latest().0.unwrap() > MIB);
}

#[test]
fn what_cannot_be_watched_is_named() {
    let mut child = Obedient::start();
    child.kill();
    let port = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    for (subject, hz, expected) in [
        (
            Subject::Process(child.pid()),
            20,
            format!("no process {} to watch", child.pid()),
        ),
        (
            Subject::Process(u32::MAX),
            20,
            "no process 4294967295 to watch".to_owned(),
        ),
        (
            Subject::Port(port),
            20,
            format!(
                "nobody listens on port {port} of this machine; name the process with --watch pid:N"
            ),
        ),
        (
            Subject::Process(std::process::id()),
            0,
            "0 readings per second are outside 1 to 100".to_owned(),
        ),
        (
            Subject::Process(std::process::id()),
            101,
            "101 readings per second are outside 1 to 100".to_owned(),
        ),
    ] {
        assert_eq!(Probe::watch(subject, hz).unwrap_err().to_string(), expected);
    }
}
