//! The workers, the listener and its connections.

use crate::{extract, gateway, routes};
use actix_web::web::Data;
use actix_web::{App, HttpServer, rt::System};
use contract::limit;
use launch::{Outcome, Plan};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use store::{EventQueue, Store};

/// Serves `plan` until a signal stops it: workers that share nothing, each with its part of the connections.
pub(crate) fn serve(plan: Plan) -> Outcome {
    System::new().block_on(run(plan))
}

async fn run(plan: Plan) -> Outcome {
    let stop = launch::stop_signal()?;
    let listener = launch::listen(plan.address)?;
    let bound = listener.local_addr()?;
    let workers = NonZeroU32::try_from(plan.workers)?;
    // One queue, one limit of each subject and one count of requests, whichever worker a connection falls to.
    let (queue, writer) = EventQueue::open(&plan.settings);
    let (queue, policy) = (Data::new(queue), Data::new(plan.policy.clone()));
    let upstream = Data::new(plan.upstream.clone());
    let stores = plan.settings.clone();
    let started = Arc::new(AtomicU32::new(0));

    let server = HttpServer::new(move || {
        let (stores, started) = (stores.clone(), Arc::clone(&started));
        // Opened on the worker's own runtime, so that no answer of a store crosses threads.
        let open = move || {
            let worker = started.fetch_add(1, Ordering::Relaxed);
            let share = stores.share_of_worker(worker, workers);
            let stores = stores.clone();
            async move { Store::open(&stores, share).await }
        };
        App::new()
            .data_factory(open)
            .app_data(Data::new(gateway::client()))
            .app_data(queue.clone())
            .app_data(policy.clone())
            .app_data(upstream.clone())
            .configure(extract::configure)
            .configure(routes::configure)
    })
    .workers(plan.workers.get())
    .tcp_nodelay(true)
    .keep_alive(limit::HEAD_TIMEOUT)
    .client_request_timeout(limit::HEAD_TIMEOUT)
    .shutdown_signal(stop)
    .shutdown_timeout(limit::SHUTDOWN_GRACE.as_secs())
    .listen(listener)?
    .run();
    plan.announce(bound);
    server.await?;
    writer.finish().await;
    Ok(())
}
