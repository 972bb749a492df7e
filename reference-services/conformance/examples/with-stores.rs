//! `with-stores [--migrations FOLDER] COMMAND…`: runs a command beside a private `PostgreSQL` with an empty database and a
//! private Redis, named by `DATABASE_URL` and `REDIS_URL`, and exits as the command does. A signal ends the command first.
//!
//! For `scripts/openapi-check`, and for `scripts/sqlx-check`, which has the migrations of a folder applied: by this program
//! itself, because the crate that embeds them may not compile until the check has written what it needs.

use rustix::process::{Pid, Signal, kill_process};
use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::{ExitCode, ExitStatus};
use tailmark::stores::{Durability, Given, Options, Stores};
use tokio::process::Command;
use tokio::signal::unix::{SignalKind, signal};
use tokio_postgres::NoTls;

const USAGE: &str = "usage: with-stores [--migrations FOLDER] COMMAND…";

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<ExitCode, Box<dyn Error>> {
    let mut arguments = std::env::args_os().skip(1).peekable();
    let mut migrations = None;
    if arguments.next_if(|word| word == "--migrations").is_some() {
        migrations = arguments.next().map(PathBuf::from);
    }
    let program = arguments.next().ok_or(USAGE)?;
    let mut command = Command::new(program);
    command.args(arguments);

    let options = Options {
        given: Given::default(),
        ..Options::of_this_machine(Durability::Test)
    };
    let stores = Stores::start(options).await?;
    let outcome = run(&stores, migrations.as_deref(), command).await;
    stores.stop().await?;
    Ok(match outcome?.code() {
        Some(0) => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    })
}

async fn run(
    stores: &Stores,
    migrations: Option<&Path>,
    mut command: Command,
) -> Result<ExitStatus, Box<dyn Error>> {
    let lease = stores.empty().await?;
    if let Some(folder) = migrations {
        let url = lease.database_url().ok_or("the stores hold no database")?;
        migrate(url, folder).await?;
    }
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

/// Applies the `.sql` files of `folder` in the order of their names.
async fn migrate(url: &str, folder: &Path) -> Result<(), Box<dyn Error>> {
    let mut files: Vec<PathBuf> = folder
        .read_dir()?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()?;
    files.retain(|file| file.extension().is_some_and(|extension| extension == "sql"));
    files.sort_unstable();
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    tokio::spawn(connection);
    for file in files {
        client
            .batch_execute(&std::fs::read_to_string(file)?)
            .await?;
    }
    Ok(())
}
