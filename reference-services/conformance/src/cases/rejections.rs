//! Each layer refuses rightly in both languages: one running service, one configuration.

use super::transfers::{database, order};
use crate::World;
use crate::grpc::{Client, Refusal};
use crate::http::Answer;
use crate::service::Service;
use crate::token::bearer;
use proto::v1::TransferRequest;
use std::time::{Duration, Instant};

/// Requests that a subject may send at once.
const BURST: u32 = 5;

/// A refusal, whatever the language.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Told {
    /// Of REST or of gRPC.
    status: i32,
    code: String,
    /// Whole seconds, from 1 up.
    retry: Option<u64>,
    /// The request, in the body or the details of the status; the header says the same.
    request_id: String,
    /// Of REST alone.
    challenge: Option<String>,
}

/// A caller of the service under test.
struct Caller<'s> {
    service: &'s Service,
    client: Client,
}

impl Caller<'_> {
    /// Asks for an item that there is not, which no store needs to be asked for: whoever gets as far is told so.
    async fn rest(&self, authorization: &str, id: &str) -> Told {
        let request = self.service.request("GET", "/v1/items/0");
        let request = request.header("x-request-id", id);
        let request = match authorization {
            "" => request,
            given => request.header("authorization", given),
        };
        of_rest(&request.send().await)
    }

    /// The same in gRPC.
    async fn grpc(&self, authorization: &str, id: &str) -> Told {
        let metadata = [("x-request-id", id), ("authorization", authorization)];
        let given = if authorization.is_empty() { 1 } else { 2 };
        let status = self.client.item(0, &metadata[..given]).await.unwrap_err();
        of_grpc(&status)
    }

    /// Orders a transfer whose key somebody holds.
    async fn waiting_rest(&self, authorization: &str) -> Told {
        let request = self.service.request("POST", "/v1/transfers");
        let request = request
            .header("authorization", authorization)
            .header("idempotency-key", "held-against-layers");
        of_rest(&request.json(&order(41, 5_041, 1)).send().await)
    }

    /// The same in gRPC.
    async fn waiting_grpc(&self, authorization: &str) -> Told {
        let metadata = [
            ("authorization", authorization),
            ("idempotency-key", "held-against-layers"),
        ];
        let order = transfer("EUR");
        of_grpc(&self.client.transfer(order, &metadata).await.unwrap_err())
    }
}

fn transfer(currency: &str) -> TransferRequest {
    TransferRequest {
        from: 41,
        to: 5_041,
        amount_minor: 1,
        currency: currency.to_owned(),
    }
}

fn of_rest(answer: &Answer) -> Told {
    let body = answer.value();
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    let header = |name: &str| answer.headers.get(name).cloned();
    let told = Told {
        status: answer.status.into(),
        code: text(&body["error"]["code"]),
        retry: header("retry-after").map(|seconds| seconds.parse().unwrap()),
        request_id: text(&body["request_id"]),
        challenge: header("www-authenticate"),
    };
    assert_eq!(header("x-request-id").as_ref(), Some(&told.request_id));
    told
}

fn of_grpc(status: &tonic::Status) -> Told {
    let refusal = Refusal::of(status);
    let id = status.metadata().get("x-request-id").unwrap();
    assert_eq!(*id, refusal.request_id);
    Told {
        status: refusal.status,
        code: refusal.code,
        retry: refusal.retry,
        request_id: refusal.request_id,
        challenge: None,
    }
}

impl Told {
    fn is(&self, status: i32, code: &str) {
        assert_eq!(
            (self.status, self.code.as_str()),
            (status, code),
            "{self:?}"
        );
    }
}

/// The statuses of REST and of gRPC with which one layer refuses, and the name of the failure.
const NOT_THERE: (i32, i32, &str) = (404, 5, "item_not_found");

pub(super) async fn are_right_in_both_languages(world: &World) {
    let environment = [
        ("LAYERS", "all"),
        ("RATE_LIMIT_PER_SECOND", "1"),
        ("RATE_LIMIT_BURST", "5"),
        ("MAX_IN_FLIGHT", "1"),
        // Less than the second that a request waits for a key.
        ("ANSWER_TIMEOUT_MS", "500"),
    ];
    let service = Service::start_with_upstream(world, &environment).await;
    let caller = Caller {
        client: Client::of(&service).await,
        service: &service,
    };
    request_id(&caller).await;
    authentication(&caller).await;
    rate_limit(&caller).await;
    body_limit(&caller).await;
    shedding_and_timeout(&caller, world).await;
}

async fn request_id(caller: &Caller<'_>) {
    let made = [
        caller.rest("", "not valid").await,
        caller.grpc("", "not valid").await,
    ];
    assert_ne!(made[0].request_id, made[1].request_id);
    for told in made {
        assert_ne!(told.request_id, "not valid");
    }
    assert_eq!(caller.rest("", "mine").await.request_id, "mine");
    assert_eq!(caller.grpc("", "mine").await.request_id, "mine");
}

