use insta::assert_snapshot;
use opentelemetry_proto::tonic::collector::metrics::v1::{
    ExportMetricsPartialSuccess, ExportMetricsServiceRequest,
};
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::{
    ExponentialHistogramDataPoint, Metric, NumberDataPoint, number_data_point,
};

use super::*;
use crate::compare::fixtures::{arm_run, comparison};
use crate::exchange::Outcome;
use crate::gate::fixtures::{gate, terms};
use crate::report::junit::Leniency;
use crate::run_record::RunRecord;
use crate::run_record::fixtures::{Answer, MS, SHOP, ok, record, shop, url_yaml};

fn decoded(messages: &[Vec<u8>]) -> Vec<ExportMetricsServiceRequest> {
    let decoded = messages.iter();
    decoded
        .map(|message| ExportMetricsServiceRequest::decode(message.as_slice()).unwrap())
        .collect()
}

fn metrics(subject: Subject<'_>) -> Vec<Metric> {
    let messages = decoded(&subject.otlp("20261123T074100Z-shop-axum").unwrap());
    let resources = messages
        .into_iter()
        .flat_map(|message| message.resource_metrics);
    let scopes = resources.flat_map(|resource| resource.scope_metrics);
    scopes.flat_map(|scope| scope.metrics).collect()
}

fn written(attributes: &[KeyValue]) -> String {
    let words = attributes.iter().map(|attribute| {
        let value = attribute.value.as_ref().unwrap().value.as_ref().unwrap();
        let value = match value {
            Value::StringValue(text) => text.clone(),
            Value::BoolValue(yes) => yes.to_string(),
            Value::IntValue(whole) => whole.to_string(),
            other => panic!("{other:?}"),
        };
        format!("{}={value}", attribute.key.trim_start_matches("tailmark."))
    });
    words.collect::<Vec<_>>().join(" ")
}

fn number(point: &NumberDataPoint) -> f64 {
    match point.value.unwrap() {
        number_data_point::Value::AsDouble(value) => value,
        number_data_point::Value::AsInt(value) => value as f64,
    }
}

/// The points of the metric `name` that has numbers.
fn numbers(metrics: &[Metric], name: &str) -> Vec<NumberDataPoint> {
    let named = metrics.iter().filter(|metric| metric.name == name);
    named
        .flat_map(|metric| match metric.data.clone().unwrap() {
            Data::Gauge(gauge) => gauge.data_points,
            Data::Sum(sum) => {
                assert!(sum.is_monotonic);
                sum.data_points
            }
            other => panic!("{other:?}"),
        })
        .collect()
}

/// The points of the metric `name` that has histograms.
fn histograms(metrics: &[Metric], name: &str) -> Vec<ExponentialHistogramDataPoint> {
    let named = metrics.iter().filter(|metric| metric.name == name);
    named
        .flat_map(|metric| match metric.data.clone().unwrap() {
            Data::ExponentialHistogram(histogram) => histogram.data_points,
            other => panic!("{other:?}"),
        })
        .collect()
}

