//! The command line: what was typed, what it means, and the exit code. It and [`crate::progress`] alone write to the
//! terminal.
//!
//! Standard output carries results, standard error everything else. Exit codes: 0; 1 what was checked is wrong, or a
//! threshold or a gate failed; 2 usage or tool error; 3 a gate is inconclusive, where that is to fail; 4 nothing could be
//! measured, or a threshold or gate was asked for and the measurement is not valid; 130 interrupted.

mod access;
mod args;
mod check;
mod ci;
mod compare;
mod debug;
mod doctor;
mod export;
mod failure;
mod gate;
mod init;
mod keep;
mod list;
mod manual;
mod oracle;
mod report;
mod revisions;
mod rounds;
mod run;
mod runtime;
mod services;
mod stage;
mod startup;
mod verify;

use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;

use crate::progress::Progress;
use args::{Args, Color, Command, Common, ServicesCommand};
use failure::Failure;

/// Parses the process's arguments, does what they say, and returns the exit code.
#[must_use]
pub fn main() -> ExitCode {
    let args = match args::parse(std::env::args_os()) {
        Ok(args) => args,
        Err(message) => return message.print(),
    };
    match dispatch(args) {
        Ok(outcome) => outcome.code(),
        Err(failure) => {
            failure.print();
            ExitCode::from(failure.code())
        }
    }
}

/// How a command that could do its work ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// All is well.
    Done,
    /// A file has errors, which have been printed.
    Refused,
    /// What was checked is not as it should be, which has been printed.
    Wrong,
    /// No exchange was ok, so there is nothing to act on.
    NothingMeasured,
    /// The figures may not be believed, and it was asked whether they are as they should be.
    Invalid,
    /// Nothing could be said, and that was to fail.
    Inconclusive,
    /// Ended early on request; what was measured is saved and printed.
    Interrupted,
}

impl Outcome {
    fn code(self) -> ExitCode {
        ExitCode::from(match self {
            Self::Done => 0,
            Self::Wrong => 1,
            Self::Refused => 2,
            Self::Inconclusive => 3,
            Self::NothingMeasured | Self::Invalid => 4,
            Self::Interrupted => 130,
        })
    }
}

fn dispatch(args: Args) -> Result<Outcome, Failure> {
    match args.command {
        Command::Run(args) => with_runtime(run::run(args)),
        Command::Compare(args) => with_runtime(compare::compare(args)),
        Command::Gate(args) => with_runtime(gate::gate(args)),
        Command::Report(args) => report::report(&args),
        Command::List(args) => list::list(&args),
        Command::Init(args) => init::init(&args),
        Command::Check(args) => check::check(&args),
        Command::Manual(args) => manual::manual(&args),
        Command::Schema(args) => {
            args.common.print(crate::scenario::SCHEMA)?;
            Ok(Outcome::Done)
        }
        Command::Doctor(args) => with_runtime(doctor::doctor(args)),
        Command::Verify(args) => with_runtime(verify::verify(args)),
        Command::Oracle(args) => with_runtime(oracle::oracle(args)),
        Command::Startup(args) => with_runtime(startup::startup(args)),
        Command::Services(args) => match args.command {
            ServicesCommand::Up(args) => with_runtime(services::up(args)),
            ServicesCommand::Check(args) => with_runtime(services::check(args)),
        },
    }
}

/// One thread is enough to start, watch and stop things; the workers have their own.
fn with_runtime(work: impl Future<Output = Result<Outcome, Failure>>) -> Result<Outcome, Failure> {
    crate::machine::raise_descriptor_limit();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new("starting", &error))?;
    runtime.block_on(work)
}

impl Common {
    /// Writes a result to standard output. That nobody reads it any more is no failure.
    fn print(&self, text: &str) -> Result<(), Failure> {
        let mut out = std::io::stdout().lock();
        match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
            Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
                Err(Failure::new("writing the result", &error))
            }
            _ => Ok(()),
        }
    }

    /// How tables are drawn on standard output.
    fn table(&self) -> crate::report::Options<'static> {
        let terminal = std::io::stdout().is_terminal();
        let color = self.is_colored(terminal);
        let width = if terminal {
            crate::progress::terminal_width()
        } else {
            args::WIDTH
        };
        crate::report::Options {
            width,
            color,
            percentiles: &[],
            spectrum: false,
            saved: None,
            verbose: self.verbose,
        }
    }

    /// Whether there are to be colours where it is a terminal or not.
    fn is_colored(&self, terminal: bool) -> bool {
        match self.color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => terminal && std::env::var_os("NO_COLOR").is_none(),
        }
    }

    /// Tells of what goes on, unless nobody wants to know.
    #[expect(
        clippy::print_stderr,
        reason = "the command line alone writes to the terminal"
    )]
    fn say(&self, line: &str) {
        if !self.quiet {
            eprintln!("{}", line.trim_end());
        }
    }

    fn progress(&self) -> Progress {
        let color = self.is_colored(std::io::stderr().is_terminal());
        Progress::new(self.quiet, color)
    }
}
