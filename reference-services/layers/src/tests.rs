//! Each layer around a small service, over plain HTTP and over gRPC.

use super::*;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request, Response, StatusCode, Version};
use contract::session::NewSession;
use contract::{ErrorBody, Failure, limit};
use policy::Policy;
use std::convert::Infallible;
use std::future::pending;
use std::num::NonZeroU32;
use std::time::{Duration, SystemTime};
use telemetry::Metrics;
use tower::util::BoxCloneSyncService;
use tower::{ServiceBuilder, ServiceExt, service_fn};

type Service = BoxCloneSyncService<Request<Body>, Response<Body>, Infallible>;

/// How the tests' service tells a failure.
fn render(failure: &Failure, grpc: bool) -> Response<Body> {
    if grpc {
        return proto::status(failure, telemetry::request::id()).into_http();
    }
    let body = ErrorBody::under(telemetry::request::id(), failure);
    let mut response = Response::builder().status(failure.status());
    if let Some(seconds) = failure.retry_after() {
        response = response.header("retry-after", seconds);
    }
    response
        .body(serde_json::to_string(&body).unwrap().into())
        .unwrap()
}

/// Answers with the length of the body, or 413 if it cannot be read.
async fn length(request: Request<Body>) -> Result<Response<Body>, Infallible> {
    Ok(match to_bytes(request.into_body(), usize::MAX).await {
        Ok(bytes) => Response::new(bytes.len().to_string().into()),
        Err(_) => render(&Failure::BodyTooLarge, false),
    })
}

/// Never answers.
async fn silence(_: Request<Body>) -> Result<Response<Body>, Infallible> {
    pending().await
}

fn policy(burst: u32, in_flight: u32) -> Policy {
    let some = |number| NonZeroU32::new(number).unwrap();
    Policy::new(&policy::Settings {
        secret: policy::MEASUREMENT_SECRET.to_owned(),
        // So slow that no test sees another request become free.
        rate: some(1),
        burst: some(burst),
        in_flight: some(in_flight),
    })
}

/// The `authorization` of a user of `policy`.
fn bearer(policy: &Policy, user: u32) -> String {
    let login = format!(r#"{{"user":"user-{user}","password":"secret-{user}"}}"#);
    let login: NewSession = serde_json::from_str(&login).unwrap();
    let session = policy.open_session(&login, SystemTime::now()).unwrap();
    let session = serde_json::to_value(session).unwrap();
    format!("Bearer {}", session["token"].as_str().unwrap())
}

/// What a test looks at.
#[derive(Debug)]
struct Told {
    status: StatusCode,
    headers: HeaderMap,
    body: String,
}

impl Told {
    fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    /// The status and the error's code over plain HTTP.
    fn plain(&self) -> (u16, String) {
        let body: serde_json::Value = serde_json::from_str(&self.body).unwrap_or_default();
        let code = body["error"]["code"].as_str().unwrap_or_default();
        (self.status.as_u16(), code.to_owned())
    }

    /// The status of gRPC; the answer has no body.
    fn grpc(&self) -> &str {
        assert_eq!((self.status.as_u16(), self.body.as_str()), (200, ""));
        assert_eq!(self.header("content-type"), "application/grpc");
        assert_ne!(self.header("grpc-message"), "");
        self.header("grpc-status")
    }
}

/// Sends one request to a clone of `service`.
async fn ask(service: &Service, path: &str, headers: &[(&str, &str)], body: &str) -> Told {
    let mut request = Request::builder().method("POST").uri(path);
    if headers.contains(&GRPC) {
        request = request.version(Version::HTTP_2);
    }
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Body::from(body.to_owned())).unwrap();
    let (head, body) = service.clone().oneshot(request).await.unwrap().into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap();
    Told {
        status: head.status,
        headers: head.headers,
        body: String::from_utf8(body.to_vec()).unwrap(),
    }
}

const GRPC: (&str, &str) = ("content-type", "application/grpc+proto");

#[tokio::test]
async fn a_name_is_taken_over_or_made_and_error_bodies_have_it() {
    let refusing = Gate::new(Authenticate::new(policy(1, 1)), render);
    let service = ServiceBuilder::new()
        .layer(RequestIdLayer)
        .layer(TraceLayer)
        .layer(refusing)
        .service(service_fn(length));
    let service = BoxCloneSyncService::new(service);
    let granted = ask(&service, "/livez", &[("x-request-id", "mine")], "").await;
    assert_eq!(
        (granted.status.as_u16(), granted.header("x-request-id")),
        (200, "mine")
    );

    for given in ["mine", "not valid", ""] {
        let refused = ask(&service, "/v1/json", &[("x-request-id", given)], "").await;
        assert_eq!(refused.status, 401);
        let id = refused.header("x-request-id");
        assert_eq!(id == given, given == "mine", "{id}");
        assert!(
            refused
                .body
                .ends_with(&format!("\"request_id\":\"{id}\"}}")),
            "{id}: {}",
            refused.body
        );
    }
    let call = "/tailmark.v1.Ledger/Transfer";
    let grpc = ask(&service, call, &[GRPC, ("x-request-id", "mine")], "").await;
    assert_eq!((grpc.grpc(), grpc.header("x-request-id")), ("16", "mine"));
}

