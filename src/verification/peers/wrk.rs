//! wrk: a closed loop over its connections (<https://github.com/wg/wrk>).

use super::{Job, Reported, in_table, seconds, words};
use crate::verification::printed_time;

pub(super) fn arguments(job: &Job<'_>) -> Vec<String> {
    let connections = job.connections.to_string();
    let duration = format!("{}s", seconds(job.duration));
    words([
        "-t1",
        "-c",
        &connections,
        "-d",
        &duration,
        "--latency",
        job.url,
    ])
}

/// Its lines are `50%    0.98ms` under `Latency Distribution`.
pub(super) fn reported(output: &str) -> Option<Reported> {
    let (_, table) = output.split_once("Latency Distribution")?;
    Some(Reported {
        p50: printed_time(in_table(table, 50.0)?)?,
        p99: printed_time(in_table(table, 99.0)?)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_distribution_is_read() {
        let output = "\
Running 5s test @ http://127.0.0.1:8080/
  1 threads and 16 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     2.31ms   26.11ms 801.12ms   99.53%
    Req/Sec    14.98k   512.90    15.40k    94.00%
  Latency Distribution
     50%  998.00us
     75%    1.02ms
     90%    1.06ms
     99%    1.12s 
  74540 requests in 5.00s, 3.13MB read
  Non-2xx or 3xx responses: 12
Requests/sec:  14905.12
Transfer/sec:    640.45KB
";
        let expected = Reported {
            p50: 998_000,
            p99: 1_120_000_000,
        };
        assert_eq!(reported(output), Some(expected));
    }
}
