//! The files that a person names: scenarios, targets, request bodies. Bounded, and with errors that say which file.

mod rows;

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha2::{Digest as _, Sha256};

use crate::document::{self, Problems};
use crate::scenario::{Given, Key, Scenario};
use crate::target_spec::TargetsFile;
use rows::{Fault, PackedRows};

/// Where targets are looked for when nobody says where, the nearest first.
const TARGETS_FILES: [&str; 2] = ["targets.yaml", "reference-services/targets.yaml"];

/// The largest file of certificates: the authorities of a whole system take a quarter of a megabyte.
const MOST_PEM_BYTES: u64 = 4 << 20;

/// The largest file that is sent as a body.
const MOST_BODY_BYTES: u64 = 64 << 20;

/// Why a file could not be used.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// It could not be read.
    #[error("reading {}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// It says something wrong.
    #[error(transparent)]
    Problems(Problems),
}

/// Reads a scenario file.
///
/// # Errors
/// When it cannot be read, or is no valid scenario.
pub fn scenario(path: &Path) -> Result<Scenario, DataError> {
    Scenario::parse(&path.display().to_string(), &read(path)?).map_err(DataError::Problems)
}

/// Opens what `scenario` takes from outside: the rows of its feeders, files that are sent, and the environment. The
/// scenario's digest is then that of all these files.
///
/// # Errors
/// When something is not there, or is not what the scenario makes of it; at the place that asks for it.
pub fn given(scenario: Scenario) -> Result<(Scenario, Given), DataError> {
    let mut given = Given::default();
    let folder = Path::new(scenario.file_name())
        .parent()
        .unwrap_or(Path::new(""));
    let folder = folder.to_owned();
    let mut digests = Vec::new();
    for credential in scenario.credentials() {
        given.known.hide(credential);
    }
    for (index, feeder) in scenario.feeders().iter().enumerate() {
        let path = folder.join(&feeder.file);
        let (rows, digest) = PackedRows::open(feeder, &path).map_err(|fault| {
            DataError::Problems(match fault {
                Fault::File(words) => {
                    let message = format!("{} {words}", path.display());
                    scenario.feeder_problem(index, None, &message)
                }
                Fault::Field(field, words) => scenario.feeder_problem(index, Some(field), &words),
            })
        })?;
        digests.push(digest);
        given.rows.push(Arc::new(rows));
    }
    for key in scenario.needs() {
        let problem = |message: &str, hint: &str| {
            DataError::Problems(scenario.need_problem(key, message, hint))
        };
        match key {
            Key::Env(name) => {
                let value = std::env::var(name).map_err(|_| {
                    let message =
                        format!("the environment has no variable `{name}`, or it is not UTF-8");
                    problem(&message, &format!("set it: {name}=… tailmark …"))
                })?;
                given.known.insert(key.clone(), value.as_bytes(), false);
            }
            Key::File(path) => {
                let path = folder.join(path);
                let bytes = bounded(&path, MOST_BODY_BYTES).map_err(|error| match error {
                    DataError::Io { source, .. } => {
                        let message = format!("{} cannot be read: {source}", path.display());
                        problem(&message, "the path is relative to the scenario file")
                    }
                    problems @ DataError::Problems(_) => problems,
                })?;
                if bytes.len() as u64 > MOST_BODY_BYTES {
                    let message = format!("{} is over 64 MiB", path.display());
                    return Err(problem(&message, "a body is kept in memory"));
                }
                digests.push(Sha256::digest(&bytes).into());
                given.known.insert(key.clone(), &bytes, false);
            }
            // Known once the call has been made.
            Key::Setup(_) => {}
        }
    }
    Ok((scenario.with_files(&digests), given))
}

/// Reads a targets file.
///
/// # Errors
/// When it cannot be read, or is no valid targets file.
pub fn targets(path: &Path) -> Result<TargetsFile, DataError> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    TargetsFile::parse(&path.display().to_string(), folder, &read(path)?)
        .map_err(DataError::Problems)
}

/// Reads the targets file that was named, or the nearest one that there is.
///
/// # Errors
/// When it cannot be read, or is no valid targets file.
pub fn targets_or_nearest(named: Option<&Path>) -> Result<Option<TargetsFile>, DataError> {
    targets_path(named).map(targets).transpose()
}

/// The targets file that was named, or the nearest one that there is.
#[must_use]
pub fn targets_path(named: Option<&Path>) -> Option<&Path> {
    let nearest = || {
        TARGETS_FILES
            .iter()
            .map(Path::new)
            .find(|path| path.is_file())
    };
    named.or_else(nearest)
}

/// Reads a file of certificates or keys.
///
/// # Errors
/// When it cannot be read, or is larger than any such file.
pub fn pem(path: &Path) -> Result<Vec<u8>, DataError> {
    let bytes = bounded(path, MOST_PEM_BYTES)?;
    if bytes.len() as u64 > MOST_PEM_BYTES {
        return Err(DataError::Io {
            path: path.into(),
            source: io::Error::other("it is over 4 MiB: no file of certificates"),
        });
    }
    Ok(bytes)
}

/// The file's bytes, and one more than any document may have where it is larger.
///
/// # Errors
/// When it cannot be read.
pub fn read(path: &Path) -> Result<Vec<u8>, DataError> {
    bounded(path, document::MAX_BYTES as u64)
}

/// The file's bytes, and one more than `most` where it is larger.
fn bounded(path: &Path, most: u64) -> Result<Vec<u8>, DataError> {
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(most + 1).read_to_end(&mut bytes))
        .map_err(|source| DataError::Io {
            path: path.into(),
            source,
        })?;
    Ok(bytes)
}

/// Whether a file describes targets, and not a scenario: by its top-level key `targets`.
///
/// # Errors
/// When it cannot be read, or is no document at all.
pub fn describes_targets(path: &Path) -> Result<bool, DataError> {
    has_top_level(path, "targets")
}

/// Whether a file is meant as a scenario, among files of any kind: by its top-level key `flows`.
///
/// # Errors
/// When it cannot be read, or is no document at all.
pub fn has_flows(path: &Path) -> Result<bool, DataError> {
    has_top_level(path, "flows")
}

fn has_top_level(path: &Path, key: &str) -> Result<bool, DataError> {
    let name = path.display().to_string();
    let document = document::Document::parse(&name, &read(path)?).map_err(DataError::Problems)?;
    Ok(document.has_top_level(key))
}
