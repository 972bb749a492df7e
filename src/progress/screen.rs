//! What a terminal is sent so that a view stands at the end of what was printed, and so that it is gone again.
//!
//! `ratatui` draws the lines, but not on the terminal: its inline viewport has to know on which row the cursor is. It asks
//! the terminal and waits for the answer, by a question on standard output, where results go, and with the keyboard in raw
//! mode, where Ctrl-C is no signal. Here nothing is asked and nothing is read. The cursor rests at the view's first column
//! and row; from there every line is written anew, and what is below is cleared. A terminal that is resized keeps the cursor
//! at the text that it was at, so even lines that it has broken up are found again. The terminal is told to remember the
//! place all the same: whoever presses Enter moves the cursor. It is never hidden, and nothing else is changed that somebody
//! would have to restore.

use std::io::{self, Write as _};

use ratatui::backend::IntoCrossterm as _;
use ratatui::buffer::{Buffer, Cell};
use ratatui::crossterm::cursor::{MoveDown, MoveUp, RestorePosition, SavePosition};
use ratatui::crossterm::queue;
use ratatui::crossterm::style::{Attribute, SetAttribute, SetForegroundColor};
use ratatui::crossterm::terminal::{
    BeginSynchronizedUpdate, Clear, ClearType, DisableLineWrap, EnableLineWrap,
    EndSynchronizedUpdate,
};
use ratatui::style::{Color, Modifier};

/// Where a view begins that was drawn before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// At the cursor.
    Cursor,
    /// Where the terminal was told to remember: the cursor was moved by keys.
    Remembered,
}

/// The bytes that put `view` where the one before it stands, and `above` between it and what was printed before.
pub(super) fn drawn(place: Place, above: &[String], view: &Buffer) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    queue!(bytes, BeginSynchronizedUpdate)?;
    match above {
        [] => place.go(&mut bytes)?,
        above => bytes.extend(cleared(place, above)?),
    }
    // Where the terminal has just become narrower than it said, a line is cut instead of taking two rows.
    queue!(bytes, DisableLineWrap)?;
    bytes.push(b'\r');
    let width = usize::from(view.area.width).max(1);
    let rows = view.content.chunks(width);
    for (place, row) in rows.enumerate() {
        if place > 0 {
            bytes.extend(b"\r\n");
        }
        write_row(&mut bytes, row)?;
        queue!(bytes, Clear(ClearType::UntilNewLine))?;
    }
    // Rows of a higher view, or of lines that were broken up.
    queue!(bytes, Clear(ClearType::FromCursorDown))?;
    if view.area.height > 1 {
        queue!(bytes, MoveUp(view.area.height - 1))?;
    }
    bytes.push(b'\r');
    // What is remembered may be more than the place: whether lines wrap.
    queue!(bytes, EnableLineWrap, SavePosition, EndSynchronizedUpdate)?;
    Ok(bytes)
}

/// The bytes that clear the view away and leave `above` where it stood.
pub(super) fn cleared(place: Place, above: &[String]) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    place.go(&mut bytes)?;
    bytes.push(b'\r');
    // In two steps: a terminal that is to clear all of its screen may keep what was there, above.
    queue!(
        bytes,
        Clear(ClearType::UntilNewLine),
        SavePosition,
        MoveDown(1),
        Clear(ClearType::FromCursorDown),
        RestorePosition
    )?;
    for line in above.iter().flat_map(|text| text.lines()) {
        // What comes from elsewhere must not command the terminal.
        let fit = |c: char| if c.is_control() { ' ' } else { c };
        write!(bytes, "{}\r\n", line.chars().map(fit).collect::<String>())?;
    }
    Ok(bytes)
}

impl Place {
    fn go(self, bytes: &mut Vec<u8>) -> io::Result<()> {
        match self {
            Self::Cursor => Ok(()),
            Self::Remembered => queue!(bytes, RestorePosition),
        }
    }
}