/// Every metric with its unit and the number of its points, and the attributes and value of the last.
fn overview(metrics: &[Metric]) -> String {
    let lines = metrics.iter().map(|metric| {
        let (kind, count, last) = match metric.data.as_ref().unwrap() {
            Data::Gauge(gauge) => {
                let last = gauge.data_points.last().unwrap();
                let value = format!("{} {:.4}", written(&last.attributes), number(last));
                ("gauge", gauge.data_points.len(), value)
            }
            Data::Sum(sum) => {
                let last = sum.data_points.last().unwrap();
                let value = format!("{} {:.4}", written(&last.attributes), number(last));
                ("sum", sum.data_points.len(), value)
            }
            Data::ExponentialHistogram(histogram) => {
                let last = histogram.data_points.last().unwrap();
                let value = format!("{} n={}", written(&last.attributes), last.count);
                ("histogram", histogram.data_points.len(), value)
            }
            other => panic!("{other:?}"),
        };
        let (name, unit) = (&metric.name, &metric.unit);
        format!("{name} [{unit}] {kind} × {count}: {}", last.trim())
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn failing() -> RunRecord {
    record("shop", SHOP, |asked| match asked.arrival % 100 {
        3 => Answer {
            outcome: Outcome::Timeout,
            status: None,
            ..ok(10_000 * MS)
        },
        _ => shop(asked),
    })
}

#[test]
fn a_run_has_every_request_in_its_windows_and_in_its_steps() {
    let record = failing();
    let due: u64 = record.phases.iter().map(|phase| phase.tally.due).sum();
    let metrics = metrics(Subject::Run(&record));
    for name in ["tailmark.response_time", "tailmark.step.response_time"] {
        let points = histograms(&metrics, name);
        let counted: u64 = points.iter().map(|point| point.count).sum();
        assert_eq!(counted, due, "{name}");
        for point in &points {
            let positive = point.positive.as_ref().unwrap();
            let in_buckets: u64 = positive.bucket_counts.iter().sum();
            assert_eq!(in_buckets + point.zero_count, point.count);
            let mean = point.sum.unwrap() / point.count as f64;
            let (min, max) = (point.min.unwrap(), point.max.unwrap());
            assert!((min * 0.999..=max * 1.001).contains(&mean), "{point:?}");
        }
    }
    let requests = numbers(&metrics, "tailmark.requests");
    let counted: f64 = requests.iter().map(number).sum();
    assert!((counted - due as f64).abs() < 0.5, "{counted} of {due}");
}

#[test]
fn windows_have_the_moments_at_which_they_were() {
    let record = record("url", &url_yaml("10/s", "3s"), |_| ok(MS));
    let metrics = metrics(Subject::Run(&record));
    let points = histograms(&metrics, "tailmark.response_time");
    // 2026-11-23T07:41:00Z.
    let start = 1_795_419_660_000_000_000_u64;
    let spans: Vec<(u64, u64)> = points
        .iter()
        .map(|point| (point.start_time_unix_nano, point.time_unix_nano))
        .collect();
    let second = 1_000_000_000;
    let expected = [0, 1, 2].map(|at| (start + at * second, start + (at + 1) * second));
    assert_eq!(spans, expected);
    let cpus = numbers(&metrics, "tailmark.target.cpu");
    assert_eq!(cpus.len(), 7);
    assert!((number(&cpus[0]) - 0.05).abs() < 1e-9, "{cpus:?}");
    assert_eq!(cpus[0].time_unix_nano, start + second);
}

#[test]
fn a_run_says_all_that_it_has() {
    let record = record("url", &url_yaml("200/s", "2s"), |_| ok(MS));
    assert_snapshot!(overview(&metrics(Subject::Run(&record))), @r"
    tailmark.response_time [s] histogram × 2: phase=main warmup=false result=ok n=200
    tailmark.step.response_time [s] histogram × 1: phase=main warmup=false flow=url step=GET-items-1 result=ok n=400
    tailmark.step.service_time [s] histogram × 1: phase=main warmup=false flow=url step=GET-items-1 result=ok n=400
    tailmark.requests [{request}] sum × 11: phase=main warmup=false outcome=unsent 0.0000
    tailmark.rate.offered [{arrival}/s] gauge × 1: phase=main warmup=false 200.0000
    tailmark.rate.achieved [{arrival}/s] gauge × 1: phase=main warmup=false 200.0000
    tailmark.response_time.quantile [s] gauge × 3: phase=main warmup=false quantile=p99 lower_bound=false 0.0010
    tailmark.response_time.interval [s] gauge × 2: phase=main warmup=false quantile=p99 end=high 0.0010
    tailmark.target.memory [By] gauge × 8: 9196314.0000
    tailmark.target.cpu [{cpu}] gauge × 7: 0.0500
    tailmark.target.memory.figure [By] gauge × 5: memory.kind=rss memory.when=after_idle 8900000.0000
    tailmark.target.cpu.per_1k [s] gauge × 1: 1.0250
    tailmark.valid [1] gauge × 1: state=valid interrupted=false 1.0000
    ");
}

#[test]
fn a_message_says_what_it_is_of() {
    let record = failing();
    let messages = decoded(&Subject::Run(&record).otlp("run-7").unwrap());
    for message in &messages {
        let resource = message.resource_metrics[0].resource.as_ref().unwrap();
        let said = written(&resource.attributes);
        let digest = &record.scenario.digest;
        assert_eq!(
            said,
            format!(
                "service.name=tailmark service.version=0.1.0 run.id=run-7 scenario=shop \
                 scenario.digest={digest} seed=42 target=axum"
            )
        );
    }
}

#[test]
fn a_long_run_becomes_several_messages_and_loses_nothing() {
    let record = record("url", &url_yaml("5/s", "230s"), |_| ok(MS));
    let mut phases = record.clone();
    for _ in 0..3 {
        phases.phases.push(record.phases[0].clone());
    }
    let messages = Subject::Run(&phases).otlp("long").unwrap();
    assert_eq!(messages.len(), 3);
    let points = histograms(&metrics(Subject::Run(&phases)), "tailmark.response_time");
    assert_eq!(points.len(), 4 * 230);
}

#[test]
fn rounds_say_of_which_arm_they_are_and_whether_they_count() {
    let comparison = comparison(7, |arm, round| {
        let mut record = arm_run(arm, |_| ok(MS + arm as u64 * 100_000));
        if (arm, round) == (1, 2) {
            record.environment.steal = Some(0.2);
            record.judge();
        }
        record
    });
    let metrics = metrics(Subject::Comparison(&comparison));
    let times = histograms(&metrics, "tailmark.response_time");
    assert_eq!(times.len(), 14);
    assert!(times.iter().all(|point| point.count == 2_400));
    assert_eq!(
        written(&times[3].attributes),
        "arm=actix attempt=1 round=2 valid=false result=ok"
    );
    let changes = numbers(&metrics, "tailmark.change");
    let of_p99: Vec<(String, f64)> = changes
        .iter()
        .map(|point| (written(&point.attributes), number(point)))
        .filter(|(attributes, _)| attributes.contains("metric=p99 "))
        .collect();
    assert_eq!(of_p99.len(), 3);
    assert_eq!(of_p99[0].0, "arm=actix metric=p99 end=estimate");
    assert!((of_p99[0].1 - 1.1).abs() < 0.01, "{of_p99:?}");
}

#[test]
fn a_gate_says_its_verdict() {
    let same = terms(&["p99"], 10);
    let record = gate(&same, 100, |_, arm, round| {
        arm_run(arm, |_| {
            ok(MS + (round as u64 * 3 + arm as u64) % 5 * MS / 100)
        })
    });
    let metrics = metrics(Subject::Gate(&record, Leniency::default()));
    let verdict = numbers(&metrics, "tailmark.gate.verdict");
    let expected = record.decision().unwrap().verdict.name();
    assert_eq!(
        written(&verdict[0].attributes),
        format!("verdict={expected}")
    );
}

#[test]
fn what_a_collector_did_not_take_is_told() {
    let answer = |rejected, why: &str| {
        ExportMetricsServiceResponse {
            partial_success: Some(ExportMetricsPartialSuccess {
                rejected_data_points: rejected,
                error_message: why.to_owned(),
            }),
        }
        .encode_to_vec()
    };
    assert_eq!(refusal(&[]), None);
    assert_eq!(refusal(b"<html>"), None);
    assert_eq!(refusal(&answer(0, "a hint")), None);
    assert_eq!(
        refusal(&answer(7, "no\u{1b}[2J deltas")),
        Some("7 points refused: no [2J deltas".to_owned())
    );
    assert_eq!(
        refusal(&answer(1, "")),
        Some("1 points refused: it does not say why".to_owned())
    );
}
