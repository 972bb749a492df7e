//! The runtimes, the listeners and their connections.
//!
//! `axum::serve` has no time-out for a request's head, so connections are accepted here and served by Hyper itself.

use crate::gateway::Gateway;
use crate::middleware;
use crate::routes::{self, App};
use axum::Router;
use contract::limit;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use launch::{Outcome, Plan, Profile};
use std::io;
use std::net;
use std::num::NonZeroU32;
use std::thread;
use std::time::Duration;
use store::{EventQueue, Share, Store};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Builder;
use tokio::sync::oneshot;
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
    let on = |on| if on { "on" } else { "off" }.to_owned();
    vec![
        ("runtimes", runtimes.to_owned()),
        ("so_reuseport", on(tuned)),
        ("pipeline_flush", on(tuned)),
        ("half_close", on(false)),
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
    let router = middleware::wrap(routes::router(app, plan.layers), plan);
    let http = http(plan.profile);
    let graceful = GracefulShutdown::new();
    tokio::select! {
        () = accept(&listener, &http, &router, &graceful) => {}
        () = stop => {}
    }
    drop(listener);
    if timeout(limit::SHUTDOWN_GRACE, graceful.shutdown())
        .await
        .is_err()
    {
        tracing::warn!("stopped before all answers were out");
    }
    Ok(())
}

/// How connections are served.
fn http(profile: Profile) -> http1::Builder {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(profile.head_timeout())
        .pipeline_flush(profile == Profile::Tuned);
    http
}

async fn accept(
    listener: &TcpListener,
    http: &http1::Builder,
    router: &Router,
    graceful: &GracefulShutdown,
) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => connect(stream, http, router.clone(), graceful),
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

fn connect(stream: TcpStream, http: &http1::Builder, router: Router, graceful: &GracefulShutdown) {
    if let Err(error) = stream.set_nodelay(limit::TCP_NODELAY) {
        tracing::debug!(%error, "a connection keeps its Nagle delay");
    }
    let connection = http.serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    let connection = graceful.watch(connection);
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "a connection broke");
        }
    });
}
