//! What gRPC has of its own: the port that it shares, health, reflection.

use super::tls::Files;
use crate::World;
use crate::grpc::{Client, Refusal, with};
use crate::http::raw;
use crate::service::Service;
use rustix::process::Signal;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tonic::Code;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::{v1, v1alpha};

pub(super) async fn shares_its_port_with_rest(world: &World) {
    let service = &world.service;
    let mut client = Client::of(service).await;
    // An unknown path is one in the language of whoever asks.
    service
        .get("/nothing/There")
        .await
        .is_error(404, "path_not_found");
    let json = "application/json".to_owned();
    assert_eq!(
        client.plain("GET", "/nothing/There", &[]).await,
        (404, json.clone())
    );
    for path in [
        "/nothing/There",
        "/tailmark.v1.Ledger/Nothing",
        "/tailmark.v1.Nothing/Transfer",
        "/grpc.health.v1.Health/Nothing",
    ] {
        let refusal = Refusal::of(&client.call(path).await);
        assert_eq!(
            (refusal.status, refusal.code.as_str()),
            (12, "path_not_found"),
            "{path}"
        );
    }
    // Who does not speak gRPC is told so in HTTP.
    let transfer = "/tailmark.v1.Ledger/Transfer";
    for headers in [
        &[][..],
        &[("content-type", "application/json")],
        &[("content-type", "application/grpc-web")],
    ] {
        assert_eq!(
            client.plain("POST", transfer, headers).await,
            (415, json.clone())
        );
    }
    let over_http_1 = service.request("POST", transfer);
    let over_http_1 = over_http_1.header("content-type", "application/grpc");
    over_http_1
        .send()
        .await
        .is_error(415, "unsupported_media_type");
    let allow = [("allow", "POST")];
    service
        .get(transfer)
        .await
        .is_error_with(405, "method_not_allowed", &allow);
    // And REST is spoken over HTTP/2, by prior knowledge, as it is over HTTP/1.1.
    assert_eq!(
        client.plain("GET", "/v1/json", &[]).await,
        (200, json.clone())
    );
    assert_eq!(
        client.plain("GET", "/v1/accounts/x", &[]).await,
        (400, json)
    );
}

async fn health(client: &Client, service: &str) -> Result<ServingStatus, Code> {
    let request = HealthCheckRequest {
        service: service.to_owned(),
    };
    let mut client = HealthClient::new(client.0.clone());
    let answer = client
        .check(request)
        .await
        .map_err(|status| status.code())?;
    Ok(answer.into_inner().status())
}

pub(super) async fn health_follows_the_stores(world: &World) {
    let client = Client::of(&world.service).await;
    for name in ["", "tailmark.v1.Ledger", "tailmark.v1.Catalog"] {
        assert_eq!(
            health(&client, name).await,
            Ok(ServingStatus::Serving),
            "{name}"
        );
    }
    assert_eq!(
        health(&client, "tailmark.v1.Nothing").await,
        Err(Code::NotFound)
    );
    let unready = [("REDIS_URL", "redis://127.0.0.1:1/0")];
    let unready = Service::start(&world.subject, &unready).await;
    let client = Client::of(&unready).await;
    assert_eq!(health(&client, "").await, Ok(ServingStatus::NotServing));
    // Whoever watches is told at once how things stand.
    for (service, expected) in [
        (&world.service, ServingStatus::Serving),
        (&unready, ServingStatus::NotServing),
    ] {
        let mut client = HealthClient::new(Client::of(service).await.0);
        for (name, expected) in [("", expected), ("nothing", ServingStatus::ServiceUnknown)] {
            let request = HealthCheckRequest {
                service: name.to_owned(),
            };
            let mut changes = client.watch(request).await.unwrap().into_inner();
            let first = changes.message().await.unwrap().unwrap();
            assert_eq!(first.status(), expected, "{name}");
        }
    }
}

