//! The workers, the listener and its connections.

use crate::{extract, routes};
use actix_web::{App, HttpServer, rt::System};
use contract::limit;
use launch::{Outcome, Plan};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use store::{Store, settings};

/// Serves `plan` until a signal stops it: workers that share nothing, each with its part of the connections.
pub(crate) fn serve(plan: Plan) -> Outcome {
    System::new().block_on(run(plan))
}

/// What `config` says of Actix alone.
pub(crate) fn switches(_plan: &Plan) -> Vec<(&'static str, String)> {
    vec![(
        "runtimes",
        "one for each worker, single-threaded".to_owned(),
    )]
}

async fn run(plan: Plan) -> Outcome {
    let stop = launch::stop_signal()?;
    let listener = launch::listen(plan.address)?;
    let bound = listener.local_addr()?;
    let workers = NonZeroU32::try_from(plan.workers)?;
    let stores = plan.settings.clone();
    let started = Arc::new(AtomicU32::new(0));

    let server = HttpServer::new(move || {
        let (stores, started) = (stores.clone(), Arc::clone(&started));
        // Opened on the worker's own runtime, so that no answer of a store crosses threads.
        let open = move || {
            let share =
                settings::connections_of_worker(started.fetch_add(1, Ordering::Relaxed), workers);
            let stores = stores.clone();
            async move { Store::open(&stores, share).await }
        };
        App::new()
            .data_factory(open)
            .configure(extract::configure)
            .configure(routes::configure)
    })
    .workers(plan.workers.get())
    .tcp_nodelay(limit::TCP_NODELAY)
    .keep_alive(limit::HEAD_TIMEOUT)
    .client_request_timeout(limit::HEAD_TIMEOUT)
    .shutdown_signal(stop)
    .shutdown_timeout(limit::SHUTDOWN_GRACE.as_secs())
    .listen(listener)?
    .run();
    plan.announce(bound);
    Ok(server.await?)
}
