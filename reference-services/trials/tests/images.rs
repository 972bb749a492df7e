//! The images of the Dockerfile, as `make images` builds them: what they weigh, that each does its work with nothing in it
//! but a program, how fast the services come and go, and what an idle one holds. And that Compose understands compose.yaml.
//!
//! Where no Docker daemon answers, the images are not built, or it is not `make images-check` that asks, a test says so and
//! passes: images that happen to be there may be of other sources. Limits of the services'
//! size and memory are those that the project promises; limits of time leave room for a busy machine, and what was seen is
//! printed.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test stops where it cannot go on, and prints what it saw or why it was skipped"
)]

use std::collections::HashSet;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use tailmark::stores::{Durability, Options, Stores};

/// What the images of the services may weigh, in bytes.
const SERVICE_BYTES: u64 = 20_000_000;

/// What the image of the generator may weigh, in bytes.
const TAILMARK_BYTES: u64 = 15_000_000;

/// What an idle service may hold, in bytes.
const IDLE_BYTES: f64 = 10.0 * 1024.0 * 1024.0;

/// Launches of which the median is told.
const LAUNCHES: usize = 5;

/// How long a service rests before its memory is read.
const REST: Duration = Duration::from_secs(5);

/// Far above what a start takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// What a service may use up of the ten seconds that it has to end, though it takes less than half of one.
const STOP: Duration = Duration::from_secs(5);

/// On everything that these tests make, so that a person can find it.
const LABEL: &str = "tailmark.test=images";

const SERVICES: [&str; 2] = ["axum-service", "actix-service"];

#[tokio::test]
async fn services_are_small_and_quick() {
    let images = [&["reference-seed"], SERVICES.as_slice()].concat();
    if let Some(reason) = missing(&images) {
        println!("skipped: {reason}");
        return;
    }
    let stores = Stores::start(Options::of_this_machine(Durability::Test))
        .await
        .unwrap();
    let empty = stores.empty().await.unwrap();
    let url = format!("--env=DATABASE_URL={}", empty.database_url().unwrap());
    docker(&[
        "run",
        "--rm",
        "--network=host",
        "--label",
        LABEL,
        &url,
        "tailmark/reference-seed",
    ]);
    stores.keep_as_template(empty).await.unwrap();
    println!(
        "image            size MB   exec to first 200 ms   docker start to it ms   docker stop ms   idle working set MiB"
    );
    for service in SERVICES {
        let lease = stores.lease().await.unwrap();
        let figures = Figures::of(service, &lease.env());
        stores.release(lease).await.unwrap();
        println!("{service:<16} {figures}");
        figures.hold();
    }
    stores.stop().await.unwrap();
}

#[test]
fn an_image_holds_what_its_program_needs_and_no_root() {
    let images = [&["tailmark", "reference-seed"], SERVICES.as_slice()].concat();
    if let Some(reason) = missing(&images) {
        println!("skipped: {reason}");
        return;
    }
    for image in images {
        assert_eq!(inspect(image, "{{.Config.User}}"), "65532:65532", "{image}");
        let entry = inspect(image, "{{json .Config.Entrypoint}}");
        assert!(entry.ends_with(&format!("/{image}\"]")), "{image}: {entry}");
    }
    for service in SERVICES {
        let test = inspect(service, "{{json .Config.Healthcheck.Test}}");
        let expected = format!("[\"CMD\",\"/{service}\",\"healthcheck\"]");
        assert_eq!(test, expected);
    }
    let size = bytes("tailmark");
    println!("tailmark         {:>7.1} MB", size as f64 / 1e6);
    assert!(size <= TAILMARK_BYTES, "tailmark's image has {size} bytes");
}

/// A static program resolves names by itself: from `/etc/hosts`, and by asking Docker's own server.
#[test]
fn tailmark_measures_a_container_that_it_knows_by_name() {
    if let Some(reason) = missing(&["tailmark", "axum-service"]) {
        println!("skipped: {reason}");
        return;
    }
    let network = Network::new();
    // What is asked of it needs no store.
    let service = Container::create(
        "axum-service",
        &["--network", &network.name, "--network-alias", "service"],
        &[
            ("DATABASE_URL", "postgres://nobody@127.0.0.1:1/none"),
            ("REDIS_URL", "redis://127.0.0.1:1"),
        ],
    );
    docker(&["start", &service.id]);
    let record = docker(&[
        "run",
        "--rm",
        "--read-only",
        "--tmpfs=/tmp",
        "--cap-drop=ALL",
        "--label",
        LABEL,
        "--network",
        &network.name,
        "tailmark/tailmark",
        "run",
        "http://service:8080/v1/json",
        "--rate=200/s",
        "--duration=1s",
        "--json",
        "--no-save",
    ]);
    let record: serde_json::Value = serde_json::from_str(&record).unwrap();
    assert_eq!(record["total"]["outcomes"]["ok"], 200, "{record}");
}

