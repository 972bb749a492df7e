//! Prints the `OpenAPI` document of the contract:
//! `cargo run --package contract --example openapi >reference-services/openapi.json`.

use std::error::Error;
use std::io::{self, Write};

fn main() -> Result<(), Box<dyn Error>> {
    io::stdout().write_all(contract::openapi::json()?.as_bytes())?;
    Ok(())
}
