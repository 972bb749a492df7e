//! `tailmark run --debug`: one exchange, printed.

use super::Outcome;
use super::args::Common;
use super::failure::Failure;
use super::stage::on_stage;
use crate::exchange::Outcome as Ended;
use crate::session::debug::{Kept, Shown, exchange_once};
use crate::session::run::Request;
use crate::session::{Scratch, Terms};
use crate::units::three_digits;

/// Makes one exchange of `request` and prints it.
pub(super) async fn debug(
    request: &Request,
    common: &Common,
    terms: Terms,
) -> Result<Outcome, Failure> {
    let folder =
        Scratch::new("debug").map_err(|error| Failure::new("making a temporary folder", &error))?;
    let folder = folder.path();
    let targets = std::slice::from_ref(&request.target);
    let shown = on_stage(
        common,
        targets,
        terms,
        folder,
        async |stage, shutdown, watch| exchange_once(stage, request, folder, shutdown, watch).await,
    )
    .await?;
    common.print(&text(&shown))?;
    Ok(match shown.outcome {
        Ended::Ok => Outcome::Done,
        _ => Outcome::NothingMeasured,
    })
}

/// The exchange, its sides told apart by `>` and `<` as curl does, and how it went.
fn text(shown: &Shown) -> String {
    let mut text = message('>', &shown.request);
    text += &message('<', &shown.response);
    let mut parts = vec![
        shown.step.clone(),
        format!("{}: {}", shown.outcome.words(), shown.words),
    ];
    let times = [
        ("connected in", shown.connect),
        ("TLS in", shown.tls),
        ("service time", shown.service),
    ];
    for (what, time) in times {
        if let Some(time) = time {
            let ms = three_digits(time.as_secs_f64() * 1e3);
            parts.push(format!("{what} {ms} ms"));
        }
    }
    text + &parts.join(" · ") + "\n"
}

fn message(mark: char, kept: &Kept) -> String {
    let lines = kept
        .lines(usize::MAX)
        .into_iter()
        .map(|line| match line.is_empty() {
            true => format!("{mark}\n"),
            false => format!("{mark} {line}\n"),
        });
    lines.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(bytes: &[u8], omitted: u64) -> Kept {
        Kept {
            bytes: bytes.to_vec(),
            omitted,
        }
    }

    #[test]
    fn a_message_is_marked_and_commands_no_terminal() {
        let message = message(
            '<',
            &kept(b"HTTP/1.1 200 OK\r\n\r\na\x1b[2Jb\x85\tc", 1_234),
        );
        assert_eq!(
            message,
            "< HTTP/1.1 200 OK\n<\n< a\\u{1b}[2Jb\u{fffd}\tc\n< … 1,234 bytes more\n"
        );
        assert_eq!(super::message('>', &kept(b"", 0)), "");
    }
}
