//! What follows from what was found out: a rule for each subject.

use super::{Facts, Finding, Settings, Status, Supply, Wakes};
use crate::placement::{Parts, Pin, Topology};
use crate::scenario::Connections;
use crate::units::{mib, thousands, three_digits};
use crate::validity::{NEGLIGIBLE_NS, taken_away};

/// Connections that people hold open who ask for many: what `tailmark run -c 10000` needs.
const MANY: u64 = 10_000;

/// For so long a port is blocked after its connection was closed from this side (`TCP_TIMEWAIT_LEN`, a constant of Linux's).
const BLOCKED_S: u64 = 60;

/// The share of a machine from which on what others run shows in a tail. An idle machine is below 2 %, and doing
/// nothing for a second is counted in ticks of 10 ms.
const OTHERS: f64 = 0.05;

/// From this share of steal on it is worth a word. Runs are called `disturbed` by a rule of their own.
const SOME_STEAL: f64 = 0.01;

/// A look at the clock that takes longer is a system call: the usual one takes 20 to 60 ns, and an exchange has a handful.
const SLOW_CLOCK_NS: f64 = 300.0;

/// What a generator at its largest (64 MiB) and private stores take together, with room for a small target.
const SCARCE_BYTES: u64 = 512 << 20;

/// Less than this the generator alone may need.
const TOO_FEW_BYTES: u64 = 64 << 20;

/// A response whose p99 is below so many times the lateness of the generator is not measured but guessed.
const TIMES_LATE: u64 = 10;

/// Every finding, those first that decide whether anything can be measured.
pub(super) fn all(facts: &Facts) -> Vec<Finding> {
    let settings = &facts.settings;
    vec![
        files(facts),
        ports(settings),
        backlog(settings),
        cores(facts),
        quota(facts),
        steal(facts),
        others(facts),
        timer(facts.wakes),
        clock(facts),
        governor(settings),
        boost(settings),
        memory(facts),
        pages(settings),
        container(facts),
        engine(&facts.engine),
        store("postgres", "postgres", &facts.postgres),
        store("redis", "redis", &facts.redis),
    ]
}

fn fine(subject: &'static str, observed: impl Into<String>) -> Finding {
    Finding {
        subject,
        status: Status::Fine,
        observed: observed.into(),
        cost: None,
        remedy: None,
    }
}

fn not_told(subject: &'static str, what: &str) -> Finding {
    Finding {
        status: Status::NotTold,
        ..fine(subject, format!("not told: {what}"))
    }
}

fn bad(
    status: Status,
    subject: &'static str,
    observed: impl Into<String>,
    cost: impl Into<String>,
    remedy: impl Into<String>,
) -> Finding {
    Finding {
        status,
        cost: Some(cost.into()),
        remedy: Some(remedy.into()),
        ..fine(subject, observed)
    }
}

fn files(facts: &Facts) -> Finding {
    let (Some(limit), Some(room)) = (facts.descriptors, facts.connections) else {
        return fine("files", "no limit of descriptors");
    };
    let usual = Connections::default().max as u64;
    let observed = format!(
        "{} descriptors at most: room for {} connections",
        thousands(limit),
        thousands(room)
    );
    let remedy = "ulimit -Hn 65535, LimitNOFILE= in systemd, or docker run --ulimit nofile=65535";
    if room < usual {
        let cost = format!("a run with the usual {usual} connections is refused");
        bad(Status::Prevents, "files", observed, cost, remedy)
    } else if room < MANY {
        let cost = "a run with more connections is refused before it starts";
        bad(Status::Costs, "files", observed, cost, remedy)
    } else {
        fine("files", observed)
    }
}

fn ports(settings: &Settings) -> Finding {
    let Some((first, last)) = settings.ports else {
        return not_told("ports", "no net.ipv4.ip_local_port_range");
    };
    let count = u64::from(last.saturating_sub(first)) + 1;
    // Reuse is safe after a second, by timestamps (tcp(7)).
    let blocked = if settings.reuse_ports == Some(1) {
        1
    } else {
        BLOCKED_S
    };
    let observed = format!(
        "{} local ports: {} connections to one address elsewhere, {} new ones a second",
        thousands(count),
        thousands(count),
        thousands(count / blocked)
    );
    if count >= MANY {
        return fine("ports", observed);
    }
    bad(
        Status::Costs,
        "ports",
        observed,
        "runs with more against another machine are refused or run out of ports; targets on loopback get more source \
         addresses",
        "sysctl -w net.ipv4.ip_local_port_range='1024 65535'",
    )
}

