//! wrk2: wrk at a rate, with times from the moment each request was due (<https://github.com/giltene/wrk2>).
//!
//! It calls its own program `wrk`; it is looked for as `wrk2`.

use super::{Job, Reported, in_table, seconds, words};
use crate::verification::printed_time;

pub(super) fn arguments(job: &Job<'_>) -> Vec<String> {
    let connections = job.connections.to_string();
    let duration = format!("{}s", seconds(job.duration));
    let rate = format!("-R{}", job.rate.per_second().round());
    words([
        "-t1",
        "-c",
        &connections,
        "-d",
        &duration,
        &rate,
        "--latency",
        job.url,
    ])
}

/// Its lines are ` 50.000%    1.37ms` under `Latency Distribution (HdrHistogram - Recorded Latency)`.
pub(super) fn reported(output: &str) -> Option<Reported> {
    let (_, table) = output.split_once("Recorded Latency)")?;
    Some(Reported {
        p50: printed_time(in_table(table, 50.0)?)?,
        p99: printed_time(in_table(table, 99.0)?)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_recorded_latency_is_read() {
        let output = "\
Running 5s test @ http://127.0.0.1:8080/
  1 threads and 16 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency    96.62ms  212.05ms 809.98ms   86.05%
    Req/Sec        nan       nan   0.00      0.00%
  Latency Distribution (HdrHistogram - Recorded Latency)
 50.000%    2.13ms
 75.000%    3.05ms
 90.000%  517.63ms
 99.000%  773.63ms
 99.900%  805.38ms
 99.990%  810.49ms
 99.999%  810.49ms
100.000%  810.49ms

  Detailed Percentile spectrum:
       Value   Percentile   TotalCount 1/(1-Percentile)

       1.090     0.000000            1         1.00
       2.127     0.500000         2480         2.00
#[Mean    =       96.620, StdDeviation   =      212.050]
----------------------------------------------------------
  4984 requests in 5.00s, 214.16KB read
Requests/sec:    996.70
Transfer/sec:     42.83KB
";
        let expected = Reported {
            p50: 2_130_000,
            p99: 773_630_000,
        };
        assert_eq!(reported(output), Some(expected));
    }
}
