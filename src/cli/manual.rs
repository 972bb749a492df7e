//! `tailmark manual`: man pages, and completions for shells, made of what can be typed. Hidden, for it is of use to those
//! alone who package tailmark.

use std::fs;
use std::io;
use std::path::Path;

use clap_complete::Shell;

use super::Outcome;
use super::args::{self, ManualArgs};
use super::failure::Failure;

/// Shells that are installed without asking.
const SHELLS: [Shell; 3] = [Shell::Bash, Shell::Zsh, Shell::Fish];

pub(super) fn manual(args: &ManualArgs) -> Result<Outcome, Failure> {
    let doing = format!("writing the manual to {}", args.dir.display());
    write(&args.dir).map_err(|error| Failure::new(&doing, &error))?;
    Ok(Outcome::Done)
}

/// A page for each command under `man1`, a file for each shell under `completions`.
fn write(dir: &Path) -> io::Result<()> {
    let (pages, completions) = (dir.join("man1"), dir.join("completions"));
    fs::create_dir_all(&pages)?;
    fs::create_dir_all(&completions)?;
    clap_mangen::generate_to(args::command(), &pages)?;
    for shell in SHELLS {
        clap_complete::generate_to(shell, &mut args::command(), "tailmark", &completions)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_that_help_shows_has_a_page_and_is_completed() {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path()).unwrap();
        let page = |name: &str| fs::read_to_string(dir.path().join("man1").join(name)).unwrap();
        for command in args::command().get_subcommands() {
            let file = format!("tailmark-{}.1", command.get_name());
            if command.is_hide_set() {
                assert!(!dir.path().join("man1").join(&file).exists(), "{file}");
            } else {
                assert!(page(&file).contains(".SH OPTIONS"), "{file}");
            }
        }
        assert!(page("tailmark.1").contains("tailmark\\-run(1)"));
        assert!(page("tailmark-services-up.1").contains(".SH SYNOPSIS"));
        for file in ["tailmark.bash", "_tailmark", "tailmark.fish"] {
            let text = fs::read_to_string(dir.path().join("completions").join(file)).unwrap();
            assert!(text.contains("sample-hz"), "{file}");
        }
    }
}
