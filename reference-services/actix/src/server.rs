//! The workers, the listener and its connections.

use crate::middleware::{Rules, layers};
use crate::{extract, gateway, routes};
use actix_web::http::KeepAlive;
use actix_web::middleware::from_fn;
use actix_web::web::Data;
use actix_web::{App, HttpServer, rt::System};
use contract::limit;
use launch::{Outcome, Plan, Profile};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use store::{EventQueue, Store};

/// Serves `plan` until a signal stops it: workers that share nothing, each with its part of the connections.
pub(crate) fn serve(plan: &Plan) -> Outcome {
    System::new().block_on(run(plan))
}

/// What `config` says of Actix alone.
pub(crate) fn switches(plan: &Plan) -> Vec<(&'static str, String)> {
    vec![
        (
            "runtimes",
            "one for each worker, single-threaded".to_owned(),
        ),
        ("so_reuseport", "off".to_owned()),
        (
            "http2",
            if plan.tls.is_some() { "ALPN" } else { "off" }.to_owned(),
        ),
        ("grpc", "off".to_owned()),
        (
            "half_close",
            if half_close(plan.profile) {
                "on"
            } else {
                "off"
            }
            .to_owned(),
        ),
    ]
}

/// Whether a client that has closed its side still gets its answer, which Actix sees to by default and Hyper does not.
/// Clients that are measured do not do that, and the service need not look for it.
fn half_close(profile: Profile) -> bool {
    profile == Profile::Idiomatic
}

async fn run(plan: &Plan) -> Outcome {
    let stop = launch::stop_signal()?;
    let listener = launch::listen(plan.address)?;
    let bound = listener.local_addr()?;
    let workers = NonZeroU32::try_from(plan.workers)?;
    // One queue, one limit of each subject and one count of requests, whichever worker a connection falls to.
    let (queue, writer) = EventQueue::open(&plan.settings);
    let (queue, policy) = (Data::new(queue), Data::new(plan.policy.clone()));
    let upstream = Data::new(plan.upstream.clone());
    let asked = Data::new(plan.layers);
    let (stores, metrics) = (plan.settings.clone(), plan.metrics.clone());
    let started = Arc::new(AtomicU32::new(0));

    let app = move || {
        let (stores, metrics, started) = (stores.clone(), metrics.clone(), Arc::clone(&started));
        // Opened on the worker's own runtime, so that no answer of a store crosses threads.
        let open = move || {
            let worker = started.fetch_add(1, Ordering::Relaxed);
            let share = stores.share_of_worker(worker, workers);
            let (stores, metrics) = (stores.clone(), metrics.clone());
            async move {
                let store = Store::open(&stores, share).await?;
                if let Some(metrics) = metrics {
                    metrics.watch(store.clone());
                }
                Ok::<_, store::Error>(store)
            }
        };
        App::new()
            .data_factory(open)
            .app_data(Data::new(gateway::client()))
            .app_data(queue.clone())
            .app_data(policy.clone())
            .app_data(upstream.clone())
            .app_data(asked.clone())
            .configure(extract::configure)
            .configure(routes::configure)
    };
    let head_timeout = plan.profile.head_timeout();
    // An application with layers is of another type than one without, and so is its server.
    macro_rules! start {
        ($app:expr) => {
            HttpServer::new($app)
                .workers(plan.workers.get())
                .tcp_nodelay(limit::TCP_NODELAY)
                .keep_alive(head_timeout.map_or(KeepAlive::Os, KeepAlive::Timeout))
                // Zero is no time-out.
                .client_request_timeout(head_timeout.unwrap_or(Duration::ZERO))
                .h1_allow_half_closed(half_close(plan.profile))
                .shutdown_signal(stop)
                .shutdown_timeout(limit::SHUTDOWN_GRACE.as_secs())
                .tls_handshake_timeout(limit::TLS_HANDSHAKE)
        };
    }
    let tls = plan.tls.clone();
    // Nor has an application over TLS another type, but its listener comes by another method.
    macro_rules! listen {
        ($server:expr) => {
            match tls {
                None => $server.listen(listener)?.run(),
                Some(tls) => $server.listen_rustls_0_23(listener, tls)?.run(),
            }
        };
    }
    let server = match Rules::of(plan) {
        None => listen!(start!(app)),
        Some(rules) => listen!(start!(move || app()
            .app_data(rules.clone())
            .wrap(from_fn(layers)))),
    };
    plan.announce(bound);
    server.await?;
    writer.finish().await;
    Ok(())
}
