//! Start-ups for tests, of scripted launches.

use crate::compare::{MemoryKind, order};
use crate::run_record::fixtures::{MS, container, target};
use crate::run_record::{Environment, TargetIdentity};
use crate::startup::{Figures, IdleMemory, Launch, Plan, Shipped, Size, Startups, Took};

/// A process that listened `listening_ms` after its program was executed, and was ready five later.
pub(crate) fn process(listening_ms: u64) -> Figures {
    let took = |ms: u64| {
        Some(Took {
            ns: ms * MS,
            blind_ns: MS / 4,
        })
    };
    Figures {
        engine_ns: None,
        listening: took(listening_ms),
        first_ok: took(listening_ms + 5),
        memory: Some(IdleMemory {
            kind: MemoryKind::Rss,
            source: "/proc statm of one process".into(),
            bytes: 9 << 20,
        }),
        size: Some(Size {
            of: Shipped::Executable,
            bytes: 13_900_000,
        }),
    }
}

/// The same in a container.
pub(crate) fn contained(listening_ms: u64) -> Figures {
    let figures = process(listening_ms);
    Figures {
        engine_ns: Some(150 * MS),
        memory: figures.memory.map(|memory| IdleMemory {
            kind: MemoryKind::WorkingSet,
            source: "cgroup-v2".into(),
            ..memory
        }),
        size: Some(Size {
            of: Shipped::Image,
            bytes: 14_000_000,
        }),
        ..figures
    }
}

/// Two arms, axum and actix, over `rounds` rounds, with the launches that `launch` makes of arm and round.
pub(crate) fn startups(rounds: usize, launch: impl Fn(usize, usize) -> Launch) -> Startups {
    let plan = Plan {
        arms: vec!["axum".into(), "actix".into()],
        rounds,
        order_seed: 7,
        rest_ns: 1_000 * MS,
    };
    let mut startups = Startups::new(plan, "2026-11-23T07:41:00Z".into());
    for round in 1..=rounds {
        let launches = vec![launch(0, round), launch(1, round)];
        startups.add_round(order(7, round, 2), launches).unwrap();
    }
    let is_container = startups.rounds().iter().any(|round| {
        let mut launches = round.launches.iter();
        launches.any(|launch| launch.figures.engine_ns.is_some())
    });
    let identity = |name: &str| TargetIdentity {
        container: is_container.then(container),
        runtime: is_container.then(|| "in a container: as asked".into()),
        ..target(name)
    };
    let environment = Environment {
        tool_version: "0.1.0".into(),
        cores: 2,
        ..Environment::default()
    };
    startups.describe(vec![identity("axum"), identity("actix")], environment);
    startups.elapsed_ns = Some(72_000 * MS);
    startups
}
