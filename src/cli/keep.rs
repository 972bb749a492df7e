//! Where the results of a command are kept while they are made, and afterwards.

use std::path::Path;

use super::args::Saving;
use super::failure::Failure;
use crate::archive::{Archive, Folder};
use crate::machine;
use crate::session::Scratch;

/// A folder for results: in the results folder, or one that goes when the command ends.
pub(super) enum Keep {
    Saved { archive: Archive, folder: Folder },
    Passing { folder: Folder, _guard: Scratch },
}

impl Keep {
    /// A folder named by the time and `name`.
    pub(super) fn open(saving: &Saving, name: &str) -> Result<Self, Failure> {
        let (_, now) = machine::utc_now();
        let name = format!("{now}-{name}");
        if saving.no_save {
            let guard = Scratch::new("results")
                .map_err(|error| Failure::new("making a temporary folder", &error))?;
            let folder = Archive::open(guard.path())?.create(&name)?;
            return Ok(Self::Passing {
                folder,
                _guard: guard,
            });
        }
        let archive = Archive::open(&saving.results)?;
        let folder = archive.create(&name)?;
        Ok(Self::Saved { archive, folder })
    }

    /// As [`Keep::open`], or the folder of what is gone on with.
    pub(super) fn open_or_resume(
        saving: &Saving,
        name: &str,
        resumed: Option<&Path>,
    ) -> Result<Self, Failure> {
        let Some(path) = resumed else {
            return Self::open(saving, name);
        };
        let (archive, folder) = Archive::holding(path)?;
        Ok(Self::Saved { archive, folder })
    }

    pub(super) fn folder(&self) -> &Folder {
        match self {
            Self::Saved { folder, .. } | Self::Passing { folder, .. } => folder,
        }
    }

    /// What the folder is called: no other result has that name.
    pub(super) fn name(&self) -> String {
        let name = self.folder().path().file_name().unwrap_or_default();
        name.to_string_lossy().into_owned()
    }

    /// Lets `latest` point here, and returns the folder's name for people; none where nothing is kept.
    pub(super) fn keep(&self) -> Result<Option<String>, Failure> {
        match self {
            Self::Saved { archive, folder } => {
                archive.point_latest(folder)?;
                Ok(Some(folder.path().display().to_string()))
            }
            Self::Passing { .. } => Ok(None),
        }
    }

    /// What came of a command that measures here; it is given up where nothing did: it failed, or was interrupted before
    /// anything was whole, which `empty` tells.
    pub(super) fn unless_empty<T>(
        self,
        came: Result<T, Failure>,
        empty: impl FnOnce(&T) -> bool,
    ) -> Result<(Self, T), Failure> {
        let failure = match came {
            Ok(measured) if !empty(&measured) => return Ok((self, measured)),
            Ok(_) => Failure::interrupted(),
            Err(failure) => failure,
        };
        self.give_up();
        Err(failure)
    }

    /// Leaves nothing of a command that came to nothing, unless a target has said why.
    pub(super) fn give_up(self) {
        if let Self::Saved { folder, .. } = self {
            folder.remove_if_silent();
        }
    }
}
