//! Money under load while PostgreSQL dies: the ledger scenario against both services, whose audit is in the record.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test stops where it cannot go on, and says what it saw or why it was skipped"
)]

mod support;

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use tailmark::stores::{Durability, Options, Server, Stores};

use support::{Tool, sibling};

/// A service, the library of its store, the mode of its transactions, and its targets file; none where it was not built.
fn targets(tool: &Tool, service: &str, store: &str, mode: &str) -> Option<()> {
    let (program, seed) = (sibling(service)?, sibling("reference-seed")?);
    let (program, seed) = (program.display(), seed.display());
    tool.write(
        "targets.yaml",
        &format!(
            "tailmark: 1\ntargets:\n  shop:\n    command: {program} --port {{port}}\n    ready: {{ path: /readyz, within: 30s }}\n    \
             stores: [postgres, redis]\n    seed: {seed}\n    audit: {program} audit\n    describe: {program} config\n    \
             env: {{ STORE: {store}, TX_MODE: {mode}, RUST_LOG: \"off\" }}\n"
        ),
    );
    Some(())
}

#[tokio::test(flavor = "multi_thread")]
async fn transfers_by_axum_are_whole_after_a_crash_in_the_middle() {
    crashes("axum-service", "sqlx").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn transfers_by_actix_are_whole_after_a_crash_in_the_middle() {
    crashes("actix-service", "sqlx").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn transfers_over_diesel_are_whole_after_a_crash_in_the_middle() {
    crashes("axum-service", "diesel").await;
}

/// In both modes of transactions at once, each on stores of its own.
async fn crashes(service: &str, store: &str) {
    tokio::join!(
        crash(service, store, "lock"),
        crash(service, store, "serializable")
    );
}

async fn crash(service: &str, store: &str, mode: &str) {
    let scenario = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios/ledger.yaml");
    let tool = Tool::new();
    if targets(&tool, service, store, mode).is_none() {
        println!("skipped: {service} is not built; cargo test --workspace builds it");
        return;
    }
    let mut stores = Stores::start(Options::of_this_machine(Durability::Strict))
        .await
        .unwrap();
    let lease = stores.empty().await.unwrap();
    let words = [
        "run",
        scenario.to_str().unwrap(),
        "--target",
        "shop",
        "--phase",
        "steady",
        "-d",
        "8s",
        "--results",
        "kept",
    ];
    let mut command = tokio::process::Command::from(tool.command(&words));
    let child = command
        .env("DATABASE_URL", lease.database_url().unwrap())
        .env("REDIS_URL", lease.redis_url().unwrap())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    // Once the service is ready and load comes, which its own database tells.
    wait_for_transfers(&lease).await;
    stores.kill(Server::Postgres).unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    stores.restart(Server::Postgres).await.unwrap();
    let output = child.wait_with_output().await.unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    let errors = String::from_utf8(output.stderr).unwrap();
    let saved = tool.folder.path().join("kept/latest/run.json");
    let saved = std::fs::read_to_string(saved).unwrap_or_else(|_| panic!("{errors}"));
    let record: Value = serde_json::from_str(&saved).unwrap();
    let audit = &record["audits"][0];
    assert_eq!(audit["ok"], true, "{service}, {store}, {mode}: {audit}");
    assert!(printed.contains("audit      ok: "), "{printed}");
    let outcomes = &record["total"]["outcomes"];
    let ok = outcomes["ok"].as_u64().unwrap();
    let failed = record["total"]["due_count"].as_u64().unwrap() - ok;
    assert!(
        ok > 0 && failed > 0,
        "{service}, {store}, {mode}: {outcomes}"
    );
    let settings = &record["target"]["identity"]["settings"];
    assert_eq!(settings["tx_mode"], mode, "{settings}");
    assert_eq!(settings["store"], store, "{settings}");
    println!(
        "{service}, {store}, {mode}: {ok} ok, {failed} not; audit {}",
        audit["facts"]
    );
    stores.stop().await.unwrap();
}

/// Returns once more transfers are booked than the warm-up makes, in any database of the server that `lease` is of.
async fn wait_for_transfers(lease: &tailmark::stores::Lease) {
    let url = lease.database_url().unwrap();
    let connect = async |url: &str| {
        let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls)
            .await
            .ok()?;
        tokio::spawn(connection);
        Some(client)
    };
    let server = url.rsplit_once('/').unwrap().0;
    let all = "SELECT datname FROM pg_database WHERE datallowconn AND datname LIKE 'tailmark\\_%'";
    for _ in 0..3_000 {
        let names = connect(url).await.unwrap().query(all, &[]).await.unwrap();
        for name in names.iter().map(|row| row.get::<_, String>(0)) {
            let Some(client) = connect(&format!("{server}/{name}")).await else {
                continue;
            };
            let booked = client
                .query_one("SELECT count(*) FROM transfers", &[])
                .await;
            if booked.is_ok_and(|row| row.get::<_, i64>(0) > 600) {
                return;
            }
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("no transfer was booked");
}