fn backlog(settings: &Settings) -> Finding {
    let Some(backlog) = settings.backlog else {
        return not_told("backlog", "no net.core.somaxconn");
    };
    let usual = Connections::default().max as u64;
    let observed = format!("{} connections may wait for accept", thousands(backlog));
    if backlog >= usual {
        return fine("backlog", observed);
    }
    bad(
        Status::Costs,
        "backlog",
        observed,
        "of more that open at once, to a target on this machine, some are a second late: their SYN is dropped and sent again",
        "sysctl -w net.core.somaxconn=4096",
    )
}

fn cores(facts: &Facts) -> Finding {
    let Some(topology) = &facts.topology else {
        return not_told("cores", "which CPUs may be used");
    };
    let observed = counted(topology);
    let parts = Parts {
        workers: 1,
        targets: true,
        stores: true,
    };
    match Pin::Auto.place(topology, parts) {
        Ok(Some(placement)) => fine("cores", format!("{observed}; --pin auto: {placement}")),
        _ if topology.cores() == 1 => bad(
            Status::Costs,
            "cores",
            observed,
            "generator, target and stores take turns on it: each response waits for the others' turns, and runs are often \
             called client-bound",
            "a machine with four cores or more; until then low rates, and long rounds",
        ),
        _ => bad(
            Status::Costs,
            "cores",
            observed,
            "generator, target and stores share them, for nothing is set apart below four: they wait for each other, and \
             rounds may be void",
            "a machine with four cores or more, or --pin GENERATOR:TARGET:STORES",
        ),
    }
}

fn counted(topology: &Topology) -> String {
    let (cores, cpus) = (topology.cores(), topology.all().cpus().count());
    let plural = if cores == 1 { "core" } else { "cores" };
    let of = format!("CPUs {}", topology.all());
    if cores == cpus {
        format!("{cores} {plural} ({of})")
    } else {
        format!("{cores} {plural} with {cpus} threads ({of})")
    }
}

fn quota(facts: &Facts) -> Finding {
    let throttled = taken_away(None, facts.quiet.throttled_ns);
    if let Some(words) = throttled.into_iter().next() {
        return bad(
            Status::Prevents,
            "quota",
            words,
            "a run meanwhile is called disturbed, and says nothing of its target",
            "run tailmark without a CPU limit: docker run without --cpus, no CPUQuota= in systemd",
        );
    }
    let Some(quota) = facts.settings.cpu_quota else {
        return fine("quota", "no limit of CPU time");
    };
    bad(
        Status::Costs,
        "quota",
        format!("{} CPUs for tailmark's control group", three_digits(quota)),
        "whoever has used it up stands still for the rest of 100 ms, and the run is called disturbed",
        "run tailmark without a CPU limit; --cpus limits a target alone",
    )
}

fn steal(facts: &Facts) -> Finding {
    let Some(steal) = facts.quiet.steal else {
        return not_told("steal", "the kernel does not count it");
    };
    let observed = format!(
        "{:.1} % of the CPU time over {}",
        steal * 100.0,
        seconds(facts.quiet.lasted_ns)
    );
    let remedy = "a machine of its own, or an instance with whole CPUs; another time of day may do";
    if !taken_away(Some(steal), None).is_empty() {
        let cost = "the hypervisor gives it to others: a run meanwhile is called disturbed, and says nothing of its target";
        bad(Status::Prevents, "steal", observed, cost, remedy)
    } else if steal > SOME_STEAL {
        let cost = "the hypervisor gives it to others, and responses that fall into it are slower";
        bad(Status::Costs, "steal", observed, cost, remedy)
    } else {
        fine("steal", observed)
    }
}

fn others(facts: &Facts) -> Finding {
    let Some(others) = facts.quiet.others else {
        return not_told("others", "/proc/stat cannot be read");
    };
    let cpus = facts.environment.cores.max(1);
    let load = facts
        .settings
        .load_average
        .map_or(String::new(), |load| format!(", load average {load:.2}"));
    let observed = format!("others keep {others:.2} of {cpus} CPUs busy{load}");
    if others <= OTHERS * cpus as f64 {
        return fine("others", observed);
    }
    bad(
        Status::Costs,
        "others",
        observed,
        "generator, target and stores wait for them, most of all in the tail, and changes must be larger to be seen",
        "end what need not run (top says what it is), or measure when it is over",
    )
}

fn timer(wakes: Option<Wakes>) -> Finding {
    let Some(wakes) = wakes else {
        return not_told("timer", "it could not be tried");
    };
    let us = |ns: u64| three_digits(ns as f64 / 1e3);
    let observed = format!(
        "{} wakes were late by {} µs at p50, {} at p99, {} at most",
        thousands(wakes.count),
        us(wakes.p50_ns),
        us(wakes.p99_ns),
        us(wakes.max_ns)
    );
    if wakes.p99_ns <= NEGLIGIBLE_NS {
        return fine("timer", observed);
    }
    let shortest = three_digits((TIMES_LATE * wakes.p99_ns) as f64 / 1e6);
    bad(
        Status::Costs,
        "timer",
        observed,
        format!(
            "arrivals are sent that late: a run with a p99 below {shortest} ms is called client-bound"
        ),
        "CPUs that nobody else uses: a quieter machine, --pin from four cores up, an instance that is not shared",
    )
}

