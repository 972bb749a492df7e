//! What REST answers, gRPC answers: one list of cases, each of which is asked in both languages.

use super::outages::closed_port;
use super::transfers::{CONFLICTS, NO_CONFLICTS, OPENING, database};
use crate::World;
use crate::grpc::{Client, Refusal};
use crate::service::Service;
use proto::v1::{TransferRequest, TransferStatus};
use serde_json::{Value, json};

/// How a question is put.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Language {
    Rest,
    Grpc,
}

/// A question of row 13.
#[derive(Debug, Clone)]
enum Ask {
    /// Row 8, with these idempotency keys.
    Transfer(Vec<String>, Order),
    /// Row 6.
    Item(i64),
}

#[derive(Debug, Clone)]
struct Order {
    from: i64,
    to: i64,
    amount_minor: i64,
    currency: String,
}

/// An answer, whatever the language.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Answer {
    /// What was asked for, without the number of a transfer; and what is said beside it.
    Granted {
        body: Value,
        /// Of a transfer: an earlier request with its key booked it.
        replayed: bool,
        /// Of an item: where it was found.
        cache: Option<String>,
    },
    /// The status of the language, the name of the failure, and the seconds until another try.
    Refused(i32, String, Option<u64>),
}

/// A question with its answer in both languages. Where a question changes something, it is another one in each.
struct Case {
    name: &'static str,
    ask: Ask,
    answer: Expected,
}

#[derive(Debug, Clone)]
enum Expected {
    Booked {
        replayed: bool,
    },
    Found {
        cache: &'static str,
    },
    /// Statuses of REST and of gRPC.
    Refused(i32, i32, &'static str),
}

use Expected::{Booked, Found, Refused};

impl Language {
    const BOTH: [Self; 2] = [Self::Rest, Self::Grpc];

    async fn ask(self, service: &Service, ask: &Ask) -> Answer {
        match self {
            Self::Rest => rest(service, ask).await,
            Self::Grpc => grpc(service, ask).await,
        }
    }