#[test]
fn the_image_for_ci_has_a_shell_and_git() {
    if let Some(reason) = missing(&["tailmark-ci"]) {
        println!("skipped: {reason}");
        return;
    }
    let said = docker(&[
        "run",
        "--rm",
        "--label",
        LABEL,
        "tailmark/tailmark-ci",
        "sh",
        "-c",
        "tailmark --version && git --version",
    ]);
    assert!(said.starts_with("tailmark "), "{said}");
    assert!(said.contains("git version "), "{said}");
}

#[test]
fn compose_understands_its_file() {
    let file = root().join("compose.yaml");
    let text = fs::read_to_string(&file).unwrap();
    for line in text.lines().filter(|line| line.contains("ports:")) {
        let ports = line.trim().trim_start_matches("ports:").trim();
        assert!(ports.starts_with("[\"127.0.0.1:"), "{line}");
        assert_eq!(ports.matches('"').count(), 2, "one port per line: {line}");
    }
    let commands: [&[&str]; 2] = [&["docker", "compose"], &["docker-compose"]];
    let compose = commands.into_iter().find(|words| {
        let version = Command::new(words[0])
            .args(&words[1..])
            .arg("version")
            .output();
        version.is_ok_and(|output| output.status.success())
    });
    let Some(compose) = compose else {
        println!("skipped: neither `docker compose` nor `docker-compose` is there");
        return;
    };
    let output = Command::new(compose[0])
        .args(&compose[1..])
        .arg("--file")
        .arg(&file)
        .args(["config", "--services"])
        .output()
        .unwrap();
    let mut services: Vec<&str> = succeeded(&output).lines().collect();
    services.sort_unstable();
    let expected = [
        "actix",
        "axum",
        "postgres",
        "redis",
        "seed-actix",
        "seed-axum",
        "tailmark",
    ];
    assert_eq!(services, expected);
}

/// What is told of a service's image.
struct Figures {
    size: u64,
    first_answer: Duration,
    from_docker: Duration,
    stop: Duration,
    idle: f64,
}

impl Figures {
    /// Starts and stops it [`LAUNCHES`] times, and lets it rest once. Each time it must end with 0.
    fn of(service: &str, environment: &[(String, String)]) -> Self {
        let (mut first, mut from_docker, mut stops) = (Vec::new(), Vec::new(), Vec::new());
        let mut idle = 0.0;
        for launch in 0..LAUNCHES {
            let port = free_port().to_string();
            let mut variables = vec![("HOST", "127.0.0.1"), ("PORT", &port)];
            let stores = environment.iter();
            variables.extend(stores.map(|(name, value)| (name.as_str(), value.as_str())));
            let container = Container::create(
                service,
                &["--network=host", "--security-opt=no-new-privileges"],
                &variables,
            );
            let answered = container.start(service, port.parse().unwrap());
            first.push(answered.since_exec);
            from_docker.push(answered.since_start);
            if launch == 0 {
                docker(&["exec", &container.id, &format!("/{service}"), "healthcheck"]);
                sleep(REST);
                idle = container.working_set();
            }
            let start = Instant::now();
            docker(&["stop", "--time=25", &container.id]);
            stops.push(start.elapsed());
            let code = docker(&["inspect", "--format={{.State.ExitCode}}", &container.id]);
            assert_eq!(code, "0", "{service} ended with {code}");
        }
        Self {
            size: bytes(service),
            first_answer: median(first),
            from_docker: median(from_docker),
            stop: median(stops),
            idle,
        }
    }

    fn hold(&self) {
        assert!(self.size <= SERVICE_BYTES, "it has {} bytes", self.size);
        assert!(self.idle <= IDLE_BYTES, "it holds {} bytes", self.idle);
        assert!(self.first_answer < PATIENCE / 10, "a start took {self}");
        assert!(self.stop < STOP, "a stop took {self}");
    }
}

impl std::fmt::Display for Figures {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let ms = |time: Duration| time.as_secs_f64() * 1e3;
        write!(
            f,
            "{:>7.1}   {:>20.1}   {:>21.0}   {:>14.0}   {:>20.1}",
            self.size as f64 / 1e6,
            ms(self.first_answer),
            ms(self.from_docker),
            ms(self.stop),
            self.idle / 1024.0 / 1024.0
        )
    }
}

/// When a container first answered 200.
struct Answered {
    /// Since its program was there in the place of the container runtime's.
    since_exec: Duration,
    /// Since Docker was asked to start it.
    since_start: Duration,
}

/// A container, removed when this is dropped.
struct Container {
    id: String,
}

impl Container {
    /// Makes one that may write nowhere and has no capability.
    fn create(image: &str, options: &[&str], environment: &[(&str, &str)]) -> Self {
        let variables: Vec<String> = environment
            .iter()
            .map(|(name, value)| format!("--env={name}={value}"))
            .collect();
        let image = format!("tailmark/{image}");
        let mut arguments = vec!["create", "--read-only", "--cap-drop=ALL", "--label", LABEL];
        arguments.extend(options);
        arguments.extend(variables.iter().map(String::as_str));
        arguments.push(&image);
        let id = docker(&arguments);
        Self { id }
    }

