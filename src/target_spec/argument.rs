//! A target as it is named on the command line.

use std::path::PathBuf;

use thiserror::Error;

use super::{
    CommandError, CommandLine, Image, ImageError, Ready, Stop, Stores, TargetKind, TargetSpec,
    TargetUrl, TargetsFile, UrlError, did_you_mean,
};

/// An argument that names no target.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TargetError {
    /// The targets file has no such name, or there is none.
    #[error("unknown target `{name}`{suggestion}")]
    Unknown {
        /// What was asked for.
        name: String,
        /// `; did you mean …?`, or nothing.
        suggestion: String,
        /// What to do.
        hint: String,
    },
    /// A URL that is none.
    #[error(transparent)]
    Url(#[from] UrlError),
    /// `command:` and no command.
    #[error("`command:{text}` {source}")]
    Command {
        /// What was written.
        text: String,
        /// What is wrong with it.
        source: CommandError,
    },
    /// `image:` and no image.
    #[error("`image:`: {0}")]
    Image(#[from] ImageError),
}

impl TargetError {
    /// The next step, where there is one.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Unknown { hint, .. } => Some(hint.clone()),
            Self::Url(error) => error.hint(),
            Self::Command { .. } => Some("write command:'./service --port {port}'".to_owned()),
            Self::Image(error) => Some(error.hint().to_owned()),
        }
    }
}

/// Whether `argument` says of what kind it is.
fn has_kind(argument: &str) -> bool {
    ["command:", "image:"]
        .iter()
        .any(|kind| argument.starts_with(kind))
}

fn is_url(argument: &str) -> bool {
    argument.contains("://") && !has_kind(argument)
}

/// `c`, or what stands for it in the name of a file.
fn safe(c: char) -> char {
    if c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.') {
        c
    } else {
        '-'
    }
}

impl TargetSpec {
    /// The target that `argument` names: one of `file`, a URL, `command:…`, which runs in the current folder, or
    /// `image:…`.
    ///
    /// # Errors
    /// The name is unknown, or what was written is no URL, no command or no image.
    pub fn from_argument(argument: &str, file: Option<&TargetsFile>) -> Result<Self, TargetError> {
        if is_url(argument) {
            let url: TargetUrl = argument.parse()?;
            let name = url.authority().replace(['[', ']'], "").replace(':', "-");
            let name = name.trim_matches('-').to_owned();
            return Ok(Self::plain(name, TargetKind::Url(url)));
        }
        if let Some(text) = argument.strip_prefix("command:") {
            let command = CommandLine::parse(text);
            let command = command.map_err(|source| TargetError::Command {
                text: text.to_owned(),
                source,
            })?;
            let program = command.program().rsplit('/').next().unwrap_or_default();
            let name = format!("{:.64}", program.chars().map(safe).collect::<String>());
            let name = if name.starts_with(|c: char| c.is_ascii_alphanumeric()) {
                name
            } else {
                "command".to_owned()
            };
            return Ok(Self::plain(name, TargetKind::Command(command)));
        }
        if let Some(reference) = argument.strip_prefix("image:") {
            let image = Image::parse(reference)?;
            return Ok(Self::plain(image.plain_name(), TargetKind::Image(image)));
        }
        if let Some(target) = file.and_then(|file| file.named(argument)) {
            return Ok(target.clone());
        }
        Err(unknown(argument, file))
    }

    /// The target and the revision that `NAME@REV` names; none where `argument` is of another kind.
    #[must_use]
    pub fn at_revision(argument: &str) -> Option<(&str, &str)> {
        let is_name = !is_url(argument) && !has_kind(argument);
        argument.split_once('@').filter(|_| is_name)
    }

    /// What the target called `name` is called at `revision`: `axum@v1.2`.
    #[must_use]
    pub fn name_at(name: &str, revision: &str) -> String {
        let revision: String = revision.chars().map(safe).take(40).collect();
        format!("{name}@{revision}")
    }

    /// A target about which nothing but its kind is known.
    fn plain(name: String, kind: TargetKind) -> Self {
        Self {
            name,
            folder: PathBuf::from("."),
            kind,
            image: None,
            runtime: None,
            ready: Ready::default(),
            stop: Stop::default(),
            stores: Stores::default(),
            build: None,
            seed: None,
            audit: None,
            describe: None,
            env: Vec::new(),
            beside: Vec::new(),
            watch: None,
        }
    }
}

fn unknown(name: &str, file: Option<&TargetsFile>) -> TargetError {
    let suggestion = file
        .map(|file| did_you_mean(name, file.names()))
        .unwrap_or_default();
    let hint = match file {
        // No name holds a colon or a slash: an address without its scheme does.
        _ if name.contains([':', '/']) => format!("a URL begins with http://: http://{name}"),
        Some(file) => format!(
            "{} has {}",
            file.file_name,
            file.names().collect::<Vec<_>>().join(", ")
        ),
        None => "there is no targets.yaml here: give a URL, command:'…', image:… or --targets FILE"
            .to_owned(),
    };
    TargetError::Unknown {
        name: name.to_owned(),
        suggestion,
        hint,
    }
}
