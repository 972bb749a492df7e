//! Targets as containers, against the engine of this machine: made, reached, ended, and nothing left behind.
//!
//! The image is made by the tests themselves and imported over the engine's API: `examples/container-service` and the
//! libraries that it is linked with, nothing else.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test stops where it cannot go on, and says why it was skipped"
)]

mod support;

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};

use serde_json::Value;
use tailmark::target::{Companions, ExitCause, Launch, Target, TargetError};
use tailmark::target_spec::{TargetSpec, TargetsFile};

use support::{Tool, sibling};

/// How long a container may take to come or go on a machine that does much else.
const PATIENCE: Duration = Duration::from_secs(60);

/// An image of this process's tests, removed when the last of them is done with it.
struct Image {
    reference: String,
}

/// The image, made where none is there; none, with the reason printed, where it cannot be.
fn image() -> Option<Arc<Image>> {
    static SHARED: Mutex<Weak<Image>> = Mutex::new(Weak::new());
    static MADE: AtomicU32 = AtomicU32::new(1);
    if engine("GET", "/_ping", &[]).is_none() {
        println!(
            "skipped: no container engine answers at {}",
            socket().display()
        );
        return None;
    }
    let Some(service) = sibling("examples/container-service") else {
        println!(
            "skipped: examples/container-service is not built; cargo test --workspace builds it"
        );
        return None;
    };
    let mut shared = SHARED.lock().unwrap();
    if let Some(image) = shared.upgrade() {
        return Some(image);
    }
    let tag = format!(
        "{}-{}",
        std::process::id(),
        MADE.fetch_add(1, Ordering::Relaxed)
    );
    let changes = [
        r#"ENTRYPOINT ["/service"]"#,
        r#"HEALTHCHECK --interval=1s CMD ["/service"]"#,
    ];
    let changes = changes.map(|change| format!("&changes={}", encoded(change)));
    let path = format!(
        "/images/create?fromSrc=-&repo=tailmark-test&tag={tag}{}",
        changes.concat()
    );
    let (status, answer) = engine("POST", &path, &archive(&service)).unwrap();
    assert_eq!(status, 200, "{answer}");
    let image = Arc::new(Image {
        reference: format!("tailmark-test:{tag}"),
    });
    *shared = Arc::downgrade(&image);
    Some(image)
}

impl Drop for Image {
    fn drop(&mut self) {
        let path = format!("/images/{}?force=true", self.reference);
        let removed = engine("DELETE", &path, &[]);
        assert!(std::thread::panicking() || removed.is_some_and(|(status, _)| status == 200));
    }
}

fn socket() -> PathBuf {
    let host = std::env::var("DOCKER_HOST").unwrap_or_default();
    host.strip_prefix("unix://")
        .unwrap_or("/var/run/docker.sock")
        .into()
}

/// Asks the engine by HTTP/1.0, so that its answer ends with the connection; the status and the body.
fn engine(method: &str, path: &str, body: &[u8]) -> Option<(u16, String)> {
    let mut stream = UnixStream::connect(socket()).ok()?;
    let length = body.len();
    let kind = "content-type: application/x-tar";
    write!(
        stream,
        "{method} {path} HTTP/1.0\r\nhost: localhost\r\n{kind}\r\ncontent-length: {length}\r\n\r\n"
    )
    .ok()?;
    stream.write_all(body).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    Some((status, body.to_owned()))
}

fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02x}")).collect()
}

/// The program as `/service` and its libraries where they are on this machine, as a tar archive.
fn archive(program: &Path) -> Vec<u8> {
    let listed = Command::new("ldd").arg(program).output().unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    let mut archive = Vec::new();
    add(&mut archive, "service", program);
    for word in listed
        .split_whitespace()
        .filter(|word| word.starts_with('/'))
    {
        add(&mut archive, word.trim_start_matches('/'), Path::new(word));
    }
    archive.resize(archive.len() + 1024, 0);
    archive
}