#[tokio::test(start_paused = true)]
async fn what_takes_too_long_is_broken_off() {
    let layer = TimeoutLayer::new(limit::ANSWER_TIMEOUT, render);
    let silent = ServiceBuilder::new()
        .layer(layer.clone())
        .service(service_fn(silence));
    let silent = BoxCloneSyncService::new(silent);
    let begin = tokio::time::Instant::now();
    let plain = ask(&silent, "/", &[], "").await;
    assert_eq!(plain.plain(), (504, "timed_out".to_owned()));
    let waited = begin.elapsed();
    assert!(
        (limit::ANSWER_TIMEOUT..limit::ANSWER_TIMEOUT + Duration::from_millis(5)).contains(&waited)
    );
    assert_eq!(ask(&silent, "/", &[GRPC], "").await.grpc(), "4");
    // A client of gRPC may say that it waits for less, and is not heard where it says more.
    for (patience, waits) in [
        ("250m", Duration::from_millis(250)),
        ("1H", limit::ANSWER_TIMEOUT),
    ] {
        let begin = tokio::time::Instant::now();
        let headers = [GRPC, ("grpc-timeout", patience)];
        assert_eq!(ask(&silent, "/", &headers, "").await.grpc(), "4");
        let waited = begin.elapsed();
        assert!((waits..waits + Duration::from_millis(5)).contains(&waited));
    }

    let quick = ServiceBuilder::new()
        .layer(layer)
        .service(service_fn(length));
    let quick = BoxCloneSyncService::new(quick);
    assert_eq!(ask(&quick, "/", &[], "abc").await.body, "3");
}

#[tokio::test]
async fn only_callers_with_a_good_token_are_served() {
    let policy = policy(1, 1);
    let service = ServiceBuilder::new()
        .layer(Gate::new(Authenticate::new(policy.clone()), render))
        .service(service_fn(length));
    let service = BoxCloneSyncService::new(service);
    let token = bearer(&policy, 1);
    let good = [("authorization", token.as_str())];
    let bad = [("authorization", "Bearer x.y.z")];
    let outcome = async |path: &str, headers: &[(&str, &str)]| {
        let told = ask(&service, path, headers, "").await;
        told.plain()
    };
    assert_eq!(outcome("/v1/json", &good).await.0, 200);
    for path in ["/livez", "/v1/sessions"] {
        assert_eq!(outcome(path, &[]).await.0, 200, "{path}");
    }
    for path in ["/v1/json", "/v1/nothing", "/v1/sessions/1"] {
        assert_eq!(outcome(path, &[]).await, (401, "missing_token".to_owned()));
        assert_eq!(outcome(path, &bad).await, (401, "invalid_token".to_owned()));
    }
    let grpc = "/tailmark.v1.Ledger/Transfer";
    // Whoever calls it something else is asked all the same.
    assert_eq!(outcome(grpc, &[]).await, (401, "missing_token".to_owned()));
    assert_eq!(ask(&service, grpc, &[GRPC], "").await.grpc(), "16");
    assert_eq!(ask(&service, grpc, &[GRPC, bad[0]], "").await.grpc(), "16");
    assert_eq!(ask(&service, grpc, &[GRPC, good[0]], "abc").await.body, "3");
    let health = "/grpc.health.v1.Health/Check";
    assert_eq!(ask(&service, health, &[GRPC], "abc").await.body, "3");
}