/// A row without the blanks at its end.
fn write_row(bytes: &mut Vec<u8>, row: &[Cell]) -> io::Result<()> {
    let is_blank = |cell: &Cell| cell.symbol() == " ";
    let end = row.iter().rposition(|cell| !is_blank(cell));
    let row = end.map_or(&row[..0], |end| &row[..=end]);
    let plain = Cell::EMPTY;
    let mut before = &plain;
    for cell in row {
        if (cell.modifier, cell.fg) != (before.modifier, before.fg) {
            restyle(bytes, cell)?;
            before = cell;
        }
        bytes.extend(cell.symbol().as_bytes());
    }
    if (before.modifier, before.fg) != (plain.modifier, plain.fg) {
        restyle(bytes, &plain)?;
    }
    Ok(())
}

fn restyle(bytes: &mut Vec<u8>, cell: &Cell) -> io::Result<()> {
    queue!(bytes, SetAttribute(Attribute::Reset))?;
    if cell.modifier.contains(Modifier::BOLD) {
        queue!(bytes, SetAttribute(Attribute::Bold))?;
    }
    if cell.modifier.contains(Modifier::DIM) {
        queue!(bytes, SetAttribute(Attribute::Dim))?;
    }
    if cell.fg != Color::Reset {
        queue!(bytes, SetForegroundColor(cell.fg.into_crossterm()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use ratatui::style::Style;

    use super::*;

    fn text(bytes: io::Result<Vec<u8>>) -> String {
        let text = String::from_utf8(bytes.unwrap()).unwrap();
        text.replace('\u{1b}', "␛").replace('\r', "␍")
    }

    #[test]
    fn a_view_is_written_line_by_line_and_the_cursor_returns_to_its_first() {
        let view = Buffer::with_lines(["one", "two  "]);
        assert_eq!(
            text(drawn(Place::Cursor, &[], &view)),
            "␛[?2026h␛[?7l␍one␛[K␍\ntwo␛[K␛[J␛[1A␍␛[?7h␛7␛[?2026l"
        );
    }

    #[test]
    fn a_view_from_which_keys_have_moved_the_cursor_is_found_again() {
        let view = Buffer::with_lines(["one"]);
        assert_eq!(
            text(drawn(Place::Remembered, &[], &view)),
            "␛[?2026h␛8␛[?7l␍one␛[K␛[J␍␛[?7h␛7␛[?2026l"
        );
        assert_eq!(
            text(drawn(Place::Remembered, &["first".to_owned()], &view)),
            "␛[?2026h␛8␍␛[K␛7␛[1B␛[J␛8first␍\n␛[?7l␍one␛[K␛[J␍␛[?7h␛7␛[?2026l"
        );
        let gone = text(cleared(Place::Remembered, &[]));
        assert_eq!(gone, "␛8␍␛[K␛7␛[1B␛[J␛8");
    }

    #[test]
    fn lines_that_stay_take_the_place_of_the_view_and_the_view_stands_below() {
        let view = Buffer::with_lines(["one"]);
        assert_eq!(
            text(drawn(Place::Cursor, &["first\nsecond".to_owned()], &view)),
            "␛[?2026h␍␛[K␛7␛[1B␛[J␛8first␍\nsecond␍\n␛[?7l␍one␛[K␛[J␍␛[?7h␛7␛[?2026l"
        );
        assert_eq!(text(cleared(Place::Cursor, &[])), "␍␛[K␛7␛[1B␛[J␛8");
    }

    #[test]
    fn nothing_that_is_printed_commands_the_terminal() {
        let line = "a \u{1b}[2Jclear\u{7}".to_owned();
        assert_eq!(
            text(cleared(Place::Cursor, &[line])),
            "␍␛[K␛7␛[1B␛[J␛8a  [2Jclear ␍\n"
        );
    }

    #[test]
    fn styles_end_with_their_text() {
        let mut view = Buffer::with_lines(["dim red plain"]);
        view.set_string(0, 0, "dim", Style::new().add_modifier(Modifier::DIM));
        view.set_string(4, 0, "red", Style::new().fg(Color::Red));
        assert_eq!(
            text(drawn(Place::Cursor, &[], &view)),
            "␛[?2026h␛[?7l␍␛[0m␛[2mdim␛[0m ␛[0m␛[38;5;1mred␛[0m plain␛[K␛[J␍␛[?7h␛7␛[?2026l"
        );
    }
}