/// A file with its head in the format of POSIX, `ustar`.
fn add(archive: &mut Vec<u8>, name: &str, file: &Path) {
    let content = std::fs::read(file).unwrap();
    let mut head = [0; 512];
    let mut put =
        |at: usize, text: &str| head[at..at + text.len()].copy_from_slice(text.as_bytes());
    put(0, name);
    put(100, "0000755");
    put(108, "0000000");
    put(116, "0000000");
    put(124, &format!("{:011o}", content.len()));
    put(136, "00000000000");
    // The sum counts its own field as blanks.
    put(148, "        ");
    put(156, "0");
    put(257, "ustar\x0000");
    let sum: u32 = head.iter().map(|byte| u32::from(*byte)).sum();
    head[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    archive.extend(head);
    archive.extend(&content);
    archive.resize(archive.len().next_multiple_of(512), 0);
}

/// The containers with a label, running or not.
fn labelled(label: &str) -> Vec<Value> {
    let filters = encoded(&format!(r#"{{"label":["{label}"]}}"#));
    let (status, body) = engine(
        "GET",
        &format!("/containers/json?all=true&filters={filters}"),
        &[],
    )
    .unwrap();
    assert_eq!(status, 200, "{body}");
    serde_json::from_str(&body).unwrap()
}

fn is_there(id: &str) -> bool {
    let (status, _) = engine("GET", &format!("/containers/{id}/json"), &[]).unwrap();
    status == 200
}

/// What the engine says of an image or a container: `path` is `images/NAME` or `containers/ID`.
fn inspected(path: &str) -> Value {
    let (status, body) = engine("GET", &format!("/{path}/json"), &[]).unwrap();
    assert_eq!(status, 200, "{body}");
    serde_json::from_str(&body).unwrap()
}

/// The container of this process whose main process is `pid`.
fn container_of(pid: u32) -> String {
    let own = format!("tailmark.owner.pid={}", std::process::id());
    let ids = labelled(&own)
        .into_iter()
        .map(|found| found["Id"].as_str().unwrap().to_owned());
    let mut matching = ids.filter(|id| {
        let (_, body) = engine("GET", &format!("/containers/{id}/json"), &[]).unwrap();
        serde_json::from_str::<Value>(&body).is_ok_and(|seen| seen["State"]["Pid"] == pid)
    });
    matching.next().unwrap()
}

/// A target of the image, as a targets file describes it.
struct Case {
    image: Arc<Image>,
    spec: TargetSpec,
    folder: tempfile::TempDir,
}

impl Case {
    /// With these lines, beside those that all have.
    fn new(lines: &str) -> Option<Self> {
        let image = image()?;
        let text = format!(
            "tailmark: 1\ntargets:\n  svc:\n    image: {}\n    stop: {{ within: 20s }}\n{lines}",
            image.reference
        );
        let folder = tempfile::tempdir().unwrap();
        let file = TargetsFile::parse("targets.yaml", folder.path(), text.as_bytes());
        let file = file.map_err(|problems| problems.to_string()).unwrap();
        Some(Self {
            image,
            spec: file.named("svc").unwrap().clone(),
            folder,
        })
    }

    fn log(&self) -> PathBuf {
        self.folder.path().join("svc.log")
    }

    async fn launch(&self) -> Result<Target, TargetError> {
        let launch = Launch {
            env: vec![("COLOUR".to_owned(), "blue".to_owned())],
            log: &self.log(),
            connect_to: &[],
            beside: Companions::default(),
            cpus: None,
        };
        Target::launch(&self.spec, launch).await
    }
}

/// On this machine's network, where nobody else is to reach it.
const LOCAL: &str = "    env: { HOST: 127.0.0.1, COLOUR: red }\n";

async fn get(target: &Target, path: &str) -> Result<String, reqwest::Error> {
    let url = format!("http://{}{path}", target.address());
    reqwest::get(url).await?.text().await
}

#[tokio::test]
async fn on_the_machines_network_it_is_told_a_port() {
    let Some(case) = Case::new(&format!(
        "{LOCAL}    args: at {{port}}\n    ready: {{ path: / }}\n"
    )) else {
        return;
    };
    let target = case.launch().await.unwrap();
    let port = target.address().port();
    assert!(target.address().ip().is_loopback());
    assert_eq!(get(&target, "/env/PORT").await.unwrap(), port.to_string());
    assert_eq!(
        get(&target, "/env/COLOUR").await.unwrap(),
        "blue",
        "a launch's variable wins"
    );
    assert!(target.startup().unwrap() > Duration::ZERO);

    let pid = target.pid().unwrap();
    let id = container_of(pid);
    let identity = target.identity().clone();
    assert_eq!(identity.kind, "image");
    assert_eq!(
        identity.command.unwrap(),
        ["/service", "at", &port.to_string()]
    );
    let container = identity.container.unwrap();
    assert!(container.image.starts_with("tailmark-test:"));
    assert!(container.image_id.starts_with("sha256:"), "{container:?}");
    assert!(container.image_bytes.unwrap() > 100_000, "{container:?}");
    assert_eq!(
        (container.image_digest, container.network.as_str()),
        (None, "host")
    );

    let exit = target.stop().await.unwrap().unwrap();
    assert_eq!(
        (exit.cause, exit.status.code()),
        (ExitCause::Stopped, Some(0)),
        "{exit}"
    );
    assert_eq!(exit.out_of_memory, None);
    assert!(!is_there(&id) && !Path::new(&format!("/proc/{pid}")).exists());
    let log = std::fs::read_to_string(case.log()).unwrap();
    assert_eq!(log, format!("listening on {port} at {port}\nbye\n"));
}

#[tokio::test]
async fn with_a_fixed_port_it_has_a_network_of_its_own() {
    let Some(case) = Case::new("    port: 8080\n") else {
        return;
    };
    let target = case.launch().await.unwrap();
    assert!(!target.address().ip().is_loopback());
    assert_eq!(target.address().port(), 8080);
    assert_eq!(get(&target, "/env/PORT").await.unwrap(), "8080");
    assert_eq!(target.identity().container.as_ref().unwrap().network, "own");
    let exit = target.stop().await.unwrap().unwrap();
    assert_eq!(
        (exit.cause, exit.status.code()),
        (ExitCause::Stopped, Some(0)),
        "{exit}"
    );
}

#[tokio::test]
async fn the_images_own_health_check_does_not_run() {
    let Some(case) = Case::new(LOCAL) else {
        return;
    };
    let image = inspected(&format!("images/{}", case.image.reference));
    assert_eq!(image["Config"]["Healthcheck"]["Test"][0], "CMD", "{image}");
    let target = case.launch().await.unwrap();
    let container = inspected(&format!("containers/{}", target.container().unwrap().id()));
    assert_eq!(
        container["Config"]["Healthcheck"]["Test"],
        serde_json::json!(["NONE"])
    );
    assert!(container["State"]["Health"].is_null(), "{container}");
    target.stop().await.unwrap();
}

#[tokio::test]
async fn an_image_that_is_not_there_is_named() {
    let Some(mut case) = Case::new(LOCAL) else {
        return;
    };
    let text = "tailmark: 1\ntargets: { svc: { image: \"tailmark-test:none\" } }";
    let file = TargetsFile::parse("targets.yaml", Path::new("."), text.as_bytes()).unwrap();
    case.spec = file.named("svc").unwrap().clone();
    let error = case.launch().await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "svc: there is no image `tailmark-test:none` on this machine"
    );
    assert!(
        error.hint().unwrap().contains("--pull"),
        "{:?}",
        error.hint()
    );
}

#[tokio::test]
async fn one_that_ends_at_once_is_quoted() {
    let Some(case) = Case::new("    env: { HOST: 127.0.0.1, FAIL: no configuration }\n") else {
        return;
    };
    let error = case.launch().await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "svc ended before it was ready (exit status: 3)"
    );
    assert!(
        error.hint().unwrap().contains("no configuration"),
        "{:?}",
        error.hint()
    );
}

#[tokio::test]
async fn one_that_cannot_be_started_says_why() {
    let Some(case) = Case::new(&format!("{LOCAL}    limits: {{ cpus: 4000 }}\n")) else {
        return;
    };
    let error = case.launch().await.unwrap_err().to_string();
    assert!(
        error.starts_with("svc: the container engine cannot "),
        "{error}"
    );
    assert!(error.to_lowercase().contains("cpu"), "{error}");
}

#[tokio::test]
async fn one_that_is_late_is_quoted_and_gone() {
    let lines = format!("{LOCAL}    ready: {{ path: /never, within: 1s }}\n");
    let Some(case) = Case::new(&lines) else {
        return;
    };
    let error = case.launch().await.unwrap_err();
    let message = error.to_string();
    assert!(
        message.starts_with("svc was not ready within 1 s: GET /never → "),
        "{message}"
    );
    let hint = error.hint().unwrap();
    assert!(
        hint.contains("listening on") && hint.contains("bye"),
        "{hint}"
    );
}

#[tokio::test]
async fn one_that_passes_over_its_signal_is_killed() {
    let lines = "    env: { HOST: 127.0.0.1, DEAF: 1 }\n";
    let Some(mut case) = Case::new(lines) else {
        return;
    };
    case.spec.stop.within = Duration::from_millis(50);
    let target = case.launch().await.unwrap();
    let id = container_of(target.pid().unwrap());
    let exit = target.stop().await.unwrap().unwrap();
    assert_eq!(
        (exit.cause, exit.status.code()),
        (ExitCause::Killed, Some(137)),
        "{exit}"
    );
    assert!(
        exit.after >= Duration::from_millis(50) && !is_there(&id),
        "{exit}"
    );
}

#[tokio::test]
async fn one_that_needs_more_memory_than_it_may_have_says_so() {
    let Some(case) = Case::new(&format!("{LOCAL}    limits: {{ memory: 32MiB }}\n")) else {
        return;
    };
    let target = case.launch().await.unwrap();
    assert_eq!(get(&target, "/grow/8").await.unwrap(), "8");
    assert!(
        get(&target, "/grow/64").await.is_err(),
        "it is killed on the way"
    );
    tokio::time::timeout(PATIENCE, target.ended())
        .await
        .unwrap();
    let error = target.gone().await;
    assert_eq!(
        error.to_string(),
        "svc ran out of memory: the kernel killed it, for it needed more memory than its limit of 32 MiB"
    );
    assert!(
        error.hint().unwrap().contains("listening on"),
        "{:?}",
        error.hint()
    );
}

#[tokio::test]
async fn dropping_one_removes_its_container() {
    let Some(case) = Case::new(LOCAL) else {
        return;
    };
    let target = case.launch().await.unwrap();
    let id = container_of(target.pid().unwrap());
    drop(target);
    assert!(!is_there(&id));
}

const SCENARIO: &str = "tailmark: 1
flows: { f: { steps: [ { get: / } ] } }
phases: [ { name: steady, rate: 50/s, for: 1s } ]
";

/// A tool with a scenario and a target of the image.
fn tool(image: &Image, ready: &str) -> Tool {
    let tool = Tool::new();
    tool.write("load.yaml", SCENARIO);
    let reference = &image.reference;
    let target = format!(
        "  svc: {{ image: \"{reference}\", command: ./no-such-program, env: {{ HOST: 127.0.0.1 }}, ready: {ready} }}"
    );
    tool.write(
        "targets.yaml",
        &format!("tailmark: 1\ntargets:\n{target}\n"),
    );
    tool
}

/// The container of process `pid`, as soon as it is there.
fn awaited(pid: u32) -> String {
    let label = format!("tailmark.owner.pid={pid}");
    let started = Instant::now();
    loop {
        let running = |found: &&Value| found["State"] == "running";
        if let Some(found) = labelled(&label).iter().find(running) {
            return found["Id"].as_str().unwrap().to_owned();
        }
        assert!(started.elapsed() < PATIENCE, "no container of {label}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn what_a_killed_run_leaves_behind_is_removed_by_the_next() {
    let Some(image) = image() else { return };
    let tool = tool(&image, "{ path: / }");
    let long = ["run", "load.yaml", "--target", "svc", "-d", "10m"];
    let mut killed = tool.command(&long).stderr(Stdio::null()).spawn().unwrap();
    let left = awaited(killed.id());
    killed.kill().unwrap();
    killed.wait().unwrap();
    assert!(is_there(&left));

    let limits = ["--memory", "64MiB", "--cpus", "0.5", "--json"];
    let words = [&["run", "load.yaml", "--target", "svc"][..], &limits].concat();
    let ran = tool.run(&words);
    let record = ran.json(0);
    assert!(!is_there(&left), "{}", ran.err);
    assert!(ran.err.contains("svc runs in a container: "), "{}", ran.err);
    let target = &record["target"];
    assert_eq!(target["kind"], "image");
    assert!(
        target["exit"]
            .as_str()
            .unwrap()
            .starts_with("stopped within "),
        "{target}"
    );
    let identity = &target["identity"];
    assert!(
        identity["runtime"]
            .as_str()
            .unwrap()
            .starts_with("in a container: "),
        "{identity}"
    );
    let container = &identity["container"];
    assert_eq!(container["network"], "host");
    assert_eq!(container["limit_memory_bytes"], 64 << 20);
    assert_eq!(container["limit_nano_cpus"], 500_000_000);
    assert!(record["resources"]["startup_ns"].as_u64().unwrap() > 0);
    // And it was the process in the container that was watched.
    assert!(
        record["resources"]["cpu"]["ns"].is_u64(),
        "{}",
        record["resources"]
    );
}

#[test]
fn an_engine_at_a_port_runs_targets_that_need_nothing_of_this_machine() {
    let Some(image) = image() else { return };
    let tool = tool(&image, "{ path: / }");
    let elsewhere = support::forwarded::at_a_port();
    let run = |flags: &[&str]| {
        let words = [&["run", "load.yaml", "--target", "svc", "--json"], flags].concat();
        let output = tool.command(&words).env("DOCKER_HOST", &elsewhere).output();
        support::Ran::from(output.unwrap())
    };
    let ran = run(&[]);
    let record = ran.json(0);
    assert!(ran.err.contains("svc runs in a container: "), "{}", ran.err);
    let target = &record["target"];
    assert!(
        target["url"]
            .as_str()
            .unwrap()
            .starts_with("http://127.0.0.1:"),
        "{target}"
    );
    // Its process is not looked for here.
    assert!(target["identity"]["process_id"].is_null(), "{target}");
    assert!(
        target["exit"]
            .as_str()
            .unwrap()
            .starts_with("stopped within "),
        "{target}"
    );
    let container = &record["resources"]["container"];
    assert_eq!(container["source"], "docker-stats", "{container}");
    assert!(record["resources"]["memory"]["working_set"]["idle_bytes"].is_u64());

    let file = tool.folder.path().join("targets.yaml");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replace("image:", "stores: [redis], image:")).unwrap();
    let ran = run(&["--runtime", "container"]);
    assert_eq!(ran.code, Some(2), "{}", ran.err);
    let expected = format!(
        "error: svc has stores or processes beside it on 127.0.0.1 here, out of reach of a container at {elsewhere}\n"
    );
    assert!(ran.err.starts_with(&expected), "{}", ran.err);
}

#[test]
fn an_end_for_want_of_memory_is_said_with_the_limit() {
    let Some(image) = image() else { return };
    let tool = tool(&image, "{ path: / }");
    // Far more than the limit, whatever part of it is answered.
    let hungry = SCENARIO.replace("get: /", "get: /grow/4");
    tool.write("hungry.yaml", &hungry);
    let words = [
        "run",
        "hungry.yaml",
        "--target",
        "svc",
        "--memory",
        "32MiB",
        "--json",
    ];
    let ran = tool.run(&words);
    let code = ran.code.filter(|&code| code == 0 || code == 4);
    let record = ran.json(code.unwrap_or(0));
    let container = &record["resources"]["container"];
    assert_eq!(container["oom_kills"], 1, "{container}");
    assert_eq!(container["memory_limit_bytes"], 32 << 20);
    let exit = record["target"]["exit"].as_str().unwrap();
    assert!(
        exit.ends_with("the kernel killed it, for it needed more memory than its limit of 32 MiB"),
        "{exit}"
    );
    let text = tool.run(&["report", tool.latest().to_str().unwrap()]).out;
    let said = "OOM KILL   the kernel killed a process of the container for want of memory: its limit is 32.0 MiB";
    assert!(text.contains(said), "{text}");
}

#[test]
fn an_interrupt_while_it_starts_leaves_nothing_behind() {
    let Some(image) = image() else { return };
    let tool = tool(&image, "{ path: /never, within: 5m }");
    let words = ["run", "load.yaml", "--target", "svc"];
    let mut command = tool.command(&words);
    let child = command
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let id = awaited(child.id());
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let ended = child.wait_with_output().unwrap();
    assert_eq!(
        ended.status.code(),
        Some(130),
        "{}",
        String::from_utf8_lossy(&ended.stderr)
    );
    assert!(!is_there(&id));
}

/// The image beside a program: as `svc` alone, with a command that runs here (`both`), and a command alone (`program`).
fn mixed(image: &Image) -> Tool {
    let tool = Tool::new();
    tool.write("load.yaml", SCENARIO);
    let program = sibling("examples/container-service").unwrap();
    std::os::unix::fs::symlink(&program, tool.folder.path().join("service")).unwrap();
    let (reference, common) = (
        &image.reference,
        "env: { HOST: 127.0.0.1 }, ready: { path: / }",
    );
    let text = format!(
        "tailmark: 1
targets:
  svc: {{ image: \"{reference}\", {common} }}
  both: {{ image: \"{reference}\", command: ./service, {common} }}
  other: {{ image: \"{reference}\", command: ./service, {common} }}
  lost: {{ image: \"tailmark-test:none\", command: ./service, {common} }}
  program: {{ command: ./service, {common} }}
  fixed: {{ image: \"{reference}\", port: 8080, ready: {{ path: / }} }}
"
    );
    tool.write("targets.yaml", &text);
    tool
}

/// One short round of `arms`, with `more` flags.
fn compared(tool: &Tool, arms: &[&str], more: &[&str]) -> support::Ran {
    let round = [
        "--rounds",
        "1",
        "--warmup",
        "100ms",
        "--measure",
        "1s",
        "--json",
    ];
    tool.run(&[&["compare", "load.yaml"], arms, &round, more].concat())
}

#[test]
fn arms_of_a_comparison_run_the_same_way_or_not_at_all() {
    let Some(image) = image() else { return };
    let tool = mixed(&image);
    for (arms, message, hint) in [
        (
            ["program", "svc"],
            "error: program would be a process (it has no `image`) and svc a container: ",
            "hint: give program an `image`, or svc a `command`, in targets.yaml",
        ),
        (
            ["svc", "lost"],
            "has no image `tailmark-test:none`) and svc a container: ",
            "hint: build it again, or give svc a `command` in targets.yaml",
        ),
        (
            ["http://127.0.0.1:1", "svc"],
            "error: 127.0.0.1-1 would be a process (it runs already) and svc a container: ",
            "hint: give svc a `command` in targets.yaml",
        ),
    ] {
        let ran = compared(&tool, &arms, &[]);
        assert_eq!(ran.code, Some(2), "{arms:?}: {}", ran.err);
        assert!(ran.err.contains(message), "{arms:?}: {}", ran.err);
        assert!(ran.err.contains(hint), "{arms:?}: {}", ran.err);
        assert_eq!(tool.saved(), Vec::<String>::new(), "{arms:?}");
    }
    // By itself it takes processes for both, where one has no image; and containers where the other is nothing else.
    for (arms, kind, why) in [
        (
            ["both", "program"],
            "command",
            "both runs as a process: beside program, for it has no `image`\n",
        ),
        (["both", "lost"], "command", "both, lost run as a process: "),
        (
            ["both", "svc"],
            "image",
            "both runs in a container: beside svc, for it has no `command` (",
        ),
    ] {
        let ran = compared(&tool, &arms, &[]);
        assert!(ran.err.contains(why), "{arms:?}: {}", ran.err);
        let comparison: Value = serde_json::from_str(&ran.out).unwrap();
        for arm in comparison["arms"].as_array().unwrap() {
            assert_eq!(arm["target"]["kind"], kind, "{arms:?}");
        }
    }
}

#[test]
fn every_arm_has_the_limits_that_are_asked_for() {
    let Some(image) = image() else { return };
    let tool = mixed(&image);
    let limits = ["--memory", "48MiB", "--cpus", "0.5"];
    let ran = compared(&tool, &["svc", "both"], &limits);
    let comparison: Value =
        serde_json::from_str(&ran.out).unwrap_or_else(|_| panic!("{}", ran.err));
    let folder = tool.latest();
    for (place, name) in ["svc", "both"].into_iter().enumerate() {
        let container = &comparison["arms"][place]["target"]["identity"]["container"];
        assert_eq!(container["limit_memory_bytes"], 48 << 20, "{container}");
        assert_eq!(container["limit_nano_cpus"], 500_000_000, "{container}");
        assert!(
            container["image_created"]
                .as_str()
                .unwrap()
                .starts_with("20"),
            "{container}"
        );
        // And so the kernel saw it.
        let text = std::fs::read_to_string(folder.join(format!("r01-{name}/run.json"))).unwrap();
        let record: Value = serde_json::from_str(&text).unwrap();
        let seen = &record["resources"]["container"];
        assert_eq!(seen["memory_limit_bytes"], 48 << 20, "{seen}");
        assert_eq!(seen["cpu_limit"], 0.5, "{seen}");
        let memory = &record["resources"]["memory"]["working_set"];
        assert!(
            memory["idle_bytes"].as_u64().unwrap() < 48 << 20,
            "{memory}"
        );
    }
    let ran = compared(
        &tool,
        &["both", "other"],
        &[&limits[..], &["--runtime", "process"]].concat(),
    );
    assert_eq!(ran.code, Some(2), "{}", ran.err);
    let message = "error: both cannot be limited to 0.5 CPUs and 48 MiB of memory: it runs as a process: as asked";
    assert!(ran.err.contains(message), "{}", ran.err);
    assert!(
        ran.err.contains("hint: limits are for containers"),
        "{}",
        ran.err
    );
}

#[test]
fn an_image_that_is_older_than_the_program_is_said_to_be() {
    let Some(image) = image() else { return };
    let tool = mixed(&image);
    let program = tool.folder.path().join("service");
    let bytes = std::fs::read(&program).unwrap();
    std::fs::remove_file(&program).unwrap();
    std::fs::write(&program, bytes).unwrap();
    let written = |moment| {
        let file = std::fs::File::options().write(true).open(&program).unwrap();
        file.set_modified(moment).unwrap();
    };
    let now = std::time::SystemTime::now();
    let words = [
        "run",
        "load.yaml",
        "--target",
        "both",
        "--no-save",
        "--runtime",
        "container",
    ];
    written(now + Duration::from_secs(3_630));
    let ran = tool.run(&words);
    let chosen = format!(
        "both runs in a container: as asked ({} built ",
        image.reference
    );
    assert!(ran.err.contains(&chosen), "{}", ran.err);
    let outdated = format!(
        "./service is 60 min newer than the image {}: ",
        image.reference
    );
    assert!(ran.err.contains(&outdated), "{}", ran.err);
    assert!(
        ran.err.contains("; build it again, or --runtime process"),
        "{}",
        ran.err
    );
    written(now - Duration::from_secs(86_400));
    let ran = tool.run(&words);
    assert!(
        ran.err.contains(&chosen) && !ran.err.contains("newer"),
        "{}",
        ran.err
    );
}

#[test]
fn services_are_up_in_containers_until_they_are_interrupted() {
    let Some(image) = image() else { return };
    let tool = mixed(&image);
    let words = [
        "services", "up", "both", "program", "--json", "--memory", "48MiB",
    ];
    let refused = tool.run(&words);
    assert_eq!(refused.code, Some(2), "{}", refused.err);
    let message = "error: program cannot be limited to 48 MiB of memory: it runs as a process";
    assert!(refused.err.contains(message), "{}", refused.err);

    let words = [
        "services", "up", "both", "svc", "--json", "--memory", "48MiB",
    ];
    let mut command = tool.command(&words);
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    let mut output = std::io::BufReader::new(child.stdout.take().unwrap());
    std::io::BufRead::read_line(&mut output, &mut line).unwrap();
    let said: Value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("{line:?}"));
    let label = format!("tailmark.owner.pid={}", child.id());
    let containers = labelled(&label);
    assert_eq!(containers.len(), 2, "{said}");
    for found in &containers {
        let id = found["Id"].as_str().unwrap();
        let (_, body) = engine("GET", &format!("/containers/{id}/json"), &[]).unwrap();
        let seen: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(seen["HostConfig"]["Memory"], 48 << 20);
    }
    for service in said["services"].as_array().unwrap() {
        let url = service["url"].as_str().unwrap();
        let address = url.strip_prefix("http://").unwrap().trim_end_matches('/');
        std::net::TcpStream::connect(address).unwrap();
    }
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert_eq!(labelled(&label), Vec::<Value>::new());
}

#[test]
fn thresholds_of_memory_and_cpu_are_about_the_container() {
    let Some(image) = image() else { return };
    let tool = mixed(&image);
    let thresholds = [
        ("mem.idle < 1GiB", true),
        ("mem.p95 < 1GiB", true),
        ("mem.peak > 64KiB", true),
        ("mem.after_idle < 1GiB", true),
        ("mem.slope < 1GiB/s", true),
        ("cpu.per_1k < 1h", true),
        ("mem.peak < 64KiB", false),
    ];
    let flags = thresholds
        .iter()
        .flat_map(|(that, _)| ["--threshold", that]);
    let words = ["run", "load.yaml", "--target", "svc", "-d", "11s", "--json"];
    let ran = tool.run(&words.into_iter().chain(flags).collect::<Vec<_>>());
    let record: Value = serde_json::from_str(&ran.out).unwrap_or_else(|_| panic!("{}", ran.err));
    let valid = record["validity"]["state"] == "valid";
    assert_eq!(ran.code, Some(if valid { 1 } else { 4 }), "{}", ran.err);
    let memory = &record["resources"]["memory"]["working_set"];
    for (ruling, (that, passed)) in record["thresholds"]
        .as_array()
        .unwrap()
        .iter()
        .zip(thresholds)
    {
        assert_eq!(ruling["expression"], that);
        assert_eq!(ruling["passed"], passed, "{ruling}: {memory}");
        assert!(ruling["observed"].is_number(), "{ruling}");
    }
    assert_eq!(
        record["thresholds"][0]["observed"].as_f64(),
        memory["idle_bytes"].as_f64()
    );
}

/// What was seen of starts in containers, with what is void on a machine that does much else.
#[test]
fn a_start_is_timed_from_the_execution_of_the_program_in_the_container() {
    let Some(image) = image() else { return };
    let tool = mixed(&image);
    let words = [
        "startup", "svc", "both", "--rounds", "3", "--json", "--memory", "48MiB",
    ];
    let ran = tool.run(&words);
    let startups: Value = serde_json::from_str(&ran.out).unwrap_or_else(|_| panic!("{}", ran.err));
    let rounds = startups["rounds"].as_array().unwrap();
    let valid = rounds.iter().any(|round| round["valid"] == true);
    assert_eq!(ran.code, Some(if valid { 0 } else { 4 }), "{}", ran.err);
    assert_eq!(rounds.len(), 3);
    for launch in rounds
        .iter()
        .flat_map(|round| round["launches"].as_array().unwrap())
    {
        let ns = |key: &str| launch[key]["ns"].as_u64().unwrap();
        let engine = launch["engine_ns"].as_u64().unwrap();
        // The engine makes a container, a file system and namespaces first; the service opens a socket.
        assert!(engine > ns("listening"), "{launch}");
        assert!(
            ns("listening") > 0 && ns("first_ok") >= ns("listening"),
            "{launch}"
        );
        assert_eq!(launch["memory"]["kind"], "working set");
        assert!(
            launch["memory"]["idle_bytes"].as_u64().unwrap() < 48 << 20,
            "{launch}"
        );
        assert_eq!(launch["size"]["of"], "image");
        assert!(
            launch["size"]["bytes"].as_u64().unwrap() > 100_000,
            "{launch}"
        );
    }
    let container = &startups["arms"][1]["target"]["identity"]["container"];
    assert_eq!(container["limit_memory_bytes"], 48 << 20);
    let shown = tool.run(&["report", tool.latest().to_str().unwrap()]);
    for words in [
        "before it ms  engine",
        "size MB       image",
        "both runs",
        "container  ",
    ] {
        let said = shown.out.contains(words) || ran.err.contains(words);
        assert!(said, "{words}: {}", shown.out);
    }
}

/// Its address is known when the engine has answered; by then it may have listened for a while, and that is said.
#[test]
fn a_start_at_an_address_of_its_own_is_seen_late_or_well() {
    let Some(image) = image() else { return };
    let tool = mixed(&image);
    let ran = tool.run(&["startup", "fixed", "--rounds", "1", "--json", "--no-save"]);
    let startups: Value = serde_json::from_str(&ran.out).unwrap_or_else(|_| panic!("{}", ran.err));
    let launch = &startups["rounds"][0]["launches"][0];
    let listening = &launch["listening"];
    let [ns, blind] = ["ns", "blind_ns"].map(|key| listening[key].as_u64().unwrap());
    assert!(launch["first_ok"]["ns"].as_u64().unwrap() >= ns, "{launch}");
    let validity = &launch["validity"];
    let well = blind <= 2_000_000 || blind * 10 <= ns;
    let said =
        validity["notes"].as_array().unwrap().len() + validity["reasons"].as_array().unwrap().len();
    assert!(well || said > 0, "{launch}");
    let valid = validity["state"] == "valid";
    assert_eq!(ran.code, Some(if valid { 0 } else { 4 }), "{}", ran.err);
}

#[test]
fn as_asked_it_is_a_process_or_has_no_limits() {
    let Some(image) = image() else { return };
    let tool = tool(&image, "{ path: / }");
    let words = [
        "run",
        "load.yaml",
        "--target",
        "svc",
        "--runtime",
        "process",
    ];
    let ran = tool.run(&words);
    assert_eq!(ran.code, Some(2), "{}", ran.err);
    assert!(
        ran.err.contains("cannot start `./no-such-program`"),
        "{}",
        ran.err
    );
    let ran = tool.run(&[&words[..], &["--memory", "32MiB"]].concat());
    assert_eq!(ran.code, Some(2), "{}", ran.err);
    assert!(
        ran.err
            .contains("error: svc cannot be limited to 32 MiB of memory"),
        "{}",
        ran.err
    );
    assert!(
        ran.err.contains("hint: limits are for containers"),
        "{}",
        ran.err
    );
}
