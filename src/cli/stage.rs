//! What commands that measure have in common: stores that stand meanwhile, an ear for signals, a line on the terminal.

use std::path::Path;
use std::pin::pin;

use tokio::time::{MissedTickBehavior, interval};

use super::args::Common;
use super::failure::Failure;
use crate::event::Event;
use crate::progress::Progress;
use crate::session::shutdown::Shutdown;
use crate::session::{self, SessionError, Stage, Terms, Watcher};
use crate::target_spec::TargetSpec;

/// Clears away what was left behind, and says so.
#[expect(
    clippy::print_stderr,
    reason = "the command line alone writes to the terminal"
)]
pub(super) async fn clear_away(common: &Common) {
    if let Some(words) = session::clear_away().await
        && !common.quiet
    {
        eprintln!("{words}");
    }
}

/// Does `work` on a stage for `targets`, and strikes it whatever came of that.
pub(super) async fn on_stage<T>(
    common: &Common,
    targets: &[TargetSpec],
    terms: Terms,
    folder: &Path,
    work: impl AsyncFnOnce(&Stage, &Shutdown, Watcher<'_>) -> Result<T, SessionError>,
) -> Result<T, Failure> {
    let shutdown =
        Shutdown::listen().map_err(|error| Failure::new("listening for signals", &error))?;
    clear_away(common).await;
    let progress = common.progress();
    let all = async {
        let mut watch = |event: Event<'_>| progress.tell(&event);
        let stage = Stage::set(targets, terms, folder, &shutdown, &mut watch).await?;
        let done = work(&stage, &shutdown, &mut watch).await;
        let struck = stage.strike().await;
        let done = done?;
        struck?;
        Ok(done)
    };
    let done = shown(&progress, all).await;
    progress.finish();
    done
}

/// Does `work`, and lets `progress` show meanwhile what has changed.
pub(super) async fn shown<T>(progress: &Progress, work: impl Future<Output = T>) -> T {
    let mut work = pin!(work);
    let mut ticks = interval(Progress::TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            done = &mut work => return done,
            _ = ticks.tick() => progress.tick(),
        }
    }
}
