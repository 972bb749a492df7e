//! Contract v1 in Actix Web. Every file has its namesake in the Axum service.

mod accounts;
mod error;
mod events;
mod extract;
mod gateway;
mod greetings;
mod health;
mod items;
mod routes;
mod server;
mod sessions;
mod transfers;

use mimalloc::MiMalloc;
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    launch::run(server::serve)
}
