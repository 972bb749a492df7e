//! `with-stores COMMAND…`: runs a command beside a private `PostgreSQL` with an empty database and a private Redis, named
//! by `DATABASE_URL` and `REDIS_URL`, and exits as the command does. A signal ends the command first. For `scripts/openapi-check`.

use rustix::process::{Pid, Signal, kill_process};
use std::error::Error;
use std::process::{ExitCode, ExitStatus};
use tailmark::stores::{Durability, Given, Options, Stores};
use tokio::process::Command;
use tokio::signal::unix::{SignalKind, signal};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<ExitCode, Box<dyn Error>> {
    let mut arguments = std::env::args_os().skip(1);
    let program = arguments.next().ok_or("usage: with-stores COMMAND…")?;
    let mut command = Command::new(program);
    command.args(arguments);

    let options = Options {
        given: Given::default(),
        ..Options::of_this_machine(Durability::Test)
    };
    let stores = Stores::start(options).await?;
    let outcome = run(&stores, command).await;
    stores.stop().await?;
    Ok(match outcome?.code() {
        Some(0) => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    })
}

async fn run(stores: &Stores, mut command: Command) -> Result<ExitStatus, Box<dyn Error>> {
    let lease = stores.empty().await?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut child = command.envs(lease.env()).spawn()?;
    tokio::select! {
        status = child.wait() => return Ok(status?),
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    // The stores go once the command has put its own things away.
    let id = child.id().and_then(|id| i32::try_from(id).ok());
    if let Some(pid) = id.and_then(Pid::from_raw) {
        kill_process(pid, Signal::TERM)?;
    }
    Ok(child.wait().await?)
}
