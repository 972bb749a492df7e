//! Whose memory and CPU are read: what the target says, or else what tailmark finds by itself.

use std::io;

use super::SessionError;
use crate::docker::{self, DockerError};
use crate::probe::{Probe, ProbeError, Subject};
use crate::run_record::resources::Resources;
use crate::target::Target;
use crate::target_spec::{TargetSpec, Watch};

/// A watch that goes on.
#[derive(Debug)]
pub(super) struct Watched {
    probe: Probe,
    /// The container that is watched.
    container: Option<docker::Running>,
}

/// What is to be watched, and cannot be.
#[derive(Debug, thiserror::Error)]
#[error("{target}: cannot watch {watch}")]
pub struct WatchError {
    target: String,
    watch: Watch,
    #[source]
    cause: Cause,
}

#[derive(Debug, thiserror::Error)]
enum Cause {
    #[error(transparent)]
    Docker(#[from] DockerError),
    #[error(transparent)]
    Probe(#[from] ProbeError),
    #[error("it is reached at {0}, which is not this machine")]
    Elsewhere(String),
}

impl WatchError {
    /// The next step, where there is one.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        match &self.cause {
            Cause::Docker(error) => error.hint(),
            Cause::Probe(_) => None,
            Cause::Elsewhere(_) => {
                Some("name the process or the container: pid:4242, container:NAME")
            }
        }
    }
}

/// Whether what `targets` say is to be watched is there: to be asked before anything is started. The port of a URL is looked
/// at when the target is reached.
///
/// # Errors
/// When it is not.
pub async fn check(targets: &[TargetSpec], hz: u32) -> Result<(), SessionError> {
    for spec in targets {
        let Some(watch) = &spec.watch else { continue };
        let found = async {
            match subject(watch).await? {
                Some(subject) => Watched::over(subject, hz)
                    .await
                    .map(drop)
                    .map_err(Cause::from),
                None => Ok(()),
            }
        };
        found.await.map_err(|cause| failed(spec, watch, cause))?;
    }
    Ok(())
}

/// Begins to watch; none where nothing is said, and the target's process is elsewhere or may not be seen.
pub(super) async fn begin(
    spec: &TargetSpec,
    target: &Target,
    hz: u32,
) -> Result<Option<Watched>, SessionError> {
    if let Some(watch) = &spec.watch {
        let said = async {
            let subject = match subject(watch).await? {
                Some(subject) => subject,
                None => own_port(target)?,
            };
            Ok(Watched::over(subject, hz).await?)
        };
        let said = said.await.map(Some);
        return said.map_err(|cause| failed(spec, watch, cause).into());
    }
    let launched = match (target.container(), target.pid()) {
        (Some(container), _) => Some(Subject::Container(container.clone())),
        (None, pid) => pid.map(Subject::Process),
    };
    match launched {
        Some(subject) => Ok(Some(Watched::over(subject, hz).await?)),
        // Nobody asked for it, so what cannot be seen is left out of the record.
        None => match own_port(target) {
            Ok(subject) => Ok(Watched::over(subject, hz).await.ok()),
            Err(_) => Ok(None),
        },
    }
}

impl Watched {
    /// A probe is begun and ended by waiting, which the session's runtime does not.
    async fn over(subject: Subject, hz: u32) -> Result<Self, ProbeError> {
        let container = match &subject {
            Subject::Container(container) => Some(container.clone()),
            Subject::Process(_) | Subject::Port(_) => None,
        };
        let begun = tokio::task::spawn_blocking(move || Probe::watch(subject, hz)).await;
        let begun = begun.map_err(|error| ProbeError::Thread(io::Error::other(error)));
        Ok(Self {
            probe: begun.flatten()?,
            container,
        })
    }

    pub(super) fn probe(&self) -> &Probe {
        &self.probe
    }

    /// What was used. Of a container its engine is asked too whether the kernel has killed something in it: with its last process
    /// the files are gone that would have said so.
    pub(super) async fn finish(self) -> Resources {
        let Self { probe, container } = self;
        let finished = tokio::task::spawn_blocking(move || probe.finish()).await;
        let mut resources = finished.unwrap_or_default();
        let memory = resources.memory.working_set.as_ref();
        let is_over = memory.is_none_or(|memory| memory.after_idle_bytes.is_none());
        if let (Some(container), Some(facts)) = (container, &mut resources.container)
            && facts.oom_kills.unwrap_or(0) == 0
        {
            facts.oom_kills = match container.out_of_memory().await {
                Some(true) => Some(1),
                // What was read last was read before its end.
                None if is_over => None,
                _ => facts.oom_kills,
            };
        }
        resources
    }
}

fn failed(spec: &TargetSpec, watch: &Watch, cause: Cause) -> WatchError {
    WatchError {
        target: spec.name.clone(),
        watch: watch.clone(),
        cause,
    }
}

/// Whom `watch` names; none where that is the target's own port.
async fn subject(watch: &Watch) -> Result<Option<Subject>, Cause> {
    Ok(match watch {
        Watch::Container(name) => Some(Subject::Container(docker::running(name).await?)),
        Watch::Process(pid) => Some(Subject::Process(*pid)),
        Watch::Port(port) => port.map(Subject::Port),
    })
}

fn own_port(target: &Target) -> Result<Subject, Cause> {
    let address = target.address();
    if address.ip().to_canonical().is_loopback() {
        Ok(Subject::Port(address.port()))
    } else {
        Err(Cause::Elsewhere(address.to_string()))
    }
}
