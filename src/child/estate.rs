//! What a process owns beside itself, written down so that a later start can clear it away after one that was killed: its
//! temporary folders, and its child processes.
//!
//! An estate is a folder in the system's folder for temporary files:
//! ```text
//! tailmark-XXXXXX/owner        labels of the process that it belongs to, one `name=value` a line
//! tailmark-XXXXXX/processes    its children so far, one `PID STARTED SIGNAL…` a line
//! tailmark-XXXXXX/stores-XXX/  a folder that was asked for
//! ```
//! It is there as long as something is in it.

use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tempfile::TempDir;

use super::Step;
use super::owner::Owner;

/// How the name of every estate begins.
pub(super) const PREFIX: &str = "tailmark-";
pub(super) const OWNER: &str = "owner";
pub(super) const PROCESSES: &str = "processes";

/// The environment variable of every child that names the run that it belongs to.
pub(super) const MARK: &str = "TAILMARK_RUN";

/// The estate of this process.
#[derive(Debug)]
pub(crate) struct Estate {
    processes: File,
    folder: TempDir,
    owner: &'static Owner,
}

/// A temporary folder that is closed to others. Dropping it removes it.
#[derive(Debug)]
pub struct Scratch {
    // Removed before the estate, which it is in.
    folder: TempDir,
    _estate: Arc<Estate>,
}

impl Estate {
    /// That of this process, made if there is none at the moment.
    ///
    /// # Errors
    /// When no temporary folder can be made.
    pub(super) fn this() -> io::Result<Arc<Self>> {
        static THIS: Mutex<Weak<Estate>> = Mutex::new(Weak::new());
        let mut this = THIS.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(estate) = this.upgrade() {
            return Ok(estate);
        }
        let estate = Arc::new(Self::make(&std::env::temp_dir())?);
        *this = Arc::downgrade(&estate);
        Ok(estate)
    }

    fn make(parent: &Path) -> io::Result<Self> {
        let owner = Owner::this()?;
        // Others may pass through: a server under an account of its own has its folder in here.
        let folder = tempfile::Builder::new()
            .prefix(PREFIX)
            .permissions(Permissions::from_mode(0o711))
            .tempdir_in(parent)?;
        let private = |name| {
            let mut options = OpenOptions::new();
            options.append(true).create_new(true).mode(0o600);
            options.open(folder.path().join(name))
        };
        let processes = private(PROCESSES)?;
        let lines = owner
            .labels()
            .map(|(name, value)| format!("{name}={value}\n"));
        private(OWNER)?.write_all(lines.concat().as_bytes())?;
        Ok(Self {
            processes,
            folder,
            owner,
        })
    }

    /// What the environment of its children says.
    pub(super) fn mark(&self) -> (&'static str, &str) {
        (MARK, &self.owner.run)
    }

    /// Writes down child `pid`, and by which signals it is ended.
    pub(super) fn note(&self, pid: u32, escalation: &[Step]) -> io::Result<()> {
        let process = i32::try_from(pid)
            .map_err(io::Error::other)
            .and_then(|pid| procfs::process::Process::new(pid).map_err(io::Error::other));
        let stat = process.and_then(|process| process.stat().map_err(io::Error::other))?;
        let signals = escalation
            .iter()
            .map(|(signal, _)| format!(" {}", signal.as_raw()));
        let line = format!("{pid} {}{}\n", stat.starttime, signals.collect::<String>());
        // At once, so that two never mix.
        (&self.processes).write_all(line.as_bytes())
    }
}

impl Scratch {
    /// A folder whose name begins with `name`.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn new(name: &str) -> io::Result<Self> {
        let estate = Estate::this()?;
        let folder = tempfile::Builder::new()
            .prefix(&format!("{name}-"))
            .permissions(Permissions::from_mode(0o700))
            .tempdir_in(estate.folder.path())?;
        Ok(Self {
            folder,
            _estate: estate,
        })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Removes it.
    ///
    /// # Errors
    /// When something of it is still there.
    pub fn close(self) -> io::Result<()> {
        self.folder.close()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn an_estate_says_whose_it_is_and_goes_with_the_last_of_it() {
        let parent = tempfile::tempdir().unwrap();
        let estate = Estate::make(parent.path()).unwrap();
        let path = estate.folder.path().to_owned();
        estate
            .note(
                std::process::id(),
                &[(rustix::process::Signal::TERM, std::time::Duration::ZERO)],
            )
            .unwrap();
        let owner = fs::read_to_string(path.join(OWNER)).unwrap();
        let pid = format!("tailmark.owner.pid={}\n", std::process::id());
        assert!(owner.contains(&pid), "{owner}");
        let processes = fs::read_to_string(path.join(PROCESSES)).unwrap();
        let started = super::super::owner::started(std::process::id()).unwrap();
        assert_eq!(processes, format!("{} {started} 15\n", std::process::id()));
        let mode = |file: &Path| fs::metadata(file).unwrap().permissions().mode() & 0o777;
        assert_eq!(
            [path.clone(), path.join(OWNER), path.join(PROCESSES)].map(|file| mode(&file)),
            [0o711, 0o600, 0o600]
        );
        drop(estate);
        assert!(!path.exists());
    }

    #[test]
    fn folders_are_closed_to_others_and_in_the_estate() {
        let (a, b) = (Scratch::new("a").unwrap(), Scratch::new("b").unwrap());
        let mode = fs::metadata(a.path()).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
        let [of_a, of_b] = [&a, &b].map(|folder| folder.path().parent().unwrap().to_owned());
        assert_eq!(of_a, of_b);
        assert!(of_a.join(OWNER).is_file());
        let path = a.path().to_owned();
        a.close().unwrap();
        assert!(!path.exists() && b.path().exists());
    }
}
