//! `with-database MIGRATIONS COMMAND…`: runs a command beside a private `PostgreSQL` that holds an empty database with
//! the migrations of a folder, and exits as the command does.
//!
//! For `scripts/sqlx-check`. It applies the migrations by itself, because the crate that embeds them may not compile
//! until the check has written what it needs.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, ExitStatus};
use tailmark::stores::{Durability, Given, Options, Stores};
use tokio_postgres::NoTls;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<ExitCode, Box<dyn Error>> {
    let mut arguments = std::env::args_os().skip(1);
    let (Some(migrations), Some(program)) = (arguments.next(), arguments.next()) else {
        return Err("usage: with-database MIGRATIONS COMMAND…".into());
    };
    let mut command = Command::new(program);
    command.args(arguments);

    let options = Options {
        redis: false,
        given: Given::default(),
        ..Options::of_this_machine(Durability::Test)
    };
    let stores = Stores::start(options).await?;
    let outcome = run(&stores, Path::new(&migrations), command).await;
    stores.stop().await?;
    Ok(match outcome?.code() {
        Some(0) => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    })
}

async fn run(
    stores: &Stores,
    migrations: &Path,
    mut command: Command,
) -> Result<ExitStatus, Box<dyn Error>> {
    let lease = stores.empty().await?;
    let url = lease.database_url().ok_or("the stores hold no database")?;
    migrate(url, migrations).await?;
    Ok(command.env("DATABASE_URL", url).status()?)
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
