//! The JSON of a diagnosis, format `tailmark.doctor/1`; `docs/schemas/doctor-1.json` is its schema.
//!
//! Times are in nanoseconds, sizes in bytes, and what the machine does not tell is `null`. It is written and never read
//! back.

use serde_json::{Value, json};

use super::{Diagnosis, Finding, Quiet, Settings, Supply, Wakes};

/// The format that is written.
const FORMAT: &str = "tailmark.doctor/1";

impl Diagnosis {
    /// The whole of it, as `--json` prints it.
    ///
    /// # Panics
    /// Never: every key is text and every number is finite.
    #[must_use]
    pub fn to_json(&self) -> String {
        let facts = &self.facts;
        let environment = &facts.environment;
        let document = json!({
            "format": FORMAT,
            "checked": facts.checked,
            "can_measure": self.can_measure(),
            "findings": self.findings.iter().map(finding).collect::<Vec<_>>(),
            "machine": {
                "tool_version": environment.tool_version,
                "kernel": environment.kernel,
                "cpu_model": environment.cpu_model,
                "cpus": environment.cores,
                "cores": facts.topology.as_ref().map(crate::placement::Topology::cores),
                "memory_bytes": environment.memory_bytes,
                "container": environment.container,
            },
            "descriptors": { "hard_limit": facts.descriptors, "connections": facts.connections },
            "kernel_settings": settings(&facts.settings),
            "quiet": quiet(&facts.quiet),
            "timer": facts.wakes.map(wakes),
            "clock_read_ns": facts.clock_read_ns,
            "engine": found(&facts.engine),
            "postgres": found(&facts.postgres),
            "redis": found(&facts.redis),
        });
        serde_json::to_string_pretty(&document).expect("keys are text and numbers are finite")
            + "\n"
    }
}

fn finding(finding: &Finding) -> Value {
    json!({
        "subject": finding.subject,
        "status": finding.status.name(),
        "observed": finding.observed,
        "cost": finding.cost,
        "remedy": finding.remedy,
    })
}

fn settings(settings: &Settings) -> Value {
    json!({
        "first_port": settings.ports.map(|(first, _)| first),
        "last_port": settings.ports.map(|(_, last)| last),
        "tcp_tw_reuse": settings.reuse_ports,
        "somaxconn": settings.backlog,
        "governors": settings.governors,
        "boost": settings.boost,
        "clock_source": settings.clock_source,
        "cpu_quota": settings.cpu_quota,
        "huge_pages": settings.huge_pages,
        "available_bytes": settings.available_bytes,
        "load_average": settings.load_average,
    })
}

fn quiet(quiet: &Quiet) -> Value {
    json!({
        "lasted_ns": quiet.lasted_ns,
        "steal": quiet.steal,
        "throttled_ns": quiet.throttled_ns,
        "others_cpus": quiet.others,
    })
}

fn wakes(wakes: Wakes) -> Value {
    json!({
        "count": wakes.count,
        "late_p50_ns": wakes.p50_ns,
        "late_p99_ns": wakes.p99_ns,
        "late_max_ns": wakes.max_ns,
    })
}

/// What was found; none where it is missing.
fn found(supply: &Supply) -> Option<&str> {
    match supply {
        Supply::Found(words) => Some(words),
        Supply::Missing { .. } => None,
    }
}
