//! Calls of gRPC. Messages come from the protos, which say what goes over the wire; names and numbers beside them are
//! written out here once more, as everywhere in this suite.

use crate::service::Service;
use http_body_util::{BodyExt, Full};
use proto::v1::catalog_client::CatalogClient;
use proto::v1::ledger_client::LedgerClient;
use proto::v1::{GetItemRequest, GetItemResponse, TransferRequest, TransferResponse};
use std::time::Duration;
use tokio::time::timeout;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::codegen::{Service as _, http};
use tonic::metadata::MetadataValue;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};
use tonic::{Request, Response, Status};
use tonic_types::StatusExt;

/// No answer of a service takes longer: its own bounds are below.
const PATIENCE: Duration = Duration::from_secs(20);

/// A connection of HTTP/2 to a service.
#[derive(Debug, Clone)]
pub(crate) struct Client(pub(crate) Channel);

/// What goes with a call: names and values of its metadata.
pub(crate) type Metadata<'a> = [(&'static str, &'a str)];

impl Client {
    /// Without TLS.
    pub(crate) async fn of(service: &Service) -> Self {
        let url = format!("http://{}", service.address);
        let endpoint = Endpoint::from_shared(url).unwrap().timeout(PATIENCE);
        Self(endpoint.connect().await.unwrap())
    }

    /// With TLS, trusting the authority of this certificate, of `localhost`.
    pub(crate) async fn over_tls(service: &Service, certificate: &str) -> Self {
        let tls = ClientTlsConfig::new()
            .ca_certificate(Certificate::from_pem(certificate))
            .domain_name("localhost");
        let url = format!("https://{}", service.address);
        let endpoint = Endpoint::from_shared(url).unwrap().timeout(PATIENCE);
        let endpoint = endpoint.tls_config(tls).unwrap();
        Self(endpoint.connect().await.unwrap())
    }

    pub(crate) async fn transfer(
        &self,
        order: TransferRequest,
        metadata: &Metadata<'_>,
    ) -> Result<Response<TransferResponse>, Status> {
        let mut client = LedgerClient::new(self.0.clone());
        client.transfer(with(order, metadata)).await
    }

    pub(crate) async fn item(
        &self,
        id: i64,
        metadata: &Metadata<'_>,
    ) -> Result<Response<GetItemResponse>, Status> {
        let mut client = CatalogClient::new(self.0.clone());
        client.get_item(with(GetItemRequest { id }, metadata)).await
    }

    /// Calls a method that may not be there.
    pub(crate) async fn call(&self, path: &'static str) -> Status {
        let mut client = tonic::client::Grpc::new(self.0.clone());
        client.ready().await.unwrap();
        let codec = tonic_prost::ProstCodec::<GetItemRequest, GetItemResponse>::default();
        let request = Request::new(GetItemRequest { id: 1 });
        let answer = client.unary(request, PathAndQuery::from_static(path), codec);
        match answer.await {
            Ok(answer) => panic!("{path} answers {answer:?}"),
            Err(status) => status,
        }
    }

    /// Sends a request of HTTP as it stands; returns its answer, whose headers are not all of its end.
    pub(crate) async fn http(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> http::Response<Vec<u8>> {
        let mut request = http::Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let body = Full::new(tonic::codegen::Bytes::copy_from_slice(body));
        let request = request.body(tonic::body::Body::new(body)).unwrap();
        std::future::poll_fn(|context| self.0.poll_ready(context))
            .await
            .unwrap();
        let answer = timeout(PATIENCE, self.0.call(request)).await.unwrap();
        let (head, body) = answer.unwrap().into_parts();
        let body = timeout(PATIENCE, body.collect()).await.unwrap().unwrap();
        http::Response::from_parts(head, body.to_bytes().to_vec())
    }

    /// [`Self::http`] without a body; returns status and `content-type` of its answer.
    pub(crate) async fn plain(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
    ) -> (u16, String) {
        let answer = self.http(method, path, headers, b"").await;
        let content_type = answer.headers().get("content-type");
        let content_type = content_type.map(|value| value.to_str().unwrap().to_owned());
        (answer.status().as_u16(), content_type.unwrap_or_default())
    }
}

/// `message` as a request with this metadata.
pub(crate) fn with<T>(message: T, metadata: &Metadata<'_>) -> Request<T> {
    let mut request = Request::new(message);
    for (name, value) in metadata {
        let value: MetadataValue<_> = value.parse().unwrap();
        request.metadata_mut().append(*name, value);
    }
    request
}

/// What a refused client reads in the details of a status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// The number of the status.
    pub(crate) status: i32,
    /// The name of the failure, as REST has it.
    pub(crate) code: String,
    /// Seconds after which another try makes sense; the two places that say so agree.
    pub(crate) retry: Option<u64>,
    /// The request.
    pub(crate) request_id: String,
}

impl Refusal {
    pub(crate) fn of(status: &Status) -> Self {
        assert!(!status.message().is_empty(), "{status:?}");
        let details = status.get_error_details();
        let info = details.error_info();
        let info = info.unwrap_or_else(|| panic!("no ErrorInfo in {status:?}"));
        assert!(
            info.metadata["http_status"].parse::<u16>().is_ok(),
            "{info:?}"
        );
        assert_eq!(info.domain, "tailmark.v1");
        let delay = details.retry_info().map(|info| info.retry_delay.unwrap());
        let pushback = status.metadata().get("grpc-retry-pushback-ms");
        let pushback = pushback.map(|value| value.to_str().unwrap().parse().unwrap());
        assert_eq!(delay, pushback.map(Duration::from_millis));
        let request_id = details.request_info().unwrap().request_id.clone();
        assert!(!request_id.is_empty());
        Self {
            status: status.code() as i32,
            code: info.reason.to_ascii_lowercase(),
            retry: delay.map(|delay| delay.as_secs()),
            request_id,
        }
    }
}
