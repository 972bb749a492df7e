//! The runtimes, the listeners and their connections.
//!
//! `axum::serve` has no time-out for a request's head, so connections are accepted here and served by Hyper itself: see
//! [`crate::connection`].

use crate::connection::Protocols;
use crate::gateway::Gateway;
use crate::middleware;
use crate::routes::{self, App};
use crate::rpc::{self, Stopping};
use axum::Router;
use contract::limit;
use hyper_util::server::graceful::GracefulShutdown;
use launch::{Outcome, Plan, Profile};
use std::io;
use std::net;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::thread;
use std::time::Duration;
use store::{EventQueue, Share, Store};
use tokio::net::TcpListener;
use tokio::runtime::Builder;
use tokio::sync::{oneshot, watch};
use tokio::time::{sleep, timeout};

/// The pause after a failed accept, which mostly means that descriptors ran out: without it the loop would spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves `plan` until a signal stops it.
pub(crate) fn serve(plan: &Plan) -> Outcome {
    match plan.profile {
        Profile::Idiomatic => serve_together(plan),
        Profile::Tuned => serve_apart(plan),
    }
}

/// What `config` says of Axum and Hyper alone.
pub(crate) fn switches(plan: &Plan) -> Vec<(&'static str, String)> {
    let tuned = plan.profile == Profile::Tuned;
    let runtimes = if tuned {
        "one for each worker, single-threaded"
    } else {
        "one, multi-threaded"
    };
    let http2 = if plan.tls.is_some() {
        "ALPN"
    } else {
        "prior knowledge"
    };
    let on = |on| if on { "on" } else { "off" }.to_owned();
    vec![
        ("runtimes", runtimes.to_owned()),
        ("so_reuseport", on(tuned)),
        ("pipeline_flush", on(tuned)),
        ("half_close", on(false)),
        ("http2", http2.to_owned()),
        ("grpc", on(true)),
    ]
}

/// One runtime whose workers share all connections, and one pool.
fn serve_together(plan: &Plan) -> Outcome {
    let listener = launch::listen(plan.address)?;
    let runtime = Builder::new_multi_thread()
        .worker_threads(plan.workers.get())
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let (queue, writer) = EventQueue::open(&plan.settings);
        let announce = |bound| plan.announce(bound);
        run(plan, listener, plan.settings.whole(), queue, announce).await?;
        writer.finish().await;
        Ok(())
    })
}

/// A runtime for each worker, with its own listener, among which the kernel spreads the connections, and its part of the
/// pool: no request crosses threads.
fn serve_apart(plan: &Plan) -> Outcome {
    let workers = NonZeroU32::try_from(plan.workers)?;
    let first = launch::listen_among_others(plan.address)?;
    let bound = first.local_addr()?;
    let others = (1..workers.get()).map(|_| launch::listen_among_others(bound));
    let listeners: Vec<_> = [Ok(first)]
        .into_iter()
        .chain(others)
        .collect::<io::Result<_>>()?;
    // The queue of events is one for the process. Its writer lives on this thread, the workers on theirs.
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let (queue, writer) = runtime.block_on(async { EventQueue::open(&plan.settings) });
    plan.announce(bound);
    thread::scope(|scope| {
        let (threads, ends): (Vec<_>, Vec<_>) = listeners
            .into_iter()
            .zip(0..)
            .map(|(listener, index)| {
                let (share, queue) = (plan.settings.share_of_worker(index, workers), queue.clone());
                let (ended, end) = oneshot::channel::<()>();
                let thread = scope.spawn(move || {
                    let runtime = Builder::new_current_thread().enable_all().build()?;
                    let outcome = runtime.block_on(run(plan, listener, share, queue, |_| {}));
                    drop(ended);
                    outcome
                });
                (thread, end)
            })
            .unzip();
        runtime.block_on(async {
            for end in ends {
                // Nothing is ever sent: the other half is dropped, which is the end.
                let _ = end.await;
            }
            writer.finish().await;
        });
        threads.into_iter().try_for_each(|thread| {
            let ended = thread.join();
            ended.unwrap_or_else(|_| Err("a worker panicked".into()))
        })
    })
}

/// Serves `listener` with this share of connections to the stores; `ready` is told of its address once all are open.
async fn run(
    plan: &Plan,
    listener: net::TcpListener,
    share: Share,
    queue: EventQueue,
    ready: impl FnOnce(net::SocketAddr),
) -> Outcome {
    let stop = launch::stop_signal()?;
    let store = Store::open(&plan.settings, share).await?;
    if let Some(metrics) = &plan.metrics {
        metrics.watch(store.clone());
    }
    let listener = TcpListener::from_std(listener)?;
    ready(listener.local_addr()?);

    let app = App {
        store,
        queue,
        policy: plan.policy.clone(),
        gateway: Gateway::new(plan.upstream.clone()),
    };
    let (stopped, stopping) = watch::channel(false);
    let rpc = rpc::routes(&app.store, &stopping)?;
    let router = middleware::wrap(routes::router(app, rpc, plan.layers), plan);
    let protocols = Arc::new(Protocols::new(plan));
    let graceful = GracefulShutdown::new();
    tokio::select! {
        () = accept(&listener, &protocols, &router, &graceful, &stopping) => {}
        () = stop => {}
    }
    drop(listener);
    // Whoever only waits is let go; then the rest may finish.
    let _ = stopped.send(true);
    if timeout(limit::SHUTDOWN_GRACE, graceful.shutdown())
        .await
        .is_err()
    {
        tracing::warn!("stopped before all answers were out");
    }
    Ok(())
}

async fn accept(
    listener: &TcpListener,
    protocols: &Arc<Protocols>,
    router: &Router,
    graceful: &GracefulShutdown,
    stopping: &Stopping,
) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let (protocols, router) = (Arc::clone(protocols), router.clone());
                let (watcher, stopping) = (graceful.watcher(), stopping.clone());
                tokio::spawn(async move {
                    protocols.serve(stream, router, watcher, stopping).await;
                });
            }
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}
