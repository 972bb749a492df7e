//! What is going on, on standard error: a view of a few lines that changes on a terminal, plain lines elsewhere. Fed by
//! events and by a tick of the session's, never on the hot path.
//!
//! `model` has all that is known, a function of the events so far; `draw` makes lines of it for a terminal's size, and
//! `screen` what the terminal has to be sent for them to stand there; `log` has the plain lines. None of these knows the
//! time or the terminal.

mod draw;
mod log;
mod model;
mod screen;
#[cfg(test)]
mod tests;
mod words;

use std::cell::RefCell;
use std::io::{self, IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

use ratatui::buffer::Buffer;
use ratatui::layout::Size;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::event::Event;
use draw::Look;
use log::Log;
use model::Model;
use screen::Place;

/// Columns of a terminal that does not say how wide it is.
const WIDTH: usize = 80;
/// Its rows.
const HEIGHT: u16 = 24;

/// A view of a run. Dropping it leaves the terminal as it was.
#[derive(Debug)]
pub struct Progress {
    /// When it was made: the zero of its times.
    made: Instant,
    view: RefCell<View>,
}

#[derive(Debug)]
enum View {
    Quiet,
    /// A few lines, drawn over themselves.
    Live(Box<Live>),
    /// A line for what is worth keeping in a log.
    Log(Box<Log>),
}

/// What stands on the terminal.
#[derive(Debug)]
struct Live {
    model: Model,
    look: Look,
    /// The terminal's size, and what was drawn on it last; none where nothing is.
    drawn: Option<(Size, Buffer)>,
    /// Lines that are to stand above the view and do not yet.
    above: Vec<String>,
    /// What had been typed when it was drawn last.
    typed: u64,
}

impl Progress {
    /// How often [`Progress::tick`] is wanted. Nothing is drawn more often, save for a line that stays.
    pub const TICK: Duration = Duration::from_millis(250);

    /// A view for standard error as it is, in colour if that is wanted; none if `quiet`.
    #[must_use]
    pub fn new(quiet: bool, color: bool) -> Self {
        let view = if quiet {
            View::Quiet
        } else if io::stderr().is_terminal() && can_be_drawn_on() {
            ratatui::crossterm::style::force_color_output(color);
            View::Live(Box::new(Live {
                model: Model::default(),
                look: Look { color },
                drawn: None,
                above: Vec::new(),
                typed: typed(),
            }))
        } else {
            View::Log(Box::default())
        };
        Self {
            made: Instant::now(),
            view: RefCell::new(view),
        }
    }

    /// Takes an event in. It shows at the next tick, or at once where it is a line that stays.
    #[expect(
        clippy::print_stderr,
        reason = "the progress of a run belongs on standard error"
    )]
    pub fn tell(&self, event: &Event<'_>) {
        let now = self.made.elapsed();
        match &mut *self.view.borrow_mut() {
            View::Quiet => {
                if let Event::Warning(words) = event {
                    eprintln!("warning: {words}");
                }
            }
            View::Live(live) => {
                live.model.tell(event, now);
                if matches!(event, Event::Over) {
                    live.clear();
                }
                if let Some(line) = log::lasting(event) {
                    live.above.push(line);
                    live.draw(now);
                }
            }
            View::Log(log) => {
                if let Some(line) = log.tell(event, now) {
                    eprintln!("{line}");
                }
            }
        }
    }

    /// Shows what has changed since the last tick.
    #[expect(
        clippy::print_stderr,
        reason = "the progress of a run belongs on standard error"
    )]
    pub fn tick(&self) {
        let now = self.made.elapsed();
        match &mut *self.view.borrow_mut() {
            View::Quiet => {}
            View::Live(live) => live.draw(now),
            View::Log(log) => {
                if let Some(line) = log.tick(now) {
                    eprintln!("{line}");
                }
            }
        }
    }

    /// Clears the view away; what was to stand above it stays.
    pub fn finish(&self) {
        if let View::Live(live) = &mut *self.view.borrow_mut() {
            live.model = Model::default();
            live.clear();
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.finish();
    }
}

impl Live {
    /// Draws what stands no longer as it is, unless the terminal takes nothing for now: a run does not wait for it.
    fn draw(&mut self, now: Duration) {
        if !takes_bytes() {
            return;
        }
        let size = size();
        let buffer = draw::view(&self.model, now, self.look, size);
        if buffer.area.is_empty() {
            return self.clear();
        }
        let place = self.place(size);
        let stands = |(drawn_on, drawn): &(Size, Buffer)| *drawn_on == size && *drawn == buffer;
        let stands = place == Place::Cursor && self.drawn.as_ref().is_some_and(stands);
        if self.above.is_empty() && stands {
            return;
        }
        // Who has closed the terminal sees nothing, and the run goes on.
        let _ = screen::drawn(place, &self.above, &buffer).and_then(|bytes| send(&bytes));
        self.above.clear();
        self.drawn = Some((size, buffer));
    }

    /// Leaves nothing of it but the lines that stay.
    fn clear(&mut self) {
        let place = self.place(size());
        if self.drawn.take().is_some() || !self.above.is_empty() {
            let _ = screen::cleared(place, &self.above).and_then(|bytes| send(&bytes));
            self.above.clear();
        }
    }

    /// Where the view stands on a terminal of `size`, which has moved what it remembers if it was resized.
    fn place(&mut self, size: Size) -> Place {
        let before = std::mem::replace(&mut self.typed, typed());
        let is_there = |(drawn_on, _): &(Size, Buffer)| *drawn_on == size;
        match self.drawn.as_ref().is_some_and(is_there) && before != self.typed {
            true => Place::Remembered,
            false => Place::Cursor,
        }
    }
}

/// Whether the terminal understands more than letters.
fn can_be_drawn_on() -> bool {
    std::env::var_os("TERM").is_some_and(|term| !term.is_empty() && term != "dumb")
}

/// Whether standard error takes bytes without waiting: it does not while somebody has stopped the terminal (Ctrl-S).
fn takes_bytes() -> bool {
    let stderr = io::stderr();
    let mut files = [PollFd::new(&stderr, PollFlags::OUT)];
    let at_once = Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    poll(&mut files, Some(&at_once)).is_ok_and(|ready| ready > 0)
}

/// How many bytes of lines that were typed at the terminal nobody has read. They are left for whoever comes next.
fn typed() -> u64 {
    rustix::io::ioctl_fionread(io::stderr()).unwrap_or(0)
}

/// All at once, so that a terminal never stands half drawn.
fn send(bytes: &[u8]) -> io::Result<()> {
    let mut stderr = io::stderr().lock();
    stderr.write_all(bytes)?;
    stderr.flush()
}

/// The size of the terminal behind standard error.
fn size() -> Size {
    let size = rustix::termios::tcgetwinsize(io::stderr()).ok();
    let size = size.filter(|size| size.ws_col > 0 && size.ws_row > 0);
    size.map_or(Size::new(WIDTH as u16, HEIGHT), |size| {
        Size::new(size.ws_col, size.ws_row)
    })
}

/// How many columns standard output has.
#[must_use]
pub fn terminal_width() -> usize {
    rustix::termios::tcgetwinsize(io::stdout())
        .map(|size| usize::from(size.ws_col))
        .ok()
        .filter(|&columns| columns > 0)
        .unwrap_or(WIDTH)
}
