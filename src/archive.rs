//! The results folder: where records are kept, written so that a reader never sees half of one.
//!
//! ```text
//! results/local/.gitignore
//! results/local/20261123T074100Z-crud-axum/run.json, target.log
//! results/local/20261123T074100Z-compare-crud/compare.json, r01-axum/run.json, …
//! results/local/20261123T074100Z-startup-axum-actix/startup.json, axum.log
//! results/local/latest → the folder that was written last
//! ```

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// The file of a saved run.
pub const RUN_FILE: &str = "run.json";
/// The file of a saved comparison.
pub const COMPARE_FILE: &str = "compare.json";
/// The file of a saved gate.
pub const GATE_FILE: &str = "gate.json";
/// The file of saved start-ups.
pub const STARTUP_FILE: &str = "startup.json";

/// A link to the folder that was written last.
const LATEST: &str = "latest";

/// Folders of one name in one second at most: nobody starts more runs at once by hand.
const MOST_NAMESAKES: u32 = 100;

/// A results folder.
#[derive(Debug, Clone)]
pub struct Archive {
    root: PathBuf,
}

/// The folder of one run or comparison.
#[derive(Debug, Clone)]
pub struct Folder {
    path: PathBuf,
}

/// A saved result and the kind of file it was found in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Saved {
    /// The text of a [`RUN_FILE`].
    Run(String),
    /// The text of a [`COMPARE_FILE`].
    Comparison(String),
    /// The text of a [`GATE_FILE`].
    Gate(String),
    /// The text of a [`STARTUP_FILE`].
    Startups(String),
}

/// Why a result could not be kept or found.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// The system refused.
    #[error("{action} {}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file or folder.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// Nothing saved there.
    #[error("no saved result in {}: none of {GATE_FILE}, {COMPARE_FILE}, {STARTUP_FILE}, {RUN_FILE}", .0.display())]
    Nothing(PathBuf),
}

impl Archive {
    /// Opens the results folder at `root`, creating it where it is missing, with a `.gitignore` of its own: results
    /// are committed on purpose, elsewhere, never by accident.
    ///
    /// # Errors
    /// When the folder cannot be created or written to.
    pub fn open(root: impl Into<PathBuf>) -> Result<Self, ArchiveError> {
        let root = root.into();
        if !root.is_dir() {
            fs::create_dir_all(&root).map_err(failed("creating", &root))?;
            let ignore = root.join(".gitignore");
            fs::write(&ignore, "*\n").map_err(failed("writing", &ignore))?;
        }
        Ok(Self { root })
    }

    /// The folder of results at `path`, which is there, and the results folder that holds it.
    ///
    /// # Errors
    /// When it is not there.
    pub fn holding(path: &Path) -> Result<(Self, Folder), ArchiveError> {
        // `latest` may be what was named.
        let path = path.canonicalize().map_err(failed("opening", path))?;
        let root = path.parent().unwrap_or(&path).to_owned();
        Ok((Self { root }, Folder { path }))
    }

    /// Creates a folder called `name`, or `name-2` and so on where that is taken.
    ///
    /// # Errors
    /// When it cannot be created.
    pub fn create(&self, name: &str) -> Result<Folder, ArchiveError> {
        let names = std::iter::once(name.to_owned())
            .chain((2..=MOST_NAMESAKES).map(|n| format!("{name}-{n}")));
        for name in names {
            let path = self.root.join(name);
            match fs::create_dir(&path) {
                Ok(()) => return Ok(Folder { path }),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(failed("creating", &path)(error)),
            }
        }
        let taken = io::Error::from(io::ErrorKind::AlreadyExists);
        Err(failed("creating", &self.root.join(name))(taken))
    }

    /// Lets `latest` point to `folder`.
    ///
    /// # Errors
    /// When the link cannot be made.
    pub fn point_latest(&self, folder: &Folder) -> Result<(), ArchiveError> {
        let Some(name) = folder.path.file_name() else {
            return Ok(());
        };
        let link = self.root.join(LATEST);
        let fresh = self.root.join(format!(".{LATEST}-{}", std::process::id()));
        // Renaming over the old link means that there is always one.
        std::os::unix::fs::symlink(name, &fresh)
            .and_then(|()| fs::rename(&fresh, &link))
            .map_err(failed("linking", &link))
    }
}

