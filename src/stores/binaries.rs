//! Where the servers' programs are, and as whom they run.

use std::env;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Debian keeps the programs of each PostgreSQL version here, outside PATH.
const DEBIAN_POSTGRESQL: &str = "/usr/lib/postgresql";

/// The folders to look in, the best first: PATH, then Debian's, the newest version first.
pub(super) fn search_path() -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> = env::var_os("PATH")
        .map(|path| env::split_paths(&path).collect())
        .unwrap_or_default();
    folders.extend(debian_folders(Path::new(DEBIAN_POSTGRESQL)));
    folders
}

fn debian_folders(root: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(root) else {
        return Vec::new();
    };
    let mut versions: Vec<(u32, PathBuf)> = entries
        .flatten()
        .filter_map(|entry| {
            Some((
                entry.file_name().to_str()?.parse().ok()?,
                entry.path().join("bin"),
            ))
        })
        .collect();
    versions.sort_by_key(|&(version, _)| std::cmp::Reverse(version));
    versions.into_iter().map(|(_, folder)| folder).collect()
}

/// The first folder of `search` that holds all of `programs`: two programs of different versions do not mix.
pub(super) fn folder_with(search: &[PathBuf], programs: &[&str]) -> Option<PathBuf> {
    search
        .iter()
        .find(|folder| {
            programs
                .iter()
                .all(|program| is_executable(&folder.join(program)))
        })
        .cloned()
}

fn is_executable(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

/// An account without rights of its own, under which the servers run when we are root: PostgreSQL refuses root, and
/// Redis has no need of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Account {
    uid: u32,
    gid: u32,
}

impl Account {
    /// The account `postgres`, which Debian's package makes.
    pub(super) fn postgres() -> io::Result<Option<Account>> {
        Ok(Account::find(
            &fs::read_to_string("/etc/passwd")?,
            "postgres",
        ))
    }

    fn find(passwd: &str, name: &str) -> Option<Account> {
        let fields: Vec<&str> = passwd
            .lines()
            .map(|line| line.split(':').collect::<Vec<_>>())
            .find(|fields| fields[0] == name)?;
        let account = Account {
            uid: fields.get(2)?.parse().ok()?,
            gid: fields.get(3)?.parse().ok()?,
        };
        (account.uid != 0).then_some(account)
    }

    /// Makes `command` run as this account. The standard library then also drops all supplementary groups.
    pub(super) fn apply(self, command: &mut Command) {
        command.uid(self.uid).gid(self.gid);
    }

    /// Gives the file or folder to this account.
    pub(super) fn own(self, path: &Path) -> io::Result<()> {
        std::os::unix::fs::chown(path, Some(self.uid), Some(self.gid))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_version_comes_first() {
        let root = tempfile::tempdir().unwrap();
        for version in ["9", "15", "17", "notes"] {
            fs::create_dir_all(root.path().join(version).join("bin")).unwrap();
        }
        let folders: Vec<PathBuf> = ["17", "15", "9"]
            .iter()
            .map(|v| root.path().join(v).join("bin"))
            .collect();
        assert_eq!(debian_folders(root.path()), folders);
    }

    #[test]
    fn programs_are_taken_from_one_folder_and_must_be_executable() {
        let root = tempfile::tempdir().unwrap();
        let file = |path: &str, mode| {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, "").unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        };
        file("half/postgres", 0o755);
        file("plain/postgres", 0o644);
        file("plain/initdb", 0o644);
        file("whole/postgres", 0o755);
        file("whole/initdb", 0o755);
        let search: Vec<PathBuf> = ["none", "half", "plain", "whole"]
            .iter()
            .map(|f| root.path().join(f))
            .collect();
        assert_eq!(
            folder_with(&search, &["postgres", "initdb"]),
            Some(root.path().join("whole"))
        );
        assert_eq!(folder_with(&search[..3], &["postgres", "initdb"]), None);
    }

    #[test]
    fn accounts_of_a_passwd_file() {
        let passwd = "root:x:0:0:root:/root:/bin/sh\n\nbroken\npostgres:x:101:104:,,,:/var/lib/postgresql:/bin/bash\n";
        assert_eq!(
            Account::find(passwd, "postgres"),
            Some(Account { uid: 101, gid: 104 })
        );
        for absent in ["post", "broken", "root"] {
            assert_eq!(Account::find(passwd, absent), None, "{absent}");
        }
    }
}
