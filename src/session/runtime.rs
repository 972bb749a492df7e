//! Whether targets run as processes or in containers, decided before anything of theirs is started.

use super::SessionError;
use crate::docker::{Address, Engine, NoEngine};
use crate::target::{self, TargetError, images};
use crate::target_spec::{Limits, TargetKind, TargetSpec};

/// How targets that could run either way are to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Runtime {
    /// As containers where an engine answers and has the images, or else as processes.
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
}

impl RuntimeError {
    /// The next step.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::NoImage(_) => "give it an `image` in targets.yaml, or leave --runtime out",
            Self::NoCommand(_) => "give it a `command` in targets.yaml, or leave --runtime out",
            Self::OutOfReach { .. } => {
                "unset DOCKER_HOST, or run tailmark where the engine is: DOCKER_HOST=unix:///var/run/docker.sock"
            }
            Self::NoLimits { .. } => {
                "limits are for containers: give it an `image` in targets.yaml that an engine has, or leave them out"
            }
        }
    }
}

/// Makes of each of `targets` what runs. All that could run either way do the same, so that none is favoured. Containers of
/// a tailmark that was killed are removed. What there is to say about it is returned, a line each.
///
/// # Errors
/// A target cannot run as it should, has no image on this machine, or no engine answers where one is needed.
pub async fn choose(targets: &mut [TargetSpec], wish: &Wish) -> Result<Vec<String>, SessionError> {
    check(targets, wish.runtime)?;
    let mut notes = Vec::new();
    let engine = match targets.iter().any(has_image) && wish.runtime != Runtime::Process {
        true => Some(Engine::find().await),
        false => None,
    };
    if let Some(Ok(engine)) = &engine {
        notes.extend(sweep(engine).await);
    }
    let either: Vec<&TargetSpec> = targets
        .iter()
        .filter(|target| target.image.is_some())
        .collect();
    let (contained, why) = match (wish.runtime, &engine) {
        (Runtime::Process, _) => (false, "as asked".to_owned()),
        (Runtime::Container, _) => (true, "as asked".to_owned()),
        (Runtime::Auto, None) => (false, String::new()),
        (Runtime::Auto, Some(Err(none))) => (false, none.to_string()),
        (Runtime::Auto, Some(Ok(engine))) => match missing(engine, &either, wish.pull).await {
            None => (
                true,
                format!("{} answers, and has what is needed", engine.name()),
            ),
            Some(why) => (false, why),
        },
    };
    let names: Vec<&str> = either.iter().map(|target| target.name.as_str()).collect();
    let how = match contained {
        true => format!("in a container: {why}"),
        false => format!("as a process: {why}"),
    };
    if wish.runtime == Runtime::Auto && !names.is_empty() {
        notes.push(format!("{} runs {how}", names.join(", ")));
    }
    for target in targets.iter_mut().filter(|target| target.image.is_some()) {
        target.runtime = Some(how.clone());
        if contained && let Some(image) = target.image.take() {
            target.kind = TargetKind::Image(image);
        }
    }
    for target in targets.iter_mut() {
        limit(target, wish.limits)?;
    }
    prepare(targets, engine, wish.pull).await?;
    Ok(notes)
}

/// Whether it may become a container.
fn has_image(target: &TargetSpec) -> bool {
    target.image.is_some() || matches!(target.kind, TargetKind::Image(_))
}

