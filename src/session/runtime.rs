//! Whether targets run as processes or in containers, decided before anything of theirs is started.

mod age;
#[cfg(test)]
mod tests;
mod ways;

use std::time::SystemTime;

use super::SessionError;
use crate::docker::{Address, Engine, NoEngine};
use crate::target::{self, ImageHere, TargetError, images};
use crate::target_spec::{Limits, TargetKind, TargetSpec};
use age::Program;
use ways::{Forced, forced, mixed};

/// How targets that could run either way are to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Runtime {
    /// As containers where an engine answers and has the images of all, or else as processes.
    Auto,
    /// As processes.
    Process,
    /// As containers.
    Container,
}

/// What is asked of all targets.
#[derive(Debug, Clone, Copy)]
pub struct Wish {
    /// How they run.
    pub runtime: Runtime,
    /// What each may use; beyond that, what each says itself.
    pub limits: Limits,
    /// Whether images are got from their registries first.
    pub pull: bool,
    /// Whether all have to run the same way, since they are compared: memory is the working set of a container and the
    /// resident set of a process.
    pub alike: bool,
}

/// Why targets cannot run as they should.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeError {
    /// A container of what has no image.
    #[error("{0} cannot run in a container: it has no `image`")]
    NoImage(String),
    /// A process of what has no command.
    #[error("{0} cannot run as a process: it has no `command`")]
    NoCommand(String),
    /// Stores and processes here, for a container elsewhere.
    #[error(
        "{name} has stores or processes beside it on 127.0.0.1 here, out of reach of a container at {engine}"
    )]
    OutOfReach {
        /// The target.
        name: String,
        /// Where the engine listens.
        engine: String,
    },
    /// Limits for what is no container.
    #[error("{name} cannot be limited to {limits}: it {is}")]
    NoLimits {
        /// The target.
        name: String,
        /// What it should be limited to.
        limits: Limits,
        /// What it is instead of a container.
        is: String,
    },
    /// A process beside a container.
    #[error(
        "{process} would be a process ({why}) and {container} a container: the memory of the one is its resident set, of the \
         other its working set, and cannot be compared"
    )]
    Mixed {
        /// The target that would be a process.
        process: String,
        /// Why that one.
        why: String,
        /// The target that would be a container.
        container: String,
        /// The next step.
        hint: String,
    },
}

impl RuntimeError {
    /// The next step.
    #[must_use]
    pub fn hint(&self) -> &str {
        match self {
            Self::NoImage(_) => "give it an `image` in targets.yaml, or leave --runtime out",
            Self::NoCommand(_) => "give it a `command` in targets.yaml, or leave --runtime out",
            Self::OutOfReach { .. } => {
                "unset DOCKER_HOST, or run tailmark where the engine is: DOCKER_HOST=unix:///var/run/docker.sock"
            }
            Self::NoLimits { .. } => {
                "limits are for containers: give it an `image` in targets.yaml that an engine has, or leave them out"
            }
            Self::Mixed { hint, .. } => hint,
        }
    }
}

impl Wish {
    /// Whether each of `targets` can run as it is asked to, as far as that can be said without asking an engine. One that runs
    /// already is asked nothing.
    ///
    /// # Errors
    /// It cannot.
    pub fn check(&self, targets: &[TargetSpec]) -> Result<(), RuntimeError> {
        for target in targets.iter().filter(|target| target.is_started()) {
            match (self.runtime, &target.kind) {
                (Runtime::Container, TargetKind::Command(_)) if target.image.is_none() => {
                    return Err(RuntimeError::NoImage(target.name.clone()));
                }
                (Runtime::Process, TargetKind::Image(_)) => {
                    return Err(RuntimeError::NoCommand(target.name.clone()));
                }
                _ => {}
            }
        }
        if self.runtime == Runtime::Process {
            let mut targets = targets.to_vec();
            become_one(&mut targets, false, AS_ASKED);
            targets
                .iter_mut()
                .try_for_each(|target| limit(target, self.limits))?;
        }
        Ok(())
    }
}

const AS_ASKED: &str = "as asked";

