//! In which of two ways all targets run: pure decisions over what each could do.

use super::RuntimeError;
use crate::target_spec::{TargetKind, TargetSpec, Watch};

/// How a target can run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// As a process alone; or it runs already, and it is its process that is watched.
    Process,
    /// In a container alone; or it runs already, and it is its container that is watched.
    Container,
    /// As either.
    Either,
    /// Elsewhere: nothing of it is watched, so nothing of it can be mixed up.
    Elsewhere,
}

/// What all targets have to do, where one of them leaves no choice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Forced<'a> {
    /// Be processes, as this one is.
    Process(&'a TargetSpec),
    /// Be containers, as this one is.
    Container(&'a TargetSpec),
}

/// What all of `targets` have to do to run alike; none where each could be either.
///
/// # Errors
/// One can only be a process, and another only a container.
pub(super) fn forced(targets: &[TargetSpec]) -> Result<Option<Forced<'_>>, RuntimeError> {
    let first = |way| targets.iter().find(|target| Way::of(target) == way);
    match (first(Way::Process), first(Way::Container)) {
        (Some(process), Some(container)) => Err(mixed(process, only_process(process), container)),
        (Some(process), None) => Ok(Some(Forced::Process(process))),
        (None, Some(container)) => Ok(Some(Forced::Container(container))),
        (None, None) => Ok(None),
    }
}

/// Why `target` cannot be a container.
pub(super) fn only_process(target: &TargetSpec) -> &'static str {
    match target.kind {
        TargetKind::Url(_) => "it runs already",
        _ => "it has no `image`",
    }
}

/// That `process` would be one for the reason `why`, beside `container`.
pub(super) fn mixed(process: &TargetSpec, why: &str, container: &TargetSpec) -> RuntimeError {
    let has_command = matches!(container.kind, TargetKind::Command(_));
    let hint = match (&process.image, &process.kind) {
        (Some(image), _) => format!("{}, or {}", super::rebuild(&image.reference), {
            match has_command {
                true => "--runtime process".to_owned(),
                false => format!("give {} a `command` in targets.yaml", container.name),
            }
        }),
        (None, _) if has_command => "--runtime process runs all as processes".to_owned(),
        (None, TargetKind::Url(_)) => {
            format!("give {} a `command` in targets.yaml", container.name)
        }
        (None, _) => format!(
            "give {} an `image`, or {} a `command`, in targets.yaml",
            process.name, container.name
        ),
    };
    RuntimeError::Mixed {
        process: process.name.clone(),
        why: why.to_owned(),
        container: container.name.clone(),
        hint,
    }
}

impl Way {
    fn of(target: &TargetSpec) -> Self {
        match &target.kind {
            TargetKind::Command(_) if target.image.is_some() => Self::Either,
            TargetKind::Command(_) => Self::Process,
            TargetKind::Image(_) => Self::Container,
            TargetKind::Url(_) if matches!(target.watch, Some(Watch::Container(_))) => {
                Self::Container
            }
            TargetKind::Url(url) if url.is_loopback() => Self::Process,
            TargetKind::Url(_) => Self::Elsewhere,
        }
    }
}
