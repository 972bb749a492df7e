//! What tailmark itself costs for one exchange: finding it due, rendering it, reading its response, recording it.
#![allow(
    missing_docs,
    reason = "criterion's macros define undocumented functions"
)]

use std::hint::black_box;
use std::sync::Arc;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use http::HeaderValue;

use tailmark::exchange::{Exchange, Outcome};
use tailmark::ledger::{Ledger, Place, WalkEnd};
use tailmark::load::http1::request::{Layout, Room};
use tailmark::load::http1::response::Reader;
use tailmark::scenario::{Draw, Scenario};
use tailmark::schedule::Schedule;
use tailmark::windows::{Grid, Recorder};

const HOUR_NS: u64 = 3_600_000_000_000;

/// An exchange a millisecond after the other, a few hundred microseconds each, as under 1,000/s.
fn recording(criterion: &mut Criterion) {
    let mut ledger = Ledger::new(1, &[1]);
    let mut windows = Recorder::new(vec![Grid::new(0, HOUR_NS)]);
    let place = Place {
        phase: 0,
        flow: 0,
        step: 0,
    };
    let mut k = 0u64;
    criterion.bench_function("record an exchange", |bencher| {
        bencher.iter(|| {
            k += 1;
            let due = k % 3_000_000 * 1_000_000;
            // Spread over many buckets, as real times are.
            let service = 200_000 + k.wrapping_mul(0x9e37_79b9) % 400_000;
            let exchange = Exchange {
                due,
                dispatched: Some(due + 20_000),
                sent: Some(due + 22_000),
                done: due + 22_000 + service,
                outcome: Outcome::Ok,
                status: Some(200),
            };
            let end = WalkEnd {
                arrival: due,
                home: 0,
                unreached_from: 1,
                kept_up_by: HOUR_NS,
            };
            ledger.absorb(place, black_box(&exchange), Some(end));
            windows.record(0, black_box(&exchange))
        });
    });
}

/// A scenario of one step.
fn scenario(step: &str, phase: &str) -> Scenario {
    let text = format!(
        "tailmark: 1\nflows: {{ f: {{ steps: [{step}] }} }}\nphases: [{{ name: p, for: 1h, {phase} }}]\n"
    );
    Scenario::parse("bench.yaml", text.as_bytes()).expect("the scenario is valid")
}

fn due_moments(criterion: &mut Criterion) {
    for (name, phase) in [
        ("next due moment, constant", "rate: 7k/s"),
        ("next due moment, poisson", "rate: 7k/s, arrivals: poisson"),
    ] {
        let scenario = scenario("get: /", phase);
        let schedule = Arc::new(Schedule::new(scenario.phases(), 1));
        criterion.bench_function(name, |bencher| {
            bencher.iter_batched_ref(
                || schedule.arrivals(),
                Iterator::next,
                BatchSize::NumIterations(100_000),
            );
        });
    }
}

fn requests(criterion: &mut Criterion) {
    for (name, step) in [
        ("render a request, fixed", "get: /v1/items/1"),
        (
            "render a request, templated",
            "{ post: '/v1/transfers/${seq}', headers: { idempotency-key: '${uuid}' }, \
             json: { from: '${random.int(1, 5000)}', to: '${random.int(5001, 10000)}', currency: EUR } }",
        ),
    ] {
        let scenario = scenario(step, "rate: 1/s");
        let request = &scenario.flows()[0].steps[0].request;
        let layout = Layout::new(request, &HeaderValue::from_static("127.0.0.1:8080"), false);
        let mut room = Room::default();
        let mut arrival = 0;
        criterion.bench_function(name, |bencher| {
            bencher.iter(|| {
                arrival += 1;
                let draw = Draw::new(1, arrival, 0);
                layout.render(black_box(&draw), &mut room).map(<[u8]>::len)
            });
        });
    }
}

fn responses(criterion: &mut Criterion) {
    let fields =
        "server: x\r\ndate: Tue, 24 Nov 2026 12:00:00 GMT\r\ncontent-type: application/json\r\n";
    let body = "x".repeat(120);
    let length = format!("HTTP/1.1 200 OK\r\n{fields}content-length: 120\r\n\r\n{body}");
    let chunked = format!(
        "HTTP/1.1 200 OK\r\n{fields}transfer-encoding: chunked\r\n\r\n78\r\n{body}\r\n0\r\n\r\n"
    );
    for (name, bytes) in [
        ("parse a response, by length", length),
        ("parse a response, chunked", chunked),
    ] {
        let mut reader = Reader::default();
        criterion.bench_function(name, |bencher| {
            bencher.iter(|| {
                reader.begin(false);
                let read = reader.feed(black_box(bytes.as_bytes()));
                assert!(matches!(read, Ok(Some(_))));
            });
        });
    }
}

criterion_group!(benches, recording, due_moments, requests, responses);
criterion_main!(benches);
