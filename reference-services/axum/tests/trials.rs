//! What every reference service stands while its stores fail.

const PROGRAM: &str = env!("CARGO_BIN_EXE_axum-service");

#[tokio::test]
async fn recovers_from_outages() {
    trials::outages::all(PROGRAM).await;
}

#[tokio::test]
async fn loses_no_transfer_to_a_crash() {
    trials::crash::nothing_acknowledged_is_lost(PROGRAM).await;
}