pub(super) async fn reflection_tells_of_every_service(world: &World) {
    let client = Client::of(&world.service).await;
    let expected = [
        "grpc.health.v1.Health",
        "tailmark.v1.Catalog",
        "tailmark.v1.Ledger",
    ];
    // Two versions of the same protocol, whose messages are of different types in Rust.
    macro_rules! listed {
        ($version:ident) => {{
            use $version::server_reflection_client::ServerReflectionClient;
            use $version::server_reflection_request::MessageRequest;
            use $version::server_reflection_response::MessageResponse;
            let ask = async |question: MessageRequest| {
                let request = $version::ServerReflectionRequest {
                    host: String::new(),
                    message_request: Some(question),
                };
                let mut client = ServerReflectionClient::new(client.0.clone());
                let requests = tonic::codegen::tokio_stream::once(request);
                let answers = client.server_reflection_info(requests).await.unwrap();
                let answer = answers.into_inner().message().await.unwrap().unwrap();
                answer.message_response.unwrap()
            };
            let list = MessageRequest::ListServices(String::new());
            let MessageResponse::ListServicesResponse(services) = ask(list).await else {
                panic!("services are not listed");
            };
            let symbol = "tailmark.v1.Ledger.Transfer".to_owned();
            let symbol = MessageRequest::FileContainingSymbol(symbol);
            let MessageResponse::FileDescriptorResponse(file) = ask(symbol).await else {
                panic!("a method is not found");
            };
            let file = String::from_utf8_lossy(&file.file_descriptor_proto[0]).into_owned();
            assert!(file.contains("TransferRequest"), "{file}");
            let services = services.service.into_iter().map(|service| service.name);
            let mut services: Vec<String> = services.collect();
            services.retain(|name| !name.starts_with("grpc.reflection."));
            services.sort_unstable();
            services
        }};
    }
    assert_eq!(listed!(v1), expected);
    assert_eq!(listed!(v1alpha), expected);
}

pub(super) async fn calls_are_counted_and_logged_by_method(world: &World) {
    let environment = [
        // No copy of an item expires meanwhile.
        ("CACHE_TTL_SECONDS", "60"),
        ("METRICS_PORT", "0"),
        ("LAYERS", "trace"),
        ("RUST_LOG", "info"),
        ("LOG_FORMAT", "json"),
    ];
    let mut service = Service::start_with_log(&world.subject, &environment).await;
    let port = service.metrics_port().await;
    let client = Client::of(&service).await;
    client.item(335, &[]).await.unwrap();
    client
        .item(335, &[("x-request-id", "the-hit")])
        .await
        .unwrap();
    let not_found = client.item(0, &[("x-request-id", "the-miss")]).await;
    assert_eq!(not_found.unwrap_err().code(), Code::NotFound);
    let metrics = format!("127.0.0.1:{port}");
    let ask = "GET /metrics HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n";
    let text = raw(&metrics, ask).await;
    let route = "route=\"/tailmark.v1.Catalog/GetItem\",method=\"POST\"";
    for line in [
        format!("http_requests_total{{{route},status=\"2xx\"}} 2"),
        format!("http_requests_total{{{route},status=\"4xx\"}} 1"),
        "cache_lookups_total{outcome=\"hit\"} 1".to_owned(),
        "cache_lookups_total{outcome=\"miss\"} 1".to_owned(),
    ] {
        assert!(text.lines().any(|found| found == line), "{line}\n{text}");
    }
    service.signal(Signal::TERM);
    let log = service.log().await;
    for (id, status) in [("the-hit", "200"), ("the-miss", "404")] {
        let line = log
            .lines()
            .find(|line| line.contains(id))
            .unwrap_or_else(|| panic!("{log}"));
        assert!(line.contains("/tailmark.v1.Catalog/GetItem"), "{line}");
        assert!(line.contains(&format!("\"status\":{status}")), "{line}");
    }
}