async fn authentication(caller: &Caller<'_>) {
    let good = bearer("user-1", "items");
    let unsigned = good[..=good.rfind('.').unwrap()].to_owned();
    let scope = "Bearer error=\"insufficient_scope\", scope=\"items\"";
    for (authorization, (rest, grpc, code), challenge) in [
        (String::new(), (401, 16, "missing_token"), Some("Bearer")),
        (
            "Basic dTpw".to_owned(),
            (401, 16, "missing_token"),
            Some("Bearer"),
        ),
        (
            unsigned,
            (401, 16, "invalid_token"),
            Some("Bearer error=\"invalid_token\""),
        ),
        (
            bearer("user-1", "audit"),
            (403, 7, "insufficient_scope"),
            Some(scope),
        ),
        (good, NOT_THERE, None),
    ] {
        let told = caller.rest(&authorization, "mine").await;
        told.is(rest, code);
        assert_eq!((told.challenge.as_deref(), told.retry), (challenge, None));
        let told = caller.grpc(&authorization, "mine").await;
        told.is(grpc, code);
        assert_eq!(told.retry, None);
    }
}

/// Each subject has its burst, counted over both languages, and one more for each second.
async fn rate_limit(caller: &Caller<'_>) {
    for subject in ["user-2", "user-3"] {
        let authorization = bearer(subject, "items");
        let (start, mut served) = (Instant::now(), 0);
        let mut refused = [0, 0];
        while refused.contains(&0) {
            let (rest, grpc, code) = NOT_THERE;
            let asked = [
                (caller.rest(&authorization, "mine").await, rest, 429),
                (caller.grpc(&authorization, "mine").await, grpc, 8),
            ];
            for ((told, served_status, limited), count) in asked.into_iter().zip(&mut refused) {
                if told.status == served_status {
                    told.is(served_status, code);
                    served += 1;
                } else {
                    told.is(limited, "rate_limited");
                    assert!(told.retry.is_some_and(|seconds| seconds >= 1), "{told:?}");
                    *count += 1;
                }
            }
            assert!(
                start.elapsed() < Duration::from_secs(20),
                "{subject} has no limit"
            );
        }
        let seconds = u32::try_from(start.elapsed().as_secs()).unwrap();
        assert!(
            (BURST..=BURST + seconds + 1).contains(&served),
            "{subject}: {served} served"
        );
    }
}

/// Of what is announced as too long nothing is read, and nobody is asked whether there is a place for it.
async fn body_limit(caller: &Caller<'_>) {
    let authorization = bearer("user-4", "items");
    let long = " ".repeat(300 * 1_024);
    let request = caller.service.request("GET", "/v1/items/0");
    let request = request.header("authorization", &authorization);
    of_rest(&request.json(&long).send().await).is(413, "body_too_large");

    let length = long.len().to_string();
    let headers = [
        ("content-type", "application/grpc"),
        ("content-length", length.as_str()),
        ("authorization", authorization.as_str()),
    ];
    let path = "/tailmark.v1.Nothing/There";
    let mut client = caller.client.clone();
    let answer = client.http("POST", path, &headers, long.as_bytes()).await;
    let status = tonic::Status::from_header_map(answer.headers()).unwrap();
    of_grpc(&status).is(8, "body_too_large");
}

/// A request that waits for a key has the only place, and is broken off while it waits.
async fn shedding_and_timeout(caller: &Caller<'_>, world: &World) {
    let mut holder = database(world).await;
    let other = holder.transaction().await.unwrap();
    let claim =
        "INSERT INTO idempotency_keys (key, fingerprint) VALUES ('held-against-layers', '')";
    other.execute(claim, &[]).await.unwrap();
    // On a busy machine a request may come late for what it is to meet: each situation is tried until it was met.
    let (mut shed, mut timed_out) = (false, [false; 2]);
    for attempt in 0..20 {
        let authorization = bearer(&format!("user-{}", 100 + attempt), "items");
        let waiting = async {
            if attempt % 2 == 0 {
                (0, caller.waiting_rest(&authorization).await)
            } else {
                (1, caller.waiting_grpc(&authorization).await)
            }
        };
        let asking = async {
            tokio::time::sleep(Duration::from_millis(150)).await;
            (caller.rest("", "mine").await, caller.grpc("", "mine").await)
        };
        let ((language, waited), (rest, grpc)) = tokio::join!(waiting, asking);
        if waited.code == "timed_out" {
            waited.is([504, 4][language], "timed_out");
            assert_eq!(waited.retry, None);
            timed_out[language] = true;
        } else {
            // It came after those who ask, or waited longer for a processor than for its key.
            let not_met = ["key_in_flight", "overloaded"];
            assert!(not_met.contains(&waited.code.as_str()), "{waited:?}");
        }
        if rest.code == "overloaded" && grpc.code == "overloaded" {
            rest.is(503, "overloaded");
            grpc.is(14, "overloaded");
            assert_eq!((rest.retry, grpc.retry), (Some(1), Some(1)));
            shed = true;
        }
        if shed && timed_out == [true; 2] {
            break;
        }
    }
    other.rollback().await.unwrap();
    assert!(shed, "nobody was refused while the only place was taken");
    assert_eq!(timed_out, [true; 2], "broken off in REST and in gRPC");
}
