//! `tailmark services`: targets without load.

use std::fmt::Write as _;

use conformance::Row;
use serde_json::json;

use super::Outcome;
use super::args::{ServiceCheckArgs, UpArgs};
use super::failure::Failure;
use super::stage::on_stage;
use crate::data;
use crate::session::shutdown::Shutdown;
use crate::session::up::{self, Up};
use crate::session::{Scratch, Stage, Terms, Watcher, place};
use crate::target_spec::{TargetSpec, TargetUrl, TargetsFile, UrlError};

pub(super) async fn up(args: UpArgs) -> Result<Outcome, Failure> {
    let Some(file) = data::targets_or_nearest(args.targets.as_deref())? else {
        return Err(Failure::said(
            "there is no targets.yaml here",
            Some("--targets FILE names one; tailmark init --targets writes one".into()),
        ));
    };
    let mut targets = chosen(&file, &args)?;
    args.containers.check(&targets)?;
    let terms = Terms {
        placement: place(&args.pin, &targets, 0)?,
        ..Terms::default()
    };
    let folder = Scratch::new("services")
        .map_err(|error| Failure::new("making a temporary folder", &error))?;
    if !args.no_build {
        build(&targets).await?;
    }
    // After the build, which may have made programs that are newer than their images.
    let containers = &args.containers;
    containers.apply_to_each(&mut targets, &args.common).await?;
    let said = |running: &[Up]| {
        let text = if args.common.json {
            as_json(running)
        } else {
            as_text(running)
        };
        // Nobody may be reading; the services run all the same.
        let _ = args.common.print(&text);
    };
    let work = async |stage: &Stage, shutdown: &Shutdown, watch: Watcher<'_>| {
        up::up(stage, &targets, folder.path(), shutdown, watch, said).await
    };
    on_stage(&args.common, &targets, terms, folder.path(), work).await?;
    Ok(Outcome::Done)
}

/// Holds a service that runs against the contract.
pub(super) async fn check(args: ServiceCheckArgs) -> Result<Outcome, Failure> {
    let url: TargetUrl = args.url.parse().map_err(|error: UrlError| {
        Failure::said(&format!("`{}`: {error}", args.url), error.hint())
    })?;
    if url.path_and_query() != "/" {
        let hint = "leave the path out: the contract has its own".to_owned();
        return Err(Failure::said(
            &format!("`{}` has a path", args.url),
            Some(hint),
        ));
    }
    let said = |row: &Row| {
        if !args.common.json {
            // Nobody may be reading; the exit code tells all the same.
            let _ = args.common.print(&line(row));
        }
    };
    let rows = conformance::check_url(&args.url, said).await;
    let failed = rows.iter().filter(|row| row.failure.is_some()).count();
    let text = if args.common.json {
        let rows = rows.iter().map(|row| {
            json!({ "row": row.number, "title": row.title, "statuses": row.statuses, "failure": row.failure })
        });
        json!({ "url": args.url, "ok": failed == 0, "rows": rows.collect::<Vec<_>>() }).to_string()
            + "\n"
    } else {
        match failed {
            0 => format!("all {} rows as the contract says\n", rows.len()),
            failed => format!(
                "{failed} of {} rows are not as the contract says\n",
                rows.len()
            ),
        }
    };
    args.common.print(&text)?;
    Ok(match failed {
        0 => Outcome::Done,
        _ => Outcome::Wrong,
    })
}

fn line(row: &Row) -> String {
    let statuses: Vec<String> = row.statuses.iter().map(u16::to_string).collect();
    let (mark, words) = match &row.failure {
        None => ("✓", statuses.join(" ")),
        Some(failure) => ("✗", failure.clone()),
    };
    format!("{mark} {:>2}  {:<28} {words}\n", row.number, row.title)
}

/// The targets that are meant; without names, the first of each service that tailmark starts.
fn chosen(file: &TargetsFile, args: &UpArgs) -> Result<Vec<TargetSpec>, Failure> {
    if args.names.is_empty() {
        let services = file.services();
        if services.is_empty() {
            let message = "no target of the file has a `command` or an `image`";
            return Err(Failure::said(message, None));
        }
        if !args.common.quiet {
            say_what_is_left_out(file, &services);
        }
        return Ok(services.into_iter().cloned().collect());
    }
    let find = |name: &String| {
        let target = TargetSpec::from_argument(name, Some(file))?;
        match target.is_started() {
            true => Ok(target),
            false => Err(Failure::said(
                &format!("`{name}` runs already: tailmark does not start it"),
                Some("name a target with a `command` or an `image`".into()),
            )),
        }
    };
    args.names.iter().map(find).collect()
}

/// Names the targets that are started by name alone.
#[expect(
    clippy::print_stderr,
    reason = "the command line alone writes to the terminal"
)]
fn say_what_is_left_out(file: &TargetsFile, services: &[&TargetSpec]) {
    for service in services {
        let others = file.targets().iter();
        let others =
            others.filter(|other| other.name != service.name && other.is_service_of(service));
        let names: Vec<&str> = others.map(|other| other.name.as_str()).collect();
        if !names.is_empty() {
            let names = names.join(", ");
            eprintln!(
                "{} stands for {names}, to be started by name: `env` alone makes the difference",
                service.name
            );
        }
    }
}

/// Runs each build command of `targets` once.
async fn build(targets: &[TargetSpec]) -> Result<(), Failure> {
    let mut built = Vec::new();
    for target in targets {
        let build = (&target.folder, &target.build);
        if !built.contains(&build) {
            crate::session::build(target).await?;
            built.push(build);
        }
    }
    Ok(())
}

fn as_text(running: &[Up]) -> String {
    let width = running.iter().map(|up| up.name.len()).max().unwrap_or(0);
    let mut text = String::new();
    for up in running {
        // Into a string, writing cannot fail.
        let _ = writeln!(text, "{:width$}  {}", up.name, up.url);
        for (name, value) in &up.env {
            let _ = writeln!(text, "{:width$}    {name}={value}", "");
        }
        if let Some(log) = &up.log {
            let _ = writeln!(text, "{:width$}    log {}", "", log.display());
        }
    }
    text + "Ctrl-C stops everything and removes the data\n"
}

fn as_json(running: &[Up]) -> String {
    let services = running.iter().map(|up| {
        let env: serde_json::Map<_, _> = (up.env.iter())
            .map(|(name, value)| (name.clone(), json!(value)))
            .collect();
        json!({ "name": up.name, "url": up.url, "env": env, "log": up.log })
    });
    json!({ "services": services.collect::<Vec<_>>() }).to_string() + "\n"
}
