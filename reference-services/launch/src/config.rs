//! The `config` command: how a service would serve, as one line of JSON that a measurement can keep beside its results.

use crate::Plan;
use crate::options::LogFormat;
use contract::limit;
use rustix::process::{Resource, getrlimit};
use rustix::thread::transparent_huge_pages_are_disabled;
use serde::Serialize;
use std::collections::BTreeMap;
use std::time::Duration;
use store::RedisAccess;

/// The version of this form. Keys may be added under the same version; one that goes or changes its meaning raises it.
const SCHEMA: u32 = 1;

/// What is a service's own.
#[derive(Debug, Clone, Copy)]
pub struct Service {
    /// The name of the program.
    pub program: &'static str,
    /// The framework's crate, by the name that Cargo.lock knows.
    pub framework: &'static str,
    /// The allocator's crate.
    pub allocator: &'static str,
    /// The switches of the framework that are nobody else's, each with its value under a plan.
    pub switches: fn(&Plan) -> Vec<(&'static str, String)>,
}

/// The effective configuration. It holds no URL, no password and no secret, by holding nothing that could.
#[derive(Debug, Serialize)]
pub(crate) struct Config {
    schema: u32,
    service: &'static str,
    framework: &'static str,
    framework_version: &'static str,
    libraries: BTreeMap<&'static str, &'static str>,
    build: Build,
    profile: &'static str,
    layers: &'static str,
    log_format: &'static str,
    metrics: bool,
    /// The library that speaks to `PostgreSQL`.
    store: &'static str,
    /// Whose pool its connections are in.
    postgres_pool: &'static str,
    tx_mode: &'static str,
    redis_access: &'static str,
    redis_timeout_ms: u128,
    cache_ttl_seconds: u64,
    postgres_acquire_ms: u128,
    events_queue: usize,
    upstream_timeout_ms: u128,
    rate_limit_per_second: u32,
    rate_limit_burst: u32,
    max_in_flight: u32,
    answer_timeout_ms: u128,
    tls: bool,
    /// Which one it is; never the secret itself.
    token_secret: &'static str,
    workers: usize,
    allocator: &'static str,
    pools: Pools,
    parity: Parity,
    switches: BTreeMap<&'static str, String>,
}

/// How the program was compiled.
#[derive(Debug, Serialize)]
struct Build {
    profile: &'static str,
    opt_level: &'static str,
    /// `None` where it was not compiled for release.
    lto: Option<&'static str>,
    codegen_units: Option<u32>,
}

/// Connections to the stores, over all workers.
#[derive(Debug, Serialize)]
struct Pools {
    postgres: u32,
    /// `None`: one connection for each store, which all its requests share.
    redis: Option<u32>,
}

/// What is equal in all services, row by row as in the README's table.
#[derive(Debug, Serialize)]
struct Parity {
    tcp_nodelay: bool,
    backlog: u32,
    so_reuseaddr: bool,
    /// `None`: no bound.
    idle_timeout_ms: Option<u128>,
    /// `None`: no bound.
    head_timeout_ms: Option<u128>,
    body_limit_bytes: usize,
    events_body_limit_bytes: usize,
    upstream_body_limit_bytes: usize,
    upstream_tcp_nodelay: bool,
    upstream_idle_ms: u128,
    workers: usize,
    postgres_connections: u32,
    /// `None`: one for each store.
    redis_connections: Option<u32>,
    events_queue: usize,
    /// `None`: no bound.
    descriptors: Option<u64>,
    transparent_huge_pages: bool,
    allocator: &'static str,
    shutdown_grace_ms: u128,
}

impl Config {
    pub(crate) fn new(service: &Service, plan: &Plan, log: LogFormat) -> Self {
        let libraries: BTreeMap<_, _> = env!("LOCKED_VERSIONS")
            .split(' ')
            .filter_map(|pair| pair.split_once('='))
            .collect();
        let settings = &plan.settings;
        let redis_connections = match settings.redis_access() {
            RedisAccess::Manager => None,
            RedisAccess::Deadpool | RedisAccess::Bb8 => Some(settings.redis_connections()),
        };
        let release = !cfg!(debug_assertions);
        let head_timeout_ms = plan
            .profile
            .head_timeout()
            .as_ref()
            .map(Duration::as_millis);
        Self {
            schema: SCHEMA,
            service: service.program,
            framework: service.framework,
            framework_version: libraries
                .get(service.framework)
                .copied()
                .unwrap_or("unknown"),
            build: Build {
                profile: if release { "release" } else { "debug" },
                opt_level: env!("OPT_LEVEL"),
                lto: release.then_some(LTO),
                codegen_units: release.then_some(CODEGEN_UNITS),
            },
            profile: plan.profile.as_str(),
            layers: plan.layers.as_str(),
            log_format: log.as_str(),
            metrics: plan.metrics_port.is_some(),
            store: settings.database().library(),
            postgres_pool: settings.database().pool_library(),
            tx_mode: settings.tx_mode().as_str(),
            redis_access: settings.redis_access().as_str(),
            redis_timeout_ms: settings.redis_timeout().as_millis(),
            cache_ttl_seconds: settings.cache_ttl_seconds(),
            postgres_acquire_ms: settings.acquire_timeout().as_millis(),
            events_queue: settings.events_queue(),
            upstream_timeout_ms: plan.upstream.timeout.as_millis(),
            rate_limit_per_second: plan.rules.rate.get(),
            rate_limit_burst: plan.rules.burst.get(),
            max_in_flight: plan.rules.in_flight.get(),
            answer_timeout_ms: plan.answer_timeout.as_millis(),
            tls: plan.tls.is_some(),
            token_secret: if plan.rules.is_for_measurements() {
                "for measurements"
            } else {
                "own"
            },
            workers: plan.workers.get(),
            allocator: service.allocator,
            pools: Pools {
                postgres: settings.postgres_connections(),
                redis: redis_connections,
            },
            parity: Parity {
                tcp_nodelay: limit::TCP_NODELAY,
                backlog: limit::BACKLOG,
                so_reuseaddr: true,
                idle_timeout_ms: head_timeout_ms,
                head_timeout_ms,
                body_limit_bytes: limit::BODY_BYTES,
                events_body_limit_bytes: limit::EVENTS_BODY_BYTES,
                upstream_body_limit_bytes: limit::UPSTREAM_BODY_BYTES,
                upstream_tcp_nodelay: true,
                upstream_idle_ms: limit::UPSTREAM_IDLE.as_millis(),
                workers: plan.workers.get(),
                postgres_connections: settings.postgres_connections(),
                redis_connections,
                events_queue: settings.events_queue(),
                descriptors: getrlimit(Resource::Nofile).current,
                transparent_huge_pages: !transparent_huge_pages_are_disabled().unwrap_or(false),
                allocator: service.allocator,
                shutdown_grace_ms: limit::SHUTDOWN_GRACE.as_millis(),
            },
            switches: (service.switches)(plan).into_iter().collect(),
            libraries,
        }
    }
}

/// `profile.release.lto` of the workspace, which Cargo tells nobody; a test compares the two.
const LTO: &str = "thin";

/// `profile.release.codegen-units` of the workspace, likewise.
const CODEGEN_UNITS: u32 = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_release_profile_is_that_of_the_workspace() {
        let manifest = include_str!("../../../Cargo.toml");
        let (_, release) = manifest.split_once("[profile.release]").unwrap();
        assert!(release.contains(&format!("lto = {LTO:?}")));
        assert!(release.contains(&format!("codegen-units = {CODEGEN_UNITS}")));
    }

    #[test]
    fn the_versions_are_those_of_the_lock_file() {
        let lock = include_str!("../../../Cargo.lock");
        let mut pairs = env!("LOCKED_VERSIONS").split(' ');
        assert!(pairs.all(|pair| {
            let (name, version) = pair.split_once('=').unwrap();
            lock.contains(&format!("name = {name:?}\nversion = {version:?}\n"))
        }));
        assert!(env!("LOCKED_VERSIONS").contains("axum="));
    }
}