impl Folder {
    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Creates a folder inside it.
    ///
    /// # Errors
    /// When it cannot be created.
    pub fn create(&self, name: &str) -> Result<Folder, ArchiveError> {
        let path = self.path.join(name);
        fs::create_dir_all(&path).map_err(failed("creating", &path))?;
        Ok(Folder { path })
    }

    /// Writes a file whole or not at all: a reader sees what was there before, or all of `text`.
    ///
    /// # Errors
    /// When it cannot be written; what was there before is still there.
    pub fn write(&self, name: &str, text: &str) -> Result<(), ArchiveError> {
        let path = self.path.join(name);
        let write = || {
            let mut file = tempfile::Builder::new()
                .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644))
                .tempfile_in(&self.path)?;
            file.write_all(text.as_bytes())?;
            file.as_file().sync_all()?;
            file.persist(&path)?;
            Ok(())
        };
        write().map_err(failed("writing", &path))
    }

    /// Removes the folder and all in it.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub fn remove(self) -> Result<(), ArchiveError> {
        fs::remove_dir_all(&self.path).map_err(failed("removing", &self.path))
    }

    /// Removes the folder of a run that came to nothing, unless its target had something to say: then its output
    /// stays, for whoever wants to know why.
    pub fn remove_if_silent(self) {
        let files = fs::read_dir(&self.path).into_iter().flatten().flatten();
        let silent = files
            .map(|file| file.metadata())
            .all(|file| file.is_ok_and(|file| file.len() == 0));
        if silent {
            // An empty folder that stays does no harm.
            let _ = self.remove();
        }
    }
}

/// Files that a result may be kept in.
const FILES: [&str; 4] = [GATE_FILE, COMPARE_FILE, STARTUP_FILE, RUN_FILE];

/// The names of the folders in `root` that hold a result, the newest first, as far as their names begin with a time: others come
/// last. None where there is no such folder.
///
/// # Errors
/// When it cannot be read.
pub fn saved(root: &Path) -> Result<Vec<String>, ArchiveError> {
    let entries = match fs::read_dir(root) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed("reading", root)(error)),
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.map_err(failed("reading", root))?;
        // `latest` is one of the others.
        let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
        let path = entry.path();
        if is_folder && FILES.iter().any(|file| path.join(file).is_file()) {
            names.extend(entry.file_name().into_string());
        }
    }
    let is_timed = |name: &String| name.starts_with(|c: char| c.is_ascii_digit());
    names.sort_by(|a, b| (is_timed(b), b).cmp(&(is_timed(a), a)));
    Ok(names)
}

