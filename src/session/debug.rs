//! One exchange with a target, for people to read; no load.

use std::path::Path;
use std::sync::Arc;

use super::calls;
use super::run::{Request, host, launch, route};
use super::shutdown::Shutdown;
use super::{SessionError, Stage, Watcher};
use crate::load::{self, Plan};
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
    let (target, lease) = launch(stage, request, folder, shutdown, watch).await?;
    let scenario = Arc::new(request.scenario.clone());
    let (route, host) = (
        route(&target, &request.access, scenario.connections().http)?,
        host(&target),
    );
    let mut given = request.given.clone();
    let setup = calls::setup(&scenario, &mut given.known, &route, &host);
    shutdown.unless_requested(setup).await??;
    let plan = Plan::new(scenario, given, route, host)?;
    let shown = shutdown
        .unless_requested(load::exchange_once(&plan))
        .await??;
    let torn = calls::teardown(&plan.scenario, plan.known(), &plan.route, &plan.host).await;
    target.stop().await?;
    stage.release(&request.target, lease).await?;
    torn?;
    Ok(shown)
}
