//! Contract v1 in Axum. Every file but `connection.rs` and `rpc.rs` has its namesake in the Actix service.

mod accounts;
mod connection;
mod error;
mod events;
mod extract;
mod gateway;
mod greetings;
mod health;
mod items;
mod middleware;
mod routes;
mod rpc;
mod server;
mod sessions;
mod transfers;

use launch::Service;
use mimalloc::MiMalloc;
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// What `config` says of this service alone.
const SERVICE: Service = Service {
    program: "axum-service",
    framework: "axum",
    allocator: "mimalloc",
    switches: server::switches,
};

fn main() -> ExitCode {
    launch::run(&SERVICE, server::serve)
}
