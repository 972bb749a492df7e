//! `tailmark verify`: whether tailmark reports what is true.

use super::Outcome;
use super::args::VerifyArgs;
use super::failure::Failure;
use super::stage::{clear_away, shown};
use crate::session::Scratch;
use crate::session::shutdown::Shutdown;
use crate::session::verify::{self, Request};
use crate::verification::scripts;

pub(super) async fn verify(args: VerifyArgs) -> Result<Outcome, Failure> {
    let program =
        std::env::current_exe().map_err(|error| Failure::new("finding tailmark itself", &error))?;
    let mut scripts = scripts::all(args.rate);
    if !args.only.is_empty() {
        scripts.retain(|scripted| args.only.iter().any(|only| only == scripted.name));
    }
    let request = Request {
        program,
        scripts,
        rate: args.rate,
        duration: args.duration,
        peers: args.peers,
    };
    // What the scripts leave behind is read when each is over; none of it is a result.
    let folder = Scratch::new("verify")
        .map_err(|error| Failure::new("making a temporary folder", &error))?;
    let shutdown =
        Shutdown::listen().map_err(|error| Failure::new("listening for signals", &error))?;
    clear_away(&args.common).await;
    let progress = args.common.progress();
    let mut watch = |event: crate::event::Event<'_>| progress.tell(&event);
    let work = verify::verify(&request, folder.path(), &shutdown, &mut watch);
    let verified = shown(&progress, work).await;
    progress.finish();
    let verification = verified?;
    let text = if args.common.json {
        verification.to_json()
    } else {
        verification.table()
    };
    args.common.print(&text)?;
    Ok(if verification.is_right() {
        Outcome::Done
    } else {
        Outcome::Wrong
    })
}
