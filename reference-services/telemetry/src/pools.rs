//! What is asked for only when somebody wants to know: connections and memory.

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use store::{PoolStats, Store, StoreStats};

/// The stores of all workers.
#[derive(Debug, Clone, Default)]
pub(crate) struct Pools(Arc<Mutex<Vec<Store>>>);

impl Pools {
    pub(crate) fn watch(&self, store: Store) {
        let mut stores = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        stores.push(store);
    }

    /// The connections of all stores together.
    fn stats(&self) -> StoreStats {
        let stores = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let stats = stores.iter().map(Store::pool_stats);
        stats.fold(StoreStats::default(), |all, one| all + one)
    }
}

impl Collector for Pools {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let stats = self.stats();
        for (names, pool) in [(&POSTGRES, stats.postgres), (&REDIS, stats.redis)] {
            names.encode(&pool, &mut encoder)?;
        }
        if let Some(bytes) = resident_bytes() {
            let name = "process_resident_memory_bytes";
            let help = "Physical memory that the process holds";
            one(&mut encoder, name, help, &ConstGauge::new(bytes))?;
        }
        Ok(())
    }
}

/// Name and help of each metric of a pool.
struct Names {
    size: (&'static str, &'static str),
    idle: (&'static str, &'static str),
    acquisitions: (&'static str, &'static str),
    waited: (&'static str, &'static str),
    timeouts: (&'static str, &'static str),
}

const POSTGRES: Names = Names {
    size: (
        "postgres_connections",
        "PostgreSQL connections, open or being opened",
    ),
    idle: (
        "postgres_connections_idle",
        "PostgreSQL connections that nobody uses",
    ),
    acquisitions: (
        "postgres_acquisitions",
        "PostgreSQL connections that requests asked for",
    ),
    waited: (
        "postgres_acquisition_seconds",
        "Time that requests waited for PostgreSQL connections",
    ),
    timeouts: (
        "postgres_acquisition_timeouts",
        "PostgreSQL connections that were not had in time",
    ),
};

const REDIS: Names = Names {
    size: (
        "redis_connections",
        "Redis connections, open or being opened",
    ),
    idle: (
        "redis_connections_idle",
        "Redis connections that nobody uses",
    ),
    acquisitions: (
        "redis_acquisitions",
        "Redis connections that requests asked for",
    ),
    waited: (
        "redis_acquisition_seconds",
        "Time that requests waited for Redis connections",
    ),
    timeouts: (
        "redis_acquisition_timeouts",
        "Redis connections that were not had in time",
    ),
};

impl Names {
    fn encode(&self, pool: &PoolStats, to: &mut DescriptorEncoder<'_>) -> fmt::Result {
        for ((name, help), value) in [(self.size, pool.size), (self.idle, pool.idle)] {
            one(to, name, help, &ConstGauge::new(value))?;
        }
        for ((name, help), value) in [
            (self.acquisitions, pool.acquisitions),
            (self.timeouts, pool.timeouts),
        ] {
            one(to, name, help, &ConstCounter::new(value))?;
        }
        let (name, help) = self.waited;
        #[expect(
            clippy::cast_precision_loss,
            reason = "exact for the first 100 days of waiting"
        )]
        let seconds = pool.waited_ns as f64 / 1e9;
        one(to, name, help, &ConstCounter::new(seconds))
    }
}

fn one(
    to: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    metric: &impl EncodeMetric,
) -> fmt::Result {
    metric.encode(to.encode_descriptor(name, help, None, metric.metric_type())?)
}

/// Physical memory of this process, in bytes, where the kernel tells.
fn resident_bytes() -> Option<u64> {
    let pages = procfs::process::Process::myself()
        .ok()?
        .statm()
        .ok()?
        .resident;
    Some(pages * procfs::page_size())
}
