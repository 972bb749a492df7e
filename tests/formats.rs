//! The files that `-o` writes, read by those for whom they are.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test stops where it cannot go on, and says why it was skipped"
)]

mod support;

use std::fs;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use support::Tool;
use support::scripted::{Reply, Scripted};

/// Every file of one run, whose every tenth request takes 30 ms and the others next to nothing.
fn measured(tool: &Tool) {
    let server = Scripted::start(|number| match number % 10 {
        0 => Reply::Slow(Duration::from_millis(30)),
        _ => Reply::Status(200),
    });
    let url = server.url();
    let words = [
        "run", &url, "-r", "200", "-d", "3s", "-o", "run.json", "-o", "run.md", "-o", "run.xml",
        "-o", "run.csv", "-o", "run.hlog", "-o", "run.hgrm", "-o", "run.prom",
    ];
    let ran = tool.run(&words);
    assert_eq!(ran.code, Some(0), "{}\n{}", ran.out, ran.err);
}

fn read(tool: &Tool, name: &str) -> String {
    fs::read_to_string(tool.folder.path().join(name)).unwrap()
}

#[test]
fn a_run_and_its_report_write_the_same_files() {
    let tool = Tool::new();
    measured(&tool);
    let latest = tool.latest();
    for ending in ["json", "md", "xml", "csv", "hlog", "hgrm", "prom"] {
        let again = format!("again.{ending}");
        let ran = tool.run(&["report", latest.to_str().unwrap(), "-o", &again]);
        assert_eq!(ran.code, Some(0), "{}", ran.err);
        assert_eq!(
            read(&tool, &again),
            read(&tool, &format!("run.{ending}")),
            "{ending}"
        );
    }
    let ran = tool.run(&["report", latest.to_str().unwrap(), "-o", "run.pdf"]);
    assert_eq!(ran.code, Some(2));
    assert!(ran.err.contains("result.hlog"), "{}", ran.err);
}

/// What Python makes of both files of HdrHistogram.
const READER: &str = r#"
import json, sys
from hdrh.histogram import HdrHistogram
from hdrh.log import HistogramLogReader
whole = HdrHistogram(1, 3600000000000, 3)
reader = HistogramLogReader("run.hlog", whole)
tags = {}
while True:
    histogram = reader.get_next_interval_histogram()
    if histogram is None:
        break
    tag = histogram.get_tag()
    seen = tags.setdefault(tag, HdrHistogram(1, 3600000000000, 3))
    seen.add(histogram)
json.dump({tag: [seen.get_total_count(), seen.get_value_at_percentile(50), seen.get_value_at_percentile(99)]
           for tag, seen in tags.items()}, sys.stdout)
"#;

#[test]
fn another_hdr_histogram_reads_the_interval_log() {
    let python = std::env::var("TAILMARK_HDR_PYTHON").unwrap_or_default();
    if python.is_empty() {
        println!(
            "skipped: TAILMARK_HDR_PYTHON names no Python with hdrhistogram; `make hdr-check` makes one"
        );
        return;
    }
    let tool = Tool::new();
    measured(&tool);
    let output = Command::new(python)
        .args(["-c", READER])
        .current_dir(tool.folder.path())
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let tags: Value = serde_json::from_slice(&output.stdout).unwrap();
    let record: Value = serde_json::from_str(&read(&tool, "run.json")).unwrap();
    let total = &record["total"]["response_time"];
    let phase = record["phases"][0]["name"].as_str().unwrap();
    let step = format!(
        "{phase}/url/{}",
        record["total"]["steps"][0]["step"].as_str().unwrap()
    );
    for tag in [phase, &step] {
        let [count, p50, p99] = [0, 1, 2].map(|place| tags[tag][place].as_f64().unwrap());
        assert_eq!(Some(count), total["count"].as_f64(), "{tag}: {tags}");
        for (read, name) in [(p50, "p50_ns"), (p99, "p99_ns")] {
            let written = total[name].as_f64().unwrap();
            assert!(
                (read / written - 1.0).abs() < 0.002,
                "{tag} {name}: {read} for {written}"
            );
        }
    }
    // The percentile distribution says the same: its first line at or past 0.99.
    let hgrm = read(&tool, "run.hgrm");
    let lines = hgrm.lines().filter_map(|line| {
        let mut fields = line.split_whitespace().map(str::parse::<f64>);
        Some((fields.next()?.ok()?, fields.next()?.ok()?))
    });
    let p99 = lines
        .into_iter()
        .find(|(_, quantile)| *quantile >= 0.99)
        .unwrap()
        .0
        * 1e6;
    let written = total["p99_ns"].as_f64().unwrap();
    assert!(p99 >= written * 0.998, "{p99} for {written}");
}
