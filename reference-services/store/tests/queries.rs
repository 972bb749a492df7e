//! Queries are checked by the compiler, against a real database.

use std::path::Path;
use std::process::Command;

use tailmark::stores::{Durability, Options, Stores};

/// Compiles the example `name` of this package with its queries checked against the database at `url`; what the compiler
/// says is wrong, if anything is.
fn compile(name: &str, url: &str) -> Result<(), String> {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let checked = Command::new(env!("CARGO"))
        .args(["check", "--quiet", "--locked", "--package", "store"])
        .args(["--features", "queries", "--example", name])
        // That of scripts/sqlx-check, which compiles the same for the same reason.
        .arg("--target-dir")
        .arg(workspace.join("target/sqlx"))
        .current_dir(&workspace)
        .env("SQLX_OFFLINE", "false")
        .env("DATABASE_URL", url)
        .output()
        .expect("cargo runs this test");
    match checked.status.success() {
        true => Ok(()),
        false => Err(String::from_utf8_lossy(&checked.stderr).into_owned()),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_misspelt_column_does_not_compile() {
    let options = Options {
        redis: false,
        ..Options::of_this_machine(Durability::Test)
    };
    let stores = Stores::start(options).await.unwrap();
    let lease = stores.empty().await.unwrap();
    let url = lease.database_url().unwrap().to_owned();
    store::seed::seed(&url).await.unwrap();
    let compiled = tokio::task::spawn_blocking(move || {
        ["sound", "misspelt"].map(|query| compile(query, &url))
    });
    let [sound, misspelt] = compiled.await.unwrap();
    stores.stop().await.unwrap();
    assert_eq!(sound, Ok(()));
    let words = misspelt.unwrap_err();
    let expected = "column \"balance_major\" does not exist";
    assert!(words.contains(expected), "{words}");
}