    /// Starts it, and asks on `port` whether it is ready until it is.
    fn start(&self, program: &str, port: u16) -> Answered {
        let before = processes();
        let start = Instant::now();
        let mut docker = Command::new("docker")
            .args(["start", &self.id])
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let mut exec = None;
        while start.elapsed() < PATIENCE {
            if exec.is_none() && self.runs(program, &before) {
                exec = Some(Instant::now());
            }
            if let Some(exec) = exec
                && ready(port)
            {
                let answered = Answered {
                    since_exec: exec.elapsed(),
                    since_start: start.elapsed(),
                };
                assert!(docker.wait().unwrap().success());
                return answered;
            }
            sleep(Duration::from_micros(500));
        }
        let _ = docker.wait();
        let log = Command::new("docker").args(["logs", &self.id]).output();
        panic!("{program} was not ready within {PATIENCE:?}: {log:?}");
    }

    /// Whether one of the processes that were not there `before` is its program. Until then it is the runtime's, by
    /// another name.
    fn runs(&self, program: &str, before: &HashSet<String>) -> bool {
        processes().difference(before).any(|pid| {
            let read = |file: &str| fs::read_to_string(format!("/proc/{pid}/{file}"));
            read("comm").is_ok_and(|comm| comm.trim() == program)
                && read("cgroup").is_ok_and(|groups| groups.contains(&self.id))
        })
    }

    /// Its memory as Docker tells it, without what is read from files and in no use, in bytes.
    fn working_set(&self) -> f64 {
        let told = docker(&["stats", "--no-stream", "--format={{.MemUsage}}", &self.id]);
        let used = told.split(" / ").next().unwrap().trim();
        let unit = used.find(|c: char| c.is_ascii_alphabetic()).unwrap();
        let scale = match &used[unit..] {
            "B" => 1.0,
            "KiB" => 1024.0,
            "MiB" => 1024.0 * 1024.0,
            "GiB" => 1024.0 * 1024.0 * 1024.0,
            other => panic!("docker stats tells memory in {other}"),
        };
        used[..unit].parse::<f64>().unwrap() * scale
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        let _ = Command::new("docker")
            .args(["rm", "--force", "--volumes", &self.id])
            .output();
    }
}

/// A network of containers alone, removed when this is dropped.
struct Network {
    name: String,
}

impl Network {
    fn new() -> Self {
        let name = format!("tailmark-test-{}", std::process::id());
        docker(&["network", "create", "--label", LABEL, &name]);
        Self { name }
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        let _ = Command::new("docker")
            .args(["network", "rm", &self.name])
            .output();
    }
}

/// Why `images` cannot be tried, if they cannot.
fn missing(images: &[&str]) -> Option<String> {
    if std::env::var_os("TAILMARK_IMAGES").is_none() {
        return Some("`make images-check` builds the images and tests them".to_owned());
    }
    match Command::new("docker").args(["ps", "--quiet"]).output() {
        Err(error) => return Some(format!("docker cannot be run: {error}")),
        Ok(output) if !output.status.success() => {
            let said = String::from_utf8_lossy(&output.stderr);
            return Some(format!("no Docker daemon answers: {}", said.trim()));
        }
        Ok(_) => {}
    }
    let absent = images.iter().find(|image| {
        let name = format!("tailmark/{image}");
        let found = Command::new("docker")
            .args(["image", "inspect", &name])
            .output();
        !found.is_ok_and(|output| output.status.success())
    })?;
    Some(format!(
        "there is no image tailmark/{absent}; `make images` builds it"
    ))
}

fn inspect(image: &str, format: &str) -> String {
    let name = format!("tailmark/{image}");
    docker(&["image", "inspect", "--format", format, &name])
}

fn bytes(image: &str) -> u64 {
    inspect(image, "{{.Size}}").parse().unwrap()
}

/// What `docker` prints; it must succeed.
fn docker(arguments: &[&str]) -> String {
    let output = Command::new("docker").args(arguments).output().unwrap();
    succeeded(&output).trim().to_owned()
}

fn succeeded(output: &Output) -> &str {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    std::str::from_utf8(&output.stdout).unwrap()
}

/// Whether `/readyz` answers 200.
fn ready(port: u16) -> bool {
    let ask = || -> std::io::Result<bool> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(b"GET /readyz HTTP/1.1\r\nhost: images\r\nconnection: close\r\n\r\n")?;
        let mut start = [0; 12];
        stream.read_exact(&mut start)?;
        Ok(&start == b"HTTP/1.1 200")
    };
    ask().unwrap_or(false)
}

/// The ids of all processes.
fn processes() -> HashSet<String> {
    let entries = fs::read_dir("/proc").unwrap();
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    names
        .filter(|name| name.bytes().all(|byte| byte.is_ascii_digit()))
        .collect()
}

fn free_port() -> u16 {
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let listener = TcpListener::bind(any).unwrap();
    listener.local_addr().unwrap().port()
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

/// Where the Dockerfile is.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}
