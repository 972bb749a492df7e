//! What runs beside a target.

use std::path::{Path, PathBuf};

use super::command::{self, Process};
use super::{ExitCause, Launch, Log, TargetError, first_to_end, stop};
use crate::target_spec::{Ready, Stop, TargetKind, TargetSpec};

/// Processes that a target needs, each on a port of its own. Dropping them kills their process groups.
#[derive(Debug, Default)]
pub struct Companions(Vec<Running>);

#[derive(Debug)]
struct Running {
    name: String,
    /// The variable that tells the target where it is.
    variable: String,
    log: PathBuf,
    process: Process,
}

impl Companions {
    /// Starts what runs beside `spec`, with `env` beside the target's own variables, and waits until each accepts
    /// connections. What they print goes to files in `folder`.
    ///
    /// # Errors
    /// Fails where one does not start, ends early or is not there in time, with the last lines of its log.
    pub async fn launch(
        spec: &TargetSpec,
        env: &[(String, String)],
        folder: &Path,
    ) -> Result<Self, TargetError> {
        let mut running = Vec::new();
        for companion in &spec.beside {
            let own = TargetSpec {
                name: format!("{} beside {}", companion.variable, spec.name),
                kind: TargetKind::Command(companion.command.clone()),
                image: None,
                ready: Ready::default(),
                stop: Stop::default(),
                ..spec.clone()
            };
            let log = folder.join(format!("{}-{}.log", spec.name, companion.variable));
            let launch = Launch {
                env: env.to_vec(),
                log: &log,
                connect_to: &[],
                beside: Self::default(),
                cpus: None,
            };
            running.push(Running {
                process: command::launch(&own, &companion.command, &launch, false).await?,
                name: own.name,
                variable: companion.variable.clone(),
                log,
            });
        }
        Ok(Self(running))
    }

    /// The variables that tell where they are.
    pub(super) fn env(&self) -> impl Iterator<Item = (String, String)> + '_ {
        self.0.iter().map(|running| {
            let url = format!("http://{}", running.process.address());
            (running.variable.clone(), url)
        })
    }

    /// Returns when one of them has ended by itself; never where there are none.
    pub(super) async fn ended(&self) {
        first_to_end(self.0.iter().map(|running| running.process.ended())).await;
    }

    /// Ends them all.
    ///
    /// # Errors
    /// Fails where one survives SIGKILL, or had ended by itself before.
    pub(super) async fn stop(self) -> Result<(), TargetError> {
        let mut stopped = Ok(());
        for Running {
            name, log, process, ..
        } in self.0
        {
            let exit = stop(name.clone(), process)
                .await
                .and_then(|exit| match exit.cause {
                    ExitCause::ByItself => Err(TargetError::Gone {
                        name,
                        status: exit.status,
                        log: Log::end_of(&log),
                    }),
                    _ => Ok(()),
                });
            stopped = stopped.and(exit);
        }
        stopped
    }
}
