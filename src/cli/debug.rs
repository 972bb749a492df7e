//! `tailmark run --debug`: one exchange, printed.

use super::Outcome;
use super::args::Common;
use super::failure::Failure;
use super::stage::on_stage;
use crate::exchange::Outcome as Ended;
use crate::session::debug::{Kept, Shown, exchange_once};
use crate::session::run::Request;
use crate::units::{thousands, three_digits};

/// Makes one exchange of `request` and prints it.
pub(super) async fn debug(request: &Request, common: &Common) -> Result<Outcome, Failure> {
    let folder =
        tempfile::tempdir().map_err(|error| Failure::new("making a temporary folder", &error))?;
    let folder = folder.path();
    let targets = std::slice::from_ref(&request.target);
    let shown = on_stage(
        common,
        targets,
        None,
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
    let bytes = String::from_utf8_lossy(&kept.bytes);
    let mut text = String::new();
    for line in bytes.lines() {
        text.push(mark);
        if !line.is_empty() {
            text.push(' ');
        }
        // What comes from a server must not command the terminal.
        for c in line.chars() {
            match c {
                '\t' => text.push(c),
                c if c.is_control() => text.extend(c.escape_default()),
                c => text.push(c),
            }
        }
        text.push('\n');
    }
    if kept.omitted > 0 {
        text += &format!("{mark} … {} bytes more\n", thousands(kept.omitted));
    }
    text
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
