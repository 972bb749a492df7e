//! One exchange with a target, for people to read; no load.

use std::path::Path;

use super::calls;
use super::run::{Request, launch};
use super::shutdown::Shutdown;
use super::{SessionError, Stage, Watcher};
use crate::load;
pub use crate::load::{Kept, Shown};

/// Makes the exchange that the first arrival starts with. The target's own output goes to `folder`.
///
/// # Errors
/// When the target or its stores fail, or at an interrupt. What was started is stopped.
pub async fn exchange_once(
    stage: &Stage,
    request: &Request,
    folder: &Path,
    shutdown: &Shutdown,
    watch: Watcher<'_>,
) -> Result<Shown, SessionError> {
    let launched = launch(
        stage,
        &request.target,
        &request.access,
        folder,
        shutdown,
        watch,
    );
    let (target, lease) = launched.await?;
    let exchanged = calls::around(request, &target, shutdown, watch, async |plan, _| {
        let exchange = load::exchange_once(&plan);
        Ok(shutdown.unless_requested(exchange).await??)
    });
    let shown = exchanged.await?;
    target.stop().await?;
    stage.release(&request.target, lease).await?;
    Ok(shown)
}
