//! What stands between a connection and the handlers: the layers that `LAYERS` asks for.

use crate::error::ApiError;
use actix_web::body::{EitherBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::error::InternalError;
use actix_web::http::StatusCode;
use actix_web::http::header::{AUTHORIZATION, CONTENT_LENGTH, HeaderMap, HeaderName, HeaderValue};
use actix_web::middleware::Next;
use actix_web::web::Data;
use actix_web::{Error, HttpMessage, HttpResponse, ResponseError};
use contract::request_id::RequestId;
use contract::{Failure, header, limit, path};
use launch::{Layers, Plan};
use policy::{Permit, Policy, Subject};
use std::time::{Duration, Instant, SystemTime};
use telemetry::{Answer, Metrics, Refused, request};
use tokio::time::timeout;
use tracing::Instrument;

const X_CACHE: HeaderName = HeaderName::from_static(header::X_CACHE);
const X_REQUEST_ID: HeaderName = HeaderName::from_static(header::X_REQUEST_ID);

/// What the layers go by.
#[derive(Debug)]
pub(crate) struct Rules {
    layers: Layers,
    policy: Policy,
    answer_timeout: Duration,
    metrics: Option<Metrics>,
}

impl Rules {
    /// The rules of `plan`, if it asks for any layer. Without them nothing is to be wrapped around the routes.
    pub(crate) fn of(plan: &Plan) -> Option<Data<Self>> {
        let asked = plan.layers != Layers::None || plan.metrics.is_some();
        asked.then(|| {
            Data::new(Self {
                layers: plan.layers,
                policy: plan.policy.clone(),
                answer_timeout: plan.answer_timeout,
                metrics: plan.metrics.clone(),
            })
        })
    }
}

/// An answer of a handler or a layer; or one that lost its request, because the time was up while a handler had it.
type Served<B> = Result<ServiceResponse<EitherBody<B>>, Box<HttpResponse>>;

/// All layers, one around the other: metrics, request id and trace, time-out, load shedding, authentication, limit, body
/// limit.
pub(crate) async fn layers<B: MessageBody + 'static>(
    rules: Data<Rules>,
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B>>, Error> {
    counted(&rules, request, next)
        .await
        .map_err(|response| InternalError::from_response(Failure::TimedOut, *response).into())
}

async fn counted<B: MessageBody + 'static>(
    rules: &Rules,
    request: ServiceRequest,
    next: Next<B>,
) -> Served<B> {
    let Some(metrics) = &rules.metrics else {
        return traced(rules, request, next).await;
    };
    let in_flight = metrics.begin();
    let (method, route) = (request.method().clone(), request.match_pattern());
    let served = traced(rules, request, next).await;
    let refused = match &served {
        Ok(answer) => answer.response().extensions().get::<Refused>().copied(),
        Err(_) => None,
    };
    in_flight.end(&Answer {
        route: route.as_deref(),
        method: method.as_str(),
        status: status(&served).as_u16(),
        cache: headers(&served).get(X_CACHE).map(HeaderValue::as_bytes),
        refused,
    });
    served
}

async fn traced<B: MessageBody + 'static>(
    rules: &Rules,
    request: ServiceRequest,
    next: Next<B>,
) -> Served<B> {
    if !rules.layers.trace() {
        return timed(rules, request, next).await;
    }
    let since = Instant::now();
    let given = request.headers().get_all(X_REQUEST_ID);
    let id = RequestId::accept(given.map(HeaderValue::as_bytes));
    let value = HeaderValue::try_from(id.as_str());
    let route = request::is_logged()
        .then(|| request.match_pattern())
        .flatten();
    let span = request::span(request.method().as_str(), route.as_deref(), Some(&id));
    let serving = timed(rules, request, next).instrument(span.clone());
    let mut served = request::under(id, serving).await;
    request::answered(&span, || status(&served).as_u16(), since);
    if let Ok(value) = value {
        let headers = match &mut served {
            Ok(answer) => answer.headers_mut(),
            Err(answer) => answer.headers_mut(),
        };
        headers.insert(X_REQUEST_ID, value);
    }
    served
}

async fn timed<B: MessageBody + 'static>(
    rules: &Rules,
    request: ServiceRequest,
    next: Next<B>,
) -> Served<B> {
    let serving = guarded(rules, request, next);
    if rules.layers != Layers::All {
        return serving.await;
    }
    timeout(rules.answer_timeout, serving)
        .await
        .unwrap_or_else(|_| Err(ApiError::from(Failure::TimedOut).error_response().into()))
}

async fn guarded<B: MessageBody + 'static>(
    rules: &Rules,
    request: ServiceRequest,
    next: Next<B>,
) -> Served<B> {
    let permit = match check(rules, &request) {
        Ok(permit) => permit,
        Err(failure) => return Ok(refusal(request, failure)),
    };
    let served = next.call(request).await;
    drop(permit);
    served
        .map(ServiceResponse::map_into_left_body)
        .map_err(|error| error.error_response().into())
}

