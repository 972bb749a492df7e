//! What is asked for only when somebody wants to know: connections and memory.

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::gauge::ConstGauge;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use store::Store;

/// The stores of all workers.
#[derive(Debug, Clone, Default)]
pub(crate) struct Pools(Arc<Mutex<Vec<Store>>>);

impl Pools {
    pub(crate) fn watch(&self, store: Store) {
        let mut stores = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        stores.push(store);
    }
}

impl Collector for Pools {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        if let Some(bytes) = resident_bytes() {
            let gauge = ConstGauge::new(bytes);
            let help = "Physical memory that the process holds";
            let name = "process_resident_memory_bytes";
            gauge.encode(encoder.encode_descriptor(name, help, None, gauge.metric_type())?)?;
        }
        Ok(())
    }
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