/// Whether each of `targets` can run as it is asked to. One that runs already is asked nothing.
fn check(targets: &[TargetSpec], runtime: Runtime) -> Result<(), RuntimeError> {
    let name = |target: &TargetSpec| target.name.clone();
    for target in targets.iter().filter(|target| target.is_started()) {
        match (runtime, &target.kind) {
            (Runtime::Container, TargetKind::Command(_)) if target.image.is_none() => {
                return Err(RuntimeError::NoImage(name(target)));
            }
            (Runtime::Process, TargetKind::Image(_)) => {
                return Err(RuntimeError::NoCommand(name(target)));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Why not all of `targets` can run in containers, where they cannot.
async fn missing(engine: &Engine, targets: &[&TargetSpec], pull: bool) -> Option<String> {
    for target in targets {
        if let Err(error) = within_reach(engine, target) {
            return Some(error.to_string());
        }
        let Some(image) = target.image.as_ref().filter(|_| !pull) else {
            continue;
        };
        match images::has(engine, target, image).await {
            Ok(true) => {}
            Ok(false) => {
                let engine = engine.name();
                return Some(format!("{engine} has no image `{}`", image.reference));
            }
            Err(error) => return Some(error.to_string()),
        }
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

/// Sees to it that the images are there.
async fn prepare(
    targets: &[TargetSpec],
    engine: Option<Result<Engine, NoEngine>>,
    pull: bool,
) -> Result<(), SessionError> {
    let contained = |target: &&TargetSpec| matches!(target.kind, TargetKind::Image(_));
    let (Some(engine), Some(first)) = (engine, targets.iter().find(contained)) else {
        return Ok(());
    };
    let engine = engine.map_err(|source| TargetError::NoEngine {
        name: first.name.clone(),
        source,
    })?;
    let mut pulled = Vec::new();
    for target in targets {
        let TargetKind::Image(image) = &target.kind else {
            continue;
        };
        within_reach(&engine, target)?;
        if pull && !pulled.contains(&&image.reference) {
            images::pull(&engine, target, image).await?;
            pulled.push(&image.reference);
        }
        if !images::has(&engine, target, image).await? {
            let (name, image) = (target.name.clone(), image.reference.clone());
            return Err(TargetError::NoImage { name, image }.into());
        }
    }
    Ok(())
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

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::target_spec::TargetsFile;

    const TARGETS: &[u8] = b"tailmark: 1
targets:
  both: { command: ./svc, image: no-such-image }
  image: { image: no-such-image }
  command: { command: ./svc }
  limited: { command: ./svc, image: no-such-image, limits: { memory: 32MiB } }
  there: { url: \"http://127.0.0.1:8080\" }
";

    fn targets(names: &[&str]) -> Vec<TargetSpec> {
        let file = TargetsFile::parse("targets.yaml", Path::new("."), TARGETS).unwrap();
        names
            .iter()
            .map(|name| file.named(name).unwrap().clone())
            .collect()
    }

    async fn chosen(
        names: &[&str],
        runtime: Runtime,
        limits: Limits,
    ) -> Result<Vec<TargetSpec>, String> {
        let mut targets = targets(names);
        let wish = Wish {
            runtime,
            limits,
            pull: false,
        };
        match choose(&mut targets, &wish).await {
            Ok(_) => Ok(targets),
            Err(error) => Err(error.to_string()),
        }
    }

    #[tokio::test]
    async fn what_cannot_run_as_asked_is_refused() {
        let none = Limits::default();
        let memory = Limits {
            memory: "32MiB".parse().ok(),
            ..none
        };
        for (names, runtime, limits, expected) in [
            (
                ["command", "both"],
                Runtime::Container,
                none,
                "command cannot run in a container: it has no `image`",
            ),
            (
                ["both", "image"],
                Runtime::Process,
                none,
                "image cannot run as a process: it has no `command`",
            ),
            (
                ["there", "both"],
                Runtime::Process,
                memory,
                "there cannot be limited to 32 MiB of memory: it runs already",
            ),
            (
                ["both", "there"],
                Runtime::Process,
                memory,
                "both cannot be limited to 32 MiB of memory: it runs as a process: as asked",
            ),
            (
                ["limited", "there"],
                Runtime::Process,
                none,
                "limited cannot be limited to 32 MiB of memory: it runs as a process: as asked",
            ),
            (
                ["command", "there"],
                Runtime::Auto,
                memory,
                "command cannot be limited to 32 MiB of memory: it runs as a process",
            ),
        ] {
            assert_eq!(
                chosen(&names, runtime, limits).await.unwrap_err(),
                expected,
                "{names:?}"
            );
        }
    }

    #[tokio::test]
    async fn without_its_image_a_target_runs_as_a_process() {
        // Whether an engine answers or not.
        let targets = chosen(
            &["both", "there", "command"],
            Runtime::Auto,
            Limits::default(),
        )
        .await
        .unwrap();
        assert!(matches!(targets[0].kind, TargetKind::Command(_)));
        let how = targets[0].runtime.clone().unwrap();
        assert!(how.starts_with("as a process: "), "{how}");
        assert_eq!(targets[1].runtime, None);
        assert_eq!(targets[2].runtime, None);
        let asked = chosen(&["both"], Runtime::Container, Limits::default())
            .await
            .unwrap_err();
        let wanted = [
            "there is no image `no-such-image`",
            "no container engine answers",
        ];
        assert!(
            wanted.iter().any(|wanted| asked.contains(wanted)),
            "{asked}"
        );
    }
}