    fn expected(self, ask: &Ask, expected: &Expected) -> Answer {
        let (replayed, cache) = match expected {
            Booked { replayed } => (*replayed, None),
            Found { cache } => (false, Some((*cache).to_owned())),
            Refused(rest, grpc, code) => {
                let status = if self == Self::Rest { *rest } else { *grpc };
                let retry = (*rest == 503).then_some(1);
                return Answer::Refused(status, (*code).to_owned(), retry);
            }
        };
        let body = match ask {
            Ask::Transfer(_, order) => json!({
                "from": order.from, "to": order.to, "amount_minor": order.amount_minor,
                "currency": order.currency, "status": "booked",
            }),
            Ask::Item(id) => json!({
                "id": id, "name": format!("Item {id}"), "category": id % 20 + 1,
                "price_minor": 1_000 + id, "version": 1,
            }),
        };
        Answer::Granted {
            body,
            replayed,
            cache,
        }
    }
}

async fn rest(service: &Service, ask: &Ask) -> Answer {
    let answer = match ask {
        Ask::Item(id) => service.get(&format!("/v1/items/{id}")).await,
        Ask::Transfer(keys, order) => {
            let mut request = service.request("POST", "/v1/transfers");
            for key in keys {
                request = request.header("idempotency-key", key);
            }
            let order = json!({
                "from": order.from, "to": order.to, "amount_minor": order.amount_minor,
                "currency": order.currency,
            });
            request.json(&order.to_string()).send().await
        }
    };
    let header = |name: &str| answer.headers.get(name).cloned();
    let mut body = answer.value();
    if answer.status >= 400 {
        return Answer::Refused(
            answer.status.into(),
            body["error"]["code"].as_str().unwrap().to_owned(),
            header("retry-after").map(|seconds| seconds.parse().unwrap()),
        );
    }
    if matches!(ask, Ask::Transfer(..)) {
        body.as_object_mut().unwrap().remove("id").unwrap();
    }
    Answer::Granted {
        body,
        replayed: header("idempotency-replayed").is_some_and(|value| value == "true"),
        cache: header("x-cache"),
    }
}

async fn grpc(service: &Service, ask: &Ask) -> Answer {
    let client = Client::of(service).await;
    let (body, metadata) = match ask {
        Ask::Item(id) => match client.item(*id, &[]).await {
            Err(status) => return refused(&status),
            Ok(answer) => {
                let (metadata, item, _) = answer.into_parts();
                let body = json!({
                    "id": item.id, "name": item.name, "category": item.category,
                    "price_minor": item.price_minor, "version": item.version,
                });
                (body, metadata)
            }
        },
        Ask::Transfer(keys, order) => {
            let keys: Vec<_> = keys
                .iter()
                .map(|key| ("idempotency-key", key.as_str()))
                .collect();
            let order = TransferRequest {
                from: order.from,
                to: order.to,
                amount_minor: order.amount_minor,
                currency: order.currency.clone(),
            };
            match client.transfer(order, &keys).await {
                Err(status) => return refused(&status),
                Ok(answer) => {
                    let (metadata, booked, _) = answer.into_parts();
                    assert!(booked.id > 0, "{booked:?}");
                    assert_eq!(booked.status(), TransferStatus::Booked);
                    let body = json!({
                        "from": booked.from, "to": booked.to, "amount_minor": booked.amount_minor,
                        "currency": booked.currency, "status": "booked",
                    });
                    (body, metadata)
                }
            }
        }
    };
    let said = |name: &str| {
        let value = metadata.get(name)?;
        Some(value.to_str().unwrap().to_owned())
    };
    Answer::Granted {
        body,
        replayed: said("idempotency-replayed").is_some_and(|value| value == "true"),
        cache: said("x-cache"),
    }
}

fn refused(status: &tonic::Status) -> Answer {
    let refusal = Refusal::of(status);
    Answer::Refused(refusal.status, refusal.code, refusal.retry)
}

/// An order between accounts of one language's own.
fn order(language: Language, from: i64, amount_minor: i64) -> Order {
    let from = if language == Language::Rest {
        from
    } else {
        from + 1
    };
    Order {
        from,
        to: 5_000 + from,
        amount_minor,
        currency: "EUR".to_owned(),
    }
}

/// The cases that a service on sound stores answers, in the order in which they are asked.
fn cases(language: Language) -> Vec<Case> {
    let key = |name: &str| vec![format!("{language:?}-{}", name.replace(' ', "-"))];
    let normal = order(language, 31, 250);
    let case = |name, ask, answer| Case { name, ask, answer };
    let transfer = |name, order: Order, answer| case(name, Ask::Transfer(key(name), order), answer);
    let with_keys = |name, keys: &[&str], code| {
        let keys = keys.iter().map(|&key| key.to_owned()).collect();
        case(
            name,
            Ask::Transfer(keys, normal.clone()),
            Refused(400, 3, code),
        )
    };
    let changed = |change: &dyn Fn(&mut Order)| {
        let mut order = normal.clone();
        change(&mut order);
        order
    };
    let invalid = |name, change: &dyn Fn(&mut Order)| {
        transfer(name, changed(change), Refused(400, 3, "invalid_body"))
    };
    let item = |name, id, answer| case(name, Ask::Item(id), answer);
    let own_item = if language == Language::Rest { 331 } else { 332 };
    let reused = Ask::Transfer(key("booked"), changed(&|order| order.amount_minor += 1));
    let booked = || Ask::Transfer(key("booked"), normal.clone());
    vec![
        case("booked", booked(), Booked { replayed: false }),
        case("replayed", booked(), Booked { replayed: true }),
        case("key reused", reused, Refused(422, 9, "key_reused")),
        with_keys("no key", &[], "missing_idempotency_key"),
        with_keys("two keys", &["a", "b"], "invalid_idempotency_key"),
        with_keys("an empty key", &[""], "invalid_idempotency_key"),
        with_keys("a long key", &[&"k".repeat(65)], "invalid_idempotency_key"),
        with_keys(
            "a key with a space",
            &["two words"],
            "invalid_idempotency_key",
        ),
        invalid("from nobody", &|order| order.from = 0),
        invalid("to nobody", &|order| order.to = -1),
        invalid("nothing", &|order| order.amount_minor = 0),
        invalid("too much", &|order| order.amount_minor = OPENING + 1),
        invalid("small letters", &|order| order.currency = "eur".to_owned()),
        transfer(
            "too large",
            changed(&|order| order.currency = "E".repeat(16 * 1_024)),
            Refused(413, 8, "body_too_large"),
        ),
        transfer(
            "same account",
            changed(&|order| order.to = order.from),
            Refused(422, 3, "same_account"),
        ),
        transfer(
            "unknown account",
            changed(&|order| order.to = 10_001),
            Refused(404, 5, "account_not_found"),
        ),
        transfer(
            "another currency",
            changed(&|order| order.currency = "USD".to_owned()),
            Refused(422, 9, "currency_mismatch"),
        ),
        transfer(
            "all but 99",
            order(language, 33, OPENING - 99),
            Booked { replayed: false },
        ),
        transfer(
            "more than is left",
            order(language, 33, 100),
            Refused(422, 9, "insufficient_funds"),
        ),
        // Held by another transaction while these cases are asked.
        case(
            "a key in flight",
            Ask::Transfer(vec!["languages-in-flight".to_owned()], normal.clone()),
            Refused(409, 10, "key_in_flight"),
        ),
        // What the trigger of [`CONFLICTS`] refuses.
        transfer(
            "a conflict each time",
            order(language, 35, 777_001),
            Refused(503, 10, "too_many_conflicts"),
        ),
        item("not in the cache", own_item, Found { cache: "miss" }),
        item("in the cache", own_item, Found { cache: "hit" }),
        item("no such item", 10_001, Refused(404, 5, "item_not_found")),
        item("item 0", 0, Refused(404, 5, "item_not_found")),
        item("a negative item", -1, Refused(404, 5, "item_not_found")),
    ]
}

async fn agree(service: &Service, language: Language, case: &Case) {
    let answer = language.ask(service, &case.ask).await;
    let expected = language.expected(&case.ask, &case.answer);
    assert_eq!(answer, expected, "{language:?}, {}", case.name);
}

pub(super) async fn both_give_the_same_answers(world: &World) {
    let mut holder = database(world).await;
    let other = holder.transaction().await.unwrap();
    let claim =
        "INSERT INTO idempotency_keys (key, fingerprint) VALUES ('languages-in-flight', '')";
    other.execute(claim, &[]).await.unwrap();
    let database = database(world).await;
    database.batch_execute(CONFLICTS).await.unwrap();
    for language in Language::BOTH {
        for case in cases(language) {
            agree(&world.service, language, &case).await;
        }
    }
    database.batch_execute(NO_CONFLICTS).await.unwrap();
    other.rollback().await.unwrap();
}

pub(super) async fn both_fail_the_same_when_stores_do(world: &World) {
    let port = closed_port().await;
    let (database, redis) = (
        format!("postgres://nobody@127.0.0.1:{port}/nothing"),
        format!("redis://127.0.0.1:{port}/0"),
    );
    let without_redis = Service::start(&world.subject, &[("REDIS_URL", &redis)]).await;
    let without_database = Service::start(&world.subject, &[("DATABASE_URL", &database)]).await;
    for language in Language::BOTH {
        let bypass = Case {
            name: "without a cache",
            ask: Ask::Item(333),
            answer: Found { cache: "bypass" },
        };
        agree(&without_redis, language, &bypass).await;
        let unavailable = Refused(503, 14, "unavailable");
        let transfer = Ask::Transfer(vec!["nowhere".to_owned()], order(language, 37, 1));
        for (name, ask) in [("item", Ask::Item(334)), ("transfer", transfer)] {
            let answer = unavailable.clone();
            agree(&without_database, language, &Case { name, ask, answer }).await;
        }
    }
}

pub(super) async fn a_key_is_one_in_both(world: &World) {
    let order = order(Language::Rest, 39, 7);
    for (key, first, second) in [
        ("rest-then-grpc", Language::Rest, Language::Grpc),
        ("grpc-then-rest", Language::Grpc, Language::Rest),
    ] {
        let ask = Ask::Transfer(vec![key.to_owned()], order.clone());
        for (language, replayed) in [(first, false), (second, true)] {
            let case = Case {
                name: key,
                ask: ask.clone(),
                answer: Booked { replayed },
            };
            agree(&world.service, language, &case).await;
        }
    }
}
