//! What an engine says of a container about once a second, wherever that runs.

use std::collections::HashMap;

use bollard::models::ContainerStatsResponse;
use bollard::query_parameters::StatsOptionsBuilder;
use futures_util::{Stream, StreamExt as _};

use super::{Running, in_words};

/// What an engine says of a container at one moment; `None` where it does not say.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reading {
    /// Memory that is charged less the page cache that was not used again, in bytes, as Docker's own client shows it. None of a
    /// container that does not run.
    pub working_set: Option<u64>,
    /// Page cache, in bytes.
    pub page_cache: Option<u64>,
    /// CPU time since the container began, in nanoseconds.
    pub cpu_ns: Option<u64>,
    /// How long it was kept from the CPU by its limit since then, in nanoseconds.
    pub throttled_ns: Option<u64>,
    /// In how many periods.
    pub throttled_periods: Option<u64>,
    /// Tasks that live now.
    pub tasks: Option<u64>,
}

impl Running {
    /// What the engine says of it, until it is removed; an error is in words. Docker takes a reading each second for as long as
    /// somebody listens.
    pub fn readings(&self) -> impl Stream<Item = Result<Reading, String>> {
        let options = StatsOptionsBuilder::default().stream(true).build();
        let stats = self.engine().client().stats(self.id(), Some(options));
        stats.map(|stats| match stats {
            Ok(stats) => Ok(Reading::of(&stats)),
            Err(error) => Err(in_words(&error)),
        })
    }
}

impl Reading {
    fn of(stats: &ContainerStatsResponse) -> Self {
        let memory = stats.memory_stats.as_ref();
        let kinds = memory.and_then(|memory| memory.stats.as_ref());
        // The first is version 1's name, where both are there.
        let kind = |names: [&str; 2]| -> Option<u64> {
            let kinds: &HashMap<String, u64> = kinds?;
            names.iter().find_map(|name| kinds.get(*name).copied())
        };
        // One that has ended is still told of, without anything in use.
        let usage = memory.and_then(|memory| memory.usage);
        let inactive = kind(["total_inactive_file", "inactive_file"]).unwrap_or(0);
        let cpu = stats.cpu_stats.as_ref().filter(|_| usage.is_some());
        let throttling = cpu.and_then(|cpu| cpu.throttling_data.as_ref());
        Self {
            working_set: usage.map(|usage| usage.saturating_sub(inactive)),
            page_cache: kind(["total_cache", "file"]),
            cpu_ns: cpu.and_then(|cpu| cpu.cpu_usage.as_ref()?.total_usage),
            throttled_ns: throttling.and_then(|throttling| throttling.throttled_time),
            throttled_periods: throttling.and_then(|throttling| throttling.throttled_periods),
            tasks: stats.pids_stats.as_ref().and_then(|pids| pids.current),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(text: &str) -> Reading {
        Reading::of(&serde_json::from_str(text).unwrap())
    }

    /// Docker 20.10 with version 1 of control groups, captured from a container that had read files; `docker stats` showed 7.4 MiB.
    #[test]
    fn with_version_1_of_control_groups() {
        let expected = Reading {
            working_set: Some(23_941_120 - 16_187_392),
            page_cache: Some(22_982_656),
            cpu_ns: Some(74_442_722),
            throttled_ns: Some(0),
            throttled_periods: Some(0),
            tasks: Some(1),
        };
        assert_eq!(
            reading(include_str!("testdata/v1-docker.stats.json")),
            expected
        );
    }

    /// Written from the documentation of Docker's API and of the kernel's `memory.stat`.
    #[test]
    fn with_version_2_of_control_groups() {
        let v2 = r#"{
            "read": "2026-01-08T22:57:31.547920715Z",
            "pids_stats": {"current": 3, "limit": 18446744073709551615},
            "cpu_stats": {
                "cpu_usage": {"total_usage": 100215355, "usage_in_kernelmode": 30000000, "usage_in_usermode": 70215355},
                "system_cpu_usage": 739306590000000, "online_cpus": 4,
                "throttling_data": {"periods": 20, "throttled_periods": 2, "throttled_time": 5000000}
            },
            "memory_stats": {
                "usage": 6537216, "limit": 67108864,
                "stats": {"active_anon": 0, "anon": 3000000, "file": 3000320, "inactive_file": 1000000, "active_file": 2000320}
            }
        }"#;
        let expected = Reading {
            working_set: Some(5_537_216),
            page_cache: Some(3_000_320),
            cpu_ns: Some(100_215_355),
            throttled_ns: Some(5_000_000),
            throttled_periods: Some(2),
            tasks: Some(3),
        };
        assert_eq!(reading(v2), expected);
    }

    #[test]
    fn one_that_has_ended_uses_nothing_and_not_zero() {
        let ended = r#"{
            "read": "0001-01-01T00:00:00Z", "pids_stats": {}, "memory_stats": {},
            "cpu_stats": {
                "cpu_usage": {"total_usage": 0, "usage_in_kernelmode": 0, "usage_in_usermode": 0},
                "throttling_data": {"periods": 0, "throttled_periods": 0, "throttled_time": 0}
            }
        }"#;
        assert_eq!(reading(ended), Reading::default());
    }
}
