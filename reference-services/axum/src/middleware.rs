//! What stands between a connection and the handlers: the layers that `LAYERS` asks for.

use crate::error::ApiError;
use axum::Router;
use axum::response::{IntoResponse, Response};
use axum::routing::MethodRouter;
use contract::{Failure, limit};
use launch::{Layers, Plan};
use layers::{
    Authenticate, BodyLimit, Gate, Limit, MetricsLayer, RequestIdLayer, Shed, TimeoutLayer,
    TraceLayer,
};
use policy::Policy;
use tonic::Status;

/// Puts the layers around all routes of `router`, outermost first. Nothing is added that was not asked for.
pub(crate) fn wrap(router: Router, plan: &Plan) -> Router {
    let policy = || plan.policy.clone();
    let auth = || Gate::new(Authenticate::new(policy()), refuse);
    let limit = || Gate::new(Limit::new(policy()), refuse);
    let router = match plan.layers {
        Layers::None => router,
        Layers::Trace => router.layer((RequestIdLayer, TraceLayer)),
        Layers::Auth => router.layer(auth()),
        Layers::Limit => router.layer((auth(), limit())),
        Layers::All => router.layer((
            RequestIdLayer,
            TraceLayer,
            TimeoutLayer::new(plan.answer_timeout, refuse),
            Gate::new(Shed::new(policy()), refuse),
            auth(),
            limit(),
            Gate::new(BodyLimit::new(limit::EVENTS_BODY_BYTES), refuse),
        )),
    };
    match &plan.metrics {
        None => router,
        Some(metrics) => router.layer(MetricsLayer::new(metrics.clone())),
    }
}

/// Puts authentication and limit around a route that is never open to all, as far as `layers` do not put them around
/// every route.
pub(crate) fn guard<S: Clone + Send + Sync + 'static>(
    route: MethodRouter<S>,
    layers: Layers,
    policy: &Policy,
) -> MethodRouter<S> {
    let limit = Gate::new(Limit::new(policy.clone()), refuse);
    match (layers.authenticate(), layers.limit()) {
        (true, true) => route,
        (true, false) => route.layer(limit),
        (false, _) => {
            let auth = Gate::new(Authenticate::new(policy.clone()), refuse);
            route.layer((auth, limit))
        }
    }
}

/// How a failure is told, in gRPC or in REST.
pub(crate) fn refuse(failure: &Failure, grpc: bool) -> Response {
    let error = ApiError::from(failure.clone());
    if grpc {
        Status::from(error).into_http()
    } else {
        error.into_response()
    }
}
