//! What `LAYERS` puts before the handlers.

use super::transfers::{database, order, post};
use crate::World;
use crate::http::{Answer, Request};
use crate::service::Service;
use crate::token::bearer;
use std::time::Instant;

const HELLO: &str = r#"{"message":"Hello, World!"}"#;

/// Requests that a subject may send at once in the services of this file.
const BURST: usize = 5;

/// A service with these layers, in front of the world's upstream.
async fn start(world: &World, layers: &str) -> Service {
    let environment = [
        ("LAYERS", layers),
        ("RATE_LIMIT_PER_SECOND", "1"),
        ("RATE_LIMIT_BURST", "5"),
        ("MAX_IN_FLIGHT", "1"),
    ];
    Service::start_with_upstream(world, &environment).await
}

/// `GET path`, with the authorization and the request id that are not empty.
fn get(service: &Service, path: &str, authorization: &str, id: &str) -> Request {
    let mut request = service.request("GET", path);
    for (name, value) in [("authorization", authorization), ("x-request-id", id)] {
        if !value.is_empty() {
            request = request.header(name, value);
        }
    }
    request
}

pub(super) async fn none_adds_nothing(world: &World) {
    // Headers are compared as a whole: a request id that was taken over would show.
    for authorization in ["", "Bearer x.y.z"] {
        let answer = get(&world.service, "/v1/json", authorization, "mine");
        answer.send().await.is_json(200, &[], HELLO);
    }
    let answer = get(&world.service, "/v1/accounts/x", "", "mine");
    let answer = answer.send().await;
    answer.is_error(400, "invalid_account_id");
    assert_ne!(answer.value()["request_id"], "mine");
}

pub(super) async fn trace_names_every_request(world: &World) {
    let service = start(world, "trace").await;
    let answer = get(&service, "/v1/json", "", "mine").send().await;
    answer.is_json(200, &[("x-request-id", "mine")], HELLO);
    let mut made = Vec::new();
    for (path, status, code) in [
        ("/v1/accounts/x", 400, "invalid_account_id"),
        ("/v1/nothing", 404, "path_not_found"),
        ("/v1/items/0", 404, "item_not_found"),
    ] {
        let answer = get(&service, path, "", "mine").send().await;
        answer.is_error_with(status, code, &[("x-request-id", "mine")]);
        assert_eq!(answer.value()["request_id"], "mine");
        for not_valid in ["", "not valid", &"x".repeat(65)] {
            let answer = get(&service, path, "", not_valid).send().await;
            let id = answer.headers["x-request-id"].clone();
            answer.is_error_with(status, code, &[("x-request-id", &id)]);
            assert_eq!(answer.value()["request_id"], id);
            assert_ne!(id, not_valid);
            made.push(id);
        }
    }
    made.sort_unstable();
    made.dedup();
    assert_eq!(made.len(), 9, "each request has its own: {made:?}");
}

