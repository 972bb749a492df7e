//! Whose memory and CPU are read of services that run already, as targets.yaml and `--watch` say.
#![allow(clippy::unwrap_used, reason = "a test stops where it cannot go on")]

mod support;

use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};

use rustix::net::{AddressFamily, SocketType};
use serde_json::Value;

use support::Tool;
use support::scripted::{Reply, Scripted};

/// A process that is none of the server's, and small.
struct Sleeper(Child);

impl Sleeper {
    fn start() -> Self {
        let mut command = Command::new("sleep");
        Self(command.arg("3600").stdin(Stdio::null()).spawn().unwrap())
    }

    fn pid(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

const MIB: u64 = 1 << 20;

/// More than a sleeper takes: this process has it beside its own.
const MUCH: u64 = 32 * MIB;

const SCENARIO: &str = "tailmark: 1
flows: { f: { steps: [ { get: / } ] } }
phases: [ { name: steady, rate: 50/s, for: 1s } ]
";

/// A tool with the scenario and `targets`, a line each.
fn tool(targets: &[String]) -> Tool {
    let tool = Tool::new();
    tool.write("load.yaml", SCENARIO);
    let targets: String = targets
        .iter()
        .map(|target| format!("  {target}\n"))
        .collect();
    tool.write("targets.yaml", &format!("tailmark: 1\ntargets:\n{targets}"));
    tool
}

fn idle(series: &Value) -> u64 {
    series["idle_bytes"]
        .as_u64()
        .unwrap_or_else(|| panic!("{series}"))
}

#[test]
fn a_run_reads_whom_the_file_names_and_the_flag_overrides_it() {
    let memory = vec![1u8; MUCH as usize];
    let server = Scripted::start(|_| Reply::Status(200));
    let sleeper = Sleeper::start();
    let url = server.url();
    let tool = tool(&[
        format!(
            "apart: {{ url: \"{url}\", watch: {{ pid: {} }} }}",
            sleeper.pid()
        ),
        format!("itself: {{ url: \"{url}\", watch: {{ port: true }} }}"),
    ]);
    let run = |words: &[&str]| {
        let words = [&["run", "load.yaml", "--json", "--target"], words].concat();
        let ran = tool.run(&words);
        let record = ran.json(0);
        idle(&record["resources"]["memory"]["rss"])
    };
    assert!(run(&["apart"]) < MUCH);
    assert!(run(&["itself"]) > MUCH);
    assert!(run(&["apart", "--watch", "port"]) > MUCH);
    let port = format!("port:{}", url.rsplit(':').next().unwrap());
    assert!(run(&["apart", "--watch", &port]) > MUCH);
    let pid = format!("pid:{}", sleeper.pid());
    assert!(run(&["itself", "--watch", &pid]) < MUCH);
    drop(memory);
}

#[test]
fn each_arm_of_a_comparison_has_its_own() {
    let memory = vec![1u8; MUCH as usize];
    let servers = [(); 2].map(|()| Scripted::start(|_| Reply::Status(200)));
    let sleeper = Sleeper::start();
    let [a, b] = servers.each_ref().map(Scripted::url);
    let tool = tool(&[
        format!("a: {{ url: \"{a}\", watch: {{ pid: {} }} }}", sleeper.pid()),
        format!(
            "b: {{ url: \"{b}\", watch: {{ pid: {} }} }}",
            std::process::id()
        ),
    ]);
    let words = [
        "compare",
        "load.yaml",
        "a",
        "b",
        "--rounds",
        "1",
        "--warmup",
        "100ms",
        "--measure",
        "1s",
        "--json",
    ];
    tool.run(&words).json(0);
    let idle = ["a", "b"].map(|arm| {
        let file = tool.latest().join(format!("r01-{arm}/run.json"));
        let record: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
        idle(&record["resources"]["memory"]["rss"])
    });
    assert!(idle[0] < MUCH && idle[1] > MUCH, "{idle:?}");
    drop(memory);
}

/// A port on which nobody listens, and that nobody else gets meanwhile.
fn port_of_nobody() -> (OwnedFd, u16) {
    let socket = rustix::net::socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
    rustix::net::bind(&socket, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = SocketAddrV4::try_from(rustix::net::getsockname(&socket).unwrap()).unwrap();
    (socket, address.port())
}

#[test]
fn what_is_not_there_is_an_error_before_anything_is_sent() {
    let server = Scripted::start(|_| Reply::Status(200));
    let url = server.url();
    let (_held, nobody) = port_of_nobody();
    let tool = tool(&[
        format!("gone: {{ url: \"{url}\", watch: {{ pid: 4194304 }} }}"),
        format!("there: {{ url: \"{url}\" }}"),
        format!("silent: {{ url: \"{url}\", watch: {{ port: {nobody} }} }}"),
    ]);
    let compared = tool.run(&["compare", "load.yaml", "there", "gone", "--measure", "1s"]);
    assert_eq!(compared.code, Some(2));
    assert_eq!(
        compared.err,
        "error: gone: cannot watch pid:4194304: no process 4194304 to watch\n"
    );
    for (words, expected) in [
        (
            &["gone"][..],
            "error: gone: cannot watch pid:4194304: no process 4194304 to watch\n",
        ),
        (
            &["silent"],
            &format!(
                "error: silent: cannot watch port:{nobody}: nobody listens on port {nobody} of this machine; name the process \
                 with --watch pid:N\n"
            ),
        ),
        (
            &["there", "--watch", "svc"],
            "error: --watch: `svc` names nothing to watch\nhint: write container:NAME, pid:4242, port or port:8080\n",
        ),
    ] {
        let ran = tool.run(&[&["run", "load.yaml", "--target"], words].concat());
        assert_eq!((ran.code, ran.err.as_str()), (Some(2), expected));
    }
    assert_eq!(server.connections(), 0);
    assert!(tool.saved().is_empty(), "{:?}", tool.saved());
}