fn clock(facts: &Facts) -> Finding {
    let Some(ns) = facts.clock_read_ns else {
        return not_told("clock", "it could not be tried");
    };
    let source = facts.settings.clock_source.as_deref();
    let observed = format!(
        "{}, {} ns for a look at it",
        source.unwrap_or("source not told"),
        three_digits(ns)
    );
    if ns <= SLOW_CLOCK_NS {
        return fine("clock", observed);
    }
    bad(
        Status::Costs,
        "clock",
        observed,
        "every exchange takes several looks, which cost the generator CPU time and add to short responses",
        "a clock that is read without a system call, such as tsc: available_clocksource in \
         /sys/devices/system/clocksource/ lists them",
    )
}

fn governor(settings: &Settings) -> Finding {
    if settings.governors.is_empty() {
        return not_told("governor", "no cpufreq, as in most virtual machines");
    }
    let observed = settings.governors.join(", ");
    if settings.governors == ["performance"] {
        return fine("governor", observed);
    }
    bad(
        Status::Costs,
        "governor",
        observed,
        "CPUs slow down when there is little to do: a light load can look slower than a heavy one",
        "cpupower frequency-set -g performance",
    )
}

fn boost(settings: &Settings) -> Finding {
    match settings.boost {
        None => not_told("boost", "no cpufreq, as in most virtual machines"),
        Some(false) => fine("boost", "off"),
        Some(true) => bad(
            Status::Costs,
            "boost",
            "on",
            "how fast a CPU is depends on its temperature and on how many are busy: runs one after another differ by that; \
             rounds of compare and gate share it",
            "echo 0 > /sys/devices/system/cpu/cpufreq/boost, or echo 1 > /sys/devices/system/cpu/intel_pstate/no_turbo",
        ),
    }
}

fn memory(facts: &Facts) -> Finding {
    let Some(available) = facts.settings.available_bytes else {
        return not_told("memory", "/proc/meminfo cannot be read");
    };
    let of = facts.environment.memory_bytes;
    let of = of.map_or(String::new(), |bytes| format!(" of {}", mib(bytes)));
    let observed = format!("{}{of} MiB available", mib(available));
    let remedy = "end what need not run, or take a larger machine";
    if available < TOO_FEW_BYTES {
        let cost = "the generator alone may need more: it, the target or a store is killed";
        bad(Status::Prevents, "memory", observed, cost, remedy)
    } else if available < SCARCE_BYTES {
        let cost =
            "target, stores and generator push each other out of memory, which shows in the tail";
        bad(Status::Costs, "memory", observed, cost, remedy)
    } else {
        fine("memory", observed)
    }
}

fn pages(settings: &Settings) -> Finding {
    let Some(mode) = &settings.huge_pages else {
        return not_told("pages", "the kernel has no transparent huge pages");
    };
    let observed = format!("transparent huge pages: {mode}");
    if mode != "always" {
        return fine("pages", observed);
    }
    bad(
        Status::Costs,
        "pages",
        observed,
        "a target may be given 2 MiB where it uses 4 KiB: its memory is more than on a machine with madvise, and differs from \
         start to start",
        "echo madvise > /sys/kernel/mm/transparent_hugepage/enabled",
    )
}

fn container(facts: &Facts) -> Finding {
    if !facts.environment.container {
        return fine("container", "tailmark runs in none");
    }
    bad(
        Status::Costs,
        "container",
        "tailmark runs in one",
        "requests to the machine pass its network, and the memory of targets outside cannot be read",
        "docker run --network host --pid host",
    )
}

fn engine(supply: &Supply) -> Finding {
    match supply {
        Supply::Found(name) => fine("engine", format!("{name} answers")),
        Supply::Missing { why, remedy } => bad(
            Status::Costs,
            "engine",
            why.clone(),
            "no targets as containers (image, --runtime container), and no --watch container:NAME; processes are measured all the same",
            remedy.clone(),
        ),
    }
}

fn store(subject: &'static str, key: &str, supply: &Supply) -> Finding {
    match supply {
        Supply::Found(place) => fine(subject, place.clone()),
        Supply::Missing { why, remedy } => bad(
            Status::Costs,
            subject,
            why.clone(),
            format!(
                "targets with `stores: [{key}]` cannot be started, those of the reference services among them"
            ),
            remedy.clone(),
        ),
    }
}

fn seconds(ns: u64) -> String {
    format!("{} s", three_digits(ns as f64 / 1e9))
}