pub(super) async fn auth_asks_who_is_calling(world: &World) {
    let service = start(world, "auth").await;
    let (good, other) = (bearer("user-1", "items"), bearer("user-1", "audit"));
    let unsigned = &good[..good.rfind('.').unwrap() + 1];
    let nobody = [("www-authenticate", "Bearer")];
    let invalid = [("www-authenticate", "Bearer error=\"invalid_token\"")];
    let scope = "Bearer error=\"insufficient_scope\", scope=\"items\"";
    for path in ["/v1/json", "/v1/items/1", "/v1/nothing", "/v1/accounts/x"] {
        for (authorization, status, code, headers) in [
            ("", 401, "missing_token", &nobody),
            ("Basic dTpw", 401, "missing_token", &nobody),
            ("Bearer x.y.z", 401, "invalid_token", &invalid),
            (unsigned, 401, "invalid_token", &invalid),
            (
                &other,
                403,
                "insufficient_scope",
                &[("www-authenticate", scope)],
            ),
        ] {
            let answer = get(&service, path, authorization, "mine").send().await;
            answer.is_error_with(status, code, headers);
        }
    }
    // A subject may ask as often as it likes.
    for _ in 0..4 * BURST {
        let answer = get(&service, "/v1/json", &good, "mine").send().await;
        answer.is_json(200, &[], HELLO);
    }
    service
        .get("/livez")
        .await
        .is_json(200, &[], r#"{"status":"alive"}"#);
    // Some routers decode a path before they match it.
    for path in ["/%761/json", "/v1%2Fjson", "/v1/%6Ason", "//v1/json"] {
        let answer = service.get(path).await;
        assert!(matches!(answer.status, 401 | 404), "{path}: {answer:?}");
    }
}

/// Sends `number` requests of `subject`, each on a connection of its own, and returns how many were served. What was not was
/// a 429 with these headers.
async fn served(service: &Service, subject: &str, number: usize, id: Option<&str>) -> usize {
    let authorization = bearer(subject, "items");
    let ask = async || -> Answer {
        let request = get(service, "/v1/json", &authorization, id.unwrap_or_default());
        request.header("connection", "close").send().await
    };
    let mut served = 0;
    for _ in 0..number {
        let mut answer = ask().await;
        answer.headers.remove("connection");
        let id = id.map(|id| ("x-request-id", id));
        if answer.status == 200 {
            answer.is_json(200, id.as_slice(), HELLO);
            served += 1;
            continue;
        }
        let seconds = answer.headers["retry-after"].clone();
        assert!(seconds.parse::<u32>().unwrap() >= 1, "{seconds}");
        let headers = [id.as_slice(), &[("retry-after", seconds.as_str())]].concat();
        answer.is_error_with(429, "rate_limited", &headers);
    }
    served
}

/// Runs [`served`] and holds it against the burst, and the one more that each second lets through.
async fn is_limited(service: &Service, subject: &str, id: Option<&str>) {
    let start = Instant::now();
    let served = served(service, subject, 2 * BURST, id).await;
    let seconds = usize::try_from(start.elapsed().as_secs()).unwrap();
    assert!(
        (BURST..=BURST + seconds).contains(&served),
        "{served} of {subject} were served in {seconds} s"
    );
}

pub(super) async fn limit_counts_for_each_subject(world: &World) {
    let service = start(world, "limit").await;
    for subject in ["user-1", "user-2"] {
        is_limited(&service, subject, None).await;
    }
    // Who is nobody is not counted, and neither is who was refused.
    for _ in 0..2 * BURST {
        assert_eq!(service.get("/livez").await.status, 200);
        let nobody = get(&service, "/v1/json", "", "").send().await;
        nobody.is_error_with(401, "missing_token", &[("www-authenticate", "Bearer")]);
    }
    is_limited(&service, "user-3", None).await;
}

pub(super) async fn the_gateway_asks_and_counts_once(world: &World) {
    for layers in ["none", "trace", "auth", "limit", "all"] {
        let service = start(world, layers).await;
        let ask = async |authorization: &str| {
            let request = get(&service, "/v1/gateway/items/7", authorization, "");
            request.send().await.status
        };
        assert_eq!(ask("").await, 401, "{layers}");
        assert_eq!(ask(&bearer("user-1", "audit")).await, 403, "{layers}");
        let authorization = bearer("user-1", "items");
        let (start, mut served) = (Instant::now(), 0);
        for _ in 0..2 * BURST {
            match ask(&authorization).await {
                200 => served += 1,
                status => assert_eq!(status, 429, "{layers}"),
            }
        }
        let seconds = usize::try_from(start.elapsed().as_secs()).unwrap();
        assert!(
            (BURST..=BURST + seconds).contains(&served),
            "{layers}: {served} were served in {seconds} s"
        );
    }
}

pub(super) async fn all_of_them_keep_their_order(world: &World) {
    let service = start(world, "all").await;
    let id = ("x-request-id", "mine");
    let nobody = get(&service, "/v1/json", "", "mine").send().await;
    let challenge = ("www-authenticate", "Bearer");
    nobody.is_error_with(401, "missing_token", &[id, challenge]);
    is_limited(&service, "user-1", Some("mine")).await;

    let length = 256 * 1024 + 1;
    let long = service
        .request("PUT", "/v1/items/1")
        .header("authorization", &bearer("user-2", "items"))
        .header("x-request-id", "mine")
        .json(&" ".repeat(length))
        .send()
        .await;
    long.is_error_with(413, "body_too_large", &[id]);

    // One request waits for a key that is taken, and so the only place is.
    let mut database = database(world).await;
    let watcher = super::transfers::database(world).await;
    let other = database.transaction().await.unwrap();
    let claim = "INSERT INTO idempotency_keys (key, fingerprint) VALUES ('the-only-place', '')";
    other.execute(claim, &[]).await.unwrap();
    let request = service
        .request("POST", "/v1/transfers")
        .header("authorization", &bearer("user-3", "items"))
        .header("idempotency-key", "the-only-place");
    let waiting = tokio::spawn(request.json(&order(21, 5_021, 1)).send());
    let locks = "SELECT count(*) FROM pg_stat_activity
        WHERE datname = current_database() AND wait_event_type = 'Lock'";
    while watcher
        .query_one(locks, &[])
        .await
        .unwrap()
        .get::<_, i64>(0)
        == 0
    {
        assert!(!waiting.is_finished(), "the request did not wait");
    }
    // There is no place for anybody, whoever they are.
    let shed = get(&service, "/v1/json", "", "mine").send().await;
    other.rollback().await.unwrap();
    let status = waiting.await.unwrap().status;
    assert!(matches!(status, 201 | 409), "{status}");
    // A conflict means that the request had waited too long, and may have left its place before.
    if status == 201 {
        shed.is_error_with(503, "overloaded", &[id]);
    }
    let answer = get(&service, "/v1/json", &bearer("user-4", "items"), "mine");
    answer.send().await.is_json(200, &[id], HELLO);
    post(&world.service, "the-only-place", &order(21, 5_021, 1)).await;
}