#[tokio::test]
async fn a_subject_has_its_burst_whatever_clone_it_meets() {
    const BURST: u32 = 7;
    for grpc in [false, true] {
        let policy = policy(BURST, 1);
        let service = ServiceBuilder::new()
            .layer(Gate::new(Authenticate::new(policy.clone()), render))
            .layer(Gate::new(Limit::new(policy.clone()), render))
            .service(service_fn(length));
        // Each request meets a clone, as it does under Axum: `ask` clones, and these are clones of their own.
        let services = [0; 3].map(|_| BoxCloneSyncService::new(service.clone()));
        let (first, second) = (bearer(&policy, 1), bearer(&policy, 2));
        let mut passed = 0;
        let mut headers = vec![("authorization", first.as_str())];
        headers.extend(grpc.then_some(GRPC));
        for number in 0..BURST + 3 {
            let index = usize::try_from(number).unwrap() % services.len();
            let told = ask(&services[index], "/v1/json", &headers, "").await;
            if told.body == "0" {
                passed += 1;
                assert_eq!(passed, number + 1, "none passes after a refusal");
            } else if grpc {
                assert_eq!(told.grpc(), "8");
            } else {
                assert_eq!(told.plain(), (429, "rate_limited".to_owned()));
                let seconds: u32 = told.header("retry-after").parse().unwrap();
                assert!(seconds >= 1);
            }
        }
        assert_eq!(passed, BURST);
        let other = [("authorization", second.as_str())];
        assert_eq!(ask(&services[0], "/v1/json", &other, "").await.body, "0");
        for _ in 0..2 * BURST {
            let nobody = ask(&services[0], "/livez", &[], "").await;
            assert_eq!(nobody.body, "0", "nobody is not limited");
        }
    }
}

#[tokio::test]
async fn what_is_too_much_is_refused_until_there_is_room_again() {
    let policy = policy(1, 2);
    let gate = Gate::new(Shed::new(policy.clone()), render);
    let silent = ServiceBuilder::new()
        .layer(gate.clone())
        .service(service_fn(silence));
    let quick = ServiceBuilder::new()
        .layer(gate)
        .service(service_fn(length));
    let (silent, quick) = (
        BoxCloneSyncService::new(silent),
        BoxCloneSyncService::new(quick),
    );
    let mut waiting: Vec<_> = (0..2)
        .map(|_| {
            let silent = silent.clone();
            tokio::spawn(async move { ask(&silent, "/", &[], "").await })
        })
        .collect();
    while policy.admission.in_flight() < 2 {
        tokio::task::yield_now().await;
    }
    let refused = ask(&quick, "/", &[], "").await;
    assert_eq!(refused.plain(), (503, "overloaded".to_owned()));
    assert_eq!(refused.header("retry-after"), "1");
    assert_eq!(ask(&quick, "/", &[GRPC], "").await.grpc(), "14");
    // A client that goes away makes room, and so does an answer.
    let one = waiting.remove(0);
    one.abort();
    assert!(one.await.unwrap_err().is_cancelled());
    for _ in 0..3 {
        assert_eq!(ask(&quick, "/", &[], "abc").await.body, "3");
    }
    waiting.remove(0).abort();
}

#[tokio::test]
async fn a_body_that_is_announced_as_too_long_is_refused_unread() {
    let service = ServiceBuilder::new()
        .layer(Gate::new(BodyLimit::new(3), render))
        .service(service_fn(length));
    let service = BoxCloneSyncService::new(service);
    let too_large = (413, "body_too_large".to_owned());
    let announced = ("content-length", "4");
    assert_eq!(
        ask(&service, "/", &[("content-length", "3")], "abc")
            .await
            .body,
        "3"
    );
    assert_eq!(
        ask(&service, "/", &[announced], "abcd").await.plain(),
        too_large
    );
    // What is not announced is the extractors' to bound.
    assert_eq!(ask(&service, "/", &[], "abcd").await.body, "4");
    assert_eq!(
        ask(&service, "/", &[announced, GRPC], "abcd").await.grpc(),
        "8"
    );
}

#[tokio::test]
async fn refusals_are_counted_by_their_reason() {
    let (metrics, policy) = (Metrics::new(), policy(1, 1));
    let service = ServiceBuilder::new()
        .layer(MetricsLayer::new(metrics.clone()))
        .layer(Gate::new(Authenticate::new(policy.clone()), render))
        .layer(Gate::new(Limit::new(policy.clone()), render))
        .service(service_fn(length));
    let service = BoxCloneSyncService::new(service);
    let token = bearer(&policy, 1);
    for _ in 0..3 {
        ask(&service, "/v1/json", &[("authorization", &token)], "").await;
        ask(&service, "/v1/json", &[("authorization", &token), GRPC], "").await;
    }
    let text = metrics.encode().unwrap();
    for line in [
        "requests_refused_total{reason=\"limited\"} 5\n",
        "requests_refused_total{reason=\"shed\"} 0\n",
        "http_requests_total{route=\"unmatched\",method=\"POST\",status=\"4xx\"} 5\n",
        "http_requests_in_flight 0\n",
    ] {
        assert!(text.contains(line), "{line}{text}");
    }
}
