//! Results as OpenTelemetry metrics: the messages of OTLP over HTTP, made of records. Nothing is sent here.
//!
//! A record has its own moments, so everything is sent when it is there, with the time at which it happened. Times count from the second
//! in which the measurement began, which may be some seconds before its load did. A quantile is sent as tables print it, beside
//! the histograms, whose buckets are wider than a record's (`otlp/buckets.rs`).
//!
//! Names, units and attributes are listed in `docs/METHODOLOGY.md`.

mod buckets;
mod page;
mod rounds;
mod run;
#[cfg(test)]
mod tests;

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceResponse;
use prost::Message as _;

use super::Subject;

impl Subject<'_> {
    /// The messages, each the body of a request to a collector; `id` tells this result from others. None where there is no such
    /// form of it.
    #[must_use]
    pub fn otlp(self, id: &str) -> Option<Vec<Vec<u8>>> {
        match self {
            Self::Run(record) => Some(run::messages(record, id)),
            Self::Comparison(comparison) => Some(rounds::comparison(comparison, id)),
            Self::Gate(record, _) => Some(rounds::gate(record, id)),
            _ => None,
        }
    }
}

/// What a collector says of the part of a message that it did not take; none where it took all of it, or says nothing that could
/// be read.
#[must_use]
pub fn refusal(answer: &[u8]) -> Option<String> {
    let answer = ExportMetricsServiceResponse::decode(answer).ok()?;
    let refused = answer.partial_success?;
    (refused.rejected_data_points > 0).then(|| {
        let why = match refused.error_message.trim() {
            "" => "it does not say why".to_owned(),
            why => plain(why),
        };
        format!("{} points refused: {why}", refused.rejected_data_points)
    })
}

/// A message of a collector's that cannot command a terminal, and is no longer than a line or two.
fn plain(text: &str) -> String {
    let printable = |c: char| if c.is_control() { ' ' } else { c };
    text.chars().take(200).map(printable).collect()
}