/// Makes of each of `targets` what runs. All that could run either way do the same, so that none is favoured. Containers of
/// a tailmark that was killed are removed. What there is to say about it is returned, a line each.
///
/// # Errors
/// A target cannot run as it should, or beside the others; it has no image on this machine; or no engine answers where one is
/// needed.
pub async fn choose(targets: &mut [TargetSpec], wish: &Wish) -> Result<Vec<String>, SessionError> {
    wish.check(targets)?;
    let forced = match wish.alike {
        true => forced(targets)?,
        false => None,
    };
    let processes = wish.runtime == Runtime::Process
        || wish.runtime == Runtime::Auto && matches!(forced, Some(Forced::Process(_)));
    let engine = match targets.iter().any(has_image) && !processes {
        true => Some(Engine::find().await),
        false => None,
    };
    let mut notes = Vec::new();
    if let Some(Ok(engine)) = &engine {
        notes.extend(sweep(engine).await);
    }
    let (contained, why) = decided(targets, wish, forced, engine.as_ref()).await?;
    let either = targets.iter().filter(|target| target.image.is_some());
    let either: Vec<String> = either.map(|target| target.name.clone()).collect();
    let programs: Vec<Option<Program>> = targets.iter().map(Program::of).collect();
    become_one(targets, contained, &why);
    targets
        .iter_mut()
        .try_for_each(|target| limit(target, wish.limits))?;
    let images = prepare(targets, engine, wish.pull).await?;
    let asked = wish.runtime == Runtime::Process || either.is_empty();
    let chosen = (!asked).then(|| said(&either, contained, &why));
    let ages = ages(targets, &images);
    notes.extend(match (chosen, ages.is_empty()) {
        (Some(chosen), true) => Some(chosen),
        (Some(chosen), false) => Some(format!("{chosen} ({ages})")),
        (None, true) => None,
        (None, false) => Some(ages),
    });
    notes.extend(outdated(targets, &programs, &images));
    Ok(notes)
}

/// Whether what could be either is to be a container, and why.
async fn decided(
    targets: &[TargetSpec],
    wish: &Wish,
    forced: Option<Forced<'_>>,
    engine: Option<&Result<Engine, NoEngine>>,
) -> Result<(bool, String), SessionError> {
    let container = |target: &&TargetSpec| target.is_started();
    Ok(match (wish.runtime, forced) {
        (Runtime::Process, _) => (false, AS_ASKED.to_owned()),
        (Runtime::Container, Some(Forced::Process(process))) => {
            match targets.iter().find(container) {
                Some(container) => {
                    return Err(mixed(process, ways::only_process(process), container).into());
                }
                None => (false, AS_ASKED.to_owned()),
            }
        }
        (Runtime::Container, _) => (true, AS_ASKED.to_owned()),
        (Runtime::Auto, Some(Forced::Process(process))) => {
            let why = ways::only_process(process);
            (false, format!("beside {}, for {why}", process.name))
        }
        (Runtime::Auto, forced) => match engine {
            None => (false, String::new()),
            // A container cannot be had: `prepare` says so of what can be nothing else.
            Some(Err(none)) => (false, none.to_string()),
            Some(Ok(engine)) => match (missing(engine, targets, wish.pull).await, forced) {
                (Some((process, why)), Some(Forced::Container(container))) => {
                    return Err(mixed(process, &why, container).into());
                }
                (Some((_, why)), _) => (false, why),
                (None, Some(Forced::Container(container))) => {
                    let name = &container.name;
                    let why = match container.kind {
                        TargetKind::Url(_) => "runs in a container",
                        _ => "has no `command`",
                    };
                    (true, format!("beside {name}, for it {why}"))
                }
                (None, _) => {
                    let name = engine.name();
                    (true, format!("{name} answers, and has what is needed"))
                }
            },
        },
    })
}

/// Makes containers, or processes, of all that could be either.
fn become_one(targets: &mut [TargetSpec], contained: bool, why: &str) {
    for target in targets.iter_mut().filter(|target| target.image.is_some()) {
        target.runtime = Some(how(contained, why));
        if contained && let Some(image) = target.image.take() {
            target.kind = TargetKind::Image(image);
        }
    }
}

fn how(contained: bool, why: &str) -> String {
    match contained {
        true => format!("in a container: {why}"),
        false => format!("as a process: {why}"),
    }
}

/// `axum, actix run in a container: as asked`.
fn said(names: &[String], contained: bool, why: &str) -> String {
    let run = match names.len() {
        1 => "runs",
        _ => "run",
    };
    format!("{} {run} {}", names.join(", "), how(contained, why))
}

/// How old the images of containers are, each once.
fn ages(targets: &[TargetSpec], images: &[Option<ImageHere>]) -> String {
    let now = SystemTime::now();
    let mut said: Vec<String> = Vec::new();
    for (target, here) in targets.iter().zip(images) {
        if let (TargetKind::Image(image), Some(here)) = (&target.kind, here) {
            let age = age::described(image, here, now);
            said.extend((!said.contains(&age)).then_some(age));
        }
    }
    said.join(", ")
}

