//! `tailmark doctor`: whether this machine can be measured on, and what it costs.

use super::Outcome;
use super::args::DoctorArgs;
use super::failure::Failure;
use crate::doctor::Diagnosis;
use crate::report;
use crate::session::doctor::facts;

pub(super) async fn doctor(args: DoctorArgs) -> Result<Outcome, Failure> {
    args.common
        .say("looking at this machine, for two seconds or so");
    let diagnosis = Diagnosis::of(facts().await);
    let text = match args.common.json {
        true => diagnosis.to_json(),
        false => report::diagnosis(&diagnosis, &args.common.table()),
    };
    args.common.print(&text)?;
    Ok(match diagnosis.can_measure() {
        true => Outcome::Done,
        false => Outcome::Wrong,
    })
}
