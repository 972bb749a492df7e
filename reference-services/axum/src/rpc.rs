//! Row 13: the contract in gRPC, on the port of everything else. Actix has nothing like it.
//!
//! Each method is a route, so that layers and metrics know it as they know those of HTTP, and what is no method is as
//! unknown as any other path.

use crate::error::ApiError;
use crate::routes::App;
use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::middleware::{Next, from_fn, map_request};
use axum::response::{IntoResponse, Response};
use axum::routing::post_service;
use contract::item::ItemId;
use contract::transfer::{IdempotencyKey, NewTransfer};
use contract::{Failure, header, limit, path};
use futures_util::StreamExt;
use proto::v1::catalog_server::{Catalog, CatalogServer};
use proto::v1::ledger_server::{Ledger, LedgerServer};
use proto::v1::{GetItemRequest, GetItemResponse, TransferRequest, TransferResponse};
use std::pin::pin;
use std::time::Duration;
use store::Store;
use tokio::sync::{mpsc, watch};
use tokio::time::{MissedTickBehavior, interval};
use tonic::codegen::tokio_stream::wrappers::ReceiverStream;
use tonic::metadata::MetadataValue;
use tonic::{Code, Status};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_server::{Health, HealthServer};
use tonic_health::pb::{FILE_DESCRIPTOR_SET, HealthCheckRequest, HealthCheckResponse};
use tonic_reflection::server::{Builder, Error};

/// How often the stores are asked for those who watch their health.
const WATCH_EVERY: Duration = Duration::from_secs(1);

/// The services whose health can be asked for. The empty name is that of the whole process.
const NAMES: [&str; 3] = ["", "tailmark.v1.Ledger", "tailmark.v1.Catalog"];

/// Becomes true once the process is to end.
pub(crate) type Stopping = watch::Receiver<bool>;

/// Returns once the process is to end.
pub(crate) async fn stopped(mut stopping: Stopping) {
    // An error says that whoever was to tell is gone, and that is an end, too.
    let _ = stopping.wait_for(|stopping| *stopping).await;
}

/// The routes of all services over `store`, on the runtime that this is called on.
///
/// # Errors
/// None that is known: descriptors come from the compiler of the protos.
pub(crate) fn routes(store: &Store, stopping: &Stopping) -> Result<Router<App>, Error> {
    let rows = || Rows(store.clone());
    let ledger = LedgerServer::new(rows()).max_decoding_message_size(limit::BODY_BYTES);
    let catalog = CatalogServer::new(rows()).max_decoding_message_size(limit::BODY_BYTES);
    let probe = Probe::new(store.clone());
    tokio::spawn(probe.clone().follow(stopping.clone()));
    let health = HealthServer::new(probe).max_decoding_message_size(limit::BODY_BYTES);
    let reflection = || {
        Builder::configure()
            .register_encoded_file_descriptor_set(proto::DESCRIPTORS)
            .register_encoded_file_descriptor_set(FILE_DESCRIPTOR_SET)
    };
    let reflection_v1 = reflection().build_v1()?;
    let reflection_alpha = reflection().build_v1alpha()?;
    // Who asks leaves a stream open for as long as it likes, which must not be longer than the process is to live.
    let stopping = stopping.clone();
    let bounded = map_request(move |request| until(stopping.clone(), request));
    let reflection = Router::new()
        .route(
            path::GRPC_REFLECTION,
            post_service(reflection_v1.max_decoding_message_size(limit::BODY_BYTES)),
        )
        .route(
            path::GRPC_REFLECTION_ALPHA,
            post_service(reflection_alpha.max_decoding_message_size(limit::BODY_BYTES)),
        )
        .route_layer(bounded);
    Ok(Router::new()
        .route(path::GRPC_TRANSFER, post_service(ledger))
        .route(path::GRPC_GET_ITEM, post_service(catalog))
        .route(path::GRPC_HEALTH_CHECK, post_service(health.clone()))
        .route(path::GRPC_HEALTH_WATCH, post_service(health))
        .merge(reflection)
        .route_layer(from_fn(in_grpc)))
}

/// The request, whose body ends when the process is to.
async fn until(stopping: Stopping, request: Request) -> Request {
    request.map(|body| {
        let parts = body.into_data_stream();
        Body::from_stream(parts.take_until(Box::pin(stopped(stopping))))
    })
}

/// What tonic leaves open: who does not speak gRPC is told so in HTTP, and a message that is too large is refused as the
/// contract refuses it.
async fn in_grpc(request: Request, next: Next) -> Response {
    if !proto::is_grpc(&request) {
        return ApiError::from(Failure::UnsupportedMediaType).into_response();
    }
    let answer = next.run(request).await;
    match answer.extensions().get::<Status>().map(Status::code) {
        // Said by the decoder alone: the contract has no use for it.
        Some(Code::OutOfRange) => Status::from(ApiError::from(Failure::BodyTooLarge)).into_http(),
        _ => answer,
    }
}

/// The rows of the contract that can be asked for in gRPC.
#[derive(Debug)]
struct Rows(Store);

