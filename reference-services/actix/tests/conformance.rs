//! The suite that every reference service passes, on private stores.

const PROGRAM: &str = env!("CARGO_BIN_EXE_actix-service");

#[tokio::test]
async fn conforms_to_the_contract() {
    trials::conforms(PROGRAM).await;
}

/// With this pool; the namesake of this test has the other one.
#[tokio::test]
async fn conforms_to_the_contract_over_diesel() {
    trials::conforms_over_diesel(PROGRAM, "bb8").await;
}