/// Lets a request through, with its place among those in flight, or says why not.
fn check(rules: &Rules, request: &ServiceRequest) -> Result<Option<Permit>, Failure> {
    let policy = &rules.policy;
    let all = rules.layers == Layers::All;
    let permit = all.then(|| policy.admission.admit()).transpose()?;
    // The path as the router sees it: it decodes what a client may have encoded.
    if rules.layers.authenticate() && path::needs_token(request.match_info().as_str()) {
        let subject = subject(policy, request)?;
        if rules.layers.limit() {
            policy.limiter.check(&subject)?;
        }
        request.extensions_mut().insert(subject);
    }
    // A body of a length that was not announced is left to the extractors, which have a bound of their own.
    let length = request.headers().get(CONTENT_LENGTH);
    let length = length.and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if all && length.is_some_and(|length| length > limit::EVENTS_BODY_BYTES) {
        return Err(Failure::BodyTooLarge);
    }
    Ok(permit)
}

/// Asks who is calling a route that is never open to all, and limits them, as far as layers have not done so.
pub(crate) async fn guard<B: MessageBody + 'static>(
    policy: Data<Policy>,
    layers: Data<Layers>,
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B>>, Error> {
    let known = request.extensions().get::<Subject>().cloned();
    let asked = known.map_or_else(|| subject(&policy, &request), Ok);
    let granted = asked.and_then(|subject| {
        if layers.limit() {
            return Ok(());
        }
        policy.limiter.check(&subject)
    });
    match granted {
        Ok(()) => Ok(next.call(request).await?.map_into_left_body()),
        Err(failure) => Ok(refusal(request, failure)),
    }
}

fn subject(policy: &Policy, request: &ServiceRequest) -> Result<Subject, Failure> {
    let values = request.headers().get_all(AUTHORIZATION);
    let values = values.map(HeaderValue::as_bytes);
    policy.authenticate(values, policy::ITEMS, SystemTime::now())
}

fn refusal<B>(request: ServiceRequest, failure: Failure) -> ServiceResponse<EitherBody<B>> {
    let refused = Refused::of(&failure);
    let mut response = ApiError::from(failure).error_response();
    if let Some(refused) = refused {
        response.extensions_mut().insert(refused);
    }
    request.into_response(response).map_into_right_body()
}

fn status<B>(served: &Served<B>) -> StatusCode {
    match served {
        Ok(answer) => answer.status(),
        Err(answer) => answer.status(),
    }
}

fn headers<B>(served: &Served<B>) -> &HeaderMap {
    match served {
        Ok(answer) => answer.headers(),
        Err(answer) => answer.headers(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::App;
    use actix_web::body::to_bytes;
    use actix_web::dev::Service;
    use actix_web::middleware::from_fn;
    use actix_web::test::{TestRequest, init_service};
    use actix_web::web::get;
    use std::future::pending;
    use std::num::NonZeroU32;

    #[tokio::test(start_paused = true)]
    async fn what_takes_too_long_is_broken_off_and_counted() {
        let one = NonZeroU32::MIN;
        let metrics = Metrics::new();
        let rules = Rules {
            layers: Layers::All,
            policy: Policy::new(&policy::Settings {
                secret: policy::MEASUREMENT_SECRET.to_owned(),
                rate: one,
                burst: one,
                in_flight: one,
            }),
            answer_timeout: Duration::from_secs(8),
            metrics: Some(metrics.clone()),
        };
        let admission = rules.policy.admission.clone();
        let app = App::new()
            .app_data(Data::new(rules))
            .wrap(from_fn(layers))
            .route(path::LIVEZ, get().to(pending::<HttpResponse>));
        let service = init_service(app).await;
        let request = TestRequest::get().uri(path::LIVEZ);
        let request = request.insert_header((X_REQUEST_ID, "mine")).to_request();
        let begin = tokio::time::Instant::now();
        let Err(error) = service.call(request).await else {
            panic!("a handler that never answers has answered");
        };
        assert_eq!(begin.elapsed().as_secs(), 8);
        let response = error.error_response();
        assert_eq!(response.status(), 504);
        let headers = response.headers();
        assert_eq!(headers.get(X_REQUEST_ID).unwrap(), "mine");
        let body = to_bytes(response.into_body()).await.unwrap();
        let body = String::from_utf8(body.to_vec()).unwrap();
        assert!(body.contains(r#""code":"timed_out""#), "{body}");
        assert!(body.ends_with(r#""request_id":"mine"}"#), "{body}");
        assert_eq!(admission.in_flight(), 0);
        let text = metrics.encode().unwrap();
        let line = r#"http_requests_total{route="/livez",method="GET",status="5xx"} 1"#;
        assert!(text.lines().any(|found| found == line), "{text}");
    }
}