#[tonic::async_trait]
impl Ledger for Rows {
    async fn transfer(
        &self,
        request: tonic::Request<TransferRequest>,
    ) -> Result<tonic::Response<TransferResponse>, Status> {
        Ok(self.book(request).await?)
    }
}

#[tonic::async_trait]
impl Catalog for Rows {
    async fn get_item(
        &self,
        request: tonic::Request<GetItemRequest>,
    ) -> Result<tonic::Response<GetItemResponse>, Status> {
        Ok(self.read(request.get_ref().id).await?)
    }
}

impl Rows {
    async fn book(
        &self,
        request: tonic::Request<TransferRequest>,
    ) -> Result<tonic::Response<TransferResponse>, ApiError> {
        let (metadata, _, order) = request.into_parts();
        // As over HTTP, what was ordered is judged before the key is.
        let order = NewTransfer::try_from(order)?;
        let keys = metadata.get_all(header::IDEMPOTENCY_KEY);
        let key = IdempotencyKey::parse(keys.iter().map(MetadataValue::as_encoded_bytes))?;
        let booking = self.0.transfer(&key, &order).await?;
        let mut answer = tonic::Response::new(booking.transfer.into());
        if booking.replayed {
            let replayed = MetadataValue::from_static("true");
            let metadata = answer.metadata_mut();
            metadata.insert(header::IDEMPOTENCY_REPLAYED, replayed);
        }
        Ok(answer)
    }

    async fn read(&self, id: i64) -> Result<tonic::Response<GetItemResponse>, ApiError> {
        let found = self.0.item(ItemId::try_from(id)?).await?;
        let mut answer = tonic::Response::new(found.item.into());
        let cache = MetadataValue::from_static(found.cache.as_str());
        answer.metadata_mut().insert(header::X_CACHE, cache);
        Ok(answer)
    }
}

/// Whether the stores answer, as `/readyz` tells it.
#[derive(Debug, Clone)]
struct Probe {
    store: Store,
    /// What is known, and whether it is the last word. Kept up to date for as long as somebody watches.
    known: watch::Sender<(ServingStatus, bool)>,
}

impl Probe {
    fn new(store: Store) -> Self {
        let (known, _) = watch::channel((ServingStatus::Unknown, false));
        Self { store, known }
    }

    /// Asks the stores, unless the process is to end.
    async fn ask(&self) -> ServingStatus {
        let (status, last) = *self.known.borrow();
        if last {
            return status;
        }
        match self.store.ready().await {
            Ok(()) => ServingStatus::Serving,
            Err(_) => ServingStatus::NotServing,
        }
    }

    /// Asks once for all who watch, again and again, until the process is to end.
    async fn follow(self, stopping: Stopping) {
        let mut ticks = interval(WATCH_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut stopped = pin!(stopped(stopping));
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                () = &mut stopped => break,
            }
            if self.known.receiver_count() > 0 {
                self.tell((self.ask().await, false));
            }
        }
        self.tell((ServingStatus::NotServing, true));
    }

    fn tell(&self, news: (ServingStatus, bool)) {
        self.known.send_if_modified(|known| {
            // Whoever asked before the last word was spoken may be late.
            let is_news = !known.1 && *known != news;
            if is_news {
                *known = news;
            }
            is_news
        });
    }
}

#[tonic::async_trait]
impl Health for Probe {
    async fn check(
        &self,
        request: tonic::Request<HealthCheckRequest>,
    ) -> Result<tonic::Response<HealthCheckResponse>, Status> {
        if !NAMES.contains(&request.get_ref().service.as_str()) {
            return Err(Status::not_found("there is no such service"));
        }
        let status = self.ask().await.into();
        Ok(tonic::Response::new(HealthCheckResponse { status }))
    }

    type WatchStream = ReceiverStream<Result<HealthCheckResponse, Status>>;

    /// Tells of each change, within a second or so. Ends with the process, or when nobody listens any more.
    async fn watch(
        &self,
        request: tonic::Request<HealthCheckRequest>,
    ) -> Result<tonic::Response<Self::WatchStream>, Status> {
        let exists = NAMES.contains(&request.get_ref().service.as_str());
        let mut known = self.known.subscribe();
        if exists {
            self.tell((self.ask().await, false));
        }
        let (answers, received) = mpsc::channel(1);
        tokio::spawn(async move {
            let mut told = None;
            loop {
                let (mut status, last) = *known.borrow_and_update();
                if !exists {
                    // It may yet come to exist, says the protocol; here none does.
                    status = ServingStatus::ServiceUnknown;
                }
                let answer = HealthCheckResponse {
                    status: status.into(),
                };
                if told.replace(status) != Some(status) && answers.send(Ok(answer)).await.is_err() {
                    return;
                }
                if last {
                    return;
                }
                tokio::select! {
                    changed = known.changed() => if changed.is_err() { return },
                    () = answers.closed() => return,
                }
            }
        });
        Ok(tonic::Response::new(ReceiverStream::new(received)))
    }
}

impl From<ApiError> for Status {
    fn from(error: ApiError) -> Self {
        let (failure, request_id) = error.told();
        proto::status(&failure, request_id)
    }
}
