//! The runtime, the listener and its connections.
//!
//! `axum::serve` has no time-out for a request's head, so connections are accepted here and served by Hyper itself.

use crate::gateway::Gateway;
use crate::routes::{self, App};
use axum::Router;
use contract::limit;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use launch::{Outcome, Plan};
use std::time::Duration;
use store::{EventQueue, Store};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};

/// The pause after a failed accept, which mostly means that descriptors ran out: without it the loop would spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves `plan` until a signal stops it: one runtime whose workers share all connections, and one pool.
pub(crate) fn serve(plan: Plan) -> Outcome {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(plan.workers.get())
        .enable_all()
        .build()?;
    runtime.block_on(run(plan))
}

async fn run(plan: Plan) -> Outcome {
    let stop = launch::stop_signal()?;
    let store = Store::open(&plan.settings, plan.settings.whole()).await?;
    let (queue, writer) = EventQueue::open(&plan.settings);
    let listener = TcpListener::from_std(launch::listen(plan.address)?)?;
    plan.announce(listener.local_addr()?);

    let router = routes::router(App {
        store,
        queue,
        policy: plan.policy,
        gateway: Gateway::new(plan.upstream),
    });
    let graceful = GracefulShutdown::new();
    tokio::select! {
        () = accept(&listener, &router, &graceful) => {}
        () = stop => {}
    }
    drop(listener);
    if timeout(limit::SHUTDOWN_GRACE, graceful.shutdown())
        .await
        .is_err()
    {
        tracing::warn!("stopped before all answers were out");
    }
    writer.finish().await;
    Ok(())
}

async fn accept(listener: &TcpListener, router: &Router, graceful: &GracefulShutdown) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => connect(stream, router.clone(), graceful),
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

fn connect(stream: TcpStream, router: Router, graceful: &GracefulShutdown) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "a connection keeps its Nagle delay");
    }
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limit::HEAD_TIMEOUT)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    let connection = graceful.watch(connection);
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "a connection broke");
        }
    });
}
