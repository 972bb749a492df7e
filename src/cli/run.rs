//! `tailmark run`: one target, measured once.

use std::io::Read as _;
use std::path::Path;
use std::time::Duration;

use super::args::{RunArgs, Spacing};
use super::failure::Failure;
use super::keep::Keep;
use super::{Outcome, report};
use crate::archive::RUN_FILE;
use crate::data;
use crate::exchange::Outcome as Ended;
use crate::probe::Subject;
use crate::run_record::RunRecord;
use crate::scenario::{Arrivals, Connections, Scenario, UrlRun};
use crate::session::Stage;
use crate::session::run::{Request, run_once};
use crate::session::shutdown::Shutdown;
use crate::target_spec::{TargetKind, TargetSpec, TargetsFile};
use crate::units::Rate;

/// The rate of a bare URL: enough for a p99 in ten seconds, and harmless to any server.
const URL_RATE: u64 = 100;
/// The duration of a bare URL.
const URL_DURATION: Duration = Duration::from_secs(10);
/// The timeout of an exchange where nothing else is said.
const TIMEOUT: Duration = Duration::from_secs(10);
/// The largest body that is read from a file or standard input: what a scenario may hold.
const MOST_BODY_BYTES: u64 = 1 << 19;

pub(super) async fn run(args: Box<RunArgs>) -> Result<Outcome, Failure> {
    let outputs = report::Outputs::open(&args.saving.output)?;
    let targets = data::targets_or_nearest(args.targets.as_deref())?;
    let (scenario, target) = what(&args, targets.as_ref())?;
    let subject = args.watch.as_deref().map(subject).transpose()?;
    let request = Request {
        scenario,
        target,
        at_most: args.requests,
        workers: args.workers.map(|workers| workers as usize),
        sample_hz: args.sample_hz,
        subject,
    };
    let keep = Keep::open(&args.saving, &name(&request))?;
    let record = match measure(&request, &args, keep.folder().path()).await {
        Ok(record) => record,
        Err(failure) => {
            keep.give_up();
            return Err(failure);
        }
    };
    keep.folder().write(RUN_FILE, &record.saved_json())?;
    let saved = keep.keep()?;
    outputs.write(&record.saved_json())?;
    let options = crate::report::Options {
        saved: saved.as_deref(),
        ..args.common.table()
    };
    let text = if args.common.json {
        record.summary_json()
    } else {
        crate::report::table::run(&record, &options)
    };
    args.common.print(&text)?;
    Ok(outcome(&record))
}

async fn measure(request: &Request, args: &RunArgs, folder: &Path) -> Result<RunRecord, Failure> {
    let shutdown =
        Shutdown::listen().map_err(|error| Failure::new("listening for signals", &error))?;
    let progress = args.common.progress();
    let mut watch = |event: crate::event::Event<'_>| progress.tell(&event);
    let targets = std::slice::from_ref(&request.target);
    let stage = Stage::set(targets, folder, &shutdown, &mut watch).await?;
    let record = run_once(&stage, request, folder, &shutdown, &mut watch).await;
    let struck = stage.strike().await;
    progress.finish();
    let record = record?;
    struck?;
    Ok(record)
}

/// What a result folder is called, beside the time: a bare URL has no scenario to name.
fn name(request: &Request) -> String {
    match request.scenario.name() {
        "url" => request.target.name.clone(),
        scenario => format!("{scenario}-{}", request.target.name),
    }
}

fn outcome(record: &RunRecord) -> Outcome {
    let ok: u64 = record
        .measured()
        .map(|phase| phase.tally.outcomes().of(Ended::Ok))
        .sum();
    match (record.interrupted, ok) {
        (true, _) => Outcome::Interrupted,
        (false, 0) => Outcome::NothingMeasured,
        (false, _) => Outcome::Done,
    }
}

/// What is to be sent, and to whom.
fn what(args: &RunArgs, targets: Option<&TargetsFile>) -> Result<(Scenario, TargetSpec), Failure> {
    if args.what.contains("://") {
        return url(args, targets);
    }
    refuse_url_flags(args)?;
    let target = match &args.target {
        Some(name) => TargetSpec::from_argument(name, targets)?,
        None => match targets.map(|file| (file.only(), file)) {
            Some((Some(only), _)) => only.clone(),
            Some((None, file)) => {
                let names: Vec<&str> = file
                    .targets()
                    .iter()
                    .map(|target| target.name.as_str())
                    .collect();
                let hint = format!("add --target {}", names.join(" or --target "));
                return Err(Failure::said(
                    "the scenario knows no host, and several targets are described",
                    Some(hint),
                ));
            }
            None => {
                let hint =
                    "add --target http://127.0.0.1:8080, or describe targets in targets.yaml";
                return Err(Failure::said(
                    "the scenario knows no host",
                    Some(hint.into()),
                ));
            }
        },
    };
    let mut scenario = data::scenario(Path::new(&args.what))?;
    if let Some(phase) = &args.phase {
        scenario = scenario.only_phase(phase)?;
    }
    if let Some(rate) = args.rate {
        scenario = scenario.with_rate(rate)?;
    }
    if let Some(duration) = args.duration {
        scenario = scenario.with_duration(duration)?;
    }
    if let Some(seed) = args.seed {
        scenario = scenario.with_seed(seed);
    }
    if let Some(max) = args.connections {
        scenario = scenario.with_connections(max as usize);
    }
    if let Some(timeout) = args.timeout {
        scenario = scenario.with_timeout(timeout);
    }
    Ok((scenario, target))
}

