//! `reference-seed` as a program. What it fills is tested where it is used: in each service's conformance suite.

use std::process::Command;

#[test]
fn without_a_database_it_says_what_is_missing() {
    let seed = Command::new(env!("CARGO_BIN_EXE_reference-seed"))
        .env_remove("DATABASE_URL")
        .output()
        .expect("the program was built for this test");
    assert_eq!(seed.status.code(), Some(1));
    assert_eq!(
        String::from_utf8_lossy(&seed.stderr),
        "error: DATABASE_URL is not set\n"
    );
}
