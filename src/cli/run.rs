//! `tailmark run`: one target, measured once.

use std::io::Read as _;
use std::path::Path;
use std::time::Duration;

use super::args::{EngineWord, HttpWord, RunArgs, Spacing};
use super::failure::Failure;
use super::keep::Keep;
use super::report::{Outputs, print};
use super::stage::on_stage;
use super::{Outcome, debug};
use crate::archive::RUN_FILE;
use crate::data;
use crate::exchange::Outcome as Ended;
use crate::report::{Format, Subject};
use crate::run_record::RunRecord;
use crate::scenario::{Arrivals, Connections, Http, LoadModel, Phase, Scenario, UrlRun};
use crate::session::run::{Engine, Request, check_limits, run_once, workers};
use crate::session::shutdown::Shutdown;
use crate::session::{Stage, Terms, Watcher, place, watching};
use crate::target_spec::{TargetKind, TargetSpec, TargetsFile, WatchError};
use crate::units::Rate;
use crate::validity::State;

/// The rate of a bare URL: enough for a p99 in ten seconds, and harmless to any server.
pub(super) const URL_RATE: u64 = 100;
/// The duration of a bare URL.
const URL_DURATION: Duration = Duration::from_secs(10);
/// The timeout of an exchange where nothing else is said.
pub(super) const TIMEOUT: Duration = Duration::from_secs(10);
/// The largest body that is read from a file or standard input: what a scenario may hold.
const MOST_BODY_BYTES: u64 = 1 << 19;

pub(super) async fn run(args: Box<RunArgs>) -> Result<Outcome, Failure> {
    refuse_both_models(&args)?;
    let outputs = Outputs::open(&args.saving.output, Format::OF_RUN)?;
    let targets = data::targets_or_nearest(args.targets.as_deref())?;
    let (scenario, target) = what(&args, targets.as_ref())?;
    let scenario = scenario.with_thresholds(&args.threshold)?;
    let (scenario, given) = data::given(scenario)?;
    let mut target = target;
    if let Some(written) = &args.watch {
        let said = written.parse().map_err(|error: WatchError| {
            Failure::said(&format!("--watch: {error}"), Some(WatchError::HINT.into()))
        });
        target.watch = Some(said?);
    }
    let targets = std::slice::from_mut(&mut target);
    args.containers.apply(targets, &args.common).await?;
    watching::check(targets, args.placing.sample_hz).await?;
    let request = Request {
        scenario,
        given,
        preflight: !args.no_preflight,
        access: args.access.read(&[&target])?,
        target,
        at_most: args.requests,
        engine: match args.engine {
            EngineWord::Own => Engine::Own,
            EngineWord::Hyper => Engine::Hyper,
        },
        workers: args.workers.map(|workers| workers as usize),
        sample_hz: args.placing.sample_hz,
        rest: args.rest,
        after_load: true,
        together: None,
    };
    let workers = workers(&request.scenario, request.workers);
    let targets = std::slice::from_ref(&request.target);
    let terms = Terms {
        placement: place(&args.placing.pin, targets, workers)?,
        durability: args.placing.durability.into(),
    };
    if args.debug {
        return debug::debug(&request, &args.common, terms).await;
    }
    check_limits(&request.scenario, request.workers)?;
    if args.what.contains("://") && args.rate.is_none() && args.users.is_none() {
        let words = format!("note: {URL_RATE}/s, since neither --rate nor --users says otherwise");
        args.common.say(&words);
    }
    let keep = Keep::open(&args.saving, &name(&request))?;
    let came = measure(&request, &args, terms, keep.folder().path()).await;
    let (keep, record) = keep.unless_empty(came, |_| false)?;
    keep.folder().write(RUN_FILE, &record.saved_json())?;
    let saved = keep.keep()?;
    let options = args.shown.options(&args.common, saved.as_deref());
    print(Subject::Run(&record), &args.common, options)?;
    outputs.write(Subject::Run(&record))?;
    args.exporting.send(Subject::Run(&record), &keep).await;
    Ok(outcome(&record))
}

