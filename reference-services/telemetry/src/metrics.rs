//! Counts and times of requests.

use crate::pools::Pools;
use contract::{Failure, path};
use prometheus_client::encoding::{EncodeLabelSet, prometheus_text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use std::fmt;
use std::sync::Arc;
use std::time::Instant;
use store::Store;

/// Upper bounds of the histogram's buckets in seconds: from half of what a plain answer takes on a busy machine to the
/// longest that any row may take.
const SECONDS: [f64; 14] = [
    0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];

/// All metrics of a process. Cheap to clone; clones count together.
#[derive(Debug, Clone)]
pub struct Metrics(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    registry: Registry,
    requests: Family<RequestLabels, Counter>,
    durations: Family<RouteLabels, Histogram>,
    in_flight: Gauge,
    lookups: Family<LookupLabels, Counter>,
    refusals: Family<RefusalLabels, Counter>,
    pools: Pools,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    route: &'static str,
    method: &'static str,
    status: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RouteLabels {
    route: &'static str,
    method: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct LookupLabels {
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RefusalLabels {
    reason: &'static str,
}

/// Why a layer refused a request that a handler never saw. Layers put it into the extensions of their response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// Too many requests were in flight.
    Shed,
    /// The subject asked too often.
    Limited,
}

/// What is counted of an answer.
#[derive(Debug, Clone, Copy, Default)]
pub struct Answer<'a> {
    /// The template that the path matched, if it matched one. What is not in [`path::ALL`] counts as none.
    pub route: Option<&'a str>,
    /// The method.
    pub method: &'a str,
    /// The status.
    pub status: u16,
    /// The value of [`contract::header::X_CACHE`].
    pub cache: Option<&'a [u8]>,
    /// Whether a layer refused the request.
    pub refused: Option<Refused>,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// Metrics that have counted nothing.
    #[must_use]
    pub fn new() -> Self {
        let mut registry = Registry::default();
        let requests = Family::default();
        registry.register(
            "http_requests",
            "Answers by route template, method and class of status",
            requests.clone(),
        );
        let new: fn() -> Histogram = || Histogram::new(SECONDS);
        let durations = Family::new_with_constructor(new);
        registry.register(
            "http_request_duration_seconds",
            "Time from a request's head to the head of its answer",
            durations.clone(),
        );
        let in_flight = Gauge::default();
        registry.register(
            "http_requests_in_flight",
            "Requests whose answer has no head yet",
            in_flight.clone(),
        );
        let lookups = Family::default();
        registry.register(
            "cache_lookups",
            "Reads of an item by what the cache had to say",
            lookups.clone(),
        );
        let refusals = Family::default();
        registry.register(
            "requests_refused",
            "Requests that a layer refused: shed because too many were in flight, limited because of their subject",
            refusals.clone(),
        );
        // Known from the start, so that a rate can be taken of the first one.
        for outcome in ["hit", "miss", "bypass"] {
            drop(lookups.get_or_create(&LookupLabels { outcome }));
        }
        for reason in [Refused::Shed, Refused::Limited] {
            let reason = reason.as_str();
            drop(refusals.get_or_create(&RefusalLabels { reason }));
        }
        let pools = Pools::default();
        registry.register_collector(Box::new(pools.clone()));
        Self(Arc::new(Inner {
            registry,
            requests,
            durations,
            in_flight,
            lookups,
            refusals,
            pools,
        }))
    }

    /// Tells of the connections of `store` from now on, added to those of all others.
    pub fn watch(&self, store: Store) {
        self.0.pools.watch(store);
    }

    /// Counts a request as in flight.
    #[must_use = "the request is in flight for as long as this lives"]
    pub fn begin(&self) -> InFlight {
        self.0.in_flight.inc();
        InFlight {
            metrics: self.clone(),
            since: Instant::now(),
        }
    }

    /// All metrics in Prometheus' text format, version 0.0.4.
    ///
    /// # Errors
    /// None that is known: a string takes whatever is written to it.
    pub fn encode(&self) -> Result<String, fmt::Error> {
        let mut text = String::new();
        prometheus_text::encode(&mut text, &self.0.registry)?;
        Ok(text)
    }
}

/// A request in flight, for as long as this lives. One that is dropped, because its client went away, has no answer and
/// is counted as none.
#[derive(Debug)]
pub struct InFlight {
    metrics: Metrics,
    since: Instant,
}

impl InFlight {
    /// Counts the answer.
    pub fn end(self, answer: &Answer<'_>) {
        let inner = &self.metrics.0;
        let route = label(answer.route);
        let method = known_method(answer.method);
        let status = class(answer.status);
        inner
            .requests
            .get_or_create(&RequestLabels {
                route,
                method,
                status,
            })
            .inc();
        inner
            .durations
            .get_or_create(&RouteLabels { route, method })
            .observe(self.since.elapsed().as_secs_f64());
        // What an upstream says of its own cache goes through the gateway, and is not ours.
        let ours = [Some(path::ITEM), Some(path::GRPC_GET_ITEM)].contains(&answer.route);
        let cache = answer.cache.filter(|_| ours);
        if let Some(outcome) = cache.and_then(outcome) {
            inner.lookups.get_or_create(&LookupLabels { outcome }).inc();
        }
        if let Some(refused) = answer.refused {
            let reason = refused.as_str();
            inner
                .refusals
                .get_or_create(&RefusalLabels { reason })
                .inc();
        }
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.metrics.0.in_flight.dec();
    }
}

impl Refused {
    /// What is counted of a layer's `failure`, if anything is.
    #[must_use]
    pub const fn of(failure: &Failure) -> Option<Self> {
        match failure {
            Failure::Overloaded => Some(Self::Shed),
            Failure::RateLimited(_) => Some(Self::Limited),
            _ => None,
        }
    }

    const fn as_str(self) -> &'static str {
        match self {
            Self::Shed => "shed",
            Self::Limited => "limited",
        }
    }
}

/// The label of a route: its template, of which there are as many as rows. Never a path, of which there is no end.
fn label(route: Option<&str>) -> &'static str {
    let known = route.and_then(|route| path::ALL.iter().find(|known| **known == route));
    known.copied().unwrap_or("unmatched")
}

