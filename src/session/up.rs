//! Targets that run without being measured, for people who want to try them.

use std::path::{Path, PathBuf};

use super::run::launch;
use super::shutdown::Shutdown;
use super::{Access, SessionError, Stage, Watcher};
use crate::event::Event;
use crate::target::{Target, first_to_end};
use crate::target_spec::TargetSpec;

/// A target that runs.
#[derive(Debug, Clone)]
pub struct Up {
    /// Its name.
    pub name: String,
    /// Its URL.
    pub url: String,
    /// Where its stores and what runs beside it are: variables of its environment.
    pub env: Vec<(String, String)>,
    /// The file with its output.
    pub log: Option<PathBuf>,
}

/// Starts `targets`, each with stores of its own, tells `ready` of them, and stops them at an interrupt. Their output goes
/// to `folder`.
///
/// # Errors
/// When one does not start, or ends by itself. What was started is stopped.
pub async fn up(
    stage: &Stage,
    targets: &[TargetSpec],
    folder: &Path,
    shutdown: &Shutdown,
    watch: Watcher<'_>,
    ready: impl FnOnce(&[Up]),
) -> Result<(), SessionError> {
    let access = Access::default();
    let mut running = Vec::new();
    for spec in targets {
        let launched = launch(stage, spec, &access, folder, shutdown, watch);
        running.push((spec, launched.await?));
    }
    let described = running
        .iter()
        .map(|(spec, (target, _))| describe(spec, target));
    watch(Event::Over);
    ready(&described.collect::<Vec<_>>());
    let ends = running.iter().map(|(_, (target, _))| target.ended());
    let gone = tokio::select! {
        () = shutdown.requested() => None,
        index = first_to_end(ends) => Some(index),
    };
    let stopping = async {
        if let Some(index) = gone {
            let (_, (target, _)) = running.swap_remove(index);
            return Err(target.gone().await.into());
        }
        for (spec, (target, lease)) in running {
            target.stop().await?;
            stage.release(spec, lease).await?;
        }
        Ok(())
    };
    tokio::select! {
        stopped = stopping => stopped,
        // What is dropped is killed.
        () = shutdown.insisted() => Ok(()),
    }
}

fn describe(spec: &TargetSpec, target: &Target) -> Up {
    Up {
        name: spec.name.clone(),
        url: target.url().to_string(),
        env: target.env().to_vec(),
        log: target.log().map(Into::into),
    }
}
