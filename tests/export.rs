//! `--export otlp=…` from outside: what a collector gets, and that none of it touches the result.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

mod support;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as AnyValue;
use opentelemetry_proto::tonic::metrics::v1::Metric;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use prost::Message;

use support::scripted::{Reply, Scripted};
use support::{Ran, Tool};

/// A collector; it ends with the test's process.
struct Collector {
    address: SocketAddr,
    taken: Arc<Mutex<Vec<Taken>>>,
}

/// A request that it got.
#[derive(Clone)]
struct Taken {
    line: String,
    kind: String,
    body: Vec<u8>,
}

impl Collector {
    /// One that answers with what follows the version of HTTP; or never, where that is empty.
    fn answering(answer: &'static str) -> Collector {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let taken = Arc::new(Mutex::new(Vec::new()));
        let shared = Arc::clone(&taken);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let shared = Arc::clone(&shared);
                std::thread::spawn(move || serve(&stream.unwrap(), answer, &shared));
            }
        });
        Collector { address, taken }
    }

    fn url(&self) -> String {
        format!("otlp=http://{}", self.address)
    }

    fn taken(&self) -> Vec<Taken> {
        self.taken.lock().unwrap().clone()
    }

    /// The metrics of all that it got.
    fn metrics(&self) -> Vec<Metric> {
        let messages = self
            .taken()
            .into_iter()
            .map(|taken| ExportMetricsServiceRequest::decode(taken.body.as_slice()).unwrap());
        let resources = messages.flat_map(|message| message.resource_metrics);
        let scopes = resources.flat_map(|resource| resource.scope_metrics);
        scopes.flat_map(|scope| scope.metrics).collect()
    }

    fn attribute(&self, key: &str) -> Option<String> {
        let first = self.taken().into_iter().next()?;
        let message = ExportMetricsServiceRequest::decode(first.body.as_slice()).unwrap();
        let resource = message.resource_metrics[0].resource.clone().unwrap();
        let found = resource.attributes.into_iter().find(|own| own.key == key)?;
        match found.value?.value? {
            AnyValue::StringValue(text) => Some(text),
            other => Some(format!("{other:?}")),
        }
    }
}

/// Answers every request on a connection.
fn serve(stream: &TcpStream, answer: &str, taken: &Mutex<Vec<Taken>>) {
    let mut reader = BufReader::new(stream);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap_or(0) == 0 {
            return;
        }
        let (mut length, mut kind) = (0, String::new());
        loop {
            let mut field = String::new();
            reader.read_line(&mut field).unwrap();
            let Some((name, value)) = field.trim_end().split_once(": ") else {
                break;
            };
            match name.to_lowercase().as_str() {
                "content-length" => length = value.parse().unwrap(),
                "content-type" => value.clone_into(&mut kind),
                _ => {}
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).unwrap();
        let line = line.trim_end().to_owned();
        taken.lock().unwrap().push(Taken { line, kind, body });
        if answer.is_empty() {
            std::thread::sleep(Duration::from_secs(60));
            return;
        }
        let mut writer = stream;
        if write!(writer, "HTTP/1.1 {answer}\r\ncontent-length: 0\r\n\r\n").is_err() {
            return;
        }
    }
}

/// Runs 50 requests and sends them to `collectors`.
fn run(tool: &Tool, collectors: &[&str]) -> Ran {
    let server = Scripted::start(|_| Reply::Status(200));
    let url = server.url();
    let mut words = vec!["run", &url, "-n", "50", "-r", "200"];
    for collector in collectors {
        words.extend(["--export", collector]);
    }
    tool.run(&words)
}

/// The result is there as always, and there is one warning.
fn undisturbed(tool: &Tool, ran: &Ran, warning: &str) {
    assert_eq!(ran.code, Some(0), "{}\n{}", ran.out, ran.err);
    assert!(ran.out.contains("50 due · 50 ok"), "{}", ran.out);
    assert!(tool.latest().join("run.json").is_file());
    let warnings: Vec<&str> = ran
        .err
        .lines()
        .filter(|line| line.starts_with("warning:"))
        .collect();
    assert_eq!(warnings.len(), 1, "{}", ran.err);
    assert!(warnings[0].contains(warning), "{}", ran.err);
}

