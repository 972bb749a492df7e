//! Revisions of a git repository, each checked out to be built at one and the same path.
//!
//! A program holds the path at which it was built, and paths of other lengths shift what lies behind them: two builds of one
//! source at two places are two programs. So the first revision is checked out and built where the second will be, and set
//! aside before that one comes. All end up under paths of one length, for the same reason.

use std::ffi::OsStr;
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use sha2::{Digest as _, Sha256};

/// What an executable of Linux begins with.
const ELF: &[u8] = b"\x7fELF";

/// Programs that do what a file says which they are given: one may be copied into what was built, and is the same then
/// whatever the revision. A version may follow the name.
const INTERPRETERS: [&str; 13] = [
    "bash", "bun", "deno", "dotnet", "java", "lua", "node", "perl", "php", "pypy", "python",
    "ruby", "sh",
];

/// The repository that a folder belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repository {
    /// The top of its working tree.
    root: PathBuf,
}

/// The two commits that are compared, each by its full name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commits {
    /// Where the candidate's history left that of the revision it is held against.
    pub baseline: String,
    /// What is checked out.
    pub candidate: String,
}

/// Where revisions are checked out, kept from others by a lock. Dropping it removes what was checked out.
#[derive(Debug)]
pub struct Workshop {
    repository: Repository,
    place: PathBuf,
    _lock: File,
}

/// Why there are no revisions to build.
#[derive(Debug, thiserror::Error)]
pub enum RevisionError {
    /// The folder belongs to none.
    #[error("{} is in no git repository", .0.display())]
    NoRepository(PathBuf),
    /// The revision is not known.
    #[error("git knows no revision `{0}` here")]
    Unknown(String),
    /// The revision, or where the two meet, lies beyond what was fetched.
    #[error("this clone is shallow: `{0}`, or where it and HEAD meet, was not fetched")]
    Shallow(String),
    /// Histories that never meet.
    #[error("`{0}` and HEAD have no commit in common")]
    Unrelated(String),
    /// What would not be measured.
    #[error(
        "{count} {} not committed, {first} first: HEAD is what is measured, without {}",
        if *.count == 1 { "change is" } else { "changes are" },
        if *.count == 1 { "it" } else { "them" }
    )]
    Dirty {
        /// How many files.
        count: usize,
        /// One of them.
        first: String,
    },
    /// Another command has the place.
    #[error("another tailmark builds revisions of this repository in {}", .0.display())]
    Taken(PathBuf),
    /// git failed otherwise.
    #[error("git {action}: {said}")]
    Git {
        /// What it was to do.
        action: String,
        /// The last that it said.
        said: String,
    },
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
}

impl RevisionError {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NoRepository(_) => Some("name targets that are built already, without a revision".into()),
            Self::Unknown(revision) => Some(format!("fetch it first: git fetch origin {revision}")),
            Self::Shallow(_) => Some(
                "git fetch --unshallow; in GitHub Actions: actions/checkout with fetch-depth: 0; in GitLab: GIT_DEPTH: 0"
                    .into(),
            ),
            Self::Unrelated(_) => Some("name a revision of the same history".into()),
            Self::Dirty { .. } => Some("commit them, or git stash".into()),
            Self::Taken(_) => Some("wait for it to end".into()),
            Self::Git { .. } | Self::Io { .. } => None,
        }
    }
}

impl Repository {
    /// The repository that `folder` belongs to.
    ///
    /// # Errors
    /// When it belongs to none, or there is no git.
    pub fn around(folder: &Path) -> Result<Self, RevisionError> {
        let top = git(folder, ["rev-parse", "--show-toplevel"]);
        match top {
            Ok(root) => Ok(Self { root: root.into() }),
            Err(RevisionError::Git { .. }) => Err(RevisionError::NoRepository(folder.into())),
            Err(error) => Err(error),
        }
    }

    /// Where `path` lies in the working tree; none where it is not in it.
    #[must_use]
    pub fn within(&self, path: &Path) -> Option<PathBuf> {
        let path = path.canonicalize().ok()?;
        let root = self.root.canonicalize().ok()?;
        path.strip_prefix(root).ok().map(Path::to_owned)
    }

