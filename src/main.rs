//! The `tailmark` binary: parse, run, exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    tailmark::cli::main()
}