/// Reads a saved result: a file, or a folder that holds one.
///
/// # Errors
/// When there is none, or it cannot be read.
pub fn read(path: &Path) -> Result<Saved, ArchiveError> {
    type Kind = (&'static str, fn(String) -> Saved);
    /// Where several are in one folder, the first is of all of it.
    const KINDS: [Kind; 4] = [
        (GATE_FILE, Saved::Gate),
        (COMPARE_FILE, Saved::Comparison),
        (STARTUP_FILE, Saved::Startups),
        (RUN_FILE, Saved::Run),
    ];
    let open = |file: &Path| fs::read_to_string(file).map_err(failed("reading", file));
    if path.is_dir() {
        let found = KINDS.iter().find(|(name, _)| path.join(name).is_file());
        let (name, saved) = found.ok_or_else(|| ArchiveError::Nothing(path.into()))?;
        return open(&path.join(name)).map(saved);
    }
    let name = path.file_name().unwrap_or_default();
    let kind = KINDS.iter().find(|(file, _)| name == *file);
    let saved = kind.map_or(Saved::Run as fn(String) -> Saved, |(_, saved)| *saved);
    open(path).map(saved)
}

fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> ArchiveError {
    let path = path.to_owned();
    move |source| ArchiveError::Io {
        action,
        path,
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn archive() -> (tempfile::TempDir, Archive) {
        let folder = tempfile::tempdir().unwrap();
        let archive = Archive::open(folder.path().join("results/local")).unwrap();
        (folder, archive)
    }

    #[test]
    fn results_are_ignored_by_git_and_never_overwritten() {
        let (_guard, archive) = archive();
        assert_eq!(
            fs::read_to_string(archive.root.join(".gitignore")).unwrap(),
            "*\n"
        );
        let names: Vec<_> = (0..3)
            .map(|_| {
                archive
                    .create("run")
                    .unwrap()
                    .path
                    .file_name()
                    .unwrap()
                    .to_owned()
            })
            .collect();
        assert_eq!(names, ["run", "run-2", "run-3"]);
    }

    #[test]
    fn a_folder_is_read_back_by_its_own_name_and_as_the_latest() {
        let (_guard, archive) = archive();
        for text in ["one", "two"] {
            let folder = archive.create("run").unwrap();
            folder.write(RUN_FILE, text).unwrap();
            archive.point_latest(&folder).unwrap();
            assert_eq!(read(folder.path()).unwrap(), Saved::Run(text.into()));
            assert_eq!(
                read(&archive.root.join(LATEST)).unwrap(),
                Saved::Run(text.into())
            );
        }
        let comparison = archive.create("compare").unwrap();
        comparison.write(COMPARE_FILE, "three").unwrap();
        comparison
            .create("r01-a")
            .unwrap()
            .write(RUN_FILE, "four")
            .unwrap();
        assert_eq!(
            read(comparison.path()).unwrap(),
            Saved::Comparison("three".into())
        );
        assert_eq!(
            read(&comparison.path.join(COMPARE_FILE)).unwrap(),
            Saved::Comparison("three".into())
        );
        let startups = archive.create("startup").unwrap();
        startups.write(STARTUP_FILE, "five").unwrap();
        for path in [startups.path(), &startups.path.join(STARTUP_FILE)] {
            assert_eq!(read(path).unwrap(), Saved::Startups("five".into()));
        }
    }

    #[test]
    fn writing_replaces_the_whole_file_and_leaves_no_other() {
        let (_guard, archive) = archive();
        let folder = archive.create("run").unwrap();
        folder.write(RUN_FILE, "a long first text").unwrap();
        folder.write(RUN_FILE, "short").unwrap();
        assert_eq!(
            fs::read_to_string(folder.path.join(RUN_FILE)).unwrap(),
            "short"
        );
        assert_eq!(fs::read_dir(&folder.path).unwrap().count(), 1);
    }

    #[test]
    fn results_are_listed_the_newest_first() {
        let (_guard, archive) = archive();
        assert_eq!(saved(&archive.root).unwrap(), [""; 0]);
        let named = [
            ("kept", RUN_FILE),
            ("20261123T074100Z-crud-axum", RUN_FILE),
            ("20261124T074100Z-gate-crud", GATE_FILE),
            ("20261123T080000Z-compare-crud", COMPARE_FILE),
        ];
        for (name, file) in named {
            let folder = archive.create(name).unwrap();
            folder.write(file, "text").unwrap();
            archive.point_latest(&folder).unwrap();
        }
        archive.create("20261125T000000Z-came-to-nothing").unwrap();
        let expected = [named[2].0, named[3].0, named[1].0, named[0].0];
        assert_eq!(saved(&archive.root).unwrap(), expected);
        assert_eq!(saved(Path::new("/no/such/folder")).unwrap(), [""; 0]);
    }

    #[test]
    fn an_empty_folder_says_what_is_missing() {
        let (_guard, archive) = archive();
        let folder = archive.create("run").unwrap();
        let error = read(folder.path()).unwrap_err().to_string();
        assert!(
            error.ends_with("none of gate.json, compare.json, startup.json, run.json"),
            "{error}"
        );
    }
}