/// Flags that describe the request of a URL, and that a scenario's steps describe themselves.
fn refuse_url_flags(args: &RunArgs) -> Result<(), Failure> {
    let given = [
        ("--method", args.method.is_some()),
        ("--header", !args.headers.is_empty()),
        ("--body", args.body.is_some()),
        ("--warmup", args.warmup.is_some()),
        ("--arrivals", args.arrivals.is_some()),
    ];
    match given.iter().find(|(_, given)| *given) {
        Some((flag, _)) => Err(Failure::said(
            &format!(
                "{flag} goes with a URL; {} says it for each step or phase",
                args.what
            ),
            Some("change the scenario file".into()),
        )),
        None => Ok(()),
    }
}

fn url(args: &RunArgs, targets: Option<&TargetsFile>) -> Result<(Scenario, TargetSpec), Failure> {
    if args.target.is_some() || args.phase.is_some() {
        let message = "a URL is its own target and has one phase";
        return Err(Failure::said(
            message,
            Some("leave out --target and --phase".into()),
        ));
    }
    let target = TargetSpec::from_argument(&args.what, targets)?;
    let TargetKind::Url(address) = &target.kind else {
        return Err(Failure::said(&format!("{} is no URL", args.what), None));
    };
    let rate = match args.rate {
        Some(rate) => rate,
        None => Rate::per_second_of(URL_RATE).expect("the constant is a valid rate"),
    };
    let headers = args
        .headers
        .iter()
        .map(|header| parse_header(header))
        .collect::<Result<_, _>>()?;
    let body = args.body.as_deref().map(body).transpose()?;
    let method = args
        .method
        .clone()
        .unwrap_or_else(|| if body.is_some() { "POST" } else { "GET" }.into());
    let scenario = Scenario::for_url(&UrlRun {
        method,
        path: address.path_and_query().into(),
        headers,
        body,
        rate,
        arrivals: match args.arrivals {
            Some(Spacing::Poisson) => Arrivals::Poisson,
            Some(Spacing::Constant) | None => Arrivals::Constant,
        },
        duration: duration(args, rate),
        warmup: args.warmup,
        timeout: args.timeout.unwrap_or(TIMEOUT),
        connections: Connections {
            max: args
                .connections
                .map_or(Connections::default().max, |max| max as usize),
            ..Connections::default()
        },
        seed: args.seed.unwrap_or(1),
    })?;
    Ok((scenario, target))
}

/// How long to offer load: what was said, or else as long as the number of requests takes, or ten seconds.
fn duration(args: &RunArgs, rate: Rate) -> Duration {
    match (args.duration, args.requests) {
        (Some(duration), _) => duration,
        (None, None) => URL_DURATION,
        (None, Some(requests)) => {
            // Poisson arrivals come early or late by a few standard deviations of their count.
            let requests = requests as f64;
            let most = requests + 10.0 * requests.sqrt() + 1.0;
            Duration::try_from_secs_f64(most / rate.per_second()).unwrap_or(Duration::MAX)
        }
    }
}

fn parse_header(header: &str) -> Result<(String, String), Failure> {
    match header.split_once(':') {
        Some((name, value)) => Ok((name.trim().into(), value.trim().into())),
        None => Err(Failure::said(
            &format!("`{header}` is no header"),
            Some("write -H 'name: value'".into()),
        )),
    }
}

fn body(written: &str) -> Result<String, Failure> {
    let Some(file) = written.strip_prefix('@') else {
        return Ok(written.into());
    };
    let mut text = String::new();
    let read = if file == "-" {
        std::io::stdin()
            .take(MOST_BODY_BYTES + 1)
            .read_to_string(&mut text)
    } else {
        std::fs::File::open(file)
            .and_then(|file| file.take(MOST_BODY_BYTES + 1).read_to_string(&mut text))
    };
    read.map_err(|error| Failure::new(&format!("reading the body from {file}"), &error))?;
    if text.len() as u64 > MOST_BODY_BYTES {
        return Err(Failure::said(
            &format!("the body in {file} is over 512 KiB"),
            None,
        ));
    }
    Ok(text)
}

fn subject(written: &str) -> Result<Subject, Failure> {
    let subject = match written.split_once(':') {
        Some(("pid", pid)) => pid.parse().ok().map(Subject::Process),
        Some(("port", port)) => port.parse().ok().map(Subject::Port),
        _ => None,
    };
    subject.ok_or_else(|| {
        Failure::said(
            &format!("--watch `{written}` names no process"),
            Some("write pid:4242 or port:8080".into()),
        )
    })
}