    /// What is checked out, and where its history left that of `revision`.
    ///
    /// # Errors
    /// When there are changes that are not committed, or the two have nothing in common that is here.
    pub fn commits(&self, revision: &str) -> Result<Commits, RevisionError> {
        let changed = self.git(["status", "--porcelain", "--untracked-files=no"])?;
        if let Some(first) = changed.lines().next() {
            return Err(RevisionError::Dirty {
                count: changed.lines().count(),
                first: first.get(3..).unwrap_or(first).to_owned(),
            });
        }
        let candidate = self.commit("HEAD")?;
        let named = self.commit(revision)?;
        let baseline = match self.git(["merge-base", &named, &candidate]) {
            Ok(baseline) => baseline,
            Err(_) if self.is_shallow()? => return Err(RevisionError::Shallow(revision.into())),
            Err(_) => return Err(RevisionError::Unrelated(revision.into())),
        };
        Ok(Commits {
            baseline,
            candidate,
        })
    }

    /// The full name of the commit that `revision` names.
    ///
    /// # Errors
    /// When it is not known here.
    pub fn commit(&self, revision: &str) -> Result<String, RevisionError> {
        let named = format!("{revision}^{{commit}}");
        match self.git(["rev-parse", "--verify", "--end-of-options", &named]) {
            Ok(commit) => Ok(commit),
            Err(_) if self.is_shallow()? => Err(RevisionError::Shallow(revision.into())),
            Err(_) => Err(RevisionError::Unknown(revision.into())),
        }
    }

    fn is_shallow(&self) -> Result<bool, RevisionError> {
        Ok(self.git(["rev-parse", "--is-shallow-repository"])? == "true")
    }

    fn git<const N: usize>(&self, words: [&str; N]) -> Result<String, RevisionError> {
        git(&self.root, words)
    }
}

impl Workshop {
    /// Takes the place under `cache` that belongs to `repository`: the same in every run, so that a revision is built to the
    /// same program again.
    ///
    /// # Errors
    /// When another tailmark has it, or it cannot be made.
    pub fn open(repository: &Repository, cache: &Path) -> Result<Self, RevisionError> {
        let name = Sha256::digest(repository.root.as_os_str().as_encoded_bytes());
        let name: String = name
            .iter()
            .take(8)
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let place = cache.join("tailmark").join("revisions").join(name);
        fs::create_dir_all(&place).map_err(failed("creating", &place))?;
        let path = place.join("lock");
        let lock = File::create(&path).map_err(failed("creating", &path))?;
        lock.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => RevisionError::Taken(place.clone()),
            TryLockError::Error(source) => failed("locking", &path)(source),
        })?;
        let workshop = Self {
            repository: repository.clone(),
            place,
            _lock: lock,
        };
        workshop.clear()?;
        Ok(workshop)
    }

    /// Checks `commit` out where everything is built, and returns that path.
    ///
    /// # Errors
    /// When git or the file system fails.
    pub fn check_out(&self, commit: &str) -> Result<PathBuf, RevisionError> {
        let bench = self.bench();
        self.repository.git(["worktree", "prune"])?;
        let path = bench.to_string_lossy();
        // A hook of the repository is for people's own checkouts.
        self.repository.git([
            "-c",
            "core.hooksPath=/dev/null",
            "worktree",
            "add",
            "--quiet",
            "--force",
            "--detach",
            &path,
            commit,
        ])?;
        if bench.join(".gitmodules").exists() {
            git(
                &bench,
                ["submodule", "update", "--quiet", "--init", "--recursive"],
            )?;
        }
        Ok(bench)
    }

    /// Sets aside what was checked out and built, as number `place`, and returns where it is from now on.
    ///
    /// # Errors
    /// When it cannot be moved.
    pub fn set_aside(&self, place: usize) -> Result<PathBuf, RevisionError> {
        let (bench, aside) = (self.bench(), self.place.join(format!("{place:03}")));
        fs::rename(&bench, &aside).map_err(failed("moving", &bench))?;
        Ok(aside)
    }

    fn bench(&self) -> PathBuf {
        self.place.join("now")
    }

    fn clear(&self) -> Result<(), RevisionError> {
        let entries = fs::read_dir(&self.place).map_err(failed("reading", &self.place))?;
        for path in entries.flatten().map(|entry| entry.path()) {
            if path.is_dir() {
                fs::remove_dir_all(&path).map_err(failed("removing", &path))?;
            }
        }
        self.repository.git(["worktree", "prune"]).map(drop)
    }
}

impl Drop for Workshop {
    fn drop(&mut self) {
        // What stays is removed when the place is taken again.
        let _ = self.clear();
    }
}

/// The SHA-256 of an executable that was built inside `root`, in hex. None of one that lies elsewhere, where a link may lead
/// to: it is the same whatever was built. None of a script or an interpreter either: what those do is decided elsewhere.
///
/// # Errors
/// When it is not there or cannot be read.
pub fn digest_of_executable(root: &Path, path: &Path) -> Result<Option<String>, RevisionError> {
    let file = path.canonicalize().map_err(failed("reading", path))?;
    if !is_inside(root, &file) || [path, &file].into_iter().any(is_interpreter) {
        return Ok(None);
    }
    let bytes = fs::read(&file).map_err(failed("reading", path))?;
    Ok(bytes.starts_with(ELF).then(|| sha256(&bytes)))
}