#[test]
fn a_collector_gets_every_request_of_a_run() {
    let (collector, other) = (
        Collector::answering("200 OK"),
        Collector::answering("200 OK"),
    );
    let tool = Tool::new();
    let with_path = format!("otlp=http://localhost:{}/custom", other.address.port());
    let ran = run(&tool, &[&collector.url(), &with_path]);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert!(!ran.err.contains("warning"), "{}", ran.err);
    let taken = collector.taken();
    assert_eq!(taken[0].line, "POST /v1/metrics HTTP/1.1");
    assert_eq!(taken[0].kind, "application/x-protobuf");
    assert_eq!(other.taken()[0].line, "POST /custom HTTP/1.1");
    let mut counted = 0;
    for metric in collector.metrics() {
        if metric.name != "tailmark.response_time" {
            continue;
        }
        let Some(Data::ExponentialHistogram(histogram)) = metric.data else {
            panic!("{metric:?}");
        };
        assert_eq!(histogram.aggregation_temporality, 1, "delta");
        counted += histogram
            .data_points
            .iter()
            .map(|point| point.count)
            .sum::<u64>();
    }
    assert_eq!(counted, 50);
    assert_eq!(collector.attribute("service.name").unwrap(), "tailmark");
    assert_eq!(
        collector.attribute("tailmark.run.id").as_ref(),
        tool.saved().first()
    );
}

#[test]
fn rounds_of_a_comparison_are_sent_when_it_is_over() {
    let collector = Collector::answering("200 OK");
    let servers = [(); 2].map(|()| Scripted::start(|_| Reply::Status(200)));
    let urls = servers.each_ref().map(Scripted::url);
    let url = collector.url();
    let ran = Tool::new().run(&[
        "compare",
        &urls[0],
        &urls[1],
        "--rounds",
        "2",
        "--warmup",
        "100ms",
        "--measure",
        "500ms",
        "--export",
        &url,
        "--no-save",
    ]);
    assert_eq!(ran.code, Some(0), "{}\n{}", ran.out, ran.err);
    let metrics = collector.metrics();
    let times = metrics
        .iter()
        .find(|metric| metric.name == "tailmark.response_time");
    let Some(Data::ExponentialHistogram(histogram)) = times.unwrap().data.clone() else {
        panic!("{times:?}");
    };
    assert!(histogram.data_points.len() >= 4, "{histogram:?}");
}

#[test]
fn a_collector_that_is_not_there_is_said_once_and_changes_nothing() {
    // Nobody listens there any more.
    let gone = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let tool = Tool::new();
    let ran = run(&tool, &[&format!("otlp=http://{gone}")]);
    undisturbed(&tool, &ran, "connection refused");
}

#[test]
fn a_collector_that_does_not_take_it_is_said_with_what_it_answered() {
    for (answer, warning) in [
        (
            "500 Internal Server Error",
            "it answered 500 Internal Server Error",
        ),
        (
            "307 Temporary Redirect\r\nlocation: /elsewhere",
            "no redirect is followed",
        ),
        ("404 Not Found", "it answered 404 Not Found"),
    ] {
        let collector = Collector::answering(answer);
        let tool = Tool::new();
        let ran = run(&tool, &[&collector.url()]);
        undisturbed(&tool, &ran, warning);
        assert_eq!(
            collector.taken().len(),
            1,
            "{answer}: nothing is sent twice"
        );
    }
}

#[test]
fn a_collector_that_never_answers_is_waited_for_no_longer_than_it_is_said() {
    let collector = Collector::answering("");
    let tool = Tool::new();
    let begun = Instant::now();
    let ran = run(&tool, &[&collector.url()]);
    undisturbed(&tool, &ran, "no answer within 2 s");
    // A run of a quarter of a second, and time for a machine that does other things too; the collector waits for a minute.
    assert!(
        begun.elapsed() < Duration::from_secs(40),
        "{:?}",
        begun.elapsed()
    );
}

#[test]
fn what_names_no_collector_is_refused_before_anything_starts() {
    let server = Scripted::start(|_| Reply::Status(200));
    let url = server.url();
    for (written, hint) in [
        ("http://127.0.0.1:4318", "write otlp=http://127.0.0.1:4318"),
        ("otlp=https://127.0.0.1:4318", "write otlp=http://"),
        ("otlp=http://ada:pw@127.0.0.1:4318", "leave them out"),
    ] {
        let tool = Tool::new();
        let ran = tool.run(&["run", &url, "-n", "5", "--export", written]);
        assert_eq!(ran.code, Some(2), "{written}: {}", ran.out);
        assert!(ran.err.contains(hint), "{written}: {}", ran.err);
        assert_eq!(tool.saved(), [""; 0]);
    }
    assert!(server.asked().is_empty());
}
