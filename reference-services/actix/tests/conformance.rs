//! The suite that every reference service passes, on private stores.

#[tokio::test]
async fn conforms_to_the_contract() {
    trials::conforms(env!("CARGO_BIN_EXE_actix-service")).await;
}
