//! What the service answers in gRPC, on private stores.

const PROGRAM: &str = env!("CARGO_BIN_EXE_axum-service");

#[tokio::test]
async fn conforms_in_grpc() {
    trials::conforms_in_grpc(PROGRAM).await;
}

#[tokio::test]
async fn rejections() {
    trials::rejections(PROGRAM).await;
}
