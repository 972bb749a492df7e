//! Both arms of a gate from two revisions of one repository.

use std::path::{Path, PathBuf};

use super::super::args::Common;
use super::super::failure::Failure;
use crate::data;
use crate::gate::{Build, Builds};
use crate::revisions::{self, Commits, Repository, RevisionError, Side, Workshop};
use crate::session;
use crate::session::shutdown::Shutdown;
use crate::target_spec::{TargetKind, TargetSpec, TargetsFile};

/// Where cargo builds, if somebody says so: in one place for both revisions then.
const SHARED: [&str; 2] = ["CARGO_TARGET_DIR", "CARGO_BUILD_TARGET_DIR"];

/// Two revisions, built.
pub(super) struct Built {
    /// The baseline, then the candidate.
    pub(super) arms: [TargetSpec; 2],
    /// What they are made of.
    pub(super) builds: Builds,
    /// Where they are, for as long as they are needed.
    _workshop: Workshop,
}

/// What is built.
pub(super) struct Order<'a> {
    /// The targets file.
    pub(super) file: &'a Path,
    /// The target; the only one where none is named.
    pub(super) target: Option<&'a str>,
    /// What HEAD is held against.
    pub(super) reference: &'a str,
}

impl Order<'_> {
    /// Builds both revisions at one path, one after the other.
    pub(super) async fn build(&self, common: &Common) -> Result<Built, Failure> {
        if let Some(name) = SHARED.iter().find(|name| std::env::var_os(name).is_some()) {
            let message = format!("{name} is set: both revisions would be built in one folder");
            return Err(Failure::said(&message, Some(format!("unset {name}"))));
        }
        let folder = match self.file.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        let repository = Repository::around(folder)?;
        let within = repository
            .within(self.file)
            .ok_or_else(|| RevisionError::NoRepository(folder.into()))?;
        let commits = repository.commits(self.reference)?;
        let workshop = Workshop::open(&repository, &cache()?)?;
        let shutdown =
            Shutdown::listen().map_err(|error| Failure::new("listening for signals", &error))?;
        // The candidate's description stands in where the baseline has none yet.
        let fallback = (data::read(self.file)?, &within);
        let mut arms = Vec::new();
        let mut builds = Vec::new();
        for (side, commit) in sides(&commits) {
            common.say(&format!("building {} {}", side_name(side), &commit[..12]));
            let bench = workshop.check_out(commit)?;
            let described = bench.join(&within);
            if !described.is_file() {
                common.say(&format!(
                    "note: {} has no {}: the candidate's describes both",
                    &commit[..12],
                    within.display()
                ));
                let (text, _) = &fallback;
                write(&described, text)?;
            }
            let built = self.target(&described, commit)?;
            if built.build.is_none() {
                let message = format!("{} says no `build` for {}", self.file.display(), built.name);
                let hint = "write build: cargo build --release --locked, or what builds it".into();
                return Err(Failure::said(&message, Some(hint)));
            }
            let work = session::build(&built);
            shutdown
                .unless_requested(work)
                .await
                .map_err(session::SessionError::from)??;
            let aside = workshop.set_aside(side)?;
            let mut arm = self.target(&aside.join(&within), commit)?;
            builds.push(build_of(&arm, commit)?);
            arm.name = side_name(side).to_owned();
            arms.push(arm);
        }
        let (Ok(arms), Ok([baseline, candidate])) =
            (<[_; 2]>::try_from(arms), <[_; 2]>::try_from(builds))
        else {
            unreachable!("there are two sides");
        };
        Ok(Built {
            arms,
            builds: Builds {
                baseline,
                candidate,
            },
            _workshop: workshop,
        })
    }

    /// The target as the file at `path` describes it.
    fn target(&self, path: &Path, commit: &str) -> Result<TargetSpec, Failure> {
        let file = data::targets(path)?;
        self.choose(&file).cloned().map_err(|failure| {
            failure.with_hint(&format!("this is targets.yaml of {}", &commit[..12]))
        })
    }

    fn choose<'f>(&self, file: &'f TargetsFile) -> Result<&'f TargetSpec, Failure> {
        super::chosen(file, self.target)
    }
}

fn sides(commits: &Commits) -> [(Side, &str); 2] {
    [
        (Side::Baseline, &commits.baseline),
        (Side::Candidate, &commits.candidate),
    ]
}

fn side_name(side: Side) -> &'static str {
    match side {
        Side::Baseline => "baseline",
        Side::Candidate => "candidate",
    }
}

/// What `arm` is made of. A program that is looked for on the PATH was not built here: it has no digest.
fn build_of(arm: &TargetSpec, commit: &str) -> Result<Build, Failure> {
    let digest = |program: &str| match program.contains('/') && !program.starts_with('/') {
        true => revisions::digest(&arm.folder.join(program)),
        false => Ok(None),
    };
    let command = match &arm.kind {
        TargetKind::Command(command) => command.words().to_vec(),
        TargetKind::Image(_) | TargetKind::Url(_) => {
            let message = format!(
                "{} is no command: its revisions cannot be built apart",
                arm.name
            );
            let hint = "--baseline and --candidate name two images or URLs".into();
            return Err(Failure::said(&message, Some(hint)));
        }
    };
    let seed = arm.seed.as_ref().map(|seed| digest(seed.program()));
    Ok(Build {
        revision: Some(commit.to_owned()),
        digest: digest(&command[0])?,
        command,
        environment_digest: Some(given(arm, seed.transpose()?.flatten())),
    })
}

/// The SHA-256 of what `arm` is given: its variables, and the digest of what fills its database.
fn given(arm: &TargetSpec, seed: Option<String>) -> String {
    let mut variables = arm.env.clone();
    variables.sort();
    let variables = variables
        .into_iter()
        .map(|(name, value)| format!("{name}={value}"));
    let parts: Vec<String> = variables.chain(seed).collect();
    revisions::sha256(parts.join("\0").as_bytes())
}

/// Where this account keeps what can be made again.
fn cache() -> Result<PathBuf, Failure> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    let of_home = || set("HOME").map(|home| Path::new(&home).join(".cache"));
    let cache = set("XDG_CACHE_HOME").map(PathBuf::from).or_else(of_home);
    cache.ok_or_else(|| {
        let message =
            "there is no place to build revisions in: neither XDG_CACHE_HOME nor HOME is set";
        Failure::said(message, Some("set XDG_CACHE_HOME".into()))
    })
}

fn write(path: &Path, text: &[u8]) -> Result<(), Failure> {
    let failed =
        |error: &std::io::Error| Failure::new(&format!("writing {}", path.display()), error);
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(|error| failed(&error))?;
    }
    std::fs::write(path, text).map_err(|error| failed(&error))
}
