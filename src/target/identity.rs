//! What was launched: the program that runs, and the revision it was made from.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use sha2::{Digest, Sha256};
use tokio::process::Command;

/// How long git may take: long for a repository, short for a network file system that hangs.
const GIT_WITHIN: Duration = Duration::from_secs(5);

/// A running program.
#[derive(Debug, Default)]
pub(super) struct Program {
    /// Its name, as the kernel keeps it.
    pub(super) name: String,
    /// SHA-256 of its file in hex, where that may be read.
    pub(super) sha256: Option<String>,
}

/// What process `pid` runs.
pub(super) async fn program(pid: u32) -> Program {
    let read = tokio::task::spawn_blocking(move || Program {
        name: std::fs::read_to_string(format!("/proc/{pid}/comm"))
            .unwrap_or_default()
            .trim_end()
            .to_owned(),
        // The kernel's link leads to the file that runs, even where another has taken its place.
        sha256: digest(Path::new(&format!("/proc/{pid}/exe"))).ok(),
    });
    read.await.unwrap_or_default()
}

/// The revision that is checked out in `folder`, with `-dirty` where tracked files differ from it; `None` without git or
/// outside a repository.
pub(super) async fn revision(folder: &Path) -> Option<String> {
    let head = git(folder, &["rev-parse", "HEAD"]).await?;
    let changes = git(folder, &["status", "--porcelain", "--untracked-files=no"]).await?;
    Some(if changes.is_empty() {
        head
    } else {
        format!("{head}-dirty")
    })
}

async fn git(folder: &Path, arguments: &[&str]) -> Option<String> {
    let mut command = Command::new("git");
    command
        .arg("-C")
        .arg(folder)
        .args(arguments)
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let output = tokio::time::timeout(GIT_WITHIN, command.output())
        .await
        .ok()?
        .ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim_end().to_owned())
}

fn digest(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        match file.read(&mut buffer)? {
            0 => break,
            read => hash.update(&buffer[..read]),
        }
    }
    Ok(hash
        .finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect())
}
