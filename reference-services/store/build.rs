//! The migrations are embedded when the crate is compiled: compile it again when one changes.

fn main() {
    println!("cargo::rerun-if-changed=migrations");
}
