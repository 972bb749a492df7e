//! What is going on, on standard error: a line that changes on a terminal, a line per event elsewhere. Fed by events,
//! never on the hot path.

use std::cell::RefCell;
use std::io::IsTerminal as _;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::event::Event;
use crate::histogram::Histogram;
use crate::units::{Quantile, thousands, three_digits};

/// Columns of a terminal that does not say how wide it is.
const WIDTH: usize = 80;

/// How often the line is drawn again while nothing happens, so that its clock goes on.
const TICK: Duration = Duration::from_millis(250);

/// A view of a run. Dropping it leaves the terminal as it was.
#[derive(Debug)]
pub struct Progress {
    view: View,
}

#[derive(Debug)]
enum View {
    Quiet,
    /// One line, drawn over itself.
    Line {
        bar: ProgressBar,
        load: RefCell<Option<Load>>,
    },
    /// A line for what is worth keeping in a log.
    Log,
}

/// Load being offered.
#[derive(Debug)]
struct Load {
    begun: Instant,
    /// Name of each phase, and when it ends, in nanoseconds from the start.
    phases: Vec<(String, u64)>,
}

impl Progress {
    /// A view for standard error as it is; none if `quiet`.
    #[must_use]
    pub fn new(quiet: bool) -> Self {
        let view = if quiet {
            View::Quiet
        } else if std::io::stderr().is_terminal() {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
            let style = ProgressStyle::with_template("{spinner} {wide_msg}");
            bar.set_style(style.expect("the template is a constant, and valid"));
            bar.enable_steady_tick(TICK);
            View::Line {
                bar,
                load: RefCell::new(None),
            }
        } else {
            View::Log
        };
        Self { view }
    }

    /// Shows an event.
    #[expect(
        clippy::print_stderr,
        reason = "the progress of a run belongs on standard error"
    )]
    pub fn tell(&self, event: &Event<'_>) {
        match (&self.view, event) {
            (View::Line { bar, .. }, Event::Warning(words)) => {
                bar.println(format!("warning: {words}"));
            }
            (View::Log | View::Quiet, Event::Warning(words)) => eprintln!("warning: {words}"),
            (View::Quiet, _) => {}
            (View::Line { bar, .. }, Event::Step(step)) => bar.set_message((*step).to_owned()),
            (View::Line { bar, load }, Event::Started { phases, .. }) => {
                let mut end = 0;
                let phases = phases.iter().map(|(name, length)| {
                    end += length;
                    (name.clone(), end)
                });
                let started = Load {
                    begun: Instant::now(),
                    phases: phases.collect(),
                };
                bar.set_message(started.words(None));
                load.replace(Some(started));
            }
            (View::Line { bar, load }, Event::Window(part)) => {
                if let Some(load) = &*load.borrow() {
                    let response = Histogram::merged([&part.ok, &part.failed]);
                    bar.set_message(load.words(Some(&response)));
                }
            }
            (View::Line { bar, .. }, Event::RunDone(done)) => bar.println(done.to_string()),
            (View::Log, Event::RunDone(done)) => eprintln!("{done}"),
            (View::Line { bar, .. }, Event::RoundDone(line)) => bar.println(*line),
            (View::Log, Event::RoundDone(line)) => eprintln!("{line}"),
            (View::Log, _) => {}
        }
    }

    /// Clears the line.
    pub fn finish(&self) {
        if let View::Line { bar, .. } = &self.view {
            bar.finish_and_clear();
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.finish();
    }
}

impl Load {
    fn words(&self, window: Option<&Histogram>) -> String {
        let now = u64::try_from(self.begun.elapsed().as_nanos()).unwrap_or(u64::MAX);
        let seconds = now / 1_000_000_000;
        let Some((phase, end)) = self.phases.iter().find(|(_, end)| now < *end) else {
            return "letting what is in flight end".into();
        };
        let left = (end - now).div_ceil(1_000_000_000);
        let figures = window.map_or(String::new(), |window| {
            let p99 = window
                .quantile(Quantile::P99)
                .map_or(0.0, |p99| p99 as f64 / 1e6);
            format!(
                " · last window {} requests, p99 {} ms",
                thousands(window.count()),
                three_digits(p99)
            )
        });
        format!("{phase} · {seconds} s, {left} s left{figures}")
    }
}

/// How many columns standard output has.
#[must_use]
pub fn terminal_width() -> usize {
    rustix::termios::tcgetwinsize(std::io::stdout())
        .map(|size| usize::from(size.ws_col))
        .ok()
        .filter(|&columns| columns > 0)
        .unwrap_or(WIDTH)
}
