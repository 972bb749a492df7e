//! hey: a rate for each of its connections, with times from the moment each request was sent
//! (<https://github.com/rakyll/hey>).

use super::{Job, Reported, in_table, scaled, seconds, words};

pub(super) fn arguments(job: &Job<'_>) -> Vec<String> {
    let connections = job.connections.to_string();
    let duration = format!("{}s", seconds(job.duration));
    let each = (job.rate.per_second() / job.connections as f64).to_string();
    words(["-c", &connections, "-z", &duration, "-q", &each, job.url])
}

/// Its lines are `50% in 0.0011 secs` under `Latency distribution:`; some versions write `50%%`.
pub(super) fn reported(output: &str) -> Option<Reported> {
    let (_, table) = output.split_once("Latency distribution:")?;
    let read = |percent| {
        let line = table
            .lines()
            .find(|line| in_table(line, percent).is_some())?;
        let number = line.split_whitespace().nth(2)?;
        scaled(number.parse().ok()?, 1e9)
    };
    Some(Reported {
        p50: read(50.0)?,
        p99: read(99.0)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_distribution_is_read_as_seconds() {
        let output = "
Summary:
  Total:\t5.0018 secs
  Slowest:\t0.8012 secs
  Fastest:\t0.0010 secs
  Average:\t0.0039 secs
  Requests/sec:\t958.4549

Response time histogram:
  0.001 [1]\t|
  0.081 [4777]\t|■■■■■■■■■■■■■■■■■■■■■■■■■■■■■■■■■■■■■■■■

Latency distribution:
  10%% in 0.0010 secs
  25%% in 0.0011 secs
  50%% in 0.0011 secs
  75%% in 0.0012 secs
  90%% in 0.0013 secs
  95%% in 0.0014 secs
  99%% in 0.0033 secs

Details (average, fastest, slowest):
  DNS+dialup:\t0.0000 secs, 0.0000 secs, 0.0012 secs

Status code distribution:
  [200]\t4794 responses
";
        let expected = Reported {
            p50: 1_100_000,
            p99: 3_300_000,
        };
        assert_eq!(reported(output), Some(expected));
        assert_eq!(reported(&output.replace("%%", "%")), Some(expected));
    }
}
