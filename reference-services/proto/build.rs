//! Compiles the protos in Rust alone (protox): a fresh machine has no protoc.

use prost::Message;
use std::env;
use std::error::Error;
use std::fs;
use std::path::PathBuf;

const PROTOS: [&str; 2] = ["tailmark/v1/catalog.proto", "tailmark/v1/ledger.proto"];

fn main() -> Result<(), Box<dyn Error>> {
    for proto in PROTOS {
        println!("cargo:rerun-if-changed={proto}");
    }
    let files = protox::compile(PROTOS, ["."])?;
    // What reflection tells clients of.
    let descriptors = PathBuf::from(env::var("OUT_DIR")?).join("descriptors.bin");
    fs::write(descriptors, files.encode_to_vec())?;
    tonic_prost_build::configure()
        .build_transport(false)
        .compile_fds(files)?;
    Ok(())
}
