//! oha: at a rate over all its connections, with times from the moment each request was sent unless it is told to
//! correct them; it is run as it comes (<https://github.com/hatoo/oha>, output in its `schema.json`).

use serde_json::Value;

use super::{Job, Reported, scaled, seconds, words};

pub(super) fn arguments(job: &Job<'_>) -> Vec<String> {
    let connections = job.connections.to_string();
    let duration = format!("{}s", seconds(job.duration));
    let rate = job.rate.per_second().round().to_string();
    words([
        "--no-tui",
        "--output-format",
        "json",
        "-c",
        &connections,
        "-z",
        &duration,
        "-q",
        &rate,
        job.url,
    ])
}

pub(super) fn reported(output: &str) -> Option<Reported> {
    let document: Value = serde_json::from_str(output).ok()?;
    let percentiles = &document["latencyPercentiles"];
    let read = |name: &str| scaled(percentiles[name].as_f64()?, 1e9);
    Some(Reported {
        p50: read("p50")?,
        p99: read("p99")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_percentiles_are_read_as_seconds() {
        let output = r#"{
  "summary": { "successRate": 1.0, "total": 5.0012, "slowest": 0.8011, "fastest": 0.0010, "average": 0.0039,
    "requestsPerSec": 997.6, "totalData": 9974, "sizePerRequest": 2, "sizePerSec": 1994.3 },
  "responseTimeHistogram": { "0.0010": 1, "0.0812": 4970 },
  "latencyPercentiles": { "p10": 0.00103, "p25": 0.00106, "p50": 0.0011, "p75": 0.00117, "p90": 0.00129,
    "p95": 0.0014, "p99": 0.0026, "p99.9": 0.80053, "p99.99": 0.8011 },
  "statusCodeDistribution": { "200": 4987 },
  "errorDistribution": { "aborted due to deadline": 2 }
}"#;
        let expected = Reported {
            p50: 1_100_000,
            p99: 2_600_000,
        };
        assert_eq!(reported(output), Some(expected));
    }
}
