//! Machines for tests.

use crate::doctor::{Facts, Quiet, Settings, Supply, Wakes};
use crate::placement::Topology;
use crate::run_record::Environment;

/// A machine on which nothing costs anything.
pub(crate) fn facts() -> Facts {
    Facts {
        checked: "2026-11-23T07:41:00Z".into(),
        environment: Environment {
            tool_version: "0.1.0".into(),
            kernel: Some("Linux 6.1.0".into()),
            cpu_model: Some("Example CPU".into()),
            cores: 4,
            memory_bytes: Some(24 << 30),
            descriptors: Some(65_535),
            ..Environment::default()
        },
        descriptors: Some(65_535),
        connections: Some(65_435),
        settings: Settings {
            ports: Some((32_768, 60_999)),
            reuse_ports: Some(2),
            backlog: Some(4_096),
            governors: vec!["performance".into()],
            boost: Some(false),
            clock_source: Some("tsc".into()),
            cpu_quota: None,
            huge_pages: Some("madvise".into()),
            available_bytes: Some(20 << 30),
            load_average: Some(0.04),
        },
        topology: Some(machine(4)),
        quiet: Quiet {
            lasted_ns: 1_000_000_000,
            steal: Some(0.0),
            throttled_ns: Some(0),
            others: Some(0.02),
        },
        wakes: Some(Wakes {
            count: 200,
            p50_ns: 900,
            p99_ns: 17_300,
            max_ns: 41_000,
        }),
        clock_read_ns: Some(24.1),
        engine: Supply::Found("Docker Engine 20.10.24".into()),
        postgres: Supply::Found("/usr/lib/postgresql/15/bin".into()),
        redis: Supply::Found("/usr/bin".into()),
    }
}

/// A machine of so many cores, each with one thread.
pub(crate) fn machine(cores: usize) -> Topology {
    Topology::new((0..cores).map(|cpu| [cpu].into_iter().collect()))
}

/// A machine on which hardly anything can be measured, and that tells little.
pub(crate) fn poor() -> Facts {
    let missing = |why: &str, remedy: &str| Supply::Missing {
        why: why.into(),
        remedy: remedy.into(),
    };
    let mut poor = facts();
    poor.environment.cores = 2;
    poor.environment.container = true;
    poor.descriptors = Some(300);
    poor.connections = Some(200);
    poor.settings = Settings {
        cpu_quota: Some(1.5),
        governors: vec!["powersave".into(), "schedutil".into()],
        boost: Some(true),
        load_average: Some(2.1),
        backlog: Some(128),
        huge_pages: Some("always".into()),
        ..Settings::default()
    };
    poor.topology = Some(machine(2));
    poor.quiet = Quiet {
        lasted_ns: 1_000_000_000,
        steal: Some(0.112),
        throttled_ns: None,
        others: Some(1.3),
    };
    poor.wakes = Some(Wakes {
        count: 200,
        p50_ns: 12_000,
        p99_ns: 1_240_000,
        max_ns: 8_100_000,
    });
    poor.clock_read_ns = Some(1_210.0);
    poor.engine = missing(
        "no container engine answers (/var/run/docker.sock: there is no such socket)",
        "start Docker or podman, or name its socket: DOCKER_HOST=unix:///run/docker.sock",
    );
    poor.postgres = missing(
        "`postgres` and `initdb` are in no folder of PATH",
        "apt-get install postgresql",
    );
    poor
}
