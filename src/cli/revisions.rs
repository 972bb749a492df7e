//! Targets built from revisions of the repository that describes them.

use std::path::{Path, PathBuf};

use super::args::{Common, RoundArgs};
use super::failure::Failure;
use crate::data;
use crate::gate::Build;
use crate::revisions::{self, Commits, Repository, RevisionError, Workshop};
use crate::session;
use crate::session::shutdown::Shutdown;
use crate::target_spec::{TargetKind, TargetSpec, TargetsFile};

/// Where cargo builds, if somebody says so: in one place for all revisions then.
const SHARED: [&str; 2] = ["CARGO_TARGET_DIR", "CARGO_BUILD_TARGET_DIR"];

/// The letters of a commit's name that are printed.
const SHORT: usize = 12;

/// A targets file in a repository.
pub(super) struct Site<'a> {
    file: &'a Path,
    /// Where it lies in the repository.
    within: PathBuf,
    repository: Repository,
}

/// A target at one of its revisions.
pub(super) struct Order<'a> {
    /// What the arm is to be called.
    pub(super) name: String,
    /// The target in the file; the only one where none is named.
    pub(super) target: Option<&'a str>,
    /// The full name of the commit.
    pub(super) commit: String,
}

/// Targets that were built.
pub(super) struct Built {
    /// In the order in which they were asked for.
    pub(super) arms: Vec<TargetSpec>,
    /// What they are made of.
    pub(super) builds: Vec<Build>,
    /// Where they are, for as long as they are needed.
    _workshop: Workshop,
}

impl<'a> Site<'a> {
    /// Where the targets file is that `args` name, or the nearest.
    pub(super) fn of(args: &'a RoundArgs) -> Result<Self, Failure> {
        if let Some(name) = SHARED.iter().find(|name| std::env::var_os(name).is_some()) {
            let message = format!("{name} is set: all revisions would be built in one folder");
            return Err(Failure::said(&message, Some(format!("unset {name}"))));
        }
        let file = data::targets_path(args.targets.as_deref()).ok_or_else(|| {
            let message = "a revision is built as targets.yaml says, and there is none here";
            Failure::said(message, Some("tailmark init --targets writes one".into()))
        })?;
        let folder = match file.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        let repository = Repository::around(folder)?;
        let within = repository
            .within(file)
            .ok_or_else(|| RevisionError::NoRepository(folder.into()))?;
        Ok(Self {
            file,
            within,
            repository,
        })
    }

    /// HEAD, and where it left `reference`.
    pub(super) fn commits(&self, reference: &str) -> Result<Commits, Failure> {
        Ok(self.repository.commits(reference)?)
    }

    /// The full name of the commit that `revision` names.
    pub(super) fn commit(&self, revision: &str) -> Result<String, Failure> {
        Ok(self.repository.commit(revision)?)
    }

    /// Builds all `orders` at one path, one after the other.
    pub(super) async fn build(
        &self,
        orders: &[Order<'_>],
        common: &Common,
    ) -> Result<Built, Failure> {
        let workshop = Workshop::open(&self.repository, &cache()?)?;
        let shutdown =
            Shutdown::listen().map_err(|error| Failure::new("listening for signals", &error))?;
        let mut arms = Vec::new();
        let mut builds = Vec::new();
        for (place, order) in orders.iter().enumerate() {
            let short = &order.commit[..SHORT];
            common.say(&format!("building {} {short}", order.name));
            let bench = workshop.check_out(&order.commit)?;
            let described = bench.join(&self.within);
            if !described.is_file() {
                common.say(&format!(
                    "note: {short} has no {}: today's describes it",
                    self.within.display()
                ));
                write(&described, &data::read(self.file)?)?;
            }
            let target = order.target_in(&described)?;
            if target.build.is_none() {
                let message = format!(
                    "{} says no `build` for {}",
                    self.file.display(),
                    target.name
                );
                let hint = "write build: cargo build --release --locked, or what builds it".into();
                return Err(Failure::said(&message, Some(hint)));
            }
            let work = session::build(&target);
            shutdown
                .unless_requested(work)
                .await
                .map_err(session::SessionError::from)??;
            let aside = workshop.set_aside(place)?;
            let mut arm = order.target_in(&aside.join(&self.within))?;
            builds.push(build_of(&arm, &order.commit)?);
            arm.name.clone_from(&order.name);
            arms.push(arm);
        }
        Ok(Built {
            arms,
            builds,
            _workshop: workshop,
        })
    }
}

impl Order<'_> {
    /// The target as the file at `path` describes it.
    fn target_in(&self, path: &Path) -> Result<TargetSpec, Failure> {
        let file = data::targets(path)?;
        chosen(&file, self.target).cloned().map_err(|failure| {
            failure.with_hint(&format!(
                "this is targets.yaml of {}",
                &self.commit[..SHORT]
            ))
        })
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
            let hint = "name two images or URLs instead".into();
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

/// The target called `name` in `file`, or its only one.
fn chosen<'f>(file: &'f TargetsFile, name: Option<&str>) -> Result<&'f TargetSpec, Failure> {
    match name {
        None => only(Some(file)),
        Some(name) => file.named(name).ok_or_else(|| {
            // Says what there is instead.
            match TargetSpec::from_argument(name, Some(file)) {
                Err(error) => error.into(),
                Ok(_) => Failure::said(&format!("`{name}` is no target of a file"), None),
            }
        }),
    }
}

/// The only target there is.
pub(super) fn only(targets: Option<&TargetsFile>) -> Result<&TargetSpec, Failure> {
    targets.and_then(TargetsFile::only).ok_or_else(|| {
        let names = targets.map(|file| file.targets().iter().map(|target| target.name.as_str()));
        let hint = names.map_or(
            "write a targets.yaml: tailmark init --targets".into(),
            |names| {
                format!(
                    "--target {}",
                    names.collect::<Vec<_>>().join(" | --target ")
                )
            },
        );
        Failure::said("which target? There is more than one, or none", Some(hint))
    })
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
