//! What can be typed to send a result elsewhere.

use clap::Args as ClapArgs;

use crate::export::Collector;

/// Where a result is sent when it is there.
#[derive(Debug, Default, ClapArgs)]
pub(in crate::cli) struct Exporting {
    /// Send the result as OpenTelemetry metrics too, once it is saved: otlp=http://HOST:4318; may be given again. What
    /// cannot be sent is said, and changes nothing else
    #[arg(long, value_name = "otlp=URL", value_parser = collector, help_heading = "Output")]
    pub(in crate::cli) export: Vec<Collector>,
}

fn collector(text: &str) -> Result<Collector, String> {
    text.parse()
        .map_err(|error: crate::export::CollectorError| format!("{error}; {}", error.hint()))
}