async fn measure(
    request: &Request,
    args: &RunArgs,
    terms: Terms,
    folder: &Path,
) -> Result<RunRecord, Failure> {
    let targets = std::slice::from_ref(&request.target);
    let work = async |stage: &Stage, shutdown: &Shutdown, watch: Watcher<'_>| {
        run_once(stage, request, folder, shutdown, watch).await
    };
    on_stage(&args.common, targets, terms, folder, work).await
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
    let thresholds = &record.thresholds;
    if record.interrupted {
        Outcome::Interrupted
    } else if ok == 0 || record.validity.state == State::DataExhausted {
        // Nothing, or not all of what was planned.
        Outcome::NothingMeasured
    } else if !thresholds.is_empty() && record.validity.state != State::Valid {
        Outcome::Invalid
    } else if thresholds.iter().any(|ruling| !ruling.passed) {
        Outcome::Wrong
    } else {
        Outcome::Done
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
    if let Some(users) = args.users {
        let connections = scenario.connections().max.max(users as usize);
        scenario = scenario.with_users(users)?.with_connections(connections);
    }
    if let Some(duration) = args.duration {
        scenario = scenario.with_duration(duration)?;
    }
    if args.requests.is_some() {
        scenario.check_limit()?;
    }
    if let Some(seed) = args.seed {
        scenario = scenario.with_seed(seed);
    }
    if let Some(max) = args.connections {
        scenario = scenario.with_connections(max as usize);
    }
    if let Some(version) = args.http {
        scenario = scenario.with_http(http(version));
    }
    if let Some(timeout) = args.timeout {
        scenario = scenario.with_timeout(timeout);
    }
    Ok((scenario, target))
}

fn http(version: HttpWord) -> Http {
    match version {
        HttpWord::One => Http::One,
        HttpWord::Two => Http::Two,
        HttpWord::Auto => Http::Auto,
    }
}

/// Users and a rate are two answers to one question.
fn refuse_both_models(args: &RunArgs) -> Result<(), Failure> {
    let message = match (args.users, args.rate, args.arrivals) {
        (Some(_), Some(_), _) => {
            "-u and -r exclude each other: closed users wait, an open rate does not"
        }
        (Some(_), None, Some(_)) => {
            "-u and --arrivals exclude each other: closed users come when they are done"
        }
        _ => return Ok(()),
    };
    Err(Failure::said(message, None))
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
    let model = model(args);
    let timeout = args.timeout.unwrap_or(TIMEOUT);
    let usual = Connections::default();
    let connections = Connections {
        max: args
            .connections
            .or(args.users)
            .map_or(usual.max, |max| max as usize),
        http: args.http.map_or(usual.http, http),
        ..usual
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
        model,
        duration: duration(args, model, timeout, connections),
        warmup: args.warmup,
        timeout,
        connections,
        seed: args.seed.unwrap_or(1),
    })?;
    Ok((scenario, target))
}

fn model(args: &RunArgs) -> LoadModel {
    if let Some(users) = args.users {
        return LoadModel::Closed { users };
    }
    let usual = Rate::per_second_of(URL_RATE).expect("the constant is a valid rate");
    LoadModel::Open {
        rate: args.rate.unwrap_or(usual),
        arrivals: match args.arrivals {
            Some(Spacing::Poisson) => Arrivals::Poisson,
            Some(Spacing::Constant) | None => Arrivals::Constant,
        },
    }
}