/// The label of a method; clients may make up more.
fn known_method(method: &str) -> &'static str {
    let methods = [
        "GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "TRACE", "CONNECT",
    ];
    let known = methods.into_iter().find(|known| *known == method);
    known.unwrap_or("other")
}

fn class(status: u16) -> &'static str {
    match status / 100 {
        1 => "1xx",
        2 => "2xx",
        3 => "3xx",
        4 => "4xx",
        _ => "5xx",
    }
}

/// The label of a value of `x-cache`.
fn outcome(value: &[u8]) -> Option<&'static str> {
    ["hit", "miss", "bypass"]
        .into_iter()
        .find(|known| known.as_bytes() == value)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The line that begins with `series`, without it.
    fn value(text: &str, series: &str) -> String {
        let line = text.lines().find_map(|line| line.strip_prefix(series));
        line.unwrap_or_else(|| panic!("no {series} in {text}"))
            .trim()
            .to_owned()
    }

    #[test]
    fn answers_are_counted_by_template_method_and_class() {
        let metrics = Metrics::new();
        for (route, method, status, cache) in [
            (Some(path::ITEM), "GET", 200, Some(&b"hit"[..])),
            (Some(path::ITEM), "GET", 201, Some(b"strange")),
            (Some(path::ITEM), "GET", 404, None),
            (Some("/v1/items/7"), "GET", 200, None),
            (None, "BREW", 404, None),
        ] {
            metrics.begin().end(&Answer {
                route,
                method,
                status,
                cache,
                refused: (status == 404).then_some(Refused::Limited),
            });
        }
        let text = metrics.encode().unwrap();
        for (series, expected) in [
            (
                "http_requests_total{route=\"/v1/items/{id}\",method=\"GET\",status=\"2xx\"}",
                "2",
            ),
            (
                "http_requests_total{route=\"/v1/items/{id}\",method=\"GET\",status=\"4xx\"}",
                "1",
            ),
            (
                "http_requests_total{route=\"unmatched\",method=\"GET\",status=\"2xx\"}",
                "1",
            ),
            (
                "http_requests_total{route=\"unmatched\",method=\"other\",status=\"4xx\"}",
                "1",
            ),
            (
                "http_request_duration_seconds_count{route=\"/v1/items/{id}\",method=\"GET\"}",
                "3",
            ),
            ("cache_lookups_total{outcome=\"hit\"}", "1"),
            ("cache_lookups_total{outcome=\"bypass\"}", "0"),
            ("requests_refused_total{reason=\"limited\"}", "2"),
            ("requests_refused_total{reason=\"shed\"}", "0"),
            ("http_requests_in_flight", "0"),
        ] {
            assert_eq!(value(&text, series), expected, "{series}");
        }
        assert!(!text.contains("/v1/items/7"), "{text}");
        assert!(text.contains("# TYPE http_requests_total counter\n"));
    }

    #[test]
    fn a_request_is_in_flight_until_it_is_answered_or_dropped() {
        let metrics = Metrics::new();
        let in_flight = || value(&metrics.encode().unwrap(), "http_requests_in_flight ");
        let (first, second) = (metrics.begin(), metrics.begin());
        assert_eq!(in_flight(), "2");
        first.end(&Answer::default());
        assert_eq!(in_flight(), "1");
        drop(second);
        assert_eq!(in_flight(), "0");
    }

    #[test]
    fn the_process_knows_its_memory() {
        let text = Metrics::new().encode().unwrap();
        let bytes: f64 = value(&text, "process_resident_memory_bytes ")
            .parse()
            .unwrap();
        assert!(bytes > 100_000.0, "{bytes}");
    }
}
