//! k6: a rate of iterations, which it drops where all its virtual users are busy, with times from the moment each
//! request was sent (<https://grafana.com/docs/k6/latest/>: `constant-arrival-rate`, `handleSummary`).

use serde_json::Value;

use super::{Invocation, Job, Reported, scaled, seconds, words};

/// It reads the script from standard input, and prints nothing but what the script's summary does.
pub(super) fn invocation(job: &Job<'_>) -> Invocation {
    let (connections, seconds) = (job.connections, seconds(job.duration));
    let rate = job.rate.per_second().round();
    let url = serde_json::json!(job.url);
    let input = format!(
        "import http from 'k6/http';
export const options = {{
  scenarios: {{
    main: {{
      executor: 'constant-arrival-rate',
      rate: {rate},
      timeUnit: '1s',
      duration: '{seconds}s',
      preAllocatedVUs: {connections},
      maxVUs: {connections},
      gracefulStop: '10s',
    }},
  }},
  summaryTrendStats: ['p(50)', 'p(99)'],
}};
export default function () {{
  http.get({url});
}}
export function handleSummary(data) {{
  return {{ stdout: JSON.stringify(data.metrics.http_req_duration.values) }};
}}
"
    );
    Invocation {
        arguments: words(["run", "--quiet", "--no-usage-report", "-"]),
        input,
    }
}

pub(super) fn reported(output: &str) -> Option<Reported> {
    let values: Value = serde_json::from_str(output.trim()).ok()?;
    let read = |name: &str| scaled(values[name].as_f64()?, 1e6);
    Some(Reported {
        p50: read("p(50)")?,
        p99: read("p(99)")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_trend_is_read_as_milliseconds() {
        let expected = Reported {
            p50: 1_130_000,
            p99: 3_012_345,
        };
        assert_eq!(
            reported("{\"p(50)\":1.13,\"p(99)\":3.012345}\n"),
            Some(expected)
        );
    }
}