/// The SHA-256 of a file inside `root`, in hex; none where `path` leads to no file there.
///
/// # Errors
/// When it cannot be read.
pub fn digest_of_file(root: &Path, path: &Path) -> Result<Option<String>, RevisionError> {
    let file = path.canonicalize();
    let Some(file) = file
        .ok()
        .filter(|file| file.is_file() && is_inside(root, file))
    else {
        return Ok(None);
    };
    let bytes = fs::read(&file).map_err(failed("reading", path))?;
    Ok(Some(sha256(&bytes)))
}

/// Whether `file`, which is canonical, lies in `root`.
fn is_inside(root: &Path, file: &Path) -> bool {
    root.canonicalize().is_ok_and(|root| file.starts_with(root))
}

fn is_interpreter(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let name = name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.');
    INTERPRETERS.contains(&name)
}

/// The SHA-256 of `bytes`, in hex.
#[must_use]
pub fn sha256(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What git prints, without the line's end.
fn git<const N: usize>(folder: &Path, words: [&str; N]) -> Result<String, RevisionError> {
    let mut command = Command::new("git");
    command.arg("-C").arg(folder).args(words);
    // Where a hook of git calls tailmark, these name that hook's repository and index.
    for variable in ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX"] {
        command.env_remove(variable);
    }
    let output = command
        .output()
        .map_err(failed("running", Path::new("git")))?;
    if output.status.success() {
        let text = String::from_utf8_lossy(&output.stdout);
        return Ok(text.trim_end_matches('\n').to_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(RevisionError::Git {
        action: words.join(" "),
        said: said.lines().last().unwrap_or_default().to_owned(),
    })
}

fn failed(
    action: &'static str,
    path: impl AsRef<OsStr>,
) -> impl FnOnce(io::Error) -> RevisionError {
    let path = PathBuf::from(path.as_ref());
    move |source| RevisionError::Io {
        action,
        path,
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A repository with three commits: `base`, then `main` and `topic` beside each other; `topic` is checked out.
    fn repository() -> (tempfile::TempDir, Repository) {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("repository");
        fs::create_dir(&root).unwrap();
        run(&root, &["init", "--quiet", "--initial-branch=main"]);
        run(&root, &["config", "user.name", "Nobody"]);
        run(&root, &["config", "user.email", "nobody@example.com"]);
        commit(&root, "base");
        run(&root, &["tag", "base"]);
        run(&root, &["checkout", "--quiet", "-b", "topic"]);
        commit(&root, "topic");
        run(&root, &["checkout", "--quiet", "main"]);
        commit(&root, "main");
        run(&root, &["checkout", "--quiet", "topic"]);
        (folder, Repository::around(&root).unwrap())
    }

    fn run(folder: &Path, words: &[&str]) -> String {
        let output = Command::new("git")
            .arg("-C")
            .arg(folder)
            .args(words)
            .output()
            .unwrap();
        assert!(output.status.success(), "{words:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    fn commit(root: &Path, text: &str) {
        fs::write(root.join("text"), text).unwrap();
        run(root, &["add", "text"]);
        run(root, &["commit", "--quiet", "--no-gpg-sign", "-m", text]);
    }

    #[test]
    fn a_branch_is_held_against_where_it_left_the_other() {
        let (_guard, repository) = repository();
        let commits = repository.commits("main").unwrap();
        assert_eq!(
            commits.baseline,
            run(&repository.root, &["rev-parse", "base"])
        );
        assert_eq!(
            commits.candidate,
            run(&repository.root, &["rev-parse", "topic"])
        );
        let error = repository.commits("mian").unwrap_err();
        assert_eq!(error.to_string(), "git knows no revision `mian` here");
        let error = repository.commits("--all").unwrap_err();
        assert_eq!(error.to_string(), "git knows no revision `--all` here");
    }

    #[test]
    fn what_is_not_committed_is_told_and_strangers_are_left_alone() {
        let (_guard, repository) = repository();
        fs::write(repository.root.join("stranger"), "").unwrap();
        repository.commits("main").unwrap();
        fs::write(repository.root.join("text"), "changed").unwrap();
        let error = repository.commits("main").unwrap_err();
        assert_eq!(
            error.to_string(),
            "1 change is not committed, text first: HEAD is what is measured, without it"
        );
        assert_eq!(error.hint().unwrap(), "commit them, or git stash");
    }

    #[test]
    fn a_shallow_clone_says_how_to_get_the_rest() {
        let (guard, repository) = repository();
        let url = format!("file://{}", repository.root.display());
        run(
            guard.path(),
            &[
                "clone",
                "--quiet",
                "--depth=1",
                "--branch=topic",
                &url,
                "shallow",
            ],
        );
        let shallow = Repository::around(&guard.path().join("shallow")).unwrap();
        let error = shallow.commits("origin/main").unwrap_err();
        assert!(matches!(error, RevisionError::Shallow(_)), "{error}");
        assert!(error.hint().unwrap().starts_with("git fetch --unshallow"));
    }

    #[test]
    fn both_are_checked_out_at_one_path_and_nothing_is_left() {
        let (guard, repository) = repository();
        let cache = guard.path().join("cache");
        let commits = repository.commits("main").unwrap();
        let workshop = Workshop::open(&repository, &cache).unwrap();
        let error = Workshop::open(&repository, &cache).unwrap_err();
        assert!(matches!(error, RevisionError::Taken(_)), "{error}");
        let first = workshop.check_out(&commits.baseline).unwrap();
        fs::write(first.join("built"), "").unwrap();
        let old = workshop.set_aside(0).unwrap();
        let second = workshop.check_out(&commits.candidate).unwrap();
        assert_eq!(first, second);
        assert!(!second.join("built").exists());
        let new = workshop.set_aside(1).unwrap();
        assert_eq!(fs::read_to_string(old.join("text")).unwrap(), "base");
        assert_eq!(fs::read_to_string(new.join("text")).unwrap(), "topic");
        assert_eq!(old.as_os_str().len(), new.as_os_str().len());
        drop(workshop);
        assert!(!old.exists() && !new.exists());
        assert_eq!(
            run(&repository.root, &["worktree", "list"]).lines().count(),
            1
        );
    }

    #[test]
    fn what_a_killed_command_left_is_in_nobodys_way() {
        let (guard, repository) = repository();
        let cache = guard.path().join("cache");
        let commits = repository.commits("main").unwrap();
        let workshop = Workshop::open(&repository, &cache).unwrap();
        let bench = workshop.check_out(&commits.baseline).unwrap();
        let place = workshop.place.clone();
        drop(workshop);
        fs::create_dir_all(&bench).unwrap();
        fs::create_dir_all(place.join("000")).unwrap();
        let workshop = Workshop::open(&repository, &cache).unwrap();
        workshop.check_out(&commits.candidate).unwrap();
        workshop.set_aside(0).unwrap();
    }

    #[test]
    fn a_folder_without_a_repository_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let error = Repository::around(folder.path()).unwrap_err();
        assert!(
            error.to_string().ends_with("is in no git repository"),
            "{error}"
        );
    }

    #[test]
    fn executables_that_were_built_here_have_digests_and_others_have_none() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("root");
        fs::create_dir(&root).unwrap();
        let of = |name: &str| digest_of_executable(&root, &root.join(name));
        fs::write(root.join("script"), "#!/bin/sh\n").unwrap();
        assert_eq!(of("script").unwrap(), None);
        for (name, is_known) in [
            ("service", true),
            ("node-exporter", true),
            ("python3.12", false),
            ("node", false),
        ] {
            fs::write(root.join(name), ELF).unwrap();
            assert_eq!(of(name).unwrap().is_some(), is_known, "{name}");
        }
        assert_eq!(of("service").unwrap(), Some(sha256(ELF)));
        fs::write(folder.path().join("elsewhere"), ELF).unwrap();
        for (link, to, is_known) in [
            ("out", "../elsewhere", false),
            ("in", "service", true),
            ("other-name", "python3.12", false),
        ] {
            std::os::unix::fs::symlink(to, root.join(link)).unwrap();
            assert_eq!(of(link).unwrap().is_some(), is_known, "{link}");
        }
        assert!(of("none").is_err());
    }

    #[test]
    fn files_have_digests_where_they_lie_inside() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("root");
        fs::create_dir_all(root.join("folder")).unwrap();
        fs::write(root.join("app.py"), "app").unwrap();
        fs::write(folder.path().join("elsewhere"), "other").unwrap();
        std::os::unix::fs::symlink("../elsewhere", root.join("out")).unwrap();
        let of = |name: &str| digest_of_file(&root, &root.join(name)).unwrap();
        assert_eq!(of("app.py"), Some(sha256(b"app")));
        assert_eq!(of("folder/../app.py"), Some(sha256(b"app")));
        for name in ["", "folder", "none", "out", "../elsewhere", "/etc/hostname"] {
            assert_eq!(of(name), None, "{name}");
        }
    }
}
