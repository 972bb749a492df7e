//! Targets built from revisions of the repository that describes them.

use std::path::{Path, PathBuf};

use super::args::{Common, RoundArgs};
use super::failure::Failure;
use crate::data;
use crate::gate::Build;
use crate::revisions::{self, Commits, Repository, RevisionError, Workshop};
use crate::session;
use crate::session::shutdown::Shutdown;
use crate::target_spec::{CommandLine, TargetKind, TargetSpec, TargetsFile};

/// Where cargo builds, if somebody says so: in one place for all revisions then.
const SHARED: [&str; 2] = ["CARGO_TARGET_DIR", "CARGO_BUILD_TARGET_DIR"];

/// The letters of a commit's name that are printed.
pub(super) const SHORT: usize = 12;

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
            builds.push(build_of(&arm, &aside, &order.commit)?);
            arm.name.clone_from(&order.name);
            // What was built here is measured, and no image of some other day.
            arm.image = None;
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

/// What `arm` is made of, which was built in the checkout at `root`. A program that is looked for on the PATH was not built
/// there: it has no digest.
fn build_of(arm: &TargetSpec, root: &Path, commit: &str) -> Result<Build, Failure> {
    let TargetKind::Command(command) = &arm.kind else {
        let message = format!(
            "{} is no command: its revisions cannot be built apart",
            arm.name
        );
        let hint = "name two images or URLs instead".into();
        return Err(Failure::said(&message, Some(hint)));
    };
    let program = command.program();
    let digest = match program.contains('/') {
        true => revisions::digest_of_executable(root, &arm.folder.join(program))?,
        false => None,
    };
    Ok(Build {
        revision: Some(commit.to_owned()),
        digest,
        command: command.words().to_vec(),
        environment_digest: Some(given(arm, command, root)?),
    })
}

/// The SHA-256 of what `arm` is given: its variables and stores, what fills its database, what runs beside it, and every file
/// of the checkout at `root` that a word of these or of its own `command` names.
fn given(arm: &TargetSpec, command: &CommandLine, root: &Path) -> Result<String, RevisionError> {
    let mut parts = vec![format!("{:?}", arm.stores)];
    let mut add = |word: &str| -> Result<(), RevisionError> {
        parts.push(word.to_owned());
        // `--config=app.yaml` names one too.
        let value = word.split_once('=').map(|(_, value)| value);
        for path in [Some(word), value].into_iter().flatten() {
            parts.extend(revisions::digest_of_file(root, &arm.folder.join(path))?);
        }
        Ok(())
    };
    let mut variables = arm.env.clone();
    variables.sort();
    for (name, value) in variables {
        add(&format!("{name}={value}"))?;
    }
    let seed = arm.seed.iter().map(|seed| ("seed", seed));
    let beside = arm.beside.iter();
    let beside = beside.map(|other| (other.variable.as_str(), &other.command));
    for (role, command) in [("command", command)].into_iter().chain(seed).chain(beside) {
        add(&format!("{role}:"))?;
        for word in command.words() {
            add(word)?;
        }
    }
    Ok(revisions::sha256(parts.join("\0").as_bytes()))
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

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    const ELF: &str = "\x7fELF of the service";

    /// What a target is made of that `says` so in a checkout with these `files`. `python` is a link out of it.
    fn build(says: &str, files: &[(&str, &str)]) -> Build {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("root");
        std::fs::create_dir(&root).unwrap();
        std::fs::write(folder.path().join("python3"), ELF).unwrap();
        symlink("../python3", root.join("python")).unwrap();
        for (name, text) in files {
            std::fs::write(root.join(name), text).unwrap();
        }
        let text = format!("tailmark: 1\ntargets:\n  service:\n    build: make\n{says}\n");
        let file = TargetsFile::parse("targets.yaml", &root, text.as_bytes()).unwrap();
        build_of(file.only().unwrap(), &root, "1f3a9c0").unwrap()
    }

    #[track_caller]
    fn check(says: &str, before: &[(&str, &str)], now: &[(&str, &str)], same: bool) {
        let (before, now) = (build(says, before), build(says, now));
        assert_eq!(before.is_same(&now), same, "{before:?} {now:?}");
    }

    #[test]
    fn programs_that_may_differ_are_never_the_same_binary() {
        let built = "    command: ./service --port {port} app.conf\n    env: { RULES: rules }";
        let files = [("service", ELF), ("app.conf", "1"), ("rules", "1")];
        check(built, &files, &files, true);
        for file in 0..files.len() {
            let mut other = files;
            other[file].1 = "\x7fELF or another text";
            check(built, &files, &other, false);
        }
        let by_flag = "    command: ./service --port {port} --config=app.conf";
        check(by_flag, &files, &files, true);
        let other = [("service", ELF), ("app.conf", "2")];
        check(by_flag, &files, &other, false);
        // Whatever a script does, or an interpreter that was there before.
        let app = [("app.py", "1"), ("service", "#!/bin/sh")];
        for command in [
            "./python app.py",
            "./service",
            "python3 app.py",
            "/bin/sh app.py",
        ] {
            let says = format!("    command: {command} {{port}}");
            assert_eq!(build(&says, &app).digest, None, "{command}");
            check(&says, &app, &app, false);
        }
    }

    #[test]
    fn what_fills_a_database_or_runs_beside_belongs_to_it() {
        let service = "    command: ./service {port}\n";
        let files = [("service", ELF), ("seed.py", "1"), ("up", "1")];
        for (more, changed) in [
            (
                "    stores: [postgres]\n    seed: ./python seed.py",
                "seed.py",
            ),
            ("    beside: { UPSTREAM: './up {port}' }", "up"),
        ] {
            let says = format!("{service}{more}");
            check(&says, &files, &files, true);
            let other = files.map(|(name, text)| match name == changed {
                true => (name, "2"),
                false => (name, text),
            });
            check(&says, &files, &other, false);
            let without = build(service, &files);
            assert!(!build(&says, &files).is_same(&without), "{more}");
        }
    }
}