/// The images that are older than the programs of their targets, in words, each once.
fn outdated(
    targets: &[TargetSpec],
    programs: &[Option<Program>],
    images: &[Option<ImageHere>],
) -> Vec<String> {
    let mut said: Vec<String> = Vec::new();
    for ((target, program), here) in targets.iter().zip(programs).zip(images) {
        if let (TargetKind::Image(image), Some(program), Some(here)) = (&target.kind, program, here)
        {
            let outdated = program.outdates(image, here);
            said.extend(outdated.filter(|words| !said.contains(words)));
        }
    }
    said
}

/// How an image is built again.
fn rebuild(reference: &str) -> &'static str {
    match reference.starts_with("tailmark/") {
        true => "`make images` builds it again",
        false => "build it again",
    }
}

/// Whether it may become a container.
fn has_image(target: &TargetSpec) -> bool {
    target.image.is_some() || matches!(target.kind, TargetKind::Image(_))
}

/// The first of `targets` that could be either and cannot be a container, and why.
async fn missing<'t>(
    engine: &Engine,
    targets: &'t [TargetSpec],
    pull: bool,
) -> Option<(&'t TargetSpec, String)> {
    for target in targets {
        if let Err(error) = within_reach(engine, target) {
            return Some((target, error.to_string()));
        }
        let Some(image) = target.image.as_ref().filter(|_| !pull) else {
            continue;
        };
        let why = match images::here(engine, target, image).await {
            Ok(Some(_)) => continue,
            Ok(None) => format!("{} has no image `{}`", engine.name(), image.reference),
            Err(error) => error.to_string(),
        };
        return Some((target, why));
    }
    None
}

/// Limits `target`, and refuses where that is not possible.
fn limit(target: &mut TargetSpec, limits: Limits) -> Result<(), RuntimeError> {
    if let TargetKind::Image(image) = &mut target.kind {
        image.limits = limits.or(image.limits);
        return Ok(());
    }
    let own = target.image.as_ref().map(|image| image.limits);
    let limits = limits.or(own.unwrap_or_default());
    if !limits.any() {
        return Ok(());
    }
    Err(RuntimeError::NoLimits {
        name: target.name.clone(),
        limits,
        is: match (&target.runtime, target.is_started()) {
            (Some(how), _) => format!("runs {how}"),
            (None, true) => "runs as a process".to_owned(),
            (None, false) => "runs already".to_owned(),
        },
    })
}

/// Sees to it that the images are there; what is known of that of each target, where it is a container.
async fn prepare(
    targets: &[TargetSpec],
    engine: Option<Result<Engine, NoEngine>>,
    pull: bool,
) -> Result<Vec<Option<ImageHere>>, SessionError> {
    let contained = |target: &&TargetSpec| matches!(target.kind, TargetKind::Image(_));
    let (Some(engine), Some(first)) = (engine, targets.iter().find(contained)) else {
        return Ok(vec![None; targets.len()]);
    };
    let engine = engine.map_err(|source| TargetError::NoEngine {
        name: first.name.clone(),
        source,
    })?;
    let mut pulled = Vec::new();
    let mut images = Vec::new();
    for target in targets {
        let TargetKind::Image(image) = &target.kind else {
            images.push(None);
            continue;
        };
        within_reach(&engine, target)?;
        if pull && !pulled.contains(&&image.reference) {
            images::pull(&engine, target, image).await?;
            pulled.push(&image.reference);
        }
        match images::here(&engine, target, image).await? {
            Some(here) => images.push(Some(here)),
            None => {
                return Err(TargetError::NoImage {
                    name: target.name.clone(),
                    image: image.reference.clone(),
                }
                .into());
            }
        }
    }
    Ok(images)
}

/// Whether a container of `target` at `engine` reaches what it needs: that is on this machine's loopback.
fn within_reach(engine: &Engine, target: &TargetSpec) -> Result<(), RuntimeError> {
    let stores = target.stores.postgres || target.stores.redis;
    match engine.address() {
        Address::Tcp { .. } if stores || !target.beside.is_empty() => {
            Err(RuntimeError::OutOfReach {
                name: target.name.clone(),
                engine: engine.address().to_string(),
            })
        }
        _ => Ok(()),
    }
}

/// Removes what was left behind; what there is to say about it.
async fn sweep(engine: &Engine) -> Option<String> {
    match target::sweep(engine).await {
        Ok(0) => None,
        Ok(1) => Some("removed a container that a killed tailmark had left behind".to_owned()),
        Ok(count) => Some(format!(
            "removed {count} containers that a killed tailmark had left behind"
        )),
        // It is not what was asked for, and may not be ours to remove.
        Err(error) => Some(error.to_string()),
    }
}