pub(super) async fn those_who_watch_do_not_hold_up_the_end(world: &World) {
    let service = Service::start(&world.subject, &[]).await;
    let mut client = HealthClient::new(Client::of(&service).await.0);
    let request = HealthCheckRequest {
        service: String::new(),
    };
    let mut changes = client.watch(request).await.unwrap().into_inner();
    changes.message().await.unwrap().unwrap();
    // Nor do those who may ask another question.
    let mut client =
        v1::server_reflection_client::ServerReflectionClient::new(Client::of(&service).await.0);
    let open = tonic::codegen::tokio_stream::pending();
    let asked = client.server_reflection_info(open);
    let mut questions = asked.await.unwrap().into_inner();
    let start = Instant::now();
    service.signal(Signal::TERM);
    // The last word is that it is over. The stream ends in order, and then the process does.
    let last = changes.message().await.unwrap().unwrap();
    assert_eq!(last.status(), ServingStatus::NotServing);
    assert!(changes.message().await.unwrap().is_none());
    assert!(questions.message().await.unwrap().is_none());
    assert_eq!(service.ended().await.code(), Some(0));
    let took = start.elapsed();
    assert!(took < Duration::from_secs(5), "it took {took:?} to stop");
}

pub(super) async fn is_spoken_over_tls(world: &World) {
    let files = Files::new();
    let service = Service::start(&world.subject, &files.environment()).await;
    let mut client = Client::over_tls(&service, &files.certificate_pem()).await;
    let answer = client.item(336, &[]).await.unwrap();
    assert_eq!(answer.into_inner().id, 336);
    let mut health = HealthClient::new(client.0.clone());
    let request = with(
        HealthCheckRequest {
            service: String::new(),
        },
        &[],
    );
    let answer = health.check(request).await.unwrap().into_inner();
    assert_eq!(answer.status(), ServingStatus::Serving);
    let json = (200, "application/json".to_owned());
    assert_eq!(client.plain("GET", "/v1/json", &[]).await, json);
}

pub(super) async fn goes_over_the_wire_as_the_protos_say(world: &World) {
    let mut client = Client::of(&world.service).await;
    let grpc = [("content-type", "application/grpc"), ("te", "trailers")];
    // A byte that says that nothing is compressed, four of length, and the fields by their numbers.
    let item = b"\0\0\0\0\x03\x08\xd1\x02";
    let answer = client
        .http("POST", "/tailmark.v1.Catalog/GetItem", &grpc, item)
        .await;
    let fields = b"\x08\xd1\x02\x12\x08Item 337\x18\x12\x20\xb9\x0a\x28\x01";
    assert_eq!(
        answer.body()[..5],
        [0, 0, 0, 0, fields.len().try_into().unwrap()]
    );
    assert_eq!(answer.body()[5..], *fields);

    let order = b"\0\0\0\0\x0c\x08\x2b\x10\xb3\x27\x18\x01\x22\x03EUR";
    let key = [&grpc[..], &[("idempotency-key", "byte-by-byte")]].concat();
    let answer = client
        .http("POST", "/tailmark.v1.Ledger/Transfer", &key, order)
        .await;
    let fields = b"\x10\x2b\x18\xb3\x27\x20\x01\x2a\x03EUR\x30\x01";
    assert_eq!(
        answer.body()[5],
        0x08,
        "the number of the transfer is first"
    );
    assert!(answer.body().ends_with(fields), "{:x?}", answer.body());
}

/// Hyper itself would wait for the rest for ever, and the end of the service for it.
pub(super) async fn those_who_stop_within_the_preface_are_let_go(world: &World) {
    let service = Service::start(&world.subject, &[]).await;
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    let wrong = b"PRI * HTTP/2.0\r\n\r\nnot the rest of it\r\n";
    let connect = async |first: &[u8]| {
        let mut stream = TcpStream::connect(&service.address).await.unwrap();
        stream.write_all(first).await.unwrap();
        stream
    };
    let closes = async |first: &[u8]| {
        let mut stream = connect(first).await;
        let mut said = Vec::new();
        let end = timeout(Duration::from_secs(20), stream.read_to_end(&mut said));
        // Closed or reset: both are an end.
        assert!(end.await.is_ok(), "{first:?}: the connection stays open");
    };
    tokio::join!(closes(wrong), closes(&preface[..4]), closes(&preface[..20]));
    let held = [connect(&preface[..4]).await, connect(&preface[..20]).await];
    let start = Instant::now();
    service.signal(Signal::TERM);
    assert_eq!(service.ended().await.code(), Some(0));
    let took = start.elapsed();
    assert!(took < Duration::from_secs(5), "it took {took:?} to stop");
    drop(held);
}
