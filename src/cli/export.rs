//! `--export`: a result that is sent elsewhere, when it is there.

use super::args::Exporting;
use super::keep::Keep;
use crate::export::{Collector, ExportError};
use crate::report::{Subject, otlp};

impl Exporting {
    /// Sends a result to each collector that was named. What is not taken is said, and has no other consequence: the result is
    /// kept and printed.
    pub(super) async fn send(&self, subject: Subject<'_>, keep: &Keep) {
        if self.export.is_empty() {
            return;
        }
        let Some(messages) = subject.otlp(&keep.name()) else {
            return;
        };
        for collector in &self.export {
            if let Some(words) = send_to(collector, &messages).await {
                warn(&words);
            }
        }
    }
}

/// What there is to say about it, where not all of a result was taken.
async fn send_to(collector: &Collector, messages: &[Vec<u8>]) -> Option<String> {
    match collector.send(messages.to_vec()).await {
        Ok(taken) => {
            let mut answers = taken.answers.iter();
            let refused = answers.find_map(|answer| otlp::refusal(answer))?;
            Some(format!(
                "not all of the result was taken by {collector}: {refused}"
            ))
        }
        Err(error) => Some(not_sent(collector, &error)),
    }
}

fn not_sent(collector: &Collector, error: &ExportError) -> String {
    format!("the result was not sent to {collector}: {error}")
}

#[expect(
    clippy::print_stderr,
    reason = "the command line alone writes to the terminal"
)]
fn warn(words: &str) {
    eprintln!("warning: {words}");
}
