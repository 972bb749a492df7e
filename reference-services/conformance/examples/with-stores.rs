//! `with-stores COMMAND…`: runs a command beside a private `PostgreSQL` with an empty database and a private Redis, named
//! by `DATABASE_URL` and `REDIS_URL`, and exits as the command does. For `scripts/openapi-check`.

use std::error::Error;
use std::process::{Command, ExitCode, ExitStatus};
use tailmark::stores::{Durability, Given, Options, Stores};

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
    Ok(command.envs(lease.env()).status()?)
}