/// How long to offer load: what was said, or else as long as the number of requests takes, or ten seconds.
fn duration(
    args: &RunArgs,
    model: LoadModel,
    timeout: Duration,
    connections: Connections,
) -> Duration {
    let requests = match (args.duration, args.requests) {
        (Some(duration), _) => return duration,
        (None, None) => return URL_DURATION,
        (None, Some(requests)) => requests as f64,
    };
    let seconds = match model {
        LoadModel::Open { rate, .. } => {
            // Poisson arrivals come early or late by a few standard deviations of their count.
            (requests + 10.0 * requests.sqrt() + 1.0) / rate.per_second()
        }
        LoadModel::Closed { users } => {
            // They end it as soon as they have asked so often. This is only how long that may take, with the second
            // over which they come.
            let at_once = f64::from(users).min(connections.max as f64);
            let longest = timeout + connections.connect_timeout;
            let seconds = 1.0 + (requests / at_once).ceil() * longest.as_secs_f64();
            seconds.min(Phase::LONGEST.as_secs_f64())
        }
        LoadModel::Ramp { .. } | LoadModel::Pause => return URL_DURATION,
    };
    Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
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

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::*;
    use crate::cli::args::{Command, parse};
    use crate::run_record::fixtures;
    use crate::threshold::Ruling;
    use crate::units::format_duration;

    fn args(words: &[&str]) -> Box<RunArgs> {
        let words = ["tailmark", "run"].iter().chain(words);
        match parse(words.map(OsString::from)).unwrap().command {
            Command::Run(args) => args,
            command => panic!("{command:?}"),
        }
    }

    /// The load of the measured phase, its duration and the connections that `words` ask for.
    fn check(words: &[&str], model: LoadModel, duration: &str, connections: usize) {
        let (scenario, _) = what(&args(words), None).unwrap_or_else(|_| panic!("{words:?}"));
        let phase = scenario.measured_phases().next().unwrap();
        assert_eq!(phase.model, model, "{words:?}");
        assert_eq!(format_duration(phase.duration), duration, "{words:?}");
        assert_eq!(scenario.connections().max, connections, "{words:?}");
    }

    #[test]
    fn a_url_has_a_rate_or_users() {
        let url = "http://127.0.0.1:8080/";
        let rate = |per_second| LoadModel::Open {
            rate: Rate::per_second_of(per_second).unwrap(),
            arrivals: Arrivals::Constant,
        };
        let users = |users| LoadModel::Closed { users };
        check(&[url], rate(100), "10s", 256);
        check(&[url, "-r", "5", "-n", "100"], rate(5), "40.2s", 256);
        check(&[url, "-u", "500"], users(500), "10s", 500);
        check(&[url, "-u", "5", "-c", "2", "-d", "3s"], users(5), "3s", 2);
        // Twenty in turn of up to ten seconds and five for a connection, and a second to come in.
        check(&[url, "-u", "5", "-n", "100"], users(5), "5m1s", 5);
        check(
            &[url, "-u", "5", "-n", "100", "-c", "2"],
            users(5),
            "12m31s",
            2,
        );
        check(&[url, "-u", "1", "-n", "9000000"], users(1), "168h", 1);
    }

    #[test]
    fn a_threshold_decides_only_where_the_figures_can_be_believed() {
        let yaml = fixtures::url_yaml("100/s", "1s");
        let good = fixtures::record("url", &yaml, |_| fixtures::ok(fixtures::MS));
        let ruling = |passed| Ruling {
            expression: "p99 < 1s".into(),
            observed: None,
            when: None,
            passed,
            reason: None,
        };
        let with = |passed: &[bool]| RunRecord {
            thresholds: passed.iter().map(|&passed| ruling(passed)).collect(),
            ..good.clone()
        };
        assert_eq!(outcome(&with(&[])), Outcome::Done);
        assert_eq!(outcome(&with(&[true, true])), Outcome::Done);
        assert_eq!(outcome(&with(&[true, false])), Outcome::Wrong);
        let disturbed = |passed: &[bool]| {
            let mut record = with(passed);
            record.environment.steal = Some(0.2);
            record.judge();
            record
        };
        assert_eq!(outcome(&disturbed(&[])), Outcome::Done);
        assert_eq!(outcome(&disturbed(&[true])), Outcome::Invalid);
        assert_eq!(outcome(&disturbed(&[false])), Outcome::Invalid);
        let interrupted = RunRecord {
            interrupted: true,
            ..disturbed(&[false])
        };
        assert_eq!(outcome(&interrupted), Outcome::Interrupted);
    }

    #[test]
    fn users_of_a_scenario_have_their_connections() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("crowd.yaml");
        let text = "tailmark: 1
flows: { f: { steps: [get: /] } }
phases:
  - { name: warm, rate: 5/s, for: 1s, warmup: true }
  - { name: crowd, users: 20, for: 30s }
";
        std::fs::write(&file, text).unwrap();
        let scenario = [file.to_str().unwrap(), "--target", "http://127.0.0.1:8080"];
        let with = |flags: &[&str], users, duration, connections| {
            let words = [&scenario, flags].concat();
            check(&words, LoadModel::Closed { users }, duration, connections);
        };
        with(&[], 20, "30s", 256);
        with(&["-u", "300", "-d", "5s", "-n", "9"], 300, "5s", 300);
        with(&["-u", "300", "-c", "30"], 300, "30s", 30);
    }
}
