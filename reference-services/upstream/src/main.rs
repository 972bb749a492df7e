//! `upstream-stub`: what stands behind the gateway. It answers `/items/{id}`, asked by any method, after a fixed delay.
//!
//! `upstream-stub [--port N]` listens on 127.0.0.1; without `--port` on 8081, and `--port 0` takes a free port and prints
//! it. `UPSTREAM_DELAY_MS` is the delay in milliseconds, 5 if it is not set. SIGTERM and SIGINT end it once all answers
//! are out; exit code 0, or 1 with the reason on standard error.

mod answer;

use answer::answer;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use std::env;
use std::error::Error;
use std::io::{self, Write};
use std::net::Ipv4Addr;
use std::process::ExitCode;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{sleep, timeout};

/// The port of a stub that was told none.
const PORT: u16 = 8081;

/// The delay of a stub that was told none, in milliseconds: about that of a service nearby with a database.
const DELAY_MS: u64 = 5;

/// How long answers may take to get out after a signal.
const GRACE: Duration = Duration::from_secs(10);

/// The pause after a failed accept, which mostly means that descriptors ran out: without it the loop would spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

type Outcome = Result<(), Box<dyn Error>>;

fn main() -> ExitCode {
    match serve() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nothing is left to do where standard error is closed.
            let _ = writeln!(io::stderr(), "error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn serve() -> Outcome {
    let port = port(env::args().skip(1))?;
    let delay = Duration::from_millis(delay_ms(env::var("UPSTREAM_DELAY_MS").ok().as_deref())?);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(run(port, delay))
}

fn port(mut arguments: impl Iterator<Item = String>) -> Result<u16, String> {
    match (
        arguments.next().as_deref(),
        arguments.next(),
        arguments.next(),
    ) {
        (None, _, _) => Ok(PORT),
        (Some("--port"), Some(text), None) => text
            .parse()
            .map_err(|_| format!("--port is {text:?}; write a number from 0 to 65535")),
        _ => Err("usage: upstream-stub [--port N]".to_owned()),
    }
}

fn delay_ms(text: Option<&str>) -> Result<u64, String> {
    text.map_or(Ok(DELAY_MS), |text| {
        text.parse()
            .map_err(|_| format!("UPSTREAM_DELAY_MS is {text:?}; write whole milliseconds"))
    })
}

async fn run(port: u16, delay: Duration) -> Outcome {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
    if port == 0 {
        // Nobody may be reading; the stub serves all the same.
        let _ = writeln!(io::stdout(), "{}", listener.local_addr()?.port());
    }
    let graceful = GracefulShutdown::new();
    tokio::select! {
        () = accept(&listener, delay, &graceful) => {}
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    drop(listener);
    // Who has not answered by now is left behind.
    let _ = timeout(GRACE, graceful.shutdown()).await;
    Ok(())
}

async fn accept(listener: &TcpListener, delay: Duration, graceful: &GracefulShutdown) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => connect(stream, delay, graceful),
            Err(_) => sleep(ACCEPT_PAUSE).await,
        }
    }
}

fn connect(stream: TcpStream, delay: Duration, graceful: &GracefulShutdown) {
    // A connection that keeps its Nagle delay serves all the same.
    let _ = stream.set_nodelay(true);
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        // Idle connections stay: a gateway's pool should not find them closed.
        .header_read_timeout(None)
        .serve_connection(
            TokioIo::new(stream),
            service_fn(move |request| answer(request, delay)),
        );
    let connection = graceful.watch(connection);
    // A connection that broke is the concern of whoever broke it.
    tokio::spawn(async move { connection.await.ok() });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_and_the_delay_are_numbers() {
        let port = |arguments: &[&str]| port(arguments.iter().map(|text| (*text).to_owned()));
        assert_eq!(port(&[]), Ok(8081));
        assert_eq!(port(&["--port", "0"]), Ok(0));
        for bad in [
            &["--port"][..],
            &["--port", "x"],
            &["x"],
            &["--port", "1", "2"],
        ] {
            assert!(port(bad).is_err(), "{bad:?}");
        }
        assert_eq!(delay_ms(None), Ok(5));
        assert_eq!(delay_ms(Some("0")), Ok(0));
        assert!(delay_ms(Some("5ms")).is_err());
    }
}
