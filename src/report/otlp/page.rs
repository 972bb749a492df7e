//! Metrics as they grow, and the messages that they become.

use std::mem;

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::metrics::v1::exponential_histogram_data_point::Buckets;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, ExponentialHistogram, ExponentialHistogramDataPoint, Gauge, Metric,
    NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum, number_data_point,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use prost::Message as _;

use super::buckets::Exponential;
use crate::histogram::Histogram;

/// Points of a message at most. One of a histogram takes up to a kilobyte, and collectors take some megabytes at once.
const MOST_POINTS: usize = 500;

/// What a metric is called, its unit by UCUM, and what it means.
#[derive(Debug, Clone, Copy)]
pub(super) struct Named {
    pub(super) name: &'static str,
    pub(super) unit: &'static str,
    pub(super) about: &'static str,
}

/// A stretch of time, in nanoseconds since the Unix epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) start: u64,
    pub(super) end: u64,
}

/// What tells a point from others.
pub(super) type Attributes = Vec<KeyValue>;

/// Metrics of one result.
#[derive(Debug)]
pub(super) struct Page {
    resource: Resource,
    version: String,
    /// Messages that are full.
    full: Vec<Vec<Metric>>,
    metrics: Vec<Metric>,
    /// Points in `metrics`.
    points: usize,
}

/// The start of a record in nanoseconds since the Unix epoch; 0, which is no time, where it cannot be read.
pub(super) fn moment(started: &str) -> u64 {
    let read = started.parse::<jiff::Timestamp>();
    read.map_or(0, |time| u64::try_from(time.as_nanosecond()).unwrap_or(0))
}

/// A text.
pub(super) fn text(key: &str, value: impl Into<String>) -> KeyValue {
    attribute(key, Value::StringValue(value.into()))
}

/// A whole number; beyond what a signed one holds, the largest there is.
pub(super) fn whole(key: &str, value: u64) -> KeyValue {
    attribute(
        key,
        Value::IntValue(i64::try_from(value).unwrap_or(i64::MAX)),
    )
}

/// Yes or no.
pub(super) fn yes(key: &str, value: bool) -> KeyValue {
    attribute(key, Value::BoolValue(value))
}

fn attribute(key: &str, value: Value) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue { value: Some(value) }),
        ..KeyValue::default()
    }
}

/// A figure over `span`, as of its end.
pub(super) fn figure(span: Span, value: f64, attributes: Attributes) -> NumberDataPoint {
    point(span, number_data_point::Value::AsDouble(value), attributes)
}

/// A count over `span`.
pub(super) fn count(span: Span, value: u64, attributes: Attributes) -> NumberDataPoint {
    let value = i64::try_from(value).unwrap_or(i64::MAX);
    point(span, number_data_point::Value::AsInt(value), attributes)
}

fn point(span: Span, value: number_data_point::Value, attributes: Attributes) -> NumberDataPoint {
    NumberDataPoint {
        attributes,
        start_time_unix_nano: span.start,
        time_unix_nano: span.end,
        value: Some(value),
        ..NumberDataPoint::default()
    }
}

/// The times of `histogram`, which are nanoseconds, over `span`, in seconds; none where there are none.
pub(super) fn times(
    span: Span,
    histogram: &Histogram,
    attributes: Attributes,
) -> Option<ExponentialHistogramDataPoint> {
    let exponential = Exponential::of(histogram);
    let seconds = |ns: u64| ns as f64 / 1e9;
    let [mean, _] = histogram.mean_and_deviation();
    Some(ExponentialHistogramDataPoint {
        attributes,
        start_time_unix_nano: span.start,
        time_unix_nano: span.end,
        count: histogram.count(),
        sum: Some(mean * histogram.count() as f64 / 1e9),
        scale: exponential.scale,
        zero_count: exponential.zeros,
        positive: Some(Buckets {
            offset: exponential.offset,
            bucket_counts: exponential.counts,
        }),
        min: Some(seconds(histogram.min()?)),
        max: Some(seconds(histogram.max()?)),
        ..ExponentialHistogramDataPoint::default()
    })
}

impl Page {
    /// A page of what `attributes` name, beside tailmark itself.
    pub(super) fn new(version: &str, attributes: Attributes) -> Self {
        let own = [
            text("service.name", "tailmark"),
            text("service.version", version),
        ];
        Self {
            resource: Resource {
                attributes: own.into_iter().chain(attributes).collect(),
                ..Resource::default()
            },
            version: version.to_owned(),
            full: Vec::new(),
            metrics: Vec::new(),
            points: 0,
        }
    }

    /// Figures that are read one by one.
    pub(super) fn gauge(&mut self, named: Named, points: Vec<NumberDataPoint>) {
        self.add(named, points, |data_points| {
            Data::Gauge(Gauge { data_points })
        });
    }

    /// Counts, each of its own time.
    pub(super) fn counts(&mut self, named: Named, points: Vec<NumberDataPoint>) {
        self.add(named, points, |data_points| {
            Data::Sum(Sum {
                data_points,
                aggregation_temporality: AggregationTemporality::Delta.into(),
                is_monotonic: true,
            })
        });
    }

    /// Distributions, each of its own time.
    pub(super) fn histograms(&mut self, named: Named, points: Vec<ExponentialHistogramDataPoint>) {
        self.add(named, points, |data_points| {
            Data::ExponentialHistogram(ExponentialHistogram {
                data_points,
                aggregation_temporality: AggregationTemporality::Delta.into(),
            })
        });
    }

    /// Its messages, in their order.
    pub(super) fn into_messages(mut self) -> Vec<Vec<u8>> {
        self.turn();
        let (resource, version) = (self.resource, self.version);
        let message = |metrics| ExportMetricsServiceRequest {
            resource_metrics: vec![ResourceMetrics {
                resource: Some(resource.clone()),
                scope_metrics: vec![ScopeMetrics {
                    scope: Some(InstrumentationScope {
                        name: "tailmark".to_owned(),
                        version: version.clone(),
                        ..InstrumentationScope::default()
                    }),
                    metrics,
                    ..ScopeMetrics::default()
                }],
                ..ResourceMetrics::default()
            }],
        };
        let messages = self.full.into_iter().map(message);
        messages.map(|message| message.encode_to_vec()).collect()
    }

    /// Adds a metric, in several messages where one has no room for all of its points.
    fn add<P>(&mut self, named: Named, mut points: Vec<P>, data: impl Fn(Vec<P>) -> Data) {
        while !points.is_empty() {
            if self.points == MOST_POINTS {
                self.turn();
            }
            let room = (MOST_POINTS - self.points).min(points.len());
            let rest = points.split_off(room);
            self.points += points.len();
            self.metrics.push(Metric {
                name: named.name.to_owned(),
                description: named.about.to_owned(),
                unit: named.unit.to_owned(),
                data: Some(data(mem::replace(&mut points, rest))),
                ..Metric::default()
            });
        }
    }

    /// Begins another message, where there is anything in this one.
    fn turn(&mut self) {
        if !self.metrics.is_empty() {
            self.full.push(mem::take(&mut self.metrics));
        }
        self.points = 0;
    }
}
