//! Hands the versions in `Cargo.lock` of what the services stand on to the `config` command, which thus cannot be wrong.

use std::error::Error;
use std::fs;

/// What a record of a measurement should name.
const NAMED: [&str; 12] = [
    "actix-http",
    "actix-web",
    "axum",
    "bb8",
    "deadpool",
    "diesel",
    "diesel-async",
    "hyper",
    "mimalloc",
    "redis",
    "sqlx",
    "tokio",
];

fn main() -> Result<(), Box<dyn Error>> {
    let lock = concat!(env!("CARGO_MANIFEST_DIR"), "/../../Cargo.lock");
    let text = fs::read_to_string(lock)?;
    let versions: Vec<String> = text
        .split("[[package]]")
        .filter_map(|package| Some((field(package, "name")?, field(package, "version")?)))
        .filter(|(name, _)| NAMED.contains(name))
        .map(|(name, version)| format!("{name}={version}"))
        .collect();
    println!("cargo:rustc-env=LOCKED_VERSIONS={}", versions.join(" "));
    println!("cargo:rustc-env=OPT_LEVEL={}", std::env::var("OPT_LEVEL")?);
    println!("cargo:rerun-if-changed={lock}");
    println!("cargo:rerun-if-changed=build.rs");
    Ok(())
}

/// The value of `name = "value"` in a package's lines.
fn field<'a>(package: &'a str, name: &str) -> Option<&'a str> {
    package.lines().find_map(|line| {
        line.strip_prefix(name)?
            .strip_prefix(" = \"")?
            .strip_suffix('"')
    })
}
